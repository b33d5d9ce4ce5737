/**
 * CPU: of each end, and by operation.
 *
 * @module
 */

import type { BenchResult, EndResult, ScenarioResult } from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import { type Bar, bars, type Segment } from "./bars.ts";
import { type Content, dataTable, details, figure, type LegendEntry } from "./page.ts";
import { byKey, cpuOf, ENDS } from "./selection.ts";
import { KINDS, REST } from "./style.ts";
import { ms, NONE, number, whole } from "./words.ts";

/** What operations are for. */
const PURPOSES: readonly (readonly [name: string, colour: string, pattern: RegExp])[] = [
  ["key agreement", KINDS[0]!, / multiply$/],
  ["signing, decrypting", KINDS[1]!, / sign$| private (cold|warm)$/],
  ["verifying, encrypting", KINDS[2]!, / verify$| public$/],
];
const OTHER: LegendEntry = { name: "all else: messages, hashes, ciphers, the engine", colour: REST };

/** The section's pictures and tables. */
export function cpuSection({ scenarios }: BenchResult): Content {
  const told = scenarios.filter((result) => cpuOf(result) !== undefined);
  if (told.length === 0) return "No end told its CPU.";
  return [operationsFigure(told), operationsTable(told)];
}

function operationsFigure(scenarios: readonly ScenarioResult[]): SafeHtml {
  const used = new Set(
    scenarios.flatMap(({ ends }) => ENDS.flatMap((end) => segmentsOf(ends[end]).map(({ colour }) => colour))),
  );
  const legend = [...PURPOSES.map(([name, colour]) => ({ name, colour })), OTHER];
  return figure({
    id: "cpu-operations",
    title: "CPU of a handshake, by operation",
    note:
      "Milliseconds of this machine's CPU, medians, of each end apart; how often each operation was done is in the table. " +
      "Each group has a scale of its own.",
    description: scenarios.map((result) =>
      `${result.scenario.name}: ${ENDS.map((end) => describe(result, end)).join(", ")}`
    )
      .join("; "),
    legend: legend.filter(({ colour }) => used.has(colour)),
    draw: (width) =>
      byKey(scenarios).map(([title, group]) => ({
        title,
        options: bars(
          group.map((result) => ({
            title: result.scenario.name,
            bars: ENDS.map((end) => barOf(result, end)),
          })),
          { width, unit: "ms of CPU", format: number },
        ),
      })),
  });
}

function describe({ ends }: ScenarioResult, end: typeof ENDS[number]): string {
  const cpu = ends[end].cpuMs;
  return `${end} ${cpu === undefined ? "not told" : ms(cpu.median)}`;
}

function barOf({ ends }: ScenarioResult, end: typeof ENDS[number]): Bar {
  const { cpuMs } = ends[end];
  return {
    label: end,
    segments: segmentsOf(ends[end]),
    text: cpuMs === undefined ? "not told" : number(cpuMs.median),
  };
}

function segmentsOf({ cpuMs, operations }: EndResult): Segment[] {
  if (cpuMs === undefined) return [];
  const known = (operations ?? []).filter((each) => each.cpuMs !== undefined);
  if (known.length === 0) return [{ name: "not split", value: cpuMs.median, colour: REST }];
  return known.map(({ name, count, cpuMs }) => {
    const [, colour = REST] = PURPOSES.find(([, , pattern]) => pattern.test(name)) ?? [];
    return { name: count === 1 ? name : `${name} × ${count}`, value: cpuMs!, colour };
  }).toSorted((a, b) => orderOf(a) - orderOf(b));
}

function orderOf({ colour }: Segment): number {
  return [...KINDS, REST].indexOf(colour);
}

function operationsTable(scenarios: readonly ScenarioResult[]): SafeHtml {
  const rows = scenarios.flatMap(({ scenario, ends }) =>
    ENDS.flatMap((end) => {
      const { cpuMs, operations = [] } = ends[end];
      const own = operations.map(({ name, count, cpuMs, share }) => [
        ...[scenario.name, end, name, whole(count)],
        ...[number(cpuMs), share === undefined ? NONE : `${Math.round(100 * share)} %`, NONE, NONE],
      ]);
      const { median, p95, min } = cpuMs ?? {};
      return [
        ...own,
        ...(cpuMs === undefined ? [] : [
          [scenario.name, end, "together", "", number(median), "100 %", number(p95), number(min)],
        ]),
      ];
    })
  );
  return details(
    `CPU by operation, in figures: ${rows.length} rows`,
    dataTable({
      caption: "CPU by operation",
      head: ["Scenario", "End", "Operation", "Times", "ms", "Share", "p95 ms", "Least ms"],
      text: [1, 2],
      rows,
    }),
  );
}
