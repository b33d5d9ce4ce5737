import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { IncompleteReadError, LimitOverrunError, StreamReader } from "../lib/streams.ts";
import { CHUNK_SIZES, feed, isPending, KIB, open, pattern, send, settle, text } from "./stream_helpers.ts";

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
  const given = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 10, 10, 10, 10];
  const duplex: Duplex = {
    read: (p) => Promise.resolve(given[sizes.push(p.length) - 1] ?? null),
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
  const reader = new StreamReader(duplex);
  for (const n of given) assertEquals((await reader.read(KIB * KIB)).length, n);
  assertEquals(sizes, [1, 4, 16, 64, 64, 16, 4, 1].map((size) => size * KIB));
});

Deno.test("StreamReader gives bytes that later reads do not change", async () => {
  const { reader, far } = open();
  await send(far, pattern(KIB));
  const first = await reader.read(KIB); // the whole buffer, handed over
  const copy = first.slice();
  await send(far, pattern(100).fill(1));
  const second = await reader.read(KIB); // a part of it, copied
  await send(far, pattern(KIB).fill(2));
  await reader.read(KIB);
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
      `read() returned ${n}, expected 1 to 1024`,
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
