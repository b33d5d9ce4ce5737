/** Changes: how those who wait for a socket learn that it is worth to look again. */

import { inTime } from "./deadline.ts";

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

  /** Waits for the next change, no longer than `seconds`; whether there was one. */
  async next(seconds: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    using _ = this.subscribe(() => resolve(true));
    return await changeInTime(promise, seconds);
  }
}

async function changeInTime(change: Promise<boolean>, seconds: number): Promise<boolean> {
  return seconds === Infinity ? await change : await inTime(change, seconds).catch(() => false);
}

/** Waits for the next change of one of `sources`, no longer than `seconds`; whether there was one. */
export async function nextChange(
  sources: Iterable<{ subscribe(wake: () => void): Disposable }>,
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
