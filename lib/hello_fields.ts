/**
 * The fields of a ClientHello (RFC 8446 section 4.1.2), every length checked.
 *
 * @module
 */

import { type Bytes, decodeText } from "./bytes.ts";
import { CODE, SSLError } from "./errors.ts";
import { EXTENSION } from "./tls_numbers.ts";

/** What a ClientHello says, as numbers. */
export interface HelloFields {
  legacyVersion: number;
  random: Bytes;
  sessionId: boolean;
  cipherSuites: number[];
  /** Their types, in order. */
  extensions: number[];
  serverName: string | undefined;
  protocols: Bytes[];
  versions: number[];
  groups: number[];
  pointFormats: number[];
  signatureSchemes: number[];
  keyShareGroups: number[];
  pskModes: number[];
  psk: boolean;
  ticket: boolean;
}

const RANDOM_LENGTH = 32; // bytes
const SESSION_ID_MAX = 32; // bytes
const BINDER_MIN = 32; // bytes; the shortest hash
const HOST_NAME = 0; // a NameType, RFC 6066 section 3

/** The error for bytes that are not what a ClientHello must be. */
export function helloError(state: string, code: number = CODE.DECODE_ERROR): SSLError {
  return new SSLError(`Cannot read ClientHello: ${state}`, { kind: "protocol", code });
}

/** Reads from the front of some bytes; throws for what goes beyond their end. */
class Cursor {
  #rest: Uint8Array;
  readonly #what: string;

  constructor(bytes: Uint8Array, what: string) {
    this.#rest = bytes;
    this.#what = what;
  }

  get atEnd(): boolean {
    return this.#rest.length === 0;
  }

  take(length: number): Uint8Array {
    if (length > this.#rest.length) throw helloError(`${this.#what} is cut short`);
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }

  number(width: number): number {
    return this.take(width).reduce((number, byte) => number << 8 | byte, 0);
  }

  /** A vector: its length in `width` bytes, then as much, at least `min`. */
  vector(width: number, min = 0): Uint8Array {
    const bytes = this.take(this.number(width));
    if (bytes.length < min) throw helloError(`${this.#what} holds a list that is too short`);
    return bytes;
  }

  /** A vector with a cursor of its own. */
  list(width: number, min = 0): Cursor {
    return new Cursor(this.vector(width, min), this.#what);
  }

  /** A vector of at least one number, each of `size` bytes. */
  numbers(width: number, size: number): number[] {
    const list = this.list(width, 1);
    const numbers: number[] = [];
    while (!list.atEnd) numbers.push(list.number(size));
    return numbers;
  }

  end(): void {
    if (!this.atEnd) throw helloError(`${this.#what} has ${this.#rest.length} bytes too many`);
  }
}

/** Reads the body of a ClientHello. What it returns shares no memory with `body`. */
export function readFields(body: Uint8Array): HelloFields {
  const at = new Cursor(body, "the message");
  const fields: HelloFields = {
    legacyVersion: at.number(2),
    random: new Uint8Array(at.take(RANDOM_LENGTH)),
    sessionId: readSessionId(at),
    cipherSuites: at.numbers(2, 2),
    extensions: [],
    serverName: undefined,
    protocols: [],
    versions: [],
    groups: [],
    pointFormats: [],
    signatureSchemes: [],
    keyShareGroups: [],
    pskModes: [],
    psk: false,
    ticket: false,
  };
  at.vector(1, 1); // compression methods
  if (at.atEnd) return fields; // a client of TLS 1.2 may have no extensions
  const list = at.list(2);
  at.end();
  readExtensions(list, fields);
  return fields;
}

function readSessionId(at: Cursor): boolean {
  const { length } = at.vector(1);
  if (length > SESSION_ID_MAX) {
    throw helloError(`a session id of ${length} bytes, ${SESSION_ID_MAX} at most`);
  }
  return length > 0;
}

function readExtensions(list: Cursor, fields: HelloFields): void {
  const seen = new Set<number>();
  while (!list.atEnd) {
    if (fields.psk) throw helloError("pre_shared_key is not the last extension", CODE.ILLEGAL_PARAMETER);
    const type = list.number(2);
    if (seen.has(type)) throw helloError(`extension ${type} comes twice`, CODE.ILLEGAL_PARAMETER);
    seen.add(type);
    fields.extensions.push(type);
    readExtension(type, list.vector(2), fields);
  }
}

/** Each reads one extension to its end. */
const READERS: ReadonlyMap<number, (at: Cursor, fields: HelloFields) => void> = new Map([
  [EXTENSION.server_name, (at, fields) => fields.serverName = readServerName(at.list(2, 1))],
  [EXTENSION.application_layer_protocol_negotiation, (at, fields) => {
    const list = at.list(2, 1);
    while (!list.atEnd) fields.protocols.push(new Uint8Array(list.vector(1, 1)));
  }],
  [EXTENSION.supported_versions, (at, fields) => fields.versions = at.numbers(1, 2)],
  [EXTENSION.supported_groups, (at, fields) => fields.groups = at.numbers(2, 2)],
  [EXTENSION.ec_point_formats, (at, fields) => fields.pointFormats = at.numbers(1, 1)],
  [EXTENSION.signature_algorithms, (at, fields) => fields.signatureSchemes = at.numbers(2, 2)],
  [EXTENSION.psk_key_exchange_modes, (at, fields) => fields.pskModes = at.numbers(1, 1)],
  [EXTENSION.key_share, (at, fields) => {
    const list = at.list(2); // an empty one asks the server to choose the group
    while (!list.atEnd) {
      fields.keyShareGroups.push(list.number(2));
      list.vector(2, 1);
    }
  }],
  [EXTENSION.pre_shared_key, (at, fields) => {
    fields.psk = true;
    if (countIdentities(at.list(2, 1)) !== countBinders(at.list(2, 1))) {
      throw helloError("pre_shared_key has not one binder for each identity", CODE.ILLEGAL_PARAMETER);
    }
  }],
]);

function readExtension(type: number, content: Uint8Array, fields: HelloFields): void {
  if (type === EXTENSION.session_ticket) fields.ticket = content.length > 0; // an empty one asks for a ticket
  const read = READERS.get(type);
  if (read === undefined) return;
  const at = new Cursor(content, `extension ${type}`);
  read(at, fields);
  at.end();
}

function readServerName(list: Cursor): string | undefined {
  let name: string | undefined;
  while (!list.atEnd) {
    const type = list.number(1);
    const bytes = list.vector(2, 1);
    if (type !== HOST_NAME) continue;
    if (name !== undefined) throw helloError("it names two hosts", CODE.ILLEGAL_PARAMETER);
    // What is printed in a log or looked up in a table must not hold a NUL, a line end, or letters that only look alike.
    if (!bytes.every((byte) => byte > 0x20 && byte < 0x7f)) {
      throw helloError("the server name is not a DNS name", CODE.ILLEGAL_PARAMETER);
    }
    name = decodeText(bytes).toLowerCase();
  }
  return name;
}

function countIdentities(list: Cursor): number {
  let count = 0;
  for (; !list.atEnd; count++) {
    list.vector(2, 1);
    list.take(4); // obfuscated_ticket_age
  }
  return count;
}

function countBinders(list: Cursor): number {
  let count = 0;
  for (; !list.atEnd; count++) list.vector(1, BINDER_MIN);
  return count;
}
