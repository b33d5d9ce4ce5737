/**
 * SSLObject: what CPython's class of that name answers about a connection. It does no I/O.
 *
 * @module
 */

import type { BaseEngine } from "./base_engine.ts";
import { copyOf } from "./bytes.ts";
import { certificateBinding, type PeerCertificate, peerCertificate } from "./peer_certificate.ts";
import { CERT_NONE } from "./policy.ts";
import type { Cipher } from "./engine_state.ts";
import type { SSLSession } from "./session.ts";

const EXPORT_MAX = 1024; // bytes; the uses of RFC 5705 take 32 to 64

/** What {@linkcode SSLSocket.getChannelBinding} can give. */
export type ChannelBindingType = "tls-exporter" | "tls-unique" | "tls-server-end-point";

/** The key exchange of a connection, as Node's `getEphemeralKeyInfo()`. */
export interface EphemeralKeyInfo {
  /** Elliptic curves are all that the core has. */
  readonly type: "ECDH";
  /** The group: `"x25519"`, `"secp256r1"` ... */
  readonly name: string;
  /** The size of its keys in bits. */
  readonly size: number;
}

/** X25519's as OpenSSL counts them; others have theirs in their names. */
function keyBits(group: string): number {
  return group === "x25519" ? 253 : Number(/\d{3}/.exec(group)![0]);
}

function noBinding(why: string): TypeError {
  return new TypeError(`Cannot get channel binding: ${why}`);
}

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

  /** Server: the cipher suites that the client offered and we have, in the client's order; `undefined` for a client. */
  sharedCiphers(): Cipher[] | undefined {
    if (!this.serverSide) return undefined;
    return this.#engine.opened.sharedSuites().map(({ name, bits }) => {
      const version = name.includes("_WITH_") ? "TLSv1.2" : "TLSv1.3";
      return { name, version, bits };
    });
  }

  /**
   * Server: the signature schemes that the client offered and we have, in the client's order, without those that the core
   * does not know; `undefined` for a client. Node's `getSharedSigalgs()`.
   */
  sharedSigalgs(): string[] | undefined {
    return this.serverSide ? this.#engine.opened.sharedSigalgs() : undefined;
  }

  /** The key exchange; `undefined` before the handshake or without one, as with a resumed TLS 1.2 session. */
  getEphemeralKeyInfo(): EphemeralKeyInfo | undefined {
    const name = this.#engine.group;
    return name === undefined ? undefined : { type: "ECDH", name, size: keyBits(name) };
  }

  /** The scheme of the server's signature: `"ecdsa_secp256r1_sha256"` ...; `undefined`: it made none in this handshake. */
  serverSigalg(): string | undefined {
    const { own, peer } = this.#engine.signatureSchemes;
    return this.serverSide ? own : peer;
  }

  /** The scheme of the client's signature; `undefined`: it has no certificate, or the session was resumed. */
  clientSigalg(): string | undefined {
    const { own, peer } = this.#engine.signatureSchemes;
    return this.serverSide ? peer : own;
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

  /** The certificate that we sent, DER; `undefined`: none in this handshake. Node's `getCertificate()`. */
  getCertificate(): Uint8Array<ArrayBuffer> | undefined {
    return this.#engine.opened.own();
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

  /**
   * What ties another protocol's login to this connection (SCRAM-PLUS and others), so that nobody in between can use it.
   *
   * - `"tls-exporter"` (RFC 9266): 32 bytes that only this connection has. The one to use.
   * - `"tls-unique"` (RFC 5929): the first Finished message of a TLS 1.2 handshake, 12 bytes; CPython's only one.
   * - `"tls-server-end-point"` (RFC 5929): a hash of the server's certificate, the same for all its connections.
   *
   * @param type Which one.
   * @returns The bytes; both ends get the same.
   * @throws {TypeError} If this connection has none of that type: `"tls-unique"` in TLS 1.3; the first two in TLS 1.2 without
   *   an extended master secret (RFC 7627); the last where no certificate was sent, as with a resumed session.
   */
  getChannelBinding(type: ChannelBindingType = "tls-exporter"): Uint8Array<ArrayBuffer> {
    switch (type) {
      case "tls-exporter":
        this.#assertBound();
        return this.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", new Uint8Array(0));
      case "tls-unique": {
        const finished = this.#engine.opened.finished();
        if (finished.length === 0) throw noBinding("TLS 1.3 has no tls-unique (RFC 8446 appendix C.5)");
        this.#assertBound();
        return finished;
      }
      case "tls-server-end-point": {
        const own = this.serverSide;
        const sent = own ? this.#engine.opened.own() : this.#engine.peerCertificates()[0];
        if (sent === undefined || this.sessionReused) throw noBinding("the server sent no certificate");
        return certificateBinding(sent);
      }
      default:
        throw new RangeError(`Cannot get channel binding: unknown type "${type}"`);
    }
  }

  #assertBound(): void {
    if ([undefined, "TLSv1.3"].includes(this.version()) || this.#engine.extendedMasterSecret) return;
    throw noBinding("the connection has no extended master secret (RFC 7627)");
  }
}
