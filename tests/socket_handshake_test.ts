/** Handshakes that fail: what each side learns, how soon, and what becomes of the connection. */

import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTalk,
  assertTook,
  CLIENT,
  closeBoth,
  idle,
  isPending,
  LONG,
  pair,
  seconds,
  SERVER,
  SHORT,
  tcp,
  test,
  trickle,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

// ---- Alerts ---------------------------------------------------------------------------------------------

const FAILURES: Record<string, {
  client?: WrapSocketOptions;
  server?: WrapSocketOptions;
  alert: string;
  /** Who finds fault. */
  by: "client" | "server";
}> = {
  "a client that does not trust the server": {
    client: { caCerts: certFile("root-rsa.pem") },
    alert: "unknown_ca",
    by: "client",
  },
  "a client that asked for another host": {
    client: { serverHostname: "other.test" },
    alert: "bad_certificate",
    by: "client",
  },
  "a server without a common protocol": {
    client: { alpnProtocols: ["h2"] },
    server: { alpnProtocols: ["http/1.1"] },
    alert: "no_application_protocol",
    by: "server",
  },
  "a server without a common version": {
    client: { sslVersion: TLSVersion.TLSv1_2 },
    server: { sslVersion: TLSVersion.TLSv1_3 },
    alert: "protocol_version",
    by: "server",
  },
};

for (const [what, { client: clientOptions, server: serverOptions, alert, by }] of Object.entries(FAILURES)) {
  test(`SSLSocket.handshake() tells the peer why before the FIN: ${what}`, async () => {
    const [near, far] = await tcp();
    const client = wrapSocket(near, { ...CLIENT, ...clientOptions });
    // A TLS 1.3 server is done before the client judges: the alert is for its first read.
    const server = wrapSocket(far, { ...SERVER, ...serverOptions }).then(async (socket) => {
      await socket.read(new Uint8Array(1)).finally(() => socket.close());
    });
    const [judge, told] = by === "client" ? [client, server] : [server, client];
    const [reason, error] = await Promise.all([
      assertRejects(() => judge, SSLError),
      assertKind(told, "alert"),
    ]);
    assert(reason.kind === "verify" || reason.kind === "protocol", reason.kind);
    if (reason.kind === "verify") assert(reason instanceof SSLCertVerificationError);
    assertEquals(error.alert?.name, alert);
    for (const conn of [near, far]) await assertRejects(() => conn.write(new Uint8Array(1)));
  });
}

/** What a plain peer receives until the end of the stream. */
async function receiveRaw(conn: Deno.Conn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(conn.readable).arrayBuffer());
}

for (const [role, options] of Object.entries({ client: CLIENT, server: SERVER })) {
  test(`SSLSocket.handshake() as ${role} sends an alert and a FIN, no reset, to a peer that floods it`, async () => {
    const [near, far] = await tcp();
    const wrapping = wrapSocket(near, options);
    const garbage = new Uint8Array(65536).fill(0x41);
    const [received, error] = await Promise.all([
      receiveRaw(far),
      assertKind(wrapping, "protocol"),
      far.write(garbage), // far more than is read before the fault is found
    ]);
    assertEquals([received.at(-7), received.at(-2)], [21, 2]); // a record with a fatal alert
    assertEquals(error.alert, undefined);
  });
}

test("SSLSocket.handshake() lingers no longer than a second for a peer that does not close", async () => {
  const [near, far] = pipe();
  await far.write(encodeText("GET / HTTP/1.1\r\n\r\n"));
  assertTook(await seconds(assertKind(wrapSocket(near, SERVER), "protocol")), 1);
  assertEquals([near.closed, far.closed], [true, false]);
});

test("SSLSocket.handshake() does not linger when the peer gave up", async () => {
  const [near, far] = pipe();
  await far.write(new Uint8Array([21, 3, 3, 0, 2, 2, 40]));
  const error = await assertKind(wrapSocket(near, CLIENT), "alert");
  assertEquals(error.alert, { description: 40, name: "handshake_failure" });
  assertEquals([near.closed, far.closed], [true, false]);
});

test("SSLSocket.handshake() reports a peer that leaves in the middle", async () => {
  for (const options of [CLIENT, SERVER]) {
    const [near, far] = await tcp();
    far.close();
    await assertKind(wrapSocket(near, options), "eof");
    const [end, peer] = pipe();
    peer.abort();
    const error = await assertKind(wrapSocket(end, options), "eof");
    assert(error.cause instanceof Deno.errors.ConnectionReset);
    assertEquals(end.closed, true);
  }
});

test("SSLSocket.handshake() keeps its first failure for every later call", async () => {
  const [near, far] = pipe();
  const socket = await wrapSocket(near, { ...SERVER, doHandshake: false });
  await far.write(encodeText("SSH-2.0-OpenSSH_9.6\r\n"));
  await far.closeWrite();
  const error = await assertKind(socket.handshake(), "protocol");
  for (
    const call of [
      () => socket.handshake(),
      () => socket.read(new Uint8Array(1)),
      () => socket.write(new Uint8Array(1)),
      () => socket.closeWrite(),
      () => socket.unwrap(),
    ]
  ) assertStrictEquals(await assertRejects(call), error);
  await socket.close();
  socket.abort();
  assertStrictEquals(await assertRejects(() => socket.read(new Uint8Array(1))), error);
});

// ---- The timeout ----------------------------------------------------------------------------------------

for (const [role, options] of Object.entries({ client: CLIENT, server: SERVER })) {
  test(`wrapSocket({ timeout }) as ${role} bounds a peer that is silent`, async () => {
    const [near, far] = await tcp();
    const call = assertKind(wrapSocket(near, { ...options, timeout: SHORT }), "timeout");
    assertTook(await seconds(call), SHORT);
    const error = await call;
    assertEquals(error.reason, "MBEDTLS_ERR_SSL_TIMEOUT");
    const host = role === "client" ? ' with "localhost"' : "";
    assertEquals(
      error.message,
      `Cannot complete TLS handshake${host}: timed out after ${SHORT} seconds`,
    );
    const received = await receiveRaw(far); // it was closed
    assertEquals(received.length > 0, role === "client");
  });

  test(`wrapSocket({ timeout }) as ${role} bounds a peer that sends byte by byte`, async () => {
    const [near, far] = pipe();
    const trickling = trickle(far, [22, 3, 3, 0x3f, 0, 1, 0, 0x3e, 0xfc, 3, 3]);
    const call = assertKind(wrapSocket(near, { ...options, timeout: 2 * SHORT }), "timeout");
    assertTook(await seconds(call), 2 * SHORT);
    assertGreater(await trickling, 3);
    assertEquals(near.closed, true);
  });
}

test("wrapSocket({ timeout }) bounds a peer that never reads", async () => {
  const [near] = pipe({ capacity: 50 });
  const client = assertKind(wrapSocket(near, { ...CLIENT, timeout: SHORT }), "timeout");
  assertTook(await seconds(client), SHORT);
  assertEquals([near.closed, near.writes], [true, [50]]);

  const [end, far] = pipe();
  far.blockWrites();
  const connecting = assertKind(wrapSocket(end, { ...CLIENT, timeout: LONG }), "eof");
  const server = assertKind(wrapSocket(far, { ...SERVER, timeout: SHORT }), "timeout");
  assertTook(await seconds(server), SHORT);
  await connecting;
});

test("wrapSocket({ timeout }) bounds a pair of streams that nobody reads", async () => {
  const up = new TransformStream<Uint8Array, Uint8Array>();
  const down = new TransformStream<Uint8Array, Uint8Array>();
  const conn = { readable: down.readable, writable: up.writable };
  const call = assertKind(wrapSocket(conn, { ...CLIENT, timeout: SHORT }), "timeout");
  assertTook(await seconds(call), SHORT);
});

test("wrapSocket({ timeout }) bounds TLS in TLS, whose outer peer does not answer", async () => {
  const { client } = await pair();
  const call = assertKind(wrapSocket(client, { ...CLIENT, timeout: SHORT }), "timeout");
  assertTook(await seconds(call), SHORT + 1); // a second for the outer goodbye
});

test("wrapSocket({ timeout }) bounds a connection that does not even close", async () => {
  const never = () => new Promise<never>(() => {});
  const conn = { read: never, write: never, close: never };
  const call = assertKind(wrapSocket(conn, { ...CLIENT, timeout: SHORT }), "timeout");
  assertTook(await seconds(call), SHORT + 1);
});

test("wrapSocket({ timeout }) takes Infinity and more than a timer can hold", async () => {
  for (const timeout of [Infinity, 1e9, 2 ** 31 / 1000]) {
    const [near, far] = pipe();
    const [client, server] = await wrapBoth(near, far, { client: { timeout }, server: { timeout } });
    await closeBoth(client, server);
    const waiting = wrapSocket(pipe()[0], { ...CLIENT, timeout });
    await new Promise((resolve) => setTimeout(resolve, 30)); // a timer that overflows fires at once
    assertEquals(await isPending(waiting), true);
    waiting.catch(() => {});
  }
});

test("wrapSocket({ timeout }) is over with the handshake", async () => {
  const [near, far] = pipe();
  const [client, server] = await wrapBoth(near, far, {
    client: { timeout: SHORT },
    server: { timeout: SHORT },
  });
  await new Promise((resolve) => setTimeout(resolve, SHORT * 1500));
  await assertTalk(client, server);
  await closeBoth(client, server);
});

test("SSLSocket.read() and write() are bounded by the timeout of a deferred handshake", async () => {
  const [near] = pipe();
  const client = await wrapSocket(near, { ...CLIENT, doHandshake: false, timeout: SHORT });
  const read = client.read(new Uint8Array(1));
  const write = client.write(new Uint8Array(1));
  assertStrictEquals(await assertKind(read, "timeout"), await assertKind(write, "timeout"));
});

// ---- The signal -----------------------------------------------------------------------------------------

test("wrapSocket({ signal }) that is aborted already rejects with the reason, sends nothing, closes", async () => {
  const reason = new Error("changed my mind");
  for (const options of [CLIENT, SERVER]) {
    const [near] = pipe();
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await assertRejects(() => wrapSocket(near, { ...options, signal })), reason);
    assertEquals([near.closed, near.writes, near.reads], [true, [], []]);
  }
});

test("wrapSocket({ signal }) that is aborted in the handshake rejects with the reason and closes", async () => {
  const reason = new TypeError("stop");
  const abort = new AbortController();
  const [near, far] = pipe();
  const wrapping = wrapSocket(near, { ...CLIENT, signal: abort.signal });
  assertEquals(await isPending(wrapping), true);
  await idle();
  assertGreater(near.unread, 0);
  abort.abort(reason);
  assertStrictEquals(await assertRejects(() => wrapping), reason);
  assertEquals(near.closed, true);
  await assertKind(wrapSocket(far, SERVER), "eof");
});

test("wrapSocket({ signal }) passes on the signal's own TimeoutError", async () => {
  const signal = AbortSignal.timeout(SHORT * 1000);
  const [near] = pipe();
  const error = await assertRejects(() => wrapSocket(near, { ...CLIENT, signal, timeout: LONG }));
  assertStrictEquals(error, signal.reason);
  assertEquals(near.closed, true);
});

test("wrapSocket({ signal }) reaches a deferred handshake", async () => {
  const abort = new AbortController();
  const [near] = pipe();
  const socket = await wrapSocket(near, { ...CLIENT, signal: abort.signal, doHandshake: false });
  const reading = socket.read(new Uint8Array(1));
  await idle();
  abort.abort();
  const error = await assertRejects(() => reading, DOMException);
  assertEquals(error.name, "AbortError");
  assertStrictEquals(await assertRejects(() => socket.write(new Uint8Array(1))), error);
});

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`wrapSocket({ signal }) has no effect after the ${version} handshake`, async () => {
    const abort = new AbortController();
    const [near, far] = pipe();
    const { signal } = abort;
    const [client, server] = await wrapBoth(near, far, {
      client: { signal, sslVersion },
      server: { signal },
    });
    abort.abort();
    await assertTalk(client, server);
    assertLess(await seconds(closeBoth(client, server)), LONG);
  });
}
