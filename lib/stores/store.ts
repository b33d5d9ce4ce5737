/**
 * SharedStore: a place that all servers, or all clients, of a fleet reach: small values, each changed by compare-and-set.
 *
 * ```text
 *   SharedTicketKeys, SharedSessionStore  -- get, replace -->  MemoryStore | KvStore | RedisStore
 *                     (sealed by StoreKey: no store sees a key or a session in the clear)
 * ```
 *
 * @module
 */

import { type Bytes, copyOf, typeName } from "../bytes.ts";

/** A value as a {@linkcode SharedStore} had it. */
export interface SharedEntry {
  /** The bytes. */
  readonly value: Bytes;
  /** For the store alone: which state of the key this is. */
  readonly version: unknown;
}

/**
 * Keeps bytes by key. A method may wait, and rejects when the store cannot be reached; whoever uses it has a deadline of its
 * own, so a late answer is one that nobody waits for.
 */
export interface SharedStore extends AsyncDisposable {
  /**
   * Reads a value.
   *
   * @param key Its key.
   * @returns The value and its version; `undefined`: there is none.
   */
  get(key: string): Promise<SharedEntry | undefined>;
  /**
   * Writes a value, unless somebody else has since it was read.
   *
   * @param key Its key.
   * @param seen What `get()` gave.
   * @param value The bytes, at most {@linkcode VALUE_MAX}, at least 1.
   * @param lifetime Seconds after which the store may forget them.
   * @returns Whether it was written; `false`: the value is not `seen` any more.
   */
  replace(key: string, seen: SharedEntry | undefined, value: Bytes, lifetime: number): Promise<boolean>;
  /**
   * Forgets a value.
   *
   * @param key Its key.
   */
  delete(key: string): Promise<void>;
}

/** Bytes of a value: Deno KV takes 64 KiB, with its own encoding. */
export const VALUE_MAX = 60_000;

/** Options of a {@linkcode MemoryStore}. */
export interface MemoryStoreOptions {
  /** Values to keep; the one that was not used for the longest time makes room. @default {65536} */
  capacity?: number;
}

/**
 * A {@linkcode SharedStore} in memory, bounded: for one process, and for tests.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "tlsio/stores";
 * import { assertEquals } from "@std/assert";
 *
 * await using store = new MemoryStore();
 * assertEquals(await store.replace("key", undefined, new Uint8Array([1]), 60), true);
 * assertEquals(await store.replace("key", undefined, new Uint8Array([2]), 60), false); // somebody was faster
 * assertEquals((await store.get("key"))?.value, new Uint8Array([1]));
 * ```
 */
export class MemoryStore implements SharedStore {
  readonly #capacity: number;
  readonly #entries = new Map<string, MemoryEntry>(); // the one that was used last is the last one
  #writes = 0;

  /**
   * Makes an empty store.
   *
   * @param options Its bound.
   * @throws {RangeError} If that is not a whole number of at least 1.
   */
  constructor({ capacity = 65536 }: MemoryStoreOptions = {}) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `Cannot use capacity: expected a whole number of at least 1, got ${capacity}`,
      );
    }
    this.#capacity = capacity;
  }

  /** How many values it holds. */
  get size(): number {
    return this.#entries.size;
  }

  /** Reads a value. */
  get(key: string): Promise<SharedEntry | undefined> {
    const entry = this.#live(key);
    if (entry !== undefined) this.#set(key, entry);
    return Promise.resolve(entry && { value: copyOf(entry.value), version: entry.version });
  }

  /** Writes a value, unless somebody else has since it was read. */
  replace(key: string, seen: SharedEntry | undefined, value: Bytes, lifetime: number): Promise<boolean> {
    if (this.#live(key)?.version !== seen?.version) return Promise.resolve(false);
    const expires = Date.now() + lifetime * 1000;
    this.#set(key, { value: copyOf(value), version: ++this.#writes, expires });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity) break;
      this.#entries.delete(oldest);
    }
    return Promise.resolve(true);
  }

  #set(key: string, entry: MemoryEntry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  /** Forgets a value. */
  delete(key: string): Promise<void> {
    this.#entries.delete(key);
    return Promise.resolve();
  }

  #live(key: string) {
    const entry = this.#entries.get(key);
    if (entry === undefined || Date.now() < entry.expires) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  /** Forgets all. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#entries.clear();
    return Promise.resolve();
  }
}

type MemoryEntry = SharedEntry & { readonly expires: number };

/** Throws a `TypeError` unless `value` is a store. */
export function assertSharedStore(value: unknown): asserts value is SharedStore {
  const methods = ["get", "replace", "delete"] as const;
  const store = value as Partial<SharedStore> | null;
  if (typeof store === "object" && methods.every((method) => typeof store?.[method] === "function")) return;
  throw new TypeError(
    `Cannot use store: expected an object with get(), replace() and delete(), got ${typeName(value)}`,
  );
}
