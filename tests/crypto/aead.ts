/**
 * The harness's authenticated ciphers: AES-GCM, AES-CCM and ChaCha20-Poly1305, behind one face.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import type { Harness } from "./harness.ts";
import { type Answer, type Direction, type Overlap, placeAead, withContext } from "./symmetric.ts";

/** The ciphers. */
export type Cipher = "gcm" | "ccm" | "chachapoly";

/** What is sealed or opened. */
export interface Message {
  key: Uint8Array;
  iv: Uint8Array;
  aad: Uint8Array;
  input: Uint8Array;
}

/** A code, the output, and the tag that was computed. */
export interface Sealed extends Answer {
  tag: Bytes;
}

/** The one-shot calls, which differ in how they take lengths that cannot vary. */
interface OneShot {
  setkey(context: number, key: number, bits: number): number;
  run(direction: Direction, context: number, parts: Placed, tag: number, tagLength: number): number;
}

type Placed = ReturnType<typeof placeAead> & { length: number };

function oneShot({ call }: Harness, cipher: Cipher): OneShot {
  if (cipher === "chachapoly") {
    return {
      setkey: (context, key) => call.chachapoly_setkey(context, key),
      run: (direction, context, { iv, aad, at, length, out }, tag) =>
        call[`chachapoly_${direction}`](context, iv[0], ...aad, at, length, out, tag),
    };
  }
  return {
    setkey: (context, key, bits) => call[`${cipher}_setkey`](context, key, bits),
    run: (direction, context, { iv, aad, at, length, out }, tag, tagLength) =>
      call[`${cipher}_${direction}`](context, ...iv, ...aad, at, length, out, tag, tagLength),
  };
}

/** Encrypts, and writes a tag of `tagLength` bytes. */
export function seal(
  harness: Harness,
  cipher: Cipher,
  message: Message,
  tagLength: number,
  { overlap, ...layout }: Overlap = {},
): Sealed {
  const { setkey, run } = oneShot(harness, cipher);
  return withContext(harness, cipher, (context) =>
    harness.frame(layout, (frame) => {
      const { length } = message.input;
      const parts = { ...placeAead(frame, message, overlap), length };
      const tag = frame.output(tagLength);
      let code = setkey(context, frame.input(message.key), message.key.length * 8);
      if (code === 0) code = run("encrypt", context, parts, tag, tagLength);
      return { code, output: frame.read(parts.out, length), tag: frame.read(tag, tagLength) };
    }));
}

/** Checks the tag and decrypts. */
export function open(
  harness: Harness,
  cipher: Cipher,
  message: Message,
  tag: Uint8Array,
  { overlap, ...layout }: Overlap = {},
): Answer {
  const { setkey, run } = oneShot(harness, cipher);
  return withContext(harness, cipher, (context) =>
    harness.frame(layout, (frame) => {
      const { length } = message.input;
      const parts = { ...placeAead(frame, message, overlap), length };
      const tagAt = frame.input(tag);
      let code = setkey(context, frame.input(message.key), message.key.length * 8);
      if (code === 0) code = run("decrypt", context, parts, tagAt, tag.length);
      return { code, output: frame.read(parts.out, length) };
    }));
}

/** Encrypts or decrypts in pieces; the tag that it computes is for the caller to compare. */
export function stream(
  harness: Harness,
  cipher: "gcm" | "chachapoly",
  direction: Direction,
  message: Message,
  tagLength: number,
  { overlap, cuts = [], ...layout }: Overlap = {},
): Sealed {
  const { call } = harness;
  const { setkey } = oneShot(harness, cipher);
  return withContext(harness, cipher, (context) =>
    harness.frame(layout, (frame) => {
      const { length } = message.input;
      const { iv, aad, at, out } = placeAead(frame, message, overlap);
      const tag = frame.output(tagLength);
      const list = frame.list(cuts);
      const mode = direction === "encrypt" ? 1 : 0;
      let code = setkey(context, frame.input(message.key), message.key.length * 8);
      if (code === 0) {
        code = cipher === "gcm"
          ? call.gcm_stream(context, mode, ...iv, ...aad, at, length, ...list, out, tag, tagLength)
          : call.chachapoly_stream(context, mode, iv[0], ...aad, at, length, ...list, out, tag);
      }
      return { code, output: frame.read(out, length), tag: frame.read(tag, tagLength) };
    }));
}
