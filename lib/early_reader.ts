/** How a server's socket waits for early data while its handshake goes on. */

import type { Bytes } from "./bytes.ts";
import type { Pump } from "./pump.ts";

/**
 * Reads early data into `p`. `handshake` is under way and wakes the pump after each step; its deadline is the one here.
 *
 * @returns How many bytes; `null` when there is no more, or never was.
 */
export async function readEarly(pump: Pump, handshake: Promise<void>, p: Bytes): Promise<number | null> {
  for (;;) {
    pump.assertUsable();
    const outcome = pump.step(() => pump.engine.readEarlyData(p));
    if (outcome.state === "data") return outcome.bytes;
    if (outcome.state === "eof") return null;
    await Promise.race([handshake, pump.changed(Infinity)]);
  }
}
