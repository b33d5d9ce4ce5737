/**
 * A certificate that can be read in two ways: as DER it is the one of its own key, as PEM the one that its issuer's name
 * holds.
 *
 * @module
 */
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";

/** A certificate, DER, and its key, PKCS #8. */
export interface Masked {
  readonly certificate: Bytes;
  readonly key: Bytes;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OID = 0x06;
const UTF8 = 0x0c;
const ECDSA_SHA256 = Uint8Array.fromHex("2a8648ce3d040302");
const COMMON_NAME = Uint8Array.fromHex("550403");
const FROM_2020_TO_2049 = concat(["20", "49"].map((year) => tlv(0x17, encodeText(`${year}0101000000Z`))));

/** One DER value. */
function tlv(tag: number, ...parts: Bytes[]): Bytes {
  const body = concat(parts);
  const { length } = body;
  const header = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 255];
  return concat([Uint8Array.from(header), body]);
}

function name(text: string): Bytes {
  return tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, tlv(OID, COMMON_NAME), tlv(UTF8, encodeText(text)))));
}

/** A P-256 certificate that signed itself, whose issuer's name is `text`: no byte before it is 0, the last byte is. */
export async function maskedCertificate(text: string): Promise<Masked> {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  const key = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const algorithm = tlv(SEQUENCE, tlv(OID, ECDSA_SHA256));
  for (let padding = 1;; padding++) {
    const body = tlv(
      SEQUENCE,
      tlv(0xa0, Uint8Array.of(2, 1, 2)), // version 3
      tlv(2, Uint8Array.of(1)), // serial number
      algorithm,
      name("x".repeat(padding) + text),
      tlv(SEQUENCE, FROM_2020_TO_2049),
      name("localhost"),
      publicKey,
    );
    const signed = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, body);
    const raw = new Uint8Array(signed);
    const signature = tlv(SEQUENCE, ...[raw.subarray(0, 32), raw.subarray(32)].map(integer));
    const certificate = tlv(SEQUENCE, body, algorithm, tlv(3, Uint8Array.of(0), signature));
    const isText = certificate.indexOf(0) > certificate.indexOf(0x2d);
    if (isText && certificate.at(-1) === 0) return { certificate, key };
  }
}

/** A positive INTEGER. */
function integer(number: Bytes): Bytes {
  const digits = number.subarray(number.findIndex((byte) => byte !== 0));
  return tlv(2, digits[0]! >= 0x80 ? concat([Uint8Array.of(0), digits]) : digits);
}
