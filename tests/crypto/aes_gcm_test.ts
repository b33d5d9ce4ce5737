// What is special about our AES-GCM: its tables, its counters' groups of 16 and 256, and what it must not leave behind.
import { assert, assertEquals } from "@std/assert";
import { aesTables } from "../../wasm/crypto/aes_tables.ts";
import { type Message, open, seal, stream } from "./aead.ts";
import { HARNESSES, KERNEL_HARNESSES } from "./each_core.ts";
import type { Harness } from "./harness.ts";
import { toBytes, toNumber } from "./numbers.ts";
import { Random } from "./random.ts";
import { aesEcb } from "./symmetric.ts";

Deno.test("aes_tables.c is what aes_tables.ts derives", async () => {
  const file = new URL("../../wasm/crypto/aes_tables.c", import.meta.url);
  assertEquals(await Deno.readTextFile(file), aesTables());
});

/** The product of two blocks of GHASH as numbers: bit 127 is x^0. */
function multiply(x: bigint, y: bigint): bigint {
  let product = 0n;
  for (let bit = 127n; bit >= 0n; bit--) {
    if (x >> bit & 1n) product ^= y;
    y = y >> 1n ^ (y & 1n ? 0xe1n << 120n : 0n);
  }
  return product;
}

/** x^(2^128 - 2) */
function invert(x: bigint): bigint {
  let inverse = 1n << 127n;
  for (let power = multiply(x, x), i = 1; i < 128; i++, power = multiply(power, power)) {
    inverse = multiply(inverse, power);
  }
  return inverse;
}

const encrypted = (harness: Harness, key: Uint8Array, block: Uint8Array) =>
  aesEcb(harness, "encrypt", key, block).output;

/** The IV of 16 bytes that begins with the counter `first`: ((iv h) + 128) h = first. */
function ivFor(harness: Harness, key: Uint8Array, first: Uint8Array): Uint8Array {
  const inverse = invert(toNumber(encrypted(harness, key, new Uint8Array(16))));
  return toBytes(multiply(multiply(toNumber(first), inverse) ^ 128n, inverse), 16);
}

Deno.test("AES-GCM: counters begin anywhere, and wrap without touching the bytes above", () => {
  const random = new Random("counters");
  const [stock] = HARNESSES as [Harness];
  // Such an IV makes the counter a secret, for which there are no groups. From 0xfff5 on the count goes on to the next
  // byte, from 0xffffff00 on to 0.
  for (const low of [0, 1, 14, 15, 0xfd, 0xff, 0xfff5, 0xffffff00, 0xffffffee, 0xfffffffe, 0xffffffff]) {
    for (const length of [1, 40, 16 * 15, 16 * 40 + 5, 5000]) {
      const key = random.bytes(random.pick([16, 24, 32]));
      const first = random.bytes(16);
      new DataView(first.buffer).setUint32(12, low);
      const message: Message = {
        key,
        iv: ivFor(stock, key, first),
        aad: random.bytes(20),
        input: new Uint8Array(length),
      };
      const cuts = random.cuts(length);
      const wanted = seal(stock, "gcm", message, 16);
      new DataView(first.buffer).setUint32(12, low + 1);
      assertEquals(
        wanted.output.slice(0, 16),
        encrypted(stock, key, first).slice(0, length),
        "the IV is right",
      );
      for (const harness of KERNEL_HARNESSES) {
        assertEquals(seal(harness, "gcm", message, 16), wanted, `from ${low}, ${length} bytes`);
        const { output, tag } = stream(harness, "gcm", "encrypt", message, 16, { cuts });
        assertEquals([output, tag], [wanted.output, wanted.tag], `from ${low}, ${cuts}`);
        const sealed = { ...message, input: wanted.output };
        assertEquals(open(harness, "gcm", sealed, wanted.tag).output, message.input);
      }
    }
  }
});

Deno.test("AES-GCM: groups of counters begin anywhere in a message", () => {
  const random = new Random("groups");
  const [stock] = HARNESSES as [Harness];
  const message = {
    key: random.bytes(16),
    iv: random.bytes(12),
    aad: random.bytes(5),
    input: random.bytes(9000),
  };
  const wanted = seal(stock, "gcm", message, 16);
  // The first block's count is 2; 14 blocks on is a multiple of 16, 254 blocks on one of 256.
  for (const blocks of [...Array(18).keys(), 30, 31, 46, 239, 240, 241, 250, 253, 254, 255, 270]) {
    for (const bytes of [0, 5]) {
      for (const harness of KERNEL_HARNESSES) {
        const cuts = [16 * blocks + bytes];
        const { output, tag } = stream(harness, "gcm", "encrypt", message, 16, { cuts });
        assertEquals([output, tag], [wanted.output, wanted.tag], `${cuts}`);
      }
    }
  }
});

/** Whether the core's memory has these bytes anywhere. */
function holds({ memory }: Harness, bytes: Uint8Array): boolean {
  for (let at = memory.indexOf(bytes[0]!); at >= 0; at = memory.indexOf(bytes[0]!, at + 1)) {
    if (bytes.every((byte, i) => memory[at + i] === byte)) return true;
  }
  return false;
}

for (const harness of KERNEL_HARNESSES) {
  Deno.test(`AES-GCM leaves nothing of a key or of its stream behind (${harness.core})`, () => {
    const { call, memory } = harness;
    const random = new Random("traces");
    const key = random.bytes(16);
    const input = random.bytes(2000);
    const block = (count: number) => {
      const counter = new Uint8Array(16);
      new DataView(counter.buffer).setUint32(12, count);
      return encrypted(harness, key, counter);
    };
    const h = block(0);
    const traces = { key, h, mask: block(1), stream: block(2), later: block(100), power: square(h) };
    for (const length of [30, 2000]) {
      const gcm = call.gcm_new();
      harness.frame({}, (frame) => {
        const [iv, at] = [frame.input(new Uint8Array(12)), frame.input(input.subarray(0, length))];
        const [out, tag, keyAt] = [frame.output(length), frame.output(16), frame.inout(key)];
        assertEquals(call.gcm_setkey(gcm, keyAt, 128), 0);
        assertEquals(call.gcm_encrypt(gcm, iv, 12, iv, 12, at, length, out, tag, 16), 0);
        memory.fill(0, keyAt, keyAt + 16);
      });
      assert(holds(harness, h), "the search finds what is there");
      call.gcm_free(gcm);
      for (const [name, trace] of Object.entries(traces)) {
        assert(!holds(harness, trace), `${name}, ${length} bytes`);
      }
    }
  });
}

function square(h: Uint8Array): Uint8Array {
  return toBytes(multiply(toNumber(h), toNumber(h)), 16);
}
