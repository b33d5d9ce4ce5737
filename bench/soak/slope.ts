/** Whether what a process holds grows. */

/** The median of the slopes between all pairs of samples (Theil and Sen): a garbage collection hardly moves it. */
export function slopeOf(samples: readonly { at: number; value: number }[]): number {
  const slopes = samples.flatMap((a, i) =>
    samples.slice(i + 1).map((b) => (b.value - a.value) / (b.at - a.at))
  ).sort((a, b) => a - b);
  return slopes[slopes.length >> 1] ?? 0;
}

/**
 * How much a value has grown, by its slope, from the end of the warm-up, a third of the time, to the last sample.
 */
export function growthOf(samples: readonly { at: number; value: number }[]): number {
  const steady = samples.slice(Math.floor(samples.length / 3));
  // Pairs grow with the square: a long run is thinned.
  const every = Math.ceil(steady.length / 200);
  const some = steady.filter((_, i) => i % every === 0);
  return some.length < 2 ? 0 : slopeOf(some) * (some.at(-1)!.at - some[0]!.at);
}
