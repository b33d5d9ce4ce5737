/**
 * StreamWriter: asyncio's writer over any {@linkcode Duplex}, and `startTls()`.
 *
 * It pushes: `write()` queues and never waits, `await drain()` is the back-pressure.
 *
 * @module
 */

import { assertCount, assertSize, ByteQueue, MAX_BUFFERED, toBytes } from "./byte_queue.ts";
import { type Bytes, EMPTY } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import { paired, type StreamReader } from "./stream_reader.ts";
import type { StreamOptions } from "./streams.ts";

const HIGH_WATER_MARK = 64 * 1024; // bytes; asyncio's transports; low water is a quarter of it, also theirs
const BLOCK = 16 * 1024; // bytes; smaller writes are joined: below this a write costs more than a copy

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
  #duplex: Duplex;
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

  /** For `Server`: how many bytes it and its reader hold. */
  static held<Options extends object>(writer: StreamWriter<Options>): number {
    return writer.#buffered + (writer.#reader === null ? 0 : paired.held(writer.#reader));
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

/** Closes without a goodbye, where the Duplex has one and can do without. */
function hangUp(duplex: Duplex): void | Promise<void> {
  return duplex.abort ? duplex.abort() : duplex.close();
}
