/**
 * A model of the network: how long a handshake waits for it, from its flights. Nothing sleeps.
 *
 * @module
 */

import type { Reliability } from "./figure.ts";
import type { NetworkCost, Way } from "./network_cost.ts";

/** A network between the two ends. */
export interface Link {
  /** Milliseconds from when a byte leaves until one that answers it arrives. */
  readonly rtt: number;
  /** Rate from the client to the server, in 1000 bits a second. @default {Infinity} */
  readonly kbpsUp?: number | undefined;
  /** Rate from the server to the client, likewise. @default {Infinity} */
  readonly kbpsDown?: number | undefined;
  /** How far these figures can be trusted. @default {"given"} */
  readonly reliability?: Reliability;
  /** Where they come from. */
  readonly source?: string;
}

/** Links with names. */
const LINKS: Readonly<Record<string, Link>> = {
  "2g": {
    ...{ rtt: 800, kbpsUp: 256, kbpsDown: 280, reliability: "guess" },
    source: "a good EDGE connection, as browser tests throttle to it",
  },
  "lte-m": {
    ...{ rtt: 100, kbpsUp: 375, kbpsDown: 300, reliability: "guess" },
    source: "3GPP Release 13, Cat-M1 half duplex: peak rates; the round trip is a guess",
  },
  "lora": {
    ...{ rtt: 2000, kbpsUp: 5.47, kbpsDown: 5.47, reliability: "guess" },
    source:
      "through a LoRa gateway at SF7, 125 kHz, answered a second later; without the duty cycle that the law sets",
  },
};

/** The names of the known links. */
export function linkNames(): string[] {
  return Object.keys(LINKS);
}

/**
 * A link by its name, or a caller's, checked.
 *
 * @throws {TypeError} If the name is not known; the message has those that are.
 * @throws {RangeError} If a number of the link is not one that a network can have.
 */
export function resolveLink(link: Link | string): Link {
  if (typeof link === "string") {
    if (Object.hasOwn(LINKS, link)) return LINKS[link]!;
    throw new TypeError(
      `Cannot use link: unknown name ${JSON.stringify(link)}; known are ${linkNames().join(", ")}`,
    );
  }
  const { rtt, kbpsUp = Infinity, kbpsDown = Infinity } = link;
  if (!(rtt >= 0 && rtt < Infinity)) {
    throw new RangeError(`Cannot use link: rtt must be 0 milliseconds or more, got ${String(rtt)}`);
  }
  for (const [name, kbps] of Object.entries({ kbpsUp, kbpsDown })) {
    if (!(kbps > 0)) throw new RangeError(`Cannot use link: ${name} must be above 0, got ${String(kbps)}`);
  }
  return link;
}

/** A flight on its way, in milliseconds from when the client begins. */
export interface ModelledFlight {
  /** Which way it goes. */
  readonly way: Way;
  /** Bytes of its records. */
  readonly bytes: number;
  /** When its first byte leaves. */
  readonly leaves: number;
  /** When its last byte arrives. */
  readonly arrives: number;
}

/** How long a handshake waits for the network, in milliseconds. */
export interface ModelledHandshake {
  /** TCP's connection before it: one round trip. It is in none of the other figures. */
  readonly connect: number;
  /** When the client is done: it waits for nothing more, and data may follow what it sends last. */
  readonly client: number;
  /** When the server is, likewise. */
  readonly server: number;
  /** The flights. */
  readonly flights: readonly ModelledFlight[];
}

/**
 * Models the waits of a handshake: each flight leaves when the one before has arrived, takes half a round trip and the time
 * of its bytes at the link's rate. TCP's headers and lost packets are not modelled; nor is its slow start, which makes
 * a flight above 14 600 bytes (RFC 6928) wait another round trip; nor early data, which goes with the first flight.
 *
 * @param network The handshake, as counted at either end.
 * @param link The network, or the name of one: `"2g"`, `"lte-m"`, `"lora"`.
 * @throws {TypeError | RangeError} If the link is unknown or cannot be.
 */
export function modelHandshake(
  { flights }: Pick<NetworkCost, "flights">,
  link: Link | string,
): ModelledHandshake {
  const { rtt, kbpsUp = Infinity, kbpsDown = Infinity } = resolveLink(link);
  let now = 0;
  const done: Record<Way, number> = { up: 0, down: 0 }; // when the end that sends this way is
  const modelled = flights.map(({ way, bytes }) => {
    const leaves = now;
    const sent = leaves + 8 * bytes / (way === "up" ? kbpsUp : kbpsDown); // bits over bits a millisecond
    const arrives = sent + rtt / 2;
    done[way] = leaves;
    done[way === "up" ? "down" : "up"] = arrives;
    now = arrives;
    return { way, bytes, leaves, arrives };
  });
  return { connect: rtt, client: done.up, server: done.down, flights: modelled };
}
