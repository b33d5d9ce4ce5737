/** DTLSEngine: two of them in memory, on a network without faults. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { publicKeyPin } from "tlsio";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { DTLSEngine } from "../lib/dtls_engine.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { TLSVersion } from "../lib/suites.ts";
import { CLIENT_ID, datagramConfigs, DatagramPair } from "./dtls_network.ts";
import {
  bytesFrom,
  clientOptions,
  configs as streamConfigs,
  credential,
  ENDS,
  EnginePair,
  FixedClock,
  fixedCore,
  NOW,
  peerOf,
  source,
} from "./pair.ts";

const PSK = { identity: "sensor 7", key: bytesFrom(7, 32) };

for (const key of ["ec", "rsa"]) {
  Deno.test(`DTLSEngine completes a handshake with an ${key} key and carries datagrams`, () => {
    using configs = datagramConfigs(fixedCore(), { alpnProtocols: ["coap"] }, {}, {
      credential: credential(key),
    });
    using pair = new DatagramPair({ configs });
    pair.connect(0.1);
    const exported = ENDS.map((end) => pair[end].exportKeyingMaterial(32, "EXPORTER-test"));
    assertEquals(exported[0], exported[1], "also before any data has shown that the last flight arrived");
    for (const end of ENDS) {
      const engine = pair[end];
      assertEquals([engine.version, engine.alpnProtocol, engine.group], ["DTLSv1.2", "coap", "x25519"]);
      assertEquals([engine.cipher?.version, engine.extendedMasterSecret, engine.state], [
        "DTLSv1.2",
        true,
        "open",
      ]);
      const messages = [1, 100, engine.maxDatagram].map((length) => bytesFrom(length, length));
      assertEquals(pair.send(end, ...messages), messages, "each datagram by itself, in order");
    }
    assertEquals([pair.client.verifyFlags, pair.server.serverName], [0, "localhost"]);
    for (const end of ENDS) assertEquals(pair[end].exportKeyingMaterial(32, "EXPORTER-test"), exported[0]);
  });
}

Deno.test("DTLSEngine: the first hello is answered by a cookie, the second begins the handshake", () => {
  using pair = new DatagramPair();
  pair.connect();
  const types = (end: "client" | "server") => pair.sent[end].slice(0, 2).map((datagram) => datagram[13]);
  assertEquals(types("client"), [1, 1], "ClientHello twice");
  assertEquals(types("server"), [3, 2], "HelloVerifyRequest, then ServerHello");
  assert(
    pair.sent.server[0]!.length < pair.sent.client[0]!.length,
    "a cookie is less than what asked for it",
  );
});

Deno.test("DTLSEngine: a pre-shared key instead of certificates", () => {
  using configs = datagramConfigs(fixedCore(), { psk: PSK });
  using pair = new DatagramPair({ configs });
  pair.connect(0.1);
  assertEquals(pair.client.peerCertificates(), []);
  assertEquals(pair.send("client", encodeText("21.5")), [encodeText("21.5")]);
});

Deno.test("DTLSEngine: a wrong pre-shared key fails at both ends", () => {
  const other = { ...PSK, key: bytesFrom(8, 32) };
  using configs = datagramConfigs(fixedCore(), {}, { psk: PSK }, { psk: other });
  using pair = new DatagramPair({ configs });
  pair.run();
  assertEquals([pair.errors.client?.kind, pair.errors.client?.alert?.name], ["alert", "bad_record_mac"]);
  assertEquals(pair.errors.server?.code, CODE.INVALID_MAC);
});

Deno.test("DTLSEngine: pins, verifyCallback and pskCallback have their say", () => {
  const core = fixedCore();
  const depths: number[] = [];
  const verifyCallback = (_: Uint8Array, depth: number) => depths.push(depth) && 0;
  const leaf =
    new TextDecoder().decode(source("ec.pem").bytes).match(/-----BEGIN[^]*?END CERTIFICATE-----/)![0];
  const pin = publicKeyPin(leaf);
  using pinned = datagramConfigs(core, {}, { pins: [pin], verifyCallback });
  using pair = new DatagramPair({ configs: pinned });
  pair.connect(0.1);
  assertEquals(depths.at(-1), 0);
  assertEquals(pair.send("client", encodeText("x")), [encodeText("x")]);

  using strange = datagramConfigs(core, {}, { pins: [`sha256//${"A".repeat(43)}=`] });
  using refused = new DatagramPair({ configs: strange });
  refused.run();
  assertEquals([refused.errors.client?.kind, refused.errors.server?.alert?.name], [
    "verify",
    "bad_certificate",
  ]);

  const pskCallback = (identity: Uint8Array) =>
    new TextDecoder().decode(identity) === PSK.identity ? PSK.key : undefined;
  for (const identity of [PSK.identity, "sensor 8"]) {
    using server = new TLSConfig({ serverSide: true, datagrams: {}, pskCallback }, core);
    using client = new TLSConfig({ datagrams: {}, psk: { ...PSK, identity } }, core);
    using keyed = new DatagramPair({ configs: { client, server } });
    keyed.run();
    assertEquals(keyed.errors.client === undefined, identity === PSK.identity);
  }
});

Deno.test("DTLSEngine: a client's certificate is checked", () => {
  const server = { certReqs: 2, trust: [source("roots.pem")] } as const;
  using configs = datagramConfigs(fixedCore(), {}, { credential: credential("client") }, server);
  using pair = new DatagramPair({ configs });
  pair.connect(0.1);
  assertEquals([pair.server.verifyFlags, pair.server.peerCertificates().length > 0], [0, true]);
  using without = datagramConfigs(fixedCore(), {}, {}, server);
  using refused = new DatagramPair({ configs: without });
  refused.run();
  assertEquals([refused.errors.client?.kind, refused.errors.server?.kind], ["alert", "verify"]);
});

Deno.test("DTLSEngine: a certificate for another host ends the handshake, and the server is told", () => {
  const server = { credential: credential("impostor") };
  using configs = datagramConfigs(fixedCore(), {}, {}, server);
  using pair = new DatagramPair({ configs });
  assertThrows(() => pair.connect(1), SSLCertVerificationError);
  pair.run();
  assertEquals(pair.errors.server?.kind, "alert");
});

for (const mtu of [256, 512, 1200, 16384]) {
  Deno.test(`DTLSEngine: no datagram is longer than the mtu (${mtu})`, () => {
    using configs = datagramConfigs(
      fixedCore(),
      {},
      { credential: credential("client-rsa") },
      {
        credential: { chain: source("chain.pem"), key: source("chain.key") },
        certReqs: 2,
        trust: [source("roots.pem")],
      },
    );
    using pair = new DatagramPair({ configs, mtu });
    pair.connect(1);
    for (const end of ENDS) {
      const all = bytesFrom(mtu, pair[end].maxDatagram);
      assertEquals(pair.send(end, all), [all]);
      assertThrows(() => pair[end].write(bytesFrom(1, all.length + 1)), RangeError, "Cannot write: ");
      assert(all.length > mtu - 64, `${all.length} bytes in a datagram of ${mtu}`);
      const lengths = pair.sent[end].map(({ length }) => length);
      assert(Math.max(...lengths) <= mtu, `${lengths}`);
    }
    if (mtu === 512) assert(pair.sent.server.length > 4, "the chain came in fragments");
  });
}

Deno.test("DTLSEngine.read() keeps datagrams apart, and what does not fit for the next read", () => {
  using pair = new DatagramPair();
  pair.connect();
  const messages = [bytesFrom(1, 10), bytesFrom(2, 3)];
  for (const message of messages) pair.client.write(message);
  for (const datagram of pair.client.takeDatagrams()) pair.server.receive(datagram);
  const buffer = new Uint8Array(6);
  assertEquals(pair.server.read(new Uint8Array(0)), { state: "data", bytes: 0 });
  const parts: number[][] = [];
  for (let outcome = pair.server.read(buffer); outcome.state === "data"; outcome = pair.server.read(buffer)) {
    parts.push([...buffer.subarray(0, outcome.bytes)]);
  }
  assertEquals(
    parts,
    [messages[0]!.subarray(0, 6), messages[0]!.subarray(6), messages[1]!].map((part) => [...part]),
  );
});

Deno.test("DTLSEngine: several records in one datagram are as many reads", () => {
  using pair = new DatagramPair();
  pair.connect();
  const messages = [bytesFrom(1, 10), bytesFrom(2, 3)];
  for (const message of messages) pair.client.write(message);
  const [one, other] = pair.client.takeDatagrams();
  pair.inject("server", new Uint8Array([...one!, ...other!]));
  assertEquals(pair.received("server"), messages);
});

Deno.test("DTLSEngine: a session is resumed, and only by DTLS", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  for (const tickets of [true, false]) {
    using configs = datagramConfigs(core, tickets ? {} : { tickets: false });
    using first = new DatagramPair({ configs, clock });
    first.connect();
    const savedSession = first.client.session()!;
    assertEquals(savedSession.facts.version, "DTLSv1.2");
    using again = new DatagramPair({ configs, clock, savedSession });
    again.connect();
    assertEquals([again.client.sessionReused, again.server.sessionReused], [true, true]);
    assertEquals(again.send("client", encodeText("again")), [encodeText("again")]);
    assertEquals(again.send("server", encodeText("and back")), [encodeText("and back")]);

    using streams = streamConfigs(core, tickets ? {} : { tickets: false });
    using stream = new EnginePair(streams.client, streams.server, { savedSession });
    assertEquals(stream.connect().client.sessionReused, false);
    using other = streamConfigs(core, { sslVersion: TLSVersion.TLSv1_2 });
    using full = new EnginePair(other.client, other.server);
    using refused = new DatagramPair({ configs, clock, savedSession: full.connect().client.session()! });
    assertEquals(refused.connect().client.sessionReused, false);
  }
});

Deno.test("DTLSEngine.closeNotify() ends the peer's reading, and our writing", () => {
  for (const end of ENDS) {
    using pair = new DatagramPair();
    pair.connect();
    pair[end].closeNotify();
    pair[end].closeNotify();
    assertEquals(assertThrows(() => pair[end].write(encodeText("x")), SSLError).kind, "closed");
    pair.run();
    const peer = peerOf(end);
    assertEquals([pair.ended[peer], pair[peer].state, pair[end].state], [
      true,
      "read-closed",
      "write-closed",
    ]);
    pair[peer].closeNotify();
    assertEquals(pair[peer].state, "closed");
  }
});

Deno.test("DTLSEngine: a flight without an answer is sent again, each time after twice as long, then it fails", () => {
  const clock = new FixedClock();
  const datagrams = { retransmitAfter: 2, retransmitMax: 9 };
  using configs = datagramConfigs(fixedCore(1, clock), { datagrams });
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  assertEquals(client.handshake().state, "need-records");
  const [hello] = client.takeDatagrams();
  for (const seconds of [2, 4, 8]) {
    assertEquals(client.nextTimeout(), seconds * 1000);
    clock.time += seconds * 1000 - 1;
    assertEquals([client.handshake().state, client.takeDatagrams(), client.nextTimeout()], [
      "need-records",
      [],
      1,
    ]);
    clock.time += 1;
    assertEquals(client.nextTimeout(), 0);
    client.handshake();
    const [again] = client.takeDatagrams();
    assertEquals(again!.subarray(13), hello!.subarray(13));
    assertNotEquals(again!.subarray(0, 13), hello!.subarray(0, 13), "with a number of its own");
  }
  assertEquals(client.nextTimeout(), 9000);
  clock.time += 9000;
  const error = assertThrows(() => client.handshake(), SSLError);
  assertEquals([error.kind, error.code, client.nextTimeout()], ["timeout", CODE.TIMEOUT, undefined]);
});

Deno.test("DTLSEngine: a clock that is set back sends early rather than never", () => {
  const clock = new FixedClock();
  using configs = datagramConfigs(fixedCore(1, clock));
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  client.handshake();
  client.takeDatagrams();
  clock.time = NOW - 3_600_000;
  assertEquals(client.nextTimeout(), 0);
  client.handshake();
  assertEquals([client.takeDatagrams().length, client.nextTimeout()], [1, 2000]);
});

Deno.test("DTLSEngine: a lost answer to the last flight is asked for again", () => {
  using pair = new DatagramPair();
  let drop = true;
  pair.tamper = (from, datagram) =>
    from === "server" && pair.server?.handshakeDone && drop ? undefined : datagram;
  pair.run(() => pair.server?.handshakeDone);
  assertEquals(pair.client.handshakeDone, false);
  drop = false;
  const before = pair.clock.time;
  pair.connect();
  assert(pair.clock.time - before >= 900, "by the client's timer: the server has none any more");
  assertEquals(pair.send("server", encodeText("x")), [encodeText("x")]);
});

Deno.test("DTLSEngine: options that are wrong are told before anything is sent", () => {
  const core = fixedCore();
  using configs = datagramConfigs(core);
  using streams = streamConfigs(core);
  const refuses = (make: () => unknown, type: ErrorConstructor, message: string) =>
    assertThrows(make, type as unknown as new () => Error, message);
  const name = { serverHostname: "localhost" };
  refuses(() => new TLSEngine(configs.client, name), TypeError, "Cannot use config: it is for datagrams");
  refuses(() => new DTLSEngine(streams.client, name), TypeError, "Cannot use config: it is for streams");
  refuses(() => new TLSEngine(streams.server).useConfig(configs.server), TypeError, "it is for datagrams");
  refuses(() => new DTLSEngine(configs.client), TypeError, "CERT_REQUIRED needs serverHostname");
  refuses(() => new DTLSEngine(configs.server), TypeError, "clientId is missing");
  for (const mtu of [255, 16385, 1200.5, NaN]) {
    refuses(() => new DTLSEngine(configs.client, { ...name, mtu }), RangeError, "Cannot use mtu");
  }
  for (const length of [0, 256]) {
    const clientId = new Uint8Array(length);
    refuses(() => new DTLSEngine(configs.server, { clientId }), RangeError, "Cannot use clientId");
  }
  const clientId = "me" as unknown as Uint8Array;
  refuses(() => new DTLSEngine(configs.server, { clientId }), TypeError, "Cannot use clientId");
  const config = (options: object) => () =>
    new TLSConfig(clientOptions({ datagrams: {}, ...options }), core)[Symbol.dispose]();
  refuses(config({ sslVersion: TLSVersion.TLSv1_3 }), RangeError, "DTLS is DTLS 1.2");
  refuses(config({ sslVersion: { maximum: TLSVersion.TLSv1_3 } }), RangeError, "DTLS is DTLS 1.2");
  refuses(config({ renegotiation: true }), TypeError, "Cannot use renegotiation: it is for streams");
  refuses(config({ verifyConnection() {} }), TypeError, "Cannot use verifyConnection: it is for streams");
  refuses(config({ onUnknownPeer: () => true }), TypeError, "Cannot use onUnknownPeer: it is for streams");
  refuses(config({ datagrams: { retransmitAfter: 0 } }), RangeError, "Cannot use retransmitAfter");
  refuses(config({ datagrams: { retransmitMax: 1 } }), RangeError, "Cannot use retransmitMax");
  refuses(config({ datagrams: { cookieLifetime: 86401 } }), RangeError, "Cannot use cookieLifetime");
  config({ sslVersion: TLSVersion.TLSv1_2 })();
});

Deno.test("DTLSEngine after dispose refuses every call, and keeps what it learned", () => {
  using pair = new DatagramPair();
  pair.connect();
  const session = pair.client.session();
  pair.client[Symbol.dispose]();
  assertEquals([pair.client.version, pair.client.session()], ["DTLSv1.2", session]);
  assertEquals(pair.client.nextTimeout(), undefined);
  for (
    const call of [() => pair.client.read(new Uint8Array(1)), () => pair.client.write(new Uint8Array(1))]
  ) {
    assertEquals(assertThrows(call, SSLError).kind, "closed");
  }
});

Deno.test("DTLSEngine: an idle connection holds its keys and not its buffers, and loses nothing", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  using configs = datagramConfigs(core);
  const make = () => new DatagramPair({ configs, clock }).connect();
  const talk = (pair: DatagramPair, i: number) => {
    for (const end of ENDS) assertEquals(pair.send(end, bytesFrom(i, 50)), [bytesFrom(i, 50)]);
  };
  const warm = make();
  talk(warm, 1);
  warm[Symbol.dispose]();
  const start = core.allocated;
  const pairs = Array.from({ length: 50 }, make);
  for (let round = 0; round < 3; round++) pairs.forEach((pair, i) => talk(pair, i));
  const each = (core.allocated - start) / 100;
  assert(each < 5000, `${each} bytes for each end`);
  for (const pair of pairs) pair[Symbol.dispose]();
  assertEquals(core.allocated, start);
});

Deno.test("DTLSEngine: a server that gets a hello without a cookie writes one and fails, as MicroPython's", () => {
  const core = fixedCore();
  using configs = datagramConfigs(core);
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  client.handshake();
  const [first] = client.takeDatagrams();
  const start = core.allocated;
  for (let i = 0; i < 3; i++) {
    using server = new DTLSEngine(configs.server, { clientId: CLIENT_ID });
    server.receive(first!.slice());
    const error = assertThrows(() => server.handshake(), SSLError);
    assertEquals([error.kind, error.code], ["closed", CODE.HELLO_VERIFY_REQUIRED]);
    const [cookie, ...others] = server.takeDatagrams();
    assertEquals(others, [], "no alert");
    if (i === 0) client.receive(cookie!);
  }
  assertEquals(core.allocated, start, "nothing is kept");
  client.handshake();
  using server = new DTLSEngine(configs.server, { clientId: CLIENT_ID });
  server.receive(client.takeDatagrams()[0]!);
  assertEquals([server.handshake().state, server.hasDatagrams], ["need-records", true]);
});

Deno.test("greet: a hello in fragments is answered by its first, and put together by the engine", () => {
  const alpnProtocols = Array.from({ length: 60 }, (_, i) => `protocol number ${i}`);
  using configs = datagramConfigs(fixedCore(), { alpnProtocols });
  using pair = new DatagramPair({ configs, mtu: 256 });
  pair.connect();
  const isHello = (datagram: Uint8Array) => datagram[0] === 22 && datagram[13] === 1;
  assert(pair.sent.client.filter(isHello).length > 8, "two hellos, each in many datagrams");
  assertEquals([pair.server.alpnProtocol, pair.clock.time - NOW < 100], ["protocol number 0", true]);
});

Deno.test("DTLSEngine: a session is passed over when its ticket and the hello do not fit one datagram", () => {
  const server = { certReqs: 2, trust: [source("roots.pem")] } as const;
  using configs = datagramConfigs(fixedCore(), {}, { credential: credential("client-rsa") }, server);
  const clock = new FixedClock();
  using first = new DatagramPair({ configs, clock });
  const savedSession = first.connect().client.session()!;
  for (const [mtu, resumes] of [[1200, false], [1500, true]] as const) {
    using again = new DatagramPair({ configs, clock, savedSession, mtu });
    again.connect(1);
    assertEquals(
      [again.client.sessionReused, again.sent.client[0]!.length <= mtu],
      [resumes, true],
      `${mtu}`,
    );
    assertEquals(again.send("client", encodeText("x")), [encodeText("x")]);
  }
});
