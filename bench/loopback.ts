/**
 * Measurements over loopback TCP, between two processes that live as long as the bench.
 *
 * @module
 */

import type { Agent } from "./agents.ts";
import type { Identity, Terms } from "./peer.ts";
import { type Bench, median, type Sample } from "./runner.ts";
import type { Row } from "./table.ts";

const MESSAGE = 64; // bytes

/** The terms that both ends of a row get. */
export function termsOf({ version, suite, resume, workers, work }: Row, identity: Identity): Terms {
  return {
    identity,
    ...(version && { version }),
    ...(suite && suite !== "own" && { suite }),
    ...(resume && { resume }),
    ...(workers && { workers }),
    ...(work && { work }),
  };
}

/** Both processes of a row, ready. */
async function open(row: Row, { pool, identityOf }: Bench) {
  const terms = termsOf(row, identityOf(row));
  const [client, server, { port }] = await Promise.all([
    pool.agent(row.client!, "client"),
    pool.agent(row.server!, "server"),
    pool.server(row.server!, terms),
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
export async function measureConnect(row: Row, bench: Bench): Promise<Sample> {
  const { client, port, terms } = await open(row, bench);
  const times = await client.call("connects", port, terms, bench.effort.connects);
  return { p50: median(times), min: Math.min(...times) };
}

/** Connections of several clients at once: what they cost. */
export async function measureHandshakes(row: Row, bench: Bench): Promise<Sample> {
  const { client, server, port, terms } = await open(row, bench);
  const { lanes, ms } = bench.effort;
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
export async function measureDownload(row: Row, bench: Bench): Promise<Sample> {
  const { client, server, port, terms } = await open(row, bench);
  const { result, clientCpu, serverCpu } = await withCpu(
    client,
    server,
    () => client.call("download", port, terms, bench.effort.ms),
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
export async function measurePingPong(row: Row, bench: Bench): Promise<Sample> {
  const { client, server, port, terms } = await open(row, bench);
  const { result: times, clientCpu, serverCpu } = await withCpu(
    client,
    server,
    () => client.call("pingPong", port, terms, { size: MESSAGE, ms: bench.effort.ms }),
  );
  return {
    p50: median(times) * 1000,
    clientCpu: clientCpu * 1000 / times.length,
    serverCpu: serverCpu * 1000 / times.length,
  };
}
