/**
 * PeerPolicy: which peers will do, beyond a chain that verifies: pinned keys, revocation, and the program's own say.
 *
 * @module
 */

import { assertBytes, type Bytes, concat, encodeText, typeName } from "./bytes.ts";
import { Core } from "./core.ts";
import { isPem, parseLength, type Source } from "./credentials.ts";
import { CODE, SSLError } from "./errors.ts";

/** What is known of a connection before any data has been given or taken: Go's type of that name. */
export interface ConnectionState {
  /** Client: the host that we asked for. Server: the host that the client asked for (SNI). */
  readonly serverHostname: string | undefined;
  /** `"TLSv1.2"` or `"TLSv1.3"`. */
  readonly version: string;
  /** The ALPN protocol that was agreed. */
  readonly alpnProtocol: string | undefined;
  /** Whether an earlier session was resumed: its peer proves itself by that. */
  readonly sessionReused: boolean;
  /** The certificates that the peer sent, DER, leaf first; of a resumed session the leaf alone. */
  readonly peerCertificates: readonly Uint8Array<ArrayBuffer>[];
  /** The chain that verified, DER, leaf first, trust anchor last; empty when none was checked in this handshake. */
  readonly verifiedChain: readonly Uint8Array<ArrayBuffer>[];
  /** `MBEDTLS_X509_BADCERT_*` bits: 0 when the peer's certificate is valid, 0x80 when none was checked. */
  readonly verifyFlags: number;
  /** The flags in words. */
  readonly verifyMessage: string;
  /** The pin of the peer's key, as {@linkcode publicKeyPin} makes it; `undefined`: it sent no certificate. */
  readonly pin: string | undefined;
  /** The peer's address, where the connection below has one. */
  readonly remoteAddr: Deno.Addr | undefined;
}

/**
 * Has the last word on a connection: Go's `VerifyConnection`. It is called once for each, resumed ones included, when the
 * peer has proved who it is: a client has not sent its own certificate then, and no data was given or sent. It may wait, for no
 * longer than the handshake may take. What it throws ends the handshake: the peer is told `bad_certificate`, or the `alert`
 * of an `SSLError`. To answer anything, `false` or an Error too, is the same as a throw.
 *
 * In TLS 1.2 without a server's signature (RSA key exchange, a pre-shared key) a client learns only afterwards, still before
 * any data, whether the server has the key.
 */
export type VerifyConnection = (state: ConnectionState) => void | Promise<void>;

/**
 * Decides about a peer whose certificate no authority in `caCerts` vouches for: trust on first use. `true` accepts it. It is
 * called for each such connection, resumed ones included; it may wait as {@linkcode VerifyConnection} may. A revoked
 * certificate, or one that an authority vouches for but that has expired or is for another host, is refused without it. The
 * `verifyFlags` of a peer that it accepts stay as they are.
 */
export type OnUnknownPeer = (state: ConnectionState) => boolean | Promise<boolean>;

/**
 * Judges one certificate of a chain, the trust anchor first, the leaf (depth 0) last: MicroPython's `verify_callback`. 0 goes
 * on: mbedTLS's own check counts then as without it. Any other number, or a throw, ends the handshake with `access_denied`.
 * It runs inside the core: it cannot wait, and cannot use a connection; {@linkcode peerCertificate} works.
 */
export type VerifyCallback = (certificate: Uint8Array<ArrayBuffer>, depth: number) => number;

/** What is asked of the peer beyond a chain that verifies. */
export interface PeerPolicyOptions {
  /**
   * Keys of which the peer must have one, in the form of {@linkcode publicKeyPin} and of curl's `--pinnedpubkey`:
   * `"sha256//..."`. It may be the key of any certificate in the chain that verified, an authority's too (RFC 7469 section 2.6);
   * where none was verified, with CERT_NONE or for an unknown peer, it must be the leaf's. It is asked on top of `certReqs`.
   */
  pins?: readonly string[];
  /** Decides about a peer that is not trusted; CERT_REQUIRED alone. See {@linkcode OnUnknownPeer}. */
  onUnknownPeer?: OnUnknownPeer;
  /** Has the last word. See {@linkcode VerifyConnection}. */
  verifyConnection?: VerifyConnection;
  /** Judges each certificate of the chain. See {@linkcode VerifyCallback}. */
  verifyCallback?: VerifyCallback;
  /**
   * With `crls`: whose issuer must have given one, the leaf's or that of every certificate in the chain: CPython's
   * `VERIFY_CRL_CHECK_LEAF` and `VERIFY_CRL_CHECK_CHAIN`. A CRL that is there counts for each certificate. @default {"leaf"}
   */
  crlCheck?: "leaf" | "chain";
}

const PIN = /^sha256\/\/[A-Za-z0-9+/]{43}=$/; // 32 bytes

/** Throws for options that are wrong whatever the core says. */
export function checkPeerPolicy(
  options: PeerPolicyOptions & {
    renegotiation?: boolean;
    psk?: unknown;
    pskCallback?: unknown;
    crls?: readonly Source[];
  },
  checks: { isRequired: boolean; isNone: boolean; serverSide: boolean },
): void {
  const { pins, crlCheck, crls, renegotiation, psk, pskCallback } = options;
  for (const name of ["onUnknownPeer", "verifyConnection", "verifyCallback"] as const) {
    const value: unknown = options[name];
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`Cannot use ${name}: expected a function, got ${typeName(value)}`);
    }
  }
  if (pins !== undefined) {
    if (!Array.isArray(pins)) throw new TypeError(`Cannot use pins: expected a list, got ${typeName(pins)}`);
    if (pins.length === 0) throw new TypeError("Cannot use pins: the list is empty, no peer would do");
    for (const pin of pins) {
      if (typeof pin !== "string" || !PIN.test(pin)) {
        throw new TypeError(
          `Cannot use pins: expected "sha256//" and the base64 of 32 bytes, got ${
            typeof pin === "string" ? JSON.stringify(pin) : typeName(pin)
          }`,
        );
      }
    }
    if (psk !== undefined || pskCallback !== undefined) {
      throw new TypeError("Cannot use pins: a peer with psk shows no certificate");
    }
    if (checks.serverSide && checks.isNone) {
      throw new TypeError("Cannot use pins: a server needs certReqs to see a certificate");
    }
  }
  if (options.onUnknownPeer !== undefined && !checks.isRequired) {
    throw new TypeError("Cannot use onUnknownPeer: it needs certReqs CERT_REQUIRED");
  }
  if (options.verifyCallback !== undefined && checks.isNone) {
    throw new TypeError("Cannot use verifyCallback: with certReqs CERT_NONE no certificate is checked");
  }
  if (crlCheck !== undefined && crlCheck !== "leaf" && crlCheck !== "chain") {
    throw new TypeError(`Cannot use crlCheck: expected "leaf" or "chain", got ${JSON.stringify(crlCheck)}`);
  }
  if (crlCheck !== undefined && crls === undefined) {
    throw new TypeError("Cannot use crlCheck: crls is missing");
  }
  if (crls !== undefined && checks.isNone) {
    throw new TypeError("Cannot use crls: with certReqs CERT_NONE no certificate is checked");
  }
  if (renegotiation && judgesPeer(options)) {
    throw new TypeError(
      "Cannot use renegotiation with pins, onUnknownPeer or verifyConnection: they judge once",
    );
  }
}

/** Whether the handshake is to pause once the peer has proved who it is. */
export function judgesPeer({ pins, onUnknownPeer, verifyConnection }: PeerPolicyOptions): boolean {
  return pins !== undefined || onUnknownPeer !== undefined || verifyConnection !== undefined;
}

/**
 * What of it a session must share to be resumed, where a resumed handshake does not check it again; `undefined`: nothing.
 * `verifyConnection` is asked each time.
 */
export function peerPolicyFacts(
  core: Core,
  options: PeerPolicyOptions & { crls?: readonly Source[] },
): unknown[] | undefined {
  const { pins, onUnknownPeer, verifyCallback, crlCheck, crls } = options;
  if (!pins && !onUnknownPeer && !verifyCallback && !crls) return undefined;
  return [
    pins && [...pins].sort(),
    onUnknownPeer !== undefined,
    verifyCallback && functionId(verifyCallback),
    crls && core.sha256(concat(crls.flatMap(({ bytes }) => [encodeText(`${bytes.length}:`), bytes]))).toHex(),
    crlCheck,
  ];
}

const FUNCTION_IDS = new WeakMap<object, string>();

/** A name for a function that no other one has, here or in another process. */
export function functionId(of: object): string {
  let id = FUNCTION_IDS.get(of);
  if (id === undefined) FUNCTION_IDS.set(of, id = crypto.randomUUID());
  return id;
}

/**
 * The pin of a certificate's key: `"sha256//"` and the base64 of the SHA-256 of its SubjectPublicKeyInfo, as curl and
 * RFC 7469 have it. A renewed certificate with the same key has the same.
 *
 * @param certificate The certificate, DER, or PEM, of which it takes the first.
 * @returns The pin.
 * @throws {SSLError} If the bytes are not a certificate.
 *
 * @example Accept a peer by its key
 * ```ts
 * import { createCertificate, publicKeyPin, SSLContext } from "tlsio";
 * import { assertMatch } from "@std/assert";
 *
 * const { certificate } = createCertificate({ subject: "CN=device" });
 * const pin = publicKeyPin(certificate);
 * assertMatch(pin, /^sha256\/\/.{44}$/);
 * using context = await SSLContext.create({ certReqs: 0, pins: [pin] });
 * ```
 */
export function publicKeyPin(certificate: string | Uint8Array): string {
  if (typeof certificate === "string") certificate = encodeText(certificate);
  assertBytes("certificate", certificate);
  return pinOf(Core.idle(), certificate);
}

/** What an engine knows while its handshake waits. */
interface Witness
  extends Pick<ConnectionState, "alpnProtocol" | "sessionReused" | "verifyFlags" | "verifyMessage"> {
  readonly serverName: string | undefined;
  readonly version: string | undefined;
  peerCertificates(): Bytes[];
  verifiedChain(): Bytes[];
}

/** What is known of a connection whose peer is to be judged. */
export function stateOf(engine: Witness, remoteAddr: Deno.Addr | undefined): ConnectionState {
  const peerCertificates = engine.peerCertificates();
  const [leaf] = peerCertificates;
  return {
    serverHostname: engine.serverName,
    version: engine.version!,
    alpnProtocol: engine.alpnProtocol,
    sessionReused: engine.sessionReused,
    peerCertificates,
    verifiedChain: engine.verifiedChain(),
    verifyFlags: engine.verifyFlags,
    verifyMessage: engine.verifyMessage,
    pin: leaf && publicKeyPin(leaf),
    remoteAddr,
  };
}

/** Why a peer with this certificate and chain is none of the pinned; `undefined`: it is one. */
export function missingPin(
  core: Core,
  pins: readonly string[],
  leaf: Bytes | undefined,
  chain: readonly Bytes[],
): string | undefined {
  if (chain.some((der) => pins.includes(pinOf(core, der)))) return undefined; // public: no need for constant time
  const state = leaf === undefined ? "it sent no certificate" : `its key is ${pinOf(core, leaf)}`;
  return `the peer has none of the pinned keys: ${state}`;
}

/** The pin of the first certificate of `chain`, DER or PEM. */
export function pinOf(core: Core, chain: Bytes): string {
  const key = core.with([chain], (at) => {
    const fill = (out: number, size: number) =>
      core.call.certificate_public_key(at!, parseLength(chain), out, size);
    return core.collect("read the certificate", fill);
  });
  if (key.length === 0) {
    throw new SSLError(`Cannot read the certificate: ${isPem(chain) ? "the PEM" : "it"} holds none`, {
      kind: "config",
      code: CODE.BAD_INPUT_DATA,
    });
  }
  return `sha256//${core.sha256(key).toBase64()}`;
}
