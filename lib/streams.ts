/**
 * asyncio's streams over any {@linkcode Duplex}: a {@linkcode StreamReader} that finds lines and counts bytes, a
 * {@linkcode StreamWriter} that queues now and sends in the background, and `startTls()` between the two.
 *
 * ```text
 *   your code   <-- read readline readexactly readuntil --  StreamReader  <-- one Duplex.read() at a time
 *               --  write ... await drain()             -->  StreamWriter  --> one Duplex.write() at a time
 * ```
 *
 * The reader pulls: it reads from the Duplex only while a call waits for data, so a peer is slowed down by not being
 * read. The writer pushes: `write()` never waits, `await drain()` is the back-pressure.
 *
 * Behaviour follows CPython's `asyncio/streams.py`, in Deno's casing; where it differs, the method says so.
 *
 * @module
 */
import { type Bytes, EMPTY, encodeText, typeName } from "./bytes.ts";
import { type Duplex, type DuplexLike, toDuplex } from "./duplex.ts";

const LIMIT = 64 * 1024; // bytes; asyncio's: "a security feature", a peer that sends no newline cannot fill the memory
const HIGH_WATER_MARK = 64 * 1024; // bytes; asyncio's transports; low water is a quarter of it, also theirs
const MAX_BUFFERED = 64 * 1024 * 1024; // bytes; 1024 times the above: out of reach for whoever awaits drain()
const MIN_CHUNK = 4 * 1024; // bytes that an idle connection's read holds on to
const MAX_CHUNK = 64 * 1024; // bytes per read once they come in bulk
const BLOCK = 16 * 1024; // bytes; smaller writes are joined: below this a write costs more than a copy

const NEWLINE = new Uint8Array([0x0a]);

/** What {@linkcode openStreams} accepts. `Options` is what `startTls()` takes: the options of `upgrade`. */
export interface StreamOptions<Options extends object = object> {
  /**
   * Longest line or `readuntil()` result, in bytes, not counting the separator.
   *
   * @default {65536}
   */
  limit?: number;
  /**
   * Bytes that may wait to be sent before `drain()` waits, until a quarter of it is left.
   *
   * @default {65536}
   */
  highWaterMark?: number;
  /**
   * Most bytes held for either direction. Once more than these wait to be sent, `write()` throws; `read()` to the end
   * of the stream and `readexactly()` reject rather than hold more. asyncio has no such cap.
   *
   * @default {67108864}
   */
  maxBuffered?: number;
  /**
   * Answers `getExtraInfo(name)`, before `peername` and `sockname` are looked up; `undefined` if it does not know.
   *
   * @param name What is asked for.
   * @param transport The Duplex in use: after `startTls()` the one that `upgrade` gave.
   */
  extraInfo?(name: string, transport: Duplex): unknown;
  /**
   * Does the work of `startTls()`; `wrapSocket` has this shape. When it rejects, `transport` gets closed.
   *
   * @param transport The Duplex in use, with nothing left to send.
   * @param options The argument of `startTls()`, with `initialData`: what was read and not consumed, to be handed to
   * the TLS engine as its first records.
   * @returns The Duplex that both streams use from then on.
   */
  upgrade?(transport: Duplex, options: Options & { initialData: Uint8Array<ArrayBuffer> }): Promise<Duplex>;
}

/**
 * Makes the two streams of one connection, paired for `startTls()`.
 *
 * @param source A Duplex, or a `{ readable, writable }` pair.
 * @param options See {@linkcode StreamOptions}.
 * @returns The reader and the writer.
 * @throws {TypeError} If `source` is neither.
 * @throws {RangeError} If a size in `options` is not a possible number of bytes.
 *
 * @example Usage
 * ```ts
 * import { openStreams } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const [reader, writer] = openStreams(new TransformStream<Uint8Array, Uint8Array>()); // an echo
 * writer.write("hello\n");
 * assertEquals(new TextDecoder().decode(await reader.readline()), "hello\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export function openStreams<Options extends object = object>(
  source: DuplexLike,
  options: StreamOptions<Options> = {},
): [StreamReader, StreamWriter<Options>] {
  const duplex = toDuplex(source);
  const reader = new StreamReader(duplex, options);
  return [reader, new StreamWriter(duplex, reader, options)];
}

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

/** What a writer may do to its reader. StreamReader fills it in, so that none of it is public. */
let paired: {
  turn(reader: StreamReader, method: string): Disposable;
  takeAll(reader: StreamReader): Bytes;
  attach(reader: StreamReader, duplex: Duplex): void;
  fail(reader: StreamReader, error: unknown): void;
  end(reader: StreamReader): void;
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

/**
 * Writes to a Duplex. `write()` queues and returns; the bytes go out in the background, those of one tick together.
 *
 * A failed background write is kept: it is thrown by every later `write()`, `drain()` and `waitClosed()`, and is never
 * an unhandled rejection.
 *
 * @example Usage
 * ```ts
 * import { openStreams } from "tlsio";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const [reader, writer] = openStreams(new TransformStream<Uint8Array, Uint8Array>()); // an echo
 * writer.write("one, ");
 * writer.write(new Uint8Array([116, 119, 111, 10]));
 * await writer.drain();
 * assertEquals(new TextDecoder().decode(await reader.readline()), "one, two\n");
 * writer.close();
 * await writer.waitClosed();
 * assertThrows(() => writer.write("three"), Error, "Cannot write to stream: it is closed");
 * ```
 */
export class StreamWriter<Options extends object = object> {
  readonly #reader: StreamReader | null;
  readonly #options: StreamOptions<Options>;
  readonly #highWaterMark: number;
  readonly #maxBuffered: number;
  readonly #blocks: Bytes[] = []; // what goes out first
  readonly #tail = new ByteQueue(); // what goes out after it, still short enough to be added to
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  #duplex: Duplex & Abortable;
  #buffered = 0; // bytes that write() took and the Duplex did not yet
  #flushing: Promise<void> | undefined;
  #upgrading: Promise<void> | undefined;
  #drained: PromiseWithResolvers<void> | undefined;
  #failure: { error: unknown; aborted: boolean } | undefined;
  #ended: "no" | "wanted" | "sent" = "no"; // the outgoing direction
  #closing = false;
  #released = false;

  /**
   * Makes a writer.
   *
   * @param duplex Where to write to. {@linkcode openStreams} makes both streams of a connection at once.
   * @param reader The reader of the same connection, which `startTls()` takes along; `null` if there is none.
   * @param options See {@linkcode StreamOptions}; all but `limit` are a writer's.
   * @throws {RangeError} If `highWaterMark` or `maxBuffered` is not a whole number, or the first is the larger.
   */
  constructor(duplex: Duplex, reader: StreamReader | null, options: StreamOptions<Options> = {}) {
    this.#duplex = duplex;
    this.#reader = reader;
    this.#options = options;
    this.#highWaterMark = assertSize("highWaterMark", options.highWaterMark ?? HIGH_WATER_MARK, 0);
    this.#maxBuffered = assertSize("maxBuffered", options.maxBuffered ?? MAX_BUFFERED, this.#highWaterMark);
    this.#closed.promise.catch(() => {}); // waitClosed() reports it
  }

  /** The Duplex in use; after `startTls()` the one over TLS. */
  get transport(): Duplex {
    return this.#duplex;
  }

  /**
   * Queues `data`, which is copied, so that the caller may reuse it.
   *
   * @param data Text (sent as UTF-8) or bytes.
   * @throws {TypeError} If `data` is neither.
   * @throws {Error} If the stream is closed, or ended by `writeEof()`, or in `startTls()`, or if more than
   * `maxBuffered` bytes wait already. If an earlier write failed: that error.
   */
  write(data: string | Uint8Array): void {
    const bytes = toBytes("data", data);
    this.#assertWritable("write to stream");
    if (this.#buffered > this.#maxBuffered) {
      const state = `${this.#buffered} bytes wait to be sent, maxBuffered is ${this.#maxBuffered}`;
      throw new Error(`Cannot write to stream: ${state}; await drain() between writes`);
    }
    this.#tail.space(bytes.length).set(bytes);
    this.#tail.commit(bytes.length);
    this.#buffered += bytes.length;
    if (this.#tail.length >= BLOCK) this.#blocks.push(this.#tail.take(this.#tail.length));
    this.#flushing ??= this.#flush();
  }

  /**
   * Queues each of `lines`; no newlines are added.
   *
   * @param lines Texts or bytes.
   * @throws {Error} As {@linkcode write} does.
   */
  writelines(lines: Iterable<string | Uint8Array>): void {
    for (const line of lines) this.write(line);
  }

  /**
   * Waits while the peer is slower than we are: returns at once while no more than `highWaterMark` bytes wait to be
   * sent, otherwise when a quarter of that is left.
   *
   * @throws {Error} If sending failed or the stream was aborted: what the first failure was.
   */
  async drain(): Promise<void> {
    if (this.#buffered > this.#highWaterMark) {
      this.#drained ??= Promise.withResolvers();
      await this.#drained.promise;
    }
    this.#assertSound();
  }

  /** Whether this stream can end its outgoing direction and go on reading. */
  canWriteEof(): boolean {
    return this.#duplex.closeWrite !== undefined;
  }

  /**
   * Ends the outgoing direction once all that was written is sent. Reading goes on. A second call does nothing.
   *
   * @throws {TypeError} If the transport cannot (asyncio: NotImplementedError).
   * @throws {Error} As {@linkcode write} does.
   */
  writeEof(): void {
    if (this.#ended !== "no") return;
    this.#assertWritable("writeEof()");
    if (!this.canWriteEof()) throw new TypeError("Cannot writeEof(): transport has no closeWrite()");
    this.#ended = "wanted";
    this.#flushing ??= this.#flush();
  }

  /** Closes the connection, both directions, once all that was written is sent. A second call does nothing. */
  close(): void {
    this.#closing = true;
    this.#finish();
  }

  /** Whether the stream is closed, or closing, or failed: whether nothing more can be written. */
  isClosing(): boolean {
    return this.#closing || this.#failure !== undefined;
  }

  /**
   * Waits until `close()` or `abort()` is done, whoever calls it. It has no timeout of its own: a transport bounds its
   * own close, and for a peer that takes no bytes there is {@linkcode abort}.
   *
   * @throws {Error} If sending or closing failed: what the first failure was.
   */
  async waitClosed(): Promise<void> {
    await this.#closed.promise;
  }

  /** Closes the connection at once: what was not sent yet is dropped. `waitClosed()` does not count this as a failure. */
  abort(): void {
    this.#closing = true;
    this.#fail(new Error("Cannot write to stream: it was aborted"), true);
    if (!this.#released || this.#duplex.abort) this.#release(() => hangUp(this.#duplex));
  }

  /**
   * Looks up what is known about the connection: `"peername"` and `"sockname"` are the addresses of the peer and of this
   * end; other names are the business of whoever opened the stream.
   *
   * @param name What to look up.
   * @param defaultValue What to return if it is not known.
   * @returns The value, or `defaultValue`.
   */
  getExtraInfo(name: "peername" | "sockname", defaultValue?: Deno.Addr): Deno.Addr | undefined;
  /** Looks up any other name. */
  getExtraInfo(name: string, defaultValue?: unknown): unknown;
  getExtraInfo(name: string, defaultValue?: unknown): unknown {
    const value = this.#options.extraInfo?.(name, this.#duplex);
    if (value !== undefined) return value;
    if (name === "peername") return this.#duplex.remoteAddr ?? defaultValue;
    if (name === "sockname") return this.#duplex.localAddr ?? defaultValue;
    return defaultValue;
  }

  /**
   * Sends what was written, then continues the connection over TLS: reader and writer stay the same.
   *
   * What the reader holds at that moment came without TLS, and whoever sits on the line may have put it there
   * (CVE-2011-0411). It is given to the TLS engine as the peer's first records and never to a later read, so injected
   * commands make the handshake fail.
   *
   * @param options What `upgrade` takes, without `initialData`.
   * @throws {TypeError} If the streams were opened without `upgrade`.
   * @throws {Error} As {@linkcode write} does, or if a read waits. If `upgrade` fails: its error; the connection gets
   * closed, and every later read and write throws the same.
   */
  async startTls(options?: Options): Promise<void> {
    if (!this.#options.upgrade) throw new TypeError("Cannot startTls(): streams were opened without upgrade");
    this.#assertWritable("startTls()");
    using _turn = this.#reader && paired.turn(this.#reader, "startTls");
    const settled = Promise.withResolvers<void>();
    this.#upgrading = settled.promise;
    try {
      await this.#flushing;
      this.#assertSound();
      const initialData = this.#reader ? paired.takeAll(this.#reader) : EMPTY;
      const duplex = await this.#options.upgrade(this.#duplex, { ...options as Options, initialData });
      this.#duplex = duplex;
      if (this.#failure) await hangUp(duplex); // abort() could only reach the one below
      this.#assertSound();
      if (this.#reader) paired.attach(this.#reader, duplex);
    } catch (error) {
      this.#fail(error);
      if (this.#reader) paired.fail(this.#reader, error);
      this.close();
      throw error;
    } finally {
      this.#upgrading = undefined;
      settled.resolve();
    }
  }

  /** Closes as `close()` and `waitClosed()` do, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.waitClosed();
  }

  #assertSound(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #assertWritable(action: string): void {
    this.#assertSound();
    if (this.#closing) throw new Error(`Cannot ${action}: it is closed`);
    if (this.#ended !== "no") throw new Error(`Cannot ${action}: writeEof() was called`);
    if (this.#upgrading) throw new Error(`Cannot ${action}: startTls() is not done`);
  }

  /** Sends until nothing is left. Never rejects. */
  async #flush(): Promise<void> {
    await null; // so that what is written in this tick goes out together
    try {
      for (let block = this.#next(); block.length > 0; block = this.#next()) {
        while (block.length > 0 && !this.#failure) {
          const n = assertCount("write", await this.#duplex.write(block), block.length);
          block = block.subarray(n);
          this.#buffered -= n;
          if (this.#buffered <= this.#highWaterMark / 4) this.#wake();
        }
      }
      if (this.#ended === "wanted" && !this.#failure) {
        this.#ended = "sent";
        await this.#duplex.closeWrite?.();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#flushing = undefined;
    }
  }

  #next(): Bytes {
    return this.#blocks.shift() ?? this.#tail.take(this.#tail.length);
  }

  #wake(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  /** Keeps the first failure, and nothing of what was to be sent. */
  #fail(error: unknown, aborted = false): void {
    this.#failure ??= { error, aborted };
    this.#blocks.length = 0;
    this.#tail.drop(this.#tail.length);
    this.#buffered = 0;
    this.#wake();
  }

  async #finish(): Promise<void> {
    await this.#upgrading;
    await this.#flushing;
    if (!this.#released) await this.#release(() => this.#duplex.close());
  }

  /** Gives the Duplex back by `how`. Never rejects: waitClosed() tells. */
  async #release(how: () => void | Promise<void>): Promise<void> {
    this.#released = true;
    if (this.#reader) paired.end(this.#reader);
    try {
      await how();
    } catch (error) {
      this.#fail(error);
    }
    if (this.#failure && !this.#failure.aborted) this.#closed.reject(this.#failure.error);
    else this.#closed.resolve();
  }
}

/** A Duplex whose close() takes time, for it flushes or says goodbye, may also have a way without. */
interface Abortable {
  abort?(): void | Promise<void>;
}

function hangUp(duplex: Duplex & Abortable): void | Promise<void> {
  return duplex.abort ? duplex.abort() : duplex.close();
}

/** Bytes in one array: added at the back, taken from the front, in amortised constant time for each. */
class ByteQueue {
  #bytes: Bytes = EMPTY;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** All of it, valid until the next change. */
  peek(): Bytes {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Room for `n` bytes at the back, of which {@linkcode commit} adds the first ones. */
  space(n: number): Bytes {
    if (this.#bytes.length - this.#end < n) {
      const { length } = this;
      // Moving down is worth it once as many bytes were taken as have to move.
      if (this.#start >= length && this.#bytes.length >= length + n) {
        this.#bytes.copyWithin(0, this.#start, this.#end);
      } else {
        const larger = new Uint8Array(Math.max(length + n, 2 * this.#bytes.length));
        larger.set(this.peek());
        this.#bytes = larger;
      }
      this.#start = 0;
      this.#end = length;
    }
    return this.#bytes.subarray(this.#end, this.#end + n);
  }

  commit(n: number): void {
    this.#end += n;
  }

  /** Takes `n` bytes: a copy, or the array itself when they fill most of it. */
  take(n: number): Bytes {
    const whole = n === this.length && 2 * n > this.#bytes.length;
    const bytes = whole ? this.peek() : this.#bytes.slice(this.#start, this.#start + n);
    if (whole) this.#bytes = EMPTY;
    this.drop(n);
    return bytes;
  }

  drop(n: number): void {
    this.#start += n;
    if (this.#start < this.#end) return;
    this.#start = this.#end = 0;
    if (this.#bytes.length > MIN_CHUNK) this.#bytes = EMPTY; // nothing large is held while nothing waits
  }
}

function indexOf(bytes: Uint8Array, separator: Uint8Array, from: number): number {
  const first = separator[0]!;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < separator.length && bytes[at + i] === separator[i]) i++;
    if (i === separator.length) return at;
  }
  return -1;
}

function toBytes(name: string, value: unknown): Uint8Array {
  if (typeof value === "string") return encodeText(value);
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`Cannot use ${name}: expected a string or a Uint8Array, got ${typeName(value)}`);
}

function assertSize(name: string, value: unknown, min: number): number {
  const whole = typeof value === "number" && (Number.isInteger(value) || value === Infinity);
  if (whole && value >= min) return value;
  throw new RangeError(`Cannot use ${name}: expected a whole number of at least ${min}, got ${value}`);
}

/** A Duplex that counts wrongly would make the loops above spin or lose bytes. */
function assertCount(method: string, n: number, max: number): number {
  if (Number.isInteger(n) && n >= 1 && n <= max) return n;
  throw new TypeError(`Cannot use transport: ${method}() returned ${n}, expected 1 to ${max}`);
}
