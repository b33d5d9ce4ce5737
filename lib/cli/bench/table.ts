/** A run as a table for people. */

import { RELIABILITY } from "../../cost/figure.ts";
import { printable, type Style } from "../terminal.ts";
import type { BenchResult, DeviceResult, End, ResumptionResult, ScenarioResult, Skipped } from "./result.ts";

/** How wide the table may be. */
export interface TableOptions {
  /** Characters; `Infinity`: all columns. */
  readonly width: number;
  readonly style: Style;
}

interface Column {
  /** What it belongs to, and what it is. */
  readonly title: readonly [group: string, name: string];
  /** 0: it is always there. The others go where there is no room, those with a high one first. */
  readonly rank: number;
  readonly left?: true;
  cell(result: ScenarioResult): string;
}

const GAP = "  ";
const NONE = "-";
const ENDS = ["client", "server"] as const;
const KIB = 1024;

/** All of it. */
export function renderTable(run: BenchResult, { width, style }: TableOptions): string {
  const parts: string[] = [];
  const { columns, left } = fit(columnsOf(run), run.scenarios, width);
  if (run.scenarios.length > 0) parts.push(grid(columns, run.scenarios, style));
  parts.push(...run.resumption.length > 0 ? ["", resumptionTable(run, width, style)] : []);
  if (run.skipped.length > 0) {
    parts.push("", style.bold("Not measured"), ...notMeasured(run.skipped, width, style));
  }
  const notes = run.scenarios.length > 0 ? [...legend(run), ...run.environment.notes] : [];
  if (left.length > 0) notes.push(`Without room here: ${left.join(", ")}; --wide shows them.`);
  if (notes.length > 0) {
    parts.push(
      "",
      ...notes.flatMap((note) => wrap(note, Math.min(width, WIDEST))).map(style.dim),
    );
  }
  return parts.join("\n").replace(/^\n+/, "");
}

/** By reason, of which there are fewer. */
function notMeasured(skipped: readonly Skipped[], width: number, { bad }: Style): string[] {
  const groups = Map.groupBy(
    skipped,
    ({ failed, reason }) => `${failed ? bad("failed: ") : ""}${printable(reason)}`,
  );
  return [...groups].flatMap(([reason, all]) => [
    `  ${reason}`,
    ...wrap(all.map(({ name }) => name).join(", "), Math.min(width, WIDEST) - 4).map((line) => `    ${line}`),
  ]);
}

function columnsOf(run: BenchResult): Column[] {
  const { devices, links } = run.plan;
  const cpu = (end: End): Column[] => [
    { title: [`${end} CPU`, "median"], rank: 0, cell: ({ ends }) => ms(ends[end].cpuMs?.median) },
    { title: [`${end} CPU`, "p95"], rank: 5, cell: ({ ends }) => ms(ends[end].cpuMs?.p95) },
  ];
  const heap = (end: End): Column => ({
    title: ["peak heap KiB", end],
    rank: end === "client" ? 4 : 2,
    cell: ({ ends: { [end]: { heap } } }) => heap === undefined ? NONE : (heap.peak / KIB).toFixed(1),
  });
  const device = (i: number, end: End): Column => ({
    title: [`${devices[i]} ms, as`, end],
    rank: (end === "client" ? 6 : 3) + i * 10,
    cell: ({ ends }) => estimateCell(ends[end].devices[i]),
  });
  const all: Column[] = [
    { title: ["", "scenario"], rank: 0, left: true, cell: ({ scenario }) => scenario.name },
    ...cpu("client"),
    ...cpu("server"),
    { title: ["wall", "median"], rank: 1, cell: ({ wallMs }) => ms(wallMs.median) },
    { title: ["wall", "p95"], rank: 7, cell: ({ wallMs }) => ms(wallMs.p95) },
    { title: ["TCP", "connect"], rank: 7, cell: ({ connectMs }) => ms(connectMs?.median) },
    { title: ["round", "trips"], rank: 0, cell: ({ network }) => `${network?.roundTrips ?? NONE}` },
    { title: ["bytes", "up"], rank: 0, cell: ({ network }) => `${network?.up.bytes ?? NONE}` },
    { title: ["bytes", "down"], rank: 0, cell: ({ network }) => `${network?.down.bytes ?? NONE}` },
    {
      title: ["bytes", "cert"],
      rank: 4,
      cell: ({ network: n }) => n ? `${n.up.certificateBytes + n.down.certificateBytes}` : NONE,
    },
    {
      title: ["", "records"],
      rank: 6,
      cell: ({ network: n }) => n ? `${n.up.records + n.down.records}` : NONE,
    },
    heap("client"),
    heap("server"),
    ...devices.flatMap((_, i) => [device(i, "client"), device(i, "server")]),
    ...links.map(({ name }, i): Column => ({
      title: ["over", name],
      rank: 1,
      cell: ({ links }) => links[i] ? links[i].clientMs.toFixed(0) : NONE,
    })),
    { title: ["agreed on", "suite"], rank: 99, left: true, cell: ({ suite = NONE }) => suite },
    { title: ["agreed on", "group"], rank: 99, left: true, cell: ({ group = NONE }) => group },
  ];
  // What no row has is no column.
  return all.filter(({ cell }) => run.scenarios.some((result) => cell(result) !== NONE));
}

function ms(value: number | undefined): string {
  if (value === undefined) return NONE;
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** `"~500 derived"`; `"≥"`: there are operations without a figure. */
function estimateCell(device: DeviceResult | undefined): string {
  if (device === undefined || device.parts.length === 0) return NONE; // nothing of it is known
  const { likely, missing, reliability } = device;
  return `${missing.length > 0 ? "≥" : "~"}${likely.toFixed(0)} ${reliability}`;
}

/** The columns of rank 0, and of the others as many as are no wider than `width`, those of a low rank first. */
function fit(all: readonly Column[], rows: readonly ScenarioResult[], width: number) {
  let columns: Column[] = all.filter(({ rank }) => rank === 0);
  for (const next of all.filter(({ rank }) => rank > 0).sort((a, b) => a.rank - b.rank)) {
    const more = all.filter((each) => columns.includes(each) || each === next);
    const widths = widthsOf(more, rows);
    if (spanOf(widths, 0, widths.length) <= width) columns = more;
  }
  const left = all.filter((each) => !columns.includes(each)).map(({ title }) => title.join(" ").trim());
  return { columns, left };
}

/** Columns side by side of one group, by their places. */
function groupsOf(columns: readonly Column[]): { name: string; from: number; to: number }[] {
  const groups: { name: string; from: number; to: number }[] = [];
  columns.forEach(({ title: [name] }, place) => {
    if (name !== "" && groups.at(-1)?.name === name && groups.at(-1)!.to === place) groups.at(-1)!.to++;
    else groups.push({ name, from: place, to: place + 1 });
  });
  return groups;
}

/** As wide as its cells; the first of a group as much wider as the group's name needs. */
function widthsOf(columns: readonly Column[], rows: readonly ScenarioResult[]): number[] {
  const widths = columns.map(({ title: [, name], cell }) =>
    Math.max(name.length, ...rows.map((row) => cell(row).length))
  );
  for (const { name, from, to } of groupsOf(columns)) {
    widths[from]! += Math.max(0, name.length - spanOf(widths, from, to));
  }
  return widths;
}

function spanOf(widths: readonly number[], from: number, to: number): number {
  return widths.slice(from, to).reduce((sum, each) => sum + each + GAP.length, -GAP.length);
}

function grid(columns: readonly Column[], rows: readonly ScenarioResult[], { bold, dim }: Style): string {
  const widths = widthsOf(columns, rows);
  const pad = (text: string, i: number) =>
    columns[i]!.left ? text.padEnd(widths[i]!) : text.padStart(widths[i]!);
  const line = (cells: readonly string[]) => cells.map(pad).join(GAP).trimEnd();
  const groups = groupsOf(columns).map(({ name, from, to }) => {
    const span = spanOf(widths, from, to);
    return columns[from]!.left ? name.padEnd(span) : name.padStart(span);
  });
  return [
    dim(groups.join(GAP).trimEnd()),
    bold(line(columns.map(({ title }) => title[1]))),
    ...rows.map((row) => line(columns.map(({ cell }) => cell(row)))),
  ].join("\n");
}

function legend({ plan, scenarios }: BenchResult): string[] {
  const runs = new Set(scenarios.map(({ wallMs }) => wallMs.runs));
  const [least, most] = [Math.min(...runs), Math.max(...runs)];
  const notes = [
    `Milliseconds and bytes of TLS, ${
      least === most ? count(most, "run") : `${least} to ${most} runs`
    } each.`,
  ];
  const estimates = scenarios.flatMap(({ ends }) => [...ends.client.devices, ...ends.server.devices])
    .filter(({ parts }) => parts.length > 0);
  if (estimates.length > 0) {
    const words = RELIABILITY.filter((word) => estimates.some(({ reliability }) => reliability === word));
    notes.push(
      `~ is an estimate from counted operations, with how far its figures can be trusted (${
        words.join(", ")
      }); ` +
        "--json has low, likely and high.",
    );
  }
  const without = plan.devices.filter((name) => !estimates.some(({ device }) => device === name));
  if (without.length > 0) {
    notes.push(`No estimate for ${without.join(", ")}: nobody has published a figure for what was counted.`);
  }
  const missing = [
    ...new Set(estimates.flatMap(({ device, missing }) => missing.map((name) => `${name} on ${device}`))),
  ];
  if (missing.length > 0) {
    notes.push(`≥: without ${missing.join(", ")}, for which nobody has published a figure.`);
  }
  for (const { name, rttMs, kbpsUp, kbpsDown, reliability, source } of plan.links) {
    const rate = kbpsUp === kbpsDown
      ? `${kbpsUp ?? "any"}`
      : `${kbpsUp ?? "any"} up, ${kbpsDown ?? "any"} down`;
    notes.push(
      `over ${name}: modelled wait of the client, TCP's connection not included; round trip ${rttMs} ms, ` +
        `${rate} kbit/s (${reliability}: ${source}).`,
    );
  }
  return notes;
}

/** What resumption saves. */
function resumptionTable(run: BenchResult, width: number, { bold, dim }: Style): string {
  const { interval, ticketLifetime } = run.plan.reconnect!;
  const lines = [
    bold(`Resumption, for a client that connects every ${interval} s, with sessions for ${ticketLifetime} s`),
  ];
  for (const each of run.resumption) {
    lines.push(`  ${each.resumed} ${dim(`against ${each.full}`)}`);
    for (const [title, facts] of saved(each, run)) {
      const [first, ...rest] = wrap(facts.join("; "), Math.min(width, WIDEST) - INDENT.length);
      lines.push(`    ${title.padEnd(INDENT.length - 4)}${first}`, ...rest.map((line) => INDENT + line));
    }
  }
  return lines.join("\n");
}

const WIDEST = 120; // characters of a line of text
const INDENT = " ".repeat(17);

function saved(each: ResumptionResult, { plan, scenarios }: BenchResult): [title: string, facts: string[]][] {
  const { resumedPerFull, perResumption: one, perDay: day, breakEven: { resumptions, ticketBytes } } = each;
  const full = scenarios.find(({ scenario: { name } }) => name === each.full);
  const often = resumedPerFull === null
    ? "all connections but the first resume"
    : resumedPerFull === 0
    ? "none resumes: sessions end before the client is back"
    : `${count(resumedPerFull, "connection")} for each full one`;
  const even = ticketBytes === 0
    ? "there is no ticket to pay back"
    : resumptions === null
    ? `the ${ticketBytes} bytes of tickets never pay`
    : `the ${ticketBytes} bytes of tickets pay after ${count(resumptions, "resumption")}`;
  const cpu = (saving: typeof one) =>
    Object.entries(saving.cpuMs).map(([end, value]) => `${ms(value)} ms of CPU of the ${end}`);
  const devices = ENDS.flatMap((end) =>
    one.deviceMs[end].map(({ low, likely, high }, i) => {
      const trust = full?.ends[end].devices[i]?.reliability ?? "guess";
      const [from, to] = [low.toFixed(0), high.toFixed(0)];
      return `~${likely.toFixed(0)} ms of CPU of ${plan.devices[i]} as ${end} (${from} to ${to}, ${trust})`;
    })
  );
  const links = one.linkMs.map((value, i) => `${value.toFixed(0)} ms over ${plan.links[i]!.name}`);
  return [
    ["resumes", [often, even]],
    ["each saves", [
      `${one.bytesUp} bytes up, ${one.bytesDown} down`,
      ...(one.roundTrips === 0 ? [] : [count(one.roundTrips, "round trip")]),
      ...cpu(one),
      ...links,
      ...devices,
    ]],
    ["a day saves", [`${((day.bytesUp + day.bytesDown) / 1000).toFixed(1)} kB`, ...cpu(day)]],
  ];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
