/**
 * TLSEngine: one TLS peer as a state machine without I/O.
 *
 * ```
 *                 receive(records) ----> +-----------+ ----> read(buffer)      plaintext from the peer
 *   the network                          | TLSEngine |                         your code
 *                 takeRecords()   <----  +-----------+ <---- write(plaintext)
 * ```
 *
 * Call `receive()` with what the network gave and `receiveEof()` at its end; then `handshake()` or `read()`; then send
 * what `takeRecords()` gives, before anything else. Nothing here waits: where more records are needed, the outcome says
 * so. Any failure is final: every later call throws the same `SSLError`; the alert that tells the peer is among the
 * records still to be taken.
 *
 * @module
 */

import { type Bytes, EMPTY, encodeText } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { Connection, type Facts } from "./connection.ts";
import {
  type Cipher,
  type EngineState,
  type HandshakeOutcome,
  moved,
  type ReadOutcome,
} from "./engine_state.ts";
import { alertForCode, alertOf, CODE, errorFromCode, SSLError, verifyError } from "./errors.ts";
import { SSLSession } from "./session.ts";
import { groupName, suiteOf, TLSVersion, versionName } from "./suites.ts";
import type { Wire } from "./wire.ts";

/** Options of one engine. */
export interface TLSEngineOptions {
  /** Client: the host, for SNI and the check of its certificate. */
  serverHostname?: string | undefined;
  /** Client: a session to offer. */
  savedSession?: SSLSession | undefined;
  /** Take the end of the stream for the peer's close_notify, as HTTP/1.0 servers need. @default {false} */
  suppressRaggedEofs?: boolean;
}

/** Records that may wait to be taken before write() takes no more: enough for several per flush. */
const HIGH_WATER = 131072; // bytes
/** Records that may wait when write() has stopped: more are answers to a peer that asks and takes none. */
const ANSWERS_MAX = 2 * HIGH_WATER; // bytes
/** The flags before a certificate has been looked at. */
const NOT_VERIFIED = 0xffffffff;
const NEED_RECORDS = { state: "need-records" } as const;
const DONE = { state: "done" } as const;
const EOF = { state: "eof" } as const;

/** One end of one TLS connection. */
export class TLSEngine {
  #config: TLSConfig;
  #connection: Connection;
  readonly #hostname: string | undefined;
  readonly #suppressRaggedEofs: boolean;
  #state: EngineState = "handshake";
  #error: SSLError | undefined;
  #offered: SSLSession | undefined;
  #session: SSLSession | undefined;
  #facts: Facts | undefined; // from the end of the handshake on
  #serverName: string | undefined; // likewise
  #held = 0; // what a read met behind the data that it gave: the next read reports it

  /**
   * Makes an engine that has sent and received nothing.
   *
   * @param config Certificates, trust and policy.
   * @param options The host and the session to resume.
   */
  constructor(config: TLSConfig, options: TLSEngineOptions = {}) {
    this.#config = config;
    this.#hostname = options.serverHostname;
    this.#suppressRaggedEofs = options.suppressRaggedEofs ?? false;
    this.#connection = new Connection(config);
    try {
      if (!config.serverSide) this.#prepareClient(options.savedSession);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #prepareClient(session: SSLSession | undefined): void {
    this.#config.assertHost(this.#hostname);
    this.#connection.setHost(this.#hostname, this.#config.options.checkHostname !== false);
    // A session that was accepted under other trust, or by another host, must not stand in for this check.
    if (session === undefined || session.facts.trust !== this.#config.trustId) return;
    if (session.facts.serverHostname !== (this.#hostname ?? "")) return;
    if (!this.#config.speaks(session.facts.version)) return; // mbedTLS offers the session's version alone
    if (this.#connection.offer(session) === 0) this.#offered = session; // else it is of another mbedTLS
  }

  /** Server: goes on with another config. Before the handshake: what was received is left to be received again. */
  useConfig(config: TLSConfig): void {
    this.#assertUsable("use another config");
    if (!config.serverSide) throw new TypeError("Cannot use config: it is a client's");
    const connection = new Connection(config);
    this.#connection.free();
    [this.#config, this.#connection] = [config, connection];
  }

  /** Server: ends the handshake before it has begun, with an alert. Throws `error`, as each later call does. */
  refuse(error: SSLError, alert: number | undefined): never {
    this.#error = error;
    this.#setState("failed");
    if (alert !== undefined) this.#connection.alert(alert);
    throw error;
  }

  // ---- The network's side -----------------------------------------------------------------------------

  /**
   * Takes bytes from the network: any number of records or parts of one. They are kept by reference until they are
   * used: `records` must not change while {@linkcode TLSEngine.wantsRecords} is false.
   */
  receive(records: Bytes): void {
    if (this.#wire.eof) throw new TypeError("Cannot receive records: the end of the stream was received");
    this.#wire.receive(records);
  }

  /** The network will give no more. */
  receiveEof(): void {
    this.#wire.eof = true;
  }

  /** Whether all received records have been used. */
  get wantsRecords(): boolean {
    return this.#wire.input.length === 0 && !this.#wire.eof;
  }

  /** Whether there are records to send. */
  get hasRecords(): boolean {
    return this.#wire.outputLength > 0;
  }

  /** The records to send, as one array that is yours; empty when there are none. Works after a failure, too. */
  takeRecords(): Bytes {
    return this.#wire.take();
  }

  // ---- The application's side -------------------------------------------------------------------------

  /** Goes on with the handshake as far as the received records allow. */
  handshake(): HandshakeOutcome {
    if (this.#state !== "handshake") {
      this.#assertUsable("complete TLS handshake");
      return DONE;
    }
    for (;;) {
      const code = this.#run(() => this.#connection.handshake());
      if (code === 0) {
        this.#setState("open");
        this.#facts = this.#connection.facts();
        this.#serverName = this.#connection.sni();
        return DONE;
      }
      if (code !== CODE.WANT_READ) throw this.#fail(this.#handshakeAction(), code);
      if (this.#wire.starved) return NEED_RECORDS;
    }
  }

  /** Reads decrypted bytes into `buffer`, from as many records as are there and fit. */
  read(buffer: Bytes): ReadOutcome {
    if (this.#state === "handshake" && this.handshake().state !== "done") return NEED_RECORDS;
    if (this.#state === "read-closed" || this.#state === "closed") return EOF;
    this.#assertUsable("read");
    if (this.#held !== 0) return this.#endOfRead(this.#held);
    let total = 0;
    while (total < buffer.length) {
      const code = this.#run(() => this.#connection.read(total === 0 ? buffer : buffer.subarray(total)));
      if (code > 0) {
        if ((total += code) < buffer.length && this.wantsRecords) break; // this was all of a record, and the last
      } else if (code === CODE.NEW_SESSION_TICKET) {
        this.#session = undefined; // the newest ticket is the one to save
      } else if (code !== CODE.WANT_READ) {
        const end = code === 0 ? CODE.CONN_EOF : code; // mbedTLS says 0 for the end of the stream
        if (total === 0) return this.#endOfRead(end);
        this.#held = end;
        break;
      } else if (this.#wire.starved) {
        break;
      }
    }
    if (this.#wire.outputLength > ANSWERS_MAX) throw this.#fail("read", CODE.UNEXPECTED_MESSAGE);
    return total > 0 || buffer.length === 0 ? { state: "data", bytes: total } : NEED_RECORDS;
  }

  /** The peer's close_notify, the end of the stream, or a failure. */
  #endOfRead(code: number): ReadOutcome {
    const isEnd = code === CODE.PEER_CLOSE_NOTIFY || (code === CODE.CONN_EOF && this.#suppressRaggedEofs);
    if (!isEnd) throw this.#fail("read", code);
    this.#setState(this.#state === "write-closed" ? "closed" : "read-closed");
    return EOF;
  }

  /**
   * Encrypts `plaintext`. Takes as much as there is room for: none while too many records wait to be taken.
   *
   * @returns How many bytes were taken.
   */
  write(plaintext: Bytes): number {
    if (this.#state === "handshake" && this.handshake().state !== "done") return 0;
    this.#assertUsable("write");
    if (this.#state === "write-closed" || this.#state === "closed") {
      throw new SSLError("Cannot write: close_notify was sent", { kind: "closed" });
    }
    let total = 0;
    while (total < plaintext.length && this.#wire.outputLength < HIGH_WATER) {
      const piece = plaintext.subarray(total, total + this.#facts!.maxWrite);
      const code = this.#run(() => this.#connection.write(piece));
      if (code === CODE.WANT_READ) break; // a renegotiation waits for the peer
      if (code < 0) throw this.#fail("write", code);
      total += code;
    }
    return total;
  }

  /** Says that we send no more (RFC 8446 section 6.1). Reading goes on. */
  closeNotify(): void {
    if (this.#state === "write-closed" || this.#state === "closed") return;
    if (this.#state === "handshake") { // there are no keys yet, and the peer expects none
      this.#setState("closed");
      return;
    }
    this.#assertUsable("close");
    const code = this.#run(() => this.#connection.closeNotify());
    if (code < 0) throw this.#fail("close", code);
    this.#setState(this.#state === "read-closed" ? "closed" : "write-closed");
  }

  /** Received bytes behind the peer's close_notify: the next protocol's on the same connection. */
  takeUnread(): Bytes {
    const rest = this.#wire.input;
    this.#wire.input = EMPTY;
    return rest;
  }

  /**
   * Moves to the next sending key (RFC 8446 section 4.6.3). TLS 1.3 does so by itself when a key has encrypted its share.
   *
   * @param request Ask the peer to do the same.
   */
  updateKey(request = false): void {
    this.#assertUsable("update the key");
    if (this.version !== "TLSv1.3") throw new TypeError("Cannot update the key: TLS 1.2 has no way to");
    const code = this.#run(() => this.#connection.updateKey(request));
    if (code < 0) throw this.#fail("update the key", code);
  }

  // ---- What is known of the connection ----------------------------------------------------------------

  /** Certificates, trust and policy. */
  get config(): TLSConfig {
    return this.#config;
  }

  /** Where the engine is. */
  get state(): EngineState {
    return this.#state;
  }

  /** Whether the handshake is over. */
  get handshakeDone(): boolean {
    return this.#facts !== undefined;
  }

  /** Why the engine failed. */
  get error(): SSLError | undefined {
    return this.#error;
  }

  /** What is known from the end of the handshake on. A renegotiation changes it. */
  get #known(): Facts | undefined {
    const isFixed = !this.#config.options.renegotiation || this.#error !== undefined ||
      this.#connection.freed;
    return isFixed || this.#facts === undefined ? this.#facts : this.#connection.facts();
  }

  /** `"TLSv1.2"` or `"TLSv1.3"`; `undefined` before the handshake is over. */
  get version(): string | undefined {
    return this.#known && versionName(this.#known.version);
  }

  /** The cipher suite; `undefined` before the handshake is over. */
  get cipher(): Cipher | undefined {
    const suite = this.#known && suiteOf(this.#connection.core, this.#known.suite);
    return suite && { name: suite.name, version: this.version!, bits: suite.bits };
  }

  /** The group of the key exchange; `undefined` when there was none. */
  get group(): string | undefined {
    return this.#known && groupName(this.#known.group);
  }

  /** The host that we asked for, or that the client did (SNI); `undefined`: none was named. */
  get serverName(): string | undefined {
    return this.#config.serverSide ? this.#serverName : this.#hostname;
  }

  /** Whether the master secret is bound to the handshake (RFC 7627). */
  get extendedMasterSecret(): boolean {
    return this.#known?.extendedMasterSecret ?? false;
  }

  /** Whether an earlier session was resumed. */
  get sessionReused(): boolean {
    return this.#known?.resumed ?? false;
  }

  /** `MBEDTLS_X509_BADCERT_*` bits: 0 when the peer's certificate is valid; 0x80 when none was checked. */
  get verifyFlags(): number {
    if (this.sessionReused && this.#offered !== undefined) return this.#offered.facts.verifyFlags;
    return this.#known?.verifyFlags ?? 0;
  }

  /** The flags in words; `""` when there are none. */
  get verifyMessage(): string {
    return this.#describe(this.verifyFlags);
  }

  /** The ALPN protocol that was agreed. */
  get alpnProtocol(): string | undefined {
    return this.#open().alpn();
  }

  /** Decrypted bytes that a read would give without more records. */
  get pending(): number {
    return this.#connection.freed || this.#error !== undefined ? 0 : this.#connection.facts().pending;
  }

  /** The certificates that the peer sent, DER, leaf first. A resumed session has the leaf alone. */
  peerCertificates(): Bytes[] {
    const sent = this.#open().certificates("peer");
    if (sent.length > 0 || !this.sessionReused || !this.#offered?.facts.peer) return sent;
    return [Uint8Array.fromBase64(this.#offered.facts.peer)];
  }

  /** The chain that verified, DER, leaf first, trust anchor last; empty when none was checked in this handshake. */
  verifiedChain(): Bytes[] {
    return this.#open().certificates("chain");
  }

  /** What to resume later: the newest ticket or session id; `undefined` when the server gave none. */
  session(): SSLSession | undefined {
    if (!this.#connection.freed && this.#session === undefined) this.#session = this.#saveSession();
    return this.#session;
  }

  #saveSession(): SSLSession | undefined {
    if (this.#config.serverSide || this.#facts === undefined || this.#connection.core.retired) {
      return undefined;
    }
    const state = this.#connection.session();
    if (state.length === 0) return undefined;
    const isTLS13 = this.#facts.version === TLSVersion.TLSv1_3;
    return new SSLSession({
      serverHostname: this.#hostname ?? "",
      trust: this.#config.trustId,
      version: this.version!,
      verifyFlags: this.verifyFlags,
      created: this.#connection.core.now(),
      peer: isTLS13 ? this.peerCertificates()[0]?.toBase64() ?? "" : "",
    }, state);
  }

  /** Keying material for another protocol (RFC 5705, RFC 8446 section 7.5). */
  exportKeyingMaterial(length: number, label: string, context?: Bytes): Bytes {
    return this.#open().exportKeyingMaterial(length, encodeText(label), context);
  }

  /** Frees the connection in the core. What was learned stays; the session is saved first. */
  [Symbol.dispose](): void {
    if (this.#state === "freed") return;
    try {
      if (this.#error === undefined) this.session();
    } finally {
      this.#wire.input = EMPTY;
      this.#connection.free();
      this.#setState("freed");
    }
  }

  // ---- State ------------------------------------------------------------------------------------------

  #setState(next: EngineState): void {
    this.#state = moved(this.#state, next);
  }

  #assertUsable(action: string): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === "closed" || this.#state === "freed") {
      throw new SSLError(`Cannot ${action}: the connection is closed`, { kind: "closed" });
    }
  }

  /** The connection, once its handshake is over. */
  #open(): Connection {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === "freed") {
      throw new SSLError("Cannot ask: the connection is closed", { kind: "closed" });
    }
    if (this.#facts === undefined) {
      throw new SSLError("Cannot ask: the TLS handshake is not over", { kind: "config" });
    }
    return this.#connection;
  }

  get #wire(): Wire {
    return this.#connection.wire;
  }

  /** Runs one call of the core; a trap becomes this engine's failure. */
  #run(call: () => number): number {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof SSLError)) throw error;
      this.#error = error;
      this.#setState("failed");
      throw error;
    }
  }

  /** Makes the failure final, and queues the alert that mbedTLS did not send. */
  #fail(action: string, code: number): SSLError {
    const { verifyFlags, alert, alertSent } = this.#connection.facts();
    // A certificate that is valid but for another purpose is a BAD_CERTIFICATE with flags.
    const isUnfit = code === CODE.BAD_CERTIFICATE && verifyFlags !== 0 && verifyFlags !== NOT_VERIFIED;
    this.#error = code === CODE.CERT_VERIFY_FAILED || isUnfit
      ? verifyError(action, code, verifyFlags, this.#describe(verifyFlags), this.#hostname)
      : errorFromCode(action, code, code === CODE.FATAL_ALERT ? alertOf(alert) : undefined);
    this.#setState("failed");
    const answer = alertForCode(code);
    if (answer !== undefined && alertSent === -1) this.#connection.alert(answer);
    return this.#error;
  }

  #describe(verifyFlags: number): string {
    const { core } = this.#connection;
    return core.retired ? "" : core.verifyText(verifyFlags);
  }

  #handshakeAction(): string {
    const peer = this.#hostname === undefined ? "" : ` with ${JSON.stringify(this.#hostname)}`;
    return `complete TLS handshake${peer}`;
  }
}
