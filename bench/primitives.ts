/**
 * How fast each primitive is: in a core with kernels, in mbedTLS alone, in native mbedTLS, in Deno's node:crypto, WebCrypto
 * and OpenSSL, where they do the same. Of each row all are measured in turn, in slices of a few milliseconds, so that a slow
 * moment of the machine does not meet one alone.
 *
 * @module
 */

import { loadHarnesses, streamOf } from "../tests/crypto/harness.ts";
import { Native } from "./native.ts";
import { opensslSpeed } from "./openssl.ts";
import type { Operation, PrimitiveRow } from "./primitive.ts";
import { PUBLIC_KEY_ROWS } from "./primitives_public.ts";
import { SYMMETRIC_ROWS } from "./primitives_symmetric.ts";
import { type Bench, median, NotRun, type Sample } from "./runner.ts";
import type { Column, Row, Table } from "./table.ts";

const SLICE = 4; // milliseconds: long enough for the clock, short enough to fall between other processes' turns
const WARM_UP = 40; // milliseconds, until it has been compiled for speed
const SLICES_SHARE = 6; // a measurement's time is that of so many who take turns

/** Someone who can do it. */
interface Entrant {
  readonly name: string;
  readonly operation: Operation;
  /** How often in a slice. */
  repeats: number;
}

/** Runs an operation so many times. Returns microseconds for each. */
async function slice(operation: Operation, repeats: number): Promise<number> {
  const waits = operation() instanceof Promise;
  const began = performance.now();
  if (waits) { for (let i = 0; i < repeats; i++) await operation(); }
  else for (let i = 0; i < repeats; i++) operation();
  return (performance.now() - began) * 1000 / repeats;
}

async function enter(name: string, operation: Operation, warmUp: number): Promise<Entrant> {
  let repeats = 1;
  for (let spent = 0; spent < warmUp;) {
    const each = await slice(operation, repeats);
    spent += each * repeats / 1000;
    repeats = Math.max(1, Math.ceil(SLICE * 1000 / each));
  }
  return { name, operation, repeats };
}

const harnesses = new Map<"cores", ReturnType<typeof load>>();

async function load() {
  const [ours, simd, stock] = await loadHarnesses("test", "test.simd", "stock");
  for (const harness of [ours, simd, stock]) harness.random = streamOf("bench");
  return { ours, simd, stock };
}

const entrants = new Map<PrimitiveRow, Promise<Entrant[]>>();

/** All who can do what a row names, warm. */
async function enterAll(row: PrimitiveRow, warmUp: number): Promise<Entrant[]> {
  if (!harnesses.has("cores")) harnesses.set("cores", load());
  const { ours, simd, stock } = await harnesses.get("cores")!;
  const all = [
    await enter("tlsio", row.core(ours), warmUp),
    await enter("simd", row.core(simd), warmUp),
    await enter("stock", row.core(stock), warmUp),
  ];
  try {
    all.push(await enter("native", row.core((await Native.load()).primitives), warmUp));
  } catch (error) {
    if (!(error instanceof NotRun)) throw error; // its column is empty, and the tables of handshakes say why
  }
  if (row.node !== undefined) all.push(await enter("node", row.node(), warmUp));
  if (row.web !== undefined) all.push(await enter("web", await row.web(), warmUp));
  return all;
}

const ROWS = new Map([...SYMMETRIC_ROWS, ...PUBLIC_KEY_ROWS].map((row) => [row.name, row]));

async function measurePrimitive({ primitive }: Row, { effort }: Bench): Promise<Sample> {
  const row = ROWS.get(primitive!)!;
  if (!effort.warmUp) askOpensslAtOnce();
  if (!entrants.has(row)) entrants.set(row, enterAll(row, effort.warmUp ? WARM_UP : 0));
  const all = await entrants.get(row)!;
  const times = all.map((): number[] => []);
  for (let turn = Math.max(1, Math.floor(effort.ms / SLICE / SLICES_SHARE)); turn > 0; turn--) {
    for (const [i, { operation, repeats }] of all.entries()) times[i]!.push(await slice(operation, repeats));
  }
  const found: [string, number][] = all.map(({ name }, i) => [name, median(times[i]!)]);
  const openssl = row.openssl && await opensslSpeed(row.openssl, row.bytes);
  if (openssl !== undefined) found.push(["openssl", openssl]);
  return Object.fromEntries(
    found.map((
      [name, microseconds],
    ) => [name, row.bytes === undefined ? microseconds : row.bytes / microseconds]),
  );
}

/** A second for each, all at the same time: for a quick run, whose figures mean nothing. */
function askOpensslAtOnce(): void {
  for (const { openssl, bytes } of ROWS.values()) if (openssl !== undefined) opensslSpeed(openssl, bytes);
}

function table(id: string, title: string, rows: readonly PrimitiveRow[], figure: Partial<Column>): Table {
  const column = (key: string, label: string): Column => ({ key, label, unit: "", ...figure });
  return {
    id,
    group: "memory",
    title,
    columns: [
      column("tlsio", "tlsio"),
      column("simd", "tlsio, plain SIMD"),
      column("stock", "stock wasm mbedTLS"),
      column("native", "native mbedTLS"),
      column("node", "node:crypto in Deno"),
      column("web", "WebCrypto in Deno"),
      column("openssl", "openssl speed"),
    ],
    rows: rows.map(({ name }) => ({ primitive: name })),
    measure: measurePrimitive,
    implementations: true,
  };
}

const isBulk = ({ bytes }: PrimitiveRow) => bytes !== undefined;
const ALL = [...ROWS.values()];

/** Both tables of primitives. */
export const PRIMITIVE_TABLES: readonly Table[] = [
  table("primitives-bulk", "Ciphers and hashes", ALL.filter(isBulk), { unit: "MB/s", better: "higher" }),
  table(
    "primitives-operations",
    "Signatures, key exchange and other operations",
    ALL.filter((row) => !isBulk(row)),
    {
      unit: "us",
      digits: 1,
      better: "lower",
    },
  ),
];
