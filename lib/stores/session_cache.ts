/**
 * SharedSessionCache: the TLS 1.2 sessions by id of a fleet's servers, kept in a store, sealed.
 *
 * Tickets need no store: the client keeps the session. This is for the clients that have no tickets, small devices most of
 * them. Ids are marked (wasm/glue/cache.c), so that nobody makes a server ask the store for what no server has put there;
 * what is asked for all the same is bounded, in number and in rate, and never waited for longer than a full handshake takes.
 *
 * @module
 */

import { assertSeconds, type Bytes, encodeText } from "../bytes.ts";
import { inTime } from "../deadline.ts";
import { SESSION_KEYS, type SessionCache } from "../session_cache.ts";
import { tell } from "../tell.ts";
import { assertSharedStore, type SharedStore, VALUE_MAX } from "./store.ts";
import { assertStoreKey, SEAL_OVERHEAD, SealError, sessionIdKeys, type StoreKey } from "./store_key.ts";

const TIMEOUT = 0.25; // seconds that a handshake waits; the store's own network takes milliseconds
const WRITE_TIMEOUT = 2; // seconds; nobody waits
const LOOKUPS_MAX = 64; // at once
const LOOKUPS_PER_SECOND = 1000; // as many handshakes as a core makes
const QUEUE_MAX = 1000; // sessions that wait to be written, some 200 bytes each
const BATCH = 16; // written at once
const FIRST_PAUSE = 0.5; // seconds that a store which failed is left alone; doubles
const LONGEST_PAUSE = 30; // seconds

/** Options of a {@linkcode SharedSessionCache}. */
export interface SharedSessionCacheOptions {
  /** Where the sessions are. Who opened it closes it, after this. */
  store: SharedStore;
  /** What seals them there, and marks their ids. */
  storeKey: StoreKey;
  /** Seconds that a handshake waits for the store. @default {0.25} */
  timeout?: number;
  /** Lookups in a second at most; what comes beyond is a full handshake. @default {1000} */
  lookupsPerSecond?: number;
  /** Told of each outage. @default {it is printed} */
  onError?: (error: unknown) => void;
}

/** How a {@linkcode SharedSessionCache} is doing. */
export interface SharedSessionCacheStatus {
  /** Whether the store answers; `false`: it is left alone for a while. */
  readonly isUp: boolean;
  /** Lookups that were made. */
  readonly lookups: number;
  /** Those that found a session. */
  readonly found: number;
  /** Lookups that were not made: too many at once or in a second, or the store is left alone. */
  readonly skipped: number;
  /** What was found, and was forged, damaged, or sealed under another key. */
  readonly refused: number;
  /** Calls of the store that failed, or took too long. */
  readonly failures: number;
  /** Sessions that were written. */
  readonly written: number;
  /** Sessions that were not: the store is left alone, or too many wait. */
  readonly dropped: number;
}

/** What is to be done in the store; without `session`: to be forgotten. */
interface Change {
  readonly context: string;
  readonly id: Bytes;
  readonly session?: Bytes;
  readonly lifetime: number;
}

/**
 * The sessions of TLS 1.2 clients without tickets, shared by the servers of a fleet: give each server's context the same kind
 * of cache as `sessionCache`. A session is resumed by a server for the same names, with the same trust, alone; for as long as
 * a ticket would live, and not when the client's certificate has expired. The clocks of the servers must agree within a minute.
 *
 * A handshake waits for the store when a client names a session that one of the fleet's servers has made, and that is not in
 * this one's own cache. When the store is down or slow, the client gets a full handshake, and the store is left alone for a
 * while, longer each time. Sessions are written in the background.
 *
 * @example
 * ```ts
 * import { createCertificate, SSLContext } from "tlsio";
 * import { MemoryStore, SharedSessionCache, StoreKey } from "tlsio/stores";
 * import { assertEquals } from "@std/assert";
 *
 * await using store = new MemoryStore();
 * const storeKey = await StoreKey.from(crypto.getRandomValues(new Uint8Array(32)));
 * await using sessionCache = new SharedSessionCache({ store, storeKey });
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const own = { serverSide: true, certfile: certificate, keyfile: key };
 * using context = await SSLContext.create({ ...own, sessionCache });
 * assertEquals([context.serverSide, sessionCache.status.lookups], [true, 0]);
 * ```
 */
export class SharedSessionCache implements SessionCache, AsyncDisposable {
  /** What marks the ids. */
  readonly idKeys: readonly Uint8Array<ArrayBuffer>[];
  readonly #options: Readonly<Required<SharedSessionCacheOptions>>;
  readonly #queue: Change[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;
  #looking = 0;
  #allowance: number; // lookups that may be made now
  #allowedAt = performance.now();
  #pauses = 0; // since the store last answered
  #pausedUntil = 0;
  readonly #counts = { lookups: 0, found: 0, skipped: 0, refused: 0, failures: 0, written: 0, dropped: 0 };

  /**
   * Makes a cache. The store need not be reachable yet.
   *
   * @param options Where the sessions are, what seals them, and how long a handshake waits.
   * @throws {TypeError | RangeError} An option that is wrong.
   */
  constructor(options: SharedSessionCacheOptions) {
    const { store, storeKey, timeout = TIMEOUT, lookupsPerSecond = LOOKUPS_PER_SECOND, onError = report } =
      options;
    assertSharedStore(store);
    assertStoreKey(storeKey);
    assertSeconds("timeout", timeout);
    if (!(lookupsPerSecond >= 1)) {
      throw new RangeError(`Cannot use lookupsPerSecond: expected at least 1, got ${lookupsPerSecond}`);
    }
    this.#options = { store, storeKey, timeout, lookupsPerSecond, onError };
    this.#allowance = lookupsPerSecond;
    this.idKeys = sessionIdKeys(storeKey).slice(0, SESSION_KEYS);
  }

  /** How it is doing. */
  get status(): SharedSessionCacheStatus {
    return { isUp: !this.#isPaused, ...this.#counts };
  }

  /** Looks a session up, in time; what fails is counted, and no session. */
  async find(context: string, id: Bytes): Promise<Bytes | undefined> {
    if (this.#closed || this.#isPaused || this.#looking >= LOOKUPS_MAX || !this.#allow()) {
      this.#counts.skipped++;
      return undefined;
    }
    this.#counts.lookups++;
    this.#looking++;
    const opened = this.#open(context, id);
    try {
      const session = await this.#inTime(opened, this.#options.timeout);
      if (session !== undefined) this.#counts.found++;
      return session;
    } catch (error) {
      opened.then((session) => session?.fill(0), () => {}); // it comes too late
      this.#failed(error);
      return undefined;
    } finally {
      this.#looking--;
    }
  }

  async #open(context: string, id: Bytes): Promise<Bytes | undefined> {
    const { store, storeKey } = this.#options;
    const name = await nameOf(context, id);
    const entry = await store.get(name);
    if (entry === undefined) return undefined;
    try {
      return await storeKey.open(name, entry.value);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      this.#counts.refused++;
      return undefined;
    }
  }

  /** Keeps a session, in the background. */
  keep(context: string, id: Bytes, session: Bytes, lifetime: number): void {
    if (session.length + SEAL_OVERHEAD <= VALUE_MAX) this.#enqueue({ context, id, session, lifetime });
    else this.#drop({ context, id, session, lifetime });
  }

  /** Forgets a session, in the background. */
  forget(context: string, id: Bytes): void {
    this.#enqueue({ context, id, lifetime: 0 });
  }

  #enqueue(change: Change): void {
    if (this.#closed || this.#isPaused || this.#queue.length >= QUEUE_MAX) return this.#drop(change);
    this.#queue.push(change);
    this.#writing ??= this.#writeAll();
  }

  #drop({ session }: Change): void {
    if (session === undefined) return;
    session.fill(0);
    this.#counts.dropped++;
  }

  async #writeAll(): Promise<void> {
    await null; // what a handshake makes at once goes together
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      // One after another where they are of the same session: a later one must not overtake.
      const last = new Map<string, Promise<void>>();
      const writes = batch.map((change) => {
        const id = change.id.toHex();
        const write = (last.get(id) ?? Promise.resolve()).then(() => this.#write(change));
        last.set(id, write);
        return write;
      });
      await Promise.all(writes);
    }
    this.#writing = undefined;
  }

  async #write(change: Change): Promise<void> {
    if (this.#isPaused) return this.#drop(change);
    const { store, storeKey } = this.#options;
    const { context, id, session, lifetime } = change;
    try {
      const name = await nameOf(context, id);
      if (session === undefined) return await this.#inTime(store.delete(name), WRITE_TIMEOUT);
      const sealed = await storeKey.seal(name, session);
      session.fill(0);
      await this.#inTime(store.replace(name, undefined, sealed, lifetime), WRITE_TIMEOUT);
      this.#counts.written++;
    } catch (error) {
      this.#drop(change);
      this.#failed(error);
    }
  }

  async #inTime<T>(work: Promise<T>, seconds: number): Promise<T> {
    const late = () => new Error(`Cannot reach the store: no answer in ${seconds} seconds`);
    const answer = await inTime(work, seconds, late);
    if (!this.#isPaused) this.#pauses = 0;
    return answer;
  }

  get #isPaused(): boolean {
    return performance.now() < this.#pausedUntil;
  }

  /** Leaves the store alone. Of calls that were under way together, the first to fail says so. */
  #failed(error: unknown): void {
    this.#counts.failures++;
    if (this.#isPaused) return;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#pauses, 20));
    this.#pausedUntil = performance.now() + pause * 1000 * (0.5 + Math.random() / 2);
    if (this.#pauses++ === 0) tell(this.#options.onError, error);
  }

  /** Whether one more lookup is within the rate. */
  #allow(): boolean {
    const { lookupsPerSecond } = this.#options;
    const now = performance.now();
    const earned = (now - this.#allowedAt) / 1000 * lookupsPerSecond;
    this.#allowance = Math.min(lookupsPerSecond, this.#allowance + earned);
    this.#allowedAt = now;
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  /** Writes what waits to be written, and ends: close the servers first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  /** Shows how it is doing, never its sessions. */
  [Symbol.for("Deno.customInspect")](): string {
    return `SharedSessionCache { isUp: ${!this.#isPaused}, found: ${this.#counts.found} }`;
  }
}

/** The name of a session in the store. */
async function nameOf(context: string, id: Bytes): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", encodeText(`tlsio session id ${context} ${id.toHex()}`));
  return `session-id:${new Uint8Array(hash).toHex()}`;
}

function report(error: unknown): void {
  console.error("Cannot reach the store of sessions; clients get full handshakes:", error);
}
