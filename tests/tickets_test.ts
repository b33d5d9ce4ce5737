import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { concat, encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { TicketKeyRing, type TicketKeyRingOptions } from "../lib/tickets.ts";
import {
  bytesFrom,
  clientOptions,
  configs,
  credential,
  EnginePair,
  FixedClock,
  fixedCore,
  fixedRing,
} from "./pair.ts";
import { serverOptions, VERSIONS } from "./pair.ts";
import { flipped, ticketOf, withTicket } from "./session_bytes.ts";

const HOUR = 3600; // seconds
const KEY_NAME = 16; // bytes in front of a ticket

/** The names of the ring's keys, the newest first. */
function names(ring: TicketKeyRing): string[] {
  return ring.keys().map((key) => key.subarray(0, KEY_NAME).toHex());
}

Deno.test("TicketKeyRing starts with one key of its own", () => {
  using ring = new TicketKeyRing();
  using other = new TicketKeyRing();
  assertEquals([ring.size, ring.lifetime, ring.rotateEvery], [1, 12 * HOUR, 6 * HOUR]);
  assertNotEquals(ring.keys(), other.keys());
  assertEquals(ring.keys()[0]!.length, 48);
});

Deno.test("TicketKeyRing.from() takes copies, of a Buffer, too: who wipes the bytes leaves the keys", () => {
  using ring = new TicketKeyRing();
  const bytes = Buffer.from(ring.toBytes());
  using copy = TicketKeyRing.from(bytes);
  bytes.fill(0);
  assertEquals(copy.keys(), ring.keys());
});

Deno.test("TicketKeyRing rotates by its clock, and drops a key when its last ticket has expired", () => {
  const clock = new FixedClock();
  using ring = new TicketKeyRing({ lifetime: 12 * HOUR, rotateEvery: 6 * HOUR, now: clock.now });
  const [first] = names(ring);
  const { generation } = ring;
  clock.advance(6 * HOUR - 1);
  assertEquals([names(ring), ring.generation], [[first!], generation]);
  clock.advance(1);
  const [second] = names(ring);
  assertEquals(names(ring), [second!, first!]);
  assert(ring.generation > generation);
  clock.advance(6 * HOUR);
  const [third] = names(ring);
  assertEquals(names(ring), [third!, second!, first!], "the first key sealed until six hours ago");
  clock.advance(6 * HOUR);
  assertEquals(
    [ring.size, names(ring).at(-1)],
    [4, first],
    "its last ticket is twelve hours old: it may still come",
  );
  clock.advance(1);
  assertEquals([ring.size, names(ring).includes(first!)], [3, false]);
  clock.advance(7 * 24 * HOUR);
  assertEquals(ring.size, 2, "after a long sleep: a new one, and the one that was in use until now");
});

Deno.test("TicketKeyRing.rotate() keeps eight keys at most", () => {
  using ring = new TicketKeyRing({ rotateEvery: Infinity });
  const [first] = names(ring);
  for (let i = 0; i < 7; i++) ring.rotate();
  assertEquals([ring.size, names(ring).at(-1)], [8, first]);
  ring.rotate();
  assertEquals([ring.size, names(ring).includes(first!)], [8, false]);
  assertEquals(new Set(names(ring)).size, 8);
});

Deno.test("TicketKeyRing refuses a lifetime and a rotation that it cannot keep", () => {
  const cases: [TicketKeyRingOptions, string][] = [
    [{ lifetime: 7 * 24 * HOUR + 1 }, "Cannot use lifetime: a ticket lives 604800 seconds at most"],
    [{ lifetime: 0 }, "Cannot use lifetime: expected a number of seconds above 0"],
    [{ lifetime: NaN }, "Cannot use lifetime: "],
    [{ rotateEvery: 0 }, "Cannot use rotateEvery: expected a number of seconds above 0"],
    [{ rotateEvery: -1 }, "Cannot use rotateEvery: "],
    [
      { lifetime: 8 * HOUR, rotateEvery: HOUR },
      "Cannot use rotateEvery: a lifetime of 28800 seconds would need more",
    ],
  ];
  for (const [options, text] of cases) assertThrows(() => new TicketKeyRing(options), RangeError, text);
  new TicketKeyRing({ lifetime: 7 * HOUR, rotateEvery: HOUR })[Symbol.dispose]();
  new TicketKeyRing({ lifetime: 7 * 24 * HOUR, rotateEvery: 24 * HOUR })[Symbol.dispose]();
});

Deno.test("TicketKeyRing.from() makes the same ring of toBytes()", () => {
  const clock = new FixedClock();
  for (const rotateEvery of [HOUR, 0.5 * HOUR + 0.5, Infinity]) {
    using ring = new TicketKeyRing({ lifetime: 2 * HOUR, rotateEvery, now: clock.now });
    clock.advance(HOUR);
    ring.rotate();
    using copy = TicketKeyRing.from(ring.toBytes(), { now: clock.now });
    assertEquals(copy.keys(), ring.keys());
    assertEquals([copy.lifetime, copy.rotateEvery], [2 * HOUR, Math.ceil(rotateEvery)]);
    assertEquals(copy.toBytes(), ring.toBytes());
    clock.advance(1.9 * HOUR);
    assertEquals(copy.size, ring.size, "both drop the same key at the same time");
  }
});

Deno.test("TicketKeyRing.from() refuses other bytes", () => {
  using ring = new TicketKeyRing();
  const bytes = ring.toBytes();
  const damaged = [
    new Uint8Array(0),
    encodeText("TLSIOKR"),
    bytesFrom(1, bytes.length),
    concat([bytes, bytes.slice(-1)]),
  ];
  damaged.push(flipped(bytes, 0), flipped(bytes, 7));
  for (let length = 0; length < bytes.length; length++) damaged.push(bytes.slice(0, length));
  const none = bytes.slice();
  none.fill(0, 8, 12); // a lifetime of 0
  damaged.push(none);
  for (const given of damaged) {
    assertThrows(() => TicketKeyRing.from(given), SyntaxError, "Cannot read ticket keys: ", given.toHex());
  }
  for (const value of [undefined, null, "ring", {}]) {
    assertThrows(() => TicketKeyRing.from(value as never), TypeError, "expected a Uint8Array");
  }
});

Deno.test("TicketKeyRing after dispose is wiped and refuses to be used", () => {
  const ring = new TicketKeyRing();
  const [key] = ring.keys();
  ring[Symbol.dispose]();
  assert(key!.every((byte) => byte === 0));
  for (const use of [() => ring.size, () => ring.keys(), () => ring.toBytes(), () => ring.generation]) {
    assertThrows(use, TypeError, "Cannot use ticket keys: the ring is disposed");
  }
  ring[Symbol.dispose]();
});

Deno.test("TicketKeyRing.load() makes a copy follow its ring, and wipes what it had", () => {
  using ring = new TicketKeyRing();
  using copy = TicketKeyRing.from(ring.toBytes(), { rotateEvery: Infinity });
  const [old] = copy.keys();
  const { generation } = copy;
  ring.rotate();
  copy.load(ring.toBytes());
  assertEquals(copy.keys(), ring.keys());
  assertNotEquals(copy.generation, generation);
  assertEquals(old!.every((byte) => byte === 0), true);
  assertThrows(() => copy.load(new Uint8Array(3)), SyntaxError, "Cannot read ticket keys");
  assertEquals(copy.keys(), ring.keys());
});

Deno.test("TicketKeyRing.watch() tells of a rotation by hand and by the clock, until it is disposed of", async () => {
  using ring = new TicketKeyRing({ lifetime: 5, rotateEvery: 1 });
  let told = 0;
  const changed = Promise.withResolvers<void>();
  const watch = ring.watch(() => ++told === 2 && changed.resolve());
  ring.rotate();
  assertEquals(told, 1);
  await changed.promise; // nobody uses the ring: its timer rotates
  assertEquals([told, ring.size], [2, 3]);
  watch[Symbol.dispose]();
  ring.rotate();
  assertEquals(told, 2);
});

Deno.test("TicketKeyRing.watch() of a ring that is disposed of leaves no timer", () => {
  const ring = new TicketKeyRing({ lifetime: 5, rotateEvery: 1 });
  ring.watch(() => {});
  ring[Symbol.dispose]();
});

Deno.test("TicketKeyRing.share() decides what shared() gives", () => {
  const before = TicketKeyRing.shared();
  using ring = new TicketKeyRing();
  TicketKeyRing.share(ring);
  assertEquals(TicketKeyRing.shared() === ring, true);
  TicketKeyRing.share(before);
});

Deno.test("TicketKeyRing shows nothing secret when it is printed", () => {
  using ring = new TicketKeyRing();
  assertEquals(Deno.inspect(ring), "TicketKeyRing { keys: 1, lifetime: 43200 }");
  assertEquals(Deno.inspect(ring, { showHidden: true }), "TicketKeyRing { keys: 1, lifetime: 43200 }");
});

// ---- Tickets that come back ----------------------------------------------------------------------------

const clock = new FixedClock();
const core = fixedCore(1, clock);

/** Whether `server` resumes the session. */
function resumes(client: TLSConfig, server: TLSConfig, savedSession: SSLSession): boolean {
  using pair = new EnginePair(client, server, { savedSession }).connect();
  assertEquals(pair.client.sessionReused, pair.server.sessionReused);
  return pair.client.sessionReused;
}

for (const [version, sslVersion] of VERSIONS) {
  const serverWith = (tickets: TicketKeyRing, options: TLSConfigOptions = {}) =>
    new TLSConfig(serverOptions({ sslVersion, tickets, ...options }), core);
  const client = new TLSConfig(clientOptions({ sslVersion }), core);
  const begin = (server: TLSConfig) => {
    using pair = new EnginePair(client, server).connect();
    return pair.client.session()!;
  };

  Deno.test(`A ticket resumes with every server that has the ring or a copy of it (${version})`, () => {
    using ring = fixedRing(1, clock);
    using copy = TicketKeyRing.from(ring.toBytes(), { now: clock.now });
    using foreign = fixedRing(2, clock);
    using first = serverWith(ring);
    using second = serverWith(ring, { alpnProtocols: ["h2"] });
    using third = serverWith(copy);
    using stranger = serverWith(foreign);
    const session = begin(first);
    assert(ticketOf(session).toHex().startsWith(names(ring)[0]!));
    for (const server of [first, second, third]) assert(resumes(client, server, session));
    assert(!resumes(client, stranger, session));
  });

  Deno.test(`A ticket resumes as long as its key is in the ring (${version})`, () => {
    using ring = new TicketKeyRing({ lifetime: 2 * HOUR, rotateEvery: HOUR, now: clock.now });
    using server = serverWith(ring);
    const session = begin(server);
    clock.advance(1.5 * HOUR);
    assert(resumes(client, server, session), "the key has been rotated, and still opens");
    assert(ticketOf(begin(server)).toHex().startsWith(names(ring)[0]!), "a new ticket has the new key");
    ring.rotate();
    assert(resumes(client, server, session));
    for (let i = 0; i < 8; i++) ring.rotate();
    assert(!resumes(client, server, session), "eight rotations by hand throw it out");
  });

  Deno.test(`A ticket does not resume with a server of another name or trust (${version})`, () => {
    using ring = fixedRing(1, clock);
    using server = serverWith(ring);
    using renewed = serverWith(ring, { credential: credential("chain") });
    using other = serverWith(ring, { credential: credential("cn-only", "ec") });
    using stricter = serverWith(ring, { certReqs: 1, trust: clientOptions().trust! });
    using anyName = new TLSConfig(clientOptions({ sslVersion, checkHostname: false }), core);
    using pair = new EnginePair(anyName, server).connect();
    const session = pair.client.session()!;
    assert(resumes(anyName, renewed, session), "another certificate for the same names");
    assert(!resumes(anyName, other, session));
    assert(!resumes(anyName, stricter, session));
  });

  Deno.test(`A ticket does not stand in for another pre-shared key (${version})`, () => {
    using ring = fixedRing(1, clock);
    const psk = { identity: "device", key: bytesFrom(1, 32) };
    const made = (psk: NonNullable<TLSConfigOptions["psk"]>, serverSide: boolean) =>
      new TLSConfig({ sslVersion, psk, serverSide, ...(serverSide && { tickets: ring }) }, core);
    using server = made(psk, true);
    using device = made(psk, false);
    const options = { serverHostname: undefined };
    using first = new EnginePair(device, server, options).connect();
    const savedSession = first.client.session();
    using again = new EnginePair(device, server, { ...options, savedSession }).connect();
    assert(again.server.sessionReused);
    for (const other of [{ ...psk, key: bytesFrom(2, 32) }, { ...psk, identity: "other" }]) {
      using stranger = made(other, true);
      using pair = new EnginePair(device, stranger, { ...options, savedSession }).run();
      assertEquals([pair.server.handshakeDone, pair.errors.server === undefined], [false, false]);
    }
  });

  Deno.test(`A ticket with any bit changed means a full handshake (${version})`, () => {
    using ring = fixedRing(1, clock);
    using server = serverWith(ring);
    const session = begin(server);
    const ticket = ticketOf(session);
    assert(resumes(client, server, withTicket(session, ticket)), "the test can put a ticket into a session");
    for (let at = 0; at < ticket.length; at += at < 32 ? 4 : Math.ceil(ticket.length / 40)) {
      assert(!resumes(client, server, withTicket(session, flipped(ticket, at, 1 << at % 8))), `bit at ${at}`);
    }
    assert(!resumes(client, server, withTicket(session, flipped(ticket, ticket.length - 1))));
  });

  Deno.test(`A ticket that is cut, longer, forged or swapped means a full handshake (${version})`, () => {
    using ring = fixedRing(1, clock);
    using server = serverWith(ring);
    const session = begin(server);
    const ticket = ticketOf(session);
    const [key] = ring.keys();
    const name = key!.slice(0, KEY_NAME);
    const other = ticketOf(begin(server));
    const bad = [
      ...[1, 15, 16, 27, 28, 34, 35, 44, 50, 51, ticket.length - 17, ticket.length - 1].map((n) =>
        ticket.slice(0, n)
      ),
      concat([ticket, Uint8Array.of(0)]),
      concat([name, bytesFrom(1, 28)]), // no state at all
      concat([name, bytesFrom(2, 35)]), // the shortest that is looked into
      concat([name, bytesFrom(3, 8000)]),
      concat([ticket.slice(0, 28), other.slice(28)]), // another ticket's state under this one's IV
      bytesFrom(4, ticket.length),
    ];
    for (const forged of bad) {
      assert(!resumes(client, server, withTicket(session, forged)), `${forged.length} bytes`);
    }
  });
}

Deno.test("A ticket of one version does not resume a session of the other", () => {
  using ring = fixedRing(1, clock);
  const sessions = VERSIONS.map(([, sslVersion]) => {
    using both = configs(core, { sslVersion }, {}, { tickets: ring });
    using pair = new EnginePair(both.client, both.server).connect();
    return pair.client.session()!;
  });
  for (const [i, [, sslVersion]] of VERSIONS.entries()) {
    for (const speaks of [sslVersion, { minimum: VERSIONS[0][1] }]) {
      using both = configs(core, { sslVersion: speaks }, {}, { tickets: ring });
      assert(resumes(both.client, both.server, sessions[i]!));
      const mixed = withTicket(sessions[i]!, ticketOf(sessions[1 - i]!));
      assert(!resumes(both.client, both.server, mixed), VERSIONS[i]![0]);
    }
  }
});

Deno.test("A ticket does not show its state", () => {
  for (const [, sslVersion] of VERSIONS) {
    const secrets: string[] = [];
    using both = configs(core, { sslVersion }, { keyLog: (line) => secrets.push(line.split(" ").at(-1)!) });
    using pair = new EnginePair(both.client, both.server).connect();
    const ticket = Buffer.from(ticketOf(pair.client.session()!));
    for (const secret of secrets) assert(!ticket.includes(Buffer.from(Uint8Array.fromHex(secret))));
    assertNotEquals(ticket.subarray(16, 28).toString("hex"), "0".repeat(24), "the IV is random");
  }
});
