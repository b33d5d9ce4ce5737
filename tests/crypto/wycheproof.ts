/**
 * Project Wycheproof's test vectors (C2SP/wycheproof, `testvectors_v1`): what is run of each kind, and what must come out.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Bytes } from "../../lib/bytes.ts";
import { type Cipher, open, seal } from "./aead.ts";
import { agree, type Agreement, COORDINATE, type Curve, verify, verifyDer } from "./asymmetric.ts";
import type { Harness } from "./harness.ts";
import { toBytes, toNumber } from "./numbers.ts";
import { isPrime, RsaKey } from "./rsa.ts";
import { aesCbc, type Bits, hkdf, hmac } from "./symmetric.ts";

/** A file of vectors, as far as it is used. */
export interface WycheproofFile {
  algorithm: string;
  numberOfTests: number;
  testGroups: Group[];
}

interface Group {
  type: string;
  tests: Test[];
  /** What the tests have in common; fields differ by type. */
  [field: string]: unknown;
}

/** One test; further fields are hexadecimal. */
interface Test {
  tcId: number;
  comment: string;
  flags: string[];
  result: "valid" | "invalid" | "acceptable";
  [field: string]: unknown;
}

/** What a core did with one test: `true` for what is asked of a valid one, `false` for a refusal, or why it was not asked. */
export type Verdict = boolean | { skipped: string };

/** Runs one test. A valid one must be `true`, an invalid one `false`. */
type Run = (harness: Harness, test: Fields, group: Fields) => Verdict;

/** The runs by the type of a group. One that is not here is not known. */
const RUNS: Readonly<Record<string, Run[]>> = {
  AeadTest: [aead],
  IndCpaTest: [cbc],
  MacTest: [mac],
  HkdfTest: [deriveKey],
  EcdsaVerify: [
    (harness, test, group) => {
      const signature = test.bytes("sig");
      return verifyDer(harness, group.curve, { ...signed(test, group), signature }) === 0;
    },
  ],
  EcdsaP1363Verify: [
    (harness, test, group) => {
      const signature = test.bytes("sig");
      const size = COORDINATE[group.curve];
      if (signature.length !== 2 * size) return { skipped: "P1363 signatures have one length" };
      const [r, s] = [signature.subarray(0, size), signature.subarray(size)];
      return verify(harness, group.curve, { ...signed(test, group), r, s }) === 0;
    },
  ],
  EcdhTest: [agreement("ecdh_shared_spki")],
  EcdhEcpointTest: [agreement("ecdh_shared"), agreement("psa_shared")],
  XdhComp: [agreement("ecdh_shared"), agreement("psa_shared")],
  XdhAsnComp: [agreement("ecdh_shared_spki")],
  RsassaPkcs1Verify: [rsaVerify],
  RsassaPssVerify: [rsaVerify],
  RsassaPssWithParametersVerify: [rsaVerify],
  RsaesPkcs1Decrypt: [rsaDecrypt],
  PrimalityTest: [
    (harness, test) => {
      const value = test.bytes("value");
      if (value[0]! >= 0x80) return { skipped: "the number is negative" };
      // Without the zero before it: mbedTLS draws witnesses with as many limbs as the number came in.
      return isPrime(harness, toBytes(toNumber(value)), 8) === 0;
    },
  ],
};

/** What came of a file. */
export interface Outcome {
  /** Tests that ran, in all the ways in which they can. */
  ran: number;
  /** Tests that did not, by why. */
  skipped: Map<string, number>;
  /** Those that came out wrong, in words. */
  failures: string[];
}

/** Whether the runner knows what to do with every group of `file`. */
export function isKnown({ testGroups }: WycheproofFile): boolean {
  return testGroups.every(({ type }) => RUNS[type] !== undefined);
}

/** Signatures in ASN.1 that is not DER: mbedTLS takes some. It gives a signature other forms, not a wrong one. */
const LAX = ["BerEncodedSignature", "MissingZero", "InvalidEncoding"];

/** Whether a test may come out either way. A secret that it gives must still be the right one. */
function isFree({ result, flags }: Test, { type }: Group): boolean {
  return result === "acceptable" || type === "EcdsaVerify" && flags.some((flag) => LAX.includes(flag));
}

/** Runs all of a file. */
export function runFile(harness: Harness, { algorithm, testGroups }: WycheproofFile): Outcome {
  const outcome: Outcome = { ran: 0, skipped: new Map(), failures: [] };
  for (const group of testGroups) {
    const common = new Fields({ ...group, algorithm });
    for (const test of group.tests) {
      for (const run of RUNS[group.type]!) {
        const verdict = run(harness, new Fields(test), common);
        if (typeof verdict === "object") {
          outcome.skipped.set(verdict.skipped, (outcome.skipped.get(verdict.skipped) ?? 0) + 1);
          continue;
        }
        outcome.ran++;
        if (isFree(test, group) || verdict === (test.result === "valid")) continue;
        const did = verdict ? "was accepted" : "was refused or came out wrong";
        outcome.failures.push(`${group.type} ${test.tcId} is ${test.result} but ${did}: ${test.comment}`);
      }
    }
  }
  return outcome;
}

/** Typed access to the fields of a test or a group. */
class Fields {
  readonly #fields: Record<string, unknown>;

  constructor(fields: Record<string, unknown>) {
    this.#fields = fields;
  }

  get flags(): string[] {
    return this.#fields.flags as string[];
  }

  get result(): Test["result"] {
    return this.#fields.result as Test["result"];
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== "string") throw new TypeError(`Cannot read field "${name}": it is no string`);
    return value;
  }

  number(name: string): number {
    const value = this.#fields[name];
    if (typeof value !== "number") throw new TypeError(`Cannot read field "${name}": it is no number`);
    return value;
  }

  bytes(name: string): Bytes {
    return Uint8Array.fromHex(this.text(name));
  }

  part(name: string): Fields {
    return new Fields(this.#fields[name] as Record<string, unknown>);
  }

  /** The curve of a group, wherever it says so. */
  get curve(): Curve {
    const name = (this.#fields.curve ?? this.part("publicKey").text("curve")) as string;
    const curves: Record<string, Curve> = {
      secp256r1: "P-256",
      secp384r1: "P-384",
      secp521r1: "P-521",
      curve25519: "X25519",
    };
    if (curves[name] === undefined) throw new TypeError(`Cannot use curve "${name}": it is not one of ours`);
    return curves[name];
  }
}

/** The digest of a message by `name`, as "SHA-256"; undefined for a hash that the core does not have. */
function digestOf(name: string, message: Uint8Array): { bits: Bits | 160; digest: Bytes } | undefined {
  const bits =
    ({ "SHA-1": 160, "SHA-224": 224, "SHA-256": 256, "SHA-384": 384, "SHA-512": 512 } as const)[name];
  if (bits === undefined) return undefined;
  const algorithm = name.replace("-", "").toLowerCase();
  return { bits, digest: new Uint8Array(createHash(algorithm).update(message).digest()) };
}

function signed(test: Fields, group: Fields): { point: Bytes; digest: Bytes } {
  const { digest } = digestOf(group.text("sha"), test.bytes("msg"))!;
  return { point: group.part("publicKey").bytes("uncompressed"), digest };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function aead(harness: Harness, test: Fields, group: Fields): Verdict {
  const ciphers: Record<string, Cipher> = {
    "AES-GCM": "gcm",
    "AES-CCM": "ccm",
    "CHACHA20-POLY1305": "chachapoly",
  };
  const cipher = ciphers[group.text("algorithm")];
  if (cipher === undefined) return { skipped: group.text("algorithm") };
  if (cipher === "chachapoly" && group.number("ivSize") !== 96) return { skipped: "a nonce has 12 bytes" };
  const [key, iv, aad, msg, ct, tag] = (["key", "iv", "aad", "msg", "ct", "tag"] as const)
    .map((name) => test.bytes(name)) as [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes];
  const parts = { key, iv, aad };
  const answers = [{}, { overlap: 0 }].flatMap((overlap) => {
    const opened = open(harness, cipher, { ...parts, input: ct }, tag, overlap);
    const sealed = seal(harness, cipher, { ...parts, input: msg }, tag.length, overlap);
    return [
      opened.code === 0 && equal(opened.output, msg),
      sealed.code === 0 && equal(sealed.output, ct) && equal(sealed.tag, tag),
    ];
  });
  return test.result === "valid" ? answers.every(Boolean) : answers.some(Boolean);
}

function cbc(harness: Harness, test: Fields): Verdict {
  if (test.result !== "valid") return { skipped: "padding is not AES's" };
  const [key, iv, msg, ct] = ["key", "iv", "msg", "ct"].map((name) => test.bytes(name)) as Bytes[];
  const input = new Uint8Array(ct!.length).fill(ct!.length - msg!.length); // PKCS #7
  input.set(msg!);
  const sealed = aesCbc(harness, "encrypt", { key: key!, iv: iv!, input });
  const opened = aesCbc(harness, "decrypt", { key: key!, iv: iv!, input: ct! });
  return equal(sealed.output, ct!) && equal(opened.output, input);
}

function mac(harness: Harness, test: Fields, group: Fields): Verdict {
  const bits = Number(/^HMACSHA(\d+)$/.exec(group.text("algorithm"))?.[1]);
  if (![224, 256, 384, 512].includes(bits)) return { skipped: group.text("algorithm") };
  const { output } = hmac(harness, bits as Bits, test.bytes("key"), test.bytes("msg"));
  return equal(output.subarray(0, group.number("tagSize") / 8), test.bytes("tag"));
}

function deriveKey(harness: Harness, test: Fields, group: Fields): Verdict {
  const bits = Number(/^HKDF-SHA-(\d+)$/.exec(group.text("algorithm"))?.[1]);
  if (![224, 256, 384, 512].includes(bits)) return { skipped: group.text("algorithm") };
  const [salt, ikm, info] = ["salt", "ikm", "info"].map((name) => test.bytes(name)) as Bytes[];
  const length = test.number("size");
  const { code, output } = hkdf(harness, bits as Bits, { salt: salt!, ikm: ikm!, info: info!, length });
  return code === 0 && equal(output, test.bytes("okm"));
}

/** A secret must be right wherever there is one: a test that is acceptable may be refused, not come out otherwise. */
function agreement(how: Agreement): Run {
  return (harness, test, group) => {
    const { curve } = group;
    const key = privateKey(test.text("private"), curve);
    if (key === undefined) return { skipped: "the private key's encoding" };
    const { code, output } = agree(harness, how, curve, key, test.bytes("public"));
    if (code < 0) return false;
    return equal(output, test.bytes("shared")) || test.result === "invalid" || wrongSecret(test);
  };
}

/** X25519 keys are bytes, alone or in PKCS #8; others are numbers with a zero too many or too few. */
function privateKey(text: string, curve: Curve): Bytes | undefined {
  const size = COORDINATE[curve];
  if (curve !== "X25519") return toBytes(toNumber(Uint8Array.fromHex(text)), size);
  const digits = /^(?:302e020100300506032b656e04220420)?([0-9a-f]{64})$/.exec(text)?.[1];
  return digits === undefined ? undefined : Uint8Array.fromHex(digits);
}

function wrongSecret(test: Fields): never {
  throw new Error(`Wrong secret for test ${test.number("tcId")}`);
}

function rsaVerify(harness: Harness, test: Fields, group: Fields): Verdict {
  const pss = group.text("type") !== "RsassaPkcs1Verify";
  const hashed = digestOf(group.text("sha"), test.bytes("msg"));
  if (hashed === undefined) return { skipped: `no ${group.text("sha")}` };
  if (pss && group.text("mgfSha") !== group.text("sha")) {
    return { skipped: "mbedTLS masks with the message's hash" };
  }
  const numbers = group.part("publicKey");
  const key = RsaKey.import(harness, {
    n: numbers.bytes("modulus"),
    e: numbers.bytes("publicExponent"),
  });
  if (typeof key === "number") throw new Error(`Cannot import the key: ${key}`);
  using _ = key;
  const scheme = { pss, bits: hashed.bits, ...(pss && { salt: group.number("sLen") }) };
  return key.verify(scheme, hashed.digest, test.bytes("sig")) === 0;
}

function rsaDecrypt(harness: Harness, test: Fields, group: Fields): Verdict {
  const key = RsaKey.parse(harness, "private", group.bytes("privateKeyPkcs8"));
  if (typeof key === "number") throw new Error(`Cannot parse the key: ${key}`);
  using _ = key;
  const { code, output } = key.decrypt(test.bytes("ct"));
  return code >= 0 && equal(output, test.bytes("msg"));
}
