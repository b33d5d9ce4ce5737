/**
 * A certificate in the form of CPython's `getpeercert()`.
 *
 * @module
 */

import { assertBytes, type Bytes, decodeText } from "./bytes.ts";
import { Core } from "./core.ts";
import { parseLength } from "./credentials.ts";
import { type CertificateAddresses, certificateAddresses } from "./certificate_addresses.ts";

/** An attribute of a name: `["commonName", "example.com"]`. */
export type NameAttribute = readonly [type: string, value: string];

/** A certificate in the form of CPython's `getpeercert()`; without fields when the certificate was not checked. */
export interface PeerCertificate extends CertificateAddresses {
  /** Whom it names: a list of relative distinguished names, each a list of attributes, nearly always of one. */
  readonly subject?: readonly (readonly NameAttribute[])[];
  /** Who signed it, in the same form. */
  readonly issuer?: readonly (readonly NameAttribute[])[];
  /** The hosts it is for: `["DNS", "example.com"]`, `["IP Address", "192.0.2.1"]`. */
  readonly subjectAltName?: readonly NameAttribute[];
  /** The version of X.509: 3, or 1 for a very old one. */
  readonly version?: number;
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
  "2.5.4.9": "streetAddress",
  "2.5.4.13": "description",
  "2.5.4.15": "businessCategory",
  "2.5.4.97": "organizationIdentifier",
  "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionLocalityName",
  "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionStateOrProvinceName",
  "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionCountryName",
};

/** Kinds of fields, as certificate_fields() of the core writes them. */
const FIELD = {
  SUBJECT: 1,
  SUBJECT_MORE: 2,
  ISSUER: 3,
  ISSUER_MORE: 4,
  ALT_NAME: 5,
  SERIAL: 6,
  NOT_BEFORE: 7,
  NOT_AFTER: 8,
  VERSION: 9,
  EXTENSIONS: 10,
};
/** Names that CPython gives to a GeneralName, by its tag (RFC 5280 section 4.2.1.6). */
const ALT_NAME_TYPES: Readonly<Record<number, string>> = { 1: "email", 2: "DNS", 6: "URI", 7: "IP Address" };
const BMP_STRING = 0x1e;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

interface Field {
  readonly kind: number;
  readonly tag: number;
  readonly type: string;
  readonly value: Bytes;
}

/**
 * Reads a certificate.
 *
 * @param der The certificate, DER, or PEM, of which it reads the first.
 * @returns Its fields, as CPython names them.
 * @throws {SSLError} If the bytes are not a certificate.
 */
export function peerCertificate(der: Uint8Array): PeerCertificate {
  assertBytes("der", der);
  return readCertificate(Core.idle(), der);
}

/** The first certificate of `chain`, DER or PEM. */
export function readCertificate(core: Core, chain: Bytes): PeerCertificate {
  const fields = readFields(core, chain);
  const find = (kind: number) => fields.find((field) => field.kind === kind)!.value;
  const extensions = fields.find(({ kind }) => kind === FIELD.EXTENSIONS)?.value;
  const altNames = fields.filter(({ kind, tag }) => kind === FIELD.ALT_NAME && ALT_NAME_TYPES[tag]);
  return {
    subject: nameOf(fields, FIELD.SUBJECT),
    issuer: nameOf(fields, FIELD.ISSUER),
    version: find(FIELD.VERSION)[0]!,
    serialNumber: find(FIELD.SERIAL).toHex().toUpperCase().replace(/^00(?=.)/, ""),
    notBefore: timeOf(find(FIELD.NOT_BEFORE)),
    notAfter: timeOf(find(FIELD.NOT_AFTER)),
    ...(altNames.length > 0 && {
      subjectAltName: altNames.map(({ tag, value }): NameAttribute => [
        ALT_NAME_TYPES[tag]!,
        ALT_NAME_TYPES[tag] === "IP Address" ? addressOf(value) : decodeText(value),
      ]),
    }),
    ...(extensions && certificateAddresses(extensions)),
  };
}

/** The channel binding `"tls-server-end-point"` of a server's certificate, DER (RFC 5929 section 4.1). */
export function certificateBinding(der: Bytes): Bytes {
  const core = Core.shared();
  return core.with([der], (at) => {
    const length = core.call.certificate_binding(at!, der.length, core.io);
    core.check("get channel binding", length);
    return core.memory.slice(core.io, core.io + length);
  });
}

function readFields(core: Core, chain: Bytes): Field[] {
  const room = new Uint8Array(2 * chain.length + 1024); // each field is in the certificate once, with other headers
  const bytes = core.with([chain, room], (at, out) => {
    const length = core.call.certificate_fields(at!, parseLength(chain), out!, room.length);
    core.check("read the certificate", length);
    return core.memory.slice(out!, out! + length);
  });
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const typeEnd = at + 3 + bytes[at + 2]!;
    const end = typeEnd + 2 + (bytes[typeEnd]! << 8 | bytes[typeEnd + 1]!);
    fields.push({
      kind: bytes[at]!,
      tag: bytes[at + 1]!,
      type: decodeText(bytes.subarray(at + 3, typeEnd)),
      value: bytes.subarray(typeEnd + 2, end),
    });
    at = end;
  }
  return fields;
}

/** The relative distinguished names of a name; `kind` begins one, the next kind goes on with it. */
function nameOf(fields: readonly Field[], kind: number): NameAttribute[][] {
  const names: NameAttribute[][] = [];
  for (const field of fields) {
    const attribute: NameAttribute = [LONG_NAMES[field.type] ?? field.type, textOf(field)];
    if (field.kind === kind) names.push([attribute]);
    else if (field.kind === kind + 1) names.at(-1)!.push(attribute);
  }
  return names;
}

function textOf({ tag, value }: Field): string {
  return tag === BMP_STRING ? new TextDecoder("utf-16be").decode(value) : decodeText(value);
}

function addressOf(bytes: Bytes): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from(
    { length: bytes.length / 2 },
    (_, i) => (bytes[2 * i]! << 8 | bytes[2 * i + 1]!).toString(16),
  );
  return groups.join(":").toUpperCase(); // as OpenSSL prints it: 0:0:0:0:0:0:0:1
}

/** `"Jan  5 09:34:43 2018 GMT"`. */
function timeOf([high, low, month, day, ...clock]: Iterable<number> & number[] | Bytes): string {
  const time = clock.map((part) => String(part).padStart(2, "0")).join(":");
  return `${MONTHS[month! - 1]} ${String(day).padStart(2)} ${time} ${high! << 8 | low!} GMT`;
}
