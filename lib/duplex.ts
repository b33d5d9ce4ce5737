/**
 * Duplex: the only thing that tlsio asks of a connection. Bytes in, bytes out, close.
 *
 * A `Deno.Conn` is one already; {@linkcode toDuplex} makes one of a `{ readable, writable }` pair; an
 * `SSLSocket` is one itself, which is what makes TLS in TLS, STARTTLS and in-memory tests need nothing new.
 *
 * @module
 */

import { assertBytes, copyOf, EMPTY } from "./bytes.ts";

const CLOSED = "The connection was closed"; // the reason that the streams of a pair are told

/** An ordered, reliable stream of bytes in each direction. */
export interface Duplex {
  /**
   * Reads at least one byte into `p`.
   *
   * @param p Where to put the bytes; not to be written to after the promise is fulfilled.
   * @returns How many bytes were read (1 to `p.length`), or `null` at the end of the stream.
   */
  read(p: Uint8Array<ArrayBuffer>): Promise<number | null>;
  /**
   * Writes at least one byte of `p`. `p` must not change until the promise settles.
   *
   * @param p The bytes to write; once the promise is fulfilled, the array is used again: who keeps the bytes copies them.
   * @returns How many bytes were written (1 to `p.length`).
   */
  write(p: Uint8Array<ArrayBuffer>): Promise<number>;
  /** Closes both directions at once and releases the resource. Pending reads and writes settle. */
  close(): void | Promise<void>;
  /** Closes at once, without a goodbye that {@linkcode Duplex.close} would send. May follow `close()`. */
  abort?(): void;
  /** Ends the outgoing direction (a TCP FIN), where the stream can. */
  closeWrite?(): Promise<void>;
  /** Switches Nagle's algorithm off, where the stream has one. */
  setNoDelay?(noDelay?: boolean): void;
  /** The local address, where the stream has one. */
  readonly localAddr?: Deno.Addr;
  /** The peer's address, where the stream has one. */
  readonly remoteAddr?: Deno.Addr;
}

/** A pair of WHATWG byte streams: a `WebSocketStream`, a `Deno.Command` child, a `TransformStream` end. */
export interface StreamPair {
  /** Bytes from the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the peer. */
  readonly writable: WritableStream<Uint8Array>;
}

/** What has reads and writes of another kind, and a Duplex beside them: MicroPython's `Socket`. */
export interface HasDuplex {
  /** Its bytes as a Duplex. */
  readonly duplex: Duplex;
}

/** What `wrapSocket` and the streams accept: a {@linkcode Duplex}, what has one, or a {@linkcode StreamPair}. */
export type DuplexLike = Duplex | HasDuplex | StreamPair;

/**
 * Gives `source` the shape of a {@linkcode Duplex}. What is one already is returned as it is.
 *
 * @param source A Duplex, a socket of `tlsio/socket`, or a `{ readable, writable }` pair.
 * @returns The Duplex.
 * @throws {TypeError} If `source` is neither, or if one of its streams is locked to another reader or writer.
 *
 * @example Usage
 * ```ts
 * import { toDuplex } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const echo = toDuplex({ readable, writable });
 * const sent = echo.write(new Uint8Array([1, 2, 3]));
 * const buffer = new Uint8Array(8);
 * assertEquals(await echo.read(buffer), 3);
 * assertEquals(await sent, 3);
 * await echo.close();
 * ```
 */
export function toDuplex(source: DuplexLike): Duplex {
  if (typeof source === "object" && source !== null) {
    if ("duplex" in source) return source.duplex;
    if ("read" in source && "write" in source && "close" in source) return source;
    if ("readable" in source && "writable" in source) return new StreamDuplex(source);
  }
  throw new TypeError(
    "Cannot wrap conn: it has neither read(), write() and close() nor readable and writable",
  );
}

/** A Duplex over a pair of streams. Chunks larger than the caller's buffer are kept for the next read. */
class StreamDuplex implements Duplex {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = EMPTY;
  #giveUp: ((reason: Error) => void) | undefined; // the write under way
  #ended = false;

  constructor({ readable, writable }: StreamPair) {
    if (readable.locked) throw new TypeError("Cannot wrap conn: its readable stream is locked");
    if (writable.locked) throw new TypeError("Cannot wrap conn: its writable stream is locked");
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {}); // reported by the write that meets it
    this.#reader.closed.catch(() => {}); // reported by the read that meets it
  }

  async read(p: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      assertBytes("chunk", value);
      this.#rest = value;
    }
    const n = Math.min(p.length, this.#rest.length);
    p.set(this.#rest.subarray(0, n));
    this.#rest = this.#rest.subarray(n);
    return n;
  }

  async write(p: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#giveUp = reject;
    this.#writer.write(copyOf(p)).then(resolve, reject); // the stream may keep the chunk; the caller may reuse p
    try {
      await promise;
    } finally {
      this.#giveUp = undefined;
    }
    return p.length;
  }

  async closeWrite(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#writer.close();
  }

  async close(): Promise<void> {
    if (this.#giveUp !== undefined) return this.abort(); // a write that hangs does not hold up the close
    // What was written still arrives.
    await Promise.allSettled([this.#reader.cancel(new Error(CLOSED)), this.closeWrite()]);
  }

  abort(): void {
    const reason = new Error(CLOSED);
    this.#giveUp?.(reason);
    for (const end of [this.#reader.cancel(reason), this.#writer.abort(reason)]) end.catch(() => {});
  }
}

/** `duplex`, with `bytes` to be read first. */
export function withBytesFirst(duplex: Duplex, bytes: Uint8Array<ArrayBuffer>): Duplex {
  let rest = bytes;
  return {
    read(p) {
      if (rest.length === 0) return duplex.read(p);
      const n = Math.min(p.length, rest.length);
      p.set(rest.subarray(0, n));
      rest = rest.subarray(n);
      return Promise.resolve(n);
    },
    write: (p) => duplex.write(p),
    close: () => duplex.close(),
    ...(duplex.abort && { abort: () => duplex.abort!() }),
    ...(duplex.closeWrite && { closeWrite: () => duplex.closeWrite!() }),
    ...(duplex.localAddr && { localAddr: duplex.localAddr }),
    ...(duplex.remoteAddr && { remoteAddr: duplex.remoteAddr }),
  };
}
