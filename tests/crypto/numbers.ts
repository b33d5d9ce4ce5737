/**
 * Numbers as bytes, and RSA keys as DER, without a library: what tests compare the core with should not come from it.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import type { KeyParts } from "./rsa_keys.ts";

/** Bytes of hexadecimal; spaces are for the reader. */
export function hex(text: string): Bytes {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

/** The number that `bytes` are, big-endian. */
export function toNumber(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`);
}

/** A number that is not negative, big-endian, in `size` bytes or as few as it takes. */
export function toBytes(number: bigint, size?: number): Bytes {
  const digits = number.toString(16);
  const length = size ?? Math.ceil(digits.length / 2);
  return Uint8Array.fromHex(digits.padStart(2 * length, "0"));
}

/** a^-1 mod n, of a and n that share no factor. */
export function invert(a: bigint, n: bigint): bigint {
  let [r, s] = [a % n, 1n];
  let [lastR, lastS] = [n, 0n];
  while (r !== 0n) {
    const quotient = lastR / r;
    [lastR, r] = [r, lastR - quotient * r];
    [lastS, s] = [s, lastS - quotient * s];
  }
  return (lastS % n + n) % n;
}

/** a^e mod n. */
export function power(a: bigint, e: bigint, n: bigint): bigint {
  let result = 1n;
  for (let base = a % n; e > 0n; e >>= 1n, base = base * base % n) {
    if (e & 1n) result = result * base % n;
  }
  return result % n;
}

/** The numbers of an RSA key (RFC 8017 section 3.2), with the smallest d (FIPS 186-5 section A.1.1). */
export function rsaNumbers(
  parts: KeyParts,
): Record<"n" | "e" | "d" | "p" | "q" | "dp" | "dq" | "qp", bigint> {
  const [e, p, q] = [parts.e, parts.p, parts.q].map((digits) => BigInt(`0x${digits}`)) as [
    bigint,
    bigint,
    bigint,
  ];
  const d = invert(e, (p - 1n) * (q - 1n) / gcd(p - 1n, q - 1n));
  return { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qp: invert(q, p) };
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b);
}

/** An RSAPrivateKey in DER (RFC 8017 appendix A.1.2). */
export function pkcs1(numbers: ReturnType<typeof rsaNumbers>): Bytes {
  const { n, e, d, p, q, dp, dq, qp } = numbers;
  return der(0x30, [0n, n, e, d, p, q, dp, dq, qp].map(derInteger));
}

/** An RSA key's SubjectPublicKeyInfo in DER (RFC 8017 appendix A.1). */
export function spki({ n, e }: { n: bigint; e: bigint }): Bytes {
  const key = der(0x30, [derInteger(n), derInteger(e)]);
  const rsaEncryption = hex("300d06092a864886f70d0101010500");
  return der(0x30, [rsaEncryption, der(0x03, [Uint8Array.of(0), key])]);
}

function derInteger(number: bigint): Bytes {
  const bytes = toBytes(number);
  return der(0x02, bytes[0]! >= 0x80 ? [Uint8Array.of(0), bytes] : [bytes]);
}

function der(tag: number, parts: readonly Uint8Array[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = toBytes(BigInt(length));
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | size.length, ...size];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  let at = head.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
