/**
 * asyncio's face: {@linkcode startServer}, {@linkcode openConnection} and their unix pair. The only layer, with http,
 * that listens and connects.
 *
 * @module
 */

import { tryClose } from "./accept.ts";
import { assertSize } from "./byte_queue.ts";
import { assertOptions, assertSeconds, assertType, typeName } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { Duplex } from "./duplex.ts";
import {
  type ConnectionHandler,
  HANDSHAKE_TIMEOUT,
  type ServeOptions,
  Server,
  SHUTDOWN_TIMEOUT,
} from "./server.ts";
import type { SSLSession } from "./session.ts";
import { SSLSocket } from "./socket.ts";
import type { SocketOptions } from "./socket_options.ts";
import { partsOf } from "./context_options.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "./ssl.ts";
import { openStreams, type StreamOptions, type StreamReader, StreamWriter } from "./streams.ts";
import { assertSharing, type WorkerOptions, WorkerServer } from "./workers.ts";

const CONNECT_TIMEOUT = 60; // seconds
const BACKLOG = 4096; // connections; Go's and the kernel's. asyncio has 100, which a burst overflows: then clients wait a second

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
  /** The session to resume. */
  savedSession?: SSLSession | Uint8Array;
  /** The first bytes to write, as early data if the session allows it: see {@linkcode SocketOptions.earlyData}. */
  earlyData?: Uint8Array;
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
 * @throws {TypeError} An option that is wrong or missing; nothing was connected then.
 * @throws {SSLError} If the handshake fails or takes too long; the connection is closed then.
 * @throws {Deno.errors.TimedOut} If it takes longer than `connectTimeout` to connect.
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
  const { ssl = false, limit, connectTimeout = CONNECT_TIMEOUT } = options;
  assertSeconds("connectTimeout", connectTimeout);
  if (limit !== undefined) assertSize("limit", limit, 1);
  const parts = partsOf(typeof ssl === "boolean" || ssl instanceof SSLContext ? {} : ssl);
  const given = parts.socket;
  const tls = {
    ...given,
    serverHostname: options.serverHostname ?? given.serverHostname ?? hostname,
    timeout: options.sslHandshakeTimeout ?? given.timeout ?? HANDSHAKE_TIMEOUT,
    shutdownTimeout: options.sslShutdownTimeout ?? given.shutdownTimeout ?? SHUTDOWN_TIMEOUT,
    signal: options.signal ?? given.signal,
    ...(options.savedSession && { savedSession: options.savedSession }),
    ...(options.earlyData && { earlyData: options.earlyData }),
  } as SocketOptions;
  assertSeconds("sslHandshakeTimeout", tls.timeout);
  assertSeconds("sslShutdownTimeout", tls.shutdownTimeout);

  // Options that are wrong fail before anything connects.
  using own = ssl === false || ssl instanceof SSLContext ? undefined : await SSLContext.create(parts.context);
  const context = ssl instanceof SSLContext ? ssl : own;
  if (context?.serverSide) throw new TypeError("Cannot use ssl: the context is a server's");
  if (context !== undefined) SSLContext.check(context, tls);

  const conn = await connectInTime(connect, connectTimeout, tls.signal);
  try {
    return streamsOf(context === undefined ? conn : await context.wrapSocket(conn, tls), limit);
  } catch (error) {
    tryClose(conn);
    throw error;
  }
}

async function connectInTime(
  connect: (signal: AbortSignal) => Promise<Deno.Conn>,
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<Deno.Conn> {
  signal?.throwIfAborted();
  const attempt = new AbortController();
  const connecting = connect(attempt.signal);
  const late = () => new Deno.errors.TimedOut(`Cannot connect: timed out after ${seconds} seconds`);
  try {
    return await inTime(connecting, seconds, late, signal);
  } catch (error) {
    attempt.abort();
    connecting.then(tryClose, () => {}); // it may have connected all the same
    throw error;
  }
}

function streamsOf(
  duplex: Duplex,
  limit: number | undefined,
  upgraded?: (duplex: Duplex) => void, // by a server
): [StreamReader, Writer] {
  const options: StreamOptions<StartTlsOptions> = {
    extraInfo: tlsInfo,
    upgrade: async (transport, given) => {
      const serverSide = upgraded !== undefined;
      if (given.context instanceof SSLContext && given.context.serverSide !== serverSide) {
        const [theirs, ours] = serverSide ? ["client", "server"] : ["server", "client"];
        throw new TypeError(`Cannot startTls(): the context is a ${theirs}'s, this end is the ${ours}`);
      }
      const socket = await wrapSocket(transport, given.context ? given : { ...given, serverSide });
      upgraded?.(socket);
      return socket;
    },
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

/** Where to listen. */
export interface ListenOptions {
  /** The address. @default {"0.0.0.0"} */
  hostname?: string;
  /** The port; 0 takes a free one. */
  port: number;
  /** Connections that wait to be accepted. @default {4096, or what the system allows; 5 with a device's profile} */
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
export async function startServer(callback: ClientConnected, options: StartServerOptions): Promise<Server>;
/**
 * The same with several Workers on one port, each with a processor, a TLS core and an instance of the module of its own.
 * Sessions of one resume with any.
 *
 * The module exports the callback as its default. Its export `options`, if there is one, goes over those that are given
 * here: it is the place for what cannot cross to a Worker, such as functions and an `SSLContext`. Files of `ssl` are read
 * once, here. `onError` is told of crashes, too (`phase: "worker"`); a worker that crashed is started again.
 *
 * The kernel spreads the connections (`SO_REUSEPORT`): on Linux evenly; on macOS one worker may get them all; Windows
 * cannot. Deno needs `--unstable-net`, and `--allow-read` (or, for remote modules, `--allow-import`) for this library's
 * Worker and for the module.
 *
 * @param module The URL of the module.
 * @param options How many workers; where to listen, and TLS.
 * @returns The server, all of whose workers are serving.
 * @throws {TypeError} An option that cannot cross to a Worker, or a module without such an export; the message names it.
 * @throws {Deno.errors.AddrInUse} If the port is taken; with `reusePort` other processes may share it.
 * @throws {Deno.errors.NotSupported} Without `--unstable-net`, and on Windows.
 *
 * @example One worker for each processor
 * ```ts no-assert ignore
 * import { startServer } from "tlsio";
 *
 * // echo.ts: export default async (reader: StreamReader, writer: Writer) => { ... };
 * const server = await startServer(new URL("./echo.ts", import.meta.url), {
 *   workers: navigator.hardwareConcurrency,
 *   port: 8443,
 *   ssl: { certfile: "cert.pem", keyfile: "key.pem" },
 * });
 * await server.serveForever();
 * ```
 */
export async function startServer(
  module: string | URL,
  options: StartServerOptions & WorkerOptions,
): Promise<WorkerServer>;
export async function startServer(
  handler: ClientConnected | string | URL,
  options: StartServerOptions & Partial<WorkerOptions>,
): Promise<Server | WorkerServer> {
  assertOptions(options);
  const { workers, onError, ...shared } = options;
  if (workers !== undefined) {
    const drain = options.sslShutdownTimeout ?? SHUTDOWN_TIMEOUT;
    return await WorkerServer.start("streams", handler, { ...shared, workers }, { drain, onError });
  }
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot use callback: expected a function without workers, got ${typeName(handler)}`);
  }
  return await Server.start(
    streamHandler(handler, options.limit),
    (backlog) => listen(options, backlog),
    options,
  );
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
  assertOptions(options);
  const { path } = options;
  return await Server.start(
    streamHandler(callback, options.limit),
    () => Deno.listen({ transport: "unix", path }),
    options,
  );
}

/** A TCP listener; `usual` is the backlog where the options name none. */
export function listen(
  { hostname = "0.0.0.0", port, backlog, reusePort = false }: ListenOptions,
  usual = BACKLOG,
): Deno.Listener {
  assertType("reusePort", "boolean", reusePort);
  if (backlog !== undefined) assertSize("backlog", backlog, 0);
  if (reusePort) assertSharing();
  return Deno.listen({ hostname, port, tcpBacklog: backlog ?? usual, ...(reusePort && { reusePort }) });
}

function streamHandler(callback: ClientConnected, limit: number | undefined): ConnectionHandler {
  if (limit !== undefined) assertSize("limit", limit, 1);
  return async (socket, upgraded, holding) => {
    const [reader, writer] = streamsOf(socket, limit, upgraded);
    holding(() => StreamWriter.held(writer));
    const done = callback(reader, writer);
    if (done === undefined) return await writer.waitClosed();
    try {
      await done;
    } catch (error) {
      writer.abort();
      throw error;
    }
    writer.close();
    await writer.waitClosed().catch(() => {}); // the peer is gone, and the callback has had its say
  };
}
