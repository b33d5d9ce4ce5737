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
  /** @default what these blocks take */
  readonly margins?: Margins | undefined;
}

const TITLE = 20; // pixels of a block's title
const LINE = 19; // of a bar with its gap
const WORDS = 16; // of a line of words above a bar
const GAP = 9; // below a block
const AXIS = 34;
const EDGE = 6; // beside bars whose words are above them
const SIZE = 12; // of the letters
const LETTER = 6.7; // pixels of such a letter, of the wider fonts
// Lines are cut at a width that Plot guesses by a narrow font: wider fonts, and bold ones, take a third more.
const LEAST = 6; // pixels of a segment that has a name around it
const THICK = 7; // half of a bar's pixels
const SMALL = 500; // pixels: a drawing for phones

/** Room beside bars, in pixels. */
export interface Margins {
  readonly left: number;
  readonly right: number;
  /** Of the longest text on the right. */
  readonly widest: number;
  /** Whether words are above their bars: beside them, they would leave too little. */
  readonly above: boolean;
}

/** Where things are. */
interface Layout extends Margins {
  readonly titles: readonly { readonly title: string; readonly y: number }[];
  readonly lines: readonly Placed[];
  readonly height: number;
}

interface Placed {
  readonly bar: Bar;
  /** The middle of the bar. */
  readonly y: number;
  /** The middle of its words. */
  readonly words: number;
}

interface PlacedSegment extends Segment {
  readonly x1: number;
  readonly x2: number;
  readonly y: number;
}

/** Draws blocks one below the other. */
export function bars(blocks: readonly Block[], options: BarsOptions): Plot.PlotOptions {
  const { width, unit, format, rule } = options;
  const { left, right, widest, above, titles, lines, height } = layout(blocks, options);
  const top = options.top ?? topOf(lines.map(({ bar }) => bar));
  const scale = (width - left - right) / top; // pixels for 1
  const segments = lines.flatMap(stack);
  const named = segments.filter(({ name, value }) =>
    name !== "" && name.length * LETTER + LEAST < value * scale
  );
  const axis = { ticks: width < SMALL ? 3 : 6, tickFormat: tick, label: unit, labelArrow: "none" } as const;
  const inside = { x1: "x1", x2: "x2", title: titleOf(format) } as const;
  return {
    ...{
      width,
      height: height + AXIS,
      marginLeft: left,
      marginRight: right,
      marginTop: 0,
      marginBottom: AXIS,
    },
    x: { domain: [0, top], ...axis },
    y: { type: "identity", axis: null },
    marks: [
      Plot.gridX({ ticks: axis.ticks, stroke: COLOUR.line, strokeOpacity: 1 }),
      Plot.text(titles, {
        ...{ x: 0, y: "y", text: "title", dx: -left, textAnchor: "start", fontWeight: 650 },
        ...{ fill: COLOUR.text, stroke: COLOUR.back, strokeWidth: 4 },
        ...{ lineWidth: 0.72 * width / SIZE, textOverflow: "ellipsis-end" },
      }),
      labels(lines, above, left, above ? width - widest : left),
      Plot.rect(segments.filter(({ hollow }) => !hollow), {
        ...{ ...inside, y1: ({ y }) => y - THICK, y2: ({ y }) => y + THICK, fill: "colour" },
        ...{ stroke: COLOUR.back, strokeWidth: 1 },
      }),
      Plot.rect(segments.filter(({ hollow }) => hollow), {
        ...{ ...inside, y1: ({ y }) => y - THICK, y2: ({ y }) => y + THICK, fill: COLOUR.back, inset: 1 },
        ...{ stroke: "colour", strokeWidth: 1.25, strokeDasharray: "3 2" },
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
      texts(lines, above, top),
      Plot.axisX(axis),
    ],
  };
}

/** What is on the left of each bar, in so many pixels: of a long name both ends are left. */
function labels(lines: readonly Placed[], above: boolean, left: number, room: number): Plot.Markish {
  return Plot.text(lines, {
    ...{ x: 0, y: "words", text: ({ bar }: Placed) => printable(bar.label), fill: COLOUR.faint },
    ...{ dx: above ? -left : -7, textAnchor: above ? "start" : "end", stroke: COLOUR.back, strokeWidth: 4 },
    ...{ lineWidth: 0.85 * room / SIZE, textOverflow: "ellipsis-middle" },
  });
}

/** What each bar comes to: behind it, or above its end of the scale. */
function texts(lines: readonly Placed[], above: boolean, top: number): Plot.Markish {
  return Plot.text(lines, {
    ...{
      x: above ? top : ({ bar }: Placed) => endOf(bar),
      y: "words",
      text: ({ bar }: Placed) => printable(bar.text),
    },
    ...{ dx: above ? EDGE : 7, textAnchor: above ? "end" : "start", fill: COLOUR.text },
    ...{ stroke: COLOUR.back, strokeWidth: 4 },
  });
}

/** What so many bars take. */
export function marginsOf(all: readonly Bar[], width: number): Margins {
  const longest = (of: (bar: Bar) => string) =>
    Math.max(4, ...all.map((bar) => printable(of(bar)).length)) * LETTER + 10;
  const [left, right] = [longest(({ label }) => label), longest(({ text }) => text)];
  const above = left + right > 0.55 * width;
  return { left: above ? EDGE : left, right: above ? EDGE : right, widest: right, above };
}

function layout(blocks: readonly Block[], { width, margins }: BarsOptions): Layout {
  const room = margins ?? marginsOf(blocks.flatMap((block) => block.bars), width);
  const { above } = room;
  const [titles, lines]: [{ title: string; y: number }[], Placed[]] = [[], []];
  let y = 0;
  for (const block of blocks) {
    if (block.title !== "") {
      titles.push({ title: printable(block.title), y: y + 9 });
      y += TITLE;
    }
    for (const bar of block.bars) {
      const words = y + LINE / 2;
      if (above) y += WORDS;
      lines.push({ bar, y: y + LINE / 2, words: above ? words : y + LINE / 2 });
      y += LINE;
    }
    y += GAP;
  }
  return { ...room, titles, lines, height: y };
}

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
