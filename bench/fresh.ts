/**
 * Measurements that need a process of their own: idle memory, and the start.
 *
 * @module
 */

import { delay } from "@std/async";
import { Agent, type AgentName } from "./agents.ts";
import { termsOf } from "./loopback.ts";
import type { Bench, Sample } from "./runner.ts";
import type { Row } from "./table.ts";

const WARM_UP = 20; // connections, opened and closed before the memory is read
const SETTLE = 200; // milliseconds; what a close leaves to be done

/** Resident memory per idle connection of one side: after a few connections, and with many open. */
export async function measureIdle(row: Row, { effort, identityOf }: Bench): Promise<Sample> {
  const terms = termsOf(row, identityOf(row));
  await using client = await Agent.start(row.client as AgentName, true);
  await using server = await Agent.start(row.server as AgentName, true);
  const port = await server.call("listen", terms);
  const measured = row.side === "client" ? client : server;
  const rss = async (count: number) => {
    await client.call("hold", port, terms, count);
    await delay(effort.warmUp ? SETTLE : 0);
    return (await measured.call("usage")).rss;
  };
  const held = Math.min(row.held!, effort.held);
  await rss(Math.min(WARM_UP, held));
  const before = await rss(0);
  const after = await rss(held);
  return { kib: (after - before) / 1024 / held, base: before / 2 ** 20 };
}

/** A client in a new process: until its runtime is up, its modules are loaded, its first round trip is done. */
export async function measureCold(row: Row, { pool, identityOf }: Bench): Promise<Sample> {
  const terms = termsOf(row, identityOf(row));
  const { port } = await pool.server(row.server!, terms);
  await using client = await Agent.start(row.client as AgentName);
  const { boot, load, connect } = await client.call("cold", port, terms);
  return { total: boot + load + connect, boot, load, connect };
}
