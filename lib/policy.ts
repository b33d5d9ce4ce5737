/**
 * The options of a {@linkcode TLSConfig}, and their checks.
 *
 * @module
 */

import { assertBytes, assertSeconds, assertType, encodeText, typeName } from "./bytes.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Source } from "./credentials.ts";
import { assertSessionCache, type SessionCache } from "./session_cache.ts";
import { checkPeerPolicy, judgesPeer, type PeerPolicyOptions } from "./peer_policy.ts";
import { isTLS13Suite, TLSVersion, versionName } from "./suites.ts";
import type { TicketEvent } from "./tally.ts";
import { TicketKeyRing } from "./tickets.ts";

/** Ask for no certificate, check none. */
export const CERT_NONE = 0;
/** Check the certificate but go on whatever the result; `verifyFlags` says what it was. */
export const CERT_OPTIONAL = 1;
/** Go on only with a certificate that is valid, trusted and for the right host. */
export const CERT_REQUIRED = 2;

/** {@linkcode CERT_NONE}, {@linkcode CERT_OPTIONAL} or {@linkcode CERT_REQUIRED}. */
export type CertReqs = 0 | 1 | 2;

/**
 * Finds the pre-shared key of an identity; `undefined`: it is unknown. It runs inside the core: it cannot wait. In TLS 1.3 it
 * is asked for session tickets that do not open, too: they are identities that nobody has.
 */
export type PskCallback = (identity: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | undefined;

/**
 * Signs a hash with a key that tlsio never sees: one of a secure element, a key store, another process. It runs inside the
 * core: it cannot wait. What it throws ends the handshake. Suites with RSA key exchange or static ECDH fail: they need the key itself.
 *
 * @param hash The hash, made by the hash function of the scheme.
 * @param scheme The IANA name: `"ecdsa_secp256r1_sha256"`, `"rsa_pss_rsae_sha256"` (its salt as long as the hash),
 *   `"rsa_pkcs1_sha256"`. In TLS 1.2 the name of an ECDSA scheme says which hash it is, not which curve.
 * @returns The signature: of ECDSA in DER.
 */
export type SignHash = (hash: Uint8Array<ArrayBuffer>, scheme: string) => Uint8Array<ArrayBuffer>;

/** What both a config and the contexts above it take as it is. */
export interface PolicyOptions extends PeerPolicyOptions {
  /** Whether we are the server. @default {false} */
  serverSide?: boolean;
  /** What to ask of the peer's certificate. @default {CERT_REQUIRED for a client, CERT_NONE for a server} */
  certReqs?: CertReqs;
  /** One version, or the lowest and highest. @default {TLS 1.2 to TLS 1.3} */
  sslVersion?: TLSVersion | { minimum?: TLSVersion; maximum?: TLSVersion };
  /**
   * Cipher suites by name, best first, IANA's or mbedTLS's spelling; suites of one TLS version alone leave no other version.
   *
   * Old and small peers may need one that is not in the default. Each of those is weaker: `TLS_RSA_...` and `TLS_ECDH_...`
   * have no forward secrecy, `..._CBC_...` has a history of padding attacks, `..._CCM_8` a tag of 8 bytes. Name no more of
   * them than the peer needs, and only for that peer: docs/old_peers.md says what each one risks.
   *
   * @default {forward secret AEAD ones, by the core's speed; with `psk`, those that use it}
   */
  ciphers?: readonly string[];
  /** Groups of the key exchange by name, best first: `"x25519"`, `"secp256r1"` ... */
  groups?: readonly string[];
  /** Signature schemes by IANA name, best first. A SHA-1 scheme also admits certificates signed with SHA-1. */
  sigalgs?: readonly string[];
  /**
   * The shortest RSA key, in bits, that a certificate of the peer's chain may have. Old devices have 1024, which those who can
   * pay for it can break: then anyone may be that device. 3072 asks for more than is usual. @default {2048}
   */
  minRsaBits?: number;
  /** ALPN protocol names, best first (RFC 7301). */
  alpnProtocols?: readonly string[];
  /** Whether the certificate must be for `serverHostname`. @default {true} */
  checkHostname?: boolean;
  /** Whether the CN may name the host when the certificate has no SAN; RFC 9525 says no. @default {false} */
  allowCommonName?: boolean;
  /**
   * Bytes of plaintext in a record, 512, 1024, 2048 or 4096, for a peer without room for more: a client agrees on it with the
   * server (RFC 6066 section 4), a server keeps to it. A client that speaks TLS 1.3 alone cannot ask for it. Each record costs
   * 22 bytes or more and its own encryption: 512 is slower, and no safer. @default {16384}
   */
  maxFragmentLength?: 512 | 1024 | 2048 | 4096;
  /** A pre-shared key instead of certificates. */
  psk?: { identity: string | Uint8Array; key: Uint8Array };
  /**
   * Server: several pre-shared keys, found by their identities. Who has resumed a session was authenticated when it began: a
   * key that is withdrawn goes on working for as long as a ticket lives, unless `tickets` is `false`.
   */
  pskCallback?: PskCallback;
  /** Server: the keys of session tickets; `false`: none. Client: `false` asks for none. @default {one ring for the process} */
  tickets?: TicketKeyRing | false;
  /** Server, TLS 1.3: how many tickets a client gets after a handshake, 0 to 16; each can be used once. @default {2} */
  numTickets?: number;
  /**
   * Server: is told what became of each client's ticket, and which it was given, when its handshake is over. What it throws
   * is the process's, as of a timer: the connection goes on.
   */
  onTicket?: (event: TicketEvent) => void;
  /** Server: sessions to keep for TLS 1.2 clients without tickets; 0: none. @default {256} (as rustls) */
  sessionCacheSize?: number;
  /**
   * Server: shares the sessions of TLS 1.2 clients without tickets with other servers, as a `SharedSessionCache` of
   * `tlsio/stores` does. A handshake whose session is not in this server's own cache waits for it. @default {none}
   */
  sessionCache?: SessionCache;
  /**
   * Server, TLS 1.3: bytes of early data (0-RTT) to take from a client that resumes, at most 1 MiB. Whoever recorded it can
   * send it again: each ticket brings it once here, but not once in all processes that share a `TicketKeyRing`. A connection
   * holds it until `readEarlyData()` gives it out. @default {0: none}
   */
  maxEarlyData?: number;
  /** TLS 1.2: follow a peer that asks to renegotiate. @default {false} */
  renegotiation?: boolean;
  /**
   * Server, TLS 1.2: let the client's order of suites decide, as it always does in TLS 1.3: one without AES instructions asks
   * for ChaCha20-Poly1305 first, others for AES-GCM. `false`: ours decides, which is that of {@linkcode ciphers} or of the
   * core's speed, ChaCha20-Poly1305 before AES-GCM. @default {true}
   */
  preferClientOrder?: boolean;
  /**
   * Count what each connection costs: bytes, round trips, operations, heap. `cost()` of the socket or engine says it. DTLS has
   * no such counts. @default {false; true of a device's profile}
   */
  measure?: boolean;
  /** Takes each secret as a line of an NSS key log: who has it can read the traffic. */
  keyLog?: (line: string) => void;
}

/** How DTLS goes about datagrams that are lost, and about clients that may not be where they say. */
export interface DatagramPolicy {
  /** Seconds until a flight without an answer is sent again; then twice as long. @default {1} (RFC 6347 section 4.2.4.1) */
  retransmitAfter?: number;
  /** Seconds that this grows to; without an answer then, the handshake has failed. @default {60} (RFC 6347) */
  retransmitMax?: number;
  /** Server: seconds for which a client may use a cookie. @default {60} (mbedTLS's) */
  cookieLifetime?: number;
}

/** Options of a {@linkcode TLSConfig}: {@linkcode PolicyOptions} and bytes. */
export interface TLSConfigOptions extends PolicyOptions {
  /** DTLS 1.2, for a `DTLSEngine`, instead of TLS. */
  datagrams?: DatagramPolicy;
  /** Our certificate chain with its key; a server's several, of which it shows the first that the client can verify. */
  credential?: OwnCredential | readonly OwnCredential[];
  /** Trusted certificates; none: a client trusts the Mozilla roots that Deno ships. */
  trust?: readonly Source[];
  /** Certificate revocation lists. */
  crls?: readonly Source[];
  /** @internal How a device goes about connections: of a profile. */
  behaviour?: Behaviour;
}

/** A certificate chain, and its key or who signs with that. */
export interface OwnCredential {
  /** The certificates, leaf first. */
  readonly chain: Source;
  /** The key. */
  readonly key?: Source;
  /** Opens an encrypted key. */
  readonly password?: string | undefined;
  /** Signs in place of a key. */
  readonly sign?: SignHash;
}

/** All our certificates. */
export function credentialsOf({ credential = [] }: TLSConfigOptions): readonly OwnCredential[] {
  return Array.isArray(credential) ? credential : [credential as OwnCredential];
}

/** Who signs, by the number of the credential. */
export function signersOf(options: TLSConfigOptions): (SignHash | undefined)[] {
  return credentialsOf(options).map(({ sign }) => sign);
}

/** Whether pre-shared keys take the place of certificates. */
export function usesPsk({ psk, pskCallback }: PolicyOptions): boolean {
  return psk !== undefined || pskCallback !== undefined;
}

/** The fragment lengths with the codes of RFC 6066. */
export const FRAGMENT_CODES: ReadonlyMap<number | undefined, number> = new Map([
  [undefined, 0],
  [512, 1],
  [1024, 2],
  [2048, 3],
  [4096, 4],
]);
/** Bytes of a pre-shared key: MBEDTLS_PSK_MAX_LEN of wasm/config/default.h; a test compares them. */
export const PSK_MAX = 256;
/** No wait of DTLS is longer: a day. */
const DATAGRAM_SECONDS_MAX = 86400;
/** Tickets after a handshake: more bytes than the handshake itself would be of no use. */
const NUM_TICKETS_MAX = 16;
/** Bytes of early data that a server may hold for its application: requests, not files. */
const EARLY_DATA_MAX = 1 << 20;
/** Bits of an RSA key that `minRsaBits` may ask for: below, a key protects nothing; MBEDTLS_MPI_MAX_SIZE ends above. */
const RSA_BITS = { least: 1024, most: 8192 } as const;

const FLAGS = ["checkHostname", "allowCommonName", "renegotiation", "preferClientOrder", "measure"] as const;

/** Throws for options that are wrong whatever the core says. */
export function checkOptions(options: TLSConfigOptions, serverSide: boolean, certReqs: number): void {
  if (certReqs !== CERT_NONE && certReqs !== CERT_OPTIONAL && certReqs !== CERT_REQUIRED) {
    throw new RangeError(
      `Cannot use certReqs: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got ${certReqs}`,
    );
  }
  const own = credentialsOf(options);
  if (serverSide && own.length === 0 && !usesPsk(options)) {
    throw new TypeError("Cannot create a TLS server: it needs certfile and keyfile, or psk");
  }
  if (!serverSide && own.length > 1) {
    throw new TypeError(
      "Cannot use certificates: a client has one, mbedTLS chooses among those of a server alone",
    );
  }
  const isNone = certReqs === CERT_NONE;
  checkPeerPolicy(options, { serverSide, isNone, isRequired: certReqs === CERT_REQUIRED });
  if (serverSide && !isNone && options.trust === undefined) {
    throw new TypeError("Cannot check client certificates: caCerts is missing");
  }
  for (const option of ["ciphers", "groups", "sigalgs", "alpnProtocols"] as const) {
    assertNames(option, options[option], option === "alpnProtocols" ? 0 : 1);
  }
  for (const name of options.alpnProtocols ?? []) assertProtocol("alpnProtocols", name);
  if (!FRAGMENT_CODES.has(options.maxFragmentLength)) {
    throw new RangeError(
      `Cannot use maxFragmentLength: expected 512, 1024, 2048 or 4096, got ${options.maxFragmentLength}`,
    );
  }
  const { minRsaBits = RSA_BITS.least } = options;
  if (!Number.isInteger(minRsaBits) || minRsaBits < RSA_BITS.least || minRsaBits > RSA_BITS.most) {
    throw new RangeError(`Cannot use minRsaBits: expected 1024 to 8192, got ${minRsaBits}`);
  }
  for (const option of FLAGS) assertType(option, "boolean", options[option]);
  if (options.psk !== undefined) {
    if (typeof options.psk !== "object" || options.psk === null) {
      throw new TypeError(`Cannot use psk: expected { identity, key }, got ${typeName(options.psk)}`);
    }
    const { key, identity } = options.psk;
    assertBytes("psk.key", key);
    if (typeof identity !== "string") assertBytes("psk.identity", identity);
    if (key.length < 1 || key.length > PSK_MAX) {
      throw new RangeError(`Cannot use psk: a key has 1 to ${PSK_MAX} bytes, got ${key.length}`);
    }
  }
  if (options.pskCallback !== undefined) {
    if (typeof options.pskCallback !== "function") {
      throw new TypeError(
        `Cannot use pskCallback: expected a function, got ${typeName(options.pskCallback)}`,
      );
    }
    if (!serverSide) throw new TypeError("Cannot use pskCallback: it is for servers, a client has psk");
    if (options.psk !== undefined) throw new TypeError("Cannot use pskCallback: psk is given, too");
  }
  for (const option of ["keyLog", "onTicket"] as const) {
    const callback: unknown = options[option];
    if (callback !== undefined && typeof callback !== "function") {
      throw new TypeError(`Cannot use ${option}: expected a function, got ${typeName(callback)}`);
    }
  }
  const { tickets, numTickets = 0, sessionCacheSize = 0 } = options;
  if (!Number.isInteger(numTickets) || numTickets < 0 || numTickets > NUM_TICKETS_MAX) {
    throw new RangeError(`Cannot use numTickets: expected 0 to ${NUM_TICKETS_MAX}, got ${numTickets}`);
  }
  if (tickets !== undefined && tickets !== false && !(tickets instanceof TicketKeyRing)) {
    throw new TypeError(`Cannot use tickets: expected a TicketKeyRing or false, got ${typeName(tickets)}`);
  }
  if (!Number.isSafeInteger(sessionCacheSize) || sessionCacheSize < 0) {
    throw new RangeError(`Cannot use sessionCacheSize: expected a whole number, got ${sessionCacheSize}`);
  }
  if (options.sessionCache !== undefined) assertSessionCache(options.sessionCache, options);
  checkMaxEarlyData(options, serverSide);
  if (options.datagrams !== undefined) checkDatagrams(options, options.datagrams);
}

/** The options of DTLS, in full. */
export function datagramPolicy(given: DatagramPolicy): Required<DatagramPolicy> {
  return {
    retransmitAfter: given.retransmitAfter ?? 1,
    retransmitMax: given.retransmitMax ?? 60,
    cookieLifetime: given.cookieLifetime ?? 60,
  };
}

function checkDatagrams(options: PolicyOptions, given: DatagramPolicy): void {
  const policy = datagramPolicy(given);
  for (const [name, seconds] of Object.entries(policy)) {
    assertSeconds(name, seconds);
    if (seconds > DATAGRAM_SECONDS_MAX) {
      throw new RangeError(
        `Cannot use ${name}: expected at most ${DATAGRAM_SECONDS_MAX} seconds, got ${seconds}`,
      );
    }
  }
  if (policy.retransmitMax <= policy.retransmitAfter) {
    throw new RangeError("Cannot use retransmitMax: it must be greater than retransmitAfter");
  }
  for (const name of ["renegotiation", "onUnknownPeer", "verifyConnection", "measure"] as const) {
    if (options[name]) throw new TypeError(`Cannot use ${name}: it is for streams`);
  }
}

function checkMaxEarlyData(options: TLSConfigOptions, serverSide: boolean): void {
  const { maxEarlyData = 0, tickets } = options;
  if (!Number.isSafeInteger(maxEarlyData) || maxEarlyData < 0 || maxEarlyData > EARLY_DATA_MAX) {
    throw new RangeError(
      `Cannot use maxEarlyData: expected 0 to ${EARLY_DATA_MAX} bytes, got ${maxEarlyData}`,
    );
  }
  if (maxEarlyData === 0) return;
  if (!serverSide) throw new TypeError("Cannot use maxEarlyData: it is for servers; a client has earlyData");
  if (tickets === false) throw new TypeError("Cannot use maxEarlyData: it needs tickets");
  if (versionRange(options).maximum !== TLSVersion.TLSv1_3) {
    throw new TypeError("Cannot use maxEarlyData: it needs TLS 1.3");
  }
  if (judgesPeer(options)) {
    throw new TypeError("Cannot use maxEarlyData: it comes before pins, onUnknownPeer and verifyConnection");
  }
}

function assertNames(option: string, list: unknown, atLeast: number): void {
  if (list === undefined) return;
  if (!Array.isArray(list) || list.length < atLeast || list.some((name) => typeof name !== "string")) {
    throw new TypeError(
      `Cannot use ${option}: expected a list of ${atLeast ? "at least one name" : "names"}`,
    );
  }
}

/** The lowest and highest version that both `sslVersion` and `ciphers` allow. */
export function versionRange(
  { sslVersion, serverSide, maxFragmentLength, ciphers, datagrams }: TLSConfigOptions,
): { minimum: number; maximum: number } {
  if (sslVersion !== undefined && typeof sslVersion !== "number" && typeof sslVersion !== "object") {
    throw new TypeError(
      `Cannot use sslVersion: expected one of TLSVersion or a range, got ${typeName(sslVersion)}`,
    );
  }
  const newest = datagrams === undefined ? TLSVersion.TLSv1_3 : TLSVersion.TLSv1_2; // mbedTLS has no DTLS 1.3
  let { minimum = TLSVersion.TLSv1_2, maximum = newest } = typeof sslVersion === "number"
    ? { minimum: sslVersion, maximum: sslVersion }
    : sslVersion ?? {};
  if (datagrams !== undefined && maximum !== TLSVersion.TLSv1_2) {
    throw new RangeError("Cannot use sslVersion: DTLS is DTLS 1.2, TLSVersion.TLSv1_2");
  }
  const known: number[] = Object.values(TLSVersion);
  if (!known.includes(minimum) || !known.includes(maximum) || minimum > maximum) {
    throw new RangeError(
      `Cannot use sslVersion: expected TLS 1.2 to TLS 1.3, got 0x${Number(minimum).toString(16)} to 0x${
        Number(maximum).toString(16)
      }`,
    );
  }
  // A peer takes a version that is offered at its word, and then finds no suite for it.
  const given = minimum;
  if (ciphers?.every(isTLS13Suite)) minimum = TLSVersion.TLSv1_3;
  if (ciphers?.some(isTLS13Suite) === false) maximum = TLSVersion.TLSv1_2;
  if (minimum > maximum) {
    throw new TypeError(`Cannot use ciphers: none of them is for sslVersion ${versionName(given)}`);
  }
  if (maxFragmentLength !== undefined && !serverSide && minimum === TLSVersion.TLSv1_3) {
    throw new TypeError("Cannot use maxFragmentLength: a client needs sslVersion TLS 1.2 for it");
  }
  return { minimum, maximum };
}

/** Throws a `RangeError` unless `name` can be that of a protocol. */
export function assertProtocol(option: string, name: string): void {
  const { length } = encodeText(name);
  if (length >= 1 && length <= 255 && !name.includes("\0")) return;
  throw new RangeError(`Cannot use ${option}: a name has 1 to 255 bytes and no NUL, got ${length} bytes`);
}
