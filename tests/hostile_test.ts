/**
 * Peers that break off, garble and lie, against an engine: every failure is an SSLError that says so, none is a trap, a
 * hang or other plaintext. `TLSIO_HOSTILE=all` flips every byte instead of a sample.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type Bytes, encodeText, equalBytes } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import { Core } from "../lib/core.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  cutAt,
  type End,
  ENDS,
  EnginePair,
  FixedClock,
  flipAt,
} from "./pair.ts";
import { fixedRing, peerOf, randomFrom, serverOptions, source, VERSIONS } from "./pair.ts";
import { recordsOf } from "./records.ts";

const STRIDE = Deno.env.get("TLSIO_HOSTILE") === "all" ? 1 : 5;
const MUTUAL = {
  certReqs: CERT_REQUIRED,
  trust: [source("root.pem")],
  credential: credential("client"),
} as const;

/**
 * A config of mutual TLS for each end, each in a core of its own, whose randomness starts anew with each engine: the same
 * engine, given the same bytes, does the same.
 */
function rewindable(sslVersion: (typeof VERSIONS)[number][1]) {
  let random: Record<End, (bytes: Uint8Array) => void> = { client: randomFrom(1), server: randomFrom(2) };
  const clock = new FixedClock();
  const core = (end: End) => new Core({ now: clock.now, random: (bytes) => random[end](bytes) });
  const configs = {
    client: new TLSConfig(clientOptions({ sslVersion, ...MUTUAL }), core("client")),
    server: new TLSConfig(
      serverOptions({ sslVersion, ...MUTUAL, credential: credential("ec"), tickets: fixedRing() }),
      core("server"),
    ),
  };
  return {
    ...configs,
    rewind: () => random = { client: randomFrom(1), server: randomFrom(2) },
    engine: (end: End) =>
      new TLSEngine(configs[end], end === "client" ? { serverHostname: "localhost" } : {}),
  };
}

/** Lets an engine use what it has. Returns its failure. */
function step(engine: TLSEngine): SSLError | undefined {
  try {
    if (engine.handshake().state === "done") engine.read(new Uint8Array(100));
    return undefined;
  } catch (error) {
    assertInstanceOf(error, SSLError);
    return error;
  }
}

for (const [version, sslVersion] of VERSIONS) {
  const both = rewindable(sslVersion);
  both.rewind();
  const recorded = new EnginePair(both.client, both.server).connect();
  const flights = { client: recorded.flight("client"), server: recorded.flight("server") };
  recorded[Symbol.dispose]();

  for (const end of ENDS) {
    Deno.test(`TLSEngine: a handshake that breaks off at any byte waits, then is an SSLEOFError (${version} ${end})`, () => {
      const flight = flights[peerOf(end)];
      both.rewind();
      using patient = both.engine(end);
      step(patient); // a client speaks first
      for (const [at, byte] of flight.entries()) {
        assertEquals(step(patient), undefined, `${at} of ${flight.length} bytes`);
        patient.receive(Uint8Array.of(byte));
      }
      assertEquals([step(patient), patient.handshakeDone], [undefined, true]);

      const ends = new Set<number>(); // where it breaks off: around each header, and here and there within
      let start = 0;
      for (const { length } of recordsOf(flight)) {
        for (const at of [0, 1, 2, 3, 4, 5, 6, 9, length - 1]) ends.add(start + at);
        for (let at = 0; at < length; at += 8 * STRIDE - 7) ends.add(start + at);
        start += length;
      }
      for (const length of ends) {
        both.rewind();
        using engine = both.engine(end);
        step(engine);
        engine.receive(flight.slice(0, length));
        engine.receiveEof();
        assertInstanceOf(step(engine), SSLEOFError, `${length} of ${flight.length} bytes`);
      }
    });

    Deno.test(`TLSEngine: a handshake with a bit flipped at any byte fails, or does no harm (${version} ${end})`, () => {
      const counts = { failed: 0, done: 0 };
      for (let at = 0; at < flights[peerOf(end)].length; at += STRIDE) {
        both.rewind();
        const mask = 1 << ((at / STRIDE) % 8);
        using pair = new EnginePair(both.client, both.server, { deliver: flipAt(peerOf(end), at, mask) });
        judge(pair, `byte ${at}, mask ${mask}`, counts);
        const { kind } = pair.errors[end] ?? {};
        if (kind === "protocol" || kind === "verify") {
          assert(told.has(pair.errors[peerOf(end)]?.kind), `byte ${at}, mask ${mask}: the peer is told`);
        }
      }
      assert(counts.failed > 20, JSON.stringify(counts));
    });
  }

  Deno.test(`TLSEngine: records of a handshake that are lost, doubled or swapped (${version})`, () => {
    const counts = { failed: 0, done: 0 };
    for (const end of ENDS) {
      const records = recordsOf(flights[end]).length;
      for (let i = 0; i < records; i++) {
        for (const what of ["lost", "doubled", "swapped"]) {
          both.rewind();
          let seen = 0;
          let kept: Bytes | undefined;
          using pair = new EnginePair(both.client, both.server, {
            deliver: ({ from, bytes }) =>
              from !== end ? [bytes] : recordsOf(bytes).flatMap((one) => {
                if (seen++ !== i) {
                  const swapped = kept === undefined ? [one] : [one, kept];
                  kept = undefined;
                  return swapped;
                }
                if (what === "swapped") kept = one;
                return what === "doubled" ? [one, one] : [];
              }),
          });
          judge(pair, `record ${i} of the ${end} ${what}`, counts);
        }
      }
    }
    assert(counts.failed > 10, JSON.stringify(counts));
  });

  Deno.test(`TLSEngine: application data with a byte flipped is never given (${version})`, () => {
    using pair = new EnginePair(both.client, both.server).connect();
    pair.client.write(encodeText("transfer 100"));
    const sealed = pair.client.takeRecords();
    for (let at = 0; at < sealed.length; at++) {
      both.rewind();
      using other = new EnginePair(both.client, both.server).connect();
      other.client.write(encodeText("transfer 100"));
      const flipped = other.client.takeRecords();
      flipped[at]! ^= 1 << (at % 8);
      other.server.receive(flipped);
      other.run();
      other.eof();
      assertEquals(other.received("server").length, 0, `byte ${at}`);
      assert(other.errors.server !== undefined);
      if (at % 4 === 0) at += STRIDE - 1;
    }
  });
}

Deno.test("TLSEngine: a handshake that is cut short from either end is over for both", () => {
  for (const [, sslVersion] of VERSIONS) {
    const both = rewindable(sslVersion);
    for (const end of ENDS) {
      for (const offset of [0, 1, 4, 5, 6, 100, 300]) {
        both.rewind();
        using pair = new EnginePair(both.client, both.server, { deliver: cutAt(end, offset) }).run();
        assert(!pair.client.handshakeDone || !pair.server.handshakeDone);
        assertEquals(pair.errors, {}, "both wait");
        pair.eof();
        for (const end of ENDS) assertInstanceOf(pair.errors[end], SSLEOFError);
      }
    }
  }
});

/** What a peer that was told of a failure has met: the alert, or, when its keys are no longer the same, something unreadable. */
const told = new Set<string | undefined>(["alert", "protocol"]);

/** Runs a handshake that something is done to, and asserts that nothing but an orderly failure, or nothing, comes of it. */
function judge(pair: EnginePair, what: string, counts: { failed: number; done: number }): void {
  pair.run();
  for (const error of Object.values(pair.errors)) {
    assert(
      error.kind !== "internal" && error.kind !== "config",
      `${what}: ${error.message} (${error.reason})`,
    );
  }
  if (Object.keys(pair.errors).length === 0 && pair.client.handshakeDone && pair.server.handshakeDone) {
    counts.done++;
    for (const from of ENDS) {
      const data = bytesFrom(from.length, 500);
      const got = pair.send(from, data);
      // A record that was lost or doubled after the handshake shows in the next one.
      assert(equalBytes(got, data) || (got.length === 0 && pair.errors[peerOf(from)] !== undefined), what);
      if (Object.keys(pair.errors).length > 0) return;
    }
    return;
  }
  counts.failed++;
  pair.eof(); // who waits for more than will come
  assert(Object.keys(pair.errors).length > 0, what);
  for (const end of ENDS) assertEquals(pair.received(end).length, 0, what);
}
