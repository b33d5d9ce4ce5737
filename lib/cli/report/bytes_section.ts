/**
 * Bytes: each flight by what its messages are for, certificates apart.
 *
 * @module
 */

import type { Flight, NetworkCost } from "../../cost/network_cost.ts";
import type { BenchResult, ScenarioResult } from "../bench/result.ts";
import type { SafeHtml } from "../_web.ts";
import type { Bar, Block, Segment } from "./bars.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { MESSAGE_KINDS, messageKind } from "./kinds.ts";
import { pagedBars } from "./paged_bars.ts";
import { REST } from "./style.ts";
import { bytes, count, NONE, whole } from "./words.ts";

/** What is left of a flight's bytes. */
const FRAMING = "headers, tags";

type Counted = ScenarioResult & { readonly network: NetworkCost };

/** The section's pictures and tables. */
export function bytesSection({ scenarios }: BenchResult): Content {
  const counted = scenarios.filter((result): result is Counted => result.network !== undefined);
  if (counted.length === 0) return "Nothing told of the bytes: neither end was ours.";
  return [flightsFigure(counted), flightsTable(counted)];
}

function flightsFigure(scenarios: readonly Counted[]): SafeHtml {
  const blocks = scenarios.map(({ scenario, network }): Block => ({
    title: `${scenario.name}: ${bytes(network.up.bytes + network.down.bytes)}, ${
      count(network.roundTrips, "round trip")
    }`,
    bars: network.flights.map(barOf),
  }));
  const used = new Set(
    blocks.flatMap(({ bars }) => bars.flatMap(({ segments = [] }) => segments.map((s) => s.colour))),
  );
  const legend = [...MESSAGE_KINDS, {
    name: "records: headers, padding, tags",
    colour: REST,
  }];
  return figure({
    id: "bytes-flights",
    title: "Bytes by message, flight by flight",
    note:
      "A flight is what one end sends before it needs an answer; → from the client, ← from the server. Bytes of records, as on " +
      "the wire, without TCP's headers.",
    description: scenarios.map(({ scenario, network: { up, down } }) =>
      `${scenario.name}: ${bytes(up.bytes)} from the client, ${bytes(down.bytes)} from the server, of these ${
        bytes(up.certificateBytes + down.certificateBytes)
      } certificates`
    ).join("; "),
    legend: legend.filter(({ colour }) => used.has(colour)),
    draw: (width) => pagedBars(blocks, { width, unit: "bytes", format: whole }),
  });
}

function barOf(flight: Flight, index: number): Bar {
  const { way, bytes: wire, messages } = flight;
  const segments = MESSAGE_KINDS.map((kind): Segment => ({
    name: kind.short,
    colour: kind.colour,
    value: messages.filter(({ name }) => messageKind(name) === kind).reduce(
      (sum, { bytes }) => sum + bytes,
      0,
    ),
  }));
  const inMessages = messages.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    label: flightName(way, index),
    segments: [...segments, { name: FRAMING, colour: REST, value: Math.max(0, wire - inMessages) }],
    text: whole(wire),
  };
}

function flightsTable(scenarios: readonly Counted[]): Content {
  const sums = scenarios.map(({ scenario, network: { up, down, roundTrips, flights, rest } }) => [
    ...[scenario.name, whole(roundTrips), whole(flights.length)],
    ...[whole(up.bytes), whole(up.records), whole(up.certificateBytes)],
    ...[whole(down.bytes), whole(down.records), whole(down.certificateBytes)],
    rest.down.ticketBytes === 0 ? NONE : whole(rest.down.ticketBytes),
  ]);
  const flights = scenarios.flatMap(({ scenario, network }) =>
    network.flights.map(({ way, bytes, records, messages }, i) => [
      ...[scenario.name, flightName(way, i), whole(bytes), whole(records)],
      messages.map(({ name, bytes }) => `${name} ${whole(bytes)}`).join(", "),
    ])
  );
  return [
    dataTable({
      caption: "Bytes of each scenario",
      head: [
        ...["Scenario", "Round trips", "Flights", "Bytes up", "Records up", "Certificates up"],
        ...["Bytes down", "Records down", "Certificates down", "Tickets after it"],
      ],
      rows: sums,
    }),
    details(
      "Bytes of each flight and its messages",
      dataTable({
        caption: "Bytes of each flight",
        head: ["Scenario", "Flight", "Bytes", "Records", "Messages, with their bytes"],
        text: [1],
        long: [4],
        rows: flights,
      }),
    ),
  ];
}

/** `"2 ←"`. */
function flightName(way: Flight["way"], index: number): string {
  return `${index + 1} ${way === "up" ? "→" : "←"}`;
}
