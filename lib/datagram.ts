/** Datagrams: what DTLS asks of a network. */

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

const ERRORS_MAX = 100; // failures to receive, in a row, before we give up

/**
 * Whether nothing can be received any more, after so many failures in a row: others pass, such as the word that an earlier
 * datagram reached nobody.
 */
export function isLastError(error: unknown, inARow: number): boolean {
  const isClosed = error instanceof Error && ["BadResource", "Interrupted"].includes(error.name);
  return isClosed || inARow >= ERRORS_MAX;
}
