/**
 * Random and awkward cases for RSA and modular exponentiation.
 *
 * @module
 */

import type { Primitive } from "./fuzz_primitive.ts";
import type { Harness } from "./harness.ts";
import { pkcs1, rsaNumbers, toBytes } from "./numbers.ts";
import type { Random } from "./random.ts";
import { modExp, RsaKey, type Scheme } from "./rsa.ts";
import { RSA_KEYS } from "./rsa_keys.ts";

const NUMBERS = RSA_KEYS.map(rsaNumbers);

const keys = new WeakMap<Harness, RsaKey[]>();

/** All keys in a core, loaded once: kernels may keep with a key what they have computed for it. */
function keysOf(harness: Harness): RsaKey[] {
  const known = keys.get(harness);
  if (known !== undefined) return known;
  const loaded = NUMBERS.map((numbers) => RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey);
  keys.set(harness, loaded);
  return loaded;
}

const prepare = (harness: Harness) => void keysOf(harness);

/** Which key: mostly one of 2048 bits, as users have. */
function pickKey(random: Random): number {
  const common = RSA_KEYS.findIndex(({ name }) => name === "2048");
  return random.oneIn(2) ? random.pick([common, common + 1]) : random.below(RSA_KEYS.length);
}

/** An input to the bare operation: below the modulus, rarely not. */
function message(random: Random, index: number): Uint8Array {
  const { n, p, q } = NUMBERS[index]!;
  const size = Math.ceil(n.toString(16).length / 2);
  if (random.oneIn(6)) {
    const edge = random.pick([0n, 1n, 2n, n - 1n, n, n + 1n, p, q, n - p, p - 1n, p + 1n]);
    return toBytes(edge % (1n << BigInt(8 * size)), size);
  }
  const bytes = random.data(size);
  if (!random.oneIn(10)) bytes[0] = 0; // below n
  return bytes;
}

/** A scheme whose padding fits a key of `size` bytes, mostly. */
function scheme(random: Random, size: number): { scheme: Scheme; digest: Uint8Array } {
  const bits = random.pick(size >= 130 ? [256, 384, 512] as const : [256] as const);
  const pss = random.oneIn(2);
  const salt = random.pick([bits / 8, bits / 8, 0, 20]);
  const digest = random.data(random.oneIn(30) ? random.below(70) : bits / 8);
  return { scheme: { pss, bits, ...(pss && { salt }) }, digest };
}

/** Every operation of RSA. */
export const RSA_PRIMITIVES: readonly Primitive[] = [{
  name: "RSA private",
  cost: 12000,
  prepare,
  make(random) {
    const index = pickKey(random);
    if (random.oneIn(2)) {
      const input = message(random, index);
      const about = { key: RSA_KEYS[index]!.name, input };
      return { about, run: (core) => keysOf(core)[index]!.raw("private", input) };
    }
    const { scheme: how, digest } = scheme(random, keySize(index));
    const about = { key: RSA_KEYS[index]!.name, how, digest };
    return { about, run: (core) => keysOf(core)[index]!.sign(how, digest) };
  },
}, {
  name: "RSA public",
  cost: 900,
  prepare,
  make(random, reference) {
    const index = pickKey(random);
    if (random.oneIn(2)) {
      const input = message(random, index);
      const about = { key: RSA_KEYS[index]!.name, input };
      return { about, run: (core) => keysOf(core)[index]!.raw("public", input) };
    }
    // A signature costs much: most are of small keys, others are noise.
    const { scheme: how, digest } = scheme(random, keySize(index));
    const real = keySize(index) <= 192 || random.oneIn(20);
    const signature = real ? keysOf(reference)[index]!.sign(how, digest).output : message(random, index);
    if (signature.length > 0 && random.oneIn(2)) {
      signature[random.below(signature.length)]! ^= 1 << random.below(8);
    }
    const about = { key: RSA_KEYS[index]!.name, how, digest, signature };
    return { about, run: (core) => keysOf(core)[index]!.verify(how, digest, signature) };
  },
}, {
  name: "RSA public, of any modulus",
  cost: 1200,
  make(random) {
    const size = random.pick([256, 256, 384, 512, 255, 128]);
    const [n, input] = [random.data(size), random.data(size)];
    if (!random.oneIn(10)) n[size - 1]! |= 1; // an even one is refused
    if (!random.oneIn(5)) n[0]! |= 0x80;
    if (random.oneIn(3)) input[0] = 0;
    const e = random.pick([toBytes(65537n), toBytes(3n), random.data(1 + random.below(12))]);
    return {
      about: { n, e, input },
      run(core) {
        const key = RsaKey.import(core, { n, e });
        if (typeof key === "number") return key;
        using _ = key;
        return key.raw("public", input);
      },
    };
  },
}, {
  name: "RSA decrypt",
  cost: 12000,
  prepare,
  make(random, reference) {
    const index = pickKey(random);
    const text = random.data(random.below(keySize(index)));
    const encrypted = keysOf(reference)[index]!.encrypt(text).output;
    const spoiled = encrypted.length === 0 || random.oneIn(3) ? message(random, index) : encrypted;
    const about = { key: RSA_KEYS[index]!.name, input: spoiled };
    return { about, run: (core) => keysOf(core)[index]!.decrypt(spoiled) };
  },
}, {
  name: "RSA import",
  cost: 8000,
  make(random) {
    const index = random.below(RSA_KEYS.length);
    const numbers = { ...NUMBERS[index]! };
    // One number wrong, or replaced by its neighbour, or none.
    const names = Object.keys(numbers) as (keyof typeof numbers)[];
    if (random.oneIn(2)) {
      const name = random.pick(names);
      numbers[name] = random.pick([
        0n,
        1n,
        numbers[name] ^ 2n,
        numbers[name] + 1n,
        numbers[random.pick(names)],
      ]);
    }
    const der = pkcs1(numbers);
    return {
      about: { key: RSA_KEYS[index]!.name, der },
      run(core) {
        const key = RsaKey.parse(core, "private", der);
        if (typeof key === "number") return key;
        using _ = key;
        // What is wrong with the primes mbedTLS may notice on the way, the kernel by the result.
        const { code, output } = key.raw("private", toBytes(2n, key.size));
        return [code === 0, output, ...names.map((name) => key.number(name))];
      },
    };
  },
}, {
  name: "modular exponentiation",
  cost: 1500,
  make(random) {
    const size = 1 + random.below(random.oneIn(4) ? 260 : 70);
    const parts = {
      base: random.data(random.oneIn(3) ? random.below(300) : size),
      negative: random.oneIn(10),
      exponent: random.data(random.oneIn(3) ? 3 : random.below(40)),
      modulus: random.data(size),
    };
    if (!random.oneIn(10)) parts.modulus[size - 1]! |= 1; // an even one is refused
    return { about: parts, run: (core) => modExp(core, parts) };
  },
}];

function keySize(index: number): number {
  return Math.ceil(NUMBERS[index]!.n.toString(16).length / 2);
}
