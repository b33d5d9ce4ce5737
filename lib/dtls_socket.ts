/**
 * DTLSSocket: a {@linkcode DTLSEngine} and a way for its datagrams, with the timer of retransmission between them.
 *
 * @module
 */

import { Alarm } from "./_alarm.ts";
import { assertBytes, assertSeconds, type Bytes } from "./bytes.ts";
import type { DatagramLink } from "./datagram.ts";
import { inTime } from "./deadline.ts";
import type { DTLSEngine } from "./dtls_engine.ts";
import { CODE, SSLEOFError, SSLError } from "./errors.ts";
import { SSLObject } from "./object.ts";

/** Options of one DTLS connection that clients and servers share. */
export interface DatagramSocketOptions {
  /** Seconds of wall-clock time for the handshake. @default {10} (as for TLS) */
  timeout?: number;
  /** Seconds without data from the peer after which the connection has failed. @default {none; a server's: 300} */
  idleTimeout?: number;
  /** Ends the handshake early. */
  signal?: AbortSignal;
}

/** Seconds of a handshake: Pycom's, as of an `SSLSocket`. */
export const HANDSHAKE_TIMEOUT = 10;
const LINGER = 1; // seconds that the last datagrams may take to be handed to the network
const INBOX_MAX = 262144; // bytes of data that nobody reads; a socket's receive buffer, as Linux has it
const DATAGRAM_COST = 256; // bytes that each datagram of it counts for beside its data, as in Linux: small ones take memory, too
const SENDS_MAX = 256; // datagrams on their way to the network; more are dropped, as a full send buffer does
const SCRATCH: Bytes = new Uint8Array(16384); // a record's plaintext; wiped after each use

/** A DTLS connection: what one side sends at once, the other receives at once, or not at all. */
export class DTLSSocket extends SSLObject implements AsyncDisposable {
  readonly #engine: DTLSEngine;
  readonly #link: DatagramLink;
  readonly #handshakeTimeout: number;
  readonly #idleTimeout: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #idle: Alarm;
  readonly #opened = Promise.withResolvers<void>();
  readonly #sends = new Set<Promise<unknown>>();
  readonly #inbox: Bytes[] = [];
  #inboxSize = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timeout: number | null = null;
  #handshaking: Promise<void> | undefined;
  #reader: PromiseWithResolvers<void> | undefined;
  #failure: SSLError | Error | undefined; // why it has ended
  #sendError: unknown;
  #linkClosed: Promise<void> | undefined;

  /** For `DTLSContext` and `DTLSServer`: the options are checked, the handshake is not started. */
  constructor(link: DatagramLink, engine: DTLSEngine, options: DatagramSocketOptions = {}) {
    super(engine);
    this.#engine = engine;
    this.#link = link;
    this.#handshakeTimeout = options.timeout ?? HANDSHAKE_TIMEOUT;
    this.#idleTimeout = options.idleTimeout;
    this.#signal = options.signal;
    this.#idle = new Alarm(() => this.#fail(timedOut("receive: no data came", this.#idleTimeout!)));
    this.#opened.promise.catch(() => {}); // it is told to those who ask
  }

  // ---- The network's side -----------------------------------------------------------------------------

  /** For who reads the network: a datagram of the peer has come. It is used at once. */
  static deliver(socket: DTLSSocket, datagram: Bytes): void {
    if (socket.#failure !== undefined) return;
    socket.#engine.receive(datagram);
    socket.#advance();
  }

  /** For who reads the network: no more datagrams will come. */
  static lose(socket: DTLSSocket, cause?: unknown): void {
    const text = "Cannot receive: the way for datagrams was closed";
    socket.#fail(new SSLEOFError(text, { kind: "eof", code: CODE.CONN_EOF, cause }));
  }

  /** Goes on with what has come, or with what is due. */
  #advance(): void {
    if (this.#failure !== undefined) return;
    let due: number | undefined;
    try {
      if (this.#engine.handshake().state === "done") this.#receiveAll();
      due = this.#engine.nextTimeout();
    } catch (error) {
      return this.#fail(error as Error);
    }
    void this.#flush();
    clearTimeout(this.#timer);
    if (due !== undefined) this.#timer = setTimeout(() => this.#advance(), due);
  }

  #receiveAll(): void {
    this.#opened.resolve();
    let outcome = this.#engine.read(SCRATCH);
    for (; outcome.state === "data"; outcome = this.#engine.read(SCRATCH)) {
      const { bytes } = outcome;
      if (this.#inboxSize + bytes + DATAGRAM_COST <= INBOX_MAX) {
        this.#inbox.push(SCRATCH.slice(0, bytes));
        this.#inboxSize += bytes + DATAGRAM_COST;
      }
      SCRATCH.fill(0, 0, bytes);
      this.#watchIdle();
    }
    this.#reader?.resolve();
  }

  #watchIdle(): void {
    if (this.#idleTimeout !== undefined) this.#idle.set(this.#idleTimeout * 1000);
  }

  /** Hands what the engine has to the network. What is refused counts as lost. */
  async #flush(): Promise<void> {
    if (!this.#engine.hasDatagrams) return;
    await Promise.all(this.#engine.takeDatagrams().map((datagram) => this.#sendOne(datagram)))
      .catch((error) => this.#sendError = error);
  }

  async #sendOne(datagram: Bytes): Promise<void> {
    if (this.#sends.size >= SENDS_MAX) return;
    const sent = this.#link.send(datagram);
    this.#sends.add(sent);
    try {
      await sent;
    } finally {
      this.#sends.delete(sent);
    }
  }

  // ---- Handshake --------------------------------------------------------------------------------------

  /**
   * Completes the handshake; reads and writes do so by themselves. Calling it again waits for the same one.
   *
   * @throws {SSLError} Whatever went wrong; `kind` says who is at fault. The connection is closed then.
   */
  handshake(): Promise<void> {
    return this.#handshaking ??= this.#runHandshake();
  }

  async #runHandshake(): Promise<void> {
    try {
      this.#signal?.throwIfAborted();
      this.#advance();
      await inTime(this.#opened.promise, this.#handshakeTimeout, () => this.#late(), this.#signal);
      this.#watchIdle();
    } catch (error) {
      this.#fail(error as Error);
      await this.#linkClosed;
      throw this.#failure;
    }
  }

  #late(): SSLError {
    const peer = this.serverHostname === undefined ? "" : ` with ${JSON.stringify(this.serverHostname)}`;
    const text = `Cannot complete DTLS handshake${peer}: timed out after ${this.#handshakeTimeout} seconds`;
    return new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT, cause: this.#sendError });
  }

  // ---- Sending and receiving --------------------------------------------------------------------------

  /** Bytes that {@linkcode DTLSSocket.send} takes at most; 0 before the handshake. */
  get maxDatagram(): number {
    return this.#engine.maxDatagram;
  }

  /**
   * Sends one datagram. It may be lost, doubled or overtaken on its way; it does not arrive changed.
   *
   * @param p 1 to {@linkcode DTLSSocket.maxDatagram} bytes.
   * @returns `p.length`.
   * @throws {RangeError} If it is empty or longer; nothing was sent then.
   * @throws {SSLError} If the connection has failed or is closed.
   */
  async send(p: Uint8Array): Promise<number> {
    assertBytes("p", p);
    if (!this.#engine.handshakeDone) await this.handshake();
    this.#assertUsable();
    try {
      this.#engine.write(p);
    } catch (error) {
      if (error instanceof SSLError && this.#engine.error !== undefined) this.#fail(error);
      throw error;
    }
    const sent = this.#sendNow();
    await (this.#timeout === null
      ? sent
      : inTime(sent, this.#timeout, () => timedOut("send", this.#timeout!)));
    return p.length;
  }

  async #sendNow(): Promise<void> {
    await Promise.all(this.#engine.takeDatagrams().map((datagram) => this.#sendOne(datagram)));
  }

  /**
   * Receives what the peer sent at once.
   *
   * @param size Bytes to take at most; the rest is given by the next call. @default {all of it}
   * @returns The bytes; `null` once the peer has said that it sends no more.
   * @throws {SSLError} If the connection fails, or `kind: "timeout"` if nothing comes within {@linkcode DTLSSocket.setTimeout}.
   * @throws {TypeError} If another call is waiting for data.
   */
  async recv(size = Infinity): Promise<Uint8Array<ArrayBuffer> | null> {
    if (!(size === Infinity || Number.isInteger(size)) || size < 1) {
      throw new RangeError(`Cannot recv: expected a size above 0, got ${String(size)}`);
    }
    const datagram = await this.#next();
    if (datagram === null || datagram.length <= size) return datagram;
    this.#putBack(datagram.subarray(size));
    return datagram.subarray(0, size);
  }

  /**
   * Receives what the peer sent at once into `p`: MicroPython's `recv_into`.
   *
   * @param p Where to put it; what does not fit is given by the next call.
   * @returns How many bytes; `null` once the peer has said that it sends no more.
   */
  async recvInto(p: Uint8Array): Promise<number | null> {
    assertBytes("p", p);
    if (p.length === 0) return 0;
    const datagram = await this.recv(p.length);
    if (datagram === null) return null;
    p.set(datagram);
    return datagram.length;
  }

  /** {@linkcode DTLSSocket.recvInto}, by the name that a `Deno.Conn` has for it. */
  read(p: Uint8Array): Promise<number | null> {
    return this.recvInto(p);
  }

  /** {@linkcode DTLSSocket.send}, by the name that a `Deno.Conn` has for it. */
  write(p: Uint8Array): Promise<number> {
    return this.send(p);
  }

  #putBack(rest: Bytes): void {
    this.#inbox.unshift(rest);
    this.#inboxSize += rest.length + DATAGRAM_COST;
  }

  async #next(): Promise<Bytes | null> {
    if (this.#reader !== undefined) throw new TypeError("Cannot recv: another recv is waiting for data");
    const late = () => timedOut("receive", this.#timeout!);
    const ends = this.#timeout === null ? Infinity : performance.now() + this.#timeout * 1000;
    this.#reader = Promise.withResolvers<void>();
    try {
      if (!this.#engine.handshakeDone && this.#inbox.length === 0) await this.handshake();
      for (;;) {
        const first = this.#inbox.shift();
        if (first !== undefined) {
          this.#inboxSize -= first.length + DATAGRAM_COST;
          return first;
        }
        if (this.#failure === undefined && this.#isEnded()) return null;
        this.#assertUsable();
        this.#reader = Promise.withResolvers<void>();
        const left = (ends - performance.now()) / 1000;
        await (ends === Infinity ? this.#reader.promise : inTime(this.#reader.promise, left, late));
      }
    } finally {
      this.#reader = undefined;
    }
  }

  #isEnded(): boolean {
    return this.#engine.state === "read-closed" || this.#engine.state === "closed";
  }

  /** Data that the next {@linkcode DTLSSocket.recv} gives at once, in bytes. */
  override pending(): number {
    return this.#inbox[0]?.length ?? 0;
  }

  /** Sets how long a `recv` or `send` may wait, in seconds; `null`, as at first: for ever. */
  setTimeout(seconds: number | null): void {
    if (seconds !== null) assertSeconds("timeout", seconds);
    this.#timeout = seconds;
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /** The first reason ends the connection: the alert is sent, those who wait are told, and all is freed. */
  #fail(reason: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    clearTimeout(this.#timer);
    this.#idle.stop();
    void this.#flush();
    this.#engine[Symbol.dispose]();
    this.#opened.reject(reason);
    this.#reader?.resolve();
    const handedOver = Promise.allSettled([...this.#sends]);
    this.#linkClosed = inTime(handedOver, LINGER).catch(() => {}).then(() => this.#link.close())
      .catch(() => {}); // it was closed by others
  }

  /**
   * Closes: sends close_notify, which may be lost, and closes the way below. Calling it again waits for the same. It does
   * not fail: a peer that is gone cannot be told.
   */
  async close(): Promise<void> {
    if (this.#failure === undefined) {
      try {
        this.#engine.closeNotify();
      } catch {
        // it has failed: there is nobody to tell
      }
      this.#inbox.length = this.#inboxSize = 0;
      this.#fail(new SSLError("Cannot use the socket: it is closed", { kind: "closed" }));
    }
    await this.#linkClosed;
  }

  /** Closes at once: no close_notify. */
  abort(): void {
    this.#fail(new SSLError("Cannot use the socket: it was aborted", { kind: "closed" }));
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Our address, where the way below has one. */
  get localAddr(): Deno.Addr | undefined {
    return this.#link.localAddr;
  }

  /** The peer's address, where the way below has one. */
  get remoteAddr(): Deno.Addr | undefined {
    return this.#link.remoteAddr;
  }
}

/** Throws for options that are wrong, before anything is made of them. */
export function checkSocketOptions({ timeout, idleTimeout }: DatagramSocketOptions): void {
  if (timeout !== undefined) assertSeconds("timeout", timeout);
  if (idleTimeout !== undefined) assertSeconds("idleTimeout", idleTimeout);
}

function timedOut(action: string, seconds: number): SSLError {
  const text = `Cannot ${action}: timed out after ${seconds} seconds`;
  return new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT });
}
