/**
 * What tlsio is to reach, and whether it does: figures of the tables, against what was set.
 *
 * @module
 */

import type { TableResult } from "./runner.ts";
import type { Row } from "./table.ts";

/** One figure to reach. */
export interface Target {
  readonly what: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly must: number;
  readonly stretch: number;
  /** `undefined` where its rows did not run. */
  readonly measured: number | undefined;
  readonly reached: "stretch" | "must" | "no" | "not run";
}

type Find = (table: string, like: Row, column: string) => number | undefined;

const P256 = { version: "1.3", key: "P-256" } as const;
const OURS = { ...P256, engine: "tlsio" } as const;
const SERVER = { ...P256, client: "C client", server: "tlsio" } as const;
const [CHACHA, AES] = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];

type Definition = readonly [
  what: string,
  unit: string,
  better: "higher" | "lower",
  must: number,
  stretch: number,
  measured: (find: Find) => number | undefined,
];

/** The slower end: a connection needs both. */
const slower = (find: Find, suite: string) =>
  least(["write", "read"].map((column) => find("memory-bulk", { ...OURS, suite }, column)));

const DEFINITIONS: readonly Definition[] = [
  [
    "TLS 1.3 full handshake in memory, server",
    "us",
    "lower",
    250,
    160,
    (find) => find("memory-handshake", { ...OURS, resume: false }, "server"),
  ],
  ["the same, both ends: times as fast as native mbedTLS", "x", "higher", 4, 6, (find) =>
    quotient(
      find("memory-handshake", { ...P256, engine: "native mbedTLS", resume: false }, "both"),
      find("memory-handshake", { ...OURS, resume: false }, "both"),
    )],
  [
    "TLS 1.3 resumed in memory, both ends",
    "us",
    "lower",
    350,
    250,
    (find) => find("memory-handshake", { ...OURS, resume: true }, "both"),
  ],
  [
    "TLS 1.2 resumed in memory, both ends",
    "us",
    "lower",
    86,
    60,
    (find) => find("memory-handshake", { ...OURS, version: "1.2", resume: true }, "both"),
  ],
  [
    "RSA-2048 signature",
    "us",
    "lower",
    1600,
    800,
    (find) => find("primitives-operations", { primitive: "RSA-2048 sign" }, "tlsio"),
  ],
  ["AES-128-GCM records in memory, the slower end", "MB/s", "higher", 500, 650, (find) => slower(find, AES)],
  [
    "ChaCha20-Poly1305 records in memory, the slower end",
    "MB/s",
    "higher",
    800,
    1100,
    (find) => slower(find, CHACHA),
  ],
  // Go 1.19, the stretch goal, took 0.81 times what Deno.listenTls took where both were measured.
  [
    "TLS 1.3 full, 32 at once: server CPU, times that of Deno.listenTls",
    "x",
    "lower",
    1.2,
    0.81,
    (find) =>
      quotient(
        find("server-handshake", { ...SERVER, resume: false, lanes: 32 }, "cpu"),
        find("server-handshake", { ...SERVER, server: "Deno", resume: false, lanes: 32 }, "cpu"),
      ),
  ],
  [
    "TLS 1.3 full, one at a time: p50 of a connection",
    "ms",
    "lower",
    1.3,
    0.9,
    (find) => find("server-handshake", { ...SERVER, resume: false, lanes: 1 }, "p50"),
  ],
  [
    "TLS 1.3 resumed, 32 at once: server CPU",
    "ms",
    "lower",
    0.35,
    0.25,
    (find) => find("server-handshake", { ...SERVER, resume: true, lanes: 32 }, "cpu"),
  ],
  [
    "TLS 1.2 resumed, 32 at once: server CPU",
    "ms",
    "lower",
    0.15,
    0.1,
    (find) => find("server-handshake", { ...SERVER, version: "1.2", resume: true, lanes: 32 }, "cpu"),
  ],
  [
    "Bulk from server to client, AES-128-GCM",
    "MB/s",
    "higher",
    450,
    650,
    (find) => find("server-bulk", { ...SERVER, suite: AES, direction: "down" }, "rate"),
  ],
  [
    "64 bytes there and back, 32 at once: server CPU",
    "us",
    "lower",
    16,
    10,
    (find) => find("server-ping-pong", { ...SERVER, lanes: 32 }, "cpu"),
  ],
  [
    "Resident memory for each of 1000 idle connections",
    "KiB",
    "lower",
    12,
    8,
    (find) => find("server-idle", { ...SERVER, held: 1000 }, "kib"),
  ],
  ["Server CPU of a TLS 1.3 full handshake above that in memory", "us", "lower", 150, 80, (find) => {
    const all = find("server-handshake", { ...SERVER, resume: false, lanes: 32 }, "cpu");
    const tls = find("memory-handshake", { ...OURS, resume: false }, "server");
    return all === undefined || tls === undefined ? undefined : all * 1000 - tls;
  }],
  ["Cold start: import and first connection of a client", "ms", "lower", 60, 60, (find) => {
    const like = { ...P256, client: "tlsio", server: "node:tls in Deno" } as const;
    const [load, connect] = [find("cold", like, "load"), find("cold", like, "connect")];
    return load === undefined || connect === undefined ? undefined : load + connect;
  }],
];

/** Every target, with what `results` have of it. */
export function targetsOf(results: readonly TableResult[]): Target[] {
  const find: Find = (id, like, column) => {
    const rows = results.find(({ table }) => table.id === id)?.rows ?? [];
    const isLike = (row: Row) =>
      Object.entries(like).every(([name, value]) => row[name as keyof Row] === value);
    return rows.find(({ row }) => isLike(row))?.stats[column]?.median;
  };
  return DEFINITIONS.map(([what, unit, better, must, stretch, measure]) => {
    const measured = measure(find);
    const meets = (limit: number) => better === "lower" ? measured! <= limit : measured! >= limit;
    const reached = measured === undefined
      ? "not run"
      : meets(stretch)
      ? "stretch"
      : meets(must)
      ? "must"
      : "no";
    return { what, unit, better, must, stretch, measured, reached };
  });
}

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

function least(values: (number | undefined)[]): number | undefined {
  return values.includes(undefined) ? undefined : Math.min(...values as number[]);
}
