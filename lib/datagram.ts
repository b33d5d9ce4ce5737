/** Datagrams: what DTLS asks of a network, and what it can tell of a datagram before it is opened. */

import type { Bytes } from "./bytes.ts";

/** A way to one peer that takes datagrams. */
export interface DatagramLink {
  /** Sends one datagram. It may be lost; a rejection does not end the connection. */
  send(datagram: Bytes): Promise<unknown>;
  /** Ends the use of the way. */
  close(): void;
  /** Our address. */
  readonly localAddr?: Deno.Addr | undefined;
  /** The peer's address. */
  readonly remoteAddr?: Deno.Addr | undefined;
}

/** A way to one peer and back: whatever carries datagrams. */
export interface DatagramLike extends DatagramLink {
  /** The next datagram; `null`: no more will come, as after {@linkcode DatagramLink.close}. */
  receive(): Promise<Bytes | null>;
}

/** What a server listens at, a `Deno.DatagramConn` by shape: each datagram comes with the address of its sender. */
export interface DatagramHost {
  /** The next datagram, in `p`, and who sent it. Rejects once the host is closed. */
  receive(p: Bytes): Promise<[Uint8Array, Deno.Addr]>;
  /** Sends one datagram to `addr`. */
  send(p: Bytes, addr: Deno.Addr): Promise<number>;
  /** Ends the use of the host. */
  close(): void;
  /** Where it listens. */
  readonly addr: Deno.Addr;
}

/** Bytes that a datagram of any network fits in: the length field of UDP has 16 bits. */
export const DATAGRAM_MAX = 65536;

/** An address as a text, for each another: what a server knows a client by. */
export function addressText(addr: Deno.Addr): string {
  return "hostname" in addr
    ? `${addr.hostname} ${addr.port}`
    : `${addr.transport} ${"path" in addr && addr.path}`;
}

/** Bytes of the headers of a record and of a handshake message (RFC 6347 sections 4.1 and 4.2.2). */
const RECORD_HEADER = 13;
const HELLO = RECORD_HEADER + 12;
const RANDOM = HELLO + 2; // behind the version

/**
 * The random of the ClientHello that a datagram begins with, hexadecimal; `undefined` if it is something else. A client
 * keeps it when it sends its hello again. A hello in several datagrams is none: a server that keeps nothing of a client
 * cannot put it together.
 */
export function helloRandom(datagram: Uint8Array): string | undefined {
  if (datagram.length < RANDOM + 32) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  const isHello = datagram[0] === 22 && datagram[1] === 0xfe && view.getUint16(3) === 0 && datagram[13] === 1;
  if (!isHello) return undefined;
  const length = view.getUint32(13) & 0xffffff;
  const offset = view.getUint32(18) & 0xffffff;
  const part = view.getUint32(21) & 0xffffff;
  if (offset !== 0 || part !== length || view.getUint16(11) < 12 + length) return undefined;
  return datagram.length < HELLO + length ? undefined : datagram.subarray(RANDOM, RANDOM + 32).toHex();
}
