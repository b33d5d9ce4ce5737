/**
 * Random and awkward cases for hashes and ciphers.
 *
 * @module
 */

import { type Cipher, open, seal, stream } from "./aead.ts";
import type { Primitive } from "./fuzz_primitive.ts";
import type { Random } from "./random.ts";
import {
  aesCbc,
  aesEcb,
  type Bits,
  chacha20,
  type Direction,
  hash,
  hashFork,
  hkdf,
  hkdfLabel,
} from "./symmetric.ts";
import { hmac, type Overlap, poly1305 } from "./symmetric.ts";

/** Longer than a record (2^14), so that every loop has had its last round. */
const LONGEST = 17_000;

function layout(random: Random): { shift: number } {
  return { shift: random.pick([0, 0, 1, 4, 8, random.below(16)]) };
}

/** Apart, or in place; `trail` bytes before the input where the cipher allows that. */
function overlapped(random: Random, trailing = false): Overlap {
  const way = random.below(trailing ? 4 : 3);
  if (way === 0) return layout(random);
  return { ...layout(random), overlap: way < 3 ? 0 : 8 + random.below(40) };
}

function direction(random: Random): Direction {
  return random.pick(["encrypt", "decrypt"]);
}

/** A key, rarely of a length that AES does not have. */
function aesKey(random: Random): Uint8Array {
  return random.data(random.oneIn(50) ? random.below(40) : random.pick([16, 24, 32]));
}

function hashes(name: string, choices: readonly Bits[]): Primitive {
  return {
    name,
    cost: 80,
    make(random) {
      const bits = random.pick(choices);
      const input = random.data(random.length(LONGEST));
      const at = layout(random);
      const way = random.below(3);
      if (way === 0) return { about: { bits, input, ...at }, run: (core) => hash(core, bits, input, at) };
      if (way === 1) {
        const cuts = random.cuts(input.length);
        return {
          about: { bits, input, cuts, ...at },
          run: (core) => hash(core, bits, input, { cuts, ...at }),
        };
      }
      const cut = random.below(input.length + 1);
      return { about: { bits, input, cut, ...at }, run: (core) => hashFork(core, bits, input, cut, at) };
    },
  };
}

function aead(cipher: Cipher, cost: number): Primitive {
  return {
    name: cipher,
    cost,
    make(random, reference) {
      const fixed = cipher === "chachapoly";
      const message = {
        key: fixed ? random.data(32) : aesKey(random),
        iv: random.data(ivLength(random, cipher)),
        aad: random.data(random.pick([0, 5, 13, random.length(300)])),
        input: random.data(random.length(LONGEST)),
      };
      const tagLength = fixed ? 16 : random.pick([16, 16, 8, random.below(18)]);
      const at = overlapped(random, cipher === "gcm");
      if (random.oneIn(2)) {
        return {
          about: { ...message, tagLength, ...at },
          run: (core) => seal(core, cipher, message, tagLength, at),
        };
      }
      const { output, tag } = seal(reference, cipher, message, tagLength);
      const sealed = { ...message, input: output };
      if (random.oneIn(3)) spoil(random, [sealed.input, tag, sealed.aad, sealed.iv]);
      return { about: { ...sealed, tag, ...at }, run: (core) => open(core, cipher, sealed, tag, at) };
    },
  };
}

/** Bytes of an IV: any for GCM, rarely none; 7 to 13 for CCM. */
function ivLength(random: Random, cipher: Cipher): number {
  if (cipher === "chachapoly") return 12;
  if (cipher === "ccm") return random.pick([12, 13, random.below(16)]);
  return random.pick([12, 12, 12, 1, 8, 16, 60, random.below(300)]);
}

function spoil(random: Random, parts: readonly Uint8Array[]): void {
  const part = random.pick(parts.filter(({ length }) => length > 0));
  if (part !== undefined) part[random.below(part.length)]! ^= 1 << random.below(8);
}

function aeadStream(cipher: "gcm" | "chachapoly", cost: number): Primitive {
  return {
    name: `${cipher} stream`,
    cost,
    make(random) {
      const message = {
        key: cipher === "gcm" ? random.data(random.pick([16, 24, 32])) : random.data(32),
        iv: random.data(ivLength(random, cipher)),
        aad: random.data(random.length(300)),
        input: random.data(random.length(LONGEST)),
      };
      const way = direction(random);
      const tagLength = cipher === "gcm" ? random.pick([16, 16, 4 + random.below(13)]) : 16;
      const at = { ...overlapped(random), cuts: random.cuts(message.input.length) };
      return {
        about: { ...message, way, tagLength, ...at },
        run: (core) => stream(core, cipher, way, message, tagLength, at),
      };
    },
  };
}

/** Every hash and cipher. */
export const SYMMETRIC: readonly Primitive[] = [
  hashes("sha256", [256, 256, 256, 224]),
  hashes("sha512", [512, 384]),
  {
    name: "hmac",
    cost: 60,
    make(random) {
      const bits = random.pick([224, 256, 384, 512] as const);
      const [key, input] = [random.data(random.length(300)), random.data(random.length(4000))];
      const at = { ...layout(random), cuts: random.cuts(input.length) };
      return { about: { bits, key, input, ...at }, run: (core) => hmac(core, bits, key, input, at) };
    },
  },
  {
    name: "hkdf",
    cost: 60,
    make(random) {
      const bits = random.pick([256, 384, 512] as const);
      const parts = {
        salt: random.data(random.length(150)),
        ikm: random.data(random.length(150)),
        info: random.data(random.length(150)),
        length: random.oneIn(50) ? 255 * bits / 8 + random.below(3) - 1 : random.below(300),
      };
      const at = layout(random);
      return { about: { bits, ...parts, ...at }, run: (core) => hkdf(core, bits, parts, at) };
    },
  },
  {
    name: "hkdf label",
    cost: 40,
    make(random) {
      const bits = random.pick([256, 384] as const);
      const parts = {
        secret: random.data(random.oneIn(4) ? random.length(150) : bits / 8),
        label: random.data(random.below(35)),
        context: random.data(random.oneIn(4) ? random.below(68) : random.pick([0, bits / 8])),
        length: random.oneIn(4) ? random.below(300) : random.pick([12, 16, 32, bits / 8]),
      };
      const at = layout(random);
      return { about: { bits, ...parts, ...at }, run: (core) => hkdfLabel(core, bits, parts, at) };
    },
  },
  {
    name: "aes",
    cost: 20,
    make(random) {
      const [key, input] = [aesKey(random), random.data(16 * random.below(40))];
      const [way, at] = [direction(random), overlapped(random)];
      return { about: { way, key, input, ...at }, run: (core) => aesEcb(core, way, key, input, at) };
    },
  },
  {
    name: "aes-cbc",
    cost: 60,
    make(random) {
      const length = random.length(LONGEST);
      const parts = {
        key: aesKey(random),
        iv: random.data(16),
        input: random.data(random.oneIn(50) ? length : length & ~15),
      };
      const cuts = random.cuts(length).map((cut) => random.oneIn(50) ? cut : cut & ~15);
      const [way, at] = [direction(random), { ...overlapped(random), cuts }];
      return { about: { way, ...parts, ...at }, run: (core) => aesCbc(core, way, parts, at) };
    },
  },
  aead("ccm", 220),
  aead("gcm", 250),
  aeadStream("gcm", 180),
  {
    name: "chacha20",
    cost: 40,
    make(random) {
      const parts = {
        key: random.data(32),
        nonce: random.data(12),
        counter: random.pick([0, 1, 0x7fffffff, 0xffffffff - random.below(20), random.uint32()]),
        input: random.data(random.length(LONGEST)),
      };
      const at = { ...overlapped(random), cuts: random.cuts(parts.input.length) };
      return { about: { ...parts, ...at }, run: (core) => chacha20(core, parts, at) };
    },
  },
  {
    name: "poly1305",
    cost: 25,
    make(random) {
      const [key, input] = [random.data(32), random.data(random.length(LONGEST))];
      const at = { ...layout(random), cuts: random.cuts(input.length) };
      return { about: { key, input, ...at }, run: (core) => poly1305(core, key, input, at) };
    },
  },
  aead("chachapoly", 100),
  aeadStream("chachapoly", 80),
];
