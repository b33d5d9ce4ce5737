/**
 * Makes the small corpus of the repository out of the large one: few inputs, short ones, that run all edges that any of them ran.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { Fuzzer } from "./fuzzer.ts";
import { readKept, readSeeds, writeSeeds } from "./store.ts";
import { NATIVE_TARGETS } from "./native.ts";

/** Bytes of a target's inputs: all targets together stay below 200 KB in Base64. */
const BYTES_MAX = 12_000;
/** A recording is long; its kind is seen in the seeds. */
const INPUT_MAX = 2000;

/** Writes tests/fuzz/corpus for each target. */
export async function distil(targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    const fuzzer = await Fuzzer.open(target, 1);
    await fuzzer.add(fuzzer.seeds()); // those are made again each time
    const start = fuzzer.edges;
    const inputs = [...await readSeeds(target), ...await readKept(target)].filter(({ length }) =>
      length <= INPUT_MAX
    );
    inputs.sort((a, b) => a.length - b.length);
    const chosen: Bytes[] = [];
    let room = BYTES_MAX;
    for (const input of inputs) {
      const { edges, corpus: { length } } = fuzzer;
      const crashes = await fuzzer.add([input]);
      if (crashes.length > 0) throw new Error(`Cannot distil ${target}: ${crashes[0]!.finding.message}`);
      // Outside of the core there are no edges: there it counts what came of it.
      const isNew = NATIVE_TARGETS.some((name) => name === target) || target === "greet"
        ? fuzzer.edges > edges
        : fuzzer.corpus.length > length;
      if (!isNew || input.length > room) continue;
      room -= input.length;
      chosen.push(input);
    }
    await writeSeeds(target, chosen);
    console.log(
      `${target}: ${chosen.length} of ${inputs.length} inputs, ${
        BYTES_MAX - room
      } bytes, ${start} to ${fuzzer.edges} edges`,
    );
  }
}
