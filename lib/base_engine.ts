/**
 * BaseEngine: what every TLS peer without I/O has: a handshake, a failure that is final, and what is known of the peer.
 *
 * @module
 */

import { type Bytes, EMPTY, encodeText } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { IO_SIZE } from "./core.ts";
import type { ConnectionCost } from "./cost/cost.ts";
import { Connection } from "./connection.ts";
import { EARLY } from "./early_data.ts";
import type { Cipher, EngineState, HandshakeOutcome, HandshakeStep } from "./engine_state.ts";
import { ASKS, moved, PAUSED, WORKING } from "./engine_state.ts";
import { alertForCode, CODE, distrustError, SSLError } from "./errors.ts";
import type { Facts } from "./facts.ts";
import { assertProtocol } from "./policy.ts";
import { type ConnectionState, missingPin, stateOf } from "./peer_policy.ts";
import { mayOffer, type SSLSession } from "./session.ts";
import { forgetFailed, shareNew } from "./session_cache.ts";
import type { Outcome } from "./tally.ts";
import { DTLS_VERSION, groupName, sigalgName, suiteOf, TLSVersion, versionName } from "./suites.ts";
import { type TraceEvent, type Tracer, tracer } from "./trace.ts";
import type { Wire } from "./wire.ts";
import { tell } from "./tell.ts";

const NEED_RECORDS = { state: "need-records" } as const;
const DONE = { state: "done" } as const;
const VERIFY = { state: "verify" } as const;
const BAD_CERTIFICATE = 42, INTERNAL_ERROR = 80; // AlertDescriptions

/** One end of one connection, without a way in and out for its records. */
export abstract class BaseEngine {
  #config: TLSConfig;
  #connection: Connection;
  readonly #hostname: string | undefined;
  readonly #tracer: Tracer | undefined;
  #state: EngineState = "handshake";
  #error: SSLError | undefined;
  #offered: SSLSession | undefined;
  #session: SSLSession | undefined;
  #facts: Facts | undefined; // from the end of the handshake on, or from when the peer has proved who it is
  #serverName: string | undefined; // likewise
  /** Client: is told of each session as it comes. To be set before the handshake. */
  onSession: ((session: SSLSession) => void) | undefined;
  #handshakeDone = false;
  /** @internal Whether {@linkcode BaseEngine.refuse} has sent an alert, whatever kind of error it was given. */
  refused = false;
  #waiting: HandshakeOutcome | undefined; // the handshake does: for accept() or refuse(), or for giveSession()

  /** For the engines that add a way in and out. */
  constructor(
    config: TLSConfig,
    hostname: string | undefined,
    savedSession: SSLSession | undefined,
    trace?: (event: TraceEvent) => void,
  ) {
    this.#config = config;
    this.#hostname = hostname;
    this.#tracer = trace && tracer(trace, () => this.#state);
    this.#connection = new Connection(config, this.#tracer);
    config.tally.begin();
    try {
      if (!config.serverSide) this.#prepareClient(savedSession);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #prepareClient(session: SSLSession | undefined): void {
    this.#config.assertHost(this.#hostname);
    this.#connection.setHost(this.#hostname, this.#config.options.checkHostname !== false);
    if (session === undefined || !mayOffer(session, this.#config, this.#hostname)) return;
    if (this.#connection.offer(session) === 0) this.#offered = session; // else it is of another mbedTLS
  }

  /** Server: goes on with another config. Before the handshake: what was received is left to be received again. */
  useConfig(config: TLSConfig): void {
    this.assertUsable("use another config");
    if (!config.serverSide) throw new TypeError("Cannot use config: it is a client's");
    if ((config.options.datagrams ?? this.#config.options.datagrams) !== undefined) {
      throw new TypeError("Cannot use config: it is for datagrams");
    }
    const connection = new Connection(config, this.#tracer);
    this.#connection.free();
    if (config.tally !== this.#config.tally) config.tally.begin();
    [this.#config, this.#connection] = [config, connection];
  }

  /** Server, before the handshake: agrees on this ALPN protocol, which the client must have named. */
  chooseAlpn(protocol: string): void {
    this.assertUsable("choose an ALPN protocol");
    assertProtocol("protocol", protocol);
    this.#connection.chooseAlpn(protocol);
  }

  /** Ends the handshake with an alert: before it has begun, or while it waits. Throws `error`, as each later call does. */
  refuse(error: SSLError, alert: number | undefined): never {
    this.#error = error;
    this.setState("failed");
    this.refused = alert !== undefined;
    if (alert !== undefined) this.#connection.alert(alert);
    throw error;
  }

  /** Goes on with the handshake as far as the received records allow. */
  handshake(): HandshakeOutcome {
    return this.#goOn(false) as HandshakeOutcome; // it was not asked for steps
  }

  /** @internal Likewise, for servers in an event loop: a long RSA signature is made in steps, each of which is a call. */
  handshakeStep(): HandshakeStep {
    return this.#goOn(true);
  }

  #goOn(inSteps: boolean): HandshakeStep {
    if (this.#state !== "handshake") {
      this.assertUsable("complete TLS handshake");
      return DONE;
    }
    while (this.#waiting === undefined) {
      const code = this.run((connection) => connection.handshake(inSteps));
      if (code === WORKING) return { state: "working" };
      if (code === 0) {
        this.setState("open");
        this.#learn();
        this.#handshakeDone = true;
        this.#connection.endHandshake(this.#facts!);
        this.#config.tally.end(this.#facts!, this.version!, this.#serverName);
        if (this.#facts!.version === TLSVersion.TLSv1_2) this.#tellSession(); // in TLS 1.3 tickets are yet to come
        shareNew(this.#config, this.#connection);
        return DONE;
      }
      if (code === PAUSED) this.#judge();
      else if (code === ASKS) this.#waiting = { state: "session", id: this.#connection.sessionId() };
      else if (code !== CODE.WANT_READ) throw this.fail(this.#handshakeAction(), code);
      else if (this.wire.starved) return NEED_RECORDS;
    }
    return this.#waiting;
  }

  /** Server: goes on with a handshake that waits with `"session"`, by this one, which you wipe then, or in full. */
  giveSession(session: Bytes | undefined): void {
    this.assertUsable("resume a session");
    if (this.#waiting?.state !== "session") return;
    if (session !== undefined) this.#connection.giveSession(session);
    this.#waiting = undefined;
  }

  /** The peer has proved who it is. Until that is judged the handshake cannot go on, whatever fails here. */
  #judge(): void {
    this.#waiting = VERIFY;
    try {
      this.#learn();
      this.#checkPins();
    } catch (error) {
      if (this.#error === undefined && error instanceof SSLError) this.refuse(error, INTERNAL_ERROR);
      throw error;
    }
    const { onUnknownPeer, verifyConnection } = this.#config.options;
    if (onUnknownPeer === undefined && verifyConnection === undefined) this.#waiting = undefined;
  }

  #learn(): void {
    [this.#facts, this.#serverName] = [this.#connection.facts(), this.#connection.sni()];
  }

  /** Goes on with a handshake that waits with `"verify"`; `handshake()` then does. */
  accept(): void {
    this.assertUsable("accept the peer");
    this.#waiting = undefined;
  }

  /** The peer must have one of the pinned keys. A session is resumed only under the same pins. */
  #checkPins(): void {
    const { pins } = this.#config.options;
    if (pins === undefined || this.sessionReused) return;
    const leaf = this.peerCertificates().slice(0, 1);
    const chain = this.verifyFlags === 0 ? this.verifiedChain() : leaf;
    const reason = missingPin(this.#connection.core, pins, leaf[0], chain);
    if (reason !== undefined) this.refuse(this.distrust(reason), BAD_CERTIFICATE);
  }

  /** The error of a handshake whose peer is refused by `reason`. */
  distrust(reason: string, cause?: unknown): SSLError {
    return distrustError(this.#handshakeAction(), reason, this.verifyFlags, this.verifyMessage, cause);
  }

  /** What is known while the handshake waits with `"verify"`, for who judges the peer. */
  connectionState(remoteAddr: Deno.Addr | undefined): ConnectionState {
    return stateOf(this, remoteAddr);
  }

  // ---- What is known of the connection ----------------------------------------------------------------

  /** @internal What it has of a device's heap, and what was counted for it. */
  get device(): ReturnType<Connection["device"]> {
    return this.#connection.device();
  }

  /** What the connection has cost so far; a `TypeError` without `measure`. It stays known after a failure and after the end. */
  cost(): ConnectionCost {
    return this.#connection.cost();
  }

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
    return this.#handshakeDone;
  }

  /** Why the engine failed. */
  get error(): SSLError | undefined {
    return this.#error;
  }

  /** @internal The session that was offered to the server. */
  protected get offered(): SSLSession | undefined {
    return this.#offered;
  }

  /** @internal Where it is with early data: one of `EARLY`. */
  protected get earlyState(): number {
    if (this.#facts !== undefined) return this.#facts.earlyData;
    return this.#connection.freed ? EARLY.NONE : this.#connection.facts().earlyData;
  }

  /**
   * Whether early data was accepted. Client: whether what `earlyData` the session allowed arrived with the first flight; the
   * rest, or all of it, was sent behind the handshake.
   */
  get earlyDataAccepted(): boolean {
    return this.earlyState >= EARLY.RUNS;
  }

  /** What is known from the end of the handshake on. A renegotiation changes it. */
  get #known(): Facts | undefined {
    const isFixed = !this.#config.options.renegotiation || this.#error !== undefined ||
      this.#connection.freed;
    return isFixed || this.#facts === undefined ? this.#facts : this.#connection.facts();
  }

  /** `"TLSv1.2"`, `"TLSv1.3"` or `"DTLSv1.2"`; `undefined` before the handshake is over. */
  get version(): string | undefined {
    if (this.#config.options.datagrams !== undefined) return this.#facts && DTLS_VERSION;
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

  /** @internal For servers: what the handshake came to; `undefined`: it is not over, or failed. */
  get outcome(): Outcome | undefined {
    return this.#handshakeDone ? this.#facts : undefined;
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
    return this.#connection.verifyText(this.verifyFlags);
  }

  /** The ALPN protocol that was agreed. */
  get alpnProtocol(): string | undefined {
    return this.opened.alpn();
  }

  /** Decrypted bytes that a read would give without more records. */
  get pending(): number {
    return this.#connection.freed || this.#error !== undefined ? 0 : this.#connection.facts().pending;
  }

  /** The certificates that the peer sent, DER, leaf first. A resumed session has the leaf alone. */
  peerCertificates(): Bytes[] {
    const sent = this.opened.certificates("peer");
    if (sent.length > 0 || !this.sessionReused || !this.#offered?.facts.peer) return sent;
    return [Uint8Array.fromBase64(this.#offered.facts.peer)];
  }

  /** The chain that verified, DER, leaf first, trust anchor last; empty when none was checked in this handshake. */
  verifiedChain(): Bytes[] {
    return this.opened.certificates("chain");
  }

  /** What to resume later: the newest ticket or session id; `undefined` when the server gave none. */
  session(): SSLSession | undefined {
    if (!this.#connection.freed && this.#session === undefined) this.#session = this.#saveSession();
    return this.#session;
  }

  /** @internal The peer gave another session: what was saved is not the newest. */
  protected forgetSession(): void {
    this.#session = undefined;
    this.#tellSession();
  }

  #tellSession(): void {
    const session = this.onSession && this.session();
    if (session !== undefined) tell(this.onSession, session);
  }

  #saveSession(): SSLSession | undefined {
    const { serverSide, options } = this.#config;
    if (serverSide || !this.#handshakeDone || this.#connection.core.retired) return undefined;
    if (options.behaviour?.resumption === false) return undefined; // and its copy takes nothing of a device's heap
    const isTLS13 = this.#facts!.version === TLSVersion.TLSv1_3;
    return this.#connection.session({
      serverHostname: this.#hostname ?? "",
      trust: this.#config.trustId,
      version: this.version!,
      verifyFlags: this.verifyFlags,
      peer: isTLS13 ? this.peerCertificates()[0]?.toBase64() ?? "" : "",
    });
  }

  /** The schemes of the signatures by which the two ends proved who they are; `undefined`: that end made none. */
  get signatureSchemes(): { own: string | undefined; peer: string | undefined } {
    const { ownSigalg = 0, peerSigalg = 0 } = this.#known ?? {};
    return { own: sigalgName(ownSigalg), peer: sigalgName(peerSigalg) };
  }

  /** Keying material for another protocol (RFC 5705, RFC 8446 section 7.5). */
  exportKeyingMaterial(length: number, label: string, context?: Bytes): Bytes {
    return this.opened.exportKeyingMaterial(length, encodeText(label), context);
  }

  /** Frees the connection in the core. What was learned stays; the session is saved first. */
  [Symbol.dispose](): void {
    if (this.#state === "freed") return;
    try {
      if (this.#error === undefined) this.session();
    } finally {
      this.wire.input = EMPTY;
      this.wire.dropEarly();
      this.#connection.free();
      this.setState("freed");
    }
  }

  // ---- State ------------------------------------------------------------------------------------------

  /** @internal Moves to a state that may follow. */
  protected setState(next: EngineState): void {
    this.#state = moved(this.#state, next);
  }

  /** @internal Throws after a failure and after the end. */
  protected assertUsable(action: string): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === "closed" || this.#state === "freed") {
      throw new SSLError(`Cannot ${action}: the connection is closed`, { kind: "closed" });
    }
  }

  /** @internal The connection, once its handshake is over: for who is asked about it. */
  get opened(): Connection {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === "freed") {
      throw new SSLError("Cannot ask: the connection is closed", { kind: "closed" });
    }
    if (this.#facts === undefined) {
      throw new SSLError("Cannot ask: the TLS handshake is not over", { kind: "config" });
    }
    return this.#connection;
  }

  /** @internal The records that wait, each way. */
  protected get wire(): Wire {
    return this.#connection.wire;
  }

  /** @internal Plaintext bytes to encrypt at once: what fits one record, once that is agreed. */
  protected get maxWrite(): number {
    return this.#facts?.maxWrite ?? IO_SIZE;
  }

  /** @internal Runs one call of the core; a trap becomes this engine's failure. */
  protected run(call: (connection: Connection) => number): number {
    let code;
    try {
      code = call(this.#connection);
    } catch (error) {
      if (!(error instanceof SSLError)) throw error;
      this.#error = error;
      this.setState("failed");
      throw error;
    }
    if (this.#connection.freed) this.assertUsable("go on"); // a callback has given it up
    return code;
  }

  /** @internal Makes the failure final, and queues the alert that mbedTLS did not send. */
  protected fail(action: string, code: number): SSLError {
    const { alertSent } = this.#connection.facts();
    const handshake = !this.#handshakeDone;
    if (!handshake && code !== CODE.CONN_EOF) forgetFailed(this.#config, this.#connection);
    const refusal = handshake ? this.wire.callbacks?.error(action, code) : undefined;
    this.#error = refusal ?? this.#connection.error(action, code, handshake, this.#hostname);
    this.setState("failed");
    const answer = alertForCode(code);
    if (answer !== undefined && alertSent === -1) this.#connection.alert(answer);
    return this.#error;
  }

  #handshakeAction(): string {
    const peer = this.#hostname === undefined ? "" : ` with ${JSON.stringify(this.#hostname)}`;
    return `complete TLS handshake${peer}`;
  }
}
