/**
 * TLS over memory, under CPython's names: {@linkcode MemoryBIO}, and what `SSLContext.wrapBio()` gives.
 *
 * @module
 */

import { assertBytes, type Bytes, typeName } from "./bytes.ts";
import { ByteQueue } from "./byte_queue.ts";
import type { TLSEngine } from "./engine.ts";
import { SSLError } from "./errors.ts";
import type { TryOutcome } from "./nonblocking.ts";
import { SSLObject } from "./object.ts";

/** For `SSLBio`, which has read all of `bio`: what it does not need is in there again, behind `writeEof()`, too. */
let giveBack: (bio: MemoryBIO, bytes: Uint8Array) => void;

/**
 * A buffer of bytes between TLS and whatever carries its records: CPython's `ssl.MemoryBIO`.
 *
 * @example Usage
 * ```ts
 * import { MemoryBIO } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const bio = new MemoryBIO();
 * bio.write(new Uint8Array([1, 2, 3]));
 * bio.writeEof();
 * assertEquals([bio.pending, bio.eof], [3, false]);
 * assertEquals(bio.read(2), new Uint8Array([1, 2]));
 * assertEquals(bio.read(), new Uint8Array([3]));
 * assertEquals(bio.eof, true);
 * ```
 */
export class MemoryBIO {
  readonly #bytes = new ByteQueue();
  #ended = false;

  /** Bytes that can be read. */
  get pending(): number {
    return this.#bytes.length;
  }

  /** Whether all was read and nothing more will come. */
  get eof(): boolean {
    return this.#ended && this.pending === 0;
  }

  /**
   * Takes bytes out.
   *
   * @param n How many at most; none given, or a negative number: all.
   * @returns The bytes; empty when there are none.
   */
  read(n = Infinity): Uint8Array<ArrayBuffer> {
    if (!Number.isInteger(n) && n !== Infinity) {
      throw new RangeError(`Cannot use n: expected a whole number of bytes, got ${String(n)}`);
    }
    return this.#bytes.take(n < 0 ? this.pending : Math.min(n, this.pending));
  }

  /**
   * Puts bytes in; they are copied.
   *
   * @param bytes The bytes.
   * @returns `bytes.length`.
   * @throws {TypeError} After {@linkcode MemoryBIO.writeEof}.
   */
  write(bytes: Uint8Array): number {
    assertBytes("bytes", bytes);
    if (this.#ended) throw new TypeError("Cannot write: writeEof() was called");
    return this.#add(bytes);
  }

  #add(bytes: Uint8Array): number {
    this.#bytes.space(bytes.length).set(bytes);
    this.#bytes.commit(bytes.length);
    return bytes.length;
  }

  static {
    giveBack = (bio, bytes) => bio.#add(bytes);
  }

  /** Says that nothing more will be written. */
  writeEof(): void {
    this.#ended = true;
  }
}

/** Throws a `TypeError` unless these are two buffers. */
export function assertBios(incoming: unknown, outgoing: unknown): void {
  for (const [name, value] of Object.entries({ incoming, outgoing })) {
    if (value instanceof MemoryBIO) continue;
    throw new TypeError(`Cannot use ${name}: expected a MemoryBIO, got ${typeName(value)}`);
  }
  if (incoming === outgoing) throw new TypeError("Cannot use outgoing: it is incoming, too");
}

const OK = { state: "ok" } as const;
const WANT_READ = { state: "want-read" } as const;
const EOF = { state: "eof" } as const;

/**
 * A TLS connection over two {@linkcode MemoryBIO}: CPython's `SSLObject` of `wrap_bio()`. It does no I/O and never waits:
 * where CPython raises `SSLWantReadError`, the outcome is `{ state: "want-read" }`. After each call, send what
 * `outgoing` holds.
 */
export class SSLBio extends SSLObject implements Disposable {
  readonly #engine: TLSEngine;
  readonly #incoming: MemoryBIO;
  readonly #outgoing: MemoryBIO;
  #sawEof = false;

  /** For `SSLContext.wrapBio()`. */
  constructor(engine: TLSEngine, incoming: MemoryBIO, outgoing: MemoryBIO) {
    super(engine);
    this.#engine = engine;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  /**
   * Goes on with the handshake; reads and writes do so by themselves.
   *
   * @returns `"ok"`: it is done.
   * @throws {SSLError} If it fails; the alert that tells the peer is in `outgoing`.
   */
  handshake(): TryOutcome<unknown> {
    return this.#step(() => this.#engine.handshake().state === "done" ? OK : WANT_READ);
  }

  /**
   * Reads decrypted bytes into `p`.
   *
   * @param p Where to put them.
   * @returns How many; `"eof"`: the peer has said that it sends no more.
   * @throws {SSLEOFError} If `incoming` ended without the peer's close_notify.
   */
  read(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> | { readonly state: "eof" } {
    assertBytes("p", p);
    return this.#step(() => {
      const outcome = this.#engine.read(p);
      if (outcome.state === "data") return { state: "ok", bytes: outcome.bytes };
      return outcome.state === "eof" ? EOF : WANT_READ;
    });
  }

  /**
   * Encrypts all of `p`.
   *
   * @param p The bytes.
   * @returns `p.length`; `"want-read"`: the handshake is not over, and nothing was taken.
   */
  write(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> {
    assertBytes("p", p);
    return this.#step(() => {
      let total = 0;
      while (total < p.length) {
        const n = this.#engine.write(total === 0 ? p : p.subarray(total));
        this.#send(); // so that there is room for more
        if (n === 0) break;
        total += n;
      }
      return total === 0 && p.length > 0 ? WANT_READ : { state: "ok", bytes: total };
    });
  }

  /**
   * Says goodbye, and takes the peer's. What comes behind it is left in `incoming`.
   *
   * @returns `"ok"`: both have said it.
   * @throws {SSLError} If the peer sends data instead.
   */
  unwrap(): TryOutcome<unknown> {
    return this.#step(() => {
      if (this.#engine.state === "handshake") {
        throw new SSLError("Cannot unwrap: the TLS handshake is not over", { kind: "config" });
      }
      this.#engine.closeNotify();
      if (this.#engine.state === "closed") return OK;
      const outcome = this.#engine.read(new Uint8Array(1));
      if (outcome.state === "need-records") return WANT_READ;
      if (outcome.state === "eof") return OK;
      throw new SSLError("Cannot unwrap: the peer sent data before its close_notify", { kind: "protocol" });
    });
  }

  #step<T>(call: () => T): T {
    if (this.#wantsMore) this.#receive();
    try {
      return call();
    } finally {
      this.#send(); // after a failure, the alert
      if (!this.#wantsMore) this.#handBack();
    }
  }

  /** Whether the peer's records go on: behind its close_notify, and after a failure, nothing is ours. */
  get #wantsMore(): boolean {
    return ["handshake", "open", "write-closed"].includes(this.#engine.state);
  }

  #receive(): void {
    const bytes: Bytes = this.#incoming.read();
    if (bytes.length > 0) this.#engine.receive(bytes);
    if (this.#incoming.eof && !this.#sawEof) {
      this.#sawEof = true;
      this.#engine.receiveEof();
    }
  }

  #handBack(): void {
    const rest = this.#engine.takeUnread();
    if (rest.length > 0) giveBack(this.#incoming, rest);
  }

  #send(): void {
    const records = this.#engine.takeRecords();
    if (records.length > 0) this.#outgoing.write(records);
  }

  /** Frees the connection. */
  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }
}
