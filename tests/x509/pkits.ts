/**
 * NIST's Public Key Interoperability Test Suite (PKITS), as Debian's package python3-cryptography-vectors has it, and what tlsio makes
 * of it as a server that asks for a certificate.
 *
 * Each test is a signed mail, which has the path and its revocation lists; its name says what is expected. The path is put into the
 * Certificate message of a client that has not got its key: where the server finds nothing wrong with it, the client's
 * CertificateVerify is what it refuses.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import type { Source } from "../../lib/credentials.ts";
import { SSLCertVerificationError, SSLError } from "../../lib/errors.ts";
import { CERT_REQUIRED } from "../../lib/policy.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { credential, EnginePair, fixedCore, source } from "../pair.ts";
import type { Verdict } from "./cases.ts";
import { swapCertificates } from "./verdict.ts";

/** Where the package has it: tests/peers.sh installs it. */
const FOLDER = "/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data";

/** The sections of NIST's document, by the names of their tests; the first that fits. */
export const SECTIONS: readonly (readonly [section: string, title: string, names: RegExp])[] = [
  ["4.1", "Signature verification", /^((In)?Valid|Invalid)(Signatures|CASignature|EESignature|DSA)/],
  ["4.2", "Validity periods", /not(Before|After)Date/],
  ["4.3", "Name chaining", /NameChaining|RFC3280|UTF8String/],
  ["4.5", "Self-issued certificates", /BasicSelfIssued/],
  ["4.13", "Name constraints", /nameConstraints/],
  ["4.6", "Basic constraints", /basicConstraints|cAFalse|pathLen/],
  ["4.7", "Key usage", /keyUsage/],
  ["4.11", "Inhibit policy mapping", /inhibitPolicyMapping/],
  ["4.12", "Inhibit any policy", /inhibitAnyPolicy/],
  ["4.9", "Require explicit policy", /[rR]equireExplicitPolicy/],
  ["4.10", "Policy mappings", /Mapping/],
  ["4.8", "Certificate policies", /Polic(y|ies)|Qualifier/],
  ["4.15", "Delta lists", /deltaCRL/],
  ["4.16", "Unknown extensions", /CriticalCertificateExtension/],
  ["4.14", "Distribution points", /distributionPoint|DistributionPoint|onlyContains|onlySome|IDP|cRLIssuer/],
  ["4.4", "Revocation lists", /CRL|Revoked|SerialNumber/],
];

/** Policy tests whose name does not say it: these are to fail with any policies asked for, as their authorities demand one. */
const TO_FAIL = /^DifferentPoliciesTest(4|5|7|8|9|12)$|^MissingCRLTest1$/;

/** Where tlsio does otherwise: why, and the tests. All but the first refuse what would be good. */
export const DIFFERENCES: readonly (readonly [why: string, sections: RegExp, names: RegExp])[] = [
  [
    "accepted: tlsio processes no policies, and passes over an authority's demand for one (`requireExplicitPolicy`) that is not " +
    "critical, as RFC 5280 section 4.2.1.11 wants it to be; `openssl verify` heeds it with `-policy_check` alone",
    /^4\.8$/,
    /^DifferentPoliciesTest(4|5|7|8|9|12)$/,
  ],
  [
    "refused: a critical extension about policies, which tlsio does not process",
    /^4\.(9|10|11|12)$/,
    /^Valid(?!requireExplicit)|^inhibitAnyPolicyTest3$/,
  ],
  ["refused: DSA", /^4\.1$/, /^ValidDSA/],
  [
    "refused: names whose spaces differ, or whose letters differ in a UTF8String and in the name of a list's issuer",
    /^4\.3$/,
    /^Valid(NameChainingWhitespace|NameChainingCapitalization|UTF8StringCaseInsensitive)/,
  ],
  [
    "refused: unique identifiers, which mbedTLS expects in another encoding",
    /^4\.3$/,
    /^ValidNameChainingUIDs/,
  ],
  [
    "refused: lists with a critical extension, for a part of the certificates or of another issuer, and delta lists",
    /^4\.(5|14|15)$/,
    /^Valid(BasicSelfIssued(NewWithOld|CRLSigning)|distributionPoint|onlyContains|onlySome|IDP|cRLIssuer|deltaCRL)/,
  ],
  [
    "refused: a list whose signer has the issuer's name and another key",
    /^4\.(4|5|13)$/,
    /^Valid(SeparateCertificate|BasicSelfIssuedOldWithNew|SelfIssuedDNnameConstraints)/,
  ],
  [
    "refused: a self-issued authority directly below one whose path length is 0: mbedTLS counts it there",
    /^4\.6$/,
    /^ValidSelfIssuedpathLen/,
  ],
];

/** Why tlsio does otherwise; `undefined`: it does not. */
export function differenceOf({ section, name }: PkitsTest): string | undefined {
  return DIFFERENCES.find(([, sections, names]) => sections.test(section) && names.test(name))?.[0];
}

/** The part of docs/x509.md about PKITS. */
export function pkitsPage(): string {
  const tests = pkits();
  const rows = SECTIONS.map(([section, title]) => {
    const own = tests.filter((test) => test.section === section);
    return [
      section,
      title,
      own.length,
      own.filter((test) => differenceOf(test) === undefined).length,
    ] as const;
  }).sort(([a], [b]) => Number(a.slice(2)) - Number(b.slice(2)));
  const sum = (column: 2 | 3) => rows.reduce((sum, row) => sum + row[column], 0);
  const all = [...rows, ["", "all", sum(2), sum(3)]];
  const notes = DIFFERENCES.map(([why]) => {
    const names = tests.filter((test) => differenceOf(test) === why).map(({ section, name }) =>
      `${section}.${/\d+$/.exec(name)![0]}`
    );
    return `- ${why}: ${names.join(", ")}.`;
  });
  return `| section | about | tests | as NIST expects |
| - | - | - | - |
${all.map((row) => `| ${row.join(" | ")} |`).join("\n")}

${notes.join("\n")}
`;
}

export interface PkitsTest {
  readonly section: string;
  readonly name: string;
  readonly expected: Verdict;
  /** The path: the leaf first, without the trust anchor. */
  readonly sent: readonly Bytes[];
  readonly trust: Bytes;
  readonly crls: readonly Bytes[];
}

/** Reads the collection. Throws if it is not installed. */
export function pkits(): PkitsTest[] {
  const read = (name: string): Bytes => {
    try {
      return Deno.readFileSync(`${FOLDER}/${name}`);
    } catch {
      throw new Error(`Cannot read PKITS: ${FOLDER} is not installed, run tests/peers.sh`);
    }
  };
  const trust = read("certs/TrustAnchorRootCertificate.crt");
  const names = (folder: string, end: string) =>
    Array.from(Deno.readDirSync(`${FOLDER}/${folder}`), ({ name }) => name).filter((name) =>
      name.endsWith(end)
    );
  const leaves = new Set(names("certs", "EE.crt").map((name) => read(`certs/${name}`).toHex()));
  return names("smime", ".eml").map((file): PkitsTest => {
    const { certificates, crls } = readMail(new TextDecoder().decode(read(`smime/${file}`)));
    const leaf = certificates.find((der) => leaves.has(der.toHex()));
    assert(leaf !== undefined, `${file} has no leaf`);
    const others = certificates.filter((der) => der !== leaf).reverse(); // mails have the highest first
    const name = file.slice("Signed".length, -".eml".length);
    return {
      section: SECTIONS.find(([, , names]) => names.test(name))?.[0] ?? "",
      name,
      expected: name.startsWith("Invalid") || TO_FAIL.test(name) ? "reject" : "accept",
      sent: [leaf, ...others],
      trust,
      crls,
    };
  }).sort((a, b) => order(a) - order(b));
}

/** 4.13.21 comes behind 4.13.9. */
function order({ section, name }: PkitsTest): number {
  return Number(section.slice(2)) * 100 + Number(/\d+$/.exec(name)![0]);
}

/** What tlsio makes of it, and its words where that is nothing good. */
export function askPkits({ sent, trust, crls }: PkitsTest): { verdict: Verdict; why: string } {
  const file = (name: string, bytes: Bytes): Source => ({ name, bytes });
  const core = fixedCore();
  const sslVersion = TLSVersion.TLSv1_2;
  let asks: TLSConfig;
  try {
    asks = new TLSConfig({
      sslVersion,
      serverSide: true,
      credential: credential("ec"),
      certReqs: CERT_REQUIRED,
      trust: [file("trust", trust)],
      ...(crls.length > 0 && { crls: crls.map((der, i) => file(`list ${i}`, der)) }),
      ...(crls.length > 0 && { crlCheck: "chain" }),
    }, core);
  } catch (error) {
    assert(error instanceof SSLError && error.kind === "config", String(error));
    return { verdict: "reject", why: `list not loaded: ${error.reason}` };
  }
  using server = asks;
  using client = new TLSConfig(
    { sslVersion, trust: [source("root.pem")], credential: credential("rsa") },
    core,
  );
  const deliver = swapCertificates("client", sent);
  using pair = new EnginePair(client, server, { serverHostname: "localhost", deliver }).run();
  const error = pair.errors.server;
  assert(error !== undefined, "nobody has this key");
  const alert = pair.errors.client?.alert?.name;
  if (error instanceof SSLCertVerificationError) return { verdict: "reject", why: error.verifyMessage };
  if (alert === "decrypt_error") { // the signature of who has another key
    assertEquals(pair.server.verifyFlags, 0);
    return { verdict: "accept", why: "" };
  }
  return { verdict: "reject", why: `${alert}: ${error.reason}` };
}

// ---- Mails ------------------------------------------------------------------------------------------------

interface Value {
  readonly tag: number;
  readonly all: Bytes;
  readonly body: Bytes;
}

/** The values of DER behind one another. */
function values(bytes: Bytes): Value[] {
  const found: Value[] = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at + 1]!;
    const count = first < 128 ? 0 : first & 127;
    let length = first < 128 ? first : 0;
    for (let i = 0; i < count; i++) length = length * 256 + bytes[at + 2 + i]!;
    const start = at + 2 + count;
    found.push({
      tag: bytes[at]!,
      all: bytes.slice(at, start + length),
      body: bytes.slice(start, start + length),
    });
    at = start + length;
  }
  return found;
}

/** The certificates and lists of a signed mail (RFC 5652 section 5.1). */
function readMail(text: string): { certificates: Bytes[]; crls: Bytes[] } {
  const [, base64] = /filename="smime\.p7s"\s+([A-Za-z0-9+/=\s]+?)\s*------/.exec(text) ?? [];
  assert(base64 !== undefined, "a signature");
  const [content] = values(Uint8Array.fromBase64(base64.replaceAll(/\s/g, "")));
  const [, explicit] = values(content!.body);
  const [signed] = values(explicit!.body);
  const parts = values(signed!.body);
  const list = (tag: number) =>
    values(parts.find((part) => part.tag === tag)?.body ?? concat([])).map(({ all }) => all);
  return { certificates: list(0xa0), crls: list(0xa1) };
}
