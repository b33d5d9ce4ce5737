/** toDuplex() over streams, and withBytesFirst(). */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { type Duplex, toDuplex, withBytesFirst } from "../lib/duplex.ts";
import { pipe } from "./pipe.ts";
import { idle, isPending, tcp, test } from "./sockets.ts";
import { closeOnly, pattern, receiveAll, send } from "./stream_helpers.ts";

/** Reads once, as text. */
async function read(duplex: Duplex, size = 100): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const n = await duplex.read(buffer);
  return n === null ? null : decodeText(buffer.subarray(0, n));
}

/** Streams of both directions, and what their ends were told. */
function streams(source: UnderlyingDefaultSource<Uint8Array> = {}, sink: UnderlyingSink<Uint8Array> = {}) {
  const told: Record<string, unknown> = {};
  const written: Uint8Array[] = [];
  const readable = new ReadableStream<Uint8Array>({
    cancel: (reason) => {
      told.cancelled = reason;
    },
    ...source,
  });
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) => {
      written.push(chunk);
    },
    close: () => {
      told.closed = true;
    },
    abort: (reason) => {
      told.aborted = reason;
    },
    ...sink,
  });
  return { readable, writable, told, written };
}

test("toDuplex() returns what is a Duplex already as it is", async () => {
  const [near, far] = await tcp();
  for (const duplex of [near, far, pipe()[0], closeOnly(near)]) assertStrictEquals(toDuplex(duplex), duplex);
  near.close();
  far.close();
});

test("toDuplex() refuses what is neither a Duplex nor a pair of streams", async () => {
  const { readable, writable } = streams();
  const half = [{ readable }, { writable }, { read() {}, write() {} }];
  for (const source of [null, undefined, "conn", 7, () => {}, {}, ...half]) {
    assertThrows(() => toDuplex(source as unknown as Duplex), TypeError, "Cannot wrap conn: it has neither");
  }
  await Promise.all([readable.cancel(), writable.close()]);
});

test("toDuplex() refuses a locked stream and leaves the other one free", async () => {
  const first = streams();
  first.readable.getReader();
  assertThrows(() => toDuplex(first), TypeError, "Cannot wrap conn: its readable stream is locked");
  assertEquals(first.writable.locked, false);
  const second = streams();
  second.writable.getWriter();
  assertThrows(() => toDuplex(second), TypeError, "Cannot wrap conn: its writable stream is locked");
  assertEquals(second.readable.locked, false);
  await idle();
});

test("toDuplex().read() keeps what did not fit for the next read, and passes empty chunks over", async () => {
  const chunks = ["abcdef", "", "gh"].map(encodeText);
  const duplex = toDuplex(streams({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  }));
  const texts = [await read(duplex, 4), await read(duplex, 4), await read(duplex), await read(duplex)];
  assertEquals(texts, ["abcd", "ef", "gh", null]);
  assertEquals(await read(duplex), null);
});

test("toDuplex().read() rejects with the stream's error", async () => {
  const cause = new Error("the tunnel is down");
  const duplex = toDuplex(streams({ pull: (controller) => controller.error(cause) }));
  for (let i = 0; i < 2; i++) assertStrictEquals(await assertRejects(() => read(duplex)), cause);
  await duplex.close();
});

test("toDuplex().read() refuses a chunk that is no Uint8Array", async () => {
  for (const chunk of ["text", [1, 2], new ArrayBuffer(2), null]) {
    const duplex = toDuplex(
      streams({ pull: (controller) => controller.enqueue(chunk as unknown as Uint8Array) }),
    );
    await assertRejects(() => read(duplex), TypeError, "Cannot use chunk: expected a Uint8Array");
    await duplex.close();
  }
});

test("toDuplex().write() takes all, waits while the stream is full, and copies", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const duplex = toDuplex({ readable, writable });
  const bytes = encodeText("first");
  const writing = duplex.write(bytes);
  assertEquals(await isPending(writing), true);
  bytes.fill(0);
  assertEquals([await read(duplex), await writing], ["first", 5]);
  await duplex.close();
});

test("toDuplex().write() rejects with the stream's error", async () => {
  const cause = new Error("the disk is full");
  const duplex = toDuplex(streams({}, { write: () => Promise.reject(cause) }));
  for (let i = 0; i < 2; i++) assertStrictEquals(await assertRejects(() => duplex.write(pattern(1))), cause);
  await duplex.close();
});

test("toDuplex().closeWrite() ends the writable, once, and reading goes on", async () => {
  const made = streams({ pull: (controller) => controller.enqueue(encodeText("more")) });
  const duplex = toDuplex(made);
  await duplex.closeWrite!();
  await duplex.closeWrite!();
  assertEquals([made.told.closed, await read(duplex)], [true, "more"]);
  await assertRejects(() => duplex.write(pattern(1)), TypeError);
  await duplex.close();
  assertEquals(made.told.aborted, undefined);
});

test("toDuplex().close() ends both streams, with what was written before", async () => {
  const made = streams();
  const duplex = toDuplex(made);
  const reading = duplex.read(new Uint8Array(1));
  await duplex.write(encodeText("the last"));
  await duplex.close();
  assertEquals(made.written.map(decodeText), ["the last"]);
  assert(made.told.cancelled instanceof Error);
  assertEquals([made.told.closed, made.told.aborted], [true, undefined]);
  assertEquals(await reading, null);
  assertEquals(await read(duplex), null);
  await assertRejects(() => duplex.write(pattern(1)));
  await duplex.close();
});

test("toDuplex().close() gives up a write that hangs", async () => {
  const made = streams({}, { write: () => new Promise(() => {}) });
  const duplex = toDuplex(made);
  const writing = duplex.write(encodeText("stuck"));
  assertEquals(await isPending(writing), true);
  await Promise.all([duplex.close(), assertRejects(() => writing, Error, "The connection was closed")]);
  assert(made.told.cancelled instanceof Error);
});

test("toDuplex().close() gives up a write that waits for a TransformStream's reader", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const duplex = toDuplex({ readable: streams().readable, writable });
  const writing = assertRejects(() => duplex.write(encodeText("stuck")), Error, "The connection was closed");
  await Promise.all([duplex.close(), writing]);
  await assertRejects(() => readable.getReader().read(), Error, "The connection was closed");
});

test("toDuplex().abort() ends both streams at once", async () => {
  const made = streams({}, { close: () => new Promise(() => {}) });
  const duplex = toDuplex(made);
  const reading = duplex.read(new Uint8Array(1));
  duplex.abort!();
  assertEquals(await reading, null);
  await idle();
  assert(made.told.cancelled instanceof Error);
  assert(made.told.aborted instanceof Error);
  await assertRejects(() => duplex.write(pattern(1)));
  duplex.abort!();
});

test("toDuplex().close() does not fail when its streams do", async () => {
  const fail = () => Promise.reject(new Error("no"));
  const duplex = toDuplex(streams({ cancel: fail }, { close: fail }));
  await duplex.close();
});

test("toDuplex() makes a Duplex of a child process", async () => {
  const child = new Deno.Command("cat", { stdin: "piped", stdout: "piped" }).spawn();
  const duplex = toDuplex({ readable: child.stdout, writable: child.stdin });
  const data = pattern(200_000).map((byte) => byte & 0x7f);
  const [received] = await Promise.all([
    receiveAll(duplex),
    send(duplex, data).then(() => duplex.closeWrite!()),
  ]);
  assertEquals(received, decodeText(data));
  await duplex.close();
  assertEquals((await child.status).success, true);
});

test("withBytesFirst() reads the bytes, then the Duplex", async () => {
  const [near, far] = pipe();
  const duplex = withBytesFirst(near, encodeText("abc"));
  await far.write(encodeText("def"));
  assertEquals(await duplex.read(new Uint8Array(0)), 0);
  assertEquals([await read(duplex, 2), await read(duplex), await read(duplex)], ["ab", "c", "def"]);
  await duplex.write(encodeText("ghi"));
  assertEquals(await read(far), "ghi");
  assertEquals([duplex.localAddr, duplex.remoteAddr], [near.localAddr, near.remoteAddr]);
  await duplex.closeWrite!();
  assertEquals(await read(far), null);
  await duplex.close();
  assertEquals(near.closed, true);
});

test("withBytesFirst() can what the Duplex can, and no more", () => {
  const [near] = pipe();
  assertEquals(Object.keys(withBytesFirst(closeOnly(near), pattern(1))), ["read", "write", "close"]);
  const duplex = withBytesFirst(near, pattern(1));
  duplex.abort!();
  assertEquals(near.aborted, true);
  return Promise.resolve();
});
