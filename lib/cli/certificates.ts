/** Certificates in words and in JSON. */

import { type KeyObject, X509Certificate } from "node:crypto";
import { printable } from "./terminal.ts";

/** What a certificate says. */
export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** Hosts that it is for. */
  readonly names: readonly string[];
  /** ISO 8601. */
  readonly notBefore: string;
  /** ISO 8601. */
  readonly notAfter: string;
  /** `"EC P-256"`, `"RSA 2048"`. */
  readonly key: string;
  readonly signature: string;
  readonly serialNumber: string;
  /** `"AB:CD:..."`. */
  readonly sha256: string;
  readonly isCA: boolean;
}

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};
const DAY = 86_400_000; // milliseconds

/**
 * Reads a certificate.
 *
 * @param source PEM or DER.
 * @throws {Error} If it is not a certificate.
 */
export function certificateFacts(source: string | Uint8Array): CertificateFacts {
  const certificate = new X509Certificate(source);
  return {
    subject: oneLineName(certificate.subject),
    issuer: oneLineName(certificate.issuer),
    names: hostNames(certificate).map(printable),
    notBefore: isoTime(certificate.validFrom),
    notAfter: isoTime(certificate.validTo),
    key: keyName(certificate),
    signature: (certificate as { signatureAlgorithm?: string }).signatureAlgorithm ?? "unknown", // not in the types
    serialNumber: certificate.serialNumber,
    sha256: certificate.fingerprint256,
    isCA: certificate.ca,
  };
}

/** The first certificate of a file, which may hold more, and keys, too. */
export function firstCertificate(bytes: Uint8Array): string | Uint8Array {
  const pem = new TextDecoder("latin1").decode(bytes);
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/)?.[0] ?? bytes;
}

/** The hosts of a certificate's subject alternative name. */
export function hostNames({ subjectAltName }: X509Certificate): string[] {
  return (subjectAltName ?? "").split(", ")
    .filter((name) => /^(DNS|IP Address):/.test(name))
    .map((name) => name.slice(name.indexOf(":") + 1));
}

/** Days until a certificate ends; below 0 when it has ended. */
export function daysLeft({ notAfter }: CertificateFacts): number {
  return Math.round((Date.parse(notAfter) - Date.now()) / DAY);
}

/** `"2026-01-01 to 2027-01-01 (ends in 41 days)"`. */
export function validity(facts: CertificateFacts): string {
  const [from, to] = [facts.notBefore, facts.notAfter].map((time) => time.slice(0, 10));
  return `${from} to ${to} (${validityState(facts)})`;
}

function validityState(facts: CertificateFacts): string {
  if (Date.parse(facts.notBefore) > Date.now()) return "not yet valid";
  if (Date.parse(facts.notAfter) < Date.now()) return "expired";
  const days = daysLeft(facts);
  return days === 0 ? "ends within a day" : `${days} ${days === 1 ? "day" : "days"} left`;
}

/** `"CN=example.com, O=Example"`; `"(empty)"` when it names nobody. */
function oneLineName(name: string | undefined): string {
  return printable((name ?? "").split("\n").join(", ")) || "(empty)";
}

/** X509Certificate writes `"Jan  5 09:34:43 2018 GMT"`. */
function isoTime(text: string): string {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toISOString().replace(".000Z", "Z");
}

function keyName(certificate: X509Certificate): string {
  let key: KeyObject;
  try {
    key = certificate.publicKey;
  } catch {
    return "unknown";
  }
  const { asymmetricKeyType: type = "unknown", asymmetricKeyDetails: details = {} } = key;
  const { namedCurve, modulusLength } = details;
  if (namedCurve !== undefined) return `EC ${CURVES[namedCurve] ?? namedCurve}`;
  return modulusLength === undefined ? type : `${type.toUpperCase()} ${modulusLength}`;
}
