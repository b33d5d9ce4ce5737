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

import { type Bytes, concat, EMPTY, encodeText } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { type ConnectionIO, type Core, IO_SIZE } from "./core.ts";
import {
  alertForCode,
  alertOf,
  CODE,
  codeText,
  errorFromCode,
  SSLCertVerificationError,
  SSLError,
} from "./errors.ts";
import { SSLSession } from "./session.ts";
import { groupName, suiteName, TLSVersion, versionName } from "./suites.ts";

/** What a read came to. */
export type ReadOutcome =
  | { readonly state: "data"; readonly bytes: number }
  | { readonly state: "need-records" }
  | { readonly state: "eof" };

/** What a step of the handshake came to. */
export type HandshakeOutcome = { readonly state: "done" } | { readonly state: "need-records" };

/** Options of one engine. */
export interface TLSEngineOptions {
  /** Client: the host, for SNI and the check of its certificate. */
  serverHostname?: string | undefined;
  /** Client: a session to offer. */
  savedSession?: SSLSession | undefined;
  /** Take the end of the stream for the peer's close_notify, as HTTP/1.0 servers need. @default {false} */
  suppressRaggedEofs?: boolean;
}

/** The cipher suite in use, as CPython's `cipher()`. */
export interface Cipher {
  /** IANA name. */
  readonly name: string;
  /** `"TLSv1.2"` or `"TLSv1.3"`. */
  readonly version: string;
  /** Strength of the cipher in bits. */
  readonly bits: number;
}

type State = "handshake" | "open" | "read-closed" | "write-closed" | "closed" | "failed" | "freed";

/** The moves that are legal. `read-closed`: the peer sent close_notify. `write-closed`: we did. */
const TRANSITIONS: Readonly<Record<State, readonly State[]>> = {
  "handshake": ["open", "closed", "failed", "freed"],
  "open": ["read-closed", "write-closed", "failed", "freed"],
  "read-closed": ["closed", "failed", "freed"],
  "write-closed": ["closed", "failed", "freed"],
  "closed": ["failed", "freed"],
  "failed": ["freed"],
  "freed": [],
};

/** Records that may wait to be taken before write() takes no more: enough for several per flush. */
const HIGH_WATER = 131072; // bytes
/** Places of the facts in the core: `enum fact` of wasm/glue/tlsio.h says the same. */
const FACT = {
  VERSION: 0,
  SUITE: 1,
  RESUMED: 2,
  VERIFY_FLAGS: 3,
  ALERT: 4,
  SESSION: 5,
  PENDING: 6,
  MAX_WRITE: 7,
  GROUP: 8,
};
const FACT_COUNT = 9;
/** The certificate is for other hosts: mbedTLS speaks of a CN, but we go by the SAN. */
const BADCERT_CN_MISMATCH = 4;

/** NSS key log labels, by mbedtls_ssl_key_export_type. */
const KEY_LOG_LABELS = [
  "CLIENT_RANDOM",
  "CLIENT_EARLY_TRAFFIC_SECRET",
  "EARLY_EXPORTER_SECRET",
  "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
  "SERVER_HANDSHAKE_TRAFFIC_SECRET",
  "CLIENT_TRAFFIC_SECRET_0",
  "SERVER_TRAFFIC_SECRET_0",
];

const NEED_RECORDS = { state: "need-records" } as const;
const DONE = { state: "done" } as const;
const EOF = { state: "eof" } as const;

/** Frees the connections of engines that nobody disposed of. */
const LOST = new FinalizationRegistry<{ core: Core; handle: number; config: TLSConfig }>((lost) => {
  lost.core.disconnect(lost.handle);
  lost.config.release();
});

/** One end of one TLS connection. */
export class TLSEngine {
  readonly #config: TLSConfig;
  readonly #core: Core;
  readonly #wire: Wire;
  readonly #hostname: string | undefined;
  readonly #suppressRaggedEofs: boolean;
  #handle: number;
  #state: State = "handshake";
  #error: SSLError | undefined;
  #offered: SSLSession | undefined;
  #session: SSLSession | undefined;
  #facts: Int32Array | undefined;
  #maxWrite = 0;
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
    const { core, handle: configHandle } = config.acquire();
    this.#core = core;
    this.#wire = new Wire(config.options.keyLog);
    this.#handle = core.call.connection_new(configHandle);
    if (this.#handle === 0) {
      config.release();
      throw errorFromCode("create a TLS connection", CODE.ALLOC_FAILED);
    }
    core.connect(this.#handle, this.#wire);
    LOST.register(this, { core, handle: this.#handle, config }, this);
    try {
      if (!config.serverSide) this.#prepareClient(options.savedSession);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #prepareClient(session: SSLSession | undefined): void {
    const { call } = this.#core;
    const host = this.#hostname === undefined ? null : encodeText(this.#hostname);
    const check = this.#config.options.checkHostname === false ? 0 : 1;
    this.#core.check(
      "set serverHostname",
      this.#core.with([host], (at) => call.connection_set_host(this.#handle, at!, check)),
    );
    // A session that was accepted under other trust, or by another host, must not stand in for this check.
    if (session === undefined || session.facts.trust !== this.#config.trustId) return;
    if (session.facts.serverHostname !== (this.#hostname ?? "")) return;
    if (!this.#config.speaks(session.facts.version)) return; // mbedTLS offers the session's version alone
    const state = SSLSession.state(session);
    const code = this.#core.with(
      [state],
      (at) => call.connection_offer_session(this.#handle, at!, state.length),
    );
    if (code === 0) this.#offered = session; // else: of another mbedTLS; a full handshake does as well
  }

  // ---- The network's side -----------------------------------------------------------------------------

  /**
   * Takes bytes from the network: any number of records or parts of one. They are kept by reference until they are
   * used: `records` must not change while {@linkcode TLSEngine.wantsRecords} is false.
   */
  receive(records: Bytes): void {
    if (this.#wire.eof) throw new TypeError("Cannot receive records: the end of the stream was received");
    this.#wire.input = this.#wire.input.length === 0 ? records : concat([this.#wire.input, records]);
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
      const code = this.#run(() => this.#core.call.connection_handshake(this.#handle));
      if (code === 0) {
        this.#finishHandshake();
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
      const room = Math.min(IO_SIZE, buffer.length - total);
      const code = this.#run(() => this.#core.call.connection_read(this.#handle, this.#core.io, room));
      if (code > 0) {
        const { memory, io } = this.#core;
        buffer.set(memory.subarray(io, io + code), total);
        memory.fill(0, io, io + code);
        total += code;
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
      const piece = plaintext.subarray(total, total + this.#maxWrite);
      this.#core.memory.set(piece, this.#core.io);
      const code = this.#run(() =>
        this.#core.call.connection_write(this.#handle, this.#core.io, piece.length)
      );
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
    const code = this.#run(() => this.#core.call.connection_close_notify(this.#handle));
    if (code < 0) throw this.#fail("close", code);
    this.#setState(this.#state === "read-closed" ? "closed" : "write-closed");
  }

  /** Received bytes behind the peer's close_notify: the next protocol's on the same connection. */
  takeUnread(): Bytes {
    const rest = this.#wire.input;
    this.#wire.input = EMPTY;
    return rest;
  }

  // ---- What is known of the connection ----------------------------------------------------------------

  /** Where the engine is. */
  get state(): State {
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

  /** `"TLSv1.2"` or `"TLSv1.3"`; `undefined` before the handshake is over. */
  get version(): string | undefined {
    return this.#facts && versionName(this.#facts[FACT.VERSION]!);
  }

  /** The cipher suite; `undefined` before the handshake is over. */
  get cipher(): Cipher | undefined {
    if (this.#facts === undefined) return undefined;
    const suite = this.#facts[FACT.SUITE]!;
    const bits = this.#core.retired ? 0 : this.#core.call.core_suite_bits(suite);
    return { name: suiteName(this.#core, suite), version: this.version!, bits };
  }

  /** The group of the key exchange; `undefined` when there was none. */
  get group(): string | undefined {
    return this.#facts && groupName(this.#facts[FACT.GROUP]!);
  }

  /** Whether an earlier session was resumed. */
  get sessionReused(): boolean {
    return this.#facts?.[FACT.RESUMED] === 1;
  }

  /** `MBEDTLS_X509_BADCERT_*` bits: 0 when the peer's certificate is valid; 0x80 when none was checked. */
  get verifyFlags(): number {
    if (this.sessionReused && this.#offered !== undefined) return this.#offered.facts.verifyFlags;
    return (this.#facts?.[FACT.VERIFY_FLAGS] ?? 0) >>> 0;
  }

  /** The flags in words; `""` when there are none. */
  get verifyMessage(): string {
    return this.#core.retired ? "" : this.#core.verifyText(this.verifyFlags);
  }

  /** The ALPN protocol that was agreed. */
  get alpnProtocol(): string | undefined {
    return this.#core.text(this.#core.call.connection_alpn(this.#open())) || undefined;
  }

  /** Decrypted bytes that a read would give without more records. */
  get pending(): number {
    return this.#handle === 0 ? 0 : this.#readFacts()[FACT.PENDING]!;
  }

  /** The certificates that the peer sent, DER, leaf first. A resumed session has the leaf alone. */
  peerCertificates(): Bytes[] {
    const sent = this.#certificates(this.#core.call.connection_peer);
    if (sent.length > 0 || !this.sessionReused || !this.#offered?.facts.peer) return sent;
    return [Uint8Array.fromBase64(this.#offered.facts.peer)];
  }

  /** The chain that verified, DER, leaf first, trust anchor last; empty when none was checked in this handshake. */
  verifiedChain(): Bytes[] {
    return this.#certificates(this.#core.call.connection_chain);
  }

  #certificates(get: (handle: number, index: number, at: number, size: number) => number): Bytes[] {
    const handle = this.#open();
    const found: Bytes[] = [];
    for (;;) {
      const der = this.#core.collect("read a certificate", (at, size) => get(handle, found.length, at, size));
      if (der.length === 0) return found;
      found.push(der);
    }
  }

  /** What to resume later: the newest ticket or session id; `undefined` when the server gave none. */
  session(): SSLSession | undefined {
    if (this.#handle !== 0 && this.#session === undefined) this.#session = this.#saveSession();
    return this.#session;
  }

  #saveSession(): SSLSession | undefined {
    if (this.#config.serverSide || this.#facts === undefined || this.#core.retired) return undefined;
    const { call } = this.#core;
    const state = this.#core.collect(
      "save the session",
      (at, size) => call.connection_session(this.#handle, at, size),
    );
    if (state.length === 0) return undefined;
    const isTLS13 = this.#facts[FACT.VERSION] === TLSVersion.TLSv1_3;
    const facts = {
      serverHostname: this.#hostname ?? "",
      trust: this.#config.trustId,
      version: this.version!,
      verifyFlags: this.verifyFlags,
      created: this.#core.now(),
      peer: isTLS13 ? this.peerCertificates()[0]?.toBase64() ?? "" : "",
    };
    return new SSLSession(facts, state);
  }

  /** Keying material for another protocol (RFC 5705, RFC 8446 section 7.5). */
  exportKeyingMaterial(length: number, label: string, context?: Bytes): Bytes {
    const handle = this.#open();
    const name = encodeText(label);
    return this.#core.with([new Uint8Array(length), name, context ?? null], (at, nameAt, contextAt) => {
      const code = this.#core.call.connection_export(
        handle,
        at!,
        length,
        nameAt!,
        name.length,
        contextAt!,
        context?.length ?? 0,
        context === undefined ? 0 : 1,
      );
      this.#core.check("export keying material", code);
      return this.#core.memory.slice(at!, at! + length);
    });
  }

  /** Frees the connection in the core. What was learned stays; the session is saved first. */
  [Symbol.dispose](): void {
    if (this.#handle === 0) return;
    if (!this.#core.retired) {
      if (this.#error === undefined) this.session();
      this.#wire.input = EMPTY;
    }
    LOST.unregister(this);
    this.#core.disconnect(this.#handle);
    this.#config.release();
    this.#handle = 0;
    this.#setState("freed");
  }

  // ---- State ------------------------------------------------------------------------------------------

  #setState(next: State): void {
    if (!TRANSITIONS[this.#state].includes(next)) {
      throw new Error(`Cannot move TLS engine from "${this.#state}" to "${next}"`);
    }
    this.#state = next;
  }

  #assertUsable(action: string): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === "freed") {
      throw new SSLError(`Cannot ${action}: the connection is closed`, { kind: "closed" });
    }
    if (this.#state === "closed") {
      throw new SSLError(`Cannot ${action}: the connection is closed`, { kind: "closed" });
    }
  }

  /** The handle of a connection whose handshake is over. */
  #open(): number {
    if (this.#error !== undefined) throw this.#error;
    if (this.#handle === 0) throw new SSLError("Cannot ask: the connection is closed", { kind: "closed" });
    if (this.#facts === undefined) {
      throw new SSLError("Cannot ask: the TLS handshake is not over", { kind: "config" });
    }
    return this.#handle;
  }

  /** Runs one call of the core; a trap becomes this engine's failure. */
  #run(call: () => number): number {
    this.#wire.starved = false;
    this.#wire.sent = false;
    try {
      return call();
    } catch (error) {
      if (!(error instanceof SSLError)) throw error;
      this.#error = error;
      this.#setState("failed");
      throw error;
    }
  }

  #readFacts(): Int32Array {
    return this.#core.int32s(this.#core.call.connection_facts(this.#handle), FACT_COUNT);
  }

  #finishHandshake(): void {
    this.#setState("open");
    this.#facts = this.#readFacts();
    this.#maxWrite = Math.min(IO_SIZE, this.#facts[FACT.MAX_WRITE]!);
  }

  #handshakeAction(): string {
    return this.#hostname === undefined
      ? "complete TLS handshake"
      : `complete TLS handshake with ${JSON.stringify(this.#hostname)}`;
  }

  /** Makes the failure final, and queues the alert that mbedTLS did not send. */
  #fail(action: string, code: number): SSLError {
    const facts = this.#readFacts();
    this.#error = code === CODE.CERT_VERIFY_FAILED
      ? this.#verifyError(action, code, facts[FACT.VERIFY_FLAGS]! >>> 0)
      : errorFromCode(action, code, code === CODE.FATAL_ALERT ? alertOf(facts[FACT.ALERT]!) : undefined);
    this.#setState("failed");
    const alert = alertForCode(code);
    if (alert !== undefined && !this.#wire.sent) this.#core.call.connection_alert(this.#handle, alert);
    return this.#error;
  }

  #verifyError(action: string, code: number, verifyFlags: number): SSLError {
    const verifyMessage = this.#core.verifyText(verifyFlags) || codeText(code);
    const state = verifyFlags === BADCERT_CN_MISMATCH
      ? `the certificate is not for ${JSON.stringify(this.#hostname)}`
      : verifyMessage[0]!.toLowerCase() + verifyMessage.slice(1);
    return new SSLCertVerificationError(`Cannot ${action}: ${state}`, {
      kind: "verify",
      code,
      verifyFlags,
      verifyMessage,
    });
  }
}

/** The records' side of an engine: what mbedTLS's BIO callbacks see. */
class Wire implements ConnectionIO {
  /** Received bytes that are not used yet. */
  input: Bytes = EMPTY;
  /** Whether the network has ended. */
  eof = false;
  /** Whether the last call of the core wanted more than there was. */
  starved = false;
  /** Whether the last call of the core sent something. */
  sent = false;
  outputLength = 0;
  #output: Bytes = EMPTY;
  readonly #keyLog: ((line: string) => void) | undefined;

  constructor(keyLog: ((line: string) => void) | undefined) {
    this.#keyLog = keyLog;
  }

  send(memory: Bytes, at: number, length: number): void {
    if (this.outputLength + length > this.#output.length) {
      const grown = new Uint8Array(Math.max(2 * this.#output.length, this.outputLength + length));
      grown.set(this.#output.subarray(0, this.outputLength));
      this.#output = grown;
    }
    this.#output.set(memory.subarray(at, at + length), this.outputLength);
    this.outputLength += length;
    this.sent = true;
  }

  receive(memory: Bytes, at: number, length: number): number {
    const n = Math.min(length, this.input.length);
    if (n === 0) {
      if (this.eof) return 0;
      this.starved = true;
      return CODE.WANT_READ;
    }
    memory.set(this.input.subarray(0, n), at);
    this.input = this.input.subarray(n);
    return n;
  }

  take(): Bytes {
    const records = this.#output.subarray(0, this.outputLength);
    this.#output = EMPTY;
    this.outputLength = 0;
    return records;
  }

  keyLog(type: number, secret: Bytes, clientRandom: Bytes): void {
    const label = KEY_LOG_LABELS[type];
    if (label === undefined) return;
    try {
      this.#keyLog?.(`${label} ${clientRandom.toHex()} ${secret.toHex()}`);
    } catch (error) {
      reportError(error); // an exception must not unwind through C
    }
    secret.fill(0);
  }
}
