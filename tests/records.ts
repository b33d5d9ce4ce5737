/** TLS records by hand: what no engine of ours would send, under the keys of a connection of ours. */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import type { End, EnginePair } from "./pair.ts";

/** Content types (RFC 8446 section 5.1). */
export const TYPE = { changeCipherSpec: 20, alert: 21, handshake: 22, data: 23 } as const;

/** Handshake message types (RFC 8446 section 4). */
export const MESSAGE = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  certificate: 11,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  finished: 20,
  keyUpdate: 24,
} as const;

/** A record in the clear. */
export function record(type: number, content: Uint8Array, version = 0x0303): Bytes {
  const bytes = new Uint8Array(5 + content.length);
  bytes.set([type, version >> 8, version & 255, content.length >> 8, content.length & 255]);
  bytes.set(content, 5);
  return bytes;
}

/** A handshake message. */
export function message(type: number, body: Uint8Array = new Uint8Array(0)): Bytes {
  const { length } = body;
  return concat([Uint8Array.of(type, length >> 16, (length >> 8) & 255, length & 255), new Uint8Array(body)]);
}

/** The records of `stream`, whole: a header and what it counts; the last may be cut short. */
export function recordsOf(stream: Bytes): Bytes[] {
  const records: Bytes[] = [];
  for (let at = 0; at < stream.length;) {
    const length = 5 + (stream[at + 3]! << 8 | stream[at + 4]!);
    records.push(stream.subarray(at, at + length));
    at += length;
  }
  return records;
}

/** The suites that a {@linkcode Sealer} knows, for the `ciphers` of a pair. */
export const SEALER_CIPHERS = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];

/** Encrypts records as one end of a pair would: AES-128-GCM with SHA-256. */
export class Sealer {
  readonly #isTLS13: boolean;
  readonly #key: Bytes;
  readonly #iv: Bytes;
  #sequence: number;

  /**
   * Takes over from an end.
   *
   * @param pair A pair that is connected with {@linkcode SEALER_CIPHERS}.
   * @param keyLog All lines of its key log.
   * @param from The end to speak as.
   * @param sequence How many records that end has sent under its application keys (TLS 1.2: from Finished on).
   */
  constructor(pair: EnginePair, keyLog: readonly string[], from: End, sequence: number) {
    this.#isTLS13 = pair.client.version === "TLSv1.3";
    this.#sequence = sequence;
    const secret = (label: string) =>
      Uint8Array.fromHex(keyLog.find((line) => line.startsWith(`${label} `))!.split(" ")[2]!);
    if (this.#isTLS13) {
      const traffic = secret(`${from.toUpperCase()}_TRAFFIC_SECRET_0`);
      this.#key = expandLabel(traffic, "key", 16);
      this.#iv = expandLabel(traffic, "iv", 12);
      return;
    }
    const randoms = [pair.flight("server"), pair.flight("client")].map((flight) => flight.slice(11, 43));
    const keys = prf(secret("CLIENT_RANDOM"), concat([encodeText("key expansion"), ...randoms]), 40);
    const [keyAt, ivAt] = from === "client" ? [0, 32] : [16, 36];
    this.#key = keys.slice(keyAt, keyAt + 16);
    this.#iv = keys.slice(ivAt, ivAt + 4);
  }

  /** The next record of the connection. */
  seal(type: number, content: Uint8Array): Bytes {
    const counter = new Uint8Array(12);
    new DataView(counter.buffer).setBigUint64(4, BigInt(this.#sequence++));
    if (this.#isTLS13) {
      const nonce = this.#iv.map((byte, i) => byte ^ counter[i]!);
      const inner = concat([new Uint8Array(content), Uint8Array.of(type)]);
      const header = record(TYPE.data, new Uint8Array(inner.length + 16)).slice(0, 5);
      return concat([header, this.#encrypt(nonce, header, inner)]);
    }
    const explicit = counter.slice(4);
    const header = record(type, content).slice(0, 5);
    const sealed = this.#encrypt(concat([this.#iv, explicit]), concat([explicit, header]), content);
    return record(type, concat([explicit, sealed]));
  }

  #encrypt(nonce: Bytes, aad: Bytes, plaintext: Uint8Array): Bytes {
    const cipher = createCipheriv("aes-128-gcm", this.#key, nonce);
    cipher.setAAD(aad);
    const parts = [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
    return concat(parts.map((part) => new Uint8Array(part)));
  }
}

/**
 * Changes a record of TLS 1.3 inside, as only someone with its keys can.
 *
 * @param secret The traffic secret (AES-128-GCM with SHA-256).
 * @param sequence The number of the record under that secret.
 * @param sealed The record.
 * @param change Gets the content with its type behind it, and gives another.
 */
export function reseal(
  secret: Bytes,
  sequence: number,
  sealed: Bytes,
  change: (inner: Bytes) => Bytes,
): Bytes {
  return sealAs(secret, sequence, change(unseal(secret, sequence, sealed)));
}

/** What is inside record number `sequence` of TLS 1.3 under a traffic secret: the content with its type behind it. */
export function unseal(secret: Bytes, sequence: number, sealed: Bytes): Bytes {
  const opened = createDecipheriv("aes-128-gcm", ...keyOf(secret, sequence));
  opened.setAAD(sealed.slice(0, 5));
  opened.setAuthTag(sealed.slice(-16));
  const parts = [opened.update(sealed.slice(5, -16)), opened.final()];
  return concat(parts.map((part) => new Uint8Array(part)));
}

/** The record with `inner` inside. */
export function sealAs(secret: Bytes, sequence: number, inner: Bytes): Bytes {
  const header = record(TYPE.data, new Uint8Array(inner.length + 16)).slice(0, 5);
  const cipher = createCipheriv("aes-128-gcm", ...keyOf(secret, sequence));
  cipher.setAAD(header);
  const content = [cipher.update(inner), cipher.final(), cipher.getAuthTag()];
  return concat([header, ...content.map((part) => new Uint8Array(part))]);
}

function keyOf(secret: Bytes, sequence: number): [key: Bytes, nonce: Bytes] {
  const nonce = expandLabel(secret, "iv", 12);
  nonce[10]! ^= sequence >> 8;
  nonce[11]! ^= sequence & 255;
  return [expandLabel(secret, "key", 16), nonce];
}

function hmac(key: Uint8Array, data: Uint8Array): Bytes {
  return new Uint8Array(createHmac("sha256", key).update(data).digest());
}

/** HKDF-Expand-Label (RFC 8446 section 7.1), of up to one hash. */
function expandLabel(secret: Uint8Array, label: string, length: number): Bytes {
  const name = encodeText(`tls13 ${label}`);
  const info = concat([Uint8Array.of(0, length, name.length), name, Uint8Array.of(0, 1)]);
  return hmac(secret, info).slice(0, length);
}

/** The PRF of TLS 1.2 (RFC 5246 section 5). */
function prf(secret: Uint8Array, seed: Bytes, length: number): Bytes {
  const blocks: Bytes[] = [];
  for (let a = hmac(secret, seed); blocks.length * 32 < length; a = hmac(secret, a)) {
    blocks.push(hmac(secret, concat([a, seed])));
  }
  return concat(blocks).slice(0, length);
}
