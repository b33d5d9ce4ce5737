/**
 * DTLSEngine: one DTLS 1.2 peer (RFC 6347) as a state machine without I/O.
 *
 * ```
 *                 receive(datagram) --> +------------+ --> read(buffer)       a datagram's plaintext
 *   the network                         | DTLSEngine |                        your code
 *                 takeDatagrams()   <-- +------------+ <-- write(plaintext)
 *                                         nextTimeout()
 * ```
 *
 * Call `receive()` with a datagram, then `handshake()` or `read()`, then send what `takeDatagrams()` gives. Datagrams may
 * be lost, doubled and late: during the handshake, when `nextTimeout()` milliseconds have gone by, call `handshake()`
 * again, and it sends its last flight once more. Forged, old and repeated records are dropped without a word.
 *
 * A server's first answer to a client is a cookie, and nothing is kept of that client. {@linkcode greet} does that, and
 * makes the engine when the cookie has come back. An engine that gets a hello without a cookie, as MicroPython's does,
 * writes one for `takeDatagrams()` and fails with `MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED`: the next one may succeed.
 *
 * @module
 */

import { BaseEngine } from "./base_engine.ts";
import { assertBytes, type Bytes } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import type { DatagramWire } from "./datagram_wire.ts";
import type { ReadOutcome } from "./engine_state.ts";
import { CODE, SSLError } from "./errors.ts";
import type { SSLSession } from "./session.ts";

/** Options of one engine. */
export interface DTLSEngineOptions {
  /** Client: the host, for SNI and the check of its certificate. */
  serverHostname?: string | undefined;
  /** Client: a session to offer. */
  savedSession?: SSLSession | undefined;
  /** Server: what the client is known by, such as its address: its cookie is good for no other. */
  clientId?: Uint8Array | undefined;
  /** Bytes of a datagram that we send, 256 to 16384. @default {1200} (what every path of today's Internet carries) */
  mtu?: number | undefined;
}

const MTU = 1200; // bytes; QUIC's, RFC 9000 section 14
const MTU_MIN = 256; // bytes; OpenSSL's. Below it a handshake is mostly headers
const MTU_MAX = 16384; // bytes; a record's plaintext (RFC 6347 section 4.1)
const CLIENT_ID_MAX = 255; // bytes; an address takes 6 to 50
const NEED_RECORDS = { state: "need-records" } as const;
const EOF = { state: "eof" } as const;

/** One end of one DTLS connection. */
export class DTLSEngine extends BaseEngine {
  /**
   * Makes an engine that has sent and received nothing.
   *
   * @param config Certificates, trust and policy, with the option `datagrams`.
   * @param options The host and the session to resume, or the client's id.
   */
  constructor(config: TLSConfig, options: DTLSEngineOptions = {}) {
    const { clientId, mtu = MTU } = options;
    if (config.options.datagrams === undefined) throw new TypeError("Cannot use config: it is for streams");
    checkDatagramOptions(config.serverSide, clientId, mtu);
    super(config, options.serverHostname, options.savedSession);
    try {
      this.run((connection) => {
        connection.useDatagrams(mtu, clientId as Bytes | undefined);
        return 0;
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** @internal The datagrams that wait, each way. */
  protected override get wire(): DatagramWire {
    return super.wire as DatagramWire;
  }

  // ---- The network's side -----------------------------------------------------------------------------

  /** Takes one datagram from the network. It is kept by reference until the next call that uses it. */
  receive(datagram: Bytes): void {
    this.wire.receive(datagram);
  }

  /** Whether there are datagrams to send. */
  get hasDatagrams(): boolean {
    return this.wire.outputLength > 0;
  }

  /** The datagrams to send, oldest first; they are yours. Works after a failure, too. */
  takeDatagrams(): Bytes[] {
    return this.wire.takeAll();
  }

  /**
   * When `handshake()` is to be called although no datagram has come: in so many milliseconds, 0 for at once;
   * `undefined`: never.
   */
  nextTimeout(): number | undefined {
    if (this.state !== "handshake") return undefined;
    const left = this.run((connection) => connection.timer());
    return left < 0 ? undefined : left;
  }

  // ---- The application's side -------------------------------------------------------------------------

  /**
   * Reads the plaintext of one record into `buffer`: what the peer wrote at once. What does not fit is given by the
   * next read.
   */
  read(buffer: Bytes): ReadOutcome {
    if (this.state === "handshake" && this.handshake().state !== "done") return NEED_RECORDS;
    if (this.state === "read-closed" || this.state === "closed") return EOF;
    this.assertUsable("read");
    if (buffer.length === 0) return { state: "data", bytes: 0 };
    for (;;) {
      const code = this.run((connection) => connection.read(buffer));
      if (code > 0) return { state: "data", bytes: code };
      if (code === CODE.PEER_CLOSE_NOTIFY) {
        this.setState(this.state === "write-closed" ? "closed" : "read-closed");
        return EOF;
      }
      if (code !== CODE.WANT_READ) throw this.fail("read", code);
      if (this.wire.starved) return NEED_RECORDS;
    }
  }

  /**
   * Encrypts `plaintext` into one datagram.
   *
   * @param plaintext 1 to {@linkcode DTLSEngine.maxDatagram} bytes.
   * @throws {RangeError} If it is longer, or empty: TLS has no use for an empty record.
   */
  write(plaintext: Bytes): void {
    this.assertUsable("write");
    if (this.state === "handshake") {
      throw new SSLError("Cannot write: the handshake is not over", { kind: "config" });
    }
    if (this.state === "write-closed" || this.state === "closed") {
      throw new SSLError("Cannot write: close_notify was sent", { kind: "closed" });
    }
    if (plaintext.length < 1 || plaintext.length > this.maxWrite) {
      throw new RangeError(
        `Cannot write: a datagram has 1 to ${this.maxWrite} bytes here, got ${plaintext.length}`,
      );
    }
    const code = this.run((connection) => connection.write(plaintext));
    if (code < 0) throw this.fail("write", code);
  }

  /** Bytes of plaintext that one datagram carries; 0 before the handshake is over. */
  get maxDatagram(): number {
    return this.handshakeDone ? this.maxWrite : 0;
  }

  /** Says that we send no more. It may be lost, and is not repeated. */
  closeNotify(): void {
    if (this.state === "write-closed" || this.state === "closed") return;
    if (this.state === "handshake") { // there are no keys yet, and the peer expects none
      this.setState("closed");
      return;
    }
    this.assertUsable("close");
    const code = this.run((connection) => connection.closeNotify());
    if (code < 0) throw this.fail("close", code);
    this.setState(this.state === "read-closed" ? "closed" : "write-closed");
  }
}

/** Throws for options that are wrong whatever the core says. */
export function checkDatagramOptions(serverSide: boolean, clientId: unknown, mtu: unknown = MTU): void {
  if (!Number.isInteger(mtu) || (mtu as number) < MTU_MIN || (mtu as number) > MTU_MAX) {
    throw new RangeError(`Cannot use mtu: expected ${MTU_MIN} to ${MTU_MAX} bytes, got ${String(mtu)}`);
  }
  if (!serverSide) return;
  if (clientId === undefined) throw new TypeError("Cannot verify the client: clientId is missing");
  assertBytes("clientId", clientId);
  if (clientId.length < 1 || clientId.length > CLIENT_ID_MAX) {
    throw new RangeError(
      `Cannot use clientId: expected 1 to ${CLIENT_ID_MAX} bytes, got ${clientId.length}`,
    );
  }
}
