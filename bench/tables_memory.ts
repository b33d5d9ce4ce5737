/**
 * Tables of TLS and cryptography in memory.
 *
 * @module
 */

import { measureBulk, measureHandshake } from "./memory.ts";
import { type Engine, type Row, SUITES, type Table } from "./table.ts";

const VERSIONS = ["1.3", "1.2"] as const;
const KEYS = ["P-256", "RSA-2048"] as const;

const ENGINES: readonly Engine[] = ["tlsio", "stock wasm mbedTLS", "native mbedTLS"];

/** A row for each engine, compared with native mbedTLS. */
export function each(row: Row): Row[] {
  return ENGINES.map((engine) => ({
    ...row,
    engine,
    ...(engine === "native mbedTLS" && { baseline: true as const }),
  }));
}

/** Every table in memory. */
export const MEMORY_TABLES: readonly Table[] = [
  {
    id: "memory-handshake",
    group: "memory",
    title: "Handshake: two engines in one thread, the certificate checked; CPU time",
    columns: [
      { key: "both", label: "both ends", unit: "us", better: "lower" },
      { key: "client", label: "client", unit: "us", better: "lower" },
      { key: "server", label: "server", unit: "us", better: "lower" },
      { key: "up", label: "sent by client", unit: "bytes" },
      { key: "down", label: "by server", unit: "bytes" },
    ],
    rows: VERSIONS.flatMap((version) =>
      KEYS.flatMap((key) => [false, true].flatMap((resume) => each({ version, key, resume })))
    ),
    measure: measureHandshake,
    against: "native",
  },
  {
    id: "memory-bulk",
    group: "memory",
    title: "Bulk: the same pair, 64 KiB writes, one way; by CPU time",
    columns: [
      { key: "write", label: "write", unit: "MB/s", better: "higher" },
      { key: "read", label: "read", unit: "MB/s", better: "higher" },
      { key: "both", label: "both", unit: "MB/s", better: "higher" },
    ],
    rows: VERSIONS.flatMap((version) =>
      SUITES[version].flatMap((suite) => each({ version, key: "P-256" as const, suite }))
    ),
    measure: measureBulk,
    against: "native",
  },
];
