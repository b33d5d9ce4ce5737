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

import { assertSeconds, type Bytes, concat, typeName } from "../bytes.ts";
import { inTime } from "../deadline.ts";
import {
  KEYS_MAX,
  newTicketKey,
  parseTicketKeys,
  type TicketKey,
  ticketKeyBytes,
  TicketKeyRing,
} from "../tickets.ts";
import { tell } from "../tell.ts";
import { assertSharedStore, type SharedStore } from "./store.ts";
import { assertStoreKey, type StoreKey } from "./store_key.ts";

const REFRESH_EVERY = 60; // seconds; a period is hours, and a read costs the store next to nothing
const TIMEOUT = 2; // seconds for one call of the store; in its own network it takes milliseconds
const FIRST_RETRY = 0.25; // seconds; doubles up to the time between two reads
const RECONNECT = 10; // seconds after which each server of a fleet has reached a store that is back
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

/** What is in the store. */
interface KeyRecord {
  readonly sequence: number;
  readonly keys: readonly TicketKey[]; // the newest first
}

/**
 * Ticket keys that a fleet shares: give each server's context the {@linkcode SharedTicketKeys.ring} as `tickets`. The clocks
 * of the servers must agree within a quarter of `rotateEvery`.
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
  #told: string | undefined; // the error that was told of last, in this outage
  #refreshed: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #work: Promise<void> = Promise.resolve(); // what uses the store, one after another
  #closed = false;

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
    this.#record = { sequence: 0, keys: [newTicketKey(now())] };
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
    if (shared.#state === "private") await shared.#readCache();
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
   * Makes the next key take over now, for the whole fleet: every server has it already, and uses it when it next looks.
   *
   * @throws If the store cannot be reached in time.
   */
  async rotate(): Promise<void> {
    await this.#exclusively(() => this.#update((record, now) => rotated(record, now, this.#options)));
  }

  /** Looks into the store, and sets the time of the next look. It never fails. */
  async #refresh(): Promise<void> {
    try {
      await this.#exclusively(() => this.#update((record, now) => advanced(record, now, this.#options)));
    } catch (error) {
      this.#failures++;
      if (this.#state === "shared") this.#state = "stale";
      this.#tries++;
      const what = String(error);
      if (what !== this.#told && !this.#closed) tell(this.#onError, error);
      this.#told = what;
    }
    if (this.#closed) return;
    const { refreshEvery } = this.#options;
    const seconds = this.#tries === 0
      ? refreshEvery * (0.75 + Math.random() / 2)
      : Math.min(refreshEvery, FIRST_RETRY * 2 ** Math.min(this.#tries - 1, 20)) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => void this.#refresh(), Math.min(seconds * 1000, 2 ** 31 - 1));
    Deno.unrefTimer(this.#timer); // a program may end without disposing of it
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  /** Takes what the store has, and writes what `change` makes of it, if anything, unless somebody else does first. */
  async #update(change: (record: KeyRecord, now: number) => KeyRecord | undefined): Promise<void> {
    const { store, storeKey, name, lifetime, rotateEvery, now } = this.#options;
    for (let i = 0; i < CONTENTION; i++) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * 2 ** i));
      if (this.#closed) throw new TypeError("Cannot use ticket keys: they are disposed of");
      const seen = await this.#inTime(store.get(name));
      const stored = seen && readRecord(await storeKey.open(name, seen.value));
      const isBehind = stored === undefined || stored.sequence < this.#record.sequence;
      const known = isBehind ? this.#record : stored;
      const next = change(known, now()) ??
        (isBehind ? { ...known, sequence: known.sequence + 1 } : undefined);
      if (next === undefined) return await this.#adopt(known, seen!.value);
      const sealed = await this.#seal(next);
      if (await this.#inTime(store.replace(name, seen, sealed, lifetime + 2 * rotateEvery))) {
        this.#written++;
        if (stored !== undefined) wipe(stored, next);
        return await this.#adopt(next, sealed);
      }
      if (stored !== undefined) wipe(stored);
    }
    throw new Error(`Cannot write ticket keys: ${CONTENTION} times somebody else was faster`);
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    const { timeout } = this.#options;
    return inTime(
      answer,
      timeout,
      () => new Error(`Cannot reach the store: no answer in ${timeout} seconds`),
    );
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
    const before = this.#record;
    this.#state = "shared";
    this.#tries = 0;
    this.#told = undefined;
    this.#refreshed = this.#options.now();
    if (record === before || (record.sequence === before.sequence && sameKeys(record, before))) {
      if (record !== before) wipe(record, before);
      return;
    }
    this.#record = record;
    wipe(before, record);
    if (this.#closed) return wipe(record);
    this.#load();
    await this.#writeCache(sealed);
  }

  #load(): void {
    const bytes = ticketKeyBytes(this.ring.lifetime, Infinity, this.#record.keys.slice(0, KEYS_MAX));
    this.ring.load(bytes);
    bytes.fill(0);
  }

  async #readCache(): Promise<void> {
    const { storeKey, name } = this.#options;
    if (this.#cache === undefined) return;
    try {
      const sealed = await Deno.readFile(this.#cache);
      const record = readRecord(await storeKey.open(name, sealed));
      if (this.#state !== "private") return wipe(record); // the store was faster
      wipe(this.#record);
      this.#record = record;
      this.#state = "stale";
      this.#load();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) tell(this.#onError, error);
    }
  }

  async #writeCache(sealed: Bytes): Promise<void> {
    if (this.#cache === undefined) return;
    const part = `${this.#cache}.${crypto.randomUUID()}`;
    try {
      await Deno.writeFile(part, sealed, { mode: 0o600, createNew: true });
      await Deno.rename(part, this.#cache);
    } catch (error) {
      await Deno.remove(part).catch(() => {});
      tell(this.#onError, error);
    }
  }

  /** Stops following the store, and wipes the keys: close the servers first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
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

type Times = { readonly rotateEvery: number; readonly refreshEvery: number; readonly lifetime: number };

/** The record with the next key in it; `undefined`: it has one already. */
function advanced({ sequence, keys }: KeyRecord, now: number, times: Times): KeyRecord | undefined {
  const newest = keys[0]!;
  if (newest.created > now) return undefined;
  const { rotateEvery, refreshEvery } = times;
  // After an outage the takeover may be overdue: not before everybody has had two looks at the key.
  const soonest = now + Math.min(rotateEvery, Math.max(2 * refreshEvery, RECONNECT)) * 1000;
  const next = newTicketKey(Math.max(newest.created + rotateEvery * 1000, soonest));
  return { sequence: sequence + 1, keys: [next, ...stillUsed(keys, now, times)] };
}

/** The record whose next key has taken over. */
function rotated(record: KeyRecord, now: number, times: Times): KeyRecord {
  const { keys } = advanced(record, now, times) ?? record;
  const [next, ...others] = keys;
  const after = newTicketKey(now + times.rotateEvery * 1000);
  return {
    sequence: record.sequence + 1,
    keys: [after, { ...next!, created: now }, ...stillUsed(others, now, times)].slice(0, KEYS_MAX),
  };
}

/** Without the keys whose last ticket has expired. */
function stillUsed(keys: readonly TicketKey[], now: number, { lifetime }: Times): readonly TicketKey[] {
  const live = keys.filter((_, i) => i === 0 || now - keys[i - 1]!.created <= lifetime * 1000);
  return live.slice(0, KEYS_MAX - 1);
}

function recordBytes({ sequence, keys }: KeyRecord, lifetime: number): Bytes {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setFloat64(0, sequence);
  const ring = ticketKeyBytes(lifetime, Infinity, keys);
  const bytes = concat([head, ring]);
  ring.fill(0);
  return bytes;
}

/** Reads what was sealed, and wipes it. */
function readRecord(bytes: Bytes): KeyRecord {
  const sequence = bytes.length > 8 ? new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0) : 0;
  if (!Number.isSafeInteger(sequence) || sequence < 1) {
    throw new SyntaxError("Cannot read ticket keys: these are not the keys of a fleet");
  }
  const keys = parseTicketKeys(bytes.subarray(8));
  bytes.fill(0);
  return { sequence, keys };
}

function sameKeys(one: KeyRecord, other: KeyRecord): boolean {
  return one.keys.length === other.keys.length &&
    one.keys.every(({ created, bytes }, i) => {
      const { created: at, bytes: secret } = other.keys[i]!;
      return created === at && bytes.every((byte, j) => byte === secret[j]);
    });
}

/** Wipes the keys of a record, but those that another one uses. */
function wipe({ keys }: KeyRecord, but?: KeyRecord): void {
  for (const { bytes } of keys) {
    if (!but?.keys.some((key) => key.bytes === bytes)) bytes.fill(0);
  }
}

function report(error: unknown): void {
  console.error(
    "Cannot follow the store of ticket keys; the server goes on with those that it knows:",
    error,
  );
}
