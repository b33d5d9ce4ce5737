/**
 * Full handshakes against those without certificates, and what resumption saves who connects again and again.
 *
 * @module
 */

import type { Range } from "../../cost/figure.ts";
import type { BenchResult, End, ResumptionResult, SavingResult, ScenarioResult } from "../bench/result.ts";
import { html, type SafeHtml } from "../_web.ts";
import { printable } from "../terminal.ts";
import type { Block } from "./bars.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { isKeyOperation } from "./kinds.ts";
import { pagedBars } from "./paged_bars.ts";
import { bytesOf, cpuOf, ENDS, type Pair, pairsOf, toldEnds } from "./selection.ts";
import { COLOUR, KINDS } from "./style.ts";
import { bytes, count, listed, ms, NONE, number, whole } from "./words.ts";

/** What is compared. */
interface Measure {
  readonly name: string;
  /** Of one of the two; `pair` is both. */
  readonly of: (one: Pair["full"], pair: Pair) => number | undefined;
  readonly text: (value: number) => string;
}

function measuresOf({ plan }: BenchResult): Measure[] {
  return [
    { name: "bytes", of: bytesOf, text: bytes },
    { name: "CPU", of: (one, { full, short }) => cpuOf(one, toldEnds([full, short])), text: ms },
    { name: "time", of: ({ wallMs }) => wallMs.median, text: ms },
    ...plan.links.map((link, i): Measure => ({
      name: link.name,
      of: ({ links }) => links[i]?.clientMs,
      text: ms,
    })),
  ];
}

/** The section's pictures and tables. */
export function resumedSection(result: BenchResult): Content {
  const pairs = pairsOf(result);
  return [
    pairs.length === 0
      ? html`<p>No handshake of this run resumed one whose full one was measured, too.</p>`
      : pairsFigure(pairs, measuresOf(result)),
    ...result.resumption.map((each) => breakEven(each, result)),
  ];
}

function pairsFigure(pairs: readonly Pair[], measures: readonly Measure[]): SafeHtml {
  const compared = pairs.map((pair) => ({ pair, lines: linesOf(pair, measures) }));
  const blocks = compared.map(({ pair, lines }): Block => ({
    title: `${pair.short.scenario.name} against ${pair.full.scenario.name}`,
    bars: lines.map(({ name, percent }) => ({
      label: name,
      segments: [{ name: "", value: percent, colour: percent > 100 ? KINDS[1]! : COLOUR.resumed }],
      text: `${Math.round(percent)} %`,
    })),
  }));
  const most = Math.max(100, ...compared.flatMap(({ lines }) => lines.map(({ percent }) => percent)));
  return figure({
    id: "full-against-resumed",
    title: "Without certificates, in per cent of the full handshake",
    note:
      "The dashed line is the full handshake. Bytes both ways; CPU of the ends that tell it; time is the wall clock's of " +
      "this run; the links are modelled waits.",
    description: compared.map(({ pair, lines }) =>
      `${pair.short.scenario.name} takes of ${pair.full.scenario.name}: ${
        lines.map(({ name, percent }) => `${name} ${Math.round(percent)} %`).join(", ")
      }`
    ).join("; "),
    draw: (width) =>
      pagedBars(blocks, {
        width,
        unit: "per cent of the full handshake",
        format: whole,
        top: most,
        rule: 100,
      }),
    after: details(
      "Full and resumed, in figures",
      dataTable({
        caption: "Full and resumed",
        head: ["Scenario", "Measure", "Full", "Without certificates", "Saved", "Of the full"],
        text: [1],
        rows: compared.flatMap(({ pair, lines }) =>
          lines.map(({ name, full, short, percent, text }) => [
            ...[pair.short.scenario.name, name, text(full), text(short), text(full - short)],
            `${Math.round(percent)} %`,
          ])
        ),
      }),
    ),
  });
}

function linesOf(pair: Pair, measures: readonly Measure[]) {
  return measures.flatMap(({ name, of, text }) => {
    const [before, after] = [of(pair.full, pair), of(pair.short, pair)];
    if (before === undefined || after === undefined || before <= 0) return []; // nothing to take per cent of
    return [{ name, full: before, short: after, percent: 100 * after / before, text }];
  });
}

function breakEven(each: ResumptionResult, result: BenchResult): SafeHtml {
  const { plan } = result;
  const { full, resumed, resumedPerFull, resumedShare, breakEven: even } = each;
  const often = resumedPerFull === null
    ? "each ticket is renewed in time, so that all connections but the first resume"
    : resumedPerFull === 0
    ? "each ticket is too old when it is needed, so that none resumes"
    : `${count(resumedPerFull, "connection resumes", "connections resume")} for each full one`;
  const { interval, ticketLifetime } = plan.reconnect ?? {};
  const plans = interval === undefined
    ? ""
    : `Who connects every ${number(interval)} s, with tickets for ${number(ticketLifetime)} s: `;
  return html`<h3>${printable(`${resumed} after ${full}: does it pay?`)}</h3>
<p>${plans}${often} (${Math.round(100 * resumedShare)} % of all). ${
    ticketText(even)
  } Who connects less often than every ${number(even.interval)} s never resumes.</p>
${
    dataTable({
      caption: `What ${resumed} saves`,
      head: ["Saved", "By a resumption", "By a connection, on average", "In a day"],
      rows: savingRows(each, result),
    })
  }${missingNotes(each, result)}`;
}

function ticketText({ ticketBytes, resumptions }: ResumptionResult["breakEven"]): string {
  if (ticketBytes === 0) return "It spends no bytes on tickets.";
  const pays = resumptions === null
    ? "no number of resumptions saves them again"
    : `${count(resumptions, "resumption saves", "resumptions save")} them again`;
  return `The tickets of a full handshake take ${bytes(ticketBytes)}; ${pays}.`;
}

/** What the device has no figure for; `undefined`: there is no estimate. */
function missingOf(
  { full, resumed }: ResumptionResult,
  scenarios: readonly ScenarioResult[],
  end: End,
  device: number,
): string[] | undefined {
  const both = scenarios.filter(({ scenario }) => scenario.name === full || scenario.name === resumed)
    .map(({ ends }) => ends[end].devices[device]);
  return both.includes(undefined) ? undefined : [...new Set(both.flatMap((each) => each!.missing))];
}

/** A sentence for each device whose estimates lack something. */
function missingNotes(each: ResumptionResult, { plan, scenarios }: BenchResult): SafeHtml[] {
  return plan.devices.flatMap((name, i) => {
    const missing = [...new Set(ENDS.flatMap((end) => missingOf(each, scenarios, end, i) ?? []))];
    if (missing.length === 0) return [];
    const words = `${name}: nobody has published what ${listed(missing)} ${
      missing.length === 1 ? "takes" : "take"
    }.`;
    return [html`<p class="faint">${printable(words)}</p>`];
  });
}

function savingRows(each: ResumptionResult, { plan, scenarios }: BenchResult): Content[][] {
  const columns = [each.perResumption, each.perConnection, each.perDay];
  // Without an operation with a key, the difference is one of nothing; a cipher changes little.
  const isKnown = (end: End, device: number) =>
    missingOf(each, scenarios, end, device)?.some(isKeyOperation) === false;
  const row = (name: string, cell: (saving: SavingResult) => Content) => [name, ...columns.map(cell)];
  return [
    row("Bytes from the client", ({ bytesUp }) => bytes(bytesUp)),
    row("Bytes from the server", ({ bytesDown }) => bytes(bytesDown)),
    row("Round trips", ({ roundTrips }) => number(roundTrips)),
    ...ENDS.map((end) => row(`CPU of the ${end}, here`, ({ cpuMs }) => ms(cpuMs[end]))),
    ...plan.links.map(({ name }, i) => row(`Wait for ${name}, modelled`, ({ linkMs }) => ms(linkMs[i]))),
    ...plan.devices.flatMap((name, i) =>
      ENDS.map((end) =>
        row(
          `CPU of ${name} as the ${end}, estimated`,
          ({ deviceMs }) => isKnown(end, i) ? rangeText(deviceMs[end][i]) : NONE,
        )
      )
    ),
  ];
}

function rangeText(range: Range | undefined): Content {
  if (range === undefined) return NONE;
  const { low, likely, high } = range;
  if (low === high) return ms(likely);
  return html`${ms(likely)} <span class="range">(${ms(low)} to ${ms(high)})</span>`;
}
