/** TimedEngine: one of our ends, whose calls are timed. */

import { type Bytes, EMPTY } from "../../bytes.ts";
import type { TLSConfig } from "../../config.ts";
import { TLSEngine } from "../../engine.ts";
import type { SSLSession } from "../../session.ts";
import type { TraceEvent } from "../../trace.ts";

/** Options of a {@linkcode TimedEngine}. */
export interface TimedEngineOptions {
  readonly serverHostname?: string | undefined;
  readonly savedSession?: SSLSession | undefined;
  /** Tell the time by message, too, which takes some itself. */
  readonly steps?: boolean;
}

/** What making a message, or taking one in, took. */
export interface Step {
  readonly name: string;
  readonly direction: "sent" | "received";
  cpuMs: number;
}

/** An engine, and the time that its calls take: its making, and the handshake. */
export class TimedEngine implements Disposable {
  readonly engine: TLSEngine;
  /** The newest session that the server gave. */
  session: SSLSession | undefined;
  readonly #steps: Step[] = [];
  #mark = 0; // when the time began that belongs to the next message
  #last: Step | undefined; // what was received, and is being worked on
  #early = 0; // before the first message
  #cpuMs = 0;

  /** Makes the engine, timed. */
  constructor(config: TLSConfig, { steps = false, ...options }: TimedEngineOptions = {}) {
    const start = this.#mark = performance.now();
    this.engine = new TLSEngine(config, {
      ...options,
      ...(steps && { trace: (event: TraceEvent) => this.#note(event) }),
    });
    this.#pause(start);
    this.engine.onSession = (session) => this.session = session;
  }

  /** Milliseconds so far. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** By message; all together it is the time. */
  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** Whether the handshake is over. */
  get done(): boolean {
    return this.engine.handshakeDone;
  }

  /** Takes records in, goes on with the handshake, and gives the records to send. */
  advance(records: Bytes = EMPTY): Bytes {
    const start = this.#mark = performance.now();
    try {
      if (records.length > 0) this.engine.receive(records);
      if (!this.done) this.engine.handshake();
      return this.engine.takeRecords();
    } finally {
      this.#pause(start);
    }
  }

  #pause(start: number): void {
    const now = performance.now();
    this.#cpuMs += now - start;
    this.#charge(now, this.#last);
  }

  /**
   * A message that is sent is told of when it is made, one that is received when it is about to be used. The time between two
   * is that of the second if it is sent, else of the first.
   */
  #note({ layer, contentType, name = contentType, direction, time }: TraceEvent): void {
    if (layer !== "message") return;
    const step: Step = { name, direction, cpuMs: this.#early };
    this.#early = 0;
    this.#charge(time, direction === "sent" ? step : this.#last);
    this.#last = direction === "sent" ? undefined : step;
    this.#steps.push(step);
  }

  #charge(now: number, step: Step | undefined): void {
    const to = step ?? this.#steps.at(-1);
    if (to === undefined) this.#early += now - this.#mark;
    else to.cpuMs += now - this.#mark;
    this.#mark = now;
  }

  /** Frees the engine. */
  [Symbol.dispose](): void {
    this.engine[Symbol.dispose]();
  }
}
