/**
 * Bars in blocks: a title, below it a bar or an interval for each line, what it comes to beside it. It needs no more than a
 * phone's width, however long the names are.
 *
 * @module
 */

import { printable } from "../terminal.ts";
import { Plot } from "./_plot.ts";
import { COLOUR } from "./style.ts";
import { tick } from "./words.ts";

/** A part of a bar. */
export interface Segment {
  readonly name: string;
  readonly value: number;
  readonly colour: string;
  /** Drawn in outline: what is only there for a while, or before. */
  readonly hollow?: boolean | undefined;
}

/** A line of a block. */
export interface Bar {
  /** On the left; short. */
  readonly label: string;
  readonly segments?: readonly Segment[] | undefined;
  /** An interval with its likely value. */
  readonly range?: { readonly low: number; readonly likely: number; readonly high: number } | undefined;
  /** The colour of the interval. */
  readonly colour?: string | undefined;
  /** The interval's lower end is not all: something is missing. */
  readonly open?: boolean | undefined;
  /** On the right. */
  readonly text: string;
}

/** Lines that belong together. */
export interface Block {
  /** `""`: none. */
  readonly title: string;
  readonly bars: readonly Bar[];
}

/** How they are drawn. */
export interface BarsOptions {
  readonly width: number;
  /** Of the axis. */
  readonly unit: string;
  readonly format: (value: number) => string;
  /** Of the scale's end. @default the greatest value */
  readonly top?: number | undefined;
  /** A line across all blocks. */
  readonly rule?: number | undefined;
  /** Whether the axis is one of powers, for values that differ by far: intervals alone. */
  readonly log?: boolean | undefined;
}

const TITLE = 20; // pixels of a block's title
const LINE = 19; // of a bar with its gap
const GAP = 9; // below a block
const AXIS = 34;
const SIZE = 12; // of the letters
const LETTER = 6.7; // pixels of such a letter, of the wider fonts
const LEAST = 6; // pixels of a segment that has a name around it

interface Placed {
  readonly bar: Bar;
  readonly y: number;
}

interface PlacedSegment extends Segment {
  readonly x1: number;
  readonly x2: number;
  readonly y: number;
}

/** Draws blocks one below the other. */
export function bars(blocks: readonly Block[], options: BarsOptions): Plot.PlotOptions {
  const { width, unit, format, rule, log = false } = options;
  const all = blocks.flatMap((block) => block.bars);
  const top = options.top ?? topOf(all);
  const least = log ? Math.min(...all.flatMap(({ range }) => range === undefined ? [] : [range.low])) : 0;
  const names = Math.max(...all.map(({ label }) => printable(label).length), 4);
  const marginLeft = Math.min(names * LETTER + 10, width * 0.42);
  const longest = Math.max(...all.map(({ text }) => text.length), 4);
  const marginRight = Math.min(longest * LETTER + 10, width * 0.42);
  const inner = width - marginLeft - marginRight;
  const { titles, lines, height } = place(blocks);
  const segments = lines.flatMap(stack);
  const named = segments.filter(({ name, value }) => name.length * LETTER + LEAST < value / top * inner);
  return {
    width,
    height: height + AXIS,
    marginLeft,
    marginRight,
    marginTop: 0,
    marginBottom: AXIS,
    style: { fontSize: `${SIZE}px` },
    x: {
      type: log ? "log" : "linear",
      domain: log ? [least * 0.9, top * 1.1] : [0, top],
      label: unit,
      labelArrow: "none",
      ticks: width < 500 ? 3 : 6,
      tickFormat: tick,
      nice: log,
    },
    y: { type: "identity", axis: null },
    marks: [
      Plot.gridX({ ticks: width < 500 ? 3 : 6, stroke: COLOUR.line, strokeOpacity: 1 }),
      Plot.text(titles, {
        ...{ x: log ? least * 0.9 : 0, y: "y", text: "title", dx: -marginLeft, textAnchor: "start" },
        ...{ fontWeight: 650, fill: COLOUR.text, stroke: COLOUR.back, strokeWidth: 4 },
        ...{ lineWidth: width / SIZE, textOverflow: "ellipsis-end" },
      }),
      Plot.text(lines, {
        ...{ x: log ? least * 0.9 : 0, y: "y", text: ({ bar }: Placed) => printable(bar.label) },
        ...{ dx: -7, textAnchor: "end", fill: COLOUR.faint },
        ...{ lineWidth: (marginLeft - 7) / SIZE, textOverflow: "ellipsis-end" },
      }),
      Plot.rect(segments.filter(({ hollow }) => !hollow), {
        ...{ x1: "x1", x2: "x2", y1: top_, y2: bottom, fill: "colour" },
        ...{ stroke: COLOUR.back, strokeWidth: 1, title: titleOf(format) },
      }),
      Plot.rect(segments.filter(({ hollow }) => hollow), {
        ...{ x1: "x1", x2: "x2", y1: top_, y2: bottom, fill: COLOUR.back, stroke: "colour" },
        ...{ strokeWidth: 1.25, strokeDasharray: "3 2", inset: 1, title: titleOf(format) },
      }),
      Plot.text(named, {
        ...{ x: ({ x1, x2 }: PlacedSegment) => (x1 + x2) / 2, y: "y", fontSize: 11 },
        text: ({ name }: PlacedSegment) => printable(name),
        fill: ({ hollow }: PlacedSegment) => hollow ? COLOUR.text : COLOUR.on,
      }),
      ...intervals(lines.filter(({ bar }) => bar.range !== undefined)),
      ...(rule === undefined ? [] : [
        Plot.ruleX([rule], { stroke: COLOUR.text, strokeWidth: 1.25, strokeDasharray: "4 3" }),
      ]),
      Plot.text(lines, {
        ...{ x: ({ bar }: Placed) => endOf(bar), y: "y", text: ({ bar }: Placed) => printable(bar.text) },
        ...{ dx: 7, textAnchor: "start", fill: COLOUR.text, stroke: COLOUR.back, strokeWidth: 4 },
      }),
      Plot.axisX({ ticks: width < 500 ? 3 : 6, tickFormat: tick, label: unit, labelArrow: "none" }),
    ],
  };
}

const THICK = 7; // half of a bar's pixels
const top_ = ({ y }: PlacedSegment) => y - THICK;
const bottom = ({ y }: PlacedSegment) => y + THICK;

function titleOf(format: (value: number) => string): (segment: PlacedSegment) => string {
  return ({ name, value }) => `${printable(name)}: ${format(value)}`;
}

/** The interval as a bar between two ends, its likely value as a dot. */
function intervals(lines: readonly Placed[]): Plot.Markish[] {
  const colour = ({ bar }: Placed) => bar.colour ?? COLOUR.text;
  const at = (of: "low" | "likely" | "high") => ({ bar }: Placed) => bar.range![of];
  return [
    Plot.ruleY(lines, {
      x1: at("low"),
      x2: at("high"),
      y: "y",
      stroke: colour,
      strokeWidth: 3,
      strokeOpacity: 0.55,
    }),
    ...(["low", "high"] as const).map((end) =>
      Plot.ruleX(lines, {
        ...{ x: at(end), stroke: colour, strokeWidth: 2 },
        ...{ y1: ({ y }: Placed) => y - 5, y2: ({ y }: Placed) => y + 5 },
      })
    ),
    Plot.dot(lines, {
      ...{ x: at("likely"), y: "y", r: 5, stroke: colour, strokeWidth: 2 },
      fill: (line: Placed) => line.bar.open ? COLOUR.back : colour(line),
    }),
  ];
}

function place(blocks: readonly Block[]) {
  const [titles, lines]: [{ title: string; y: number }[], Placed[]] = [[], []];
  let y = 0;
  for (const block of blocks) {
    if (block.title !== "") {
      titles.push({ title: printable(block.title), y: y + 9 });
      y += TITLE;
    }
    for (const bar of block.bars) {
      lines.push({ bar, y: y + LINE / 2 });
      y += LINE;
    }
    y += GAP;
  }
  return { titles, lines, height: y };
}

function stack({ bar: { segments = [] }, y }: Placed): PlacedSegment[] {
  let x = 0;
  return segments.filter(({ value }) => value > 0).map((segment) => {
    const x1 = x;
    x += segment.value;
    return { ...segment, y, x1, x2: x };
  });
}

function endOf({ segments = [], range }: Bar): number {
  return range?.high ?? segments.reduce((sum, { value }) => sum + Math.max(0, value), 0);
}

/** The greatest value of bars: 1 where there is none, as a scale must have an end. */
export function topOf(all: readonly Bar[]): number {
  return Math.max(...all.map(endOf), 0) || 1;
}
