/**
 * Tables of TLS and cryptography in memory.
 *
 * @module
 */

import { measureBulk, measureHandshake } from "./memory.ts";
import { SUITES, type Table } from "./table.ts";

const VERSIONS = ["1.3", "1.2"] as const;
const KEYS = ["P-256", "RSA-2048"] as const;

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
      KEYS.flatMap((key) => [false, true].map((resume) => ({ version, key, resume })))
    ),
    measure: measureHandshake,
  },
  {
    id: "memory-bulk",
    group: "memory",
    title: "Bulk: the same pair, 64 KiB writes, one way; CPU time",
    columns: [
      { key: "write", label: "write", unit: "MB/s", better: "higher" },
      { key: "read", label: "read", unit: "MB/s", better: "higher" },
      { key: "both", label: "both", unit: "MB/s", better: "higher" },
    ],
    rows: VERSIONS.flatMap((version) =>
      SUITES[version].map((suite) => ({ version, key: "P-256" as const, suite }))
    ),
    measure: measureBulk,
  },
];
