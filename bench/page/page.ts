/**
 * Draws the report in a browser, from the data in the page. Bundled with its library by html.ts.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="esnext" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

import * as Plot from "@observablehq/plot";
import type { RowData, RunData, TableData } from "./data.ts";

const data: RunData = JSON.parse(document.getElementById("data")!.textContent!);
const BETTER = { higher: "more is better", lower: "less is better" } as const;
const CLIENT = "C client > "; // the same for all in its charts
const BAR = 22; // pixels of a bar with its gap
const LONG = 28; // letters of a name that wants a smaller font
const LETTER = 7.3; // pixels of a letter at 12, of the wider fonts

/** One bar or point: a figure over all rounds. */
interface Mark {
  readonly name: string;
  readonly x: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  text: string,
  ...children: Element[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...children);
  return made;
}

/** Three figures that count. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return "";
  const digits = value === 0 ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toLocaleString("en", {
    minimumFractionDigits: 0,
    maximumFractionDigits: Math.max(0, Math.min(digits, 3)),
    useGrouping: value >= 10_000,
  });
}

const isOurs = (name: string) => /\btlsio\b/.test(name);
const isReference = (name: string) => /^(C client > )?Deno\b|native mbedTLS$/.test(name) && !isOurs(name);
const fillOf = (name: string) =>
  isOurs(name) ? "var(--ours)" : isReference(name) ? "var(--reference)" : "var(--other)";

/** One bar for each who does the same, its spread a line over its end. */
function bars(marks: readonly Mark[], width: number): Element {
  const top = Math.max(...marks.map(({ max }) => max));
  const longest = Math.max(...marks.map(({ name }) => name.length));
  const size = longest > LONG ? 10.5 : 12; // pixels
  const left = Math.min(width * 0.65, longest * LETTER * size / 12 + 8);
  return Plot.plot({
    width,
    height: marks.length * BAR + 6,
    style: { fontSize: `${size}px` },
    marginLeft: left,
    marginRight: 52,
    marginTop: 2,
    marginBottom: 4,
    x: { axis: null, domain: [0, top || 1] },
    y: { label: null, tickSize: 0, domain: marks.map(({ name }) => name) },
    marks: [
      Plot.barX(marks, {
        x: "median",
        y: "name",
        fill: ({ name }: Mark) => fillOf(name),
        insetTop: 2,
        insetBottom: 2,
      }),
      Plot.ruleY(marks, {
        x1: "min",
        x2: "max",
        y: "name",
        stroke: "var(--text)",
        strokeWidth: 1.5,
        strokeOpacity: 0.55,
      }),
      Plot.text(marks, {
        x: "max",
        y: "name",
        text: ({ median }: Mark) => figure(median),
        dx: 6,
        textAnchor: "start",
        fill: "var(--text)",
      }),
    ],
  });
}

const LINES_HEIGHT = 240; // pixels
const LINES_TOP = 20;
const LINES_BOTTOM = 34;
const LABEL = 13; // pixels between two names

/** A line for each who does the same, over a parameter that grows. */
function lines(marks: readonly Mark[], width: number, across: string, unit: string): Element {
  const low = Math.min(...marks.map(({ min }) => min));
  const domain = [low > 0 ? low : 0, Math.max(...marks.map(({ max }) => max))] as const;
  const log = low > 0;
  const stroke = ({ name }: Mark) => fillOf(name);
  return Plot.plot({
    width,
    height: LINES_HEIGHT,
    marginLeft: 48,
    marginRight: Math.max(...marks.map(({ name }) => name.length)) * LETTER + 14,
    marginTop: LINES_TOP,
    marginBottom: LINES_BOTTOM,
    x: {
      type: across === "chain" || across === "workers" ? "linear" : "log",
      label: ACROSS[across]!,
      ticks: [...new Set(marks.map(({ x }) => x))],
      tickFormat: sizeText,
    },
    y: { type: log ? "log" : "linear", domain, label: unit, grid: true, ticks: 5, tickFormat: figure },
    marks: [
      Plot.ruleX(marks, { x: "x", y1: "min", y2: "max", stroke, strokeOpacity: 0.5 }),
      Plot.lineY(marks, { x: "x", y: "median", z: "name", stroke, strokeWidth: 2 }),
      Plot.dot(marks, { x: "x", y: "median", r: 2.5, fill: stroke }),
      Plot.text(namesOf(marks, domain, log), {
        x: "x",
        y: "median",
        text: "name",
        dx: 8,
        textAnchor: "start",
        fill: "var(--text)",
      }),
    ],
  });
}

/** The last point of each line, moved up where its name would lie on another. */
function namesOf(marks: readonly Mark[], [low, high]: readonly [number, number], log: boolean): Mark[] {
  const [to, from] = log ? [Math.log, Math.exp] : [(v: number) => v, (v: number) => v];
  const scale = (LINES_HEIGHT - LINES_TOP - LINES_BOTTOM) / (to(high) - to(low) || 1);
  let above = -Infinity;
  return marks.filter(({ name, x }) => !marks.some((other) => other.name === name && other.x > x))
    .sort((a, b) => a.median - b.median)
    .map((mark) => {
      above = Math.max(above + LABEL, (to(mark.median) - to(low)) * scale);
      return { ...mark, median: from(to(low) + above / scale) };
    });
}

const ACROSS: Readonly<Record<string, string>> = {
  size: "bytes of a record",
  chain: "certificates in the chain",
  held: "connections open",
  lanes: "clients at once",
  workers: "workers",
};

function sizeText(value: number): string {
  return value >= 1024 && value % 1024 === 0
    ? `${value / 1024}Ki`
    : value >= 1000
    ? `${value / 1000}k`
    : String(value);
}

/** What a chart shows: a title, its marks. */
interface Chart {
  readonly title: string;
  readonly note: string;
  readonly draw: (width: number) => Element;
}

function chartsOf(table: TableData): Chart[] {
  const [first] = table.columns;
  const subjects = [...new Set(table.rows.map(({ subject }) => subject))];
  if (table.grows !== undefined) return growthCharts(table);
  return subjects.map((subject) => {
    const rows = table.rows.filter((row) => row.subject === subject);
    const marks = table.implementations
      ? table.columns.flatMap(({ key, label }) => markOf(rows[0]!, key, label))
      : rows.flatMap((row) => markOf(row, first!.key, row.actor.replace(CLIENT, "") || row.name));
    return {
      title: subject.replace(/:$/, "") || "no TLS",
      note: noteOf(table),
      draw: (width) => bars(marks, width),
    };
  });
}

function growthCharts(table: TableData): Chart[] {
  const suites = [...new Set(table.rows.map(({ row }) => row.suite ?? ""))];
  const shown = table.columns.filter(({ better }) => better !== undefined);
  return suites.flatMap((suite) =>
    shown.map(({ key, label, unit, better }) => {
      const marks = table.rows.filter(({ row }) => (row.suite ?? "") === suite).flatMap((row) =>
        markOf(row, key, row.actor.replace(CLIENT, ""), row.row[table.grows!])
      );
      const title = [label, suite.replace(/^TLS_|_SHA256$/g, "")].filter((part) => part !== "").join(", ");
      return {
        title,
        note: `${unit}, ${BETTER[better!]}`,
        draw: (width) => lines(marks, width, table.grows!, unit),
      };
    })
  );
}

function markOf({ stats }: RowData, key: string, name: string, x = 0): Mark[] {
  const stat = stats[key];
  return stat === undefined ? [] : [{ name, x, ...stat }];
}

function noteOf({ columns: [first], implementations }: TableData): string {
  return `${implementations ? "" : `${first!.label}, `}${first!.unit}${
    first!.better ? `, ${BETTER[first!.better]}` : ""
  }`;
}

/** All figures of a table. */
function details(table: TableData): HTMLElement {
  const compared = table.rows.some(({ ratio }) => ratio !== undefined);
  const [first, ...others] = table.columns;
  const head = [
    "",
    `${first!.label} ${first!.unit}`,
    "min..max",
    ...others.map(({ label, unit }) => `${label} ${unit}`),
  ];
  if (compared) head.push(`x ${table.against ?? "Deno"}`);
  const lines = table.rows.map((row) => {
    const { stats, ratio } = row;
    const spread = stats[first!.key];
    const cells = [
      figure(spread?.median ?? NaN),
      spread === undefined ? "" : `${figure(spread.min)}..${figure(spread.max)}`,
      ...others.map(({ key }) => figure(stats[key]?.median ?? NaN)),
      ...(compared ? [figure(ratio ?? NaN)] : []),
    ];
    const line = element("tr", "", element("th", row.name), ...cells.map((cell) => element("td", cell)));
    if (isOurs(row.actor)) line.className = "ours";
    return line;
  });
  const grid = element("table", "");
  grid.append(
    element("thead", "", element("tr", "", ...head.map((text) => element("th", text)))),
    element("tbody", "", ...lines),
  );
  const scroller = element("div", "", grid);
  scroller.className = "scroll";
  const all = element("details", "", element("summary", `All figures: ${table.id}`), scroller);
  return all;
}

const REACHED = {
  stretch: "★ stretch",
  must: "✓ reached",
  no: "✗ not reached",
  "not run": "not run",
} as const;

function targets(): HTMLElement {
  const lines = data.targets.map(({ what, unit, better, must, stretch, measured, reached }) => {
    const sign = better === "lower" ? "≤" : "≥";
    const cells = [
      REACHED[reached],
      measured === undefined ? "" : `${figure(measured)} ${unit}`,
      `${sign} ${figure(must)}`,
      `${sign} ${figure(stretch)}`,
    ];
    const line = element("tr", "", element("th", what), ...cells.map((cell) => element("td", cell)));
    line.className = `reached-${reached.replace(" ", "-")}`;
    return line;
  });
  const grid = element("table", "");
  const head = ["", "", "measured", "must", "stretch"].map((text) => element("th", text));
  grid.append(element("thead", "", element("tr", "", ...head)), element("tbody", "", ...lines));
  const scroller = element("div", "", grid);
  scroller.className = "scroll";
  const section = element("section", "", element("h2", "Targets"), scroller);
  section.id = "targets";
  return section;
}

const drawn: { place: HTMLElement; chart: Chart }[] = [];

function sectionOf(table: TableData): HTMLElement {
  const grid = element("div", "");
  grid.className = table.grows === undefined && table.group !== "pairs" ? "charts" : "charts wide";
  for (const chart of chartsOf(table)) {
    const place = element("div", "");
    const caption = element("figcaption", chart.title, element("span", chart.note));
    grid.append(element("figure", "", caption, place));
    drawn.push({ place, chart });
  }
  const skipped = table.skipped.map(({ name, reason }) => element("li", `${name}: ${reason}`));
  const section = element("section", "", element("h3", table.title), grid);
  if (skipped.length > 0) {
    const list = element(
      "details",
      "",
      element("summary", `Not run: ${skipped.length}`),
      element("ul", "", ...skipped),
    );
    list.className = "skipped";
    section.append(list);
  }
  section.append(details(table));
  section.id = table.id;
  return section;
}

function header(): HTMLElement {
  const facts = Object.entries(data.about).flatMap((
    [name, value],
  ) => [element("dt", name), element("dd", value)]);
  const legend = element("p", "Bars are medians of all rounds, the thin line their least and greatest. ");
  for (
    const [kind, name] of [["ours", "tlsio"], ["reference", "Deno's own TLS, native mbedTLS"], [
      "other",
      "others",
    ]]
  ) {
    const mark = element("span", name!);
    mark.className = `key ${kind}`;
    legend.append(mark, " ");
  }
  return element(
    "header",
    "",
    element("h1", "tlsio: speed beside its peers"),
    legend,
    element("dl", "", ...facts),
  );
}

const main = document.querySelector("main")!;
main.append(header(), targets());
for (const [group, title] of Object.entries(data.groups)) {
  const tables = data.tables.filter((table) => table.group === group);
  if (tables.length > 0) main.append(element("h2", title), ...tables.map(sectionOf));
}

let width = 0;
function draw(): void {
  if (main.clientWidth === width) return;
  width = main.clientWidth;
  for (const { place, chart } of drawn) place.replaceChildren(chart.draw(place.clientWidth || 320));
}
draw();
addEventListener("resize", draw);
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
