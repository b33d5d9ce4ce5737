/**
 * Goodbye: the end of a connection in good order, by the close_notify of both sides (RFC 8446 section 6.1).
 */

import { SSLError } from "./errors.ts";
import { DRAIN_MAX, type Pump } from "./pump.ts";
import type { Turns } from "./turns.ts";

const SCRATCH = 1024; // bytes; for what is not wanted

/** Ends the connection of a pump. None of its methods has a deadline: that is its user's. */
export class Goodbye {
  readonly #pump: Pump;
  readonly #turns: Turns;
  readonly #handshake: () => Promise<void>;

  /** `turns` are of those who write; `handshake` completes the handshake. */
  constructor(pump: Pump, turns: Turns, handshake: () => Promise<void>) {
    this.#pump = pump;
    this.#turns = turns;
    this.#handshake = handshake;
  }

  /** Sends close_notify, behind what was written before. */
  say(): Promise<void> {
    return this.#turns.take(async (before) => {
      const { engine } = this.#pump;
      if (!engine.handshakeDone) await this.#handshake();
      if (before !== undefined) await before;
      this.#pump.assertUsable();
      this.#pump.step(() => engine.closeNotify());
      await this.#pump.flush();
    });
  }

  /** Says goodbye and reads what the peer still sends, both at once: the peer may read only when we do. */
  async sayAndDrain(): Promise<void> {
    let left = Infinity;
    const said = this.say().then(() => {
      left = DRAIN_MAX;
      if (this.#pump.engine.state !== "closed") return this.#pump.closeWrite(); // some peers answer only a FIN
    });
    const drained = this.#readToEnd((bytes) => {
      if ((left -= bytes) < 0) {
        throw new SSLError("Cannot close: the peer goes on sending", { kind: "closed" });
      }
    });
    await Promise.all([said, drained]);
  }

  /** Says goodbye and takes the peer's; data before it is an error. */
  async exchange(): Promise<void> {
    const read = this.#readToEnd(() => {
      throw new SSLError("Cannot unwrap: the peer sent data before its close_notify", { kind: "protocol" });
    });
    await Promise.all([this.say(), read]);
  }

  /** Reads, until the peer's close_notify, what it still sends; `onData` is told how much. */
  async #readToEnd(onData: (bytes: number) => void): Promise<void> {
    const { engine } = this.#pump;
    if (["read-closed", "closed"].includes(engine.state)) return;
    const scratch = new Uint8Array(SCRATCH);
    engine.dropEarlyData();
    for (;;) {
      const outcome = this.#pump.step(() => engine.read(scratch));
      if (outcome.state === "eof") return;
      if (outcome.state === "data") onData(outcome.bytes);
      else await this.#pump.fill();
      this.#pump.assertUsable();
    }
  }
}
