/**
 * What the tests of the streams share: streams over a pipe, and what to send and expect.
 *
 * @module
 */

import { decodeText, encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { openStreams, type StreamOptions, StreamReader, type StreamWriter } from "../lib/streams.ts";
import { pipe, type PipeEnd, type PipeOptions } from "./pipe.ts";

/** Bytes. */
export const KIB = 1024;
/** Bytes per read: a byte at a time, across separators, whole. */
export const CHUNK_SIZES = [1, 3, Infinity];

/** Streams over one end of a pipe, and the other end. */
export function open<Options extends object = object>(
  options: StreamOptions<Options> & PipeOptions = {},
): { reader: StreamReader; writer: StreamWriter<Options>; near: PipeEnd; far: PipeEnd } {
  const [near, far] = pipe(options);
  const [reader, writer] = openStreams(near, options);
  return { reader, writer, near, far };
}

/** Writes all of `data`. */
export async function send(end: Duplex, data: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const bytes = typeof data === "string" ? encodeText(data) : data;
  for (let sent = 0; sent < bytes.length;) sent += await end.write(bytes.subarray(sent));
}

/** A reader to which the peer sends `data` and then ends the stream. */
export async function feed(data: string, options: StreamOptions & PipeOptions = {}): Promise<StreamReader> {
  const { reader, far } = open(options);
  await send(far, data);
  await far.closeWrite();
  return reader;
}

/** What `end` reads, as text, until the end of the stream. */
export async function receiveAll(end: Duplex): Promise<string> {
  return decodeText(await new StreamReader(end).read());
}

/** Enough turns of the microtask queue for everything that does not wait for the test. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await null;
}

/** Whether `promise` waits for the test. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(() => pending = false, () => pending = false);
  await settle();
  return pending;
}

/** The text of what a read gives. */
export async function text(bytes: Promise<Uint8Array>): Promise<string> {
  return decodeText(await bytes);
}

/** Bytes that do not repeat soon. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

/** Without closeWrite(), abort() and addresses. */
export function closeOnly(end: Duplex): Duplex {
  return { read: (p) => end.read(p), write: (p) => end.write(p), close: () => end.close() };
}
