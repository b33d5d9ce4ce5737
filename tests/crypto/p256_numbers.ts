/**
 * P-256 in numbers (SP 800-186): its field, its group, its points as bytes.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { power, toBytes } from "./numbers.ts";

/** The field's prime. */
export const P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
/** The group's order. */
export const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** A y for this x, if the curve has one. */
export function rootOf(x: bigint): bigint | undefined {
  const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
  const square = ((x ** 3n - 3n * x + b) % P + P) % P;
  const y = power(square, (P + 1n) / 4n, P);
  return y * y % P === square ? y : undefined;
}

/** Modulo n, not negative. */
export function modN(a: bigint): bigint {
  return (a % N + N) % N;
}

/** A point, or what looks like one: 04 x y. */
export function uncompressed(x: bigint, y: bigint): Bytes {
  return Uint8Array.of(4, ...bytes(x), ...bytes(y));
}

/** Modulo 2^256, big-endian. */
export function bytes(a: bigint): Bytes {
  return toBytes(BigInt.asUintN(256, a), 32);
}
