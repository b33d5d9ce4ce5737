/** DTLSSocket and DTLSContext: over UDP, and over pipes that a test holds in its hand. */
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { SSLEOFError, SSLError } from "tlsio";
import {
  connectDtls,
  type DatagramLike,
  DTLSContext,
  PROTOCOL_DTLS_CLIENT,
  PROTOCOL_DTLS_SERVER,
  toDatagrams,
} from "tlsio/dtls";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { OSError } from "../lib/os_error.ts";
import { CLIENT_ID } from "./dtls_network.ts";
import {
  certificate,
  connect,
  connected,
  contexts,
  HOST,
  listen,
  pipe,
  portOf,
  PSK,
} from "./dtls_sockets.ts";
import { bytesFrom } from "./pair.ts";
import { PATIENCE } from "./peers.ts";

// ---- A client and a server over UDP -----------------------------------------------------------------------

Deno.test("connectDtls and listenDtls: what one side sends at once, the other receives at once", async () => {
  await using pair = await connected();
  const { near, far, server } = pair;
  assertEquals([near.version(), near.cipher()!.version, far.serverHostname], [
    "DTLSv1.2",
    "DTLSv1.2",
    "localhost",
  ]);
  assertEquals(near.verifyFlags, 0);
  assertEquals((far.remoteAddr as Deno.NetAddr).port, portOf({ addr: near.localAddr! }));
  assertEquals((near.remoteAddr as Deno.NetAddr).port, portOf(server));
  assertEquals(near.exportKeyingMaterial(32, "EXPORTER-x"), far.exportKeyingMaterial(32, "EXPORTER-x"));
  for (const [from, to] of [[near, far], [far, near]] as const) {
    const messages = [1, 500, from.maxDatagram].map((length) => bytesFrom(length, length));
    for (const message of messages) assertEquals(await from.send(message), message.length);
    for (const message of messages) assertEquals(await to.recv(), message);
  }
  assertEquals(server.stats, { peers: 1, waiting: 0, dropped: 0 });
});

Deno.test("DTLSSocket.recv, recvInto, read, write, pending: datagrams by any name, in parts", async () => {
  await using pair = await connected();
  const { near, far } = pair;
  await near.write(bytesFrom(1, 10));
  await near.send(bytesFrom(2, 4));
  assertEquals(await far.recv(6), bytesFrom(1, 10).subarray(0, 6));
  assertEquals(far.pending(), 4);
  const p = new Uint8Array(8);
  assertEquals([await far.recvInto(p), p.subarray(0, 4)], [4, bytesFrom(1, 10).subarray(6)]);
  assertEquals([await far.read(p), p.subarray(0, 4)], [4, bytesFrom(2, 4)]);
  assertEquals(await far.recvInto(new Uint8Array(0)), 0);
  await assertRejects(() => far.recv(0), RangeError, "Cannot recv");
  await assertRejects(() => far.recv("6" as unknown as number), RangeError, "Cannot recv");
});

Deno.test("DTLSSocket.send() refuses what is empty, too long or not bytes, and goes on", async () => {
  await using pair = await connected({}, { mtu: 600 });
  const { near, far } = pair;
  assert(near.maxDatagram < 600 && far.maxDatagram > 1000);
  for (const length of [0, near.maxDatagram + 1]) {
    await assertRejects(() => near.send(new Uint8Array(length)), RangeError, `got ${length}`);
  }
  await assertRejects(() => near.send("text" as unknown as Uint8Array), TypeError, "Cannot use p");
  await near.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"));
});

Deno.test("DTLSSocket.close() says goodbye: the peer reads what was sent before, then the end", async () => {
  await using pair = await connected();
  const { near, far, server } = pair;
  await near.send(encodeText("last words"));
  await Promise.all([near.close(), near.close()]);
  assertEquals([await far.recv(), await far.recv(), await far.recv()], [
    encodeText("last words"),
    null,
    null,
  ]);
  for (const call of [() => near.recv(), () => near.send(new Uint8Array(1))]) {
    assertEquals((await assertRejects(call, SSLError)).kind, "closed");
  }
  await far.close();
  assertEquals(server.stats.peers, 0);
});

Deno.test("DTLSSocket: a pre-shared key, ALPN, and a session that is resumed", async () => {
  await using server = await listen({ psk: PSK, alpnProtocols: ["coap"] });
  const options = { psk: PSK, alpnProtocols: ["coap"] };
  const [first] = await Promise.all([connect(portOf(server), options), server.accept()]);
  const savedSession = first.session!.toBytes();
  await first.close();
  const [again, far] = await Promise.all([
    connect(portOf(server), { ...options, savedSession }),
    server.accept(),
  ]);
  assertEquals([again.sessionReused, far.sessionReused, again.selectedAlpnProtocol()], [true, true, "coap"]);
  await again.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"));
  await again.close();
});

Deno.test("connectDtls: a certificate for another host, and one that nobody vouches for, are refused", async () => {
  const errors: unknown[] = [];
  await using server = await listen({ onError: (error) => errors.push(error) });
  const port = portOf(server);
  const wrong = await assertRejects(() => connect(port, { serverHostname: "example.com" }), SSLError);
  const stranger = await assertRejects(
    () => connectDtls({ hostname: HOST, port, serverHostname: "localhost" }),
    SSLError,
  );
  assertEquals([wrong.kind, stranger.kind], ["verify", "verify"]);
  while (errors.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(errors.map((error) => (error as SSLError).kind), ["alert", "alert"]);
  assertEquals(server.stats.peers, 0);
});

Deno.test("connectDtls: a peer that does not answer is a timeout; a signal ends the attempt early", async () => {
  const silent = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const port = portOf(silent);
  const late = await assertRejects(
    () => connect(port, { timeout: 0.2 }),
    SSLError,
    "timed out after 0.2 seconds",
  );
  assertEquals(late.kind, "timeout");
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  assertStrictEquals(await assertRejects(() => connect(port, { signal })), reason);
  const soon = new AbortController();
  const attempt = connect(port, { signal: soon.signal });
  setTimeout(() => soon.abort(reason), 20);
  assertStrictEquals(await assertRejects(() => attempt), reason);
  silent.close();
});

Deno.test("DTLSSocket.setTimeout(): a recv that gets nothing ends, and can be made again", async () => {
  await using pair = await connected();
  const { near, far } = pair;
  near.setTimeout(0.05);
  assertEquals((await assertRejects(() => near.recv(), SSLError, "timed out after 0.05")).kind, "timeout");
  await far.send(encodeText("now"));
  near.setTimeout(PATIENCE / 1000);
  assertEquals(await near.recv(), encodeText("now"));
  assertThrows(() => near.setTimeout(0), RangeError, "Cannot use timeout");
  near.setTimeout(null);
  const waiting = near.recv();
  await assertRejects(() => near.recv(), TypeError, "another recv is waiting");
  await far.send(encodeText("x"));
  assertEquals(await waiting, encodeText("x"));
});

Deno.test("DTLSSocket: a client that is silent for idleTimeout is let go", async () => {
  await using pair = await connected({ idleTimeout: 0.2 });
  const { near, far, server } = pair;
  await near.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"));
  assertEquals((await assertRejects(() => far.recv(), SSLError, "no data came")).kind, "timeout");
  await far.close();
  assertEquals(server.stats.peers, 0);
});

Deno.test("DTLSSocket: data that nobody reads is dropped beyond 256 KiB, and the rest is there", async () => {
  using both = await contexts();
  const { ends } = pipe();
  const [near, far] = await Promise.all([
    both.client.wrapSocket(ends[0], { mtu: 9000 }),
    both.server.wrapSocket(ends[1], { clientId: CLIENT_ID }),
  ]);
  for (let i = 0; i < 60; i++) await near.send(bytesFrom(i, 8000));
  await near.close();
  const got: Bytes[] = [];
  for (let p = await far.recv(); p !== null; p = await far.recv()) got.push(p);
  // Each counts for 256 bytes beside its data.
  assertEquals(got, Array.from({ length: 31 }, (_, i) => bytesFrom(i, 8000)));
  await far.close();
});

// ---- Any datagrams ----------------------------------------------------------------------------------------

Deno.test("DTLSContext.wrapSocket: both sides over a pipe; one call does the cookie and the handshake", async () => {
  using both = await contexts();
  const { ends, closed, sent } = pipe();
  const [near, far] = await Promise.all([
    both.client.wrapSocket(ends[0]),
    both.server.wrapSocket(ends[1], { clientId: CLIENT_ID }),
  ]);
  assertEquals(sent[1]![0]![13], 3, "a HelloVerifyRequest came first");
  await near.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"));
  await near.close();
  assertEquals(await far.recv(), null);
  await far.close();
  assertEquals(closed, [true, true]);
});

Deno.test("DTLSContext.wrapSocket: a server whose client never comes, leaves, or stops half-way is told so", async () => {
  using both = await contexts();
  const silent = pipe();
  const late = () => both.server.wrapSocket(silent.ends[1], { clientId: CLIENT_ID, timeout: 0.1 });
  assertEquals((await assertRejects(late, SSLError, "timed out after 0.1 seconds")).kind, "timeout");
  assertEquals(silent.closed, [false, true]);
  const gone = pipe();
  gone.ends[1].close();
  await assertRejects(() => both.server.wrapSocket(gone.ends[1], { clientId: CLIENT_ID }), SSLEOFError);

  const half = pipe();
  const stingy: DatagramLike = {
    ...half.ends[0],
    send: (datagram) => datagram[13] === 1 ? half.ends[0].send(datagram) : Promise.resolve(),
  };
  const attempts = await Promise.allSettled([
    both.client.wrapSocket(stingy, { timeout: 0.5 }),
    both.server.wrapSocket(half.ends[1], { clientId: CLIENT_ID, timeout: 0.3 }),
  ]);
  for (const attempt of attempts) {
    assert(attempt.status === "rejected");
    assertEquals((attempt.reason as SSLError).kind, "timeout");
  }
  assertEquals(half.closed, [true, true]);
});

Deno.test("DTLSSocket: a way that ends without a close_notify is an SSLEOFError; one that refuses to send is told", async () => {
  using both = await contexts();
  const { ends } = pipe();
  let refuse = false;
  const picky: DatagramLike = {
    ...ends[0],
    send: (datagram) => refuse ? Promise.reject(new Error("network is down")) : ends[0].send(datagram),
  };
  const [near, far] = await Promise.all([
    both.client.wrapSocket(picky),
    both.server.wrapSocket(ends[1], { clientId: CLIENT_ID }),
  ]);
  refuse = true;
  await assertRejects(() => near.send(encodeText("x")), Error, "network is down");
  refuse = false;
  await near.send(encodeText("y"));
  assertEquals(await far.recv(), encodeText("y"), "it was one datagram");
  ends[1].close();
  await assertRejects(() => far.recv(), SSLEOFError, "the way for datagrams was closed");
  await near.close();
});

Deno.test("DTLSSocket: a send that hangs does not hold up the end of a handshake or of close", async () => {
  using both = await contexts();
  const never: DatagramLike = {
    send: () => new Promise(() => {}),
    receive: () => new Promise(() => {}),
    close: () => {},
  };
  const started = performance.now();
  await assertRejects(() => both.client.wrapSocket(never, { timeout: 0.1 }), SSLError, "timed out");
  assert(performance.now() - started < PATIENCE);
});

Deno.test("toDatagrams: what others than the peer send is dropped", async () => {
  const conn = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const peer = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const other = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const way = toDatagrams(conn, peer.addr as Deno.NetAddr);
  await other.send(encodeText("lies"), conn.addr);
  await peer.send(encodeText("truth"), conn.addr);
  assertEquals(await way.receive(), encodeText("truth"));
  const waiting = way.receive();
  way.close();
  way.close();
  assertEquals(await waiting, null);
  assertThrows(
    () => toDatagrams(peer, { transport: "udp", hostname: "localhost", port: 1 }),
    TypeError,
    "IP address",
  );
  peer.close();
  other.close();
});

Deno.test("DTLS: options that are wrong are told before anything is opened", async () => {
  type Refusal = [() => Promise<unknown>, ErrorConstructor, string];
  using both = await contexts();
  const { client, server } = both;
  const { ends, closed } = pipe();
  const untyped = (value: unknown) => value as never;
  const refusals: Refusal[] = [
    [() => DTLSContext.create(untyped(1)), RangeError, "Cannot use protocol"],
    [() => DTLSContext.create(PROTOCOL_DTLS_SERVER), TypeError, "needs certfile and keyfile, or psk"],
    [() => DTLSContext.create(PROTOCOL_DTLS_SERVER, { certfile: certificate }), TypeError, "the other of"],
    [() => DTLSContext.create(PROTOCOL_DTLS_CLIENT, { retransmitAfter: -1 }), RangeError, "retransmitAfter"],
    [() => DTLSContext.create(PROTOCOL_DTLS_CLIENT, { ciphers: ["none"] }), TypeError, "none"],
    [() => server.wrapSocket(ends[0]), TypeError, "clientId is missing"],
    [() => server.wrapSocket(ends[0], { clientId: untyped("me") }), TypeError, "Cannot use clientId"],
    [() => client.wrapSocket(ends[0], { mtu: 100 }), RangeError, "Cannot use mtu"],
    [() => client.wrapSocket(ends[0], { timeout: 0 }), RangeError, "Cannot use timeout"],
    [() => client.wrapSocket(ends[0], { serverHostname: "a b" }), TypeError, "Cannot use serverHostname"],
    [() => client.wrapSocket(ends[0], { savedSession: untyped({}) }), TypeError, "Cannot use savedSession"],
    [() => connect(1, { context: server }), TypeError, "the context is a server's"],
    [() => connect(1, { context: untyped({}) }), TypeError, "Cannot use context"],
    [() => connect(1, { context: client, caCerts: certificate }), TypeError, "the context decides it"],
    [() => connect(1, { idleTimeout: NaN }), RangeError, "Cannot use idleTimeout"],
    [() => connect(65536), RangeError, "65535"],
    [() => listen({ context: client }), TypeError, "the context is a client's"],
    [() => listen({ maxPeers: 0 }), RangeError, "Cannot use maxPeers"],
    [() => listen({ backlog: 1.5 }), RangeError, "Cannot use backlog"],
    [
      () => connectDtls({ hostname: "no-such-host.invalid", port: 1, caCerts: certificate }),
      OSError as never,
      "Cannot getaddrinfo",
    ],
  ];
  for (const [call, type, message] of refusals) {
    await assertRejects(call, type as unknown as new () => Error, message);
  }
  assertEquals(closed, [false, false], "the way is still the caller's");
  assertThrows(() => client.listen(untyped({})), TypeError, "the context is a client's");
});
