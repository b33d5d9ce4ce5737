/** What lies between two calls of an idle connection and must not be lost, while others take the buffers. */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import type { TLSEngine } from "../lib/engine.ts";
import { SSLSession } from "../lib/session.ts";
import {
  bytesFrom,
  chooser,
  configs,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  peerOf,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, recordsOf, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const [[, TLS12], [, TLS13]] = VERSIONS;
const LABEL = "EXPORTER-test";

/** Pairs of one core, and the means to speak in the place of an end of one of them. */
function open(count: number, sslVersion: typeof TLS12 | typeof TLS13, tickets = true) {
  const core = fixedCore();
  const options = { sslVersion, ciphers: SEALER_CIPHERS, renegotiation: sslVersion === TLS12 };
  const pairs = Array.from({ length: count }, () => {
    const lines: string[] = [];
    using both = configs(core, options, { keyLog: (line) => lines.push(line) }, tickets ? {} : { tickets });
    const pair = new EnginePair(both.client, both.server).connect();
    return Object.assign(pair, {
      as: (end: End, sequence: number) => new Sealer(pair, lines, end, sequence),
    });
  });
  return { core, pairs };
}

const finished = (sslVersion: number) => sslVersion === TLS12 ? 1 : 0; // records under the application keys until then

/** A NewSessionTicket of TLS 1.3 with a ticket of that many bytes (RFC 8446 section 4.6.1). */
function newSessionTicket(ticket: Bytes): Bytes {
  const { length } = ticket;
  const head = Uint8Array.of(0, 0, 14, 16, 1, 2, 3, 4, 1, length & 255, length >> 8, length & 255);
  return message(MESSAGE.newSessionTicket, concat([head, ticket, Uint8Array.of(0, 0)]));
}

/** Cuts at places of which the first leaves a whole header of a message: mbedTLS asks for that. */
function cut(bytes: Bytes, choose: (below: number) => number): Bytes[] {
  const pieces: Bytes[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + (at === 0 ? 4 : 1) + choose(20));
    pieces.push(bytes.slice(at, end));
    at = end;
  }
  return pieces;
}

Deno.test("Core: messages behind the handshake that come in pieces survive others' use of the buffers (TLSv1.3)", () => {
  for (let seed = 0; seed < 8; seed++) {
    const choose = chooser(seed);
    const { pairs: [one, other] } = open(2, TLS13, false);
    const sealer = one!.as("server", 0);
    const tickets = [100, 300, 40].map((length, i) => newSessionTicket(bytesFrom(seed * 10 + i, length)));
    const data = bytesFrom(seed, 200);
    const [first, second, third] = tickets.map((ticket) => cut(ticket, choose)) as [
      Bytes[],
      Bytes[],
      Bytes[],
    ];
    const joined = [...second.slice(0, -1), concat([second.at(-1)!, third[0]!]), ...third.slice(1)];
    const contents = [
      ...first.map((piece) => [TYPE.handshake, piece] as const), // one message in many records
      [TYPE.data, data.slice(0, 50)] as const,
      ...joined.map((piece) => [TYPE.handshake, piece] as const), // two, of which one record has a part of each
      [TYPE.data, data.slice(50)] as const,
    ];
    const got: number[] = [];
    const buffer = new Uint8Array(64);
    let sessions = 0;
    let last = one!.client.session();
    for (const byte of concat(contents.map(([type, content]) => sealer.seal(type, content)))) {
      one!.client.receive(Uint8Array.of(byte));
      const outcome = one!.client.read(buffer.subarray(0, 1 + choose(64)));
      if (outcome.state === "data") got.push(...buffer.subarray(0, outcome.bytes));
      if (choose(3) === 0) { // it takes the buffers of whoever is idle
        const text = bytesFrom(byte, 30);
        assertEquals(other!.send(choose(2) === 0 ? "client" : "server", text), text);
      }
      if (one!.client.session() !== last) sessions++;
      last = one!.client.session();
    }
    for (;;) {
      const outcome = one!.client.read(buffer);
      if (outcome.state !== "data") break;
      got.push(...buffer.subarray(0, outcome.bytes));
    }
    assertEquals(Uint8Array.from(got), data);
    assert(sessions >= 2, "of the first ticket, of the two others together or one by one");
    const state = Buffer.from(SSLSession.state(last!));
    assert(state.indexOf(bytesFrom(seed * 10 + 2, 40)) > 0, "the newest ticket, whole");
    for (const pair of [one, other]) pair![Symbol.dispose]();
  }
});

for (const end of ENDS) {
  Deno.test(`Core: a KeyUpdate in two records survives others' use of the buffers (TLSv1.3 ${end})`, () => {
    const { pairs: [one, other] } = open(2, TLS13, false);
    const sealer = one!.as(peerOf(end), 0);
    const update = message(MESSAGE.keyUpdate, Uint8Array.of(1));
    const buffer = new Uint8Array(10);
    for (const piece of [update.slice(0, 4), update.slice(4)]) {
      assertEquals(one![end].takeRecords().length, 0);
      for (const byte of sealer.seal(TYPE.handshake, piece)) {
        one![end].receive(Uint8Array.of(byte));
        assertEquals(one![end].read(buffer).state, "need-records");
        assertEquals(other!.send("client", encodeText("x")), encodeText("x"));
      }
    }
    assert(one![end].takeRecords().length > 0, "the answer");
    for (const pair of [one, other]) pair![Symbol.dispose]();
  });
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`Core: renegotiations, key updates and tickets among idle connections lose nothing (${version})`, () => {
    for (let seed = 0; seed < 6; seed++) mingle(sslVersion, chooser(seed));
  });
}

/** Random traffic of eight connections; bytes arrive in pieces, one connection's between the others'. */
function mingle(sslVersion: typeof TLS12 | typeof TLS13, choose: (below: number) => number): void {
  const { core, pairs } = open(8, sslVersion);
  const nothing = () => ({ records: [] as number[], sent: [] as number[], got: [] as number[], count: 0 });
  const ways = pairs.flatMap((pair) =>
    ENDS.map((end) => ({ pair, end, from: pair[end], to: pair[peerOf(end)], ...nothing() }))
  );
  const outgoing = (engine: TLSEngine) => ways.find(({ from }) => from === engine)!;
  /** Puts what an engine has to send on its way. */
  const collect = (engine: TLSEngine) => {
    const way = outgoing(engine);
    const bytes = engine.takeRecords();
    way.count += recordsOf(bytes).length;
    way.records.push(...bytes);
  };
  const buffer = new Uint8Array(300);
  const read = (way: typeof ways[number]) => {
    for (;;) {
      const outcome = way.to.read(asked.has(way.pair) ? buffer : buffer.subarray(0, 1 + choose(300)));
      collect(way.to);
      if (outcome.state !== "data") return;
      way.got.push(...buffer.subarray(0, outcome.bytes));
      if (choose(4) === 0) return; // the rest stays in the core
    }
  };
  const exported = pairs.map((pair) => pair.client.exportKeyingMaterial(32, LABEL));
  const asked = new Set<EnginePair>();
  for (let i = 0; i < 3000; i++) {
    const way = ways[choose(ways.length)]!;
    const kind = choose(40);
    if (kind < 12) {
      // In a renegotiation, mbedTLS cannot write while it holds data that our read would take, and counts those reads.
      if (asked.has(way.pair)) continue;
      const text = bytesFrom(i, 1 + choose(500));
      const n = way.from.write(text); // none while a renegotiation waits for the peer
      way.sent.push(...text.subarray(0, n));
      collect(way.from);
    } else if (kind === 12 && sslVersion === TLS13) {
      way.from.updateKey(choose(2) === 0);
      collect(way.from);
    } else if (kind === 12 && way.end === "server" && !asked.has(way.pair) && way.records.length < 1000) {
      asked.add(way.pair); // HelloRequest, in the place of a record that is lost
      const sealer = way.pair.as("server", finished(sslVersion) + way.count);
      way.from.write(encodeText("lost"));
      way.from.takeRecords();
      way.records.push(...sealer.seal(TYPE.handshake, message(MESSAGE.helloRequest)));
    } else {
      const piece = way.records.splice(0, 1 + choose(choose(2) === 0 ? 8 : 500));
      if (piece.length > 0) way.to.receive(Uint8Array.from(piece));
      read(way);
    }
  }
  for (let moved = true; moved;) {
    moved = false;
    for (const way of ways) {
      const piece = way.records.splice(0);
      if (piece.length > 0) {
        moved = true;
        way.to.receive(Uint8Array.from(piece));
      }
      for (let before = -1; before !== way.got.length;) {
        before = way.got.length;
        read(way);
      }
    }
  }
  assert(sslVersion === TLS13 || asked.size > 4, "there were renegotiations");
  for (const { got, sent } of ways) assertEquals(got, sent);
  for (const [i, pair] of pairs.entries()) {
    const [client, server] = ENDS.map((end) => pair[end].exportKeyingMaterial(32, LABEL));
    assertEquals(client, server);
    if (!asked.has(pair)) assertEquals(client, exported[i], "the exporter's secret is of the handshake");
    assertEquals(pair.client.peerCertificates().length, 1);
    assert(pair.client.session() !== undefined);
    pair.run();
    for (const end of ENDS) assertEquals(pair.send(end, buffer), buffer);
    pair.close();
    assertEquals(ENDS.map((end) => pair[end].state), ["closed", "closed"]);
    pair[Symbol.dispose]();
  }
  assert(!core.retired);
}
