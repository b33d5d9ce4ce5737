/**
 * SSLObject: what CPython's class of that name answers about a connection. It does no I/O.
 *
 * @module
 */

import type { BaseEngine } from "./base_engine.ts";
import { copyOf } from "./bytes.ts";
import { type PeerCertificate, peerCertificate } from "./peer_certificate.ts";
import { CERT_NONE } from "./policy.ts";
import type { Cipher } from "./engine_state.ts";
import type { SSLSession } from "./session.ts";

const EXPORT_MAX = 1024; // bytes; the uses of RFC 5705 take 32 to 64

/** What is known of a TLS connection, under CPython's names. */
export class SSLObject {
  /** Whether we are the server. */
  readonly serverSide: boolean;
  readonly #engine: BaseEngine;

  /** For `SSLSocket`. */
  constructor(engine: BaseEngine) {
    this.#engine = engine;
    this.serverSide = engine.config.serverSide;
  }

  /** Client: the host that was asked for. Server: the host that the client asked for (SNI), after the handshake. */
  get serverHostname(): string | undefined {
    return this.#engine.serverName;
  }

  /** `"TLSv1.2"`, `"TLSv1.3"` or `"DTLSv1.2"`; `undefined` before the handshake. */
  version(): string | undefined {
    return this.#engine.version;
  }

  /** The cipher suite in use; `undefined` before the handshake. */
  cipher(): Cipher | undefined {
    return this.#engine.cipher;
  }

  /** The group of the key exchange, such as `"x25519"`; `undefined` before the handshake or without one. */
  group(): string | undefined {
    return this.#engine.group;
  }

  /** The ALPN protocol that was agreed; `undefined`: none. */
  selectedAlpnProtocol(): string | undefined {
    return this.#engine.handshakeDone ? this.#engine.alpnProtocol : undefined;
  }

  /** Whether an earlier session was resumed. */
  get sessionReused(): boolean {
    return this.#engine.sessionReused;
  }

  /**
   * Whether early data was accepted. Client: the server had `earlyData` with the first flight, as much as the session
   * allowed; otherwise it was sent behind the handshake. Server: `readEarlyData()` has or had something to give.
   */
  get earlyDataAccepted(): boolean {
    return this.#engine.earlyDataAccepted;
  }

  /** What to resume later; `undefined` while the server has given nothing. A TLS 1.3 ticket comes with the first data. */
  get session(): SSLSession | undefined {
    return this.#engine.session();
  }

  /** `MBEDTLS_X509_BADCERT_*` bits: 0 when the peer's certificate is valid, 0x80 when none was checked. */
  get verifyFlags(): number {
    return this.#engine.verifyFlags;
  }

  /** {@linkcode SSLSocket.verifyFlags} in words; `""` when there are none. */
  get verifyMessage(): string {
    return this.#engine.verifyMessage;
  }

  /** Decrypted bytes that a read would give at once. */
  pending(): number {
    return this.#engine.pending;
  }

  /**
   * The peer's certificate.
   *
   * @param binary `true`: DER. `false`: CPython's form; empty when the certificate was not checked or is not valid.
   * @returns The certificate; `undefined` when the peer sent none.
   */
  getpeercert(binary: true): Uint8Array<ArrayBuffer> | undefined;
  /** CPython's form: see above. */
  getpeercert(binary?: false): PeerCertificate | undefined;
  getpeercert(binary = false): Uint8Array | PeerCertificate | undefined {
    const der = this.#engine.peerCertificates()[0];
    if (der === undefined || binary) return der;
    return this.#engine.config.certReqs === CERT_NONE || this.verifyFlags !== 0 ? {} : peerCertificate(der);
  }

  /** The chain that verified, DER, leaf first, trust anchor last; empty when none was checked in this handshake. */
  getVerifiedChain(): Uint8Array<ArrayBuffer>[] {
    return this.#engine.verifiedChain();
  }

  /** The certificates that the peer sent, DER, leaf first. */
  getUnverifiedChain(): Uint8Array<ArrayBuffer>[] {
    return this.#engine.peerCertificates();
  }

  /**
   * Keying material for another protocol (RFC 5705, RFC 8446 section 7.5).
   *
   * @param length Bytes.
   * @param label The protocol's label, such as `"EXPORTER-Channel-Binding"`.
   * @param context The protocol's context; none and empty differ in TLS 1.2.
   * @returns The bytes; both ends get the same.
   */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Uint8Array<ArrayBuffer> {
    if (!Number.isInteger(length) || length < 1 || length > EXPORT_MAX) {
      throw new RangeError(`Cannot use length: expected 1 to ${EXPORT_MAX} bytes, got ${length}`);
    }
    return this.#engine.exportKeyingMaterial(length, label, context && copyOf(context));
  }

  /** The channel binding `"tls-exporter"` (RFC 9266): 32 bytes that only this connection has. */
  getChannelBinding(type: "tls-exporter" = "tls-exporter"): Uint8Array<ArrayBuffer> {
    if (this.version() !== "TLSv1.3" && !this.#engine.extendedMasterSecret) {
      throw new TypeError(
        "Cannot get channel binding: the connection has no extended master secret (RFC 9266)",
      );
    }
    if (type !== "tls-exporter") throw new RangeError(`Cannot get channel binding: unknown type "${type}"`);
    return this.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", new Uint8Array(0));
  }
}
