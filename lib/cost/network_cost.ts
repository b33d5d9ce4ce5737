/**
 * What a handshake costs the network: counted from the trace of a connection.
 *
 * @module
 */

import type { TraceContent, TraceEvent } from "../trace.ts";

/** Which way: `"up"` from the client to the server, `"down"` from the server to the client. */
export type Way = "up" | "down";

/** What has passed one way. Bytes are those of TLS: neither TCP's headers nor what it sends again are in them. */
export interface Traffic {
  /** Bytes of records, with their headers of 5. */
  readonly bytes: number;
  /** Records. */
  readonly records: number;
  /** Bytes of the messages that hold certificates or their status, with their headers of 4; they are in `bytes`, too. */
  readonly certificateBytes: number;
  /** Likewise of the messages that hold session tickets. */
  readonly ticketBytes: number;
  /** Bytes of plaintext of the application: early data, where it is of the handshake's time. */
  readonly dataBytes: number;
}

/** A message of a flight. */
export interface FlightMessage {
  /** Its name, as in the trace: `"client_hello"`, `"change_cipher_spec"`, an alert's description. */
  readonly name: string;
  /** Bytes, with the header of 4 that a handshake message has. */
  readonly bytes: number;
}

/** What one end sends before it needs an answer. */
export interface Flight {
  /** Which way it goes. */
  readonly way: Way;
  /** Bytes of its records. */
  readonly bytes: number;
  /** How many records it takes. */
  readonly records: number;
  /** Its messages, in order. */
  readonly messages: readonly FlightMessage[];
}

/**
 * What a handshake costs the network. It begins with the ClientHello and ends with the second Finished message, or with the
 * trace where it has none. Both ends count the same; but the ChangeCipherSpec that follows a HelloRetryRequest is told of as
 * the client reads it, a flight later.
 */
export interface NetworkCost {
  /** Whose trace it is. */
  readonly role: "client" | "server";
  /** Whether both ends have sent their Finished. */
  readonly complete: boolean;
  /** The handshake, from the client to the server. */
  readonly up: Traffic;
  /** The handshake, from the server to the client. */
  readonly down: Traffic;
  /** The flights of the handshake, in order. Early data is in none. */
  readonly flights: readonly Flight[];
  /** How often the client waits for the server before it may send data. TCP's own round trip is not in it. */
  readonly roundTrips: number;
  /** Milliseconds from the handshake's first event to its last, with all waits. */
  readonly elapsed: number;
  /** All else that has passed: early data, the tickets of TLS 1.3, data, goodbyes, a renegotiation. */
  readonly rest: Readonly<Record<Way, Traffic>>;
}

/** Options of {@linkcode networkCost}. */
export interface NetworkCostOptions {
  /** Whose trace it is. @default the end that sent the ClientHello is the client */
  role?: "client" | "server";
}

/**
 * Counts what a connection has cost the network.
 *
 * @param events All that its `trace` was told, in order, from the first on. They are of one connection over a stream.
 * @throws {TypeError} If `events` have no ClientHello and no `role` is given: up and down are not known then.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const at = { time: 0, encrypted: false, state: "handshake", contentType: "handshake" } as const;
 * const { up, roundTrips, complete } = networkCost([
 *   { ...at, direction: "sent", layer: "message", name: "client_hello", length: 131 },
 *   { ...at, direction: "sent", layer: "record", length: 136 },
 * ]);
 * assertEquals([up.bytes, up.records, roundTrips, complete], [136, 1, 0, false]);
 * ```
 */
export function networkCost(
  events: readonly TraceEvent[],
  { role = roleOf(events) }: NetworkCostOptions = {},
): NetworkCost {
  const records = recordsOf(events, role);
  const last = lastOfHandshake(records);
  const complete = last !== -1;
  const isOfHandshake = (record: SeenRecord, i: number) =>
    (!complete || i <= last) && record.content !== "application_data";
  const handshake = records.filter(isOfHandshake);
  const rest = records.filter((record, i) => !isOfHandshake(record, i));
  const flights = flightsOf(handshake);
  return {
    role,
    complete,
    up: trafficOf(handshake, "up"),
    down: trafficOf(handshake, "down"),
    flights,
    roundTrips: flights.filter(({ way }) => way === "down").length,
    elapsed: handshake.length === 0 ? 0 : handshake.at(-1)!.end - handshake[0]!.start,
    rest: { up: trafficOf(rest, "up"), down: trafficOf(rest, "down") },
  };
}

/** A record with the messages that end in it. */
interface SeenRecord {
  readonly way: Way;
  readonly bytes: number;
  /** What is in it, also where it is encrypted. */
  content: TraceContent;
  messages: TraceEvent[];
  start: number; // milliseconds
  end: number;
}

const CERTIFICATES: readonly (string | undefined)[] = [
  "certificate",
  "certificate_status",
  "compressed_certificate",
];

function roleOf(events: readonly TraceEvent[]): "client" | "server" {
  const hello = events.find(({ layer, name }) => layer === "message" && name === "client_hello");
  if (hello === undefined) {
    throw new TypeError(
      "Cannot count the cost of a handshake: the trace has no ClientHello, and no role is given",
    );
  }
  return hello.direction === "sent" ? "client" : "server";
}

/** The records, with their messages: those that are sent come before their record, those that are received after it. */
function recordsOf(events: readonly TraceEvent[], role: "client" | "server"): SeenRecord[] {
  const records: SeenRecord[] = [];
  const sent: SeenRecord[] = [];
  const received: SeenRecord[] = [];
  let made: TraceEvent[] = []; // not in a record yet
  for (const event of events) {
    const { direction, layer, contentType, length, time } = event;
    if (layer === "message") {
      const record = received.at(-1);
      if (direction === "sent") made.push(event);
      else if (record !== undefined) {
        record.messages.push(event);
        record.end = time;
      }
      continue;
    }
    const way = (direction === "sent") === (role === "client") ? "up" : "down";
    const messages = direction === "sent" ? made : [];
    const start = messages[0]?.time ?? time;
    const record = { way, bytes: length, content: contentType, messages, start, end: time } as const;
    if (direction === "sent") made = [];
    (direction === "sent" ? sent : received).push(record);
    records.push(record);
  }
  // What TLS 1.3 encrypts looks like data: its message says what it is, and a long one has it in its first or last record.
  for (const inOrder of [sent, received.toReversed()]) {
    let content: TraceContent = "application_data";
    for (const record of inOrder) {
      if (record.content !== "application_data") continue;
      content = record.messages[0]?.contentType ?? content;
      record.content = content;
    }
  }
  return records;
}

/** The place of the record with the second Finished; -1: there is none. */
function lastOfHandshake(records: readonly SeenRecord[]): number {
  let finished = 0;
  return records.findIndex(({ messages }) =>
    (finished += messages.filter(({ name }) => name === "finished").length) >= 2
  );
}

function flightsOf(records: readonly SeenRecord[]): Flight[] {
  const runs: SeenRecord[][] = [];
  for (const record of records) {
    if (runs.at(-1)?.[0]?.way === record.way) runs.at(-1)!.push(record);
    else runs.push([record]);
  }
  return runs.map((run) => ({
    way: run[0]!.way,
    bytes: sum(run, ({ bytes }) => bytes),
    records: run.length,
    messages: run.flatMap(({ messages }) =>
      messages.map(({ name, contentType, length }) => ({ name: name ?? contentType, bytes: length }))
    ),
  }));
}

function trafficOf(all: readonly SeenRecord[], way: Way): Traffic {
  const records = all.filter((record) => record.way === way);
  const messages = records.flatMap(({ messages }) => messages);
  const bytesOf = (isMeant: (message: TraceEvent) => boolean) =>
    sum(messages.filter(isMeant), ({ length }) => length);
  return {
    bytes: sum(records, ({ bytes }) => bytes),
    records: records.length,
    certificateBytes: bytesOf(({ name }) => CERTIFICATES.includes(name)),
    ticketBytes: bytesOf(({ name }) => name === "new_session_ticket"),
    dataBytes: bytesOf(({ contentType }) => contentType === "application_data"),
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
