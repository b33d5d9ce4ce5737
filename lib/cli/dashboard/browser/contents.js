/** What the dashboard shows: its tiles, charts and tables, each with what it means. */

import { number, UNITS } from "./words.js";

const recentOf = (rows) => rows.reduce((sum, { recent }) => sum + recent, 0);
const recently = ({ recentSeconds }) => `in the last ${recentSeconds} s`;
const sinceStart = (count) => `${number(count)} since the start`;

/** Large numbers. `value` and `note` are made of what the server tells. */
export const TILES = [
  {
    label: "Open connections",
    help: "Connections whose handshake is done",
    value: ({ point }) => UNITS.count(point.open),
    note: ({ totals }) => `${number(totals.accepted)} accepted since the start`,
  },
  {
    label: "Handshakes under way",
    help:
      "The queue in front of the handler. The event loop does some milliseconds of handshakes at a time; the rest wait for their turn",
    value: ({ point }) => UNITS.count(point.handshaking),
    note: ({ point }) => `${number(point.waiting)} wait for their turn`,
  },
  {
    label: "Requests",
    help: "HTTP requests in the last second",
    value: ({ point }) => UNITS.rate(point.requests),
    note: ({ totals }) => sinceStart(totals.requests),
  },
  {
    label: "Handshakes",
    help: "Handshakes completed in the last second",
    value: ({ point: { full, resumed } }) => UNITS.rate(full === null ? null : full + resumed),
    note: ({ totals }) => sinceStart(totals.handshakes),
  },
  {
    label: "Resumed",
    help: "Share of the handshakes that resumed a session: no certificates, less work",
    value: ({ resumedShare }) => UNITS.percent(resumedShare === null ? null : resumedShare * 100),
    note: recently,
  },
  {
    label: "Handshake time, p99",
    help: "From the connection on; 99 of 100 handshakes took less",
    value: ({ p99 }) => UNITS.ms(p99),
    note: (moment) => `p50 ${UNITS.ms(moment.p50)}, ${recently(moment)}`,
  },
  {
    label: "Failed handshakes",
    help: "By reason in the table below",
    value: ({ tables }) => UNITS.count(recentOf(tables.failures)),
    note: (moment) => `${recently(moment)}; ${sinceStart(moment.totals.failures)}`,
  },
  {
    label: "Limits reached",
    help: "How often; by limit in the table below",
    value: ({ tables }) => UNITS.count(recentOf(tables.limits)),
    note: (moment) =>
      `${recently(moment)}; ${number(moment.totals.refused)} connections refused since the start`,
  },
  {
    label: "Event loop late",
    help: "At worst in the last second: for so long nobody was served",
    value: ({ point }) => UNITS.ms(point.lag),
    note: ({ point }) => `processor ${UNITS.percent(point.cpu)}`,
  },
  {
    label: "Memory",
    help: "Of the process (RSS), and of TLS in the WebAssembly core",
    value: ({ point }) => UNITS.mib(point.rss),
    note: ({ point, coreSize }) => `core ${UNITS.kib(point.core)} of ${UNITS.mib(coreSize)}`,
  },
];

/** Charts over time; the lines are fields of a point. */
export const CHARTS = [
  {
    title: "Requests",
    note: "HTTP requests a second",
    help: "Those that were refused are among them",
    unit: "rate",
    lines: [{ name: "requests", field: "requests", colour: "c1" }],
  },
  {
    title: "Handshakes",
    note: "A second; resumed ones need no certificates",
    help:
      "A resumed handshake goes on with an earlier session: fewer bytes, less work. Failed ones by reason in the table below",
    unit: "rate",
    lines: [
      { name: "full", field: "full", colour: "c1" },
      { name: "resumed", field: "resumed", colour: "c3" },
      { name: "failed", field: "failed", colour: "c8" },
    ],
  },
  {
    title: "Versions of TLS",
    note: "Handshakes completed a second",
    help: "Suites are in the table below",
    unit: "rate",
    lines: [
      { name: "TLS 1.3", field: "tls13", colour: "c4" },
      { name: "TLS 1.2", field: "tls12", colour: "c2" },
    ],
  },
  {
    title: "Time of handshakes",
    note: "50 and 99 of 100 took less, of ten seconds each",
    help:
      "From the connection to the end of its handshake, the network's time included; between the bounds of the histogram, as if they lay evenly",
    unit: "ms",
    lines: [
      { name: "p50", field: "p50", colour: "c1" },
      { name: "p99", field: "p99", colour: "c2" },
    ],
  },
  {
    title: "Connections",
    note: "Now; those in their handshake wait for the handler",
    help:
      "In handshake: the queue in front of the handler. Waiting: those of them that wait for their turn in the event loop",
    unit: "count",
    lines: [
      { name: "open", field: "open", colour: "c1" },
      { name: "in handshake", field: "handshaking", colour: "c2" },
      { name: "waiting", field: "waiting", colour: "c8" },
    ],
  },
  {
    title: "Limits",
    note: "Reached a second, and connections refused for it",
    help: "Limits of connections, handshakes, times and sizes; by name in the table below",
    unit: "rate",
    lines: [
      { name: "reached", field: "limits", colour: "c6" },
      { name: "refused", field: "refused", colour: "c8" },
    ],
  },
  {
    title: "Traffic",
    note: "Bytes of TLS, as the server sees them",
    help: "Records with their headers, without those of TCP and IP",
    unit: "bytes",
    lines: [
      { name: "received", field: "received", colour: "c1" },
      { name: "sent", field: "sent", colour: "c2" },
    ],
  },
  {
    title: "Event loop",
    note: "How late at worst: for so long nobody was served",
    help: "A timer every 20 ms; with workers, of the one that was latest",
    unit: "ms",
    lines: [{ name: "late", field: "lag", colour: "c5" }],
  },
  {
    title: "Processor",
    note: "Of the process; 100 % is one processor",
    help: "All threads of the process, JavaScript and other",
    unit: "percent",
    lines: [{ name: "used", field: "cpu", colour: "c6" }],
  },
  {
    title: "Memory of the process",
    note: "RSS",
    help: "Resident set: what the process has of the machine's memory",
    unit: "mib",
    lines: [{ name: "in use", field: "rss", colour: "c1" }],
  },
  {
    title: "Memory of the core",
    note: "Live blocks of TLS in WebAssembly",
    help: "Of all threads. The core's memory itself, of which these are a part, never shrinks",
    unit: "kib",
    lines: [{ name: "in use", field: "core", colour: "c3" }],
  },
];

/** The chart that is no line: handshakes of the last minute by time. */
export const TIMES = {
  title: "Handshakes by time",
  note: "Of the last minute: how many took up to so long",
  help: "Each bar has those that took longer than the one before it says",
};

/** Tables by the names that the server gives them. */
export const TABLES = {
  suites: { title: "Cipher suites", note: "Handshakes that were completed", empty: "No handshake yet" },
  failures: {
    title: "Failed handshakes",
    note: "By reason: an alert, or mbedTLS's error",
    empty: "None has failed",
  },
  limits: { title: "Limits reached", note: "By the option's name", empty: "None was reached" },
  tickets: { title: "Session tickets", note: "Those that were refused by reason", empty: "None yet" },
};
