/** A timeline from what a connection's `trace` was told: messages with their records, times and flights. */

import type { Way } from "../cost/network_cost.ts";
import type { TraceEvent } from "../trace.ts";
import type { Longest, TracedFlight, TracedMessage } from "./trace_result.ts";

/** A time in which we waited for the peer, on the clock of `performance.now()`. */
export type Wait = readonly [from: number, to: number];

/** What is known of a connection. */
export interface Recording {
  readonly role: "client" | "server";
  /** All that the trace was told, in order. */
  readonly events: readonly TraceEvent[];
  /** In order; they do not overlap. */
  readonly waits: readonly Wait[];
  /** When the handshake began, on the clock of `performance.now()`. */
  readonly start: number;
  /** When it failed; `undefined`: it did not. */
  readonly failed: number | undefined;
}

/** The part of a traced connection that is of its messages. */
export interface Timeline {
  readonly messages: readonly TracedMessage[];
  readonly flights: readonly TracedFlight[];
  readonly handshakeMs: number;
  readonly waitMs: number;
  readonly longest: Longest | null;
}

type Draft = { -readonly [Key in keyof TracedMessage]: TracedMessage[Key] };

const HEADER = 5; // bytes of a record's
const SEALED = 16; // bytes that encryption adds to a record, at least: an AEAD's tag

/** Puts the messages in order, with what belongs to each. */
export function timelineOf({ role, events, waits, start, failed }: Recording): Timeline {
  const messages = messagesOf(events, role);
  let before = start;
  for (const message of messages) {
    Object.assign(message, step(waits, before, message.time));
    before = message.time;
    message.time = micro(message.time - start);
  }
  const flights = assignFlights(messages);
  const handshake = messages.filter(({ flight }) => flight !== null);
  const isOver = failed === undefined || finishedBefore(messages, messages.length) >= 2;
  // Behind an alert we linger: that is not of the handshake.
  const final = isOver
    ? handshake.at(-1)
    : messages.findLast(({ level }, i) => level && i === messages.length - 1);
  const end = isOver || final ? start + (final?.time ?? 0) : failed;
  const last = isOver || final ? undefined : step(waits, before, end);
  return {
    messages,
    flights,
    handshakeMs: micro(end - start),
    waitMs: micro(waitedBetween(waits, start, end)),
    longest: longestOf(messages, last),
  };
}

// ---- Messages and their records -------------------------------------------------------------------------

/** Times are still of the clock; flights and steps are not there yet. */
function messagesOf(events: readonly TraceEvent[], role: "client" | "server"): Draft[] {
  const sent: Draft[] = []; // those whose record has not been
  const received: { event: TraceEvent; draft: Draft }[] = []; // records of which no message has come
  const drafts: Draft[] = [];
  let current: Draft | undefined; // the last that was sent
  for (const event of events) {
    const draft = draftOf(event, (event.direction === "sent") === (role === "client") ? "up" : "down");
    if (event.layer === "message") {
      drafts.push(draft);
      if (event.direction === "sent") sent.push(draft);
      else takeRecords(draft, received).forEach((used) => drafts.splice(drafts.indexOf(used), 1));
    } else if (event.direction === "sent") {
      current = sent[0] ?? current; // a message of several records is told of before the first
      sent.length = 0;
      if (current !== undefined) addRecord(current, event.length);
    } else {
      drafts.push(draft); // until its message comes: one that never does is shown as a record
      received.push({ event, draft });
    }
  }
  return drafts;
}

function draftOf(
  { time, contentType, layer, name, code, level, length, encrypted }: TraceEvent,
  way: Way,
): Draft {
  const isRecord = layer === "record";
  return {
    ...{ time, way, contentType, encrypted, code: code ?? null, level: level ?? null },
    name: isRecord ? "record" : name ?? contentType,
    bytes: isRecord ? length - HEADER : length,
    ...{ records: isRecord ? 1 : 0, wireBytes: isRecord ? length : 0 },
    ...{ flight: null, waitMs: 0, workMs: 0 },
  };
}

function addRecord(message: Draft, length: number): void {
  message.records++;
  message.wireBytes += length;
}

/**
 * Gives a message that came the records that it has begun: the last ones, as many as it needs. Those before it have not
 * decrypted, as early data that a server passes over. Returns what stood for these records.
 */
function takeRecords(message: Draft, received: { event: TraceEvent; draft: Draft }[]): Draft[] {
  const used: Draft[] = [];
  for (let room = 0; room < message.bytes && received.length > 0;) {
    const { event, draft } = received.pop()!;
    room += event.length - HEADER - (event.encrypted ? SEALED : 0);
    addRecord(message, event.length);
    used.push(draft);
  }
  received.length = 0;
  return used;
}

// ---- Flights --------------------------------------------------------------------------------------------

function finishedBefore(messages: readonly TracedMessage[], end: number): number {
  return messages.slice(0, end).filter(({ name }) => name === "finished").length;
}

/** Gives each message of the handshake its flight. As in NetworkCost, data is in none. */
function assignFlights(messages: Draft[]): TracedFlight[] {
  const flights: { -readonly [Key in keyof TracedFlight]: TracedFlight[Key] }[] = [];
  let finished = 0;
  for (const message of messages) {
    if (finished >= 2) break;
    if (message.name === "finished") finished++;
    if (message.contentType === "application_data") continue;
    const { way, wireBytes, records, waitMs, workMs } = message;
    if (flights.at(-1)?.way !== way) flights.push({ way, bytes: 0, records: 0, waitMs, workMs });
    const flight = flights.at(-1)!;
    flight.bytes += wireBytes;
    flight.records += records;
    message.flight = flights.length - 1;
  }
  return flights;
}

// ---- Times ----------------------------------------------------------------------------------------------

interface Step {
  readonly waitMs: number;
  readonly workMs: number;
}

/** What went on between two times. */
function step(waits: readonly Wait[], from: number, to: number): Step {
  const waited = waitedBetween(waits, from, to);
  return { waitMs: micro(waited), workMs: micro(to - from - waited) };
}

function waitedBetween(waits: readonly Wait[], from: number, to: number): number {
  return waits.reduce((sum, [start, end]) => sum + Math.max(0, Math.min(end, to) - Math.max(start, from)), 0);
}

function longestOf(messages: readonly TracedMessage[], last: Step | undefined): Longest | null {
  const steps = messages.map((message, i) => ({ ...message, message: i }))
    .filter(({ flight }) => flight !== null)
    .map(({ message, waitMs, workMs }) => ({ message, waitMs, workMs }));
  if (last !== undefined) steps.push({ ...last, message: messages.length });
  const parts = steps.flatMap(({ message, waitMs, workMs }): Longest[] => [
    { message, kind: "wait", ms: waitMs },
    { message, kind: "work", ms: workMs },
  ]);
  return parts.reduce<Longest | null>((most, part) => part.ms > (most?.ms ?? -1) ? part : most, null);
}

/** Milliseconds, to the microsecond. */
function micro(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
