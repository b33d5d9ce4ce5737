import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { Duplex } from "../lib/duplex.ts";
import { openStreams, StreamReader, type StreamWriter } from "../lib/streams.ts";
import { pipe } from "./pipe.ts";
import { closeOnly, isPending, open, send, settle, text } from "./stream_helpers.ts";

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
