// Published answers of hashes and ciphers, on every core, however inputs are cut, shifted and overlapped.
import { assertEquals, assertNotEquals } from "@std/assert";
import { encodeText } from "../../lib/bytes.ts";
import { open, seal, stream } from "./aead.ts";
import { TEST_CORE_EXPORTS } from "./exports.ts";
import { hex } from "./numbers.ts";
import { aesCbc, aesEcb, chacha20, hash, hashFork, hkdf, hkdfLabel, hmac, poly1305 } from "./symmetric.ts";
import { testEach } from "./each_core.ts";
import { AEADS } from "./vectors_aead.ts";
import { AES_BLOCKS, CBCS, CHACHA20, HASHES, HKDFS, HMACS, POLY1305 } from "./vectors_symmetric.ts";

/** Pieces that cross every block boundary differently. */
const CUTS = [undefined, [], [0, 1, 63, 64, 65], [17, 0, 16, 3, 200]] as const;
const SHIFTS = [0, 1, 7] as const;

testEach("the harness exports what exports.ts lists", ({ call }) => {
  const { memory: _, _initialize: __, ...functions } = call as unknown as Record<string, CallableFunction>;
  const arity = Object.entries(functions).map(([name, f]) => [name, f.length]);
  assertEquals(Object.fromEntries(arity), { ...TEST_CORE_EXPORTS });
});

testEach("SHA-2: FIPS 180-4's examples", (harness) => {
  for (const { text, bits, digest } of HASHES) {
    const input = encodeText(text);
    for (const cuts of CUTS) {
      for (const shift of SHIFTS) {
        const { code, output } = hash(harness, bits, input, { shift, ...(cuts !== undefined && { cuts }) });
        assertEquals([code, output.toHex()], [0, digest], text.slice(0, 80));
      }
    }
  }
});

testEach("SHA-2: a clone goes its own way", (harness) => {
  for (const { text, bits, digest } of HASHES.slice(0, -2)) {
    const input = encodeText(text);
    for (const cut of [0, 1, 64, 111, 112].filter((cut) => cut <= input.length)) {
      const { code, whole, part, again } = hashFork(harness, bits, input, cut);
      assertEquals([code, whole.toHex(), again.toHex()], [0, digest, digest]);
      assertEquals(part, hash(harness, bits, input.subarray(0, cut)).output);
    }
  }
});

testEach("HMAC: RFC 4231", (harness) => {
  for (const { key, text, bits, mac } of HMACS) {
    for (const cuts of [[], [0, 1, 2]]) {
      assertEquals(hmac(harness, bits, hex(key), encodeText(text), { cuts }).output.toHex(), mac);
    }
  }
});

testEach("HKDF: RFC 5869", (harness) => {
  for (const { bits, ikm, salt, info, okm } of HKDFS) {
    const parts = { ikm: hex(ikm), salt: hex(salt), info: hex(info), length: okm.length / 2 };
    assertEquals(hkdf(harness, bits, parts), { code: 0, output: hex(okm) });
  }
});

testEach("HKDF-Expand-Label: RFC 8448 section 3", (harness) => {
  const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // the hash of no bytes
  const early = "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a";
  const server = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
  for (
    const [secret, label, context, out] of [
      [early, "derived", nothing, "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"],
      [server, "key", "", "3fce516009c21727d0f2e4e86ee403bc"],
      [server, "iv", "", "5d313eb2671276ee13000b30"],
    ] as const
  ) {
    const parts = {
      secret: hex(secret),
      label: encodeText(label),
      context: hex(context),
      length: out.length / 2,
    };
    assertEquals(hkdfLabel(harness, 256, parts), { code: 0, output: hex(out) });
  }
});

testEach("AES: FIPS 197, both ways, in place and apart", (harness) => {
  for (const { key, input, output } of AES_BLOCKS) {
    for (const shift of SHIFTS) {
      for (const at of [{ shift }, { shift, overlap: 0 }]) {
        const [plain, cipher] = [hex(input.repeat(3)), hex(output.repeat(3))];
        assertEquals(aesEcb(harness, "encrypt", hex(key), plain, at), { code: 0, output: cipher });
        assertEquals(aesEcb(harness, "decrypt", hex(key), cipher, at), { code: 0, output: plain });
      }
    }
  }
});

testEach("AES-CBC: SP 800-38A, in one call and in several, in place and apart", (harness) => {
  for (const { key: k, iv: v, input, output } of CBCS) {
    const [key, iv, plain, cipher] = [hex(k), hex(v), hex(input), hex(output)];
    for (const cuts of [[], [16], [32, 0, 16]]) {
      for (const at of [{ cuts }, { cuts, overlap: 0, shift: 3 }]) {
        const last = cipher.slice(-16);
        const sealed = aesCbc(harness, "encrypt", { key, iv, input: plain }, at);
        assertEquals(sealed, { code: 0, output: cipher, iv: last });
        const opened = aesCbc(harness, "decrypt", { key, iv, input: cipher }, at);
        assertEquals(opened, { code: 0, output: plain, iv: last });
      }
    }
  }
});

testEach("ChaCha20: RFC 8439, however it is cut", (harness) => {
  const { key, nonce, counter, text, output } = CHACHA20;
  const parts = { key: hex(key), nonce: hex(nonce), counter, input: encodeText(text) };
  for (const cuts of CUTS) {
    for (const at of [{ cuts: cuts ?? [] }, { cuts: cuts ?? [], overlap: 0, shift: 5 }]) {
      assertEquals(chacha20(harness, parts, at).output.toHex(), output);
    }
  }
});

testEach("Poly1305: RFC 8439, with its carries, however it is cut", (harness) => {
  for (const { key, input, tag } of POLY1305) {
    for (const cuts of CUTS) {
      assertEquals(poly1305(harness, hex(key), hex(input), { cuts: cuts ?? [] }).output.toHex(), tag);
    }
  }
});

for (const { source, cipher, key, iv, aad, input, output, tag } of AEADS) {
  testEach(`AEAD: ${source}`, (harness) => {
    const sealed = { code: 0, output: hex(output), tag: hex(tag) };
    const plain = { key: hex(key), iv: hex(iv), aad: hex(aad), input: hex(input) };
    const secret = { ...plain, input: hex(output) };
    for (const at of [{}, { overlap: 0 }, { shift: 1 }, { overlap: 0, shift: 9 }]) {
      assertEquals(seal(harness, cipher, plain, sealed.tag.length, at), sealed);
      assertEquals(open(harness, cipher, secret, sealed.tag, at), { code: 0, output: plain.input });
      if (cipher === "ccm") continue;
      for (const cuts of CUTS) {
        const pieces = { ...at, cuts: cuts ?? [] };
        const { code, ...rest } = stream(harness, cipher, "encrypt", plain, 16, pieces);
        assertEquals({ ...rest, code: Math.min(code, 0) }, sealed);
        const opened = stream(harness, cipher, "decrypt", secret, 16, pieces);
        assertEquals([opened.output, opened.tag], [plain.input, sealed.tag]);
      }
    }
  });

  testEach(`AEAD: ${source}: nothing opens with one bit changed`, (harness) => {
    const secret = { key: hex(key), iv: hex(iv), aad: hex(aad), input: hex(output) };
    for (const name of ["key", "iv", "aad", "input", "tag"] as const) {
      const changed = { ...secret, tag: hex(tag) };
      if (changed[name].length === 0) continue;
      changed[name][changed[name].length - 1]! ^= 0x80;
      const opened = open(harness, cipher, changed, changed.tag);
      assertNotEquals(opened.code, 0);
      assertEquals(opened.output, new Uint8Array(output.length / 2), "no plaintext is left");
    }
  });
}
