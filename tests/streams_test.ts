import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import {
  IncompleteReadError,
  LimitOverrunError,
  openStreams,
  type StreamOptions,
  StreamReader,
  StreamWriter,
} from "../lib/streams.ts";
import { pipe, type PipeEnd, type PipeOptions } from "./pipe.ts";

const KIB = 1024;
const CHUNK_SIZES = [1, 3, Infinity]; // bytes per read: a byte at a time, across separators, whole

/** Streams over one end of a pipe, and the other end. */
function open<Options extends object = object>(
  options: StreamOptions<Options> & PipeOptions = {},
): { reader: StreamReader; writer: StreamWriter<Options>; near: PipeEnd; far: PipeEnd } {
  const [near, far] = pipe(options);
  const [reader, writer] = openStreams(near, options);
  return { reader, writer, near, far };
}

async function send(end: Duplex, data: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const bytes = typeof data === "string" ? encodeText(data) : data;
  for (let sent = 0; sent < bytes.length;) sent += await end.write(bytes.subarray(sent));
}

/** A reader to which the peer sends `data` and then ends the stream. */
async function feed(data: string, options: StreamOptions & PipeOptions = {}): Promise<StreamReader> {
  const { reader, far } = open(options);
  await send(far, data);
  await far.closeWrite();
  return reader;
}

/** What `end` reads, as text, until the end of the stream. */
async function receiveAll(end: Duplex): Promise<string> {
  return decodeText(await new StreamReader(end).read());
}

/** Enough turns of the microtask queue for everything that does not wait for the test. */
async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await null;
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(() => pending = false, () => pending = false);
  await settle();
  return pending;
}

async function text(bytes: Promise<Uint8Array>): Promise<string> {
  return decodeText(await bytes);
}

function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

// ---- StreamReader ----

for (const chunkSize of CHUNK_SIZES) {
  const by = `by ${chunkSize} bytes`;

  Deno.test(`StreamReader.readline() splits lines and gives an unfinished last one, ${by}`, async () => {
    const reader = await feed("one\n\ntwo\r\nthree", { chunkSize });
    assertEquals(await text(reader.readline()), "one\n");
    assertEquals(await text(reader.readline()), "\n");
    assertEquals(await text(reader.readline()), "two\r\n");
    assertEquals(reader.atEof(), false);
    assertEquals(await text(reader.readline()), "three");
    assertEquals(reader.atEof(), true);
    assertEquals(await text(reader.readline()), "");
  });

  Deno.test(`StreamReader.readuntil() finds a separator wherever chunks end, ${by}`, async () => {
    const reader = await feed("a\rb\r\n\rc\r\n\r\n\r\nrest\r\n", { chunkSize });
    assertEquals(await text(reader.readuntil("\r\n\r\n")), "a\rb\r\n\rc\r\n\r\n");
    assertEquals(await text(reader.readuntil(encodeText("\r\n"))), "\r\n");
    assertEquals(await text(reader.readuntil()), "rest\r\n");
  });

  Deno.test(`StreamReader.readuntil() finds a separator that repeats its own beginning, ${by}`, async () => {
    const reader = await feed("aaaaaab-aabaaab-", { chunkSize });
    assertEquals(await text(reader.readuntil("aaab")), "aaaaaab");
    assertEquals(await text(reader.readuntil("aaab")), "-aabaaab");
  });

  Deno.test(`StreamReader.readuntil() rejects with what came when the stream ends, ${by}`, async () => {
    const reader = await feed("no end\r", { chunkSize });
    const error = await assertRejects(() => reader.readuntil("\r\n"), IncompleteReadError);
    assertEquals(decodeText(error.partial), "no end\r");
    assertEquals(error.expected, null);
    assertEquals(
      error.message,
      "Cannot complete read: stream ended after 7 bytes, separator not found",
    );
    assertEquals(reader.atEof(), true);
  });

  Deno.test(`StreamReader.readexactly() crosses chunks and keeps the rest, ${by}`, async () => {
    const reader = await feed("abcdefghij", { chunkSize });
    assertEquals(await text(reader.readexactly(0)), "");
    assertEquals(await text(reader.readexactly(7)), "abcdefg");
    assertEquals(await text(reader.readexactly(3)), "hij");
  });

  Deno.test(`StreamReader.readexactly() rejects with what came when the stream ends, ${by}`, async () => {
    const reader = await feed("abc", { chunkSize });
    const error = await assertRejects(() => reader.readexactly(10), IncompleteReadError);
    assertEquals(decodeText(error.partial), "abc");
    assertEquals(error.expected, 10);
    assertEquals(error.message, "Cannot complete read: stream ended after 3 of 10 bytes");
    assertEquals(await text(reader.read()), "");
  });

  Deno.test(`StreamReader.read() reads to the end of the stream, ${by}`, async () => {
    const reader = await feed("line\nand the rest", { chunkSize });
    assertEquals(await text(reader.readline()), "line\n");
    assertEquals(await text(reader.read()), "and the rest");
    assertEquals(await text(reader.read(-1)), "");
  });

  Deno.test(`StreamReader.readuntil() keeps the data when the limit is overrun, ${by}`, async () => {
    const reader = await feed("0123456789\nnext\n", { chunkSize, limit: 8 });
    const error = await assertRejects(
      () => reader.readuntil("\n"),
      LimitOverrunError,
      "Cannot readuntil(): ",
    );
    assertEquals(error.consumed, chunkSize === Infinity ? 10 : 9); // asyncio: what is known not to be separator
    assertEquals(await text(reader.readexactly(11)), "0123456789\n");
    assertEquals(await text(reader.readuntil("\n")), "next\n");
  });

  Deno.test(`StreamReader.readuntil() gives as many bytes as the limit, separator not counted, ${by}`, async () => {
    const reader = await feed("12345678\r\n123456789\r\n", { chunkSize, limit: 8 });
    assertEquals(await text(reader.readuntil("\r\n")), "12345678\r\n");
    await assertRejects(() => reader.readuntil("\r\n"), LimitOverrunError);
  });

  Deno.test(`StreamReader gives all bytes of a large stream in order, ${by}`, async () => {
    const { reader, far } = open({ chunkSize, capacity: 4 * KIB });
    const sent = pattern(40 * KIB);
    const sending = send(far, sent).then(() => far.closeWrite());
    const parts: Uint8Array[] = [];
    for (let n = 1; !reader.atEof(); n = (n * 5) % 8191) {
      parts.push(n % 2 ? await reader.read(n) : await reader.readexactly(n).catch((error) => error.partial));
    }
    await sending;
    assertEquals(new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()), sent);
  });
}

Deno.test("StreamReader.readline() drops the whole line over the limit when its end has come", async () => {
  const reader = await feed("0123456789\nnext\n", { limit: 8 });
  const error = await assertRejects(() => reader.readline(), LimitOverrunError);
  assertEquals(error.message, "Cannot readline(): separator comes after 10 bytes, limit is 8");
  assertEquals(await text(reader.readline()), "next\n");
});

Deno.test("StreamReader.readline() drops what came of a line over the limit", async () => {
  const reader = await feed("0123456789\nnext\n", { limit: 8, chunkSize: 3 });
  const error = await assertRejects(() => reader.readline(), LimitOverrunError);
  assertEquals(error.message, "Cannot readline(): no separator in 9 bytes, limit is 8");
  assertEquals(await text(reader.readline()), "9\n");
  assertEquals(await text(reader.readline()), "next\n");
});

Deno.test("StreamReader holds no more than the limit and one read of a line without end", async () => {
  const { reader, near, far } = open({ capacity: 64 * KIB });
  const sending = send(far, pattern(512 * KIB).fill(65));
  await assertRejects(() => reader.readline(), LimitOverrunError);
  const held = near.reads.reduce((sum, n) => sum + n, 0);
  assertEquals(held <= 64 * KIB + 64 * KIB, true, `${held} bytes were read`);
  near.close();
  await assertRejects(() => sending, Deno.errors.BrokenPipe);
});

Deno.test("StreamReader iterates over lines", async () => {
  const reader = await feed("a\nb\n\nc");
  const lines: string[] = [];
  for await (const line of reader) lines.push(decodeText(line));
  assertEquals(lines, ["a\n", "b\n", "\n", "c"]);
});

Deno.test("StreamReader goes on after a loop over its lines was left", async () => {
  const reader = await feed("a\nb\nc\n");
  for await (const line of reader) {
    assertEquals(decodeText(line), "a\n");
    break;
  }
  assertEquals(await text(reader.read()), "b\nc\n");
});

Deno.test("StreamReader.read() gives what is there without waiting for more", async () => {
  const { reader, far } = open();
  await send(far, "abc");
  assertEquals(await text(reader.read(2)), "ab");
  assertEquals(await text(reader.read(100)), "c");
  const pending = reader.read(100);
  assertEquals(await isPending(pending), true);
  await send(far, "d");
  assertEquals(await text(pending), "d");
});

Deno.test("StreamReader.read() with n = 0 is empty at once", async () => {
  const { reader } = open();
  assertEquals(await reader.read(0), new Uint8Array(0));
  assertEquals(reader.atEof(), false);
});

Deno.test("StreamReader reads from the Duplex only while a call waits for data", async () => {
  const { reader, near, far } = open({ chunkSize: 4 });
  await send(far, "abcdefgh\nijklmnop\n");
  await settle();
  assertEquals(near.reads, []);
  assertEquals(await text(reader.readline()), "abcdefgh\n");
  assertEquals(near.reads, [4, 4, 4]);
});

Deno.test("StreamReader.read() stops at maxBuffered and keeps the data", async () => {
  const reader = await feed("0123456789", { maxBuffered: 8, chunkSize: 3, highWaterMark: 1 });
  const error = await assertRejects(() => reader.read(), LimitOverrunError);
  assertEquals(error.message, "Cannot read(): 9 bytes are more than maxBuffered, which is 8");
  assertEquals(error.consumed, 9);
  assertEquals(await text(reader.read(100)), "012345678");
  assertEquals(await text(reader.read()), "9");
});

Deno.test("StreamReader.readexactly() refuses more than maxBuffered before it reads", async () => {
  const { reader, near } = open();
  const error = await assertRejects(() => reader.readexactly(2 ** 40), LimitOverrunError);
  assertEquals(error.consumed, 0);
  assertEquals(near.reads, []);
});

Deno.test("StreamReader.readexactly() takes no memory for bytes that have not come", async () => {
  const sizes: number[] = [];
  const duplex: Duplex = {
    read: (p) => Promise.resolve(sizes.push(p.length) > 3 ? null : 1),
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
  await assertRejects(() => new StreamReader(duplex).readexactly(32 * KIB * KIB), IncompleteReadError);
  assertEquals(Math.max(...sizes), 64 * KIB);
});

Deno.test("StreamReader asks the Duplex for more once bytes come in bulk, and for less in a trickle", async () => {
  const sizes: number[] = [];
  const given = [4 * KIB, 16 * KIB, 64 * KIB, 10, 10, 10];
  const duplex: Duplex = {
    read: (p) => Promise.resolve(given[sizes.push(p.length) - 1] ?? null),
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
  const reader = new StreamReader(duplex);
  for (const n of given) assertEquals((await reader.read(KIB * KIB)).length, n);
  assertEquals(sizes, [4 * KIB, 16 * KIB, 64 * KIB, 64 * KIB, 16 * KIB, 4 * KIB]);
});

Deno.test("StreamReader gives bytes that later reads do not change", async () => {
  const { reader, far } = open();
  await send(far, pattern(4 * KIB));
  const first = await reader.read(4 * KIB); // the whole buffer, handed over
  const copy = first.slice();
  await send(far, pattern(100).fill(1));
  const second = await reader.read(4 * KIB); // a part of it, copied
  await send(far, pattern(4 * KIB).fill(2));
  await reader.read(4 * KIB);
  assertEquals(first, copy);
  assertEquals(second, new Uint8Array(100).fill(1));
});

Deno.test("StreamReader rejects a second call and names both", async () => {
  const { reader, far } = open();
  const first = reader.read(10);
  await assertRejects(
    () => reader.readline(),
    Error,
    "Cannot readline(): read() is already waiting for data",
  );
  await assertRejects(() => reader.read(1), Error, "Cannot read(): read() is already waiting for data");
  await send(far, "abc\n");
  assertEquals(await text(first), "abc\n");
  await far.closeWrite();
  assertEquals(await text(reader.readline()), "");
});

Deno.test("StreamReader rejects a second call even when its bytes are buffered", async () => {
  const { reader, far } = open();
  await send(far, "abc");
  const first = reader.readexactly(5);
  await settle();
  await assertRejects(() => reader.read(1), Error, "readexactly() is already waiting for data");
  await send(far, "de");
  assertEquals(await text(first), "abcde");
});

Deno.test("StreamReader keeps the error of the Duplex and raises it before buffered bytes", async () => {
  const { reader, near, far } = open();
  await send(far, "abc");
  const pending = reader.readexactly(5);
  await settle();
  const reset = new Deno.errors.ConnectionReset("Cannot go on: reset");
  near.failReads(reset);
  assertStrictEquals(await assertRejects(() => pending), reset);
  assertStrictEquals(await assertRejects(() => reader.read(1)), reset);
  assertStrictEquals(await assertRejects(() => reader.read(0)), reset);
  assertStrictEquals(await assertRejects(() => reader.readline()), reset);
  assertEquals(reader.atEof(), false);
});

Deno.test("StreamReader.read() ends as at the end of the stream when the writer closes", async () => {
  const { reader, writer } = open();
  const pending = reader.read(10);
  await settle();
  writer.close();
  assertEquals(await text(pending), "");
  assertEquals(reader.atEof(), true);
  assertEquals(await text(reader.readline()), "");
  await writer.waitClosed();
});

Deno.test("StreamReader.readexactly() is incomplete when the writer aborts", async () => {
  const { reader, writer, far } = open();
  await send(far, "abc");
  const pending = reader.readexactly(10);
  await settle();
  writer.abort();
  assertEquals(decodeText((await assertRejects(() => pending, IncompleteReadError)).partial), "abc");
});

Deno.test("StreamReader checks its arguments before it reads", async () => {
  const { reader, near } = open();
  await assertRejects(() => reader.read(-2), RangeError, "Cannot use n: ");
  await assertRejects(() => reader.read(1.5), RangeError, "Cannot use n: ");
  await assertRejects(() => reader.readexactly(-1), RangeError, "Cannot use n: ");
  await assertRejects(() => reader.readexactly(NaN), RangeError, "Cannot use n: ");
  await assertRejects(() => reader.readuntil(""), RangeError, "Cannot readuntil(): separator is empty");
  await assertRejects(() => reader.readuntil(10 as unknown as string), TypeError, "Cannot use separator: ");
  assertEquals(near.reads, []);
});

Deno.test("StreamReader rejects a Duplex that counts wrongly", async () => {
  for (const n of [0, -1, 1.5, 1e9]) {
    const duplex: Duplex = {
      read: () => Promise.resolve(n),
      write: (p) => Promise.resolve(p.length),
      close() {},
    };
    await assertRejects(
      () => new StreamReader(duplex).read(),
      TypeError,
      `read() returned ${n}, expected 1 to 4096`,
    );
  }
});

Deno.test("StreamReader does not read again after the end of the stream", async () => {
  let reads = 0;
  const duplex: Duplex = {
    read: () => Promise.resolve(reads++ === 0 ? null : 1),
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
  const reader = new StreamReader(duplex);
  for (let i = 0; i < 3; i++) assertEquals(await text(reader.read(10)), "");
  assertEquals(reads, 1);
});

Deno.test("IncompleteReadError prints no data", async () => {
  const reader = await feed("secret");
  const error = await assertRejects(() => reader.readexactly(7), IncompleteReadError);
  assertEquals(Object.keys(error).includes("partial"), false);
  assertEquals(Deno.inspect(error).includes("115"), false);
  assertEquals(JSON.stringify(error).includes("115"), false);
});

// ---- StreamWriter ----

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

// ---- openStreams, startTls ----

Deno.test("openStreams() checks its options", () => {
  const [near] = pipe();
  for (const limit of [0, -1, 1.5, NaN, "8"]) {
    assertThrows(() => openStreams(near, { limit: limit as number }), RangeError, "Cannot use limit: ");
  }
  assertThrows(() => openStreams(near, { highWaterMark: -1 }), RangeError, "Cannot use highWaterMark: ");
  assertThrows(
    () => openStreams(near, { highWaterMark: 100, maxBuffered: 99 }),
    RangeError,
    "Cannot use maxBuffered: expected a whole number of at least 100, got 99",
  );
  assertThrows(() => openStreams({} as Duplex), TypeError);
});

Deno.test("openStreams() takes a pair of streams", async () => {
  const [reader, writer] = openStreams(new TransformStream<Uint8Array, Uint8Array>());
  writer.write("echo\n");
  assertEquals(await text(reader.readline()), "echo\n");
  writer.close();
  await writer.waitClosed();
});

/** Without closeWrite(), abort() and addresses. */
function closeOnly(end: Duplex): Duplex {
  return { read: (p) => end.read(p), write: (p) => end.write(p), close: () => end.close() };
}

/** Stands for TLS: each byte travels XORed with a key, and `initialData` comes before what is read. */
class Cipher implements Duplex {
  readonly below: Duplex;
  readonly #key: number;
  #initialData: Uint8Array;

  constructor(below: Duplex, key: number, initialData: Uint8Array = new Uint8Array(0)) {
    this.below = below;
    this.#key = key;
    this.#initialData = initialData;
  }

  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    let n: number | null = Math.min(p.length, this.#initialData.length);
    p.set(this.#initialData.subarray(0, n));
    this.#initialData = this.#initialData.subarray(n);
    if (n === 0) n = await this.below.read(p);
    for (let i = 0; i < (n ?? 0); i++) p[i]! ^= this.#key;
    return n;
  }

  write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    return this.below.write(p.map((byte) => byte ^ this.#key));
  }

  close(): void | Promise<void> {
    return this.below.close();
  }
}

interface CipherOptions {
  key: number;
  initialData?: Uint8Array;
}

// deno-lint-ignore require-await -- has the shape of wrapSocket
async function wrap(duplex: Duplex, { key, initialData }: CipherOptions): Promise<Cipher> {
  return new Cipher(duplex, key, initialData);
}

Deno.test("StreamWriter.startTls() continues both streams over the upgraded Duplex", async () => {
  const { reader, writer, near, far } = open<CipherOptions>({ upgrade: wrap });
  const secure = new Cipher(far, 7);
  writer.write("STARTTLS\n"); // goes out in the clear, before the upgrade
  await writer.startTls({ key: 7 });
  assertEquals(await text(new StreamReader(far).readexactly(9)), "STARTTLS\n");
  writer.write("secret\n");
  await send(secure, "answer\n");
  assertEquals(await text(reader.readline()), "answer\n");
  assertEquals(await text(new StreamReader(secure).readexactly(7)), "secret\n");
  assertEquals((writer.transport as Cipher).below, near);
  writer.close();
  await writer.waitClosed();
  assertEquals(near.closed, true);
});

Deno.test("StreamWriter.startTls() hands buffered bytes to the upgrade, never to a later read", async () => {
  const { reader, writer, far } = open<CipherOptions>({ upgrade: wrap });
  await send(far, "go ahead\nINJECTED\n"); // plaintext after the answer: from whoever sits on the line
  assertEquals(await text(reader.readline()), "go ahead\n");
  await writer.startTls({ key: 7 });
  const secure = new Cipher(far, 7);
  await send(secure, "real\n");
  await secure.below.closeWrite?.();
  const all = await text(reader.read());
  assertEquals(all.includes("INJECTED"), false);
  assertEquals(all.endsWith("real\n"), true);
});

Deno.test("StreamWriter.startTls() reads on over a Duplex that has not ended", async () => {
  const [inner, peer] = pipe();
  const { reader, writer, far } = open({ upgrade: () => Promise.resolve(inner) });
  await far.closeWrite();
  assertEquals(await text(reader.read()), "");
  await writer.startTls();
  assertEquals(reader.atEof(), false);
  await send(peer, "more\n");
  assertEquals(await text(reader.readline()), "more\n");
});

Deno.test("StreamWriter.startTls() needs an upgrade", async () => {
  const { writer } = open();
  const message = "Cannot startTls(): streams were opened without upgrade";
  await assertRejects(() => writer.startTls(), TypeError, message);
  writer.write("still usable");
  await writer.drain();
});

Deno.test("StreamWriter.startTls() rejects while a read waits, and harms nothing", async () => {
  const { reader, writer, far } = open<CipherOptions>({ upgrade: wrap });
  const pending = reader.readline();
  await assertRejects(
    () => writer.startTls({ key: 7 }),
    Error,
    "Cannot startTls(): readline() is already waiting for data",
  );
  await send(far, "plain\n");
  assertEquals(await text(pending), "plain\n");
  await writer.startTls({ key: 7 });
});

Deno.test("StreamWriter.startTls() locks reads and writes until it is done", async () => {
  const upgraded = Promise.withResolvers<Duplex>();
  const { reader, writer, near } = open({ upgrade: () => upgraded.promise });
  const upgrading = writer.startTls();
  assertThrows(() => writer.write("x"), Error, "Cannot write to stream: startTls() is not done");
  await assertRejects(() => writer.startTls(), Error, "Cannot startTls(): startTls() is not done");
  await assertRejects(() => reader.read(1), Error, "Cannot read(): startTls() is already waiting for data");
  upgraded.resolve(new Cipher(near, 7));
  await upgrading;
  writer.write("x");
  assertEquals(await text(reader.read(0)), "");
});

Deno.test("StreamWriter.startTls() fails both streams and closes when the upgrade fails", async () => {
  const refused = new Error("Cannot complete handshake: refused");
  const { reader, writer, near, far } = open({ upgrade: () => Promise.reject(refused) });
  await send(far, "buffered\nrest");
  await reader.readline();
  assertStrictEquals(await assertRejects(() => writer.startTls()), refused);
  assertStrictEquals(await assertRejects(() => reader.read(1)), refused);
  assertStrictEquals(assertThrows(() => writer.write("x")), refused);
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), refused);
  assertEquals(near.closed, true);
});

Deno.test("StreamWriter.startTls() does not upgrade when what was written cannot be sent", async () => {
  let upgrades = 0;
  const { writer, near } = open({
    upgrade: (duplex) => {
      upgrades++;
      return Promise.resolve(duplex);
    },
  });
  const reset = new Deno.errors.ConnectionReset("Cannot go on: reset");
  near.failWrites(reset);
  writer.write("STARTTLS\n");
  assertStrictEquals(await assertRejects(() => writer.startTls()), reset);
  assertEquals(upgrades, 0);
  assertStrictEquals(await assertRejects(() => writer.waitClosed()), reset);
});

Deno.test("StreamWriter.close() during startTls() closes the upgraded Duplex", async () => {
  const upgraded = Promise.withResolvers<Duplex>();
  const { writer, near } = open({ upgrade: () => upgraded.promise });
  const upgrading = writer.startTls();
  await settle();
  writer.close();
  const closed = writer.waitClosed();
  assertEquals(await isPending(closed), true);
  let closes = 0;
  upgraded.resolve({ ...closeOnly(near), close: () => void closes++ });
  await upgrading;
  await closed;
  assertEquals([closes, near.closed], [1, false]); // the upgraded one closes what is below
});

Deno.test("StreamWriter.abort() during startTls() closes what the upgrade still gives", async () => {
  const upgraded = Promise.withResolvers<Duplex>();
  const { writer, near } = open({ upgrade: () => upgraded.promise });
  const upgrading = writer.startTls();
  await settle();
  writer.abort();
  assertEquals(near.aborted, true);
  await writer.waitClosed();
  let closes = 0;
  upgraded.resolve({ ...closeOnly(near), close: () => void closes++ });
  await assertRejects(() => upgrading, Error, "it was aborted");
  assertEquals(closes, 1);
});

Deno.test("StreamWriter of any options fits where a StreamWriter is asked for", () => {
  const writer: StreamWriter = open<CipherOptions>({ upgrade: wrap }).writer;
  assertEquals(writer.isClosing(), false);
});

// ---- pipe ----

Deno.test("pipe() holds its capacity, then writes wait", async () => {
  const [near, far] = pipe({ capacity: 4 });
  assertEquals(await near.write(encodeText("abcdef")), 4);
  const waiting = near.write(encodeText("ef"));
  assertEquals(await isPending(waiting), true);
  assertEquals(near.unread, 4);
  assertEquals(await far.read(new Uint8Array(3)), 3);
  assertEquals(await waiting, 2);
});

Deno.test("pipe() ends settle what waits when they close", async () => {
  const [near, far] = pipe({ capacity: 1 });
  await near.write(encodeText("a"));
  near.blockReads();
  const waiting = [near.read(new Uint8Array(1)), near.write(encodeText("b"))];
  near.close();
  for (const call of waiting) await assertRejects(() => call, Deno.errors.Interrupted);
  assertThrows(() => near.close(), Deno.errors.BadResource);
  assertEquals(await receiveAll(far), "a");
  await assertRejects(() => far.write(encodeText("c")), Deno.errors.BrokenPipe);
});

Deno.test("pipe() loses what is on its way when an end aborts", async () => {
  const [near, far] = pipe();
  await near.write(encodeText("lost"));
  near.abort();
  await assertRejects(() => far.read(new Uint8Array(4)), Deno.errors.ConnectionReset);
  await assertRejects(() => far.write(encodeText("x")), Deno.errors.ConnectionReset);
});

Deno.test("pipe() delivers what alter() makes of a write", async () => {
  const [near, far] = pipe();
  near.alter = (bytes) => bytes.map((byte) => byte ^ 0x20);
  await near.write(encodeText("Case"));
  near.close();
  assertEquals(await receiveAll(far), "cASE");
});

Deno.test("pipe() keeps a blocked read waiting until it is unblocked", async () => {
  const [near, far] = pipe();
  near.blockReads();
  await far.write(encodeText("a"));
  const waiting = near.read(new Uint8Array(1));
  assertEquals(await isPending(waiting), true);
  near.unblockReads();
  assertEquals(await waiting, 1);
});
