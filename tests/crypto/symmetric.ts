/**
 * The harness's hashes and ciphers, one function for each way to call them. A code is mbedTLS's own, 0 for success.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { apply, type Frame, type Harness, type Layout } from "./harness.ts";

/** Output bits of a hash of the SHA-2 family. */
export type Bits = 224 | 256 | 384 | 512;

/** A code and what was written. */
export interface Answer {
  code: number;
  output: Bytes;
}

/** How an input comes, besides its layout. */
export interface Cuts extends Layout {
  /** Lengths of the pieces that it comes in; what is left makes one more. Without them it comes in one call. */
  cuts?: readonly number[];
}

/** The SHA-2 hash of `input`: by the one-shot function, or by pieces. */
export function hash(
  harness: Harness,
  bits: Bits,
  input: Uint8Array,
  { cuts, ...layout }: Cuts = {},
): Answer {
  return harness.frame(layout, (frame) => {
    const at = frame.input(input);
    const out = frame.output(bits / 8);
    const code = cuts === undefined
      ? harness.call.hash_once(bits, at, input.length, out)
      : harness.call.hash_stream(bits, at, input.length, ...frame.list(cuts), out);
    return { code, output: frame.read(out, bits / 8) };
  });
}

/**
 * A hash whose context is cloned after `cut` bytes.
 *
 * @returns The hash of all, that of the beginning, and that of all again, by the clone.
 */
export function hashFork(
  harness: Harness,
  bits: Bits,
  input: Uint8Array,
  cut: number,
  layout: Layout = {},
): { code: number; whole: Bytes; part: Bytes; again: Bytes } {
  return harness.frame(layout, (frame) => {
    const at = frame.input(input);
    const [whole, part, again] = [frame.output(bits / 8), frame.output(bits / 8), frame.output(bits / 8)];
    const code = harness.call.hash_fork(bits, at, input.length, cut, whole, part, again);
    const read = (at: number) => frame.read(at, bits / 8);
    return { code, whole: read(whole), part: read(part), again: read(again) };
  });
}

/** HMAC of `input`. */
export function hmac(
  harness: Harness,
  bits: Bits,
  key: Uint8Array,
  input: Uint8Array,
  { cuts = [], ...layout }: Cuts = {},
): Answer {
  return harness.frame(layout, (frame) => {
    const [at, out] = [frame.input(input), frame.output(bits / 8)];
    const list = frame.list(cuts);
    const code = harness.call.hmac(bits, frame.input(key), key.length, at, input.length, ...list, out);
    return { code, output: frame.read(out, bits / 8) };
  });
}

/** HKDF (RFC 5869): `length` bytes of output keying material. */
export function hkdf(
  harness: Harness,
  bits: Bits,
  parts: { salt: Uint8Array; ikm: Uint8Array; info: Uint8Array; length: number },
  layout: Layout = {},
): Answer {
  const { salt, ikm, info, length } = parts;
  return harness.frame(layout, (frame) => {
    const inputs = [salt, ikm, info].flatMap((part) => [frame.input(part), part.length]);
    const out = frame.output(length);
    const code = apply(harness.call.hkdf, [bits, ...inputs, out, length]);
    return { code, output: frame.read(out, length) };
  });
}

/** HKDF-Expand-Label (RFC 8446 section 7.1): `length` bytes. */
export function hkdfLabel(
  harness: Harness,
  bits: Bits,
  parts: { secret: Uint8Array; label: Uint8Array; context: Uint8Array; length: number },
  layout: Layout = {},
): Answer {
  const { secret, label, context, length } = parts;
  return harness.frame(layout, (frame) => {
    const inputs = [secret, label, context].flatMap((part) => [frame.input(part), part.length]);
    const out = frame.output(length);
    const code = apply(harness.call.hkdf_label, [bits, ...inputs, out, length]);
    return { code, output: frame.read(out, length) };
  });
}

/** Which way a cipher goes: mbedTLS's numbers. */
export type Direction = "encrypt" | "decrypt";

const modeOf = (direction: Direction) => direction === "encrypt" ? 1 : 0;

/** Where a cipher's output goes, besides its layout. */
export interface Overlap extends Cuts {
  /** 0: over the input; more: so many bytes before it. Without it the output has a place of its own. */
  overlap?: number;
}

/** AES by the block; `input` is whole blocks. */
export function aesEcb(
  harness: Harness,
  direction: Direction,
  key: Uint8Array,
  input: Uint8Array,
  { overlap, ...layout }: Overlap = {},
): Answer {
  return withContext(harness, "aes", (aes) =>
    harness.frame(layout, (frame) => {
      const [at, out] = frame.pair(input, overlap);
      const mode = modeOf(direction);
      let code = harness.call.aes_setkey(aes, mode, frame.input(key), key.length * 8);
      if (code === 0) code = harness.call.aes_ecb(aes, mode, at, input.length / 16, out);
      return { code, output: frame.read(out, input.length) };
    }));
}

/** AES-CBC without padding. */
export function aesCbc(
  harness: Harness,
  direction: Direction,
  { key, iv, input }: { key: Uint8Array; iv: Uint8Array; input: Uint8Array },
  { overlap, cuts = [], ...layout }: Overlap = {},
): Answer & { iv: Bytes } {
  return withContext(harness, "aes", (aes) =>
    harness.frame(layout, (frame) => {
      const [at, out] = frame.pair(input, overlap);
      const vector = frame.inout(iv);
      const list = frame.list(cuts);
      const mode = modeOf(direction);
      let code = harness.call.aes_setkey(aes, mode, frame.input(key), key.length * 8);
      if (code === 0) code = harness.call.aes_cbc(aes, mode, vector, at, input.length, ...list, out);
      return { code, output: frame.read(out, input.length), iv: frame.read(vector, 16) };
    }));
}

/** ChaCha20 (RFC 8439 section 2.4). */
export function chacha20(
  harness: Harness,
  { key, nonce, counter, input }: { key: Uint8Array; nonce: Uint8Array; counter: number; input: Uint8Array },
  { overlap, cuts = [], ...layout }: Overlap = {},
): Answer {
  return harness.frame(layout, (frame) => {
    const [at, out] = frame.pair(input, overlap);
    const list = frame.list(cuts);
    const [k, n] = [frame.input(key), frame.input(nonce)];
    const code = harness.call.chacha20(k, n, counter, at, input.length, ...list, out);
    return { code, output: frame.read(out, input.length) };
  });
}

/** Poly1305 (RFC 8439 section 2.5). */
export function poly1305(
  harness: Harness,
  key: Uint8Array,
  input: Uint8Array,
  { cuts = [], ...layout }: Cuts = {},
): Answer {
  return harness.frame(layout, (frame) => {
    const [at, out] = [frame.input(input), frame.output(16)];
    const list = frame.list(cuts);
    const code = harness.call.poly1305(frame.input(key), at, input.length, ...list, out);
    return { code, output: frame.read(out, 16) };
  });
}

/** Runs `use` with a context of its own. */
export function withContext<T>(
  { call }: Harness,
  kind: "aes" | "ccm" | "gcm" | "chachapoly" | "rsa",
  use: (context: number) => T,
): T {
  const context = call[`${kind}_new`]();
  try {
    return use(context);
  } finally {
    call[`${kind}_free`](context);
  }
}

/** Where in `frame` the parts of an AEAD call lie that all of them have. */
export function placeAead(
  frame: Frame,
  { iv, aad, input }: { iv: Uint8Array; aad: Uint8Array; input: Uint8Array },
  overlap: number | undefined,
): { iv: [number, number]; aad: [number, number]; at: number; out: number } {
  const [at, out] = frame.pair(input, overlap);
  return { iv: [frame.input(iv), iv.length], aad: [frame.input(aad), aad.length], at, out };
}
