/** Stage: a part of a handshake in which the program's own code decides, and may take its time. */

import { alertForCode, SSLError } from "./errors.ts";
import type { Pump } from "./pump.ts";

const INTERNAL_ERROR = 80; // an AlertDescription

/** What is run once, by whoever drives the handshake. The deadline is its user's: it covers the program's code, too. */
export abstract class Stage {
  /** @internal The connection. */
  protected readonly pump: Pump;
  #running: Promise<void> | undefined;
  #done = false;

  constructor(pump: Pump) {
    this.pump = pump;
  }

  /** Whether it has come to a good end. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether it has begun and not ended: it goes on by itself, and wakes who waits. */
  get running(): boolean {
    return this.#running !== undefined && !this.#done;
  }

  /** Runs it. Calling it again waits for the same. */
  run(): Promise<void> {
    return this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      await this.decide();
      this.#done = true;
    } catch (error) {
      if (this.pump.failure !== undefined || !(error instanceof SSLError)) {
        throw this.pump.fail(error as Error);
      }
      this.pump.step(() => this.pump.engine.refuse(error, this.alertFor(error)));
    } finally {
      this.pump.wake();
    }
  }

  /** @internal What it does; an `SSLError` refuses the peer. */
  protected abstract decide(): Promise<void>;

  /** @internal The alert that tells the peer; `undefined` for one that is gone. The program's own errors have no code. */
  protected alertFor({ alert, code }: SSLError): number | undefined {
    return alert?.description ?? (code === 0 ? INTERNAL_ERROR : alertForCode(code));
  }
}

/** The error for what the program's function `name` threw: an `SSLError` as it is. */
export function callbackError(name: string, cause: unknown): SSLError {
  if (cause instanceof SSLError) return cause;
  const state = cause instanceof Error ? cause.message : String(cause);
  return new SSLError(`Cannot complete TLS handshake: ${name} failed: ${state}`, { kind: "config", cause });
}
