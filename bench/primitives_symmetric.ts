/**
 * Hashes and ciphers to measure.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as node from "node:crypto";
import { place, type PrimitiveRow } from "./primitive.ts";
import { sizeLabel } from "./table.ts";

const DATA = new Uint8Array(16384).map((_, i) => i * 31);
const KEY = DATA.slice(1, 33);
const IV = DATA.slice(40, 52);
const AAD = DATA.slice(60, 65); // as long as TLS 1.3's

function hash(bits: 256 | 384 | 512, bytes: number): PrimitiveRow {
  const input = DATA.subarray(0, bytes);
  return {
    name: `SHA-${bits}, ${sizeLabel(bytes)}`,
    bytes,
    core(harness) {
      const [at, out] = [place(harness, input), place(harness, 64)];
      return () => harness.call.hash_once(bits, at, bytes, out);
    },
    node: () => () => node.createHash(`sha${bits}`).update(input).digest(),
    web: () => Promise.resolve(() => crypto.subtle.digest(`SHA-${bits}`, input)),
    openssl: { args: ["-evp", `sha${bits}`] },
  };
}

const HMAC: PrimitiveRow = {
  name: "HMAC-SHA-256, 64 B",
  core(harness) {
    const [key, at, out] = [place(harness, KEY), place(harness, DATA), place(harness, 32)];
    return () => harness.call.hmac(256, key, 32, at, 64, 0, 0, out);
  },
  node: () => () => node.createHmac("sha256", KEY).update(DATA.subarray(0, 64)).digest(),
};

/** AES-GCM by a key that is set beforehand; node:crypto and WebCrypto cannot reuse one as well. */
function gcm(bits: 128 | 256, bytes: number, direction: "encrypt" | "decrypt"): PrimitiveRow {
  const [key, input] = [KEY.subarray(0, bits / 8), DATA.subarray(0, bytes)];
  const name = `aes-${bits}-gcm` as const;
  const cipher = node.createCipheriv(name, key, IV);
  cipher.setAAD(AAD);
  const sealed = new Uint8Array(Buffer.concat([cipher.update(input), cipher.final()]));
  const tag = new Uint8Array(cipher.getAuthTag());
  const subtle = (usage: KeyUsage) => crypto.subtle.importKey("raw", key.slice(), "AES-GCM", false, [usage]);
  const options = { name: "AES-GCM", iv: IV, additionalData: AAD };
  return {
    name: `AES-${bits}-GCM ${direction}, ${sizeLabel(bytes)}`,
    bytes,
    core(harness) {
      const { call } = harness;
      const context = call.gcm_new();
      call.gcm_setkey(context, place(harness, key), bits);
      const [iv, aad, out] = [place(harness, IV), place(harness, AAD), place(harness, bytes)];
      const [at, tagAt] = [place(harness, direction === "encrypt" ? input : sealed), place(harness, tag)];
      return () => call[`gcm_${direction}`](context, iv, 12, aad, 5, at, bytes, out, tagAt, 16);
    },
    node: () =>
      direction === "encrypt"
        ? () => {
          const cipher = node.createCipheriv(name, key, IV);
          cipher.setAAD(AAD);
          cipher.update(input);
          cipher.final();
          cipher.getAuthTag();
        }
        : () => {
          const cipher = node.createDecipheriv(name, key, IV);
          cipher.setAAD(AAD);
          cipher.setAuthTag(tag);
          cipher.update(sealed);
          cipher.final();
        },
    async web() {
      const imported = await subtle(direction);
      if (direction === "encrypt") return () => crypto.subtle.encrypt(options, imported, input);
      const whole = Uint8Array.of(...sealed, ...tag);
      return () => crypto.subtle.decrypt(options, imported, whole);
    },
    openssl: { args: [...(direction === "decrypt" ? ["-decrypt"] : []), "-evp", name] },
  };
}

const GCM_KEY: PrimitiveRow = {
  name: "AES-128-GCM, a new key",
  core(harness) {
    const [context, key] = [harness.call.gcm_new(), place(harness, KEY)];
    return () => harness.call.gcm_setkey(context, key, 128);
  },
};

function chachapoly(bytes: number, direction: "encrypt" | "decrypt"): PrimitiveRow {
  return {
    name: `ChaCha20-Poly1305 ${direction}, ${sizeLabel(bytes)}`,
    bytes,
    core(harness) {
      const { call } = harness;
      const context = call.chachapoly_new();
      call.chachapoly_setkey(context, place(harness, KEY));
      const [iv, aad, at] = [
        place(harness, IV),
        place(harness, AAD),
        place(harness, DATA.subarray(0, bytes)),
      ];
      const [sealed, out, tag] = [place(harness, bytes), place(harness, bytes), place(harness, 16)];
      call.chachapoly_encrypt(context, iv, aad, 5, at, bytes, sealed, tag);
      const input = direction === "encrypt" ? at : sealed;
      return () => call[`chachapoly_${direction}`](context, iv, aad, 5, input, bytes, out, tag);
    },
    openssl: { args: [...(direction === "decrypt" ? ["-decrypt"] : []), "-evp", "chacha20-poly1305"] },
  };
}

function cbc(direction: "encrypt" | "decrypt"): PrimitiveRow {
  return {
    name: `AES-128-CBC ${direction}, 16 KiB`,
    bytes: DATA.length,
    core(harness) {
      const { call } = harness;
      const [aes, mode] = [call.aes_new(), Number(direction === "encrypt")];
      call.aes_setkey(aes, mode, place(harness, KEY), 128);
      const [iv, at, out] = [place(harness, KEY), place(harness, DATA), place(harness, DATA.length)];
      return () => call.aes_cbc(aes, mode, iv, at, DATA.length, 0, 0, out);
    },
    node: () => {
      const [key, iv] = [KEY.subarray(0, 16), KEY.subarray(0, 16)];
      return () => {
        const cipher = direction === "encrypt"
          ? node.createCipheriv("aes-128-cbc", key, iv)
          : node.createDecipheriv("aes-128-cbc", key, iv);
        cipher.setAutoPadding(false).update(DATA);
        cipher.final();
      };
    },
    openssl: { args: [...(direction === "decrypt" ? ["-decrypt"] : []), "-evp", "aes-128-cbc"] },
  };
}

/** Every row. */
export const SYMMETRIC_ROWS: readonly PrimitiveRow[] = [
  hash(256, 16384),
  hash(256, 64),
  hash(384, 16384),
  hash(512, 16384),
  HMAC,
  gcm(128, 16384, "encrypt"),
  gcm(128, 16384, "decrypt"),
  gcm(128, 1024, "encrypt"),
  gcm(128, 64, "encrypt"),
  GCM_KEY,
  gcm(256, 16384, "encrypt"),
  chachapoly(16384, "encrypt"),
  chachapoly(16384, "decrypt"),
  chachapoly(1024, "encrypt"),
  chachapoly(64, "encrypt"),
  cbc("encrypt"),
  cbc("decrypt"),
];
