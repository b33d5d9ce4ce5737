/**
 * One thread of the fuzzer.
 *
 * @module
 */

/// <reference lib="deno.worker" />
import { type Job, runJob } from "./fuzz_run.ts";

self.onmessage = async ({ data }: MessageEvent<Job>) => {
  self.postMessage(await runJob(data));
};
