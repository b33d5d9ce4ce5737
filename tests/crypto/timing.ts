/**
 * Whether time tells a fixed secret from random ones: `deno task timing [--core stock] [--seconds 10] [NAME ...]`.
 *
 * As dudect does (O. Reparaz, J. Balasch, I. Verbauwhede: Dude, is my code constant time?, 2017): both kinds of secret come
 * in random order and lie at the same place; Welch's t-test compares their times, of all samples and of those below many
 * thresholds, since a leak may show in the fast ones only. |t| below 4.5 shows nothing; above 10 there is a leak, as long as
 * the same comes out again on a quiet machine.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { type Harness, loadHarnesses, streamOf, type TestCore } from "./harness.ts";
import { Random } from "./random.ts";
import { type Target, TARGETS } from "./timing_targets.ts";

const SUSPECT = 4.5;
const LEAK = 10;
/** Secrets that are made beforehand, so that making them is not timed: so many, or as many as take half a second. */
const BATCH = 2000;
/** Samples of each kind that a test needs to say anything. */
const FEWEST = 30;
/** How many thresholds; dudect's choice. */
const CROPS = 100;

/** Means and variances of two kinds of samples, as they come (Welford). */
export class Welch {
  readonly #count = [0, 0];
  readonly #mean = [0, 0];
  readonly #squares = [0, 0];

  /** Takes one sample of kind 0 or 1. */
  add(kind: 0 | 1, value: number): void {
    const delta = value - this.#mean[kind]!;
    this.#mean[kind]! += delta / ++this.#count[kind]!;
    this.#squares[kind]! += delta * (value - this.#mean[kind]!);
  }

  /** By how many standard errors the means differ; 0 while there are too few samples to say. */
  get t(): number {
    const [n, m] = this.#count as [number, number];
    if (n < FEWEST || m < FEWEST) return 0;
    const error = this.#squares[0]! / (n - 1) / n + this.#squares[1]! / (m - 1) / m;
    return error > 0 ? (this.#mean[0]! - this.#mean[1]!) / Math.sqrt(error) : 0;
  }
}

/** What came of a target. */
export interface TimingResult {
  samples: number;
  /** The largest |t| over all thresholds. */
  t: number;
  /** The median time in microseconds. */
  median: number;
}

/** Times a target for so many seconds. */
export function time(harness: Harness, target: Target, seconds: number): TimingResult {
  const { call } = harness;
  harness.random = streamOf(target.name); // for blinding
  const { at, run } = target.prepare((content) => {
    const bytes = typeof content === "number" ? new Uint8Array(content) : content;
    const at = call.core_alloc(bytes.length + 1);
    harness.memory.set(bytes, at);
    return at;
  }, harness);
  const random = new Random(crypto.randomUUID());
  const fixed = target.secret(random);

  const batch = (size: number, use: (kind: 0 | 1, time: number) => void) => {
    const kinds = Array.from({ length: size }, () => random.below(2) as 0 | 1);
    const secrets = kinds.map((kind) => kind === 0 ? fixed.slice() : target.secret(random));
    for (const [i, kind] of kinds.entries()) {
      harness.memory.set(secrets[i]!, at);
      const began = performance.now();
      const code = run();
      use(kind, performance.now() - began);
      if (code < 0) throw new Error(`Cannot time ${target.name}: it returned ${code}`);
    }
  };

  const begun = performance.now();
  batch(10, () => {});
  const size = Math.ceil(Math.min(BATCH, 5000 / (performance.now() - begun)));
  batch(size, () => {}); // until the engine has compiled it
  const times: number[] = [];
  batch(size, (_, time) => times.push(time));
  times.sort((a, b) => a - b);
  const thresholds = Array.from({ length: CROPS }, (_, i) => {
    const share = 1 - 0.5 ** (10 * (i + 1) / CROPS);
    return times[Math.floor(share * times.length)]!;
  });
  const tests = [Infinity, ...thresholds].map((below) => ({ below, welch: new Welch() }));
  const end = performance.now() + seconds * 1000;
  let samples = 0;
  do {
    batch(size, (kind, time) => {
      for (const { below, welch } of tests) {
        if (time < below) welch.add(kind, time);
      }
    });
    samples += size;
  } while (performance.now() < end);
  const t = Math.max(...tests.map(({ welch }) => Math.abs(welch.t)));
  return { samples, t, median: times[times.length >> 1]! * 1000 };
}

async function main(): Promise<number> {
  const { _: wanted, core = "test", seconds = "10" } = parseArgs(Deno.args, {
    string: ["_", "core", "seconds"],
  });
  const [harness] = await loadHarnesses(core as TestCore);
  const parts = wanted.map((part) => String(part).toLowerCase());
  const chosen = TARGETS.filter(({ name }) =>
    parts.length === 0 || parts.some((part) => name.toLowerCase().includes(part))
  );
  console.log(`${core}: below ${SUSPECT} nothing shows; above ${LEAK} it leaks`);
  let leaks = 0;
  for (const target of chosen) {
    const { samples, t, median } = time(harness, target, Number(seconds));
    const verdict = t > LEAK ? "LEAK" : t > SUSPECT ? "look again" : "ok";
    if (t > LEAK) leaks++;
    const each = `${median.toFixed(median < 100 ? 1 : 0)} us`;
    console.log(
      `${target.name.padEnd(34)} ${each.padStart(9)}  ${String(samples).padStart(8)} samples  ` +
        `max |t| ${t.toFixed(1).padStart(6)}  ${verdict}`,
    );
  }
  return leaks === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
