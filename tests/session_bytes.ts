/** The inside of an SSLSession: mbedTLS's form of it, to be looked at and to be spoilt. */
import { type Bytes, concat } from "../lib/bytes.ts";
import { SSLSession } from "../lib/session.ts";

/** Where the ticket of a session lies in mbedTLS's form: from, to, and how many bytes count it in front. */
function placeOf(session: SSLSession): { from: number; to: number; prefix: number } {
  const state = SSLSession.state(session);
  if (session.facts.version === "TLSv1.3") { // the ticket comes last, behind its length
    for (let at = 0; at < state.length - 2; at++) { // from the front: the ticket is long, and random
      const to = state.length;
      if ((state[at]! << 8 | state[at + 1]!) === to - at - 2) return { from: at + 2, to, prefix: 2 };
    }
    throw new Error("The session has no ticket");
  }
  const number = (at: number) => state[at]! << 16 | state[at + 1]! << 8 | state[at + 2]!;
  const certificate = 9 + 8 + 1 + 32 + 48 + 4; // header, start, id, master secret and verify flags come before it
  const from = certificate + 3 + number(certificate) + 3;
  return { from, to: from + number(from - 3), prefix: 3 };
}

/** The ticket of a session, or the empty one of a session by id. */
export function ticketOf(session: SSLSession): Bytes {
  const { from, to } = placeOf(session);
  return SSLSession.state(session).slice(from, to);
}

/** The same session with another ticket. */
export function withTicket(session: SSLSession, ticket: Bytes): SSLSession {
  const state = SSLSession.state(session);
  const { from, to, prefix } = placeOf(session);
  const length = Uint8Array.of(ticket.length >> 16, (ticket.length >> 8) & 255, ticket.length & 255).slice(
    -prefix,
  );
  return withState(session, concat([state.slice(0, from - prefix), length, ticket, state.slice(to)]));
}

/** The same session with another inside. */
export function withState(session: SSLSession, state: Bytes): SSLSession {
  return new SSLSession(session.facts, state);
}

/** `bytes` with one bit changed. */
export function flipped(bytes: Bytes, at: number, mask = 1): Bytes {
  const copy = bytes.slice();
  copy[at]! ^= mask;
  return copy;
}
