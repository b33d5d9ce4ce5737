/**
 * Server: accepts, hands each connection to a callback once its handshake is done, and closes in good order.
 *
 * @module
 */

import { accept, isOutOfDescriptors, taken, tryClose } from "./accept.ts";
import type { Behaviour } from "./behaviour.ts";
import { assertSeconds, assertType, typeName } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { Duplex } from "./duplex.ts";
import { SSLError } from "./errors.ts";
import { Gate, type LimitOptions } from "./gate.ts";
import { Metered } from "./metered.ts";
import { increment, type ServerStats, ServerTally } from "./server_stats.ts";
import { SSLSocket } from "./socket.ts";
import type { SocketOptions } from "./socket_options.ts";
import type { ContextOptions } from "./context_options.ts";
import { SSLContext } from "./ssl.ts";

/** Seconds for a handshake; asyncio's SSL_HANDSHAKE_TIMEOUT, nginx's client_header_timeout. */
export const HANDSHAKE_TIMEOUT = 60;
/** Seconds to wait for a peer's close_notify; asyncio's SSL_SHUTDOWN_TIMEOUT. */
export const SHUTDOWN_TIMEOUT = 30;
const ABORT_GRACE = 1; // seconds that a handler has to notice that its connection was dropped

/** What went wrong with one connection of a server, or with one of its workers. */
export interface ConnectionFailure {
  /** Where: accepting it, in its handshake, in the callback; or a worker has crashed. */
  readonly phase: "accept" | "handshake" | "handler" | "worker";
  /** The peer. */
  readonly remoteAddr?: Deno.Addr;
}

/** Options that all servers share. */
export interface ServeOptions extends LimitOptions {
  /** TLS: a server's context, or the options of one. @default {plain bytes} */
  ssl?: SSLContext | Omit<ContextOptions, "serverSide">;
  /** Seconds for a TLS handshake. @default {60} */
  sslHandshakeTimeout?: number;
  /** Seconds to wait for a peer's close_notify. @default {30} */
  sslShutdownTimeout?: number;
  /**
   * Told of each failure; not of a callback's that comes of closing the server's connections. What it throws, or rejects with, is
   * printed.
   *
   * @default {a callback's failure and a worker's crash are printed, the rest is only counted}
   */
  onError?: (error: unknown, failure: ConnectionFailure) => unknown;
  /** @internal Makes the handshake in place of the server, to watch it: `tlsio serve --trace`. */
  wrap?: (context: SSLContext, conn: Duplex, options: SocketOptions) => Promise<SSLSocket>;
}

/**
 * Handles one connection of a {@linkcode Server} as a Duplex. When its promise settles, the connection is dropped.
 * `upgraded` takes what stands for the connection from then on: TLS that was started on it. `holding` takes what tells how many
 * bytes the handler's streams hold.
 */
export type ConnectionHandler = (
  socket: Duplex,
  upgraded: (socket: Duplex) => void,
  holding: (held: () => number) => void,
) => void | Promise<void>;

/** A server that is listening. */
export class Server implements AsyncDisposable {
  /** What it counts. */
  readonly stats: Readonly<ServerStats>;
  /** Where it listens. */
  readonly addr: Deno.Addr;
  readonly #listener: Deno.Listener;
  readonly #handler: ConnectionHandler;
  readonly #options: ServeOptions;
  #context: SSLContext | undefined;
  #ssl: ServeOptions["ssl"]; // what it was made of
  #ownsContext: boolean;
  #swapping: Promise<void> | undefined;
  readonly #tally = new ServerTally();
  readonly #stats = this.#tally.stats;
  readonly #gate: Gate;
  readonly #clients = new Set<Duplex>();
  readonly #dropped = new WeakSet<Duplex>(); // by us: what their handlers make of it is no failure
  readonly #tasks = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #serving = true;
  #freed: (() => void) | undefined; // a connection has ended, for which another one waits

  private constructor(
    handler: ConnectionHandler,
    listener: Deno.Listener,
    options: ServeOptions,
    context: SSLContext | undefined,
  ) {
    this.#handler = handler;
    this.#listener = listener;
    this.#options = options;
    this.#context = context;
    this.#ssl = options.ssl;
    this.#ownsContext = context !== options.ssl;
    this.addr = listener.addr;
    this.stats = this.#stats;
    this.#gate = new Gate(options, this.#stats.limits);
    this.#accepting = this.#acceptAll();
  }

  /**
   * Starts a server that hands each connection to `handler`.
   *
   * @param handler Runs for each connection, once its handshake is done.
   * @param listen Opens the listener; called when the options have been checked, with the backlog of the profile's device.
   * @param options TLS, limits and timeouts.
   * @returns The server.
   */
  static async start(
    handler: ConnectionHandler,
    listen: (backlog: number | undefined) => Deno.Listener,
    options: ServeOptions,
  ): Promise<Server> {
    const { ssl } = options;
    checkOptions(options);
    const context = ssl && await contextOf(ssl);
    try {
      const backlog = context && SSLContext.behaviour(context)?.backlog;
      return new Server(handler, listen(backlog), options, context);
    } catch (error) {
      if (context !== ssl) context?.[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Goes on with another context: Node's `setSecureContext`, for certificates that were renewed. Connections that are accepted
   * from then on have it; those that are there, also in their handshake, go on as they began. Sessions are resumed by
   * the new context where what they depend on is the same: the names in the certificates, whom it trusts, the ring of tickets.
   *
   * @param ssl A server's context, or the options of one; options that are wrong change nothing.
   */
  setContext(ssl: NonNullable<ServeOptions["ssl"]>): Promise<void> {
    const before = this.#swapping;
    const making = this.#context === undefined
      ? Promise.reject(new TypeError("Cannot use ssl: the server was started without"))
      : contextOf(ssl);
    making.catch(() => {}); // told below, when it is its turn
    return this.#swapping = (async () => {
      await before?.catch(() => {});
      const next = await making;
      const isOwn = next !== ssl;
      if (!this.#serving) {
        if (isOwn) next[Symbol.dispose]();
        throw new TypeError("Cannot use ssl: the server is closed");
      }
      if (this.#ownsContext) this.#context![Symbol.dispose](); // freed when its last connection has closed
      this.#context = next;
      this.#ssl = ssl;
      this.#ownsContext = isOwn;
      this.#freed?.(); // the other profile may have sockets left
    })();
  }

  /** How the device of the profile goes about connections. */
  get #behaviour(): Behaviour | undefined {
    return this.#context && SSLContext.behaviour(this.#context);
  }

  /** Waits until the device has a socket for another connection, which waits in the backlog. */
  async #untilRoom(): Promise<void> {
    for (;;) {
      const { sockets = Infinity, whenFull } = this.#behaviour ?? {};
      if (!this.#serving || whenFull !== "wait" || this.#clients.size < sockets) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#freed = resolve;
      await promise;
    }
  }

  /** Makes room as ESP-IDF's HTTP server does (`lru_purge_enable`). */
  #purge(): void {
    const { sockets = Infinity, whenFull } = this.#behaviour ?? {};
    if (whenFull !== "purge the least recently used" || this.#clients.size < sockets) return;
    const lastUse = (client: Duplex) => client instanceof SSLSocket ? SSLSocket.lastUse(client) : Infinity;
    const oldest = [...this.#clients].reduce((a, b) => lastUse(b) < lastUse(a) ? b : a);
    this.#dropped.add(oldest);
    this.#remove(oldest);
    drop(oldest);
  }

  #remove(client: Duplex): void {
    this.#clients.delete(client);
    this.#freed?.();
  }

  async #acceptAll(): Promise<void> {
    const isServing = () => this.#serving;
    const onError = (error: unknown) => {
      const isFull = isOutOfDescriptors(error);
      if (isFull && this.#gate.makeRoom("descriptors")) return true;
      if (isFull) this.#gate.reached("descriptors");
      this.#report(error, { phase: "accept" });
      return false;
    };
    for (;;) {
      if (this.#behaviour !== undefined) await this.#untilRoom();
      const conn = await accept(this.#listener, isServing, onError);
      if (conn === undefined) return;
      this.#stats.accepted++;
      this.#purge();
      const admitted = this.#gate.admit(conn);
      if (admitted === undefined) {
        this.#stats.refused++;
        tryClose(conn);
        continue;
      }
      taken();
      const task = this.#serve(admitted).finally(() => {
        this.#gate.release(admitted);
        this.#tasks.delete(task);
      });
      this.#tasks.add(task);
    }
  }

  async #serve(conn: Metered): Promise<void> {
    const { remoteAddr } = conn;
    const accepted = performance.now();
    this.#clients.add(conn);
    let socket = await this.#handshake(conn);
    if (socket === undefined) return this.#remove(conn);
    this.#clients.delete(conn);
    this.#clients.add(socket);
    this.#gate.opened(conn);
    this.#stats.open++;
    conn.ondrop = (reason) => {
      this.#dropped.add(socket!);
      if (socket instanceof SSLSocket) SSLSocket.drop(socket, reason);
    };
    const tls = socket instanceof SSLSocket ? socket : undefined; // STARTTLS is the handler's
    const isCounted = tls !== undefined && this.#tally.opened(tls, (performance.now() - accepted) / 1000);
    const upgraded = (upgraded: Duplex) => {
      this.#clients.delete(socket!);
      this.#clients.add(socket = upgraded);
    };
    let failure: unknown;
    try {
      await this.#handler(socket, upgraded, (held) => conn.held = held);
    } catch (error) {
      failure = error;
    } finally {
      this.#stats.open--;
      this.#remove(socket);
      const late = socket instanceof SSLSocket && !this.#dropped.has(socket)
        ? SSLSocket.handshakeFailure(socket)
        : undefined;
      if (late instanceof SSLError) this.#countFailure(late, conn); // the handler was to complete it
      else if (
        failure !== undefined &&
        !(this.#dropped.has(socket) && (isClosed(failure) || failure === conn.reason))
      ) {
        this.#report(failure, { phase: "handler", remoteAddr });
      }
      if (socket instanceof SSLSocket && SSLSocket.closedLate(socket)) {
        this.#gate.reached("sslShutdownTimeout");
      }
      drop(socket); // a no-op after the handler's close
      if (tls !== undefined) this.#tally.closed(tls, isCounted);
    }
  }

  async #handshake(conn: Metered): Promise<Duplex | undefined> {
    const { sslHandshakeTimeout, sslShutdownTimeout, wrap = wrapIn } = this.#options;
    const context = this.#context;
    if (context === undefined) {
      conn.setNoDelay();
      return conn;
    }
    const { handshake, key, handshakeTimeout = HANDSHAKE_TIMEOUT } = this.#behaviour ?? {};
    this.#stats.handshaking++;
    const dropped = new AbortController(); // it may wait for what is not the network
    conn.ondrop = (reason) => dropped.abort(reason);
    let own: SSLContext | undefined;
    try {
      if (key === "its own" && context !== this.#ssl) own = await contextOf(this.#ssl!);
      return await wrap(own ?? context, conn, {
        doHandshake: handshake !== "in the handler's first read or write",
        timeout: sslHandshakeTimeout ?? handshakeTimeout,
        shutdownTimeout: sslShutdownTimeout ?? SHUTDOWN_TIMEOUT,
        signal: dropped.signal,
      });
    } catch (error) {
      if (!this.#dropped.has(conn)) this.#countFailure(error, conn);
      tryClose(conn);
      return undefined;
    } finally {
      own?.[Symbol.dispose](); // the connection keeps what it uses
      this.#stats.handshaking--;
    }
  }

  #countFailure(error: unknown, { reason: dropped, remoteAddr }: Metered): void {
    this.#stats.handshakeFailures++;
    if (error instanceof SSLError && error.kind === "timeout" && error !== dropped) {
      this.#gate.reached("sslHandshakeTimeout");
    }
    // Names, of which there are few: messages may quote the client, which could fill the memory with them.
    const reason = error instanceof SSLError
      ? error.alert?.name ?? (error.reason || error.kind)
      : error instanceof Error
      ? error.name
      : typeName(error);
    increment(this.#stats.failures, reason);
    this.#report(error, { phase: "handshake", remoteAddr });
  }

  #report(error: unknown, failure: ConnectionFailure): void {
    const { onError } = this.#options;
    if (onError !== undefined) {
      tellFailure(onError, error, failure);
    } else if (failure.phase === "handler") console.error("Uncaught in a connection's handler:", error);
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
    this.#freed?.();
    if (this.#ownsContext) this.#context?.[Symbol.dispose]();
  }

  /** Closes the open connections, each with its close_notify, and drops those in their handshake. */
  closeClients(): void {
    for (const client of this.#clients) {
      this.#dropped.add(client);
      if (client instanceof SSLSocket) client.close();
      else this.#abort(client);
    }
  }

  /** Drops the connections whose handshake is under way. */
  abortHandshakes(): void {
    if (this.#context === undefined) return;
    for (const client of this.#clients) {
      if (!isOpen(client)) this.#abort(client);
    }
  }

  #abort(client: Duplex): void {
    this.#dropped.add(client);
    // What has not come to be a socket yet may wait for something else than its connection.
    if (client instanceof Metered) {
      client.drop(new SSLError("Cannot go on: the server was closed", { kind: "closed" }));
    } else drop(client);
  }

  /** Drops the open connections. */
  abortClients(): void {
    if (!this.#serving) this.#gate.stop(); // its timer must not wait for handlers that go on
    for (const client of this.#clients) this.#abort(client);
  }

  /** Waits until the server is closed and every connection is done. */
  async waitClosed(): Promise<void> {
    await this.#accepting;
    await Promise.all(this.#tasks);
  }

  /**
   * Closes the server, lets the connections finish for the shutdown timeout, then drops them. A callback that goes on
   * without its connection is not waited for.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await inTime(this.waitClosed(), this.#options.sslShutdownTimeout ?? SHUTDOWN_TIMEOUT).catch(() => {
      this.abortClients();
      return inTime(this.waitClosed(), ABORT_GRACE).catch(() => {});
    });
  }
}

/** Throws for what is neither a context nor the options of one. */
export function assertSsl(ssl: unknown): void {
  if (typeof ssl === "object" && ssl !== null) return;
  throw new TypeError(`Cannot use ssl: expected an SSLContext or the options of one, got ${typeName(ssl)}`);
}

/** The context itself, or a new one. */
async function contextOf(ssl: NonNullable<ServeOptions["ssl"]>): Promise<SSLContext> {
  assertSsl(ssl);
  SSLContext.refuseEarlyData(ssl);
  if (!(ssl instanceof SSLContext)) return await SSLContext.create({ ...ssl, serverSide: true });
  if (!ssl.serverSide) throw new TypeError("Cannot use ssl: the context is a client's");
  return ssl;
}

function checkOptions(options: ServeOptions): void {
  const { sslHandshakeTimeout, sslShutdownTimeout } = options;
  for (const [name, value] of Object.entries({ sslHandshakeTimeout, sslShutdownTimeout })) {
    if (value !== undefined) assertSeconds(name, value);
  }
  assertType("onError", "function", options.onError);
  Gate.check(options);
}

/** Calls `onError`; the other connections go on whatever that does. */
export async function tellFailure(
  onError: NonNullable<ServeOptions["onError"]>,
  error: unknown,
  failure: ConnectionFailure,
): Promise<void> {
  try {
    await onError(error, failure);
  } catch (another) {
    console.error("Uncaught in a server's onError:", another);
  }
}

/** Whether `error` says that our end of a connection is closed. */
function isClosed(error: unknown): boolean {
  return error instanceof SSLError
    ? error.kind === "closed"
    : error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

function wrapIn(context: SSLContext, conn: Duplex, options: SocketOptions): Promise<SSLSocket> {
  return context.wrapSocket(conn, options);
}

/** Whether its handshake is done: a profile may leave that to the handler. */
function isOpen(client: Duplex): boolean {
  return client instanceof SSLSocket && client.version() !== undefined;
}

function drop(client: Duplex): void {
  if (client instanceof SSLSocket) client.abort();
  else tryClose(client);
}
