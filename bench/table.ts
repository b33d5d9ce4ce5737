/**
 * What a table of the bench is, as data: its columns and its rows. A row's name is made of its parameters.
 *
 * @module
 */

import type { Key, PeerName, Version } from "./peer.ts";
import type { Measure } from "./runner.ts";

/** Who does TLS in memory, without sockets. */
export type Engine = "tlsio" | "stock wasm mbedTLS" | "native mbedTLS";

/** The parameters of one measurement. */
export interface Row {
  readonly version?: Version;
  readonly key?: Key;
  readonly resume?: boolean;
  /** IANA name; `"own"`: what the two agree on by themselves. */
  readonly suite?: string;
  readonly client?: PeerName;
  readonly server?: PeerName;
  /** Clients at once. */
  readonly lanes?: number;
  readonly direction?: "down" | "up";
  /** Idle connections. */
  readonly held?: number;
  /** Bytes of a write, and so of a record. */
  readonly size?: number;
  /** Certificates from the server's own to the one below the root. */
  readonly chain?: number;
  /** Threads of a server that listen on one port. */
  readonly workers?: number;
  /** Milliseconds that each of them computes for a connection before it answers. */
  readonly work?: number;
  /** Whose memory is measured. */
  readonly side?: "client" | "server";
  readonly engine?: Engine;
  /** A hash, a cipher, a signature: a name of primitives.ts. */
  readonly primitive?: string;
  /** The row with which those that differ in nothing but who does it are compared. */
  readonly baseline?: true;
}

/** One figure of each row. */
export interface Column {
  readonly key: string;
  readonly label: string;
  readonly unit: string;
  readonly digits?: number;
  /** Which end is good. */
  readonly better?: "higher" | "lower";
}

/** Rows that are measured in the same way. */
export interface Table {
  /** What the command line calls it. */
  readonly id: string;
  readonly group: Group;
  readonly title: string;
  /** The first is compared with the baseline and shown with its spread. */
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly measure: Measure;
  /** Whom the baseline rows are, in a word. @default {"Deno"} */
  readonly against?: string;
  /** Show the first column as a matrix of clients and servers. */
  readonly matrix?: true;
  /** The parameter that a chart has across, where the table shows how cost grows. */
  readonly grows?: "lanes" | "held" | "size" | "chain" | "workers";
  /** The columns are implementations, not figures of one: all compare with the first. */
  readonly implementations?: true;
  /** Measured in one round, since it starts afresh and takes long. */
  readonly once?: true;
}

/** The parts of the bench. */
export const GROUPS = {
  memory: "In memory: TLS and cryptography alone, no sockets",
  servers: "Servers over loopback: a process each, the same native client for all",
  pairs: "Client and server over loopback: a process each, every implementation with every other",
  growth: "How cost grows",
} as const;

/** A part of the bench. */
export type Group = keyof typeof GROUPS;

/** What most rows have. */
export const USUAL = { version: "1.3", key: "P-256" } as const;

/** The suites of ours that are measured, by version. */
export const SUITES: Readonly<Record<Version, readonly [chacha: string, aes: string]>> = {
  "1.3": ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
  "1.2": ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
};

const LABELS: Partial<Record<PeerName, readonly [client: string, server: string]>> = {
  "Deno": ["Deno startTls", "Deno.listenTls"],
  "Deno connectTls": ["Deno.connectTls", "Deno.listenTls"],
};

/** What a peer is called on its side. */
export function labelOf(peer: PeerName, side: "client" | "server"): string {
  return LABELS[peer]?.[side === "client" ? 0 : 1] ?? peer;
}

/** What a row measures: its parameters but for who does it. */
export function subjectOf(row: Row): string {
  const { version, key, resume, suite, side, lanes, direction, held, size, chain, primitive } = row;
  const { workers, work } = row;
  return [
    ...(primitive ? [primitive] : []),
    ...(version ? [`TLS ${version}`] : []),
    ...(suite ? [suite === "own" ? "own suite" : shortName(suite)] : key ? [key] : []),
    ...(resume === undefined ? [] : [resume ? "resumed" : "full"]),
    ...(direction ? [direction] : []),
    ...(lanes ? [`${lanes} at once`] : []),
    ...(held ? [`${held} open`] : []),
    ...(size ? [sizeLabel(size)] : []),
    ...(chain ? [chain === 1 ? "1 certificate" : `${chain} certificates`] : []),
    ...(work ? [`${work} ms of work`] : []),
    ...(workers ? [workers === 1 ? "1 worker" : `${workers} workers`] : []),
    ...(side ? [`${side}:`] : []),
  ].join(" ");
}

/** Who does what a row measures. */
export function actorOf({ client, server, engine }: Row): string {
  if (client && server) return `${labelOf(client, "client")} > ${labelOf(server, "server")}`;
  return engine ?? (server ? labelOf(server, "server") : "");
}

/** The name of a row: its parameters. */
export function nameOf(row: Row): string {
  return [subjectOf(row), actorOf(row)].filter((part) => part !== "").join(" ");
}

/** Bytes, as people say it. */
export function sizeLabel(bytes: number): string {
  return bytes >= 1024 ? `${bytes / 1024} KiB` : `${bytes} B`;
}

function shortName(suite: string): string {
  return suite.replace(/^TLS_(ECDHE_ECDSA_WITH_)?/, "").replace(/_SHA256$/, "");
}

/** The row of `table` with which `row` is compared: the baseline that is alike, by its suite if there is one. */
export function baselineOf(table: Table, row: Row): Row | undefined {
  const bases = table.rows.filter((other) =>
    other.baseline && ALIKE.every((name) => other[name] === row[name])
  );
  return bases.find(({ suite }) => suite === row.suite) ?? bases[0]; // not all can be told their suite
}

const ALIKE = [
  "version",
  "key",
  "resume",
  "side",
  "lanes",
  "direction",
  "held",
  "size",
  "chain",
  "workers",
] as const;
