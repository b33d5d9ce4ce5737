/**
 * JA3 and JA4: what a ClientHello says of the program that sent it. Neither is proof: a program can send another's.
 *
 * @module
 */

import { encodeText } from "./bytes.ts";
import { Core } from "./core.ts";
import { EXTENSION, isGrease } from "./tls_numbers.ts";

/** The numbers that a fingerprint is made of, in the order of the ClientHello. */
export interface HelloNumbers {
  /** The version before the extensions: TLS 1.2 in every hello of today. */
  readonly legacyVersion: number;
  /** The versions of the extension; empty without it. */
  readonly versions: readonly number[];
  readonly cipherSuites: readonly number[];
  readonly extensions: readonly number[];
  readonly groups: readonly number[];
  readonly pointFormats: readonly number[];
  readonly signatureSchemes: readonly number[];
}

const HASH_LENGTH = 12; // hexadecimal digits of a part of JA4
const NO_HASH = "0".repeat(HASH_LENGTH);
const COUNT_MAX = 99; // two digits
/** A version in two characters; those before TLS 1.0 are SSL. */
const JA4_VERSIONS: ReadonlyMap<number, string> = new Map([
  [0x0304, "13"],
  [0x0303, "12"],
  [0x0302, "11"],
  [0x0301, "10"],
  [0x0300, "s3"],
]);

/** The text whose MD5 hash is the JA3 fingerprint: five lists of decimal numbers, without GREASE. */
export function ja3(hello: HelloNumbers): string {
  const { legacyVersion, cipherSuites, extensions, groups, pointFormats } = hello;
  const lists = [cipherSuites, extensions, groups].map((ids) => withoutGrease(ids).join("-"));
  return [legacyVersion, ...lists, pointFormats.join("-")].join(",");
}

/**
 * The JA4 fingerprint of a ClientHello over TCP, as FoxIO describes it: what a person can read, a hash of the suites, a
 * hash of the extensions and signature schemes. Suites and extensions are sorted, as browsers shuffle them.
 */
export function ja4(hello: HelloNumbers, firstProtocol: Uint8Array | undefined): string {
  const suites = withoutGrease(hello.cipherSuites);
  const extensions = withoutGrease(hello.extensions);
  const versions = withoutGrease(hello.versions);
  const version = versions.length === 0 ? hello.legacyVersion : Math.max(...versions);
  const readable = [
    "t",
    JA4_VERSIONS.get(version) ?? "00",
    extensions.includes(EXTENSION.server_name) ? "d" : "i",
    twoDigits(suites.length),
    twoDigits(extensions.length),
    protocolEnds(firstProtocol),
  ];
  return [
    readable.join(""),
    hashOf(hexList(suites).sort().join(",")),
    hashOf(extensionText(extensions, withoutGrease(hello.signatureSchemes))),
  ].join("_");
}

/** The extensions without those that change with the server, and the schemes in their own order. */
function extensionText(extensions: readonly number[], schemes: readonly number[]): string {
  const fixed = extensions.filter((id) =>
    id !== EXTENSION.server_name && id !== EXTENSION.application_layer_protocol_negotiation
  );
  const text = hexList(fixed).sort().join(",");
  return schemes.length === 0 ? text : `${text}_${hexList(schemes).join(",")}`;
}

function withoutGrease(ids: readonly number[]): number[] {
  return ids.filter((id) => !isGrease(id));
}

function hexList(ids: readonly number[]): string[] {
  return ids.map((id) => id.toString(16).padStart(4, "0"));
}

function twoDigits(count: number): string {
  return String(Math.min(count, COUNT_MAX)).padStart(2, "0");
}

/** The first and the last character of a protocol's name; of its hexadecimal digits where one is no letter or digit. */
function protocolEnds(name: Uint8Array | undefined): string {
  if (name === undefined) return "00";
  const ends = String.fromCharCode(name[0]!, name.at(-1)!);
  return /^[0-9A-Za-z]{2}$/.test(ends) ? ends : name.toHex()[0]! + name.toHex().at(-1)!;
}

function hashOf(text: string): string {
  return text === "" ? NO_HASH : Core.shared().sha256(encodeText(text)).toHex().slice(0, HASH_LENGTH);
}
