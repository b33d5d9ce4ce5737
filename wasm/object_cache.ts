/**
 * Compiled files, kept so that a change to the glue does not compile mbedTLS again, and shared by the cores.
 *
 * @module
 */

import { CACHE, sha256, writeAtomic } from "./fetch.ts";

const FOLDER = new URL("objects/", CACHE);

const MAX_AGE = 7 * 24 * 3600 * 1000; // milliseconds; cores are built one at a time, and a test core not every day

/** Objects by the hash of all that they depend on. */
export class ObjectCache {
  #lasting: boolean;
  #made = new Map<string, Uint8Array>();

  /** @param lasting Whether to keep objects in `wasm/.cache`, and to find those of earlier builds there. */
  constructor(lasting: boolean) {
    this.#lasting = lasting;
  }

  /** The object made of `inputs`, if it has been made before. */
  async get(inputs: unknown): Promise<Uint8Array | undefined> {
    const name = await nameOf(inputs);
    const made = this.#made.get(name);
    if (made !== undefined || !this.#lasting) return made;
    const file = new URL(name, FOLDER);
    try {
      const object = await Deno.readFile(file);
      const now = new Date();
      await Deno.utime(file, now, now); // for prune()
      return object;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Keeps the object made of `inputs`. */
  async put(inputs: unknown, object: Uint8Array): Promise<void> {
    const name = await nameOf(inputs);
    this.#made.set(name, object);
    if (this.#lasting) await writeAtomic(new URL(name, FOLDER), object);
  }

  /** Removes what no build has asked for in a week. */
  async prune(): Promise<void> {
    if (!this.#lasting) return;
    for await (const { name } of Deno.readDir(FOLDER)) {
      const file = new URL(name, FOLDER);
      const { mtime } = await Deno.stat(file);
      if (Date.now() - mtime!.getTime() > MAX_AGE) await Deno.remove(file);
    }
  }
}

async function nameOf(inputs: unknown): Promise<string> {
  return `${await sha256(JSON.stringify(inputs))}.o`;
}
