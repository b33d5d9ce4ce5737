// Published answers of elliptic curves and RSA, on every core.
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeText } from "../../lib/bytes.ts";
import { agree, checkPoint, exchange, keygen, multiply, multiplyAdd, publicOf } from "./asymmetric.ts";
import { COORDINATE, sign, signDer, verify, verifyDer } from "./asymmetric.ts";
import { decode, encode, multiple, negative, type NistCurve, PARAMETERS } from "./curve_reference.ts";
import { NoRandomness, streamOf } from "./harness.ts";
import { hex, invert, pkcs1, power, rsaNumbers, spki, toBytes, toNumber } from "./numbers.ts";
import { isPrime, modExp, RsaKey } from "./rsa.ts";
import { RSA_KEYS } from "./rsa_keys.ts";
import { hash } from "./symmetric.ts";
import { testEach } from "./each_core.ts";
import { ECDH, ECDSA, RSA, X25519, X25519_ITERATED } from "./vectors_asymmetric.ts";

const NIST = Object.keys(PARAMETERS) as NistCurve[];

for (const curve of NIST) {
  const { key: k, point: p, signatures } = ECDSA[curve];
  const [key, point] = [hex(k), hex(p)];

  testEach(`ECDSA ${curve}: RFC 6979 signs, and only that verifies`, (harness) => {
    assertEquals(publicOf(harness, curve, key), { code: point.length, output: point });
    for (const { text, bits, r, s } of signatures) {
      const digest = hash(harness, bits, encodeText(text)).output;
      assertEquals(sign(harness, curve, key, digest, bits), { code: 0, output: hex(r + s) });
      const parts = { point, digest, r: hex(r), s: hex(s) };
      assertEquals(verify(harness, curve, parts), 0);
      for (const name of ["digest", "r", "s"] as const) {
        const wrong = { ...parts, [name]: parts[name].with(0, parts[name][0]! ^ 1) };
        assert(verify(harness, curve, wrong) < 0, name);
      }
      if (bits === 224) continue;
      const der = signDer(harness, curve, key, digest, bits).output;
      assertEquals(verifyDer(harness, curve, { point, digest, signature: der }), 0);
      assert(verifyDer(harness, curve, { point, digest, signature: der.with(-1, der.at(-1)! ^ 1) }) < 0);
    }
  });

  testEach(
    `ECDSA ${curve}: a random k comes from the generator, and is drawn again when s is 0`,
    (harness) => {
      const parameters = PARAMETERS[curve];
      const { n, g, size } = parameters;
      const k = 0x1234567890abcdefn;
      const r = multiple(parameters, k, g)!.x % n;
      // Both k and the digest are the leading bits of what is given (RFC 6979 section 2.3.2).
      const lead = (bits: bigint) => toBytes(bits << BigInt(8 * size - n.toString(2).length), size);
      const digest = (s: bigint) => lead(((s * k - r * toNumber(key)) % n + n) % n);

      harness.random = streamOf("blinding", lead(k));
      const known = sign(harness, curve, key, digest(5n), 0);
      assertEquals(known, { code: 0, output: Uint8Array.of(...toBytes(r, size), ...toBytes(5n, size)) });

      harness.random = streamOf("blinding", lead(k));
      const { code, output } = sign(harness, curve, key, digest(0n), 0);
      assertEquals(code, 0);
      assertNotEquals(toNumber(output.subarray(0, size)), r, "another k");
      const parts = { point, digest: digest(0n), r: output.subarray(0, size), s: output.subarray(size) };
      assertEquals(verify(harness, curve, parts), 0);
    },
  );

  testEach(`ECP ${curve}: multiples agree with the textbook`, (harness) => {
    const parameters = PARAMETERS[curve];
    const { n, g, size } = parameters;
    const Q = decode(parameters, point);
    for (const k of [1n, 2n, 3n, 15n, 16n, 17n, n - 1n, n - 2n, n / 2n, 2n ** 64n, toNumber(key)]) {
      for (const [P, bytes] of [[g, undefined], [g, encode(parameters, g)], [Q, point]] as const) {
        const expected = encode(parameters, multiple(parameters, k, P));
        const got = multiply(harness, curve, toBytes(k, size), bytes, k === 3n);
        assertEquals(got, { code: expected.length, output: expected }, `${k}`);
      }
    }
    for (const k of [0n, n, n + 1n]) {
      assert(multiply(harness, curve, toBytes(k, size)).code < 0, "a private key is from 1 to n - 1");
    }
  });

  testEach(`ECP ${curve}: sums of equal and of opposite points`, (harness) => {
    const parameters = PARAMETERS[curve];
    const Q = decode(parameters, point);
    const opposite = encode(parameters, negative(parameters, Q));
    const sum = (m: bigint, p: Uint8Array, n: bigint, q: Uint8Array) =>
      multiplyAdd(harness, curve, { m: toBytes(m), p, n: toBytes(n), q }).output;
    assertEquals(sum(1n, point, 1n, point), encode(parameters, multiple(parameters, 2n, Q)));
    assertEquals(sum(1n, point, 1n, opposite), Uint8Array.of(0));
    assertEquals(sum(7n, point, 7n, opposite), Uint8Array.of(0));
    assertEquals(sum(5n, point, 3n, opposite), encode(parameters, multiple(parameters, 2n, Q)));
    assertEquals(sum(2n, point, 3n, point), encode(parameters, multiple(parameters, 5n, Q)));
  });

  testEach(`ECP ${curve}: what is not on the curve is no public key`, (harness) => {
    const { p, size } = PARAMETERS[curve];
    const { x, y } = decode(PARAMETERS[curve], point)!;
    const key = (x: bigint, y: bigint) => Uint8Array.of(4, ...toBytes(x, size), ...toBytes(y, size));
    assertEquals(checkPoint(harness, curve, point), 0);
    const wrong = [[x, y + 1n], [x + 1n, y], [0n, 0n], [x, p], [p, y], [x, p - y - 1n]] as const;
    for (const bytes of [...wrong.map(([x, y]) => key(x, y)), Uint8Array.of(0)]) {
      assert(checkPoint(harness, curve, bytes) < 0);
      assert(multiply(harness, curve, toBytes(5n, size), bytes).code < 0);
      for (const how of ["ecdh_shared", "psa_shared"] as const) {
        assert(agree(harness, how, curve, toBytes(5n, size), bytes).code < 0, how);
      }
    }
  });
}

testEach("ECDH P-256: RFC 5903, by mbedTLS and by PSA", (harness) => {
  for (const how of ["ecdh_shared", "psa_shared"] as const) {
    for (const [mine, theirs] of [[0, 1], [1, 0]] as const) {
      const { output } = agree(harness, how, "P-256", hex(ECDH.keys[mine]), hex(ECDH.points[theirs]));
      assertEquals(output.toHex(), ECDH.secret);
    }
  }
});

testEach("ECDH: both sides of an exchange with new keys have the same secret", (harness) => {
  for (const curve of [...NIST, "X25519"] as const) {
    harness.random = streamOf("ours");
    const { scalar, output: point } = keygen(harness, curve);
    assertEquals(publicOf(harness, curve, scalar).output, point);
    assertEquals(scalar.length, COORDINATE[curve]);
    for (const how of ["ecdh", "psa"] as const) {
      const theirs = exchange(harness, how, curve, point);
      assertEquals(theirs.code, COORDINATE[curve]);
      assertEquals(agree(harness, "psa_shared", curve, scalar, theirs.point).output, theirs.output);
    }
  }
});

testEach("X25519: RFC 7748, and a thousand times over", (harness) => {
  for (const { scalar, u, output } of X25519) {
    for (const how of ["ecdh_shared", "psa_shared"] as const) {
      assertEquals(agree(harness, how, "X25519", hex(scalar), hex(u)).output.toHex(), output);
    }
  }
  let [k, u] = [hex("09" + "00".repeat(31)), hex("09" + "00".repeat(31))];
  for (let i = 1; i <= 1000; i++) {
    [k, u] = [agree(harness, "ecdh_shared", "X25519", k, u).output, k];
    if (i === 1) assertEquals(k.toHex(), X25519_ITERATED[1]);
  }
  assertEquals(k.toHex(), X25519_ITERATED[1000]);
});

testEach("X25519: a point of small order is refused, however it is written", (harness) => {
  const p = 2n ** 255n - 19n;
  // Bernstein, "Curve25519: new Diffie-Hellman speed records", section 3; the list of https://cr.yp.to/ecdh.html#validate.
  const order8 = [
    325606250916557431795983626356110631294008115727848805560023387167927233504n,
    39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  ];
  const key = hex(X25519[0]!.scalar);
  for (const reduced of [0n, 1n, ...order8, p - 1n]) {
    for (const u of [reduced, reduced + p].filter((u) => u < 2n ** 255n)) {
      for (const written of [u, u + 2n ** 255n]) {
        const point = toBytes(written, 32).reverse();
        for (const how of ["ecdh_shared", "psa_shared"] as const) {
          const { code, output } = agree(harness, how, "X25519", key, point);
          assert(code < 0 && output.length === 0, `${how} with ${written}`);
        }
        for (const how of ["ecdh", "psa"] as const) {
          assert(exchange(harness, how, "X25519", point).code < 0, `${how} with ${written}`);
        }
      }
    }
  }
});

testEach("X25519: a point's highest bit does not count, and the rest counts modulo p", (harness) => {
  const p = 2n ** 255n - 19n;
  const key = hex(X25519[0]!.scalar);
  for (const u of [2n, 3n, 9n, 18n, p - 2n]) {
    const written = [u, u + p, u + 2n ** 255n, u + p + 2n ** 255n];
    const ways = written.filter((w) => w < 2n ** 256n && w % 2n ** 255n % p === u);
    for (const how of ["ecdh_shared", "psa_shared"] as const) {
      const answers = ways.map((w) => agree(harness, how, "X25519", key, toBytes(w, 32).reverse()));
      for (const answer of answers) assertEquals(answer, { code: 32, output: answers[0]!.output }, `${u}`);
    }
  }
});

testEach("ECDH: no new key, no exchange where randomness fails", (harness) => {
  for (const curve of ["P-256", "X25519"] as const) {
    harness.random = streamOf("peer");
    const peer = keygen(harness, curve).output;
    harness.random = () => {
      throw new NoRandomness();
    };
    assert(keygen(harness, curve).code < 0, curve);
    for (const how of ["ecdh", "psa"] as const) {
      const { code, output } = exchange(harness, how, curve, peer);
      assert(code < 0 && output.length === 0, `${how} ${curve}`);
    }
    harness.random = streamOf("");
  }
});

function keyNamed(name: string) {
  return rsaNumbers(RSA_KEYS.find((key) => key.name === name)!);
}

testEach("RSA: what OpenSSL signed verifies, what it encrypted decrypts", (harness) => {
  using key = RsaKey.parse(harness, "private", pkcs1(keyNamed(RSA.key))) as RsaKey;
  using publicKey = RsaKey.parse(harness, "public", spki(keyNamed(RSA.key))) as RsaKey;
  for (const { signature, ...scheme } of RSA.signatures) {
    const digest = hash(harness, scheme.bits, encodeText(RSA.text)).output;
    assertEquals(publicKey.verify(scheme, digest, hex(signature)), 0);
    assert(publicKey.verify(scheme, digest.with(0, digest[0]! ^ 1), hex(signature)) < 0);
    assert(publicKey.verify(scheme, digest, hex(signature).with(5, 0)) < 0);
    const own = key.sign(scheme, digest);
    if (!scheme.pss) assertEquals(own.output.toHex(), signature);
    assertEquals(publicKey.verify(scheme, digest, own.output), 0);
  }
  assertEquals(key.decrypt(hex(RSA.encrypted)).output, encodeText(RSA.text));
  assertEquals(key.decrypt(publicKey.encrypt(encodeText("again")).output).output, encodeText("again"));
});

testEach("RSA: keys of every shape give the numbers and the powers that they should", (harness) => {
  for (const parts of RSA_KEYS) {
    const numbers = rsaNumbers(parts);
    const { n, e, d, p, q } = numbers;
    const size = Math.ceil(n.toString(16).length / 2);
    using parsed = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
    using imported = RsaKey.import(harness, { p: toBytes(p), q: toBytes(q), e: toBytes(e) }) as RsaKey;
    for (const key of [parsed, imported]) {
      for (const [name, number] of Object.entries(numbers)) {
        const { output } = key.number(name as keyof typeof numbers);
        assertEquals(toNumber(output), number, `${parts.name}: ${name}`);
      }
    }
    for (const m of [0n, 1n, 2n, n - 1n, p, q, n / 3n]) {
      const input = toBytes(m, size);
      assertEquals(toNumber(parsed.raw("public", input).output), power(m, e, n), parts.name);
      assertEquals(toNumber(imported.raw("private", input).output), power(m, d, n), parts.name);
    }
    for (const kind of ["public", "private"] as const) {
      assert(parsed.raw(kind, toBytes(n, size)).code < 0, "it must be below the modulus");
    }
  }
});

testEach("RSA: right where a sum's digits are as large as they get", (harness) => {
  // The kernel takes low R + high 2^bits R mod p, in signed digits of 51 bits. Here both have digits of -2^50 - 1, which
  // it can write so: some of the sum are below -2^51. Vf = 1 leaves the message as it is.
  for (const [name, second] of [["2048", 1n], ["3072", 1n], ["4096", 2n]] as const) {
    const numbers = keyNamed(name);
    const { n, p, d } = numbers;
    const size = n.toString(16).length / 2;
    const bits = BigInt(4 * size);
    const digits = (bits + 50n) / 51n;
    const all = (digit: bigint) => {
      let sum = 0n;
      for (let i = 0n; i < digits - 1n; i++) sum += digit << 51n * i;
      return p + sum;
    };
    const R = 2n ** (51n * (digits + 1n));
    const low = all(-(2n ** 50n) - 1n) * invert(R, p) % p;
    const high = all(-(2n ** 50n) - second) * invert(R << bits, p) % p;
    const message = (high << bits) + low;
    assert(message < n);
    using key = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
    harness.random = streamOf("", toBytes(1n, size));
    assertEquals(toNumber(key.raw("private", toBytes(message, size)).output), power(message, d, n), name);
    harness.random = streamOf("");
  }
});

testEach(
  "RSA: a public exponent of any length is taken as mbedTLS does, and refused from 8193 bits on",
  (harness) => {
    const { n } = keyNamed("2048");
    for (const bits of [2n, 2048n, 2049n, 8192n, 8193n, 20000n]) {
      const e = 2n ** (bits - 1n) + 1n;
      using key = RsaKey.import(harness, { n: toBytes(n), e: toBytes(e) }) as RsaKey;
      const { code, output } = key.raw("public", toBytes(7n, 256));
      if (bits > 8192n) assertEquals(code, -0x4284, `${bits} bits`);
      else assertEquals(toNumber(output), power(7n, e, n), `${bits} bits`);
    }
  },
);

testEach("RSA: what is wrong for one prime is not given out: it would tell the other", (harness) => {
  for (const name of ["1024", "2048", "3072", "4096"]) {
    const numbers = keyNamed(name);
    const input = toBytes(5n, Math.ceil(numbers.n.toString(16).length / 2));
    for (const part of ["dp", "dq", "qp"] as const) {
      const wrong = { ...numbers, [part]: numbers[part] ^ 4n };
      using key = RsaKey.parse(harness, "private", pkcs1(wrong)) as RsaKey;
      for (let time = 0; time < 2; time++) { // blinded by new numbers, and by those squared
        assertEquals(key.raw("private", input), { code: -0x4380, output: new Uint8Array() }, part);
      }
      assert(key.sign({ pss: false, bits: 256 }, new Uint8Array(32)).code < 0, part);
    }
  }
});

testEach("RSA: nothing comes out where randomness fails, at first or later", (harness) => {
  const numbers = keyNamed("2048");
  const input = toBytes(5n, 256);
  using key = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
  for (const time of ["first", "later"]) { // what blinds messages is drawn once, what blinds exponents each time
    for (const draws of [0, 1]) {
      const stream = streamOf(`${time} ${draws}`);
      let left = draws;
      harness.random = (bytes) => {
        if (left-- === 0) throw new NoRandomness();
        stream(bytes);
      };
      assertEquals(
        key.raw("private", input),
        { code: -0x433c, output: new Uint8Array() },
        `${time} ${draws}`,
      );
    }
    harness.random = streamOf(time);
    assertEquals(toNumber(key.raw("private", input).output), power(5n, numbers.d, numbers.n), time);
  }
  harness.random = streamOf("");
});

testEach("RSA: no two operations draw the same, and all give the same", (harness) => {
  using key = RsaKey.parse(harness, "private", pkcs1(keyNamed("2048"))) as RsaKey;
  const digest = new Uint8Array(32);
  harness.random = streamOf("first");
  const first = key.sign({ pss: false, bits: 256 }, digest);
  const drawn: number[] = [];
  for (const seed of ["second", "third"]) {
    const stream = streamOf(seed);
    harness.random = (bytes) => {
      drawn.push(bytes.length);
      stream(bytes);
    };
    assertEquals(key.sign({ pss: false, bits: 256 }, digest), first);
  }
  assertEquals(drawn, [28, 28, 28, 28], "two blinded exponents each");
  harness.random = streamOf("");
});

testEach("modular exponentiation and primes", (harness) => {
  const { n, p, d } = keyNamed("1024");
  for (const exponent of [0n, 1n, 2n, 3n, 65537n, d]) {
    for (const modulus of [1n, 3n, p, n, 2n ** 1024n - 1n]) {
      for (const base of [0n, 1n, modulus - 1n, modulus, n + 7n]) {
        const parts = { base: toBytes(base), exponent: toBytes(exponent), modulus: toBytes(modulus) };
        const { outputs } = modExp(harness, parts);
        assertEquals(outputs.map(toNumber), Array(2).fill(power(base, exponent, modulus)), `${exponent}`);
      }
    }
  }
  assertEquals(isPrime(harness, toBytes(p), 8), 0);
  assert(isPrime(harness, toBytes(n), 8) < 0);
});
