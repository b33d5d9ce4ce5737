/** What a handshake costs the network: counted from the trace, against the bytes on the wire. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { type NetworkCost, networkCost, NetworkCounter } from "../lib/cost/network_cost.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { TraceEvent } from "../lib/trace.ts";
import {
  byteAtATime,
  configs,
  credential,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  type PairOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { earlyConfigs, EarlyPair, sessionFor } from "./early.ts";
import { recordsOf } from "./records.ts";

const core = fixedCore();
const [[, TLS12], [, TLS13]] = VERSIONS;

interface Scenario {
  both?: TLSConfigOptions;
  client?: TLSConfigOptions;
  server?: TLSConfigOptions;
  resumed?: boolean;
  engine?: PairOptions;
}

/** A pair after its handshake, and what each end's trace was told. */
function traced({ both, client, server, resumed = false, engine = {} }: Scenario) {
  using config = configs(core, both, client, server);
  const options: PairOptions = { ...engine };
  if (resumed) {
    using first = new EnginePair(config.client, config.server).connect();
    options.savedSession = first.client.session();
  }
  const events: Record<End, TraceEvent[]> = { client: [], server: [] };
  const pair = new EnginePair(config.client, config.server, {
    trace: (event) => events.client.push(event),
    serverTrace: (event) => events.server.push(event),
    ...options,
  });
  pair.run();
  if (Object.keys(pair.errors).length === 0) assertEquals(pair.client.sessionReused, resumed);
  return { pair, events };
}

/** The server's, when the client has counted the same. */
function assertAgreement(events: Record<End, TraceEvent[]>): NetworkCost {
  const [client, server] = ENDS.map((end) => networkCost(events[end])) as [NetworkCost, NetworkCost];
  assertEquals([client.role, server.role], ["client", "server"]);
  assertEquals(alike(client), alike(server));
  assert(client.elapsed > 0 && client.elapsed < 60_000 && server.elapsed > 0);
  return server;
}

/** What both ends see alike: not when, and not in which flight a ChangeCipherSpec of TLS 1.3 is. */
function alike({ role: _, elapsed: __, flights, ...rest }: NetworkCost) {
  const messages = flights.map(({ way, messages }) => [
    way,
    messages.filter(({ name }) => name !== "change_cipher_spec"),
  ]);
  return { ...rest, messages };
}

/** Bytes that an end's handshake messages of a kind have: from the trace, by name alone. */
function bytesOf(events: readonly TraceEvent[], direction: string, name: string): number {
  return events.filter((event) => event.direction === direction && event.name === name)
    .reduce((sum, { length }) => sum + length, 0);
}

const MUTUAL: Scenario = {
  client: { credential: credential("client") },
  server: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
};
const RETRY = { client: { groups: ["secp256r1", "x25519"] }, server: { groups: ["x25519"] } };

/** Name, options, version, flights up and down, round trips. */
const SCENARIOS: [string, Scenario, TLSConfigOptions["sslVersion"], number, number, number][] = [
  ["full (TLSv1.2)", {}, TLS12, 2, 2, 2],
  ["full (TLSv1.3)", {}, TLS13, 2, 1, 1],
  ["resumed (TLSv1.2)", { resumed: true }, TLS12, 2, 1, 1],
  ["resumed (TLSv1.3)", { resumed: true }, TLS13, 2, 1, 1],
  ["mutual (TLSv1.2)", MUTUAL, TLS12, 2, 2, 2],
  ["mutual (TLSv1.3)", MUTUAL, TLS13, 2, 1, 1],
  ["with a HelloRetryRequest (TLSv1.3)", RETRY, TLS13, 3, 2, 2],
  ["in records of 512 bytes (TLSv1.2)", { both: { maxFragmentLength: 512 } }, TLS12, 2, 2, 2],
];

for (const [name, scenario, sslVersion, up, down, roundTrips] of SCENARIOS) {
  for (const [delivery, deliver] of [["whole", undefined], ["byte at a time", byteAtATime]] as const) {
    Deno.test(`networkCost: a handshake ${name}, ${delivery}: what is on the wire, at both ends`, () => {
      const { pair, events } = traced({
        ...scenario,
        both: { sslVersion: sslVersion!, ...scenario.both },
        engine: deliver ? { deliver } : {},
      });
      using _ = pair;
      assertEquals(pair.errors, {});
      const cost = assertAgreement(events);
      assertEquals([cost.complete, cost.roundTrips], [true, roundTrips]);
      assertEquals(
        cost.flights.map(({ way }) => way),
        ["up", "down", "up", "down", "up"].slice(0, up + down),
      );
      for (const [end, way] of [["client", "up"], ["server", "down"]] as const) {
        const sent = pair.flight(end);
        const { [way]: traffic, rest: { [way]: rest }, flights } = cost;
        assertEquals(traffic.bytes + rest.bytes, sent.length);
        assertEquals(traffic.records + rest.records, recordsOf(sent).length);
        assertEquals(traffic.certificateBytes, bytesOf(events[end], "sent", "certificate"));
        assertEquals(
          traffic.ticketBytes + rest.ticketBytes,
          bytesOf(events[end], "sent", "new_session_ticket"),
        );
        assertEquals([traffic.dataBytes, rest.dataBytes, rest.certificateBytes], [0, 0, 0]);
        const ofFlights = flights.filter((flight) => flight.way === way);
        assertEquals(ofFlights.reduce((sum, { bytes }) => sum + bytes, 0), traffic.bytes);
        assertEquals(ofFlights.reduce((sum, { records }) => sum + records, 0), traffic.records);
        const finished = ofFlights.flatMap(({ messages }) => messages).filter(({ name }) =>
          name === "finished"
        );
        assertEquals(finished.length, 1);
      }
      assertEquals(cost.down.certificateBytes > 0, scenario.resumed !== true);
      assertEquals(cost.up.certificateBytes > 0, scenario === MUTUAL);
      const isLate = sslVersion === TLS13;
      assertEquals(cost.rest.down.ticketBytes > 0, isLate, "tickets of TLS 1.3 follow the handshake");
      assertEquals(cost.down.ticketBytes > 0, !isLate && scenario.resumed !== true);
      assertEquals(cost.flights[0]!.messages.map(({ name }) => name), ["client_hello"]);
    });
  }
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`networkCost: data and goodbyes are not the handshake's (${version})`, () => {
    const { pair, events } = traced({ both: { sslVersion } });
    using _ = pair;
    const before = assertAgreement(events);
    pair.send("client", encodeText("hello"));
    pair.send("server", new Uint8Array(20_000));
    pair.close();
    const after = assertAgreement(events);
    assertEquals({ ...after, rest: before.rest }, before);
    assertEquals([after.rest.up.dataBytes, after.rest.down.dataBytes], [5, 20_000]);
    assertEquals(after.down.bytes + after.rest.down.bytes, pair.flight("server").length);
  });

  Deno.test(`networkCost: a handshake that fails, with its alert (${version})`, () => {
    const { pair, events } = traced({ both: { sslVersion }, client: { trust: [source("root-rsa.pem")] } });
    using _ = pair;
    assert(pair.errors.client !== undefined);
    for (const end of ENDS) {
      const cost = networkCost(events[end]);
      assertEquals([cost.complete, cost.roundTrips, cost.rest.up.bytes], [false, 1, 0]);
      assertEquals(cost.flights.at(-1)!.messages.at(-1)!.name, "unknown_ca");
      assertEquals(cost.up.bytes, pair.flight("client").length);
      // The client stops reading where it finds fault.
      const isServer = end === "server";
      assertEquals(cost.down.bytes === pair.flight("server").length, isServer);
      assert(cost.down.certificateBytes > 500);
    }
  });
}

Deno.test("networkCost: early data is counted, and is no flight (TLSv1.3)", () => {
  const events: TraceEvent[] = [];
  using both = earlyConfigs(core);
  using pair = new EarlyPair(both.client, both.server, {
    savedSession: sessionFor(both.client, both.server),
    earlyData: encodeText("early"),
    trace: (event) => events.push(event),
  });
  pair.connect();
  assert(pair.client.earlyDataAccepted);
  const cost = networkCost(events);
  assertEquals([cost.rest.up.dataBytes, cost.up.dataBytes], [5, 0]);
  assertEquals([cost.complete, cost.roundTrips, cost.flights.length], [true, 1, 3]);
  assertEquals(cost.flights[2]!.messages.map(({ name }) => name), ["end_of_early_data", "finished"]);
  const lengths = events.filter(({ layer, direction }) => layer === "record" && direction === "sent");
  assertEquals(cost.up.bytes + cost.rest.up.bytes, lengths.reduce((sum, { length }) => sum + length, 0));
});

Deno.test("networkCost: a message in several records, several messages in one, encrypted, as other peers send them", () => {
  const of = (direction: TraceEvent["direction"], encrypted = true) => ({
    record: (length: number): TraceEvent => ({
      ...{ time: 1, direction, layer: "record", length, encrypted, state: "handshake" },
      contentType: encrypted ? "application_data" : "handshake",
    }),
    message: (name: string, length: number): TraceEvent => ({
      ...{ time: 1, direction, layer: "message", length, encrypted, state: "handshake", name },
      contentType: "handshake",
    }),
  });
  const [plain, sent, received] = [of("sent", false), of("sent"), of("received")];
  const cost = networkCost([
    ...[plain.message("client_hello", 100), plain.record(105)],
    // a certificate that ends in the third record, where two more messages are
    ...[received.record(16401), received.record(16401), received.record(4000)],
    ...[received.message("certificate", 36_500), received.message("certificate_verify", 80)],
    ...[received.message("finished", 36)],
    // one that begins in the first record of two
    ...[sent.message("certificate", 18_000), sent.record(16401), sent.record(1700)],
    ...[sent.message("finished", 36), sent.record(58)],
    ...[sent.message("key_update", 5), sent.record(27)],
  ]);
  assertEquals(cost.flights.map(({ way, bytes, records }) => [way, bytes, records]), [
    ["up", 105, 1],
    ["down", 36_802, 3],
    ["up", 18_159, 3],
  ]);
  assertEquals([cost.down.certificateBytes, cost.up.certificateBytes], [36_500, 18_000]);
  assertEquals([cost.rest.up.bytes, cost.rest.up.records, cost.rest.down.bytes], [27, 1, 0]);
});

Deno.test("networkCost: elapsed, from the first message that is made to the last that is read; certificates' status", () => {
  const event = (time: number, direction: TraceEvent["direction"], name?: string): TraceEvent => ({
    ...{ time, direction, length: 50, encrypted: false, state: "handshake", contentType: "handshake" },
    ...(name === undefined ? { layer: "record" } : { layer: "message", name }),
  });
  const events = [
    ...[event(100, "sent", "client_hello"), event(105, "sent")],
    ...[event(130, "received"), event(131, "received", "server_hello")],
    ...[event(140, "received"), event(141, "received", "certificate_status")],
    ...[event(150, "sent", "finished"), event(151, "sent")],
    ...[event(180, "received"), event(187, "received", "finished"), event(500, "received")],
  ];
  const cost = networkCost(events);
  assertEquals([cost.complete, cost.elapsed, cost.down.certificateBytes], [true, 87, 50]);
  assertEquals(networkCost(events.slice(0, 4)).elapsed, 31);
});

Deno.test("networkCost: names what is missing where the trace has no ClientHello; role helps", () => {
  assertThrows(() => networkCost([]), TypeError, "the trace has no ClientHello, and no role is given");
  const none = networkCost([], { role: "server" });
  assertEquals([none.complete, none.up.bytes, none.flights, none.elapsed], [false, 0, [], 0]);
});

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`NetworkCounter: counts at any time what the list up to then does (${version})`, () => {
    const { pair, events } = traced({ both: { sslVersion } });
    using _ = pair;
    for (let i = 0; i < 20; i++) pair.send("server", new Uint8Array(100));
    pair.close();
    for (const end of ENDS) {
      const counter = new NetworkCounter();
      events[end].forEach((event, i) => {
        counter.add(event);
        if (i > 2) assertEquals(counter.cost(), networkCost(events[end].slice(0, i + 1)));
      });
      assertEquals(counter.cost().rest.down.dataBytes, 2000);
    }
  });
}
