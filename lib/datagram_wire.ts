/** DatagramWire: the records' side of a DTLS engine. What comes and what goes are datagrams, each whole. */

import type { Bytes } from "./bytes.ts";
import { CODE } from "./errors.ts";
import { Wire } from "./wire.ts";

/** Datagrams that may wait to be used: more are dropped, as a socket's full buffer does. */
const RECEIVED_MAX = 64;

/** Datagrams that have come, and datagrams that are to go. {@linkcode Wire.input} stays empty. */
export class DatagramWire extends Wire {
  readonly #received: Bytes[] = [];
  #sent: Bytes[] = [];

  /** Adds one datagram. It is kept by reference until it is used. */
  override receive(datagram: Bytes): void {
    if (datagram.length > 0 && this.#received.length < RECEIVED_MAX) this.#received.push(datagram);
  }

  /** Gives up the datagrams to send, oldest first. */
  takeAll(): Bytes[] {
    const datagrams = this.#sent;
    this.#sent = [];
    this.outputLength = 0;
    return datagrams;
  }

  override send(memory: Bytes, at: number, length: number): void {
    this.#sent.push(memory.slice(at, at + length));
    this.outputLength += length;
  }

  override pull(memory: Bytes, at: number, length: number): number {
    for (;;) {
      const datagram = this.#received.shift();
      if (datagram === undefined) {
        this.starved = true;
        return CODE.WANT_READ;
      }
      if (datagram.length > length) continue; // no record is that long
      memory.set(datagram, at);
      return datagram.length;
    }
  }
}
