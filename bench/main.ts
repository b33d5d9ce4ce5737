/**
 * The bench: `deno task bench [TABLE ...] [--quick | --full] [--json]`. See README.md.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { Pool } from "./agents.ts";
import { makeChain } from "./chain.ts";
import { toHtml } from "./html.ts";
import type { RunData } from "./page/data.ts";
import type { Identity, Key } from "./peer.ts";
import { environment, format, toData } from "./report.ts";
import { type Bench, type Effort, runTable, type TableResult } from "./runner.ts";
import { TABLES } from "./scenarios.ts";
import { GROUPS, nameOf, type Row } from "./table.ts";

/** Some six minutes on two cores. */
const DEFAULT: Effort = {
  rounds: 3,
  warmUp: true,
  ms: 100,
  connects: 5,
  lanes: 16,
  held: 1000,
  bulk: 2 ** 26,
};
/** Every row once, for whether it runs at all: the figures mean nothing. */
const QUICK: Effort = { rounds: 1, warmUp: false, ms: 10, connects: 4, lanes: 2, held: 10, bulk: 2 ** 20 };
/** A gigabyte each way, ten thousand connections, more and longer rounds: half an hour. */
const FULL: Effort = {
  rounds: 5,
  warmUp: true,
  ms: 500,
  connects: 20,
  lanes: 16,
  held: 10_000,
  bulk: 2 ** 30,
};

const OUT = new URL("out/", import.meta.url);

const USAGE =
  `Usage: deno task bench [TABLE ...] [--quick | --full] [--only WORDS] [--rounds N] [--out FOLDER] [--json]
  --quick   every row once, for whether it runs
  --full    1 GB each way, 10 000 connections, longer rounds: half an hour
  --only    only rows whose name has this in it; several: separated by commas
  --rounds  how many rounds count (one more goes before them)
  --out     where result.json and report.html go; bench/out
  --json    print the figures as JSON, write no files
`;

const help = () =>
  USAGE +
  Object.entries(GROUPS).map(([group, title]) =>
    `\n${title}\n${TABLES.filter((table) => table.group === group).map(lineOf).join("\n")}\n`
  ).join("");

const lineOf = ({ id, title }: { id: string; title: string }) => `  ${id.padEnd(22)} ${title}`;

async function main(): Promise<void> {
  const options = parseArgs(Deno.args, {
    boolean: ["quick", "full", "json", "help"],
    string: ["rounds", "only", "out", "_"],
  });
  const { _: ids, quick, full, json } = options;
  const { rounds, only, out } = options as { rounds?: string; only?: string; out?: string };
  if (options.help) return console.log(help());
  const chosen = ids.length === 0 ? TABLES : TABLES.filter(({ id }) => ids.includes(id));
  const words = only?.toLowerCase().split(",");
  const isWanted = (row: Row) => words?.some((word) => nameOf(row).toLowerCase().includes(word)) ?? true;
  const tables = chosen.map((table) => ({ ...table, rows: table.rows.filter(isWanted) }))
    .filter(({ rows }) => rows.length > 0);
  const usual = quick ? QUICK : full ? FULL : DEFAULT;
  const effort = { ...usual, ...(rounds !== undefined && { rounds: Number(rounds) }) };
  if (chosen.length < new Set(ids).size || tables.length === 0 || !(effort.rounds >= 1)) {
    console.error(help());
    Deno.exit(2);
  }

  await using pool = new Pool();
  const identities = new Map<string, Identity>();
  const bench: Bench = {
    effort,
    pool,
    identityOf({ key = "P-256", chain }) {
      const name = `${key} ${chain}`;
      if (!identities.has(name)) {
        identities.set(name, chain === undefined ? readIdentity(key) : makeChain(chain));
      }
      return identities.get(name)!;
    },
  };
  const began = performance.now();
  const about = await environment();
  const colour = Deno.stdout.isTerminal() && !Deno.noColor;
  const print = (text: string) => json || console.log(text);
  for (const [name, value] of Object.entries(about)) print(`${name.padEnd(8)}  ${value}`);

  const results: TableResult[] = [];
  for (const table of tables) {
    const result = await runTable(table, bench);
    results.push(result);
    print(format(result, colour));
  }
  about.took = `${Math.round((performance.now() - began) / 1000)} s`;
  const data = toData(about, effort, results);
  if (json) console.log(JSON.stringify(data, null, 1));
  else await write(data, out);
  if (results.some(({ skipped }) => skipped.some(({ failed }) => failed))) Deno.exitCode = 1;
}

async function write(data: RunData, folder = OUT.pathname): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/result.json`, JSON.stringify(data, null, 1));
  await Deno.writeTextFile(`${folder}/report.html`, await toHtml(data));
  console.log(`\nTook ${data.about.took}. Wrote result.json and report.html to ${folder}`);
}

const FILES: Readonly<Record<Key, readonly [leaf: string, root: string]>> = {
  "P-256": ["ec", "root"],
  "RSA-2048": ["rsa", "root-rsa"],
};

/** A certificate of tests/certs, whose names include localhost and 127.0.0.1. */
function readIdentity(key: Key): Identity {
  const [leaf, root] = FILES[key];
  const path = (file: string) => new URL(`../tests/certs/${file}`, import.meta.url).pathname;
  const files = { certificate: path(`${leaf}.pem`), key: path(`${leaf}.key`), ca: path(`${root}.pem`) };
  return {
    certificate: Deno.readTextFileSync(files.certificate),
    key: Deno.readTextFileSync(files.key),
    ca: Deno.readTextFileSync(files.ca),
    files,
  };
}

if (import.meta.main) await main();
