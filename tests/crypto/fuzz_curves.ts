/**
 * Random and awkward cases for elliptic curves.
 *
 * @module
 */

import { agree, checkPoint, COORDINATE, exchange, keygen, multiply, multiplyAdd } from "./asymmetric.ts";
import { sign, signDer, verify, verifyDer } from "./asymmetric.ts";
import { type NistCurve, PARAMETERS } from "./curve_reference.ts";
import type { Primitive } from "./fuzz_primitive.ts";
import type { Harness } from "./harness.ts";
import { invert, toBytes, toNumber } from "./numbers.ts";
import type { Random } from "./random.ts";

/** A point whose multiple of the generator is known, so that sums can be made to vanish or to coincide. */
interface Known {
  scalar: bigint;
  bytes: Uint8Array;
}

const pools = new Map<NistCurve, Known[]>();

/** Points of a curve, made once: small and large multiples and their opposites. */
function poolOf(curve: NistCurve, reference: Harness): Known[] {
  const known = pools.get(curve);
  if (known !== undefined) return known;
  const { n, size } = PARAMETERS[curve];
  const seeds = [1n, 2n, 3n, 5n, 16n, 31n, 2n ** 128n + 7n, n / 3n, n / 2n, 0xfeedn ** 13n % n];
  const made = seeds.flatMap((seed) => [seed, n - seed]).map((scalar) => ({
    scalar,
    bytes: multiply(reference, curve, toBytes(scalar, size)).output,
  }));
  pools.set(curve, made);
  return made;
}

/** A number around the edges of the curve's order, or random, or sparse. */
function scalar(random: Random, curve: NistCurve): bigint {
  const { n, size } = PARAMETERS[curve];
  switch (random.below(5)) {
    case 0:
      return random.pick([0n, 1n, 2n, 3n, n - 3n, n - 2n, n - 1n, n, n + 1n, n / 2n, n / 2n + 1n]);
    case 1:
      return 1n << BigInt(random.below(8 * size));
    case 2: {
      const delta = BigInt(random.below(5) - 2);
      const edge = (1n << BigInt(5 * random.below(Math.floor(8 * size / 5)))) + delta; // windows of five bits
      return edge < 0n ? 0n : edge;
    }
    default:
      return toNumber(random.data(size));
  }
}

/** A scalar's bytes, often shorter or longer than they need to be. */
function scalarBytes(random: Random, curve: NistCurve, number = scalar(random, curve)): Uint8Array {
  const { size } = PARAMETERS[curve];
  const least = Math.ceil(number.toString(16).length / 2);
  return toBytes(number, random.oneIn(4) ? least + random.below(10) : Math.max(size, least));
}

/** A point's bytes: mostly good ones, else what a peer might send to see what happens. */
function pointBytes(random: Random, curve: NistCurve, reference: Harness): Uint8Array {
  const { size, p } = PARAMETERS[curve];
  const pool = poolOf(curve, reference);
  const good = random.pick(pool).bytes;
  switch (random.below(12)) {
    case 0: { // not on the curve, or by chance on it
      const bytes = good.slice();
      bytes[1 + random.below(2 * size)]! ^= 1 << random.below(8);
      return bytes;
    }
    case 1:
      return Uint8Array.of(4, ...random.data(2 * size));
    case 2: { // a coordinate that is not reduced
      const bytes = good.slice();
      const coordinate = random.below(2);
      const value = toNumber(bytes.subarray(1 + coordinate * size, 1 + (coordinate + 1) * size));
      bytes.set(toBytes((value + p) % (1n << BigInt(8 * size)), size), 1 + coordinate * size);
      return bytes;
    }
    case 3:
      return random.pick([
        Uint8Array.of(0),
        Uint8Array.of(2 + random.below(2), ...good.subarray(1, 1 + size)),
        good.with(0, random.below(8)),
        good.subarray(0, random.below(good.length + 1)),
        Uint8Array.of(4, ...new Uint8Array(2 * size)),
      ]);
    default:
      return good;
  }
}

/** Multiplication, addition and key generation on one curve. */
function arithmetic(curve: NistCurve, cost: number): Primitive[] {
  const { n } = PARAMETERS[curve];
  return [{
    name: `${curve} multiply`,
    cost,
    make(random, reference) {
      const k = scalarBytes(random, curve);
      const point = random.oneIn(3) ? new Uint8Array(0) : pointBytes(random, curve, reference);
      const alias = random.oneIn(5);
      return { about: { k, point, alias }, run: (core) => multiply(core, curve, k, point, alias) };
    },
  }, {
    name: `${curve} multiply and add`,
    cost: 2 * cost,
    make(random, reference) {
      const pool = poolOf(curve, reference);
      const [P, Q] = [random.pick(pool), random.pick(pool)];
      const m = scalar(random, curve) % n;
      // n Q = m P, -m P, or neither
      const factor = m * P.scalar * invert(Q.scalar, n) % n;
      const other = random.pick([factor, n - factor, scalar(random, curve)]);
      const parts = {
        m: scalarBytes(random, curve, m),
        p: random.oneIn(4) ? new Uint8Array(0) : P.bytes,
        n: scalarBytes(random, curve, other),
        q: random.oneIn(20) ? pointBytes(random, curve, reference) : Q.bytes,
      };
      return { about: parts, run: (core) => multiplyAdd(core, curve, parts) };
    },
  }, {
    name: `${curve} keys`,
    cost: cost / 2,
    make(random, reference) {
      if (random.oneIn(2)) return { about: {}, run: (core) => keygen(core, curve) };
      const point = pointBytes(random, curve, reference);
      return { about: { point }, run: (core) => checkPoint(core, curve, point) };
    },
  }];
}

/** ECDSA on one curve. */
function signatures(curve: NistCurve, cost: number): Primitive[] {
  const { n, size } = PARAMETERS[curve];
  const digest = (random: Random) =>
    random.oneIn(8)
      ? toBytes(random.pick([0n, 1n, n - 1n, n, n + 1n]), size)
      : random.data(random.pick([32, 32, 48, 64, 20, random.below(80)]));
  return [{
    name: `${curve} ECDSA sign`,
    cost,
    make(random) {
      const [key, hash] = [scalarBytes(random, curve), digest(random)];
      const bits = random.pick([0, 256, 384, 512] as const);
      if (bits !== 0 && random.oneIn(3)) {
        const exact = toBytes(toNumber(key) % n, size);
        return { about: { exact, hash, bits }, run: (core) => signDer(core, curve, exact, hash, bits) };
      }
      return { about: { key, hash, bits }, run: (core) => sign(core, curve, key, hash, bits) };
    },
  }, {
    name: `${curve} ECDSA verify`,
    cost: 3 * cost,
    make(random, reference) {
      const { scalar: d, bytes } = random.pick(poolOf(curve, reference));
      let [point, hash] = [bytes, digest(random)];
      if (random.oneIn(4)) {
        const signature = signDer(reference, curve, toBytes(d, size), hash, 256).output;
        if (random.oneIn(2)) signature[random.below(signature.length)]! ^= 1 << random.below(8);
        const parts = { point, digest: hash, signature };
        return { about: parts, run: (core) => verifyDer(core, curve, parts) };
      }
      const { output } = sign(reference, curve, toBytes(d, size), hash, 256);
      let [r, s] = [toNumber(output.subarray(0, size)), toNumber(output.subarray(size))];
      switch (random.below(10)) {
        case 0:
          r = random.pick([0n, 1n, n - 1n, n, n + 1n, r + n, n - r]);
          break;
        case 1:
          s = random.pick([0n, 1n, n - 1n, n, n + 1n, s + n, n - s]); // n - s is right, too
          break;
        case 2:
          [r, s] = [s, r];
          break;
        case 3: { // u1 G = -u2 Q, a sum at infinity, or u1 G = u2 Q, a doubling
          const e = (random.oneIn(2) ? n - r : r) * d % n;
          hash = toBytes(e << BigInt(8 * size - n.toString(2).length), size);
          break;
        }
        case 4:
          point = pointBytes(random, curve, reference);
          break;
        case 5:
          hash[0]! ^= 1;
          break;
        case 6:
          r ^= 1n << BigInt(random.below(8 * size));
          break;
      }
      const parts = { point, digest: hash, r: toBytes(r), s: toBytes(s) };
      return { about: parts, run: (core) => verify(core, curve, parts) };
    },
  }];
}

/** ECDH both ways on one curve. */
function agreements(curve: NistCurve, cost: number): Primitive {
  return {
    name: `${curve} ECDH`,
    cost,
    make(random, reference) {
      const peer = pointBytes(random, curve, reference);
      if (random.oneIn(3)) {
        const how = random.pick(["ecdh", "psa"] as const);
        return { about: { how, peer }, run: (core) => exchange(core, how, curve, peer) };
      }
      const how = random.pick(["ecdh_shared", "psa_shared"] as const);
      const key = scalarBytes(random, curve);
      return { about: { how, key, peer }, run: (core) => agree(core, how, curve, key, peer) };
    },
  };
}

/** Low-order points of Curve25519 and of its twist (RFC 7748 section 7; https://cr.yp.to/ecdh.html#validate). */
const LOW_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
].map((text) => Uint8Array.fromHex(text));

const X25519: Primitive = {
  name: "X25519",
  cost: 1000,
  make(random) {
    const p = 2n ** 255n - 19n;
    const near = toBytes(p + BigInt(random.below(24)) - 5n, 32).reverse(); // not reduced, or just so
    const point = random.oneIn(8) ? near : random.oneIn(8) ? random.pick(LOW_ORDER) : random.data(32);
    const peer = random.oneIn(4) ? point.with(31, point[31]! | 0x80) : point;
    if (random.oneIn(4)) {
      const how = random.pick(["ecdh", "psa"] as const);
      return { about: { how, peer }, run: (core) => exchange(core, how, "X25519", peer) };
    }
    const key = random.data(random.oneIn(50) ? random.below(40) : COORDINATE.X25519);
    if (random.oneIn(4)) { // below ECDH: only a clamped key will do
      const clamped = key.slice();
      if (random.oneIn(4) || clamped.length !== 32) {
        return { about: { key, peer }, run: (core) => multiply(core, "X25519", key, peer) };
      }
      clamped[0]! &= 0xf8;
      clamped[31] = clamped[31]! & 0x7f | 0x40;
      const alias = random.oneIn(3);
      const own = random.oneIn(3) ? new Uint8Array(0) : peer;
      return { about: { clamped, own }, run: (core) => multiply(core, "X25519", clamped, own, alias) };
    }
    const how = random.pick(["ecdh_shared", "psa_shared"] as const);
    return { about: { how, key, peer }, run: (core) => agree(core, how, "X25519", key, peer) };
  },
};

/** Every operation on curves. */
export const CURVE_PRIMITIVES: readonly Primitive[] = [
  ...arithmetic("P-256", 1500),
  ...signatures("P-256", 1000),
  agreements("P-256", 2500),
  X25519,
  ...arithmetic("P-384", 4000),
  ...signatures("P-384", 2500),
  agreements("P-384", 6000),
  ...arithmetic("P-521", 7000),
  ...signatures("P-521", 4000),
  agreements("P-521", 10000),
];
