/**
 * Certificates as programs see them: CPython's dictionary form, and the making of new ones.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { assertBytes, type Bytes, encodeText } from "./bytes.ts";
import { Core, IO_SIZE } from "./core.ts";

/** A relative distinguished name: `["commonName", "example.com"]`. */
export type NameAttribute = readonly [type: string, value: string];

/** A certificate in the form of CPython's `getpeercert()`; without fields when the certificate was not checked. */
export interface PeerCertificate {
  /** Whom it names. */
  readonly subject?: readonly NameAttribute[];
  /** Who signed it. */
  readonly issuer?: readonly NameAttribute[];
  /** The hosts it is for: `["DNS", "example.com"]`, `["IP Address", "192.0.2.1"]`. */
  readonly subjectAltName?: readonly NameAttribute[];
  /** Hexadecimal. */
  readonly serialNumber?: string;
  /** `"Jan  5 09:34:43 2018 GMT"`. */
  readonly notBefore?: string;
  /** `"Jan  5 09:34:43 2018 GMT"`. */
  readonly notAfter?: string;
}

/** Names that CPython (OpenSSL) gives to the attributes of a distinguished name. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  CN: "commonName",
  C: "countryName",
  ST: "stateOrProvinceName",
  L: "localityName",
  O: "organizationName",
  OU: "organizationalUnitName",
  SN: "surname",
  GN: "givenName",
  DC: "domainComponent",
  UID: "userId",
};

/**
 * Reads a certificate.
 *
 * @param der The certificate, DER.
 * @returns Its fields, as CPython names them.
 * @throws {Error} If the bytes are not a certificate.
 */
export function peerCertificate(der: Uint8Array): PeerCertificate {
  assertBytes("der", der);
  const { subject, issuer, subjectAltName, serialNumber, validFrom, validTo } = new X509Certificate(der);
  return {
    subject: attributes(subject),
    issuer: attributes(issuer),
    serialNumber,
    notBefore: validFrom,
    notAfter: validTo,
    ...(subjectAltName && { subjectAltName: altNames(subjectAltName) }),
  };
}

function attributes(name: string): NameAttribute[] {
  return (name || "").split("\n").filter((line) => line !== "").map((line) => {
    const at = line.indexOf("=");
    const type = line.slice(0, at);
    return [LONG_NAMES[type] ?? type, line.slice(at + 1)];
  });
}

function altNames(names: string): NameAttribute[] {
  return names.split(", ").map((name) => {
    const at = name.indexOf(":");
    return [name.slice(0, at), name.slice(at + 1)];
  });
}

/** What kind of key to make. */
export type KeyType = "P-256" | "P-384" | "P-521" | "RSA-2048" | "RSA-3072" | "RSA-4096";

/** A certificate with its key, PEM. */
export interface Credential {
  /** The certificate. */
  readonly certificate: string;
  /** The private key: a secret. */
  readonly key: string;
}

/** What a new certificate says. */
export interface CertificateOptions {
  /** The subject, as in `"CN=localhost,O=Example"`. */
  subject: string;
  /** Hosts, DNS names and IP addresses. */
  hosts?: readonly string[];
  /** The key to make. @default {"P-256"} */
  keyType?: KeyType;
  /** Days from now. @default {365} */
  days?: number;
  /** Whether it may sign others. @default {false} */
  isCA?: boolean;
  /** Who signs it; none: it signs itself. */
  issuer?: Credential;
}

const DNS = 2; // tags of GeneralName, RFC 5280 section 4.2.1.6
const IP = 7;
const DAY = 86_400_000; // milliseconds
const BACKDATE = DAY; // a peer's clock may be behind ours
const KEY_BITS: Readonly<Record<KeyType, number>> = {
  "P-256": 256,
  "P-384": 384,
  "P-521": 521,
  "RSA-2048": 2048,
  "RSA-3072": 3072,
  "RSA-4096": 4096,
};

/**
 * Makes a key and a certificate for it, for servers that have none yet.
 *
 * @param options What the certificate says, and who signs it.
 * @returns Both as PEM.
 * @throws {TypeError} If the key type is unknown.
 * @throws {SSLError} If the subject or the issuer's key does not parse.
 *
 * @example A small CA and a server's certificate
 * ```ts
 * import { createCertificate } from "tlsio";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const ca = createCertificate({ subject: "CN=My CA", isCA: true });
 * const leaf = createCertificate({ subject: "CN=localhost", hosts: ["localhost", "127.0.0.1"], issuer: ca });
 * assertStringIncludes(leaf.certificate, "-----BEGIN CERTIFICATE-----");
 * ```
 */
export function createCertificate(options: CertificateOptions): Credential {
  const { subject, hosts = [], keyType = "P-256", days = 365, isCA = false, issuer } = options;
  const bits = KEY_BITS[keyType];
  if (bits === undefined) {
    throw new TypeError(
      `Cannot make a key: unknown type "${keyType}"; known are ${Object.keys(KEY_BITS).join(", ")}`,
    );
  }
  if (!(days > 0)) throw new RangeError(`Cannot make a certificate: days must be above 0, got ${days}`);
  const core = Core.shared();
  core.check("make a key", core.call.issue_key(bits, core.io, IO_SIZE));
  const key = takeText(core);

  const ownKey = cString(key);
  const signer = cString(issuer?.key ?? key);
  const names = hosts.map(generalName);
  const sans = new Uint8Array(names.flatMap((name) => [...name]));
  const now = core.now();
  const inputs = [
    ownKey,
    signer,
    cString(subject),
    cString(issuer === undefined ? subject : subjectOf(issuer.certificate)),
    cString(timestamp(now - BACKDATE)),
    cString(timestamp(now + days * DAY)),
    sans,
  ];
  const code = core.with(
    inputs,
    (keyAt, signerAt, subjectAt, issuerAt, fromAt, toAt, sansAt) =>
      core.call.issue_certificate(
        keyAt!,
        ownKey.length,
        signerAt!,
        signer.length,
        subjectAt!,
        issuerAt!,
        fromAt!,
        toAt!,
        isCA ? 1 : 0,
        sansAt!,
        sans.length,
        core.io,
        IO_SIZE,
      ),
  );
  core.check("make a certificate", code);
  return { certificate: takeText(core), key };
}

/** The C string in the core's buffer, which is wiped. */
function takeText(core: Core): string {
  const text = core.text(core.io);
  core.memory.fill(0, core.io, core.io + IO_SIZE);
  return text;
}

/** PEM and names go to C with their NUL counted. */
function cString(text: string): Bytes {
  return encodeText(`${text}\0`);
}

/** Type, length and value of a host, as issue_certificate() takes them. */
function generalName(host: string): Bytes {
  const address = parseAddress(host);
  const value = address ?? encodeText(host);
  if (value.length > 255) {
    throw new RangeError(`Cannot use host: a name has 255 bytes at most, got ${value.length}`);
  }
  const name = new Uint8Array(2 + value.length);
  name.set([address === undefined ? DNS : IP, value.length]);
  name.set(value, 2);
  return name;
}

/** The bytes of an IP address; `undefined` for a DNS name. */
export function parseAddress(host: string): Bytes | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return Uint8Array.from(host.split("."), Number);
  if (!host.includes(":")) return undefined;
  const [head = "", tail] = new URL(`http://[${host}]`).hostname.slice(1, -1).split("::");
  const groups = (text = "") => text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  const all = [...before, ...Array(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}

/** The subject of `pem` in the form that mbedTLS reads. */
function subjectOf(pem: string): string {
  const { subject } = new X509Certificate(pem);
  return subject.split("\n").map((part) => part.replace(/([,\\])/g, "\\$1")).join(",");
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14);
}

/** The SHA-256 of a certificate, as people compare it: `"AB:CD:..."`. */
export function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
