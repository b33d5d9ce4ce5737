/**
 * Tables of clients and servers, each in a process of its own, every implementation with every other.
 *
 * @module
 */

import { measureCold, measureIdle } from "./fresh.ts";
import { measureConnect, measureDownload, measureHandshakes, measurePingPong } from "./loopback.ts";
import type { Key, PeerName, Version } from "./peer.ts";
import type { Measure } from "./runner.ts";
import { type Column, type Row, SUITES, type Table, USUAL } from "./table.ts";

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
const VERSIONS: readonly Version[] = ["1.3", "1.2"];
const KEYS: readonly Key[] = ["P-256", "RSA-2048"];

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

const CPU: readonly Column[] = [
  { key: "clientCpu", label: "client", unit: "ms", digits: 2, better: "lower" },
  { key: "serverCpu", label: "server", unit: "ms", digits: 2, better: "lower" },
];

function table(id: string, title: string, measure: Measure, columns: Column[], rows: Row[]): Table {
  return { id, group: "pairs", title, columns, rows, measure };
}

/** Every table of pairs. */
export const PAIR_TABLES: readonly Table[] = [
  table(
    "handshake",
    "Handshakes of 16 clients at once: TCP, handshake, a byte there and back, close; CPU time of both for each",
    measureHandshakes,
    [
      { key: "cpu", label: "CPU", unit: "ms", digits: 2, better: "lower" },
      ...CPU,
      { key: "rate", label: "rate", unit: "/s", better: "higher" },
    ],
    VERSIONS.flatMap((version) => KEYS.flatMap((key) => handshakeRows(version, key))),
  ),
  {
    ...table(
      "connect",
      "The same, one after the other: what one user waits for; a step of 44 ms is a delayed ACK",
      measureConnect,
      [
        { key: "p50", label: "p50", unit: "ms", digits: 2, better: "lower" },
        { key: "min", label: "fastest", unit: "ms", digits: 2, better: "lower" },
      ],
      CLIENTS.flatMap((client) =>
        SERVERS.map((server) => ({
          ...USUAL,
          client,
          server,
          ...(client === "Deno connectTls" && server === "Deno" && { baseline: true as const }),
        }))
      ),
    ),
    matrix: true,
  },
  table(
    "bulk",
    "Bulk: the server writes 64 KiB at a time, the client reads",
    measureDownload,
    [
      { key: "rate", label: "rate", unit: "MB/s", better: "higher" },
      ...CPU.map((column) => ({ ...column, label: `${column.label} CPU`, unit: "ms/MB" })),
    ],
    [
      ...[TLSIO, TO_DENO, FROM_DENO].flatMap((pair) =>
        SUITES["1.3"].map((suite) => ({ ...USUAL, suite, ...pair }))
      ),
      { ...USUAL, suite: "own", ...FROM_DENO }, // mbedTLS goes by the client's order of suites
      { ...USUAL, suite: SUITES["1.3"][0], ...STREAMS },
      { ...USUAL, suite: "own", ...DENO, baseline: true },
      { ...USUAL, suite: "own", ...NODE_IN_DENO },
      ...SUITES["1.3"].map((suite) => ({ ...USUAL, suite, ...NODE })),
      TCP,
    ],
  ),
  table(
    "ping-pong",
    "64 bytes there and back",
    measurePingPong,
    [
      { key: "p50", label: "p50", unit: "us", better: "lower" },
      ...CPU.map((column) => ({ ...column, label: `${column.label} CPU`, unit: "us", digits: 0 })),
    ],
    [
      ...[TLSIO, TO_DENO, FROM_DENO, STREAMS].map((pair) => ({ ...USUAL, ...pair })),
      { ...USUAL, ...DENO, baseline: true },
      { ...USUAL, ...NODE_IN_DENO },
      { ...USUAL, ...NODE },
      TCP,
    ],
  ),
  {
    ...table(
      "idle",
      "Idle connections: resident memory that each adds to a fresh process",
      measureIdle,
      [
        { key: "kib", label: "each", unit: "KiB", digits: 1, better: "lower" },
        { key: "base", label: "process before", unit: "MiB" },
      ],
      [
        { side: "server" as const, ...TCP },
        { side: "client" as const, ...TCP },
        { ...USUAL, side: "client" as const, ...TO_DENO },
        { ...USUAL, side: "client" as const, ...DENO, baseline: true as const },
        { ...USUAL, side: "client" as const, client: "node:tls in Deno" as const, server: "Deno" as const },
      ].map((row) => ({ ...row, held: 1000 })),
    ),
    once: true,
  },
  table(
    "cold",
    "Cold start of a client: from the start of a fresh process to the first byte of an answer",
    measureCold,
    [
      { key: "total", label: "total", unit: "ms", better: "lower" },
      { key: "boot", label: "runtime", unit: "ms" },
      { key: "load", label: "import", unit: "ms" },
      { key: "connect", label: "first connection", unit: "ms" },
    ],
    (["tlsio", "tlsio streams", "Deno", "node:tls in Deno", "node:tls in Node"] as const).map((client) => ({
      ...USUAL,
      client,
      server: "node:tls in Deno" as const,
      ...(client === "Deno" && { baseline: true as const }),
    })),
  ),
];
