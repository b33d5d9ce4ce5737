/**
 * What a server counts.
 *
 * @module
 */

import { SSLSocket } from "./socket.ts";
import { TICKET_OUTCOMES } from "./tally.ts";

/** What a server counts. All but {@linkcode ServerStats.handshaking} and {@linkcode ServerStats.open} only grow. */
export interface ServerStats {
  /** Connections accepted since the start. */
  accepted: number;
  /** Connections closed at once because a limit was reached. */
  refused: number;
  /** Handshakes under way: the queue in front of the handler. */
  handshaking: number;
  /** Connections whose handshake is done and that are open. */
  open: number;
  /** Handshakes that failed, since the start. */
  handshakeFailures: number;
  /** Those by reason: `"MBEDTLS_ERR_SSL_TIMEOUT"` ... */
  failures: Record<string, number>;
  /** How often each limit was reached, by its option's name; `descriptors`: no more files could be opened. */
  limits: Record<string, number>;
  /** Handshakes that were completed, since the start. */
  handshakes: number;
  /** Those that resumed a session. */
  resumed: number;
  /** Those by version: `"TLSv1.3"` ... */
  versions: Record<string, number>;
  /** Those by cipher suite: `"TLS_AES_128_GCM_SHA256"` ... */
  suites: Record<string, number>;
  /** Seconds from the connection to the end of its handshake, of those that were completed. */
  handshakeTime: Histogram;
  /** Session tickets that clients were given at the end of a handshake. */
  ticketsIssued: number;
  /** Session tickets that resumed a session. */
  ticketsAccepted: number;
  /** Session tickets that were refused, by reason: `"unknown-key"` ... */
  ticketsRefused: Record<string, number>;
  /** Bytes of TLS that came in, of the connections whose handshake was completed. */
  bytesReceived: number;
  /** Bytes of TLS that were written. */
  bytesSent: number;
}

/** How often a figure was up to a bound, as Prometheus counts. */
export interface Histogram {
  /** How many there were. */
  count: number;
  /** Their sum. */
  sum: number;
  /** How many were at most as large as the name says: a number, or `"+Inf"`. */
  buckets: Record<string, number>;
}

/** Seconds: from a resumption on the same machine to the far side of the world. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Nothing counted yet. */
export function noStats(): ServerStats {
  return {
    accepted: 0,
    refused: 0,
    handshaking: 0,
    open: 0,
    handshakeFailures: 0,
    failures: {},
    limits: {},
    handshakes: 0,
    resumed: 0,
    versions: {},
    suites: {},
    handshakeTime: {
      count: 0,
      sum: 0,
      buckets: Object.fromEntries([...BOUNDS, "+Inf"].map((bound) => [bound, 0])),
    },
    ticketsIssued: 0,
    ticketsAccepted: 0,
    ticketsRefused: {},
    bytesReceived: 0,
    bytesSent: 0,
  };
}

/** For `Server`: counts its connections. */
export class ServerTally {
  /** The counts, as they are whenever they are read. */
  readonly stats: ServerStats;
  readonly #open = new Set<SSLSocket>();
  #received = 0; // of those that are closed
  #sent = 0;

  constructor() {
    const bytes = (way: "received" | "sent", closed: () => number) => ({
      enumerable: true,
      get: () => {
        let sum = closed();
        for (const socket of this.#open) sum += SSLSocket.traffic(socket)[way];
        return sum;
      },
    });
    this.stats = Object.defineProperties(noStats(), {
      bytesReceived: bytes("received", () => this.#received),
      bytesSent: bytes("sent", () => this.#sent),
    });
  }

  /**
   * A connection has passed to the handler.
   *
   * @param seconds Since it was accepted.
   * @returns Whether its handshake is counted; if not, the handler completes it.
   */
  opened(socket: SSLSocket, seconds: number): boolean {
    this.#open.add(socket);
    if (!this.#count(socket)) return false;
    const { handshakeTime } = this.stats;
    handshakeTime.count++;
    handshakeTime.sum += seconds;
    for (const bound of BOUNDS) if (seconds <= bound) handshakeTime.buckets[bound]!++;
    handshakeTime.buckets["+Inf"]!++;
    return true;
  }

  /** It has ended; `isCounted`: what {@linkcode ServerTally.opened} gave. */
  closed(socket: SSLSocket, isCounted: boolean): void {
    this.#open.delete(socket);
    if (!isCounted) this.#count(socket);
    const { received, sent } = SSLSocket.traffic(socket);
    this.#received += received;
    this.#sent += sent;
  }

  #count(socket: SSLSocket): boolean {
    const outcome = SSLSocket.outcome(socket);
    if (outcome === undefined) return false;
    const { stats } = this;
    const { resumed, ticket, issued } = outcome;
    stats.handshakes++;
    if (resumed) stats.resumed++;
    increment(stats.versions, socket.version() ?? "unknown");
    increment(stats.suites, socket.cipher()?.name ?? "unknown"); // the core may have been retired since
    stats.ticketsIssued += issued;
    const opened = TICKET_OUTCOMES[ticket - 1];
    if (opened !== undefined && resumed) stats.ticketsAccepted++;
    else if (opened !== undefined) {
      increment(stats.ticketsRefused, opened === "opened" ? "unsuitable" : opened);
    }
    return true;
  }
}

/** Counts one more. */
export function increment(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** The counts of several servers, added up. */
export function sumStats<Stats extends ServerStats>(all: readonly Stats[]): Stats {
  const total = noStats() as Stats;
  for (const stats of all) add(total as unknown as Counts, stats as unknown as Counts);
  return total;
}

type Counts = { [name: string]: number | Counts };

function add(total: Counts, counts: Counts): void {
  for (const [name, count] of Object.entries(counts)) {
    if (typeof count === "number") total[name] = (total[name] as number | undefined ?? 0) + count;
    else add((total[name] ??= {}) as Counts, count);
  }
}
