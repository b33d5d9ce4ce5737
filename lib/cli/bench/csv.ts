/** A run as CSV: a line for each scenario. */

import { stringify } from "../../_std/csv.js";
import type { BenchResult, End, EndResult, ScenarioResult, Statistics } from "./result.ts";

type Row = Record<string, string | number | boolean | undefined>;

const ENDS = ["client", "server"] as const;

/** The lines, with the names of the columns first. What could not be told is empty. */
export function renderCsv({ scenarios, plan }: BenchResult): string {
  const links = plan.links.map(({ name }) => name);
  const rows = scenarios.map((result) => rowOf(result, links));
  const columns = [...new Set(rows.flatMap(Object.keys))];
  return rows.length === 0 ? "" : stringify(rows, { columns });
}

function rowOf(
  { scenario, suite, group, resumed, wallMs, connectMs, ends, network, links }: ScenarioResult,
  names: readonly string[],
): Row {
  const { name, version, key, kind, profile, client, server } = scenario;
  return {
    ...{ name, version, key, kind, profile, client, server, suite, group, resumed, runs: wallMs.runs },
    ...statistics("wall_ms", wallMs),
    ...statistics("connect_ms", connectMs),
    ...Object.assign({}, ...ENDS.map((end) => endOf(end, ends[end]))),
    round_trips: network?.roundTrips,
    ...Object.assign(
      {},
      ...(["up", "down"] as const).map((way) => ({
        [`bytes_${way}`]: network?.[way].bytes,
        [`records_${way}`]: network?.[way].records,
        [`certificate_bytes_${way}`]: network?.[way].certificateBytes,
      })),
    ),
    ...Object.fromEntries(links.map(({ clientMs }, i) => [`over_${names[i]}_ms`, clientMs])),
  };
}

function endOf(end: End, { implementation, cpuMs, heap, devices }: EndResult): Row {
  return {
    [`${end}_implementation`]: implementation,
    ...statistics(`${end}_cpu_ms`, cpuMs),
    [`${end}_peak_heap`]: heap?.peak,
    [`${end}_live_heap`]: heap?.live,
    ...Object.assign(
      {},
      ...devices.map(({ device, low, likely, high, reliability, missing }) => ({
        [`${end}_${device}_low_ms`]: low,
        [`${end}_${device}_likely_ms`]: likely,
        [`${end}_${device}_high_ms`]: high,
        [`${end}_${device}_reliability`]: reliability,
        [`${end}_${device}_missing`]: missing.join("; "),
      })),
    ),
  };
}

function statistics(name: string, values: Statistics | undefined): Row {
  return { [`${name}_median`]: values?.median, [`${name}_p95`]: values?.p95 };
}
