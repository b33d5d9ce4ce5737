/** What a connection costs its two ends: operations by what each handshake consists of, bytes by what is on the wire, the heap by the core's. */
import { assert, assertEquals } from "@std/assert";
import { createCertificate } from "../mod.ts";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import type { Bulk, Operation } from "../lib/cost/cost.ts";
import { TLSConfig } from "../lib/config.ts";
import { Core } from "../lib/core.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import { earlyConfigs, EarlyPair, sessionFor } from "./early.ts";
import {
  clientOptions,
  configs,
  credential,
  type End,
  ENDS,
  EnginePair,
  FixedClock,
  fixedCore,
  randomFrom,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { recordsOf } from "./records.ts";

const core = fixedCore();
const [[, TLS12], [, TLS13]] = VERSIONS;
type Operations = Partial<Record<Operation, number>>;

interface Scenario {
  readonly both?: TLSConfigOptions;
  readonly client?: TLSConfigOptions;
  readonly server?: TLSConfigOptions;
  readonly resumed?: boolean;
}

/** A pair after a handshake that is measured; `resumed`: an earlier one was not. */
function measured({ both, client, server, resumed = false }: Scenario, its = core): EnginePair {
  using config = configs(its, { measure: true, ...both }, client, server);
  using first = resumed ? new EnginePair(config.client, config.server).connect() : undefined;
  const savedSession = first?.client.session();
  const pair = new EnginePair(config.client, config.server, savedSession && { savedSession }).connect();
  assertEquals(pair.client.sessionReused, resumed);
  for (const end of ENDS) assertEquals(pair[end].cost().handshake.resumed, resumed);
  return pair;
}

function assertOperations(pair: EnginePair, client: Operations, server: Operations): void {
  const found = ENDS.map((end) => pair[end].cost().handshake.operations);
  assertEquals(found, [client, server]);
}

const GROUP = { groups: ["secp256r1", "secp384r1"] };
const MUTUAL: Scenario = {
  both: GROUP,
  client: { credential: credential("client") },
  server: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
};
const PSK = { psk: { identity: "device", key: new Uint8Array(32).fill(7) } };
const exchange = { "P-256 multiply": 2 } as const; // a key pair is one, the secret the other

/** Name, version, scenario; what the client does; what the server does. The client checks the leaf, which a root has signed. */
const SCENARIOS: [string, TLSConfigOptions["sslVersion"], Scenario, Operations, Operations][] = [
  ...VERSIONS.flatMap(([, version]): typeof SCENARIOS => [
    ["P-256, full", version, { both: GROUP }, { ...exchange, "P-256 verify": 2 }, {
      ...exchange,
      "P-256 sign": 1,
    }],
    [
      "P-384, full",
      version,
      { both: { groups: ["secp384r1"] }, server: { credential: credential("p384") } },
      {
        ...{ "P-384 multiply": 2, "P-384 verify": 1 },
        "P-256 verify": 1,
      },
      { "P-384 multiply": 2, "P-384 sign": 1 },
    ],
    [
      "P-521, full",
      version,
      {
        both: { groups: ["secp521r1"] },
        server: { credential: credential("p521") },
      },
      { "P-521 multiply": 2, "P-521 verify": 1, "P-256 verify": 1 },
      {
        ...{ "P-521 multiply": 2, "P-521 sign": 1 },
      },
    ],
    ["P-256 over X25519, full", version, { both: { groups: ["x25519", "secp256r1"] } }, {
      ...{ "X25519 multiply": 2, "P-256 verify": 2 },
    }, { "X25519 multiply": 2, "P-256 sign": 1 }],
    ["mutual", version, MUTUAL, { ...exchange, "P-256 verify": 2, "P-256 sign": 1 }, {
      ...{ ...exchange, "P-256 verify": 2, "P-256 sign": 1 },
    }],
  ]),
  // A signature of PKCS #1 v1.5 is checked by who makes it; one of PSS, TLS 1.3's, is not.
  ["RSA-2048, full", TLS12, { both: GROUP, server: { credential: credential("rsa") } }, {
    ...{ ...exchange, "RSA-2048 public": 2 },
  }, { ...exchange, "RSA-2048 private cold": 1, "RSA-2048 public": 1 }],
  ["RSA-2048, full", TLS13, { both: GROUP, server: { credential: credential("rsa") } }, {
    ...{ ...exchange, "RSA-2048 public": 2 },
  }, { ...exchange, "RSA-2048 private cold": 1 }],
  [
    "RSA key exchange",
    TLS12,
    {
      both: { ciphers: ["TLS_RSA_WITH_AES_128_GCM_SHA256"] },
      server: { credential: credential("rsa") },
    },
    { "RSA-2048 public": 2 },
    { "RSA-2048 private cold": 1 },
  ],
  [
    "static ECDH",
    TLS12,
    {
      both: { ...GROUP, ciphers: ["TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256"] },
      server: { credential: credential("ecdh") },
    },
    { ...exchange, "P-256 verify": 1 },
    { "P-256 multiply": 1 },
  ],
  ["ticket", TLS12, { both: GROUP, resumed: true }, {}, {}],
  ["session id", TLS12, { both: { ...GROUP, tickets: false }, resumed: true }, {}, {}],
  ["ticket", TLS13, { both: GROUP, resumed: true }, exchange, exchange],
  ["PSK", TLS12, { both: { ...GROUP, ...PSK, ciphers: ["TLS_PSK_WITH_AES_128_GCM_SHA256"] } }, {}, {}],
  [
    "ECDHE-PSK",
    TLS12,
    {
      both: { ...GROUP, ...PSK, ciphers: ["TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256"] },
    },
    exchange,
    exchange,
  ],
  ["PSK", TLS13, { both: { ...GROUP, ...PSK } }, exchange, exchange],
  [
    "HelloRetryRequest",
    TLS13,
    {
      client: { groups: ["secp256r1", "x25519"] },
      server: { groups: ["x25519"] },
    },
    { "P-256 multiply": 1, "X25519 multiply": 2, "P-256 verify": 2 },
    {
      ...{ "X25519 multiply": 2, "P-256 sign": 1 },
    },
  ],
];

for (const [name, sslVersion, scenario, client, server] of SCENARIOS) {
  const version = sslVersion === TLS12 ? "TLSv1.2" : "TLSv1.3";
  Deno.test(`cost: operations of a handshake: ${name} (${version})`, () => {
    using pair = measured({ ...scenario, both: { sslVersion: sslVersion!, ...scenario.both } });
    assertOperations(pair, client, server);
  });
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`cost: operations with keys of RSA-3072 and RSA-4096 (${version})`, () => {
    for (const keyType of ["RSA-3072", "RSA-4096"] as const) {
      const { certificate, key } = createCertificate({
        subject: "CN=localhost",
        hosts: ["localhost"],
        keyType,
        days: 3650,
      });
      const own = {
        chain: { name: "certificate", bytes: encodeText(`${certificate}\0`) },
        key: { name: "key", bytes: encodeText(`${key}\0`) },
      };
      // Trusted as it is: its own signature says nothing, and is not checked.
      using pair = measured({
        both: { sslVersion, ...GROUP },
        client: { trust: [own.chain] },
        server: { credential: own },
      });
      const check = sslVersion === TLS12 ? { [`${keyType} public`]: 1 } : {};
      assertOperations(pair, { ...exchange, [`${keyType} public`]: 1 }, {
        ...{ ...exchange, [`${keyType} private cold`]: 1, ...check },
      });
    }
  });

  Deno.test(`cost: the second private operation of an RSA key is warm, whoever was measured (${version})`, () => {
    using both = configs(core, { sslVersion, ...GROUP }, {}, { credential: credential("rsa") });
    using _ = new EnginePair(both.client, both.server).connect();
    const again = {
      ...serverOptions({ sslVersion, ...GROUP, measure: true }),
      credential: credential("rsa"),
    };
    using server = new TLSConfig(again, core);
    const works = [1, 2].map(() => {
      using pair = new EnginePair(both.client, server).connect();
      return pair.server.cost().handshake.operations!;
    });
    assertEquals(works.map((each) => [each["RSA-2048 private cold"], each["RSA-2048 private warm"]]), [
      [1, undefined],
      [undefined, 1],
    ]);
  });

  Deno.test(`cost: a key that is elsewhere costs nothing here (${version})`, () => {
    const chain = source("ec.pem");
    // Refused: the signature is none; but it is asked for, and what the server did until then is counted.
    const sign = () => new Uint8Array(70);
    using config = configs(core, { sslVersion, measure: true, ...GROUP }, {}, {
      credential: { chain, sign },
    });
    using pair = new EnginePair(config.client, config.server);
    pair.run();
    assert(pair.errors.client !== undefined);
    const { operations, network } = pair.client.cost().handshake;
    assertEquals([operations!["P-256 verify"], network.complete], [2, false]);
    assertEquals(pair.server.cost().handshake.operations!["P-256 sign"], undefined);
  });
}

Deno.test("cost: operations of a handshake with early data, whose bytes are counted (TLSv1.3)", () => {
  const early = encodeText("early".repeat(100));
  using both = earlyConfigs(core, { measure: true, ...GROUP }, { measure: true, ...GROUP });
  using pair = new EarlyPair(both.client, both.server, {
    savedSession: sessionFor(both.client, both.server),
    earlyData: early,
  });
  pair.connect();
  assert(pair.client.earlyDataAccepted && pair.inTime.length === early.length);
  for (const end of ENDS) {
    const { handshake } = pair[end].cost();
    assertEquals([handshake.resumed, handshake.operations], [true, exchange]);
    assertEquals([handshake.network.rest.up.dataBytes, handshake.network.up.dataBytes], [early.length, 0]);
  }
});

Deno.test("cost: the core for engines without relaxed SIMD counts the same", async () => {
  const bytes = await Deno.readFile(new URL("../wasm/dist/core.simd.wasm", import.meta.url));
  const { now } = new FixedClock();
  const plain = new Core({ now, random: randomFrom(1), module: await WebAssembly.compile(bytes) });
  for (const [, sslVersion] of VERSIONS) {
    for (const key of ["ec", "rsa", "p384"]) {
      const scenario = {
        both: { sslVersion, groups: ["secp384r1", "secp256r1"] },
        server: { credential: credential(key) },
      };
      const [one, other] = [measured(scenario, fixedCore(1)), measured(scenario, plain)].map((pair) =>
        ENDS.map((end) => {
          pair.send(end, new Uint8Array(1000));
          const { operations, bulk } = pair[end].cost().total;
          return { operations, bulk: { ...bulk, "SHA-512": 0, "SHA-256": 0 } }; // DER's lengths, RFC 6979's tries
        })
      );
      assertEquals(one, other);
    }
  }
});

// ---- Bytes --------------------------------------------------------------------------------------------

/** Suite, version, the cipher as it is counted, and what a record has besides the text that goes through it. */
const SUITES: [string, TLSConfigOptions["sslVersion"], Bulk, number][] = [
  ["TLS_AES_128_GCM_SHA256", TLS13, "AES-GCM", 16],
  ["TLS_AES_256_GCM_SHA384", TLS13, "AES-GCM", 16],
  ["TLS_AES_128_CCM_SHA256", TLS13, "AES-CCM", 16],
  ["TLS_AES_128_CCM_8_SHA256", TLS13, "AES-CCM", 8],
  ["TLS_CHACHA20_POLY1305_SHA256", TLS13, "ChaCha20-Poly1305", 16],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS12, "AES-GCM", 8 + 16],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_CCM", TLS12, "AES-CCM", 8 + 16],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", TLS12, "AES-CCM", 8 + 8],
  ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS12, "ChaCha20-Poly1305", 16],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", TLS12, "AES-CBC", 16 + 32],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", TLS12, "AES-CBC", 16 + 20],
];

for (const [suite, sslVersion, cipher, besides] of SUITES) {
  Deno.test(`cost: all records of a connection go through its cipher, at both ends: ${suite}`, () => {
    using pair = measured({ both: { sslVersion: sslVersion!, ciphers: [suite], tickets: false } });
    pair.send("client", new Uint8Array(5000));
    pair.send("server", new Uint8Array(40_000));
    pair.close();
    const through = ENDS.flatMap((end) => {
      const records = recordsOf(pair.flight(end));
      const changed = records.findIndex(([type]) => type === 20);
      const isEncrypted = ([type]: Bytes, i: number) => sslVersion === TLS13 ? type === 23 : i > changed;
      return records.filter(isEncrypted).map(({ length }) => length - 5 - besides);
    });
    for (const end of ENDS) {
      const { total, handshake } = pair[end].cost();
      const { [cipher]: bytes, "SHA-1": sha1 = 0, "SHA-256": _, "SHA-512": __, ...others } = total.bulk!;
      assertEquals([bytes, others], [through.reduce((sum, each) => sum + each, 0), {}]);
      assertEquals(sha1 > 45_000, suite.endsWith("_SHA"));
      assert(handshake.bulk![cipher]! < bytes!);
    }
  });
}

Deno.test("cost: HMAC is counted as its hash: what it hashes of each record, and its own blocks (TLSv1.2)", () => {
  const ciphers = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"];
  using pair = measured({ both: { sslVersion: TLS12, ciphers } });
  const hashes = () => ENDS.map((end) => pair[end].cost().total.bulk!["SHA-256"]!);
  const before = hashes();
  pair.send("client", new Uint8Array(1000));
  // Sequence number, header, IV, ciphertext with its padding (RFC 7366); the key's two blocks and the inner hash (RFC 2104).
  const bytes = 8 + 5 + 16 + 1008 + 64 + 64 + 32;
  assertEquals(hashes().map((after, i) => after - before[i]!), [bytes, bytes]);
});

Deno.test("cost: a server seals its tickets with AES-GCM, whatever the suite", () => {
  const ciphers = ["TLS_CHACHA20_POLY1305_SHA256"];
  using pair = measured({ both: { sslVersion: TLS13, ciphers } });
  const { ticketBytes } = pair.server.cost().handshake.network.rest.down;
  const { "AES-GCM": sealed } = pair.server.cost().handshake.bulk!;
  assert(sealed! > 100 && sealed! < ticketBytes);
  assertEquals(pair.client.cost().total.bulk!["AES-GCM"], undefined);
});

// ---- What is fixed, and what goes on -------------------------------------------------------------------

Deno.test("cost: KeyUpdate and data leave the handshake's cost as it is (TLSv1.3)", () => {
  using pair = measured({ both: { sslVersion: TLS13 } });
  const before = ENDS.map((end) => pair[end].cost().handshake);
  pair.client.updateKey(true);
  pair.send("client", new Uint8Array(100));
  ENDS.forEach((end, i) => {
    const { handshake: { network, ...work }, total } = pair[end].cost();
    const { network: networkBefore, ...workBefore } = before[i]!;
    assertEquals([work, { ...network, rest: 0 }], [workBefore, { ...networkBefore, rest: 0 }]);
    assert(total.bulk!["SHA-256"]! > work.bulk!["SHA-256"]!);
  });
});

Deno.test("cost: who is not measured is not counted, and does not disturb who is", () => {
  using plain = configs(core);
  const lone = measured({});
  const expected = ENDS.map((end) => lone[end].cost().handshake.operations);
  using both = configs(core, { measure: true });
  using other = new EnginePair(plain.client, plain.server);
  using pair = new EnginePair(both.client, both.server);
  other.run();
  pair.run();
  other.send("client", new Uint8Array(10_000));
  assertEquals(ENDS.map((end) => pair[end].cost().handshake.operations), expected);
  assert(pair.client.cost().total.bulk!["SHA-256"]! < 10_000);
});

// ---- Heap ---------------------------------------------------------------------------------------------

for (const [version, sslVersion] of VERSIONS) {
  for (const key of ["ec", "p384", "rsa"]) {
    Deno.test(`cost: the heap is what the core's heap says, at both ends: ${key} (${version})`, () => {
      const cores = { client: fixedCore(1), server: fixedCore(2) };
      const options = { sslVersion, measure: true, groups: ["secp384r1", "secp256r1"] };
      using client = new TLSConfig(clientOptions(options), cores.client);
      using server = new TLSConfig(serverOptions({ ...options, credential: credential(key) }), cores.server);
      const before = ENDS.map((end) => cores[end].allocated);
      using pair = new EnginePair(client, server);
      const outside = ENDS.map((end, i) => cores[end].allocated - before[i]! - liveOf(pair, end));
      assert(outside.every((bytes) => bytes > 500 && bytes < 4000), `${outside}: the glue's own`);
      pair.connect();
      const agree = () =>
        assertEquals(
          ENDS.map((end) => liveOf(pair, end)),
          ENDS.map((end, i) => cores[end].allocated - before[i]! - outside[i]!),
        );
      agree();
      ENDS.forEach((end, i) => {
        const { heap } = pair[end].cost().handshake;
        assertEquals(heap!.peak, cores[end].call.core_peak() - before[i]! - outside[i]!);
        assertEquals(heap!.peak, Math.max(...Object.values(heap!.phases!)));
        if (end === "server") assertEquals(heap!.live, liveOf(pair, end)); // a client has got tickets since
        assert(heap!.phases!.setup! >= 2 * 16384 && heap!.allocatedBytes! > heap!.peak);
        assert(Object.keys(heap!.phases!).length > 4);
      });
      pair.send("server", new Uint8Array(100_000));
      agree();
      pair.close();
      agree();
    });
  }

  Deno.test(`cost: of measured connections, each idle one has what it has not lent; all that is freed is freed (${version})`, () => {
    const own = fixedCore();
    using both = configs(own, { sslVersion, measure: true, sessionCacheSize: 2, tickets: false });
    new EnginePair(both.client, both.server).connect()[Symbol.dispose](); // what stays from the first on
    const start = own.allocated;
    const pairs = Array.from({ length: 5 }, () => new EnginePair(both.client, both.server).connect());
    const lives = () => pairs.flatMap((pair) => ENDS.map((end) => liveOf(pair, end)));
    for (let i = 0; i < 20; i++) pairs[i % 5]!.send(i % 2 ? "client" : "server", new Uint8Array(50));
    assertEquals(lives().filter((bytes) => bytes > 32_000).length, 1, "one has the buffers");
    const all = lives().reduce((sum, each) => sum + each, 0);
    assert(all < own.allocated - start && all > 32_000);
    for (const pair of pairs) pair[Symbol.dispose]();
    assert(Math.abs(own.allocated - start) < 3000, "but for sessions in the cache");
  });
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`cost: buffers that nobody has to lend, and a session that is offered, are the connection's (${version})`, () => {
    const own = fixedCore();
    using both = configs(own, { sslVersion, measure: true });
    using pair = new EnginePair(both.client, both.server).connect();
    const other = new EnginePair(both.client, both.server).connect();
    other.send("client", new Uint8Array(5)); // the last to rest has the buffers, and takes them with it
    const savedSession = other.client.session()!;
    other[Symbol.dispose]();
    const before = [own.allocated, liveOf(pair, "client")] as const;
    pair.client.write(new Uint8Array(5));
    assert(own.allocated - before[0] > 32_768);
    assertEquals(liveOf(pair, "client") - before[1], own.allocated - before[0]);

    const start = own.allocated;
    using first = new EnginePair(both.client, both.server);
    const without = own.allocated - start;
    using second = new EnginePair(both.client, both.server, { savedSession });
    const session = own.allocated - start - 2 * without;
    assert(session > 100);
    assertEquals(liveOf(second, "client") - liveOf(first, "client"), session);
  });
}

function liveOf(pair: EnginePair, end: End): number {
  return pair[end].cost().total.heap!.live;
}
