/** Events of a TLS 1.3 handshake over a network of 60 ms, at the client. */
import type { TraceEvent } from "../lib/trace.ts";

type Direction = TraceEvent["direction"];

/** A message as a trace tells of it. */
export function message(
  time: number,
  direction: Direction,
  name: string | undefined,
  length: number,
  encrypted = false,
): TraceEvent {
  const state = { layer: "message", contentType: "handshake", state: "handshake" } as const;
  return { time: START + time, direction, ...state, ...(name && { name }), length, encrypted };
}

/** A record. */
export function record(time: number, direction: Direction, length: number, encrypted = false): TraceEvent {
  const state = { layer: "record", contentType: "handshake", state: "handshake" } as const;
  return { time: START + time, direction, ...state, length, encrypted };
}

const START = 1234.5; // milliseconds: the clock does not begin with the connection

/** The whole of one, with data and a goodbye. */
export function handshakeEvents(): TraceEvent[] {
  const data = (event: TraceEvent): TraceEvent => ({
    ...event,
    contentType: "application_data",
    state: "open",
  });
  return [
    message(0, "sent", "client_hello", 235),
    record(0, "sent", 240),
    record(60, "received", 127),
    message(60.1, "received", "server_hello", 122),
    record(60.15, "received", 483, true),
    message(60.2, "received", "certificate", 461, true),
    record(60.25, "received", 80, true),
    message(60.3, "received", "finished", 36, true),
    message(61, "sent", "finished", 36, true),
    record(61, "sent", 58, true),
    ...[62, 63, 64].flatMap((time) => [
      data(message(time, "sent", undefined, 100, true)),
      data(record(time, "sent", 122, true)),
    ]),
    record(120, "received", 191, true),
    message(120, "received", "new_session_ticket", 169, true),
    record(121, "received", 31, true),
    { ...message(121, "received", "close_notify", 2, true), contentType: "alert", level: "warning" },
  ];
}
