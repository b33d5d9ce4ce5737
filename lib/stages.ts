/** The stages of one connection's handshake. */

import { ClientChoice, type ConfigChooser } from "./client_choice.ts";
import type { TLSConfig } from "./config.ts";
import { PeerCheck } from "./peer_check.ts";
import { judgesPeer } from "./peer_policy.ts";
import type { Pump } from "./pump.ts";
import { SessionLookup } from "./session_lookup.ts";
import type { Stage } from "./stage.ts";

/** What comes first, and what comes in the states in which the engine waits. */
export type Stages = { readonly [when in "choice" | "verify" | "session"]: Stage | undefined };

/** Those that a connection of `config` may need; where `choose` puts another in its place, all. */
export function stagesOf(
  pump: Pump,
  { options }: TLSConfig,
  choose: ConfigChooser | undefined,
): Stages {
  return {
    choice: choose && new ClientChoice(pump, choose),
    verify: judgesPeer(options) || choose ? new PeerCheck(pump) : undefined,
    session: options.sessionCache || choose ? new SessionLookup(pump) : undefined,
  };
}
