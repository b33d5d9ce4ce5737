/**
 * HTTPS: {@linkcode serve} runs a `(Request) => Response` handler over TLS, or over plain TCP.
 *
 * HTTP/1.1 with keep-alive and streaming bodies. `node:http` parses, over this library's streams; it never listens.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server as NodeServer, type ServerResponse } from "node:http";
import { deadline } from "./_std/async.js";
import { HttpConnection, type ServeInfo } from "./_http_connection.ts";
import {
  connectionOf,
  FramedResponse,
  limitBody,
  objection,
  refuse,
  requestOf,
  send,
} from "./_http_exchange.ts";
import { assertSeconds, typeName } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import { listen, type ListenOptions } from "./net.ts";
import { type ServeOptions, Server, type ServerStats } from "./server.ts";
import { SSLContext } from "./ssl.ts";

export type { ServeInfo, ServeTlsInfo } from "./_http_connection.ts";

const TLS_PORT = 8443;
const PLAIN_PORT = 8000; // Deno.serve's
const MAX_HEADER_SIZE = 16384; // bytes; node's: cookies and tokens fit, and 10 000 connections are 160 MiB at worst
const MAX_BODY_SIZE = 64 << 20; // bytes; what a handler may hold in memory: above nginx's 1 MiB, below a small machine's
const HEADERS_TIMEOUT = 60; // seconds; node's and nginx's
const REQUEST_TIMEOUT = 300; // seconds; node's
const KEEP_ALIVE_TIMEOUT = 60; // seconds; nginx's 75, below: a handshake costs more than an idle connection's 40 KiB
const SEND_TIMEOUT = 60; // seconds; nginx's
const CLOSE_NOTIFY_TIMEOUT = 5; // seconds; nginx's lingering_timeout
const SHUTDOWN_TIMEOUT = 30; // seconds; what container runtimes leave between SIGTERM and SIGKILL
const CHECKS = 4; // per timeout: how exact headersTimeout and requestTimeout are
const LONGEST_CHECK = 1; // seconds between checks

/** Parse errors that have a status of their own. */
const STATUS_OF_ERROR: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Answers a request. */
export type HttpHandler = (request: Request, info: ServeInfo) => Response | Promise<Response>;

/** Options of {@linkcode serve}. All times are in seconds, all sizes in bytes; `Infinity` is no limit. */
export interface HttpServeOptions extends Omit<ServeOptions, "onError">, Partial<ListenOptions> {
  /** The port; 0 takes a free one. @default {8443 with `ssl`, 8000 without} */
  port?: number;
  /** Seconds to wait for a client to close its side, too. @default {5} */
  sslShutdownTimeout?: number;
  /** Bytes of a request's line and headers; more: 431. @default {16384} */
  maxHeaderSize?: number;
  /** Bytes of a request's body, however it is framed; more: 413. @default {67108864} */
  maxBodySize?: number;
  /** Requests on one connection before it is closed. @default {Infinity} */
  maxRequestsPerSocket?: number;
  /** Seconds from the start of a request, or of a connection, to the end of its headers; more: 408. @default {60} */
  headersTimeout?: number;
  /** Seconds from the start of a request to the end of its body; more: 408. @default {300} */
  requestTimeout?: number;
  /** Seconds that a connection stays open without a request; node adds one. @default {60} */
  keepAliveTimeout?: number;
  /** Seconds that a client may take to receive 128 KiB; more: it is dropped. @default {60} */
  sendTimeout?: number;
  /** Seconds that {@linkcode HttpServer.close} leaves to requests under way. @default {30} */
  shutdownTimeout?: number;
  /** Closes the server when it is aborted, as {@linkcode HttpServer.close} does. */
  signal?: AbortSignal;
  /** Called once, with the address that the server listens on. */
  onListen?: (addr: Deno.Addr) => void;
  /**
   * Makes a response of what a handler threw. It is also told of a response that fails when its head is already sent;
   * then the connection is dropped. Not of clients that leave. @default {prints the error; 500 without details}
   */
  onError?: (error: unknown) => Response | Promise<Response>;
  /** Told of connections that fail before HTTP: in `accept()` or in the handshake. @default {they are counted} */
  onConnectionError?: NonNullable<ServeOptions["onError"]>;
}

/** What an {@linkcode HttpServer} counts. */
export interface HttpServerStats extends ServerStats {
  /** Requests since the start, refused ones included. */
  requests: number;
}

/**
 * Serves HTTP/1.1 over TLS: `Deno.serve`'s handler, with this library's TLS options (client certificates, resumption, old
 * clients). The limits and timeouts of {@linkcode HttpServeOptions} hold without a reverse proxy. An upgrade to a WebSocket
 * is answered with 501.
 *
 * With the options of a context, ALPN offers `"http/1.1"` unless they say otherwise.
 *
 * @param handler Answers a request. What it throws goes to `onError`. When the client leaves, `request.signal` is aborted and
 *   the body of the response is cancelled.
 * @param options Where to listen, TLS, limits and timeouts.
 * @returns The server, which is serving.
 * @throws {TypeError} An option of the wrong type.
 * @throws {RangeError} An option out of range.
 * @throws {Deno.errors.AddrInUse} If the port is taken.
 * @throws {SSLError} If certificate and key do not parse or match.
 *
 * @example A server and its client
 * ```ts
 * import { createCertificate, serve } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["127.0.0.1"], isCA: true });
 * await using server = await serve(
 *   (request, info) => new Response(`${new URL(request.url).pathname} by ${info.tls?.version}`),
 *   { hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: key } },
 * );
 * const { port } = server.addr as Deno.NetAddr;
 * using client = Deno.createHttpClient({ caCerts: [certificate] });
 * const response = await fetch(`https://127.0.0.1:${port}/hello`, { client });
 * assertEquals(await response.text(), "/hello by TLSv1.3");
 * ```
 */
export async function serve(handler: HttpHandler, options: HttpServeOptions = {}): Promise<HttpServer> {
  return await HttpServer.start(handler, options);
}

/** An HTTP server that is listening. */
export class HttpServer implements AsyncDisposable {
  /** Settles when the server is closed and every connection is done. */
  readonly finished: Promise<void>;
  readonly #handler: HttpHandler;
  readonly #options: HttpServeOptions;
  readonly #node: NodeServer;
  readonly #connections = new Set<HttpConnection>();
  #server!: Server;
  #requests = 0;
  #closing: Promise<void> | undefined;
  #finish!: () => void;

  private constructor(handler: HttpHandler, options: HttpServeOptions) {
    this.#handler = handler;
    this.#options = options;
    this.#node = this.#createParser();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  /**
   * Starts a server. {@linkcode serve} is the same.
   *
   * @param handler Answers a request.
   * @param options Where to listen, TLS, limits and timeouts.
   * @returns The server.
   */
  static async start(handler: HttpHandler, options: HttpServeOptions = {}): Promise<HttpServer> {
    if (typeof handler !== "function") {
      throw new TypeError(`Cannot use handler: expected a function, got ${typeName(handler)}`);
    }
    checkOptions(options);
    const { signal, onListen, onConnectionError, onError: _, ...rest } = options;
    signal?.throwIfAborted();
    const { ssl, port = ssl === undefined ? PLAIN_PORT : TLS_PORT } = rest;
    const server = new HttpServer(handler, options);
    server.#server = await Server.start((duplex) => server.#serve(duplex), () => listen({ ...rest, port }), {
      sslShutdownTimeout: CLOSE_NOTIFY_TIMEOUT,
      ...rest,
      ...(ssl && { ssl: ssl instanceof SSLContext ? ssl : { ...ssl, alpnProtocols: alpnOf(ssl) } }),
      ...(onConnectionError && { onError: onConnectionError }),
    });
    server.#node.emit("listening"); // starts the clock of headersTimeout and requestTimeout
    signal?.addEventListener("abort", server.#onAbort);
    if (signal?.aborted) server.#onAbort();
    onListen?.(server.addr);
    return server;
  }
}
