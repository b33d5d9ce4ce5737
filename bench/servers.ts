/**
 * Measurements of servers, each in a process of its own, by the native client: what one side costs.
 *
 * @module
 */

import { delay } from "@std/async";
import { type Server, startServer } from "./agents.ts";
import { holdConnections, runClient } from "./client.ts";
import { isInstalled } from "./installed.ts";
import { termsOf } from "./loopback.ts";
import { type Bench, type Effort, NotRun, type Sample } from "./runner.ts";
import type { Row } from "./table.ts";

const MESSAGE = 64; // bytes
const WARM_UP = 50; // connections, opened and closed before the memory is read
const SETTLE = 300; // milliseconds; what a close, or a garbage collection, leaves to be done
const HELD_REAL = 1000; // connections; a quick run has so few that the figures mean nothing, and does not say so of each
const FILES_RESERVED = 100; // what a process has open beside its connections

/** nginx speaks HTTP alone. */
const httpOf = ({ server }: Row) => ({ http: Number(server === "nginx") });

/** Connections by several clients at once: CPU time of the server, rate, latency with one byte there and back. */
export async function measureServerHandshakes(
  row: Row,
  { effort, pool, identityOf }: Bench,
): Promise<Sample> {
  const terms = termsOf(row, identityOf(row));
  const server = await pool.server(row.server!, terms);
  const options = { lanes: row.lanes ?? effort.lanes, ms: effort.ms, ...httpOf(row) };
  const { count, seconds, serverCpu, clientCpu, p50, p99 } = await runClient(
    "handshakes",
    server,
    terms,
    options,
  );
  return {
    cpu: serverCpu / count * 1000,
    rate: count / seconds,
    p50: p50 * 1000,
    p99: p99 * 1000,
    clientCpu: clientCpu / count * 1000,
    cores: serverCpu / seconds,
  };
}

/** Data one way over one connection. */
export async function measureServerBulk(row: Row, { effort, pool, identityOf }: Bench): Promise<Sample> {
  const terms = termsOf(row, identityOf(row));
  const server = await pool.server(row.server!, terms);
  const command = row.direction === "up" ? "upload" : "download";
  const figures = await runClient(command, server, terms, { bytes: effort.bulk, ...httpOf(row) });
  const megabytes = figures.bytes / 1e6;
  return {
    rate: megabytes / figures.seconds,
    cpu: figures.serverCpu / megabytes * 1000,
    clientCpu: figures.clientCpu / megabytes * 1000,
  };
}

/** Small messages there and back. */
export async function measureServerPingPong(row: Row, { effort, pool, identityOf }: Bench): Promise<Sample> {
  const terms = termsOf(row, identityOf(row));
  const server = await pool.server(row.server!, terms);
  const options = { lanes: row.lanes ?? 1, ms: effort.ms, size: row.size ?? MESSAGE, ...httpOf(row) };
  const { count, seconds, serverCpu, p50, p99 } = await runClient("ping-pong", server, terms, options);
  return { cpu: serverCpu / count * 1e6, rate: count / seconds, p50: p50 * 1e6, p99: p99 * 1e6 };
}

/** With connections open that do nothing: their memory, and what a message on one more then costs. */
export async function measureServerIdle(row: Row, { effort, identityOf }: Bench): Promise<Sample> {
  const held = Math.min(row.held!, effort.held);
  if (held < row.held! && held >= HELD_REAL) throw new NotRun("takes long: run with --full");
  checkFiles(held);
  const terms = termsOf(row, identityOf(row));
  await using server = await startServer(row.server!, terms, "bytes", true);
  await (await holdConnections(server, terms, WARM_UP, httpOf(row)))[Symbol.asyncDispose]();
  const before = await residentMemory(server, effort);
  await using connections = await holdConnections(server, terms, held, httpOf(row));
  const after = await residentMemory(server, effort);
  const options = { lanes: 1, ms: effort.ms, size: MESSAGE, ...httpOf(row) };
  const { count, serverCpu } = await runClient("ping-pong", server, terms, options);
  return {
    kib: (after - before) / 1024 / held,
    total: (after - before) / 2 ** 20,
    base: before / 2 ** 20,
    cpu: serverCpu / count * 1e6,
    setup: connections.figures.serverCpu / held * 1000,
  };
}

/** Bytes of memory that a process has, after it has settled. */
async function residentMemory(server: Server, { warmUp }: Effort): Promise<number> {
  await delay(warmUp ? SETTLE : 0);
  await server.settle();
  const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
  return Number(/VmRSS:\s*(\d+) kB/.exec(status)![1]) * 1024;
}

/** Every process may open as many files as the hard limit says; each of ours takes all of that. */
function checkFiles(connections: number): void {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  const hard = /Max open files\s+\S+\s+(\S+)/.exec(limits)![1]!;
  if (hard === "unlimited" || Number(hard) >= connections + FILES_RESERVED) return;
  throw new NotRun(
    `a process may open ${hard} files here: run with a hard limit of ${
      connections + FILES_RESERVED
    } (ulimit -Hn)`,
  );
}

/** Requests over HTTPS, connections kept: by wrk. */
export async function measureHttp(row: Row, { pool, identityOf }: Bench): Promise<Sample> {
  if (!await isInstalled("wrk")) throw new NotRun("wrk is not installed: install wrk");
  const terms = termsOf(row, identityOf(row));
  const server = await pool.server(row.server!, terms, "http");
  const before = await cpuSeconds(server.pid);
  const args = [
    "-t1",
    `-c${row.lanes!}`,
    `-d${HTTP_SECONDS}s`,
    "--latency",
    `https://127.0.0.1:${server.port}/`,
  ];
  const { success, stdout } = await new Deno.Command("wrk", { args }).output();
  const text = new TextDecoder().decode(stdout);
  const after = await cpuSeconds(server.pid);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text);
  const count = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (!success || rate === null || !(count > 0)) throw new Error(`Cannot run wrk: it says\n${text}`);
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`Cannot use wrk's figures: it says\n${text}`);
  return {
    rate: Number(rate[1]),
    cpu: (after - before) / count * 1e6,
    p50: latency(text, 50),
    p99: latency(text, 99),
  };
}

const UNITS: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1e6 };

/** A percentile that wrk prints, in microseconds. */
function latency(text: string, percent: number): number {
  const [, value, unit] = new RegExp(`\\b${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(text)!;
  return Number(value) * UNITS[unit!]!;
}

const HTTP_SECONDS = 1; // the shortest that wrk knows
const TICKS = 100; // per second, in /proc on every Linux

/** User and system time of a process so far. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
