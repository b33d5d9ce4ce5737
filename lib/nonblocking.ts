/** The synchronous calls of a socket in non-blocking mode, as MicroPython's and CPython's polling programs make them. */

import { type Bytes, EMPTY } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { Pump } from "./pump.ts";

/** What a non-blocking call came to. `want-read` and `want-write` name what the TLS layer waits for. */
export type TryOutcome<T> =
  | ({ readonly state: "ok" } & T)
  | { readonly state: "want-read" }
  | { readonly state: "want-write" };

const WANT_READ = { state: "want-read" } as const;
const WANT_WRITE = { state: "want-write" } as const;

/** The calls, over a pump. What they start in the background, {@linkcode NonBlocking.ready} waits for. */
export class NonBlocking {
  readonly #pump: Pump;
  readonly #ends: number; // milliseconds since the Unix epoch; of the handshake
  readonly #timedOut: () => Error;
  #started = false;

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
    return outcome.state === "eof" ? outcome : this.#wantRead();
  }

  write(p: Bytes): TryOutcome<{ bytes: number }> {
    const wanted = this.#start();
    if (wanted !== undefined) return wanted;
    if (this.#pump.flushing !== undefined) return WANT_WRITE; // what was taken before is not sent yet
    const bytes = this.#pump.step(() => this.#pump.engine.write(p));
    this.#pump.flushLater();
    if (bytes > 0 || p.length === 0) return { state: "ok", bytes };
    return this.#pump.flushing === undefined ? this.#wantRead() : WANT_WRITE; // a renegotiation waits for the peer
  }

  /** The handshake comes before anything else: it waits to send what it has, else to receive. */
  #start(): typeof WANT_READ | typeof WANT_WRITE | undefined {
    const { engine } = this.#pump;
    this.#pump.assertUsable();
    if (engine.handshakeDone) return undefined;
    if (Date.now() >= this.#ends) throw this.#pump.fail(this.#timedOut());
    this.#started = true;
    const { state } = this.#pump.step(() => engine.handshake());
    this.#pump.flushLater();
    if (state === "done") return undefined;
    return this.#pump.flushing === undefined ? this.#wantRead() : WANT_WRITE;
  }

  #wantRead(): typeof WANT_READ {
    this.#pump.fillLater();
    return WANT_READ;
  }

  async ready(direction: "read" | "write", timeout: number): Promise<boolean> {
    const left = this.#pump.engine.handshakeDone ? Infinity : (this.#ends - Date.now()) / 1000;
    try {
      await inTime(this.#wait(direction), Math.min(timeout, left), this.#timedOut);
      return true;
    } catch {
      // Either the time is up, or the wait failed: the call to come says how. An expired handshake is its failure, too.
      return this.#pump.failure !== undefined || left <= timeout;
    }
  }

  async #wait(direction: "read" | "write"): Promise<void> {
    const { engine, flushing, failure } = this.#pump;
    if (failure !== undefined) return;
    if (engine.handshakeDone) return await (direction === "write" ? flushing : this.#waitToRead());
    if (!this.#started) return; // the call to come starts the handshake
    await (flushing ?? this.#pump.fill());
  }

  async #waitToRead(): Promise<void> {
    const { engine } = this.#pump;
    if (engine.pending > 0 || !engine.wantsRecords) return;
    // The end of the stream may have come behind the last data.
    if (this.#pump.step(() => engine.read(EMPTY)).state !== "eof") await this.#pump.fill();
  }
}
