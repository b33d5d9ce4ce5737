/**
 * The non-blocking calls, in the scenes of MicroPython's test of a deferred handshake: both ends poll, and what a call
 * waits for is what the TLS layer waits for.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { pattern } from "./stream_helpers.ts";
import { pipe, type PipeOptions } from "./pipe.ts";
import {
  assertTalk,
  assertTook,
  CLIENT,
  closeBoth,
  idle,
  isPending,
  LONG,
  type Pair,
  pair,
  readText,
  seconds,
  SERVER,
  SHORT,
  tcp,
  test,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

const DEFER: WrapSocketOptions = { doHandshake: false };
const WANT_READ = { state: "want-read" } as const;
const WANT_WRITE = { state: "want-write" } as const;
const EOF = { state: "eof" } as const;
const ok = (bytes: number) => ({ state: "ok", bytes }) as const;

/** A pair whose handshake is deferred, in non-blocking mode. */
async function polling(pipe?: PipeOptions): Promise<Pair> {
  const made = await pair({ client: DEFER, server: DEFER, ...(pipe && { pipe }) });
  for (const end of [made.client, made.server]) end.setBlocking(false);
  return made;
}

/** The same, with the handshake done and the server's tickets read. */
async function polled(): Promise<Pair> {
  const made = await pair();
  for (const end of [made.client, made.server]) end.setBlocking(false);
  made.client.tryRead(new Uint8Array(1));
  await idle();
  return made;
}

/** Polls until the call gives something. */
async function until<T extends { state: string }>(
  socket: SSLSocket,
  direction: "read" | "write",
  call: () => T,
): Promise<T> {
  for (;;) {
    const outcome = call();
    if (!outcome.state.startsWith("want")) return outcome;
    assert(await socket.ready(direction, LONG), "never ready");
  }
}

/** Polls until there is text. */
async function tryText(socket: SSLSocket, size = 1000): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const outcome = await until(socket, "read", () => socket.tryRead(buffer));
  return outcome.state === "ok" ? decodeText(buffer.subarray(0, outcome.bytes)) : null;
}

// ---- Modes ----------------------------------------------------------------------------------------------

test("SSLSocket.tryRead(), tryWrite(), tryHandshake() and ready() need setBlocking(false)", async () => {
  const { client, server } = await pair();
  for (
    const [name, call] of Object.entries({
      tryRead: () => client.tryRead(new Uint8Array(1)),
      tryWrite: () => client.tryWrite(new Uint8Array(1)),
      tryHandshake: () => client.tryHandshake(),
    })
  ) assertThrows(call, TypeError, `Cannot ${name}(): call setBlocking(false) first`);
  await assertRejects(() => client.ready("read"), TypeError, "call setBlocking(false) first");
  await assertTalk(client, server);
});

test("SSLSocket.read() and write() need setBlocking(true)", async () => {
  const { client, server } = await polled();
  const message = "the socket is in non-blocking mode; use its try methods";
  await assertRejects(() => client.read(new Uint8Array(1)), TypeError, message);
  await assertRejects(() => client.write(new Uint8Array(1)), TypeError, message);
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ); // and what that started is taken over
  for (const end of [client, server]) end.setBlocking(true);
  await assertTalk(client, server);
});

test("SSLSocket.tryRead() and tryWrite() refuse what is no Uint8Array, and stay usable", async () => {
  const { client, server } = await polled();
  for (const bad of [undefined, "text", [1]]) {
    const p = bad as unknown as Uint8Array<ArrayBuffer>;
    assertThrows(() => client.tryRead(p), TypeError, "Cannot use p: ");
    assertThrows(() => client.tryWrite(p), TypeError, "Cannot use p: ");
  }
  assertEquals(client.tryWrite(encodeText("still")), ok(5));
  assertEquals(await tryText(server), "still");
});

test("SSLSocket.ready() refuses an unknown direction and what is no number of seconds", async () => {
  const { client } = await polled();
  await assertRejects(() => client.ready("both" as "read"), TypeError, "Cannot ready(): ");
  for (const bad of [-1, NaN, "1"]) {
    await assertRejects(() => client.ready("read", bad as number), RangeError, "Cannot use timeout: ");
  }
});

// ---- The handshake --------------------------------------------------------------------------------------

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  for (const chunkSize of [1, Infinity]) {
    test(`SSLSocket.tryHandshake() completes ${version} by polling, ${chunkSize} bytes at a time`, async () => {
      const [near, far] = pipe({ chunkSize });
      const [client, server] = await wrapBoth(near, far, { client: { ...DEFER, sslVersion }, server: DEFER });
      await Promise.all([client, server].map((end) => {
        end.setBlocking(false);
        return until(end, "read", () => end.tryHandshake());
      }));
      assertEquals([client.version(), server.version()], [version, version]);
      assertEquals(client.tryHandshake(), { state: "ok" });
      await closeBoth(client, server);
    });
  }
}

test("SSLSocket.tryRead() before the handshake sends the first flight, and wants to write until it is out", async () => {
  const { client, near } = await polling();
  near.blockWrites();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_WRITE); // the ClientHello is not out
  const ready = client.ready("read");
  assertEquals(await isPending(ready), true);
  near.unblockWrites();
  assertEquals(await ready, true); // so that the caller calls again
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  assertEquals(near.writes.length, 1);
  const again = client.ready("read", SHORT);
  assertTook(await seconds(again), SHORT);
  assertEquals(await again, false);
});

test("SSLSocket.ready() for writing waits for the peer while the handshake does", async () => {
  const { client, server } = await polling();
  client.tryWrite(encodeText("first"));
  await idle();
  assertEquals(client.tryWrite(encodeText("first")), WANT_READ); // nothing was taken
  const ready = client.ready("write");
  assertEquals(await isPending(ready), true);
  server.tryHandshake();
  await server.ready("read");
  server.tryHandshake(); // the server's flight
  assertEquals(await ready, true);
  const [written, text] = await Promise.all([
    until(client, "write", () => client.tryWrite(encodeText("first"))),
    tryText(server),
  ]);
  assertEquals([written, text], [ok(5), "first"]);
});

test("SSLSocket.ready() is true before the first call, which starts the handshake", async () => {
  const { client, server, near, far } = await polling();
  for (const end of [client, server]) {
    assertEquals([await end.ready("write", LONG), await end.ready("read", LONG)], [true, true]);
  }
  assertEquals([near.writes, far.writes, far.reads], [[], [], []]);
  const outcomes = await Promise.all([
    until(client, "write", () => client.tryWrite(encodeText("x"))),
    tryText(server),
  ]);
  assertEquals(outcomes, [ok(1), "x"]);
});

test("SSLSocket.tryRead() throws at garbage instead of a handshake, and throws the same from then on", async () => {
  const { client, far } = await polling();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_WRITE);
  await idle();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  await far.write(encodeText("fooba"));
  assertEquals(await client.ready("read", LONG), true);
  const error = assertThrows(() => client.tryRead(new Uint8Array(1)), SSLError);
  assertEquals(error.kind, "protocol");
  assertStrictEquals(assertThrows(() => client.tryRead(new Uint8Array(1))), error);
  assertStrictEquals(assertThrows(() => client.tryWrite(new Uint8Array(1))), error);
  assertStrictEquals(assertThrows(() => client.tryHandshake()), error);
  assertEquals([await client.ready("read"), await client.ready("write")], [true, true]); // to hear of it
  far.close();
  await client.close();
});

test("SSLSocket.tryRead() tells the peer why before close() ends the connection", async () => {
  const [near, far] = await tcp();
  const server = await wrapSocket(near, { ...SERVER, ...DEFER });
  server.setBlocking(false);
  const received = new Response(far.readable).arrayBuffer();
  await far.write(new Uint8Array(50_000).fill(0x20));
  await assertRejects(() => until(server, "read", () => server.tryRead(new Uint8Array(1))), SSLError);
  const closing = server.close();
  assertEquals(new Uint8Array(await received).at(-2), 2); // a fatal alert
  await closing;
});

test("SSLSocket.tryHandshake() ends in time in non-blocking mode", async () => {
  for (const options of [CLIENT, SERVER]) {
    const [near] = pipe();
    const socket = await wrapSocket(near, { ...options, ...DEFER, timeout: SHORT });
    socket.setBlocking(false);
    const polling = until(socket, "read", () => socket.tryRead(new Uint8Array(1)));
    assertTook(await seconds(polling), SHORT);
    const error = await assertRejects(() => polling, SSLError, `timed out after ${SHORT} seconds`);
    assertEquals(error.kind, "timeout");
    assertStrictEquals(assertThrows(() => socket.tryHandshake()), error);
    await socket.close();
    assertEquals(near.closed, true);
  }
});

test("SSLSocket.tryHandshake() ends with its signal", async () => {
  const abort = new AbortController();
  const socket = await wrapSocket(pipe()[0], { ...CLIENT, ...DEFER, signal: abort.signal });
  socket.setBlocking(false);
  socket.tryHandshake();
  const reason = new Error("stop");
  abort.abort(reason);
  assertStrictEquals(assertThrows(() => socket.tryHandshake()), reason);
  assertStrictEquals(assertThrows(() => socket.tryRead(new Uint8Array(1))), reason);
  await socket.close();
});

test("SSLSocket.setBlocking(true) in the middle of a handshake lets handshake() end it", async () => {
  const { client, server } = await polling();
  client.tryHandshake();
  server.tryHandshake();
  for (const end of [client, server]) end.setBlocking(true);
  await Promise.all([client.handshake(), server.handshake()]);
  await assertTalk(client, server);
});

// ---- Reading --------------------------------------------------------------------------------------------

test("SSLSocket.tryRead() waits for the rest of a record, then gives what it has without the transport", async () => {
  const { client, server, near, far } = await polled();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  const record: Uint8Array[] = [];
  far.alter = (bytes) => {
    record.push(bytes);
    return new Uint8Array(0);
  };
  server.tryWrite(encodeText("abcd"));
  await idle();
  far.alter = (bytes) => bytes;
  await far.write(record[0]!.slice(0, 9) as Uint8Array<ArrayBuffer>);
  assertEquals(await client.ready("read", LONG), true);
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ); // a part of the record
  const ready = client.ready("read");
  assertEquals(await isPending(ready), true);
  await far.write(record[0]!.slice(9) as Uint8Array<ArrayBuffer>);
  assertEquals(await ready, true);
  near.blockReads();
  assertEquals(await tryText(client, 2), "ab");
  assertEquals([client.pending(), await client.ready("read", LONG)], [2, true]);
  assertEquals(await tryText(client, 2), "cd");
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  assertEquals(await client.ready("read", SHORT), false);
});

test("SSLSocket.tryRead() wants to read, whatever else waits to be written", async () => {
  const { client, server, near } = await polled();
  near.blockWrites();
  assertEquals(client.tryWrite(encodeText("stuck")), ok(5));
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  server.tryWrite(encodeText("the peer does not wait"));
  assertEquals(await tryText(client), "the peer does not wait");
});

test("SSLSocket.tryRead() gives the end of the stream, also right behind data", async () => {
  const { client, server, near } = await polled();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  near.blockReads();
  assertEquals(server.tryWrite(encodeText("the last")), ok(8));
  await server.closeWrite();
  near.unblockReads();
  assertEquals(await client.ready("read", LONG), true);
  near.blockReads(); // the FIN does not come
  assertEquals(await tryText(client), "the last");
  assertEquals(await client.ready("read", LONG), true);
  assertEquals(client.tryRead(new Uint8Array(1)), EOF);
  assertEquals([await client.ready("read", LONG), client.tryRead(new Uint8Array(1))], [true, EOF]);
  assertEquals(client.tryWrite(encodeText("x")), ok(1));
});

test("SSLSocket.tryRead() throws at an end without close_notify", async () => {
  const { client, far } = await polled();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  await far.closeWrite();
  assertEquals(await client.ready("read", LONG), true);
  assertThrows(() => client.tryRead(new Uint8Array(1)), SSLEOFError);
  assertThrows(() => client.tryWrite(new Uint8Array(1)), SSLEOFError);
});

test("SSLSocket.tryRead() throws what broke the connection below", async () => {
  const { client, near } = await polled();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  const cause = new Deno.errors.ConnectionReset("reset");
  near.failReads(cause);
  assertEquals(await client.ready("read", LONG), true);
  assertStrictEquals(assertThrows(() => client.tryRead(new Uint8Array(1)), SSLEOFError).cause, cause);
});

// ---- Writing --------------------------------------------------------------------------------------------

test("SSLSocket.tryWrite() wants to write while the transport is blocked, and ready() says when it may", async () => {
  const { client, server, near } = await polled();
  near.blockWrites();
  assertEquals(client.tryWrite(encodeText("one")), ok(3));
  assertEquals(client.tryWrite(encodeText("two")), WANT_WRITE);
  assertEquals(await client.ready("write", SHORT), false);
  const ready = client.ready("write");
  assertEquals(await isPending(ready), true);
  near.unblockWrites();
  assertEquals(await ready, true);
  assertEquals(client.tryWrite(encodeText("two")), ok(3));
  await idle();
  assertEquals(await tryText(server), "onetwo");
});

test("SSLSocket.tryWrite() takes a part of much data, and no more than a few records", async () => {
  const { client, near } = await polled();
  near.blockWrites();
  const outcome = client.tryWrite(new Uint8Array(10_000_000));
  assert(outcome.state === "ok" && outcome.bytes > 0 && outcome.bytes <= 256 * 1024, JSON.stringify(outcome));
  assertEquals(client.tryWrite(new Uint8Array(1)), WANT_WRITE);
  client.abort();
});

test("SSLSocket.tryWrite() sends many small writes and large ones, all of them in order", async () => {
  const [near, far] = await tcp();
  const [client, server] = await wrapBoth(near, far);
  for (const end of [client, server]) end.setBlocking(false);
  const data = pattern(600_000);
  const sizes = [...Array.from({ length: 300 }, (_, i) => i % 7), 500_000, 99_000];
  const send = async () => {
    let at = 0;
    for (const size of [...sizes, Infinity]) {
      for (const end = Math.min(data.length, at + size); at < end;) {
        const piece = data.subarray(at, end);
        const outcome = await until(client, "write", () => client.tryWrite(piece));
        at += outcome.state === "ok" ? outcome.bytes : 0;
      }
    }
  };
  const received = new Uint8Array(data.length);
  const receive = async () => {
    for (let at = 0; at < received.length;) {
      const room = received.subarray(at, at + 7000);
      const outcome = await until(server, "read", () => server.tryRead(room));
      assert(outcome.state === "ok");
      at += outcome.bytes;
    }
  };
  await Promise.all([send(), receive()]);
  assert(received.every((byte, i) => byte === data[i]));
  await closeBoth(client, server);
});

test("SSLSocket.tryRead() and tryWrite() take empty buffers", async () => {
  const { client } = await polled();
  assertEquals(client.tryWrite(new Uint8Array(0)), ok(0));
  assertEquals(client.tryRead(new Uint8Array(0)), ok(0));
});

test("SSLSocket.tryWrite() after closeWrite() throws, and tryRead() goes on", async () => {
  const { client, server } = await polled();
  await client.closeWrite();
  assertThrows(() => client.tryWrite(encodeText("x")), SSLError, "Cannot write: close_notify was sent");
  server.tryWrite(encodeText("an answer"));
  assertEquals(await tryText(client), "an answer");
});

// ---- Closing --------------------------------------------------------------------------------------------

test("SSLSocket.close() in non-blocking mode ends what waits, and later calls throw", async () => {
  const { client, server } = await polled();
  assertEquals(client.tryRead(new Uint8Array(1)), WANT_READ);
  const ready = client.ready("read");
  await closeBoth(client, server);
  assertEquals(await ready, true);
  assertThrows(() => client.tryRead(new Uint8Array(1)), SSLError, "it is closed");
  assertThrows(() => client.tryWrite(new Uint8Array(1)), SSLError, "it is closed");
  assertThrows(() => client.tryHandshake(), SSLError, "it is closed");
  assertEquals(await client.ready("write"), true);
});

test("SSLSocket.abort() in non-blocking mode ends what waits", async () => {
  const { client } = await polling();
  client.tryHandshake();
  await idle();
  assertEquals([await client.ready("read"), client.tryHandshake()], [true, WANT_READ]);
  const ready = client.ready("read");
  assertEquals(await isPending(ready), true);
  client.abort();
  assertEquals(await ready, true);
  assertThrows(() => client.tryHandshake(), SSLError, "it was aborted");
});

test("SSLSocket serves a polling program: one loop, many clients", async () => {
  const clients = await Promise.all(Array.from({ length: 5 }, async (_, i) => {
    const [near, far] = pipe({ chunkSize: 100 * i + 1 });
    const server = await wrapSocket(far, { ...SERVER, ...DEFER });
    server.setBlocking(false);
    const client = wrapSocket(near, CLIENT).then(async (socket) => {
      await socket.write(encodeText(`hello ${i}`));
      const answer = await readText(socket);
      await socket.close();
      return answer;
    });
    return { server, client };
  }));
  const buffer = new Uint8Array(100);
  const open = new Map(clients.map(({ server }) => [server, server.ready("read").then(() => server)]));
  while (open.size > 0) {
    const server = await Promise.race(open.values());
    const outcome = server.tryRead(buffer);
    if (outcome.state === "ok") {
      const answer = decodeText(buffer.subarray(0, outcome.bytes)).toUpperCase();
      let wrote = server.tryWrite(encodeText(answer));
      for (; wrote.state === "want-write"; wrote = server.tryWrite(encodeText(answer))) {
        await server.ready("write"); // a ticket is on its way still
      }
      assertEquals(wrote, { state: "ok", bytes: answer.length });
    }
    if (outcome.state === "eof") {
      await server.close();
      open.delete(server);
    } else open.set(server, server.ready("read").then(() => server));
  }
  assertEquals(
    await Promise.all(clients.map(({ client }) => client)),
    [0, 1, 2, 3, 4].map((i) => `HELLO ${i}`),
  );
});
