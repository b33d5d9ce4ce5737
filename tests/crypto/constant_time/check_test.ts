// No kernel branches on a secret, looks up memory by one, or divides by one, unless a list says why it is none.
import { assertEquals } from "@std/assert";
import { Compiler } from "../../../wasm/compiler.ts";
import { CORES as ALL_CORES } from "../../../wasm/cores.ts";
import { KERNELS } from "../../../wasm/kernels.ts";
import { analyze, type Findings } from "./analysis.ts";
import { compare, CORES, findings, readAllowed } from "./check.ts";
import { readObject } from "./wasm_object.ts";

const NOTHING: Findings = {
  parameterBranches: 0,
  dataBranches: 0,
  dataAddresses: 0,
  divisions: 0,
  indirectCalls: 0,
};

Deno.test("the analysis tells branches, addresses and divisions by where they come from", async () => {
  using compiler = new Compiler();
  const source = await Deno.readTextFile(new URL("fixture.c", import.meta.url));
  compiler.share({ "fixture.c": source });
  const flags = ["--target=wasm32-wasip1", "-O3", "-msimd128", "-fno-vectorize"];
  const plan = await compiler.plan(...flags, "-c", "in.c", "-o", "out.o");
  const args = plan.map((word) => word === "in.c" ? "fixture.c" : word);
  const { text, output } = await compiler.run({ args, output: "out.o" });
  assertEquals(text, "");

  const found = analyze(readObject(output!));
  const { parameterBranches, ...total } = found.get("total")!;
  assertEquals(parameterBranches > 0, true, "total");
  assertEquals({ parameterBranches: 0, ...total }, NOTHING, "total");
  const expected: Record<string, Findings> = {
    choose: NOTHING,
    same: { ...NOTHING, dataBranches: found.get("same")!.dataBranches },
    pick: { ...NOTHING, dataBranches: 1 },
    look_up: { ...NOTHING, dataAddresses: 1 },
    look_up_word: { ...NOTHING, dataAddresses: 1 },
    look_up_beside: { ...NOTHING, dataAddresses: 1 },
    clear: NOTHING,
    reduce: { ...NOTHING, divisions: 1 },
    draw: { ...NOTHING, indirectCalls: 1 },
  };
  for (const [name, counts] of Object.entries(expected)) assertEquals(found.get(name), counts, name);
  assertEquals(found.get("same")!.dataBranches > 0, true, "same");
});

Deno.test("compare() names what is there and not allowed, allowed and not there, and what nobody explains", () => {
  const found = new Map([["a", { ...NOTHING, dataBranches: 2 }], ["b", NOTHING], ["c", NOTHING]]);
  const why = "public";
  assertEquals(compare("test", found, { a: { dataBranches: 2, why } }), []);
  assertEquals(compare("test", found, {}), ["a has 2 branches on data; allowed: nothing"]);
  assertEquals(compare("test", found, { a: { dataBranches: 1, why } }), [
    "a has 2 branches on data; allowed: 1 branches on data",
  ]);
  assertEquals(compare("test", found, { a: { dataBranches: 2, why }, b: { divisions: 1, why } }), [
    "b has nothing; allowed: 1 divisions",
  ]);
  assertEquals(compare("test", found, { a: { dataBranches: 2, why: "?" }, d: { why } }), [
    "a is allowed, but nobody says why",
    "d is allowed, but not there",
  ]);
  const forOne = { "a@test": { dataBranches: 2, why }, "a@test.simd": { dataBranches: 3, why } };
  assertEquals(compare("test", found, forOne), []);
});

// A kernel is reviewed when each of its sources does nothing that depends on a secret, or a list says why it is none. Until
// then no core for users takes it.
const shipped = new Set(
  Object.values(ALL_CORES).filter(({ shipped }) => shipped).flatMap(({ kernels }) => kernels),
);
const shippedSources = new Set([...shipped].flatMap((name) => KERNELS[name]!.sources));

for (const core of CORES) {
  for (const [source, found] of await findings(core)) {
    const allowed = await readAllowed(source);
    const isReviewed = Object.keys(allowed).length > 0 || shippedSources.has(source);
    if (!isReviewed) continue;
    Deno.test(`${source} does nothing that depends on a secret (${core})`, () => {
      assertEquals(compare(core, found, allowed), []);
    });
  }
}
