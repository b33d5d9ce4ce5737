/**
 * HttpHost: `node:http`'s parser and framing for connections that are given to it; it does not listen.
 *
 * Node's server is made for sockets of its own. What it is told so that it serves ours is in `#createNode()`.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { HttpConnection, type ServeInfo } from "./_http_connection.ts";
import { connectionOf, limitBody, objection, requestOf, send } from "./_http_exchange.ts";
import { typeName } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import { increment } from "./server_stats.ts";

const CHECK_INTERVAL = 1; // seconds between looks for requests that are late; short timeouts are looked at more often
const LONGEST_TIMER = 2_000_000; // seconds, 23 days; node adds one to keepAliveTimeout, and a timer has 31 bits
const CHECKS = 4; // at least so many looks per timeout

/** Parse errors that have a status of their own; the others are 400. */
const STATUS_OF_ERROR: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Answers a request. */
export type HttpHandler = (request: Request, info: ServeInfo) => Response | Promise<Response>;

/** Options of an {@linkcode HttpHost}: those of `serve()`, all of them given. */
export interface HostOptions {
  maxHeaderSize: number;
  maxBodySize: number;
  maxRequestsPerSocket: number;
  headersTimeout: number;
  requestTimeout: number;
  keepAliveTimeout: number;
  sendTimeout: number;
  lingerTimeout: number;
  minDataRate: number;
  onError: (error: unknown) => Response | Promise<Response>;
}

/** Answers the requests of many connections. */
export class HttpHost {
  /** Requests so far. */
  requests = 0;
  /** How often each limit was reached, by its option's name. */
  readonly limits: Record<string, number> = {};
  readonly #handler: HttpHandler;
  readonly #options: HostOptions;
  readonly #node: Server;
  readonly #connections = new Set<HttpConnection>();
  #closing = false;

  /** Makes a host without connections. */
  constructor(handler: HttpHandler, options: HostOptions) {
    this.#handler = handler;
    this.#options = options;
    this.#node = this.#createNode();
  }

  #createNode(): Server {
    const { headersTimeout, requestTimeout, keepAliveTimeout, maxHeaderSize } = this.#options;
    const interval = Math.min(CHECK_INTERVAL, headersTimeout / CHECKS, requestTimeout / CHECKS);
    const node = createServer({
      maxHeaderSize: Math.min(maxHeaderSize, 0x7fffffff),
      headersTimeout: milliseconds(headersTimeout),
      requestTimeout: milliseconds(requestTimeout),
      keepAliveTimeout: milliseconds(keepAliveTimeout),
      connectionsCheckingInterval: milliseconds(interval),
      requireHostHeader: false, // objection() does: no request behind one without a host may be served
    });
    node.maxHeadersCount = 0; // no limit of their number: their size has one, and node would drop the rest unseen
    // Deno 2.9 closes a connection after each response of a server that does not listen.
    Object.defineProperty(node, "listening", { value: true });
    node.on("request", (request, response) => this.#serveRequest(request, response));
    node.on("checkContinue", (request, response) => this.#serveRequest(request, response, 100));
    node.on("checkExpectation", (request, response) => this.#serveRequest(request, response, 417));
    node.on("connect", (_request, socket) => (socket as unknown as HttpConnection).refuseTunnel());
    node.on("clientError", (error: Error & { code?: unknown }, socket) => {
      const code = String(error.code); // an SSLError's is a number
      const status = STATUS_OF_ERROR[code] ?? (code.startsWith("HPE_") ? 400 : undefined);
      if (status === undefined) return socket.destroy(error);
      const connection = socket as unknown as HttpConnection;
      if (status === 431) this.#reached("maxHeaderSize");
      if (status === 408) this.#reached(connection.isReceiving ? "requestTimeout" : "headersTimeout");
      connection.stopParsing(status);
    });
    node.emit("listening"); // starts the clock of headersTimeout and requestTimeout
    return node;
  }

  /**
   * Serves a connection.
   *
   * @param duplex The connection.
   * @param holding Takes what tells how many bytes wait in it.
   * @returns Settles when it is closed; never fails.
   */
  async serve(duplex: Duplex, holding?: (held: () => number) => void): Promise<void> {
    const connection = new HttpConnection(duplex, {
      ...this.#options,
      onLimit: (limit) => this.#reached(limit),
    });
    holding?.(() => connection.held);
    this.#connections.add(connection);
    this.#node.emit("connection", connection);
    if (this.#closing) connection.closeSoon();
    await connection.released;
    this.#connections.delete(connection);
  }

  #reached(limit: string): void {
    increment(this.limits, limit);
  }

  /** Closes the connections, those with requests under way after these. */
  closeSoon(): void {
    this.#closing = true;
    for (const connection of this.#connections) connection.closeSoon();
  }

  /** Drops the connections. */
  abort(): void {
    for (const connection of this.#connections) connection.destroy(new Error("The server was aborted"));
  }

  /** Stops the clock. */
  stop(): void {
    this.#node.close();
  }

  // ---- Requests ---------------------------------------------------------------------------------------

  #serveRequest(incoming: IncomingMessage, outgoing: ServerResponse, interim?: 100 | 417): void {
    const { maxBodySize, maxRequestsPerSocket } = this.#options;
    const connection = connectionOf(incoming);
    if (!connection.track(incoming, outgoing)) return;
    this.requests++;
    // Node's own limit says "Connection: close", and leaves it to the client to do so.
    if (++connection.requests >= maxRequestsPerSocket) {
      this.#reached("maxRequestsPerSocket");
      connection.closeSoon();
    }
    const status = interim === 417 ? 417 : objection(incoming, maxBodySize);
    if (status === 413) this.#reached("maxBodySize");
    if (status !== undefined) return connection.refuse(outgoing, status);
    let request: Request;
    try {
      request = requestOf(incoming, outgoing);
    } catch {
      return connection.refuse(outgoing, 400);
    }
    limitBody(incoming, outgoing, maxBodySize, () => this.#reached("maxBodySize"));
    if (interim === 100) outgoing.writeContinue();
    this.#answer(request, connection, outgoing)
      .catch((error) => outgoing.destroy(error))
      .finally(() => connection.done());
  }

  async #answer(request: Request, connection: HttpConnection, outgoing: ServerResponse): Promise<void> {
    const turn = connection.turn();
    if (turn !== undefined) await turn;
    if (connection.destroyed) return;
    try {
      await send(outgoing, asResponse(await this.#handler(request, connection.info)));
    } catch (error) {
      if (outgoing.destroyed || request.signal.aborted) return; // the client has left, or was refused
      const begun = outgoing.headersSent;
      await send(outgoing, await this.#failed(error));
      if (begun) outgoing.destroy(error as Error); // without a close_notify: the client can tell
    }
  }

  async #failed(error: unknown): Promise<Response> {
    try {
      return asResponse(await this.#options.onError(error));
    } catch (second) {
      console.error("Uncaught in onError:", second);
      return new Response(null, { status: 500 });
    }
  }
}

function asResponse(value: unknown): Response {
  if (!(value instanceof Response)) {
    throw new TypeError(`Cannot send a response: expected a Response, got ${typeName(value)}`);
  }
  if (value.bodyUsed) throw new TypeError("Cannot send a response: its body was used");
  return value;
}

/** Node's form of a timeout: 0 is none, and so is what is too long for a timer. */
function milliseconds(seconds: number): number {
  return seconds > LONGEST_TIMER ? 0 : Math.ceil(seconds * 1000);
}
