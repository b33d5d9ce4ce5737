/**
 * SSLSocket: a {@linkcode TLSEngine} and a {@linkcode Duplex}, and the pump between them.
 *
 * The engine does no I/O and the pump does no TLS. Two things move bytes: `#fill()` has at most one read of the
 * transport under way, `#flush()` at most one write; everyone who waits shares them. All engine calls are synchronous,
 * so nothing needs a lock.
 *
 * @module
 */

import { deadline } from "./_std/async.js";
import { assertBytes, assertSeconds, type Bytes } from "./bytes.ts";
import { type PeerCertificate, peerCertificate } from "./certificate.ts";
import type { TLSConfig } from "./config.ts";
import { CERT_NONE } from "./config.ts";
import type { Duplex } from "./duplex.ts";
import { type Cipher, TLSEngine } from "./engine.ts";
import { CODE, SSLEOFError, SSLError } from "./errors.ts";
import type { SSLSession } from "./session.ts";

/** Options of one connection. */
export interface SocketOptions {
  /** Client: the host, a DNS name or an IP address, for SNI and the check of its certificate. */
  serverHostname?: string;
  /** Client: the session to resume. One that does not fit is passed over: a full handshake does as well. */
  savedSession?: SSLSession | Uint8Array;
  /** `true`: complete the handshake before the socket is given; `false`: at the first use. @default {true} */
  doHandshake?: boolean;
  /** Seconds of wall-clock time for the handshake. @default {10} (Pycom's) */
  timeout?: number;
  /** Seconds to wait for the peer's close_notify on close. @default {30} (asyncio's) */
  shutdownTimeout?: number;
  /** Ends the handshake early. */
  signal?: AbortSignal;
  /** Bytes that were already read from the connection. */
  initialData?: Uint8Array;
  /** Take the end of the stream for the peer's close_notify: its data may then be cut short. @default {false} */
  suppressRaggedEofs?: boolean;
}

/** What a non-blocking call came to. `want-read` and `want-write` name what the TLS layer waits for. */
export type TryOutcome<T> =
  | ({ readonly state: "ok" } & T)
  | { readonly state: "want-read" }
  | { readonly state: "want-write" };

const HANDSHAKE_TIMEOUT = 10; // seconds; Pycom's default
const SHUTDOWN_TIMEOUT = 30; // seconds; asyncio's SSL_SHUTDOWN_TIMEOUT
const LINGER = 1; // seconds that a fatal alert has to reach the peer before the connection is dropped
const DRAIN_MAX = 1 << 20; // bytes read and thrown away while waiting for the peer to close
const SMALLEST_READ = 4096; // bytes; an idle connection keeps this buffer
const LARGEST_READ = 65536; // bytes; a read of this size is the fastest per byte (Deno 2.9)
const STREAM_CHUNK = 16384; // bytes; a TLS record

/** Names of the errors by which a platform says that the peer is gone. */
const PEER_GONE = ["ConnectionReset", "ConnectionAborted", "BrokenPipe", "UnexpectedEof", "NotConnected"];

/** A TLS connection: a `Deno.Conn` by shape, a {@linkcode Duplex}, with the queries of CPython's `SSLSocket`. */
export class SSLSocket implements Duplex, AsyncDisposable {
  /** The host that was asked for. */
  readonly serverHostname: string | undefined;
  /** Whether we are the server. */
  readonly serverSide: boolean;
  readonly #duplex: Duplex;
  readonly #engine: TLSEngine;
  readonly #certReqs: number;
  readonly #handshakeTimeout: number;
  readonly #shutdownTimeout: number;
  readonly #signal: AbortSignal | undefined;
  #timeout: number | null = null;
  #blocking = true;
  #handshakeEnds = Infinity; // milliseconds since the Unix epoch
  #handshaking: Promise<void> | undefined;
  #filling: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #writing: Promise<number> | undefined;
  #closing: Promise<void> | undefined;
  #reading = false;
  #failure: Error | undefined;
  #inbox: Bytes = new Uint8Array(SMALLEST_READ);
  #readable: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** For `wrapSocket()` and `SSLContext`: the options are checked, the handshake is not started. */
  constructor(duplex: Duplex, config: TLSConfig, options: SocketOptions & { savedSession?: SSLSession }) {
    const { timeout = HANDSHAKE_TIMEOUT, shutdownTimeout = SHUTDOWN_TIMEOUT, initialData } = options;
    assertSeconds("timeout", timeout);
    assertSeconds("shutdownTimeout", shutdownTimeout);
    this.#duplex = duplex;
    this.#handshakeTimeout = timeout;
    this.#shutdownTimeout = shutdownTimeout;
    this.#signal = options.signal;
    this.#certReqs = config.certReqs;
    this.serverHostname = options.serverHostname;
    this.serverSide = config.serverSide;
    this.#engine = new TLSEngine(config, {
      serverHostname: options.serverHostname,
      savedSession: options.savedSession,
      suppressRaggedEofs: options.suppressRaggedEofs ?? false,
    });
    if (initialData !== undefined) this.#engine.receive(initialData.slice() as Bytes);
    duplex.setNoDelay?.(true); // else a flight waits 40 ms for the ACK of the one before (Nagle, delayed ACK)
  }

  // ---- The pump ---------------------------------------------------------------------------------------

  /** Reads once from the transport. */
  #fill(): Promise<void> {
    return this.#filling ??= this.#readTransport().finally(() => this.#filling = undefined);
  }

  async #readTransport(): Promise<void> {
    let n: number | null;
    try {
      n = await this.#duplex.read(this.#inbox);
    } catch (error) {
      throw this.#failed(this.#transportError("read", error));
    }
    if (this.#engine.state === "freed") return;
    if (n === null) return this.#engine.receiveEof();
    const full = n === this.#inbox.length;
    this.#engine.receive(this.#inbox.subarray(0, n));
    // The engine keeps what it was given; a larger buffer takes over once this one is used up.
    if (full && n < LARGEST_READ) this.#inbox = new Uint8Array(Math.min(4 * n, LARGEST_READ));
  }

  /** Writes all waiting records to the transport. */
  #flush(): Promise<void> | undefined {
    if (this.#flushing === undefined && !this.#engine.hasRecords) return undefined;
    return this.#flushing ??= this.#writeTransport().finally(() => this.#flushing = undefined);
  }

  async #writeTransport(): Promise<void> {
    try {
      while (this.#engine.hasRecords) {
        let records = this.#engine.takeRecords();
        while (records.length > 0) records = records.subarray(await this.#duplex.write(records));
      }
    } catch (error) {
      throw this.#failed(this.#transportError("write", error));
    }
  }

  /** Starts what moves without anyone waiting for it; a failure shows in the next call. */
  #background(work: Promise<void> | undefined): void {
    work?.catch(() => {});
  }

  #transportError(action: string, cause: unknown): SSLError {
    const { name, message } = cause instanceof Error ? cause : { name: "", message: String(cause) };
    const text = `Cannot ${action} on the connection below TLS: ${message}`;
    if (PEER_GONE.includes(name)) return new SSLEOFError(text, { kind: "eof", code: CODE.CONN_EOF, cause });
    return new SSLError(text, { kind: "closed", cause });
  }

  /** Keeps the first failure. */
  #failed<E extends Error>(error: E): Error {
    return this.#failure ??= error;
  }

  #assertUsable(action: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) {
      throw new SSLError(`Cannot ${action}: the socket is closed`, { kind: "closed" });
    }
  }

  /** Runs an engine call. When it fails, its alert is sent (its fate ignored) and the failure is final. */
  #step<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.#background(this.#flush());
      throw this.#failed(error as Error);
    }
  }

  /** Bounds a wait by the socket's timeout. On expiry the wait's cause goes on; only this call ends. */
  async #timed<T>(action: string, work: Promise<T>): Promise<T> {
    if (this.#timeout === null) return await work;
    try {
      return await deadline(work, this.#timeout * 1000);
    } catch (error) {
      if (!isTimeout(error)) throw error;
      throw new SSLError(`Cannot ${action}: timed out after ${this.#timeout} seconds`, {
        kind: "timeout",
        code: CODE.TIMEOUT,
      });
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
    if (this.#engine.handshakeDone) return;
    this.#assertUsable("complete TLS handshake");
    const options = this.#signal === undefined ? {} : { signal: this.#signal };
    const driving = this.#driveHandshake();
    try {
      await deadline(driving, this.#handshakeTimeout * 1000, options);
    } catch (error) {
      driving.catch(() => {}); // it ends when the transport closes
      throw await this.#giveUp(
        isTimeout(error) && !this.#signal?.aborted ? this.#handshakeTimedOut() : error,
      );
    }
  }

  async #driveHandshake(): Promise<void> {
    for (;;) {
      const { state } = this.#step(() => this.#engine.handshake());
      await this.#flush();
      if (state === "done") return;
      await this.#fill();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  #handshakeTimedOut(): SSLError {
    const peer = this.serverHostname === undefined ? "" : ` with ${JSON.stringify(this.serverHostname)}`;
    const text = `Cannot complete TLS handshake${peer}: timed out after ${this.#handshakeTimeout} seconds`;
    return new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT });
  }

  /**
   * Ends a connection that failed: its alert gets a moment to arrive. Closing at once with unread data would make
   * TCP send a reset that overtakes it.
   */
  async #giveUp(error: unknown): Promise<Error> {
    const first = this.#failed(error as Error);
    if (
      first instanceof SSLError && first.kind !== "timeout" && first.kind !== "closed" && this.#engine.error
    ) {
      await deadline(this.#linger(), LINGER * 1000).catch(() => {});
    }
    await this.#release();
    return first;
  }

  async #linger(): Promise<void> {
    await this.#flush();
    await this.#duplex.closeWrite?.();
    await this.#filling;
    const scratch = new Uint8Array(SMALLEST_READ);
    for (let total = 0; total < DRAIN_MAX;) {
      const n = await this.#duplex.read(scratch);
      if (n === null) return;
      total += n;
    }
  }

  // ---- Reading and writing ----------------------------------------------------------------------------

  /**
   * Reads decrypted bytes into `p`.
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
    try {
      if (!this.#engine.handshakeDone) await this.handshake();
      for (;;) {
        this.#assertUsable("read");
        const outcome = this.#step(() => this.#engine.read(p));
        if (this.#engine.hasRecords) this.#background(this.#flush());
        if (outcome.state === "data") return outcome.bytes;
        if (outcome.state === "eof") return null;
        await this.#timed("read", this.#fill());
      }
    } finally {
      this.#reading = false;
    }
  }

  /**
   * Encrypts and writes all of `p`. Writes go out in the order of the calls.
   *
   * @param p The bytes; not to be changed until the promise settles.
   * @returns `p.length`.
   * @throws {SSLError} If the connection fails or is closed.
   */
  async write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    assertBytes("p", p);
    this.#assertBlocking("write");
    if (!this.#engine.handshakeDone) await this.handshake();
    while (this.#writing !== undefined) await this.#writing.catch(() => {});
    this.#assertUsable("write");
    const writing = this.#writeAll(p);
    this.#writing = writing;
    try {
      return await this.#timed("write", writing);
    } finally {
      if (this.#writing === writing) this.#writing = undefined;
    }
  }

  async #writeAll(p: Bytes): Promise<number> {
    for (let total = 0; total < p.length;) {
      const n = this.#step(() => this.#engine.write(p.subarray(total)));
      total += n;
      if (n > 0 || this.#engine.hasRecords) await this.#flush();
      else await this.#fill(); // a renegotiation waits for the peer
      if (this.#failure !== undefined) throw this.#failure;
    }
    return p.length;
  }

  /** Sets how long a read or write may wait, in seconds; `null`, as at first: for ever. */
  setTimeout(seconds: number | null): void {
    if (seconds !== null) assertSeconds("timeout", seconds);
    this.#timeout = seconds;
  }

  /** Decrypted bytes as a stream of bytes; takes "byob" readers. Cancelling it closes the socket. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: STREAM_CHUNK,
      pull: async (controller) => {
        const request = controller.byobRequest!;
        const view = request.view!;
        const n = await this.read(
          new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength),
        );
        if (n === null) controller.close();
        request.respond(n ?? 0);
      },
      cancel: () => this.close(),
    }, { highWaterMark: 0 });
  }

  /** A stream of bytes to encrypt. Closing it sends close_notify; aborting it drops the connection. */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= new WritableStream({
      write: async (chunk) => {
        assertBytes("chunk", chunk);
        await this.write(chunk);
      },
      close: () => this.closeWrite(),
      abort: () => this.abort(),
    });
  }

  // ---- Non-blocking mode ------------------------------------------------------------------------------

  /** `false`: use `tryRead()`, `tryWrite()`, `tryHandshake()` and `ready()`; `true`: the methods that wait. */
  setBlocking(blocking: boolean): void {
    this.#blocking = blocking;
  }

  #assertBlocking(action: string): void {
    if (!this.#blocking) {
      throw new TypeError(
        `Cannot ${action}(): the socket is in non-blocking mode; use try${capital(action)}()`,
      );
    }
  }

  /** Whatever a non-blocking call must do first. Returns why it cannot go on yet. */
  #tryStart(action: string): "want-read" | "want-write" | undefined {
    if (this.#blocking) throw new TypeError(`Cannot ${action}(): call setBlocking(false) first`);
    this.#assertUsable(action);
    if (this.#engine.handshakeDone) return undefined;
    if (this.#handshakeEnds === Infinity) this.#handshakeEnds = Date.now() + this.#handshakeTimeout * 1000;
    if (Date.now() >= this.#handshakeEnds) throw this.#failed(this.#handshakeTimedOut());
    this.#signal?.throwIfAborted();
    const { state } = this.#step(() => this.#engine.handshake());
    this.#background(this.#flush());
    return state === "done" ? undefined : this.#wanted();
  }

  /** What the TLS layer waits for: to send what it has, else to receive. */
  #wanted(): "want-read" | "want-write" {
    if (this.#flushing !== undefined) return "want-write";
    this.#background(this.#fill());
    return "want-read";
  }

  /** Goes on with the handshake without waiting. */
  tryHandshake(): TryOutcome<unknown> {
    const wanted = this.#tryStart("tryHandshake");
    return wanted === undefined ? { state: "ok" } : { state: wanted };
  }

  /**
   * Reads without waiting.
   *
   * @param p Where to put the bytes.
   * @returns `{ state: "ok", bytes }`, `{ state: "eof" }`, or what to wait for with {@linkcode SSLSocket.ready}.
   */
  tryRead(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> | { readonly state: "eof" } {
    assertBytes("p", p);
    const wanted = this.#tryStart("tryRead");
    if (wanted !== undefined) return { state: wanted };
    const outcome = this.#step(() => this.#engine.read(p));
    this.#background(this.#flush());
    if (outcome.state === "data") return { state: "ok", bytes: outcome.bytes };
    return outcome.state === "eof" ? { state: "eof" } : { state: this.#wanted() };
  }

  /**
   * Writes without waiting.
   *
   * @param p The bytes.
   * @returns `{ state: "ok", bytes }` with how many were taken, or what to wait for.
   */
  tryWrite(p: Uint8Array<ArrayBuffer>): TryOutcome<{ bytes: number }> {
    assertBytes("p", p);
    const wanted = this.#tryStart("tryWrite");
    if (wanted !== undefined) return { state: wanted };
    if (this.#flushing !== undefined) return { state: "want-write" }; // what was taken before is not sent yet
    const bytes = this.#step(() => this.#engine.write(p));
    this.#background(this.#flush());
    return bytes === 0 && p.length > 0 ? { state: this.#wanted() } : { state: "ok", bytes };
  }

  /**
   * Waits until a call that could not go on may. It follows what TLS needs: to be ready to "write" during a
   * handshake can mean to have read. Failures show in the call, not here.
   *
   * @param direction The call to come: `tryRead()` or `tryWrite()`.
   * @param timeout Seconds to wait at most. @default {Infinity}
   * @returns Whether it is ready; `false` when the time is up.
   */
  async ready(direction: "read" | "write", timeout = Infinity): Promise<boolean> {
    const remaining = this.#engine.handshakeDone ? Infinity : (this.#handshakeEnds - Date.now()) / 1000;
    try {
      await deadline(this.#waitFor(direction), Math.max(0, Math.min(timeout, remaining)) * 1000);
    } catch (error) {
      if (isTimeout(error) && remaining > timeout) return false;
    }
    return true;
  }

  async #waitFor(direction: "read" | "write"): Promise<void> {
    if (this.#failure !== undefined || this.#closing !== undefined) return;
    if (this.#flushing !== undefined) {
      if (direction === "write" || !this.#engine.handshakeDone) return await this.#flushing;
    } else if (direction === "write" && this.#engine.handshakeDone) return;
    if (this.#engine.wantsRecords && this.#engine.pending === 0) await this.#fill();
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /** Sends close_notify: we write no more. Reading goes on. */
  async closeWrite(): Promise<void> {
    this.#assertUsable("close");
    if (!this.#engine.handshakeDone) await this.handshake();
    await this.#sendCloseNotify();
    await this.#duplex.closeWrite?.();
  }

  async #sendCloseNotify(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing.catch(() => {});
    this.#step(() => this.#engine.closeNotify());
    await this.#flush();
  }

  /**
   * Closes: sends close_notify, waits for the peer's up to `shutdownTimeout`, closes the connection below. Calling it
   * again waits for the same. It does not fail: a peer that is gone cannot be told.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.#failure === undefined && this.#engine.handshakeDone) {
      await deadline(this.#shutdown(), this.#shutdownTimeout * 1000).catch(() => {});
    }
    this.#failed(new SSLError("Cannot use the socket: it is closed", { kind: "closed" }));
    await this.#release();
  }

  async #shutdown(): Promise<void> {
    await this.#sendCloseNotify();
    await this.#duplex.closeWrite?.(); // some peers answer a FIN but not a close_notify
    const scratch = new Uint8Array(STREAM_CHUNK);
    for (let total = 0; total < DRAIN_MAX && this.#failure === undefined;) {
      const outcome = this.#engine.read(scratch);
      if (outcome.state === "eof") return;
      if (outcome.state === "data") total += outcome.bytes;
      else await this.#fill();
    }
  }

  /** Drops the connection at once: no close_notify, nothing waited for. Reads and writes under way fail. */
  abort(): void {
    this.#failed(new SSLError("Cannot use the socket: it was aborted", { kind: "closed" }));
    this.#closing ??= this.#release();
    this.#background(this.#release());
  }

  #released: Promise<void> | undefined;

  #release(): Promise<void> {
    return this.#released ??= (async () => {
      this.#engine[Symbol.dispose]();
      try {
        await this.#duplex.close();
      } catch {
        // it was closed already: by the peer, by the user, or by a failure that was reported
      }
    })();
  }

  /**
   * Ends TLS on the connection and gives the connection back for plain bytes (RFC 8446 section 6.1).
   *
   * @returns The Duplex below, with what the peer sent behind its close_notify to be read first.
   * @throws {SSLError} If the peer does not agree within `shutdownTimeout`, or sends data instead.
   */
  async unwrap(): Promise<Duplex> {
    this.#assertUsable("unwrap");
    if (!this.#engine.handshakeDone) await this.handshake();
    await deadline(this.#exchangeCloseNotify(), this.#shutdownTimeout * 1000);
    const rest = this.#engine.takeUnread().slice();
    this.#failed(new SSLError("Cannot use the socket: it was unwrapped", { kind: "closed" }));
    this.#closing = this.#released = Promise.resolve();
    this.#engine[Symbol.dispose]();
    return rest.length === 0 ? this.#duplex : withBytesFirst(this.#duplex, rest);
  }

  async #exchangeCloseNotify(): Promise<void> {
    await this.#sendCloseNotify();
    const scratch = new Uint8Array(1);
    for (;;) {
      const outcome = this.#step(() => this.#engine.read(scratch));
      if (outcome.state === "eof") return;
      if (outcome.state === "data") {
        throw new SSLError("Cannot unwrap: the peer sent data before its close_notify", { kind: "protocol" });
      }
      await this.#fill();
    }
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---- Queries: CPython's names -----------------------------------------------------------------------

  /** Our address, where the connection below has one. */
  get localAddr(): Deno.Addr {
    return this.#duplex.localAddr as Deno.Addr;
  }

  /** The peer's address, where the connection below has one. */
  get remoteAddr(): Deno.Addr {
    return this.#duplex.remoteAddr as Deno.Addr;
  }

  /** `"TLSv1.2"` or `"TLSv1.3"`; `undefined` before the handshake. */
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
  getpeercert(binary?: false): PeerCertificate | undefined;
  getpeercert(binary = false): Uint8Array | PeerCertificate | undefined {
    const der = this.#engine.peerCertificates()[0];
    if (der === undefined || binary) return der;
    return this.#certReqs === CERT_NONE || this.verifyFlags !== 0 ? {} : peerCertificate(der);
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
    if (!Number.isInteger(length) || length < 1 || length > 1024) {
      throw new RangeError(`Cannot use length: expected 1 to 1024 bytes, got ${length}`);
    }
    return this.#engine.exportKeyingMaterial(length, label, context?.slice() as Bytes | undefined);
  }

  /** The channel binding `"tls-exporter"` (RFC 9266): 32 bytes that only this connection has. */
  getChannelBinding(type: "tls-exporter" = "tls-exporter"): Uint8Array<ArrayBuffer> {
    if (type !== "tls-exporter") throw new RangeError(`Cannot get channel binding: unknown type "${type}"`);
    return this.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", new Uint8Array(0));
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

/** `duplex`, with `bytes` to be read first. */
function withBytesFirst(duplex: Duplex, bytes: Bytes): Duplex {
  let rest = bytes;
  return {
    read(p) {
      if (rest.length === 0) return duplex.read(p);
      const n = Math.min(p.length, rest.length);
      p.set(rest.subarray(0, n));
      rest = rest.subarray(n);
      return Promise.resolve(n);
    },
    write: (p) => duplex.write(p),
    close: () => duplex.close(),
    ...(duplex.closeWrite && { closeWrite: () => duplex.closeWrite!() }),
    ...(duplex.localAddr && { localAddr: duplex.localAddr }),
    ...(duplex.remoteAddr && { remoteAddr: duplex.remoteAddr }),
  };
}
