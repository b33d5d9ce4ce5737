/**
 * Compares a core with kernels to mbedTLS alone, case by case:
 * `deno task fuzz-crypto [--count 1000000] [--core test.simd] [--seed TEXT] [PRIMITIVE ...]`.
 *
 * A primitive is named in whole or in part. `--seed` repeats a run; `--first N --count 1` repeats one case of it.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { fuzz, PRIMITIVES, runJob } from "./fuzz_run.ts";
import type { TestCore } from "./harness.ts";

const CLEAR_LINE = "\r\x1b[K";
const BAR = 30; // characters
const WIDTH = 500; // characters of a line of a difference: the case can be repeated

/** How far a run has come, as a bar. */
function bar(done: number, total: number, label: string): string {
  const filled = Math.floor(done / total * BAR);
  const percent = `${Math.floor(done / total * 100)} %`.padStart(5);
  return `[${"#".repeat(filled).padEnd(BAR, ".")}]${percent}  ${done}/${total}  ${label}`;
}

async function main(): Promise<number> {
  const args = parseArgs(Deno.args, { string: ["_", "count", "core", "seed", "first"] });
  const count = Number(args.count ?? 10_000);
  const core = (args.core ?? "test") as TestCore;
  const seed = args.seed as string | undefined ?? crypto.randomUUID().slice(0, 8);
  const wanted = args._.map(String);
  const chosen = PRIMITIVES.filter(({ name }) =>
    wanted.length === 0 || wanted.some((part) => name.toLowerCase().includes(part.toLowerCase()))
  );
  if (!(count >= 1) || chosen.length === 0 || !["test", "test.simd", "stock"].includes(core)) {
    console.error(
      "Usage: deno task fuzz-crypto [--count N] [--core test|test.simd] [--seed TEXT] [PRIMITIVE ...]",
    );
    console.error(`Primitives: ${PRIMITIVES.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  console.log(`Seed ${seed}: ${count} cases each, ${core} against stock`);

  if (args.first !== undefined) {
    for (const { name: primitive } of chosen) {
      const { failures } = await runJob({ seed, primitive, core, first: Number(args.first), count });
      console.log(failures.length > 0 ? failures.join("\n") : `${primitive}: the same`);
    }
    return 0;
  }

  const terminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  let shown = 0;
  const results = await fuzz({
    seed,
    core,
    counts: new Map(chosen.map(({ name }) => [name, count])),
    progress(done, total, name) {
      const line = bar(done, total, name);
      if (terminal) Deno.stderr.writeSync(encoder.encode(CLEAR_LINE + line));
      else if (done === total || Date.now() - shown > 10_000) { // a log wants a line every ten seconds
        shown = Date.now();
        console.error(line);
      }
    },
  });
  if (terminal) console.error();

  let failed = 0;
  for (const [name, { cases, milliseconds, failures }] of results) {
    failed += failures.length;
    const each = (milliseconds * 1000 / Math.max(cases, 1)).toFixed(0);
    const verdict = failures.length === 0 ? "0 mismatches" : `${failures.length} MISMATCHES OR MORE`;
    console.log(
      `${name.padEnd(26)} ${String(cases).padStart(9)} cases  ${each.padStart(6)} us each  ${verdict}`,
    );
  }
  for (const { failures } of results.values()) {
    for (const failure of failures.slice(0, 5)) {
      console.log(`\n${failure.split("\n").map((line) => line.slice(0, WIDTH)).join("\n")}`);
    }
  }
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
