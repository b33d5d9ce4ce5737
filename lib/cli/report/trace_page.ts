/**
 * The trace of a connection as a page: who sent what when, drawn as a sequence diagram, with sizes and times.
 *
 * @module
 */

import { type NetworkCost, networkCost } from "../../cost/network_cost.ts";
import type { TraceEvent } from "../../trace.ts";
import { html, type SafeHtml } from "../_web.ts";
import { printable } from "../terminal.ts";
import { dataTable, details, facts, figure, page, safe, type Tile, tiles } from "./page.ts";
import { type Sequence, type SequenceMessage, sequenceOf } from "./sequence.ts";
import { sequenceDrawing, SHOWN_MAX } from "./sequence_drawing.ts";
import { trafficDrawing } from "./traffic_drawing.ts";
import { bytes, count, listed, ms, number, whole } from "./words.ts";

/** A connection to draw. */
export interface TracedConnection {
  /** What to call it where there are several: `"full handshake"`, `"127.0.0.1:50312"`. */
  readonly name: string;
  /** Whose events they are. */
  readonly role: "client" | "server";
  /** All that its `trace` was told, in order, from the first on. There may be none: it failed before TLS. */
  readonly events: readonly TraceEvent[];
  /** Milliseconds on the events' clock (`performance.now()`): what counts as 0. @default the first event */
  readonly start?: number | undefined;
  /** Milliseconds that TCP's connection took before it. */
  readonly connectMs?: number | undefined;
  /** Why it failed. */
  readonly error?: string | undefined;
  /** What is known of it, as label and value: version, suite, certificate. Shown as they are: nothing secret. */
  readonly facts?: readonly (readonly [label: string, value: string])[] | undefined;
}

/** What {@linkcode tracePage} draws. */
export interface TracePageInput {
  /** What was traced: `"example.com:443"`. */
  readonly title: string;
  /** When, ISO 8601. @default not said */
  readonly date?: string | undefined;
  /** One or several, in order. */
  readonly connections: readonly TracedConnection[];
  /** Lines below the title, in words: what the reader should know of how it was taken. */
  readonly notes?: readonly string[] | undefined;
}

/** The table of messages has so many: a page of a long download stays one that a browser opens. */
const LISTED_MAX = 2000;

/**
 * Draws connections.
 *
 * All text is escaped. Of events, the fields of {@linkcode TraceEvent} are shown, which hold no secrets; keys that were logged
 * besides are not the page's business.
 *
 * @returns The whole HTML file.
 */
// It is async so that a caller need not change when drawing has to wait for something.
// deno-lint-ignore require-await
export async function tracePage({ title, date, connections, notes = [] }: TracePageInput): Promise<string> {
  const several = connections.length > 1;
  return page({
    title: `TLS trace of ${title}`,
    body: [
      html`
        <header>
        <p class="stamp">TLS trace${date === undefined ? "" : ` · ${printable(date)}`}</p>
        <h1>${printable(title)}</h1>
        ${notes.map((note) => html`<p>${printable(note)}</p>`)}
        </header>
      `,
      connections.length === 0 ? html`<p class="notice">No connection was traced.</p>` : "",
      ...connections.map((connection, i) => section(connection, i + 1, several)),
      html`
        <footer>
          <p>Made by tlsio. The trace has the types and lengths of messages, not what they hold: there are no keys and no
        data in this page. Bytes are those of TLS: the headers of TCP and IP are not counted.</p>
        </footer>
      `,
    ],
  });
}

function section(connection: TracedConnection, number: number, several: boolean): SafeHtml {
  const { name, role, events, error, facts: known = [] } = connection;
  const start = connection.start ?? events[0]?.time ?? 0;
  const sequence = sequenceOf(events, role, start);
  const cost = costOf(connection);
  return html`
    <section>
    ${several ? html`<h2>${printable(name)}</h2>` : ""}
    ${error === undefined ? "" : html`<p class="notice"><strong>It failed:</strong> ${printable(error)}</p>`}
    ${events.length === 0 ? html`<p>No record passed.</p>` : [
      tiles(tilesOf(sequence, cost, connection)),
      pictures(sequence, connection, start, `c${number}`),
      messageTable(sequence),
    ]}
    ${known.length > 0 ? html`<h3>What was agreed on</h3>${facts(known)}` : ""}
    </section>
  `;
}

/** The handshake's cost; `undefined` without events. */
function costOf({ events, role }: TracedConnection): NetworkCost | undefined {
  return events.length === 0 ? undefined : networkCost(events, { role });
}

function tilesOf(
  { completeAt }: Sequence,
  cost: NetworkCost | undefined,
  { connectMs, error }: TracedConnection,
): Tile[] {
  if (cost === undefined) return [];
  const { up, down, roundTrips, complete } = cost;
  const certificates = up.certificateBytes + down.certificateBytes;
  const connected = connectMs === undefined
    ? "without TCP's connection"
    : `after ${ms(connectMs)} for TCP's connection`;
  return [
    completeAt === undefined
      ? { label: "Handshake", value: error === undefined ? "partial" : "failed", note: "not complete" }
      : { label: "Handshake", value: number(completeAt), unit: "ms", note: connected },
    {
      label: "Round trips",
      value: whole(roundTrips),
      note: complete ? "until the client may send" : "so far",
    },
    { label: "Client to server", value: whole(up.bytes), unit: "B", note: count(up.records, "record") },
    { label: "Server to client", value: whole(down.bytes), unit: "B", note: count(down.records, "record") },
    { label: "Certificates", value: whole(certificates), unit: "B", note: "of these bytes" },
  ];
}

function pictures(sequence: Sequence, connection: TracedConnection, start: number, id: string): SafeHtml {
  const { role, events } = connection;
  const messages = sequence.flights.flatMap(({ messages }) => messages);
  const hidden = messages.length - SHOWN_MAX;
  return html`${
    figure({
      id: `${id}-sequence`,
      title: "The messages, in order",
      note: [
        `Time runs downwards, not to scale: milliseconds at the ${role}, on the left. Bytes of each message on the right, those on the `,
        "wire above each flight. A closed lock: encrypted.",
        hidden > 0 ? ` The first ${SHOWN_MAX} messages of ${messages.length}; the table has more.` : "",
      ],
      description: describeSequence(sequence),
      draw: (width) => sequenceDrawing(sequence, role, width),
    })
  }${
    figure({
      id: `${id}-traffic`,
      title: "The same to scale: bytes over time",
      note:
        `Bytes of records that had passed at the ${role}, each way. A level stretch is a wait: for the network, or for an end at work.`,
      description: describeTraffic(connection),
      draw: (width) => trafficDrawing(events, { role, start, end: sequence.completeAt }, width),
    })
  }`;
}

function describeSequence({ flights, completeAt }: Sequence): string {
  const lines = flights.map(({ way, messages, bytes: wire }) =>
    `${way === "up" ? "client" : "server"} sends ${listed(messages.map(({ name }) => name)) || "a record"} (${
      bytes(wire)
    })`
  );
  const end = completeAt === undefined
    ? "The handshake did not complete."
    : `The handshake is complete after ${ms(completeAt)}.`;
  return `${lines.slice(0, 12).join("; ")}${lines.length > 12 ? "; and so on" : ""}. ${end}`;
}

function describeTraffic(connection: TracedConnection): string {
  const { up, down } = costOf(connection)!;
  return `Steps that rise to ${bytes(up.bytes)} from the client and ${
    bytes(down.bytes)
  } from the server in the handshake.`;
}

function messageTable({ flights }: Sequence): SafeHtml {
  const messages = flights.flatMap(({ messages }) => messages);
  const left = messages.length - LISTED_MAX;
  return details(`All messages: ${messages.length}`, [
    dataTable({
      caption: "Messages",
      head: ["Message", "From", "ms", "Bytes", "Encrypted"],
      text: [1],
      rows: messages.slice(0, LISTED_MAX).map((message) => [
        nameOf(message),
        message.way === "up" ? "client" : "server",
        message.time.toFixed(3),
        whole(message.bytes),
        message.encrypted ? "yes" : "no",
      ]),
    }),
    left > 0 ? html`<p>${safe(count(left, "more message is", "more messages are"))} not listed.</p>` : "",
  ]);
}

function nameOf({ name, count }: SequenceMessage): string {
  return count === 1 ? name : `${name} × ${count}`;
}
