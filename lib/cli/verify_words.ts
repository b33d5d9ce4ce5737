/** What is wrong with a server's certificate, in words for people. */

import type { CertificateFacts } from "./certificates.ts";
import { printable } from "./terminal.ts";

/** Bits of `verifyFlags`: mbedTLS's MBEDTLS_X509_BADCERT_*. */
const BADCERT = {
  EXPIRED: 0x01,
  CN_MISMATCH: 0x04,
  NOT_TRUSTED: 0x08,
  MISSING: 0x40,
  FUTURE: 0x0200,
  KEY_USAGE: 0x0800,
  EXT_KEY_USAGE: 0x1000,
  BAD_MD: 0x4000,
  BAD_PK: 0x8000,
  BAD_KEY: 0x01_0000,
  NAMES: 0x0100_0000, // tlsio's own
} as const;

/**
 * Says why a certificate is not accepted.
 *
 * @param verifyFlags The bits.
 * @param verifyMessage mbedTLS's words, for the bits that have none here.
 * @param servername Whom the certificate should be for.
 * @param chain What the server sent.
 */
export function verifyWords(
  verifyFlags: number,
  verifyMessage: string,
  servername: string,
  chain: readonly CertificateFacts[],
): string {
  const leaf = chain[0];
  const words: readonly (readonly [bit: number, words: string])[] = [
    [BADCERT.MISSING, "the server sent none"],
    [BADCERT.CN_MISMATCH, `it is for ${leaf?.names.join(", ") || leaf?.subject}, not for ${servername}`],
    [BADCERT.EXPIRED, `${culprit(chain, (facts) => Date.parse(facts.notAfter) < Date.now())} has expired`],
    [
      BADCERT.FUTURE,
      `${culprit(chain, (facts) => Date.parse(facts.notBefore) > Date.now())} is not valid yet`,
    ],
    [BADCERT.NOT_TRUSTED, untrusted(chain)],
    [BADCERT.KEY_USAGE, "its key is meant for other uses"],
    [BADCERT.EXT_KEY_USAGE, "it is not meant for servers, or an authority above it is not"],
    [BADCERT.BAD_MD, "it is signed with a broken hash"],
    [BADCERT.BAD_PK, "it is signed with a kind of key that is not accepted"],
    [BADCERT.BAD_KEY, "a key in the chain is too short, or of a kind that is not accepted"],
    [BADCERT.NAMES, "an authority above it must not certify one of its names"],
  ];
  const told = words.filter(([bit]) => (verifyFlags & bit) !== 0);
  const rest = told.reduce((flags, [bit]) => flags & ~bit, verifyFlags);
  const list = told.map(([, text]) => text);
  if (rest !== 0) list.push(printable(verifyMessage.trim().replace(/\s*\n\s*/g, "; ")));
  return list.join("; ");
}

function untrusted(chain: readonly CertificateFacts[]): string {
  const last = chain.at(-1);
  if (last === undefined) return "it is not signed by anyone trusted";
  if (last.subject !== last.issuer) return `its chain ends with ${last.issuer}, who is not trusted`;
  return chain.length === 1 ? "it is self-signed" : `its chain ends with ${last.subject}, who is not trusted`;
}

/** Which certificate of the chain it is, when it is not the first. */
function culprit(chain: readonly CertificateFacts[], guilty: (facts: CertificateFacts) => boolean): string {
  const index = chain.findIndex(guilty);
  return index > 0 ? `its issuer ${chain[index]!.subject}` : "it";
}
