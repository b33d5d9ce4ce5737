/** A traced connection for people: the client on the left, the server on the right, no wider than a terminal of 80 columns. */

import type { Traffic } from "../cost/network_cost.ts";
import { milliseconds, outputStyle, printable, type Style } from "./terminal.ts";
import type { TracedConnection, TracedFlight, TracedMessage, TraceResult } from "./trace_result.ts";

const WIDTH = 80; // columns
const TIME = 9; // columns; their sum with two spaces between is the width
const BYTES = 6;
const RECORDS = 7;
const LANE = WIDTH - TIME - BYTES - RECORDS - 6;
const LABEL = 11; // columns of the summary's words

/** Arrows by whether it is encrypted: the line, its head to the right, its head to the left. */
const ARROWS = { plain: ["─", "→", "←"], encrypted: ["═", "⇒", "⇐"] } as const;

/** All of a run. */
export function renderTrace({ connections }: TraceResult, style: Style = outputStyle()): string {
  const parts = connections.map((connection) => renderConnection(connection, style));
  const [full, second] = connections;
  if (full !== undefined && second?.complete) parts.push(summary([["Resumed", saved(full, second)]], style));
  return parts.join("\n\n");
}

/** One connection. */
export function renderConnection(connection: TracedConnection, style: Style = outputStyle()): string {
  const lines = [style.bold(connectionTitle(connection))];
  if (connection.messages.length > 0) lines.push("", ...timeline(connection, style));
  lines.push("", summary(summaryRows(connection, style), style));
  return lines.join("\n");
}

// ---- The timeline ---------------------------------------------------------------------------------------

/** "Full handshake with 192.0.2.1 port 443". */
export function connectionTitle(
  { role, address, port, resumed, complete, messages }: TracedConnection,
): string {
  const peer = address === null
    ? ""
    : ` ${role === "client" ? "with" : "from"} ${printable(address)} port ${port}`;
  if (messages.length === 0) return `No handshake${peer}`;
  const kind = !complete ? "Handshake" : resumed ? "Resumed handshake" : "Full handshake";
  return kind + peer;
}

function timeline({ role, messages, flights }: TracedConnection, style: Style): string[] {
  const [left, right] = role === "client" ? ["client (here)", "server"] : ["client", "server (here)"];
  const lines = [style.dim(row("ms", left! + right!.padStart(LANE - left!.length), "bytes", "records"))];
  const last = messages.findLastIndex(({ flight }) => flight !== null);
  let shown: number | undefined; // the flight that the last heading is of
  for (const [i, message] of messages.entries()) {
    const { flight, time, bytes, records, level } = message;
    if (flight !== null && flight !== shown) {
      lines.push(style.dim(row(`flight ${flight + 1}`, flightHeading(flights[flight]!, role), "", "")));
      shown = flight;
    } else if (i === last + 1) lines.push(style.dim(row("after", "the handshake", "", "")));
    const line = row(time.toFixed(1), lane(message), String(bytes), records === 0 ? "same" : String(records));
    lines.push(level === "fatal" ? style.bad(line) : line);
  }
  return lines;
}

function row(time: string, lane: string, bytes: string, records: string): string {
  const columns = [time.padStart(TIME), lane.padEnd(LANE), bytes.padStart(BYTES), records.padStart(RECORDS)];
  return columns.join("  ").trimEnd();
}

/** How much a flight is, and what came before it. */
function flightHeading(flight: TracedFlight, role: "client" | "server"): string {
  const { way, bytes, records, waitMs, workMs } = flight;
  const isOurs = (way === "up") === (role === "client");
  const before = isOurs ? `${milliseconds(workMs)} of work` : `${milliseconds(waitMs)} of waiting`;
  return `${count(bytes, "byte")} in ${count(records, "record")}, after ${before}`;
}

function lane(message: TracedMessage): string {
  const [line, right, left] = ARROWS[message.encrypted ? "encrypted" : "plain"];
  const name = messageName(message);
  const shaft = line.repeat(Math.max(1, LANE - name.length - 2));
  return message.way === "up" ? `${name} ${shaft}${right}` : `${left}${shaft} ${name}`;
}

/** As the RFCs write it: `"ClientHello"`. */
function messageName({ name, contentType, level, code }: TracedMessage): string {
  if (level !== null) return `alert ${alertName(name, code!)}`;
  if (name === "record") return contentType === "unknown" ? "not TLS" : "record that was not read";
  if (contentType === "application_data") return "data";
  if (name === "unknown") return `message of type ${code}`;
  return name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function alertName(name: string, code: number): string {
  return name === "unknown" ? String(code) : name;
}

// ---- The summary ----------------------------------------------------------------------------------------

const PLAIN = { bad: (text: string) => text };

/** A line of the summary. */
export type Row = readonly [label: string, text: string];

/** What there is to say beside the timeline. */
export function summaryRows(connection: TracedConnection, { bad }: Pick<Style, "bad"> = PLAIN): Row[] {
  const { version, cipher, group, alpn, resumed, connectMs, lookupMs, error, alert } = connection;
  const rows: Row[] = [];
  if (version !== null) {
    const agreed = [version, cipher, group, alpn && `ALPN ${printable(alpn)}`, resumed && "resumed"];
    rows.push(["Agreed", agreed.filter(Boolean).join(", ")]);
  }
  if (connection.messages.length > 0) rows.push(["Network", traffic(connection)]);
  if (connectMs !== null) {
    const found = lookupMs === null || lookupMs < 0.1
      ? ""
      : `, after ${milliseconds(lookupMs)} to find the address`;
    rows.push(["TCP", `${milliseconds(connectMs)}${found}`]);
  }
  if (connection.messages.length > 0) {
    rows.push(["Time", times(connection)], ["Longest", longest(connection)]);
  }
  if (alert !== null) {
    rows.push([
      "Alert",
      bad(`${alertName(alert.name, alert.code)} (${alert.code}), sent by the ${alert.from}`),
    ]);
  }
  if (error !== null) rows.push([connection.complete ? "Then failed" : "Failed", printable(error)]);
  return rows;
}

function traffic({ roundTrips, up, down }: TracedConnection): string {
  const of = ({ bytes, certificateBytes }: Traffic, way: string) =>
    `${way} ${count(bytes, "byte")}${certificateBytes > 0 ? `, certificates ${certificateBytes}` : ""}`;
  return `${count(roundTrips, "round trip")}; ${of(up, "up")}; ${of(down, "down")}`;
}

function times({ handshakeMs, waitMs, role }: TracedConnection): string {
  const peer = role === "client" ? "server" : "client";
  return `${milliseconds(handshakeMs)}: ${milliseconds(waitMs)} of waiting for the ${peer}, ` +
    `${milliseconds(Math.max(0, handshakeMs - waitMs))} of work here`;
}

function longest({ longest, messages, role }: TracedConnection): string {
  const { message, kind, ms } = longest!;
  const to = messages[message];
  const from = messages[message - 1];
  const name = to === undefined ? "the end" : messageName(to);
  if (kind === "wait") {
    return `${milliseconds(ms)} of waiting for ${
      to === undefined ? `the ${role === "client" ? "server" : "client"}` : name
    }`;
  }
  return `${milliseconds(ms)} of work ${
    from === undefined ? "before" : `between ${messageName(from)} and`
  } ${name}`;
}

/** What the second connection of a run saves. */
function saved(full: TracedConnection, resumed: TracedConnection): string {
  if (!resumed.resumed) return "no: the server made a full handshake";
  const bytes = ({ up, down }: TracedConnection) => up.bytes + down.bytes;
  const trips = full.roundTrips - resumed.roundTrips;
  const parts = [`${bytes(resumed)} bytes in place of ${bytes(full)}`];
  if (trips > 0) parts.push(`${count(trips, "round trip")} less`);
  parts.push(`${milliseconds(resumed.handshakeMs)} in place of ${milliseconds(full.handshakeMs)}`);
  return parts.join(", ");
}

function summary(rows: readonly Row[], { bold }: Style): string {
  return rows.map(([label, text]) => {
    const [first, ...rest] = wrap(text, WIDTH - LABEL - 2);
    return [`${bold(label.padEnd(LABEL))}  ${first}`, ...rest.map((line) => " ".repeat(LABEL + 2) + line)];
  }).flat().join("\n");
}

/** Lines of so many columns; a word that is longer has one of its own. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
