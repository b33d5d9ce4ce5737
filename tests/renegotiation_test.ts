/** TLS 1.2 with `renegotiation: true`: a second handshake under the keys of the first. Refusals are in engine_close_test.ts. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { SSLObject } from "../lib/object.ts";
import { CERT_OPTIONAL } from "../lib/policy.ts";
import type { TicketKeyRing } from "../lib/tickets.ts";
import {
  configs,
  credential,
  ENDS,
  EnginePair,
  FixedClock,
  fixedCore,
  fixedRing,
  type PairOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const clock = new FixedClock();
const core = fixedCore(1, clock);

/** Configs of mutual TLS 1.2 that may renegotiate. */
function mutual(lines: string[], tickets: false | TicketKeyRing = false) {
  return configs(
    core,
    {
      sslVersion: VERSIONS[0][1],
      tickets,
      ciphers: SEALER_CIPHERS,
      renegotiation: true,
      certReqs: CERT_OPTIONAL,
      trust: [source("root.pem")],
    },
    { credential: credential("client"), keyLog: (line) => lines.push(line) },
    { credential: credential("chain") },
  );
}

/** The server asks for a renegotiation, in the place of a record of its own that is lost. */
function request(pair: EnginePair, lines: readonly string[]): void {
  pair.server.write(encodeText("lost"));
  pair.server.takeRecords();
  const sealer = new Sealer(pair, lines, "server", 1);
  pair.client.receive(sealer.seal(TYPE.handshake, message(MESSAGE.helloRequest)));
  pair.run();
}

/** A pair of them, and the server's request. `resumed`: its session was resumed. */
function open(resumed = false) {
  const lines: string[] = [];
  using both = mutual(lines);
  const connect = (options: PairOptions = {}) => new EnginePair(both.client, both.server, options).connect();
  let pair = connect();
  if (resumed) {
    const savedSession = pair.client.session()!;
    pair[Symbol.dispose]();
    lines.length = 0;
    pair = connect({ savedSession });
    assertEquals(pair.client.sessionReused, true);
  }
  return Object.assign(pair, { request: () => request(pair, lines) });
}

Deno.test("TLSEngine renegotiates, and data goes on under the new keys (TLSv1.2)", () => {
  using pair = open();
  const before = pair.flight("client").length;
  pair.request();
  assertEquals(pair.errors, {});
  assert(pair.flight("client").length > before + 500, "a whole handshake has travelled");
  for (const from of ENDS) {
    const data = new Uint8Array(40_000).fill(from.length);
    assertEquals(pair.send(from, data), data);
  }
  assertEquals(pair.server.peerCertificates().length, 1);
  assertEquals(pair.client.peerCertificates().length, 2);
  for (const end of ENDS) {
    assert(!core.retired && pair[end].verifiedChain().length >= 0, "no dangling certificate");
  }
  pair.close();
  assertEquals([pair.client.state, pair.server.state], ["closed", "closed"]);
});

for (const resumed of [false, true]) {
  Deno.test(`TLSEngine: what is known is of the newest handshake (TLSv1.2, ${resumed ? "resumed" : "full"} before)`, () => {
    using pair = open(resumed);
    const asked = () => ENDS.map((end) => new SSLObject(pair[end]));
    const before = asked().map((object) => object.getChannelBinding("tls-unique"));
    pair.request();
    assertEquals(pair.errors, {});
    for (const object of asked()) {
      assertEquals([object.sessionReused, object.group(), object.clientSigalg()], [
        false,
        "x25519",
        "ecdsa_secp256r1_sha256",
      ]);
    }
    for (const type of ["tls-unique", "tls-exporter", "tls-server-end-point"] as const) {
      const [client, server] = asked().map((object) => object.getChannelBinding(type));
      assertEquals(client, server, type);
    }
    assertNotEquals(asked().map((object) => object.getChannelBinding("tls-unique")), before);
  });

  Deno.test(`TLSEngine.verifyFlags is of the newest handshake (TLSv1.2, ${resumed ? "resumed" : "full"} before)`, () => {
    using pair = open(resumed);
    assertEquals([pair.client.verifyFlags, pair.server.verifyFlags], [0, 0]);
    const { time } = clock;
    clock.time = Date.UTC(2100, 5, 1); // by now, both certificates have expired
    try {
      pair.request();
      assertEquals(pair.errors, {});
      assertEquals([pair.client.verifyFlags & 1, pair.server.verifyFlags & 1], [1, 1]);
    } finally {
      clock.time = time;
    }
  });
}

for (const name of ["ticket", "session id"]) {
  Deno.test(`TLSEngine.session(): that of a renegotiation is resumed, with its extended master secret, by ${name}`, () => {
    const lines: string[] = [];
    using ring = fixedRing(1, clock);
    using both = mutual(lines, name === "ticket" && ring);
    using pair = new EnginePair(both.client, both.server).connect();
    request(pair, lines);
    assertEquals(pair.errors, {});
    const savedSession = pair.client.session()!;
    assertEquals(savedSession.hasTicket, name === "ticket");
    using again = new EnginePair(both.client, both.server, { savedSession }).connect();
    assertEquals([again.client.sessionReused, again.client.extendedMasterSecret], [true, true]);
    assertEquals([again.client.verifyFlags, again.server.verifyFlags], [0, 0]);
  });
}

Deno.test("TLSEngine: a connection that fails in a renegotiation takes its session with it (TLSv1.2)", () => {
  const lines: string[] = [];
  using both = mutual(lines);
  using pair = new EnginePair(both.client, both.server).connect();
  assertEquals(both.server.stats().number, 1);
  pair.deliver = ({ from, bytes }) => from === "server" ? [] : [bytes]; // it has read the hello
  request(pair, lines);
  pair.server.receive(new Sealer(pair, lines, "client", 9).seal(TYPE.data, encodeText("in between")));
  pair.run();
  assertEquals([pair.server.state, both.server.stats().number], ["failed", 0]);
});
