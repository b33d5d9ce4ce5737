/** wrapSocket() on anything that carries bytes, and the handshake's first steps. */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { SSLSession } from "../lib/session.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTalk,
  CLIENT,
  closeBoth,
  CREDENTIAL,
  idle,
  LONG,
  pair,
  readText,
  SERVER,
  SHORT,
  tcp,
  test,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`wrapSocket() completes a ${version} handshake in both roles`, async () => {
    const { client, server, near, far } = await pair({ client: { sslVersion } });
    assertEquals([client.serverSide, server.serverSide], [false, true]);
    assertEquals([client.version(), server.version()], [version, version]);
    assertEquals([near.noDelay, far.noDelay], [true, true]);
    await assertTalk(client, server);
    await closeBoth(client, server);
    assertEquals([near.closed, far.closed], [true, true]);
  });
}

test("wrapSocket() sends a flight as one write", async () => {
  const { near, far } = await pair();
  assertEquals([near.writes.length, far.writes.length <= 2], [2, true]); // the server: its flight, its tickets
});

test("SSLSocket sends what is written at once with the last flight, and a ticket with the answer", async () => {
  const [near, far] = pipe();
  const serving = wrapSocket(far, SERVER).then(async (server) => {
    await server.write(encodeText((await readText(server))!.toUpperCase()));
    return server;
  });
  const client = await wrapSocket(near, CLIENT);
  await client.write(encodeText("hello"));
  const answer = await readText(client);
  const server = await serving;
  assertEquals([answer, near.writes.length, far.writes.length], ["HELLO", 2, 2]);
  await closeBoth(client, server);
});

test("SSLSocket sends its last flight without being asked for anything", async () => {
  const [near, far] = pipe();
  const serving = wrapSocket(far, SERVER);
  const client = await wrapSocket(near, CLIENT);
  const server = await serving; // the client's Finished has come
  await closeBoth(client, server);
});

test("wrapSocket() completes a handshake that comes byte by byte", async () => {
  const { client, server } = await pair({ pipe: { chunkSize: 1, capacity: 1 } });
  await assertTalk(client, server);
  await closeBoth(client, server);
});

// ---- A deferred handshake -------------------------------------------------------------------------------

const DEFERRED = { client: { doHandshake: false }, server: { doHandshake: false } };

test("wrapSocket({ doHandshake: false }) sends and reads nothing before the first use", async () => {
  const { client, server, near, far } = await pair(DEFERRED);
  await idle();
  assertEquals([near.writes, near.reads, far.writes, far.reads], [[], [], [], []]);
  assertEquals([client.version(), client.cipher(), client.pending()], [undefined, undefined, 0]);
  assertEquals([client.selectedAlpnProtocol(), client.session, client.sessionReused], [
    undefined,
    undefined,
    false,
  ]);
  await Promise.all([client.close(), server.close()]);
  assertEquals([near.writes, far.writes], [[], []]);
  assertEquals([near.closed, far.closed], [true, true]);
});

const DRIVERS: Record<string, (a: SSLSocket, b: SSLSocket) => Promise<unknown>> = {
  "a client's write and a server's read": (client, server) =>
    Promise.all([client.write(encodeText("ping")), readText(server)]),
  "a client's read and a server's write": (client, server) =>
    Promise.all([readText(client), server.write(encodeText("ping"))]),
  "reads and writes at once": (client, server) =>
    Promise.all([client, server].flatMap((end) => [readText(end), end.write(encodeText("ping"))])),
  "handshake()": (client, server) => Promise.all([client.handshake(), server.handshake()]),
  "closeWrite()": (client, server) => Promise.all([client.closeWrite(), server.closeWrite()]),
};

for (const [driver, drive] of Object.entries(DRIVERS)) {
  test(`wrapSocket({ doHandshake: false }) completes the handshake by ${driver}`, async () => {
    const { client, server } = await pair(DEFERRED);
    await drive(client, server);
    assertEquals([client.version(), server.version()], ["TLSv1.3", "TLSv1.3"]);
    if (driver !== "closeWrite()") await assertTalk(client, server);
    await closeBoth(client, server);
  });
}

test("SSLSocket.handshake() is the same handshake for all who wait", async () => {
  const { client, server } = await pair(DEFERRED);
  const waiting = client.handshake();
  assertStrictEquals(client.handshake(), waiting);
  await Promise.all([waiting, server.handshake()]);
  await client.handshake();
  await closeBoth(client, server);
});

test("SSLSocket.read() and write() share the failure of a deferred handshake", async () => {
  const [near, far] = pipe();
  const client = await wrapSocket(near, { ...CLIENT, doHandshake: false });
  const calls = [client.read(new Uint8Array(1)), client.write(new Uint8Array(1)), client.handshake()];
  const outcomes = Promise.allSettled(calls);
  await far.write(encodeText("HTTP/1.1 400 Bad Request\r\n"));
  await far.closeWrite();
  const reasons = (await outcomes).map((outcome) => outcome.status === "rejected" && outcome.reason);
  const error = await assertKind(calls[0]!, "protocol");
  for (const reason of reasons) assertStrictEquals(reason, error);
  assertStrictEquals(await assertKind(client.read(new Uint8Array(1)), "protocol"), error);
  assertEquals(near.closed, true);
});

// ---- Wrong options --------------------------------------------------------------------------------------

const WRONG: Record<string, [WrapSocketOptions, typeof TypeError | typeof RangeError]> = {
  "no serverHostname": [{ caCerts: CLIENT.caCerts! }, TypeError],
  "a URL as serverHostname": [{ ...CLIENT, serverHostname: "https://localhost/" }, TypeError],
  "a number as serverHostname": [{ ...CLIENT, serverHostname: 1 as unknown as string }, TypeError],
  "an empty serverHostname": [{ ...CLIENT, serverHostname: "" }, TypeError],
  "timeout 0": [{ ...CLIENT, timeout: 0 }, RangeError],
  "timeout NaN": [{ ...CLIENT, timeout: NaN }, RangeError],
  "a negative shutdownTimeout": [{ ...CLIENT, shutdownTimeout: -1 }, RangeError],
  "text as initialData": [{ ...CLIENT, initialData: "x" as unknown as Uint8Array }, TypeError],
  "text as savedSession": [{ ...CLIENT, savedSession: "x" as unknown as SSLSession }, TypeError],
  "certfile without keyfile": [{ ...CLIENT, certfile: CREDENTIAL.certfile }, TypeError],
  "a server without certfile": [{ serverSide: true }, TypeError],
  "a server that checks without caCerts": [{ ...SERVER, certReqs: 2 }, TypeError],
  "an unknown profile": [{ ...CLIENT, profile: "esp8266" }, TypeError],
  "an unknown cipher": [{ ...CLIENT, ciphers: ["ROT13"] }, TypeError],
  "no certfile at all": [{ ...CLIENT, caCerts: [] }, TypeError],
};

for (const [what, [options, errorClass]] of Object.entries(WRONG)) {
  test(`wrapSocket() refuses ${what} and leaves conn open and untouched`, async () => {
    const [near, far] = pipe();
    await assertRejects(() => wrapSocket(near, options), errorClass, "Cannot ");
    assertEquals([near.closed, near.writes, near.reads, near.noDelay], [false, [], [], undefined]);
    const [client, server] = await wrapBoth(near, far);
    await closeBoth(client, server);

    const streams = new TransformStream<Uint8Array, Uint8Array>();
    await assertRejects(() => wrapSocket(streams, options), errorClass);
    assertEquals([streams.readable.locked, streams.writable.locked], [false, false]);
  });
}

test("wrapSocket() refuses options of the context beside a context", async () => {
  using context = await SSLContext.create(SERVER);
  const [, far] = pipe();
  await assertRejects(() => wrapSocket(far, { context, alpnProtocols: ["h2"] }), TypeError, "alpnProtocols");
  assertEquals(far.closed, false);
});

test("wrapSocket() refuses a context that is disposed and leaves conn open", async () => {
  const context = await SSLContext.create(SERVER);
  context[Symbol.dispose]();
  const streams = new TransformStream<Uint8Array, Uint8Array>();
  await assertRejects(() => context.wrapSocket(streams), TypeError, "disposed");
  assertEquals([streams.readable.locked, streams.writable.locked], [false, false]);
});

test("wrapSocket() refuses what is no connection", async () => {
  for (const conn of [null, undefined, 1, "conn", {}, { readable: new Blob().stream() }]) {
    await assertRejects(() => wrapSocket(conn as Deno.Conn, SERVER), TypeError, "Cannot wrap conn: ");
  }
});

// ---- Bytes that were read before ------------------------------------------------------------------------

for (const size of [1, 5, 100, Infinity]) {
  test(`wrapSocket({ initialData }) takes ${size} bytes of the ClientHello first`, async () => {
    const [near, far] = pipe();
    const connecting = wrapSocket(near, CLIENT);
    await idle();
    const initialData = new Uint8Array(Math.min(size, near.unread));
    assertEquals(await far.read(initialData), initialData.length);
    const server = await wrapSocket(far, { ...SERVER, initialData, doHandshake: false });
    initialData.fill(0); // it is the caller's again
    const [client] = await Promise.all([connecting, server.handshake()]);
    await assertTalk(client, server);
    await closeBoth(client, server);
  });
}

test("wrapSocket({ initialData }) gives plain bytes to the handshake, never to a read", async () => {
  const { client, server } = await pair({ ...DEFERRED, server: { initialData: encodeText("MAIL FROM\r\n") } })
    .catch((error) => ({ client: undefined, server: error }));
  assertEquals(client, undefined);
  assertEquals(server.kind, "protocol");
});

// ---- What carries the bytes -----------------------------------------------------------------------------

test("wrapSocket() takes a pair of streams", async () => {
  const up = new TransformStream<Uint8Array, Uint8Array>();
  const down = new TransformStream<Uint8Array, Uint8Array>();
  const [client, server] = await wrapBoth(
    { readable: down.readable, writable: up.writable },
    { readable: up.readable, writable: down.writable },
  );
  await assertTalk(client, server);
  await closeBoth(client, server);
});

test("wrapSocket() takes unix sockets", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const ends = await Promise.all([Deno.connect({ transport: "unix", path }), listener.accept()]);
  const [client, server] = await wrapBoth(...ends);
  assertEquals(client.remoteAddr, { transport: "unix", path });
  await assertTalk(client, server);
  await closeBoth(client, server);
  await Deno.remove(folder, { recursive: true });
});

test("wrapSocket() takes TCP connections and gives their addresses", async () => {
  const [near, far] = await tcp();
  const addresses = [near.localAddr, near.remoteAddr];
  const [client, server] = await wrapBoth(near, far);
  assertEquals([client.localAddr, client.remoteAddr], addresses);
  assertEquals([server.remoteAddr, server.localAddr], addresses);
  await assertTalk(client, server);
  await closeBoth(client, server);
});

test("wrapSocket() puts TLS in TLS, and closing the inner one closes both", async () => {
  const { client, server, near, far } = await pair();
  const [inner, peer] = await wrapBoth(client, server, { client: { sslVersion: VERSIONS["TLSv1.2"] } });
  assertEquals([client.version(), inner.version()], ["TLSv1.3", "TLSv1.2"]);
  await assertTalk(inner, peer);
  await closeBoth(inner, peer);
  assertEquals([near.closed, far.closed], [true, true]);
  await assertKind(client.read(new Uint8Array(1)), "closed");
});

test("wrapSocket() rejects on a connection that is closed already", async () => {
  const [near] = pipe();
  near.close();
  await assertKind(wrapSocket(near, CLIENT), "closed");
  const [conn, peer] = await tcp();
  conn.close();
  await assertKind(wrapSocket(conn, CLIENT), "closed");
  await assertKind(wrapSocket(conn, SERVER), "closed");
  peer.close();
});

test("wrapSocket() rejects on a connection whose peer is gone already", async () => {
  const [near, far] = await tcp();
  near.close();
  await assertKind(wrapSocket(far, SERVER), "eof");
});

test("wrapSocket() refuses streams that are locked", async () => {
  for (const end of ["readable", "writable"] as const) {
    const streams = new TransformStream<Uint8Array, Uint8Array>();
    if (end === "readable") streams.readable.getReader();
    else streams.writable.getWriter();
    await assertRejects(() => wrapSocket(streams, CLIENT), TypeError, `its ${end} stream is locked`);
    const other = end === "readable" ? streams.writable : streams.readable;
    assertEquals(other.locked, false);
  }
});

test("wrapSocket() ends in time when another read takes the handshake's bytes", async () => {
  const [near, far] = await tcp();
  const stolen = near.read(new Uint8Array(65536));
  const serving = assertRejects(() => wrapSocket(far, { ...SERVER, timeout: LONG }));
  await assertKind(wrapSocket(near, { ...CLIENT, timeout: SHORT }), "timeout", "protocol");
  assert(await stolen !== null);
  await serving;
});

test("wrapSocket() ends in time when the connection's own stream is being read", async () => {
  const [near, far] = await tcp();
  const reader = near.readable.getReader();
  const stolen = reader.read();
  const serving = assertRejects(() => wrapSocket(far, { ...SERVER, timeout: LONG }));
  await assertKind(wrapSocket(near, { ...CLIENT, timeout: SHORT }), "timeout", "protocol");
  assertEquals((await stolen).done, false);
  await serving;
});

test("wrapSocket() says so when two read from a pipe at once", async () => {
  const [near] = pipe();
  near.read(new Uint8Array(1)).catch(() => {});
  await assertKind(wrapSocket(near, CLIENT), "closed");
});
