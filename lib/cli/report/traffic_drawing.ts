/**
 * Bytes over time, each way.
 *
 * @module
 */

import type { TraceEvent } from "../../trace.ts";
import { Plot } from "./_plot.ts";
import { COLOUR } from "./style.ts";
import { whole } from "./words.ts";

const HEIGHT = 230; // pixels
const AFTER = 1.25; // how much of what follows the handshake is drawn, of its time
const GAP = 14; // pixels between two names

/** Which part of the events to draw. */
export interface TrafficRange {
  readonly role: "client" | "server";
  /** Milliseconds on the events' clock: what counts as 0. */
  readonly start: number;
  /** Milliseconds from there to the end of the handshake; `undefined`: to the last event. */
  readonly end: number | undefined;
}

interface Step {
  readonly time: number;
  readonly bytes: number;
  readonly way: "up" | "down";
}

const NAMES = { up: "client", down: "server" } as const;

/** Draws them `width` pixels wide. */
export function trafficDrawing(
  events: readonly TraceEvent[],
  { role, start, end }: TrafficRange,
  width: number,
): Plot.PlotOptions {
  const last = (events.at(-1)?.time ?? start) - start;
  const until = Math.max(end === undefined ? last : Math.min(last, end * AFTER), 0.001);
  const lines = (["up", "down"] as const).map((way) => stepsOf(events, way, role, start, until));
  const top = Math.max(1, ...lines.map((line) => line.at(-1)!.bytes));
  const scale = (HEIGHT - 50) / top; // pixels for a byte
  const [low, high] = lines.map((line) => line.at(-1)!).toSorted((a, b) => a.bytes - b.bytes);
  const lift = Math.max(0, GAP - (high!.bytes - low!.bytes) * scale);
  const stroke = ({ way }: Step) => way === "up" ? COLOUR.up : COLOUR.down;
  return {
    width,
    height: HEIGHT,
    marginLeft: 48,
    marginRight: 108,
    marginTop: 22,
    marginBottom: 34,
    x: { domain: [0, until], label: "ms", ticks: width < 500 ? 4 : 8 },
    y: {
      domain: [0, top],
      label: "bytes",
      grid: true,
      ticks: 5,
      tickFormat: (value: number) => whole(value),
    },
    marks: [
      ...(end === undefined ? [] : [
        Plot.ruleX([end], { stroke: COLOUR.good, strokeDasharray: "5 4", strokeWidth: 1.5 }),
        Plot.text(["complete"], {
          ...{ x: end, frameAnchor: "top", dy: -11, dx: -2, textAnchor: "end", fill: COLOUR.good },
        }),
      ]),
      ...lines.map((line) =>
        Plot.lineY(line, {
          ...{
            x: "time",
            y: "bytes",
            z: null,
            curve: "step-after",
            stroke: stroke(line[0]!),
            strokeWidth: 2,
          },
          // One is dashed: it can be told apart without its colour.
          strokeDasharray: line[0]!.way === "up" ? "7 3" : "none",
        })
      ),
      ...[low!, high!].map((line, i) =>
        Plot.text([line], {
          ...{ x: until, y: "bytes", dx: 8, dy: i === 1 ? -lift : 0, textAnchor: "start", fontWeight: 600 },
          fill: stroke(line),
          text: ({ way, bytes }: Step) => `${NAMES[way]} ${whole(bytes)} B`,
        })
      ),
    ],
  };
}

/** What had passed one way at each moment, from nothing to the end. */
function stepsOf(
  events: readonly TraceEvent[],
  way: Step["way"],
  role: TrafficRange["role"],
  start: number,
  until: number,
): Step[] {
  const direction = (way === "up") === (role === "client") ? "sent" : "received";
  const steps: Step[] = [{ time: 0, bytes: 0, way }];
  for (const { layer, direction: each, time, length } of events) {
    if (layer !== "record" || each !== direction || time - start > until) continue;
    steps.push({ time: time - start, bytes: steps.at(-1)!.bytes + length, way });
  }
  return [...steps, { ...steps.at(-1)!, time: until }];
}
