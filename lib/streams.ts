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

import { type Duplex, type DuplexLike, toDuplex } from "./duplex.ts";
import { StreamReader } from "./stream_reader.ts";
import { StreamWriter } from "./stream_writer.ts";

export { IncompleteReadError, LimitOverrunError, StreamReader } from "./stream_reader.ts";
export { StreamWriter } from "./stream_writer.ts";

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
