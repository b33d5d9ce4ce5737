/** Statistics of runs. */

import type { Statistics } from "./result.ts";

const PERCENTILE = 0.95;
/** Of fewer runs the p95 is the slowest. */
export const P95_RUNS = 20;

/** What many runs come to. */
export function statisticsOf(values: readonly number[]): Statistics {
  if (values.length === 0) throw new RangeError("Cannot sum up runs: there is none");
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: medianOf(sorted),
    p95: sorted[Math.ceil(PERCENTILE * sorted.length) - 1]!, // nearest rank
    min: sorted[0]!,
    max: sorted.at(-1)!,
    runs: sorted.length,
  };
}

/** The one in the middle, or between the two there. */
export function median(values: readonly number[]): number {
  return medianOf(values.toSorted((a, b) => a - b));
}

function medianOf(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest step of a clock that many readings show, in its unit. */
export function timerStep(now: () => number = () => performance.now(), readings = 10_000): number {
  let least = Infinity;
  for (let last = now(); readings > 0; readings--) {
    const next = now();
    if (next > last) least = Math.min(least, next - last);
    last = next;
  }
  return least === Infinity ? 0 : least;
}
