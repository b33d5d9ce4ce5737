/**
 * What the timing test runs: an operation on a secret that lies at one place, whatever it is.
 *
 * @module
 */

import { CURVES } from "./asymmetric.ts";
import type { Harness } from "./harness.ts";
import { hex, pkcs1, rsaNumbers, toBytes } from "./numbers.ts";
import type { Random } from "./random.ts";
import { RSA_KEYS } from "./rsa_keys.ts";
import { ECDH } from "./vectors_asymmetric.ts";

/** One operation. */
export interface Target {
  name: string;
  /** Makes a secret; the test takes one that is fixed and many others. */
  secret(random: Random): Uint8Array;
  /** Puts everything but the secret into memory. Returns where the secret belongs, and what runs. */
  prepare(memory: Placer, harness: Harness): { at: number; run(): number };
}

/** Gives out memory for good. */
export type Placer = (bytes: Uint8Array | number) => number;

const MESSAGE = new Uint8Array(1024).map((_, i) => i * 7);
const KEY = MESSAGE.subarray(3, 35);
const ENCRYPT = 1;

const bytes = (length: number) => (random: Random) => random.bytes(length);

/** A key of X25519 below ECDH, where it must be clamped. */
function clamped(random: Random): Uint8Array {
  const key = random.bytes(32);
  key[0]! &= 0xf8;
  key[31] = key[31]! & 0x7f | 0x40;
  return key;
}

/** A private key of P-256: below its order, since one that is not would be refused at once. */
function scalar(random: Random): Uint8Array {
  const key = random.bytes(32);
  key[0]! &= 0x7f;
  return key;
}

/** A multiple of a point: the generator's when it is empty. */
function multiple(name: string, curve: keyof typeof CURVES, point: Uint8Array): Target {
  return {
    name,
    secret: curve === "X25519" ? clamped : scalar,
    prepare(place, { call }) {
      const [at, p, out] = [place(32), place(point), place(133)];
      return { at, run: () => call.ecp_mul(CURVES[curve], at, 32, p, point.length, 0, out) };
    },
  };
}

const RSA = rsaNumbers(RSA_KEYS.find(({ name }) => name === "2048")!);

/** Every operation that sees a secret. */
export const TARGETS: readonly Target[] = [
  {
    name: "SHA-256 of a kilobyte",
    secret: bytes(1024),
    prepare(place, { call }) {
      const [at, out] = [place(1024), place(32)];
      return { at, run: () => call.hash_once(256, at, 1024, out) };
    },
  },
  {
    name: "HMAC-SHA-256's key",
    secret: bytes(32),
    prepare(place, { call }) {
      const [at, input, out] = [place(32), place(MESSAGE), place(32)];
      return { at, run: () => call.hmac(256, at, 32, input, 64, 0, 0, out) };
    },
  },
  {
    name: "AES-128's key",
    secret: bytes(16),
    prepare(place, { call }) {
      const [aes, at, input, out] = [call.aes_new(), place(16), place(MESSAGE), place(1024)];
      return {
        at,
        run: () => call.aes_setkey(aes, ENCRYPT, at, 128) || call.aes_ecb(aes, ENCRYPT, input, 4, out),
      };
    },
  },
  {
    name: "AES-256's blocks",
    secret: bytes(256),
    prepare(place, { call }) {
      const [aes, at, out] = [call.aes_new(), place(256), place(256)];
      call.aes_setkey(aes, ENCRYPT, place(KEY), 256);
      return { at, run: () => call.aes_ecb(aes, ENCRYPT, at, 16, out) };
    },
  },
  {
    name: "AES-256's blocks, decrypted",
    secret: bytes(256),
    prepare(place, { call }) {
      const [aes, at, out] = [call.aes_new(), place(256), place(256)];
      call.aes_setkey(aes, 0, place(KEY), 256);
      return { at, run: () => call.aes_ecb(aes, 0, at, 16, out) };
    },
  },
  {
    name: "AES-128-GCM's key",
    secret: bytes(16),
    prepare(place, { call }) {
      const [gcm, at, iv, input, out] = [call.gcm_new(), place(16), place(KEY), place(MESSAGE), place(1024)];
      const tag = place(16);
      return {
        at,
        run: () =>
          call.gcm_setkey(gcm, at, 128) || call.gcm_encrypt(gcm, iv, 12, iv, 5, input, 64, out, tag, 16),
      };
    },
  },
  {
    name: "AES-128-GCM's plaintext",
    secret: bytes(1024),
    prepare(place, { call }) {
      const [gcm, at, iv, out, tag] = [call.gcm_new(), place(1024), place(KEY), place(1024), place(16)];
      call.gcm_setkey(gcm, place(KEY), 128);
      return { at, run: () => call.gcm_encrypt(gcm, iv, 12, iv, 5, at, 1024, out, tag, 16) };
    },
  },
  {
    name: "ChaCha20-Poly1305's key",
    secret: bytes(32),
    prepare(place, { call }) {
      const [aead, at, iv, input] = [call.chachapoly_new(), place(32), place(KEY), place(MESSAGE)];
      const [out, tag] = [place(1024), place(16)];
      return {
        at,
        run: () =>
          call.chachapoly_setkey(aead, at) ||
          call.chachapoly_encrypt(aead, iv, iv, 5, input, 1024, out, tag),
      };
    },
  },
  {
    name: "ChaCha20-Poly1305's plaintext",
    secret: bytes(1024),
    prepare(place, { call }) {
      const [aead, at, iv] = [call.chachapoly_new(), place(1024), place(KEY)];
      const [out, tag] = [place(1024), place(16)];
      call.chachapoly_setkey(aead, place(KEY));
      return { at, run: () => call.chachapoly_encrypt(aead, iv, iv, 5, at, 1024, out, tag) };
    },
  },
  multiple("P-256: scalar, generator", "P-256", new Uint8Array(0)),
  multiple("P-256: scalar, a peer's point", "P-256", hex(ECDH.points[0])),
  {
    name: "P-256: ECDSA's key",
    secret: scalar,
    prepare(place, { call }) {
      const [at, digest, out] = [place(32), place(KEY), place(64)];
      return { at, run: () => call.ecdsa_sign(CURVES["P-256"], at, 32, 256, digest, 32, out) };
    },
  },
  multiple("X25519: scalar", "X25519", Uint8Array.of(9, ...new Uint8Array(31))),
  {
    name: "RSA-2048: what is decrypted",
    secret: (random) => random.bytes(256).with(0, 0),
    prepare(place, { call }) {
      const [key, der, at, out] = [call.rsa_new(), pkcs1(RSA), place(256), place(256)];
      call.rsa_parse(key, 1, place(der), der.length);
      return { at, run: () => call.rsa_private(key, at, out) };
    },
  },
  {
    name: "RSA-2048: what is encrypted",
    secret: (random) => random.bytes(256).with(0, 0),
    prepare(place, { call }) {
      const [key, der, at, out] = [call.rsa_new(), pkcs1(RSA), place(256), place(256)];
      call.rsa_parse(key, 1, place(der), der.length);
      return { at, run: () => call.rsa_public(key, at, out) };
    },
  },
  {
    name: "modular exponentiation: exponent",
    secret: bytes(32),
    prepare(place, { call }) {
      const [at, n] = [place(32), toBytes(RSA.p)];
      const [base, modulus] = [place(n.with(0, 1)), place(n)];
      // Reading the numbers is timed as well: a small part of it.
      return {
        at,
        run: () => call.mod_exp_load(base, n.length, 0, at, 32, modulus, n.length) || call.mod_exp_run(),
      };
    },
  },
];
