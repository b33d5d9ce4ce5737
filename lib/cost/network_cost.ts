/**
 * What a handshake costs the network: counted from the trace of a connection.
 *
 * @module
 */

import {
  APPLICATION_DATA,
  eventOf,
  RECORD,
  type TraceContent,
  type TraceEvent,
  type Tracer,
} from "../trace.ts";

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

/** Options of {@linkcode networkCost} and {@linkcode NetworkCounter}. */
export interface NetworkCostOptions {
  /** Whose trace it is. @default the end that sent the ClientHello is the client */
  role?: "client" | "server" | undefined;
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
export function networkCost(events: readonly TraceEvent[], options: NetworkCostOptions = {}): NetworkCost {
  const counter = new NetworkCounter(options);
  for (const event of events) counter.add(event);
  return counter.cost();
}

/** Counts likewise while the connection lives: it keeps the handshake's records, and of all that follows the sums. */
export class NetworkCounter {
  #role: "client" | "server" | undefined;
  /** Those of the handshake, and of early data. */
  readonly #records: SeenRecord[] = [];
  /** Sent messages whose record has not been. */
  #made: TraceEvent[] = [];
  #finished = 0;
  /** What follows the handshake. */
  readonly #after = { sent: new Sums(), received: new Sums() };

  /** Makes a counter for one connection. */
  constructor({ role }: NetworkCostOptions = {}) {
    this.#role = role;
  }

  /** Counts an event: all are to be told, in order, as a `trace` is. */
  add(event: TraceEvent): void {
    const { direction, layer, name, length, time } = event;
    if (this.#finished >= 2) {
      if (layer === "record") this.#after[direction].addRecord(length);
      else this.#after[direction].addMessage(event);
    } else if (layer === "record") {
      this.#addRecord(event);
    } else {
      if (name === "client_hello") this.#role ??= direction === "sent" ? "client" : "server";
      const record = this.#records.findLast((each) => each.direction === direction);
      if (direction === "sent") this.#made.push(event);
      else if (record !== undefined) {
        if (record.count === 1 || event.contentType !== "alert") record.messages.push(event);
        record.end = time;
        this.#countFinished([event]);
      }
    }
  }

  #addRecord({ direction, contentType: content, length: bytes, time }: TraceEvent): void {
    const messages = direction === "sent" ? this.#made.splice(0) : [];
    const last = this.#records.at(-1);
    if (this.#records.length >= RECORDS_MAX && last?.direction === direction && last.content === content) {
      last.bytes += bytes;
      last.count++;
      last.messages.push(...messages);
      last.end = time;
    } else {
      const start = messages[0]?.time ?? time;
      this.#records.push({ direction, bytes, count: 1, content, messages, start, end: time });
    }
    this.#countFinished(messages);
  }

  /** @internal Takes the numbers of the core's `trace` import. Of what follows the handshake no event is made. */
  readonly take: Tracer = (received, type, code, length, encrypted) => {
    const after = this.#after[received === 0 ? "sent" : "received"];
    if (this.#finished < 2) this.add(eventOf(received, type, code, length, encrypted, "handshake"));
    else if (type === RECORD) after.addRecord(length);
    else if (type === APPLICATION_DATA) after.dataBytes += length;
    else after.addMessage(eventOf(received, type, code, length, encrypted, "open"));
  };

  #countFinished(messages: readonly TraceEvent[]): void {
    this.#finished += messages.filter(({ name }) => name === "finished").length;
  }

  /**
   * What it has come to so far.
   *
   * @throws {TypeError} If there was no ClientHello and no `role` was given.
   */
  cost(): NetworkCost {
    const role = this.#role;
    if (role === undefined) {
      throw new TypeError(
        "Cannot count the cost of a handshake: the trace has no ClientHello, and no role is given",
      );
    }
    const [up, down] = role === "client" ? DIRECTIONS : DIRECTIONS.toReversed();
    const all = withContent(this.#records);
    const handshake = all.filter(({ content }) => content !== "application_data");
    const early = all.filter(({ content }) => content === "application_data");
    const of = (direction: Direction) => new Sums().and(handshake, direction);
    const restOf = (direction: Direction) => this.#after[direction].and(early, direction);
    const flights = flightsOf(handshake, up!);
    return {
      role,
      complete: this.#finished >= 2,
      up: of(up!),
      down: of(down!),
      flights,
      roundTrips: flights.filter(({ way }) => way === "down").length,
      elapsed: handshake.length === 0 ? 0 : handshake.at(-1)!.end - handshake[0]!.start,
      rest: { up: restOf(up!), down: restOf(down!) },
    };
  }
}

type Direction = TraceEvent["direction"];

const DIRECTIONS = ["sent", "received"] as const;

/** Behind so many, those that follow each other one way are kept as one: a peer can send alerts without end. */
const RECORDS_MAX = 1000;

/** A record with its messages: those that are sent come before it, those that are received after it. */
interface SeenRecord {
  readonly direction: Direction;
  bytes: number;
  /** How many it is. */
  count: number;
  /** What is in it, also where it is encrypted. */
  readonly content: TraceContent;
  readonly messages: TraceEvent[];
  readonly start: number; // milliseconds
  end: number;
}

/** Traffic while it is summed up. */
class Sums implements Traffic {
  bytes = 0;
  records = 0;
  certificateBytes = 0;
  ticketBytes = 0;
  dataBytes = 0;

  addRecord(length: number, count = 1): void {
    this.bytes += length;
    this.records += count;
  }

  addMessage({ name, contentType, length }: TraceEvent): void {
    const kind = contentType === "application_data" ? "dataBytes" : KINDS.get(name);
    if (kind !== undefined) this[kind] += length;
  }

  /** The sum with those of `records` that went in a direction. */
  and(records: readonly SeenRecord[], direction: Direction): Traffic {
    const sums = Object.assign(new Sums(), this);
    for (const record of records.filter((each) => each.direction === direction)) {
      sums.addRecord(record.bytes, record.count);
      for (const message of record.messages) sums.addMessage(message);
    }
    return { ...sums };
  }
}

const KINDS: ReadonlyMap<string | undefined, "certificateBytes" | "ticketBytes"> = new Map([
  ["certificate", "certificateBytes"],
  ["certificate_status", "certificateBytes"],
  ["compressed_certificate", "certificateBytes"],
  ["new_session_ticket", "ticketBytes"],
]);

/**
 * The records with what is in them. What TLS 1.3 encrypts looks like data: its message says what it is, and a long one is told of
 * at its first record where it is sent, at its last where it is received.
 */
function withContent(records: readonly SeenRecord[]): SeenRecord[] {
  const contents = new Map<SeenRecord, TraceContent>();
  for (const direction of DIRECTIONS) {
    const hidden = records.filter((record) =>
      record.direction === direction && record.content === "application_data"
    );
    let content: TraceContent = "application_data";
    for (const record of direction === "sent" ? hidden : hidden.toReversed()) {
      content = record.messages[0]?.contentType ?? content;
      contents.set(record, content);
    }
  }
  return records.map((record) => ({ ...record, content: contents.get(record) ?? record.content }));
}

function flightsOf(records: readonly SeenRecord[], up: Direction): Flight[] {
  const runs: SeenRecord[][] = [];
  for (const record of records) {
    if (runs.at(-1)?.[0]?.direction === record.direction) runs.at(-1)!.push(record);
    else runs.push([record]);
  }
  return runs.map((run) => ({
    way: run[0]!.direction === up ? "up" : "down",
    bytes: run.reduce((sum, { bytes }) => sum + bytes, 0),
    records: run.reduce((sum, { count }) => sum + count, 0),
    messages: run.flatMap(({ messages }) =>
      messages.map(({ name, contentType, length }) => ({ name: name ?? contentType, bytes: length }))
    ),
  }));
}
