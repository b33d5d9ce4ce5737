/**
 * The two faces of a connection as web streams.
 */

import { assertBytes, type Bytes } from "./bytes.ts";

const CHUNK = 16384; // bytes; a TLS record

/** A stream of what `source` gives; takes "byob" readers. Cancelling it closes the source. */
export function readableOf(
  source: { read(p: Bytes): Promise<number | null>; close(): Promise<void> },
): ReadableStream<Bytes> {
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: CHUNK,
    pull: async (controller) => {
      const request = controller.byobRequest!;
      const view = request.view!;
      const n = await source.read(
        new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength),
      );
      if (n === null) controller.close();
      request.respond(n ?? 0);
    },
    cancel: () => source.close(),
  }, { highWaterMark: 0 });
}

/** A stream into `sink`. Closing it ends what is written; aborting it drops the connection. */
export function writableOf(
  sink: { write(p: Uint8Array): Promise<number>; closeWrite(): Promise<void>; abort(): void },
): WritableStream<Uint8Array> {
  return new WritableStream({
    write: async (chunk) => {
      assertBytes("chunk", chunk);
      await sink.write(chunk);
    },
    close: () => sink.closeWrite(),
    abort: () => sink.abort(),
  });
}
