/**
 * `--slow`: a simulation of the time that the device would take. It has one processor, so connections wait for each other;
 * what they wait for is the likely figure of lib/cost, whatever this machine took.
 */

import { delay } from "../_std/async.js";

const LONGEST = 60; // seconds of a wait: more than a handshake on the slowest device that has figures

/** Milliseconds that something takes on the device. */
export interface Work {
  /** Of all that has been computed for the connection so far. */
  computed(): number;
  /** For 1024 bytes of records, one way or the other. */
  readonly perKib: number;
  /** Once, for the connection. */
  readonly fixed: number;
}

/** The processor of a device, which does one thing at a time. */
export class Processor {
  #free = 0; // when it is, on the clock of performance.now()
  readonly #hurry = new AbortController();

  /** Waits until the processor has done `milliseconds` of work, in the order of the calls. */
  async run(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (milliseconds <= 0 || this.#hurry.signal.aborted) return;
    const now = performance.now();
    this.#free = Math.min(Math.max(this.#free, now) + milliseconds, now + LONGEST * 1000);
    const until = AbortSignal.any([signal, this.#hurry.signal]);
    await delay(this.#free - now, { signal: until }).catch(() => signal.throwIfAborted());
  }

  /** Ends all waits, and makes no more: the server is closing. */
  hurry(): void {
    this.#hurry.abort();
  }
}

/** What one connection takes of the processor's time. */
export class Pace {
  readonly #processor: Processor;
  readonly #work: Work;
  #paid = 0; // milliseconds of what was computed
  #fixed: number;
  #spent = 0; // milliseconds

  /** Of one connection. */
  constructor(processor: Processor, work: Work) {
    this.#processor = processor;
    this.#work = work;
    this.#fixed = work.fixed;
  }

  /** Milliseconds that the client waits for what was done so far, without those for other clients. */
  get total(): number {
    return this.#spent + this.#work.computed() - this.#paid;
  }

  /** Waits for what was computed since the last call, and for `bytes` of records. */
  async spend(bytes: number, signal: AbortSignal): Promise<void> {
    const computed = this.#work.computed();
    const owed = computed - this.#paid + this.#fixed + bytes / 1024 * this.#work.perKib;
    this.#paid = computed;
    this.#fixed = 0;
    this.#spent += owed;
    await this.#processor.run(owed, signal);
  }
}
