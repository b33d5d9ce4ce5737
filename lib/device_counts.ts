/** What a device's core counts: the operations of which the time on the device is the sum. */

import type { Core } from "./core.ts";

/** A number for each size of RSA keys: up to 2048, 3072 and 4096 bits, and above. */
export interface BySize {
  readonly "2048": number;
  readonly "3072": number;
  readonly "4096": number;
  readonly larger: number;
}

/** How many operations there were. */
export interface OperationCounts {
  /** Blocks that mbedTLS asked the heap for. */
  readonly allocations: number;
  /** Their bytes. */
  readonly allocatedBytes: number;
  /** Multiplications of two big numbers, of which an operation on a curve consists. */
  readonly bigNumberMultiplications: number;
  /** Bytes through AES: a block of AES-GCM counts once. */
  readonly aesBytes: number;
  /** Bytes through ARIA. */
  readonly ariaBytes: number;
  /** Bytes through SHA-1, that of HMAC, too. */
  readonly sha1Bytes: number;
  /** Through SHA-224 and SHA-256. */
  readonly sha256Bytes: number;
  /** Through SHA-384 and SHA-512. */
  readonly sha512Bytes: number;
  /** Operations with a public key of RSA; the check of each PKCS #1 v1.5 signature that we make is one, too. */
  readonly rsaPublic: BySize;
  /** Signatures and decryptions. */
  readonly rsaPrivate: BySize;
  /** Of those, the first one of a key: it makes the key's blinding values, too, which takes longer than the operation. */
  readonly rsaFirst: BySize;
  /** By curve: points multiplied for ECDHE. A key pair is one, a secret agreed on another one. */
  readonly ecdh: Readonly<Record<string, number>>;
  /** By curve: ECDSA signatures made, each of which multiplies one point. */
  readonly ecdsaSign: Readonly<Record<string, number>>;
  /** By curve: ECDSA signatures checked, each of which multiplies two points. */
  readonly ecdsaVerify: Readonly<Record<string, number>>;
}

const WORDS = 8;
const RSA_SIZES = ["2048", "3072", "4096", "larger"] as const;
/** mbedtls_ecp_group_id. */
const CURVES = [
  ...["unknown", "secp192r1", "secp224r1", "secp256r1", "secp384r1", "secp521r1"],
  ...["brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "x25519"],
  ...["secp192k1", "secp224k1", "secp256k1", "x448"],
];

/** The counts of a connection, or 0: of all; `undefined`: the core is no device's. As `counts` of wasm/device/counts.h. */
export function readCounts(core: Core, handle = 0): OperationCounts | undefined {
  const at = core.device?.core_counts(handle) ?? 0;
  if (at === 0) return undefined;
  const all = [...core.int32s(at, WORDS + 3 * RSA_SIZES.length + 3 * CURVES.length)].map((n) => n >>> 0);
  const words = all.splice(0, WORDS);
  const bySize = () => {
    const counts = all.splice(0, RSA_SIZES.length);
    return Object.fromEntries(RSA_SIZES.map((size, i) => [size, counts[i]!])) as unknown as BySize;
  };
  const byCurve = () => {
    const counts = all.splice(0, CURVES.length).map((count, i): [string, number] => [CURVES[i]!, count]);
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  };
  return {
    allocations: words[0]!,
    allocatedBytes: words[1]!,
    bigNumberMultiplications: words[2]!,
    aesBytes: words[3]!,
    ariaBytes: words[4]!,
    sha1Bytes: words[5]!,
    sha256Bytes: words[6]!,
    sha512Bytes: words[7]!,
    rsaPublic: bySize(),
    rsaPrivate: bySize(),
    rsaFirst: bySize(),
    ecdh: byCurve(),
    ecdsaSign: byCurve(),
    ecdsaVerify: byCurve(),
  };
}
