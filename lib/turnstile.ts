/**
 * Turnstile: how much of a turn of the event loop servers' handshakes may take. A flood of them comes in batches; done at once,
 * each batch would stop everything else for as long as all its private-key operations take.
 *
 * Hosts take turns, so that one with many handshakes waits for itself, and one with few waits for one step of each host. Of a
 * host's handshakes, those that are under way go before those that begin.
 *
 * A step that leaves something undone is done again before all else, so that no two are amid one. What comes in one step is
 * not interrupted: RSA-4096 takes 10 to 20 ms, so a turn has one of these.
 */

import { hostOf } from "./ip_address.ts";

const BUDGET = 8; // milliseconds in a turn, after which no further step begins
const GAP = 2; // milliseconds without a step after which another turn has begun

/** Goes on with a handshake. */
type GoOn = () => void;

let used = 0; // milliseconds of this turn
let ended = 0; // when the last step did
let timer: ReturnType<typeof setTimeout> | undefined; // of the next turn, while somebody waits for it
let waiting = 0;
let called = false; // somebody has been told to go on, and is about to
let amid: GoOn | undefined; // who has left something undone
const hosts = new Map<string, { underWay: Set<GoOn>; beginning: Set<GoOn> }>(); // the first one has its turn next

/** The place of one handshake. */
export class Turn {
  readonly #host: string;
  #begun = false;
  #left = false;
  #goOn: GoOn | undefined; // while it waits

  /** For a handshake with `peer`; those without an address share their turns. */
  constructor(peer: Deno.Addr | undefined) {
    this.#host = hostOf(peer);
  }

  /**
   * Does a step of the handshake when it is its turn; never, once it has left.
   *
   * @param step The work, which does not wait.
   * @param isAmid Whether it has left something undone, by what it gave: then it is done again.
   * @returns What the last step gave.
   */
  async take<T>(step: () => T, isAmid?: (result: T) => boolean): Promise<T> {
    if (timer === undefined && performance.now() - ended > GAP) used = 0;
    if (used >= BUDGET || waiting > 0 || called) await this.#wait();
    this.#begun = true;
    try {
      for (;;) {
        const result = timed(step);
        if (!isAmid?.(result)) return result;
        if (used >= BUDGET) await this.#wait(true);
      }
    } finally {
      release();
    }
  }

  async #wait(isAmid = false): Promise<void> {
    if (this.#left) await new Promise(() => {});
    timer ??= setTimeout(nextTurn);
    waiting++;
    await new Promise<void>((resolve) => {
      this.#goOn = resolve;
      if (isAmid) return void (amid = resolve);
      let host = hosts.get(this.#host);
      if (host === undefined) hosts.set(this.#host, host = { underWay: new Set(), beginning: new Set() });
      (this.#begun ? host.underWay : host.beginning).add(resolve);
    });
    called = false;
  }

  /** The handshake has ended, as by its deadline: it waits no more, and holds nothing here. */
  leave(): void {
    this.#left = true;
    const goOn = this.#goOn;
    if (goOn === undefined) return;
    const host = hosts.get(this.#host);
    if (goOn === amid) amid = undefined;
    else if (!host?.underWay.delete(goOn) && !host?.beginning.delete(goOn)) return; // it has its turn
    waiting--;
    if (host?.underWay.size === 0 && host.beginning.size === 0) hosts.delete(this.#host);
  }
}

/** Does a step, and counts its time. */
function timed<T>(step: () => T): T {
  const start = performance.now();
  try {
    return step();
  } finally {
    ended = performance.now();
    used += ended - start;
  }
}

/** Lets the next one go on: in this turn, if there is time left, or in the next. */
function release(): void {
  if (waiting === 0) return;
  if (used >= BUDGET) {
    timer ??= setTimeout(nextTurn); // after the step: were it due by now, it would come before the network
    return;
  }
  waiting--;
  called = true;
  const first = amid;
  amid = undefined;
  if (first !== undefined) return first();
  const [name, host] = hosts.entries().next().value!;
  const queue = host.underWay.size > 0 ? host.underWay : host.beginning;
  const next = queue.values().next().value!;
  queue.delete(next);
  hosts.delete(name);
  if (host.underWay.size + host.beginning.size > 0) hosts.set(name, host); // behind the others
  next();
}

/** A timer, since Deno 2.9 looks at the network only once in 61 immediates (tokio's `event_interval`). */
function nextTurn(): void {
  timer = undefined;
  used = 0;
  release();
}
