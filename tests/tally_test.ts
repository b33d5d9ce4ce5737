/** What a config counts of its handshakes, and what it tells of tickets. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { TLSConfig } from "../lib/config.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { CACHE_OUTCOMES, TICKET_OUTCOMES, type TicketEvent } from "../lib/tally.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  EnginePair,
  FixedClock,
  fixedCore,
  fixedRing,
  source,
} from "./pair.ts";
import { serverOptions, VERSIONS } from "./pair.ts";
import { flipped, ticketOf, withTicket } from "./session_bytes.ts";

const clock = new FixedClock();
const core = fixedCore(1, clock);

/** A server that keeps what it is told. */
class Listener implements Disposable {
  readonly events: TicketEvent[] = [];
  readonly config: TLSConfig;

  constructor(options: TLSConfigOptions) {
    const onTicket = (event: TicketEvent) => this.events.push(event);
    this.config = new TLSConfig(serverOptions({ onTicket, ...options }), core);
  }

  /** Connects; returns the client's session, and whether it had resumed one. */
  connect(client: TLSConfig, savedSession?: SSLSession): { session: SSLSession; reused: boolean } {
    using pair = new EnginePair(client, this.config, { savedSession }).connect();
    return { session: pair.client.session()!, reused: pair.client.sessionReused };
  }

  /** The events since the last call, in short. */
  take(): string[] {
    return this.events.splice(0).map((event) => {
      if (event.type === "issued") return `issued ${event.count}`;
      return event.type === "refused" ? `refused ${event.reason}` : event.type;
    });
  }

  [Symbol.dispose](): void {
    this.config[Symbol.dispose]();
  }
}

for (const [version, sslVersion] of VERSIONS) {
  const isTLS13 = version === "TLSv1.3";
  const client = new TLSConfig(clientOptions({ sslVersion }), core);
  const GIVEN = isTLS13 ? "issued 2" : "issued 1";
  /** A TLS 1.2 ticket that was accepted is used again; a TLS 1.3 client gets a new one for each that it used. */
  const AGAIN = isTLS13 ? ["accepted", "issued 1"] : ["accepted"];

  Deno.test(`onTicket: issued, accepted, with version and name (${version})`, () => {
    using ring = fixedRing(1, clock);
    using server = new Listener({ sslVersion, tickets: ring });
    const { session } = server.connect(client);
    assertEquals(server.events, [
      { type: "issued", count: isTLS13 ? 2 : 1, version, serverName: "localhost" },
    ]);
    server.take();
    assert(server.connect(client, session).reused);
    assertEquals(server.take()[0], "accepted");
  });

  Deno.test(`onTicket: refused, with the reason (${version})`, () => {
    using ring = fixedRing(1, clock);
    using foreign = fixedRing(2, clock);
    using server = new Listener({ sslVersion, tickets: ring });
    using other = new Listener({ sslVersion, tickets: foreign });
    using elsewhere = new Listener({ sslVersion, tickets: ring, credential: credential("cn-only", "ec") });
    using anyName = new TLSConfig(clientOptions({ sslVersion, checkHostname: false }), core);
    const { session } = server.connect(anyName);
    const ticket = ticketOf(session);
    server.take();
    const refused = (by: Listener, saved: SSLSession, reason: string) => {
      assertEquals(by.connect(anyName, saved).reused, false, reason);
      assertEquals(by.take(), [`refused ${reason}`, GIVEN]);
    };
    refused(other, session, "unknown-key");
    refused(elsewhere, session, "unauthentic");
    refused(server, withTicket(session, flipped(ticket, ticket.length - 1)), "unauthentic");
    refused(server, withTicket(session, flipped(ticket, 0)), "unknown-key");
    refused(server, withTicket(session, ticket.slice(0, 40)), "malformed");
    // A TLS 1.3 client does not offer what the server has said to be too old: this one has changed its mind since.
    using stricter = fixedRing(1, clock, 60);
    using later = new Listener({ sslVersion, tickets: stricter });
    clock.advance(61);
    refused(later, session, "expired");
  });

  Deno.test(`onTicket: a client's certificate that has expired since refuses its ticket (${version})`, () => {
    using ring = fixedRing(1, clock, 7 * 24 * 3600);
    const options = { sslVersion, tickets: ring, certReqs: 2, trust: [source("roots.pem")] } as const;
    using server = new Listener(options);
    using mutual = new TLSConfig(clientOptions({ sslVersion, credential: credential("client") }), core);
    const before = clock.time;
    let { session } = server.connect(mutual);
    for (let day = 0; day < 8; day += 1) { // a ticket for a ticket: the first check is put off no longer than a week
      clock.advance(24 * 3600);
      server.take();
      const next = server.connect(mutual, session);
      if (!next.reused) break;
      session = next.session;
    }
    clock.time = before;
    const reason = isTLS13 ? "refused certificate" : "refused expired"; // a TLS 1.2 ticket is not renewed
    assertEquals(server.take(), [reason, GIVEN]);
  });

  Deno.test(`onTicket: one that throws harms no handshake (${version})`, () => {
    using ring = fixedRing(1, clock);
    const thrown: unknown[] = [];
    const listen = (event: ErrorEvent) => {
      event.preventDefault();
      thrown.push(event.error.message);
    };
    addEventListener("error", listen);
    try {
      const onTicket = () => {
        throw new Error("from onTicket");
      };
      using server = new Listener({ sslVersion, tickets: ring, onTicket });
      server.connect(client);
      assertEquals(thrown, ["from onTicket"]);
    } finally {
      removeEventListener("error", listen);
    }
  });

  Deno.test(`numTickets: how many tickets a client gets (${version})`, () => {
    using ring = fixedRing(1, clock);
    for (const numTickets of [0, 1, 2, 5, 16]) {
      using server = new Listener({ sslVersion, tickets: ring, numTickets, sessionCacheSize: 0 });
      using pair = new EnginePair(client, server.config);
      const sessions: SSLSession[] = [];
      pair.client.onSession = (session) => sessions.push(session);
      pair.connect();
      const expected = isTLS13 ? numTickets : 1;
      assertEquals([sessions.length, server.take()], [expected, expected ? [`issued ${expected}`] : []]);
      assertEquals(new Set(sessions.map((session) => ticketOf(session).toHex())).size, expected);
      assertEquals(sessions.at(-1), pair.client.session());
    }
  });

  Deno.test(`onSession: a resumed connection tells its sessions, too (${version})`, () => {
    using ring = fixedRing(1, clock);
    using server = new Listener({ sslVersion, tickets: ring });
    const { session } = server.connect(client);
    server.take();
    using pair = new EnginePair(client, server.config, { savedSession: session });
    let told = 0;
    pair.client.onSession = () => told++;
    pair.connect();
    assertEquals([pair.client.sessionReused, told, server.take()], [true, 1, AGAIN]);
  });

  Deno.test(`sessionStats: hits, misses and timeouts (${version})`, () => {
    using ring = fixedRing(1, clock);
    using client = new TLSConfig(clientOptions({ sslVersion }), core);
    using server = new TLSConfig(serverOptions({ sslVersion, tickets: ring }), core);
    const connect = (savedSession?: SSLSession) => {
      using pair = new EnginePair(client, server, { savedSession }).connect();
      return pair.client.session()!;
    };
    const session = connect();
    connect(session);
    connect(withTicket(session, flipped(ticketOf(session), 0)));
    using stricter = fixedRing(1, clock, 60);
    using later = new TLSConfig(serverOptions({ sslVersion, tickets: stricter }), core);
    clock.advance(61);
    {
      using pair = new EnginePair(client, later, { savedSession: session }).connect();
      assertEquals([pair.client.sessionReused, later.stats().timeouts], [false, 1]);
    }
    { // one that fails
      using strict = new TLSConfig({ sslVersion, trust: [source("root-rsa.pem")] }, core);
      using pair = new EnginePair(strict, server).run();
      assert(pair.errors.client !== undefined);
      assertEquals([strict.stats().connect, strict.stats().connectGood], [1, 0]);
    }
    const none = { number: 0, connect: 0, connectGood: 0, accept: 0, acceptGood: 0, hits: 0, misses: 0 };
    const expected = { ...none, timeouts: 0, cacheFull: 0 };
    assertEquals(client.stats(), { ...expected, connect: 4, connectGood: 4, hits: 1 });
    const { number, ...rest } = server.stats();
    assertEquals({ ...rest, number: 0 }, {
      ...expected,
      accept: 4,
      acceptGood: 3,
      hits: 1,
      misses: 1,
    });
    assertEquals(number, 0); // all of them had tickets
  });
}

Deno.test("onTicket: a ticket of another version, and one of a suite that is not to be used, are refused as such", () => {
  using ring = fixedRing(1, clock);
  using server = new Listener({ tickets: ring });
  const sessions = VERSIONS.map(([, sslVersion]) => {
    using client = new TLSConfig(clientOptions({ sslVersion }), core);
    return server.connect(client).session;
  });
  server.take();
  using client = new TLSConfig(clientOptions({}), core);
  for (const [i, [version]] of VERSIONS.entries()) { // a client offers the version of its session
    const mixed = withTicket(sessions[i]!, ticketOf(sessions[1 - i]!));
    assertEquals(server.connect(client, mixed).reused, false);
    assertEquals(server.take()[0], "refused version", version);
  }

  const [, sslVersion] = VERSIONS[0];
  const [first, second] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  ];
  using both = new TLSConfig(clientOptions({ sslVersion, ciphers: [first!, second!] }), core);
  using before = new Listener({ sslVersion, tickets: ring, ciphers: [first!] });
  using after = new Listener({ sslVersion, tickets: ring, ciphers: [second!] });
  const { session } = before.connect(both);
  assertEquals(after.connect(both, session).reused, false);
  assertEquals(after.take(), ["refused unsuitable", "issued 1"]);
});

Deno.test("sessionStats: the cache of session ids, when it is full and when they expire (TLSv1.2)", () => {
  const [, sslVersion] = VERSIONS[0];
  const options = { sslVersion, tickets: false, sessionCacheSize: 2 } as const;
  using server = new TLSConfig(serverOptions(options), core);
  using client = new TLSConfig(clientOptions({ sslVersion, tickets: false }), core);
  const connect = (savedSession?: SSLSession) => {
    using pair = new EnginePair(client, server, { savedSession }).connect();
    return { session: pair.client.session()!, reused: pair.client.sessionReused };
  };
  const counts = () => {
    const { number, hits, misses, timeouts, cacheFull } = server.stats();
    return { number, hits, misses, timeouts, cacheFull };
  };
  const first = connect().session;
  assertEquals([first.hasTicket, first.id.length, first.ticketLifetimeHint], [false, 32, 0]);
  assertEquals([first.time, first.timeout], [Math.floor(clock.time / 1000), 24 * 3600]);
  assert(connect(first).reused);
  assertEquals(counts(), { number: 1, hits: 1, misses: 0, timeouts: 0, cacheFull: 0 });
  clock.advance(1);
  const second = connect().session;
  clock.advance(1);
  connect(); // the first makes room
  assert(!connect(first).reused); // and the second
  assertEquals(counts(), { number: 2, hits: 1, misses: 1, timeouts: 0, cacheFull: 2 });
  assert(!connect(second).reused);
  assertEquals(counts(), { number: 2, hits: 1, misses: 2, timeouts: 0, cacheFull: 3 });
  const newest = connect().session;
  clock.advance(43201);
  assert(!connect(newest).reused);
  assertEquals(counts().timeouts, 1);
});

Deno.test("numTickets, onTicket: refuse what they are not", () => {
  for (const numTickets of [-1, 17, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new TLSConfig(serverOptions({ numTickets }), core),
      RangeError,
      "Cannot use numTickets",
    );
  }
  const onTicket = "print" as unknown as () => void;
  assertThrows(() => new TLSConfig(serverOptions({ onTicket }), core), TypeError, "Cannot use onTicket");
});

Deno.test("onTicket: a ring without the key that sealed a ticket says so", () => {
  const [, sslVersion] = VERSIONS[1];
  using ring = new TicketKeyRing({ lifetime: 3600, rotateEvery: 3600, now: clock.now });
  using server = new Listener({ sslVersion, tickets: ring });
  using client = new TLSConfig(clientOptions({ sslVersion }), core);
  const { session } = server.connect(client);
  server.take();
  for (let i = 0; i < 8; i++) ring.rotate();
  server.connect(client, session);
  assertEquals(server.take()[0], "refused unknown-key");
});

Deno.test("TICKET_OUTCOMES and CACHE_OUTCOMES are those of the glue", () => {
  const header = Deno.readTextFileSync(new URL("../wasm/glue/tlsio.h", import.meta.url));
  const names = (list: string, prefix: string) => {
    const body = header.match(new RegExp(`enum ${list} \\{([^}]*)\\}`))![1]!;
    return [...body.matchAll(new RegExp(`${prefix}_(\\w+)`, "g"))].map(([, name]) =>
      name!.toLowerCase().replace("_", "-")
    );
  };
  assertEquals(names("ticket_outcome", "TICKET"), ["none", ...TICKET_OUTCOMES]);
  assertEquals(names("cache_outcome", "CACHE"), ["unused", ...CACHE_OUTCOMES]);
});

for (const [version, sslVersion] of VERSIONS) {
  for (const length of [10, 58, 59, 60, 183]) { // a ticket has 59 bytes at least
    Deno.test(`psk: an identity of ${length} bytes is no ticket, beside tickets of every kind (${version})`, () => {
      const clock = new FixedClock();
      const core = fixedCore(1, clock);
      const psk = { identity: "i".repeat(length), key: bytesFrom(1, 32) };
      const rings = [fixedRing(1, clock), fixedRing(2, clock)] as const;
      const servers: TLSConfigOptions[] = [{ psk }, {
        pskCallback: (id) => id.length === length ? psk.key : undefined,
      }];
      for (const options of servers) {
        const serve = (tickets: TicketKeyRing) =>
          new TLSConfig({
            serverSide: true,
            sslVersion,
            sessionCacheSize: 0,
            ...options,
            tickets,
          }, core);
        using client = new TLSConfig({ sslVersion, psk }, core);
        using one = serve(rings[0]);
        using other = serve(rings[1]);
        let savedSession: SSLSession | undefined;
        const connect = (server: TLSConfig) => {
          using pair = new EnginePair(client, server, { ...(savedSession && { savedSession }) }).connect();
          assertEquals(pair.send("server", bytesFrom(1, 9)), bytesFrom(1, 9));
          savedSession = pair.client.session();
          return pair.server.sessionReused;
        };
        assertEquals([connect(one), connect(one), connect(other), connect(other)], [
          false,
          true,
          false,
          true,
        ]);
        clock.advance(rings[1].lifetime + 1);
        assertEquals(connect(other), false);
        assertEquals([one, other].map((config) => config.stats().hits), [1, 1]);
        assertEquals(one.stats().misses, 0);
      }
    });
  }
}
