/** TLS 1.2 sessions by id that servers share: when an engine asks for one, what it takes, and what it refuses. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { createCertificate } from "tlsio";
import type { Bytes } from "../lib/bytes.ts";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { CERT_NONE, CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import { SSLSession } from "../lib/session.ts";
import { SESSION_KEY, SESSION_KEYS, type SessionCache } from "../lib/session_cache.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  EnginePair,
  FixedClock,
  fixedCore,
  fixedRing,
  flipAt,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { withState } from "./session_bytes.ts";

const [[, TLS12], [, TLS13]] = VERSIONS;
const clock = new FixedClock();
const core = fixedCore(1, clock);

/** A cache that answers at once, and shows what it has. */
class Cache implements SessionCache {
  readonly idKeys: readonly Bytes[];
  readonly sessions = new Map<string, Bytes>();
  readonly forgotten: string[] = [];

  constructor(...seeds: number[]) {
    this.idKeys = (seeds.length === 0 ? [1] : seeds).map((seed) => bytesFrom(seed, SESSION_KEY));
  }
  find(context: string, id: Bytes): Promise<Bytes | undefined> {
    return Promise.resolve(this.look(context, id));
  }
  look(context: string, id: Bytes): Bytes | undefined {
    return this.sessions.get(`${context} ${id.toHex()}`)?.slice();
  }
  keep(context: string, id: Bytes, session: Bytes, lifetime: number): void {
    assertEquals(lifetime, 43200);
    this.sessions.set(`${context} ${id.toHex()}`, session.slice());
  }
  forget(context: string, id: Bytes): void {
    const name = `${context} ${id.toHex()}`;
    this.forgotten.push(name);
    this.sessions.delete(name);
  }
}

const client = new TLSConfig(clientOptions({ sslVersion: TLS12, tickets: false }), core);

function serving(sessionCache: SessionCache, options: TLSConfigOptions = {}): TLSConfig {
  return new TLSConfig(serverOptions({ sessionCache, tickets: fixedRing(1, clock), ...options }), core);
}

/** Connects; the server gets what `find` makes of what its cache has. */
function visit(
  server: TLSConfig,
  savedSession?: SSLSession,
  { from = client, find = (found?: Bytes) => found }: {
    from?: TLSConfig;
    find?: (found?: Bytes) => Bytes | undefined;
  } = {},
) {
  const pair = new EnginePair(from, server, { savedSession }).run();
  const cache = server.options.sessionCache as Cache;
  let asked = false;
  const outcome = pair.errors.server === undefined ? pair.server.handshake() : undefined;
  if (outcome?.state === "session") {
    asked = true;
    assertEquals(pair.server.handshake(), outcome, "it waits");
    pair.server.giveSession(find(cache.look(server.trustId, outcome.id)));
    pair.run();
  }
  const error = pair.errors.server ?? pair.errors.client;
  const session = error === undefined ? pair.client.session() : undefined;
  return { pair, asked, reused: pair.server.sessionReused, error, session };
}

/** Of a visit: whether the server asked for the session, and whether it was resumed. */
const outcomeOf = ({ asked, reused, error }: ReturnType<typeof visit>) => [asked, reused, error];

Deno.test("TLSEngine.giveSession(): a second server resumes what the first one made, and then has it itself", () => {
  const cache = new Cache();
  using first = serving(cache);
  using second = serving(cache);
  const { session, ...made } = visit(first);
  assertEquals([made.asked, made.reused, cache.sessions.size], [false, false, 1]);
  const { pair, ...again } = visit(second, session);
  assertEquals([again.asked, again.reused, pair.client.sessionReused], [true, true, true]);
  const data = bytesFrom(5, 30_000);
  assertEquals(pair.send("client", data), data);
  assertEquals(cache.sessions.size, 1, "a resumed session is not another one");
  assertEquals(outcomeOf(visit(second, session)), [false, true, undefined], "it has it");
  assertEquals(outcomeOf(visit(first, session)), [false, true, undefined], "so has the first");
  assertEquals([second.stats().hits, second.stats().number], [2, 1]);
});

Deno.test("TLSEngine.giveSession(): without a session the handshake is a full one, and the next session is shared", () => {
  const cache = new Cache();
  using first = serving(cache);
  using second = serving(cache);
  const { session } = visit(first);
  const full = visit(second, session, { find: () => undefined });
  assertEquals(outcomeOf(full), [true, false, undefined]);
  assertEquals([second.stats().misses, cache.sessions.size], [1, 2]);
  assertEquals(outcomeOf(visit(first, full.session)), [true, true, undefined]);
});

Deno.test("TLSEngine with sessionCache: a client with tickets, or with TLS 1.3, is never looked up", () => {
  for (const sslVersion of [TLS12, TLS13]) {
    const cache = new Cache();
    using first = serving(cache);
    using second = serving(cache);
    using from = new TLSConfig(clientOptions({ sslVersion }), core);
    const { pair } = visit(first, undefined, { from });
    pair.send("server", encodeText("hello")); // the tickets of TLS 1.3
    assertEquals(outcomeOf(visit(second, pair.client.session(), { from })), [false, true, undefined]);
    assertEquals(cache.sessions.size, 0);
  }
  // A client that speaks TLS 1.3, too, names an id that means nothing (RFC 8446 appendix D.4).
  const cache = new Cache();
  using server = serving(cache, { sslVersion: TLS12, tickets: false });
  using from = new TLSConfig(clientOptions({ tickets: false }), core);
  assertEquals(outcomeOf(visit(server, undefined, { from })), [false, false, undefined]);
  assertEquals(cache.sessions.size, 1);
});

Deno.test("TLSEngine with sessionCache: an id that no server of the fleet has made is not looked up", () => {
  const cache = new Cache();
  using first = serving(cache);
  using second = serving(cache);
  const { session } = visit(first);
  const state = SSLSession.state(session!);
  const at = state.toHex().indexOf(session!.facts.id) / 2;
  assert(at > 0);
  for (let i = 0; i < 32; i++) {
    const changed = state.slice();
    changed[at + i]! ^= 1 << i % 8;
    assertEquals(
      outcomeOf(visit(second, withState(session!, changed))),
      [false, false, undefined],
      `byte ${i}`,
    );
  }
  using strangers = serving(new Cache(2));
  assertEquals(outcomeOf(visit(strangers, session)), [false, false, undefined], "another fleet's");
  using renewed = serving(new Cache(2, 1));
  assertEquals(visit(renewed, session).asked, true, "an earlier key of the fleet's");
});

Deno.test("TLSEngine with sessionCache: servers of other names, or with other trust, do not resume it", () => {
  const others: Record<string, TLSConfigOptions> = {
    "asks for certificates": { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
    "of another name": { credential: credential("cn-only", "ec") },
  };
  for (const [what, options] of Object.entries(others)) {
    const cache = new Cache();
    using first = serving(cache);
    using other = serving(cache, options);
    const { session } = visit(first);
    using from = new TLSConfig(
      clientOptions({ sslVersion: TLS12, tickets: false, certReqs: CERT_NONE }),
      core,
    );
    const facts = { ...session!.facts, trust: from.trustId };
    const forged = new SSLSession(facts, SSLSession.state(session!));
    const { asked, reused, error } = visit(other, forged, { from });
    assertEquals(
      [asked, reused, error !== undefined],
      [false, false, what === "asks for certificates"],
      what,
    );
    // Were it given all the same: its name in the cache is another's.
    assertEquals(cache.look(other.trustId, Uint8Array.fromHex(session!.facts.id)), undefined);
  }
});

Deno.test("TLSEngine.giveSession(): another session than the one that was asked for is refused", () => {
  const cache = new Cache();
  using first = serving(cache);
  using second = serving(cache);
  const [one, other] = [visit(first).session!, visit(first).session!];
  const wrong = cache.look(first.trustId, Uint8Array.fromHex(other.facts.id));
  assertEquals(outcomeOf(visit(second, one, { find: () => wrong })), [true, false, undefined]);
  const ofClient = SSLSession.state(one);
  assertEquals(
    outcomeOf(visit(second, one, { find: () => ofClient })),
    [true, false, undefined],
    "a client's",
  );
});

Deno.test("TLSEngine.giveSession(): a session that is cut short or changed is refused, or fails at the peer", () => {
  const cache = new Cache();
  const asking = { certReqs: CERT_REQUIRED, trust: [source("root.pem")] } as const;
  using from = new TLSConfig(
    clientOptions({ sslVersion: TLS12, tickets: false, credential: credential("client") }),
    core,
  );
  using first = serving(cache, asking);
  const { session } = visit(first, undefined, { from });
  const whole = cache.look(first.trustId, Uint8Array.fromHex(session!.facts.id))!;
  assert(whole.length > 300, "with the client's certificate");
  const give = (bytes: Bytes) => {
    using second = serving(cache, asking);
    return visit(second, session, { from, find: () => bytes });
  };
  for (let length = 0; length < whole.length; length += length < 120 ? 1 : 37) {
    assertEquals(outcomeOf(give(whole.slice(0, length))), [true, false, undefined], `${length} bytes`);
  }
  let refused = 0;
  for (let i = 0; i < whole.length; i += i < 120 ? 1 : 11) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const changed = whole.slice();
      changed[i]! ^= mask;
      const { asked, reused, error } = give(changed);
      assert(asked && !core.retired);
      if (error === undefined && !reused) refused++;
    }
  }
  assert(refused > 100, `${refused} refused`);
  assertEquals(outcomeOf(give(whole)), [true, true, undefined], "the core is as it was");
});

Deno.test("TLSEngine.giveSession(): a session is resumed for as long as at the server that made it", () => {
  const LIFETIME = 43200;
  const later = new FixedClock();
  const cache = new Cache();
  const options = { sessionCache: cache, tickets: fixedRing(1, later) };
  const own = fixedCore(1, later);
  using first = new TLSConfig(serverOptions(options), own);
  using second = new TLSConfig(serverOptions(options), own);
  using third = new TLSConfig(serverOptions(options), own);
  using from = new TLSConfig(clientOptions({ sslVersion: TLS12, tickets: false }), own);
  const { session } = visit(first, undefined, { from });
  later.advance(LIFETIME - 10);
  assertEquals(outcomeOf(visit(second, session, { from })), [true, true, undefined]);
  later.advance(11);
  assertEquals(
    outcomeOf(visit(second, session, { from })),
    [false, false, undefined],
    "what it was given has expired",
  );
  assertEquals(outcomeOf(visit(third, session, { from })), [true, false, undefined], "what it is given has");
  later.advance(-LIFETIME - 100);
  assertEquals(outcomeOf(visit(third, session, { from })), [true, false, undefined], "it is of the future");
});

Deno.test("TLSEngine.giveSession(): the client's certificate goes with the session, until it has expired", () => {
  const soon = new FixedClock(Date.now());
  const own = fixedCore(1, soon);
  const { certificate: authority, key: authorityKey } = createCertificate({ subject: "CN=CA", isCA: true });
  const issuer = { certificate: authority, key: authorityKey };
  const { certificate, key } = createCertificate({ subject: "CN=device", issuer, days: 0.25 });
  const pem = (text: string) => ({ name: "made", bytes: encodeText(text) });
  const cache = new Cache();
  const options = {
    sessionCache: cache,
    tickets: fixedRing(1, soon),
    certReqs: CERT_REQUIRED,
    trust: [pem(authority)],
  } as const;
  const serve = () => new TLSConfig(serverOptions(options), own);
  using first = serve();
  using second = serve();
  using third = serve();
  using from = new TLSConfig(
    clientOptions({
      sslVersion: TLS12,
      tickets: false,
      certReqs: CERT_NONE,
      credential: { chain: pem(certificate), key: pem(key) },
    }),
    own,
  );
  const { session, pair } = visit(first, undefined, { from });
  const leaf = pair.server.peerCertificates();
  const again = visit(second, session, { from });
  assertEquals(outcomeOf(again), [true, true, undefined]);
  assertEquals([again.pair.server.peerCertificates(), again.pair.server.verifyFlags], [leaf, 0]);
  soon.advance(0.3 * 86400); // 7.2 hours, of 12
  for (const [server, asked] of [[first, false], [second, false], [third, true]] as const) {
    const late = visit(server, session, { from });
    assertEquals([late.asked, late.reused], [asked, false]);
    assertEquals(late.error?.kind, "verify", "a full handshake says so");
  }
});

Deno.test("TLSEngine with sessionCache: the session of a connection that failed is forgotten, here and in the fleet", () => {
  const cache = new Cache();
  using first = serving(cache);
  using second = serving(cache);
  const { session, pair } = visit(first);
  visit(first, session).pair.eof();
  assertEquals([cache.forgotten.length, first.stats().number], [0, 1], "a stream that ends is no failure");
  const sent = pair.flight("client").length;
  pair.deliver = flipAt("client", sent + 20);
  try {
    pair.send("client", encodeText("hello"));
  } catch {
    // the server's failure
  }
  assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_INVALID_MAC");
  assertEquals(cache.forgotten, [`${first.trustId} ${session!.facts.id}`]);
  assertEquals([cache.sessions.size, first.stats().number], [0, 0]);
  for (const [server, asked] of [[first, true], [second, true]] as const) {
    assertEquals(outcomeOf(visit(server, session)), [asked, false, undefined]);
  }
});

Deno.test("TLSEngine with sessionCache: a core holds nothing after sessions that were given, refused and forgotten", () => {
  const own = fixedCore(1, clock);
  const round = () => {
    const cache = new Cache();
    const serve = (sessionCacheSize = 256) =>
      new TLSConfig(
        serverOptions({ sessionCache: cache, tickets: fixedRing(1, clock), sessionCacheSize }),
        own,
      );
    using from = new TLSConfig(clientOptions({ sslVersion: TLS12, tickets: false }), own);
    using first = serve();
    using second = serve(1); // each makes room for the next
    for (let i = 0; i < 4; i++) {
      const made = visit(first, undefined, { from });
      const finds = [(found?: Bytes) => found, (found?: Bytes) => found!.slice(0, 90), () => undefined];
      for (const find of finds) visit(second, made.session, { from, find }).pair[Symbol.dispose]();
      made.pair.deliver = flipAt("client", made.pair.flight("client").length + 20);
      made.pair.run();
      made.pair[Symbol.dispose]();
    }
    const waiting = visit(first, undefined, { from });
    using left = new EnginePair(from, second, { savedSession: waiting.session }).run();
    assertEquals(left.server.handshake().state, "session", "it goes away while it waits");
    waiting.pair[Symbol.dispose]();
  };
  round();
  const before = own.allocated;
  round();
  assertEquals(own.allocated, before);
});

Deno.test("TLSEngine with sessionCache: it asks, signs in steps, and has its peer judged, in one handshake", () => {
  const cache = new Cache();
  const judging: TLSConfigOptions = {
    certReqs: CERT_REQUIRED,
    trust: [source("root.pem")],
    credential: credential("rsa4096"),
    verifyConnection: () => {},
  };
  using from = new TLSConfig(
    clientOptions({
      sslVersion: TLS12,
      tickets: false,
      credential: credential("client"),
      certReqs: CERT_NONE,
    }),
    core,
  );
  /** The states that a server's handshake goes through. `find`: what the fleet has. */
  const statesOf = (
    server: TLSConfig,
    find: (found?: Bytes) => Bytes | undefined,
    savedSession?: SSLSession,
  ) => {
    using client = new TLSEngine(from, {
      serverHostname: "localhost",
      ...(savedSession && { savedSession }),
    });
    using engine = new TLSEngine(server);
    const states: string[] = [];
    while (!client.handshakeDone || !engine.handshakeDone) {
      assert(states.length < 500, "it goes on");
      client.handshake();
      engine.receive(client.takeRecords());
      const outcome = engine.handshakeStep();
      if (outcome.state !== "need-records" && outcome.state !== states.at(-1)) states.push(outcome.state);
      if (outcome.state === "session") {
        assertThrows(() => engine.peerCertificates(), SSLError, "not over");
        engine.giveSession(find(cache.look(server.trustId, outcome.id)));
      } else if (outcome.state === "verify") {
        assertEquals(engine.handshakeStep().state, "verify", "it waits");
        assertEquals(engine.peerCertificates().length, 1);
        engine.accept();
      }
      client.receive(engine.takeRecords());
    }
    return { states, reused: engine.sessionReused, session: client.session() };
  };
  using first = serving(cache, judging);
  using second = serving(cache, judging);
  const made = statesOf(first, (found) => found);
  assertEquals([made.states, made.reused], [["working", "verify", "done"], false]);
  const full = statesOf(second, () => undefined, made.session);
  assertEquals([full.states, full.reused], [["session", "working", "verify", "done"], false]);
  const again = statesOf(second, (found) => found, made.session);
  assertEquals([again.states, again.reused], [["session", "verify", "done"], true]);
});

Deno.test("sessionCache: what is no cache, or cannot be used, is refused by name", () => {
  const cache = new Cache();
  const refused: [TLSConfigOptions, typeof TypeError | typeof RangeError, string][] = [
    [{ sessionCache: {} as SessionCache }, TypeError, "expected a SessionCache"],
    [
      { sessionCache: new Cache(...Array.from({ length: SESSION_KEYS + 1 }, (_, i) => i)) },
      RangeError,
      "1 to 8",
    ],
    [{ sessionCache: cache, sessionCacheSize: 0 }, TypeError, "sessionCacheSize is 0"],
    [{ sessionCache: cache, datagrams: {} }, TypeError, "for streams"],
  ];
  for (const [options, Class, words] of refused) {
    assertThrows(() => new TLSConfig(serverOptions(options), core), Class, words);
  }
  assertThrows(() => new TLSConfig(clientOptions({ sessionCache: cache }), core), TypeError, "for servers");
  const header = Deno.readTextFileSync(new URL("../wasm/glue/tlsio.h", import.meta.url));
  const defined = (name: string) => Number(header.match(new RegExp(`#define ${name} (\\d+)`))![1]);
  assertEquals([defined("SESSION_KEY"), defined("SESSION_KEYS")], [SESSION_KEY, SESSION_KEYS]);
});
