/**
 * TicketKeyRing: the keys under which a server seals session tickets (RFC 5077, RFC 8446 section 4.6.1).
 *
 * @module
 */

import { assertBytes, assertSeconds, type Bytes, copyOf, encodeText, equalBytes } from "./bytes.ts";

/** Bytes of a ticket key's name. */
const NAME = 16;
/** Bytes of a ticket key's secret: AES-256-GCM. */
const SECRET = 32;
const ENTRY = 8 + NAME + SECRET;
const MAGIC = encodeText("TLSIOKR\x01");
const HEADER = MAGIC.length + 8;

/** Keys that the core can hold at once: TICKET_KEYS of wasm/glue/tlsio.h; a test compares them. */
export const KEYS_MAX = 8;
/** RFC 8446 section 4.6.1: a ticket lives seven days at most. */
const LIFETIME_MAX = 7 * 24 * 3600;
const TIMER_MAX = 2 ** 31 - 1; // milliseconds, 24 days; a longer timer would fire at once

/** Options of a {@linkcode TicketKeyRing}. */
export interface TicketKeyRingOptions {
  /** Seconds for which a ticket can be used. @default {43200} (12 hours, as rustls) */
  lifetime?: number;
  /** Seconds after which a new key takes over; `Infinity`: only {@linkcode TicketKeyRing.rotate} does. @default {21600} */
  rotateEvery?: number;
  /** The clock: milliseconds since the Unix epoch. @default {Date.now} */
  now?: () => number;
}

/** For stores: one key of a ring. */
export interface TicketKey {
  /** When it takes over, milliseconds since the Unix epoch; a copy may know a key before that. */
  readonly created: number;
  /** Name and secret. */
  readonly bytes: Bytes;
}

/** For stores: makes a key that takes over at `created`. */
export function newTicketKey(created: number): TicketKey {
  return { created, bytes: crypto.getRandomValues(new Uint8Array(NAME + SECRET)) };
}

/**
 * A ring of ticket keys: the newest seals, the earlier ones still open what they sealed. It rotates by the clock when it
 * is used, so it needs no timer. Give one ring to several contexts, or its bytes to several workers or machines, and a
 * session made with one of them resumes with any. {@linkcode TicketKeyRing.watch} and {@linkcode TicketKeyRing.load} keep
 * such copies up to date.
 *
 * @example Share tickets between two servers
 * ```ts
 * import { TicketKeyRing } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * using ring = new TicketKeyRing({ lifetime: 3600 });
 * using copy = TicketKeyRing.from(ring.toBytes());
 * assertEquals(copy.size, 1);
 * ```
 */
export class TicketKeyRing {
  /** Seconds for which a ticket can be used. */
  readonly lifetime: number;
  /** Seconds after which a new key takes over. */
  readonly rotateEvery: number;
  readonly #now: () => number;
  readonly #watchers = new Set<() => void>();
  #keys: TicketKey[] = []; // the newest first
  #sealing: TicketKey | undefined; // as of the last #update()
  #generation = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Makes a ring with one fresh key.
   *
   * @param options Lifetime, rotation and clock.
   * @throws {RangeError} If the lifetime is above seven days, or needs more than eight keys at that rotation.
   */
  constructor({ lifetime = 43200, rotateEvery = 21600, now = Date.now }: TicketKeyRingOptions = {}) {
    assertSeconds("lifetime", lifetime);
    assertSeconds("rotateEvery", rotateEvery);
    if (lifetime > LIFETIME_MAX) {
      throw new RangeError(
        `Cannot use lifetime: a ticket lives ${LIFETIME_MAX} seconds at most, got ${lifetime}`,
      );
    }
    if (Math.ceil(lifetime / rotateEvery) + 1 > KEYS_MAX) {
      throw new RangeError(
        `Cannot use rotateEvery: a lifetime of ${lifetime} seconds would need more than ${KEYS_MAX} keys`,
      );
    }
    this.lifetime = Math.ceil(lifetime);
    this.rotateEvery = Math.ceil(rotateEvery);
    this.#now = now;
    this.rotate();
  }

  static #shared: TicketKeyRing | undefined;

  /** The ring of every server in this process that is not given one. */
  static shared(): TicketKeyRing {
    return TicketKeyRing.#shared ??= new TicketKeyRing();
  }

  /**
   * Makes `ring` the one that {@linkcode TicketKeyRing.shared} gives: for a Worker, which has a `shared()` of its own.
   *
   * @param ring The ring; servers that have already started keep theirs.
   */
  static share(ring: TicketKeyRing): void {
    TicketKeyRing.#shared = ring;
  }

  /**
   * Reads what {@linkcode TicketKeyRing.toBytes} wrote.
   *
   * @param bytes The bytes.
   * @param options Clock and rotation; the lifetime is that of the bytes.
   * @returns A ring with the same keys.
   * @throws {SyntaxError} If the bytes are not those of a ring.
   */
  static from(bytes: Uint8Array, options: Omit<TicketKeyRingOptions, "lifetime"> = {}): TicketKeyRing {
    const { lifetime, rotateEvery, keys } = parse(bytes);
    const ring = new TicketKeyRing({ lifetime, rotateEvery, ...options });
    ring.#take(keys);
    return ring;
  }

  /**
   * Takes the keys of another ring in place of its own: how a copy follows the ring that it was made of. A key that is to
   * take over later does so by itself.
   *
   * @param bytes What {@linkcode TicketKeyRing.toBytes} of the other ring wrote.
   * @throws {SyntaxError} If the bytes are not those of a ring.
   */
  load(bytes: Uint8Array): void {
    this.#take(parse(bytes).keys);
  }

  #take(keys: TicketKey[]): void {
    this.#wipe();
    this.#keys = keys;
    this.#changed();
  }

  /**
   * Calls `changed` after each rotation and each {@linkcode TicketKeyRing.load}, for whoever passes the keys on. Until it is disposed of, the ring rotates on
   * time even when nobody uses it; the timer for that keeps the process alive.
   *
   * @param changed Called after the keys have changed.
   * @returns What ends it.
   */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    this.#schedule();
    return {
      [Symbol.dispose]: () => {
        this.#watchers.delete(changed);
        this.#schedule();
      },
    };
  }

  /** A timer for the next rotation, as long as somebody watches. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const newest = this.#keys[0];
    if (this.#watchers.size === 0 || newest === undefined || this.rotateEvery === Infinity) return;
    const ms = newest.created + this.rotateEvery * 1000 - this.#now();
    const wake = () => {
      this.#update();
      this.#schedule();
    };
    this.#timer = setTimeout(wake, Math.min(Math.max(ms, 1), TIMER_MAX));
  }

  /**
   * Makes bytes that another ring can be made of. They are secret: who has them can read what the tickets protect.
   *
   * @returns The bytes.
   */
  toBytes(): Bytes {
    this.#update();
    return ticketKeyBytes(this.lifetime, this.rotateEvery, this.#keys);
  }

  /** Makes a new key take over now. The earlier ones still open their tickets. */
  rotate(): void {
    this.#keys.splice(Math.max(this.#current(), 0), 0, newTicketKey(this.#now()));
    for (const old of this.#keys.splice(KEYS_MAX)) old.bytes.fill(0);
    this.#changed();
  }

  #changed(): void {
    this.#sealing = this.#keys[this.#current()];
    this.#generation++;
    for (const changed of this.#watchers) changed();
    this.#schedule();
  }

  /** The place of the key that seals now; -1: there is no key. By a clock that was set back none would: the oldest then. */
  #current(): number {
    const now = this.#now();
    const at = this.#keys.findIndex(({ created }) => created <= now);
    return at >= 0 ? at : this.#keys.length - 1;
  }

  /** How many keys open tickets now. */
  get size(): number {
    this.#update();
    return this.#keys.length;
  }

  /** For configs: changes whenever the keys do, by hand or by the clock. */
  get generation(): number {
    this.#update();
    return this.#generation;
  }

  /** For configs: name and secret of each key, first the one that seals, then the newest first. */
  keys(): Bytes[] {
    this.#update();
    const others = this.#keys.filter((key) => key !== this.#sealing);
    return [this.#sealing!, ...others].map((key) => key.bytes);
  }

  /** Rotates when it is time, and drops the keys whose last ticket has expired. */
  #update(): void {
    const newest = this.#keys[0];
    if (newest === undefined) throw new TypeError("Cannot use ticket keys: the ring is disposed");
    if (this.#now() - newest.created >= this.rotateEvery * 1000) this.rotate();
    // A key sealed its last ticket when its successor took over.
    const expired = this.#keys.findIndex((_, i) =>
      i > 0 && this.#now() - this.#keys[i - 1]!.created > this.lifetime * 1000
    );
    if (expired > 0) {
      for (const old of this.#keys.splice(expired)) old.bytes.fill(0);
      this.#generation++;
    }
    const sealing = this.#keys[this.#current()];
    if (sealing !== this.#sealing) { // one that was known before its time
      this.#sealing = sealing;
      this.#generation++;
    }
  }

  #wipe(): void {
    for (const key of this.#keys) key.bytes.fill(0);
    this.#keys = [];
    this.#sealing = undefined;
  }

  /** Wipes the keys. Tickets sealed with them open no more. */
  [Symbol.dispose](): void {
    this.#watchers.clear();
    this.#wipe();
    this.#schedule();
  }

  /** Shows what it is, never its keys. */
  [Symbol.for("Deno.customInspect")](): string {
    return `TicketKeyRing { keys: ${this.#keys.length}, lifetime: ${this.lifetime} }`;
  }
}

/** For stores: {@linkcode TicketKeyRing.toBytes} of a ring with these keys, the newest first. */
export function ticketKeyBytes(lifetime: number, rotateEvery: number, keys: readonly TicketKey[]): Bytes {
  const bytes = new Uint8Array(HEADER + keys.length * ENTRY);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(MAGIC.length, lifetime);
  view.setUint32(MAGIC.length + 4, rotateEvery > 0xffffffff ? 0 : rotateEvery);
  for (const [i, key] of keys.entries()) {
    view.setFloat64(HEADER + i * ENTRY, key.created);
    bytes.set(key.bytes, HEADER + i * ENTRY + 8);
  }
  return bytes;
}

/** For stores: what the bytes of a ring hold. */
export function parseTicketKeys(bytes: Uint8Array): readonly TicketKey[] {
  return parse(bytes).keys;
}

/** What the bytes of a ring hold. */
function parse(bytes: Uint8Array): { lifetime: number; rotateEvery: number; keys: TicketKey[] } {
  assertBytes("ticket keys", bytes);
  const count = (bytes.length - HEADER) / ENTRY;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lifetime = count >= 1 ? view.getUint32(MAGIC.length) : 0;
  if (
    !Number.isInteger(count) || count > KEYS_MAX || lifetime < 1 || lifetime > LIFETIME_MAX ||
    !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)
  ) {
    throw new SyntaxError("Cannot read ticket keys: these are not the bytes of a TicketKeyRing");
  }
  const keys: TicketKey[] = [];
  for (let at = HEADER; at < bytes.length; at += ENTRY) {
    keys.push({ created: view.getFloat64(at), bytes: copyOf(bytes.subarray(at + 8, at + ENTRY)) });
  }
  return { lifetime, rotateEvery: view.getUint32(MAGIC.length + 4) || Infinity, keys };
}
