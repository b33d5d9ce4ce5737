/**
 * Chains that cost a verifier much: a leaf, and expired authorities of one name, of which mbedTLS tries each.
 *
 * ```sh
 * deno run -A tests/x509/cost.ts
 * ```
 *
 * prints how long a server takes for a stranger's, by kind of key.
 *
 * @module
 */
import { generateKeyPairSync } from "node:crypto";
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import { Core } from "../../lib/core.ts";
import { derToPem } from "../../lib/pem.ts";
import { CERT_NONE, CERT_REQUIRED } from "../../lib/policy.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { credential, EnginePair } from "../pair.ts";
import { type Fields, key, leaf, type Made, root, rsaKey } from "./maker.ts";
import { swapCertificates } from "./verdict.ts";

const PAST = { from: "20200101000000Z", until: "20210101000000Z" };

/** Looks like a signature of P-521. */
const P521_SIGNATURE = concat([
  Uint8Array.of(0x30, 0x81, 0x86, 2, 65),
  new Uint8Array(65).fill(0x55),
  Uint8Array.of(2, 65),
  new Uint8Array(65).fill(0x33),
]);

/** An RSA key that nobody has, of so many bytes, and what looks like a signature by it. */
function rsa(bytes: number, exponent: Bytes): Partial<Fields> {
  const modulus = new Uint8Array(bytes).fill(0xc5);
  return {
    key: key("rsa2048", "twin"),
    spki: rsaKey(modulus, exponent),
    signature: new Uint8Array(bytes).fill(5),
  };
}

function p521(): Partial<Fields> {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-521" });
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  return { key: key("p256", "twin"), spki, signature: P521_SIGNATURE };
}

const F4 = Uint8Array.of(1, 0, 1);
const KINDS: Readonly<Record<string, () => Partial<Fields>>> = {
  "P-256": () => ({ key: key("p256", "twin") }),
  "P-384": () => ({ key: key("p384", "twin") }),
  "P-521": p521,
  "RSA-2048": () => rsa(256, F4),
  "RSA-3072": () => rsa(384, F4),
  "RSA-4096": () => rsa(512, F4),
  "RSA-8192": () => rsa(1024, F4),
  "RSA-8192, exponent of 33 bits": () => rsa(1024, Uint8Array.of(1, 255, 255, 255, 255)),
};

/** The chain: as many authorities as go into a Certificate message, 40 at most. */
export function costly(kind: string, count = 40): Made[] {
  const fields = KINDS[kind]!();
  const { signature, ...own } = fields;
  const chain: Made[] = [];
  let room = 16_000;
  for (let i = 0; i < count; i++) {
    const twin = root({ subject: "CN=twin", ...own, ...PAST, ...(signature && { signature }) });
    if (i === 0) chain.push(leaf(twin, ["dns:a.test"], signature && { signature }));
    room -= twin.der.length + 3;
    if (room > chain[0]!.der.length) chain.push(twin);
  }
  return chain;
}

/** Milliseconds that a server takes for a client with this chain, and how many checks of signatures. */
export function check(
  asks: TLSConfig,
  client: TLSConfig,
  chain: readonly Made[],
): { ms: number; checks: number } {
  const deliver = swapCertificates("client", chain.map(({ der }) => der));
  using pair = new EnginePair(client, asks, { serverHostname: "localhost", deliver });
  const start = performance.now();
  pair.run();
  const ms = performance.now() - start;
  if (pair.errors.server === undefined) throw new Error("Cannot measure: the chain was accepted");
  const operations = Object.entries(pair.server.cost().total.operations ?? {});
  const checks = operations.reduce(
    (sum, [name, n]) => / (verify|public)$/.test(name) ? sum + (n ?? 0) : sum,
    0,
  );
  return { ms, checks };
}

/** A server that asks for certificates, and a client that shows one. */
export function ends(core: Core): { asks: TLSConfig; client: TLSConfig } {
  const sslVersion = TLSVersion.TLSv1_2;
  const trust = [{ name: "trust", bytes: encodeText(derToPem(root().der)) }];
  const own = { credential: credential("ec"), certReqs: CERT_REQUIRED, measure: true } as const;
  return {
    asks: new TLSConfig({ sslVersion, serverSide: true, trust, ...own }, core),
    client: new TLSConfig({ sslVersion, certReqs: CERT_NONE, credential: credential("ec") }, core),
  };
}

/** The kinds of keys. */
export const COSTLY_KINDS: readonly string[] = Object.keys(KINDS);

if (import.meta.main) {
  const { asks, client } = ends(new Core());
  for (const kind of COSTLY_KINDS) {
    const least = (count?: number) => {
      const chain = costly(kind, count);
      const runs = Array.from({ length: 5 }, () => check(asks, client, chain));
      return { ...runs[0]!, ms: Math.min(...runs.map(({ ms }) => ms)) };
    };
    const [one, all] = [least(1), least()];
    console.log(
      `${kind}: ${one.ms.toFixed(1)} ms with ${one.checks} checks, at most ${
        all.ms.toFixed(1)
      } ms with ${all.checks}`,
    );
  }
}
