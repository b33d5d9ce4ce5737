/**
 * One thread of the fuzzer: one target from one seed. What runs now lies in memory that the main thread can see, should it hang.
 *
 * @module
 */

/// <reference lib="deno.worker" />
import type { Bytes } from "../../lib/bytes.ts";
import { type Crash, Fuzzer } from "./fuzzer.ts";

/** What a thread is told to do. */
export interface Job {
  readonly target: string;
  readonly seed: number;
  /** It ends after so many milliseconds, or so many inputs. */
  readonly ms: number;
  readonly runs: number;
  /** What is known already. */
  readonly corpus: readonly Bytes[];
  /** A number of inputs that were begun, the length of the last, and the last. */
  readonly current: SharedArrayBuffer;
}

/** What a thread says. */
export type Report =
  | {
    readonly type: "crash";
    readonly kind: string;
    readonly message: string;
    readonly stack: string;
    readonly input: Bytes;
    readonly text: string;
  }
  | {
    readonly type: "progress" | "done";
    readonly runs: number;
    readonly edges: number;
    readonly kept: number;
    readonly corpus: Bytes[];
  };

const PROGRESS = 1000; // milliseconds
/** The same finding more often than that is no news. */
const CRASHES_MAX = 20;

self.onmessage = async ({ data }: MessageEvent<Job>) => {
  const { target, seed, ms, runs, corpus, current } = data;
  const [header, place] = [new Int32Array(current, 0, 2), new Uint8Array(current, 8)];
  const fuzzer = await Fuzzer.open(target, seed, (input) => {
    place.set(input.subarray(0, place.length));
    header[1] = Math.min(input.length, place.length);
    Atomics.add(header, 0, 1);
  });
  const say = (report: Report) => self.postMessage(report);
  const tell = ({ finding, input, text }: Crash) => {
    const cause = finding.cause instanceof Error ? finding.cause : finding;
    say({
      type: "crash",
      kind: finding.kind,
      message: finding.message,
      stack: cause.stack ?? "",
      input,
      text,
    });
  };
  let crashes = 0;
  for (const crash of await fuzzer.add([...fuzzer.seeds(), ...corpus])) {
    crashes++;
    tell(crash);
  }
  let sent = 0;
  const progress = (type: "progress" | "done") => {
    say({
      type,
      runs: fuzzer.runs,
      edges: fuzzer.edges,
      kept: fuzzer.corpus.length,
      corpus: fuzzer.corpus.slice(sent),
    });
    sent = fuzzer.corpus.length;
  };
  const start = performance.now();
  let shown = start;
  while (fuzzer.runs < runs && performance.now() - start < ms && crashes < CRASHES_MAX) {
    const crash = await fuzzer.step();
    if (crash !== undefined) {
      crashes++;
      tell(crash);
    }
    if (performance.now() - shown > PROGRESS) {
      shown = performance.now();
      progress("progress");
    }
  }
  progress("done");
};
