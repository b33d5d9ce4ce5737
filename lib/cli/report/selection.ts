/**
 * What the report reads out of a run's results in more than one place.
 *
 * @module
 */

import type { BenchResult, End, ScenarioResult } from "../bench/result.ts";

/** Both ends, in the order of drawings. */
export const ENDS: readonly End[] = ["client", "server"];

/** CPU of these ends together; `undefined`: one of them did not tell it. */
export function cpuOf({ ends }: ScenarioResult, which: readonly End[] = ENDS): number | undefined {
  const known = which.flatMap((end) => ends[end].cpuMs?.median ?? []);
  return which.length === 0 || known.length < which.length
    ? undefined
    : known.reduce((sum, each) => sum + each, 0);
}

/** Both ends, if at least `least` scenarios tell the CPU of both; else the one that more of them tell. */
export function toldEnds(scenarios: readonly ScenarioResult[], least = scenarios.length): readonly End[] {
  const told = (which: readonly End[]) => scenarios.filter((each) => cpuOf(each, which) !== undefined).length;
  if (told(ENDS) >= least) return ENDS;
  return told(["client"]) >= told(["server"]) ? ["client"] : ["server"];
}

/** Bytes of the handshake, both ways. */
export function bytesOf({ network }: ScenarioResult): number | undefined {
  return network && network.up.bytes + network.down.bytes;
}

/** Bytes of certificates in it, both ways. */
export function certificateBytesOf({ network }: ScenarioResult): number | undefined {
  return network && network.up.certificateBytes + network.down.certificateBytes;
}

/** The greatest heap of its ends. */
export function heapOf({ ends }: ScenarioResult): number | undefined {
  const known = ENDS.flatMap((end) => ends[end].heap?.peak ?? []);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** A handshake without certificates, and a full one that it stands for. */
export interface Pair {
  readonly full: ScenarioResult;
  readonly short: ScenarioResult;
}

const SHORT = ["session-id", "ticket", "psk", "ecdhe-psk"] as const;

/** Handshakes that resume, or have a pre-shared key, each with the full one between the same ends. */
export function pairsOf({ scenarios }: BenchResult): Pair[] {
  return scenarios.flatMap((short) => {
    if (!SHORT.some((kind) => kind === short.scenario.kind)) return [];
    const { version, key, profile, client, server } = short.scenario;
    const full = scenarios.find(({ scenario }) =>
      scenario.kind === "full" && scenario.version === version && scenario.profile === profile &&
      scenario.client === client && scenario.server === server && (key === undefined || scenario.key === key)
    );
    return full === undefined ? [] : [{ full, short }];
  });
}

/** The one with the least and the one with the most of something; `undefined`: fewer than two have it. */
export function extremes(
  scenarios: readonly ScenarioResult[],
  of: (result: ScenarioResult) => number | undefined,
): { least: ScenarioResult; most: ScenarioResult } | undefined {
  const sorted = scenarios.filter((each) => of(each) !== undefined).toSorted((a, b) => of(a)! - of(b)!);
  return sorted.length < 2 ? undefined : { least: sorted[0]!, most: sorted.at(-1)! };
}

/** By their server's key and their profile: what they take differs by far from one to the other. */
export function byKey(scenarios: readonly ScenarioResult[]): [title: string, scenarios: ScenarioResult[]][] {
  const profiles = new Set(scenarios.map(({ scenario }) => scenario.profile));
  const groups = Map.groupBy(
    scenarios,
    ({ scenario: { key = "No certificate", profile } }) =>
      profiles.size === 1 || profile === "default" ? key : `${key}, profile ${profile}`,
  );
  return [...groups];
}
