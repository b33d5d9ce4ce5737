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

import { BaseEngine } from "./base_engine.ts";
import { assertType, type Bytes, EMPTY } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { EARLY, EarlyData } from "./early_data.ts";
import type { HandshakeOutcome, ReadOutcome } from "./engine_state.ts";
import { CODE, SSLError } from "./errors.ts";
import type { SSLSession } from "./session.ts";
import type { TraceEvent } from "./trace.ts";

/** Options of one engine. */
export interface TLSEngineOptions {
  /** Client: the host, for SNI and the check of its certificate. */
  serverHostname?: string | undefined;
  /** Client: a session to offer. */
  savedSession?: SSLSession | undefined;
  /** Take the end of the stream for the peer's close_notify, as HTTP/1.0 servers need. @default {false} */
  suppressRaggedEofs?: boolean;
  /** Client: the first bytes to send, with the first flight if the session allows it: see `SocketOptions.earlyData`. */
  earlyData?: Uint8Array | undefined;
  /** Is told of each record and message as it passes. It is called inside the engine, which it must not use. */
  trace?: ((event: TraceEvent) => void) | undefined;
}

/** Records that may wait to be taken before write() takes no more: enough for several per flush. */
const HIGH_WATER = 131072; // bytes
/** Records that may wait when write() has stopped: more are answers to a peer that asks and takes none. */
const ANSWERS_MAX = 2 * HIGH_WATER; // bytes
const NEED_RECORDS = { state: "need-records" } as const;
const EOF = { state: "eof" } as const;

/** One end of one TLS connection. */
export class TLSEngine extends BaseEngine {
  readonly #suppressRaggedEofs: boolean;
  #early: EarlyData | undefined; // a client's, until the handshake is over
  #held = 0; // what a read met behind the data that it gave: the next read reports it

  /**
   * Makes an engine that has sent and received nothing.
   *
   * @param config Certificates, trust and policy.
   * @param options The host and the session to resume.
   */
  constructor(config: TLSConfig, options: TLSEngineOptions = {}) {
    if (config.options.datagrams !== undefined) throw new TypeError("Cannot use config: it is for datagrams");
    const early = options.earlyData?.length ? new EarlyData(config, options.earlyData) : undefined;
    super(config, options.serverHostname, options.savedSession, options.trace);
    this.#early = early;
    assertType("suppressRaggedEofs", "boolean", options.suppressRaggedEofs);
    this.#suppressRaggedEofs = options.suppressRaggedEofs ?? false;
  }

  // ---- The network's side -----------------------------------------------------------------------------

  /**
   * Takes bytes from the network: any number of records or parts of one. They are kept by reference until they are
   * used: `records` must not change while {@linkcode TLSEngine.wantsRecords} is false.
   */
  receive(records: Bytes): void {
    if (this.wire.eof) throw new TypeError("Cannot receive records: the end of the stream was received");
    this.wire.receive(records);
  }

  /** The network will give no more. */
  receiveEof(): void {
    this.wire.eof = true;
  }

  /** Whether all received records have been used. */
  get wantsRecords(): boolean {
    return this.wire.input.length === 0 && !this.wire.eof;
  }

  /** Whether there are records to send. */
  get hasRecords(): boolean {
    return this.wire.outputLength > 0;
  }

  /** The records to send, as one array that is yours; empty when there are none. Works after a failure, too. */
  takeRecords(): Bytes {
    return this.wire.take();
  }

  // ---- The application's side -------------------------------------------------------------------------

  /** Goes on with the handshake as far as the received records allow. */
  override handshake(): HandshakeOutcome {
    if (this.#early !== undefined && this.state === "handshake") this.#beginEarly(this.#early);
    const outcome = super.handshake();
    if (this.#early !== undefined && outcome.state === "done") this.#endEarly(this.#early);
    return outcome;
  }

  /** With the first flight, where the server would read it in the protocol that it is written in. */
  #beginEarly(early: EarlyData): void {
    const alpn = this.config.options.alpnProtocols?.[0] ?? "";
    const code = this.run((connection) => early.begin(connection, this.offered?.facts.alpn === alpn));
    if (code < 0) throw this.fail("send early data", code);
  }

  /** The server has told what it took: it gets the rest. */
  #endEarly(early: EarlyData): void {
    this.#early = undefined;
    // mbedTLS leaves this check to the server (RFC 8446 section 4.2.10).
    if (this.earlyDataAccepted && (this.alpnProtocol ?? "") !== this.offered!.facts.alpn) {
      throw this.fail("send early data", CODE.ILLEGAL_PARAMETER);
    }
    const rest = early.rest(this.earlyDataAccepted);
    for (let at = 0; at < rest.length;) {
      const piece = rest.subarray(at, at + this.maxWrite);
      const code = this.run((connection) => connection.write(piece));
      if (code < 0) throw this.fail("write", code);
      at += code;
    }
    early.wipe();
  }

  /**
   * Server: reads early data into `buffer`, also before the handshake is over. Anyone who recorded it may have sent it again:
   * only what does no harm twice may be done before the handshake is over.
   *
   * @returns `eof` when there is no more, or never was.
   */
  readEarlyData(buffer: Bytes): ReadOutcome {
    if (this.error !== undefined) throw this.error;
    const bytes = this.wire.readEarly(buffer);
    if (bytes > 0 || buffer.length === 0) return { state: "data", bytes };
    if (this.state !== "handshake") return EOF;
    return this.earlyState === EARLY.UNKNOWN || this.earlyState === EARLY.RUNS ? NEED_RECORDS : EOF;
  }

  /** @internal Forgets early data that nobody read. */
  dropEarlyData(): void {
    this.wire.dropEarly();
  }

  /** Server: whether {@linkcode TLSEngine.write} may answer early data before the handshake is over. */
  get canAnswerEarly(): boolean {
    return this.state === "handshake" && this.config.serverSide && this.earlyDataAccepted;
  }

  /** Reads decrypted bytes into `buffer`, from as many records as are there and fit. */
  read(buffer: Bytes): ReadOutcome {
    if (this.state === "handshake" && this.handshake().state !== "done") return NEED_RECORDS;
    if (this.state === "read-closed" || this.state === "closed") return EOF;
    this.assertUsable("read");
    if (this.wire.early !== undefined) {
      throw new TypeError("Cannot read: there is early data, for readEarlyData() to read first");
    }
    if (this.#held !== 0) return this.#endOfRead(this.#held);
    let total = 0;
    while (total < buffer.length) {
      const code = this.run((connection) => connection.read(total === 0 ? buffer : buffer.subarray(total)));
      if (code > 0) {
        if ((total += code) < buffer.length && this.wantsRecords) break; // this was all of a record, and the last
      } else if (code === CODE.NEW_SESSION_TICKET) {
        this.forgetSession(); // the newest ticket is the one to save
      } else if (code !== CODE.WANT_READ) {
        const end = code === 0 ? CODE.CONN_EOF : code; // mbedTLS says 0 for the end of the stream
        if (total === 0) return this.#endOfRead(end);
        this.#held = end;
        break;
      } else if (this.wire.starved) {
        break;
      }
    }
    if (this.wire.outputLength > ANSWERS_MAX) throw this.fail("read", CODE.UNEXPECTED_MESSAGE);
    return total > 0 || buffer.length === 0 ? { state: "data", bytes: total } : NEED_RECORDS;
  }

  /** The peer's close_notify, the end of the stream, or a failure. */
  #endOfRead(code: number): ReadOutcome {
    const isEnd = code === CODE.PEER_CLOSE_NOTIFY || (code === CODE.CONN_EOF && this.#suppressRaggedEofs);
    if (!isEnd) throw this.fail("read", code);
    this.setState(this.state === "write-closed" ? "closed" : "read-closed");
    return EOF;
  }

  /**
   * Encrypts `plaintext`. Takes as much as there is room for: none while too many records wait to be taken.
   *
   * @returns How many bytes were taken.
   */
  write(plaintext: Bytes): number {
    if (this.state === "handshake" && this.handshake().state !== "done" && !this.canAnswerEarly) return 0;
    this.assertUsable("write");
    if (this.state === "write-closed" || this.state === "closed") {
      throw new SSLError("Cannot write: close_notify was sent", { kind: "closed" });
    }
    let total = 0;
    while (total < plaintext.length && this.wire.outputLength < HIGH_WATER) {
      const piece = plaintext.subarray(total, total + this.maxWrite);
      const code = this.run((connection) => connection.write(piece));
      if (code === CODE.WANT_READ) break; // a renegotiation waits for the peer
      if (code < 0) throw this.fail("write", code);
      total += code;
    }
    return total;
  }

  /** Says that we send no more (RFC 8446 section 6.1), unless the profile is of a device that does not. Reading goes on. */
  closeNotify(): void {
    if (this.state === "write-closed" || this.state === "closed") return;
    if (this.state === "handshake") { // there are no keys yet, and the peer expects none
      this.setState("closed");
      return;
    }
    this.assertUsable("close");
    const isSilent = this.config.options.behaviour?.closeNotify === false;
    const code = isSilent ? 0 : this.run((connection) => connection.closeNotify());
    if (code < 0) throw this.fail("close", code);
    this.setState(this.state === "read-closed" ? "closed" : "write-closed");
  }

  /** Received bytes behind the peer's close_notify: the next protocol's on the same connection. */
  takeUnread(): Bytes {
    const rest = this.wire.input;
    this.wire.input = EMPTY;
    return rest;
  }

  /**
   * Moves to the next sending key (RFC 8446 section 4.6.3). TLS 1.3 does so by itself when a key has encrypted its share.
   *
   * @param request Ask the peer to do the same.
   */
  updateKey(request = false): void {
    this.assertUsable("update the key");
    if (this.version !== "TLSv1.3") throw new TypeError("Cannot update the key: TLS 1.2 has no way to");
    const code = this.run((connection) => connection.updateKey(request));
    if (code < 0) throw this.fail("update the key", code);
  }
}
