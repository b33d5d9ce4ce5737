/**
 * Measurements over loopback TCP, between two processes that live as long as the bench.
 *
 * @module
 */

import type { Agent, Pool } from "./agents.ts";
import type { Identity, Terms } from "./peer.ts";
import { type Effort, median, type Sample } from "./runner.ts";
import type { Row } from "./scenarios.ts";

const MESSAGE = 64; // bytes

/** The terms that both ends of a row get. */
export function termsOf({ version, suite, resume }: Row, identity: Identity): Terms {
  return {
    identity,
    ...(version && { version }),
    ...(suite && suite !== "own" && { suite }),
    ...(resume && { resume }),
  };
}

/** Both processes of a row, ready. */
async function open(pool: Pool, row: Row, identity: Identity) {
  const terms = termsOf(row, identity);
  const [client, server, port] = await Promise.all([
    pool.agent(row.client!, "client"),
    pool.agent(row.server!, "server"),
    pool.port(row.server!, terms),
  ]);
  return { terms, client, server, port };
}

/** The milliseconds of CPU that both took for `work`. */
async function withCpu<T>(
  client: Agent,
  server: Agent,
  work: () => Promise<T>,
): Promise<{ result: T; clientCpu: number; serverCpu: number }> {
  const usage = () => Promise.all([client.call("usage"), server.call("usage")]);
  const before = await usage();
  const result = await work();
  const after = await usage();
  return { result, clientCpu: after[0].cpu - before[0].cpu, serverCpu: after[1].cpu - before[1].cpu };
}

/** Connections one after the other: what one user waits for. */
export async function measureConnect(
  row: Row,
  effort: Effort,
  identity: Identity,
  pool: Pool,
): Promise<Sample> {
  const { client, port, terms } = await open(pool, row, identity);
  const times = await client.call("connects", port, terms, effort.connects);
  return { p50: median(times), min: Math.min(...times) };
}

/** Connections of several clients at once: what they cost. */
export async function measureHandshakes(
  row: Row,
  effort: Effort,
  identity: Identity,
  pool: Pool,
): Promise<Sample> {
  const { client, server, port, terms } = await open(pool, row, identity);
  const { lanes, ms } = effort;
  await client.call("prime", port, terms, row.resume ? lanes : 0);
  const { result, clientCpu, serverCpu } = await withCpu(
    client,
    server,
    () => client.call("handshakes", port, terms, { lanes, ms }),
  );
  const { count, seconds } = result;
  return {
    cpu: (clientCpu + serverCpu) / count,
    clientCpu: clientCpu / count,
    serverCpu: serverCpu / count,
    rate: count / seconds,
  };
}

/** A download: the server encrypts, the client decrypts. */
export async function measureDownload(
  row: Row,
  effort: Effort,
  identity: Identity,
  pool: Pool,
): Promise<Sample> {
  const { client, server, port, terms } = await open(pool, row, identity);
  const { result, clientCpu, serverCpu } = await withCpu(
    client,
    server,
    () => client.call("download", port, terms, effort.ms),
  );
  const { bytes, seconds, all } = result;
  const perMegabyte = (cpu: number) => cpu / (all / 1e6);
  return {
    rate: bytes / 1e6 / seconds,
    clientCpu: perMegabyte(clientCpu),
    serverCpu: perMegabyte(serverCpu),
  };
}

/** Small messages there and back. */
export async function measurePingPong(
  row: Row,
  effort: Effort,
  identity: Identity,
  pool: Pool,
): Promise<Sample> {
  const { client, server, port, terms } = await open(pool, row, identity);
  const { result: times, clientCpu, serverCpu } = await withCpu(
    client,
    server,
    () => client.call("pingPong", port, terms, { size: MESSAGE, ms: effort.ms }),
  );
  return {
    p50: median(times) * 1000,
    clientCpu: clientCpu * 1000 / times.length,
    serverCpu: serverCpu * 1000 / times.length,
  };
}
