/**
 * Writes what the P-256 kernel knows beforehand: `p256_constants.h` and, for the generator's multiples, `p256_table.c`.
 *
 * `deno run -W wasm/crypto/p256_table.ts` writes them; a test compares them with what this makes.
 *
 * @module
 */

const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const G: Point = [
  0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
];

const LIMBS = 9;
const LIMB_BITS = 29n;
const R = 2n ** 261n;

// The comb: 256 digits of +-1, of which each stage takes every fourth. p256_point.c says why so.
const STAGES = 4;
const TEETH = [6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 4];
// How many odd multiples: those below 2^7, for windows of 8 bits.
const ODD_MULTIPLES = 64;

type Point = readonly [x: bigint, y: bigint];

const mod = (a: bigint, m: bigint) => (a % m + m) % m;

function inverse(a: bigint, m: bigint): bigint {
  let [r0, r1, s0, s1] = [m, mod(a, m), 0n, 1n];
  while (r1 !== 0n) [r0, r1, s0, s1] = [r1, r0 % r1, s1, s0 - r0 / r1 * s1];
  return mod(s0, m);
}

/** The sum of two points that are neither equal nor opposite, or, of a point alone, its double. */
function sum([x1, y1]: Point, [x2, y2]: Point): Point {
  const slope = x1 === x2 ? (3n * x1 * x1 - 3n) * inverse(2n * y1, p) : (y2 - y1) * inverse(x2 - x1, p);
  const x = mod(slope * slope - x1 - x2, p);
  return [x, mod(slope * (x1 - x) - y1, p)];
}

const negate = ([x, y]: Point): Point => [x, p - y];

/** All the comb's points: for each block, the sums of its teeth with the last one positive. */
function* comb(): Generator<{ block: number; points: Point[] }> {
  let power = G;
  for (const [block, teeth] of TEETH.entries()) {
    const powers: Point[] = [];
    for (let i = 0; i < teeth; i++) {
      powers.push(power);
      for (let j = 0; j < STAGES; j++) power = sum(power, power);
    }
    const last = powers.pop()!;
    const points: Point[] = [];
    for (let index = 0; index < 2 ** (teeth - 1); index++) {
      const signed = powers.map((point, tooth) => index >> tooth & 1 ? point : negate(point));
      points.push(signed.reduceRight(sum, last));
    }
    yield { block, points };
  }
}

/** 1 G, 3 G, 5 G, ... */
function oddMultiples(): Point[] {
  const points = [G];
  const two = sum(G, G);
  while (points.length < ODD_MULTIPLES) points.push(sum(points.at(-1)!, two));
  return points;
}

const hex = (a: bigint, digits: number) => `0x${a.toString(16).padStart(digits, "0")}`;

function limbs(a: bigint): string {
  const all = Array.from({ length: LIMBS }, (_, i) => hex(BigInt.asUintN(29, a >> LIMB_BITS * BigInt(i)), 8));
  return `${all.slice(0, 5).join(", ")},\n    ${all.slice(5).join(", ")}`;
}

function words(a: bigint): string {
  return [0n, 1n, 2n, 3n].map((i) => hex(BigInt.asUintN(64, a >> 64n * i), 16)).join(",");
}

const HEADER = "/* Written by p256_table.ts. */\n";

/** The text of `p256_constants.h`. */
export function constants(): string {
  const constant = (name: string, a: bigint) =>
    `static const limbs ${name} __attribute__((unused)) = { {\n    ${limbs(a)}\n} };\n`;
  const low = 2n ** LIMB_BITS;
  return [
    HEADER + "#ifndef P256_CONSTANTS_H\n#define P256_CONSTANTS_H\n",
    "/* The field's modulus, the group's order, and their inverses modulo 2^29. */",
    constant("FIELD_P", p),
    constant("GROUP_N", n),
    `#define FIELD_P_INVERSE ${hex(inverse(p, low), 8)}\n#define GROUP_N_INVERSE ${
      hex(inverse(n, low), 8)
    }\n`,
    "/* Modulo p: the generator times R; R^2; b R for the b of y^2 = x^3 - 3 x + b. */",
    constant("BASE_X", mod(G[0] * R, p)),
    constant("BASE_Y", mod(G[1] * R, p)),
    constant("FIELD_R2", mod(R ** 2n, p)),
    constant("FIELD_B", mod(b * R, p)),
    "/* R^2 modulo n, and p - n. */",
    constant("SCALAR_R2", mod(R ** 2n, n)),
    constant("P_MINUS_N", p - n),
    "#endif\n",
  ].join("\n");
}

/** The text of `p256_table.c`. */
export function table(): string {
  const entry = ([x, y]: Point) => `    { { ${words(mod(x * R, p))} },\n      { ${words(mod(y * R, p))} } },`;
  const lines = [
    HEADER + '#include "p256.h"\n',
    "/* x and y of each point, times R. Block i begins at point 32 i. */",
    "const affine P256_COMB[COMB_POINTS] = {",
  ];
  for (const { block, points } of comb()) {
    lines.push(`    /* block ${block} */`);
    lines.push(...points.map(entry));
  }
  lines.push("};\n", "const affine P256_ODD[1 << (BASE_WINDOW - 2)] = {", ...oddMultiples().map(entry));
  return [...lines, "};", ""].join("\n");
}

/** The files, by name. */
export const FILES = { "p256_constants.h": constants, "p256_table.c": table };

if (import.meta.main) {
  for (const [name, text] of Object.entries(FILES)) {
    await Deno.writeTextFile(new URL(name, import.meta.url), text());
  }
}
