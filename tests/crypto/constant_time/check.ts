/**
 * What kernels branch on and where they look in memory, against what a person has said is harmless:
 * `deno task constant-time [--write] [SOURCE ...]` prints it; with `--write` it also puts it into the lists of
 * `allowed/`, where each entry then wants its reason.
 *
 * A list is allowed/<source>.json: for each function what it does that is not constant, and `why` no secret is in it.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { ensureBuilt, folderOf } from "../../../wasm/build.ts";
import { analyze, type Findings } from "./analysis.ts";
import { readObject } from "./wasm_object.ts";

/** The cores whose kernels are looked at. Their code is that of the cores for users. */
export const CORES = ["test", "test.simd"] as const;

const ALLOWED = new URL("allowed/", import.meta.url);

/** What may be in a function: counts above 0, and why. */
export type Entry = Partial<Findings> & { why: string };

/** A source's list, by function. `function@core` is for one core alone. */
export type Allowed = Record<string, Entry>;

/** What was found in a core, by source and function. */
export async function findings(core: string): Promise<Map<string, Map<string, Findings>>> {
  const [manifest] = await ensureBuilt([core]);
  const objects = Object.keys(manifest!.files).filter((name) => name.endsWith(".o")).sort();
  const read = async (name: string): Promise<[string, Map<string, Findings>]> => {
    const bytes = await Deno.readFile(new URL(name, folderOf(core)));
    return [name.replace(/\.o$/, ""), analyze(readObject(bytes))];
  };
  return new Map(await Promise.all(objects.map(read)));
}

/** The list of a source; an empty one, if there is none. */
export async function readAllowed(source: string): Promise<Allowed> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL(`${source}.json`, ALLOWED)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

/** Differences between what is in a source and what is allowed, in words. */
export function compare(core: string, found: ReadonlyMap<string, Findings>, allowed: Allowed): string[] {
  const faults: string[] = [];
  for (const [name, counts] of found) {
    const entry = allowed[`${name}@${core}`] ?? allowed[name];
    const [is, may] = [words(counts), words(entry ?? {})];
    if (is !== may) faults.push(`${name} has ${is || "nothing"}; allowed: ${may || "nothing"}`);
  }
  for (const [key, { why }] of Object.entries(allowed)) {
    const [name, only = core] = key.split("@");
    if (only === core && !found.has(name!)) faults.push(`${key} is allowed, but not there`);
    if (why.trim() === "" || why === UNEXPLAINED) faults.push(`${key} is allowed, but nobody says why`);
  }
  return faults;
}

const UNEXPLAINED = "?";

function words(counts: Partial<Findings>): string {
  const { parameterBranches, dataBranches, dataAddresses, divisions, indirectCalls } = counts;
  const parts: [number | undefined, string][] = [
    [parameterBranches, "branches on parameters"],
    [dataBranches, "branches on data"],
    [dataAddresses, "addresses from data"],
    [divisions, "divisions"],
    [indirectCalls, "calls that memory chooses"],
  ];
  return parts.filter(([count = 0]) => count > 0).map(([count, what]) => `${count} ${what}`).join(", ");
}

async function main(): Promise<void> {
  const { _: sources, write } = parseArgs(Deno.args, { boolean: ["write"], string: ["_"] });
  for (const core of CORES) {
    for (const [source, found] of await findings(core)) {
      if (sources.length > 0 && !sources.includes(source)) continue;
      console.log(`${source} (${core})`);
      const allowed = await readAllowed(source);
      for (const [name, counts] of found) {
        const what = words(counts);
        if (what !== "") console.log(`  ${name}: ${what}`);
      }
      for (const fault of compare(core, found, allowed)) console.log(`  NOT ALLOWED: ${fault}`);
      const updated = update(core, found, allowed);
      const changes = JSON.stringify(updated) !== JSON.stringify(allowed); // no list is as good as an empty one
      if (write && changes) await writeAllowed(source, updated);
    }
  }
}

/** The list as it is now, with the reasons that it had. */
function update(core: string, found: ReadonlyMap<string, Findings>, allowed: Allowed): Allowed {
  const updated: Allowed = {};
  for (const [name, counts] of found) {
    const present = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
    // The first core's counts are for all; another's that differ get an entry of their own.
    const differs = core !== CORES[0] && words(counts) !== words(allowed[name] ?? {});
    const only = `${name}@${core}`;
    const key = differs || allowed[only] !== undefined ? only : name;
    if (key === only && allowed[name] !== undefined) updated[name] = allowed[name];
    if (Object.keys(present).length > 0 || differs) {
      updated[key] = { ...present, why: allowed[key]?.why ?? allowed[name]?.why ?? UNEXPLAINED };
    }
  }
  const others = Object.entries(allowed).filter(([key]) => key.includes("@") && !key.endsWith(`@${core}`));
  return { ...updated, ...Object.fromEntries(others) };
}

async function writeAllowed(source: string, allowed: Allowed): Promise<void> {
  const sorted = Object.fromEntries(Object.entries(allowed).sort(([a], [b]) => a < b ? -1 : 1));
  await Deno.mkdir(ALLOWED, { recursive: true });
  await Deno.writeTextFile(new URL(`${source}.json`, ALLOWED), JSON.stringify(sorted, null, 2) + "\n");
}

if (import.meta.main) await main();
