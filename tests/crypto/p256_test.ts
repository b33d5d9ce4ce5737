// The P-256 kernel against stock mbedTLS: the same answers and codes for whatever comes in.
import { assert, assertEquals } from "@std/assert";
import type { Bytes } from "../../lib/bytes.ts";
import {
  agree,
  checkPoint,
  exchange,
  keygen,
  multiply,
  multiplyUnblinded,
  publicOf,
  sign,
  signDer,
  signUnblinded,
  verify,
  verifyDer,
} from "./asymmetric.ts";
import { type Harness, loadHarnesses, NoRandomness, streamOf } from "./harness.ts";
import { hex, invert, toNumber } from "./numbers.ts";
import { bytes, modN, N, P, rootOf, uncompressed } from "./p256_numbers.ts";
import { Random } from "./random.ts";
import { FILES } from "../../wasm/crypto/p256_table.ts";

/** How many random cases each test takes: P256_CASES, or enough to notice. */
const CASES = Number(Deno.env.get("P256_CASES") ?? 300);

const [kernel, stock] = await loadHarnesses("test", "stock");

Deno.test("P-256: the tables are what their generator writes", async () => {
  for (const [name, text] of Object.entries(FILES)) {
    const there = await Deno.readTextFile(new URL(`../../wasm/crypto/${name}`, import.meta.url));
    assertEquals(there, text(), name);
  }
});

// RFC 6979, appendix A.2.5.
const RFC_KEY = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
const RFC_SIGNATURES = [
  [
    "SHA-256",
    "sample",
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
  ],
  [
    "SHA-384",
    "sample",
    "0EAFEA039B20E9B42309FB1D89E213057CBF973DC0CFC8F129EDDDC800EF77194861F0491E6998B9455193E34E7B0D284DDD7149A74B95B9261F13ABDE940954",
  ],
  [
    "SHA-512",
    "sample",
    "8496A60B5E9B47C825488827E0495B0E3FA109EC4568FD3F8D1097678EB97F002362AB1ADBE2B8ADF9CB9EDAB740EA6049C028114F2460F96554F61FAE3302FE",
  ],
  [
    "SHA-256",
    "test",
    "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
  ],
  [
    "SHA-384",
    "test",
    "83910E8B48BB0C74244EBDF7F07A1C5413D61472BD941EF3920E623FBCCEBEB68DDBEC54CF8CD5874883841D712142A56A8D0F218F5003CB0296B6B509619F2C",
  ],
  [
    "SHA-512",
    "test",
    "461D93F31B6540894788FD206C07CFA0CC35F46FA3C91816FFF1040AD1581A0439AF9F15DE0DB8D97E72719C74820D304CE5226E32DEDAE67519E840D1194E55",
  ],
] as const;

Deno.test("P-256: signatures are those of RFC 6979", async () => {
  for (const [hash, message, signature] of RFC_SIGNATURES) {
    const digest = new Uint8Array(await crypto.subtle.digest(hash, new TextEncoder().encode(message)));
    const bits = Number(hash.slice(4)) as 256 | 384 | 512;
    assertEquals(sign(kernel, "P-256", RFC_KEY, digest, bits), { code: 0, output: hex(signature) });
  }
});

Deno.test("P-256: k G and k P are stock's, for random k and those where carries, windows and the group end", () => {
  const random = new Random("multiply");
  const points = pointsOf(random, 6);
  for (const k of edgeScalars()) {
    same((core) => multiply(core, "P-256", bytes(k)), `${k} G`);
    same((core) => publicOf(core, "P-256", bytes(k)), `${k} G`);
    const [point, alias] = [random.pick(points), random.oneIn(2)];
    same((core) => multiply(core, "P-256", bytes(k), point, alias), `${k} * ${point.toHex()}`);
  }
  for (let i = 0; i < CASES; i++) {
    const k = scalar(random);
    same((core) => multiply(core, "P-256", k), `${k.toHex()} G`);
    const point = i % 10 === 0 ? multiply(stock, "P-256", scalar(random)).output : random.pick(points);
    same((core) => multiply(core, "P-256", k, point, i % 2 === 0), `${k.toHex()} * ${point.toHex()}`);
  }
});

Deno.test("P-256: k G is right where the comb's last addition is a doubling", () => {
  // p256_point.c: the last block's digits, those of n turned round.
  const teeth = [240n, 244n, 248n, 252n].reduce((sum, at) => sum + 2n ** at, 0n);
  for (const k of [N - 2n * teeth, 2n * teeth]) same((core) => multiply(core, "P-256", bytes(k)), `${k} G`);
});

Deno.test("P-256: what is no scalar or no point gets stock's code", () => {
  const random = new Random("refuse");
  const [good] = pointsOf(random, 1) as [Bytes];
  for (const point of [...badPoints(random, good), good]) {
    same((core) => checkPoint(core, "P-256", point), `point ${point.toHex()}`);
    same((core) => multiply(core, "P-256", bytes(7n), point), `point ${point.toHex()}`);
    for (const how of ["ecdh_shared", "psa_shared"] as const) {
      same((core) => agree(core, how, "P-256", bytes(7n), point), `${how} with ${point.toHex()}`);
    }
    for (const how of ["ecdh", "psa"] as const) {
      same((core) => exchange(core, how, "P-256", point), `${how} with ${point.toHex()}`);
    }
  }
  for (
    const k of [
      bytes(0n),
      bytes(N),
      bytes(N + 1n),
      bytes(2n ** 256n - 1n),
      new Uint8Array(33).fill(1),
      new Uint8Array(0),
    ]
  ) {
    for (const core of [kernel, stock]) core.random = streamOf("");
    same((core) => multiply(core, "P-256", k), `scalar ${k.toHex()}`);
    same((core) => multiply(core, "P-256", k, good), `scalar ${k.toHex()}`);
    same((core) => sign(core, "P-256", k, random.bytes(32), 256), `key ${k.toHex()}`);
  }
});

Deno.test("P-256: key generation and key exchange are stock's, by mbedTLS and by PSA", () => {
  const random = new Random("exchange");
  for (let i = 0; i < CASES / 3; i++) {
    same((core) => keygen(core, "P-256"), "keygen", random);
    const peer = multiply(stock, "P-256", scalar(random)).output;
    const key = scalar(random);
    for (const how of ["ecdh_shared", "psa_shared"] as const) {
      same((core) => agree(core, how, "P-256", key, peer), `${how} of ${key.toHex()} and ${peer.toHex()}`);
    }
    for (const how of ["ecdh", "psa"] as const) {
      same((core) => exchange(core, how, "P-256", peer), `${how} with ${peer.toHex()}`, random);
    }
  }
});

Deno.test("P-256: signatures are stock's to the byte, with k from RFC 6979 and from the generator", () => {
  const random = new Random("sign");
  for (let i = 0; i < CASES; i++) {
    const key = scalar(random);
    const digest = random.data(i % 7 === 0 ? random.below(66) : 32);
    const bits = random.pick([0, 224, 256, 384, 512] as const);
    same(
      (core) => sign(core, "P-256", key, digest, bits),
      `sign ${digest.toHex()} with ${key.toHex()}`,
      random,
    );
    same(
      (core) => signDer(core, "P-256", key, digest, 256),
      `sign ${digest.toHex()} with ${key.toHex()}`,
      random,
    );
  }
});

Deno.test("P-256: s = 0 takes another k", () => {
  const random = new Random("s = 0");
  const [d, k] = [toNumber(scalar(random)), toNumber(scalar(random))];
  const r = xOf(k) % N;
  const digest = bytes(modN(-r * d));
  const next = scalar(random);
  // The first 32 bytes are k; all others are `next`, whether they serve as the next k or as a blind.
  const answers = [kernel, stock].map((core) => {
    let first = true;
    core.random = (out) => {
      out.set(first ? bytes(k) : next);
      first = false;
    };
    return sign(core, "P-256", bytes(d), digest, 0);
  });
  assertEquals(answers[0], answers[1]);
  assertEquals(toNumber(answers[0]!.output.subarray(0, 32)), xOf(toNumber(next)) % N);
});

Deno.test("P-256: a generator that fails or is stuck is reported as stock does", () => {
  const key = bytes(5n);
  for (const value of [0x00, 0xff]) {
    for (const core of [kernel, stock]) core.random = (out) => out.fill(value);
    both((core) => keygen(core, "P-256").code, `keygen from ${value}`);
    both((core) => multiply(core, "P-256", key).code, `5 G blinded by ${value}`);
    both((core) => sign(core, "P-256", key, new Uint8Array(32), 0).code, `sign with ${value}`);
    both((core) => sign(core, "P-256", key, new Uint8Array(32), 256).code, `sign blinded by ${value}`);
  }
});

Deno.test("P-256: nothing comes out where randomness fails, at first or later", () => {
  const ENTROPY_FAILED = -0x3c;
  const random = new Random("no randomness");
  stock.random = streamOf("");
  const [key, digest, [peer]] = [scalar(random), random.bytes(32), pointsOf(random, 0)];
  const operations: [name: string, draws: number, ask: (core: Harness) => { code: number; output: Bytes }][] =
    [
      ["keygen", 2, (core) => keygen(core, "P-256")],
      ["k G", 1, (core) => multiply(core, "P-256", key)],
      ["k P", 1, (core) => multiply(core, "P-256", key, peer)],
      ["sign with a random k", 2, (core) => sign(core, "P-256", key, digest, 0)],
      ["sign with a k of RFC 6979", 1, (core) => sign(core, "P-256", key, digest, 256)],
      ["ECDH", 1, (core) => agree(core, "ecdh_shared", "P-256", key, peer!)],
    ];
  for (const [name, draws, ask] of operations) {
    for (let good = 0; good < draws; good++) {
      for (const core of [kernel, stock]) {
        const stream = streamOf("good");
        let left = good;
        core.random = (out) => {
          if (left-- === 0) throw new NoRandomness();
          stream(out);
        };
      }
      const { code, output } = both(ask, `${name} after ${good}`);
      assertEquals([code, output.length], [ENTROPY_FAILED, 0], `${name} after ${good}`);
    }
  }
});

Deno.test("P-256: without a source of randomness for blinding neither k G nor a signature is made", () => {
  const BAD_INPUT = -0x4f80; // MBEDTLS_ERR_ECP_BAD_INPUT_DATA
  assertEquals(both((core) => multiplyUnblinded(core, "P-256", bytes(5n)), "5 G"), BAD_INPUT);
  assertEquals(
    both((core) => signUnblinded(core, "P-256", bytes(5n), new Uint8Array(32)), "sign"),
    BAD_INPUT,
  );
});

Deno.test("P-256: signatures are accepted and refused as by stock, whole and with any part changed", () => {
  const random = new Random("verify");
  let [good, bad] = [0, 0];
  for (let i = 0; i < CASES; i++) {
    const key = scalar(random);
    const point = publicOf(stock, "P-256", key).output;
    const digest = random.data(i % 5 === 0 ? random.below(66) : 32);
    const signature = sign(stock, "P-256", key, digest, 256).output;
    const parts = { point, digest, r: signature.slice(0, 32), s: signature.slice(32) };
    const changed = structuredClone(parts);
    const part = random.pick(["point", "digest", "r", "s"] as const);
    if (changed[part].length > 0) changed[part][random.below(changed[part].length)]! ^= 1 << random.below(8);
    for (const each of [parts, changed]) {
      const code = same((core) => verify(core, "P-256", each), `verify ${JSON.stringify(shown(each))}`);
      if (code === 0) good++;
      else bad++;
    }
    const der = signDer(stock, "P-256", key, digest, 256).output;
    same((core) => verifyDer(core, "P-256", { point, digest, signature: der }), "DER");
    if (random.oneIn(2)) der[random.below(der.length)]! ^= 1 << random.below(8);
    same((core) => verifyDer(core, "P-256", { point, digest, signature: der }), `DER ${der.toHex()}`);
  }
  assert(good >= CASES && bad >= CASES / 2, `${good} ${bad}`);
});

Deno.test("P-256: verification is right where its sum meets equal or opposite points, infinity, and the ends of r", () => {
  const random = new Random("forge");
  const check = (point: Bytes, digest: Bytes, r: bigint, s: bigint) => {
    const parts = { point, digest, r: bytes(r), s: bytes(s) };
    return same((core) => verify(core, "P-256", parts), `verify ${JSON.stringify(shown(parts))}`);
  };
  let accepted = 0;
  // Q = d G with small d and small u, v: u G + v Q passes through all that tables hold, and through infinity.
  for (const d of [1n, 2n, 3n, 15n, 16n, N - 1n, N - 2n, N - 3n, 2n ** 240n, N - 2n ** 252n]) {
    const point = multiply(stock, "P-256", bytes(d)).output;
    for (
      const u of [
        0n,
        1n,
        2n,
        3n,
        16n,
        N - 1n,
        N - 2n,
        d,
        modN(-d),
        modN(-2n * d),
        modN(-3n * d),
        scalarOf(random),
      ]
    ) {
      for (const v of [1n, 2n, 3n, 15n, N - 1n, N - 2n, scalarOf(random)]) {
        // u = e / s and v = r / s: for a chosen sum, r is its x.
        const k = modN(u + v * d);
        const r = k === 0n ? scalarOf(random) : xOf(k) % N;
        const s = modN(r * invert(modN(v), N));
        if (check(point, bytes(modN(u * s)), r, s) === 0) accepted++;
        check(point, bytes(modN(u * s + 1n)), r, s);
      }
    }
  }
  assert(accepted > 700, `${accepted}`);
  const point = publicOf(stock, "P-256", RFC_KEY).output;
  const ends = [0n, 1n, 2n, N - 1n, N, N + 1n, P - N - 1n, P - N, P - N + 1n, P - 1n, P, 2n ** 256n - 1n];
  for (const r of ends) for (const s of ends) check(point, random.bytes(32), r, s);
});

Deno.test("P-256: a signature whose point has x between n and p is accepted", () => {
  // x = r + n: find the first such x on the curve, and choose Q = (s R - e G) / r.
  const random = new Random("x above n");
  let x = N + 1n;
  while (rootOf(x) === undefined) x++;
  const r = x - N, R = uncompressed(x, rootOf(x)!);
  assertEquals(checkPoint(stock, "P-256", R), 0);
  for (let i = 0; i < 4; i++) {
    const s = scalarOf(random);
    // With e = 0: s R = r Q.
    const point = multiply(stock, "P-256", bytes(modN(s * invert(modN(r), N))), R).output;
    const parts = { point, digest: new Uint8Array(32), r: bytes(r), s: bytes(s) };
    assertEquals(same((core) => verify(core, "P-256", parts), "x above n"), 0);
    const other = { ...parts, r: bytes(r + 1n) };
    assert(same((core) => verify(core, "P-256", other), "x above n, changed") !== 0);
  }
});

Deno.test("P-256: no secret is left in memory, in limbs or words either", () => {
  const random = new Random("wipe");
  for (let i = 0; i < 5; i++) {
    const [d, k, blind] = [
      random.bytes(32).fill(1, 0, 1),
      random.bytes(32).fill(2, 0, 1),
      random.bytes(32).fill(3, 0, 1),
    ];
    const peer = multiply(kernel, "P-256", scalar(random)).output;
    const secrets = {
      d,
      k,
      blind,
      "-d": bytes(N - toNumber(d)),
      "-k": bytes(N - toNumber(k)),
      "1/k": bytes(invert(toNumber(k), N)),
    };
    const forget = (what: string) => {
      for (const [name, secret] of Object.entries(secrets)) {
        for (const form of [secret, limbsOf(secret)]) {
          assert(!kernel.holds(form), `${what} leaves ${name}`);
        }
      }
    };
    kernel.random = streamOf("", Uint8Array.of(...k, ...blind));
    sign(kernel, "P-256", d, random.bytes(32), 0);
    forget("sign");
    kernel.random = streamOf("", blind);
    const shared = agree(kernel, "ecdh_shared", "P-256", d, peer).output;
    forget("ecdh_shared");
    assert(!kernel.holds(shared) && !kernel.holds(limbsOf(shared)), "ecdh_shared leaves the secret");
    kernel.random = streamOf("", Uint8Array.of(...k, ...blind));
    keygen(kernel, "P-256");
    forget("keygen");
  }
});

/** The first 20 bytes of a number as the kernel holds it: limbs of 29 bits in 32. */
function limbsOf(secret: Uint8Array): Uint8Array {
  const limbs = Uint32Array.from(
    { length: 5 },
    (_, i) => Number(toNumber(secret) >> BigInt(29 * i) & 0x1fffffffn),
  );
  return new Uint8Array(limbs.buffer);
}

/** Asserts that both cores answer alike, from the same randomness. Returns the answer. */
function same<T>(ask: (core: Harness) => T, what: string, random?: Random): T {
  const seed = `${random?.uint32()}`;
  for (const core of [kernel, stock]) core.random = streamOf(seed);
  return both(ask, what);
}

function both<T>(ask: (core: Harness) => T, what: string): T {
  const [ours, theirs] = [ask(kernel), ask(stock)];
  assertEquals(ours, theirs, what);
  return ours;
}

/** Scalars in and out of range: powers of 2 and their neighbours, small ones, and those as near to n. */
function* edgeScalars(): Generator<bigint> {
  for (let i = -40n; i <= 40n; i++) yield* [2n ** 256n - 1n - 40n + i, N + i, modN(i)];
  for (let i = 3n; i < 256n; i++) yield* [2n ** i - 1n, 2n ** i, 2n ** i + 1n, N - 2n ** i];
  for (const width of [5n, 6n, 24n]) yield N / (2n ** width - 1n);
  yield* [N / 2n, N / 2n + 1n, P - N, P - 1n, P];
}

function badPoints(random: Random, good: Bytes): Bytes[] {
  const [x, y] = [toNumber(good.subarray(1, 33)), toNumber(good.subarray(33))];
  return [
    new Uint8Array(1),
    new Uint8Array(65).fill(4, 0, 1),
    uncompressed(x, y ^ 1n),
    uncompressed(x ^ 1n, y),
    uncompressed(P, y),
    uncompressed(x, P),
    uncompressed(2n ** 256n - 1n, 2n ** 256n - 1n),
    uncompressed(0n, rootOf(0n)! + P < 2n ** 256n ? rootOf(0n)! + P : rootOf(0n)!),
    uncompressed(5n + P, rootOf(5n)!),
    uncompressed(x, P - y),
    uncompressed(0n, rootOf(0n)!),
    good.slice(0, 64),
    good.slice(0, 33).fill(2 + Number(y & 1n), 0, 1),
    ...Array.from({ length: 20 }, () => {
      const point = good.slice();
      point[random.below(65)]! ^= 1 << random.below(8);
      return point;
    }),
  ];
}

/** Points on the curve: the generator, its opposite, some more. */
function pointsOf(random: Random, count: number): Bytes[] {
  const scalars = [2n, N - 2n, ...Array.from({ length: count }, () => scalarOf(random))];
  const base = multiply(stock, "P-256", bytes(1n)).output;
  const opposite = uncompressed(toNumber(base.subarray(1, 33)), P - toNumber(base.subarray(33)));
  return [base, opposite, ...scalars.map((k) => multiply(stock, "P-256", bytes(k)).output)];
}

/** Below n and not 0: mostly random, else runs of zeros and ones. */
function scalarOf(random: Random): bigint {
  return modN(toNumber(random.data(32)) - 1n) || 1n;
}

function scalar(random: Random): Bytes {
  return bytes(scalarOf(random));
}

function xOf(k: bigint): bigint {
  return toNumber(multiply(stock, "P-256", bytes(k)).output.subarray(1, 33));
}

function shown(parts: Record<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.toHex()]));
}
