/**
 * What is measured, as data: the tables, their columns and their rows. A row's name is made of its parameters.
 *
 * @module
 */

import type { Key, PeerName, Version } from "./peer.ts";

/** The parameters of one measurement. */
export interface Row {
  readonly version?: Version;
  readonly key?: Key;
  readonly resume?: boolean;
  /** IANA name; `"own"`: what the two agree on by themselves. */
  readonly suite?: string;
  readonly client?: PeerName;
  readonly server?: PeerName;
  /** Whose memory is measured. */
  readonly side?: "client" | "server";
  /** Deno's own TLS: the row with which those of the same version, key and resumption are compared. */
  readonly baseline?: true;
}

/** One figure of each row. */
export interface Column {
  readonly key: string;
  readonly label: string;
  readonly digits?: number;
}

/** Rows that are measured in the same way. */
export interface Table {
  readonly id: TableId;
  readonly title: string;
  /** The first is compared with the baseline and shown with its spread. */
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** Show the first column as a matrix of clients and servers. */
  readonly matrix?: true;
  /** Measured in one round, since it starts afresh and takes long. */
  readonly once?: true;
}

export type TableId =
  | "memory-handshake"
  | "memory-bulk"
  | "handshake"
  | "connect"
  | "bulk"
  | "ping-pong"
  | "idle"
  | "cold";

const VERSIONS: readonly Version[] = ["1.3", "1.2"];
const KEYS: readonly Key[] = ["P-256", "RSA-2048"];
const SUITES: Readonly<Record<Version, readonly string[]>> = {
  "1.3": ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
  "1.2": ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
};

/** The rows of everything but the handshakes. */
const USUAL = { version: "1.3", key: "P-256" } as const;
const TLSIO = { client: "tlsio", server: "tlsio" } as const;
const STREAMS = { client: "tlsio streams", server: "tlsio streams" } as const;
const TO_DENO = { client: "tlsio", server: "Deno" } as const;
const FROM_DENO = { client: "Deno", server: "tlsio" } as const;
const DENO = { client: "Deno", server: "Deno" } as const;
const NODE_IN_DENO = { client: "node:tls in Deno", server: "node:tls in Deno" } as const;
const NODE = { client: "node:tls in Node", server: "node:tls in Node" } as const;
const TCP = { client: "TCP", server: "TCP" } as const;

const CLIENTS: readonly PeerName[] = [
  "tlsio",
  "Deno",
  "Deno connectTls",
  "node:tls in Deno",
  "node:tls in Node",
];
const SERVERS: readonly PeerName[] = ["tlsio", "Deno", "node:tls in Deno", "node:tls in Node"];

function handshakeRows(version: Version, key: Key): Row[] {
  const full = { version, key, resume: false };
  const resumed = { version, key, resume: true };
  const rows: Row[] = [
    { ...full, ...TLSIO },
    { ...full, ...FROM_DENO },
    { ...full, ...TO_DENO },
    // Nothing holds Deno's own two ends to TLS 1.2; node:tls can be held to it, and is the same rustls.
    { ...full, ...(version === "1.3" ? DENO : NODE_IN_DENO), baseline: true },
    { ...resumed, ...TLSIO },
    { ...resumed, ...TO_DENO, baseline: true }, // Deno's clients never resume
  ];
  return key === "P-256" ? [...rows, { ...full, ...NODE }, { ...resumed, ...NODE }] : rows;
}

/** Everything that is measured, in order. */
export const TABLES: readonly Table[] = [
  {
    id: "memory-handshake",
    title: "Handshake in memory: two TLSEngines in one thread, the certificate checked; by CPU time",
    columns: [
      { key: "rate", label: "both ends /s" },
      { key: "client", label: "client ms", digits: 2 },
      { key: "server", label: "server ms", digits: 2 },
      { key: "up", label: "bytes up" },
      { key: "down", label: "bytes down" },
    ],
    rows: VERSIONS.flatMap((version) =>
      KEYS.flatMap((key) => [false, true].map((resume) => ({ version, key, resume })))
    ),
  },
  {
    id: "memory-bulk",
    title: "Bulk in memory: two TLSEngines in one thread, 64 KiB writes; by CPU time",
    columns: [
      { key: "rate", label: "both ends MB/s", digits: 1 },
      { key: "write", label: "write MB/s", digits: 1 },
      { key: "read", label: "read MB/s", digits: 1 },
    ],
    rows: VERSIONS.flatMap((version) =>
      SUITES[version].map((suite) => ({ version, key: "P-256" as const, suite }))
    ),
  },
  {
    id: "handshake",
    title:
      "Handshakes over loopback (the same, by several clients at once), client and server in a process each",
    columns: [
      { key: "cpu", label: "CPU ms", digits: 2 },
      { key: "clientCpu", label: "client", digits: 2 },
      { key: "serverCpu", label: "server", digits: 2 },
      { key: "rate", label: "/s" },
    ],
    rows: VERSIONS.flatMap((version) => KEYS.flatMap((key) => handshakeRows(version, key))),
  },
  {
    id: "connect",
    title: "The same, one after the other: median ms; a step of 44 ms is a delayed ACK",
    columns: [
      { key: "p50", label: "p50 ms", digits: 2 },
      { key: "min", label: "fastest ms", digits: 2 },
    ],
    rows: CLIENTS.flatMap((client) =>
      SERVERS.map((server) => ({
        ...USUAL,
        client,
        server,
        ...(client === "Deno connectTls" && server === "Deno" && { baseline: true as const }),
      }))
    ),
    matrix: true,
  },
  {
    id: "bulk",
    title: "Bulk over loopback: the server writes 64 KiB at a time, the client reads",
    columns: [
      { key: "rate", label: "MB/s" },
      { key: "clientCpu", label: "client CPU ms/MB", digits: 2 },
      { key: "serverCpu", label: "server CPU ms/MB", digits: 2 },
    ],
    rows: [
      ...[TLSIO, TO_DENO, FROM_DENO].flatMap((pair) =>
        SUITES["1.3"].map((suite) => ({ ...USUAL, suite, ...pair }))
      ),
      { ...USUAL, suite: "own", ...FROM_DENO }, // mbedTLS goes by the client's order of suites
      { ...USUAL, suite: SUITES["1.3"][0]!, ...STREAMS },
      { ...USUAL, suite: "own", ...DENO, baseline: true },
      { ...USUAL, suite: "own", ...NODE_IN_DENO },
      ...SUITES["1.3"].map((suite) => ({ ...USUAL, suite, ...NODE })),
      TCP,
    ],
  },
  {
    id: "ping-pong",
    title: "64 bytes there and back over loopback",
    columns: [
      { key: "p50", label: "p50 us" },
      { key: "clientCpu", label: "client CPU us" },
      { key: "serverCpu", label: "server CPU us" },
    ],
    rows: [
      ...[TLSIO, TO_DENO, FROM_DENO, STREAMS].map((pair) => ({ ...USUAL, ...pair })),
      { ...USUAL, ...DENO, baseline: true },
      { ...USUAL, ...NODE_IN_DENO },
      { ...USUAL, ...NODE },
      TCP,
    ],
  },
  {
    id: "idle",
    title: "Idle connections: resident memory that each adds to a fresh process",
    columns: [{ key: "kib", label: "KiB each", digits: 1 }, { key: "base", label: "MiB before", digits: 0 }],
    rows: [
      ...(["tlsio", "tlsio streams", "Deno", "node:tls in Deno", "node:tls in Node"] as const).map((
        server,
      ) => ({
        ...USUAL,
        side: "server" as const,
        client: "Deno" as const,
        server,
        ...(server === "Deno" && { baseline: true as const }),
      })),
      { ...USUAL, side: "client", ...TO_DENO },
      { ...USUAL, side: "client", ...DENO },
    ],
    once: true,
  },
  {
    id: "cold",
    title: "Cold start of a client: from the start of a fresh process to the first byte of an answer",
    columns: [
      { key: "total", label: "total ms", digits: 0 },
      { key: "boot", label: "runtime", digits: 0 },
      { key: "load", label: "import", digits: 0 },
      { key: "connect", label: "first connection", digits: 0 },
    ],
    rows: [
      ...(["tlsio", "tlsio streams", "Deno", "node:tls in Deno", "node:tls in Node"] as const).map((
        client,
      ) => ({
        ...USUAL,
        client,
        server: "node:tls in Deno" as const,
        ...(client === "Deno" && { baseline: true as const }),
      })),
    ],
  },
];

const LABELS: Partial<Record<PeerName, readonly [client: string, server: string]>> = {
  "Deno": ["Deno startTls", "Deno.listenTls"],
  "Deno connectTls": ["Deno.connectTls", "Deno.listenTls"],
};

/** What a peer is called on its side. */
export function labelOf(peer: PeerName, side: "client" | "server"): string {
  return LABELS[peer]?.[side === "client" ? 0 : 1] ?? peer;
}

/** The name of a row: its parameters. */
export function nameOf({ version, key, resume, suite, side, client, server }: Row): string {
  return [
    ...(version ? [`TLS ${version}`] : []),
    ...(suite ? [suite === "own" ? "own suite" : shortName(suite)] : key ? [key] : []),
    ...(resume === undefined ? [] : [resume ? "resumed" : "full"]),
    ...(side ? [`${side}:`] : []),
    ...(client && server ? [`${labelOf(client, "client")} > ${labelOf(server, "server")}`] : []),
  ].join(" ");
}

function shortName(suite: string): string {
  return suite.replace(/^TLS_(ECDHE_ECDSA_WITH_)?/, "").replace(/_SHA256$/, "");
}

/** The row of `table` with which `row` is compared. */
export function baselineOf(table: Table, row: Row): Row | undefined {
  return table.rows.find((other) =>
    other.baseline && other.version === row.version && other.key === row.key && other.resume === row.resume
  );
}
