/** SSLSocket.close(), abort() and closeWrite(), in every order and at every moment. */

import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { concat, encodeText } from "../lib/bytes.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { pattern } from "./stream_helpers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTook,
  CLIENT,
  closeBoth,
  idle,
  isPending,
  LONG,
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

const MIB = 1024 * 1024;
const BOUNDED = { client: { shutdownTimeout: SHORT } };

/** Bytes to the end of the stream. */
async function countAll(socket: SSLSocket): Promise<number> {
  const buffer = new Uint8Array(65536);
  let total = 0;
  for (let n = await socket.read(buffer); n !== null; n = await socket.read(buffer)) total += n;
  return total;
}

// ---- close() --------------------------------------------------------------------------------------------

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket.close() waits for the peer's close_notify in ${version}`, async () => {
    const { client, server, near } = await pair({ client: { sslVersion } });
    const closing = client.close();
    assertEquals([await isPending(closing), near.closed], [true, false]);
    assertEquals(await readText(server), null);
    assertEquals(await isPending(closing), true);
    await server.close();
    await closing;
    assertEquals(near.closed, true);
  });

  test(`SSLSocket.close() on both sides at once ends both over TCP and ${version}`, async () => {
    const [client, server] = await wrapBoth(...await tcp(), { client: { sslVersion } });
    assertLess(await seconds(closeBoth(client, server)), LONG / 2);
  });

  test(`SSLSocket.close() sends what was written before it in ${version}`, async () => {
    const { client, server } = await pair({ client: { sslVersion }, pipe: { capacity: 5000 } });
    const writes = [client.write(pattern(100_000)), client.write(encodeText("the last words"))];
    const closing = client.close();
    assertEquals(await countAll(server), 100_014);
    await server.close();
    await Promise.all([...writes, closing]);
  });
}

test("SSLSocket.close() sends what was written before it to a peer that sends much, too", async () => {
  const { client, server } = await pair({ pipe: { capacity: 50_000 } });
  const data = pattern(3 * MIB);
  const writing = client.write(data);
  const closing = client.close();
  const buffer = new Uint8Array(16384);
  let echoed = 0;
  for (let n = await server.read(buffer); n !== null; n = await server.read(buffer)) {
    echoed += await server.write(buffer.slice(0, n));
  }
  assertEquals(echoed, data.length);
  await Promise.all([server.close(), closing, writing]);
});

test("SSLSocket.close() ends on both sides although neither reads what the other wrote", async () => {
  const { client, server } = await pair({ pipe: { capacity: 10_000 } });
  const writes = [client.write(pattern(MIB / 2)), server.write(pattern(MIB / 2))];
  assertEquals(await isPending(writes[0]!), true);
  assertLess(await seconds(closeBoth(client, server)), LONG / 2);
  await Promise.all(writes);
});

test("SSLSocket.close() does not wait for a peer that goes on sending", async () => {
  const { client, server, near } = await pair();
  const flooding = (async () => {
    for (const chunk = new Uint8Array(65536);;) await server.write(chunk);
  })();
  await client.close();
  assertEquals(near.closed, true);
  await assertKind(flooding, "eof");
});

test("SSLSocket.close() waits no longer than shutdownTimeout for a peer that does not answer", async () => {
  const { client, server, near } = await pair(BOUNDED);
  assertTook(await seconds(client.close()), SHORT);
  assertEquals(near.closed, true);
  assertEquals(await readText(server), null); // it was told
  await server.close();
});

test("SSLSocket.close() waits no longer than shutdownTimeout for a write that is blocked", async () => {
  const { client, server, near } = await pair(BOUNDED);
  near.blockWrites();
  const writing = client.write(pattern(MIB));
  writing.catch(() => {});
  assertTook(await seconds(client.close()), SHORT);
  await assertKind(writing, "closed");
  assertEquals(near.closed, true);
  await assertKind(server.read(new Uint8Array(1)), "eof");
});

test("SSLSocket.close() waits no longer than shutdownTimeout for the connection below to close", async () => {
  const [near, far] = pipe();
  let aborted = false;
  const conn = {
    read: near.read.bind(near),
    write: near.write.bind(near),
    close: () => new Promise<never>(() => {}),
    abort: () => {
      aborted = true;
    },
  };
  const [client, server] = await wrapBoth(conn, far, BOUNDED);
  await server.closeWrite();
  assertTook(await seconds(client.close()), SHORT);
  assertEquals(aborted, true);
  server.abort();
});

test("SSLSocket.close() ends at once when the peer ends without close_notify", async () => {
  const { client, far } = await pair();
  const closing = client.close();
  assertEquals(await isPending(closing), true);
  await far.closeWrite();
  assertEquals(await isPending(closing), false);
  await closing;
});

test("SSLSocket.close() makes a read that waits reject", async () => {
  const { client, server } = await pair();
  const reading = client.read(new Uint8Array(1));
  const closing = client.close();
  reading.catch(() => {});
  await server.close();
  await assertKind(reading, "closed");
  await closing;
});

test("SSLSocket.close() gives no data to a read that waits", async () => {
  const { client, server } = await pair();
  const reading = client.read(new Uint8Array(1));
  reading.catch(() => {});
  const closing = client.close();
  await server.write(encodeText("too late"));
  await assertKind(reading, "closed");
  await Promise.all([server.close(), closing]);
});

test("SSLSocket.close() a second time waits for the first", async () => {
  const { client, server } = await pair();
  const closing = client.close();
  assertStrictEquals(client.close(), closing);
  await Promise.all([server.close(), closing]);
  await client.close();
  await client[Symbol.asyncDispose]();
});

test("SSLSocket.close() in a handshake ends it", async () => {
  for (const options of [CLIENT, SERVER]) {
    const [near] = pipe();
    const socket = await wrapSocket(near, { ...options, doHandshake: false });
    const shaking = socket.handshake();
    shaking.catch(() => {});
    await idle();
    await socket.close();
    assertEquals(near.closed, true);
    await assertKind(shaking, "closed");
  }
});

test("SSLSocket.close() does not fail, whatever the connection below does", async () => {
  for (const phase of ["reads", "writes", "close", "all"]) {
    const { client, near } = await pair(BOUNDED);
    if (phase === "reads" || phase === "all") near.failReads(new Deno.errors.ConnectionReset("gone"));
    if (phase === "writes" || phase === "all") near.failWrites(new Deno.errors.BrokenPipe("gone"));
    if (phase === "close" || phase === "all") near.closeError = new Deno.errors.BadResource("gone");
    await client.close();
    assertEquals(near.closed, true);
  }
  const { client, near } = await pair(BOUNDED);
  near.close(); // under its feet
  await client.close();
});

test("SSLSocket.close() understands data, close_notify and FIN that come together", async () => {
  const [near, far] = await tcp();
  const [client, server] = await wrapBoth(near, far);
  await Promise.all([server.write(encodeText("all in one segment")), server.closeWrite()]);
  assertEquals([await readText(client), await readText(client)], ["all in one segment", null]);
  await closeBoth(client, server);
});

test("SSLSocket is closed at the end of an await using block", async () => {
  const { client, server, near } = await pair();
  const peer = countAll(server).then(() => server.close());
  {
    await using socket = client;
    await socket.write(encodeText("bye"));
  }
  assertEquals(near.closed, true);
  await peer;
});

test("SSLSocket rejects every use after close() and still says what it was", async () => {
  const { client, server } = await pair();
  await closeBoth(client, server);
  for (
    const call of [
      () => client.read(new Uint8Array(1)),
      () => client.write(new Uint8Array(1)),
      () => client.write(new Uint8Array(0)),
      () => client.closeWrite(),
      () => client.unwrap(),
    ]
  ) {
    const error = await assertKind(call(), "closed");
    assertEquals(error.message, "Cannot use the socket: it is closed");
  }
  assertEquals([client.version(), client.cipher()?.version, client.pending()], ["TLSv1.3", "TLSv1.3", 0]);
});

// ---- abort() --------------------------------------------------------------------------------------------

test("SSLSocket.abort() drops the connection at once, without close_notify", async () => {
  const { client, server, near } = await pair();
  client.abort();
  assertEquals([near.closed, near.aborted], [true, true]);
  await assertKind(server.read(new Uint8Array(1)), "eof");
  await assertKind(client.read(new Uint8Array(1)), "closed");
  await client.close();
});

const PHASES: Record<string, (socket: SSLSocket) => Promise<unknown>> = {
  "a read that waits": (socket) => socket.read(new Uint8Array(1)),
  "a write that waits": (socket) => socket.write(pattern(MIB)),
  "a closeWrite() that waits": (socket) => Promise.all([socket.write(pattern(MIB)), socket.closeWrite()]),
  "an unwrap() that waits": (socket) => socket.unwrap(),
};

for (const [phase, start] of Object.entries(PHASES)) {
  test(`SSLSocket.abort() ends ${phase}`, async () => {
    const { client, near } = await pair({ pipe: { capacity: 5000 } });
    const call = start(client);
    assertEquals(await isPending(call), true);
    client.abort();
    await assertKind(call, "closed");
    assertEquals(near.closed, true);
  });
}

test("SSLSocket.abort() right after the handshake leaves the peer one that is complete (TLSv1.2)", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const serving = listener.accept().then((conn) => wrapSocket(conn, SERVER)).then((server) => server.abort());
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const client = await wrapSocket(conn, { ...CLIENT, sslVersion: VERSIONS["TLSv1.2"] });
  await assertKind(client.read(new Uint8Array(1)), "eof");
  client.abort();
  await serving;
});

test("SSLSocket.abort() ends a handshake", async () => {
  const [near] = pipe();
  const socket = await wrapSocket(near, { ...CLIENT, doHandshake: false });
  const shaking = socket.handshake();
  await idle();
  socket.abort();
  const error = await assertKind(shaking, "closed");
  assertEquals(error.message, "Cannot use the socket: it was aborted");
});

test("SSLSocket.abort() ends a close() that waits, and may follow it", async () => {
  const { client, near } = await pair();
  const closing = client.close();
  assertEquals(await isPending(closing), true);
  client.abort();
  await closing;
  assertEquals(near.aborted, true);
  client.abort();
});

test("SSLSocket.abort() reaches through a close() that waits in the connection below", async () => {
  const { client, server, near } = await pair();
  const [inner, peer] = await wrapBoth(client, server, { client: { shutdownTimeout: SHORT } });
  const closing = inner.close(); // after SHORT seconds it closes the outer one, which then waits
  await new Promise((resolve) => setTimeout(resolve, SHORT * 1500));
  assertEquals([await isPending(closing), near.closed], [true, false]);
  inner.abort();
  await closing;
  assertEquals(near.closed, true);
  peer.abort();
});

test("SSLSocket.abort() over TCP closes the connection", async () => {
  const [client, server] = await wrapBoth(...await tcp());
  const reading = client.read(new Uint8Array(1));
  client.abort();
  await assertKind(reading, "closed");
  await assertKind(server.read(new Uint8Array(1)), "eof");
  await server.close();
});

// ---- closeWrite() ---------------------------------------------------------------------------------------

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket.closeWrite() ends one direction; the other goes on in ${version}`, async () => {
    const [client, server] = await wrapBoth(...await tcp(), { client: { sslVersion } });
    await client.write(encodeText("the question"));
    await client.closeWrite();
    assertEquals([await readText(server), await readText(server)], ["the question", null]);
    const answering = server.write(pattern(MIB)).then(() => server.close());
    assertEquals(await countAll(client), MIB);
    await client.close();
    await answering;
  });
}

test("SSLSocket.closeWrite() comes after the writes before it", async () => {
  const { client, server } = await pair({ pipe: { capacity: 3000 } });
  const calls = [client.write(pattern(50_000)), client.write(pattern(1000)), client.closeWrite()];
  assertEquals(await countAll(server), 51_000);
  await Promise.all(calls);
});

test("SSLSocket.write() after closeWrite() rejects, and reading goes on", async () => {
  const { client, server } = await pair();
  await client.closeWrite();
  await client.closeWrite();
  const error = await assertKind(client.write(encodeText("more")), "closed");
  assertEquals(error.message, "Cannot write: close_notify was sent");
  await server.write(encodeText("an answer"));
  assertEquals(await readText(client), "an answer");
  await closeBoth(client, server);
});

test("SSLSocket.closeWrite() on both sides leaves nothing to wait for", async () => {
  const { client, server } = await pair();
  await Promise.all([client.closeWrite(), server.closeWrite()]);
  assertEquals([await readText(client), await readText(server)], [null, null]);
  await client.close();
  await server.close();
});

test("SSLSocket.closeWrite() to a peer that is gone rejects with an SSLError", async () => {
  const { client, near, far } = await pair();
  far.abort();
  await assertKind(client.closeWrite(), "eof");
  assertEquals(near.closed, false);
  await client.close();
  const over = await pair();
  over.near.close();
  await assertKind(over.client.closeWrite(), "closed");
});

test("SSLSocket.closeWrite() ends only TLS where the connection below has no half close", async () => {
  const [near, far] = pipe();
  const conn = {
    read: near.read.bind(near),
    write: near.write.bind(near),
    close: () => near.close(),
  };
  const [client, server] = await wrapBoth(conn, far);
  await client.closeWrite();
  assertEquals(await readText(server), null);
  await server.write(encodeText("still here"));
  assertEquals(await readText(client), "still here");
  await closeBoth(client, server);
});

test("SSLSocket never sends a byte in clear", async () => {
  const { client, server, near } = await pair();
  const seen: Uint8Array<ArrayBuffer>[] = [];
  near.alter = (bytes) => {
    seen.push(bytes.slice() as Uint8Array<ArrayBuffer>);
    return bytes;
  };
  const secret = "the secret words";
  await Promise.all([client.write(encodeText(secret)), readText(server)]);
  await closeBoth(client, server);
  assert(!new TextDecoder("latin1").decode(concat(seen)).includes(secret));
  await assertRejects(() => client.read(new Uint8Array(1)));
});
