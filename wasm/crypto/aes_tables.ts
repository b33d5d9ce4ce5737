/**
 * Derives `aes_tables.c` from the definition of AES: `deno run -A wasm/crypto/aes_tables.ts`. A test compares the file
 * with what this derives, and this checks all 256 inputs of each S-box by the steps that the C code takes.
 *
 * The idea is Mike Hamburg's ("Accelerating AES with Vector Permute Instructions", CHES 2009): invert in GF(2^8) with
 * nothing but look-ups by 4 bits, which one instruction does for 16 bytes without memory, hence without a trace in a cache.
 *
 * GF(2^8) is seen as GF(16)[s] with s^2 = a s + a. An element k + i s is the byte i << 4 | k; `phi` maps AES's bytes to
 * such. Its norm is N = k^2 + a i k + a i^2, its inverse ((k + a i) + i s) / N. With j = i + k and 1/0 = infinity
 *
 *   io = 1 / (1/i + a/k) + j    =>  1/io = (k + a i) / N         =: p
 *   jo = 1 / (1/j + a/k) + i    =>  1/jo = (k + a k + a i) / N   =: q
 *
 * so the inverse is linear in p and q: k/N = (p + q) / a and i/N = (p + k/N) / a. What follows an inversion in AES is
 * linear too (or a constant, which goes into the round keys), so that for each linear map f that is wanted
 * f(inverse) = U_f[io] ^ T_f[jo], and the two inversions of io and jo are inside the tables.
 *
 * Infinity is 0x80: the look-up of an index from 128 on gives 0 = 1/infinity, and adding a nibble leaves it one.
 *
 * @module
 */

/** x^4 + x + 1, which defines GF(16). */
const GF16 = 0b10011;
/** x^8 + x^4 + x^3 + x + 1, which defines AES's GF(2^8). */
const GF256 = 0x11b;
const INFINITY = 0x80;

type Map8 = (byte: number) => number;

const NIBBLES = Array.from({ length: 16 }, (_, n) => n);
const BYTES = Array.from({ length: 256 }, (_, n) => n);

function multiply(x: number, y: number, modulus: number, degree: number): number {
  let product = 0;
  for (let bit = degree - 1; bit >= 0; bit--) {
    product <<= 1;
    if (product >> degree) product ^= modulus;
    if (y >> bit & 1) product ^= x;
  }
  return product;
}
const mul16 = (x: number, y: number) => multiply(x, y, GF16, 4);
const inv16 = (x: number) => NIBBLES.find((y) => mul16(x, y) === 1)!;
/** Multiplication in AES's field. */
export const mul256 = (x: number, y: number) => multiply(x, y, GF256, 8);

/** The first a for which s^2 + a s + a has no root in GF(16). */
const A = NIBBLES.slice(1).find((a) => NIBBLES.every((s) => mul16(s, s) ^ mul16(a, s) ^ a))!;

/** Multiplication in GF(16)[s]: (k + i s)(l + m s) = (k l + a i m) + (k m + i l + a i m) s. */
function mulTower(x: number, y: number): number {
  const [i, k, m, l] = [x >> 4, x & 15, y >> 4, y & 15];
  const im = mul16(A, mul16(i, m));
  return (mul16(k, m) ^ mul16(i, l) ^ im) << 4 | mul16(k, l) ^ im;
}

/** The linear map that takes 1 << n to `images[n]`. */
const linear = (images: number[]): Map8 => (byte) =>
  images.reduce((sum, image, n) => byte >> n & 1 ? sum ^ image : sum, 0);
const inverseOf = (map: Map8): Map8 => (byte) => BYTES.find((x) => map(x) === byte)!;

/** The isomorphism takes x to the first root of AES's polynomial. */
function isomorphism(): Map8 {
  for (const root of BYTES.slice(2)) {
    const powers = [1];
    while (powers.length <= 8) powers.push(mulTower(powers.at(-1)!, root));
    if (powers.reduce((sum, power, n) => GF256 >> n & 1 ? sum ^ power : sum, 0) === 0) return linear(powers);
  }
  throw new Error("Cannot find a root of AES's polynomial");
}
const phi = isomorphism();
const phiInverse = inverseOf(phi);

/** The S-box is affine(1/x) ^ 0x63 (FIPS 197, 5.1.1). */
const affine: Map8 = (b) => b ^ rotate(b, 1) ^ rotate(b, 2) ^ rotate(b, 3) ^ rotate(b, 4);
const rotate = (b: number, n: number) => (b << n | b >> 8 - n) & 0xff;
const affineInverse = inverseOf(affine);
const AFFINE_CONSTANT = 0x63;

/** A map as two look-ups: by low and by high nibble. */
const inward = (f: Map8): number[][] => [NIBBLES.map(f), NIBBLES.map((n) => f(n << 4))];

/** What follows the inversion, as two look-ups: by io and by jo. */
function outward(f: Map8): number[][] {
  const a1 = inv16(A), a2 = mul16(a1, a1);
  const byP = (p: number) => (mul16(p, a1 ^ a2) << 4) | p;
  const byQ = (q: number) => mul16(q, a2) << 4;
  const table = (by: Map8) => NIBBLES.map((n) => n === 0 ? 0 : f(by(inv16(n))));
  return [table(byP), table(byQ)];
}

/** Where each byte of a column comes from after (Inv)ShiftRows, for the byte `turn` rows further down. */
const shifted = (turn: number, direction: 1 | -1) =>
  Array.from({ length: 16 }, (_, at) => {
    const row = at + turn & 3;
    return 4 * ((at >> 2) + direction * row & 3) + row;
  });

const times = (c: number, f: Map8): Map8 => (byte) => f(mul256(c, byte));
const decrypting: Map8 = (byte) => phi(affineInverse(byte)); // what the inverse S-box inverts

const TABLES: Record<string, { about: string; rows: number[][] }> = {
  aes_inverse: {
    about: "1/n, then a/n",
    rows: [1, A].map((c) => NIBBLES.map((n) => n === 0 ? INFINITY : mul16(c, inv16(n)))),
  },
  aes_enter: { about: "phi, by low and high nibble", rows: inward(phi) },
  aes_sbox2: {
    about: "by io and jo: phi(2 S), without the constant",
    rows: outward((z) => times(2, phi)(affine(phiInverse(z)))),
  },
  aes_sbox3: { about: "phi(3 S)", rows: outward((z) => times(3, phi)(affine(phiInverse(z)))) },
  aes_sbox_leave: { about: "S", rows: outward((z) => affine(phiInverse(z))) },
  aes_unenter: { about: "psi = phi after affine^-1, by low and high nibble", rows: inward(decrypting) },
  aes_unsbox: {
    about: "by io and jo: psi(14 z), psi(11 z), psi(13 z), psi(9 z) of the inverse z: InvMixColumns' factors",
    rows: [14, 11, 13, 9].flatMap((c) => outward((z) => times(c, decrypting)(phiInverse(z)))),
  },
  aes_unsbox_leave: { about: "z", rows: outward(phiInverse) },
  aes_shift: {
    about: "after ShiftRows: the byte itself, and those one, two and three rows further down",
    rows: [0, 1, 2, 3].map((turn) => shifted(turn, 1)),
  },
  aes_unshift: { about: "the same after InvShiftRows", rows: [0, 1, 2, 3].map((turn) => shifted(turn, -1)) },
};

/** What the C code does with `byte`: look-ups that give 0 for an index from 128 on. */
function substitute(byte: number, enter: number[][], leave: number[][]): number {
  const look = (row: number[], index: number) => index < 16 ? row[index]! : 0;
  const [inverse, scaled] = TABLES["aes_inverse"]!.rows as [number[], number[]];
  const x = look(enter[0]!, byte & 15) ^ look(enter[1]!, byte >> 4);
  const i = x >> 4, k = x & 15, j = i ^ k;
  const ak = look(scaled, k);
  const io = look(inverse, look(inverse, i) ^ ak) ^ j;
  const jo = look(inverse, look(inverse, j) ^ ak) ^ i;
  return look(leave[0]!, io) ^ look(leave[1]!, jo);
}

function check(): void {
  const rows = (name: string) => TABLES[name]!.rows;
  for (const byte of BYTES) {
    const inverse = BYTES.find((y) => mul256(byte, y) === 1) ?? 0;
    const s = affine(inverse);
    const right = [
      substitute(byte, rows("aes_enter"), rows("aes_sbox_leave")) === s,
      substitute(byte, rows("aes_enter"), rows("aes_sbox2")) === phi(mul256(2, s)),
      substitute(byte, rows("aes_enter"), rows("aes_sbox3")) === phi(mul256(3, s)),
      substitute(s, rows("aes_unenter"), rows("aes_unsbox_leave")) === byte,
      ...[14, 11, 13, 9].map((c, at) =>
        substitute(s, rows("aes_unenter"), rows("aes_unsbox").slice(2 * at)) === decrypting(mul256(c, byte))
      ),
    ];
    if (right.includes(false)) throw new Error(`Cannot derive the S-box: ${byte} comes out wrong`);
  }
}

/** The text of `aes_tables.c`. */
export function aesTables(): string {
  check();
  const hex = (byte: number) => `0x${byte.toString(16).padStart(2, "0")}`;
  const text = [
    "/* Derived by aes_tables.ts, which says what they mean. */",
    '#include "aes_simd.h"',
    "",
    `/* GF(16) is modulo x^4 + x + 1; a = ${A}. Here phi(0x63) = ${hex(phi(AFFINE_CONSTANT))}. */`,
  ];
  for (const [name, { about, rows }] of Object.entries(TABLES)) {
    text.push("", `/* ${about} */`, `const table ${name}[${rows.length}] = {`);
    for (const row of rows) text.push(`    { ${row.map(hex).join(", ")} },`);
    text.push("};");
  }
  return text.join("\n") + "\n";
}

if (import.meta.main) await Deno.writeTextFile(new URL("aes_tables.c", import.meta.url), aesTables());
