/**
 * The ClientHello, before there is an engine: what a server must know of a client to choose its certificate and policy.
 *
 * ```
 *   first bytes of a connection ----> readClientHello() ----> "need-bytes": read more, and call again with all of them
 *                               \                     \-----> "done": a ClientHello
 *                                ----> TLSEngine.receive(), unchanged
 * ```
 *
 * @module
 */

import { assertBytes, type Bytes, concat, decodeText, encodeText } from "./bytes.ts";
import { CODE } from "./errors.ts";
import { ja3, ja4 } from "./fingerprint.ts";
import { helloError, type HelloFields, readFields } from "./hello_fields.ts";
import { md5 } from "./md5.ts";
import { TLSVersion } from "./suites.ts";
import { type TLSNumber, withNames, withSuiteNames } from "./tls_numbers.ts";

/** What reading a ClientHello came to. */
export type ClientHelloOutcome =
  | { readonly state: "done"; readonly hello: ClientHello }
  /** `bytes`: how many more there must be, at least. */
  | { readonly state: "need-bytes"; readonly bytes: number };

const HANDSHAKE = 22; // a ContentType
const CLIENT_HELLO = 1; // a HandshakeType
const RECORD_HEADER = 5; // bytes
const RECORD_MAX = 16384; // bytes of content; RFC 8446 section 5.1
const MESSAGE_HEADER = 4; // bytes
const MESSAGE_MAX = 16384; // bytes with the header: the core takes no longer one

/**
 * What a client offers, as it said it: nothing is verified, and its order is the client's. Lists keep the GREASE numbers
 * (RFC 8701), named so; the fingerprints leave them out.
 */
export class ClientHello {
  /** The host that it asks for (SNI), in lower case; `undefined`: none. */
  readonly serverName: string | undefined;
  /** The application protocols that it speaks (ALPN), its favourite first. */
  readonly alpnProtocols: readonly string[];
  /**
   * What it offers to resume, or a pre-shared key: `"psk"` (TLS 1.3), `"ticket"` or `"session-id"` (TLS 1.2). A client that
   * speaks TLS 1.3 sends a session id that means nothing: its is not counted.
   */
  readonly resumption: "psk" | "ticket" | "session-id" | undefined;
  /** 32 random bytes, the first field of its lines in a key log. */
  readonly random: Bytes;
  readonly #fields: HelloFields;

  /** For {@linkcode readClientHello}. */
  constructor(fields: HelloFields) {
    this.#fields = fields;
    this.serverName = fields.serverName;
    this.alpnProtocols = fields.protocols.map(decodeText);
    this.random = fields.random;
    const isTLS13 = fields.versions.includes(TLSVersion.TLSv1_3);
    this.resumption = fields.psk
      ? "psk"
      : fields.ticket
      ? "ticket"
      : fields.sessionId && !isTLS13
      ? "session-id"
      : undefined;
  }

  /** The versions that it speaks: `"TLSv1.3"` ... A client before TLS 1.3 names its highest only. */
  get versions(): TLSNumber[] {
    const { versions, legacyVersion } = this.#fields;
    return withNames("version", versions.length > 0 ? versions : [legacyVersion]);
  }

  /** The cipher suites. Those that the core does not know have no name. */
  get cipherSuites(): TLSNumber[] {
    return withSuiteNames(this.#fields.cipherSuites);
  }

  /** The groups of the key exchange: `"x25519"` ... */
  get groups(): TLSNumber[] {
    return withNames("group", this.#fields.groups);
  }

  /** The groups that it has sent a key share for (TLS 1.3). */
  get keyShareGroups(): TLSNumber[] {
    return withNames("group", this.#fields.keyShareGroups);
  }

  /** The signatures that it can verify: `"ecdsa_secp256r1_sha256"` ... */
  get signatureSchemes(): TLSNumber[] {
    return withNames("signatureScheme", this.#fields.signatureSchemes);
  }

  /** How it would use a pre-shared key (TLS 1.3): `"psk_dhe_ke"` ... */
  get pskModes(): TLSNumber[] {
    return withNames("pskMode", this.#fields.pskModes);
  }

  /** All its extensions. */
  get extensions(): TLSNumber[] {
    return withNames("extension", this.#fields.extensions);
  }

  /** The JA3 fingerprint before it is hashed: `"771,4865-4866,..."`. Browsers shuffle their extensions: it differs each time. */
  get ja3(): string {
    return ja3(this.#fields);
  }

  /** The JA3 fingerprint: the MD5 hash of {@linkcode ClientHello.ja3}, hexadecimal. */
  get ja3Hash(): string {
    return md5(encodeText(this.ja3)).toHex();
  }

  /** The JA4 fingerprint: `"t13d1516h2_8daaf6152771_d8a2da3f94cd"`. A hint of which program it is, not a proof. */
  get ja4(): string {
    return ja4(this.#fields, this.#fields.protocols[0]);
  }
}

/**
 * Reads the ClientHello from the first bytes of a connection, in one record or several.
 *
 * @param bytes All bytes so far; they are not kept.
 * @returns The hello, or how many bytes more there must be at least.
 * @throws {SSLError} `kind: "protocol"`, if it is not a ClientHello, or is malformed: as soon as the bytes show it.
 * @throws {TypeError} If `bytes` is not a `Uint8Array`.
 *
 * @example What a client of ours says
 * ```ts
 * import { TLSConfig } from "tlsio";
 * import { readClientHello, TLSEngine } from "tlsio/engine";
 * import { assertEquals } from "@std/assert";
 *
 * const engine = new TLSEngine(new TLSConfig({ alpnProtocols: ["h2"] }), { serverHostname: "example.com" });
 * engine.handshake();
 * const outcome = readClientHello(engine.takeRecords());
 * assertEquals(outcome.state === "done" && outcome.hello.serverName, "example.com");
 * engine[Symbol.dispose]();
 * ```
 */
export function readClientHello(bytes: Uint8Array): ClientHelloOutcome {
  assertBytes("bytes", bytes);
  const message = takeMessage(bytes);
  if (typeof message === "number") return { state: "need-bytes", bytes: message };
  return { state: "done", hello: new ClientHello(readFields(message.subarray(MESSAGE_HEADER))) };
}

/**
 * The first message, out of its records; or how many bytes are missing at least. The count is what makes it cheap to read
 * a hello that comes in small records: whoever waits for that many calls a few times, not once for each.
 */
function takeMessage(bytes: Bytes): Bytes | number {
  const fragments: Bytes[] = [];
  const header: number[] = [];
  let taken = 0;
  let total = MESSAGE_HEADER; // until the header says more
  for (let at = 0;;) {
    const length = recordLength(bytes, at);
    if (length === undefined) return at + RECORD_HEADER - bytes.length + total - taken;
    at += RECORD_HEADER;
    const fragment = bytes.subarray(at, at + length);
    at += length;
    if (header.length < MESSAGE_HEADER) {
      header.push(...fragment.subarray(0, MESSAGE_HEADER - header.length));
      total = messageLength(header);
    }
    fragments.push(fragment);
    taken += fragment.length;
    if (taken >= total) return concat(fragments).subarray(0, total);
    const outstanding = at - bytes.length; // of this record
    if (outstanding > 0) {
      return total - taken + (total - taken > outstanding ? RECORD_HEADER : 0);
    }
  }
}

/** The length of the content of the record at `at`; `undefined` while its header is cut short. */
function recordLength(bytes: Bytes, at: number): number | undefined {
  const [type, major, _minor, high, low] = bytes.subarray(at, at + RECORD_HEADER);
  if (type !== undefined && type !== HANDSHAKE) {
    throw helloError(`a record of type ${type}, not a handshake (${HANDSHAKE})`, CODE.UNEXPECTED_MESSAGE);
  }
  if (major !== undefined && major !== 3) {
    throw helloError(`a record of version ${major}, not TLS (3)`, CODE.BAD_PROTOCOL_VERSION);
  }
  if (high === undefined || low === undefined) return undefined;
  const length = high << 8 | low;
  if (length === 0 || length > RECORD_MAX) {
    throw helloError(`a record of ${length} bytes, 1 to ${RECORD_MAX} expected`);
  }
  return length;
}

/** The length of the message with its header; that of the header while it is cut short. */
function messageLength(header: readonly number[]): number {
  const [type, high, middle, low] = header;
  if (type !== undefined && type !== CLIENT_HELLO) {
    throw helloError(
      `a message of type ${type}, not a ClientHello (${CLIENT_HELLO})`,
      CODE.UNEXPECTED_MESSAGE,
    );
  }
  if (low === undefined) return MESSAGE_HEADER;
  const length = MESSAGE_HEADER + (high! << 16 | middle! << 8 | low);
  if (length > MESSAGE_MAX) throw helloError(`a message of ${length} bytes, ${MESSAGE_MAX} at most`);
  return length;
}
