/**
 * HTTPS: {@linkcode serve} runs a `(Request) => Response` handler over TLS, or over plain TCP.
 *
 * HTTP/1.1 with keep-alive and streaming bodies. `node:http` parses, over this library's streams; it never listens.
 *
 * @module
 */

import type { HostOptions, HttpHandler, HttpHost } from "./_http_host.ts";
import { assertSize } from "./byte_queue.ts";
import { assertOptions, assertSeconds, assertSignal, assertType, typeName } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { Duplex } from "./duplex.ts";
import { listen, type ListenOptions } from "./net.ts";
import { type ServeOptions, Server } from "./server.ts";
import type { ServerStats } from "./server_stats.ts";
import { defaultAlpn, resolveProfile } from "./profile.ts";
import { SSLSocket } from "./socket.ts";
import { SSLContext } from "./ssl.ts";
import { type WorkerOptions, WorkerServer } from "./workers.ts";

export type { ServeInfo, ServeTlsInfo } from "./_http_connection.ts";
export type { HttpHandler } from "./_http_host.ts";

const TLS_PORT = 8443;
const PLAIN_PORT = 8000; // Deno.serve's
const MAX_HEADER_SIZE = 16384; // bytes; node's: cookies and tokens fit, and 10 000 connections are 160 MiB at worst
const MAX_BODY_SIZE = 64 << 20; // bytes; what a handler may hold in memory: above nginx's 1 MiB, below a small machine's
const HEADERS_TIMEOUT = 60; // seconds; node's and nginx's
const REQUEST_TIMEOUT = 300; // seconds; node's
const KEEP_ALIVE_TIMEOUT = 60; // seconds; nginx's 75, below: a handshake costs more than an idle connection's 40 KiB
const SEND_TIMEOUT = 60; // seconds; nginx's
const MIN_DATA_RATE = 240; // bytes a second; Kestrel's: a modem sends ten times as much
const CLOSE_NOTIFY_TIMEOUT = 5; // seconds; nginx's lingering_timeout
const SHUTDOWN_TIMEOUT = 30; // seconds; what container runtimes leave between SIGTERM and SIGKILL

/** Options of {@linkcode serve}. All times are in seconds, all sizes in bytes; `Infinity` is no limit. */
export interface HttpServeOptions
  extends Omit<ServeOptions, "onError" | "idleTimeout">, Partial<ListenOptions> {
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
  /**
   * Bytes a second that a client must send of a request's body while it is waited for, after 5 seconds that are free; slower:
   * 408. 0 is no limit. @default {240}
   */
  minDataRate?: number;
  /** Seconds that {@linkcode HttpServer.close} leaves to requests under way. @default {30} */
  shutdownTimeout?: number;
  /** Closes the server when it is aborted, as {@linkcode HttpServer.close} does. */
  signal?: AbortSignal;
  /** Called once, with the address that the server listens on. */
  onListen?: (addr: Deno.Addr) => void;
  /**
   * Makes a response of what a handler threw, or the stream of its response before the first byte. It is also told of a
   * stream that fails later; then the connection is dropped. Not of clients that leave. @default {prints the error; 500 without details}
   */
  onError?: (error: unknown) => Response | Promise<Response>;
  /** Told of connections that fail before HTTP: in `accept()` or in the handshake. @default {they are counted} */
  onConnectionError?: NonNullable<ServeOptions["onError"]>;
}

/** What an {@linkcode HttpServer} counts. */
export interface HttpServerStats extends ServerStats {
  /** Requests since the start; those that were refused are among them, what could not be parsed is not. */
  requests: number;
}

/**
 * Serves HTTP/1.1 over TLS: `Deno.serve`'s handler, with this library's TLS options (client certificates, resumption, old
 * clients). The limits and timeouts of {@linkcode HttpServeOptions} hold without a reverse proxy. An upgrade to a WebSocket
 * is answered with 501.
 *
 * With the options of a context, ALPN offers `"http/1.1"` and `"http/1.0"` unless they say otherwise.
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
 * import { createCertificate } from "tlsio";
 * import { serve } from "tlsio/http";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["127.0.0.1"] });
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
export async function serve(handler: HttpHandler, options?: HttpServeOptions): Promise<HttpServer>;
/**
 * The same with several Workers on one port: see `startServer()` for what this needs and how the port is shared.
 *
 * The module exports the handler as its default, and `onError`, which makes responses, in its export `options`.
 * `onConnectionError` is told of crashes, too (`phase: "worker"`); a worker that crashed is started again.
 *
 * @param module The URL of the module.
 * @param options How many workers; where to listen, TLS, limits and timeouts.
 * @returns The server, all of whose workers are serving.
 * @throws {TypeError} An option that cannot cross to a Worker, or a module without such an export; the message names it.
 * @throws {Deno.errors.AddrInUse} If the port is taken; with `reusePort` other processes may share it.
 * @throws {Deno.errors.NotSupported} Without `--unstable-net`, and on Windows.
 *
 * @example One worker for each processor
 * ```ts no-assert ignore
 * import { serve } from "tlsio/http";
 *
 * // app.ts: export default (request: Request) => new Response("Hello");
 * const server = await serve(new URL("./app.ts", import.meta.url), {
 *   workers: navigator.hardwareConcurrency,
 *   ssl: { certfile: "cert.pem", keyfile: "key.pem" },
 * });
 * await server.finished;
 * ```
 */
export async function serve(
  module: string | URL,
  options: HttpServeOptions & WorkerOptions,
): Promise<WorkerServer<HttpServerStats>>;
export async function serve(
  handler: HttpHandler | string | URL,
  options: HttpServeOptions & Partial<WorkerOptions> = {},
): Promise<HttpServer | WorkerServer<HttpServerStats>> {
  assertOptions(options);
  const { workers, signal, onListen, onConnectionError, ...shared } = options;
  if (workers === undefined) return await HttpServer.start(handler as HttpHandler, options);
  const server = await WorkerServer.start<HttpServerStats>(
    "http",
    handler,
    { ...shared, workers, port: shared.port ?? (shared.ssl === undefined ? PLAIN_PORT : TLS_PORT) },
    { drain: shared.shutdownTimeout ?? SHUTDOWN_TIMEOUT, onError: onConnectionError, signal },
  );
  onListen?.(server.addr);
  return server;
}

/** An HTTP server that is listening. */
export class HttpServer implements AsyncDisposable {
  /** Settles when the server is closed and every connection is done. */
  readonly finished: Promise<void>;
  readonly #server: Server;
  readonly #host: HttpHost;
  readonly #shutdownTimeout: number;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, host: HttpHost, shutdownTimeout: number, signal?: AbortSignal) {
    this.#server = server;
    this.#host = host;
    this.#shutdownTimeout = shutdownTimeout;
    const onAbort = () => void this.close();
    this.finished = server.waitClosed().then(() => {
      host.stop();
      signal?.removeEventListener("abort", onAbort);
    });
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
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
    const { signal, onListen, onError, onConnectionError, ssl, ...rest } = options;
    const { port = ssl === undefined ? PLAIN_PORT : TLS_PORT, shutdownTimeout = SHUTDOWN_TIMEOUT } = rest;
    const limits = limitsOf(options, transferTimeout(ssl));
    assertSeconds("shutdownTimeout", shutdownTimeout);
    for (const [name, value] of Object.entries({ onListen, onError, onConnectionError })) {
      assertType(name, "function", value);
    }
    assertSignal("signal", signal);
    signal?.throwIfAborted();
    const { HttpHost } = await import("./_http_host.ts"); // here: it loads node:http, longer than a handshake takes
    const host = new HttpHost(handler, { ...limits, onError: onError ?? internalServerError });
    const starting = Server.start(
      (duplex, _upgraded, holding) => handle(host, duplex, holding),
      (usual) => listen({ ...rest, port }, usual),
      {
        ...rest,
        idleTimeout: Infinity, // a handler may take its time; what a client may take, HTTP's own limits say
        sslShutdownTimeout: limits.lingerTimeout,
        ...(ssl && { ssl: withAlpn(ssl) }),
        ...(onConnectionError && { onError: onConnectionError }),
      },
    );
    const server = await starting.catch((error) => {
      host.stop();
      throw error;
    });
    const started = new HttpServer(server, host, shutdownTimeout, signal);
    onListen?.(started.addr);
    return started;
  }

  /** Where it listens. */
  get addr(): Deno.Addr {
    return this.#server.addr;
  }

  /** What it has counted so far. */
  get stats(): HttpServerStats {
    const { stats } = this.#server;
    return { ...stats, limits: { ...stats.limits, ...this.#host.limits }, requests: this.#host.requests };
  }

  /**
   * Goes on with another context, such as one with a renewed certificate, without dropping a connection: see
   * `Server.setContext()`.
   *
   * @param ssl A server's context, or the options of one; options that are wrong change nothing.
   */
  setContext(ssl: NonNullable<HttpServeOptions["ssl"]>): Promise<void> {
    return this.#server.setContext(withAlpn(ssl));
  }

  /** Waits until the server is closed and every connection is done. */
  async serveForever(): Promise<void> {
    await this.finished;
  }

  /**
   * Closes in good order: accepts no more, closes the idle connections at once and the others after the requests under way.
   * What is left after `shutdownTimeout` is dropped. Calling it again waits for the same.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#server.close();
    this.#server.abortHandshakes();
    this.#host.closeSoon();
    const late = () => new Error("Cannot close the server: requests are under way");
    await inTime(this.finished, this.#shutdownTimeout, late).catch(() => this.abort());
    await this.finished;
  }

  /** Closes at once: drops every connection. Wait for {@linkcode HttpServer.finished}, which is soon. */
  abort(): void {
    this.#server.close();
    this.#host.abort();
    this.#server.abortClients();
  }

  /** Closes in good order: {@linkcode HttpServer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** With a profile that leaves the handshake to the handler it is still to come. */
async function handle(
  host: HttpHost,
  duplex: Duplex,
  holding: (held: () => number) => void,
): Promise<void> {
  if (duplex instanceof SSLSocket && duplex.version() === undefined) await duplex.handshake();
  await host.serve(duplex, holding);
}

/** Seconds that the HTTP server of a profile's device waits for parts of a request; `undefined`: it has none. */
function transferTimeout(ssl: HttpServeOptions["ssl"]): number | undefined {
  const isContext = ssl instanceof SSLContext;
  const behaviour = isContext ? SSLContext.behaviour(ssl) : resolveProfile(ssl?.profile)?.behaviour;
  return behaviour?.transferTimeout;
}

/** The limits, with their defaults; `usual` seconds are a device's. */
function limitsOf(options: HttpServeOptions, usual?: number): Omit<HostOptions, "onError"> {
  const { requestTimeout = REQUEST_TIMEOUT } = options;
  const limits = {
    maxHeaderSize: options.maxHeaderSize ?? MAX_HEADER_SIZE,
    maxBodySize: options.maxBodySize ?? MAX_BODY_SIZE,
    maxRequestsPerSocket: options.maxRequestsPerSocket ?? Infinity,
    headersTimeout: options.headersTimeout ?? Math.min(usual ?? HEADERS_TIMEOUT, requestTimeout),
    requestTimeout,
    keepAliveTimeout: options.keepAliveTimeout ?? KEEP_ALIVE_TIMEOUT,
    sendTimeout: options.sendTimeout ?? usual ?? SEND_TIMEOUT,
    lingerTimeout: options.sslShutdownTimeout ?? CLOSE_NOTIFY_TIMEOUT,
    minDataRate: options.minDataRate ?? MIN_DATA_RATE,
  };
  for (const name of ["requestTimeout", "headersTimeout", "keepAliveTimeout", "sendTimeout"] as const) {
    assertSeconds(name, limits[name]);
  }
  assertSeconds("sslShutdownTimeout", limits.lingerTimeout);
  if (!Number.isFinite(limits.minDataRate)) {
    throw new RangeError(`Cannot use minDataRate: expected bytes a second, got ${limits.minDataRate}`);
  }
  assertSize("minDataRate", limits.minDataRate, 0);
  assertSize("maxHeaderSize", limits.maxHeaderSize, 1);
  assertSize("maxBodySize", limits.maxBodySize, 0);
  assertSize("maxRequestsPerSocket", limits.maxRequestsPerSocket, 1);
  if (limits.headersTimeout > requestTimeout) {
    throw new RangeError(
      `Cannot use headersTimeout: the ${limits.headersTimeout} seconds are more than requestTimeout, ${requestTimeout}`,
    );
  }
  return limits;
}

function withAlpn(options: NonNullable<HttpServeOptions["ssl"]>): typeof options {
  if (options instanceof SSLContext || !options) return options; // the server says that it is none
  const usual = options.alpnProtocols === undefined && defaultAlpn(options.profile, ["http/1.1", "http/1.0"]);
  return { ...options, ...usual };
}

function internalServerError(error: unknown): Response {
  console.error("Uncaught in a request's handler:", error);
  return new Response("Internal Server Error\n", { status: 500 });
}
