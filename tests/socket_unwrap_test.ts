/** SSLSocket.unwrap(): the end of TLS on a connection that goes on. */

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { pattern } from "./stream_helpers.ts";
import {
  assertKind,
  assertTalk,
  assertTook,
  closeBoth,
  pair,
  readText,
  seconds,
  SHORT,
  tcp,
  test,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

/** Reads once, as text. */
async function readPlain(conn: Duplex, size = 100): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const n = await conn.read(buffer);
  return n === null ? null : decodeText(buffer.subarray(0, n));
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket.unwrap() on both sides gives back the connection in ${version}`, async () => {
    const [near, far] = await tcp();
    const [client, server] = await wrapBoth(near, far, { client: { sslVersion } });
    await assertTalk(client, server);
    const plain = await Promise.all([client.unwrap(), server.unwrap()]);
    assertEquals(plain, [near, far]);
    await plain[0].write(encodeText("in clear"));
    assertEquals(await readPlain(plain[1]), "in clear");
    near.close();
    far.close();
  });

  test(`SSLSocket.unwrap() gives the plain bytes that came with the close_notify first in ${version}`, async () => {
    const { client, server, near, far } = await pair({ client: { sslVersion } });
    far.blockReads();
    const answering = server.unwrap(); // its close_notify is sent, the client's not yet read
    const plain = await client.unwrap();
    assertStrictEquals(plain, near);
    await plain.write(encodeText("one, "));
    await plain.write(encodeText("two, "));
    far.unblockReads();
    const rest = await answering;
    await plain.write(encodeText("three"));
    assertEquals([await readPlain(rest, 3), await readPlain(rest), await readPlain(rest)], [
      "one",
      ", two, ",
      "three",
    ]);
    assertEquals([rest.localAddr, rest.remoteAddr], [far.localAddr, far.remoteAddr]);
    await rest.write(encodeText("four"));
    assertEquals(await readPlain(plain), "four");
    await rest.closeWrite!();
    assertEquals(await readPlain(plain), null);
    rest.abort!();
    assertEquals(far.aborted, true);
  });
}

test("SSLSocket.unwrap() ends a read that waits as the peer's close_notify does", async () => {
  const { client, server } = await pair();
  const reading = client.read(new Uint8Array(1));
  await Promise.all([client.unwrap(), server.unwrap()]);
  assertEquals(await reading, null);
});

test("SSLSocket.unwrap() after the peer's data and close_notify were read", async () => {
  const { client, server, near } = await pair();
  const answering = server.write(encodeText("the last")).then(() => server.unwrap());
  assertEquals([await readText(client), await readText(client)], ["the last", null]);
  assertStrictEquals(await client.unwrap(), near);
  await answering;
});

test("SSLSocket.unwrap() comes after the writes before it", async () => {
  const { client, server } = await pair({ pipe: { capacity: 2000 } });
  const writing = client.write(pattern(20_000));
  const unwrapping = client.unwrap();
  let total = 0;
  for (let text = await readText(server); text !== null; text = await readText(server)) total++;
  assertEquals(total > 0, true);
  await Promise.all([writing, unwrapping, server.unwrap()]);
});

test("SSLSocket.unwrap() rejects when the peer sends data instead, for good", async () => {
  const { client, server, near } = await pair();
  const unwrapping = client.unwrap();
  await server.write(encodeText("not yet"));
  const error = await assertKind(unwrapping, "protocol");
  assertEquals(error.message, "Cannot unwrap: the peer sent data before its close_notify");
  assertStrictEquals(await assertRejects(() => client.read(new Uint8Array(1))), error);
  assertStrictEquals(await assertRejects(() => client.unwrap()), error);
  await client.close();
  assertEquals(near.closed, true);
});

test("SSLSocket.unwrap() waits no longer than shutdownTimeout, and takes nothing more", async () => {
  const { client, server, near } = await pair({ client: { shutdownTimeout: SHORT } });
  const unwrapping = assertKind(client.unwrap(), "timeout");
  assertTook(await seconds(unwrapping), SHORT);
  assertEquals((await unwrapping).message, `Cannot unwrap: timed out after ${SHORT} seconds`);
  assertStrictEquals(await assertRejects(() => client.read(new Uint8Array(1))), await unwrapping);
  await server.write(encodeText("too late"));
  await client.close();
  assertEquals(near.closed, true);
});

test("SSLSocket.unwrap() rejects when the peer ends without close_notify", async () => {
  const { client, far } = await pair();
  const unwrapping = client.unwrap();
  await far.closeWrite();
  await assertKind(unwrapping, "eof");
});

test("SSLSocket.unwrap() leaves a socket that touches the connection no more", async () => {
  const { client, server, near, far } = await pair();
  const [plain] = await Promise.all([client.unwrap(), server.unwrap()]);
  const error = await assertKind(client.read(new Uint8Array(1)), "closed");
  assertEquals(error.message, "Cannot use the socket: it was unwrapped");
  await assertKind(client.write(new Uint8Array(1)), "closed");
  await client.close();
  client.abort();
  assertEquals([near.closed, far.closed], [false, false]);
  await far.write(encodeText("still open"));
  assertEquals(await readPlain(plain), "still open");
});

test("SSLSocket.unwrap() leaves a connection that can be wrapped again", async () => {
  const { client, server } = await pair();
  const plain = await Promise.all([client.unwrap(), server.unwrap()]);
  const [again, peer] = await wrapBoth(...plain, { client: { sslVersion: VERSIONS["TLSv1.2"] } });
  assertEquals(again.version(), "TLSv1.2");
  await assertTalk(again, peer);
  await closeBoth(again, peer);
});

test("SSLSocket.unwrap() completes a deferred handshake first", async () => {
  const { client, server, near, far } = await pair({
    client: { doHandshake: false },
    server: { doHandshake: false },
  });
  assertEquals(await Promise.all([client.unwrap(), server.unwrap()]), [near, far]);
  assertEquals(client.version(), "TLSv1.3");
});
