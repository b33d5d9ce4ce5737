/**
 * CPU: of each end, and where it goes.
 *
 * @module
 */

import type {
  BenchResult,
  End,
  EndResult,
  OperationResult,
  ScenarioResult,
  StepResult,
} from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import type { Bar, Segment } from "./bars.ts";
import { MESSAGE_KINDS, messageKind, OPERATION_KINDS, operationKind } from "./kinds.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { pagedBars } from "./paged_bars.ts";
import { byKey, ENDS } from "./selection.ts";
import { REST } from "./style.ts";
import { ms, number, whole } from "./words.ts";

/** The section's pictures and tables. */
export function cpuSection({ scenarios }: BenchResult): Content {
  const told = scenarios.filter(({ ends }) => ENDS.some((end) => ends[end].cpuMs !== undefined));
  if (told.length === 0) return "No end told its CPU.";
  return [cpuFigure(told), operationsTable(told)];
}

const NOT_SPLIT = "not split";

/** How the CPU is split: one way for all, as the colours have one meaning. */
type Split = "operations" | "messages";

function splitOf(scenarios: readonly ScenarioResult[]): Split {
  const timed = scenarios.some(({ ends }) =>
    ENDS.some((end) => ends[end].operations?.some(({ cpuMs }) => cpuMs !== undefined))
  );
  return timed ? "operations" : "messages";
}

function cpuFigure(scenarios: readonly ScenarioResult[]): SafeHtml {
  const split = splitOf(scenarios);
  const all = scenarios.flatMap(({ ends }) => ENDS.flatMap((end) => segmentsOf(ends[end], split)));
  const used = new Set(all.map(({ colour }) => colour));
  const kinds = split === "operations" ? OPERATION_KINDS : MESSAGE_KINDS;
  return figure({
    id: "cpu-split",
    title: `CPU of a handshake, by ${split === "operations" ? "operation" : "message"}`,
    note: [
      "Milliseconds of this machine's CPU, medians, of each end apart. ",
      split === "messages"
        ? "Where it goes is timed by message, for whose making or taking in it was, and scaled to the median. "
        : all.some(({ name }) => name === NOT_SPLIT)
        ? "Where it goes is not told of all ends: a bar of another program has what its process takes, TCP and its runtime with it. "
        : "",
      "How often each operation was done is in the table. Each group has a scale of its own.",
    ],
    description: scenarios.map((result) =>
      `${result.scenario.name}: ${ENDS.map((end) => describe(result, end)).join(", ")}`
    ).join("; "),
    legend: kinds.filter(({ colour }) => used.has(colour)),
    draw: (width) =>
      byKey(scenarios).flatMap(([title, group]) => {
        const blocks = group.map((result) => ({
          title: result.scenario.name,
          bars: ENDS.map((end) => barOf(result, end, split)),
        }));
        return pagedBars(blocks, { width, unit: "ms of CPU", format: ms }, { title });
      }),
  });
}

function describe({ ends }: ScenarioResult, end: End): string {
  const cpu = ends[end].cpuMs;
  return `${end} ${cpu === undefined ? "not told" : ms(cpu.median)}`;
}

function barOf({ ends }: ScenarioResult, end: End, split: Split): Bar {
  const { cpuMs } = ends[end];
  return {
    label: end,
    segments: segmentsOf(ends[end], split),
    text: cpuMs === undefined ? "not told" : number(cpuMs.median),
  };
}

function segmentsOf(end: EndResult, split: Split): Segment[] {
  const { cpuMs, operations = [], steps = [] } = end;
  if (cpuMs === undefined) return [];
  if (split === "messages" && steps.some(({ cpuMs }) => cpuMs > 0)) return stepSegments(steps, cpuMs.median);
  if (split === "operations" && operations.some(({ cpuMs }) => cpuMs !== undefined)) {
    return operations.map(({ name, count, cpuMs = 0 }) => ({
      name: count === 1 ? name : `${name} × ${whole(count)}`,
      value: cpuMs,
      colour: operationKind(name).colour,
    })).toSorted((a, b) => orderOf(a) - orderOf(b));
  }
  return [{ name: NOT_SPLIT, value: cpuMs.median, colour: REST }];
}

function stepSegments(steps: readonly StepResult[], median: number): Segment[] {
  const sum = steps.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  return MESSAGE_KINDS.map((kind) => ({
    name: kind.short,
    colour: kind.colour,
    value: steps.filter(({ name }) => messageKind(name) === kind)
      .reduce((sum, { cpuMs }) => sum + cpuMs, 0) * median / sum,
  }));
}

function orderOf({ colour }: Segment): number {
  return OPERATION_KINDS.findIndex((kind) => kind.colour === colour);
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
