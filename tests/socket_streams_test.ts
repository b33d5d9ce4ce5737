/** SSLSocket.readable and SSLSocket.writable. */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { encodeText } from "../lib/bytes.ts";
import { SSLEOFError } from "../lib/errors.ts";
import { pattern } from "./stream_helpers.ts";
import {
  assertKind,
  closeBoth,
  idle,
  isPending,
  pair,
  readText,
  SHORT,
  tcp,
  test,
  wrapBoth,
} from "./sockets.ts";

const MIB = 1024 * 1024;

/** All of a stream. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A stream of `bytes` in pieces. */
function streamOf(bytes: Uint8Array<ArrayBuffer>, size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.subarray(at, at += size));
      if (at >= bytes.length) controller.close();
    },
  });
}

test("SSLSocket.readable and writable are made once", async () => {
  const { client } = await pair();
  assertStrictEquals(client.readable, client.readable);
  assertStrictEquals(client.writable, client.writable);
  assertEquals([client.readable.locked, client.writable.locked], [false, false]);
  client.abort();
});

test("SSLSocket.readable pipes to an echo's writable, and ends with close_notify", async () => {
  const [client, server] = await wrapBoth(...await tcp());
  const echoing = server.readable.pipeTo(server.writable);
  const data = pattern(2 * MIB);
  const [echoed] = await Promise.all([
    collect(client.readable),
    streamOf(data, 50_001).pipeTo(client.writable),
  ]);
  assertEquals(Buffer.compare(echoed, data), 0);
  await echoing;
  await closeBoth(client, server);
});

test("SSLSocket.readable passes through a TransformStream", async () => {
  const { client, server } = await pair();
  const lines = client.readable.pipeThrough(new TextDecoderStream());
  await server.write(encodeText("h\u00e9"));
  await server.closeWrite();
  assertEquals(await Array.fromAsync(lines), ["h\u00e9"]);
});

test("SSLSocket.readable fills the buffer of a BYOB reader", async () => {
  const { client, server } = await pair();
  const reader = client.readable.getReader({ mode: "byob" });
  await server.write(encodeText("abcdefgh"));
  const first = await reader.read(new Uint8Array(3));
  assertEquals(first, { done: false, value: encodeText("abc") });
  const room = new Uint8Array(10).subarray(4);
  assertEquals((await reader.read(room)).value, encodeText("defgh"));
  await server.closeWrite();
  assertEquals((await reader.read(new Uint8Array(3))).done, true);
  await reader.closed;
});

test("SSLSocket.readable takes a BYOB reader's smallest amount", async () => {
  const { client, server } = await pair();
  const reader = client.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10), { min: 4 });
  await server.write(encodeText("ab"));
  assertEquals(await isPending(reading), true);
  await server.write(encodeText("cde"));
  assertEquals((await reading).value, encodeText("abcde"));
  client.abort();
});

test("SSLSocket.readable reads nothing before it is read", async () => {
  const { client, server, near } = await pair();
  await client.read(new Uint8Array(0));
  const before = near.reads.length;
  const { readable } = client;
  await server.write(encodeText("waits"));
  await idle();
  assertEquals(near.reads.length, before);
  const reader = readable.getReader();
  assertEquals((await reader.read()).value, encodeText("waits"));
  client.abort();
});

test("SSLSocket.readable refuses a read() beside its own", async () => {
  const { client, server } = await pair();
  const reading = client.readable.getReader().read();
  await idle();
  await assertRejects(() => client.read(new Uint8Array(1)), TypeError, "another read is waiting");
  await server.write(encodeText("x"));
  assertEquals((await reading).value, encodeText("x"));
});

test("SSLSocket.readable.cancel() closes the socket", async () => {
  const { client, server, near } = await pair();
  const cancelling = client.readable.cancel();
  assertEquals(await readText(server), null);
  await server.close();
  await cancelling;
  assertEquals(near.closed, true);
});

test("SSLSocket.readable.cancel() closes the socket also while a read waits", async () => {
  const { client, server, near } = await pair({ client: { shutdownTimeout: SHORT } });
  const reader = client.readable.getReader();
  const reading = reader.read();
  await idle();
  const cancelling = reader.cancel();
  assertEquals((await reading).done, true);
  await cancelling;
  assertEquals(near.closed, true);
  server.abort();
});

test("SSLSocket.readable errors at an end without close_notify", async () => {
  const { client, server, far } = await pair();
  const collecting = collect(client.readable);
  await server.write(encodeText("cut"));
  await far.closeWrite();
  await assertRejects(() => collecting, SSLEOFError);
});

test("SSLSocket.readable errors when the socket is aborted", async () => {
  const { client } = await pair();
  const reading = client.readable.getReader().read();
  await idle();
  client.abort();
  await assertKind(reading, "closed");
});

test("SSLSocket.writable passes the peer's slowness on", async () => {
  const { client, server } = await pair({ pipe: { capacity: 10_000 } });
  const writer = client.writable.getWriter();
  const first = writer.write(pattern(300_000));
  assertEquals([await isPending(first), await isPending(writer.ready)], [true, true]);
  const second = writer.write(encodeText("behind"));
  let total = 0;
  const buffer = new Uint8Array(16384);
  while (total < 300_006) total += (await server.read(buffer))!;
  await Promise.all([first, second, writer.ready]);
  client.abort();
});

test("SSLSocket.writable.close() sends close_notify, and reading goes on", async () => {
  const { client, server } = await pair();
  const writer = client.writable.getWriter();
  await writer.write(encodeText("the question"));
  await writer.close();
  assertEquals([await readText(server), await readText(server)], ["the question", null]);
  await server.write(encodeText("the answer"));
  assertEquals(await readText(client), "the answer");
  await closeBoth(client, server);
});

test("SSLSocket.writable.abort() drops the connection: the peer must not take the part for the whole", async () => {
  const { client, server, near } = await pair();
  const writer = client.writable.getWriter();
  await writer.write(encodeText("half a "));
  await writer.abort(new Error("no more"));
  assertEquals(near.closed, true);
  await assertRejects(() => server.read(new Uint8Array(100)), SSLEOFError);
});

test("SSLSocket.writable drops the connection when what is piped to it fails", async () => {
  const { client, server } = await pair();
  const cause = new Error("the disk is gone");
  const failing = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encodeText("half a "));
    },
    pull(controller) {
      controller.error(cause);
    },
  });
  assertStrictEquals(await assertRejects(() => failing.pipeTo(client.writable)), cause);
  await assertKind(client.read(new Uint8Array(1)), "closed");
  await assertRejects(() => server.read(new Uint8Array(100)), SSLEOFError);
});

test("SSLSocket.writable refuses chunks that are no bytes", async () => {
  const { client } = await pair();
  const writer = client.writable.getWriter();
  await assertRejects(() => writer.write("text" as unknown as Uint8Array), TypeError, "Cannot use chunk: ");
  await assertRejects(() => writer.closed, TypeError);
});

test("SSLSocket.writable errors when the connection breaks", async () => {
  const { client, near } = await pair();
  const writer = client.writable.getWriter();
  const cause = new Deno.errors.BrokenPipe("broken");
  near.failWrites(cause);
  const error = await assertKind(writer.write(encodeText("x")), "eof");
  assertStrictEquals(error.cause, cause);
  assertStrictEquals(await assertRejects(() => writer.closed), error);
});

test("SSLSocket.readable and writable drive a deferred handshake", async () => {
  const { client, server } = await pair({ client: { doHandshake: false }, server: { doHandshake: false } });
  const writer = client.writable.getWriter();
  const [, received] = await Promise.all([
    writer.write(encodeText("first use")),
    server.readable.getReader().read(),
  ]);
  assertEquals(received.value, encodeText("first use"));
  assert(client.version() !== undefined);
});
