/**
 * Fuzzes all that parses bytes from outside: `deno task fuzz [--seconds 60] [--target NAME] [--seed N] [--runs N] [--native]`.
 *
 * `--native` runs the C of the core for this machine under sanitizers instead; `--replay FILE --target NAME` runs one input;
 * `--distil` writes what the corpus has come to into the repository. Exit code 1: something was found.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import type { Bytes } from "../../lib/bytes.ts";
import { command } from "../../wasm/build.ts";
import { fuzzModule } from "./core.ts";
import { distil } from "./distil.ts";
import { Fuzzer } from "./fuzzer.ts";
import { NATIVE_TARGETS, runNative, whyNotNative } from "./native.ts";
import { keep, keepCrash, readKept, readSeeds } from "./store.ts";
import { openTarget, SHARES, TARGET_NAMES } from "./targets.ts";
import type { Job, Report } from "./worker.ts";

const USAGE = `Usage: deno task fuzz [--seconds N] [--target NAME] [--seed N] [--runs N] [--jobs N] [--native]
       deno task fuzz --target NAME --replay FILE
       deno task fuzz --distil
Targets: ${TARGET_NAMES.join(", ")}`;
const INPUT_MAX = 65536; // bytes of an input that a thread shows
/** A thread that has begun no other input for so long hangs. Opening a target takes a second or two. */
const PATIENCE = 30_000; // milliseconds

/** What a target came to. */
interface Result {
  runs: number;
  edges: number;
  kept: number;
  milliseconds: number;
  crashes: number;
}

/** A number for each target and thread, from the seed of the run. */
function seedOf(seed: number, target: string, thread: number): number {
  let hash = seed + thread * 7919;
  for (const letter of target) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

/** Runs one job in a thread of its own. */
async function runJob(job: Omit<Job, "current">, result: Result): Promise<void> {
  const current = new SharedArrayBuffer(8 + INPUT_MAX);
  const header = new Int32Array(current, 0, 2);
  const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
  const start = performance.now();
  const done = Promise.withResolvers<void>();
  const writes: Promise<unknown>[] = [];
  const crash = async (kind: string, text: string, input: Bytes) => {
    result.crashes++;
    const path = await keepCrash(job.target, kind, input, text);
    console.log(
      `\nFOUND in ${job.target}: ${
        text.slice(0, 2000)
      }\n  again: deno task fuzz --target ${job.target} --replay ${path}\n`,
    );
  };
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.type === "crash") {
      writes.push(crash(data.kind, `${data.message}\n  ${data.text}\n${data.stack}`, data.input));
      return;
    }
    writes.push(keep(job.target, data.corpus));
    if (data.type !== "done") return;
    result.runs += data.runs;
    result.edges = Math.max(result.edges, data.edges);
    result.kept += data.kept;
    done.resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    done.reject(new Error(`Cannot go on with ${job.target}: ${event.message}`));
  };
  let begun = -1;
  const watch = setInterval(() => {
    const now = Atomics.load(header, 0);
    if (now !== begun) {
      begun = now;
      return;
    }
    const input = new Uint8Array(current, 8, header[1]).slice();
    writes.push(crash("hang", `hang: no end after ${PATIENCE / 1000} s`, input));
    done.resolve();
  }, PATIENCE);
  worker.postMessage({ ...job, current });
  try {
    await done.promise;
  } finally {
    clearInterval(watch);
    worker.terminate();
    await Promise.all(writes);
    result.milliseconds += performance.now() - start;
  }
}

interface Plan {
  readonly targets: readonly string[];
  readonly seconds: number;
  readonly runs: number;
  readonly seed: number;
  readonly jobs: number;
}

async function fuzz({ targets, seconds, runs, seed, jobs }: Plan): Promise<number> {
  await fuzzModule();
  const all = targets.reduce((sum, name) => sum + (SHARES[name] ?? 1), 0);
  const results = new Map(
    targets.map((name) => [name, { runs: 0, edges: 0, kept: 0, milliseconds: 0, crashes: 0 }]),
  );
  // What takes longest is split over the threads; the others come one after the other.
  const queue = targets.flatMap((target) => {
    const ms = 1000 * seconds * jobs * (SHARES[target] ?? 1) / all;
    const parts = ms > 1000 * seconds / 2 ? jobs : 1;
    return Array.from(
      { length: parts },
      (_, thread) => ({ target, ms: ms / parts, runs, seed: seedOf(seed, target, thread) }),
    );
  }).sort((a, b) => b.ms - a.ms);
  const thread = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const corpus = [...await readSeeds(job.target), ...await readKept(job.target)];
      await runJob({ ...job, corpus }, results.get(job.target)!);
      report(job.target, results.get(job.target)!);
    }
  };
  await Promise.all(Array.from({ length: jobs }, thread));
  const found = [...results.values()].reduce((sum, { crashes }) => sum + crashes, 0);
  const total = [...results.values()].reduce((sum, { runs }) => sum + runs, 0);
  console.log(
    `${total} inputs with seed ${seed}: ${
      found === 0 ? "nothing found" : `${found} FOUND, see tests/.fuzz/crashes`
    }`,
  );
  return found;
}

function report(target: string, { runs, edges, kept, milliseconds }: Result): void {
  const rate = Math.round(runs / milliseconds * 1000);
  console.log(
    `${target.padEnd(12)} ${String(runs).padStart(9)} inputs ${String(rate).padStart(6)} /s ${
      String(edges).padStart(5)
    } edges ${String(kept).padStart(5)} kept`,
  );
}

async function fuzzNative({ targets, seconds, seed }: Plan): Promise<number> {
  const why = await whyNotNative();
  if (why !== undefined) throw new Error(`Cannot fuzz the native build: ${why}`);
  const chosen = NATIVE_TARGETS.filter((name) => targets.includes(name));
  const all = chosen.reduce((sum, name) => sum + (SHARES[name] ?? 1), 0);
  let found = 0;
  for (const target of chosen) {
    const { target: opened } = await openTarget(target);
    const inputs = [...opened.seeds(), ...await readSeeds(target), ...await readKept(target)];
    const share = Math.ceil(seconds * (SHARES[target] ?? 1) / all);
    const result = await runNative(target, inputs, { seconds: share, seed });
    const { runs, edges, finding, crash } = result;
    report(`${target}`, {
      runs,
      edges,
      kept: inputs.length,
      milliseconds: result.seconds * 1000,
      crashes: 0,
    });
    if (finding === undefined) continue;
    found++;
    const path = crash && await keepCrash(target, "native", crash, finding);
    console.log(`\nFOUND in ${target}: ${finding}\n  the input: ${path}`);
  }
  console.log(`native, seed ${seed}: ${found === 0 ? "nothing found" : `${found} FOUND`}`);
  return found;
}

async function replay(target: string, path: string): Promise<number> {
  const fuzzer = await Fuzzer.open(target, 1);
  const [crash] = await fuzzer.add([await Deno.readFile(path)]);
  console.log(
    crash === undefined
      ? "nothing found"
      : `${crash.finding.message}\n  ${crash.text}\n${(crash.finding.cause as Error)?.stack ?? ""}`,
  );
  return crash === undefined ? 0 : 1;
}

async function main(): Promise<number> {
  const args = parseArgs(Deno.args, {
    string: ["seconds", "target", "seed", "runs", "jobs", "replay"],
    boolean: ["native", "distil"],
  });
  const target = args.target as string | undefined;
  const plan: Plan = {
    targets: target === undefined ? TARGET_NAMES : target.split(","),
    seconds: Number(args.seconds ?? (args.runs === undefined ? 60 : Infinity)),
    runs: Number(args.runs ?? Infinity),
    seed: Number(args.seed ?? crypto.getRandomValues(new Uint16Array(1))[0]),
    jobs: Number(args.jobs ?? Math.min(4, navigator.hardwareConcurrency)),
  };
  const isKnown = plan.targets.every((name) => TARGET_NAMES.includes(name));
  if (!isKnown || !(plan.seconds >= 0 && plan.runs >= 1 && plan.jobs >= 1) || !Number.isInteger(plan.seed)) {
    console.error(USAGE);
    return 2;
  }
  if (args.replay !== undefined && target !== undefined) return await replay(target, args.replay as string);
  if (args.distil) {
    await distil(plan.targets);
    return 0;
  }
  return (args.native ? await fuzzNative(plan) : await fuzz(plan)) === 0 ? 0 : 1;
}

if (import.meta.main) await command(async () => Deno.exit(await main()));
