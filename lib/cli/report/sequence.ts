/**
 * The messages of a trace as rows of a sequence diagram, grouped into what one end sends before the other answers.
 *
 * @module
 */

import type { Way } from "../../cost/network_cost.ts";
import type { TraceContent, TraceEvent } from "../../trace.ts";
import { printable } from "../terminal.ts";

/** A message, or so many like it in a row. */
export interface SequenceMessage {
  readonly way: Way;
  /** `"client_hello"`, `"alert: close_notify"`, `"application_data"`. */
  readonly name: string;
  readonly contentType: TraceContent;
  /** An alert that ends the connection. */
  readonly fatal: boolean;
  /** How many, one after the other: more than 1 of application data alone. */
  readonly count: number;
  /** Bytes of them all, without their records. */
  readonly bytes: number;
  readonly encrypted: boolean;
  /** Milliseconds from the start to the first of them. */
  readonly time: number;
}

/** What one end sends before the other does. */
export interface SequenceFlight {
  readonly way: Way;
  /** Bytes of its records, as on the wire. */
  readonly bytes: number;
  readonly records: number;
  readonly messages: readonly SequenceMessage[];
  /** Milliseconds from the start to its first event, and to its last. */
  readonly from: number;
  readonly to: number;
}

/** A connection as a sequence. */
export interface Sequence {
  readonly flights: readonly SequenceFlight[];
  /** Milliseconds from the start to the second Finished; `undefined`: it did not come. */
  readonly completeAt: number | undefined;
  /** The number of the flight and of its message that completed the handshake. */
  readonly completedBy: readonly [flight: number, message: number] | undefined;
}

type Growing<T> = { -readonly [K in keyof T]: T[K] };
type OpenFlight = Omit<Growing<SequenceFlight>, "messages"> & { messages: Growing<SequenceMessage>[] };

/**
 * Makes the sequence.
 *
 * @param events In order, of one connection.
 * @param role Whose they are.
 * @param start Milliseconds on the events' clock: what counts as 0.
 */
export function sequenceOf(
  events: readonly TraceEvent[],
  role: "client" | "server",
  start: number,
): Sequence {
  const flights: OpenFlight[] = [];
  let finished = 0;
  let [completeAt, completedBy]: [Sequence["completeAt"], Sequence["completedBy"]] = [undefined, undefined];
  for (const event of events) {
    const way = (event.direction === "sent") === (role === "client") ? "up" : "down";
    const time = event.time - start;
    if (flights.at(-1)?.way !== way) {
      flights.push({ way, bytes: 0, records: 0, messages: [], from: time, to: time });
    }
    const flight = flights.at(-1)!;
    flight.to = time;
    if (event.layer === "record") {
      flight.bytes += event.length;
      flight.records++;
      continue;
    }
    addMessage(flight, event, way, time);
    if (event.name !== "finished" || completeAt !== undefined || ++finished < 2) continue;
    completeAt = time;
    completedBy = [flights.length - 1, flight.messages.length - 1];
  }
  return { flights, completeAt, completedBy };
}

function addMessage({ messages }: OpenFlight, event: TraceEvent, way: Way, time: number): void {
  const { contentType, length, encrypted } = event;
  const last = messages.at(-1);
  if (contentType === "application_data" && last?.contentType === contentType) {
    last.count++;
    last.bytes += length;
    return;
  }
  const fatal = event.level === "fatal";
  messages.push({ way, name: nameOf(event), contentType, fatal, count: 1, bytes: length, encrypted, time });
}

function nameOf({ contentType, name, level }: TraceEvent): string {
  const words = contentType !== "alert"
    ? name ?? contentType
    : `${level === "fatal" ? "fatal alert" : "alert"}: ${name ?? "unknown"}`;
  return printable(words);
}
