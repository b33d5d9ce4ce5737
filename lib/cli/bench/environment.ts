/** Where a run takes place, and what that does to its figures. */

import { cpus } from "node:os";
import config from "../../../deno.json" with { type: "json" };
import { Core } from "../../core.ts";
import type { Environment, ScenarioResult } from "./result.ts";
import { P95_RUNS, timerStep } from "./statistics.ts";

/** What our ends are: name and version. */
export function ourImplementation(): string {
  return `tlsio ${config.version}, ${Core.shared().version}`;
}

/** What is known before the run. */
export function environment(): Environment {
  const all = cpus();
  const { deno, v8 } = Deno.version;
  return {
    date: new Date().toISOString(),
    version: config.version,
    core: Core.shared().version,
    deno,
    v8,
    os: `${Deno.build.os} ${Deno.osRelease()}`,
    arch: Deno.build.arch,
    cpu: all[0]?.model.trim() || undefined,
    cpus: all.length,
    timerStepMs: timerStep(),
    notes: [],
  };
}

/** Milliseconds: some systems put off an acknowledgement of TCP's for 40, and a peer that waits for it sends later. */
const ACK_DELAY = 35;

/** What there is to know of the figures. */
export function notesOf(
  { timerStepMs, cpus }: Environment,
  target: string,
  scenarios: readonly ScenarioResult[],
): string[] {
  const notes = [
    "CPU of our ends is the time in their engines' calls on this machine, the collection of garbage in it: the p95 may have " +
    "some. Keys are warm: the first handshakes are not counted." +
    (target === "peers" ? " A peer's is all that its process takes, TCP and its runtime with it." : "") +
    (target === "memory" ? "" : " Wall, bytes and round trips are without TCP's own."),
  ];
  if (scenarios.some(({ wallMs: { runs } }) => runs < P95_RUNS)) {
    notes.push(`Of fewer than ${P95_RUNS} runs the p95 is the slowest.`);
  }
  if (target === "peers" && scenarios.some(({ wallMs: { median } }) => median > ACK_DELAY)) {
    notes.push(`A wall of some 40 ms is a delayed acknowledgement of TCP's, not TLS.`);
  }
  if (timerStepMs > 0.01) {
    notes.push(`The clock's steps are of ${timerStepMs.toFixed(3)} ms: short times are rough.`);
  }
  const load = Deno.build.os === "windows" ? 0 : Deno.loadavg()[0]!;
  if (load > cpus) {
    notes.push(`The machine is busy (load ${load.toFixed(1)} on ${cpus} CPUs): times are too long.`);
  }
  return notes;
}
