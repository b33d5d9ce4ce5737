/** SessionLookup: asks the fleet for the session that a client names. */

import type { Bytes } from "./bytes.ts";
import { Stage } from "./stage.ts";

/** The stage of a handshake that waits with `"session"`. */
export class SessionLookup extends Stage {
  /** @internal Asks, and lets the engine go on, with a session or without. */
  protected override async decide(): Promise<void> {
    const { engine } = this.pump;
    const outcome = engine.handshake();
    if (outcome.state !== "session") return;
    const { options: { sessionCache }, trustId } = engine.config;
    let session: unknown;
    try {
      session = await sessionCache!.find(trustId, outcome.id);
    } catch {
      // a full handshake takes its place
    }
    const found = session instanceof Uint8Array ? session as Bytes : undefined;
    try {
      this.pump.assertUsable(); // it may have been closed meanwhile, or late
      engine.giveSession(found);
    } finally {
      found?.fill(0);
    }
  }
}
