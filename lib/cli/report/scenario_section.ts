/**
 * All scenarios in one table, and what is known of each besides.
 *
 * @module
 */

import type { BenchResult, EndResult, ScenarioResult, Statistics } from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import { type Content, dataTable, details, facts } from "./page.ts";
import { ENDS } from "./selection.ts";
import { ms, NONE, number, whole } from "./words.ts";

/** The table of all scenarios. */
export function overview({ scenarios }: BenchResult): SafeHtml {
  return dataTable({
    caption: "All scenarios",
    head: [
      ...[
        "Scenario",
        "Wall ms",
        "p95",
        "CPU client ms",
        "CPU server ms",
        "Round trips",
        "Bytes up",
        "Bytes down",
      ],
      ...["Certificate bytes", "Records", "Heap client", "Heap server"],
    ],
    rows: scenarios.map((result) => {
      const { scenario, wallMs, ends, network } = result;
      const { up, down } = network ?? {};
      return [
        ...[scenario.name, number(wallMs.median), number(wallMs.p95)],
        ...ENDS.map((end) => number(ends[end].cpuMs?.median)),
        ...[whole(network?.roundTrips), whole(up?.bytes), whole(down?.bytes)],
        up && down ? whole(up.certificateBytes + down.certificateBytes) : NONE,
        up && down ? whole(up.records + down.records) : NONE,
        ...ENDS.map((end) => whole(ends[end].heap?.peak)),
      ];
    }),
  });
}

/** What is known of each scenario, folded away. */
export function scenarioSection({ scenarios }: BenchResult): Content {
  return scenarios.map((result) => details(result.scenario.name, one(result)));
}

function one(result: ScenarioResult): Content {
  const { scenario, suite, group, resumed, ends, wallMs, connectMs } = result;
  return [
    facts([
      ["Version", `TLS ${scenario.version}`],
      ["Suite", suite ?? NONE],
      ["Group", group ?? NONE],
      ["Resumed", resumed ? "yes, each run" : "no"],
      ["Profile", scenario.profile],
      ...ENDS.map((end) =>
        [`The ${end}`, implementationText(scenario[end], ends[end].implementation)] as const
      ),
      ["Wall", statistics(wallMs)],
      ...(connectMs === undefined ? [] : [["TCP's connection", statistics(connectMs)] as const]),
      ...ENDS.flatMap((end) => {
        const { cpuMs } = ends[end];
        return cpuMs === undefined ? [] : [[`CPU of the ${end}`, statistics(cpuMs)] as const];
      }),
      ...ENDS.flatMap((end) => {
        const text = stepsText(ends[end]);
        return text === "" ? [] : [[`CPU of the ${end}, by message`, text] as const];
      }),
      ...ENDS.flatMap((end) => {
        const bulk = Object.entries(ends[end].bulk ?? {});
        const text = bulk.map(([name, size]) => `${name} ${whole(size)} B`).join(", ");
        return bulk.length === 0 ? [] : [[`Ciphers and hashes of the ${end}`, text] as const];
      }),
    ]),
  ];
}

/** `"tlsio 0.1.0, Mbed TLS 3.6.7"`, with the peer's name where that does not say it. */
function implementationText(name: string, implementation: string): string {
  return implementation.toLowerCase().startsWith(name.toLowerCase())
    ? implementation
    : `${name}: ${implementation}`;
}

function statistics({ median, p95, min, max, runs }: Statistics): string {
  return `median ${ms(median)}, p95 ${ms(p95)}, ${number(min)} to ${number(max)} ms, ${whole(runs)} runs`;
}

/** Where an end's CPU went, by message. */
function stepsText({ steps = [] }: EndResult): string {
  return steps.map(({ name, direction, cpuMs }) => `${name} (${direction}) ${ms(cpuMs)}`).join(", ");
}
