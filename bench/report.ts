/**
 * Results as text for people and as JSON for programs.
 *
 * @module
 */

import { cpus } from "node:os";
import { Core } from "tlsio/engine";
import type { RunData } from "./page/data.ts";
import type { PeerName } from "./peer.ts";
import type { Effort, RowResult, TableResult } from "./runner.ts";
import { actorOf, type Column, GROUPS, labelOf, subjectOf } from "./table.ts";
import { targetsOf } from "./targets.ts";

/** What ran, and on what: figures mean nothing without it. */
export async function environment(): Promise<Record<string, string>> {
  const all = cpus();
  const versions = await Promise.all(
    Object.entries(PROGRAMS).map(async ([name, args]) => `${name} ${await versionOf(name, args)}`),
  );
  return {
    date: new Date().toISOString().slice(0, 16),
    command: `deno task bench ${Deno.args.join(" ")}`.trim(),
    cpu: `${all.length} x ${all[0]?.model ?? "unknown"}`,
    system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}, load ${
      Deno.loadavg()[0]!.toFixed(1)
    } at the start`,
    deno: `${Deno.version.deno} (V8 ${Deno.version.v8})`,
    core: Core.shared().version,
    peers: versions.join(", "),
  };
}

const PROGRAMS = {
  node: ["--version"],
  python3: ["--version"],
  nginx: ["-v"],
  openssl: ["version"],
  wrk: ["-v"],
  cc: ["--version"],
} as const;

async function versionOf(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
    const text = new TextDecoder().decode(new Uint8Array([...stdout, ...stderr]));
    return /\d+(\.\d+)+\w*/.exec(text.split("\n")[0]!)?.[0] ?? "?";
  } catch {
    return "not installed";
  }
}

/** All of a run, for the page and for programs. */
export function toData(
  about: Record<string, string>,
  effort: Effort,
  results: readonly TableResult[],
): RunData {
  const tables = results.map(({ table, rows, skipped }) => {
    const { id, group, title, columns, against, grows, implementations } = table;
    const named = rows.map((row) => ({ ...row, subject: subjectOf(row.row), actor: actorOf(row.row) }));
    return {
      ...{ id, group, title, columns, rows: named, skipped },
      ...(against && { against }),
      ...(grows && { grows }),
      ...(implementations && { implementations }),
    };
  });
  return { about, effort, groups: GROUPS, targets: targetsOf(results), tables };
}

/** A table as text; bold and grey where `colour` says so. */
export function format(result: TableResult, colour: boolean): string {
  const { table, skipped } = result;
  const lines = table.matrix ? matrix(result) : list(result);
  const bold = (text: string) => colour ? `\x1b[1m${text}\x1b[0m` : text;
  const grey = (text: string) => colour ? `\x1b[90m${text}\x1b[0m` : text;
  const [head, ...body] = align(lines);
  return [
    "",
    bold(table.title),
    grey(head!),
    ...body,
    ...skipped.map(({ name, reason }) => `not run: ${name}: ${reason}`),
  ].join("\n");
}

/** One line per row: the first column with its spread, the others, and how it compares with Deno's own TLS. */
function list({ table, rows }: TableResult): string[][] {
  const [first, ...others] = table.columns;
  const compared = rows.some(({ ratio }) => ratio !== undefined);
  return [
    [
      "",
      head(first!),
      "min..max",
      ...others.map(head),
      ...(compared ? [`x ${table.against ?? "Deno"}`] : []),
    ],
    ...rows.map((row) => [
      row.name,
      figure(row, first!, "median"),
      `${figure(row, first!, "min")}..${figure(row, first!, "max")}`,
      ...others.map((column) => figure(row, column, "median")),
      ...(compared ? [ratioText(row.ratio)] : []),
    ]),
  ];
}

/** Clients down, servers across. */
function matrix({ table, rows }: TableResult): string[][] {
  const distinct = (side: "client" | "server") => [...new Set(rows.map(({ row }) => row[side]!))];
  const cell = (client: PeerName, server: PeerName) => {
    const found = rows.find(({ row }) => row.client === client && row.server === server);
    return found === undefined ? "" : figure(found, table.columns[0]!, "median");
  };
  const servers = distinct("server");
  return [
    ["client > server", ...servers.map((server) => labelOf(server, "server"))],
    ...distinct("client").map((client) => [
      labelOf(client, "client"),
      ...servers.map((server) => cell(client, server)),
    ]),
  ];
}

function figure({ stats }: RowResult, { key, digits = 0 }: Column, which: "median" | "min" | "max"): string {
  return stats[key]?.[which].toFixed(digits) ?? "";
}

function head({ label, unit }: Column): string {
  return `${label} ${unit}`;
}

function ratioText(ratio: number | undefined): string {
  return ratio === undefined ? "" : ratio.toFixed(ratio < 10 ? 2 : 0);
}

/** The first column to the left, figures to the right. */
function align(lines: readonly string[][]): string[] {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines.map((line) =>
    line.map((text, i) => i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)).join("  ").trimEnd()
  );
}
