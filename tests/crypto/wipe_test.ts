// What operations leave in a core's memory, heap and stack: none of their secrets as bytes, whichever end comes first.
// (A kernel that holds numbers in limbs of its own width must wipe those, too: no search finds them.)
import { assert, assertEquals } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { encodeText } from "../../lib/bytes.ts";
import { bytesFrom } from "../pair.ts";
import { type Cipher, open, seal, stream } from "./aead.ts";
import { agree, exchange, multiply, sign } from "./asymmetric.ts";
import { type Harness, loadHarnesses, NoRandomness, streamOf } from "./harness.ts";
import { hex, invert, pkcs1, rsaNumbers, toBytes } from "./numbers.ts";
import { RsaKey } from "./rsa.ts";
import { RSA_KEYS } from "./rsa_keys.ts";
import { aesCbc, aesEcb, chacha20, hash, hkdf, hkdfLabel, hmac, poly1305 } from "./symmetric.ts";
import { KERNEL_HARNESSES, testEach } from "./each_core.ts";
import { ECDH, ECDSA } from "./vectors_asymmetric.ts";

/** Names of the secrets that are still there. */
function left(harness: Harness, secrets: Record<string, Uint8Array>): string[] {
  return Object.entries(secrets).filter(([, bytes]) => harness.holds(bytes)).map(([name]) => name);
}

/** AES of one block, by OpenSSL. */
function aes(key: Uint8Array, block: Uint8Array): Uint8Array {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null);
  const out = new Uint8Array(cipher.setAutoPadding(false).update(block));
  cipher.final(); // frees it
  return out;
}

/** The first round keys that are not the key itself (FIPS 197 section 5.2), for AES-256. */
function secondKeys(key: Uint8Array): Uint8Array {
  const words = (at: number) => key.subarray(4 * at, 4 * at + 4);
  const last = words(7);
  const rotated = Uint8Array.of(last[1]!, last[2]!, last[3]!, last[0]!);
  const box = (byte: number) => SBOX[byte]!;
  const first = rotated.map((byte, i) => box(byte) ^ words(0)[i]! ^ (i === 0 ? 1 : 0));
  const out = new Uint8Array(16);
  let previous: Uint8Array = first;
  for (let i = 0; i < 4; i++) {
    if (i > 0) previous = words(i).map((byte, j) => byte ^ previous[j]!);
    out.set(previous, 4 * i);
  }
  return out;
}

/** FIPS 197's S-box, by its definition: the inverse in GF(2^8), then an affine map. */
const SBOX = Uint8Array.from({ length: 256 }, (_, byte) => {
  const multiply = (a: number, b: number) => {
    let product = 0;
    for (; b > 0; b >>= 1, a = a << 1 ^ (a & 0x80 ? 0x11b : 0)) if (b & 1) product ^= a;
    return product;
  };
  let inverse = 1;
  for (let i = 0; i < 254; i++) inverse = multiply(inverse, byte);
  const turned = (by: number) => inverse << by | inverse >> (8 - by);
  return (inverse ^ turned(1) ^ turned(2) ^ turned(3) ^ turned(4) ^ 0x63) & 0xff;
});

Deno.test("the S-box of this test is that of FIPS 197", () => {
  assertEquals([SBOX[0], SBOX[1], SBOX[0x53], SBOX[255]], [0x63, 0x7c, 0xed, 0x16]);
});

testEach("the search finds what is there", (harness) => {
  const mark = bytesFrom(99, 32);
  const at = harness.call.core_alloc(32);
  harness.memory.set(mark, at);
  assert(harness.holds(mark) && harness.holds(mark.toReversed()));
  harness.call.core_free(at);
  assert(!harness.holds(mark));
});

for (const cipher of ["gcm", "ccm", "chachapoly"] as const satisfies Cipher[]) {
  testEach(`${cipher}: keys, what is made of them, and plaintext are gone`, (harness) => {
    for (const [seed, size] of [[1, 40], [2, 1000], [3, 16384]] as const) {
      const message = {
        key: bytesFrom(10 * seed, 32),
        iv: bytesFrom(10 * seed + 1, 12),
        aad: bytesFrom(10 * seed + 2, 5),
        input: bytesFrom(10 * seed + 3, size),
      };
      const sealed = seal(harness, cipher, message, 16, { overlap: 0 });
      open(harness, cipher, { ...message, input: sealed.output }, sealed.tag);
      if (cipher !== "ccm") stream(harness, cipher, "encrypt", message, 16, { cuts: [5, 100] });
      const zeros = new Uint8Array(64);
      const block =
        chacha20(harness, { key: message.key, nonce: message.iv, counter: 0, input: zeros }).output;
      const secrets = {
        key: message.key,
        plaintext: message.input.subarray(0, 32),
        "end of plaintext": message.input.subarray(-16),
        "round keys": secondKeys(message.key),
        "GHASH key": aes(message.key, zeros.subarray(0, 16)),
        "key stream": block.subarray(32),
        "Poly1305 s": block.subarray(16, 32),
      };
      assertEquals(left(harness, secrets), [], `${size} bytes`);
    }
  });
}

/** What calls leave in memory, as a copy. */
function remainsOf(harness: Harness, calls: () => void): Uint8Array[] {
  calls();
  return harness.remains.map((part) => part.slice());
}

// The search above knows bytes as they are; kernels hold them transposed, in digits, in tables of multiples. CCM and HMAC
// are not here: mbedTLS's own code for them leaves the right tag of a forgery and an inner hash on the stack.
for (const harness of KERNEL_HARNESSES) {
  const secrets = (seed: number, size: number) => ({
    key: bytesFrom(seed, 32),
    input: bytesFrom(seed + 1, size),
  });
  const [iv, aad] = [bytesFrom(1, 12), bytesFrom(2, 5)];
  const operations: Record<string, (secret: ReturnType<typeof secrets>) => void> = {
    "AES-CBC": ({ key, input }) => {
      const parts = { key, iv: bytesFrom(3, 16), input: input.subarray(0, input.length & ~15) };
      for (const direction of ["encrypt", "decrypt"] as const) aesCbc(harness, direction, parts);
    },
    "ChaCha20": ({ key, input }) => void chacha20(harness, { key, nonce: iv, counter: 1, input }),
    "Poly1305": ({ key, input }) => void poly1305(harness, key, input),
  };
  for (const cipher of ["gcm", "chachapoly"] as const) {
    operations[cipher] = (secret) => {
      const { output, tag } = seal(harness, cipher, { ...secret, iv, aad }, 16, { overlap: 0 });
      open(harness, cipher, { ...secret, iv, aad, input: output }, tag);
      open(harness, cipher, { ...secret, iv, aad, input: output }, tag.with(0, tag[0]! ^ 1));
      for (const direction of ["encrypt", "decrypt"] as const) {
        stream(harness, cipher, direction, { ...secret, iv, aad }, 16, { cuts: [5, 100] });
      }
    };
  }
  for (const [name, operation] of Object.entries(operations)) {
    Deno.test(`${name}: memory is the same afterwards, whatever the key and the plaintext were (${harness.core})`, () => {
      for (const size of [40, 1000, 16384]) {
        const [first, second] = [10, 20].map((seed) =>
          remainsOf(harness, () => operation(secrets(seed, size)))
        ) as [Uint8Array[], Uint8Array[]];
        first.forEach((part, i) => {
          const at = part.findIndex((byte, at) => byte !== second[i]![at]);
          assertEquals(at, -1, `${size} bytes: it differs at ${at} of part ${i}`);
        });
      }
    });
  }
}

testEach("AES: only mbedTLS's own code has tables that a secret indexes in memory", (harness) => {
  const message = {
    key: bytesFrom(1, 32),
    iv: bytesFrom(2, 12),
    aad: bytesFrom(3, 5),
    input: bytesFrom(4, 64),
  };
  for (const cipher of ["gcm", "ccm"] as const) seal(harness, cipher, message, 16);
  for (const direction of ["encrypt", "decrypt"] as const) {
    aesCbc(harness, direction, { ...message, iv: bytesFrom(2, 16) });
  }
  const inverse = Uint8Array.from({ length: 256 }, (_, byte) => SBOX.indexOf(byte));
  const [zero, one] = [0x63, 0x7c]; // S(0), S(1); T has 2 S, S, S, 3 S
  const tables = {
    S: SBOX.subarray(0, 16),
    "inverse S": inverse.subarray(0, 16),
    T: Uint8Array.of(0xc6, zero, zero, 0xa5, 0xf8, one, one, 0x84),
    "reduction of GHASH": Uint8Array.of(0, 0, 0x20, 0x1c, 0x40, 0x38, 0x60, 0x24),
  };
  assertEquals(left(harness, tables), harness.core === "stock" ? Object.keys(tables) : []);
});

testEach("AES, ChaCha20, Poly1305, HMAC, HKDF and SHA-2: keys and inputs are gone", (harness) => {
  const [key, iv, input] = [bytesFrom(1, 32), bytesFrom(2, 16), bytesFrom(3, 512)];
  for (const direction of ["encrypt", "decrypt"] as const) {
    aesEcb(harness, direction, key, input);
    aesCbc(harness, direction, { key, iv, input });
  }
  chacha20(harness, { key, nonce: iv.subarray(4), counter: 1, input });
  poly1305(harness, key, input);
  hmac(harness, 256, key, input);
  hkdf(harness, 384, { ikm: key, salt: iv, info: iv, length: 64 });
  for (const bits of [256, 512] as const) hash(harness, bits, input.subarray(0, 300));
  const [inner, outer] = [0x36, 0x5c].map((pad) => key.map((byte) => byte ^ pad));
  const block = input.subarray(256, 288); // the last, partial one
  const secrets = { key, "round keys": secondKeys(key), inner: inner!, outer: outer!, block };
  assertEquals(left(harness, secrets), []);
});

testEach("P-256 and X25519: private keys, nonces and shared secrets are gone", (harness) => {
  const { key } = ECDSA["P-256"];
  const digest = hash(harness, 256, encodeText("sample")).output;
  const k = hex("a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60"); // RFC 6979 appendix A.2.5
  sign(harness, "P-256", hex(key), digest, 256);
  multiply(harness, "P-256", hex(ECDH.keys[0]));
  for (const how of ["ecdh_shared", "psa_shared"] as const) {
    agree(harness, how, "P-256", hex(ECDH.keys[0]), hex(ECDH.points[1]));
  }
  const secrets = { key: hex(key), k, "ECDH key": hex(ECDH.keys[0]), shared: hex(ECDH.secret) };
  assertEquals(left(harness, secrets), []);

  const [scalar, peer] = [bytesFrom(7, 32), bytesFrom(8, 32)];
  const clamped = scalar.with(0, scalar[0]! & 0xf8).with(31, scalar[31]! & 0x7f | 0x40);
  for (const how of ["ecdh_shared", "psa_shared"] as const) {
    const shared = agree(harness, how, "X25519", scalar, peer).output;
    assertEquals(left(harness, { scalar, clamped, shared }), [], how);
  }
  for (
    const [how, curve, point] of [["ecdh", "P-256", hex(ECDH.points[1])], ["psa", "X25519", peer]] as const
  ) {
    assertEquals(left(harness, { shared: exchange(harness, how, curve, point).output }), [], curve);
  }
});

// A search for bytes finds no number in limbs of another width, and no half-done result. But two cores that have done the
// same with different secrets then have the same memory. (mbedTLS's own multiplication leaves all bits of the scalar.)
for (const core of ["test", "test.simd"] as const) {
  Deno.test(`P-256 and X25519: memory does not tell one secret from another (${core})`, async () => {
    const [peer, u] = [hex(ECDH.points[1]), bytesFrom(8, 32)];
    const clamp = (k: Uint8Array) => k.with(0, k[0]! & 0xf8).with(31, k[31]! & 0x7f | 0x40);
    const operations: Record<string, (harness: Harness, key: Uint8Array) => { code: number }> = {
      "P-256 k G": (harness, key) => multiply(harness, "P-256", key),
      "P-256 k P": (harness, key) => multiply(harness, "P-256", key, peer),
      "P-256 ECDH": (harness, key) => agree(harness, "ecdh_shared", "P-256", key, peer),
      "P-256 ECDSA": (harness, key) => sign(harness, "P-256", key, bytesFrom(9, 32), 0),
      "X25519": (harness, key) => multiply(harness, "X25519", clamp(key), u),
      "X25519 ECDH": (harness, key) => agree(harness, "ecdh_shared", "X25519", key, u),
    };
    for (const [name, run] of Object.entries(operations)) {
      const [first, second] = await loadHarnesses(core, core);
      for (const [harness, seed] of [[first, 20], [second, 21]] as const) {
        assert(run(harness, bytesFrom(seed, 32).with(0, 1)).code >= 0, name);
      }
      assertEquals(first.differences(second), [], name);
    }
  });
}

for (const core of ["test", "test.simd"] as const) {
  Deno.test(`RSA: memory does not tell one key, message or fault from another (${core})`, async () => {
    const [mine, other] = ["2048", "2048 again"].map((name) =>
      rsaNumbers(RSA_KEYS.find((key) => key.name === name)!)
    ) as [ReturnType<typeof rsaNumbers>, ReturnType<typeof rsaNumbers>];
    const wrong = { ...mine, dq: mine.dq ^ 4n };
    const [low, high] = [0, 0xff].map((top) => bytesFrom(5, 256).with(0, top)) as [Uint8Array, Uint8Array];
    const pairs: Record<string, [key: typeof mine, message: Uint8Array, draws: number][]> = {
      keys: [[mine, low, Infinity], [other, low, Infinity]],
      messages: [[mine, low, Infinity], [mine, bytesFrom(6, 256).with(0, 0), Infinity]],
      "messages that are refused": [[mine, high, Infinity], [mine, high.with(1, 1), Infinity]],
      "messages whose result is wrong": [[wrong, low, Infinity], [wrong, low.with(1, 1), Infinity]],
      "keys, without randomness": [[mine, low, 1], [other, low, 1]], // the first draw is Vf
    };
    for (const [name, sides] of Object.entries(pairs)) {
      const harnesses = await loadHarnesses(core, core);
      const codes = harnesses.map((harness, i) => {
        const [numbers, message, draws] = sides[i]!;
        harness.random = streamOf("");
        using key = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
        const stream = streamOf("");
        let drawn = 0;
        harness.random = (bytes) => {
          if (drawn++ >= draws) throw new NoRandomness();
          stream(bytes);
        };
        return (["private", "public", "private"] as const).map((kind) => key.raw(kind, message).code);
      });
      assertEquals(codes[0], codes[1], name);
      assertEquals(harnesses[0].differences(harnesses[1]), [], name);
    }
  });
}

for (const core of ["test", "test.simd"] as const) {
  Deno.test(`RSA in steps: memory does not tell one key, message or fault from another (${core})`, async () => {
    const mine = rsaNumbers(RSA_KEYS.find(({ name }) => name === "4096")!);
    const { p, q, dp, dq } = mine;
    const other = { ...mine, p: q, q: p, dp: dq, dq: dp, qp: invert(p, q) };
    const wrong = { ...mine, dq: dq ^ 4n };
    const [low, high] = [0, 0xff].map((top) => bytesFrom(5, 512).with(0, top)) as [Uint8Array, Uint8Array];
    const pairs: Record<string, [key: typeof mine, message: Uint8Array, draws: number][]> = {
      keys: [[mine, low, Infinity], [other, low, Infinity]],
      messages: [[mine, low, Infinity], [mine, bytesFrom(6, 512).with(0, 0), Infinity]],
      "messages that are refused": [[mine, high, Infinity], [mine, high.with(1, 1), Infinity]],
      "messages whose result is wrong": [[wrong, low, Infinity], [wrong, low.with(1, 1), Infinity]],
      "keys, without randomness": [[mine, low, 2], [other, low, 2]], // for the second exponent
    };
    for (const most of [1, 4, Infinity]) { // given up while the key is cold, while it is warm, and not
      for (const [name, sides] of Object.entries(pairs)) {
        const harnesses = await loadHarnesses(core, core);
        const codes = harnesses.map((harness, i) => {
          const [numbers, message, draws] = sides[i]!;
          harness.random = streamOf("");
          using key = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
          const stream = streamOf("");
          let drawn = 0;
          harness.random = (bytes) => {
            if (drawn++ >= draws) throw new NoRandomness();
            stream(bytes);
          };
          return [1, 2].map(() => key.inSteps(message, most).code);
        });
        assertEquals(codes[0], codes[1], name);
        assertEquals(harnesses[0].differences(harnesses[1]), [], `${name}, ${most} steps`);
      }
    }
  });
}

testEach("HKDF-Expand-Label: memory does not tell one secret from another", async ({ core }) => {
  for (const bits of [256, 384] as const) {
    const harnesses = await loadHarnesses(core, core);
    harnesses.forEach((harness, i) => {
      const secret = bytesFrom(20 + i, bits / 8);
      const parts = { secret, label: encodeText("key"), context: bytesFrom(22 + i, bits / 8), length: 16 };
      assertEquals(hkdfLabel(harness, bits, parts).code, 0);
    });
    assertEquals(harnesses[0].differences(harnesses[1]), [], `SHA-${bits}`);
  }
});

testEach("RSA: the private numbers are gone", (harness) => {
  const names = ["1024", "2048", "3072", "4096", "2048 with primes of 1100 and 948 bits"];
  for (const parts of RSA_KEYS.filter(({ name }) => names.includes(name))) {
    const numbers = rsaNumbers(parts);
    const message = bytesFrom(5, Math.ceil(numbers.n.toString(16).length / 2)).with(0, 0);
    const { d, p, q, dp, dq, qp } = numbers;
    const secrets = Object.fromEntries(
      Object.entries({ d, p, q, dp, dq, qp }).map(([name, number]) => [name, toBytes(number)]),
    );
    // As the kernel has them: digits of 51 bits in doubles, so that one alone is found.
    for (const [name, number] of Object.entries({ p, q, qp })) {
      for (const at of [0n, 7n]) {
        const digit = Number(number >> 51n * at & (1n << 51n) - 1n);
        secrets[`digit ${at} of ${name}`] = new Uint8Array(Float64Array.of(digit).buffer);
      }
    }
    {
      using key = RsaKey.parse(harness, "private", pkcs1(numbers)) as RsaKey;
      assert(harness.holds(secrets.p!), "the search finds what is there");
      const { output } = key.raw("private", message);
      assertEquals(output.length, message.length);
      const digest = bytesFrom(6, 32);
      key.sign({ pss: false, bits: 256 }, digest);
    }
    assertEquals(left(harness, secrets), [], parts.name);
  }
});
