/** Facts: what a core knows of a connection. */

import { IO_SIZE } from "./core.ts";

/** What the core knows of a connection. */
export interface Facts {
  /** 0x0303 or 0x0304; 0 before it is known. */
  readonly version: number;
  /** IANA number of the suite. */
  readonly suite: number;
  /** Whether a session was resumed. */
  readonly resumed: boolean;
  /** `MBEDTLS_X509_BADCERT_*` bits. */
  readonly verifyFlags: number;
  /** The last alert that the peer sent; -1: none. */
  readonly alert: number;
  /** The last fatal alert that mbedTLS sent; -1: none. */
  readonly alertSent: number;
  /** Whether the peer gave what a later handshake can resume. */
  readonly hasSession: boolean;
  /** Decrypted bytes that wait. */
  readonly pending: number;
  /** Plaintext bytes that fit one record. */
  readonly maxWrite: number;
  /** IANA number of the key exchange's group; 0: none. */
  readonly group: number;
  /** Whether the master secret is bound to the handshake (RFC 7627). */
  readonly extendedMasterSecret: boolean;
  /** Server: what became of the client's ticket; see `TICKET_OUTCOMES`. */
  readonly ticket: number;
  /** Server: tickets that were sealed for the client. */
  readonly issued: number;
  /** Server: what became of the client's session id; see `CACHE_OUTCOMES`. */
  readonly cache: number;
  /** IANA number of the scheme of our signature; 0: we made none. */
  readonly ownSigalg: number;
  /** IANA number of the scheme of the peer's. */
  readonly peerSigalg: number;
  /** One of `EARLY`. */
  readonly earlyData: number;
}

/** The order in which the core gives its facts: `enum fact` of wasm/glue/tlsio.h; a test compares them. */
export const FACT_ORDER = [
  "VERSION",
  "SUITE",
  "RESUMED",
  "VERIFY_FLAGS",
  "ALERT",
  "ALERT_SENT",
  "SESSION",
  "PENDING",
  "MAX_WRITE",
  "GROUP",
  "EXTENDED_MS",
  "TICKET",
  "ISSUED",
  "CACHE",
  "OWN_SIGALG",
  "PEER_SIGALG",
  "EARLY_DATA",
] as const;

/** Reads what the core gives, in that order. */
export function readFacts(numbers: Int32Array): Facts {
  const [
    version,
    suite,
    resumed,
    verifyFlags,
    alert,
    alertSent,
    session,
    pending,
    maxWrite,
    group,
    extended,
    ticket,
    issued,
    cache,
    ownSigalg,
    peerSigalg,
    earlyData,
  ] = numbers;
  return {
    version: version!,
    suite: suite!,
    resumed: resumed === 1,
    verifyFlags: verifyFlags! >>> 0,
    alert: alert!,
    alertSent: alertSent!,
    hasSession: session === 1,
    pending: pending!,
    maxWrite: Math.min(IO_SIZE, maxWrite!),
    group: group!,
    extendedMasterSecret: extended === 1,
    ticket: ticket!,
    issued: issued!,
    cache: cache!,
    ownSigalg: ownSigalg!,
    peerSigalg: peerSigalg!,
    earlyData: earlyData!,
  };
}
