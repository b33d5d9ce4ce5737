/**
 * The extensions of a certificate that mbedTLS does not read: where to ask about it (RFC 5280 sections 4.2.1.13, 4.2.2.1).
 *
 * @module
 */

import { type Bytes, decodeText } from "./bytes.ts";

/** Addresses in a certificate, under CPython's names. */
export interface CertificateAddresses {
  /** Where to ask whether it is revoked (OCSP). */
  readonly OCSP?: readonly string[];
  /** Where the certificate of its issuer is. */
  readonly caIssuers?: readonly string[];
  /** Where the list of the revoked ones is. */
  readonly crlDistributionPoints?: readonly string[];
}

const SEQUENCE = 0x30;
const OID = 0x06;
const OCTET_STRING = 0x04;
const CONTEXT_0 = 0xa0; // distributionPoint, and fullName in it
const URI = 0x86; // a GeneralName

// OIDs as their DER contents, hexadecimal.
const AUTHORITY_INFO_ACCESS = "2b06010505070101"; // 1.3.6.1.5.5.7.1.1
const CRL_DISTRIBUTION_POINTS = "551d1f"; // 2.5.29.31
const AD_OCSP = "2b06010505073001";
const AD_CA_ISSUERS = "2b06010505073002";

interface Element {
  readonly tag: number;
  readonly value: Bytes;
}

/** The DER elements in `bytes`, up to the first that does not fit. */
function* elements(bytes: Bytes): Generator<Element> {
  for (let at = 0; at + 2 <= bytes.length;) {
    const tag = bytes[at]!;
    let length = bytes[at + 1]!;
    at += 2;
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size < 1 || size > 3 || at + size > bytes.length) return;
      length = bytes.subarray(at, at + size).reduce((sum, byte) => sum << 8 | byte, 0);
      at += size;
    }
    if (at + length > bytes.length) return;
    yield { tag, value: bytes.subarray(at, at + length) };
    at += length;
  }
}

/** The elements with `tag` in `bytes`. */
function inside(bytes: Bytes, tag: number): Bytes[] {
  return [...elements(bytes)].filter((element) => element.tag === tag).map(({ value }) => value);
}

/** Reads them from a certificate's `Extensions`, DER. What is malformed is passed over, as CPython does. */
export function certificateAddresses(extensions: Bytes): CertificateAddresses {
  const found = { OCSP: [] as string[], caIssuers: [] as string[], crlDistributionPoints: [] as string[] };
  for (const extension of inside(extensions, SEQUENCE).flatMap((list) => inside(list, SEQUENCE))) {
    const id = inside(extension, OID)[0]?.toHex();
    const content = inside(extension, OCTET_STRING)[0] ?? new Uint8Array();
    const items = inside(content, SEQUENCE).flatMap((list) => inside(list, SEQUENCE));
    for (const item of items) {
      if (id === AUTHORITY_INFO_ACCESS) {
        const method = inside(item, OID)[0]?.toHex();
        const uris = inside(item, URI).map(decodeText);
        if (method === AD_OCSP) found.OCSP.push(...uris);
        else if (method === AD_CA_ISSUERS) found.caIssuers.push(...uris);
      } else if (id === CRL_DISTRIBUTION_POINTS) {
        const names = inside(item, CONTEXT_0).flatMap((point) => inside(point, CONTEXT_0));
        found.crlDistributionPoints.push(...names.flatMap((name) => inside(name, URI)).map(decodeText));
      }
    }
  }
  return Object.fromEntries(Object.entries(found).filter(([, list]) => list.length > 0));
}
