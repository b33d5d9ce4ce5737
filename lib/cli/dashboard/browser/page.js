/** The dashboard in the browser: it follows the server's events, and says when they stop. */

import { BarChart, LineChart, withGaps } from "./charts.js";
import { CHARTS, TABLES, TILES, TIMES } from "./contents.js";
import { element, get } from "./elements.js";
import { clock, duration, number, UNITS } from "./words.js";

const POINTS = 300; // five minutes
const LATE = 3500; // milliseconds without news after which the server is taken for gone
const RETRY = 3000; // milliseconds to wait behind an answer that was no stream: an EventSource gives up then

// ---- What is on the page --------------------------------------------------------------------------------

const tiles = TILES.map(({ label, help, value, note }) => {
  const [large, small] = [element("span", { class: "value" }, "–"), element("span", { class: "note" })];
  get("tiles").append(
    element("li", { title: help }, element("span", { class: "label" }, label), large, small),
  );
  return (moment) => {
    large.textContent = value(moment);
    small.textContent = note(moment);
  };
});

const lines = CHARTS.map((chart) => new LineChart(chart));
const times = new BarChart(TIMES);
const figures = lines.map(({ figure }) => figure);
figures.splice(CHARTS.findIndex(({ unit }) => unit === "ms") + 1, 0, times.figure); // beside the lines of the same
get("charts").append(...figures);

const tables = Object.entries(TABLES).map(([name, { title, note, empty }]) => {
  const body = element("div");
  get("tables").append(
    element("div", {}, element("h3", {}, title), element("p", { class: "note" }, note), body),
  );
  return ({ tables, recentSeconds }) => {
    const rows = tables[name];
    if (rows.length === 0) return body.replaceChildren(element("p", { class: "empty" }, empty));
    const all = rows.reduce((sum, { total }) => sum + total, 0);
    const head = [`last ${recentSeconds} s`, "all"].map((text) => element("th", { scope: "col" }, text));
    const lines = rows.map(({ name, recent, total }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, ...breakable(name), bar(total / all)),
        cell(recent),
        cell(total),
      )
    );
    body.replaceChildren(
      element(
        "table",
        { "aria-label": title },
        element("thead", {}, element("tr", {}, element("td"), ...head)),
        element("tbody", {}, ...lines),
      ),
    );
  };
});

const cell = (value) => element("td", {}, number(value));

/** A name whose lines may break behind each "_". */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [element("wbr"), part]);
}

/** A share as a line; the numbers beside it say the same. */
function bar(share) {
  const made = element("span", { class: "share", "aria-hidden": "true" });
  made.style.backgroundSize = `${share * 100}% 100%`;
  return made;
}

// ---- What the server tells ------------------------------------------------------------------------------

let about;
let points = [];
let last; // the time of the last news, by this machine's clock

function show(moment) {
  points = [...points, moment.point].slice(-POINTS);
  const drawn = withGaps(points);
  for (const tile of tiles) tile(moment);
  for (const line of lines) line.show(drawn);
  times.show(moment.times, `p50 ${UNITS.ms(moment.p50)}, p99 ${UNITS.ms(moment.p99)}`);
  for (const table of tables) table(moment);
  const { workers, restarts, ticketKeys } = moment;
  get("since").textContent = [
    `· up ${duration(Math.max(0, (moment.point.time - about.started) / 1000))}`,
    ...(workers === null ? [] : [`${workers} workers`, `${restarts} restarts`]),
    `${ticketKeys} ticket ${ticketKeys === 1 ? "key" : "keys"}`,
  ].join(" · ");
}

function isLive() {
  last = Date.now();
  if (document.body.className === "live") return;
  document.body.className = "live";
  get("state").textContent = "Live";
}

function isLost() {
  if (document.body.className === "lost") return;
  document.body.className = "lost";
  get("state").textContent = last === undefined
    ? "No data: the server is gone, or has as many viewers as it takes"
    : `No data since ${clock(last)}`;
}

setInterval(() => {
  if (last !== undefined && Date.now() - last > LATE) isLost();
  if (document.body.className === "lost" && last !== undefined) {
    get("since").textContent = `for ${duration((Date.now() - last) / 1000)}; trying again`;
  }
}, 1000);

function follow() {
  const events = new EventSource("/events");
  events.addEventListener("about", ({ data }) => {
    about = JSON.parse(data);
    get("url").textContent = about.url;
    document.title = `${new URL(about.url).host} - tlsio dashboard`;
  });
  events.addEventListener("history", ({ data }) => {
    const known = JSON.parse(data);
    const first = known[0]?.time ?? Infinity;
    points = [...points.filter(({ time }) => time < first), ...known];
  });
  events.onmessage = ({ data }) => {
    isLive();
    show(JSON.parse(data));
  };
  events.onerror = () => {
    isLost();
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, RETRY);
  };
}

follow();
