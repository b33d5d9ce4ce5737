/**
 * Text forms: PEM and DER, and the times of a certificate.
 *
 * @module
 */

import { assertBytes, type Bytes, typeName } from "./bytes.ts";

const LABEL = /^[A-Z0-9]+(?: [A-Z0-9]+)*$/; // RFC 7468 section 3, as far as it is used
const LINE = 64; // characters; RFC 7468 section 2

/**
 * Writes PEM (RFC 7468): CPython's `DER_cert_to_PEM_cert`.
 *
 * @param der The bytes; they are not looked at.
 * @param label What they are: `"CERTIFICATE"`, `"PRIVATE KEY"` ... @default {"CERTIFICATE"}
 * @returns The text, with a line end at its end.
 * @throws {TypeError} If `der` is not a `Uint8Array`, or the label is none.
 *
 * @example To PEM and back
 * ```ts
 * import { derToPem, pemToDer } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const pem = derToPem(new Uint8Array([0x30, 0x00]));
 * assertEquals(pem, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
 * assertEquals(pemToDer(pem), new Uint8Array([0x30, 0x00]));
 * ```
 */
export function derToPem(der: Uint8Array, label = "CERTIFICATE"): string {
  assertBytes("der", der);
  assertLabel(label);
  const lines = der.toBase64().match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/**
 * Reads the first block of PEM with a label: CPython's `PEM_cert_to_DER_cert`. Text around it and other blocks are passed
 * over.
 *
 * @param pem The text.
 * @param label What to look for. @default {"CERTIFICATE"}
 * @returns The bytes.
 * @throws {SyntaxError} If there is no such block, or it is cut short or not Base64.
 */
export function pemToDer(pem: string, label = "CERTIFICATE"): Bytes {
  if (typeof pem !== "string") throw new TypeError(`Cannot use pem: expected a string, got ${typeName(pem)}`);
  assertLabel(label);
  const begin = `-----BEGIN ${label}-----`;
  const from = pem.indexOf(begin);
  if (from < 0) throw new SyntaxError(`Cannot read PEM: it has no "${begin}"`);
  const to = pem.indexOf(`-----END ${label}-----`, from);
  if (to < 0) throw new SyntaxError(`Cannot read PEM: it is cut short, no "-----END ${label}-----"`);
  const body = pem.slice(from + begin.length, to);
  try {
    const der = Uint8Array.fromBase64(body, { lastChunkHandling: "strict" });
    if (der.length > 0) return der;
  } catch {
    // told below
  }
  const isEncrypted = /^\s*Proc-Type:.*ENCRYPTED/m.test(body);
  throw new SyntaxError(`Cannot read PEM: the ${label} is ${isEncrypted ? "encrypted" : "not Base64"}`);
}

function assertLabel(label: string): void {
  if (!LABEL.test(label)) throw new TypeError(`Cannot use label: ${JSON.stringify(label)} is not one of PEM`);
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const TIME = /^([A-Za-z]{3}) +(\d{1,2}) (\d{1,2}):(\d{1,2}):(\d{1,2}) (\d{4}) GMT$/i;

/**
 * When a certificate's `notBefore` or `notAfter` is: CPython's `cert_time_to_seconds`.
 *
 * @param text As `getpeercert()` has it: `"Jan  5 09:34:43 2018 GMT"`.
 * @returns Seconds since the Unix epoch.
 * @throws {SyntaxError} If the text is in another form, or says a time that does not exist. A leap second does, as in CPython:
 *   it has the number of the next one.
 *
 * @example Usage
 * ```ts
 * import { certTimeToSeconds } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(certTimeToSeconds("Jan  5 09:34:43 2018 GMT"), 1515144883);
 * ```
 */
export function certTimeToSeconds(text: string): number {
  const [, name = "", ...numbers] = TIME.exec(text) ?? [];
  const month = MONTHS.indexOf(name.toLowerCase());
  const [day = 0, hour = 0, minute = 0, second = 0, year = 0] = numbers.map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month, day); // Date.UTC() takes the years 0 to 99 for those of the last century
  const isThere = month >= 0 && year > 0 && date.getUTCMonth() === month && date.getUTCDate() === day &&
    hour < 24 &&
    minute < 60 && second <= 60;
  if (!isThere) {
    const form = '"Jan  5 09:34:43 2018 GMT"';
    throw new SyntaxError(
      `Cannot read the time of a certificate: expected ${form}, got ${JSON.stringify(text)}`,
    );
  }
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
}
