/**
 * How the process is: whether its event loop is in time, what memory it has. Of a server with workers each answers for its own
 * thread, by a BroadcastChannel.
 *
 * @module
 */

import process from "node:process";
import { Core } from "../../core.ts";
import { TicketKeyRing } from "../../tickets.ts";
import { waitingHandshakes } from "../../turnstile.ts";

/** How the process is. */
export interface Vitals {
  /** Milliseconds: the longest that an event loop was late since the last time. */
  readonly lag: number;
  /** Handshakes that wait for their turn in the event loops. */
  readonly waiting: number;
  /** Seconds of processors that the process has taken. */
  readonly cpuTime: number;
  /** Bytes of the process. */
  readonly rss: number;
  /** Bytes of live blocks in the cores, and of their memory. */
  readonly core: number;
  readonly coreSize: number;
  /** Keys that open session tickets now. */
  readonly ticketKeys: number;
}

/** What a reader says to the workers of its channel, who hear each other, too. */
const QUESTION = "how are you";

/** Of one thread. */
interface ThreadVitals {
  readonly lag: number;
  readonly waiting: number;
  readonly core: number;
  readonly coreSize: number;
}

const STEP = 20; // milliseconds between two looks; node's monitorEventLoopDelay has 10, but in Deno 2.9 misses what is longer
const ASKED = 3000; // milliseconds after the last question that a worker goes on looking

/** Measures how late an event loop is. */
class LagMeter {
  #timer: ReturnType<typeof setInterval> | undefined;
  #due = 0;
  #worst = 0;

  start(): void {
    if (this.#timer !== undefined) return;
    this.#due = performance.now() + STEP;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#worst = Math.max(this.#worst, now - this.#due);
      this.#due = now + STEP;
    }, STEP);
  }

  /** Milliseconds, since the last time. */
  read(): number {
    const worst = Math.max(this.#worst, performance.now() - this.#due, 0);
    this.#worst = 0;
    return worst;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#worst = 0;
  }
}

function readThread(meter: LagMeter): ThreadVitals {
  const core = Core.shared();
  return {
    lag: meter.read(),
    waiting: waitingHandshakes(),
    core: core.allocated,
    coreSize: core.memory.length,
  };
}

/** Asks how the process is, as long as somebody wants to know. */
export class VitalsReader implements Disposable {
  readonly #meter = new LagMeter();
  readonly #channel: BroadcastChannel | undefined;
  readonly #threads = new Map<string, ThreadVitals>();

  /** @param channel The name of the workers' channel; none: there are no workers. */
  constructor(channel: string | undefined) {
    if (channel === undefined) return;
    this.#channel = new BroadcastChannel(channel);
    this.#channel.onmessage = ({ data: [name, vitals] }: MessageEvent<[string, ThreadVitals]>) => {
      this.#threads.set(name, vitals);
    };
  }

  /** Starts to look. */
  start(): void {
    this.#meter.start();
    this.#channel?.postMessage(QUESTION);
  }

  /** What was seen since the last time. Of workers: what they said to the question before this one. */
  read(): Vitals {
    const threads = [readThread(this.#meter), ...this.#threads.values()];
    this.#threads.clear(); // one that does not answer is busy, or gone
    this.#channel?.postMessage(QUESTION);
    const sum = (of: (thread: ThreadVitals) => number) => threads.reduce((all, each) => all + of(each), 0);
    const { user, system } = process.cpuUsage();
    return {
      lag: Math.max(...threads.map(({ lag }) => lag)),
      waiting: sum(({ waiting }) => waiting),
      cpuTime: (user + system) / 1e6,
      rss: Deno.memoryUsage().rss,
      core: sum(({ core }) => core),
      coreSize: sum(({ coreSize }) => coreSize),
      ticketKeys: TicketKeyRing.shared().size,
    };
  }

  /** Looks no more. */
  stop(): void {
    this.#meter.stop();
  }

  /** Looks no more, and asks nobody any more. */
  [Symbol.dispose](): void {
    this.stop();
    this.#channel?.close();
  }
}

/** In a Worker: answers a {@linkcode VitalsReader}, until it is disposed of. */
export function answerVitals(channel: string, name: string): Disposable {
  const meter = new LagMeter();
  const questions = new BroadcastChannel(channel);
  let timer: ReturnType<typeof setTimeout> | undefined;
  questions.onmessage = ({ data }) => {
    if (data !== QUESTION) return; // another's answer
    meter.start();
    clearTimeout(timer);
    timer = setTimeout(() => meter.stop(), ASKED);
    questions.postMessage([name, readThread(meter)]);
  };
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      meter.stop();
      questions.close();
    },
  };
}
