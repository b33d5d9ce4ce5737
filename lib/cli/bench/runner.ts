/**
 * Rounds: each scenario once in each, so that a slow moment of the machine does not meet one of them alone; the order turns
 * with every round, so that none always follows the same.
 */

import { oneLine } from "../terminal.ts";
import type { Measurer, Observed, Sample } from "./measurer.ts";

/** How much to do. */
export interface Effort {
  /** Rounds that count; or seconds that they may take. */
  readonly runs?: number | undefined;
  readonly seconds?: number | undefined;
  /** Rounds before them, at least. */
  readonly warmUp: number;
  /** Milliseconds that those before them take, at least. @default 0 */
  readonly warmUpMs?: number | undefined;
}

/** What came of a scenario. */
export interface Collected {
  readonly samples: Sample[];
  readonly observed: Observed[];
  /** Rounds before them. */
  warmUp: number;
  /** Why it ended early. */
  failure?: string;
}

/** Each round in so many has a second handshake of each scenario, which is counted and not timed. */
const OBSERVE_EVERY = 5;
/** Milliseconds after which the event loop gets its turn: Ctrl-C, the progress bar. */
const TURN = 25;
/** Rounds that a run for a time has at least: fewer have no median. */
const LEAST_ROUNDS = 3;

/**
 * Runs all rounds.
 *
 * @param progress Is told how far it is, from 0 to 1, and what is being measured.
 * @param signal Ends it; what was measured until then stays.
 */
export async function runRounds(
  measurers: readonly Measurer[],
  { runs = Infinity, seconds = Infinity, warmUp, warmUpMs = 0 }: Effort,
  progress: (share: number, name: string) => void,
  signal: AbortSignal,
): Promise<Map<Measurer, Collected>> {
  const results = new Map(
    measurers.map((each): [Measurer, Collected] => [each, { samples: [], observed: [], warmUp: 0 }]),
  );
  const begun = performance.now();
  let turn = begun;
  let isFirst = true;
  let isWarm = false;
  for (let round = -warmUp; !signal.aborted; round++, isFirst = false) {
    const elapsed = (performance.now() - begun) / 1000;
    isWarm ||= round >= 0 && elapsed * 1000 >= warmUpMs;
    if (round >= 0 && !isWarm) round = -2; // two more, as every other goes backwards
    if (round >= runs || (elapsed >= seconds && round >= LEAST_ROUNDS)) break;
    const left = measurers.filter((each) => results.get(each)!.failure === undefined);
    if (left.length === 0) break;
    const order = round % 2 === 0 ? left : left.toReversed();
    for (const [place, measurer] of order.entries()) {
      const result = results.get(measurer)!;
      try {
        if (isFirst) await measurer.measure({ observe: true, signal }); // whose keys are others: warm, too
        const { sample } = await measurer.measure({ observe: false, signal });
        if (round >= 0) result.samples.push(sample);
        else result.warmUp++;
        if (round >= 0 && round % OBSERVE_EVERY === 0) {
          const { observed } = await measurer.measure({ observe: true, signal });
          if (observed !== undefined) result.observed.push(observed);
        }
      } catch (error) {
        if (signal.aborted) break;
        result.failure = oneLine(error);
      }
      if (signal.aborted) break;
      if (performance.now() - turn < TURN) continue;
      const share = (round + place / left.length) / runs; // below 0: it warms up
      progress(Math.min(1, Math.max(0, share, elapsed / seconds)), measurer.scenario.name);
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
  }
  return results;
}
