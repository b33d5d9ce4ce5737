/**
 * The dashboard's own server: one page, its script and style, and a stream of what is counted.
 *
 * Nobody but a viewer may read it: it listens on loopback unless another address is asked for, where it has TLS. A page of
 * another site can neither read it (no CORS) nor reach it by a name of its own that resolves to this machine (DNS rebinding:
 * the Host header), nor frame it, nor take viewers' places (Sec-Fetch-Site, and Origin where a browser does not send that).
 *
 * @module
 */

import { isIP } from "node:net";
import { type HttpServer, serve } from "../../http.ts";
import type { SSLContext } from "../../ssl.ts";
import { STYLE } from "../report/style.ts";
import { script as uplotScript, style as uplotStyle } from "./_uplot.ts";
import charts from "./browser/charts.js" with { type: "text" };
import contents from "./browser/contents.js" with { type: "text" };
import elements from "./browser/elements.js" with { type: "text" };
import style from "./browser/page.css" with { type: "text" };
import html from "./browser/page.html" with { type: "text" };
import page from "./browser/page.js" with { type: "text" };
import words from "./browser/words.js" with { type: "text" };
import { type Counts, Recorder } from "./recorder.ts";
import { Viewers, VIEWERS_MAX } from "./viewers.ts";
import { VitalsReader } from "./vitals.ts";

/** What a {@linkcode Dashboard} needs. */
export interface DashboardOptions {
  readonly hostname: string;
  readonly port: number;
  /** TLS; none: plain HTTP. */
  readonly ssl: SSLContext | undefined;
  /** Names by which it may be asked for, besides addresses and `localhost`. */
  readonly names: readonly string[];
  /** What is watched. */
  readonly counts: () => Counts | Promise<Counts>;
  /** What the page says of it. */
  readonly about: { readonly url: string; readonly started: number };
  /** The channel on which workers tell of their threads. */
  readonly channel: string | undefined;
}

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const FILES: Readonly<Record<string, readonly [type: string, text: string]>> = {
  "/": ["text/html", html],
  "/page.css": ["text/css", `${uplotStyle}\n${STYLE}\n${style}`],
  "/uplot.js": ["text/javascript", uplotScript],
  "/page.js": ["text/javascript", page],
  "/charts.js": ["text/javascript", charts],
  "/contents.js": ["text/javascript", contents],
  "/elements.js": ["text/javascript", elements],
  "/words.js": ["text/javascript", words],
};

const LIMITS = {
  maxConnections: 4 * VIEWERS_MAX, // a browser loads the page by several
  maxHeaderSize: 8192, // bytes: a browser's are one or two KiB
  maxBodySize: 0,
  headersTimeout: 10, // seconds
  requestTimeout: 10, // seconds
  sendTimeout: 10, // seconds: a viewer that takes nothing is of no use
  shutdownTimeout: 1, // seconds: what it has to say is not worth waiting for
};

/** A dashboard that is served. */
export class Dashboard implements AsyncDisposable {
  /** Its address, for a browser on this machine. */
  readonly url: string;
  /** The port. */
  readonly port: number;
  readonly #server: HttpServer;
  readonly #viewers: Viewers;
  readonly #vitals: VitalsReader;

  private constructor(
    server: HttpServer,
    viewers: Viewers,
    vitals: VitalsReader,
    { hostname, ssl }: DashboardOptions,
  ) {
    this.#server = server;
    this.#viewers = viewers;
    this.#vitals = vitals;
    this.port = (server.addr as Deno.NetAddr).port;
    const isEvery = hostname === "0.0.0.0" || hostname === "::";
    const host = isEvery ? "localhost" : isIP(hostname) === 6 ? `[${hostname}]` : hostname;
    this.url = `${ssl ? "https" : "http"}://${host}:${this.port}/`;
  }

  /** Starts it. */
  static async start(options: DashboardOptions): Promise<Dashboard> {
    const { hostname, port, ssl, names, counts, about, channel } = options;
    const recorder = new Recorder();
    const vitals = new VitalsReader(channel);
    const viewers = new Viewers({
      watched: (isWatched) => isWatched ? vitals.start() : vitals.stop(),
      greeting: () => ({ about, history: recorder.points }),
      now: async () => recorder.add(await counts(), vitals.read(), Date.now()),
    });
    const own = new Set(["localhost", ...names.map((name) => name.toLowerCase())]);
    const quiet = () => new Response(null, { status: 500 });
    try {
      const server = await serve(
        (request) => answer(request, own, viewers),
        { ...LIMITS, hostname, port, ...(ssl && { ssl }), onError: quiet },
      );
      return new Dashboard(server, viewers, vitals, options);
    } catch (error) {
      vitals[Symbol.dispose]();
      throw error;
    }
  }

  /** Ends it; the viewers' streams end first. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#viewers[Symbol.dispose]();
    this.#vitals[Symbol.dispose]();
    await this.#server.close();
  }
}

/** Answers a request. */
function answer(request: Request, own: ReadonlySet<string>, viewers: Viewers): Response {
  const { hostname, pathname, origin } = new URL(request.url);
  // An address is nobody's name: it cannot be made to point here.
  const isAddress = isIP(hostname.replace(/^\[(.*)\]$/, "$1")) !== 0;
  if (!isAddress && !own.has(hostname) && !own.has(hostname.replace(/^[^.]+/, "*"))) {
    return refusal(421, "Misdirected Request: this server does not go by that name");
  }
  const isPage = pathname === "/" && request.headers.get("sec-fetch-dest") === "document";
  const isForeign = /^(cross|same)-site$/.test(request.headers.get("sec-fetch-site") ?? "") ||
    (request.headers.get("origin") ?? origin) !== origin;
  if (isForeign && !isPage) {
    return refusal(403, "Forbidden: asked for by another site");
  }
  const { method } = request;
  if (method !== "GET" && method !== "HEAD") {
    return refusal(405, "Method Not Allowed", { allow: "GET, HEAD" });
  }
  if (pathname === "/events") {
    const type = { "content-type": "text/event-stream" };
    if (method === "HEAD") return new Response(null, { headers: { ...HEADERS, ...type } });
    const stream = viewers.join();
    if (stream !== undefined) return new Response(stream, { headers: { ...HEADERS, ...type } });
    return refusal(503, `Service Unavailable: ${VIEWERS_MAX} viewers watch already`, { "retry-after": "10" });
  }
  const [type, text] = Object.hasOwn(FILES, pathname) ? FILES[pathname]! : [];
  if (type === undefined) return refusal(404, "Not Found");
  const headers = { ...HEADERS, "content-type": `${type}; charset=utf-8` };
  return new Response(method === "HEAD" ? null : text!, { headers });
}

function refusal(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
