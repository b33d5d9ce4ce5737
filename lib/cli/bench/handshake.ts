/** The run of `tlsio bench handshake`: scenarios made ready, measured in rounds, summed up. */

import { oneLine } from "../terminal.ts";
import { environment, notesOf } from "./environment.ts";
import type { Measurer } from "./measurer.ts";
import type { Progress } from "./progress.ts";
import type { BenchResult, LinkFacts, Scenario, Skipped } from "./result.ts";
import { type Effort, runRounds } from "./runner.ts";
import { type Measured, type Reconnect, savingsOf } from "./savings.ts";
import { type Models, summarize } from "./summary.ts";
import { type Target, Unavailable } from "./target.ts";
import { withOperationTimes } from "./unit_costs.ts";

/** What a run is made of, checked. */
export interface RunOptions {
  readonly target: Target;
  readonly effort: Effort;
  readonly models: Models;
  /** The links of the models, as the result has them. */
  readonly links: readonly LinkFacts[];
  readonly reconnect?: Reconnect | undefined;
  readonly progress: Progress;
  /** Ends it; what was measured until then is the result. */
  readonly signal: AbortSignal;
}

/** The share of the progress that the making of certificates and the like has. */
const PREPARATION = 0.1;
const INTERRUPTED = "interrupted before there was a figure";

/** Runs it. */
export async function benchHandshakes(options: RunOptions): Promise<BenchResult> {
  const { target, effort, models, links, reconnect, progress, signal } = options;
  const here = environment();
  const skipped: Skipped[] = [...target.skipped];
  const measured: Measured[] = [];
  const batches = chunks(target.scenarios, target.atOnce);
  for (const [place, scenarios] of batches.entries()) {
    const tell = (share: number, name: string) => progress.update((place + share) / batches.length, name);
    const seconds = effort.seconds && effort.seconds / batches.length;
    const batch = await measureBatch(scenarios, { ...options, effort: { ...effort, seconds } }, tell);
    measured.push(...batch.measured);
    skipped.push(...batch.skipped);
  }
  const results = measured.map(({ result }) => result);
  progress.update(1, "timing operations");
  const scenarios = await withOperationTimes(results, target.identities, signal).catch((error) => {
    if (!signal.aborted) throw error;
    return results;
  });
  return {
    bench: "handshake",
    format: 1,
    interrupted: signal.aborted,
    environment: { ...here, notes: notesOf(here, target.name, results) },
    plan: {
      target: target.name,
      runs: Math.max(0, ...measured.map(({ collected: { samples } }) => samples.length)),
      warmUp: Math.max(0, ...measured.map(({ collected }) => collected.warmUp)),
      devices: models.devices,
      links,
      ...(reconnect && { reconnect }),
    },
    scenarios,
    skipped,
    resumption: reconnect === undefined ? [] : savingsOf(measured, reconnect, models),
  };
}

async function measureBatch(
  scenarios: readonly Scenario[],
  { target, effort, models, signal }: RunOptions,
  tell: (share: number, doing: string) => void,
): Promise<{ measured: Measured[]; skipped: Skipped[] }> {
  const skipped: Skipped[] = [];
  const measurers: Measurer[] = [];
  await using ready = new AsyncDisposableStack();
  for (const [place, scenario] of scenarios.entries()) {
    tell(PREPARATION * place / scenarios.length, `preparing ${scenario.name}`);
    try {
      signal.throwIfAborted();
      measurers.push(ready.use(await target.open(scenario, signal)));
    } catch (error) {
      const reason = signal.aborted ? INTERRUPTED : oneLine(error);
      skipped.push({
        name: scenario.name,
        reason,
        failed: !signal.aborted && !(error instanceof Unavailable),
      });
    }
  }
  const told = (share: number, name: string) => tell(PREPARATION + (1 - PREPARATION) * share, name);
  const collected = await runRounds(measurers, effort, told, signal);
  const measured: Measured[] = [];
  for (const measurer of measurers) {
    const runs = collected.get(measurer)!;
    const { samples, failure } = runs;
    if (failure === undefined && samples.length > 0) {
      measured.push({ measurer, collected: runs, result: summarize(measurer, runs, models) });
    } else {
      const { name } = measurer.scenario;
      skipped.push({ name, reason: failure ?? INTERRUPTED, failed: failure !== undefined });
    }
  }
  return { measured, skipped };
}

/** Parts of much the same size, none above `size`. */
function chunks<T>(all: readonly T[], size: number): T[][] {
  const count = Math.max(1, Math.ceil(all.length / size));
  const each = Math.ceil(all.length / count);
  return Array.from({ length: count }, (_, i) => all.slice(i * each, (i + 1) * each));
}
