/**
 * The NIST curves in their textbook form, on bigint: slow, and nothing to do with mbedTLS.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import type { Curve } from "./asymmetric.ts";
import { invert, power, toBytes, toNumber } from "./numbers.ts";

/** y^2 = x^3 - 3x + b over the field of p, with a generator of order n (SP 800-186 section 3.2.1). */
export interface CurveParameters {
  p: bigint;
  b: bigint;
  n: bigint;
  g: Point;
  /** Bytes of a coordinate. */
  size: number;
}

/** A point with its coordinates; undefined is the one at infinity. */
export type Point = { x: bigint; y: bigint } | undefined;

/** The curves that have this form. */
export type NistCurve = Exclude<Curve, "X25519">;

/** Their parameters. */
export const PARAMETERS: Readonly<Record<NistCurve, CurveParameters>> = {
  "P-256": {
    size: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    g: {
      x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
      y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
    },
  },
  "P-384": {
    size: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    g: {
      x: 0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
      y: 0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
    },
  },
  "P-521": {
    size: 66,
    p: 2n ** 521n - 1n,
    b: BigInt(
      "0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf" +
        "073573df883d2c34f1ef451fd46b503f00",
    ),
    n: BigInt(
      "0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5" +
        "d03bb5c9b8899c47aebb6fb71e91386409",
    ),
    g: {
      x: BigInt(
        "0xc6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8d" +
          "e3348b3c1856a429bf97e7e31c2e5bd66",
      ),
      y: BigInt(
        "0x11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0" +
          "761353c7086a272c24088be94769fd16650",
      ),
    },
  },
};

/** P + Q, by the formulas of SP 800-186 appendix A.1.1. */
export function add({ p }: CurveParameters, P: Point, Q: Point): Point {
  if (P === undefined) return Q;
  if (Q === undefined) return P;
  if (P.x === Q.x && (P.y + Q.y) % p === 0n) return undefined;
  const slope = P.x === Q.x
    ? (3n * P.x * P.x - 3n) * invert(2n * P.y, p)
    : (Q.y - P.y) * invert((Q.x - P.x + p) % p, p);
  const x = mod(slope * slope - P.x - Q.x, p);
  return { x, y: mod(slope * (P.x - x) - P.y, p) };
}

/** k P, by doubling and adding. */
export function multiple(curve: CurveParameters, k: bigint, P: Point): Point {
  let result: Point;
  for (let double = P; k > 0n; k >>= 1n, double = add(curve, double, double)) {
    if (k & 1n) result = add(curve, result, double);
  }
  return result;
}

/** -P. */
export function negative({ p }: CurveParameters, P: Point): Point {
  return P && { x: P.x, y: (p - P.y) % p };
}

/** A point with this x, if there is one. */
export function lift({ p, b }: CurveParameters, x: bigint): Point {
  const square = mod(x * x * x - 3n * x + b, p);
  const y = power(square, (p + 1n) / 4n, p); // all three p are 3 mod 4
  return y * y % p === square ? { x, y } : undefined;
}

/** SEC 1 section 2.3.3, uncompressed. */
export function encode({ size }: CurveParameters, P: Point): Bytes {
  if (P === undefined) return Uint8Array.of(0);
  return Uint8Array.of(4, ...toBytes(P.x, size), ...toBytes(P.y, size));
}

/** The other way round, of a point that is not at infinity. */
export function decode({ size }: CurveParameters, bytes: Uint8Array): Point {
  return { x: toNumber(bytes.subarray(1, 1 + size)), y: toNumber(bytes.subarray(1 + size)) };
}

function mod(a: bigint, p: bigint): bigint {
  const rest = a % p;
  return rest < 0n ? rest + p : rest;
}
