/**
 * The making of keys and certificates.
 *
 * @module
 */

import { type Bytes, decodeText, encodeText, typeName } from "./bytes.ts";
import { Core, IO_SIZE } from "./core.ts";
import { parseAddress } from "./ip_address.ts";

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
const DAYS_MAX = 1_000_000; // a year has four digits in a certificate
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
  if (!(days > 0 && days <= DAYS_MAX)) {
    throw new RangeError(
      `Cannot make a certificate: days must be above 0 and at most ${DAYS_MAX}, got ${days}`,
    );
  }
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
    cString(issuer === undefined ? subject : subjectOf(core, issuer.certificate)),
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
  if (typeof host !== "string") {
    throw new TypeError(`Cannot use hosts: expected names, got ${typeName(host)}`);
  }
  const address = parseAddress(host);
  const value = address ?? encodeText(/[^\0-\x7f]/.test(host) ? new URL(`http://${host}`).hostname : host); // IDNA
  if (value.length > 255) {
    throw new RangeError(`Cannot use host: a name has 255 bytes at most, got ${value.length}`);
  }
  const name = new Uint8Array(2 + value.length);
  name.set([address === undefined ? DNS : IP, value.length]);
  name.set(value, 2);
  return name;
}

/** The subject of `pem`, as it is written. */
function subjectOf(core: Core, pem: string): string {
  const bytes = cString(pem);
  const fill = (at: number, size: number) =>
    core.with([bytes], (pemAt) => core.call.certificate_subject(pemAt!, bytes.length, at, size));
  return decodeText(core.collect("read the issuer's certificate", fill));
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14);
}
