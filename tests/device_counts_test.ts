// What a device's core counts, against the figures that were counted for mbedTLS 3.6.4 on their own.
import { assert, assertEquals } from "@std/assert";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import type { Counts } from "../lib/counts.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import { applyProfile } from "../lib/profile.ts";
import {
  clientOptions,
  credential,
  EnginePair,
  FixedClock,
  fixedCore,
  randomFrom,
  serverOptions,
} from "./pair.ts";

/**
 * Multiplications of big numbers with ECP_WINDOW_SIZE 4 and without fixed points, 32-bit limbs. Releases differ by less than
 * half a percent: 3.6.7 makes 2905 of the first, in a native build too (bench/device.ts).
 */
const COSTS = {
  "P-256": { multiply: 2910, sign: 2912, verify: 5817 },
  "P-384": { multiply: 4279, sign: 4281, verify: 8551 },
};

async function device(): Promise<Core> {
  return await newEsp32Core({ now: new FixedClock().now, random: randomFrom(1) });
}

/** A handshake of a device with another core: what was counted for it. */
async function countHandshake(
  end: "client" | "server",
  options: { client?: TLSConfigOptions; server?: TLSConfigOptions } = {},
  core?: Core,
): Promise<Counts> {
  core ??= await device();
  const given = { client: clientOptions(options.client), server: serverOptions(options.server) };
  const { policy } = await applyProfile("esp32", given[end]);
  const other = end === "client" ? "server" : "client";
  using mine = new TLSConfig(policy, core);
  using theirs = new TLSConfig(given[other], fixedCore(2));
  using pair = new EnginePair(...(end === "client" ? [mine, theirs] as const : [theirs, mine] as const));
  pair.connect();
  assertEquals(pair[other].device, undefined);
  return pair[end].device!.counts;
}

function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) <= expected / 200, `${actual} is not ${expected} within 0.5 %`);
}

for (const [curve, group, key] of [["P-256", "secp256r1", "ec"], ["P-384", "secp384r1", "p384"]] as const) {
  const { multiply, sign, verify } = COSTS[curve];
  const groups = [group];

  Deno.test(`counts: a device's server with ECDSA makes a key pair, a secret and a signature on ${curve}`, async () => {
    const { operations, bigNumberMultiplications } = await countHandshake("server", {
      server: { groups, credential: credential(key) },
    });
    assertEquals(operations, { [`${curve} multiply`]: 2, [`${curve} sign`]: 1 });
    assertNear(bigNumberMultiplications, 2 * multiply + sign);
  });

  Deno.test(`counts: a device's client that checks nothing verifies one signature on ${curve}`, async () => {
    const { operations, bigNumberMultiplications } = await countHandshake("client", {
      client: { groups },
      server: { credential: credential(key) },
    });
    assertEquals(operations, { [`${curve} multiply`]: 2, [`${curve} verify`]: 1 });
    assertNear(bigNumberMultiplications, 2 * multiply + verify);
  });
}

Deno.test("counts: a device's client that checks the chain verifies each certificate, too", async () => {
  const { operations } = await countHandshake("client", { client: { certReqs: 2 } });
  assertEquals(operations, { "P-256 multiply": 2, "P-256 verify": 2 });
});

Deno.test("counts: a device's RSA, and the first operation of a key apart", async () => {
  const core = await device();
  const { policy } = await applyProfile("esp32", serverOptions({ credential: credential("rsa") }));
  using server = new TLSConfig(policy, core);
  const count = (options: TLSConfigOptions) => {
    using client = new TLSConfig(clientOptions(options), fixedCore(2));
    using pair = new EnginePair(client, server);
    return pair.connect().server.cost().handshake.operations;
  };
  const exchange = { "P-256 multiply": 2, "RSA-2048 public": 1 };
  assertEquals(count({}), { ...exchange, "RSA-2048 private cold": 1 });
  assertEquals(count({}), { ...exchange, "RSA-2048 private warm": 1 });
  const decryption = { sslVersion: 0x0303, ciphers: ["TLS_RSA_WITH_AES_128_GCM_SHA256"] } as const;
  assertEquals(count(decryption), { "RSA-2048 private warm": 1 });

  const { operations } = await countHandshake("client", { server: { credential: credential("rsa") } });
  assertEquals(operations, exchange);
});

Deno.test("counts: a device's bytes of data, through each cipher and the hash of its HMAC", async () => {
  const core = await device();
  const { policy } = await applyProfile("esp32", serverOptions());
  using server = new TLSConfig(policy, core);
  const bulkOf = (name: string) => {
    const ciphers = [`TLS_ECDHE_ECDSA_WITH_${name}`];
    const options = clientOptions({ sslVersion: 0x0303, ciphers });
    using client = new TLSConfig(options, fixedCore(2));
    using pair = new EnginePair(client, server);
    pair.connect();
    const { handshake } = pair.server.cost();
    pair.send("client", new Uint8Array(4096));
    const before = { ...handshake.bulk };
    return Object.fromEntries(
      Object.entries(pair.server.cost().total.bulk!).map(([kind, bytes]) => [
        kind,
        bytes - (before[kind as keyof typeof before] ?? 0),
      ]).filter(([, bytes]) => bytes !== 0),
    );
  };
  assertEquals(bulkOf("AES_128_GCM_SHA256"), { "AES-GCM": 4096 });
  assertEquals(bulkOf("AES_128_CCM"), { "AES-CCM": 4096 });
  // A whole block of padding. What is hashed: sequence number, header, IV and ciphertext (RFC 7366), and HMAC's two blocks and
  // the hash between them, of which one block was hashed when the key was set.
  const { "AES-CBC": encrypted, "SHA-256": hashed, ...others } = bulkOf("AES_128_CBC_SHA256");
  assertEquals([encrypted, hashed, others], [4096 + 16, 8 + 5 + 16 + 4096 + 16 + 64 + 64 + 32, {}]);
});

Deno.test("counts: each connection of a device has its own", async () => {
  const core = await device();
  const first = await countHandshake("server", {}, core);
  const second = await countHandshake("server", {}, core);
  assertEquals(second.operations, first.operations);
  assert(second.allocations > 1000 && second.allocatedBytes > 16717 + 4429);
});
