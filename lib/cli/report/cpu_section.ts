/**
 * CPU: of each end, and where it goes.
 *
 * @module
 */

import type { BenchResult, End, EndResult, OperationResult, ScenarioResult } from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import { type Bar, bars, type Segment } from "./bars.ts";
import { type Kind, MESSAGE_KINDS, messageKind, OPERATION_KINDS, operationKind } from "./kinds.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { byKey, cpuOf, ENDS } from "./selection.ts";
import { REST } from "./style.ts";
import { ms, number, whole } from "./words.ts";

/** The section's pictures and tables. */
export function cpuSection({ scenarios }: BenchResult): Content {
  const told = scenarios.filter((result) => cpuOf(result) !== undefined);
  if (told.length === 0) return "No end told its CPU.";
  return [cpuFigure(told), operationsTable(told)];
}

/** How an end's CPU can be split. */
type Split = "operations" | "messages" | "not at all";

function splitOf({ operations = [], steps = [] }: EndResult): Split {
  if (operations.some(({ cpuMs }) => cpuMs !== undefined)) return "operations";
  return steps.some(({ cpuMs }) => cpuMs > 0) ? "messages" : "not at all";
}

function cpuFigure(scenarios: readonly ScenarioResult[]): SafeHtml {
  const splits = new Set(scenarios.flatMap(({ ends }) => ENDS.map((end) => splitOf(ends[end]))));
  const used = new Set(
    scenarios.flatMap(({ ends }) => ENDS.flatMap((end) => segmentsOf(ends[end]).map(({ colour }) => colour))),
  );
  const kinds: Kind[] = [
    ...(splits.has("messages") ? MESSAGE_KINDS : []),
    ...(splits.has("operations") ? OPERATION_KINDS : []),
  ];
  return figure({
    id: "cpu-split",
    title: splits.has("operations") ? "CPU of a handshake, by operation" : "CPU of a handshake, by message",
    note: [
      "Milliseconds of this machine's CPU, medians, of each end apart. ",
      splits.has("messages")
        ? "Where it goes is timed by message, for whose making or taking in it was, and scaled to the median. "
        : "",
      "How often each operation was done is in the table. Each group has a scale of its own.",
    ],
    description: scenarios.map((result) =>
      `${result.scenario.name}: ${ENDS.map((end) => describe(result, end)).join(", ")}`
    ).join("; "),
    legend: kinds.filter(({ colour }) => used.has(colour)),
    draw: (width) =>
      byKey(scenarios).map(([title, group]) => ({
        title,
        options: bars(
          group.map((result) => ({
            title: result.scenario.name,
            bars: ENDS.map((end) => barOf(result, end)),
          })),
          { width, unit: "ms of CPU", format: ms },
        ),
      })),
  });
}

function describe({ ends }: ScenarioResult, end: End): string {
  const cpu = ends[end].cpuMs;
  return `${end} ${cpu === undefined ? "not told" : ms(cpu.median)}`;
}

function barOf({ ends }: ScenarioResult, end: End): Bar {
  const { cpuMs } = ends[end];
  return {
    label: end,
    segments: segmentsOf(ends[end]),
    text: cpuMs === undefined ? "not told" : number(cpuMs.median),
  };
}

function segmentsOf(end: EndResult): Segment[] {
  const { cpuMs, operations = [] } = end;
  if (cpuMs === undefined) return [];
  switch (splitOf(end)) {
    case "operations":
      return operations.map(({ name, count, cpuMs = 0 }) => ({
        name: count === 1 ? name : `${name} × ${whole(count)}`,
        value: cpuMs,
        colour: operationKind(name).colour,
      })).toSorted((a, b) => orderOf(OPERATION_KINDS, a) - orderOf(OPERATION_KINDS, b));
    case "messages":
      return stepSegments(end, cpuMs.median);
    case "not at all":
      return [{ name: "not split", value: cpuMs.median, colour: REST }];
  }
}

function stepSegments({ steps = [] }: EndResult, median: number): Segment[] {
  const sum = steps.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  return MESSAGE_KINDS.map((kind) => ({
    name: kind.short,
    colour: kind.colour,
    value: steps.filter(({ name }) => messageKind(name) === kind)
      .reduce((sum, { cpuMs }) => sum + cpuMs, 0) * median / sum,
  }));
}

function orderOf(kinds: readonly Kind[], { colour }: Segment): number {
  return kinds.findIndex((kind) => kind.colour === colour);
}

function operationsTable(scenarios: readonly ScenarioResult[]): SafeHtml {
  return details(
    "CPU and operations in figures",
    dataTable({
      caption: "CPU and operations",
      head: ["Scenario", "End", "Median ms", "p95 ms", "Least ms", "Most ms", "Operations"],
      text: [1],
      long: [6],
      rows: scenarios.flatMap(({ scenario, ends }) =>
        ENDS.map((end) => {
          const { cpuMs, operations } = ends[end];
          const { median, p95, min, max } = cpuMs ?? {};
          const words = operations === undefined
            ? "not told"
            : operations.map(operationText).join(", ") || "none";
          return [scenario.name, end, ...[median, p95, min, max].map(number), words];
        })
      ),
    }),
  );
}

/** `"P-256 verify × 2 (0.220 ms, 54 %)"`. */
function operationText({ name, count, cpuMs, share }: OperationResult): string {
  const taken = [
    ...(cpuMs === undefined ? [] : [ms(cpuMs)]),
    ...(share === undefined ? [] : [`${Math.round(100 * share)} %`]),
  ];
  return `${count === 1 ? name : `${name} × ${whole(count)}`}${
    taken.length > 0 ? ` (${taken.join(", ")})` : ""
  }`;
}
