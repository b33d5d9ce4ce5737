/** The metrics of a server: one table, from which every form is made. */

import type { ServerStats } from "../server_stats.ts";

/** What a server of `tlsio/http` and one with workers count besides. */
export type AnyStats = Readonly<ServerStats> & {
  readonly requests?: number;
  readonly workers?: number;
  readonly restarts?: number;
};

/** Names and values that tell the series of one metric apart. */
export type Labels = Readonly<Record<string, string>>;

/** One value of a metric. */
export interface Sample {
  readonly value: number;
  readonly labels?: Labels;
}

/** A metric. */
export interface Metric {
  /** Words with dots between them. */
  readonly name: string;
  /** A counter only grows. */
  readonly kind: "counter" | "gauge";
  /** `"By"`: bytes, `"s"`: seconds (UCUM). */
  readonly unit?: "By" | "s";
  /** What it is, one line. */
  readonly help: string;
  /** Its values; none: the server does not count it. */
  readonly read: (stats: AnyStats) => readonly Sample[];
}

const one = (value: number | undefined): readonly Sample[] => value === undefined ? [] : [{ value }];
const by = (label: string, counts: Readonly<Record<string, number>>): readonly Sample[] =>
  Object.entries(counts).map(([name, value]) => ({ value, labels: { [label]: name } }));

/** All but the time of handshakes, which is a histogram. */
export const METRICS: readonly Metric[] = [
  {
    name: "connections.accepted",
    kind: "counter",
    help: "Connections accepted",
    read: ({ accepted }) => one(accepted),
  },
  {
    name: "connections.refused",
    kind: "counter",
    help: "Connections closed at once because a limit was reached",
    read: ({ refused }) => one(refused),
  },
  {
    name: "connections.open",
    kind: "gauge",
    help: "Connections whose handshake is done and that are open",
    read: ({ open }) => one(open),
  },
  {
    name: "handshakes.running",
    kind: "gauge",
    help: "Handshakes under way",
    read: ({ handshaking }) => one(handshaking),
  },
  {
    name: "handshakes.completed",
    kind: "counter",
    help: "Handshakes that were completed, by whether they resumed a session",
    read: ({ handshakes, resumed }) => [
      { value: resumed, labels: { resumed: "true" } },
      { value: handshakes - resumed, labels: { resumed: "false" } },
    ],
  },
  {
    name: "handshakes.version",
    kind: "counter",
    help: "Handshakes that were completed, by version of TLS",
    read: ({ versions }) => by("version", versions),
  },
  {
    name: "handshakes.suite",
    kind: "counter",
    help: "Handshakes that were completed, by cipher suite",
    read: ({ suites }) => by("suite", suites),
  },
  {
    name: "handshakes.failed",
    kind: "counter",
    help: "Handshakes that failed, by reason",
    read: ({ failures }) => by("reason", failures),
  },
  {
    name: "limits.reached",
    kind: "counter",
    help: "How often a limit was reached, by its option's name",
    read: ({ limits }) => by("limit", limits),
  },
  {
    name: "tickets.issued",
    kind: "counter",
    help: "Session tickets given at the end of a handshake",
    read: ({ ticketsIssued }) => one(ticketsIssued),
  },
  {
    name: "tickets.accepted",
    kind: "counter",
    help: "Session tickets that resumed a session",
    read: ({ ticketsAccepted }) => one(ticketsAccepted),
  },
  {
    name: "tickets.refused",
    kind: "counter",
    help: "Session tickets that were refused, by reason",
    read: ({ ticketsRefused }) => by("reason", ticketsRefused),
  },
  {
    name: "received",
    kind: "counter",
    unit: "By",
    help: "Bytes of TLS that came in",
    read: ({ bytesReceived }) => one(bytesReceived),
  },
  {
    name: "sent",
    kind: "counter",
    unit: "By",
    help: "Bytes of TLS that were written",
    read: ({ bytesSent }) => one(bytesSent),
  },
  {
    name: "http.requests",
    kind: "counter",
    help: "HTTP requests",
    read: ({ requests }) => one(requests),
  },
  { name: "workers", kind: "gauge", help: "Workers that serve", read: ({ workers }) => one(workers) },
  {
    name: "workers.restarts",
    kind: "counter",
    help: "Workers that crashed and were started again",
    read: ({ restarts }) => one(restarts),
  },
];

/** The time of handshakes: {@linkcode ServerStats.handshakeTime}. */
export const HANDSHAKE_TIME = {
  name: "handshakes.duration",
  help: "Seconds from a connection to the end of its handshake",
} as const;
