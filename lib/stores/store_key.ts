/**
 * StoreKey: seals what goes into a store, so that who reads the store reads no key and no session.
 *
 * ```text
 *   sealed  = "TLSIOST" 01 | key id (8) | salt (12) | IV (12) | AES-256-GCM(value) | tag (16)
 *   AAD     = "TLSIOST" 01 | key id | the value's key in the store
 *   AES key = HKDF-SHA-256(secret, salt, "tlsio store 1 AES-256-GCM")
 * ```
 *
 * The value's key in the store is part of what is authenticated: a value that was moved to another key does not open. Salt and
 * IV are random, and each salt has an AES key of its own, as in XAES-256-GCM: random IVs alone are for 2^32 values under one key
 * (NIST SP 800-38D section 8.3), which a busy fleet would seal in some years; these 24 bytes are for 2^80.
 *
 * @module
 */

import { assertBytes, type Bytes, concat, encodeText, equalBytes, typeName } from "../bytes.ts";
import { SESSION_KEY } from "../session_cache.ts";

const MAGIC = encodeText("TLSIOST\x01");
const ID = 8;
const SALT = 12;
const IV = 12;
const TAG = 16;
const HEADER = MAGIC.length + ID;
/** Bytes that sealing adds. */
export const SEAL_OVERHEAD = HEADER + SALT + IV + TAG;
const SECRET_MIN = 32; // bytes, of AES-256

interface Part {
  readonly id: Bytes;
  readonly base: CryptoKey;
  readonly sessionIds: Bytes;
}

/** @internal For {@linkcode SharedSessionCache}: what marks session ids, the key's own first. */
export let sessionIdKeys: (key: StoreKey) => readonly Bytes[];

/** Why a value does not open: it is damaged, or sealed under another key. */
export class SealError extends Error {
  /** `"SealError"`. */
  override readonly name = "SealError";
}

/**
 * The key under which values are sealed in a store, the same for the whole fleet: `openssl rand -base64 32` makes one. To
 * change it, put the new one in front of the old one, separated by a space or a line: the first seals, all open.
 *
 * @example
 * ```ts
 * import { StoreKey } from "tlsio/stores";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const key = await StoreKey.from(crypto.getRandomValues(new Uint8Array(32)));
 * const sealed = await key.seal("name", new TextEncoder().encode("secret"));
 * assertEquals(new TextDecoder().decode(await key.open("name", sealed)), "secret");
 * await assertRejects(() => key.open("another name", sealed));
 * ```
 */
export class StoreKey {
  readonly #parts: readonly Part[];

  static {
    sessionIdKeys = (key) => key.#parts.map(({ sessionIds }) => sessionIds);
  }

  private constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /**
   * Makes a key of secrets.
   *
   * @param secrets At least 32 random bytes each; the first seals, all open.
   * @returns The key.
   * @throws {RangeError} If there is none, or one is shorter.
   */
  static async from(...secrets: readonly Uint8Array[]): Promise<StoreKey> {
    for (const secret of secrets) assertBytes("storeKey", secret);
    const shortest = Math.min(...secrets.map(({ length }) => length));
    if (secrets.length === 0 || shortest < SECRET_MIN) {
      throw new RangeError(`Cannot use storeKey: expected at least ${SECRET_MIN} bytes`);
    }
    return new StoreKey(await Promise.all(secrets.map((secret) => derive(secret as Bytes))));
  }

  /**
   * Reads a key from the environment. Needs `--allow-env` for that variable.
   *
   * @param name The variable: base64.
   * @returns The key.
   * @throws {TypeError} If it is not set, or not base64 of at least 32 bytes.
   */
  static async fromEnv(name = "TLSIO_STORE_KEY"): Promise<StoreKey> {
    const text = Deno.env.get(name);
    if (text === undefined) {
      throw new TypeError(`Cannot use storeKey: the environment has no ${name}; openssl rand -base64 32`);
    }
    return await fromText(`$${name}`, text);
  }

  /**
   * Reads a key from a file. Needs `--allow-read` for it.
   *
   * @param path The file: base64.
   * @returns The key.
   * @throws {TypeError} If it is not base64 of at least 32 bytes.
   */
  static async fromFile(path: string | URL): Promise<StoreKey> {
    return await fromText(`"${path}"`, await Deno.readTextFile(path));
  }

  /**
   * Seals a value.
   *
   * @param name Where it will be: it opens under that name alone.
   * @param value The bytes.
   * @returns The sealed bytes.
   */
  async seal(name: string, value: Bytes): Promise<Bytes> {
    const { id, base } = this.#parts[0]!;
    const header = concat([MAGIC, id]);
    const nonce = crypto.getRandomValues(new Uint8Array(SALT + IV));
    const plain = value.slice(); // the caller may wipe it meanwhile
    try {
      const key = await aesKey(base, nonce.subarray(0, SALT));
      const sealed = await crypto.subtle.encrypt(parameters(name, header, nonce), key, plain);
      return concat([header, nonce, new Uint8Array(sealed)]);
    } finally {
      plain.fill(0);
    }
  }

  /**
   * Opens what {@linkcode StoreKey.seal} made.
   *
   * @param name The name that it was sealed under.
   * @param sealed The sealed bytes.
   * @returns The value.
   * @throws {SealError} If they are of another format or key, of another name, or damaged.
   */
  async open(name: string, sealed: Bytes): Promise<Bytes> {
    const header = sealed.subarray(0, HEADER);
    if (sealed.length < SEAL_OVERHEAD || !equalBytes(header.subarray(0, MAGIC.length), MAGIC)) {
      throw new SealError(`Cannot open "${name}": it is not of this version of the format`);
    }
    const part = this.#parts.find(({ id }) => equalBytes(id, header.subarray(MAGIC.length)));
    if (part === undefined) {
      throw new SealError(`Cannot open "${name}": it is sealed under another storeKey`);
    }
    const nonce = sealed.subarray(HEADER, HEADER + SALT + IV);
    const key = await aesKey(part.base, nonce.subarray(0, SALT));
    try {
      const value = await crypto.subtle.decrypt(
        parameters(name, header, nonce),
        key,
        sealed.subarray(HEADER + SALT + IV),
      );
      return new Uint8Array(value);
    } catch {
      throw new SealError(`Cannot open "${name}": it was changed, or is another one's`);
    }
  }

  /** Shows what it is, never the key. */
  [Symbol.for("Deno.customInspect")](): string {
    return `StoreKey { keys: ${this.#parts.length} }`;
  }
}

/** Throws a `TypeError` unless `value` is a key. */
export function assertStoreKey(value: unknown): asserts value is StoreKey {
  if (value instanceof StoreKey) return;
  throw new TypeError(`Cannot use storeKey: expected a StoreKey, got ${typeName(value)}`);
}

function parameters(name: string, header: Bytes, nonce: Bytes): AesGcmParams {
  const iv = nonce.subarray(SALT);
  return { name: "AES-GCM", iv, additionalData: concat([header, encodeText(name)]), tagLength: TAG * 8 };
}

async function derive(secret: Bytes): Promise<Part> {
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey", "deriveBits"]);
  const bits = async (info: string, bytes: number) =>
    new Uint8Array(await crypto.subtle.deriveBits(hkdf(info, new Uint8Array(0)), base, bytes * 8));
  return { id: await bits("id", ID), base, sessionIds: await bits("session ids", SESSION_KEY) };
}

async function aesKey(base: CryptoKey, salt: Bytes): Promise<CryptoKey> {
  const aes = { name: "AES-GCM", length: 256 };
  return await crypto.subtle.deriveKey(hkdf("AES-256-GCM", salt), base, aes, false, ["encrypt", "decrypt"]);
}

function hkdf(info: string, salt: Bytes) {
  return { name: "HKDF", hash: "SHA-256", salt, info: encodeText(`tlsio store 1 ${info}`) };
}

async function fromText(name: string, text: string): Promise<StoreKey> {
  const secrets: Bytes[] = [];
  try {
    for (const word of text.split(/\s+/).filter((word) => word !== "")) {
      secrets.push(Uint8Array.fromBase64(word));
    }
    return await StoreKey.from(...secrets);
  } catch { // what is wrong with it would show some of it
    throw new TypeError(`Cannot use storeKey: ${name} is not base64 of at least ${SECRET_MIN} bytes`);
  } finally {
    for (const secret of secrets) secret.fill(0);
  }
}
