/**
 * Heap: the peak and what stays, and each step of the handshake.
 *
 * @module
 */

import type { HeapCost } from "../../cost/cost.ts";
import type { BenchResult, End } from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import { bars, type Block } from "./bars.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { pagedBars } from "./paged_bars.ts";
import { ENDS } from "./selection.ts";
import { KINDS } from "./style.ts";
import { bytes, NONE, whole } from "./words.ts";

/** So many are drawn step by step: the highest. The table has them all. */
const DRAWN_MAX = 6;

interface Measured {
  readonly name: string;
  readonly end: End;
  readonly heap: HeapCost;
}

/** The section's pictures and tables. */
export function heapSection({ scenarios }: BenchResult): Content {
  const all = scenarios.flatMap(({ scenario, ends }) =>
    ENDS.flatMap((end): Measured[] => {
      const { heap } = ends[end];
      return heap === undefined ? [] : [{ name: scenario.name, end, heap }];
    })
  );
  if (all.length === 0) {
    return "No heap was counted: neither end was ours.";
  }
  return [peaksFigure(all), phasesFigure(all), table(all)];
}

function peaksFigure(all: readonly Measured[]): SafeHtml {
  const blocks = ENDS.flatMap((end): Block[] => {
    const own = all.filter((each) => each.end === end);
    if (own.length === 0) return [];
    return [{
      title: `As the ${end}`,
      bars: own.map(({ name, heap: { live, peak } }) => ({
        label: name,
        segments: [
          { name: "stays", value: live, colour: KINDS[2]! },
          { name: "the handshake's peak", value: Math.max(0, peak - live), colour: KINDS[2]!, hollow: true },
        ],
        text: bytes(peak),
      })),
    }];
  });
  return figure({
    id: "heap-peaks",
    title: "Heap of a connection: what stays, and the peak",
    note:
      "Bytes of the core's heap, whose pointers have 32 bits, as those of a device. Filled: what the connection still has when the handshake is " +
      "over; dashed: what it needs besides at its peak.",
    description: all.map(({ name, end, heap }) =>
      `${name}, ${end}: ${bytes(heap.peak)} at the peak, ${bytes(heap.live)} stay`
    )
      .join("; "),
    draw: (width) => pagedBars(blocks, { width, unit: "bytes", format: whole }),
  });
}

function phasesFigure(all: readonly Measured[]): Content {
  const stepwise = all.filter(({ heap }) => Object.keys(heap.phases ?? {}).length > 0);
  const shown = stepwise.toSorted((a, b) => b.heap.peak - a.heap.peak).slice(0, DRAWN_MAX);
  if (shown.length === 0) return "";
  const top = Math.max(...shown.map(({ heap }) => heap.peak));
  return figure({
    id: "heap-phases",
    title: "Heap over the handshake",
    note: [
      "The most in each step, from the first at the top to the last; the peak is marked.",
      shown.length < stepwise.length
        ? ` The ${shown.length} highest of ${stepwise.length}; the table has all.`
        : "",
    ],
    description: shown.map(({ name, end, heap }) =>
      `${name}, ${end}: ${
        Object.entries(heap.phases!).map(([phase, most]) => `${phase} ${bytes(most)}`).join(", ")
      }`
    ).join("; "),
    draw: (width) =>
      shown.map(({ name, end, heap }) => ({
        options: bars([{
          title: `${name}, as the ${end}`,
          bars: Object.entries(heap.phases!).map(([phase, most]) => ({
            label: phase.replaceAll("_", " "),
            segments: [{ name: "", value: most, colour: most === heap.peak ? KINDS[1]! : KINDS[2]! }],
            text: most === heap.peak ? `${bytes(most)}, peak` : whole(most),
          })),
        }], { width, unit: "bytes", format: whole, top }),
      })),
  });
}

function table(all: readonly Measured[]): SafeHtml {
  return details(
    "Heap in figures",
    dataTable({
      caption: "Heap",
      head: ["Scenario", "End", "Peak", "Stays", "The most in each step"],
      text: [1],
      long: [4],
      rows: all.map(({ name, end, heap: { peak, live, phases = {} } }) => [
        ...[name, end, whole(peak), whole(live)],
        Object.entries(phases).map(([phase, most]) => `${phase.replaceAll("_", " ")} ${whole(most)}`).join(
          ", ",
        ) || NONE,
      ]),
    }),
  );
}
