/**
 * Turnstile: how much of a turn of the event loop servers' handshakes may take. A flood of them comes in batches; done at once,
 * each batch would stop everything else for as long as all its private-key operations take.
 *
 * Hosts take turns, so that one with many handshakes waits for itself, and one with few hardly waits: a host of which none waits
 * goes before those that do, which have had their part of the turn by then; else it waits for one step of each host. Of a
 * host's handshakes, one amid a signature goes first, so that no more than one of it has numbers in memory; then those that are
 * under way, then those that begin. A client that sends its handshake in crumbs is under way for as many steps as honest ones
 * have, then waits as if it began: else it would keep out those that do for ever.
 *
 * While several hosts come, one of which many handshakes wait has less of a turn: else the turns would be long, and who has few needs
 * several of them. While one host alone comes, turns are longer, as fewer of them take less time in all.
 *
 * An RSA signature comes in steps of some 2 ms, as one of RSA-4096 takes 6 to 20 ms.
 */

import { hostOf } from "./ip_address.ts";

const BUDGET = 2; // milliseconds in a turn, after which no further step begins
const SIGNING = 6; // likewise, of a signature that has waited: most are done then, and who is fresh still has time
const FRESH = 8; // likewise, for a host of which no handshake waits while those of others do
const CROWDED = 0.5; // likewise, for a host of which more than CROWD wait while others come, too
const CROWD = 8;
const TURNS = 4; // in one of so many it goes before others: else those could keep it out for ever
const ALONE = 4; // likewise, while no other host comes
const RECENT = 1000; // milliseconds since another came
const GAP = 2; // milliseconds without a step after which another turn has begun
const AMID = 0, UNDER_WAY = 1, BEGINNING = 2; // who of a host goes first
const STEPS = 8; // of a handshake with a second hello, pauses for the program's callbacks, and flights in two reads

/** Goes on with a handshake. */
type GoOn = () => void;
type Queues = readonly [Set<GoOn>, Set<GoOn>, Set<GoOn>];

let used = 0; // milliseconds of this turn
let ended = 0; // when the last step did
let timer: ReturnType<typeof setTimeout> | undefined; // of the next turn, while somebody waits for it
let waiting = 0;
let turns = 0;
let last: string | undefined; // the host that took the last step
let changed = 0; // when it was another's than the one before
let called: string | undefined; // the host that has been told to go on, and is about to
const hosts = new Map<string, Queues>(); // the first one has its turn next

/** The place of one handshake. */
export class Turn {
  readonly #host: string;
  #steps = 0; // begun
  #left = false;
  #goOn: GoOn | undefined; // while it waits

  /** For a handshake with `peer`; those without an address share their turns. */
  constructor(peer: Deno.Addr | undefined) {
    this.#host = hostOf(peer);
  }

  /**
   * Does a step of the handshake, which does not wait, when it is its turn; never, once it has left.
   *
   * @param step The work.
   * @param isAmid Whether the step has left something undone, by what it gave: then it is done again.
   * @returns What the last step gave.
   */
  async take<T>(step: () => T, isAmid?: (result: T) => boolean): Promise<T> {
    if (timer === undefined && performance.now() - ended > GAP) used = 0;
    let end = FRESH; // of its signature in this turn
    if (!this.#mayGo()) {
      timer ??= setTimeout(nextTurn);
      await this.#wait();
      end = this.#part();
    }
    this.#steps++;
    if (last !== this.#host) [last, changed] = [this.#host, performance.now()];
    try {
      for (;;) {
        const result = timed(step);
        if (!isAmid?.(result)) return result;
        if (used < end) continue;
        const turn = this.#wait(true);
        release();
        await turn;
        end = this.#part();
      }
    } finally {
      release();
    }
  }

  /** How far into a turn its signature goes on, once it has waited. */
  #part(): number {
    return isCrowd(hosts.get(this.#host)) ? CROWDED : SIGNING;
  }

  /** Those who wait have had their part of this turn when a host comes for which none waits. */
  #mayGo(): boolean {
    return !hosts.has(this.#host) && called !== this.#host && used < (waiting > 0 ? FRESH : budget());
  }

  async #wait(isAmid = false): Promise<void> {
    if (this.#left) await new Promise(() => {});
    waiting++;
    await new Promise<void>((resolve) => {
      let queues = hosts.get(this.#host);
      if (queues === undefined) hosts.set(this.#host, queues = [new Set(), new Set(), new Set()]);
      this.#goOn = resolve;
      const isUnderWay = this.#steps > 0 && this.#steps < STEPS;
      queues[isAmid ? AMID : isUnderWay ? UNDER_WAY : BEGINNING].add(resolve);
    });
    called = undefined;
  }

  /** The handshake has ended, as by its deadline: it waits no more, and holds nothing here. */
  leave(): void {
    this.#left = true;
    const queues = hosts.get(this.#host);
    if (queues === undefined || this.#goOn === undefined) return;
    if (!queues.some((queue) => queue.delete(this.#goOn!))) return; // it has its turn
    waiting--;
    if (queues.every((queue) => queue.size === 0)) hosts.delete(this.#host);
  }
}

/** Lets the next one go on: in this turn, if there is time left, or in the next. */
function release(): void {
  if (waiting === 0) return;
  const host = nextHost();
  if (host === undefined) {
    timer ??= setTimeout(nextTurn); // after the step: were it due by now, it would come before the network
    return;
  }
  waiting--;
  const [name, queues] = host;
  const queue = queues.find(({ size }) => size > 0)!;
  const next = queue.values().next().value!;
  queue.delete(next);
  hosts.delete(name);
  if (queues.some(({ size }) => size > 0)) hosts.set(name, queues); // behind the others
  called = name;
  next();
}

/** Whose turn it is, crowds behind the others; `undefined`: this turn is used up. */
function nextHost(): [string, Queues] | undefined {
  if (used >= budget()) return undefined;
  const first = hosts.entries().next().value!;
  if (used < CROWDED && turns % TURNS === 0) return first;
  return hosts.entries().find(([, queues]) => !isCrowd(queues)) ?? (used < CROWDED ? first : undefined);
}

/** Whether so many handshakes of a host wait that it has less of a turn, as others come, too. */
function isCrowd(queues: Queues | undefined): boolean {
  return queues !== undefined && budget() === BUDGET &&
    queues.reduce((sum, { size }) => sum + size, 0) > CROWD;
}

/** Milliseconds of this turn in which steps may begin. */
function budget(): number {
  return performance.now() - changed < RECENT ? BUDGET : ALONE;
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

/** A timer, since Deno 2.9 looks at the network only once in 61 immediates (tokio's `event_interval`). */
function nextTurn(): void {
  timer = undefined;
  used = 0;
  turns++;
  release();
}

/** How many handshakes of this thread wait for their turn. */
export function waitingHandshakes(): number {
  return waiting;
}
