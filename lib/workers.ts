/**
 * WorkerServer: one port served by several Workers, each with a listener, a TLS core and a processor of its own.
 *
 * ```text
 *   kernel: SO_REUSEPORT      worker.ts      worker.ts      worker.ts     accept, TLS, the handler
 *   spreads the connections       \              |              /         messages: worker_messages.ts
 *                                           WorkerServer                  starts, restarts, closes; owns the ticket keys
 * ```
 *
 * No connection passes through the thread that started them. A listener that closes resets the connections in its
 * backlog (Linux gives them to another one with `net.ipv4.tcp_migrate_req=1`); the kernel spreads by a hash of the
 * addresses, blind to how busy a worker is.
 *
 * @module
 */

import { delay } from "./_std/async.js";
import { assertSize } from "./byte_queue.ts";
import { assertSeconds, assertSignal, assertType, typeName } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { ListenOptions } from "./net.ts";
import { assertSsl, type ServeOptions, tellFailure } from "./server.ts";
import { noStats, type ServerStats, sumStats } from "./server_stats.ts";
import { contextFor, wipe } from "./worker_context.ts";
import { copyForWorker, type ServerKind } from "./worker_messages.ts";
import { type Blueprint, WorkerLink } from "./worker_link.ts";

/** Workers of one server: more than the processors of most machines; each has a core of some MB. */
export const WORKERS_MAX = 256;
const STABLE = 10; // seconds; a worker that ran so long did not crash at once
const CRASHES_MAX = 5; // at once, in a row; systemd's StartLimitBurst, with its interval of 10 seconds
const BACKOFF = 0.1; // seconds before the first restart, systemd's RestartSec; doubled for each crash in a row
const CLOSE_GRACE = 2; // seconds on top of a worker's own deadline, for its message
const END_GRACE = 5; // seconds; Deno ends a Worker when its JavaScript returns to the event loop

/** Options of a server of several workers. */
export interface WorkerOptions {
  /**
   * How many Workers, each with a thread of its own: `navigator.hardwareConcurrency` is one for each processor. Limits, such
   * as `maxConnections` and `backlog`, hold for each worker.
   */
  workers: number;
}

/** What a {@linkcode WorkerServer} counts, over all its workers. */
export interface WorkerStats {
  /** Workers that are serving. */
  workers: number;
  /** Workers that were started in place of one that crashed. */
  restarts: number;
}

/** What every kind of server has, without functions. */
type SharedOptions = WorkerOptions & Omit<ServeOptions, "onError"> & ListenOptions;

/** What stays with the {@linkcode WorkerServer}. */
interface Control {
  /** Seconds that the workers have to finish what is under way when they are closed. */
  readonly drain: number;
  /** Told of the failures of connections and of workers. */
  readonly onError?: ServeOptions["onError"] | undefined;
  /** Closes the server when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Several Workers that serve one port. */
export class WorkerServer<Stats extends ServerStats = ServerStats> implements AsyncDisposable {
  /** Where they listen. */
  readonly addr: Deno.NetAddr;
  /**
   * Settles when the server is closed and every worker has ended. It rejects when they could not be kept running: when one
   * crashed five times in a row, each time within ten seconds of its start; the others are closed in good order then. Who
   * does not wait for it learns of that as of any rejection that nobody handles: it ends the process.
   */
  readonly finished: Promise<void>;
  #blueprint: Blueprint;
  #swapping: Promise<void> | undefined;
  readonly #control: Control;
  readonly #links: Set<WorkerLink>;
  readonly #watch: Disposable;
  readonly #done = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  readonly #onAbort = () => void this.close();
  #past: ServerStats; // of those that have ended
  #restarts = 0;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    blueprint: Blueprint,
    control: Control,
    links: readonly WorkerLink[],
    addr: Deno.NetAddr,
  ) {
    this.#blueprint = blueprint;
    this.#control = control;
    this.#links = new Set(links);
    this.addr = addr;
    this.finished = this.#done.promise;
    this.#past = sumStats(blueprint.kind === "http" ? [{ ...noStats(), requests: 0 } as ServerStats] : []);
    const sendKeys = () => {
      for (const link of this.#links) link.sendKeys(blueprint.ring);
    };
    this.#watch = blueprint.ring.watch(sendKeys);
    sendKeys(); // the ring may have rotated while they started
    for (const link of links) this.#keep(link);
    control.signal?.addEventListener("abort", this.#onAbort);
    if (control.signal?.aborted) this.#onAbort();
  }

  /**
   * Starts the workers. `startServer()` and `serve()` do it when they are given a module.
   *
   * @param kind Which of the two.
   * @param module The URL of the handler's module.
   * @param options Where to listen, TLS, limits and timeouts.
   * @param control What stays here.
   * @returns The server, all of whose workers are serving.
   */
  static async start<Stats extends ServerStats>(
    kind: ServerKind,
    module: unknown,
    options: SharedOptions,
    control: Control,
  ): Promise<WorkerServer<Stats>> {
    const { workers, port, reusePort = false, ssl, ...rest } = options;
    const { hostname = "0.0.0.0" } = rest;
    const href = moduleURL(module);
    if (assertSize("workers", workers, 1) > WORKERS_MAX) {
      throw new RangeError(`Cannot use workers: expected at most ${WORKERS_MAX}, got ${workers}`);
    }
    assertSeconds(kind === "http" ? "shutdownTimeout" : "sslShutdownTimeout", control.drain);
    for (const [name, value] of Object.entries(rest)) copyForWorker(name, value, []);
    assertType(kind === "http" ? "onConnectionError" : "onError", "function", control.onError);
    assertSignal("signal", control.signal);
    control.signal?.throwIfAborted();
    assertSharing();
    if (port !== 0 && !reusePort) Deno.listen({ hostname, port }).close(); // SO_REUSEPORT would share another's port
    const { ring, ...context } = await contextFor(ssl);
    const { onError } = control;
    const report: Blueprint["report"] = onError &&
      ((error, failure) => void tellFailure(onError, error, failure));
    const blueprint: Blueprint = {
      kind,
      module: href,
      options: { ...rest, hostname, ...context },
      ring,
      port,
      report,
    };

    // The first one binds the port, 0 or not; the others then have it from the kernel's own table.
    const links: WorkerLink[] = [];
    try {
      const spawn = (nth: number, from: Blueprint) => {
        const link = new WorkerLink(from, nth);
        links.push(link);
        return link.listening;
      };
      const addr = await spawn(1, blueprint);
      const bound = { ...blueprint, port: addr.port };
      await Promise.all(Array.from({ length: workers - 1 }, (_, i) => spawn(i + 2, bound)));
      return new WorkerServer<Stats>(bound, control, links, addr);
    } catch (error) {
      for (const link of links) link.terminate();
      await inTime(Promise.all(links.map((link) => link.ended)), END_GRACE).catch(() => {});
      wipe(blueprint.options);
      throw error;
    }
  }

  /**
   * Has every worker go on with another context: see `Server.setContext()`. A worker that is started later has it, too.
   *
   * @param ssl The options of a context. What the handler's module exports as `options.ssl` goes over it, and cannot be replaced.
   * @throws {TypeError} An option that cannot cross to a Worker, or another ring of tickets.
   */
  setContext(ssl: NonNullable<ServeOptions["ssl"]>): Promise<void> {
    const before = this.#swapping?.catch(() => {});
    return this.#swapping = (async () => {
      await before;
      await this.#setContext(ssl);
    })();
  }

  async #setContext(ssl: NonNullable<ServeOptions["ssl"]>): Promise<void> {
    assertSsl(ssl);
    this.#assertServing();
    const { options: before, ring: keys } = this.#blueprint;
    if (before.ssl === undefined) throw new TypeError("Cannot use ssl: the server was started without");
    const { ring, ...context } = await contextFor(ssl, keys);
    if (ring !== keys) throw new TypeError("Cannot use tickets: the workers keep the ring that they have");
    this.#assertServing();
    this.#blueprint = { ...this.#blueprint, options: { ...before, ...context } };
    try {
      await Promise.all([...this.#links].map((link) => link.setContext(context.ssl)));
    } finally {
      wipe(before);
    }
  }

  #assertServing(): void {
    if (this.#closing !== undefined) throw new TypeError("Cannot use ssl: the server is closed");
  }

  /** Restarts a worker whenever it has crashed, until the server closes. */
  async #keep(link: WorkerLink): Promise<void> {
    for (let inRow = 0;;) {
      const crash = await link.ended;
      this.#links.delete(link);
      if (link.stats !== undefined) {
        this.#past = sumStats([this.#past, { ...link.stats, handshaking: 0, open: 0 }]);
      }
      if (crash !== undefined) this.#reportCrash(crash);
      if (this.#closing !== undefined) return;
      inRow = link.age < STABLE ? inRow + 1 : 1;
      if (inRow === CRASHES_MAX) return this.#fail(crash);
      try {
        await delay(BACKOFF * 2 ** (inRow - 1) * 1000, { signal: this.#stop.signal });
      } catch {
        return; // closing
      }
      if (this.#closing !== undefined) return;
      this.#restarts++;
      try {
        link = new WorkerLink(this.#blueprint, link.nth);
      } catch (error) {
        return this.#fail(error); // the ring was disposed of
      }
      this.#links.add(link);
    }
  }

  #fail(cause: unknown): void {
    this.#failure = new Error("Cannot keep the workers running", { cause });
    this.close();
  }

  #reportCrash(crash: unknown): void {
    const { report } = this.#blueprint;
    if (report === undefined) console.error("A server's worker has crashed:", crash);
    else report(crash, { phase: "worker" });
  }

  /** Whether it accepts connections. */
  isServing(): boolean {
    return this.#closing === undefined;
  }

  /**
   * Asks each worker for its counts, and adds them up.
   *
   * @returns The sums since the start. A worker that does not answer within a second counts as it last did; of one that
   *   was ended without a word (`Deno.exit()`, no memory), what it counted since it was last asked is lost.
   */
  async stats(): Promise<Stats & WorkerStats> {
    const links = [...this.#links];
    await Promise.all(links.map((link) => link.askStats()));
    const counts = links.flatMap((link) => this.#links.has(link) && link.stats ? [link.stats] : []);
    return {
      ...sumStats([this.#past, ...counts]) as Stats,
      workers: counts.length,
      restarts: this.#restarts,
    };
  }

  /** Waits until the server is closed and every worker has ended; rejects as {@linkcode WorkerServer.finished} does. */
  async serveForever(): Promise<void> {
    await this.finished;
  }

  /**
   * Closes in good order: no worker accepts any more, and each finishes what is under way, no longer than the shutdown
   * timeout; then they are ended. Calling it again waits for the same.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#control.signal?.removeEventListener("abort", this.#onAbort);
    this.#stop.abort();
    this.#watch[Symbol.dispose]();
    const ended = Promise.all([...this.#links].map((link) => link.ended));
    for (const link of this.#links) link.close();
    await inTime(ended, this.#control.drain + CLOSE_GRACE).catch(() => this.abort());
    const stuck = () => new Error("Cannot end a worker: its JavaScript does not return to the event loop");
    await inTime(ended, END_GRACE, stuck).catch((error) => this.#failure ??= error);
    wipe(this.#blueprint.options);
    if (this.#failure === undefined) this.#done.resolve();
    else this.#done.reject(this.#failure);
  }

  /** Closes at once: ends the workers, whose connections break off. Wait for {@linkcode WorkerServer.finished}, which is soon. */
  abort(): void {
    this.close();
    for (const link of this.#links) link.terminate();
  }

  /** Closes in good order: {@linkcode WorkerServer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The URL of a module, whole: a relative one would be relative to this library. */
function moduleURL(module: unknown): string {
  const advice =
    'give the URL of a module that exports it as its default: new URL("./handler.ts", import.meta.url)';
  if (typeof module === "function") {
    throw new TypeError(`Cannot use workers with a function, which cannot cross to a Worker; ${advice}`);
  }
  if (typeof module !== "string" && !(module instanceof URL)) {
    throw new TypeError(`Cannot use a handler of type ${typeName(module)} with workers; ${advice}`);
  }
  if (!URL.canParse(String(module))) {
    throw new TypeError(`Cannot use "${module}" as the handler's module: it is not a whole URL; ${advice}`);
  }
  return String(module);
}

/** Throws unless several listeners can share a port. Without its flag, Deno would end the process instead. */
export function assertSharing(): void {
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported("Cannot share a port: Windows has no SO_REUSEPORT");
  }
  if (!("listenDatagram" in Deno)) {
    throw new Deno.errors.NotSupported(
      'Cannot share a port: start Deno with --unstable-net, or with "unstable": ["net"] in deno.json',
    );
  }
}
