/**
 * What a run found, in words and in the numbers that count.
 *
 * @module
 */

import type { BenchResult, End, ScenarioResult } from "../bench/result.ts";
import type { Tile } from "./page.ts";
import {
  bytesOf,
  certificateBytesOf,
  cpuOf,
  ENDS,
  extremes,
  heapOf,
  pairsOf,
  toldEnds,
} from "./selection.ts";
import { bytes, count, ms, number, whole } from "./words.ts";

/** What was measured, in a sentence or two. */
export function leadOf({ scenarios, plan, interrupted, skipped }: BenchResult): string {
  if (scenarios.length === 0) {
    return interrupted ? "The run was ended before anything was measured." : "Nothing could be measured.";
  }
  const where = plan.target === "memory"
    ? "in memory: both ends in one process, without a network"
    : plan.target === "peers"
    ? "over loopback, against other programs"
    : `against ${plan.target}, over the network`;
  const times = plan.warmUp === 0
    ? count(plan.runs, "round")
    : `${count(plan.runs, "round")} after ${whole(plan.warmUp)} to warm up`;
  const left = skipped.length === 0
    ? ""
    : ` ${count(skipped.length, "one more was", "more were")} left out.`.replace("1 one", "One");
  return `${
    count(scenarios.length, "kind of handshake was", "kinds of handshake were")
  } measured ${where}; ${times}.${left}`;
}

/** The numbers that count: of one scenario its own, of several the least and the most. */
export function tilesOf({ scenarios }: BenchResult): Tile[] {
  const [only] = scenarios;
  const told = toldEnds(scenarios, 2);
  return scenarios.length === 1 ? ownTiles(only!) : [
    ...spread(`CPU, ${endsText(told)}`, scenarios, (each) => cpuOf(each, told), number, "ms"),
    ...spread("Bytes, both ways", scenarios, bytesOf, whole, "B"),
    ...spread("Heap at its peak", scenarios, heapOf, whole, "B"),
  ];
}

function ownTiles(result: ScenarioResult): Tile[] {
  const { ends, network, wallMs } = result;
  const heap = heapOf(result);
  return [
    { label: "Wall", value: number(wallMs.median), unit: "ms", note: `p95 ${ms(wallMs.p95)}` },
    ...ENDS.flatMap((end): Tile[] => {
      const { cpuMs } = ends[end];
      if (cpuMs === undefined) return [];
      return [{
        label: `CPU of the ${end}`,
        value: number(cpuMs.median),
        unit: "ms",
        note: `p95 ${ms(cpuMs.p95)}`,
      }];
    }),
    ...(network === undefined ? [] : [
      {
        label: "Bytes, both ways",
        value: whole(bytesOf(result)),
        unit: "B",
        note: count(network.roundTrips, "round trip"),
      },
    ]),
    ...(heap === undefined ? [] : [{ label: "Heap at its peak", value: whole(heap), unit: "B" }]),
  ];
}

function spread(
  label: string,
  scenarios: readonly ScenarioResult[],
  of: (result: ScenarioResult) => number | undefined,
  text: (value: number | undefined) => string,
  unit: string,
): Tile[] {
  const found = extremes(scenarios, of);
  if (found === undefined) return [];
  const { least, most } = found;
  return [
    { label: `${label}: least`, value: text(of(least)), unit, note: least.scenario.name },
    { label: `${label}: most`, value: text(of(most)), unit, note: most.scenario.name },
  ];
}

function endsText(ends: readonly End[]): string {
  return ends.length === 2 ? "both ends" : `the ${ends[0]}`;
}

/** What stands out, a sentence each. */
export function findingsOf(result: BenchResult): string[] {
  return [cpuFinding, bytesFinding, resumedFinding, heapFinding, linkFinding, deviceFinding]
    .flatMap((finding) => finding(result) ?? []);
}

function cpuFinding({ scenarios }: BenchResult): string | undefined {
  const full = scenarios.filter(({ scenario }) => scenario.kind === "full");
  const told = toldEnds(full, 2);
  const found = extremes(full, (each) => cpuOf(each, told));
  if (found === undefined) return undefined;
  const [least, most] = [cpuOf(found.least, told)!, cpuOf(found.most, told)!];
  const ratio = least > 0 ? `, ${number(most / least)} times as much` : "";
  return `Of full handshakes, ${found.least.scenario.name} takes ${endsText(told)} the least CPU, ${
    ms(least)
  }; ` +
    `${found.most.scenario.name} takes ${ms(most)}${ratio}.`;
}

function bytesFinding({ scenarios }: BenchResult): string | undefined {
  const found = extremes(scenarios, bytesOf);
  if (found === undefined) return undefined;
  const { least, most } = found;
  const share = Math.round(100 * certificateBytesOf(most)! / (bytesOf(most)! || 1));
  return `${most.scenario.name} moves the most bytes, ${
    bytes(bytesOf(most))
  }, of which certificates are ${share} %; ` +
    `${least.scenario.name} the fewest, ${bytes(bytesOf(least))}.`;
}

function resumedFinding(result: BenchResult): string | undefined {
  const saved = (of: (each: ScenarioResult) => number | undefined) =>
  (
    { full, short }: ReturnType<typeof pairsOf>[0],
  ) => {
    const [before, after] = [of(full), of(short)];
    return before === undefined || after === undefined || before <= 0
      ? undefined
      : 100 * (1 - after / before);
  };
  const pairs = pairsOf(result).flatMap((pair) => {
    const told = toldEnds([pair.full, pair.short]);
    const [byBytes, byCpu] = [saved(bytesOf)(pair), saved((each) => cpuOf(each, told))(pair)];
    return byBytes === undefined && byCpu === undefined ? [] : [{ pair, byBytes, byCpu }];
  });
  const best = pairs.toSorted((a, b) => (b.byCpu ?? b.byBytes!) - (a.byCpu ?? a.byBytes!))[0];
  if (best === undefined) return undefined;
  const { pair: { full, short }, byBytes, byCpu } = best;
  const parts = [
    ...(byBytes === undefined ? [] : [`${percent(byBytes)} of the bytes`]),
    ...(byCpu === undefined ? [] : [`${percent(byCpu)} of the CPU`]),
  ];
  return `${short.scenario.name} saves ${parts.join(" and ")} of ${full.scenario.name}.`;
}

function percent(value: number): string {
  return `${Math.round(value)} %`;
}

function heapFinding({ scenarios }: BenchResult): string | undefined {
  const highest = extremes(scenarios, heapOf)?.most;
  return highest && `The highest peak of heap is ${bytes(heapOf(highest))}, of ${highest.scenario.name}.`;
}

function linkFinding({ scenarios, plan: { links } }: BenchResult): string | undefined {
  const slowest = links.map((link, i) => ({ link, i })).toSorted((a, b) => b.link.rttMs - a.link.rttMs)[0];
  if (slowest === undefined) return undefined;
  const { link, i } = slowest;
  const waits = (each: ScenarioResult) => each.links[i] && each.links[i].connectMs + each.links[i].clientMs;
  const found = extremes(scenarios, waits);
  if (found === undefined) return undefined;
  return `Over ${link.name}, a client would wait from ${
    ms(waits(found.least))
  } (${found.least.scenario.name}) to ` +
    `${
      ms(waits(found.most))
    } (${found.most.scenario.name}) for the network until it may send, TCP's connection included; ` +
    `modelled, reliability: ${link.reliability}.`;
}

function deviceFinding({ scenarios, plan: { devices } }: BenchResult): string | undefined {
  for (const [i, device] of devices.entries()) {
    const at = (each: ScenarioResult) => each.ends.server.devices[i];
    const full = scenarios.filter((each) => each.scenario.kind === "full" && at(each)?.missing.length === 0);
    // Its own profile's handshake, if there is one: ours has groups and ciphers that the device has not.
    const found = full.find(({ scenario }) => scenario.profile === device) ?? full[0];
    if (found === undefined) continue;
    const { low, likely, high, reliability } = at(found)!;
    return `As the server of ${found.scenario.name}, the device ${device} would likely take ${
      ms(likely)
    }, between ${ms(low)} and ${ms(high)} (reliability: ${reliability}).`;
  }
  return undefined;
}
