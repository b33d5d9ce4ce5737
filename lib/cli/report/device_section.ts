/**
 * Estimates for devices: an interval for each handshake, and where each figure comes from.
 *
 * @module
 */

import type { EstimateGroup, EstimatePart } from "../../cost/estimate.ts";
import { type Reliability, times } from "../../cost/figure.ts";
import type { BenchResult, DeviceResult, ScenarioResult } from "../bench/result.ts";
import { html, type SafeHtml } from "../_web.ts";
import { printable } from "../terminal.ts";
import type { Bar, Block } from "./bars.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { pagedBars } from "./paged_bars.ts";
import { ENDS } from "./selection.ts";
import { type Kind, OPERATION_KINDS, operationKind } from "./kinds.ts";
import { COLOUR, KINDS, REST } from "./style.ts";
import { listed, ms, number, whole } from "./words.ts";

/** What the words for reliability mean, the best first. */
const MEANINGS: Readonly<Record<Reliability, string>> = {
  given: "the caller's own",
  measured: "published by a maintainer, or in a commit or a test",
  reported: "one user's report",
  derived: "an operation count times a measured unit cost",
  ceiling: "a limit of somebody's tests: what it takes is below, nobody says how far",
  guess: "no source",
};
const KB = 1024; // bytes: what a table's figure for bytes is for

/** The word for how far a figure can be trusted, with what it means. */
export function reliabilityTag(reliability: Reliability): SafeHtml {
  return html`<span class="tag" title="${MEANINGS[reliability] ?? ""}">${reliability}</span>`;
}

/** An estimate of a scenario at one end. */
interface Estimated {
  readonly scenario: string;
  readonly end: typeof ENDS[number];
  readonly result: DeviceResult;
}

/** The section's pictures and tables. */
export function deviceSection({ plan: { devices, links }, scenarios }: BenchResult): Content {
  if (devices.length === 0) return html`<p>No device was asked for: <code>--device</code> does.</p>`;
  const all = devices.map((name, i) => ({ name, estimates: estimatesOf(scenarios, i) }));
  const known = all.filter(({ estimates }) => estimates.length > 0);
  const unknown = all.filter(({ estimates }) => estimates.length === 0).map(({ name }) => name);
  return [
    ...(known.length === 0 ? [] : [intervals(known), partsFigure(known)]),
    unknown.length === 0 ? "" : html`<p>${
      printable(
        `There is no estimate for ${
          listed(unknown)
        }: the operations were not counted, or nobody has published what they take.`,
      )
    }</p>`,
    ...known.map(({ name, estimates }) => figuresTable(name, estimates)),
    known.length === 0 ? "" : html`<p class="faint">${
      Object.entries(MEANINGS).map(([word, meaning]) =>
        html`
          <span class="tag">${word}</span> ${meaning}.
        `
      )
    }</p>`,
    ...known.map(({ name, estimates }) => estimatesTable(name, estimates, links.map(({ name }) => name))),
  ];
}

function estimatesOf(scenarios: readonly ScenarioResult[], device: number): Estimated[] {
  return scenarios.flatMap(({ scenario, ends }) =>
    ENDS.flatMap((end) => {
      const result = ends[end].devices[device];
      return result === undefined || result.parts.length === 0
        ? []
        : [{ scenario: scenario.name, end, result }];
    })
  );
}

type Known = { readonly name: string; readonly estimates: readonly Estimated[] };

function intervals(known: readonly Known[]): SafeHtml {
  return figure({
    id: "device-estimates",
    title: "What a handshake would take a device",
    note:
      "Estimates: counted operations and bytes times published figures, without waits for a network or the peer. The line goes " +
      "from low to high, the dot is the likely value, hollow where a figure is missing and the sum is too low. The word beside it " +
      "says how far its largest parts can be trusted; grey is a guess. What has no published figure at all is not drawn. Each device has a scale of its own.",
    description: known.map(({ name, estimates }) =>
      `${name}: ${
        estimates.map(({ scenario, end, result: { likely, low, high, reliability } }) =>
          `${scenario} as the ${end} likely ${ms(likely)}, ${ms(low)} to ${ms(high)}, ${reliability}`
        ).join(", ")
      }`
    ).join("; "),
    draw: (width) =>
      known.flatMap(({ name, estimates }) =>
        pagedBars(byEnd(estimates, barOf), { width, unit: "ms on the device", format: ms }, { title: name })
      ),
  });
}

function byEnd(estimates: readonly Estimated[], barOf: (each: Estimated) => Bar): Block[] {
  return ENDS.flatMap((end) => {
    const own = estimates.filter((each) => each.end === end);
    return own.length === 0 ? [] : [{ title: `As the ${end}`, bars: own.map(barOf) }];
  });
}

function barOf({ scenario, end, result: { low, likely, high, missing, reliability } }: Estimated): Bar {
  return {
    label: scenario,
    range: { low, likely, high },
    colour: reliability === "guess" ? REST : end === "client" ? COLOUR.up : COLOUR.down,
    open: missing.length > 0,
    text: `${missing.length > 0 ? "over " : ""}${ms(likely)}, ${reliability}`,
  };
}

/** What takes a device's time besides operations with keys. */
const GROUPS: Readonly<Record<Exclude<EstimateGroup, "network">, Kind>> = {
  cpu: { name: "ciphers, hashes", short: "ciphers", colour: KINDS[5]! },
  transfer: { name: "records through TCP and the program", short: "records", colour: KINDS[3]! },
  fixed: { name: "what each connection takes", short: "connection", colour: REST },
};
const PARTS: readonly Kind[] = [...OPERATION_KINDS.slice(0, -1), ...Object.values(GROUPS)];

function partKind({ group, name, unit }: EstimatePart): Kind {
  return group === "cpu" && unit === "times"
    ? operationKind(name)
    : GROUPS[group === "network" ? "fixed" : group];
}

function partsFigure(known: readonly Known[]): SafeHtml {
  const segmentsOf = ({ result: { parts } }: Estimated) =>
    PARTS.map((kind) => ({
      name: kind.short,
      colour: kind.colour,
      value: parts.filter((part) => partKind(part) === kind).reduce((sum, { likely }) => sum + likely, 0),
    }));
  const used = new Set(
    known.flatMap(({ estimates }) => estimates.flatMap(segmentsOf))
      .filter(({ value }) => value > 0).map(({ colour }) => colour),
  );
  return figure({
    id: "device-parts",
    title: "Where a device's time would go",
    note: "The likely values, by operation.",
    description: known.map(({ name, estimates }) =>
      `${name}: ${
        estimates.map((each) =>
          `${each.scenario} as the ${each.end} ${
            segmentsOf(each).filter(({ value }) => value > 0).map(({ name, value }) =>
              `${name} ${ms(value)}`
            ).join(", ")
          }`
        ).join("; ")
      }`
    ).join("; "),
    legend: PARTS.filter(({ colour }) => used.has(colour)),
    draw: (width) =>
      known.flatMap(({ name, estimates }) => {
        const blocks = byEnd(estimates, (each) => ({
          label: each.scenario,
          segments: segmentsOf(each),
          text: `${each.result.missing.length > 0 ? "over " : ""}${ms(each.result.likely)}`,
        }));
        return pagedBars(blocks, { width, unit: "ms on the device", format: ms }, { title: name });
      }),
  });
}

/** The figures that went into a device's estimates, each once. */
function figuresTable(device: string, estimates: readonly Estimated[]): SafeHtml {
  const parts = new Map<string, EstimatePart>();
  for (const part of estimates.flatMap(({ result }) => result.parts)) {
    if (part.count > 0) parts.set(`${part.group} ${part.name}`, part);
  }
  const missing = [...new Set(estimates.flatMap(({ result }) => result.missing))];
  return html`<h3>${printable(`The figures for ${device}`)}</h3>
${
    missing.length === 0
      ? ""
      : html`<p>Nobody has published what ${printable(listed(missing))} ${
        missing.length === 1 ? "takes" : "take"
      } on it: the sums are too low by these.</p>`
  }${
    dataTable({
      caption: `The figures for ${device}`,
      head: ["Figure", "Reliability", "Low ms", "Likely ms", "High ms", "For", "Source"],
      text: [1, 5],
      long: [6],
      cards: true,
      rows: [...parts.values()].map((part) => {
        const { name, count, unit, reliability, source } = part;
        const one = times(part, (unit === "bytes" ? KB : 1) / count);
        return [
          ...[name, reliabilityTag(reliability), number(one.low), number(one.likely), number(one.high)],
          ...[unit === "bytes" ? "for 1 KiB" : "each time", source],
        ];
      }),
    })
  }`;
}

function estimatesTable(device: string, estimates: readonly Estimated[], links: readonly string[]): SafeHtml {
  return details(
    `Estimates for ${device} in figures`,
    dataTable({
      caption: `Estimates for ${device}`,
      head: [
        ...["Scenario", "As the", "Low ms", "Likely ms", "High ms", "Cryptography", "Transfer", "Fixed"],
        ...["Reliability", links.length > 0 ? "With the waits for a network; missing" : "Missing"],
      ],
      text: [1, 8],
      long: [9],
      rows: estimates.map(({ scenario, end, result }) => {
        const { low, likely, high, groups, reliability, overLinks, missing } = result;
        const words = [
          ...links.map((name, i) => `${name} ${ms(overLinks[i]?.likely)}`),
          ...(missing.length > 0 ? [`without ${missing.join(", ")}`] : []),
        ];
        return [
          ...[scenario, end, whole(low), whole(likely), whole(high)],
          ...[groups.cpu, groups.transfer, groups.fixed].map((group) => whole(group.likely)),
          ...[reliabilityTag(reliability), words.join(", ")],
        ];
      }),
    }),
  );
}
