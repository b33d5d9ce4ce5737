/**
 * Rounds and statistics: rows are measured in turn, round by round, so that a slow moment of the machine does not meet one
 * row alone. The first round is thrown away.
 *
 * @module
 */

import type { Pool } from "./agents.ts";
import type { Identity } from "./peer.ts";
import { baselineOf, nameOf, type Row, type Table } from "./table.ts";

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
  /** Clients at once, where a row does not say how many. */
  readonly lanes: number;
  /** Idle connections, at most. */
  readonly held: number;
  /** Bytes of a measurement in bulk. */
  readonly bulk: number;
}

/** What a measurement works with. */
export interface Bench {
  readonly effort: Effort;
  /** Processes that stay. */
  readonly pool: Pool;
  /** The certificate of a row. */
  identityOf(row: Row): Identity;
}

/** The figures of one measurement, by column. */
export type Sample = Readonly<Record<string, number>>;

/** Measures a row once. */
export type Measure = (row: Row, bench: Bench) => Promise<Sample> | Sample;

/** Thrown for a row that cannot be measured on this machine; the message says why, and what to do. */
export class NotRun extends Error {
  override readonly name = "NotRun";
}

/** A figure over all rounds. */
export interface Stat {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** What came of a row. */
export interface RowResult {
  readonly name: string;
  readonly row: Row;
  /** By column. A column that a row has nothing for is not there. */
  readonly stats: Readonly<Record<string, Stat>>;
  /** The first column's median to that of the baseline. */
  readonly ratio?: number;
}

/** A row that was not measured. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
  /** It should have been. */
  readonly failed?: true;
}

/** What came of a table. */
export interface TableResult {
  readonly table: Table;
  readonly rows: readonly RowResult[];
  readonly skipped: readonly Skipped[];
}

/** Measures every row of `table`; those that cannot be measured here are named with the reason. */
export async function runTable(table: Table, bench: Bench): Promise<TableResult> {
  const { warmUp, rounds: wanted } = bench.effort;
  const samples = new Map<Row, Sample[]>(table.rows.map((row) => [row, []]));
  const reasons = new Map<Row, Omit<Skipped, "name">>();
  const rounds = table.once ? 1 : wanted;
  for (let round = warmUp && !table.once ? 0 : 1; round <= rounds; round++) {
    for (const row of table.rows) {
      if (reasons.has(row)) continue;
      try {
        const sample = await table.measure(row, bench);
        if (round > 0) samples.get(row)!.push(sample);
      } catch (error) {
        if (error instanceof NotRun) reasons.set(row, { reason: error.message });
        else reasons.set(row, { reason: `FAILED: ${error}`, failed: true });
      }
    }
  }
  const measured = table.rows.filter((row) => !reasons.has(row));
  const stats = new Map(measured.map((row) => [row, statsOf(samples.get(row)!)]));
  const first = table.columns[0]!.key;
  return {
    table,
    rows: measured.map((row) => {
      const baseline = baselineOf(table, row);
      const ratio = (stats.get(row)![first]?.median ?? NaN) / (stats.get(baseline!)?.[first]?.median ?? NaN);
      return { name: nameOf(row), row, stats: stats.get(row)!, ...(Number.isFinite(ratio) && { ratio }) };
    }),
    skipped: [...reasons].map(([row, why]) => ({ name: nameOf(row), ...why })),
  };
}

function statsOf(samples: readonly Sample[]): Record<string, Stat> {
  const keys = [...new Set(samples.flatMap(Object.keys))];
  return Object.fromEntries(keys.map((key) => {
    const values = samples.flatMap((sample) => sample[key] ?? []).sort((a, b) => a - b);
    const stat = { median: median(values), min: values[0]!, max: values.at(-1)!, rounds: values.length };
    return [key, stat];
  }));
}

/** The middle of `values`, or between the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
