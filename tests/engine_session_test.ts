/** Resumption: what is saved, when it is offered, and what a resumed connection still knows. */
import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { TLSConfig } from "../lib/config.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLSession } from "../lib/session.ts";
import {
  clientOptions,
  configs,
  credential,
  ENDS,
  EnginePair,
  FixedClock,
  fixedCore,
  fixedRing,
} from "./pair.ts";
import { serverOptions, source, VERSIONS } from "./pair.ts";
import { recordsOf } from "./records.ts";
import { ticketOf } from "./session_bytes.ts";

const clock = new FixedClock();
const core = fixedCore(1, clock);
const [[, TLS12], [, TLS13]] = VERSIONS;

/** Connects, with an earlier session or without one, and closes. Returns what the next one can resume. */
function connect(client: TLSConfig, server: TLSConfig, savedSession?: SSLSession) {
  const pair = new EnginePair(client, server, { savedSession }).connect();
  return { pair, session: pair.client.session()!, reused: ENDS.map((end) => pair[end].sessionReused) };
}

const FULL = [false, false];
const RESUMED = [true, true];

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`TLSEngine resumes a session, again and again (${version})`, () => {
    using both = configs(core, { sslVersion });
    using first = connect(both.client, both.server).pair;
    assertEquals([first.client.sessionReused, first.server.sessionReused], FULL);
    let session = first.client.session()!;
    for (let i = 0; i < 3; i++) {
      const next = connect(both.client, both.server, session);
      using pair = next.pair;
      assertEquals(next.reused, RESUMED);
      const der = first.client.peerCertificates()[0]!;
      assertEquals(pair.client.peerCertificates(), [der], "it still says who the server is");
      assertEquals([pair.client.verifyFlags, pair.client.verifiedChain()], [0, []]);
      assert(pair.flight("server").length < first.flight("server").length / 2, "no certificate travels");
      const data = new Uint8Array(30_000).fill(i);
      assertEquals(pair.send("server", data), data);
      session = next.session;
    }
  });

  Deno.test(`TLSEngine.session() outlives the connection, and is the same until there is a newer one (${version})`, () => {
    using both = configs(core, { sslVersion });
    const { pair, session } = connect(both.client, both.server);
    assertStrictEquals(pair.client.session(), session);
    pair[Symbol.dispose]();
    assertStrictEquals(pair.client.session(), session);
    assertEquals(pair.server.session(), undefined, "a server has nothing to offer");
    const { created, ...facts } = session.facts;
    assertEquals(created, clock.time);
    assertEquals([facts.serverHostname, facts.version, facts.verifyFlags], ["localhost", version, 0]);
    assertEquals(facts.trust, both.client.trustId);
  });

  Deno.test(`TLSEngine.session() is undefined before the handshake is over (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server);
    assertEquals(pair.client.session(), undefined);
    pair.client.handshake();
    assertEquals(pair.client.session(), undefined);
  });

  Deno.test(`TLSEngine offers a session only where it was made (${version})`, () => {
    using both = configs(core, { sslVersion });
    const { pair, session } = connect(both.client, both.server);
    pair[Symbol.dispose]();
    const others: Record<string, [TLSConfigOptions, string?]> = {
      "another host": [{}, "127.0.0.1"],
      "other trust": [{ trust: [source("root.pem")] }],
      "no check of the certificate": [{ certReqs: CERT_NONE }],
      "an optional check of the certificate": [{ certReqs: CERT_OPTIONAL }],
      "no check of the name": [{ checkHostname: false }],
      "a laxer check of the name": [{ allowCommonName: true }],
      "a client with another identity": [{ credential: credential("client") }],
    };
    for (const [name, [options, serverHostname = "localhost"]] of Object.entries(others)) {
      using client = new TLSConfig(clientOptions({ sslVersion, ...options }), core);
      using next = new EnginePair(client, both.server, { serverHostname, savedSession: session }).connect();
      assertEquals(next.client.sessionReused, false, name);
      const hello = recordsOf(next.flight("client"))[0]!;
      assertEquals(Buffer.from(hello).indexOf(ticketOf(session)), -1, `${name}: the ticket does not travel`);
    }
    using same = new TLSConfig(clientOptions({ sslVersion, alpnProtocols: ["h2"] }), core);
    using next = new EnginePair(same, both.server, { savedSession: session }).connect();
    assert(next.client.sessionReused, "what says nothing about trust may differ");
    assert(Buffer.from(next.flight("client")).includes(Buffer.from(ticketOf(session))));
  });

  Deno.test(`TLSEngine keeps the verifyFlags of an optional check when it resumes (${version})`, () => {
    const server = { credential: credential("expired", "ec") };
    using both = configs(core, { sslVersion }, { certReqs: CERT_OPTIONAL }, server);
    const { session } = connect(both.client, both.server);
    const { pair, reused } = connect(both.client, both.server, session);
    assertEquals([reused, pair.client.verifyFlags], [RESUMED, 1]);
    assertEquals(pair.client.session()!.facts.verifyFlags, 1);
    pair[Symbol.dispose]();
  });

  Deno.test(`TLSEngine: a server without tickets and without a cache resumes nothing (${version})`, () => {
    using both = configs(core, { sslVersion }, {}, { tickets: false, sessionCacheSize: 0 });
    const { session } = connect(both.client, both.server);
    assertEquals(connect(both.client, both.server, session).reused, FULL);
  });

  Deno.test(`TLSEngine: a session past its ticket's lifetime means a full handshake (${version})`, () => {
    using ring = fixedRing(1, clock, 3600);
    using both = configs(core, { sslVersion }, {}, { tickets: ring });
    const { session } = connect(both.client, both.server);
    clock.advance(3599);
    assertEquals(connect(both.client, both.server, session).reused, RESUMED);
    clock.advance(2);
    assertEquals(connect(both.client, both.server, session).reused, FULL);
  });

  // ---- Mutual TLS ----------------------------------------------------------------------------------------

  const asks = { certReqs: CERT_REQUIRED, trust: [source("root.pem")] } as const;
  const shows = { credential: credential("client") };

  Deno.test(`TLSEngine: a resumed connection of mutual TLS still says who the client is (${version})`, () => {
    for (const certReqs of [CERT_OPTIONAL, CERT_REQUIRED] as const) {
      using both = configs(core, { sslVersion }, shows, { ...asks, certReqs });
      let { pair, session, reused } = connect(both.client, both.server);
      const [der] = pair.server.peerCertificates();
      assert(der !== undefined);
      for (let i = 0; i < 3; i++) {
        pair[Symbol.dispose]();
        ({ pair, session, reused } = connect(both.client, both.server, session));
        assertEquals(reused, RESUMED);
        assertEquals(pair.server.peerCertificates(), [der], `generation ${i}`);
        assertEquals(pair.server.verifyFlags, 0);
      }
      pair[Symbol.dispose]();
    }
  });

  Deno.test(`TLSEngine: a resumed connection does not better what the server thought of the client (${version})`, () => {
    for (const [name, flags] of [[undefined, 0x40], ["client-rsa", 0x8]] as const) {
      const client = name === undefined ? {} : { credential: credential(name) };
      using both = configs(core, { sslVersion }, client, { ...asks, certReqs: CERT_OPTIONAL });
      let { pair, session, reused } = connect(both.client, both.server);
      const certificates = pair.server.peerCertificates();
      for (let i = 0; i < 3; i++) {
        assertEquals(pair.server.verifyFlags, flags, `${name}, generation ${i}`);
        assertEquals(pair.server.peerCertificates(), certificates);
        pair[Symbol.dispose]();
        ({ pair, session, reused } = connect(both.client, both.server, session));
        assertEquals(reused, RESUMED);
      }
      pair[Symbol.dispose]();
    }
  });

  Deno.test(`TLSEngine: a ticket does not stand in for a certificate that another context asks for (${version})`, () => {
    using ring = fixedRing();
    const server = (options: TLSConfigOptions) =>
      new TLSConfig(serverOptions({ sslVersion, tickets: ring, ...options }), core);
    using required = server(asks);
    using lax = {
      none: server({}),
      optional: server({ ...asks, certReqs: CERT_OPTIONAL }),
      otherTrust: server({ ...asks, trust: [source("root-rsa.pem")] }),
      [Symbol.dispose]() {
        for (const config of [this.none, this.optional, this.otherTrust]) config[Symbol.dispose]();
      },
    };
    // Without a certificate, from a server that did not insist.
    using anonymous = new TLSConfig(clientOptions({ sslVersion }), core);
    for (const from of [lax.none, lax.optional]) {
      const { session } = connect(anonymous, from);
      using pair = new EnginePair(anonymous, required, { savedSession: session }).run();
      assertEquals(pair.server.handshakeDone, false);
      assertEquals(pair.errors.server?.kind, "verify");
    }
    // With a certificate of another authority.
    using rsa = new TLSConfig(clientOptions({ sslVersion, credential: credential("client-rsa") }), core);
    const { session } = connect(rsa, lax.otherTrust);
    using pair = new EnginePair(rsa, required, { savedSession: session }).run();
    assertEquals([pair.server.handshakeDone, pair.errors.server?.kind], [false, "verify"]);
  });
}

Deno.test("TLSEngine.session() is the newest of several tickets (TLSv1.3)", () => {
  using both = configs(core, { sslVersion: TLS13 });
  using client = new TLSEngine(both.client, { serverHostname: "localhost" });
  using server = new TLSEngine(both.server);
  client.handshake();
  server.receive(client.takeRecords());
  server.handshake();
  client.receive(server.takeRecords());
  client.handshake();
  assertEquals([client.handshakeDone, client.session()], [true, undefined], "no ticket has come yet");
  server.receive(client.takeRecords());
  server.handshake();
  const tickets = recordsOf(server.takeRecords());
  assertEquals(tickets.length, 2);
  const sessions = tickets.map((ticket) => {
    client.receive(ticket);
    assertEquals(client.read(new Uint8Array(1)), { state: "need-records" });
    return client.session()!;
  });
  assertNotEquals(ticketOf(sessions[0]!), ticketOf(sessions[1]!));
  for (const session of sessions) {
    assertEquals(connect(both.client, both.server, session).reused, RESUMED, "both can be resumed");
  }
});

Deno.test("TLSEngine resumes by session id where there are no tickets (TLSv1.2)", () => {
  for (const end of ENDS) {
    const off = { tickets: false } as const;
    using both = configs(
      core,
      { sslVersion: TLS12 },
      end === "client" ? off : {},
      end === "server" ? off : {},
    );
    const { session } = connect(both.client, both.server);
    assertEquals(connect(both.client, both.server, session).reused, RESUMED);
    using other = new TLSConfig(serverOptions({ sslVersion: TLS12, ...off }), core);
    assertEquals(
      connect(both.client, other, session).reused,
      FULL,
      "another server's cache does not have it",
    );
  }
});

Deno.test("TLSEngine does not offer a session of a version that the config does not speak", () => {
  using twelve = configs(core, { sslVersion: TLS12 });
  using thirteen = configs(core, { sslVersion: TLS13 });
  for (const [from, to] of [[twelve, thirteen], [thirteen, twelve]]) {
    const { session } = connect(from!.client, from!.server);
    assertEquals(connect(to!.client, to!.server, session).reused, FULL);
  }
});

Deno.test("TLSEngine: a ticket that someone saw on the wire does not lend him the client's certificate (TLSv1.3)", () => {
  const asks = { certReqs: CERT_OPTIONAL, trust: [source("root.pem")] } as const;
  using both = configs(core, { sslVersion: TLS13 }, { credential: credential("client") }, asks);
  using eavesdropper = new TLSConfig(clientOptions({ sslVersion: TLS13 }), core);
  const { pair, session } = connect(both.client, both.server);
  assertEquals(pair.server.peerCertificates().length, 1);

  // He has the ticket, but neither its secret nor its age: the server opens it and then refuses it.
  const state = SSLSession.state(session).slice();
  state.fill(0, 9, 13); // ticket_age_add
  state.fill(0, 15, 15 + state[14]!); // the resumption secret
  const forged = new SSLSession({ ...session.facts, trust: eavesdropper.trustId }, state);
  clock.advance(60);
  const first = connect(eavesdropper, both.server, forged);
  assertEquals([first.reused, first.pair.server.peerCertificates()], [FULL, []]);
  const second = connect(eavesdropper, both.server, first.session);
  assertEquals(second.reused, RESUMED);
  assertEquals([second.pair.server.peerCertificates(), second.pair.server.verifyFlags], [[], 0x40]);
});

Deno.test("TLSEngine is freed although its session cannot be saved", () => {
  const core = fixedCore();
  using both = configs(core);
  new EnginePair(both.client, both.server).connect()[Symbol.dispose](); // what mbedTLS allocates once for all
  const start = core.allocated;
  const pair = new EnginePair(both.client, both.server).connect();
  pair.client.session = () => {
    throw new Error("no memory for it");
  };
  assertThrows(() => pair.client[Symbol.dispose](), Error, "no memory for it");
  assertEquals(pair.client.state, "freed");
  pair.server[Symbol.dispose]();
  assertEquals(core.allocated, start);
});
