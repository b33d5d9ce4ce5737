/** The options of a connection, and the checks of those that say who the peer is. */

import { typeName } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { normalizeHostname } from "./hostname.ts";
import { SSLSession } from "./session.ts";
import type { TraceEvent } from "./trace.ts";

/** Options of one connection. */
export interface SocketOptions {
  /** Client: the host, a DNS name or an IP address, for SNI and the check of its certificate. */
  serverHostname?: string;
  /** Client: the session to resume. One that does not fit is passed over: a full handshake does as well. */
  savedSession?: SSLSession | Uint8Array;
  /**
   * Client: is told of each session as it comes, Node's event `session`: after a TLS 1.2 handshake; in TLS 1.3 with the data
   * that is read, once for each ticket. What it throws is the process's, as of a timer.
   */
  onSession?: (session: SSLSession) => void;
  /** Client: the first bytes to write, before the handshake (0-RTT) if `savedSession` allows it: see docs/early_data.md. */
  earlyData?: Uint8Array;
  /** `true`: complete the handshake before the socket is given; `false`: at the first use. @default {true} */
  doHandshake?: boolean;
  /** Seconds of wall-clock time for the handshake. @default {10} (Pycom's) */
  timeout?: number;
  /** Seconds to wait for the peer's close_notify on close. @default {30} (asyncio's) */
  shutdownTimeout?: number;
  /** Ends the handshake early. */
  signal?: AbortSignal;
  /** Bytes that were already read from the connection. */
  initialData?: Uint8Array;
  /** Take the end of the stream for the peer's close_notify: its data may then be cut short. @default {false} */
  suppressRaggedEofs?: boolean;
  /** Is told of each record and message as it passes, to see the handshake. It must not use the socket. */
  trace?: (event: TraceEvent) => void;
}

/** Their names. */
export const SOCKET_OPTIONS = [
  "serverHostname",
  "savedSession",
  "onSession",
  "earlyData",
  "doHandshake",
  "timeout",
  "shutdownTimeout",
  "signal",
  "initialData",
  "suppressRaggedEofs",
  "trace",
] as const satisfies readonly (keyof SocketOptions)[];

/** Checks what a client says of its server. */
export function checkPeer(
  config: TLSConfig,
  { savedSession: saved, serverHostname: hostname }: { savedSession?: unknown; serverHostname?: unknown },
): { serverHostname?: string; savedSession?: SSLSession } {
  const serverHostname = config.serverSide ? undefined : checkHostname(config, hostname);
  const savedSession = saved instanceof Uint8Array ? SSLSession.from(saved) : saved;
  if (savedSession !== undefined && !(savedSession instanceof SSLSession)) {
    throw new TypeError(
      `Cannot use savedSession: expected an SSLSession or its bytes, got ${typeName(saved)}`,
    );
  }
  return {
    ...(serverHostname !== undefined && { serverHostname }),
    ...(savedSession !== undefined && { savedSession }),
  };
}

function checkHostname(config: TLSConfig, hostname: unknown): string | undefined {
  if (hostname === undefined) {
    config.assertHost(hostname);
    return undefined;
  }
  if (typeof hostname !== "string") {
    throw new TypeError(`Cannot use serverHostname: expected a string, got ${typeName(hostname)}`);
  }
  return normalizeHostname(hostname);
}
