/**
 * Tables of servers: each in a process of its own, with the same native client.
 *
 * @module
 */

import type { PeerName } from "./peer.ts";
import type { Measure } from "./runner.ts";
import {
  measureHttp,
  measureServerBulk,
  measureServerHandshakes,
  measureServerIdle,
  measureServerPingPong,
} from "./servers.ts";
import { type Column, type Row, SUITES, type Table, USUAL } from "./table.ts";

const SERVERS: readonly PeerName[] = [
  "tlsio",
  "Deno",
  "node:tls in Deno",
  "node:tls in Node",
  "CPython asyncio",
  "nginx",
];

/** A row for each server, by the native client. */
function each(servers: readonly PeerName[], row: Row): Row[] {
  return servers.map((server) => ({
    ...row,
    client: "C client",
    server,
    ...(server === "Deno" && { baseline: true }),
  }));
}

const LANES = { "1.3": [1, 32, 128], "1.2": [1, 32] }; // how a server takes a crowd has little to do with the version
const CPU: Column = { key: "cpu", label: "server CPU", unit: "ms", digits: 3, better: "lower" };
const CPU_US: Column = { key: "cpu", label: "server CPU", unit: "us", digits: 1, better: "lower" };
const RATE: Column = { key: "rate", label: "rate", unit: "/s", better: "higher" };
const LATENCY: readonly Column[] = [
  { key: "p50", label: "p50", unit: "ms", digits: 2, better: "lower" },
  { key: "p99", label: "p99", unit: "ms", digits: 2, better: "lower" },
];
const LATENCY_US: readonly Column[] = [
  { key: "p50", label: "p50", unit: "us", better: "lower" },
  { key: "p99", label: "p99", unit: "us", better: "lower" },
];

function table(id: string, title: string, measure: Measure, columns: Column[], rows: Row[]): Table {
  return { id: `server-${id}`, group: "servers", title, columns, rows, measure };
}

/** Every table of servers. */
export const SERVER_TABLES: readonly Table[] = [
  table(
    "handshake",
    "Handshakes of a server: TCP, handshake, a byte there and back, close; CPU time for each",
    measureServerHandshakes,
    [CPU, RATE, ...LATENCY, { key: "clientCpu", label: "client CPU", unit: "ms", digits: 3 }],
    [
      ...(["1.3", "1.2"] as const).flatMap((version) =>
        [false, true].flatMap((resume) =>
          LANES[version].flatMap((lanes) => each(SERVERS, { ...USUAL, version, resume, lanes }))
        )
      ),
      ...each(SERVERS, { version: "1.3", key: "RSA-2048", resume: false, lanes: 32 }),
    ],
  ),
  table(
    "bulk",
    "Bulk of a server: one connection, one way",
    measureServerBulk,
    [
      { key: "rate", label: "rate", unit: "MB/s", better: "higher" },
      { key: "cpu", label: "server CPU", unit: "ms/MB", digits: 2, better: "lower" },
      { key: "clientCpu", label: "client CPU", unit: "ms/MB", digits: 2 },
    ],
    (["down", "up"] as const).flatMap((direction) => {
      const [chacha, aes] = SUITES["1.3"].map((suite) => ({ ...USUAL, suite, direction }));
      const servers = SERVERS.filter((server) => direction === "down" || server !== "nginx"); // it takes no uploads
      return [...each(servers, aes!), ...each(["tlsio", "Deno"], chacha!)];
    }),
  ),
  table(
    "ping-pong",
    "64 bytes there and back: CPU time of the server for each; nginx answers a request",
    measureServerPingPong,
    [CPU_US, RATE, ...LATENCY_US],
    [1, 32].flatMap((lanes) => each(SERVERS, { ...USUAL, lanes })),
  ),
  table(
    "http",
    "HTTPS requests over 32 kept connections, 64 bytes in each answer, by wrk",
    measureHttp,
    [{ ...RATE, label: "requests" }, CPU_US, ...LATENCY_US],
    each(SERVERS, { ...USUAL, lanes: 32 }),
  ),
  {
    ...table(
      "idle",
      "Idle connections of a server: resident memory that each adds to a fresh process",
      measureServerIdle,
      [
        { key: "kib", label: "each", unit: "KiB", digits: 1, better: "lower" },
        { key: "base", label: "process before", unit: "MiB" },
        { ...CPU_US, label: "server CPU of a message" },
      ],
      [1000, 10_000].flatMap((held) =>
        each(["tlsio", "tlsio streams", ...SERVERS.slice(1)], { ...USUAL, held })
      ),
    ),
    once: true,
  },
];
