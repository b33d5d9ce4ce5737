/** SSLSocket.read() and write(): order, back-pressure, timeouts, the end of the stream, failures. */

import { Buffer } from "node:buffer";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { concat, encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { pattern } from "./stream_helpers.ts";
import {
  assertKind,
  assertTalk,
  assertTook,
  closeBoth,
  idle,
  isPending,
  pair,
  readText,
  seconds,
  SHORT,
  tcp,
  test,
  trickle,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Reads exactly `length` bytes, a piece at a time. */
async function readExactly(
  socket: SSLSocket,
  length: number,
  piece = 5000,
): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const n = await socket.read(all.subarray(at, at + piece));
    assert(n !== null && n > 0, `the stream ended after ${at} bytes`);
    at += n;
  }
  return all;
}

/** Reads to the end of the stream. */
async function readAll(socket: SSLSocket): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (;;) {
    const part = new Uint8Array(5000);
    const n = await socket.read(part);
    if (n === null) return concat(parts);
    parts.push(part.subarray(0, n));
  }
}

// ---- Order ----------------------------------------------------------------------------------------------

test("SSLSocket.read() refuses a second reader, and the first gets its data", async () => {
  const { client, server } = await pair();
  const first = readText(client);
  await assertRejects(() => client.read(new Uint8Array(1)), TypeError, "another read is waiting");
  await server.write(encodeText("for the first"));
  assertEquals(await first, "for the first");
  await assertTalk(server, client);
});

for (const chunkSize of [1, 1000, Infinity]) {
  test(`SSLSocket.write() keeps the order of calls, transport ${chunkSize} bytes at a time`, async () => {
    const { client, server } = await pair({ pipe: { chunkSize, capacity: 3000 } });
    const parts = [1, 20_000, 0, 5, 16_384, 16_385, 300, 1].map((length, i) =>
      pattern(length).map((byte) => byte ^ i)
    );
    const expected = concat(parts);
    const [received, ...written] = await Promise.all([
      readExactly(server, expected.length),
      ...parts.map((part) => client.write(part)),
    ]);
    assertEquals(written, parts.map((part) => part.length));
    assert(received.every((byte, i) => byte === expected[i]));
    await closeBoth(client, server);
  });
}

test("SSLSocket.write() keeps the order of calls made before and after a deferred handshake", async () => {
  const { client, server } = await pair({ client: { doHandshake: false }, server: { doHandshake: false } });
  const writes: Promise<number>[] = [];
  const later = client.handshake().then(() => writes.push(client.write(encodeText("3"))));
  writes.push(client.write(encodeText("1")), client.write(encodeText("2")));
  await Promise.all([later, server.handshake()]);
  await client.write(encodeText("4"));
  assertEquals(new TextDecoder().decode(await readExactly(server, 4)), "1234");
  await Promise.all(writes);
});

test("SSLSocket.write() keeps the order when a call is made the moment another ends", async () => {
  const { client, server } = await pair();
  const first = client.write(encodeText("1"));
  const second = client.write(encodeText("2"));
  const third = first.then(() => client.write(encodeText("4")));
  await Promise.all([first, second, third, client.write(encodeText("3"))]);
  assertEquals(new TextDecoder().decode(await readExactly(server, 4)), "1234");
});

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket carries 4 MiB in both directions at once over TCP and ${version}`, async () => {
    const [client, server] = await wrapBoth(...await tcp(), { client: { sslVersion } });
    const sent = pattern(4 * MIB);
    const received = await Promise.all([
      readExactly(client, sent.length, 65536),
      readExactly(server, sent.length, 65536),
      client.write(sent),
      server.write(sent),
    ]);
    for (const bytes of received.slice(0, 2)) assertEquals(Buffer.compare(bytes as Uint8Array, sent), 0);
    await closeBoth(client, server);
  });
}

// ---- Back-pressure --------------------------------------------------------------------------------------

test("SSLSocket.write() waits while the peer does not read, and goes on when it does", async () => {
  const { client, server, near, far } = await pair({ pipe: { capacity: 10_000 } });
  await idle();
  await server.read(new Uint8Array(0));
  const before = far.reads.length;
  const data = pattern(1 * MIB);
  const writing = client.write(data);
  assertEquals(await isPending(writing), true);
  assertEquals(near.unread, 10_000);
  assertEquals(far.reads.length, before); // whoever does not read takes nothing from the network
  const received = await readExactly(server, data.length);
  assertEquals(Buffer.compare(received, data), 0);
  assertEquals(await writing, data.length);
});

test("SSLSocket.write() holds no more than a few records of a write that waits", async () => {
  const { client, near } = await pair();
  near.blockWrites();
  let taken = 0;
  const data = new Uint8Array(8 * MIB);
  Object.defineProperty(data, "subarray", {
    value(begin: number, end?: number) {
      taken = Math.max(taken, begin);
      return Uint8Array.prototype.subarray.call(data, begin, end);
    },
  });
  const writing = client.write(data);
  writing.catch(() => {});
  assertEquals(await isPending(writing), true);
  assert(taken <= 256 * KIB, `${taken} bytes were taken`);
  client.abort();
  await assertKind(writing, "closed");
});

test("SSLSocket.read() takes no more from the network than it needs", async () => {
  const { client, server, near, far } = await pair({ pipe: { capacity: 1 * MIB } });
  await server.write(pattern(512 * KIB));
  await readExactly(client, 100);
  assert(far.unread > 400 * KIB, `${far.unread} bytes are left`);
  assert(client.pending() > 0);
  assertEquals(near.closed, false);
});

// ---- Timeouts -------------------------------------------------------------------------------------------

test("SSLSocket.setTimeout() bounds a read, after which the connection is as before", async () => {
  const { client, server } = await pair();
  client.setTimeout(SHORT);
  const buffer = new Uint8Array(5);
  const call = assertKind(client.read(buffer), "timeout");
  assertTook(await seconds(call), SHORT);
  assertEquals((await call).message, `Cannot read: timed out after ${SHORT} seconds`);
  await assertKind(client.read(buffer), "timeout");
  await server.write(encodeText("later"));
  assertEquals(await readText(client), "later");
  assertEquals(buffer, new Uint8Array(5)); // what came later is not for the calls that gave up
  client.setTimeout(null);
  const reading = readText(client);
  assertEquals(await isPending(reading), true);
  await server.write(encodeText("unbounded"));
  assertEquals(await reading, "unbounded");
  await closeBoth(client, server);
});

test("SSLSocket.setTimeout() bounds a read whose record comes byte by byte", async () => {
  const { client, far } = await pair();
  client.setTimeout(2 * SHORT);
  const trickling = trickle(far, [23, 3, 3, 0x40, 0]);
  assertTook(await seconds(assertKind(client.read(new Uint8Array(1)), "timeout")), 2 * SHORT);
  client.abort();
  assert(await trickling > 3);
});

test("SSLSocket.setTimeout() bounds a write, which ends the connection: part of it is sent", async () => {
  const { client, server, near } = await pair({ pipe: { capacity: 10_000 } });
  client.setTimeout(SHORT);
  const big = assertKind(client.write(pattern(1 * MIB)), "timeout");
  const queued = assertKind(client.write(encodeText("behind")), "timeout");
  assertTook(await seconds(big), SHORT);
  const error = await big;
  await queued;
  assertStrictEquals(await assertRejects(() => client.write(encodeText("more"))), error);
  assertStrictEquals(await assertRejects(() => client.read(new Uint8Array(1))), error);
  await client.close();
  assertEquals(near.closed, true);
  await assertKind(readAll(server), "eof"); // never taken for the whole
});

test("SSLSocket.setTimeout() refuses what is no number of seconds", async () => {
  const { client } = await pair();
  for (const bad of [0, -1, NaN, "1", undefined]) {
    assertInstanceOf(await assertRejects(async () => await client.setTimeout(bad as number)), RangeError);
  }
});

// ---- The end of the stream ------------------------------------------------------------------------------

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket.read() gives all data before a close_notify, then null, in ${version}`, async () => {
    const { client, server, near } = await pair({ client: { sslVersion } });
    await server.write(pattern(40_000));
    await server.closeWrite();
    assertEquals((await readExactly(client, 40_000)).length, 40_000);
    for (let i = 0; i < 3; i++) assertEquals(await client.read(new Uint8Array(1)), null);
    await client.write(encodeText("still open in this direction"));
    assertEquals(await readText(server), "still open in this direction");
    await closeBoth(client, server);
    assertEquals(near.closed, true);
  });

  test(`SSLSocket.read() rejects at an end without close_notify, after all data, in ${version}`, async () => {
    const { client, server, far } = await pair({ client: { sslVersion } });
    await server.write(encodeText("cut"));
    await far.closeWrite();
    assertEquals(await readText(client), "cut");
    const error = await assertRejects(() => client.read(new Uint8Array(1)), SSLEOFError);
    assertEquals([error.kind, error.reason], ["eof", "MBEDTLS_ERR_SSL_CONN_EOF"]);
    assertStrictEquals(await assertRejects(() => client.read(new Uint8Array(1))), error);
    await client.close();
  });

  test(`wrapSocket({ suppressRaggedEofs }) takes the end for a close_notify in ${version}`, async () => {
    const { client, server, far } = await pair({ client: { sslVersion, suppressRaggedEofs: true } });
    await server.write(encodeText("all"));
    await far.closeWrite();
    assertEquals(await readText(client), "all");
    assertEquals(await readText(client), null);
    await client.write(encodeText("bye"));
    await client.close();
  });
}

test("SSLSocket.read() rejects at an end inside a record", async () => {
  const { client, server, far } = await pair();
  far.alter = (bytes) => bytes.subarray(0, 20);
  await server.write(encodeText("never complete"));
  await far.closeWrite();
  await assertKind(client.read(new Uint8Array(1)), "eof");
});

// ---- Failures -------------------------------------------------------------------------------------------

test("SSLSocket reports a reset as SSLEOFError with its cause, and keeps it", async () => {
  const { client, near } = await pair();
  const cause = new Deno.errors.ConnectionReset("reset by peer");
  const reading = client.read(new Uint8Array(1));
  near.failReads(cause);
  const error = await assertRejects(() => reading, SSLEOFError);
  assertStrictEquals(error.cause, cause);
  assertEquals(error.message, "Cannot read from the connection below TLS: reset by peer");
  for (const call of [() => client.read(new Uint8Array(1)), () => client.write(new Uint8Array(1))]) {
    assertStrictEquals(await assertRejects(call), error);
  }
  await client.close();
  assertEquals(near.closed, true);
});

test("SSLSocket reports a TCP reset as SSLEOFError", async () => {
  const [near, far] = await tcp();
  const [client] = await wrapBoth(near, far);
  await client.write(pattern(100_000));
  far.close(); // with data unread: a reset
  await assertRejects(() => client.read(new Uint8Array(1)), SSLEOFError);
  await assertRejects(() => client.write(new Uint8Array(1)), SSLEOFError);
  await client.close();
});

test("SSLSocket.write() reports a broken pipe as SSLEOFError with its cause, and keeps it", async () => {
  const { client, near } = await pair();
  const cause = new Deno.errors.BrokenPipe("broken pipe");
  near.failWrites(cause);
  const error = await assertRejects(() => client.write(new Uint8Array(1)), SSLEOFError);
  assertStrictEquals(error.cause, cause);
  assertStrictEquals(await assertRejects(() => client.read(new Uint8Array(1))), error);
});

test("SSLSocket reports any other failure below it with its cause", async () => {
  for (const cause of [new Error("the tunnel is down"), "just text"]) {
    const { client, near } = await pair();
    near.failReads(cause as Error);
    const error = await assertKind(client.read(new Uint8Array(1)), "closed");
    assertStrictEquals(error.cause, cause);
  }
});

test("SSLSocket tells the peer of a damaged record, and fails for good", async () => {
  const { client, server, far } = await pair();
  far.alter = (bytes) => bytes.map((byte, i) => i === 10 ? byte ^ 1 : byte);
  const writing = server.write(encodeText("damaged on its way"));
  const error = await assertKind(client.read(new Uint8Array(100)), "protocol");
  assertEquals(error.reason, "MBEDTLS_ERR_SSL_INVALID_MAC");
  assertStrictEquals(await assertRejects(() => client.write(new Uint8Array(1))), error);
  await writing;
  const told = await assertKind(server.read(new Uint8Array(1)), "alert");
  assertEquals(told.alert?.name, "bad_record_mac");
  await closeBoth(client, server);
});

test("SSLSocket.close() after a failure lets the alert arrive, although data is unread", async () => {
  const [near, far] = await tcp();
  const [client, server] = await wrapBoth(near, far);
  await far.write(new Uint8Array(100_000).fill(23)); // below TLS
  await assertKind(client.read(new Uint8Array(1)), "protocol");
  const [told] = await Promise.all([
    assertKind(server.read(new Uint8Array(1)).finally(() => server.close()), "alert"),
    client.close(),
  ]);
  assert(told.alert!.description > 0);
});

test("SSLSocket.close() after a failure waits for its alert to go out", async () => {
  const { client, server, near, far } = await pair();
  near.blockWrites();
  await far.write(encodeText("no record"));
  await assertKind(client.read(new Uint8Array(1)), "protocol");
  const closing = client.close();
  assertEquals([await isPending(closing), near.closed], [true, false]);
  near.unblockWrites();
  await assertKind(server.read(new Uint8Array(1)), "alert");
  await Promise.all([closing, server.close()]);
});

test("SSLSocket fails rather than spin on a Duplex that counts wrongly", async () => {
  for (const count of [0, -1, NaN, 1.5, 1e9, undefined]) {
    const idle: Duplex = {
      read: () => new Promise(() => {}),
      write: (p) => Promise.resolve(p.length),
      close() {},
    };
    const broken: Duplex[] = [
      { ...idle, write: () => Promise.resolve(count as number) },
      { ...idle, read: () => Promise.resolve(count as number) },
    ];
    for (const conn of broken) {
      const error = await assertKind(wrapSocket(conn, { certReqs: 0 }), "closed");
      assert(error.cause instanceof TypeError);
    }
  }
});

test("SSLSocket fails when a Duplex throws instead of rejecting", async () => {
  const cause = new Deno.errors.BadResource("gone");
  const fail = () => {
    throw cause;
  };
  const error = await assertKind(
    wrapSocket({ read: fail, write: fail, close: fail }, { certReqs: 0 }),
    "closed",
  );
  assertStrictEquals(error.cause, cause);
});

// ---- Buffers --------------------------------------------------------------------------------------------

test("SSLSocket.read() and write() take empty buffers", async () => {
  const { client, server } = await pair();
  assertEquals(await client.write(new Uint8Array(0)), 0);
  assertEquals(await client.read(new Uint8Array(0)), 0);
  await server.write(encodeText("x"));
  assertEquals(await client.read(new Uint8Array(0)), 0);
  assertEquals(await readText(client), "x");
  await server.closeWrite();
  assertEquals(await readText(client), null);
  assertEquals(await client.read(new Uint8Array(0)), null);
});

test("SSLSocket.read() and write() refuse what is no Uint8Array, and stay usable", async () => {
  const { client, server } = await pair();
  for (const bad of [undefined, null, "text", [1], new ArrayBuffer(1), new Float32Array(1)]) {
    const p = bad as unknown as Uint8Array<ArrayBuffer>;
    await assertRejects(() => client.read(p), TypeError, "Cannot use p: expected a Uint8Array");
    await assertRejects(() => client.write(p), TypeError, "Cannot use p: expected a Uint8Array");
  }
  await assertTalk(client, server);
});

test("SSLSocket.write() leaves its buffer as it is, and keeps no hold of it", async () => {
  const { client, server } = await pair();
  const whole = pattern(40_000);
  const part = whole.subarray(1000, 39_000);
  await client.write(part);
  assertEquals(whole, pattern(40_000));
  whole.fill(0);
  assertEquals(await readExactly(server, part.length), pattern(40_000).subarray(1000, 39_000));
});

test("SSLSocket.read() fills only what it says", async () => {
  const { client, server } = await pair();
  await server.write(encodeText("abc"));
  const whole = new Uint8Array(10).fill(0x2e);
  assertEquals(await client.read(whole.subarray(2, 8)), 3);
  assertEquals(new TextDecoder().decode(whole), "..abc.....");
});

test("SSLSocket calls after a failed call of the other kind say what came first", async () => {
  const { client, near } = await pair();
  near.failWrites(new Deno.errors.BrokenPipe("first"));
  near.failReads(new Deno.errors.ConnectionReset("second"));
  const outcomes = await Promise.allSettled([
    client.write(new Uint8Array(1)),
    client.read(new Uint8Array(1)),
  ]);
  const [first, second] = outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason);
  assert(first instanceof SSLError);
  assertStrictEquals(first, second);
});
