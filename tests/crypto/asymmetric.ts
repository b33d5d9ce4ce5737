/**
 * The harness's elliptic curves: multiplication, ECDSA, and ECDH both ways. Numbers and points are bytes as the standards
 * write them; a code is mbedTLS's or PSA's own, negative for failure.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { apply, type Frame, type Harness } from "./harness.ts";
import type { Answer } from "./symmetric.ts";

/** The curves by their IANA numbers in TLS. */
export const CURVES = { "P-256": 23, "P-384": 24, "P-521": 25, "X25519": 29 } as const;
/** A curve. */
export type Curve = keyof typeof CURVES;

/** Bytes of a coordinate and of a scalar. */
export const COORDINATE = { "P-256": 32, "P-384": 48, "P-521": 66, "X25519": 32 } as const;

const POINT_MAX = 133; // bytes: 04 and two coordinates of P-521
const DER_MAX = 141; // bytes: MBEDTLS_ECDSA_MAX_LEN for P-521

/** An answer whose code is the length of the output, or negative. */
function sized(frame: Frame, code: number, at: number): Answer {
  return { code, output: frame.read(at, code) };
}

/** A new key pair; the private key comes from `harness.random`. */
export function keygen(harness: Harness, curve: Curve): Answer & { scalar: Bytes } {
  return harness.frame({}, (frame) => {
    const [scalar, point] = [frame.output(COORDINATE[curve]), frame.output(POINT_MAX)];
    const code = harness.call.ecp_keygen(CURVES[curve], scalar, point);
    return { ...sized(frame, code, point), scalar: frame.read(scalar, COORDINATE[curve]) };
  });
}

/** The public key of a private one. */
export function publicOf(harness: Harness, curve: Curve, scalar: Uint8Array): Answer {
  return harness.frame({}, (frame) => {
    const out = frame.output(POINT_MAX);
    const code = harness.call.ecp_public(CURVES[curve], frame.input(scalar), scalar.length, out);
    return sized(frame, code, out);
  });
}

/** `scalar` times `point`, or times the generator; with `alias` mbedTLS writes the result over the point. */
export function multiply(
  harness: Harness,
  curve: Curve,
  scalar: Uint8Array,
  point: Uint8Array = new Uint8Array(0),
  alias = false,
): Answer {
  return harness.frame({}, (frame) => {
    const out = frame.output(POINT_MAX);
    const inputs = [scalar, point].flatMap((part) => [frame.input(part), part.length]);
    const code = apply(harness.call.ecp_mul, [CURVES[curve], ...inputs, Number(alias), out]);
    return sized(frame, code, out);
  });
}

/** The code of `scalar` times the generator for a caller without a source of randomness. */
export function multiplyUnblinded(harness: Harness, curve: Curve, scalar: Uint8Array): number {
  return harness.frame(
    {},
    (frame) => harness.call.ecp_mul_unblinded(CURVES[curve], frame.input(scalar), scalar.length),
  );
}

/** m P + n Q; an empty point is the generator. */
export function multiplyAdd(
  harness: Harness,
  curve: Curve,
  { m, p, n, q }: { m: Uint8Array; p: Uint8Array; n: Uint8Array; q: Uint8Array },
): Answer {
  return harness.frame({}, (frame) => {
    const out = frame.output(POINT_MAX);
    const inputs = [m, p, n, q].flatMap((part) => [frame.input(part), part.length]);
    return sized(frame, apply(harness.call.ecp_muladd, [CURVES[curve], ...inputs, out]), out);
  });
}

/** Whether `point` is a public key: the code. */
export function checkPoint(harness: Harness, curve: Curve, point: Uint8Array): number {
  return harness.frame(
    {},
    (frame) => harness.call.ecp_check(CURVES[curve], frame.input(point), point.length),
  );
}

/**
 * r and s, padded to a coordinate each. `bits` is the hash of RFC 6979's generator, 0 to draw k from `harness.random`.
 */
export function sign(
  harness: Harness,
  curve: Curve,
  key: Uint8Array,
  digest: Uint8Array,
  bits: 0 | 224 | 256 | 384 | 512,
): Answer {
  return harness.frame({}, (frame) => {
    const size = 2 * COORDINATE[curve];
    const out = frame.output(size);
    const [k, h] = [frame.input(key), frame.input(digest)];
    const code = harness.call.ecdsa_sign(CURVES[curve], k, key.length, bits, h, digest.length, out);
    return { code, output: frame.read(out, code === 0 ? size : 0) };
  });
}

/** The code of a signature with RFC 6979's k for a caller without a source of randomness. */
export function signUnblinded(harness: Harness, curve: Curve, key: Uint8Array, digest: Uint8Array): number {
  return harness.frame({}, (frame) => {
    const [k, h] = [frame.input(key), frame.input(digest)];
    return harness.call.ecdsa_sign_unblinded(CURVES[curve], k, key.length, h, digest.length);
  });
}

/** A signature in DER, as `mbedtls_pk_sign()` makes it. */
export function signDer(
  harness: Harness,
  curve: Curve,
  key: Uint8Array,
  digest: Uint8Array,
  bits: 256 | 384 | 512,
): Answer {
  return harness.frame({}, (frame) => {
    const out = frame.output(DER_MAX);
    const [k, h] = [frame.input(key), frame.input(digest)];
    const code = harness.call.ecdsa_write(
      CURVES[curve],
      k,
      key.length,
      bits,
      h,
      digest.length,
      out,
      DER_MAX,
    );
    return sized(frame, code, out);
  });
}

/** Verifies r and s, of any length: 0 if they are right. */
export function verify(
  harness: Harness,
  curve: Curve,
  { point, digest, r, s }: { point: Uint8Array; digest: Uint8Array; r: Uint8Array; s: Uint8Array },
): number {
  return harness.frame({}, (frame) => {
    const inputs = [point, digest, r, s].flatMap((part) => [frame.input(part), part.length]);
    return apply(harness.call.ecdsa_verify, [CURVES[curve], ...inputs]);
  });
}

/** Verifies a signature in DER: 0 if it is right. */
export function verifyDer(
  harness: Harness,
  curve: Curve,
  { point, digest, signature }: { point: Uint8Array; digest: Uint8Array; signature: Uint8Array },
): number {
  return harness.frame({}, (frame) => {
    const inputs = [point, digest, signature].flatMap((part) => [frame.input(part), part.length]);
    return apply(harness.call.ecdsa_read, [CURVES[curve], ...inputs]);
  });
}

/** How to agree on a secret: TLS 1.2's way, the same with the peer's key in DER, or TLS 1.3's way. */
export type Agreement = "ecdh_shared" | "ecdh_shared_spki" | "psa_shared";

/** The secret of our key and the peer's. */
export function agree(
  harness: Harness,
  how: Agreement,
  curve: Curve,
  key: Uint8Array,
  peer: Uint8Array,
): Answer {
  return harness.frame({}, (frame) => {
    const out = frame.output(POINT_MAX);
    const inputs = [key, peer].flatMap((part) => [frame.input(part), part.length]);
    return sized(frame, apply(harness.call[how], [CURVES[curve], ...inputs, out]), out);
  });
}

/** One side of a key exchange with a new key: our point and the secret. */
export function exchange(
  harness: Harness,
  how: "ecdh" | "psa",
  curve: Curve,
  peer: Uint8Array,
): Answer & { point: Bytes } {
  // TLS 1.2 writes the length of a point before it; TLS 1.3 does so elsewhere.
  const prefix = how === "ecdh" ? 1 : 0;
  const size = curve === "X25519" ? 32 : 1 + 2 * COORDINATE[curve];
  return harness.frame({}, (frame) => {
    const [point, out] = [frame.output(POINT_MAX + 1), frame.output(POINT_MAX)];
    const theirs = new Uint8Array(prefix + peer.length);
    theirs[0] = peer.length;
    theirs.set(peer, prefix);
    const at = frame.input(theirs);
    const code = harness.call[`${how}_exchange`](CURVES[curve], at, theirs.length, point, out);
    return { ...sized(frame, code, out), point: frame.read(point + prefix, code > 0 ? size : 0) };
  });
}
