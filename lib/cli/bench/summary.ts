/** From runs to results. */

import type { HandshakeCost } from "../../cost/cost.ts";
import { estimate } from "../../cost/estimate.ts";
import { type Link, modelHandshake } from "../../cost/link.ts";
import type {
  DeviceResult,
  End,
  EndResult,
  ModelledTime,
  OperationResult,
  ScenarioResult,
  StepResult,
} from "./result.ts";
import type { Measurer, Observed, Sample } from "./measurer.ts";
import type { Collected } from "./runner.ts";
import { median, statisticsOf } from "./statistics.ts";

/** For what else to say what a handshake would take. */
export interface Models {
  readonly devices: readonly string[];
  readonly links: readonly Link[];
}

/** What the runs of a scenario come to: one at least. */
export function summarize(measurer: Measurer, collected: Collected, models: Models): ScenarioResult {
  const { scenario, implementations } = measurer;
  const { samples, observed } = collected;
  const last = observed.at(-1);
  const connects = samples.flatMap(({ connectMs }) => connectMs ?? []);
  const network = (last?.costs.client ?? last?.costs.server)?.network;
  const end = (end: End) => summarizeEnd(end, implementations[end], samples, observed, models);
  return {
    scenario,
    suite: last?.suite,
    group: last?.group,
    resumed: last?.resumed ?? false,
    wallMs: statisticsOf(samples.map(({ wallMs }) => wallMs)),
    ...(connects.length > 0 && { connectMs: statisticsOf(connects) }),
    ends: { client: end("client"), server: end("server") },
    network,
    links: network === undefined ? [] : models.links.map((link) => modelledTime(network, link)),
  };
}

function modelledTime(network: HandshakeCost["network"], link: Link): ModelledTime {
  const { connect, client, server } = modelHandshake(network, link);
  return { connectMs: connect, clientMs: client, serverMs: server };
}

function summarizeEnd(
  end: End,
  implementation: string,
  samples: readonly Sample[],
  observed: readonly Observed[],
  models: Models,
): EndResult {
  const times = samples.flatMap(({ cpuMs }) => cpuMs[end] ?? []);
  const cost = observed.at(-1)?.costs[end];
  const steps = observed.flatMap((each) => each.steps[end] === undefined ? [] : [each.steps[end]]);
  return {
    implementation,
    ...(times.length > 0 && { cpuMs: statisticsOf(times) }),
    ...(cost?.operations && { operations: operationsOf(cost.operations) }),
    ...(steps.length > 0 && { steps: stepsOf(steps) }),
    ...(cost?.bulk && { bulk: cost.bulk }),
    ...(cost?.heap && { heap: cost.heap }),
    devices: cost?.operations === undefined
      ? []
      : models.devices.map((device) => onDevice(cost, device, models)),
  };
}

function operationsOf(operations: NonNullable<HandshakeCost["operations"]>): OperationResult[] {
  const counts = Object.entries(operations) as [OperationResult["name"], number][];
  return counts.filter(([, count]) => count > 0).map(([name, count]) => ({ name, count }));
}

/** The median of each step. Every handshake of a scenario has the same messages, in the same order. */
function stepsOf(runs: readonly NonNullable<Observed["steps"][End]>[]): StepResult[] {
  const last = runs.at(-1)!;
  const alike = runs.filter((run) => run.length === last.length);
  return last.map(({ name, direction }, i) => ({
    name,
    direction,
    cpuMs: median(alike.map((run) => run[i]!.cpuMs)),
  }));
}

function onDevice(cost: HandshakeCost, device: string, { links }: Models): DeviceResult {
  const overLinks = links.map((link) => {
    const { low, likely, high } = estimate(cost, device, { link });
    return { low, likely, high };
  });
  return { ...estimate(cost, device), overLinks };
}
