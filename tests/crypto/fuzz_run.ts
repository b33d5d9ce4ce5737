/**
 * The differential fuzzer: the same cases put to mbedTLS alone and to a core with kernels, on every processor.
 *
 * @module
 */

import { ensureBuilt } from "../../wasm/build.ts";
import { CURVE_PRIMITIVES } from "./fuzz_curves.ts";
import { describe, type Primitive, same } from "./fuzz_primitive.ts";
import { RSA_PRIMITIVES } from "./fuzz_rsa.ts";
import { SYMMETRIC } from "./fuzz_symmetric.ts";
import { Harness, streamOf, type TestCore } from "./harness.ts";
import { Random } from "./random.ts";

/** Everything that is fuzzed. */
export const PRIMITIVES: readonly Primitive[] = [...SYMMETRIC, ...CURVE_PRIMITIVES, ...RSA_PRIMITIVES];

/** A run of cases of one primitive, for one thread. */
export interface Job {
  seed: string;
  primitive: string;
  core: TestCore;
  first: number;
  count: number;
}

/** What came of it. */
export interface JobResult {
  /** Differences in words, with all it takes to see them again. */
  failures: string[];
  milliseconds: number;
}

/** Of differences in one job, the first say enough. */
const MAX_FAILURES = 3;
/** Bytes that a core's heap may grow by in a job: blinding values and tables differ in size, a leak adds up. */
const MAX_GROWTH = 16384;

const loaded = new Map<TestCore, Promise<Harness>>();

function load(core: TestCore): Promise<Harness> {
  const harness = loaded.get(core) ?? Harness.load(core);
  loaded.set(core, harness);
  return harness;
}

/** Runs a job on this thread. */
export async function runJob({ seed, primitive: name, core, first, count }: Job): Promise<JobResult> {
  const [reference, tested] = await Promise.all([load("stock"), load(core)]);
  const primitive = PRIMITIVES.find((primitive) => primitive.name === name)!;
  for (const harness of [reference, tested]) primitive.prepare?.(harness);
  const failures: string[] = [];
  const began = performance.now();
  let allocated = 0;
  for (let index = first; index < first + count && failures.length < MAX_FAILURES; index++) {
    const id = `${seed}/${name}/${index}`;
    reference.random = streamOf(id);
    const { about, run } = primitive.make(new Random(id), reference);
    const ask = (harness: Harness) => {
      harness.random = streamOf(id);
      try {
        return run(harness);
      } catch (error) {
        return String(error); // a trap, or something written where it should not be
      }
    };
    const [expected, got] = [ask(reference), ask(tested)];
    if (!same(expected, got)) {
      failures.push(
        `${name}, case ${index} of seed "${seed}": ${describe(about)}\n` +
          `  stock: ${describe(expected)}\n  ${core}: ${describe(got)}`,
      );
    }
    if (index === first) allocated = tested.allocated; // what is made once has been made
  }
  const growth = tested.allocated - allocated;
  if (growth > MAX_GROWTH) failures.push(`${name}: ${core} leaks: ${growth} bytes in ${count} cases`);
  return { failures, milliseconds: performance.now() - began };
}

/** What to fuzz. */
export interface FuzzOptions {
  seed: string;
  /** The core that is compared with mbedTLS alone. */
  core: TestCore;
  /** How many cases of each primitive. */
  counts: ReadonlyMap<string, number>;
  /** Told after each job. */
  progress?: (done: number, total: number, primitive: string) => void;
}

/** What came of a primitive. */
export interface FuzzResult {
  cases: number;
  milliseconds: number;
  failures: string[];
}

/** Cases in one job take about this long on mbedTLS, in microseconds. */
const JOB_COST = 300_000;

/** Runs all cases, on as many threads as there are processors. */
export async function fuzz(options: FuzzOptions): Promise<Map<string, FuzzResult>> {
  const { seed, core, counts, progress } = options;
  await ensureBuilt(["stock", core]);
  const results = new Map<string, FuzzResult>();
  const jobs: Job[] = [];
  for (const [primitive, cases] of counts) {
    const { cost } = PRIMITIVES.find(({ name }) => name === primitive)!;
    results.set(primitive, { cases: 0, milliseconds: 0, failures: [] });
    const size = Math.max(1, Math.ceil(JOB_COST / cost));
    for (let first = 0; first < cases; first += size) {
      jobs.push({ seed, primitive, core, first, count: Math.min(size, cases - first) });
    }
  }
  const total = jobs.reduce((sum, { count }) => sum + count, 0);
  let done = 0;
  const thread = async () => {
    const worker = new Worker(new URL("fuzz_worker.ts", import.meta.url), { type: "module" });
    try {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
        const { failures, milliseconds } = await ask(worker, job);
        const result = results.get(job.primitive)!;
        result.cases += job.count;
        result.milliseconds += milliseconds;
        result.failures.push(...failures);
        progress?.(done += job.count, total, job.primitive);
      }
    } finally {
      worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(navigator.hardwareConcurrency, jobs.length) }, thread));
  return results;
}

function ask(worker: Worker, job: Job): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`Cannot fuzz ${job.primitive} from case ${job.first}: ${event.message}`));
    };
    worker.postMessage(job);
  });
}
