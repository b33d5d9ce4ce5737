/**
 * Tables of how cost grows: with the connections that are open, the size of a record, the length of a certificate chain,
 * the workers of a server.
 *
 * @module
 */

import { measureBulk, measureHandshake } from "./memory.ts";
import { measureServerHandshakes, measureServerIdle } from "./servers.ts";
import { type Row, SUITES, type Table, USUAL } from "./table.ts";
import { each } from "./tables_memory.ts";

const SIZES = [16, 64, 256, 1024, 4096, 16384]; // bytes
const CHAINS = [1, 2, 3, 4, 5]; // certificates
const HELD = [1, 10, 100, 1000, 10_000]; // connections

const WORKERS = Array.from({ length: Math.min(navigator.hardwareConcurrency, 8) }, (_, i) => i + 1);

/** Every table of growth. */
export const GROWTH_TABLES: readonly Table[] = [
  {
    id: "growth-records",
    group: "growth",
    title: "Records by size, sealed and opened in memory",
    columns: [
      { key: "write", label: "seal", unit: "MB/s", digits: 1, better: "higher" },
      { key: "read", label: "open", unit: "MB/s", digits: 1, better: "higher" },
    ],
    rows: [...SUITES["1.3"]].reverse().flatMap((suite) =>
      SIZES.flatMap((size) => each({ ...USUAL, suite, size }))
    ),
    measure: measureBulk,
    against: "native",
    grows: "size",
  },
  {
    id: "growth-chain",
    group: "growth",
    title: "Full handshakes in memory by the length of the certificate chain",
    columns: [
      { key: "both", label: "both ends", unit: "us", better: "lower" },
      { key: "client", label: "client", unit: "us", better: "lower" },
      { key: "server", label: "server", unit: "us", better: "lower" },
      { key: "down", label: "sent by server", unit: "bytes" },
    ],
    rows: CHAINS.flatMap((chain) => each({ ...USUAL, resume: false, chain })),
    measure: measureHandshake,
    against: "native",
    grows: "chain",
  },
  {
    id: "growth-connections",
    group: "growth",
    title:
      "A server by the connections that are open and idle: memory, and the cost of a message on one more",
    columns: [
      { key: "kib", label: "memory of each", unit: "KiB", digits: 1, better: "lower" },
      { key: "total", label: "memory of all", unit: "MiB", digits: 1, better: "lower" },
      { key: "cpu", label: "server CPU of a message", unit: "us", digits: 1, better: "lower" },
      { key: "setup", label: "server CPU of opening one", unit: "ms", digits: 2, better: "lower" },
    ],
    rows: HELD.flatMap((held) =>
      (["tlsio", "Deno", "node:tls in Deno", "nginx"] as const).map((server) => ({
        ...USUAL,
        held,
        client: "C client" as const,
        server,
        ...(server === "Deno" && { baseline: true as const }),
      }))
    ),
    measure: measureServerIdle,
    grows: "held",
    once: true,
  },
  {
    id: "growth-workers",
    group: "growth",
    title: "Full handshakes of a server by its workers; the clients need processors, too",
    columns: [
      { key: "rate", label: "rate", unit: "/s", better: "higher" },
      { key: "cpu", label: "server CPU", unit: "ms", digits: 3, better: "lower" },
      { key: "clientCpu", label: "client CPU", unit: "ms", digits: 3 },
      { key: "cores", label: "server keeps busy", unit: "cores", digits: 2 },
    ],
    rows: [{ key: "P-256" }, { key: "RSA-2048" }, { key: "P-256", work: 5 }].flatMap((load) =>
      WORKERS.map((workers) => ({
        ...USUAL,
        ...load as Row,
        resume: false,
        lanes: 32,
        workers,
        client: "C client" as const,
        server: "tlsio streams" as const,
      }))
    ),
    measure: measureServerHandshakes,
    grows: "workers",
  },
];
