/** Early data that cannot go with the first flight, or is refused: it follows behind the handshake, once. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { SSLError } from "../lib/errors.ts";
import { CERT_OPTIONAL } from "../lib/policy.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { EARLY_DATA_EXTENSION, earlyConfigs, EarlyPair, extensionsOf, MAX, sessionFor } from "./early.ts";
import { bytesFrom, clientOptions, configs, fixedCore, serverOptions, source } from "./pair.ts";

const REQUEST = encodeText("GET / HTTP/1.1\r\n\r\n");

/** What a server can have become since it gave the ticket: none takes early data, all complete the handshake. */
const REFUSALS: Record<string, Parameters<typeof earlyConfigs>[1]> = {
  "its keys are others": { tickets: new TicketKeyRing() },
  "its keys are others, and it takes none": { tickets: new TicketKeyRing(), maxEarlyData: 0 },
  "it takes none any more": { maxEarlyData: 0 },
  "it takes less": { maxEarlyData: MAX - 1 },
  "it asks for certificates now": { certReqs: CERT_OPTIONAL, trust: [source("roots.pem")] },
  "it has other groups": { groups: ["secp384r1"] }, // HelloRetryRequest
  "it has other suites": { ciphers: ["TLS_AES_128_GCM_SHA256"] },
};
for (const [why, options] of Object.entries(REFUSALS)) {
  Deno.test(`earlyData: it follows behind the handshake, once, when the server refuses it: ${why}`, () => {
    const core = fixedCore();
    using tickets = new TicketKeyRing({ now: core.now });
    using both = earlyConfigs(core, { tickets });
    const savedSession = sessionFor(both.client, both.server);
    using other = new TLSConfig(serverOptions({ tickets, maxEarlyData: MAX, ...options }), core);
    const earlyData = bytesFrom(4, MAX);
    using pair = new EarlyPair(both.client, other, { savedSession, earlyData });
    assert(pair.first.length > MAX, "it was sent with the first flight");
    if (why === "it has other suites") {
      // mbedTLS ends the handshake of a ticket whose suite it has no more.
      assertThrows(() => pair.connect(), SSLError);
      return;
    }
    pair.connect();
    assertEquals([pair.early.length, pair.read.server], [0, earlyData]);
    assertEquals(pair.client.earlyDataAccepted || pair.server.earlyDataAccepted, false);
  });
}

Deno.test("earlyData: without a session that allows it, it follows behind the handshake", () => {
  const core = fixedCore();
  using both = earlyConfigs(core);
  using plain = configs(core);
  const savedSession = sessionFor(both.client, both.server);
  const none = sessionFor(plain.client, plain.server);
  const cases = [
    [both, {}],
    [plain, { savedSession: none }],
    [both, { savedSession, serverHostname: "www.localhost" }],
  ] as const;
  for (const [{ client, server }, options] of cases) {
    using permissive = new TLSConfig(
      clientOptions({ checkHostname: false, trust: client.options.trust! }),
      core,
    );
    const config = "serverHostname" in options ? permissive : client;
    using pair = new EarlyPair(config, server, { ...options, earlyData: REQUEST });
    assertEquals(extensionsOf(pair.first).includes(EARLY_DATA_EXTENSION), false);
    pair.connect();
    assertEquals([pair.early.length, pair.read.server], [0, REQUEST]);
    assertEquals(pair.client.earlyDataAccepted, false);
  }
});

Deno.test("earlyData: it is sent in the protocol of the session alone", () => {
  const core = fixedCore();
  using both = earlyConfigs(core, { alpnProtocols: ["a", "b"] }, { alpnProtocols: ["a"] });
  const savedSession = sessionFor(both.client, both.server);
  using same = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  assertEquals(same.connect().early, REQUEST);

  const later = sessionFor(both.client, both.server);
  using b = new TLSConfig(clientOptions({ alpnProtocols: ["b"] }), core);
  using other = new EarlyPair(b, both.server, { savedSession: later, earlyData: REQUEST });
  assertEquals(extensionsOf(other.first).includes(EARLY_DATA_EXTENSION), false);
  assertEquals(other.connect().read.server, REQUEST);

  // The server has no such protocol any more.
  using changed = new TLSConfig(
    serverOptions({ maxEarlyData: MAX, tickets: both.server.options.tickets! }),
    core,
  );
  using refused = new EarlyPair(both.client, changed, { savedSession: later, earlyData: REQUEST });
  assert(extensionsOf(refused.first).includes(EARLY_DATA_EXTENSION));
  refused.connect();
  assertEquals([refused.early.length, refused.read.server, refused.client.sessionReused], [0, REQUEST, true]);
});
