/** The book's temperature server as a page that keeps itself up to date, and says how it was delivered. */

import { html, type SafeHtml } from "./_web.ts";
import { simulatedTemperature } from "./thermometer.ts";

/** A row of the page's table. */
export type Fact = readonly [label: string, value: string];

const REFRESH = 2000; // milliseconds
const REFRESH_PLAIN = 5; // seconds, without JavaScript: the whole page each time
const SAMPLES = 90; // three minutes: one wave of the simulated heater
const [WIDTH, HEIGHT] = [600, 120]; // of the chart, in its own units
const CORNERS = [`0,${HEIGHT}`, `${WIDTH},${HEIGHT}`] as const; // below the ends of its line

/** What the page shows at a moment; also what `/temp` answers. */
interface Moment {
  readonly celsius: string;
  readonly fahrenheit: string;
  readonly simulated: true;
  readonly time: string;
  readonly range: string;
  /** Points of a line in a box of 600 by 120. */
  readonly chart: string;
  readonly connection: readonly Fact[];
}

/**
 * Answers the requests of the demo: the page at `/`, its numbers at `/temp`.
 *
 * @param request The request.
 * @param connection What is known of the connection that it came by.
 */
export function demo(request: Request, connection: readonly Fact[]): Response {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return answer(request, 405, "text/plain; charset=utf-8", "Method Not Allowed\n", { allow: "GET, HEAD" });
  }
  const now = moment(Date.now(), connection);
  switch (new URL(request.url).pathname) {
    case "/": {
      const nonce = crypto.randomUUID();
      return answer(request, 200, "text/html; charset=utf-8", `<!doctype html>${page(now, nonce)}`, {
        "content-security-policy":
          `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; ` +
          "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
      });
    }
    case "/temp":
      return answer(request, 200, "application/json; charset=utf-8", `${JSON.stringify(now)}\n`);
    default:
      return answer(request, 404, "text/plain; charset=utf-8", "Not Found\n");
  }
}

function answer(
  request: Request,
  status: number,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: {
      "content-type": type,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

function moment(time: number, connection: readonly Fact[]): Moment {
  const celsius = simulatedTemperature(time);
  const samples = Array.from(
    { length: SAMPLES },
    (_, i) => simulatedTemperature(time - (SAMPLES - 1 - i) * REFRESH),
  );
  const [low, high] = [Math.min(...samples), Math.max(...samples)];
  return {
    celsius: celsius.toFixed(2),
    fahrenheit: (celsius * 9 / 5 + 32).toFixed(1),
    simulated: true,
    time: new Date(time).toISOString(),
    range: `${low.toFixed(2)} to ${high.toFixed(2)} °C in the last ${SAMPLES * REFRESH / 60_000} minutes`,
    chart: points(samples, low, high),
    connection,
  };
}

/** The points of the chart's line, left to right, with some room above and below. */
function points(samples: readonly number[], low: number, high: number): string {
  const margin = 12;
  const scale = (HEIGHT - 2 * margin) / Math.max(high - low, 0.25); // a steady reading is a flat line
  return samples.map((celsius, i) => {
    const x = i * WIDTH / (samples.length - 1);
    const y = HEIGHT - margin - (celsius - low) * scale;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  }).join(" ");
}

function page(now: Moment, nonce: string): SafeHtml {
  return html`
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${now.celsius} °C</title>
        <noscript><meta http-equiv="refresh" content="${REFRESH_PLAIN}"></noscript>
        <link rel="icon" href="data:image/svg+xml,${encodeURIComponent(ICON)}">
        <style nonce="${nonce}">${html.raw`${STYLE}`}</style>
      </head>
      <body>
        <main>
          <section class="reading">
            <p class="label">Temperature <span class="tag">simulated</span></p>
            <p class="value"><span id="celsius">${now.celsius}</span><span class="unit">°C</span></p>
            <p class="sub"><span id="fahrenheit">${now.fahrenheit}</span> °F · <span id="range">${now
              .range}</span></p>
            <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
              <defs>
                <linearGradient id="fade" x1="0" y1="0" x2="0" y2="1">
                  <stop class="top" offset="0" />
                  <stop class="bottom" offset="1" />
                </linearGradient>
              </defs>
              <polygon id="area" points="${CORNERS[0]} ${now.chart} ${CORNERS[1]}" />
              <polyline id="line" points="${now.chart}" />
            </svg>
          </section>
          <section>
            <h2>This connection</h2>
            <table>
              <tbody id="connection">
        ${now.connection.map(([label, value]) =>
          html`
            <tr>
              <th scope="row">${label}</th>
              <td>${value}</td>
            </tr>
          `
        )}
      </tbody>
            </table>
          </section>
          <footer>
            <p><span id="dot"></span><span id="state">Read</span> <time id="time" datetime="${now.time}">${now
              .time}</time></p>
            <p>No sensor is attached: the number is computed, as a DS18B20 in a warm room might give it.
      The numbers alone: <a href="/temp">/temp</a></p>
          </footer>
        </main>
        <script nonce="${nonce}">${html.raw`${SCRIPT}`}</script>
      </body>
    </html>
  `;
}

const ICON =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="#e4572e"><circle cx="16" cy="23" r="7"/>
<rect x="13" y="3" width="6" height="20" rx="3"/></g></svg>`;

const STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f4f1ec, #15171c); --card: light-dark(#fff, #1e2129); --ink: light-dark(#23252b, #eceef2);
  --soft: light-dark(#6d707a, #9aa0ad); --rule: light-dark(#ebe7e0, #2d313c); --warm: light-dark(#d9480f, #ff8552);
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: clamp(1rem, 5vw, 3.5rem) 1rem; display: grid; gap: 1rem; }
section { background: var(--card); border-radius: 1.1rem; padding: 1.5rem 1.75rem; overflow: hidden;
  box-shadow: 0 1px 2px #0001, 0 12px 32px #0000000d; }
.label { color: var(--soft); font-weight: 600; }
.tag { margin-left: .4rem; padding: .1rem .55rem; border-radius: 1rem; font-size: .75rem; color: var(--warm);
  background: color-mix(in srgb, var(--warm) 13%, transparent); }
.value { font-size: clamp(4rem, 17vw, 7rem); line-height: 1.1; font-weight: 500; letter-spacing: -.04em;
  font-variant-numeric: tabular-nums; }
.unit { font-size: .32em; font-weight: 500; letter-spacing: 0; color: var(--soft); margin-left: .3em; vertical-align: 1.1em; }
.sub { color: var(--soft); font-size: .9rem; font-variant-numeric: tabular-nums; }
svg { display: block; width: calc(100% + 3.5rem); height: 7.5rem; margin: 1rem -1.75rem -1.5rem; }
polyline { fill: none; stroke: var(--warm); stroke-width: 2.5; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
polygon { fill: url(#fade); }
.top { stop-color: var(--warm); stop-opacity: .28; } .bottom { stop-color: var(--warm); stop-opacity: 0; }
h2 { font-size: 1rem; margin-bottom: .5rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem 0; border-top: 1px solid var(--rule); }
tr:first-child > * { border-top: 0; }
th { font-weight: 400; color: var(--soft); width: 38%; padding-right: 1rem; }
td { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .85rem; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: .8rem; padding: 0 1.75rem; display: grid; gap: .3rem; }
a { color: inherit; }
#dot { display: inline-block; width: .5rem; height: .5rem; border-radius: 50%; margin-right: .45rem; background: var(--soft); }
.live #dot { background: #2f9e44; } .lost #dot { background: #e03131; }
`;

const SCRIPT = `
const get = (id) => document.getElementById(id);
async function refresh() {
  try {
    const response = await fetch("/temp", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw new Error(response.status);
    const now = await response.json();
    for (const id of ["celsius", "fahrenheit", "range"]) get(id).textContent = now[id];
    get("line").setAttribute("points", now.chart);
    get("area").setAttribute("points", "${CORNERS[0]} " + now.chart + " ${CORNERS[1]}");
    get("connection").replaceChildren(...now.connection.map(([label, value]) => {
      const row = document.createElement("tr");
      const [head, data] = [document.createElement("th"), document.createElement("td")];
      head.scope = "row";
      head.textContent = label;
      data.textContent = value;
      row.append(head, data);
      return row;
    }));
    get("time").dateTime = now.time;
    get("time").textContent = new Date(now.time).toLocaleTimeString();
    get("state").textContent = "Live, read at";
    document.title = now.celsius + " °C";
    document.body.className = "live";
  } catch {
    get("state").textContent = "No answer from the server since";
    document.body.className = "lost";
  }
  setTimeout(refresh, ${REFRESH});
}
setTimeout(refresh, ${REFRESH});
`;
