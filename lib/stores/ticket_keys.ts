/**
 * SharedTicketKeys: one ring of ticket keys for all servers of a fleet, kept in a store.
 *
 * ```text
 *   key     published            takes over            its last ticket expires
 *   K1      |--------------------|=====================|.....................|
 *   K2                           |---------------------|=====================|.....
 *           <--- rotateEvery ---> <--- rotateEvery ---> <----- lifetime ---->
 * ```
 *
 * A key is in the store for a whole period before the first ticket is sealed with it, so every server that reads the store once
 * in that time opens what the others seal, and an outage that is shorter is not even noticed. Who finds that the next key is
 * missing adds it by compare-and-set: one writer wins, the others read what it wrote. The record counts its writes; a store
 * that lost it, or went back to an older one, gets it again from the first server that looks.
 *
 * @module
 */

import { assertSeconds, type Bytes, typeName } from "../bytes.ts";
import { inTime, LONGEST } from "../deadline.ts";
import { KEYS_MAX, ticketKeyBytes, TicketKeyRing } from "../tickets.ts";
import { tell } from "../tell.ts";
import {
  advanced,
  firstRecord,
  isAstray,
  type KeyRecord,
  readRecord,
  recordBytes,
  rotated,
  sameKeys,
  stillUsed,
  wipe,
} from "./key_record.ts";
import { assertSharedStore, type SharedStore } from "./store.ts";
import { assertStoreKey, type StoreKey } from "./store_key.ts";

const REFRESH_EVERY = 60; // seconds; a period is hours, and a read costs the store next to nothing
const TIMEOUT = 2; // seconds for one call of the store; in its own network it takes milliseconds
const FIRST_RETRY = 0.25; // seconds; doubles up to the time between two reads
const CONTENTION = 8; // writers that may be faster, one after another, before it is put off to the next read

/** Options of {@linkcode SharedTicketKeys}. */
export interface SharedTicketKeysOptions {
  /** Where the keys are. Who opened it closes it, after this. */
  store: SharedStore;
  /** What seals them there. */
  storeKey: StoreKey;
  /** Their name in the store: one for each fleet. @default {"tickets"} */
  name?: string;
  /** Seconds for which a ticket can be used. @default {43200} (12 hours, as rustls) */
  lifetime?: number;
  /** Seconds after which a new key takes over, for the whole fleet. @default {21600} */
  rotateEvery?: number;
  /** Seconds between two looks into the store, give or take a quarter. @default {60, a quarter of `rotateEvery` at most} */
  refreshEvery?: number;
  /** Seconds to wait for the store. @default {2} */
  timeout?: number;
  /**
   * A file for a copy of what the store has, sealed as there: with it, a server that starts while the store is down has the
   * fleet's keys. Needs `--allow-read` and `--allow-write` for its folder. @default {none}
   */
  cache?: string;
  /** Told of each outage, and of each other error during it. @default {it is printed} */
  onError?: (error: unknown) => void;
  /** The clock: milliseconds since the Unix epoch. @default {Date.now} */
  now?: () => number;
}

/** How a {@linkcode SharedTicketKeys} is doing. */
export interface SharedTicketKeysStatus {
  /**
   * - `"shared"`: the last look into the store was good.
   * - `"stale"`: it was not; the keys are those that were known.
   * - `"private"`: the store has not answered yet, and there is no cache: the key is this server's own.
   */
  readonly state: "shared" | "stale" | "private";
  /** How often the fleet's keys have been written. */
  readonly sequence: number;
  /** Writes of this server that won. */
  readonly written: number;
  /** Looks into the store that failed. */
  readonly failures: number;
  /** When the store was last heard of, milliseconds since the Unix epoch; `undefined`: never. */
  readonly refreshed: number | undefined;
}

/**
 * Ticket keys that a fleet shares: give each server's context the {@linkcode SharedTicketKeys.ring} as `tickets`. The clocks
 * of the servers must agree within a quarter of `rotateEvery`, and within six seconds for TLS 1.3 to resume.
 *
 * The store is never waited for in a handshake. While it is down, the servers go on with the keys that they know, the newest
 * of them for as long as it takes, and try again after growing waits.
 *
 * @example
 * ```ts
 * import { SSLContext, createCertificate } from "tlsio";
 * import { MemoryStore, SharedTicketKeys, StoreKey } from "tlsio/stores";
 * import { assertEquals } from "@std/assert";
 *
 * await using store = new MemoryStore();
 * const storeKey = await StoreKey.from(crypto.getRandomValues(new Uint8Array(32)));
 * await using here = await SharedTicketKeys.open({ store, storeKey });
 * await using there = await SharedTicketKeys.open({ store, storeKey });
 * assertEquals([here.status.written, there.status.written], [1, 0]); // one made the keys, the other has the same
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const own = { serverSide: true, certfile: certificate, keyfile: key };
 * using context = await SSLContext.create({ ...own, tickets: here.ring });
 * assertEquals(context.serverSide, true);
 * ```
 */
export class SharedTicketKeys implements AsyncDisposable {
  /** The ring: for `tickets` of the contexts. It is disposed of with this. */
  readonly ring: TicketKeyRing;
  readonly #options: Readonly<Required<Omit<SharedTicketKeysOptions, "cache" | "onError">>>;
  readonly #cache: string | undefined;
  readonly #onError: (error: unknown) => void;
  #record: KeyRecord;
  #state: SharedTicketKeysStatus["state"] = "private";
  #written = 0;
  #failures = 0;
  #tries = 0; // since the store was last heard of
  readonly #told = new Set<string>(); // the errors of this outage
  #astray: number | undefined; // what was told of last as too far ahead
  #refreshed: number | undefined;
  #isCached = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #work: Promise<void> = Promise.resolve(); // what uses the keys, one after another
  readonly #closing = new AbortController();

  private constructor(options: SharedTicketKeysOptions) {
    const { store, storeKey, name = "tickets", lifetime = 43200, rotateEvery = 21600 } = options;
    const { timeout = TIMEOUT, cache, onError = report, now = Date.now } = options;
    assertSharedStore(store);
    assertStoreKey(storeKey);
    if (typeof name !== "string" || name === "") throw new TypeError("Cannot use name: expected some text");
    if (cache !== undefined && typeof cache !== "string") {
      throw new TypeError(`Cannot use cache: expected a path, got ${typeName(cache)}`);
    }
    for (const [option, value] of Object.entries({ lifetime, rotateEvery, timeout })) {
      assertSeconds(option, value);
    }
    const { refreshEvery = Math.min(REFRESH_EVERY, rotateEvery / 4) } = options;
    assertSeconds("refreshEvery", refreshEvery);
    if (!(rotateEvery < Infinity) || refreshEvery > rotateEvery / 2) {
      throw new RangeError("Cannot use refreshEvery: expected at most half of rotateEvery, which ends");
    }
    if (Math.ceil(lifetime / rotateEvery) + 2 > KEYS_MAX) { // one in advance
      throw new RangeError(
        `Cannot use rotateEvery: a lifetime of ${lifetime} seconds would need more than ${KEYS_MAX} keys`,
      );
    }
    this.#options = { store, storeKey, name, lifetime, rotateEvery, refreshEvery, timeout, now };
    this.#cache = cache;
    this.#onError = onError;
    this.ring = new TicketKeyRing({ lifetime, rotateEvery: Infinity, now }); // the fleet rotates it
    this.#record = firstRecord(now());
    this.#load();
  }

  /**
   * Takes the fleet's keys from the store, or makes the first ones. A store that does not answer is no error: it is tried again.
   *
   * @param options Where they are, what seals them, and how long they are used.
   * @returns The keys; they follow the store until they are disposed of.
   * @throws {TypeError | RangeError} An option that is wrong.
   */
  static async open(options: SharedTicketKeysOptions): Promise<SharedTicketKeys> {
    const shared = new SharedTicketKeys(options);
    await shared.#refresh();
    await shared.#exclusively(() => shared.#readCache());
    return shared;
  }

  /** How it is doing. */
  get status(): SharedTicketKeysStatus {
    return {
      state: this.#state,
      sequence: this.#record.sequence,
      written: this.#written,
      failures: this.#failures,
      refreshed: this.#refreshed,
    };
  }

  /**
   * Makes the next key take over, for the whole fleet: now, or as soon as every server has had two looks at it.
   *
   * @throws If the store cannot be reached in time.
   */
  async rotate(): Promise<void> {
    await this.#exclusively(() => this.#update((record, now) => rotated(record, now, this.#options)));
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Looks into the store, and sets the time of the next look. It never fails. */
  async #refresh(): Promise<void> {
    try {
      await this.#exclusively(() => this.#update((record, now) => advanced(record, now, this.#options)));
    } catch (error) {
      this.#failures++;
      if (this.#state === "shared") this.#state = "stale";
      this.#tries++;
      this.#tell(error);
    }
    if (this.#closed) return;
    const { refreshEvery } = this.#options;
    const seconds = this.#tries === 0
      ? refreshEvery * (0.75 + Math.random() / 2)
      : Math.min(refreshEvery, FIRST_RETRY * 2 ** Math.min(this.#tries - 1, 20)) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => void this.#refresh(), Math.min(seconds * 1000, LONGEST));
    Deno.unrefTimer(this.#timer); // a program may end without disposing of it
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  /** Takes what the store has, and writes what `change` makes of it, if anything, unless somebody else does first. */
  async #update(change: Change): Promise<void> {
    for (let i = 0; i < CONTENTION; i++) {
      if (i > 0) await this.#pause(Math.random() * 20 * 2 ** i);
      if (await this.#attempt(change)) return;
    }
    throw new Error(`Cannot write ticket keys: ${CONTENTION} times somebody else was faster`);
  }

  /** Whether nobody else was faster. */
  async #attempt(change: Change): Promise<boolean> {
    const { store, storeKey, name, lifetime, rotateEvery, now } = this.#options;
    const seen = await this.#inTime(() => store.get(name));
    const stored = seen && readRecord(await storeKey.open(name, seen.value));
    let next: KeyRecord | undefined;
    try {
      const isBehind = stored === undefined || stored.sequence < this.#record.sequence;
      const known = isBehind ? this.#record : stored;
      next = change(known, now()) ?? (isBehind ? { ...known, sequence: known.sequence + 1 } : undefined);
      if (next === undefined) {
        await this.#adopt(known, seen!.value);
        return true;
      }
      const sealed = await this.#seal(next);
      const isWritten = await this.#inTime(() =>
        store.replace(name, seen, sealed, lifetime + 2 * rotateEvery)
      );
      if (!isWritten) return false;
      this.#written++;
      await this.#adopt(next, sealed);
      return true;
    } finally {
      for (const record of [stored, next]) if (record !== undefined) wipe(record, this.#record);
    }
  }

  /** Asks the store, until its deadline or this is disposed of. */
  async #inTime<T>(ask: () => Promise<T>): Promise<T> {
    const { timeout } = this.#options;
    const { signal } = this.#closing;
    signal.throwIfAborted();
    const late = () => new Error(`Cannot reach the store: no answer in ${timeout} seconds`);
    return await inTime(ask(), timeout, late, signal);
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    return inTime(promise, Infinity, undefined, this.#closing.signal).finally(() => clearTimeout(timer));
  }

  async #seal(record: KeyRecord): Promise<Bytes> {
    const { storeKey, name } = this.#options;
    const bytes = recordBytes(record, this.ring.lifetime);
    try {
      return await storeKey.seal(name, bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** Goes on with a record that the store has. */
  async #adopt(record: KeyRecord, sealed: Bytes): Promise<void> {
    const { now } = this.#options;
    const before = this.#record;
    if (this.#state !== "shared") this.#told.clear();
    this.#state = "shared";
    this.#tries = 0;
    this.#refreshed = now();
    this.#checkClock(record);
    if (record.sequence === before.sequence && sameKeys(record, before)) {
      // The ring drops keys by the clock, which may have been wrong.
      if (this.ring.size < stillUsed(before.keys, now(), this.#options).length) this.#load();
      if (!this.#isCached) await this.#writeCache(sealed);
      return;
    }
    this.#record = record;
    wipe(before, record);
    if (this.#closed) return wipe(record);
    this.#load();
    await this.#writeCache(sealed);
  }

  /** A clock that was years ahead when it wrote would stop the rotation for as long: who can set it right is told. */
  #checkClock(record: KeyRecord): void {
    const takeover = record.keys[0]!.created;
    if (!isAstray(record, this.#options.now(), this.#options)) return;
    if (this.#astray !== takeover) {
      const when = new Date(takeover).toString();
      tell(
        this.#onError,
        new Error(
          `Cannot rotate ticket keys: the next takes over ${when}; a server's clock or rotateEvery is wrong; rotate() sets it right`,
        ),
      );
    }
    this.#astray = takeover;
  }

  /** Tells of an error, once in an outage. */
  #tell(error: unknown): void {
    const what = String(error);
    if (this.#told.has(what) || this.#closed) return;
    this.#told.add(what);
    tell(this.#onError, error);
  }

  #load(): void {
    const bytes = ticketKeyBytes(this.ring.lifetime, Infinity, this.#record.keys.slice(0, KEYS_MAX));
    this.ring.load(bytes);
    bytes.fill(0);
  }

  async #readCache(): Promise<void> {
    const { storeKey, name } = this.#options;
    if (this.#cache === undefined || this.#state !== "private") return;
    try {
      const record = readRecord(await storeKey.open(name, await Deno.readFile(this.#cache)));
      wipe(this.#record);
      this.#record = record;
      this.#state = "stale";
      this.#load();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) this.#tell(this.#cacheError(error));
    }
  }

  /** Puts a whole file in place of the one before, or leaves that. */
  async #writeCache(sealed: Bytes): Promise<void> {
    if (this.#cache === undefined) return;
    const part = `${this.#cache}.${crypto.randomUUID()}`;
    try {
      await Deno.writeFile(part, sealed, { mode: 0o600, createNew: true });
      await sync(part); // it is for the day when the power goes
      await Deno.rename(part, this.#cache);
      this.#isCached = true;
    } catch (error) {
      this.#isCached = false; // the next look tries again
      await Deno.remove(part).catch(() => {});
      this.#tell(this.#cacheError(error));
    }
  }

  #cacheError(cause: unknown): Error {
    const why = cause instanceof Error ? cause.message.replace(/: \w+ '.*'$/, "") : cause; // without Deno's path
    return new Error(`Cannot use cache "${this.#cache}": ${why}`, { cause });
  }

  /** Stops following the store, at once, and wipes the keys: close the servers first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new TypeError("Cannot use ticket keys: they are disposed of"));
    clearTimeout(this.#timer);
    await this.#work;
    clearTimeout(this.#timer);
    wipe(this.#record);
    this.ring[Symbol.dispose]();
  }

  /** Shows how it is doing, never its keys. */
  [Symbol.for("Deno.customInspect")](): string {
    return `SharedTicketKeys { state: "${this.#state}", sequence: ${this.#record.sequence} }`;
  }
}

async function sync(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.sync();
}

type Change = (record: KeyRecord, now: number) => KeyRecord | undefined;

function report(error: unknown): void {
  console.error(
    "Cannot follow the store of ticket keys; the server goes on with those that it knows:",
    error,
  );
}
