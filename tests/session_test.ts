import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { SSLSession } from "../lib/session.ts";
import { bytesFrom, clientOptions, configs, EnginePair, fixedCore, fixedRing, VERSIONS } from "./pair.ts";
import { TLSConfig } from "../lib/config.ts";
import { flipped, withState } from "./session_bytes.ts";

const core = fixedCore();

/** Two configs that both speak `sslVersion`, and a session between them. */
function begin(sslVersion: (typeof VERSIONS)[number][1]) {
  const both = configs(core, { sslVersion }, {}, { tickets: fixedRing() });
  using pair = new EnginePair(both.client, both.server).connect();
  return { both, session: pair.client.session()! };
}

/** Bytes with a checksum that fits: what is wrong with them is inside. */
function sealed(body: Bytes): Bytes {
  return concat([body, new Uint8Array(createHash("sha256").update(body).digest().subarray(0, 8))]);
}

const MAGIC = 6; // bytes: "TLSIO" and the version of the format
const HEADER = MAGIC + 4;

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`SSLSession.from() reads what toBytes() wrote, for another process (${version})`, () => {
    const { both, session } = begin(sslVersion);
    const copy = SSLSession.from(session.toBytes());
    assertEquals(copy.facts, session.facts);
    assertEquals(copy.toBytes(), session.toBytes());
    using elsewhere = new TLSConfig(clientOptions({ sslVersion }), fixedCore(9));
    using pair = new EnginePair(elsewhere, both.server, { savedSession: copy }).connect();
    assert(pair.client.sessionReused);
    const embedded = concat([new Uint8Array(3), session.toBytes(), new Uint8Array(3)]).subarray(3, -3);
    assertEquals(SSLSession.from(embedded).facts, session.facts, "a view into a larger buffer");
    const wiped = Buffer.from(session.toBytes());
    const kept = SSLSession.from(wiped);
    wiped.fill(0);
    assertEquals(kept.toBytes(), session.toBytes(), "a copy of a Buffer's bytes");
  });

  Deno.test(`SSLSession.from() refuses damaged and cut bytes (${version})`, () => {
    const bytes = begin(sslVersion).session.toBytes();
    const refused = (given: Bytes, what: string) => {
      assertThrows(() => SSLSession.from(given), SyntaxError, "Cannot read savedSession: ", what);
    };
    for (let length = 0; length < bytes.length; length++) refused(bytes.slice(0, length), `cut to ${length}`);
    for (let at = 0; at < bytes.length; at++) refused(flipped(bytes, at, 1 << at % 8), `bit at ${at}`);
    refused(concat([bytes, Uint8Array.of(0)]), "a byte more");
    refused(concat([bytes, bytes]), "twice");
  });

  Deno.test(`A session that is spoilt inside leads to a full handshake or an SSLError (${version})`, () => {
    const { both, session } = begin(sslVersion);
    const state = SSLSession.state(session);
    let resumed = 0;
    for (let at = 0; at < state.length; at += Math.ceil(state.length / 120)) {
      const spoilt = withState(session, flipped(state, at, 1 << at % 8));
      using pair = new EnginePair(both.client, both.server, { savedSession: spoilt }).run();
      const what = `bit at ${at} of ${state.length}`;
      assert(!core.retired, what);
      for (const error of Object.values(pair.errors)) {
        // mbedTLS refuses a session for another host than the connection's as bad input.
        const expected = error.kind !== "internal" || error.reason === "MBEDTLS_ERR_SSL_BAD_INPUT_DATA";
        assert(expected, `${what}: ${error.message}`);
      }
      if (Object.keys(pair.errors).length > 0) continue;
      assert(pair.client.handshakeDone && pair.server.handshakeDone, what);
      if (pair.client.sessionReused) resumed++;
      assertEquals(pair.send("client", encodeText("intact")), encodeText("intact"), what);
    }
    assert(resumed > 0, "some bits do not matter");
  });

  Deno.test(`A session whose inside is cut or of other bytes leads to a full handshake (${version})`, () => {
    const { both, session } = begin(sslVersion);
    const state = SSLSession.state(session);
    const insides: Bytes[] = [
      bytesFrom(1, state.length),
      bytesFrom(2, 100_000),
      concat([state, Uint8Array.of(0)]),
    ];
    for (let length = 0; length < state.length; length += Math.ceil(state.length / 25)) {
      insides.push(state.slice(0, length));
    }
    for (const inside of insides) {
      using pair = new EnginePair(both.client, both.server, { savedSession: withState(session, inside) })
        .connect();
      assertEquals(
        [pair.client.sessionReused, pair.client.verifyFlags],
        [false, 0],
        `${inside.length} bytes`,
      );
      assertEquals(pair.client.peerCertificates().length, 1);
    }
  });
}

Deno.test("SSLSession.from() refuses another version of the format and facts that are none", () => {
  const { session } = begin(VERSIONS[1][1]);
  const bytes = session.toBytes();
  const body = bytes.slice(0, -8);
  assertEquals(sealed(body), bytes, "the checksum is what this test thinks");
  const withFacts = (text: string) => {
    const facts = encodeText(text);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, facts.length);
    return sealed(concat([body.slice(0, MAGIC), length, facts, SSLSession.state(session)]));
  };
  assertEquals(withFacts(JSON.stringify(session.facts)), bytes);
  const other = body.slice();
  other[MAGIC - 1]! += 1;
  const long = body.slice();
  new DataView(long.buffer).setUint32(MAGIC, 0xffffffff);
  const facts = session.facts;
  const cases: Record<string, Bytes> = {
    "another version": sealed(other),
    "facts longer than the rest": sealed(long),
    "no facts": sealed(body.slice(0, HEADER)),
    "no JSON": withFacts("{"),
    "null": withFacts("null"),
    "a list": withFacts("[]"),
    "a string": withFacts('"facts"'),
    "a fact is missing": withFacts(JSON.stringify({ ...facts, trust: undefined })),
    "a fact of another type": withFacts(JSON.stringify({ ...facts, verifyFlags: "0" })),
    "a certificate that is no base64": withFacts(JSON.stringify({ ...facts, peer: "***" })),
  };
  for (const [name, given] of Object.entries(cases)) {
    assertThrows(() => SSLSession.from(given), SyntaxError, "Cannot read savedSession: ", name);
  }
});

Deno.test("SSLSession.from() takes bytes and nothing else", () => {
  for (const value of [undefined, null, "TLSIO", 5, [], new ArrayBuffer(100)]) {
    assertThrows(
      () => SSLSession.from(value as never),
      TypeError,
      "Cannot use savedSession: expected a Uint8Array",
    );
  }
});

Deno.test("SSLSession shows nothing secret when it is printed", () => {
  for (const [version, sslVersion] of VERSIONS) {
    const { session } = begin(sslVersion);
    const shown = `SSLSession { serverHostname: "localhost", version: "${version}" }`;
    assertEquals(Deno.inspect(session), shown);
    assertEquals(Deno.inspect(session, { showHidden: true, depth: 9 }), shown);
    const text = JSON.stringify(session) + String(session) + Object.keys(session);
    const state = SSLSession.state(session);
    const secret = state.slice(15, 47); // within the resumption secret, or the session id and master secret
    for (const form of [secret.toHex(), secret.toBase64(), secret.join()]) assert(!text.includes(form));
  }
});
