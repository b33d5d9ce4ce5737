/** The states of an engine, the moves between them, and what its calls come to. */

/** What a read came to. */
export type ReadOutcome =
  | { readonly state: "data"; readonly bytes: number }
  | { readonly state: "need-records" }
  | { readonly state: "eof" };

/**
 * What a step of the handshake came to. `"verify"`: the peer has proved who it is, and waits for `accept()` or `refuse()`; only
 * where the config has `verifyConnection` or `onUnknownPeer`, which who drives the engine must ask. `"session"`: a server's
 * waits for `giveSession()`; only where the config has `sessionCache`, which must be asked for `id` likewise.
 */
export type HandshakeOutcome =
  | { readonly state: "done" }
  | { readonly state: "need-records" }
  | { readonly state: "verify" }
  | { readonly state: "session"; readonly id: Uint8Array<ArrayBuffer> };

/** Likewise, of who asked for steps; `"working"`: an operation goes on with the next. */
export type HandshakeStep = HandshakeOutcome | { readonly state: "working" };

/** Whether an operation goes on. */
export function isWorking({ state }: HandshakeStep): boolean {
  return state === "working";
}

/** The cipher suite in use, as CPython's `cipher()`. */
export interface Cipher {
  /** IANA name. */
  readonly name: string;
  /** `"TLSv1.2"` or `"TLSv1.3"`. */
  readonly version: string;
  /** Strength of the cipher in bits. */
  readonly bits: number;
}

/** What a connection's `handshake()` returns besides 0 and errors: `HANDSHAKE_PAUSED` of wasm/glue/tlsio.h and so on. */
export const PAUSED = 1, WORKING = 2, ASKS = 3;

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
