/** The synchronous calls of a socket in non-blocking mode, as MicroPython's and CPython's polling programs make them. */

import { deadline } from "./_std/async.js";
import type { Bytes } from "./bytes.ts";
import type { Pump } from "./pump.ts";

/** What a non-blocking call came to. `want-read` and `want-write` name what the TLS layer waits for. */
export type TryOutcome<T> =
  | ({ readonly state: "ok" } & T)
  | { readonly state: "want-read" }
  | { readonly state: "want-write" };

type Wanted = { readonly state: "want-read" } | { readonly state: "want-write" };

/** The calls, over a pump. What they start in the background, {@linkcode NonBlocking.ready} waits for. */
export class NonBlocking {
  readonly #pump: Pump;
  readonly #ends: number; // milliseconds since the Unix epoch; of the handshake
  readonly #timedOut: () => Error;

  /** `handshakeTimeout` is in seconds from now; `timedOut` makes the error of a handshake that took longer. */
  constructor(pump: Pump, handshakeTimeout: number, timedOut: () => Error) {
    this.#pump = pump;
    this.#ends = Date.now() + handshakeTimeout * 1000;
    this.#timedOut = timedOut;
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
    return outcome.state === "eof" ? outcome : this.#want();
  }

  write(p: Bytes): TryOutcome<{ bytes: number }> {
    const wanted = this.#start();
    if (wanted !== undefined) return wanted;
    if (this.#pump.flushing !== undefined) return { state: "want-write" }; // what was taken before is not sent yet
    const bytes = this.#pump.step(() => this.#pump.engine.write(p));
    this.#pump.flushLater();
    return bytes === 0 && p.length > 0 ? this.#want() : { state: "ok", bytes };
  }

  /** The handshake comes before anything else. */
  #start(): Wanted | undefined {
    const { engine } = this.#pump;
    this.#pump.assertUsable();
    if (engine.handshakeDone) return undefined;
    if (Date.now() >= this.#ends) throw this.#pump.fail(this.#timedOut());
    const { state } = this.#pump.step(() => engine.handshake());
    this.#pump.flushLater();
    return state === "done" ? undefined : this.#want();
  }

  /** What the TLS layer waits for: to send what it has, else to receive. */
  #want(): Wanted {
    if (this.#pump.flushing !== undefined) return { state: "want-write" };
    this.#pump.fillLater();
    return { state: "want-read" };
  }

  async ready(direction: "read" | "write", timeout: number): Promise<boolean> {
    const left = this.#pump.engine.handshakeDone ? Infinity : (this.#ends - Date.now()) / 1000;
    try {
      await deadline(this.#wait(direction), Math.max(0, Math.min(timeout, left)) * 1000);
      return true;
    } catch {
      // Either the time is up, or the wait failed: the call to come says how. An expired handshake is its failure, too.
      return this.#pump.failure !== undefined || left <= timeout;
    }
  }

  async #wait(direction: "read" | "write"): Promise<void> {
    const { engine, flushing, failure } = this.#pump;
    if (failure !== undefined) return;
    const handshaking = !engine.handshakeDone;
    if (flushing !== undefined && (direction === "write" || handshaking)) return await flushing;
    if (direction === "write" && !handshaking) return;
    if (engine.wantsRecords && engine.pending === 0) await this.#pump.fill();
  }
}
