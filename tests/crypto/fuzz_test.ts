// The differential fuzzer, for as long as a test may take: `deno task fuzz-crypto` runs it for longer.
import { assertEquals } from "@std/assert";
import { fuzz, PRIMITIVES } from "./fuzz_run.ts";
import type { TestCore } from "./harness.ts";

/** How long each primitive may take of one processor, in microseconds: 35 of them then take a minute of two. */
const BUDGETS: readonly [TestCore, number][] = [["test", 2_400_000], ["test.simd", 600_000]];
const MOST = 10_000; // cases

for (const [core, budget] of BUDGETS) {
  Deno.test(`${core} answers as mbedTLS alone does, to random and to awkward cases`, async () => {
    const seed = crypto.randomUUID().slice(0, 8);
    const counts = new Map(
      // A case is asked twice.
      PRIMITIVES.map(({ name, cost }) => [name, Math.min(MOST, Math.ceil(budget / cost / 2))]),
    );
    const results = await fuzz({ seed, core, counts });
    for (const [name, { failures }] of results) assertEquals(failures, [], `${name}, seed ${seed}`);
    const cases = [...results.values()].reduce((sum, { cases }) => sum + cases, 0);
    assertEquals(cases, [...counts.values()].reduce((sum, count) => sum + count, 0), "all have run");
  });
}
