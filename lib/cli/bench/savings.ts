/** What resumption saves, for each pair of a full and a resumed handshake of a run. */

import type { HandshakeCost } from "../../cost/cost.ts";
import type { Range } from "../../cost/figure.ts";
import type { Link } from "../../cost/link.ts";
import { resumptionReport, type Saving } from "../../cost/resumption.ts";
import type { Measurer } from "./measurer.ts";
import type { End, ResumptionResult, SavingResult, Scenario, ScenarioResult } from "./result.ts";
import type { Collected } from "./runner.ts";
import { resumes } from "./scenarios.ts";
import type { Models } from "./summary.ts";

/** How a client reconnects; seconds. */
export interface Reconnect {
  readonly interval: number;
  readonly ticketLifetime: number;
}

const ENDS = ["client", "server"] as const;
const DAY = 86400; // seconds

/** The full handshake to which a resumed one is compared. */
export function fullOf({ version, key, profile, client, server }: Scenario, among: readonly Scenario[]) {
  return among.find((other) =>
    other.kind === "full" && other.version === version && other.key === key && other.profile === profile &&
    other.client === client && other.server === server
  );
}

/** A measured scenario, and how it came about. */
export interface Measured {
  readonly measurer: Measurer;
  readonly collected: Collected;
  readonly result: ScenarioResult;
}

/** The reports, in the order of the resumed ones. */
export function savingsOf(
  measured: readonly Measured[],
  plan: Reconnect,
  models: Models,
): ResumptionResult[] {
  return measured.filter(({ result }) => resumes(result.scenario)).flatMap((resumed) => {
    const found = fullOf(resumed.result.scenario, measured.map(({ result }) => result.scenario));
    const full = measured.find(({ result }) => result.scenario === found);
    return full === undefined
      ? []
      : [savings(full, resumed, plan, models)].filter((each) => each !== undefined);
  });
}

function savings(
  full: Measured,
  resumed: Measured,
  plan: Reconnect,
  models: Models,
): ResumptionResult | undefined {
  const costs = (end: End) => {
    const after = resumed.collected.observed.at(-1)?.costs[end];
    // The client's handshake that was resumed had what it takes to resume, and nothing else.
    const before = (end === "client" ? resumed.measurer.primed : undefined) ??
      full.collected.observed.at(-1)?.costs[end];
    return before && after && { before, after };
  };
  const seen = costs("client") ?? costs("server");
  if (seen === undefined) return undefined;
  const report = (options: { device?: string; link?: Link }, { before, after }: Pair = seen) =>
    resumptionReport(before, after, { ...plan, ...options });
  const base = report({});
  const links = models.links.map((link) => report({ link }));
  const devices = (end: End) => {
    const pair = costs(end);
    if (pair?.before.operations === undefined || pair.after.operations === undefined) return [];
    return models.devices.map((device) => report({ device }, pair));
  };
  const byEnd = { client: devices("client"), server: devices("server") };
  const saving = (
    of: (report: ReturnType<typeof resumptionReport>) => Saving,
    times: number,
  ): SavingResult => {
    const { bytesUp, bytesDown, roundTrips } = of(base);
    const ranges = (end: End): Range[] => byEnd[end].map((each) => of(each).cpuMs!);
    return {
      bytesUp,
      bytesDown,
      roundTrips,
      cpuMs: Object.fromEntries(ENDS.flatMap((end) => {
        const [before, after] = [full, resumed].map(({ result }) => result.ends[end].cpuMs?.median);
        return before === undefined || after === undefined ? [] : [[end, (before - after) * times]];
      })),
      linkMs: links.map((each) => of(each).ms!.likely),
      deviceMs: { client: ranges("client"), server: ranges("server") },
    };
  };
  const { resumedPerFull, resumedShare, breakEven } = base;
  return {
    full: full.result.scenario.name,
    resumed: resumed.result.scenario.name,
    resumedPerFull: finite(resumedPerFull),
    resumedShare,
    perResumption: saving((each) => each.perResumption, 1),
    perConnection: saving((each) => each.perConnection, resumedShare),
    perDay: saving((each) => each.perDay, resumedShare * DAY / plan.interval),
    breakEven: { ...breakEven, resumptions: finite(breakEven.resumptions) },
  };
}

interface Pair {
  readonly before: HandshakeCost;
  readonly after: HandshakeCost;
}

function finite(number: number): number | null {
  return Number.isFinite(number) ? number : null;
}
