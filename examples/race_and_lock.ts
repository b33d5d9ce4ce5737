/**
 * The book's race: tasks that read a shared counter, wait, and write it back lose counts; with a lock they lose none.
 *
 * ```sh
 * deno run examples/race_and_lock.ts
 * ```
 *
 * As in asyncio, only an `await` lets another task run: code without one needs no lock.
 */
import { setTimeout as delay } from "node:timers/promises";

const TASKS = 2;
const ROUNDS = 10;

/** asyncio's Lock: each holder waits for the one before. */
class Lock {
  #last = Promise.resolve();

  /** Waits for its turn. Dispose of the result to let the next one in. */
  async acquire(): Promise<Disposable> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    return { [Symbol.dispose]: resolve };
  }
}

async function count(lock?: Lock): Promise<number> {
  let counter = 0;
  async function task(): Promise<void> {
    for (let i = 0; i < ROUNDS; i++) {
      using _held = await lock?.acquire();
      const value = counter + 1;
      await delay(1); // here the other task runs
      counter = value;
    }
  }
  await Promise.all(Array.from({ length: TASKS }, task));
  return counter;
}

console.log(`Without a lock: ${await count()} of ${TASKS * ROUNDS}`);
console.log(`With a lock: ${await count(new Lock())} of ${TASKS * ROUNDS}`);
