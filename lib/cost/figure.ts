/**
 * Figures: a number of a device with its bounds, where it comes from, and how far that can be trusted.
 *
 * @module
 */

/**
 * How far a figure can be trusted, the best first:
 *
 * - `"given"`: the caller's own.
 * - `"measured"`: published by a maintainer, or in a commit or a test.
 * - `"reported"`: one user's report.
 * - `"derived"`: an operation count times a measured unit cost.
 * - `"ceiling"`: a limit of somebody's tests: what it takes is below, nobody says how far.
 * - `"guess"`: no source.
 */
export const RELIABILITY = ["given", "measured", "reported", "derived", "ceiling", "guess"] as const;

/** One of {@linkcode RELIABILITY}. */
export type Reliability = (typeof RELIABILITY)[number];

/** A number and its bounds, all in one unit. */
export interface Range {
  /** It is hardly less. */
  readonly low: number;
  /** The best that is known; of a ceiling, the ceiling. */
  readonly likely: number;
  /** It is hardly more. */
  readonly high: number;
}

/** A number of a device. */
export interface Figure extends Range {
  /** How far it can be trusted. */
  readonly reliability: Reliability;
  /** Where it comes from. */
  readonly source: string;
}

/** A figure with bounds in per cent: `around(150, [-15, 35], "derived", …)`. */
export function around(
  likely: number,
  [below, above]: readonly [number, number],
  reliability: Reliability,
  source: string,
): Figure {
  return {
    low: likely * (100 + below) / 100,
    likely,
    high: likely * (100 + above) / 100,
    reliability,
    source,
  };
}

/** A figure of which only the upper bound is known; it is hardly less than `low`. */
export function atMost(ceiling: number, low: number, source: string): Figure {
  return { low, likely: ceiling, high: ceiling, reliability: "ceiling", source };
}

/** A range of figures that one source gives. */
export function between(low: number, high: number, reliability: Reliability, source: string): Figure {
  return { low, likely: (low + high) / 2, high, reliability, source };
}

/** The sum of ranges, with all lows, all likelies and all highs at once: such figures err together. */
export function total(ranges: readonly Range[]): Range {
  const sum = (of: keyof Range) => ranges.reduce((total, range) => total + range[of], 0);
  return { low: sum("low"), likely: sum("likely"), high: sum("high") };
}

/** `count` times a range. */
export function times({ low, likely, high }: Range, count: number): Range {
  return { low: low * count, likely: likely * count, high: high * count };
}

/** The worst of several reliabilities; of none, the worst that there is. */
export function worst(reliabilities: readonly Reliability[]): Reliability {
  return RELIABILITY.findLast((each) => reliabilities.includes(each)) ?? RELIABILITY.at(-1)!;
}
