/** What a connection has cost: `measure`, `cost()`, and when it is fixed. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { assertHandshakeCost, HandshakeBudgetError } from "../lib/cost/budget.ts";
import { estimate } from "../lib/cost/estimate.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import { SSLError } from "../lib/errors.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import { applyProfile } from "../lib/profile.ts";
import type { TraceEvent } from "../lib/trace.ts";
import {
  configs,
  ENDS,
  EnginePair,
  FixedClock,
  fixedCore,
  randomFrom,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";
import { assertKind, pair as socketPair, test } from "./sockets.ts";
import { pair as seedPair } from "./ussl_helpers.ts";
import { socket } from "../socket.ts";
import { CERT_NONE, OSError, wrap_socket } from "../ussl.ts";

const core = fixedCore();

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`cost: bytes and round trips are those on the wire, at both ends (${version})`, () => {
    using both = configs(core, { sslVersion, measure: true });
    using pair = new EnginePair(both.client, both.server).connect();
    const before = ENDS.map((end) => pair[end].cost().handshake);
    pair.send("client", encodeText("hello"));
    pair.send("server", new Uint8Array(20_000));
    pair.close();
    ENDS.forEach((end, i) => {
      const { handshake, total } = pair[end].cost();
      const { rest, ...network } = handshake.network;
      const { rest: restBefore, ...networkBefore } = before[i]!.network;
      assertEquals({ ...handshake, network }, { ...before[i], network: networkBefore }, "it is fixed");
      assertEquals([network.complete, network.role, handshake.resumed], [true, end, false]);
      assertEquals([rest.up.dataBytes, rest.down.dataBytes], [5, 20_000]);
      assertEquals(total.up.bytes, pair.flight("client").length);
      assertEquals(total.down.bytes, pair.flight("server").length);
      assertEquals([restBefore.up.dataBytes, total.down.dataBytes], [0, 20_000]);
    });
  });

  Deno.test(`cost: stays known once the connection is freed; a trace beside it sees the same (${version})`, () => {
    const events: TraceEvent[] = [];
    using both = configs(core, { sslVersion, measure: true });
    const pair = new EnginePair(both.client, both.server, { trace: (event) => events.push(event) }).connect();
    pair.close();
    const before = ENDS.map((end) => pair[end].cost());
    pair[Symbol.dispose]();
    assertEquals(ENDS.map((end) => pair[end].cost()), before);
    const { elapsed: _, ...traced } = networkCost(events);
    const { elapsed: __, ...counted } = before[0]!.handshake.network;
    assertEquals(counted, traced);
  });

  Deno.test(`cost: a handshake that fails has cost what it took; its network is not complete (${version})`, () => {
    using both = configs(core, { sslVersion, measure: true }, { trust: [source("root-rsa.pem")] });
    const pair = new EnginePair(both.client, both.server);
    pair.run();
    assert(pair.errors.client !== undefined);
    const before = ENDS.map((end) => pair[end].cost());
    pair[Symbol.dispose]();
    assertEquals(ENDS.map((end) => pair[end].cost()), before);
    for (const { handshake, total } of before) {
      assertEquals([handshake.network.complete, handshake.resumed], [false, false]);
      assertEquals(total.up.bytes, pair.flight("client").length);
    }
  });
}

Deno.test("cost: a TypeError names measure where it was not asked for; measure is a boolean, and not for DTLS", () => {
  using both = configs(core);
  using pair = new EnginePair(both.client, both.server).connect();
  assertThrows(() => pair.client.cost(), TypeError, "measure was not asked for");
  assertThrows(
    () => configs(core, { measure: 1 as never }),
    TypeError,
    "Cannot use measure: expected true or false, got number",
  );
  assertThrows(
    () => configs(core, { measure: true, datagrams: {} }),
    TypeError,
    "Cannot use measure: it is for streams",
  );
});

Deno.test("cost: a renegotiation costs the connection a second handshake, and leaves the first one's cost as it is (TLSv1.2)", () => {
  const lines: string[] = [];
  using both = configs(
    core,
    {
      sslVersion: VERSIONS[0][1],
      ciphers: SEALER_CIPHERS,
      groups: ["secp256r1"],
      renegotiation: true,
      measure: true,
    },
    { keyLog: (line) => lines.push(line) },
    { tickets: false },
  );
  using pair = new EnginePair(both.client, both.server).connect();
  const before = ENDS.map((end) => pair[end].cost().handshake);
  pair.server.write(encodeText("lost")); // in the place of its record comes a HelloRequest
  pair.server.takeRecords();
  pair.client.receive(
    new Sealer(pair, lines, "server", 1).seal(TYPE.handshake, message(MESSAGE.helloRequest)),
  );
  pair.run();
  assertEquals(pair.errors, {});
  const full = [{ "P-256 multiply": 2, "P-256 verify": 2 }, { "P-256 multiply": 2, "P-256 sign": 1 }];
  ENDS.forEach((end, i) => {
    const { handshake: { network: { rest, ...network }, ...work }, total } = pair[end].cost();
    const { network: { rest: restBefore, ...networkBefore }, ...workBefore } = before[i]!;
    assertEquals([work, network], [workBefore, networkBefore]);
    assertEquals(work.operations, full[i]);
    const twice = Object.entries(full[i]!).map(([name, count]) => [name, 2 * count]);
    assertEquals(total.operations, Object.fromEntries(twice));
    assertEquals([restBefore.up.bytes, rest.up.certificateBytes], [0, 0]);
    assertEquals(rest.down.certificateBytes, network.down.certificateBytes);
  });
});

Deno.test("cost: a server that goes on with another config counts by that one's measure, from its beginning", () => {
  for (const [first, second] of [[false, true], [true, false], [true, true]]) {
    using one = configs(core, { measure: first! });
    using two = configs(core, { measure: second! });
    using pair = new EnginePair(one.client, one.server);
    pair.server.useConfig(two.server);
    pair.connect();
    if (second) assertEquals(pair.server.cost().handshake.network.complete, true);
    else assertThrows(() => pair.server.cost(), TypeError, "measure");
  }
});

Deno.test("cost: when the core has trapped, what was read last is what there is", () => {
  const own = fixedCore();
  const both = configs(own, { measure: true });
  const pair = new EnginePair(both.client, both.server).connect();
  const before = pair.client.cost();
  assertThrows(() => own.call.core_free(-16), SSLError);
  assertEquals(own.retired, true);
  assertEquals(pair.client.cost(), before);
  pair[Symbol.dispose]();
  assertEquals(pair.client.cost(), before);
});

const WARNINGS = 32; // more of them end a handshake

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`cost: warnings in a handshake are counted (${version})`, () => {
    using both = configs(core, { sslVersion, measure: true });
    using pair = new EnginePair(both.client, both.server);
    pair.client.handshake();
    const hello = pair.client.takeRecords();
    pair.server.receive(hello);
    pair.server.handshake();
    const warning = Uint8Array.of(21, 3, 3, 0, 2, 1, 90); // user_canceled
    for (let i = 0; i < WARNINGS; i++) {
      pair.server.receive(warning);
      pair.server.handshake();
    }
    const { up, flights } = pair.server.cost().handshake.network;
    assertEquals([up.records, up.bytes], [1 + WARNINGS, hello.length + WARNINGS * warning.length]);
    const last = flights.at(-1)!;
    assertEquals([last.way, last.records, last.bytes], ["up", WARNINGS, WARNINGS * warning.length]);
    assertEquals(last.messages.length, WARNINGS);
    pair.server.takeRecords();
  });
}

Deno.test("cost: a callback of the core learns what was known before; what it disposes of is freed, and its cost stays known", () => {
  const own = fixedCore();
  using both = configs(own, { measure: true });
  const known: number[] = [];
  const trace = () => void known.push(pair.client.cost().handshake.network.up.bytes);
  const pair = new EnginePair(both.client, both.server, { trace });
  pair.connect();
  assert(known.length > 5 && known.at(-1)! > known[0]!);
  pair[Symbol.dispose]();

  const before = own.allocated;
  const dropped = new EnginePair(both.client, both.server, {
    trace: ({ name }) => name === "server_hello" && dropped.client[Symbol.dispose](),
  });
  dropped.run();
  assertEquals(dropped.errors.client?.kind, "closed");
  const { handshake } = dropped.client.cost();
  assert(handshake.operations!["X25519 multiply"]! > 0 && handshake.heap!.peak > 0);
  assertEquals(handshake.network.complete, false);
  dropped[Symbol.dispose]();
  assertEquals(own.allocated, before);
});

Deno.test("cost: an estimate of a device takes the same operations from the device's core and from the usual one", async () => {
  const options = { sslVersion: VERSIONS[0][1], groups: ["secp256r1"], measure: true };
  const ciphers = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
  const { policy } = await applyProfile("esp32", serverOptions());
  using device = new TLSConfig(
    policy,
    await newEsp32Core({ now: new FixedClock().now, random: randomFrom(1) }),
  );
  using usual = configs(core, { ...options, ciphers }, {}, { tickets: false, sessionCacheSize: 0 });
  const [there, here] = [device, usual.server].map((server) => {
    using pair = new EnginePair(usual.client, server).connect();
    return pair.server.cost().handshake;
  });
  assertEquals(there!.operations, here!.operations);
  assertEquals(there!.bulk!["AES-GCM"], here!.bulk!["AES-GCM"]);
  assertEquals(estimate(there!, "esp32").missing, []);
  // Facts: two multiplications (150 ms each) and a signature (155).
  const { parts } = estimate(here!, "esp32");
  const ofKeys = parts.filter(({ name }) => name.startsWith("P-256")).map(({ likely }) => likely);
  assertEquals(ofKeys, [300, 155]);
});

for (const [version, sslVersion] of VERSIONS) {
  test(`cost: of sockets, while they are open, and when they are closed (${version})`, async () => {
    const { client, server } = await socketPair({
      client: { sslVersion, measure: true },
      server: { sslVersion, measure: true },
    });
    await client.write(encodeText("hello"));
    assertEquals(await server.read(new Uint8Array(10)), 5);
    assertHandshakeCost(client, { maxRoundTrips: version === "TLSv1.2" ? 2 : 1, maxPeakHeap: 65536 });
    assertThrows(
      () => assertHandshakeCost(client, { maxBytesDown: 100 }),
      HandshakeBudgetError,
      "Handshake over its budget: maxBytesDown 100, but took ",
    );
    await Promise.all([client.close(), server.close()]);
    for (const socket of [client, server]) {
      const { handshake, total } = socket.cost();
      assertEquals([handshake.network.complete, total.up.dataBytes], [true, 5]);
      assert(total.heap!.peak > 32768 && total.down.bytes > handshake.network.down.bytes);
    }
  });
}

test("cost: of sockets whose handshake fails", async () => {
  const { client, server } = await socketPair({
    client: { serverHostname: "wrong.test", measure: true, doHandshake: false },
    server: { measure: true, doHandshake: false },
  });
  await Promise.all([
    assertKind(client.handshake(), "verify"),
    assertKind(server.handshake(), "alert"),
  ]);
  for (const socket of [client, server]) {
    const cost = socket.cost();
    assertEquals(cost.handshake.network.complete, false);
    assertThrows(() => assertHandshakeCost(cost, { maxRoundTrips: 1 }), TypeError, "it is not complete");
  }
});

test("cost: assertHandshakeCost names what it cannot check", async () => {
  const { client, server } = await socketPair();
  assertThrows(
    () => assertHandshakeCost(client, { maxRoundTrips: 1 }),
    TypeError,
    "measure was not asked for",
  );
  for (const nothing of [undefined, null, 5]) {
    assertThrows(
      () => assertHandshakeCost(nothing as never, { maxRoundTrips: 1 }),
      TypeError,
      "expected a socket, an engine or a cost",
    );
  }
  await Promise.all([client.close(), server.close()]);
});

test("cost: of a socket of tlsio/ussl that is a device's, and of no other", async () => {
  const [mine, theirs, close] = await seedPair({ profile: "esp32" });
  await using _ = close;
  await Promise.all([mine.write("x\n"), theirs.readline()]);
  const { handshake: { operations, network } } = mine.cost();
  assertEquals(operations, { "P-256 multiply": 2, "P-256 verify": 2 });
  assertHandshakeCost(mine, { maxRoundTrips: 2, maxBytesUp: network.up.bytes, maxDeviceMs: 1500 });
  assertThrows(() => theirs.cost(), TypeError, "measure was not asked for");
  await mine.close();
  assertEquals(mine.cost().handshake.operations, operations);
  const apart = await wrap_socket(socket(), { profile: "esp32", cert_reqs: CERT_NONE });
  assertThrows(() => apart.cost(), OSError, "Cannot tell cost()");
  await apart.close();
});
