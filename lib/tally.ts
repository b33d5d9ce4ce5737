/**
 * What a config counts of its handshakes, and what it tells of tickets.
 *
 * @module
 */

import { tell } from "./tell.ts";

/** Counts of a context, under CPython's names. */
export interface SessionStats {
  /** Server: TLS 1.2 sessions in the cache now. */
  readonly number: number;
  /** Client: handshakes that were begun. */
  readonly connect: number;
  /** Client: handshakes that were completed. */
  readonly connectGood: number;
  /** Server: handshakes that were begun. */
  readonly accept: number;
  /** Server: handshakes that were completed. */
  readonly acceptGood: number;
  /** Sessions that were resumed, by ticket or by id. */
  readonly hits: number;
  /**
   * Server: sessions that clients offered and that were refused for another reason than their age. A client that speaks
   * TLS 1.3 always sends a session id: in a TLS 1.2 handshake it counts as a miss.
   */
  readonly misses: number;
  /** Server: sessions that clients offered too late. */
  readonly timeouts: number;
  /** Server: sessions that had to leave the cache for others. */
  readonly cacheFull: number;
}

/**
 * Why a ticket was refused:
 *
 * - `"malformed"`: too short to be a ticket, or of another release of the core.
 * - `"unknown-key"`: sealed with a key that is not in the ring, or not any more.
 * - `"unauthentic"`: changed on its way, or sealed by a server with another trust or for other names.
 * - `"version"`: of another version of TLS than the handshake.
 * - `"expired"`: older than the ring's `lifetime`.
 * - `"certificate"`: the client's certificate has expired since, or was checked more than seven days ago.
 * - `"unsuitable"`: good, but not for this handshake: its cipher suite is not the agreed one, or its age is not what the
 *   client says.
 */
export type TicketRefusal =
  | "malformed"
  | "unknown-key"
  | "unauthentic"
  | "version"
  | "expired"
  | "certificate"
  | "unsuitable";

/** What became of a ticket, at the end of a server's handshake. */
export type TicketEvent =
  & {
    /** The version of the handshake: `"TLSv1.2"` or `"TLSv1.3"`. */
    readonly version: string;
    /** The host that the client asked for (SNI). */
    readonly serverName: string | undefined;
  }
  & (
    | { readonly type: "accepted" }
    | { readonly type: "refused"; readonly reason: TicketRefusal }
    /** `count`: how many tickets the client was given. */
    | { readonly type: "issued"; readonly count: number }
  );

/** `enum ticket_outcome` of wasm/glue/tlsio.h, after NONE; a test compares them. */
export const TICKET_OUTCOMES = [
  "opened",
  "malformed",
  "unknown-key",
  "unauthentic",
  "version",
  "expired",
  "certificate",
] as const;
/** `enum cache_outcome`, after UNUSED; likewise. */
export const CACHE_OUTCOMES = ["hit", "miss", "expired"] as const;

/** What a handshake came to. */
export interface Outcome {
  /** Whether a session was resumed. */
  readonly resumed: boolean;
  /** What became of the client's ticket: 0, or 1 and a place in {@linkcode TICKET_OUTCOMES}. */
  readonly ticket: number;
  /** Tickets that were sealed for the client. */
  readonly issued: number;
  /** What became of the client's session id: 0, or 1 and a place in {@linkcode CACHE_OUTCOMES}. */
  readonly cache: number;
}

/** Counts the handshakes of one config. */
export class Tally {
  readonly #onTicket: ((event: TicketEvent) => void) | undefined;
  #begun = 0;
  #completed = 0;
  #hits = 0;
  #misses = 0;
  #timeouts = 0;

  constructor(onTicket: ((event: TicketEvent) => void) | undefined) {
    this.#onTicket = onTicket;
  }

  /** A connection was made. */
  begin(): void {
    this.#begun++;
  }

  /** Its handshake is over. */
  end(outcome: Outcome, version: string, serverName: string | undefined): void {
    this.#completed++;
    const { resumed, ticket, issued, cache } = outcome;
    const opened = TICKET_OUTCOMES[ticket - 1];
    const found = CACHE_OUTCOMES[cache - 1];
    if (resumed) this.#hits++;
    else if (opened === "expired" || found === "expired") this.#timeouts++;
    else if (opened !== undefined || found !== undefined) this.#misses++;

    if (this.#onTicket === undefined) return;
    if (opened !== undefined) {
      if (resumed) tell(this.#onTicket, { type: "accepted", version, serverName });
      else {
        const reason = opened === "opened" ? "unsuitable" : opened;
        tell(this.#onTicket, { type: "refused", reason, version, serverName });
      }
    }
    if (issued > 0) tell(this.#onTicket, { type: "issued", count: issued, version, serverName });
  }

  /** The counts; the cache's are given. */
  stats(serverSide: boolean, number: number, cacheFull: number): SessionStats {
    const [begun, completed] = [this.#begun, this.#completed];
    return {
      number,
      connect: serverSide ? 0 : begun,
      connectGood: serverSide ? 0 : completed,
      accept: serverSide ? begun : 0,
      acceptGood: serverSide ? completed : 0,
      hits: this.#hits,
      misses: this.#misses,
      timeouts: this.#timeouts,
      cacheFull,
    };
  }
}
