/**
 * The trace of a connection: each record and message as it passes, without what it holds.
 *
 * @module
 */

import { typeName } from "./bytes.ts";
import type { EngineState } from "./engine_state.ts";
import { alertOf } from "./errors.ts";
import { tell } from "./tell.ts";

/** What a record or a message is (RFC 8446 section 5.1); `"unknown"`: of none of the types that there are. */
export type TraceContent = "change_cipher_spec" | "alert" | "handshake" | "application_data" | "unknown";

/**
 * A record or a message that passed. A record is told of when it is given to the network or when its header has been read; a
 * message when the engine has made it or has all of it, decrypted. So a message that is sent comes before its record, one
 * that is received after it. A record can hold several messages, a message can take several records.
 */
export interface TraceEvent {
  /** When: milliseconds, on the clock of `performance.now()`. */
  readonly time: number;
  /** Which way it went. */
  readonly direction: "sent" | "received";
  /** A record, as it is on the wire; or a message in such records, as the engine sees it. */
  readonly layer: "record" | "message";
  /** What it is. A record of TLS 1.3 is `"application_data"` once it is encrypted; its message says what was in it. */
  readonly contentType: TraceContent;
  /**
   * Of a handshake message: its type by RFC 8446 or RFC 5246, as `"client_hello"`; a ServerHello that is a HelloRetryRequest
   * is `"hello_retry_request"`. Of an alert: its description, as `"close_notify"`. `"unknown"`: see {@linkcode code}.
   */
  readonly name?: string;
  /** The number of that type or description. */
  readonly code?: number;
  /** Of an alert. TLS 1.3 has no use for it. */
  readonly level?: "warning" | "fatal";
  /** Bytes: of a record with its header of 5, of a handshake message with its header of 4. */
  readonly length: number;
  /** Whether it is encrypted on the wire. */
  readonly encrypted: boolean;
  /** Where the engine was. A renegotiation and what else follows a handshake are `"open"`. */
  readonly state: EngineState;
}

/** Takes the numbers of the core's `trace` import. */
export type Tracer = (
  received: number,
  type: number,
  code: number,
  length: number,
  encrypted: number,
) => void;

/** In the place of a content type: `code` is the record's. */
export const RECORD = 0;
const ALERT = 21;
const HANDSHAKE = 22;
/** The content type of data. */
export const APPLICATION_DATA = 23;
const FATAL = 2; // an AlertLevel

const CONTENT: Readonly<Record<number, TraceContent>> = {
  20: "change_cipher_spec",
  [ALERT]: "alert",
  [HANDSHAKE]: "handshake",
  [APPLICATION_DATA]: "application_data",
};

/** HandshakeType (RFC 8446 section 4, RFC 5246 section 7.4, and IANA's registry). */
const HANDSHAKE_TYPES: Readonly<Record<number, string>> = {
  0: "hello_request",
  1: "client_hello",
  2: "server_hello",
  3: "hello_verify_request",
  4: "new_session_ticket",
  5: "end_of_early_data",
  6: "hello_retry_request",
  8: "encrypted_extensions",
  11: "certificate",
  12: "server_key_exchange",
  13: "certificate_request",
  14: "server_hello_done",
  15: "certificate_verify",
  16: "client_key_exchange",
  20: "finished",
  21: "certificate_url",
  22: "certificate_status",
  24: "key_update",
  25: "compressed_certificate",
};

/** Gives `report` an event for each call; `state` says where the engine is. */
export function tracer(report: (event: TraceEvent) => void, state: () => EngineState): Tracer {
  if (typeof report !== "function") {
    throw new TypeError(`Cannot use trace: expected a function, got ${typeName(report)}`);
  }
  return (...numbers) => tell(report, eventOf(...numbers, state()));
}

/** The event that a call of a {@linkcode Tracer} tells of. */
export function eventOf(
  ...[received, type, code, length, encrypted, state]: [...Parameters<Tracer>, state: EngineState]
): TraceEvent {
  return {
    time: performance.now(),
    direction: received === 0 ? "sent" : "received",
    layer: type === RECORD ? "record" : "message",
    contentType: CONTENT[type === RECORD ? code : type] ?? "unknown",
    ...describe(type, code),
    length,
    encrypted: encrypted !== 0,
    state,
  };
}

function describe(type: number, code: number): Pick<TraceEvent, "name" | "code" | "level"> {
  if (type === HANDSHAKE) return { name: HANDSHAKE_TYPES[code] ?? "unknown", code };
  if (type !== ALERT) return {};
  const { description, name } = alertOf(code & 255);
  return { name, code: description, level: code >> 8 === FATAL ? "fatal" : "warning" };
}
