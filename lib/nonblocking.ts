/** The synchronous calls of a socket in non-blocking mode, as MicroPython's and CPython's polling programs make them. */

import { type Bytes, EMPTY } from "./bytes.ts";
import { LONGEST } from "./deadline.ts";
import type { Pump } from "./pump.ts";
import type { Stage } from "./stage.ts";
import type { Stages } from "./stages.ts";

/** What a non-blocking call came to. `want-read` and `want-write` name what the TLS layer waits for. */
export type TryOutcome<T> =
  | ({ readonly state: "ok" } & T)
  | { readonly state: "want-read" }
  | { readonly state: "want-write" };

const WANT_READ = { state: "want-read" } as const;
const WANT_WRITE = { state: "want-write" } as const;
type Wanted = typeof WANT_READ | typeof WANT_WRITE;

/** The calls, over a pump. What they start in the background, {@linkcode NonBlocking.ready} waits for. */
export class NonBlocking {
  readonly #pump: Pump;
  readonly #ends: number; // of the handshake, by performance.now()
  readonly #timedOut: () => Error;
  readonly #stages: Stages;
  /** What the next call of a kind waits for: MicroPython's `poll_mask`. */
  #wanted: { read?: Wanted | undefined; write?: Wanted | undefined } = {};

  /** `handshakeTimeout` is in seconds from now; `timedOut` makes the error of a handshake that took longer. */
  constructor(pump: Pump, handshakeTimeout: number, timedOut: () => Error, stages: Stages) {
    if (pump.engine.config.options.maxEarlyData) {
      throw new TypeError(
        "Cannot setBlocking(false): a server with maxEarlyData reads early data, which waits",
      );
    }
    this.#pump = pump;
    this.#ends = performance.now() + handshakeTimeout * 1000;
    this.#timedOut = timedOut;
    this.#stages = stages;
  }

  /** Goes on with the handshake. */
  handshake(): TryOutcome<unknown> {
    return this.#start() ?? { state: "ok" };
  }

  read(p: Bytes): TryOutcome<{ bytes: number }> | { readonly state: "eof" } {
    const wanted = this.#start();
    if (wanted !== undefined) return wanted;
    const outcome = this.#pump.step(() => this.#pump.engine.read(p));
    this.#pump.flushLater();
    if (outcome.state === "data") return { state: "ok", bytes: outcome.bytes };
    if (outcome.state === "eof") return outcome;
    this.#pump.fillLater();
    return WANT_READ;
  }

  write(p: Bytes): TryOutcome<{ bytes: number }> {
    const wanted = this.#start();
    if (wanted !== undefined) return wanted;
    this.#wanted.write = undefined;
    if (this.#pump.flushing !== undefined) return WANT_WRITE; // what was taken before is not sent yet
    const bytes = this.#pump.step(() => this.#pump.engine.write(p));
    this.#pump.flushLater();
    if (bytes > 0 || p.length === 0) return { state: "ok", bytes };
    return this.#wanted.write = this.#want(); // a renegotiation waits for the peer
  }

  /** The handshake comes before anything else. */
  #start(): Wanted | undefined {
    const { engine } = this.#pump;
    this.#pump.assertUsable();
    if (engine.handshakeDone) return undefined;
    if (performance.now() >= this.#ends) throw this.#pump.fail(this.#timedOut());
    const { choice } = this.#stages;
    if (choice?.done === false) return this.#await(choice);
    const { state } = this.#pump.step(() => engine.handshake());
    this.#pump.flushLater();
    if (state === "verify" || state === "session") return this.#await(this.#stages[state]!);
    const wanted = state === "done" ? undefined : this.#want();
    this.#wanted = { read: wanted, write: wanted };
    return wanted;
  }

  #await(stage: Stage): Wanted {
    stage.run().catch(() => {}); // the call to come says it
    this.#wanted = {}; // it is ready when the stage has ended
    return WANT_READ;
  }

  /** What the TLS layer waits for: to send what it has, else to receive. */
  #want(): Wanted {
    if (this.#pump.flushing !== undefined) return WANT_WRITE;
    this.#pump.fillLater();
    return WANT_READ;
  }

  async ready(direction: "read" | "write", timeout: number): Promise<boolean> {
    const ends = performance.now() + timeout * 1000;
    for (let late = false; !this.isReady(direction);) {
      const handshakeEnds = this.#pump.engine.handshakeDone ? Infinity : this.#ends;
      if (late) return handshakeEnds <= ends; // the call to come says that the handshake took too long
      const left = Math.min(ends, handshakeEnds) - performance.now();
      await this.#pump.changed(left / 1000).catch(() => late = true);
    }
    return true;
  }

  /** Why the connection failed or was closed. */
  get failure(): Error | undefined {
    return this.#pump.failure;
  }

  /**
   * Calls `wake` whenever {@linkcode NonBlocking.isReady} may say something else, until disposed of; with `true` when all
   * that changed is that what was taken is sent.
   */
  subscribe(wake: (sent: boolean) => void): Disposable {
    const changes = this.#pump.subscribe((written) => wake(written && this.failure === undefined));
    if (this.#pump.engine.handshakeDone) return changes;
    const left = Math.min(this.#ends - performance.now(), LONGEST);
    const timer = setTimeout(() => wake(false), Math.max(left, 0));
    return {
      [Symbol.dispose]() {
        clearTimeout(timer);
        changes[Symbol.dispose]();
      },
    };
  }

  /** Whether a call that could not go on may. What it takes for that to come about starts. */
  isReady(direction: "read" | "write"): boolean {
    const { engine, failure, flushing } = this.#pump;
    if (failure !== undefined) return true; // the call to come says it
    if (!engine.handshakeDone && performance.now() >= this.#ends) return true; // likewise
    if (Object.values(this.#stages).some((stage) => stage?.running)) return false;
    const always = direction === "read" ? WANT_READ : WANT_WRITE;
    const wanted = this.#wanted[direction] ?? (engine.handshakeDone ? always : undefined);
    if (wanted === undefined) return true; // the call to come starts the handshake
    return wanted === WANT_WRITE ? flushing === undefined : this.#isReadable();
  }

  #isReadable(): boolean {
    const { engine } = this.#pump;
    if (engine.pending > 0 || !engine.wantsRecords) return true;
    try {
      // The end of the stream may have come behind the last data.
      if (engine.handshakeDone && this.#pump.step(() => engine.read(EMPTY)).state === "eof") return true;
    } catch {
      return true; // the call to come says it
    }
    this.#pump.fillLater();
    return false;
  }
}
