/**
 * Rounds and statistics: rows are measured in turn, round by round, so that a slow moment of the machine does not meet one
 * row alone. The first round is thrown away.
 *
 * @module
 */

import type { PeerName } from "./peer.ts";
import { baselineOf, nameOf, type Row, type Table } from "./scenarios.ts";

/** How much to do. */
export interface Effort {
  /** Rounds that count. */
  readonly rounds: number;
  /** Whether there is a first round that does not count. */
  readonly warmUp: boolean;
  /** Milliseconds per measurement, where time sets its length. */
  readonly ms: number;
  /** Connections per measurement, where they come one after the other. */
  readonly connects: number;
  /** Clients at once. */
  readonly lanes: number;
  /** Idle connections. */
  readonly held: number;
}

/** The figures of one measurement, by column. */
export type Sample = Readonly<Record<string, number>>;

/** Measures a row once. */
export type Measure = (row: Row, effort: Effort) => Promise<Sample> | Sample;

/** A figure over all rounds. */
export interface Stat {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What came of a row. */
export interface RowResult {
  readonly name: string;
  readonly row: Row;
  /** By column. */
  readonly stats: Readonly<Record<string, Stat>>;
  /** The first column's median to that of Deno's own TLS. */
  readonly ratio?: number;
}

/** What came of a table. */
export interface TableResult {
  readonly table: Table;
  readonly rows: readonly RowResult[];
  /** Names of the rows that did not run, since a program is missing. */
  readonly skipped: readonly string[];
}

/** Measures every row of `table`, except those of peers that are missing. */
export async function runTable(
  table: Table,
  measure: Measure,
  effort: Effort,
  missing: ReadonlySet<PeerName>,
): Promise<TableResult> {
  const isMissing = ({ client, server }: Row) =>
    (client !== undefined && missing.has(client)) || (server !== undefined && missing.has(server));
  const rows = table.rows.filter((row) => !isMissing(row));
  const samples = new Map<Row, Sample[]>(rows.map((row) => [row, []]));
  const rounds = table.once ? 1 : effort.rounds;
  for (let round = effort.warmUp && !table.once ? 0 : 1; round <= rounds; round++) {
    for (const row of rows) {
      const sample = await measure(row, effort);
      if (round > 0) samples.get(row)!.push(sample);
    }
  }
  const stats = new Map(rows.map((row) => [row, statsOf(samples.get(row)!)]));
  const first = table.columns[0]!.key;
  return {
    table,
    rows: rows.map((row) => {
      const baseline = stats.get(baselineOf(table, row) ?? row);
      const ratio = stats.get(row)![first]!.median / (baseline?.[first]?.median ?? NaN);
      const compared = baselineOf(table, row) !== undefined && Number.isFinite(ratio);
      return { name: nameOf(row), row, stats: stats.get(row)!, ...(compared && { ratio }) };
    }),
    skipped: table.rows.filter(isMissing).map(nameOf),
  };
}

function statsOf(samples: readonly Sample[]): Record<string, Stat> {
  const keys = Object.keys(samples[0]!);
  return Object.fromEntries(keys.map((key) => {
    const values = samples.map((sample) => sample[key]!).sort((a, b) => a - b);
    return [key, { median: median(values), min: values[0]!, max: values.at(-1)! }];
  }));
}

/** The middle of `values`, or between the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
