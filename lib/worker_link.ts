/**
 * WorkerLink: the near end of one Worker of a server, from its start to its end.
 *
 * @module
 */

import { inTime } from "./deadline.ts";
import type { ConnectionFailure } from "./server.ts";
import type { ServerStats } from "./server_stats.ts";
import type { TicketKeyRing } from "./tickets.ts";
import {
  type Command,
  copyForWorker,
  errorFrom,
  locks,
  type Report,
  type ServerKind,
  type Start,
} from "./worker_messages.ts";

const START_TIMEOUT = 60; // seconds to load the handler's module and listen; a module may come from a slow network
const STATS_TIMEOUT = 1; // seconds for an answer; longer: its JavaScript is busy
const CONTEXT_TIMEOUT = 60; // seconds: it may still be starting
const LAST_WORDS = 0.05; // seconds; a Worker's end can be known before its last messages are here

/** What every worker of a server is made from. */
export interface Blueprint {
  readonly kind: ServerKind;
  readonly module: string;
  /** Options that can cross, without the port. */
  readonly options: Record<string, unknown>;
  readonly ring: TicketKeyRing;
  readonly port: number;
  /** Told of failed connections. */
  readonly report: ((error: unknown, failure: ConnectionFailure) => void) | undefined;
}

/** One Worker. */
export class WorkerLink {
  /** Its number, for its name. */
  readonly nth: number;
  /** Where it listens. Rejects if it does not come to that. */
  readonly listening: Promise<Deno.NetAddr>;
  /** Settles when it has ended: with the error of a crash, or with nothing after close() or terminate(). */
  readonly ended: Promise<unknown>;
  /** What it had counted when it last told. */
  stats: ServerStats | undefined;
  readonly #report: Blueprint["report"];
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #started = performance.now();
  readonly #listening = Promise.withResolvers<Deno.NetAddr>();
  readonly #ended = Promise.withResolvers<unknown>();
  readonly #watching = new AbortController();
  readonly #answers = new Map<number, () => void>();
  readonly #refusals = new Map<number, Error>();
  readonly #timer: ReturnType<typeof setTimeout>;
  #asked = 0;
  #crash: unknown;
  #isWanted = true; // until close() or terminate()
  #isAlive = false; // as far as its lock tells
  #isOver = false;

  /** Starts a Worker. */
  constructor(blueprint: Blueprint, nth: number) {
    const { kind, module, ring, port, report } = blueprint;
    const transfer: ArrayBuffer[] = [];
    const options = copyForWorker("options", { ...blueprint.options, port }, transfer) as Start["options"];
    const keys = ring.toBytes(); // throws if the ring was disposed of: nothing is open yet
    this.nth = nth;
    this.listening = this.#listening.promise;
    this.listening.catch(() => {}); // who waits for the end alone learns it from there
    this.ended = this.#ended.promise;
    this.#report = report;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { // throws if there is no thread for it
      type: "module",
      name: `tlsio ${nth}`,
    });
    const { port1, port2 } = new MessageChannel();
    const lock = `tlsio worker ${crypto.randomUUID()}`;
    this.#port = port1;
    port1.onmessage = ({ data }: MessageEvent<Report>) => this.#take(data, lock);
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault(); // or it would be uncaught here, too
      this.#crash ??= new Error(`Uncaught in a worker: ${event.message}`);
      this.#end();
    });
    this.#timer = setTimeout(() => {
      this.#crash = new Error(`Cannot start a worker: it does not listen after ${START_TIMEOUT} seconds`);
      this.#worker.terminate();
      this.#end();
    }, START_TIMEOUT * 1000);
    const start: Start = { port: port2, lock, kind, module, options, keys, report: report !== undefined };
    this.#worker.postMessage(start, [port2, keys.buffer, ...transfer]);
  }

  /** Seconds since it was started. */
  get age(): number {
    return (performance.now() - this.#started) / 1000;
  }

  #take(report: Report, lock: string): void {
    switch (report.type) {
      case "alive":
        this.#isAlive = true;
        locks.request(lock, { signal: this.#watching.signal }, () => this.#end()).catch(() => {}); // aborted
        break;
      case "listening":
        clearTimeout(this.#timer);
        this.#listening.resolve(report.addr);
        break;
      case "failed":
        this.#crash = errorFrom(report.error);
        this.#worker.terminate();
        break;
      case "failure":
        this.#report?.(errorFrom(report.error), report.failure);
        break;
      case "uncaught":
        this.#crash = errorFrom(report.error);
        this.stats = report.stats;
        break;
      case "stats":
        this.stats = report.stats;
        this.#answers.get(report.id)?.();
        break;
      case "context":
        if (report.error !== undefined) this.#refusals.set(report.id, errorFrom(report.error));
        this.#answers.get(report.id)?.();
        break;
      case "closed":
        this.stats = report.stats;
        this.#worker.terminate();
    }
  }

  #tell(command: Command, transfer: Transferable[] = []): void {
    if (!this.#isOver) this.#port.postMessage(command, transfer);
  }

  /** Passes the keys of the ring on. */
  sendKeys(ring: TicketKeyRing): void {
    const keys = ring.toBytes();
    this.#tell({ type: "keys", keys }, [keys.buffer]);
    if (keys.length > 0) keys.fill(0); // not sent
  }

  /** Asks for its counts: {@linkcode WorkerLink.stats} has them then, unless it is busy or has ended. */
  async askStats(): Promise<void> {
    if (this.#isOver) return;
    const id = this.#asked++;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answers.set(id, resolve);
    this.#tell({ type: "stats", id });
    await inTime(promise, STATS_TIMEOUT).catch(() => {});
    this.#answers.delete(id);
  }

  /** Has it go on with another context; throws what it says. One that has ended needs none. */
  async setContext(ssl: unknown): Promise<void> {
    if (this.#isOver) return;
    const id = this.#asked++;
    const transfer: ArrayBuffer[] = [];
    const copy = copyForWorker("ssl", ssl, transfer) as Record<string, unknown>;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answers.set(id, resolve);
    this.#tell({ type: "context", id, ssl: copy }, transfer);
    const late = () =>
      new Error(`Cannot change a worker's context: no answer after ${CONTEXT_TIMEOUT} seconds`);
    try {
      await inTime(promise, CONTEXT_TIMEOUT, late);
    } finally {
      this.#answers.delete(id);
    }
    const error = this.#refusals.get(id);
    this.#refusals.delete(id);
    if (error !== undefined) throw error;
  }

  /** Asks it to accept no more, to finish what is under way, and to end. */
  close(): void {
    this.#isWanted = false;
    this.#tell({ type: "close" });
  }

  /** Ends it. */
  terminate(): void {
    this.#isWanted = false;
    this.#worker.terminate();
    if (!this.#isAlive) this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#watching.abort();
    this.#worker.terminate();
    setTimeout(() => {
      this.#port.close();
      for (const answered of this.#answers.values()) answered();
      const crash = this.#isWanted
        ? this.#crash ?? new Error("A worker has ended without a word")
        : undefined;
      this.#listening.reject(crash ?? new Error("Cannot start a worker: it was ended"));
      this.#ended.resolve(crash);
    }, LAST_WORDS * 1000);
  }
}
