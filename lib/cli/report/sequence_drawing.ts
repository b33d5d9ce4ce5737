/**
 * A sequence diagram: two lifelines, an arrow for each message.
 *
 * @module
 */

import { Plot } from "./_plot.ts";
import type { Sequence, SequenceFlight, SequenceMessage } from "./sequence.ts";
import { COLOUR } from "./style.ts";
import { bytes, count, whole } from "./words.ts";

/** The drawing has so many messages. */
export const SHOWN_MAX = 150;

const TOP = 46; // pixels above the first flight: the names of the ends
const FLIGHT = 30; // of a flight's own line
const MESSAGE = 33;
const DONE = 30; // of the line that says that the handshake is complete
const SHORT = 0.1; // milliseconds: a wait that is not worth saying
const SMALL = 500; // pixels: below, it is a drawing for phones

/** An arrow with its place. */
interface Placed extends SequenceMessage {
  readonly y: number;
}

/** A line of text across. */
interface Heading {
  readonly y: number;
  readonly flight: SequenceFlight;
  /** Milliseconds since the flight before. */
  readonly wait: number;
}

interface Layout {
  readonly arrows: Placed[];
  readonly headings: Heading[];
  /** Backgrounds of flights. */
  readonly bands: { readonly y1: number; readonly y2: number }[];
  /** Where the handshake is complete. */
  readonly done: number | undefined;
  readonly height: number;
}

function layout({ flights, completedBy }: Sequence): Layout {
  const [arrows, headings, bands]: [Placed[], Heading[], Layout["bands"]] = [[], [], []];
  let [y, done]: [number, number | undefined] = [TOP, undefined];
  for (const [i, flight] of flights.entries()) {
    if (arrows.length >= SHOWN_MAX) break;
    const y1 = y;
    headings.push({ y: y + 15, flight, wait: i === 0 ? 0 : flight.from - flights[i - 1]!.to });
    y += FLIGHT;
    for (const [j, message] of flight.messages.slice(0, SHOWN_MAX - arrows.length).entries()) {
      arrows.push({ ...message, y: y + 21 });
      y += MESSAGE;
      if (completedBy?.[0] !== i || completedBy[1] !== j) continue;
      done = y + 17;
      y += DONE;
    }
    y += 4;
    bands.push({ y1, y2: y });
    y += 6;
  }
  return { arrows, headings, bands, done, height: y + 8 };
}

function headingOf({ bytes: wire, records }: SequenceFlight, wait: number, small: boolean): string {
  const size = `${bytes(wire)}${small ? "" : " on the wire"}, ${count(records, "record")}`;
  if (wait < SHORT) return size;
  return small ? `+${wait.toFixed(1)} ms: ${size}` : `${wait.toFixed(1)} ms later: ${size}`;
}

/** A padlock around its middle, for a plot's symbol: closed is encrypted. */
const LOCK = {
  draw(path: { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void; closePath(): void }) {
    const shape = (...points: readonly (readonly [number, number])[]) => {
      for (const [i, [x, y]] of points.entries()) i === 0 ? path.moveTo(x, y) : path.lineTo(x, y);
      path.closePath();
    };
    shape([-4.5, -0.5], [4.5, -0.5], [4.5, 6], [-4.5, 6]);
    shape(
      [-3.5, -0.5],
      [-3.5, -3.5],
      [-2, -5.5],
      [2, -5.5],
      [3.5, -3.5],
      [3.5, -0.5],
      [2, -0.5],
      [2, -3],
      [1.2, -4],
      [
        -1.2,
        -4,
      ],
      [-2, -3],
      [-2, -0.5],
    );
  },
};

/** Draws a sequence `width` pixels wide, as high as it gets. */
export function sequenceDrawing(
  sequence: Sequence,
  role: "client" | "server",
  width: number,
): Plot.PlotOptions {
  const small = width < SMALL;
  const { arrows, headings, bands, done, height } = layout(sequence);
  const [left, right] = small ? [47, width - 49] : [118, width - 118]; // the lifelines
  const ends = [{ name: "client", x: left, y: 14 }, { name: "server", x: right, y: 14 }];
  const colour = ({ way, fatal }: Placed) => fatal ? COLOUR.bad : way === "up" ? COLOUR.up : COLOUR.down;
  const from = ({ way }: Placed) => way === "up" ? left : right;
  const to = ({ way }: Placed) => way === "up" ? right : left;
  const towards = (way: Placed["way"]) => way === "up" ? 1 : -1;
  const middle = (left + right) / 2;
  const y = "y";
  return {
    width,
    height,
    margin: 0,
    x: { type: "identity", axis: null },
    y: { type: "identity", axis: null },
    marks: [
      Plot.rect(bands, { x1: 0, x2: width, y1: "y1", y2: "y2", fill: COLOUR.panel, rx: 6 }),
      Plot.ruleX([left, right], { y1: 28, y2: height - 8, stroke: COLOUR.faint, strokeWidth: 1.5 }),
      Plot.text(ends, { x: "x", y, text: "name", fontWeight: 650, fontSize: 14, fill: COLOUR.text }),
      Plot.text(ends.filter(({ name }) => name === role), {
        ...{ x: "x", y, dy: 15, fill: COLOUR.faint, fontSize: 11 },
        text: () => "(traced here)",
        stroke: COLOUR.back,
        strokeWidth: 5,
      }),
      Plot.text(headings, {
        ...{ x: middle, y, fill: COLOUR.faint, stroke: COLOUR.panel, strokeWidth: 5 },
        text: ({ flight, wait }: Heading) => headingOf(flight, wait, small),
        fontSize: small ? 11 : 12,
      }),
      Plot.arrow(arrows, {
        x1: (each: Placed) => from(each) + 2 * towards(each.way),
        x2: (each: Placed) => to(each) - 2 * towards(each.way),
        ...{ y1: y, y2: y, stroke: colour, strokeWidth: 1.75 },
        headLength: 8,
        headAngle: 50,
      }),
      Plot.dot(arrows.filter(({ encrypted }) => encrypted), {
        x: (each: Placed) => from(each) + 16 * towards(each.way),
        ...{ y, symbol: LOCK, fill: colour, stroke: COLOUR.panel, strokeWidth: 3, paintOrder: "stroke" },
      }),
      Plot.text(arrows, {
        ...{ x: middle, y, dy: -11, fill: COLOUR.text, stroke: COLOUR.panel, strokeWidth: 4 },
        text: (each: Placed) => labelOf(each),
        fontSize: small ? 12 : 13,
        fontWeight: 500,
      }),
      Plot.text(arrows, {
        ...{ x: left - 10, y, textAnchor: "end", fill: COLOUR.faint },
        text: ({ time }: Placed) => small ? timeText(time) : `${timeText(time)} ms`,
        fontSize: small ? 11 : 12,
      }),
      Plot.text(arrows, {
        ...{ x: right + 10, y, textAnchor: "start", fill: COLOUR.text },
        text: (each: Placed) => small ? whole(each.bytes) : bytes(each.bytes),
        fontSize: small ? 11 : 12,
      }),
      ...(done === undefined ? [] : doneMarks(sequence.completeAt!, done, left, right)),
    ],
  };
}

function labelOf({ name, count }: SequenceMessage): string {
  const words = name.replaceAll("_", " ");
  return count === 1 ? words : `${words} × ${whole(count)}`;
}

function timeText(time: number): string {
  return Math.abs(time) < 1000 ? time.toFixed(1) : whole(time);
}

function doneMarks(time: number, y: number, left: number, right: number): Plot.Markish[] {
  return [
    Plot.ruleY([y], { x1: left, x2: right, stroke: COLOUR.good, strokeWidth: 1.5, strokeDasharray: "5 4" }),
    Plot.text([`handshake complete, ${timeText(time)} ms`], {
      ...{
        x: (left + right) / 2,
        y,
        fill: COLOUR.good,
        stroke: COLOUR.panel,
        strokeWidth: 12,
        fontWeight: 600,
      },
    }),
  ];
}
