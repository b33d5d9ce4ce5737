/**
 * A process that is one implementation's client or server: it reads commands, one JSON array a line, and answers each with a
 * line. Client and server are processes of their own, so that neither's work shows in the other's figures.
 *
 * `deno run -A agent.ts NAME`, or transpiled under Node.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import process from "node:process";
import { createInterface } from "node:readline";
import type { AgentName } from "./agents.ts";
import type { Conn, Dial, Peer, Terms } from "./peer.ts";
import { connects, download, handshakes, hold, pingPong, prime, serve } from "./workload.ts";

const BOOT = performance.now(); // milliseconds from the start of the process to here

const LOADERS: Record<Exclude<AgentName, "CPython asyncio">, () => Promise<Peer>> = {
  "tlsio": async () => (await import("./peers_tlsio.ts")).sockets,
  "tlsio streams": async () => (await import("./peers_tlsio.ts")).streams,
  "Deno": async () => (await import("./peers_deno.ts")).startTls,
  "Deno connectTls": async () => (await import("./peers_deno.ts")).connectTls,
  "TCP": async () => (await import("./peers_deno.ts")).tcp,
  "node:tls in Deno": async () => (await import("./peers_node.ts")).nodeTls,
  "node:tls in Node": async () => (await import("./peers_node.ts")).nodeTls,
};

let loading: Promise<Peer> | undefined;
const load = () => loading ??= LOADERS[process.argv[2] as keyof typeof LOADERS]();

const dialers = new Map<string, Promise<Dial>>();

/** The client of `terms`: one for all commands, as in a program that runs for long. */
function dialer(terms: Terms): Promise<Dial> {
  const name = JSON.stringify(terms);
  if (!dialers.has(name)) dialers.set(name, load().then((peer) => peer.dialer(terms)));
  return dialers.get(name)!;
}

let sessions: unknown[] = [];
let held: Conn[] = [];

/** What the bench can ask for. */
export const COMMANDS = {
  listen: async (terms: Terms) => await (await load()).listen(terms, serve),
  listenHttp: async (terms: Terms) => await (await load()).listenHttp!(terms),
  connects: async (port: number, terms: Terms, count: number) =>
    await connects(await dialer(terms), port, terms, count),
  /** Makes the sessions of the next `handshakes`; none: they are full ones. */
  prime: async (port: number, terms: Terms, lanes: number) => {
    sessions = lanes === 0 ? [] : await prime(await dialer(terms), port, terms, lanes);
  },
  handshakes: async (port: number, terms: Terms, options: { lanes: number; ms: number }) =>
    await handshakes(await dialer(terms), port, terms, { ...options, sessions }),
  download: async (port: number, terms: Terms, ms: number) =>
    await download(await dialer(terms), port, terms, ms),
  pingPong: async (port: number, terms: Terms, options: { size: number; ms: number }) =>
    await pingPong(await dialer(terms), port, options),
  /** Opens connections and keeps them until the next call. */
  hold: async (port: number, terms: Terms, count: number) => {
    await Promise.all(held.map((conn) => conn.close()));
    held = await hold(await dialer(terms), port, count);
  },
  /** Milliseconds of this process's first handshake, in parts. */
  cold: async (port: number, terms: Terms) => {
    const start = performance.now();
    await load();
    const loaded = performance.now();
    await connects(await dialer(terms), port, terms, 1);
    return { boot: BOOT, load: loaded - start, connect: performance.now() - loaded };
  },
  /** Milliseconds of CPU time so far, and bytes of resident memory. */
  // deno-lint-ignore require-await -- commands are asynchronous
  usage: async () => {
    (globalThis as { gc?: () => void }).gc?.();
    const { user, system } = process.cpuUsage();
    return { cpu: (user + system) / 1000, rss: process.memoryUsage().rss };
  },
};

const commands = COMMANDS as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line) as [string, ...unknown[]];
  let answer: unknown;
  try {
    answer = { value: await commands[name]!(...args) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
