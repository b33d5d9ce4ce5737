/**
 * Where inputs are kept: a small corpus in the repository, and a large one with what was found beside it, which git ignores.
 *
 * @module
 */

import { type Bytes, encodeText } from "../../lib/bytes.ts";
import { sha256 } from "../../wasm/fetch.ts";

const SEEDS = new URL("corpus/", import.meta.url);
const KEPT = new URL("../.fuzz/", import.meta.url);

/** A target's inputs that are in the repository: one a line, in Base64. */
export async function readSeeds(target: string): Promise<Bytes[]> {
  const text = await Deno.readTextFile(new URL(`${target}.txt`, SEEDS)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  return text.split("\n").filter((line) => line !== "").map((line) => Uint8Array.fromBase64(line));
}

/** Writes a target's inputs for the repository. */
export async function writeSeeds(target: string, inputs: readonly Bytes[]): Promise<void> {
  await Deno.mkdir(SEEDS, { recursive: true });
  const lines = inputs.map((input) => `${input.toBase64()}\n`).sort((a, b) =>
    a.length - b.length || (a < b ? -1 : 1)
  );
  await Deno.writeTextFile(new URL(`${target}.txt`, SEEDS), lines.join(""));
}

/** A target's inputs of earlier runs. */
export async function readKept(target: string): Promise<Bytes[]> {
  const folder = new URL(`corpus/${target}/`, KEPT);
  const inputs: Bytes[] = [];
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
    for (const name of names) inputs.push(await Deno.readFile(new URL(name, folder)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return inputs;
}

/** Keeps inputs for later runs. */
export async function keep(target: string, inputs: readonly Bytes[]): Promise<void> {
  const folder = new URL(`corpus/${target}/`, KEPT);
  await Deno.mkdir(folder, { recursive: true });
  for (const input of inputs) await Deno.writeFile(new URL(await nameOf(input), folder), input);
}

/** Keeps what was found: the input, and beside it what is wrong with it. Returns the input's path. */
export async function keepCrash(target: string, kind: string, input: Bytes, text: string): Promise<string> {
  const folder = new URL("crashes/", KEPT);
  await Deno.mkdir(folder, { recursive: true });
  const path = new URL(`${target}-${kind}-${await nameOf(input)}`, folder);
  await Deno.writeFile(path, input);
  await Deno.writeFile(new URL(`${path.href}.txt`), encodeText(text));
  return path.pathname;
}

async function nameOf(input: Bytes): Promise<string> {
  return (await sha256(input)).slice(0, 16);
}
