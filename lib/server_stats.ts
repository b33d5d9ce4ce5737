/** What servers count. */

/** What a server counts. */
export interface ServerStats {
  /** Connections accepted since the start. */
  accepted: number;
  /** Connections closed at once because a limit was reached. */
  refused: number;
  /** Handshakes under way. */
  handshaking: number;
  /** Connections whose handshake is done and that are open. */
  open: number;
  /** Handshakes that failed, since the start. */
  handshakeFailures: number;
  /** Those by reason: `"MBEDTLS_ERR_SSL_TIMEOUT"` ... */
  failures: Record<string, number>;
  /** How often each limit was reached, by its option's name; `descriptors`: no more files could be opened. */
  limits: Record<string, number>;
}

/** The counts of a server that has served no one. */
export function noStats(): ServerStats {
  return {
    accepted: 0,
    refused: 0,
    handshaking: 0,
    open: 0,
    handshakeFailures: 0,
    failures: {},
    limits: {},
  };
}
