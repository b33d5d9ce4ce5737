/**
 * Makes certificates for the tests of chains: any field can be wrong. Nothing is kept: keys and certificates are new each time.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { parseAddress } from "../../lib/ip_address.ts";
import { bits, boolean, integer, name, NULL, octets, oid, sequence, string, time, tlv } from "./der.ts";

export interface Key {
  readonly spki: Bytes;
  readonly private: KeyObject;
  readonly isRsa: boolean;
  /** Whether mbedTLS can use it. */
  readonly isLoadable: boolean;
}

const KINDS = {
  p256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  p384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  p224: () => generateKeyPairSync("ec", { namedCurve: "P-224" }),
  secp256k1: () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  rsa1024: () => generateKeyPairSync("rsa", { modulusLength: 1024 }),
  rsa2048: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const KEYS = new Map<string, Key>();

/** A key of that kind; the same `which`, the same key. */
export function key(kind: keyof typeof KINDS = "p256", which = "leaf"): Key {
  const id = `${kind} ${which}`;
  let made = KEYS.get(id);
  if (made === undefined) {
    const pair = KINDS[kind]();
    made = {
      spki: new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" })),
      private: pair.privateKey,
      isRsa: kind.startsWith("rsa"),
      isLoadable: kind !== "p224" && kind !== "secp256k1",
    };
    KEYS.set(id, made);
  }
  return made;
}

export function privatePem({ private: secret }: Key): string {
  return secret.export({ type: "pkcs8", format: "pem" }) as string;
}

// ---- Extensions ------------------------------------------------------------------------------------------

export function extension(type: string, value: Bytes, critical = false): Bytes {
  return sequence(oid(type), ...(critical ? [boolean(true)] : []), octets(value));
}

/** basicConstraints. */
export function authority(pathLength?: number, isCA = true): Bytes {
  const value = sequence(
    ...(isCA ? [boolean(true)] : []),
    ...(pathLength === undefined ? [] : [integer(pathLength)]),
  );
  return extension("2.5.29.19", value, true);
}

const USAGES = ["digitalSignature", "", "keyEncipherment", "", "keyAgreement", "keyCertSign", "cRLSign"];

export function keyUsage(...usages: string[]): Bytes {
  const byte = usages.reduce((all, usage) => all | 0x80 >> USAGES.indexOf(usage), 0);
  let unused = 0;
  while (unused < 7 && (byte >> unused & 1) === 0) unused++;
  return extension("2.5.29.15", tlv(3, Uint8Array.of(unused, byte)), true);
}

const PURPOSES: Record<string, string> = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
  code: "1.3.6.1.5.5.7.3.3",
  any: "2.5.29.37.0",
};

export function purposes(...names: string[]): Bytes {
  return extension("2.5.29.37", sequence(...names.map((one) => oid(PURPOSES[one]!))));
}

/** `dns:a`, `ip:192.0.2.1`, `net:192.0.2.0/255.255.255.0`, `hex:...` (an address of any bytes), `email:`, `uri:`, `dir:CN=x`, `other:`. */
export function generalName(text: string): Bytes {
  const at = text.indexOf(":");
  const value = text.slice(at + 1);
  switch (text.slice(0, at)) {
    case "other":
      return tlv(0xa0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xa0, string(value)));
    case "email":
      return tlv(0x81, encodeText(value));
    case "dns":
      return tlv(0x82, encodeText(value));
    case "dir":
      return tlv(0xa4, name(value));
    case "bmpdir":
      return tlv(0xa4, name(value, "bmp"));
    case "uri":
      return tlv(0x86, encodeText(value));
    case "ip":
      return tlv(0x87, new Uint8Array(parseAddress(value)!));
    case "net":
      return tlv(0x87, concat(value.split("/").map((part) => new Uint8Array(parseAddress(part)!))));
    case "hex":
      return tlv(0x87, Uint8Array.fromHex(value));
    case "id":
      return tlv(0x88, oid(value).slice(2));
    default:
      throw new TypeError(`Cannot make a name: ${text}`);
  }
}

export function altNames(...names: string[]): Bytes {
  return extension("2.5.29.17", sequence(...names.map(generalName)));
}

export interface Constraints {
  permitted?: string[];
  excluded?: string[];
}

export function nameConstraints(
  { permitted, excluded }: Constraints,
  critical = true,
  behind: Bytes[] = [],
): Bytes {
  const subtrees = (tag: number, names?: string[]) =>
    names === undefined ? [] : [tlv(tag, ...names.map((one) => sequence(generalName(one), ...behind)))];
  return extension(
    "2.5.29.30",
    sequence(...subtrees(0xa0, permitted), ...subtrees(0xa1, excluded)),
    critical,
  );
}

// ---- Certificates ----------------------------------------------------------------------------------------

export type Hash = "sha256" | "sha384" | "sha1" | "md5";
const ALGORITHMS: Record<string, Bytes> = {
  "ec sha256": sequence(oid("1.2.840.10045.4.3.2")),
  "ec sha384": sequence(oid("1.2.840.10045.4.3.3")),
  "ec sha1": sequence(oid("1.2.840.10045.4.1")),
  "rsa sha256": sequence(oid("1.2.840.113549.1.1.11"), NULL),
  "rsa sha384": sequence(oid("1.2.840.113549.1.1.12"), NULL),
  "rsa sha1": sequence(oid("1.2.840.113549.1.1.5"), NULL),
  "rsa md5": sequence(oid("1.2.840.113549.1.1.4"), NULL),
};

export interface Made {
  readonly der: Bytes;
  readonly subject: Bytes;
  readonly key: Key;
  readonly serial: Bytes;
}

export interface Fields {
  /** @default {"CN=leaf"} */
  subject?: string | Bytes;
  /** Who is named as the issuer. @default The subject of `by`. */
  issuer?: string | Bytes;
  key?: Key;
  /** The key in it, where that is no real one. */
  spki?: Bytes;
  /** Who signs. @default {itself} */
  by?: Pick<Made, "subject" | "key">;
  serial?: Bytes;
  version?: 1 | 2 | 3;
  from?: string;
  until?: string;
  extensions?: Bytes[];
  hash?: Hash;
  /** The algorithm that is named outside of what is signed. */
  outside?: Hash;
  /** A bit of the signature is flipped. */
  forged?: boolean;
  /** In place of a signature. */
  signature?: Bytes;
  behind?: Bytes;
}

let serials = 0x10000;
const named = (value: string | Bytes) => typeof value === "string" ? name(value) : value;

export function signed(content: Bytes, by: Key, hash: Hash, outside = hash, forged = false): Bytes {
  const algorithm = (which: Hash) => ALGORITHMS[`${by.isRsa ? "rsa" : "ec"} ${which}`]!;
  const signature = new Uint8Array(sign(hash, content, by.private));
  if (forged) signature[signature.length - 1]! ^= 1;
  return sequence(content, algorithm(outside), bits(signature));
}

/** A certificate. */
export function certificate(fields: Fields): Made {
  const { version = 3, from = "20200101000000Z", until = "20491231000000Z", hash = "sha256" } = fields;
  const own = fields.key ?? key();
  const subject = named(fields.subject ?? "CN=leaf");
  const by = fields.by ?? { subject, key: own };
  const serial = fields.serial ?? Uint8Array.of(1, serials >> 16, serials >> 8 & 255, serials++ & 255);
  const content = sequence(
    ...(version === 1 ? [] : [tlv(0xa0, integer(version - 1))]),
    integer(serial),
    ALGORITHMS[`${by.key.isRsa ? "rsa" : "ec"} ${hash}`]!,
    fields.issuer === undefined ? by.subject : named(fields.issuer),
    sequence(time(from), time(until)),
    subject,
    fields.spki ?? own.spki,
    ...(version === 3 && fields.extensions !== undefined ? [tlv(0xa3, sequence(...fields.extensions))] : []),
  );
  const whole = fields.signature === undefined
    ? signed(content, by.key, hash, fields.outside, fields.forged)
    : sequence(content, ALGORITHMS[`${by.key.isRsa ? "rsa" : "ec"} ${hash}`]!, bits(fields.signature));
  return { der: concat([whole, fields.behind ?? new Uint8Array(0)]), subject, key: own, serial };
}

/** An authority that signed itself. */
export function root(fields: Fields = {}): Made {
  return certificate({ subject: "CN=root", key: key("p256", "root"), extensions: CA, ...fields });
}

/** An authority under `by`. */
export function intermediate(by: Made, extra: Bytes[] = [], fields: Fields = {}): Made {
  const own = key("p256", `intermediate`);
  return certificate({ subject: "CN=intermediate", key: own, extensions: [...CA, ...extra], by, ...fields });
}

/** A server's certificate for a.test. */
export function leaf(by: Made, names: string[] = ["dns:a.test"], fields: Fields = {}): Made {
  return certificate({ extensions: [altNames(...names)], by, ...fields });
}

export const CA: readonly Bytes[] & Bytes[] = [authority(), keyUsage("keyCertSign", "cRLSign")];

export interface ListFields {
  by: Made;
  revoked?: Made[];
  from?: string;
  until?: string;
  forged?: boolean;
  issuer?: string;
  hash?: Hash;
  extensions?: Bytes[];
}

/** A CRL, DER. */
export function revocations(fields: ListFields): Bytes {
  const { by, revoked = [], from = "20200101000000Z", until = "20491231000000Z", hash = "sha256" } = fields;
  const entries = revoked.map(({ serial }) => sequence(integer(serial), time("20210101000000Z")));
  const content = sequence(
    integer(1),
    ALGORITHMS[`${by.key.isRsa ? "rsa" : "ec"} ${hash}`]!,
    fields.issuer === undefined ? by.subject : name(fields.issuer),
    time(from),
    time(until),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    tlv(0xa0, sequence(extension("2.5.29.20", integer(1)), ...fields.extensions ?? [])),
  );
  return signed(content, by.key, hash, hash, fields.forged);
}

/** The SubjectPublicKeyInfo of an RSA key. */
export function rsaKey(modulus: Bytes, exponent: Bytes): Bytes {
  const inner = sequence(integer(concat([Uint8Array.of(0), modulus])), integer(exponent));
  return sequence(sequence(oid("1.2.840.113549.1.1.1"), NULL), bits(inner));
}
