/** RSA's private operation in steps, by our kernel and by mbedTLS's integers: the same answers, and nothing left behind. */
import { assert, assertEquals } from "@std/assert";
import { KERNEL_HARNESSES } from "./each_core.ts";
import { type Harness, NoRandomness, streamOf } from "./harness.ts";
import { pkcs1, rsaNumbers, toBytes, toNumber } from "./numbers.ts";
import { Random } from "./random.ts";
import { RsaKey } from "./rsa.ts";
import { type KeyParts, RSA_KEYS } from "./rsa_keys.ts";

const UNAVAILABLE = -0x3980; // MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE: the operation is too short for steps

function load(harness: Harness, parts: KeyParts): RsaKey {
  return RsaKey.parse(harness, "private", pkcs1(rsaNumbers(parts))) as RsaKey;
}

const named = (name: string) => RSA_KEYS.find((key) => key.name === name)!;

/** Steps of a key's first operation, by which it makes the numbers that blind. */
const COLD = 3;
/** Steps of a key: those of the kernel, and those of integers. At most so many windows are in one, whatever the key. */
const STEPS: Record<string, { test: number; "test.simd": number }> = {
  "2048": { test: 0, "test.simd": 6 },
  "3072": { test: 2, "test.simd": 12 },
  "4096": { test: 3, "test.simd": 22 },
};

for (const harness of KERNEL_HARNESSES) {
  for (const parts of RSA_KEYS) {
    Deno.test(`RSA in steps: a key of ${parts.name} gives what it gives at once (${harness.core})`, () => {
      using key = load(harness, parts);
      const random = new Random("steps");
      const { n } = rsaNumbers(parts);
      const messages = [
        0n,
        1n,
        n - 1n,
        ...Array.from({ length: 3 }, () => toNumber(random.bytes(key.size)) % n),
      ];
      for (const [i, message] of messages.entries()) {
        const input = toBytes(message, key.size);
        const { code, output } = key.inSteps(input);
        if (code === UNAVAILABLE) {
          assert(key.size < 3072 / 8 && (key.size < 2048 / 8 || harness.core === "test"), `${key.size}`);
          continue;
        }
        const steps = STEPS[parts.name]?.[harness.core as "test" | "test.simd"];
        if (steps !== undefined) assertEquals(code, i === 0 ? COLD + steps : steps);
        assert(code > 1);
        assertEquals(output, key.raw("private", input).output);
      }
      assert(key.inSteps(toBytes(n, key.size)).code < 0, "a message that is not below the modulus");
    });
  }

  Deno.test(`RSA in steps: one that is given up after any step leaves nothing (${harness.core})`, () => {
    using key = load(harness, named("3072"));
    const input = new Uint8Array(key.size).fill(7);
    const expected = key.raw("private", input).output;
    const steps = key.inSteps(input).code;
    const before = harness.allocated;
    for (let most = 0; most < steps; most++) {
      assertEquals(key.inSteps(input, most).code, 0);
      assertEquals(harness.allocated, before, `after ${most} steps`);
      assertEquals(key.raw("private", input).output, expected, "the key signs as before");
      assertEquals(harness.allocated, before);
    }
  });

  Deno.test(`RSA in steps: a key whose first operation is given up signs as any other (${harness.core})`, () => {
    const input = new Uint8Array(3072 / 8).fill(5);
    using other = load(harness, named("3072"));
    const expected = other.raw("private", input).output;
    for (let most = 0; most <= COLD + 1; most++) {
      const before = harness.allocated;
      {
        using key = load(harness, named("3072"));
        assertEquals(key.inSteps(input, most).code, 0);
        assertEquals(key.raw("private", input).output, expected);
        assertEquals(key.inSteps(input).output, expected);
      }
      assertEquals(harness.allocated, before);
    }
  });

  Deno.test(`RSA in steps: each operation is blinded, and fails without randomness (${harness.core})`, () => {
    const asked: number[] = [];
    const stream = streamOf("steps");
    harness.random = (bytes) => {
      asked.push(bytes.length);
      stream(bytes);
    };
    using key = load(harness, named("4096"));
    const input = new Uint8Array(key.size).fill(9);
    asked.length = 0;
    const first = key.inSteps(input);
    assertEquals(asked.filter((length) => length === 28).length, 2, "one for each exponent");
    assert(asked.length > 2, "and one for the message");
    asked.length = 0;
    const second = key.inSteps(input);
    assertEquals([second.code, second.output], [first.code - COLD, first.output]);
    assertEquals(asked, [28, 28]);

    const before = harness.allocated;
    for (let fails = 0; fails < 2; fails++) {
      let left = fails;
      harness.random = (bytes) => {
        if (left-- === 0) throw new NoRandomness();
        stream(bytes);
      };
      assert(key.inSteps(input).code < 0);
      assertEquals(harness.allocated, before);
    }
    harness.random = stream;
    assertEquals(key.inSteps(input), second);
  });

  Deno.test(`RSA in steps: a result that is wrong for one prime is not given (${harness.core})`, () => {
    const numbers = rsaNumbers(named("3072"));
    for (const wrong of [{ dp: numbers.dp ^ 2n }, { dq: numbers.dq ^ 2n }, { qp: numbers.qp ^ 4n }]) {
      const key = RsaKey.parse(harness, "private", pkcs1({ ...numbers, ...wrong }));
      if (typeof key === "number") throw new Error(`The key is refused: ${key}`);
      using _ = key;
      const input = new Uint8Array(key.size).fill(3);
      const { code, output } = key.inSteps(input);
      assertEquals([code, output.length], [-0x4380, 0]); // MBEDTLS_ERR_RSA_VERIFY_FAILED
    }
  });
}
