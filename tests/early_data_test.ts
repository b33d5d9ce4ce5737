/** 0-RTT early data between two engines: when it is taken, when not, and that it arrives once. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { pinOf } from "../lib/peer_policy.ts";
import { SSLSession } from "../lib/session.ts";
import { TLSVersion } from "../lib/suites.ts";
import { EARLY_DATA_EXTENSION, earlyConfigs, EarlyPair, extensionsOf, MAX, sessionFor } from "./early.ts";
import {
  bytesFrom,
  clientOptions,
  configs,
  EnginePair,
  FAITHFUL,
  FixedClock,
  fixedCore,
  serverOptions,
} from "./pair.ts";

const REQUEST = encodeText("GET / HTTP/1.1\r\n\r\n");

for (const [how, deliver] of Object.entries(FAITHFUL)) {
  Deno.test(`TLSEngine.readEarlyData(): early data comes before the handshake is over (${how})`, () => {
    const core = fixedCore();
    using both = earlyConfigs(core);
    const savedSession = sessionFor(both.client, both.server);
    using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST }, deliver);
    pair.connect();
    assertEquals([pair.inTime, pair.read.server.length], [REQUEST, 0], "before the handshake, and once");
    assert(pair.client.earlyDataAccepted && pair.server.earlyDataAccepted);
    assert(pair.client.sessionReused && pair.server.sessionReused);

    pair.client.write(encodeText("later"));
    pair.connect(pair.client.takeRecords());
    assertEquals([pair.early, pair.read.server], [REQUEST, encodeText("later")]);
  });
}

Deno.test("TLSEngine.write(): a server answers early data one round trip after the client began", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  const flight = pair.serve(pair.first);
  assertEquals(pair.early, REQUEST);
  assertEquals(pair.server.handshakeDone, false);
  const answer = bytesFrom(1, 40000); // several records: their counter goes on after the handshake
  for (let at = 0; at < answer.length;) at += pair.server.write(answer.subarray(at));
  const last = pair.answer(new Uint8Array([...flight, ...pair.server.takeRecords()]));
  assertEquals(pair.read.client, answer, "with the server's first flight");
  pair.connect(last);
  assert(pair.server.handshakeDone && pair.client.handshakeDone);
  pair.server.write(REQUEST); // under the same keys, behind the tickets
  pair.answer(pair.server.takeRecords());
  assertEquals(pair.read.client, new Uint8Array([...answer, ...REQUEST]));
  pair.server.updateKey();
  pair.server.write(REQUEST);
  pair.answer(pair.server.takeRecords());
  assertEquals(pair.read.client.length, answer.length + 2 * REQUEST.length);
});

Deno.test("TLSEngine.write(): without early data a server sends nothing before the handshake is over", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession });
  pair.serve(pair.first);
  assertEquals([pair.server.canAnswerEarly, pair.server.write(REQUEST)], [false, 0]);
});

Deno.test("maxEarlyData: a replayed first flight is refused, and nothing is delivered twice", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  pair.connect();
  assertEquals(pair.early, REQUEST);

  for (let n = 0; n < 3; n++) {
    using replay = new TLSEngine(both.server);
    replay.receive(pair.first);
    assertEquals(
      replay.handshake().state,
      "need-records",
      "it waits for a Finished that the thief cannot make",
    );
    assertEquals(replay.readEarlyData(new Uint8Array(100)).state, "eof");
    assertEquals(replay.earlyDataAccepted, false);
  }
});

Deno.test("maxEarlyData: a ticket that comes again is resumed without early data, which is sent once behind it", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using first = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  first.connect();
  using again = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  again.connect();
  assertEquals([first.early, first.read.server.length], [REQUEST, 0]);
  assertEquals([again.early.length, again.read.server], [0, REQUEST]);
  assertEquals(again.client.earlyDataAccepted || again.server.earlyDataAccepted, false);
  assert(again.client.sessionReused && again.server.sessionReused);
});

Deno.test("maxEarlyData: a first flight that comes after its window is refused", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  clock.advance(100);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  clock.advance(7); // seconds, of which mbedTLS forgives 6
  pair.connect();
  assertEquals([pair.early.length, pair.read.server, pair.client.sessionReused], [0, REQUEST, false]);
});

Deno.test("maxEarlyData: more than it allows is cut: the rest follows behind the handshake", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  const earlyData = bytesFrom(2, 3 * MAX);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData });
  pair.connect();
  assertEquals([pair.early, pair.read.server], [earlyData.subarray(0, MAX), earlyData.subarray(MAX)]);
  assert(pair.client.earlyDataAccepted);
});

Deno.test("maxEarlyData: a client that sends more than its ticket allows is told unexpected_message", () => {
  const core = fixedCore();
  using both = earlyConfigs(core, { maxEarlyData: 2 * MAX });
  const savedSession = sessionFor(both.client, both.server);
  const state = SSLSession.state(savedSession);
  const at = state.findIndex((_, i) =>
    new DataView(state.buffer, state.byteOffset + i, 4).getUint32(0) === 2 * MAX
  );
  new DataView(state.buffer, state.byteOffset + at).setUint32(0, 3 * MAX); // the client believes so
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: bytesFrom(3, 3 * MAX) });
  const error = assertThrows(() => pair.connect(), SSLError);
  assertEquals([error.kind, error.code], ["protocol", CODE.UNEXPECTED_MESSAGE]);
  const alert = assertThrows(() => pair.answer(pair.server.takeRecords()), SSLError);
  assertEquals(alert.alert?.name, "unexpected_message");
});

Deno.test("TLSConfig: without early data a ClientHello and a ticket say nothing of it", () => {
  const core = fixedCore();
  using early = earlyConfigs(core);
  using plain = configs(core);
  const allowed = sessionFor(early.client, early.server);
  using pair = new EarlyPair(early.client, early.server, { savedSession: allowed });
  assertEquals(
    extensionsOf(pair.first).includes(EARLY_DATA_EXTENSION),
    false,
    "a session that allows it is resumed",
  );
  pair.connect();
  assert(pair.client.sessionReused);
  using announced = new EarlyPair(early.client, early.server, { savedSession: allowed, earlyData: REQUEST });
  assertEquals(
    extensionsOf(announced.first).includes(EARLY_DATA_EXTENSION),
    true,
    "the search finds what is there",
  );
  const forbidden = sessionFor(plain.client, plain.server);
  using asked = new EarlyPair(plain.client, early.server, { savedSession: forbidden, earlyData: REQUEST });
  assertEquals(extensionsOf(asked.first).includes(EARLY_DATA_EXTENSION), false);
});

Deno.test("TLSEngine.read(): it fails while early data waits, and gives none of it", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using client = new TLSEngine(both.client, {
    serverHostname: "localhost",
    savedSession,
    earlyData: REQUEST,
  });
  using server = new TLSEngine(both.server);
  client.handshake();
  server.receive(client.takeRecords());
  server.handshake();
  client.receive(server.takeRecords());
  client.handshake();
  client.write(encodeText("later"));
  server.receive(client.takeRecords());
  const buffer = new Uint8Array(100);
  assertThrows(() => server.read(buffer), TypeError, "readEarlyData()");
  assertEquals(server.error, undefined, "the connection is as before");
  assertEquals(server.readEarlyData(buffer), { state: "data", bytes: REQUEST.length });
  assertEquals(server.readEarlyData(buffer), { state: "eof" });
  assertEquals(server.read(buffer), { state: "data", bytes: 5 });
});

Deno.test("TLSEngine: a server's alert reaches a client that has sent early data, and the other way round", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  for (const from of ["client", "server"] as const) {
    const savedSession = sessionFor(both.client, both.server);
    using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
    const flight = pair.serve(pair.first);
    if (from === "client") {
      flight[flight.length - 1]! ^= 1; // the server's Finished
      assertThrows(() => pair.answer(flight), SSLError);
      const error = assertThrows(() => pair.serve(pair.client.takeRecords()), SSLError);
      assertEquals([error.kind, error.alert?.name], ["alert", "bad_record_mac"]);
    } else {
      const last = pair.answer(flight);
      last[last.length - 1]! ^= 1;
      assertThrows(() => pair.serve(last), SSLError);
      const error = assertThrows(() => pair.answer(pair.server.takeRecords()), SSLError);
      assertEquals([error.kind, error.alert?.name], ["alert", "bad_record_mac"]);
    }
  }
});

Deno.test("TLSEngine.readEarlyData(): nothing that was changed on its way comes out", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const size = 5 + REQUEST.length + 1 + 16; // of the record: header, data, type and tag
  for (let at = 0; at < size; at++) {
    const savedSession = sessionFor(both.client, both.server);
    using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
    pair.first[pair.first.length - size + at]! ^= 1;
    try {
      pair.connect();
    } catch (error) {
      assert(error instanceof SSLError, String(error));
    }
    assertEquals([at, pair.early.length, pair.server.handshakeDone], [at, 0, false]);
  }
});

Deno.test("TLSEngine.readEarlyData(): a stream that ends before the handshake is a failure", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  pair.serve(pair.first);
  assertEquals(pair.early, REQUEST);
  pair.server.receiveEof();
  const error = assertThrows(() => pair.server.handshake(), SSLError);
  assertEquals(error.kind, "eof");
  assertThrows(() => pair.server.readEarlyData(new Uint8Array(1)), SSLError);
});

Deno.test("earlyData: pins hold for the session that it goes with", () => {
  const core = fixedCore();
  using plain = earlyConfigs(core);
  using pair = new EnginePair(plain.client, plain.server);
  const pins = [pinOf(core, pair.connect().client.peerCertificates()[0]!)];
  using both = earlyConfigs(core, {}, { pins });
  const savedSession = sessionFor(both.client, both.server);
  using early = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  assertEquals(early.connect().early, REQUEST);
  assert(early.client.handshakeDone && early.server.handshakeDone);
  using without = new EarlyPair(both.client, both.server, {
    savedSession: sessionFor(plain.client, plain.server), // made without them
    earlyData: REQUEST,
  });
  assertEquals(without.connect().read.server, REQUEST);
  assertEquals(without.client.earlyDataAccepted, false);
});

Deno.test("earlyData: a session's bytes carry what early data needs", () => {
  const core = fixedCore();
  using both = earlyConfigs(core, { alpnProtocols: ["a"] }, { alpnProtocols: ["a"] });
  const savedSession = SSLSession.from(sessionFor(both.client, both.server).toBytes());
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  assertEquals(pair.connect().early, REQUEST);
});

Deno.test("keyLog: it names the secret of early data", () => {
  const core = fixedCore();
  const lines = { client: [] as string[], server: [] as string[] };
  using both = earlyConfigs(
    core,
    { keyLog: (line) => lines.server.push(line) },
    { keyLog: (line) => lines.client.push(line) },
  );
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  pair.connect();
  const early = (end: "client" | "server") =>
    lines[end].filter((line) => line.startsWith("CLIENT_EARLY_TRAFFIC"));
  assertEquals(early("client").length, 1);
  assertEquals(early("client"), early("server"));
});

Deno.test("Core: nothing of early data is left, in its memory or on its heap", () => {
  const core = fixedCore();
  const secrets: Uint8Array[] = [];
  const keyLog = (line: string) => secrets.push(Uint8Array.fromHex(line.split(" ").at(-1)!));
  const both = earlyConfigs(core, { alpnProtocols: ["protocol"] }, { alpnProtocols: ["protocol"], keyLog });
  const mark = bytesFrom(5, 64);
  const round = () => {
    const savedSession = sessionFor(both.client, both.server);
    using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: mark });
    assertEquals(pair.connect().early, mark);
    using replay = new TLSEngine(both.server);
    replay.receive(pair.first);
    replay.handshake();
  };
  round();
  const before = core.allocated;
  for (let n = 0; n < 5; n++) round();
  assertEquals(core.allocated, before);
  both[Symbol.dispose]();
  const memory = Uint8Array.from(core.memory).toHex();
  assertEquals(memory.includes(mark.toHex()), false, "the data");
  for (const secret of secrets) assertEquals(memory.includes(secret.toHex()), false, "its key");
});

Deno.test("Core: tickets in a ClientHello that names no way to use them leave nothing on the heap", () => {
  const core = fixedCore();
  using both = earlyConfigs(core, { alpnProtocols: ["protocol"] }, { alpnProtocols: ["protocol"] });
  const savedSession = sessionFor(both.client, both.server);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  const modes = pair.first.toHex().indexOf("002d000302") / 2; // psk_key_exchange_modes, with both
  assert(modes > 0, "it is there");
  const hello = pair.first.slice();
  hello[modes + 4] = 0; // names neither
  const serve = () => {
    using server = new TLSEngine(both.server);
    server.receive(hello);
    server.handshake();
    assertEquals(server.earlyDataAccepted, false);
  };
  serve();
  const before = core.allocated;
  for (let n = 0; n < 10; n++) serve();
  assertEquals(core.allocated, before);
});

Deno.test("maxEarlyData, earlyData: what cannot be is refused at once", () => {
  const core = fixedCore();
  const wrong = [
    [{ maxEarlyData: -1 }, RangeError],
    [{ maxEarlyData: 1.5 }, RangeError],
    [{ maxEarlyData: (1 << 20) + 1 }, RangeError],
    [{ maxEarlyData: "1" as unknown as number }, RangeError],
    [{ maxEarlyData: 1, tickets: false }, TypeError],
    [{ maxEarlyData: 1, verifyConnection: () => {} }, TypeError],
    [{ maxEarlyData: 1, sslVersion: TLSVersion.TLSv1_2 }, TypeError],
  ] as const;
  for (const [options, kind] of wrong) {
    assertThrows(() => new TLSConfig(serverOptions(options), core), kind, "maxEarlyData");
  }
  assertThrows(() => new TLSConfig(clientOptions({ maxEarlyData: 1 }), core), TypeError, "maxEarlyData");

  const engine = (client: Parameters<typeof clientOptions>[0], earlyData: unknown = REQUEST) => {
    using config = new TLSConfig(clientOptions(client), core);
    using _ = new TLSEngine(config, { serverHostname: "localhost", earlyData: earlyData as Uint8Array });
  };
  assertThrows(() => engine({}, "text"), TypeError, "earlyData");
  assertThrows(() => engine({ alpnProtocols: ["a", "b"] }), TypeError, "alpnProtocols");
  assertThrows(() => engine({ sslVersion: TLSVersion.TLSv1_2 }), TypeError, "TLS 1.3");
  assertThrows(() => engine({ verifyConnection: () => {} }), TypeError, "verifyConnection");
  using server = new TLSConfig(serverOptions(), core);
  assertThrows(() => new TLSEngine(server, { earlyData: REQUEST }), TypeError, "earlyData");
});

Deno.test("EnginePair: a server that takes early data serves clients that send none", () => {
  using both = earlyConfigs(fixedCore());
  using pair = new EnginePair(both.client, both.server);
  pair.connect();
  assertEquals(pair.send("client", REQUEST), REQUEST);
  assertEquals(pair.server.earlyDataAccepted, false);
});
