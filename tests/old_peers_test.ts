/** What only old and small peers need: off until it is named, and then no weaker than it has to be. */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
import { readClientHello } from "../lib/client_hello.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { defaultSuites, needsCertificate, suitesOf, TLSVersion } from "../lib/suites.ts";
import {
  clientOptions,
  configs,
  credential,
  type Delivery,
  EnginePair,
  fixedCore,
  serverOptions,
  source,
} from "./pair.ts";
import { recordsOf, TYPE } from "./records.ts";
import { BLOCKS, encrypter } from "./rsa_exchange.ts";

const core = fixedCore();
const PSK = { psk: { identity: "device-7", key: new Uint8Array(32).fill(7) } };
const DEFAULTS = new Set([...defaultSuites(core, false), ...defaultSuites(core, true)]);
/** Suites that only a config that names them speaks. */
const WEAK = suitesOf(core).filter(({ id }) => !DEFAULTS.has(id)).map(({ name }) => name);

/** What the ends of a suite need. */
function endsOf(suite: string) {
  const key = suite.startsWith("TLS_ECDH_") ? "ecdh" : /RSA_(PSK_)?WITH/.test(suite) ? "rsa" : "ec";
  const psk = suite.includes("PSK") ? PSK : {};
  const server = key === "ecdh"
    ? {
      chain: source(suite.startsWith("TLS_ECDH_RSA") ? "ecdh-rsa.pem" : "ecdh.pem"),
      key: source("ecdh.key"),
    }
    : credential(key);
  return { psk, server: { ...psk, credential: server } };
}

// ---- Off by default -------------------------------------------------------------------------------------

/** What is new in the core stays out of these, unless we mean it. */
const OFFERED = {
  "certificates": [
    ...["CHACHA20_POLY1305_SHA256", "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "AES_128_CCM_SHA256"],
    ...["ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
    ...["ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
    ...["ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
    ...["ECDHE_ECDSA_WITH_AES_256_CCM", "ECDHE_ECDSA_WITH_AES_128_CCM"],
  ],
  "a pre-shared key": [
    ...["CHACHA20_POLY1305_SHA256", "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "AES_128_CCM_SHA256"],
    ...["ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE_PSK_WITH_AES_256_CBC_SHA384"],
    ...["ECDHE_PSK_WITH_AES_128_CBC_SHA256", "ECDHE_PSK_WITH_AES_256_CBC_SHA"],
    ...["ECDHE_PSK_WITH_AES_128_CBC_SHA", "PSK_WITH_CHACHA20_POLY1305_SHA256"],
    ...["PSK_WITH_AES_128_GCM_SHA256", "PSK_WITH_AES_256_GCM_SHA384"],
    ...["PSK_WITH_AES_256_CCM", "PSK_WITH_AES_128_CCM"],
    ...["PSK_WITH_AES_256_CBC_SHA384", "PSK_WITH_AES_128_CBC_SHA256"],
    ...["PSK_WITH_AES_256_CBC_SHA", "PSK_WITH_AES_128_CBC_SHA"],
  ],
};

for (const [by, names] of Object.entries(OFFERED)) {
  Deno.test(`ciphers: the default ClientHello with ${by} offers these suites, in this order, and no weaker one`, () => {
    using config = new TLSConfig(clientOptions(by === "certificates" ? {} : PSK), core);
    using client = new TLSEngine(config, { serverHostname: "localhost" });
    client.handshake();
    const outcome = readClientHello(client.takeRecords());
    assert(outcome.state === "done");
    const offered = outcome.hello.cipherSuites.map(({ name }) => name);
    assertEquals(offered, [...names.map((name) => `TLS_${name}`), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"]);
  });
}

Deno.test("ciphers: a default server refuses each weaker suite of ours: alert handshake_failure", () => {
  for (const name of WEAK) {
    const { psk, server } = endsOf(name);
    using both = configs(core, psk, { ciphers: [name] }, server);
    using pair = new EnginePair(both.client, both.server).run();
    assertEquals(pair.errors.client?.alert?.name, "handshake_failure", name);
    assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE", name);
  }
  assertEquals(WEAK.length, 42);
});

Deno.test("ciphers: NULL, export, RC4, DES, MD5, anonymous and DHE suites cannot be named: a TypeError says so", () => {
  const names = [
    ...[
      "TLS_RSA_WITH_NULL_SHA256",
      "TLS_ECDHE_ECDSA_WITH_NULL_SHA",
      "TLS_PSK_WITH_NULL_SHA",
      "TLS_SHA256_SHA256",
    ],
    ...["TLS_ECDH_RSA_WITH_NULL_SHA", "TLS_NULL_WITH_NULL_NULL", "TLS_RSA_EXPORT_WITH_RC4_40_MD5"],
    ...["TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"],
    ...["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DH_anon_WITH_AES_128_CBC_SHA", "NULL", "ALL", ""],
  ];
  for (const name of names) {
    for (const options of [clientOptions(), serverOptions()]) {
      const error = assertThrows(() => new TLSConfig({ ...options, ciphers: [name] }, core), TypeError);
      assertStringIncludes(error.message, `Cannot use ciphers: unknown name "${name}"`);
    }
  }
  for (const { name } of suitesOf(core)) assert(!/NULL|EXPORT|RC4|DES_|MD5|anon|_DHE?_/i.test(name), name);
});

Deno.test("docs/old_peers.md: lists every suite that is off by default, and no other", async () => {
  const page = await Deno.readTextFile(new URL("../docs/old_peers.md", import.meta.url));
  const listed: string[] = [];
  for (const [item] of page.matchAll(/^- `TLS_[^:]*`:(.|\n {2})*/gm)) {
    const words = [...item.matchAll(/`(\w+)`/g)].map(([, word]) => word!);
    const prefixes = words.filter((word) => word.endsWith("_"));
    for (const prefix of prefixes) {
      listed.push(...words.filter((word) => !word.endsWith("_")).map((word) => prefix + word));
    }
  }
  assertEquals(listed.sort(), [...WEAK].sort());
});

// ---- On by name -------------------------------------------------------------------------------------------

for (const name of WEAK) {
  // Eight suites of static ECDH have no other peer than us: see interop_old_test.ts.
  Deno.test(`ciphers: ${name} works where both ends name it, in both spellings`, () => {
    const { psk, server } = endsOf(name);
    const mbedtls = name.replaceAll("_", "-").replace(/^TLS-(?!.*WITH)/, "TLS1-3-");
    using both = configs(core, psk, { ciphers: [name] }, { ...server, ciphers: [mbedtls] });
    using pair = new EnginePair(both.client, both.server).connect();
    assertEquals([pair.client.cipher?.name, pair.server.cipher?.name], [name, name]);
    const data = new Uint8Array(20_000).fill(7);
    assertEquals(pair.send("client", data), data);
    assertEquals(pair.send("server", data), data);
    assertEquals(
      pair.client.peerCertificates().length,
      needsCertificate(name) || !name.includes("PSK") ? 1 : 0,
    );
  });
}

Deno.test("ciphers: a key that may not agree serves no static ECDH", () => {
  const ciphers = WEAK.filter((name) => name.startsWith("TLS_ECDH_"));
  assertEquals(ciphers.length, 12);
  using both = configs(core, { ciphers }, {}, { credential: credential("ec") });
  using pair = new EnginePair(both.client, both.server).run();
  assertEquals(pair.errors.client?.alert?.name, "handshake_failure");
});

Deno.test("ciphers: suites of one version leave no other, so that a peer of both versions takes one of them", () => {
  const old = { ciphers: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] };
  const young = { ciphers: ["TLS_AES_128_GCM_SHA256"] };
  for (const [options, version] of [[old, "TLSv1.2"], [young, "TLSv1.3"]] as const) {
    for (const [client, server] of [[options, {}], [{}, options]]) {
      using both = configs(core, {}, client, server);
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals(pair.client.cipher, { ...pair.client.cipher!, name: options.ciphers[0]!, version });
    }
  }
  const cases = [[old, TLSVersion.TLSv1_3, "TLSv1.3"], [young, TLSVersion.TLSv1_2, "TLSv1.2"]] as const;
  for (const [options, sslVersion, text] of cases) {
    const make = () => new TLSConfig(clientOptions({ ...options, sslVersion }), core);
    assertThrows(make, TypeError, `Cannot use ciphers: none of them is for sslVersion ${text}`);
  }
});

Deno.test("ciphers: a session of a weaker suite is not resumed by a config that does not name it", () => {
  const name = "TLS_RSA_WITH_AES_128_GCM_SHA256";
  const server = { credential: credential("rsa") };
  using weak = configs(core, { sslVersion: TLSVersion.TLSv1_2 }, { ciphers: [name] }, {
    ...server,
    ciphers: [name],
  });
  using first = new EnginePair(weak.client, weak.server).connect();
  assertEquals(first.client.cipher?.name, name);
  const savedSession = first.client.session()!;
  using again = new EnginePair(weak.client, weak.server, { savedSession }).connect();
  assertEquals(again.client.sessionReused, true);
  const strong = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
  const cases = [
    ["neither names it", {}, {}],
    ["the client does not name it", {}, { ciphers: [strong, name] }],
    ["the server does not name it", { ciphers: [strong, name] }, {}],
    ["both prefer another", { ciphers: [strong, name] }, { ciphers: [strong, name] }],
  ] as const;
  for (const [what, client, other] of cases) {
    using usual = configs(core, { sslVersion: TLSVersion.TLSv1_2 }, client, { ...server, ...other });
    using pair = new EnginePair(usual.client, usual.server, { savedSession }).connect();
    assertMatch(pair.client.cipher!.name, /^TLS_ECDHE_RSA_/, what);
    assertEquals([pair.client.sessionReused, pair.server.sessionReused], [false, false], what);
    using next = new EnginePair(usual.client, usual.server, { savedSession: pair.client.session()! })
      .connect();
    assertEquals([next.client.sessionReused, next.server.sessionReused], [true, true], what);
  }
});

Deno.test("psk: a certificate's name is checked even so where ciphers names a suite with certificates", () => {
  for (const name of ["TLS_RSA_PSK_WITH_AES_128_GCM_SHA256", "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256"]) {
    using config = new TLSConfig(clientOptions({ ...PSK, ciphers: [name] }), core);
    const make = () => new TLSEngine(config)[Symbol.dispose]();
    assertThrows(make, TypeError, "Cannot check the server: CERT_REQUIRED needs serverHostname");
  }
  using config = new TLSConfig(clientOptions({ ...PSK, ciphers: ["TLS_PSK_WITH_AES_128_CCM_8"] }), core);
  new TLSEngine(config)[Symbol.dispose]();
});

// ---- The keys of old devices --------------------------------------------------------------------------------

Deno.test("minRsaBits: 1024 lets an old key in, 3072 keeps 2048 bits out, and both only where they are set", () => {
  for (
    const [key, minRsaBits, isGood] of [
      ["rsa1024", undefined, false],
      ["rsa1024", 2048, false],
      ["rsa1024", 1024, true],
      ["rsa", undefined, true],
      ["rsa", 3072, false],
    ] as const
  ) {
    const mine = minRsaBits === undefined ? {} : { minRsaBits };
    using both = configs(core, {}, mine, { credential: credential(key) });
    using pair = new EnginePair(both.client, both.server).run();
    assertEquals(pair.errors.client === undefined, isGood, `${key} ${minRsaBits}`);
    if (!isGood) assertStringIncludes(pair.errors.client!.message, "unacceptable key");
  }
});

Deno.test("minRsaBits: a session of a short key is not resumed by a config that refuses the key", () => {
  using both = configs(core, {}, { minRsaBits: 1024 }, { credential: credential("rsa1024") });
  using usual = new TLSConfig(clientOptions(), core);
  using first = new EnginePair(both.client, both.server).connect();
  const savedSession = first.client.session()!;
  using again = new EnginePair(both.client, both.server, { savedSession }).connect();
  assertEquals(again.client.sessionReused, true);
  using strict = new EnginePair(usual, both.server, { savedSession }).run();
  assertStringIncludes(strict.errors.client!.message, "unacceptable key");
});

Deno.test("minRsaBits: what is no number of bits from 1024 to 8192 is a RangeError", () => {
  for (const minRsaBits of [512, 1023, 1024.5, 8193, NaN, "2048" as unknown as number]) {
    const make = () => new TLSConfig(clientOptions({ minRsaBits }), core);
    assertThrows(make, RangeError, `Cannot use minRsaBits: expected 1024 to 8192, got ${minRsaBits}`);
  }
});

// ---- What their key exchanges must not give away --------------------------------------------------------------

const CLIENT_KEY_EXCHANGE = 16; // a HandshakeType
const MESSAGE_HEADER = 4; // bytes

/** Changes the client's key exchange on its way. */
function changeKeyExchange(change: (message: Bytes) => void): Delivery {
  return ({ from, bytes }) => {
    if (from !== "client") return [bytes];
    const records = recordsOf(bytes.slice());
    for (const one of records) {
      if (one[0] === TYPE.handshake && one[5] === CLIENT_KEY_EXCHANGE) change(one.subarray(5));
    }
    return [concat(records)];
  };
}

Deno.test("ciphers: RSA key exchange: whatever is wrong with the secret, the server goes on and fails alike (RFC 5246 7.4.7.1)", async () => {
  const options = { sslVersion: TLSVersion.TLSv1_2, ciphers: ["TLS_RSA_WITH_AES_128_GCM_SHA256"] };
  using both = configs(core, options, {}, { credential: credential("rsa") });
  const at = MESSAGE_HEADER + 2; // the length of the encrypted secret
  const changes: Record<string, (message: Bytes) => void> = {
    "first byte": (message) => message[at]! ^= 1,
    "last byte": (message) => message[message.length - 1]! ^= 1,
    "zeros": (message) => message.fill(0, at),
    "one": (message) => message.fill(0, at).fill(1, message.length - 1),
    "above the modulus": (message) => message.fill(255, at),
  };
  const encrypt = await encrypter();
  for (const [what, make] of Object.entries(BLOCKS)) {
    changes[what] = (message) => message.set(encrypt(make), at);
  }
  const seen = new Set<string>();
  for (const [what, change] of Object.entries(changes)) {
    let changed = 0;
    const deliver = changeKeyExchange((message) => (change(message), changed++));
    using pair = new EnginePair(both.client, both.server, { deliver }).run();
    assertEquals(changed, 1, what);
    const { server, client } = pair.errors;
    seen.add([server?.reason, client?.alert?.name, pair.wire.map(({ bytes }) => bytes.length)].join());
  }
  assertEquals(seen.size, 1, [...seen].join("\n"));
  assertMatch([...seen][0]!, /^MBEDTLS_ERR_SSL_INVALID_MAC,bad_record_mac,/);
});

Deno.test("ciphers: static ECDH: a point off the curve never meets the key", () => {
  for (const name of ["TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]) {
    const server = { ...endsOf("TLS_ECDH_ECDSA").server };
    using both = configs(core, { ciphers: [name] }, { groups: ["secp256r1"] }, server);
    for (const at of [1, 40, 65]) {
      const deliver = changeKeyExchange((message) => {
        assertEquals([message.length, message[4], message[5]], [4 + 66, 65, 4]);
        message[MESSAGE_HEADER + at]! ^= at === 1 ? 6 : 1; // the form of the point, x, y
      });
      using pair = new EnginePair(both.client, both.server, { deliver }).run();
      assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_DECODE_ERROR", `${name} ${at}`);
      assertEquals(pair.errors.client?.alert?.name, "decode_error");
    }
  }
});
