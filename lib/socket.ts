/**
 * SSLSocket: a {@linkcode TLSEngine} and a {@linkcode Duplex}, with a pump between them; itself a Duplex.
 *
 * @module
 */

import { assertBytes, assertSeconds, type Bytes, copyOf } from "./bytes.ts";
import type { ConfigChooser } from "./client_choice.ts";
import type { TLSConfig } from "./config.ts";
import type { ConnectionCost } from "./cost/cost.ts";
import { inTime } from "./deadline.ts";
import { type Duplex, type DuplexLike, withBytesFirst } from "./duplex.ts";
import { readEarly } from "./early_reader.ts";
import { TLSEngine } from "./engine.ts";
import { isWorking } from "./engine_state.ts";
import { SSLError, timedOut } from "./errors.ts";
import { Goodbye } from "./goodbye.ts";
import { NonBlocking, type TryOutcome } from "./nonblocking.ts";
import { SSLObject } from "./object.ts";
import { type Pump, takeOver } from "./pump.ts";
import type { SSLSession } from "./session.ts";
import type { SocketOptions } from "./socket_options.ts";
import type { Outcome } from "./tally.ts";
import { type Stages, stagesOf } from "./stages.ts";
import { Turns } from "./turns.ts";
import { Turn } from "./turnstile.ts";
import { readableOf, writableOf } from "./web_streams.ts";

/** What `SSLContext` makes of them. */
type CheckedOptions = SocketOptions & { savedSession?: SSLSession; choose?: ConfigChooser };

const HANDSHAKE_TIMEOUT = 10; // seconds; Pycom's default
const SHUTDOWN_TIMEOUT = 30; // seconds; asyncio's SSL_SHUTDOWN_TIMEOUT

let uses = 0; // of all sockets

/** A TLS connection: a `Deno.Conn` by shape, a {@linkcode Duplex}, with the queries of CPython's `SSLSocket`. */
export class SSLSocket extends SSLObject implements Duplex, AsyncDisposable {
  readonly #pump: Pump;
  readonly #engine: TLSEngine;
  readonly #stages: Stages;
  readonly #handshakeTimeout: number;
  readonly #shutdownTimeout: number;
  readonly #signal: AbortSignal | undefined;
  #timeout: number | null = null;
  #nonBlocking: NonBlocking | undefined;
  #handshaking: Promise<void> | undefined;
  #handshakeFailure: Error | undefined;
  #reading = false;
  readonly #turns = new Turns(); // of those who write
  readonly #turn: Turn | undefined; // of a server's handshake
  readonly #goodbye: Goodbye;
  #closing: Promise<void> | undefined;
  #closedLate = false;
  #lastUse = ++uses;
  #readable: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** For `wrapSocket()` and `SSLContext`: the options are checked, the handshake is not started. */
  constructor(conn: DuplexLike, config: TLSConfig, options: CheckedOptions) {
    const { timeout = HANDSHAKE_TIMEOUT, shutdownTimeout = SHUTDOWN_TIMEOUT, initialData } = options;
    assertSeconds("timeout", timeout);
    assertSeconds("shutdownTimeout", shutdownTimeout);
    const engine = new TLSEngine(config, options);
    engine.onSession = options.onSession;
    super(engine);
    this.#engine = engine;
    this.#pump = takeOver(conn, engine);
    this.#goodbye = new Goodbye(this.#pump, this.#turns, () => this.handshake());
    this.#stages = stagesOf(this.#pump, config, options.choose);
    this.#handshakeTimeout = timeout;
    this.#shutdownTimeout = shutdownTimeout;
    this.#signal = options.signal;
    if (config.serverSide) this.#turn = new Turn(this.#pump.duplex.remoteAddr);
    if (initialData !== undefined) this.#engine.receive(copyOf(initialData));
    this.#pump.received = initialData?.length ?? 0;
  }

  #assertUsable(action: string): void {
    this.#pump.assertUsable();
    if (this.#closing === undefined) return;
    throw new SSLError(`Cannot ${action}: the socket is closed`, { kind: "closed" });
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
    if (this.#engine.handshakeDone) return;
    this.#assertUsable("complete TLS handshake");
    try {
      await inTime(this.#driveHandshake(), this.#handshakeTimeout, () => this.#late(), this.#signal);
    } catch (error) {
      this.#turn?.leave();
      const first = this.#handshakeFailure = this.#pump.fail(error as Error);
      await this.#pump.linger();
      await this.#pump.close();
      throw first;
    }
  }

  async #driveHandshake(): Promise<void> {
    this.#signal?.throwIfAborted();
    await this.#stages.choice?.run();
    const { serverSide } = this.#engine.config;
    const step = () => {
      this.#pump.assertUsable(); // it may have waited
      return this.#pump.step(() => serverSide ? this.#engine.handshakeStep() : this.#engine.handshake());
    };
    for (;;) {
      const hasWork = this.#turn !== undefined && this.#pump.received > 0;
      const { state } = hasWork ? await this.#turn.take(step, isWorking) : step();
      this.#pump.wake(); // who waits for early data
      // The last flight may wait for a peer that waits for us to read: it is not waited for.
      if (state === "done") return this.#pump.flushSoon();
      if (state === "verify" || state === "session") {
        await this.#stages[state]!.run();
        continue;
      }
      await this.#pump.flush();
      await this.#pump.fill();
      this.#pump.assertUsable();
    }
  }

  #late(): SSLError {
    const peer = this.serverHostname === undefined ? "" : ` with ${JSON.stringify(this.serverHostname)}`;
    return timedOut(`complete TLS handshake${peer}`, this.#handshakeTimeout)();
  }

  /**
   * What the connection has cost this end so far: the handshake, and all with what followed. Bytes are those of TLS records,
   * the heap's those of the core. It stays known after a failure and after the socket is closed.
   *
   * @throws {TypeError} If `measure` was not asked for.
   */
  cost(): ConnectionCost {
    return this.#engine.cost();
  }

  /** For `Server`: why the handshake failed; `undefined`: it has not. */
  static handshakeFailure(socket: SSLSocket): Error | undefined {
    return socket.#handshakeFailure;
  }

  /** For `Server`: drops the connection for a reason that calls under way, and later ones, throw. */
  static drop(socket: SSLSocket, reason: Error): void {
    socket.#pump.fail(reason);
    socket.abort();
  }

  /** For `Server`: whether the peer said no close_notify before `shutdownTimeout`. */
  static closedLate(socket: SSLSocket): boolean {
    return socket.#closedLate;
  }

  /** For `Server`: what the handshake came to; `undefined`: it is not over, or failed. */
  static outcome(socket: SSLSocket): Outcome | undefined {
    return socket.#engine.outcome;
  }

  /** For `Server`: bytes of records so far. */
  static traffic(socket: SSLSocket): { readonly received: number; readonly sent: number } {
    return socket.#pump;
  }

  /** For `Server`: the greater, the later data has passed, one way or the other. */
  static lastUse(socket: SSLSocket): number {
    return socket.#lastUse;
  }

  // ---- Reading and writing ----------------------------------------------------------------------------

  /**
   * Reads decrypted bytes into `p`. A read that timed out can be made again.
   *
   * @param p Where to put them.
   * @returns How many bytes, 1 to `p.length`; `null` once the peer has said that it sends no more.
   * @throws {SSLEOFError} If the connection ended without the peer's close_notify.
   * @throws {SSLError} If the connection fails.
   * @throws {TypeError} If another read is under way.
   */
  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    assertBytes("p", p);
    this.#assertBlocking("read");
    if (this.#reading) throw new TypeError("Cannot read: another read is waiting for data");
    this.#reading = true;
    const timeout = this.#timeout;
    try {
      if (!this.#engine.handshakeDone) await this.handshake();
      const ends = performance.now() + (timeout ?? Infinity) * 1000;
      for (;;) {
        this.#assertUsable("read");
        const outcome = this.#pump.step(() => this.#engine.read(p));
        if (outcome.state === "data") {
          this.#lastUse = ++uses;
          this.#pump.flushSoon();
          return outcome.bytes;
        }
        this.#pump.flushLater();
        if (outcome.state === "eof") return null;
        if (timeout === null) await this.#pump.fill();
        else {
          this.#pump.fillLater();
          await this.#pump.changed((ends - performance.now()) / 1000, timedOut("read", timeout));
        }
      }
    } finally {
      this.#reading = false;
    }
  }

  /**
   * Server with `maxEarlyData`: reads early data; with `doHandshake: false` before the handshake is over, and `write()` may
   * answer. Who recorded it can send it again: do only what does no harm twice. `read()` fails while there is some.
   *
   * @returns How many bytes it put into `p`; `null` when there is no more, or never was.
   */
  async readEarlyData(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    assertBytes("p", p);
    this.#assertBlocking("readEarlyData");
    return await readEarly(this.#pump, this.handshake(), p);
  }

  /**
   * Encrypts and writes all of `p`. Writes go out in the order of the calls. A write that timed out is the end of the
   * connection: part of it may have been sent.
   *
   * @param p The bytes; not to be changed until the promise settles.
   * @returns `p.length`.
   * @throws {SSLError} If the connection fails or is closed.
   */
  write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    try {
      assertBytes("p", p);
      this.#assertBlocking("write");
      this.#assertUsable("write");
    } catch (error) {
      return Promise.reject(error);
    }
    const timeout = this.#timeout;
    return this.#turns.take((before) =>
      timeout === null ? this.#writeAll(p, before) : this.#writeInTime(p, before, timeout)
    );
  }

  async #writeInTime(p: Bytes, before: Promise<unknown> | undefined, timeout: number): Promise<number> {
    if (!this.#engine.handshakeDone) await this.handshake();
    try {
      return await inTime(this.#writeAll(p, before), timeout, timedOut("write", timeout));
    } catch (error) {
      if (error instanceof SSLError && error.kind === "timeout") this.#pump.fail(error);
      throw error;
    }
  }

  async #writeAll(p: Bytes, before: Promise<unknown> | undefined): Promise<number> {
    if (!this.#engine.handshakeDone && !this.#engine.canAnswerEarly) await this.handshake();
    if (before !== undefined) await before;
    for (let total = 0; total < p.length;) {
      this.#pump.assertUsable();
      const rest = total === 0 ? p : p.subarray(total);
      const n = this.#pump.step(() => this.#engine.write(rest));
      total += n;
      this.#lastUse = ++uses;
      if (n > 0 || this.#engine.hasRecords) await this.#pump.flush();
      else await this.#pump.fill(); // a renegotiation waits for the peer
    }
    this.#pump.assertUsable();
    return p.length;
  }

  /** Sets how long a read or write may wait, in seconds; `null`, as at first: for ever. */
  setTimeout(seconds: number | null): void {
    if (seconds !== null) assertSeconds("timeout", seconds);
    this.#timeout = seconds;
  }

  /** Decrypted bytes as a stream of bytes; takes "byob" readers. Cancelling it closes the socket. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(this);
  }

  /** A stream of bytes to encrypt. Closing it sends close_notify; aborting it drops the connection. */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= writableOf(this);
  }

  // ---- Non-blocking mode ------------------------------------------------------------------------------

  /**
   * Chooses between the methods that wait and `tryRead()`, `tryWrite()`, `tryHandshake()` with `ready()`.
   *
   * @param blocking `false`: the ones that do not wait.
   */
  setBlocking(blocking: boolean): void {
    if (blocking) return void (this.#nonBlocking = undefined);
    const late = () => this.#late();
    this.#nonBlocking ??= new NonBlocking(this.#pump, this.#handshakeTimeout, late, this.#stages);
  }

  /** For `tlsio/ussl`: what the non-blocking mode stands on. */
  static nonBlocking(socket: SSLSocket): NonBlocking | undefined {
    return socket.#nonBlocking;
  }

  #assertBlocking(action: string): void {
    if (this.#nonBlocking !== undefined) {
      throw new TypeError(`Cannot ${action}(): the socket is in non-blocking mode; use its try methods`);
    }
  }

  #try(action: string): NonBlocking {
    if (this.#nonBlocking === undefined) {
      throw new TypeError(`Cannot ${action}(): call setBlocking(false) first`);
    }
    this.#assertUsable(action);
    if (!this.#engine.handshakeDone) this.#signal?.throwIfAborted();
    return this.#nonBlocking;
  }

  /** Goes on with the handshake without waiting. */
  tryHandshake(): TryOutcome<unknown> {
    return this.#try("tryHandshake").handshake();
  }

  /**
   * Reads without waiting.
   *
   * @param p Where to put the bytes.
   * @returns `{ state: "ok", bytes }`, `{ state: "eof" }`, or what to wait for with {@linkcode SSLSocket.ready}.
   */
  tryRead(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> | { readonly state: "eof" } {
    assertBytes("p", p);
    return this.#try("tryRead").read(p);
  }

  /**
   * Writes without waiting.
   *
   * @param p The bytes.
   * @returns `{ state: "ok", bytes }` with how many were taken, or what to wait for.
   */
  tryWrite(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> {
    assertBytes("p", p);
    return this.#try("tryWrite").write(p);
  }

  /**
   * Waits until a call that could not go on may. It follows what TLS needs: to be ready to "write" during a handshake
   * can mean to have read. Failures show in the call, not here.
   *
   * @param direction The call to come: `tryRead()` or `tryWrite()`.
   * @param timeout Seconds to wait at most. @default {Infinity}
   * @returns Whether it is ready; `false` when the time is up.
   */
  async ready(direction: "read" | "write", timeout = Infinity): Promise<boolean> {
    if (this.#nonBlocking === undefined) throw new TypeError("Cannot ready(): call setBlocking(false) first");
    if (direction !== "read" && direction !== "write") {
      throw new TypeError(`Cannot ready(): expected "read" or "write", got ${JSON.stringify(direction)}`);
    }
    if (timeout !== 0) assertSeconds("timeout", timeout);
    return this.#closing !== undefined || await this.#nonBlocking.ready(direction, timeout);
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /** Sends close_notify: we write no more. Reading goes on. */
  async closeWrite(): Promise<void> {
    this.#assertUsable("close");
    await this.#goodbye.say();
    await this.#pump.closeWrite();
  }

  /**
   * Closes: sends close_notify, waits for the peer's up to `shutdownTimeout`, closes the connection below. Calling it
   * again waits for the same. It does not fail: a peer that is gone cannot be told.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.#pump.failure === undefined && (this.#engine.handshakeDone || this.#engine.canAnswerEarly)) {
      const isSilent = this.#engine.config.options.behaviour?.closeNotify === false; // then nobody waits for an answer
      const said = isSilent ? this.#goodbye.say() : this.#goodbye.sayAndDrain();
      const late = () => {
        this.#closedLate = true;
        return new Error("Cannot wait for the peer to close: it takes too long");
      };
      await inTime(said, this.#shutdownTimeout, late).catch(() => {});
    }
    await this.#pump.linger();
    this.#pump.retire("is closed");
    await this.#pump.close(this.#shutdownTimeout);
  }

  /** Drops the connection at once: no close_notify, nothing waited for. Reads and writes under way fail. */
  abort(): void {
    this.#pump.retire("was aborted");
    const dropped = this.#pump.abort();
    this.#closing ??= dropped;
  }

  /**
   * Ends TLS on the connection and gives the connection back for plain bytes (RFC 8446 section 6.1).
   *
   * @returns The Duplex below, with what the peer sent behind its close_notify to be read first.
   * @throws {SSLError} If the peer does not agree within `shutdownTimeout`, or sends data instead. It cannot be used then.
   */
  async unwrap(): Promise<Duplex> {
    this.#assertUsable("unwrap");
    if (!this.#engine.handshakeDone) await this.handshake();
    try {
      const limit = this.#shutdownTimeout;
      await inTime(this.#goodbye.exchange(), limit, timedOut("unwrap", limit));
    } catch (error) {
      throw this.#pump.fail(error as Error);
    }
    const rest = this.#engine.takeUnread().slice();
    this.#pump.retire("was unwrapped");
    await (this.#closing = this.#pump.release(() => {}));
    return rest.length === 0 ? this.#pump.duplex : withBytesFirst(this.#pump.duplex, rest);
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Our address, where the connection below has one. */
  get localAddr(): Deno.Addr {
    return this.#pump.duplex.localAddr as Deno.Addr;
  }

  /** The peer's address, where the connection below has one. */
  get remoteAddr(): Deno.Addr {
    return this.#pump.duplex.remoteAddr as Deno.Addr;
  }
}
