/**
 * Randomness that a seed repeats, and inputs that are likelier to hurt than random ones.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";

/** A small fast generator (sfc32, by Chris Doty-Humphrey); not for secrets. */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  /** @param seed Any text; the same text gives the same numbers. */
  constructor(seed: string) {
    for (const letter of seed) this.#a = Math.imul(this.#a ^ letter.codePointAt(0)!, 0x9e3779b1);
    this.#b = seed.length;
    for (let i = 0; i < 15; i++) this.uint32(); // stir
  }

  /** An integer below 2^32. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.uint32() / 2 ** 32 * limit);
  }

  /** Whether it happens, which it does with probability 1 / `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of `choices`. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** `length` random bytes. */
  bytes(length: number): Bytes {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let i = 0; i < words.length; i++) words[i] = this.uint32();
    return new Uint8Array(words.buffer, 0, length);
  }

  /** `length` bytes: mostly random, else all alike, or runs of zeros and ones, where carries travel far. */
  data(length: number): Bytes {
    switch (this.below(8)) {
      case 0:
        return new Uint8Array(length).fill(this.pick([0x00, 0xff]));
      case 1: { // long runs of 0x00 and 0xff
        const bytes = new Uint8Array(length);
        for (let at = 0, value = 0; at < length; value ^= 0xff) {
          const end = at + 1 + this.below(24);
          bytes.fill(value, at, end);
          at = end;
        }
        return bytes;
      }
      case 2: { // one bit set, or one missing
        const bytes = new Uint8Array(length).fill(this.pick([0x00, 0xff]));
        if (length > 0) bytes[this.below(length)]! ^= 1 << this.below(8);
        return bytes;
      }
      default:
        return this.bytes(length);
    }
  }

  /** A length up to `max`: short, near a multiple of a block's 16, 64, 128 or 256 bytes, or anything. */
  length(max: number): number {
    switch (this.below(4)) {
      case 0:
        return this.below(Math.min(max, 80) + 1);
      case 1:
      case 2: {
        const block = this.pick([16, 64, 128, 256, 512]);
        const near = block * this.below(max / block + 1) + this.below(5) - 2;
        return Math.min(Math.max(near, 0), max);
      }
      default:
        return this.below(max + 1);
    }
  }

  /** How to cut an input of `length` bytes: into nothing, bytes, blocks, or anything. */
  cuts(length: number): number[] {
    const count = this.below(6);
    return Array.from(
      { length: count },
      () => this.pick([0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, this.below(length + 1)]),
    );
  }
}
