/**
 * What `tlsio trace --json` prints, and what `tlsio serve --trace-json` writes for each connection. Times are milliseconds from
 * the start of the handshake, before its first message is made; sizes are bytes. It has no secrets, and nothing that messages
 * hold.
 */

import type { Traffic, Way } from "../cost/network_cost.ts";
import type { TraceContent } from "../trace.ts";

/** A run of `tlsio trace`: one connection, or with `--resume` two, the second with the session of the first. */
export interface TraceResult {
  /** Of this shape. It grows when a field changes its meaning; fields may be added. */
  readonly format: 1;
  /** As it was asked for. */
  readonly host: string;
  readonly port: number;
  /** The name that the client asked for and checked. */
  readonly servername: string;
  readonly connections: readonly TracedConnection[];
}

/** One connection, as seen by one of its ends. */
export interface TracedConnection {
  /** Which end we are. */
  readonly role: "client" | "server";
  /** The peer's address and port; `null`: there was no TCP connection. */
  readonly address: string | null;
  readonly port: number | null;
  /** When the handshake began: ISO 8601, in UTC. */
  readonly started: string;
  /** Client: how long it took to find the address, and to make the TCP connection; `null`: not known, or not done. */
  readonly lookupMs: number | null;
  readonly connectMs: number | null;
  /** Whether both ends have sent their Finished, and we accept it. */
  readonly complete: boolean;
  /** Why it is not, in words; `null`: it is, or nothing is wrong. */
  readonly error: string | null;
  /** The alert that ended it; `null`: none. */
  readonly alert: TracedAlert | null;
  /** What was agreed; `null` where it did not come to that, or was not. */
  readonly version: string | null;
  readonly cipher: string | null;
  readonly group: string | null;
  readonly alpn: string | null;
  readonly resumed: boolean;
  /** From its start to its last message, with all waits; where it failed, to the failure. */
  readonly handshakeMs: number;
  /** How much of that we waited for the peer and the network. The rest is our own work. */
  readonly waitMs: number;
  /** What took longest; `null`: nothing passed. */
  readonly longest: Longest | null;
  /** How often the client waits for the server before it may send data. TCP's own round trip is not in it. */
  readonly roundTrips: number;
  /** The handshake, each way. */
  readonly up: Traffic;
  readonly down: Traffic;
  /** What each end sent before it needed an answer, in order. Early data is in none. */
  readonly flights: readonly TracedFlight[];
  /** All that passed, in order: the handshake, and what followed (tickets, goodbyes, the first data). */
  readonly messages: readonly TracedMessage[];
}

/** An alert. */
export interface TracedAlert {
  /** Who sent it. */
  readonly from: "client" | "server";
  /** By the RFCs: `"unknown_ca"`. */
  readonly name: string;
  readonly code: number;
}

/** A step that took long: from the message before (or the start) to this one. */
export interface Longest {
  /** Its index in {@linkcode TracedConnection.messages}; their number: the end of a handshake that failed. */
  readonly message: number;
  /** What we did: wait for the peer, or work. */
  readonly kind: "wait" | "work";
  readonly ms: number;
}

/** One flight of the handshake. */
export interface TracedFlight {
  readonly way: Way;
  /** On the wire, in how many records. */
  readonly bytes: number;
  readonly records: number;
  /** How long we waited for it, or worked on it: from the message before to its first one. */
  readonly waitMs: number;
  readonly workMs: number;
}

/** A message: of the handshake, an alert, ChangeCipherSpec, or a record of data. */
export interface TracedMessage {
  /** When it was made, or was complete. */
  readonly time: number;
  /** `"up"`: from the client to the server. */
  readonly way: Way;
  readonly contentType: TraceContent;
  /** By the RFCs: `"client_hello"`, `"unknown_ca"`; `"record"`: a record that no message came of. */
  readonly name: string;
  /** The number of that type or alert on the wire; `null`: it has none. */
  readonly code: number | null;
  /** Of an alert. */
  readonly level: "warning" | "fatal" | null;
  /** Of the message, with its header of 4 where it has one. */
  readonly bytes: number;
  /** How many records it begins; 0: it is in the record of the message before. */
  readonly records: number;
  /** Bytes of these records on the wire. */
  readonly wireBytes: number;
  readonly encrypted: boolean;
  /** The flight's index in {@linkcode TracedConnection.flights}; `null`: of none (early data, and what follows the handshake). */
  readonly flight: number | null;
  /** Since the message before, or the start: how long we waited for the peer, and how long we worked. */
  readonly waitMs: number;
  readonly workMs: number;
}
