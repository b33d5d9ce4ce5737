/**
 * The bench: `deno task bench [TABLE ...] [--quick] [--json] [--rounds N]`. See README.md.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { Pool } from "./agents.ts";
import type { Identity, Key } from "./peer.ts";
import { environment, format, toJSON } from "./report.ts";
import { type Bench, type Effort, runTable, type TableResult } from "./runner.ts";
import { TABLES } from "./scenarios.ts";

/** Under two minutes on two cores. */
const DEFAULT: Effort = {
  rounds: 3,
  warmUp: true,
  ms: 150,
  connects: 5,
  lanes: 16,
  held: 1000,
  bulk: 2 ** 27,
};
/** Every row once, for whether it runs at all: the figures mean nothing. */
const QUICK: Effort = { rounds: 1, warmUp: false, ms: 10, connects: 4, lanes: 2, held: 10, bulk: 2 ** 20 };

const USAGE = `Usage: deno task bench [TABLE ...] [--quick] [--json] [--rounds N]
Tables: ${TABLES.map(({ id }) => id).join(" ")}`;

async function main(): Promise<void> {
  const { _: ids, quick, json, rounds } = parseArgs(Deno.args, {
    boolean: ["quick", "json"],
    string: ["rounds"],
  });
  const tables = ids.length === 0 ? TABLES : TABLES.filter(({ id }) => ids.includes(id));
  const effort = { ...(quick ? QUICK : DEFAULT), ...(rounds !== undefined && { rounds: Number(rounds) }) };
  if (tables.length < new Set(ids).size || !(effort.rounds >= 1)) {
    console.error(USAGE);
    Deno.exit(2);
  }

  const identities: Record<Key, Identity> = {
    "P-256": await readIdentity("ec", "root"),
    "RSA-2048": await readIdentity("rsa", "root-rsa"),
  };
  await using pool = new Pool();
  const bench: Bench = { effort, pool, identityOf: ({ key = "P-256" }) => identities[key] };

  const about = environment();
  const colour = Deno.stdout.isTerminal() && !Deno.noColor;
  if (!json) {
    for (const [name, value] of Object.entries(about)) {
      console.log(`${name.padEnd(6)}  ${value}`);
    }
  }
  const results: TableResult[] = [];
  for (const table of tables) {
    const result = await runTable(table, bench);
    results.push(result);
    if (!json) console.log(format(result, colour));
  }
  if (json) console.log(JSON.stringify({ ...about, effort, tables: toJSON(results) }, null, 1));
}

/** A certificate of tests/certs, whose names include localhost and 127.0.0.1. */
async function readIdentity(name: string, root: string): Promise<Identity> {
  const path = (file: string) => new URL(`../tests/certs/${file}`, import.meta.url).pathname;
  const files = { certificate: path(`${name}.pem`), key: path(`${name}.key`), ca: path(`${root}.pem`) };
  return {
    certificate: await Deno.readTextFile(files.certificate),
    key: await Deno.readTextFile(files.key),
    ca: await Deno.readTextFile(files.ca),
    files,
  };
}

if (import.meta.main) await main();
