/**
 * KvStore: a {@linkcode SharedStore} in Deno KV.
 *
 * @module
 */

import { type Bytes, typeName } from "../bytes.ts";
import type { SharedEntry, SharedStore } from "./store.ts";

/** What is used of Deno's own `Deno.Kv`, whose types come with its unstable flag alone. */
export interface KvLike {
  /** Reads a value. */
  get(key: string[]): Promise<{ value: unknown; versionstamp: string | null }>;
  /** Begins a transaction. */
  atomic(): KvAtomic;
  /** Forgets a value. */
  delete(key: string[]): Promise<void>;
  /** Closes the database. */
  close(): void;
}

/** What is used of `Deno.AtomicOperation`. */
export interface KvAtomic {
  /** Makes it fail unless the value has this version. */
  check(check: { key: string[]; versionstamp: string | null }): KvAtomic;
  /** Writes a value, to be forgotten after some milliseconds. */
  set(key: string[], value: unknown, options: { expireIn: number }): KvAtomic;
  /** Does it all, or nothing. */
  commit(): Promise<{ ok: boolean }>;
}

/** Keeps its keys apart from those of others in the same database. */
const PREFIX = "tlsio";
/** Times that the file may be another process's when it is to be written; it is for some milliseconds. */
const BUSY = 8;

/**
 * A {@linkcode SharedStore} in Deno KV: a file of SQLite, which the processes of one machine share, or a remote database.
 * Deno KV is unstable: the program needs `--unstable-kv`, or `"unstable": ["kv"]` in its `deno.json`.
 *
 * @example
 * ```ts
 * import { KvStore } from "tlsio/stores";
 * import { assertEquals } from "@std/assert";
 *
 * await using store = await KvStore.open(":memory:");
 * assertEquals(await store.get("nothing"), undefined);
 * ```
 */
export class KvStore implements SharedStore {
  readonly #kv: KvLike;
  #closed = false;

  private constructor(kv: KvLike) {
    this.#kv = kv;
  }

  /**
   * Opens a database.
   *
   * @param path A file, which is made if there is none (`--allow-read` and `--allow-write`), or the URL of a remote
   * database (`--allow-net`; Deno takes its token from `DENO_KV_ACCESS_TOKEN`).
   * @returns The store.
   * @throws {Deno.errors.NotSupported} Without Deno's flag for KV.
   */
  static async open(path: string): Promise<KvStore> {
    const { openKv } = Deno as unknown as { openKv?: (path: string) => Promise<KvLike> };
    if (openKv === undefined) {
      throw new Deno.errors.NotSupported(
        'Cannot open Deno KV: start Deno with --unstable-kv, or with "unstable": ["kv"] in deno.json',
      );
    }
    return new KvStore(await openKv(path));
  }

  /** Reads a value. */
  async get(key: string): Promise<SharedEntry | undefined> {
    const { value, versionstamp } = await this.#kv.get([PREFIX, key]);
    if (versionstamp === null) return undefined;
    if (value instanceof Uint8Array) return { value: value as Bytes, version: versionstamp };
    throw new TypeError(`Cannot read "${key}" from Deno KV: expected bytes, got ${typeName(value)}`);
  }

  /** Writes a value, unless somebody else has since it was read. */
  async replace(
    key: string,
    seen: SharedEntry | undefined,
    value: Bytes,
    lifetime: number,
  ): Promise<boolean> {
    const at = [PREFIX, key];
    for (let i = 0;; i++) {
      try {
        const { ok } = await this.#kv.atomic()
          .check({ key: at, versionstamp: (seen?.version ?? null) as string | null })
          .set(at, value, { expireIn: Math.ceil(lifetime * 1000) })
          .commit();
        return ok;
      } catch (error) {
        if (i === BUSY || !(error instanceof Error && /database is (locked|busy)/.test(error.message))) {
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 10 * (i + 1)));
      }
    }
  }

  /** Forgets a value. */
  async delete(key: string): Promise<void> {
    await this.#kv.delete([PREFIX, key]);
  }

  /** Closes the database. */
  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) this.#kv.close();
    this.#closed = true;
    return Promise.resolve();
  }
}
