/**
 * What an operation with a key takes on this machine, in the core that does it.
 *
 * A handshake of TLS 1.2 in which both ends have a certificate has a message for each: the client's key exchange multiplies
 * two points, its CertificateVerify is a signature, and for the server a verification. The time of such a message is the
 * operation's, and a little of a hash.
 */

import type { Operation } from "../../cost/cost.ts";
import { ourImplementation } from "./environment.ts";
import type { Identities } from "./identities.ts";
import { MemoryMeasurer } from "./memory.ts";
import type { Observed } from "./measurer.ts";
import type { End, Key, OperationResult, ScenarioResult } from "./result.ts";
import { KEYS, OURSELVES, scenarioOf } from "./scenarios.ts";
import { median } from "./statistics.ts";

/** Handshakes to time, as many as fit into the milliseconds; and those before, which are not. */
const RUNS = { least: 3, most: 15, ms: 150 };
const WARM_UP = 2;
/** Its key takes seconds to make: it is timed where a scenario had one. */
const SLOW: Key = "RSA-4096";

type UnitCosts = Map<string, number>;

/**
 * Adds the time of the operations of our ends.
 *
 * @param signal Ends it: the results are then without.
 */
export async function withOperationTimes(
  results: readonly ScenarioResult[],
  identities: Identities,
  signal: AbortSignal,
): Promise<ScenarioResult[]> {
  const known = new Map<string, Promise<UnitCosts>>();
  const costsOf = (profile: string, key: Key) => {
    const id = `${profile}/${key}`;
    if (!known.has(id)) known.set(id, timeOperations(profile, key, identities, signal));
    return known.get(id)!;
  };
  const timed: ScenarioResult[] = [];
  for (const result of results) {
    const { profile } = result.scenario;
    const ends = { ...result.ends };
    for (const end of ["client", "server"] as const) {
      const { operations, cpuMs } = ends[end];
      if (operations === undefined || cpuMs === undefined || result.scenario[end] !== OURSELVES) continue;
      const costs: UnitCosts = new Map();
      for (const key of keysOf(operations, identities)) {
        if (signal.aborted) return [...results];
        for (const [name, ms] of await costsOf(profile, key)) costs.set(name, ms);
      }
      ends[end] = { ...ends[end], operations: withTimes(operations, cpuMs.median, costs) };
    }
    timed.push({ ...result, ends });
  }
  return timed;
}

/** The keys whose operations these are; of a key agreement alone, the quickest. */
function keysOf(operations: readonly OperationResult[], identities: Identities): Key[] {
  const keys = KEYS.filter((key) => operations.some(({ name }) => name.startsWith(`${key} `)))
    .filter((key) => key !== SLOW || identities.has(key));
  return keys.length > 0 || operations.length === 0 ? keys : ["P-256"];
}

/** With what else there is, as `"other"`; without times, if one of them is not known. */
function withTimes(
  operations: readonly OperationResult[],
  total: number,
  costs: UnitCosts,
): readonly OperationResult[] {
  const timed = operations.map(({ name, count }) => ({
    name,
    count,
    cpuMs: (costs.get(name) ?? NaN) * count,
  }));
  const sum = timed.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  if (Number.isNaN(sum)) return operations;
  const scale = Math.min(1, total / sum); // they were timed apart: all together are no more than the handshake
  const all = [
    ...timed.map((each) => ({ ...each, cpuMs: each.cpuMs * scale })),
    { name: "other" as const, count: 1, cpuMs: Math.max(0, total - sum) },
  ];
  return all.map((each) => ({ ...each, share: each.cpuMs / total }));
}

async function timeOperations(
  profile: string,
  key: Key,
  identities: Identities,
  signal: AbortSignal,
): Promise<UnitCosts> {
  const identity = await identities.of(key, signal);
  const scenario = scenarioOf("1.2", key, "mutual", profile);
  await using measurer = await MemoryMeasurer.create(scenario, identity, ourImplementation());
  const runs: Observed[] = [];
  for (let i = 0; i < WARM_UP; i++) await measurer.measure({ observe: true, signal });
  const ends = performance.now() + RUNS.ms;
  while (runs.length < RUNS.least || (runs.length < RUNS.most && performance.now() < ends)) {
    runs.push((await measurer.measure({ observe: true, signal })).observed!);
  }
  const time = (end: End, direction: "sent" | "received", message: string) =>
    median(
      runs.map(({ steps }) =>
        steps[end]!.find(({ name, direction: way }) => name === message && way === direction)!.cpuMs
      ),
    );
  const operations = (end: End) => runs[0]!.costs[end]!.operations!;
  const [agreement] = Object.keys(operations("client")).filter((name) =>
    name.endsWith(" multiply")
  ) as Operation[];
  const [signature, verification] = key.startsWith("RSA")
    ? [`${key} private warm`, `${key} public`]
    : [`${key} sign`, `${key} verify`];
  const verify = time("server", "received", "certificate_verify");
  // mbedTLS checks a signature of RSA that it has made, which is counted as an operation of its own.
  const checks = operations("server")[verification as Operation] === 3 ? verify : 0;
  return new Map([
    [agreement!, time("client", "sent", "client_key_exchange") / 2],
    [signature!, time("client", "sent", "certificate_verify") - checks],
    [verification!, verify],
  ]);
}
