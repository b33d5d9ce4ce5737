/** MicroPython's `select` module: which of several sockets a call can go on with. */

import { nextChange, turn } from "./changes.ts";
import { OSError } from "./os_error.ts";

/** Data, the end of the stream, or a connection to accept. */
export const POLLIN = 1;
/** Bytes can be sent; after a non-blocking `connect()`: the socket is connected. */
export const POLLOUT = 4;
/** The socket failed: the next call says why. Reported always. */
export const POLLERR = 8;
/** The socket is not connected (any more). Reported always. */
export const POLLHUP = 16;
/** The socket is closed. Reported always; MicroPython gives it too, but has no name for it. */
export const POLLNVAL = 32;

const EVENTS = POLLIN | POLLOUT | POLLERR | POLLHUP;

/** What can be polled: a `Socket`, or what is made over one. MicroPython's `ioctl(MP_STREAM_POLL)`. */
export interface Pollable {
  /**
   * Which events of `mask` there are now. What it takes for one of `mask` to come about (to receive, to accept) starts.
   *
   * @param mask `POLLIN`, `POLLOUT`, or both.
   * @returns Those, and `POLLERR`, `POLLHUP`, `POLLNVAL` whatever the mask.
   */
  pollEvents(mask: number): number;
  /** Calls `wake` whenever {@linkcode Pollable.pollEvents} may give more than before, until disposed of. */
  subscribe(wake: () => void): Disposable;
}

/**
 * MicroPython's `select.poll` object. {@linkcode poll} makes one.
 *
 * @example A server's loop
 * ```ts
 * import { poll, POLLIN, socket } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = socket();
 * listener.setblocking(false);
 * listener.bind(["127.0.0.1", 0]);
 * listener.listen(5);
 * const poller = poll();
 * poller.register(listener, POLLIN);
 * assertEquals(await poller.poll(0), []); // nobody is there yet
 *
 * await using client = socket();
 * await client.connect(["127.0.0.1", listener.localAddr!.port]);
 * assertEquals(await poller.poll(10_000), [[listener, POLLIN]]);
 * const [server] = await listener.accept();
 * await server.close();
 * ```
 */
export class Poll<T extends Pollable = Pollable> {
  readonly #masks = new Map<T, number>();

  /** Adds `obj`, or changes its events. @default {POLLIN | POLLOUT} */
  register(obj: T, eventmask: number = POLLIN | POLLOUT): void {
    if (typeof obj?.pollEvents !== "function" || typeof obj.subscribe !== "function") {
      throw new TypeError("Cannot register(): expected a socket");
    }
    this.#masks.set(obj, checkMask("register", eventmask));
  }

  /** Takes `obj` out; one that is not in is no error. */
  unregister(obj: T): void {
    this.#masks.delete(obj);
  }

  /**
   * Changes the events of `obj`.
   *
   * @throws {OSError} `ENOENT` if it is not registered.
   */
  modify(obj: T, eventmask: number): void {
    if (!this.#masks.has(obj)) {
      throw new OSError("ENOENT", "Cannot modify()", { text: "the object is not registered" });
    }
    this.#masks.set(obj, checkMask("modify", eventmask));
  }

  /**
   * Waits until a registered socket has an event.
   *
   * @param timeout Milliseconds at most; below 0: for ever. @default {-1}
   * @returns Each socket that has events, with them; none when the time is up.
   */
  async poll(timeout = -1): Promise<[obj: T, events: number][]> {
    if (typeof timeout !== "number" || Number.isNaN(timeout)) {
      throw new TypeError(`Cannot poll(): expected milliseconds, got ${String(timeout)}`);
    }
    const ends = timeout < 0 ? Infinity : performance.now() + timeout;
    this.#ready(); // starts what is to be waited for
    await turn(); // a loop over a socket that can always send still lets the others receive
    for (;;) {
      const ready = this.#ready();
      const left = ends - performance.now();
      if (ready.length > 0 || left <= 0) return ready;
      await nextChange(this.#masks.keys(), left / 1000);
    }
  }

  #ready(): [T, number][] {
    return [...this.#masks].flatMap(([obj, mask]) => {
      const events = obj.pollEvents(mask);
      return events === 0 ? [] : [[obj, events] satisfies [T, number]];
    });
  }

  /**
   * As {@linkcode Poll.poll}, one by one.
   *
   * @param timeout Milliseconds at most; below 0: for ever. @default {-1}
   * @param flags 1: a socket that had an event has none any more until `modify()` (one-shot). @default {0}
   */
  async *ipoll(timeout = -1, flags = 0): AsyncGenerator<[obj: T, events: number]> {
    for (const [obj, events] of await this.poll(timeout)) {
      if ((flags & 1) !== 0 && this.#masks.has(obj)) this.#masks.set(obj, 0);
      yield [obj, events];
    }
  }
}

function checkMask(method: string, mask: unknown): number {
  if (Number.isInteger(mask) && ((mask as number) & ~EVENTS) === 0) return mask as number;
  throw new RangeError(`Cannot ${method}(): expected POLLIN, POLLOUT or both, got ${String(mask)}`);
}

/** Makes a {@linkcode Poll}: MicroPython's `select.poll()`. */
export function poll<T extends Pollable = Pollable>(): Poll<T> {
  return new Poll();
}

/**
 * Waits until one of several sockets can go on: `select.select()`.
 *
 * @param rlist Those to read from or accept from.
 * @param wlist Those to write to.
 * @param xlist Those to watch for failures.
 * @param timeout Seconds at most; `null`: for ever. @default {null}
 * @returns Those of each list that are ready. One that failed or was closed is ready: the next call says why.
 *
 * @example Usage
 * ```ts
 * import { select, socket } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = socket();
 * listener.listen();
 * assertEquals(await select([listener], [], [], 0), [[], [], []]);
 * ```
 */
export async function select<T extends Pollable>(
  rlist: Iterable<T>,
  wlist: Iterable<T>,
  xlist: Iterable<T>,
  timeout: number | null = null,
): Promise<[T[], T[], T[]]> {
  const [r, w, x] = [[...rlist], [...wlist], [...xlist]];
  const poller = poll<T>();
  for (const obj of new Set([...r, ...w, ...x])) {
    poller.register(obj, (r.includes(obj) ? POLLIN : 0) | (w.includes(obj) ? POLLOUT : 0));
  }
  const events = new Map(await poller.poll(timeout === null ? -1 : Math.max(timeout, 0) * 1000));
  const ended = POLLERR | POLLHUP | POLLNVAL;
  const having = (list: T[], mask: number) => list.filter((obj) => ((events.get(obj) ?? 0) & mask) !== 0);
  return [having(r, POLLIN | ended), having(w, POLLOUT | ended), having(x, ended)];
}
