/**
 * asyncio's face: {@linkcode startServer}, {@linkcode openConnection} and their unix pair. The only layer, with http,
 * that listens and connects.
 *
 * @module
 */

import { deadline, delay } from "./_std/async.js";
import { assertSeconds } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import { SSLError } from "./errors.ts";
import { SSLSocket } from "./socket.ts";
import { type ContextOptions, SSLContext, wrapSocket, type WrapSocketOptions } from "./ssl.ts";
import { openStreams, type StreamOptions, type StreamReader, type StreamWriter } from "./streams.ts";

const CONNECT_TIMEOUT = 60; // seconds
const HANDSHAKE_TIMEOUT = 60; // seconds; asyncio's SSL_HANDSHAKE_TIMEOUT, nginx's client_header_timeout
const SHUTDOWN_TIMEOUT = 30; // seconds; asyncio's SSL_SHUTDOWN_TIMEOUT
const BACKLOG = 100; // connections; asyncio's
const MAX_CONNECTIONS = 10_000; // at some 40 KiB each, 400 MiB
const MAX_HANDSHAKES = 1_000; // half-open: below the connections, so that a flood of them leaves room for the rest
const ACCEPT_BACKOFF = 0.1; // seconds to wait when no connection can be accepted (out of file descriptors)

/** Options of `StreamWriter.startTls()` for the connections of this module. */
export type StartTlsOptions = Omit<WrapSocketOptions, "initialData" | "serverSide">;

/** A StreamWriter that can start TLS. */
export type Writer = StreamWriter<StartTlsOptions>;

/** Options that {@linkcode openConnection} and {@linkcode openUnixConnection} share. */
export interface OpenOptions {
  /** `true`: TLS with the default trust; a context, or the options of one. @default {plain bytes} */
  ssl?: boolean | SSLContext | Omit<WrapSocketOptions, "context" | "serverSide" | "initialData">;
  /** The host for SNI and the check of the certificate. @default {hostname} */
  serverHostname?: string;
  /** Seconds for the TLS handshake. @default {60} */
  sslHandshakeTimeout?: number;
  /** Seconds to wait for the peer's close_notify. @default {30} */
  sslShutdownTimeout?: number;
  /** Seconds to connect. @default {60} */
  connectTimeout?: number;
  /** Longest line that the reader takes, in bytes. @default {65536} */
  limit?: number;
  /** Ends the attempt early. */
  signal?: AbortSignal;
}

/** Options of {@linkcode openConnection}. */
export interface OpenConnectionOptions extends OpenOptions {
  /** A host name or IP address. */
  hostname: string;
  /** The port. */
  port: number;
}

/** Options of {@linkcode openUnixConnection}. */
export interface OpenUnixConnectionOptions extends OpenOptions {
  /** The socket's path. */
  path: string;
}

/**
 * Connects, with TLS if asked: asyncio's `open_connection`.
 *
 * @param options Where to, and how.
 * @returns The two streams.
 * @throws {SSLError} If the handshake fails or takes too long; the connection is closed then.
 * @throws {Deno.errors.ConnectionRefused} And what else `Deno.connect` throws.
 *
 * @example A server that answers in capitals
 * ```ts
 * import { openConnection, startServer } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await startServer(async (reader, writer) => {
 *   writer.write(new TextDecoder().decode(await reader.readline()).toUpperCase());
 *   await writer.drain();
 * }, { hostname: "127.0.0.1", port: 0 });
 * const { port } = server.addr as Deno.NetAddr;
 * const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port });
 * writer.write("hello\n");
 * assertEquals(new TextDecoder().decode(await reader.readline()), "HELLO\n");
 * writer.close();
 * await writer.waitClosed();
 * ```
 */
export async function openConnection(options: OpenConnectionOptions): Promise<[StreamReader, Writer]> {
  const { hostname, port } = options;
  return await open(options, hostname, (signal) => Deno.connect({ hostname, port, signal }));
}

/**
 * Connects to a unix socket, with TLS if asked: asyncio's `open_unix_connection`.
 *
 * @param options Where to, and how. TLS needs `serverHostname`.
 * @returns The two streams.
 */
export async function openUnixConnection(
  options: OpenUnixConnectionOptions,
): Promise<[StreamReader, Writer]> {
  const { path } = options;
  return await open(options, undefined, () => Deno.connect({ transport: "unix", path }));
}

async function open(
  options: OpenOptions,
  hostname: string | undefined,
  connect: (signal: AbortSignal) => Promise<Deno.Conn>,
): Promise<[StreamReader, Writer]> {
  const { ssl = false, connectTimeout = CONNECT_TIMEOUT, serverHostname = hostname, signal } = options;
  assertSeconds("connectTimeout", connectTimeout);
  const tls: WrapSocketOptions = {
    ...(ssl instanceof SSLContext ? { context: ssl } : ssl === true ? {} : ssl || {}),
    timeout: options.sslHandshakeTimeout ?? HANDSHAKE_TIMEOUT,
    shutdownTimeout: options.sslShutdownTimeout ?? SHUTDOWN_TIMEOUT,
    ...(signal && { signal }),
  };
  if (serverHostname !== undefined) tls.serverHostname ??= serverHostname;
  // A context with wrong options fails before anything connects.
  using own = ssl === false || ssl instanceof SSLContext
    ? undefined
    : await contextOf(ssl === true ? {} : ssl);
  const attempt = new AbortController();
  const conn = await deadline(
    connect(AbortSignal.any([attempt.signal, ...(signal ? [signal] : [])])),
    connectTimeout * 1000,
  )
    .catch((error) => {
      attempt.abort();
      throw error;
    });
  if (ssl === false) return streamsOf(conn, false, options.limit);
  try {
    const context = ssl instanceof SSLContext ? ssl : own!;
    return streamsOf(await context.wrapSocket(conn, connectionPart(tls)), false, options.limit);
  } catch (error) {
    tryClose(conn);
    throw error;
  }
}

/** The options of one connection among those of `wrapSocket`. */
function connectionPart(options: WrapSocketOptions): WrapSocketOptions {
  const { serverHostname, savedSession, doHandshake, timeout, shutdownTimeout, signal, suppressRaggedEofs } =
    options;
  return Object.fromEntries(
    Object.entries({
      serverHostname,
      savedSession,
      doHandshake,
      timeout,
      shutdownTimeout,
      signal,
      suppressRaggedEofs,
    })
      .filter(([, value]) => value !== undefined),
  );
}

async function contextOf(options: WrapSocketOptions): Promise<SSLContext> {
  const own = new Set(Object.keys(connectionPart(options)));
  const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !own.has(name)));
  return await SSLContext.create(rest as ContextOptions);
}

function streamsOf(duplex: Duplex, serverSide: boolean, limit: number | undefined): [StreamReader, Writer] {
  const options: StreamOptions<StartTlsOptions> = {
    extraInfo: tlsInfo,
    upgrade: (transport, given) => wrapSocket(transport, given.context ? given : { ...given, serverSide }),
    ...(limit !== undefined && { limit }),
  };
  return openStreams(duplex, options);
}

/** What asyncio's `get_extra_info` knows of a TLS connection. */
function tlsInfo(name: string, transport: Duplex): unknown {
  if (!(transport instanceof SSLSocket)) return undefined;
  switch (name) {
    case "sslObject":
      return transport;
    case "cipher":
      return transport.cipher();
    case "peercert":
      return transport.getpeercert();
    default:
      return undefined;
  }
}

function tryClose(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // closed already
  }
}

// ---- Servers --------------------------------------------------------------------------------------------

/** What a server counts. */
export interface ServerStats {
  /** Connections accepted since the start. */
  accepted: number;
  /** Connections closed at once because a limit was reached. */
  refused: number;
  /** Handshakes under way. */
  handshaking: number;
  /** Connections whose handshake is done and that are open. */
  open: number;
  /** Handshakes that failed, since the start. */
  handshakeFailures: number;
  /** Those by reason: `"MBEDTLS_ERR_SSL_TIMEOUT"` ... */
  failures: Record<string, number>;
}

/** What went wrong with one connection of a server. */
export interface ConnectionFailure {
  /** Where: accepting it, in its handshake, or in the callback. */
  readonly phase: "accept" | "handshake" | "handler";
  /** The peer. */
  readonly remoteAddr?: Deno.Addr;
}

/** Options that all servers share. */
export interface ServeOptions {
  /** TLS: a server's context, or the options of one. @default {plain bytes} */
  ssl?: SSLContext | Omit<ContextOptions, "serverSide">;
  /** Seconds for a TLS handshake. @default {60} */
  sslHandshakeTimeout?: number;
  /** Seconds to wait for a peer's close_notify. @default {30} */
  sslShutdownTimeout?: number;
  /** Connections at once; at the limit a new one is closed at once. @default {10000} */
  maxConnections?: number;
  /** Handshakes at once; at the limit a new connection is closed at once. @default {1000} */
  maxHandshakes?: number;
  /** Told of each failure. @default {a callback's failure is printed, the rest is only counted} */
  onError?: (error: unknown, failure: ConnectionFailure) => void;
}

/** Where to listen. */
export interface ListenOptions {
  /** The address. @default {"0.0.0.0"} */
  hostname?: string;
  /** The port; 0 takes a free one. */
  port: number;
  /** Connections that wait to be accepted. @default {100} */
  backlog?: number;
  /** Let several processes or workers listen on the port (needs `--unstable-net`). @default {false} */
  reusePort?: boolean;
}

/** Options of {@linkcode startServer}. */
export interface StartServerOptions extends ServeOptions, ListenOptions {
  /** Longest line that a reader takes, in bytes. @default {65536} */
  limit?: number;
}

/** Options of {@linkcode startUnixServer}. */
export interface StartUnixServerOptions extends ServeOptions {
  /** The socket's path. */
  path: string;
  /** Longest line that a reader takes, in bytes. @default {65536} */
  limit?: number;
}

/** Handles one connection. When its promise settles, the connection is closed; a plain function closes it itself. */
export type ClientConnected = (reader: StreamReader, writer: Writer) => void | Promise<void>;

/** Handles one connection of a {@linkcode Server} as a Duplex. */
export type ConnectionHandler = (socket: Duplex) => void | Promise<void>;

/**
 * Listens, and runs a callback for each connection: asyncio's `start_server`. Handshakes run beside each other and off the
 * accept path: a peer that fails or stalls costs only itself.
 *
 * @param callback Gets the two streams, once the handshake is done.
 * @param options Where to listen, and TLS.
 * @returns The server, which is serving.
 * @throws {Deno.errors.AddrInUse} If the port is taken.
 * @throws {SSLError} If certificate and key do not parse or match.
 */
export async function startServer(callback: ClientConnected, options: StartServerOptions): Promise<Server> {
  return await Server.start(streamHandler(callback, options.limit), () => listen(options), options);
}

/**
 * Listens on a unix socket, and runs a callback for each connection: asyncio's `start_unix_server`.
 *
 * @param callback Gets the two streams, once the handshake is done.
 * @param options Where to listen, and TLS.
 * @returns The server, which is serving.
 */
export async function startUnixServer(
  callback: ClientConnected,
  options: StartUnixServerOptions,
): Promise<Server> {
  const { path } = options;
  return await Server.start(
    streamHandler(callback, options.limit),
    () => Deno.listen({ transport: "unix", path }),
    options,
  );
}

/** A TCP listener. */
export function listen(
  { hostname = "0.0.0.0", port, backlog = BACKLOG, reusePort = false }: ListenOptions,
): Deno.Listener {
  return Deno.listen({ hostname, port, tcpBacklog: backlog, ...(reusePort && { reusePort }) });
}

function streamHandler(callback: ClientConnected, limit: number | undefined): ConnectionHandler {
  return async (socket) => {
    const [reader, writer] = streamsOf(socket, true, limit);
    const done = callback(reader, writer);
    if (done === undefined) return await writer.waitClosed();
    try {
      await done;
    } catch (error) {
      writer.abort();
      throw error;
    }
    writer.close();
    await writer.waitClosed();
  };
}

/** A server that is listening. */
export class Server implements AsyncDisposable {
  /** What it counts. */
  readonly stats: Readonly<ServerStats>;
  /** Where it listens. */
  readonly addr: Deno.Addr;
  readonly #listener: Deno.Listener;
  readonly #handler: ConnectionHandler;
  readonly #options: ServeOptions;
  readonly #context: SSLContext | undefined;
  readonly #stats: ServerStats;
  readonly #clients = new Set<Duplex>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #serving = true;

  private constructor(
    handler: ConnectionHandler,
    listener: Deno.Listener,
    options: ServeOptions,
    context?: SSLContext,
  ) {
    this.#handler = handler;
    this.#listener = listener;
    this.#options = options;
    this.#context = context;
    this.addr = listener.addr;
    this.#stats = { accepted: 0, refused: 0, handshaking: 0, open: 0, handshakeFailures: 0, failures: {} };
    this.stats = this.#stats;
    this.#accepting = this.#acceptAll();
  }

  /**
   * Starts a server that hands each connection to `handler`.
   *
   * @param handler Runs for each connection, once its handshake is done.
   * @param listen Opens the listener; called when the options have been checked.
   * @param options TLS, limits and timeouts.
   * @returns The server.
   */
  static async start(
    handler: ConnectionHandler,
    listen: () => Deno.Listener,
    options: ServeOptions,
  ): Promise<Server> {
    const { ssl } = options;
    const own = ssl === undefined || ssl instanceof SSLContext
      ? undefined
      : await SSLContext.create({ ...ssl, serverSide: true });
    try {
      if (ssl instanceof SSLContext && !ssl.serverSide) {
        throw new TypeError("Cannot use ssl: the context is a client's");
      }
      return new Server(handler, listen(), { ...options, ...(own && { ssl: own }) }, own);
    } catch (error) {
      own?.[Symbol.dispose]();
      throw error;
    }
  }

  async #acceptAll(): Promise<void> {
    while (this.#serving) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (!this.#serving) break;
        this.#report(error, { phase: "accept" });
        await delay(ACCEPT_BACKOFF * 1000);
        continue;
      }
      this.#stats.accepted++;
      const { maxConnections = MAX_CONNECTIONS, maxHandshakes = MAX_HANDSHAKES } = this.#options;
      if (this.#clients.size >= maxConnections || this.#stats.handshaking >= maxHandshakes) {
        this.#stats.refused++;
        tryClose(conn);
        continue;
      }
      const task = this.#serve(conn).finally(() => this.#tasks.delete(task));
      this.#tasks.add(task);
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const { remoteAddr } = conn;
    this.#clients.add(conn);
    const socket = await this.#handshake(conn, remoteAddr);
    this.#clients.delete(conn);
    if (socket === undefined) return;
    this.#clients.add(socket);
    this.#stats.open++;
    try {
      await this.#handler(socket);
    } catch (error) {
      this.#report(error, { phase: "handler", remoteAddr });
    } finally {
      this.#stats.open--;
      this.#clients.delete(socket);
      if (socket instanceof SSLSocket) socket.abort(); // a no-op after the handler's close
      else tryClose(conn);
    }
  }

  async #handshake(conn: Deno.Conn, remoteAddr: Deno.Addr): Promise<Duplex | undefined> {
    const { ssl, sslHandshakeTimeout, sslShutdownTimeout } = this.#options;
    if (ssl === undefined) {
      (conn as Duplex).setNoDelay?.(true);
      return conn;
    }
    this.#stats.handshaking++;
    try {
      return await (ssl as SSLContext).wrapSocket(conn, {
        timeout: sslHandshakeTimeout ?? HANDSHAKE_TIMEOUT,
        shutdownTimeout: sslShutdownTimeout ?? SHUTDOWN_TIMEOUT,
      });
    } catch (error) {
      this.#stats.handshakeFailures++;
      const reason = error instanceof SSLError
        ? error.alert?.name ?? (error.reason || error.kind)
        : String(error);
      this.#stats.failures[reason] = (this.#stats.failures[reason] ?? 0) + 1;
      this.#report(error, { phase: "handshake", remoteAddr });
      tryClose(conn);
      return undefined;
    } finally {
      this.#stats.handshaking--;
    }
  }

  #report(error: unknown, failure: ConnectionFailure): void {
    if (this.#options.onError !== undefined) this.#options.onError(error, failure);
    else if (failure.phase === "handler") console.error("Uncaught in a connection's handler:", error);
  }

  /** The addresses it listens on. */
  get sockets(): readonly Deno.Addr[] {
    return this.#serving ? [this.addr] : [];
  }

  /** Whether it accepts connections. */
  isServing(): boolean {
    return this.#serving;
  }

  /** Waits until the server is closed. */
  async serveForever(): Promise<void> {
    await this.#accepting;
  }

  /** Stops listening. Open connections go on. */
  close(): void {
    if (!this.#serving) return;
    this.#serving = false;
    this.#listener.close();
    this.#context?.[Symbol.dispose]();
  }

  /** Closes the open connections, each with its close_notify. */
  closeClients(): void {
    for (const client of this.#clients) client.close();
  }

  /** Drops the open connections. */
  abortClients(): void {
    for (const client of this.#clients) {
      if (client instanceof SSLSocket) client.abort();
      else client.close();
    }
  }

  /** Waits until the server is closed and every connection is done. */
  async waitClosed(): Promise<void> {
    await this.#accepting;
    await Promise.all(this.#tasks);
  }

  /** Closes the server, lets the connections finish for the shutdown timeout, then drops them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    const grace = (this.#options.sslShutdownTimeout ?? SHUTDOWN_TIMEOUT) * 1000;
    await deadline(this.waitClosed(), grace).catch(() => this.abortClients());
    await this.waitClosed();
  }
}
