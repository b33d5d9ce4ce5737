/**
 * The bench: `deno task bench [TABLE ...] [--quick] [--json] [--rounds N]`. See README.md.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { isInstalled, Pool } from "./agents.ts";
import { measureCold, measureIdle } from "./fresh.ts";
import { measureConnect, measureDownload, measureHandshakes, measurePingPong } from "./loopback.ts";
import { measureBulk, measureHandshake } from "./memory.ts";
import type { Identity, Key, PeerName } from "./peer.ts";
import { environment, format, toJSON } from "./report.ts";
import { type Effort, type Measure, runTable, type TableResult } from "./runner.ts";
import { type Row, type TableId, TABLES } from "./scenarios.ts";

/** Under two minutes on two cores. */
const DEFAULT: Effort = { rounds: 3, warmUp: true, ms: 150, connects: 5, lanes: 16, held: 1000 };
/** Every row once, for whether it runs at all: the figures mean nothing. */
const QUICK: Effort = { rounds: 1, warmUp: false, ms: 10, connects: 4, lanes: 2, held: 10 };

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
  const identityOf = ({ key = "P-256" }: Row) => identities[key];
  await using pool = new Pool();
  const measures: Record<TableId, Measure> = {
    "memory-handshake": (row, effort) => measureHandshake(row, effort, identityOf(row)),
    "memory-bulk": (row, effort) => measureBulk(row, effort, identityOf(row)),
    "connect": (row, effort) => measureConnect(row, effort, identityOf(row), pool),
    "handshake": (row, effort) => measureHandshakes(row, effort, identityOf(row), pool),
    "bulk": (row, effort) => measureDownload(row, effort, identityOf(row), pool),
    "ping-pong": (row, effort) => measurePingPong(row, effort, identityOf(row), pool),
    "idle": (row, effort) => measureIdle(row, effort, identityOf(row)),
    "cold": (row, effort) => measureCold(row, effort, identityOf(row), pool),
  };
  const missing = new Set<PeerName>(await isInstalled("node") ? [] : ["node:tls in Node"]);

  const about = environment();
  const colour = Deno.stdout.isTerminal() && !Deno.noColor;
  if (!json) {
    for (const [name, value] of Object.entries(about)) {
      console.log(`${name.padEnd(6)}  ${value}`);
    }
  }
  const results: TableResult[] = [];
  for (const table of tables) {
    const result = await runTable(table, measures[table.id], effort, missing);
    results.push(result);
    if (!json) console.log(format(result, colour));
  }
  if (json) console.log(JSON.stringify({ ...about, effort, tables: toJSON(results) }, null, 1));
}

/** A certificate of tests/certs, whose names include localhost and 127.0.0.1. */
async function readIdentity(name: string, root: string): Promise<Identity> {
  const read = (file: string) => Deno.readTextFile(new URL(`../tests/certs/${file}`, import.meta.url));
  return {
    certificate: await read(`${name}.pem`),
    key: await read(`${name}.key`),
    ca: await read(`${root}.pem`),
  };
}

if (import.meta.main) await main();
