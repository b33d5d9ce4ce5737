/**
 * Charts, drawn by uPlot. Their colours are the style's, read anew at each drawing; each line has a dash of its own besides, so
 * that nobody needs colours; what a chart shows now is in its legend, as text, and in its label.
 */

import { element, svg } from "./elements.js";
import { clock, number, UNITS } from "./words.js";

/* global uPlot -- a script of its own, since it has no module that is small */

const [SHORTEST, LONGEST] = [60, 300]; // seconds of the axis of time, which grows with what there is to show
const GAP = 3; // seconds without a point: a line must not cross them
const HEIGHT = 150; // pixels, as in the style
const DASHES = [[], [6, 4], [2, 3]];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const AXIS = {
  stroke: () => colour("faint"),
  font: "11px system-ui, sans-serif",
  grid: { stroke: () => colour("line"), width: 1 },
  ticks: { show: false },
};

/** From 0 to a bit above the highest. */
const fromZero = (_plot, _least, most) => [0, most > 0 ? most * 1.1 : 1];

/** Up to the last moment. */
const untilNow = (_plot, first, last) => [last - Math.min(Math.max(last - first, SHORTEST), LONGEST), last];

/** A figure with its title, its legend and the place of the drawing. */
function frame({ title, note, help }, legend) {
  const place = element("div", { class: "plot", role: "img" });
  const figure = element(
    "figure",
    { title: help },
    element("figcaption", {}, element("strong", {}, title), element("span", {}, note)),
    element("ul", { class: "legend" }, ...legend),
    place,
  );
  return { figure, place };
}

/** Draws anew whenever its place has another width, or the reader another scheme. */
function fit(plot, place) {
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
}

/** Lines over time. */
export class LineChart {
  figure;
  #plot;
  #place;
  #values; // elements of the legend
  #chart;
  #data;

  constructor(chart) {
    const { lines, unit } = chart;
    this.#chart = chart;
    this.#data = [[], ...lines.map(() => [])];
    this.#values = lines.map(() => element("b", {}));
    const legend = lines.map(({ name, colour }, i) =>
      element("li", {}, swatch(colour, DASHES[i]), `${name} `, this.#values[i])
    );
    ({ figure: this.figure, place: this.#place } = frame(chart, legend));
    this.#plot = new uPlot(
      {
        width: 360,
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 8, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: "time" } },
        scales: { x: { range: untilNow }, y: { range: fromZero } },
        axes: [
          {
            ...AXIS,
            space: (_plot, _axis, from, to) => to - from < LONGEST / 2 ? 60 : 38, // seconds take room
            size: 26,
            values: (_plot, ticks, _axis, _space, step) =>
              ticks.map((tick) => clock(tick * 1000).slice(0, step < 60 ? 8 : 5)),
          },
          { ...AXIS, space: 34, size: 58, values: (_plot, ticks) => ticks.map(UNITS[unit]) },
        ],
        series: [
          {},
          ...lines.map(({ name, colour: named }, i) => ({
            label: name,
            stroke: () => colour(named),
            width: 1.75,
            dash: DASHES[i],
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [() => this.#say()] },
      },
      this.#data,
      this.#place,
    );
    fit(this.#plot, this.#place);
  }

  /** Shows these points. */
  show(points) {
    const { lines } = this.#chart;
    this.#data = [
      points.map(({ time }) => time / 1000),
      ...lines.map(({ field }) => points.map((point) => point[field] ?? null)),
    ];
    this.#plot.setData(this.#data);
    this.#say();
  }

  /** Says the values of the moment that is pointed at, or the last ones. */
  #say() {
    const { lines, title, unit } = this.#chart;
    const [times, ...columns] = this.#data;
    const at = this.#plot?.cursor.idx ?? times.length - 1;
    const write = UNITS[unit];
    columns.forEach((column, i) => this.#values[i].textContent = write(column[at]));
    const parts = columns.map((column, i) =>
      `${lines[i].name} now ${write(column.at(-1))}, at most ${write(Math.max(0, ...column))}`
    );
    this.#place.setAttribute("aria-label", `${title}, the last minutes: ${parts.join("; ")}`);
  }
}

function swatch(named, dash) {
  return svg(
    "svg",
    { viewBox: "0 0 22 8", "aria-hidden": "true" },
    svg("line", {
      ...{ x1: 0, y1: 4, x2: 22, y2: 4, stroke: `var(--${named})`, "stroke-width": 2.5 },
      "stroke-dasharray": dash.join(" "),
    }),
  );
}

/** The points with an empty one wherever some are missing. */
export function withGaps(points) {
  return points.flatMap((point, i) => {
    const before = points[i - 1]?.time ?? point.time;
    return point.time - before > GAP * 1000 ? [{ time: before + 1 }, point] : [point];
  });
}

/** Bars: how many up to each bound. */
export class BarChart {
  figure;
  #plot;
  #place;
  #summary = element("li", {});
  #title;
  #times = [];

  constructor(chart) {
    this.#title = chart.title;
    ({ figure: this.figure, place: this.#place } = frame(chart, [this.#summary]));
    this.#plot = new uPlot(
      {
        width: 360,
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 8, 0, 0],
        cursor: { show: false },
        scales: {
          x: { time: false, range: (_plot, least, most) => [least - 0.6, most + 0.6] },
          y: { range: fromZero },
        },
        axes: [
          {
            ...AXIS,
            space: 1,
            size: 26,
            splits: () => this.#shown(),
            values: (_plot, at) => at.map((i) => bound(this.#times[i]?.le)),
          },
          {
            ...AXIS,
            space: 34,
            size: 58,
            values: (_plot, ticks) => ticks.map((tick) => Number.isInteger(tick) ? number(tick) : ""),
          },
        ],
        series: [{}, {
          stroke: () => colour("c1"),
          fill: () => colour("c1"),
          width: 0,
          paths: uPlot.paths.bars({ size: [0.8, 60] }),
          points: { show: false },
        }],
      },
      [[0], [null]],
      this.#place,
    );
    fit(this.#plot, this.#place);
  }

  /** Every bound where there is room. */
  #shown() {
    const step = Math.ceil(this.#times.length * 48 / Math.max(1, this.#place.clientWidth - 66));
    return this.#times.map((_, i) => i).filter((i) => i % step === 0);
  }

  /** Shows these times, and what is said of them. */
  show(times, summary) {
    this.#times = times;
    this.#plot.setData([times.map((_, i) => i), times.map(({ count }) => count)]);
    this.#summary.textContent = summary;
    const parts = times.filter(({ count }) => count > 0).map(({ le, count }) =>
      `${number(count)} up to ${bound(le)}`
    );
    this.#place.setAttribute("aria-label", `${this.#title}: ${parts.join(", ") || "none"}; ${summary}`);
  }
}

/** A bound of seconds. */
function bound(le) {
  if (le === undefined) return "";
  if (le === "+Inf") return "more";
  return Number(le) < 1 ? `${number(Number(le) * 1000)} ms` : `${le} s`;
}
