/**
 * Compiled files, kept so that a change to the glue does not compile mbedTLS again.
 *
 * @module
 */

import { CACHE, sha256, writeAtomic } from "./fetch.ts";

const FOLDER = new URL("objects/", CACHE);

/** Object files in `wasm/.cache`, by the hash of all that they depend on. */
export class ObjectCache {
  #enabled: boolean;
  #used = new Set<string>();

  /** @param enabled Whether to keep and to find anything. */
  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** The object made of `inputs`, if it has been made before. */
  async get(inputs: unknown): Promise<Uint8Array | undefined> {
    if (!this.#enabled) return undefined;
    try {
      return await Deno.readFile(await this.#file(inputs));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Keeps the object made of `inputs`. */
  async put(inputs: unknown, object: Uint8Array): Promise<void> {
    if (this.#enabled) await writeAtomic(await this.#file(inputs), object);
  }

  /** Removes what nobody has asked for. */
  async prune(): Promise<void> {
    if (!this.#enabled) return;
    for await (const { name } of Deno.readDir(FOLDER)) {
      if (!this.#used.has(name)) await Deno.remove(new URL(name, FOLDER));
    }
  }

  async #file(inputs: unknown): Promise<URL> {
    const name = `${await sha256(JSON.stringify(inputs))}.o`;
    this.#used.add(name);
    return new URL(name, FOLDER);
  }
}
