/** Changes: how those who wait for a socket learn that it is worth to look again. */

import { inTime } from "./deadline.ts";
import { OSError } from "./os_error.ts";

const TURN = 1; // millisecond; MicroPython's ports wait as long for an event when there is nothing to do

/** Wakes whoever waits. A wait that ends sooner leaves nothing behind. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Wakes all who wait now. */
  notify(): void {
    this.#waiting.forEach((wake) => wake());
  }

  /** Calls `wake` at each change, until disposed of. */
  subscribe(wake: () => void): Disposable {
    this.#waiting.add(wake);
    return { [Symbol.dispose]: () => void this.#waiting.delete(wake) };
  }
}

function changeInTime(change: Promise<boolean>, seconds: number): Promise<boolean> {
  return seconds === Infinity ? change : inTime(change, seconds).catch(() => false);
}

/** What can change, and tells of it. */
export interface Changing {
  /** Calls `wake` at each change, until disposed of. */
  subscribe(wake: () => void): Disposable;
}

/**
 * What every call of a socket does that may wait, for `timeout` seconds: tries, and tries again after each change of `source`.
 * A non-blocking call lets the event loop turn once, so that a program which calls again and again sees what came.
 * `ends` is for a call that began to wait before.
 */
export async function until<T>(
  source: Changing,
  action: string,
  attempt: () => T | undefined,
  timeout: number | null,
  ends: number = endOf(timeout),
): Promise<T> {
  for (let turned = false;;) {
    const got = attempt();
    if (got !== undefined) return got;
    if (timeout !== 0) {
      const left = timeout === null ? Infinity : (ends - performance.now()) / 1000;
      if (left > 0 && await nextChangeOf(source, left)) continue;
      throw timedOut(action, timeout);
    }
    if (turned) throw new OSError("EAGAIN", `Cannot ${action}()`);
    await turn();
    turned = true;
  }
}

/** When `timeout` seconds from now are over, by `performance.now()`. */
export function endOf(timeout: number | null): number {
  return timeout === null ? Infinity : performance.now() + timeout * 1000;
}

/** What a call throws that waited for `seconds`. */
export function timedOut(action: string, seconds: number | null): OSError {
  return new OSError("ETIMEDOUT", `Cannot ${action}()`, { text: `timed out after ${seconds} seconds` });
}

/** Waits for the next change, no longer than `seconds`; whether there was one. */
export async function nextChangeOf(source: Changing, seconds: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  using _ = source.subscribe(() => resolve(true));
  return await changeInTime(promise, seconds);
}

/** Waits for the next change of one of `sources`, no longer than `seconds`; whether there was one. */
export async function nextChange(
  sources: Iterable<Changing>,
  seconds: number,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  using subscriptions = new DisposableStack();
  for (const source of sources) subscriptions.use(source.subscribe(() => resolve(true)));
  return await changeInTime(promise, seconds);
}

/**
 * Lets the event loop do what is to do. A program that tries again and again without waiting would otherwise keep the
 * runtime from ever receiving anything.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TURN));
}
