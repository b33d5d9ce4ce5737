import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { openStreams, StreamReader, StreamWriter } from "../lib/streams.ts";
import { pipe } from "./pipe.ts";
import {
  CHUNK_SIZES,
  closeOnly,
  isPending,
  KIB,
  open,
  pattern,
  receiveAll,
  send,
  settle,
  text,
} from "./stream_helpers.ts";

Deno.test("StreamWriter.write() joins the writes of one tick", async () => {
  const { writer, near, far } = open();
  writer.write("a");
  writer.write(encodeText("bc"));
  writer.writelines(["d\n", encodeText("e\n")]);
  writer.write("");
  assertEquals(near.writes, []);
  await settle();
  assertEquals(near.writes, [7]);
  writer.write("later");
  writer.close();
  assertEquals(await receiveAll(far), "abcd\ne\nlater");
});

Deno.test("StreamWriter.write() sends a small head and a large body as one", async () => {
  const { writer, near } = open({ capacity: 1024 * KIB });
  writer.write("head\n");
  writer.write(pattern(100 * KIB));
  await settle();
  assertEquals(near.writes, [100 * KIB + 5]);
});

Deno.test("StreamWriter.write() copies, so that the caller may reuse its buffer", async () => {
  for (const size of [10, 100 * KIB]) {
    const { writer, far } = open();
    const buffer = new Uint8Array(size).fill(65);
    writer.write(buffer);
    buffer.fill(66);
    writer.close();
    assertEquals(await receiveAll(far), "A".repeat(size));
  }
});

for (const chunkSize of CHUNK_SIZES) {
  Deno.test(`StreamWriter sends all bytes in order, taken by ${chunkSize} bytes`, async () => {
    const { writer, far } = open({ chunkSize, capacity: 4 * KIB });
    const data = pattern(60 * KIB);
    const receiving = new StreamReader(far).read();
    for (let at = 0, n = 1; at < data.length; at += n, n = (n * 3) % 20011) {
      writer.write(data.subarray(at, at + n));
      if (n % 5 === 0) await writer.drain();
    }
    writer.close();
    assertEquals(await receiving, data);
    await writer.waitClosed();
  });
}

Deno.test("StreamWriter has one write in flight", async () => {
  const { writer, near, far } = open(); // a pipe end throws at a second write
  near.blockWrites();
  writer.write("a");
  await settle();
  writer.write("b");
  await settle();
  writer.write("c");
  near.unblockWrites();
  writer.close();
  assertEquals(await receiveAll(far), "abc");
  assertEquals(near.writes, [1, 2]);
});

Deno.test("StreamWriter.drain() returns at once up to the high-water mark", async () => {
  const { writer, near } = open();
  near.blockWrites();
  writer.write(new Uint8Array(64 * KIB));
  await writer.drain();
  writer.write("x");
  assertEquals(await isPending(writer.drain()), true);
  near.unblockWrites();
  writer.abort();
});

Deno.test("StreamWriter.drain() waits until a quarter of the high-water mark is left", async () => {
  const { writer, far } = open({ highWaterMark: 400, capacity: 100 });
  writer.write(new Uint8Array(500));
  const drained = writer.drain();
  const reader = new StreamReader(far);
  for (let read = 0; read < 200; read += 100) await reader.readexactly(100);
  assertEquals(await isPending(drained), true); // 300 written, 200 left
  await reader.readexactly(100);
  await drained; // 100 left
  await reader.readexactly(200);
});

Deno.test("StreamWriter.drain() with a high-water mark of 0 waits until all is sent", async () => {
  const { writer, near } = open({ highWaterMark: 0 });
  await writer.drain();
  writer.write("abc");
  await writer.drain();
  assertEquals(near.writes, [3]);
});

Deno.test("StreamWriter.write() refuses to queue more once maxBuffered bytes wait", async () => {
  const { writer, near, far } = open({ highWaterMark: 10, maxBuffered: 100 });
  near.blockWrites();
  writer.write(new Uint8Array(1000)); // one write may be of any size
  const message =
    "Cannot write to stream: 1000 bytes wait to be sent, maxBuffered is 100; await drain() between writes";
  assertThrows(() => writer.write("x"), Error, message);
  near.unblockWrites();
  await writer.drain();
  writer.write("y");
  writer.close();
  assertEquals((await receiveAll(far)).length, 1001);
});

Deno.test("StreamWriter.close() sends what was written, then closes once", async () => {
  const { writer, near, far } = open({ capacity: 10 });
  writer.write("x".repeat(100));
  assertEquals(writer.isClosing(), false);
  writer.close();
  writer.close();
  assertEquals(writer.isClosing(), true);
  assertEquals(near.closed, false);
  const closed = writer.waitClosed();
  assertEquals(await receiveAll(far), "x".repeat(100));
  await closed;
  await writer.waitClosed();
  writer.close();
  assertEquals(near.closed, true);
});

Deno.test("StreamWriter.write() throws after close()", async () => {
  const { writer, far } = open();
  writer.write("a");
  writer.close();
  assertThrows(() => writer.write("b"), Error, "Cannot write to stream: it is closed");
  assertThrows(() => writer.writeEof(), Error, "Cannot writeEof(): it is closed");
  await writer.drain();
  await writer.waitClosed();
  assertThrows(() => writer.write("b"), Error, "Cannot write to stream: it is closed");
  assertEquals(await receiveAll(far), "a");
});

Deno.test("StreamWriter.waitClosed() waits for a close() that comes later", async () => {
  const { writer } = open();
  const closed = writer.waitClosed();
  assertEquals(await isPending(closed), true);
  writer.close();
  await closed;
});

Deno.test("StreamWriter is closed by await using", async () => {
  const { writer, near, far } = open();
  {
    await using scoped = writer;
    scoped.write("bye");
  }
  assertEquals(near.closed, true);
  assertEquals(await receiveAll(far), "bye");
});

Deno.test("StreamWriter throws a failed write from each later call, and never leaves it unhandled", async () => {
  const { writer, near } = open({ highWaterMark: 1 });
  const reset = new Deno.errors.ConnectionReset("Cannot go on: reset");
  near.blockWrites();
  writer.write("abc");
  const drained = writer.drain();
  near.failWrites(reset);
  assertStrictEquals(await assertRejects(() => drained), reset);
  assertEquals(writer.isClosing(), true);
  assertStrictEquals(assertThrows(() => writer.write("d")), reset);
  assertStrictEquals(assertThrows(() => writer.writeEof()), reset);
  assertStrictEquals(await assertRejects(() => writer.drain()), reset);
  assertEquals(near.closed, false);
  writer.close();
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), reset);
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), reset);
  assertEquals(near.closed, true);
});

Deno.test("StreamWriter leaves no unhandled rejection when nobody asks", async () => {
  const { writer, near } = open();
  near.failWrites(new Error("Cannot go on: reset"));
  near.closeError = new Error("Cannot close: gone");
  writer.write("abc");
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  writer.close();
  await settle();
  assertEquals(near.closed, true);
});

Deno.test("StreamWriter.waitClosed() rejects with the error of close()", async () => {
  const { writer, near } = open();
  near.closeError = new Error("Cannot close: gone");
  writer.close();
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), near.closeError);
});

Deno.test("StreamWriter.abort() drops what was not sent and closes at once", async () => {
  const { writer, near, far } = open({ highWaterMark: 1 });
  near.blockWrites();
  writer.write("never sent");
  const drained = writer.drain();
  writer.abort();
  assertEquals([near.closed, near.aborted], [true, true]);
  await assertRejects(() => drained, Error, "Cannot write to stream: it was aborted");
  assertThrows(() => writer.write("x"), Error, "Cannot write to stream: it was aborted");
  assertEquals(writer.isClosing(), true);
  await writer.waitClosed();
  await assertRejects(() => far.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  writer.abort();
  writer.close();
  await writer.waitClosed();
});

Deno.test("StreamWriter.abort() ends a close() that a stalled peer holds up", async () => {
  const { writer, near } = open();
  near.blockWrites();
  writer.write("abc");
  writer.close();
  const closed = writer.waitClosed();
  assertEquals(await isPending(closed), true);
  writer.abort();
  await closed;
  assertEquals([near.closed, near.aborted], [true, true]);
});

Deno.test("StreamWriter.abort() closes, once, a Duplex that has no abort()", async () => {
  const written = Promise.withResolvers<number>();
  const calls: string[] = [];
  const duplex: Duplex = {
    read: () => Promise.resolve(null),
    write: (p) => (calls.push(`write ${p.length}`), written.promise),
    closeWrite: () => Promise.resolve(void calls.push("closeWrite")),
    close: () => void calls.push("close"),
  };
  const writer = new StreamWriter(duplex, null);
  writer.write("abc");
  writer.writeEof();
  writer.close();
  await settle();
  writer.abort();
  await writer.waitClosed();
  written.resolve(1); // the write that was in flight
  await settle();
  assertEquals(calls, ["write 3", "close"]);
});

Deno.test("StreamWriter.abort() overtakes a close() of the Duplex that takes its time", async () => {
  const calls: string[] = [];
  const duplex: Duplex & { abort(): void } = {
    read: () => Promise.resolve(null),
    write: (p) => Promise.resolve(p.length),
    close: () => new Promise<void>(() => calls.push("close")),
    abort: () => void calls.push("abort"),
  };
  const writer = new StreamWriter(duplex, null);
  writer.close();
  assertEquals(await isPending(writer.waitClosed()), true);
  writer.abort();
  await writer.waitClosed();
  assertEquals(calls, ["close", "abort"]);
});

Deno.test("StreamWriter.abort() after a failed write does not hide it", async () => {
  const { writer, near } = open();
  const reset = new Deno.errors.ConnectionReset("Cannot go on: reset");
  near.failWrites(reset);
  writer.write("abc");
  await settle();
  writer.abort();
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), reset);
});

Deno.test("StreamWriter.writeEof() ends the outgoing direction after what was written", async () => {
  const { reader, writer, near, far } = open();
  assertEquals(writer.canWriteEof(), true);
  writer.write("question");
  writer.writeEof();
  writer.writeEof();
  assertThrows(() => writer.write("x"), Error, "Cannot write to stream: writeEof() was called");
  assertEquals(await receiveAll(far), "question");
  assertEquals(near.closed, false);
  await send(far, "answer");
  assertEquals(await text(reader.readexactly(6)), "answer");
  writer.close();
  await writer.waitClosed();
});

Deno.test("StreamWriter.writeEof() throws where the Duplex cannot", () => {
  const [near] = pipe();
  const [, writer] = openStreams(closeOnly(near));
  assertEquals(writer.canWriteEof(), false);
  assertThrows(() => writer.writeEof(), TypeError, "Cannot writeEof(): transport has no closeWrite()");
});

Deno.test("StreamWriter.getExtraInfo() knows the addresses and asks extraInfo first", () => {
  const { writer, near } = open({
    extraInfo: (name, transport) => name === "transport" ? transport : name === "answer" ? 42 : undefined,
  });
  assertEquals(writer.getExtraInfo("peername"), near.remoteAddr);
  assertEquals(writer.getExtraInfo("sockname"), near.localAddr);
  assertStrictEquals(writer.getExtraInfo("transport"), near);
  assertEquals(writer.getExtraInfo("answer"), 42);
  assertEquals(writer.getExtraInfo("cipher"), undefined);
  assertEquals(writer.getExtraInfo("cipher", "none"), "none");
  assertStrictEquals(writer.transport, near);
  const [, anonymous] = openStreams(closeOnly(near));
  assertEquals(anonymous.getExtraInfo("peername"), undefined);
});

Deno.test("StreamWriter.write() takes text and bytes only", async () => {
  const { writer, near } = open();
  for (const data of [1, null, undefined, {}, [1], new ArrayBuffer(1)]) {
    assertThrows(() => writer.write(data as unknown as string), TypeError, "Cannot use data: expected ");
  }
  await settle();
  assertEquals(near.writes, []);
});

Deno.test("StreamWriter fails on a Duplex that counts wrongly", async () => {
  for (const n of [0, -1, 4, NaN]) {
    const duplex: Duplex = { read: () => Promise.resolve(null), write: () => Promise.resolve(n), close() {} };
    const writer = new StreamWriter(duplex, null, { highWaterMark: 0 });
    writer.write("abc");
    await assertRejects(() => writer.drain(), TypeError, `write() returned ${n}, expected 1 to 3`);
  }
});
