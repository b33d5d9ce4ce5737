/** The device's HTTPS server: it accepts, wraps, serves and closes as the programs on the board do, and tells of each step. */

import { HttpHost } from "../_http_host.ts";
import { accept, tryClose } from "../accept.ts";
import { inTime } from "../deadline.ts";
import type { HttpHandler } from "../http.ts";
import type { SSLSocket } from "../socket.ts";
import type { Board } from "./device_board.ts";
import { DeviceLink } from "./device_link.ts";
import type { Watch } from "./serve_trace.ts";

const SHUTDOWN_TIMEOUT = 30; // seconds for requests under way; serve()'s
const TRANSFER_TIMEOUT = 60; // seconds, where the device's program has none
/** What a handler's HTTP may take: a MicroPython program would not look. */
const HTTP = {
  maxHeaderSize: 16384,
  maxBodySize: 1 << 20,
  keepAliveTimeout: 60,
  lingerTimeout: 5,
  minDataRate: 0, // it has its transferTimeout
};

/** Who is told what happens. */
export interface DeviceReport {
  /** A handshake is done. */
  open(socket: SSLSocket, link: DeviceLink): void;
  /** A connection has failed before its first request. */
  failed(error: unknown, link: DeviceLink): void;
  /** All sockets are in use: this one was closed for a new one. */
  purged(link: DeviceLink): void;
  /** A connection cannot be accepted, by this machine. */
  acceptFailed(error: unknown): void;
  /** Makes a response for a handler that threw. */
  serverError(error: unknown): Response;
}

/** Options of {@linkcode DeviceServer}. */
export interface DeviceServerOptions {
  readonly board: Board;
  readonly handler: HttpHandler;
  readonly listener: Deno.TcpListener;
  /** The book's loop: the next client is accepted when the one before has been served. */
  readonly oneAtATime: boolean;
  readonly report: DeviceReport;
  /** Is given each connection before TLS begins on it, to slow it down or look at it. */
  readonly prepare?: ((socket: SSLSocket, link: DeviceLink) => void) | undefined;
  /** Watches the handshake of each connection. */
  readonly watch?: ((link: DeviceLink) => Watch) | undefined;
}

/** A server that listens. */
export class DeviceServer implements AsyncDisposable {
  /** Settles when the server is closed and every connection is done. */
  readonly finished: Promise<void>;
  readonly #options: DeviceServerOptions;
  readonly #host: HttpHost;
  readonly #links = new Map<DeviceLink, SSLSocket | undefined>(); // undefined: it is not served yet
  readonly #tasks = new Set<Promise<void>>();
  #serving = true;
  #closing: Promise<void> | undefined;

  /** Begins to accept. */
  constructor(options: DeviceServerOptions) {
    this.#options = options;
    const { board, handler, report } = options;
    const { requests, behaviour: { transferTimeout = TRANSFER_TIMEOUT } } = board.facts;
    this.#host = new HttpHost(handler, {
      ...HTTP,
      headersTimeout: transferTimeout,
      requestTimeout: transferTimeout,
      sendTimeout: transferTimeout,
      maxRequestsPerSocket: requests,
      onError: (error) => report.serverError(error),
    });
    this.finished = this.#acceptAll().then(async () => {
      await Promise.all(this.#tasks);
      this.#host.stop();
    });
  }

  /** Where it listens. */
  get addr(): Deno.Addr {
    return this.#options.listener.addr;
  }

  /** Sockets in use. */
  get sockets(): number {
    return this.#links.size;
  }

  async #acceptAll(): Promise<void> {
    const { listener, oneAtATime, report, board } = this.#options;
    const { sockets, whenFull } = board.facts.behaviour;
    const isServing = () => this.#serving;
    const onError = (error: unknown) => report.acceptFailed(error);
    while (this.#serving) {
      if (this.#links.size >= sockets && whenFull === "wait") {
        await Promise.race(this.#tasks); // the next client waits in the backlog
        continue;
      }
      const conn = await accept(listener, isServing, onError);
      if (conn === undefined) return;
      if (this.#links.size >= sockets) this.#purge();
      const link = new DeviceLink(conn);
      this.#links.set(link, undefined);
      const task = this.#serve(link).finally(() => this.#tasks.delete(task));
      this.#tasks.add(task);
      if (oneAtATime) await task;
    }
  }

  /** Closes the connection that was used least recently, as esp_https_server does. */
  #purge(): void {
    const oldest = [...this.#links.keys()].reduce((a, b) => a.lastUsed <= b.lastUsed ? a : b);
    this.#drop(oldest);
    this.#options.report.purged(oldest);
  }

  #drop(link: DeviceLink): void {
    const socket = this.#links.get(link);
    this.#links.delete(link);
    if (socket === undefined) tryClose(link);
    else socket.abort();
  }

  /** Never fails: what goes wrong is reported. */
  async #serve(link: DeviceLink): Promise<void> {
    const { board, report, prepare } = this.#options;
    const watch = this.#options.watch?.(link);
    try {
      const socket = board.wrap(watch?.conn ?? link, watch?.trace);
      prepare?.(socket, link);
      await socket.handshake();
      watch?.done(socket);
      if (!this.#links.has(link)) return socket.abort(); // it had to make room
      this.#links.set(link, socket);
      report.open(socket, link);
      await this.#host.serve(socket);
    } catch (error) {
      watch?.failed(error);
      if (this.#serving && this.#links.has(link)) report.failed(error, link);
      tryClose(link);
    } finally {
      this.#links.delete(link);
    }
  }

  /** Closes in good order: accepts no more, drops handshakes, and lets the requests under way finish. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#serving = false;
    this.#options.listener.close();
    for (const [link, socket] of this.#links) if (socket === undefined) tryClose(link);
    this.#host.closeSoon();
    const late = () => new Error("Cannot close the server: requests are under way");
    await inTime(this.finished, SHUTDOWN_TIMEOUT, late).catch(() => {
      this.#host.abort();
      for (const link of this.#links.keys()) this.#drop(link);
    });
    await this.finished;
  }

  /** Closes in good order: {@linkcode DeviceServer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
