/** The states of an engine, and the moves between them. */

/** Where an engine is. `read-closed`: the peer sent close_notify; `write-closed`: we did. */
export type EngineState =
  | "handshake"
  | "open"
  | "read-closed"
  | "write-closed"
  | "closed"
  | "failed"
  | "freed";

/** The moves that are legal. */
const TRANSITIONS: Readonly<Record<EngineState, readonly EngineState[]>> = {
  "handshake": ["open", "closed", "failed", "freed"],
  "open": ["read-closed", "write-closed", "failed", "freed"],
  "read-closed": ["closed", "failed", "freed"],
  "write-closed": ["closed", "failed", "freed"],
  "closed": ["failed", "freed"],
  "failed": ["freed"],
  "freed": [],
};

/** Checks the move from `state` to `next`, and returns `next`. */
export function moved(state: EngineState, next: EngineState): EngineState {
  if (!TRANSITIONS[state].includes(next)) {
    throw new Error(`Cannot move TLS engine from "${state}" to "${next}"`);
  }
  return next;
}
