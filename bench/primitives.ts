/**
 * How fast each primitive is: `deno task bench-primitives [--rounds N] [--cores stock,test] [--best] [--json] [NAME ...]`.
 *
 * Beside a core with kernels: mbedTLS alone, Deno's node:crypto, and WebCrypto where it does the same. Of each row all are
 * measured in turn, round by round, so that a slow moment of the machine does not meet one alone; the figure is the
 * median, or the best with `--best`, for a machine that is never quiet.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { type Harness, loadHarnesses, streamOf, type TestCore } from "../tests/crypto/harness.ts";
import type { Operation, PrimitiveRow } from "./primitive.ts";
import { PUBLIC_KEY_ROWS } from "./primitives_public.ts";
import { SYMMETRIC_ROWS } from "./primitives_symmetric.ts";
import { environment } from "./report.ts";
import { median } from "./runner.ts";

const SLICE = 4; // milliseconds: long enough for the clock, short enough to fall between other processes' turns

/** An operation and how often it is repeated in a slice. */
interface Entrant {
  name: string;
  operation: Operation;
  repeats: number;
  /** Microseconds each, by round. */
  times: number[];
}

/** Runs an operation so many times. Returns microseconds for each. */
async function slice(operation: Operation, repeats: number): Promise<number> {
  const waits = operation() instanceof Promise;
  const began = performance.now();
  if (waits) { for (let i = 0; i < repeats; i++) await operation(); }
  else for (let i = 0; i < repeats; i++) operation();
  return (performance.now() - began) * 1000 / repeats;
}

async function enter(name: string, operation: Operation): Promise<Entrant> {
  let repeats = 1;
  // Until it has been compiled for speed and a slice is long enough.
  for (let spent = 0; spent < 10 * SLICE;) {
    const each = await slice(operation, repeats);
    spent += each * repeats / 1000;
    repeats = Math.max(1, Math.ceil(SLICE * 1000 / each));
  }
  return { name, operation, repeats, times: [] };
}

/** The times of all who can do it, in microseconds, by round. */
async function measure(
  row: PrimitiveRow,
  harnesses: readonly Harness[],
  rounds: number,
): Promise<Record<string, number[]>> {
  const entrants: Entrant[] = [];
  for (const harness of harnesses) entrants.push(await enter(harness.core, row.core(harness)));
  if (row.node !== undefined) entrants.push(await enter("node:crypto", row.node()));
  if (row.web !== undefined) entrants.push(await enter("WebCrypto", await row.web()));
  for (let round = 0; round < rounds; round++) {
    for (const { operation, repeats, times } of entrants) times.push(await slice(operation, repeats));
  }
  return Object.fromEntries(entrants.map(({ name, times }) => [name, times]));
}

/** MB/s (10^6 bytes) or microseconds. */
function figure(row: PrimitiveRow, microseconds: number | undefined): string {
  if (microseconds === undefined) return "";
  const value = row.bytes === undefined ? microseconds : row.bytes / microseconds;
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

async function main(): Promise<void> {
  const { _: wanted, cores = "stock,test", rounds = "21", best, json } = parseArgs(Deno.args, {
    string: ["_", "cores", "rounds"],
    boolean: ["best", "json"],
  });
  const harnesses = await loadHarnesses(...String(cores).split(",") as TestCore[]);
  for (const harness of harnesses) harness.random = streamOf("bench");
  const parts = wanted.map((part) => String(part).toLowerCase());
  const rows = [...SYMMETRIC_ROWS, ...PUBLIC_KEY_ROWS].filter(({ name }) =>
    parts.length === 0 || parts.some((part) => name.toLowerCase().includes(part))
  );
  const about = environment();
  const names = [...harnesses.map(({ core }) => core), "node:crypto", "WebCrypto"];
  const head = ["", "unit", ...names, "speed-up"];
  const print = (cells: readonly string[]) =>
    console.log(cells.map((cell, i) => i === 0 ? cell.padEnd(36) : cell.padStart(12)).join(""));
  if (!json) {
    for (const [name, value] of Object.entries(about)) console.log(`${name.padEnd(6)}  ${value}`);
    print(head);
  }
  const results: Record<string, unknown>[] = [];
  for (const row of rows) {
    const times = Object.entries(await measure(row, harnesses, Number(rounds)));
    const one = (times: number[]) => best ? Math.min(...times) : median(times);
    const figures = Object.fromEntries(times.map(([name, times]) => [name, one(times)]));
    const [first, second] = names.map((name) => figures[name]);
    results.push({ name: row.name, bytes: row.bytes, microseconds: figures });
    if (json) continue;
    const faster = second === undefined ? "" : `${(first! / second).toFixed(2)} x`;
    const unit = row.bytes === undefined ? "us" : "MB/s";
    print([row.name, unit, ...names.map((name) => figure(row, figures[name])), faster]);
  }
  if (json) console.log(JSON.stringify({ ...about, rounds: Number(rounds), rows: results }, null, 1));
}

if (import.meta.main) await main();
