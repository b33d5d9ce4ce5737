/**
 * StreamReader: asyncio's reader over any {@linkcode Duplex}, and the errors of its reads.
 *
 * It pulls: it reads from the Duplex only while a call waits for data, so a peer is slowed down by not being read.
 *
 * @module
 */

import {
  assertCount,
  assertSize,
  ByteQueue,
  indexOf,
  MAX_BUFFERED,
  MIN_CHUNK,
  toBytes,
} from "./byte_queue.ts";
import type { Bytes } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import type { StreamOptions } from "./streams.ts";

const LIMIT = 64 * 1024; // bytes; asyncio's: "a security feature", a peer that sends no newline cannot fill the memory
const MAX_CHUNK = 64 * 1024; // bytes per read once they come in bulk

const NEWLINE = new Uint8Array([0x0a]);

/**
 * The stream ended before a read was complete (asyncio's exception of that name).
 *
 * @example Usage
 * ```ts
 * import { IncompleteReadError, openStreams } from "tlsio";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const readable = new Blob(["abc"]).stream();
 * const [reader] = openStreams({ readable, writable: new WritableStream() });
 * const error = await assertRejects(() => reader.readexactly(10), IncompleteReadError);
 * assertEquals([error.partial.length, error.expected], [3, 10]);
 * ```
 */
export class IncompleteReadError extends Error {
  /** The class's name. */
  override readonly name: string = "IncompleteReadError";
  /** How many bytes were asked for; `null` if up to a separator. */
  readonly expected: number | null;
  readonly #partial: Bytes; // not a plain property: what prints an error should not print data

  /**
   * Makes the error.
   *
   * @param partial What was read before the end.
   * @param expected How many bytes were asked for; `null` if up to a separator.
   */
  constructor(partial: Uint8Array<ArrayBuffer>, expected: number | null) {
    const came = expected === null
      ? `${partial.length} bytes, separator not found`
      : `${partial.length} of ${expected} bytes`;
    super(`Cannot complete read: stream ended after ${came}`);
    this.expected = expected;
    this.#partial = partial;
  }

  /** What was read before the end of the stream. */
  get partial(): Uint8Array<ArrayBuffer> {
    return this.#partial;
  }
}

/**
 * A read needs more bytes than its limit allows (asyncio's exception of that name).
 *
 * @example Usage
 * ```ts
 * import { LimitOverrunError, openStreams } from "tlsio";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const readable = new Blob(["a long line\n"]).stream();
 * const [reader] = openStreams({ readable, writable: new WritableStream() }, { limit: 4 });
 * const error = await assertRejects(() => reader.readuntil("\n"), LimitOverrunError);
 * assertEquals((await reader.readexactly(error.consumed)).length, 11); // the data stayed
 * ```
 */
export class LimitOverrunError extends Error {
  /** The class's name. */
  override readonly name: string = "LimitOverrunError";
  /** How many buffered bytes can be read before what made the read fail. */
  readonly consumed: number;

  /**
   * Makes the error.
   *
   * @param message What could not be done.
   * @param consumed How many buffered bytes can be read before what made the read fail.
   */
  constructor(message: string, consumed: number) {
    super(message);
    this.consumed = consumed;
  }
}

/** What a writer may do to its reader. StreamReader fills it in, so that none of it is in its class. */
export let paired: {
  turn(reader: StreamReader, method: string): Disposable;
  takeAll(reader: StreamReader): Bytes;
  attach(reader: StreamReader, duplex: Duplex): void;
  fail(reader: StreamReader, error: unknown): void;
  end(reader: StreamReader): void;
  held(reader: StreamReader): number;
};

/**
 * Reads from a Duplex by line, by count or by separator. What it gives are bytes; `TextDecoder` makes text of them.
 *
 * One call at a time: a second one rejects with an error that names both. An error of the Duplex is kept: every later
 * call rejects with it, also when bytes are still buffered (as in asyncio). When the paired writer closes the
 * connection, a waiting read ends as at the end of the stream (as in asyncio). Nothing else ends a waiting read: after a
 * timeout, abort the writer.
 *
 * @example Usage
 * ```ts
 * import { openStreams } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const readable = new Blob(["GET / HTTP/1.0\r\nHost: a\r\n\r\nbody"]).stream();
 * const [reader] = openStreams({ readable, writable: new WritableStream() });
 * const text = new TextDecoder();
 * assertEquals(text.decode(await reader.readuntil("\r\n\r\n")).length, 27);
 * assertEquals(text.decode(await reader.readexactly(2)), "bo");
 * assertEquals(text.decode(await reader.read()), "dy");
 * assertEquals(reader.atEof(), true);
 * ```
 */
export class StreamReader {
  readonly #limit: number;
  readonly #maxBuffered: number;
  readonly #buffer = new ByteQueue();
  #duplex: Duplex;
  #chunk = MIN_CHUNK;
  #eof = false;
  #failure: { error: unknown } | undefined;
  #method: string | undefined; // which method has its turn
  readonly #turnOver: Disposable = { [Symbol.dispose]: () => this.#method = undefined };

  static {
    paired = {
      turn: (reader, method) => reader.#turn(method),
      takeAll: (reader) => reader.#buffer.take(reader.#buffer.length),
      attach: (reader, duplex) => {
        reader.#duplex = duplex;
        reader.#eof = false;
      },
      fail: (reader, error) => {
        reader.#failure ??= { error };
      },
      end: (reader) => {
        reader.#eof = true;
      },
      held: (reader) => reader.#buffer.length,
    };
  }

  /**
   * Makes a reader.
   *
   * @param duplex Where to read from. {@linkcode openStreams} makes both streams of a connection at once.
   * @param options See {@linkcode StreamOptions}; `limit` and `maxBuffered` are a reader's.
   * @throws {RangeError} If one of them is less than 1 or not a whole number.
   */
  constructor(duplex: Duplex, options: Pick<StreamOptions, "limit" | "maxBuffered"> = {}) {
    this.#duplex = duplex;
    this.#limit = assertSize("limit", options.limit ?? LIMIT, 1);
    this.#maxBuffered = assertSize("maxBuffered", options.maxBuffered ?? MAX_BUFFERED, 1);
  }

  /**
   * Reads what is there: at least one byte and at most `n`, empty at the end of the stream.
   *
   * @param n Most bytes to read; without it, or -1: all up to the end of the stream.
   * @returns The bytes.
   * @throws {LimitOverrunError} If `n` is -1 and more than `maxBuffered` bytes come; they stay and can be read.
   * @throws {RangeError} If `n` is anything else.
   */
  async read(n = -1): Promise<Uint8Array<ArrayBuffer>> {
    if (n !== -1) assertSize("n", n, 0);
    using _turn = this.#turn("read");
    if (n === 0) return new Uint8Array(0);
    if (n > 0) {
      if (this.#buffer.length === 0) await this.#fill(MIN_CHUNK);
      return this.#buffer.take(Math.min(n, this.#buffer.length));
    }
    while (await this.#fill(MIN_CHUNK)) this.#assertHolds("read", this.#buffer.length);
    return this.#buffer.take(this.#buffer.length);
  }

  /**
   * Reads one line, with its `"\n"`. At the end of the stream: what is left without one, then empty.
   *
   * A line over the limit is dropped, as in asyncio: all of it if its `"\n"` has come, otherwise what has come, so that
   * the next line is the rest of this one. A protocol that cannot tell them apart should close the connection.
   *
   * @returns The line.
   * @throws {LimitOverrunError} If the line is longer than the limit (asyncio: ValueError).
   */
  async readline(): Promise<Uint8Array<ArrayBuffer>> {
    using _turn = this.#turn("readline");
    try {
      return await this.#readuntil("readline", NEWLINE);
    } catch (error) {
      if (error instanceof IncompleteReadError) return error.partial;
      if (error instanceof LimitOverrunError) {
        const whole = this.#buffer.peek()[error.consumed] === NEWLINE[0];
        this.#buffer.drop(whole ? error.consumed + 1 : this.#buffer.length);
      }
      throw error;
    }
  }

  /**
   * Reads exactly `n` bytes.
   *
   * @param n How many.
   * @returns The bytes.
   * @throws {IncompleteReadError} If the stream ends before; its `partial` has what came.
   * @throws {LimitOverrunError} If `n` is more than `maxBuffered`: lengths often come from the peer.
   * @throws {RangeError} If `n` is not a whole number of 0 or more.
   */
  async readexactly(n: number): Promise<Uint8Array<ArrayBuffer>> {
    assertSize("n", n, 0);
    using _turn = this.#turn("readexactly");
    this.#assertHolds("readexactly", n);
    while (this.#buffer.length < n) {
      // Room for all that is missing, yet no more than has come already: n may be a lie.
      const want = Math.min(n - this.#buffer.length, Math.max(MAX_CHUNK, this.#buffer.length));
      if (!await this.#fill(want)) throw new IncompleteReadError(paired.takeAll(this), n);
    }
    return this.#buffer.take(n);
  }

  /**
   * Reads up to and including `separator`.
   *
   * @param separator Text (as UTF-8) or bytes, not empty.
   * @returns The bytes, with the separator.
   * @throws {IncompleteReadError} If the stream ends before; its `partial` has what came.
   * @throws {LimitOverrunError} If more bytes than the limit come before the separator; they stay and can be read.
   * @throws {TypeError} If `separator` is neither text nor bytes.
   * @throws {RangeError} If `separator` is empty.
   */
  async readuntil(separator: string | Uint8Array = NEWLINE): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = toBytes("separator", separator);
    if (bytes.length === 0) throw new RangeError("Cannot readuntil(): separator is empty");
    using _turn = this.#turn("readuntil");
    return await this.#readuntil("readuntil", bytes);
  }

  /**
   * Whether the end of the stream was met and everything before it was read. Only a read can meet the end: unlike
   * asyncio's reader this one does not read by itself.
   *
   * @returns Whether nothing more will come.
   */
  atEof(): boolean {
    return this.#eof && this.#buffer.length === 0;
  }

  /**
   * Reads line by line until the end of the stream: `for await (const line of reader)`.
   *
   * @returns An iterator over {@linkcode readline}.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    for (let line = await this.readline(); line.length > 0; line = await this.readline()) yield line;
  }

  async #readuntil(method: string, separator: Uint8Array): Promise<Bytes> {
    let scanned = 0; // no separator begins before here
    for (;;) {
      const bytes = this.#buffer.peek();
      const at = indexOf(bytes, separator, scanned);
      scanned = at >= 0 ? at : Math.max(scanned, bytes.length + 1 - separator.length);
      if (scanned > this.#limit) {
        const state = at >= 0 ? `separator comes after ${at} bytes` : `no separator in ${scanned} bytes`;
        throw new LimitOverrunError(`Cannot ${method}(): ${state}, limit is ${this.#limit}`, scanned);
      }
      if (at >= 0) return this.#buffer.take(at + separator.length);
      if (!await this.#fill(MIN_CHUNK)) throw new IncompleteReadError(paired.takeAll(this), null);
    }
  }

  /** Reads once from the Duplex, with room for `want` bytes or more. False at the end of the stream. */
  async #fill(want: number): Promise<boolean> {
    if (this.#eof) return false;
    try {
      const space = this.#buffer.space(Math.max(want, this.#chunk));
      const n = await this.#duplex.read(space);
      if (n === null) this.#eof = true;
      if (n === null) return false;
      this.#buffer.commit(assertCount("read", n, space.length));
      // Bulk gets larger reads, a trickle smaller ones: an idle connection should not hold 64 KiB.
      if (n === space.length) this.#chunk = Math.min(this.#chunk * 4, MAX_CHUNK);
      else if (n < space.length / 4) this.#chunk = Math.max(this.#chunk / 4, MIN_CHUNK);
      return true;
    } catch (error) {
      if (this.#eof) return false; // the writer closed the connection under this read
      this.#failure = { error };
      throw error;
    }
  }

  #turn(method: string): Disposable {
    if (this.#method !== undefined) {
      throw new Error(`Cannot ${method}(): ${this.#method}() is already waiting for data`);
    }
    if (this.#failure) throw this.#failure.error;
    this.#method = method;
    return this.#turnOver;
  }

  #assertHolds(method: string, n: number): void {
    if (n <= this.#maxBuffered) return;
    const message = `Cannot ${method}(): ${n} bytes are more than maxBuffered, which is ${this.#maxBuffered}`;
    throw new LimitOverrunError(message, this.#buffer.length);
  }
}
