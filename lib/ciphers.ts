/**
 * What is known of a cipher suite, in the form of CPython's `get_ciphers()`.
 *
 * @module
 */

import type { Suite } from "./suites.ts";

/** A cipher suite with its parts, as CPython's `SSLContext.get_ciphers()` and OpenSSL name them. */
export interface CipherInfo {
  /** IANA number. */
  readonly id: number;
  /** IANA name: `"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"`. */
  readonly name: string;
  /** `"TLSv1.2"` or `"TLSv1.3"`: the version in which it can be used. */
  readonly protocol: string;
  /** Strength of its cipher in bits. */
  readonly strengthBits: number;
  /** Whether the cipher authenticates what it encrypts. */
  readonly aead: boolean;
  /** The cipher: `"aes-128-gcm"`, `"chacha20-poly1305"`, `"aes-256-cbc"` ... */
  readonly symmetric: string;
  /** The hash of the MAC where the cipher is no AEAD: `"sha1"`, `"sha256"`, `"sha384"`. */
  readonly digest: string | undefined;
  /** The key exchange: `"kx-ecdhe"`, `"kx-psk"`, `"kx-ecdhe-psk"`, `"kx-rsa"` ...; `"kx-any"` in TLS 1.3. */
  readonly kea: string;
  /** How the server says who it is: `"auth-rsa"`, `"auth-ecdsa"`, `"auth-psk"` ...; `"auth-any"` in TLS 1.3. */
  readonly auth: string;
}

const CIPHER = /^(.*?)(?:_(SHA|SHA256|SHA384))?$/;

/** Takes the name of a suite apart. */
export function cipherInfo({ id, name, bits }: Suite): CipherInfo {
  const [exchange, rest] = name.includes("_WITH_")
    ? name.replace(/^TLS_/, "").split("_WITH_") as [string, string]
    : [undefined, name.replace(/^TLS_/, "")];
  const [, cipher = rest, hash] = rest.match(CIPHER) ?? [];
  const aead = /GCM|CCM|POLY1305/.test(cipher);
  return {
    id,
    name,
    protocol: exchange === undefined ? "TLSv1.3" : "TLSv1.2",
    strengthBits: bits,
    aead,
    symmetric: cipher.replace(/_8$/, "").replaceAll("_", "-").toLowerCase(),
    digest: aead ? undefined : hash === "SHA" ? "sha1" : hash?.toLowerCase(),
    ...partsOf(exchange),
  };
}

/** `ECDHE_ECDSA`, `RSA`, `ECDHE_PSK`: key exchange and authentication. */
function partsOf(exchange: string | undefined): { kea: string; auth: string } {
  if (exchange === undefined) return { kea: "kx-any", auth: "auth-any" };
  const names = exchange.toLowerCase().split("_");
  const isPsk = names.at(-1) === "psk";
  const auth = names.includes("rsa") ? "rsa" : names.at(-1)!;
  return { kea: `kx-${isPsk ? names.join("-") : names[0]}`, auth: `auth-${auth}` };
}
