import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { concat, encodeText } from "../lib/bytes.ts";
import { type ClientHello, readClientHello } from "../lib/client_hello.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import { md5 } from "../lib/md5.ts";
import { TLSVersion } from "../lib/suites.ts";
import { isGrease } from "../lib/tls_numbers.ts";
import {
  hello,
  helloBody,
  type HelloParts,
  helloRecords,
  readAll,
  serverName,
  uint16s,
  vector,
} from "./hellos.ts";
import { bytesFrom, configs, EnginePair, fixedCore } from "./pair.ts";
import { record, TYPE } from "./records.ts";

const text = (name: string) => vector(1, encodeText(name));
const ALPN: [number, Uint8Array] = [16, vector(2, text("h2"), text("http/1.1"))];

/** All that a hello says, to compare. */
function contents(hello: ClientHello): unknown {
  const { serverName, alpnProtocols, resumption, random, versions, cipherSuites, groups, extensions } = hello;
  const { keyShareGroups, signatureSchemes, pskModes, ja3, ja3Hash, ja4 } = hello;
  return {
    serverName,
    alpnProtocols,
    resumption,
    random,
    versions,
    cipherSuites,
    groups,
    extensions,
    keyShareGroups,
    signatureSchemes,
    pskModes,
    ja3,
    ja3Hash,
    ja4,
  };
}

/** What a client of ours sends first. */
function ownHello(sslVersion?: TLSVersion): Uint8Array<ArrayBuffer> {
  using config = new TLSConfig({ alpnProtocols: ["h2"], ...(sslVersion && { sslVersion }) });
  using engine = new TLSEngine(config, { serverHostname: "example.test" });
  engine.handshake();
  return engine.takeRecords();
}

/** The answer, or the error: nothing else may come of any bytes. */
function answer(bytes: Uint8Array): unknown {
  try {
    const outcome = readClientHello(bytes);
    return outcome.state === "done" ? contents(outcome.hello) : outcome;
  } catch (error) {
    assert(error instanceof SSLError && error.kind === "protocol", String(error));
    assert(error.message.startsWith("Cannot read ClientHello: ") && error.code < 0, error.message);
    return error.message;
  }
}

/** As a server would: it reads as many bytes as it is told to, at least; here, no more. Counts the calls. */
function answerInSteps(bytes: Uint8Array): { answer: unknown; calls: number } {
  let there = 0;
  for (let calls = 1;; calls++) {
    const now = answer(bytes.subarray(0, there)) as { state?: string; bytes: number };
    if (now?.state !== "need-bytes") return { answer: now, calls };
    assert(now.bytes >= 1, `${now.bytes} bytes more`);
    if (there === bytes.length) return { answer: now, calls };
    there = Math.min(bytes.length, there + now.bytes);
  }
}

Deno.test("readClientHello: a hello of our own engine, field by field", () => {
  const read = readAll(ownHello());
  assertEquals(read.serverName, "example.test");
  assertEquals(read.alpnProtocols, ["h2"]);
  assertEquals(read.versions.map(({ name }) => name), ["TLSv1.3", "TLSv1.2"]);
  assertEquals(read.groups.map(({ name }) => name), ["x25519", "secp256r1", "secp384r1", "secp521r1"]);
  assertEquals(read.keyShareGroups, [{ id: 29, name: "x25519" }]);
  assertEquals(read.cipherSuites[0], { id: 0x1303, name: "TLS_CHACHA20_POLY1305_SHA256" });
  assertEquals(read.cipherSuites.filter(({ name }) => name === undefined), []);
  assertEquals(read.signatureSchemes[0], { id: 0x0403, name: "ecdsa_secp256r1_sha256" });
  assertEquals(read.resumption, undefined);
});

for (const [name, version] of Object.entries(TLSVersion)) {
  Deno.test(`readClientHello: ${name} alone, the versions are what the client named`, () => {
    const names = readAll(ownHello(version)).versions.map(({ name }) => name);
    assertEquals(names, [name.replace("v1_", "v1.")]);
  });
}

Deno.test("readClientHello: the server name is in lower case; a hello without one has none", () => {
  assertEquals(
    readAll(hello({ extensions: [serverName("WWW.Example.Test")] })).serverName,
    "www.example.test",
  );
  assertEquals(readAll(hello()).serverName, undefined);
  assertEquals(readAll(hello({ extensions: null })).extensions, []);
});

Deno.test("readClientHello: what it returns shares no memory with the bytes", () => {
  const bytes = ownHello();
  const read = readAll(bytes);
  const before = structuredClone(contents(read));
  bytes.fill(0);
  assertEquals(contents(read), before);
});

Deno.test("ClientHello.resumption: psk, ticket, session-id, and none for a session id that TLS 1.3 makes up", () => {
  const sessionId = new Uint8Array(32);
  const psk: [number, Uint8Array] = [
    41,
    concat([
      vector(2, vector(2, new Uint8Array(5)), new Uint8Array(4)),
      vector(2, vector(1, new Uint8Array(32))),
    ]),
  ];
  const both: [number, Uint8Array] = [43, vector(1, uint16s(0x0304, 0x0303))];
  const cases: [HelloParts, ClientHello["resumption"]][] = [
    [{ sessionId, extensions: [both, psk] }, "psk"],
    [{ extensions: [[35, new Uint8Array(100)]] }, "ticket"],
    [{ extensions: [[35, new Uint8Array(0)]] }, undefined],
    [{ sessionId }, "session-id"],
    [{ sessionId, extensions: [both] }, undefined],
    [{}, undefined],
  ];
  assertEquals(
    cases.map(([parts]) => readAll(hello(parts)).resumption),
    cases.map(([, expected]) => expected),
  );
});

Deno.test("readClientHello: a hello in records of any size says the same", () => {
  const body = ownHello().subarray(9);
  const whole = contents(readAll(helloRecords(body)));
  for (const size of [1, 2, 3, 4, 5, 7, 100, body.length, body.length + 3]) {
    assertEquals(answer(helloRecords(body, size)), whole, `records of ${size} bytes`);
  }
});

Deno.test("readClientHello: what comes behind the hello changes nothing", () => {
  const bytes = ownHello();
  assertEquals(answer(concat([bytes, Uint8Array.of(1, 2, 3, 4, 5, 6)])), answer(bytes));
});

Deno.test("readClientHello: byte at a time and in the steps that it asks for, the same answer as at once", () => {
  const body = helloBody({ extensions: [serverName("example.test"), ALPN, [21, new Uint8Array(300)]] });
  const streams = [ownHello(), helloRecords(body, 50), helloRecords(body, 1)];
  for (const bytes of streams) {
    const whole = answer(bytes);
    for (let length = 0; length < bytes.length; length++) {
      const outcome = readClientHello(bytes.subarray(0, length));
      assert(outcome.state === "need-bytes", `done after ${length} of ${bytes.length} bytes`);
      assert(outcome.bytes >= 1 && outcome.bytes <= bytes.length - length, `${outcome.bytes} at ${length}`);
    }
    assertEquals(answerInSteps(bytes).answer, whole);
  }
});

Deno.test("readClientHello: the largest hello in records of one byte takes few calls", () => {
  const body = helloBody({ extensions: [[21, new Uint8Array(16300)]] });
  const { calls, answer: found } = answerInSteps(helloRecords(body, 1));
  assertEquals((found as ClientHello).extensions, [{ id: 21, name: "padding" }]);
  assert(calls < 100, `${calls} calls`);
});

Deno.test("readClientHello: any byte changed gives an answer or an SSLError, the same in steps", () => {
  const bytes = helloRecords(ownHello().subarray(9), 120);
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const changed = bytes.slice();
      changed[at]! ^= mask;
      assertEquals(answerInSteps(changed).answer, answer(changed), `byte ${at} ^ ${mask}`);
    }
  }
});

Deno.test("readClientHello: a message cut short is an SSLError, but for one cut before its extensions", () => {
  const body = ownHello().subarray(9);
  const extensions = readAll(ownHello()).extensions.length;
  const whole = Array.from({ length: body.length + 1 }, (_, length) => length)
    .filter((length) => typeof answer(helloRecords(body.subarray(0, length))) !== "string");
  assertEquals(whole.length, 2, `whole with ${whole} of ${body.length} bytes`);
  const found = whole.map((length) => readAll(helloRecords(body.subarray(0, length))).extensions.length);
  assertEquals(found, [0, extensions]);
});

Deno.test("readClientHello: random bytes behind a hello's beginning never throw anything else", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const body = concat([helloBody({ extensions: null }), vector(2, bytesFrom(seed, seed % 90))]);
    answer(helloRecords(body));
    answer(bytesFrom(seed, 200));
  }
});

const MALFORMED: Record<string, [Uint8Array, string]> = {
  "plain HTTP": [encodeText("GET / HTTP/1.1\r\n\r\n"), "a record of type 71"],
  "an alert": [record(TYPE.alert, Uint8Array.of(2, 40)), "a record of type 21"],
  "a ServerHello": [record(TYPE.handshake, Uint8Array.of(2, 0, 0, 0)), "a message of type 2"],
  "SSL 2": [Uint8Array.of(22, 2), "version 2"],
  "an empty record": [record(TYPE.handshake, new Uint8Array(0)), "a record of 0 bytes"],
  "a long record": [Uint8Array.of(22, 3, 1, 0x40, 1), "a record of 16385 bytes"],
  "a long message": [record(TYPE.handshake, Uint8Array.of(1, 0, 0x40, 0)), "a message of 16388 bytes"],
  "no suites": [hello({ cipherSuites: [] }), "too short"],
  "a session id of 33 bytes": [hello({ sessionId: new Uint8Array(33) }), "33 bytes, 32 at most"],
  "a byte too many": [helloRecords(concat([helloBody(), new Uint8Array(1)])), "1 bytes too many"],
  "an extension twice": [hello({ extensions: [[23, new Uint8Array(0)], [23, new Uint8Array(0)]] }), "twice"],
  "two server names": [hello({ extensions: [serverName("a", "b")] }), "two hosts"],
  "an empty server name": [hello({ extensions: [serverName("")] }), "too short"],
  "a server name with a NUL": [hello({ extensions: [serverName("a\0b")] }), "not a DNS name"],
  "a server name in UTF-8": [hello({ extensions: [serverName("bücher.test")] }), "not a DNS name"],
  "an empty protocol name": [hello({ extensions: [[16, vector(2, text(""))]] }), "too short"],
  "an odd list of groups": [hello({ extensions: [[10, vector(2, new Uint8Array(3))]] }), "cut short"],
  "no versions": [hello({ extensions: [[43, vector(1)]] }), "too short"],
  "an empty key share": [hello({ extensions: [[51, vector(2, uint16s(29, 0))]] }), "too short"],
  "an extension with a rest": [hello({ extensions: [[45, Uint8Array.of(1, 1, 9)]] }), "too many"],
  "pre_shared_key before another": [
    hello({
      extensions: [
        [
          41,
          concat([
            vector(2, vector(2, new Uint8Array(5)), new Uint8Array(4)),
            vector(2, vector(1, new Uint8Array(32))),
          ]),
        ],
        [23, new Uint8Array(0)],
      ],
    }),
    "not the last extension",
  ],
  "an identity without a binder": [
    hello({
      extensions: [[
        41,
        concat([
          vector(
            2,
            vector(2, new Uint8Array(5)),
            new Uint8Array(4),
            vector(2, new Uint8Array(5)),
            new Uint8Array(4),
          ),
          vector(2, vector(1, new Uint8Array(32))),
        ]),
      ]],
    }),
    "one binder for each",
  ],
};

for (const [name, [bytes, expected]] of Object.entries(MALFORMED)) {
  Deno.test(`readClientHello: ${name} is an SSLError that says so`, () => {
    const error = assertThrows(() => readClientHello(bytes), SSLError);
    assertEquals(error.kind, "protocol");
    assertStringIncludes(error.message, expected);
  });
}

Deno.test("readClientHello: what is not bytes is a TypeError", () => {
  assertThrows(() => readClientHello("hello" as unknown as Uint8Array), TypeError, "Cannot use bytes");
});

Deno.test("ClientHello: the hello that a server of ours takes is the one that was read", () => {
  const core = fixedCore();
  using both = configs(core, { alpnProtocols: ["h2"] });
  using pair = new EnginePair(both.client, both.server).connect();
  const read = readAll(pair.flight("client"));
  assertEquals([read.serverName, read.alpnProtocols], [pair.server.serverName, [pair.server.alpnProtocol]]);
});

// ---- Fingerprints ---------------------------------------------------------------------------------------

/** Opera 129 on Linux, as published with its JA4: numbers in the order of its hello. */
const OPERA = {
  cipherSuites: "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
  extensions: "fe0d,0033,ff01,0017,001b,000a,0000,0010,0005,002b,002d,0012,000b,44cd,000d,0023",
  signatureSchemes: "0403,0804,0401,0503,0805,0501,0806,0601",
  ja4: "t13d1516h2_8daaf6152771_d8a2da3f94cd",
};
const hexNumbers = (list: string) => list.split(",").map((number) => parseInt(number, 16));

/** Contents that the reader checks, by type. */
const CONTENTS: Record<number, Uint8Array> = {
  0: serverName("example.test")[1],
  10: vector(2, uint16s(0x2a2a, 29, 23)),
  11: vector(1, Uint8Array.of(0)),
  13: vector(2, uint16s(...hexNumbers(OPERA.signatureSchemes))),
  16: ALPN[1],
  43: vector(1, uint16s(0x3a3a, 0x0304, 0x0303)),
  45: vector(1, Uint8Array.of(1)),
  51: vector(2, uint16s(0x2a2a, 1), Uint8Array.of(0), uint16s(29, 32), new Uint8Array(32)),
};

function opera(change: { grease?: boolean; alpn?: Uint8Array } = {}): ClientHello {
  const suites = hexNumbers(OPERA.cipherSuites);
  const types = hexNumbers(OPERA.extensions);
  const all = change.grease ? [0x1a1a, ...types, 0xdada] : types;
  return readAll(hello({
    cipherSuites: change.grease ? [0xfafa, ...suites] : suites,
    extensions: all.map((type) => [
      type,
      type === 16 && change.alpn !== undefined
        ? vector(2, vector(1, change.alpn))
        : CONTENTS[type] ?? new Uint8Array(0),
    ]),
  }));
}

Deno.test("ClientHello.ja4: a browser's hello has the published fingerprint", () => {
  assertEquals(opera().ja4, OPERA.ja4);
});

Deno.test("ClientHello.ja3, ja4: GREASE changes neither, and the lists keep it", () => {
  assertEquals([opera({ grease: true }).ja3, opera({ grease: true }).ja4], [opera().ja3, OPERA.ja4]);
  assertEquals(opera({ grease: true }).cipherSuites[0], { id: 0xfafa, name: "GREASE" });
  assertEquals(opera().groups[0], { id: 0x2a2a, name: "GREASE" });
});

Deno.test("ClientHello.ja4: the protocol is its first and last letter, or digits of its bytes where it has none", () => {
  const cases = { "http/1.1": "h1", "h": "hh", "h2-": "6d", "\x0a": "0a", "-": "2d" };
  for (const [name, expected] of Object.entries(cases)) {
    assertEquals(opera({ alpn: encodeText(name) }).ja4.slice(8, 10), expected, name);
  }
});

Deno.test("ClientHello.ja4: a hello without extensions, and counts over 99", () => {
  assertEquals(readAll(hello({ extensions: null })).ja4, "t12i010000_0f2cb44170f4_000000000000");
  const many = Array.from({ length: 120 }, (_, i): [number, Uint8Array] => [i + 100, new Uint8Array(0)]);
  const cipherSuites = many.map(([id]) => id);
  assertEquals(readAll(hello({ cipherSuites, extensions: many })).ja4.slice(0, 10), "t12i999900");
});

Deno.test("ClientHello.ja3: five lists, empty ones too", () => {
  assertEquals(readAll(hello({ extensions: null })).ja3, "771,4865,,,");
  assertEquals(opera().ja3.split(",").slice(3), ["29-23", "0"]);
});

Deno.test("md5: the hashes of Node's crypto, for every length to three blocks", () => {
  for (let length = 0; length <= 192; length++) {
    const bytes = bytesFrom(length + 1, length);
    assertEquals(md5(bytes).toHex(), createHash("md5").update(bytes).digest("hex"), `${length} bytes`);
  }
});

Deno.test("isGrease: sixteen numbers, those of RFC 8701", () => {
  const found = Array.from({ length: 65536 }, (_, id) => id).filter(isGrease);
  assertEquals(found, Array.from({ length: 16 }, (_, i) => 0x0a0a + i * 0x1010));
});
