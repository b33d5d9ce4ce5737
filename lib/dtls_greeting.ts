/**
 * Greeting: what a DTLS server does about a client that it does not know. It keeps nothing until a cookie has come back
 * (RFC 6347 section 4.2.1).
 *
 * @module
 */

import { type Bytes, concat } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { checkDatagramOptions, DTLSEngine } from "./dtls_engine.ts";

/** Bytes of the headers of a record and of a handshake message (RFC 6347 sections 4.1 and 4.2.2). */
const RECORD_HEADER = 13;
const MESSAGE_HEADER = 12;
const HELLO = RECORD_HEADER + MESSAGE_HEADER;
const RANDOM = HELLO + 2; // behind the version
const SESSION_ID = RANDOM + 32;
const SESSION_ID_MAX = 32; // bytes

/** What the first datagram of a ClientHello says; its end may come in others. */
interface HelloStart {
  /** Hexadecimal. A client keeps it when it sends its hello again. */
  readonly random: string;
  /** Empty: the client has none. */
  readonly cookie: Bytes;
}

/** Reads a datagram that begins a ClientHello; `undefined` if it is something else. */
export function readHelloStart(datagram: Bytes): HelloStart | undefined {
  if (datagram.length < SESSION_ID + 2) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const isHello = datagram[0] === 22 && datagram[1] === 0xfe && view.getUint16(3) === 0 && datagram[13] === 1;
  const length = view.getUint32(13) & 0xffffff;
  const offset = view.getUint32(18) & 0xffffff;
  const part = view.getUint32(21) & 0xffffff;
  if (!isHello || offset !== 0 || part > length || MESSAGE_HEADER + part > view.getUint16(11)) {
    return undefined;
  }
  const end = HELLO + part;
  const cookieAt = SESSION_ID + 1 + datagram[SESSION_ID]!;
  if (end > datagram.length || datagram[SESSION_ID]! > SESSION_ID_MAX || cookieAt >= end) return undefined;
  const cookieEnd = cookieAt + 1 + datagram[cookieAt]!;
  if (cookieEnd > end) return undefined;
  return {
    random: datagram.subarray(RANDOM, SESSION_ID).toHex(),
    cookie: datagram.subarray(cookieAt + 1, cookieEnd),
  };
}

/** A HelloVerifyRequest, as an answer to `hello`, whose numbers it bears (RFC 6347 section 4.2.1). */
function helloVerifyRequest(hello: Bytes, cookie: Bytes): Bytes {
  const length = 3 + cookie.length;
  const [version, sequence, message] = [hello.subarray(1, 3), hello.subarray(5, 11), hello.subarray(17, 19)];
  return concat([
    Uint8Array.of(22, ...version, 0, 0, ...sequence, 0, MESSAGE_HEADER + length),
    Uint8Array.of(3, 0, 0, length, ...message, 0, 0, 0, 0, 0, length),
    Uint8Array.of(0xfe, 0xff, cookie.length), // DTLS 1.0, whatever is spoken then
    cookie,
  ]);
}

/** How {@linkcode greet} greets. */
export interface GreetOptions {
  /** What the client is known by, such as its address: its cookie is good for no other. */
  clientId: Uint8Array<ArrayBuffer>;
  /** Bytes of a datagram that we send. @default {1200} */
  mtu?: number | undefined;
}

/** What came of a greeting: an answer, or the client's engine, or neither. */
export interface Greeting {
  /** What to send to the client: a cookie. It is shorter than what came: a liar who gives another's address gains nothing. */
  readonly reply?: Uint8Array<ArrayBuffer>;
  /** The client is where it says. The engine has received the datagram. */
  readonly engine?: DTLSEngine;
}

/**
 * Answers a datagram of a client without an engine. A hello without a good cookie is answered by one, a hello with one
 * makes an engine, and all else is met with silence. Nothing is kept of the client unless there is an engine.
 *
 * @param config A server's, with the option `datagrams`. It has the key of the cookies.
 * @param datagram What came.
 * @param options Who sent it.
 * @returns See {@linkcode Greeting}.
 * @throws {TypeError} If the config is none of a DTLS server, or `clientId` is missing.
 * @throws {SSLError} If there is no memory for an engine.
 */
export function greet(
  config: TLSConfig,
  datagram: Uint8Array<ArrayBuffer>,
  { clientId, mtu }: GreetOptions,
): Greeting {
  if (!config.serverSide || config.options.datagrams === undefined) {
    throw new TypeError("Cannot greet: the config is not a DTLS server's");
  }
  checkDatagramOptions(true, clientId, mtu);
  const hello = readHelloStart(datagram);
  if (hello === undefined) return {};
  const asker = concat([clientId, Uint8Array.fromHex(hello.random)]); // a cookie that was seen is good for no other hello
  if (!config.checkCookie(asker, hello.cookie)) {
    const reply = helloVerifyRequest(datagram, config.writeCookie(asker));
    return reply.length <= datagram.length ? { reply } : {};
  }
  const engine = new DTLSEngine(config, { clientId, mtu });
  engine.receive(datagram);
  return { engine };
}
