import { assert, assertEquals, assertThrows } from "@std/assert";
import { CERT_REQUIRED } from "../lib/policy.ts";
import {
  defaultSuites,
  groupIds,
  groupName,
  GROUPS,
  sigalgIds,
  SIGALGS,
  suiteIds,
  suiteOf,
  suitesOf,
  TLSVersion,
  usesSha1,
  versionName,
} from "../lib/suites.ts";
import { configs, credential, EnginePair, fixedCore, source, VERSIONS } from "./pair.ts";

const core = fixedCore();
const DEFAULTS = defaultSuites(core, false).map((id) => suiteOf(core, id)!.name);

Deno.test("suitesOf() lists IANA's names and numbers, each once", () => {
  const suites = suitesOf(core);
  assert(suites.length > 20);
  for (const { id, name } of suites) {
    assert(/^TLS_[A-Z0-9_]+$/.test(name), name);
    assertEquals(suiteIds(core, [name]), [id]);
  }
  for (const key of ["id", "name"] as const) {
    assertEquals(new Set(suites.map((suite) => suite[key])).size, suites.length);
  }
  const known: Record<string, number> = {
    TLS_AES_128_GCM_SHA256: 0x1301,
    TLS_AES_256_GCM_SHA384: 0x1302,
    TLS_CHACHA20_POLY1305_SHA256: 0x1303,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 0xc02b,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 0xc02f,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 0xcca9,
    TLS_RSA_WITH_AES_128_CBC_SHA: 0x002f,
  };
  for (const [name, id] of Object.entries(known)) assertEquals(suiteIds(core, [name]), [id], name);
});

Deno.test("suitesOf() has no suite without encryption, and none of broken ciphers", () => {
  for (const { name } of suitesOf(core)) {
    assert(!/NULL|RC4|_DES|3DES|MD5|EXPORT|anon/i.test(name), name);
  }
});

Deno.test("suiteIds() takes IANA's and mbedTLS's spelling, in the order given", () => {
  const names = [
    "TLS1-3-AES-256-GCM-SHA384",
    "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256",
    "tls_aes_128_gcm_sha256",
  ];
  assertEquals(suiteIds(core, names), [0x1302, 0xc02f, 0x1301]);
  const error = assertThrows(() => suiteIds(core, ["ECDHE-RSA-AES128-GCM-SHA256"]), TypeError);
  assert(error.message.includes("known are TLS_"), error.message);
});

Deno.test("defaultSuites() are forward secret, and AEAD", () => {
  for (const name of DEFAULTS) {
    assert(!name.includes("_WITH_") || /^TLS_ECDHE_(ECDSA|RSA)_WITH_/.test(name), name);
    assert(!/CCM_8/.test(name), `${name} has a short tag`);
    assert(!/_CBC_/.test(name), `${name} is no AEAD`);
  }
  assertEquals(DEFAULTS[0], "TLS_CHACHA20_POLY1305_SHA256");
  const tls13 = DEFAULTS.filter((name) => !name.includes("_WITH_"));
  assertEquals(DEFAULTS.slice(0, tls13.length), tls13, "those of TLS 1.3 come first");
});

Deno.test("defaultSuites() with a pre-shared key never do without it", () => {
  const names = defaultSuites(core, true).map((id) => suiteOf(core, id)!.name);
  for (const name of names) assert(!name.includes("_WITH_") || /^TLS_(ECDHE_)?PSK_WITH_/.test(name), name);
  const firstPlain = names.findIndex((name) => name.startsWith("TLS_PSK_"));
  const lastEphemeral = names.findLastIndex((name) => name.startsWith("TLS_ECDHE_PSK_"));
  assert(lastEphemeral >= 0 && firstPlain > lastEphemeral, names.join());
});

for (const name of DEFAULTS) {
  const [version, sslVersion] = VERSIONS[name.includes("_WITH_") ? 0 : 1];

  Deno.test(`TLSEngine speaks ${name}`, () => {
    const server = { credential: credential(name.includes("_RSA_") ? "rsa" : "ec") };
    using both = configs(core, { sslVersion, ciphers: [name] }, {}, server);
    using pair = new EnginePair(both.client, both.server).connect();
    const bits = /AES_256|CHACHA20/.test(name) ? 256 : 128;
    assertEquals(pair.client.cipher, { name, version, bits });
    assertEquals(pair.server.cipher, pair.client.cipher);
    const data = new Uint8Array(20_000).fill(7);
    assertEquals(pair.send("client", data), data);
    assertEquals(pair.send("server", data), data);
  });
}

for (const group of GROUPS.keys()) {
  Deno.test(`TLSEngine agrees on ${group}`, () => {
    for (const [, sslVersion] of VERSIONS) {
      using both = configs(core, { sslVersion }, { groups: [group, ...GROUPS.keys()] }, { groups: [group] });
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals([pair.client.group, pair.server.group], [group, group]);
    }
  });
}

Deno.test("TLSEngine: a server asks again for the group that it wants (HelloRetryRequest)", () => {
  using both = configs(core, { sslVersion: TLSVersion.TLSv1_3 }, { groups: ["secp256r1", "x25519"] }, {
    groups: ["x25519"],
  });
  using pair = new EnginePair(both.client, both.server).connect();
  assertEquals([pair.client.group, pair.server.group], ["x25519", "x25519"]);
  const session = pair.client.session()!;
  using again = new EnginePair(both.client, both.server, { savedSession: session }).connect();
  assertEquals([again.client.sessionReused, again.server.sessionReused], [true, true]);
});

Deno.test("TLSEngine: nothing in common fails the handshake at both ends", () => {
  for (const [, sslVersion] of VERSIONS) {
    const tls13 = sslVersion === TLSVersion.TLSv1_3;
    const suite = (size: number) =>
      tls13
        ? `TLS_AES_${size}_GCM_SHA${size + 128}`
        : `TLS_ECDHE_ECDSA_WITH_AES_${size}_GCM_SHA${size + 128}`;
    for (
      const [mine, theirs] of [
        [{ ciphers: [suite(128)] }, { ciphers: [suite(256)] }],
        [{ groups: ["secp256r1", "secp384r1"] }, { groups: ["x25519"] }],
      ]
    ) {
      using both = configs(core, { sslVersion }, mine, theirs);
      using pair = new EnginePair(both.client, both.server).run();
      assertEquals(pair.errors.server?.kind, "protocol");
      assertEquals(pair.errors.client?.alert?.name, "handshake_failure");
    }
  }
});

Deno.test("TLSEngine: the client's order of suites decides, or the server's if it says so", () => {
  const [a, b] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"];
  for (const preferClientOrder of [undefined, false, true]) {
    using both = configs(core, { sslVersion: TLSVersion.TLSv1_2 }, { ciphers: [tls12(a!), tls12(b!)] }, {
      ciphers: [tls12(b!), tls12(a!)],
      ...(preferClientOrder !== undefined && { preferClientOrder }),
    });
    using pair = new EnginePair(both.client, both.server).connect();
    assertEquals(pair.client.cipher?.name, tls12(preferClientOrder ?? true ? a! : b!));
  }
});

function tls12(suite: string): string {
  return suite.replace("TLS_", "TLS_ECDHE_ECDSA_WITH_");
}

Deno.test("groupIds() takes IANA's and NIST's names", () => {
  assertEquals(groupIds(["P-256", "prime256v1", "secp256r1", "X25519", "p-384", "P-521"]), [
    23,
    23,
    23,
    29,
    24,
    25,
  ]);
  assertEquals([groupName(29), groupName(0), groupName(9999)], ["x25519", undefined, undefined]);
});

Deno.test("sigalgIds() knows the default schemes, and SHA-1 by name only", () => {
  assertEquals(sigalgIds([...SIGALGS.keys()]), [...SIGALGS.values()]);
  assert(!usesSha1([...SIGALGS.values()]));
  for (const name of ["ecdsa_sha1", "rsa_pkcs1_sha1"]) assert(usesSha1(sigalgIds([name])));
});

for (const name of SIGALGS.keys()) {
  Deno.test(`TLSEngine signs with ${name}`, () => {
    const key = name.startsWith("rsa") ? "rsa" : { 256: "ec", 384: "p384", 521: "p521" }[name.slice(10, 13)]!;
    for (const [version, sslVersion] of VERSIONS) {
      if (name.startsWith("rsa_pkcs1") && version === "TLSv1.3") continue; // RFC 8446 section 4.2.3: certificates only
      if (name.startsWith("rsa_pss") && version === "TLSv1.2") continue; // mbedTLS: TLS 1.3 only
      using both = configs(core, { sslVersion }, {
        sigalgs: [...new Set([name, "ecdsa_secp256r1_sha256", "rsa_pkcs1_sha256"])], // the certificates' own, too
        certReqs: CERT_REQUIRED,
        trust: [source("roots.pem")],
      }, { credential: credential(key), sigalgs: [name] });
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals(pair.client.verifyFlags, 0);
    }
  });
}

Deno.test("versionName() is as CPython and MicroPython print it", () => {
  for (const [name, version] of VERSIONS) assertEquals(versionName(version), name);
});
