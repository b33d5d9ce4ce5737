/**
 * TlsEndpoint: an SSL socket's way from wrapped to closed, and how its calls wait. TLS begins at the first use that finds the
 * connection below made, so that a socket may be wrapped first and connected afterwards.
 */

import { ByteQueue } from "./byte_queue.ts";
import type { Bytes } from "./bytes.ts";
import { Changes, endOf, timedOut, until } from "./changes.ts";
import { inTime } from "./deadline.ts";
import type { Duplex } from "./duplex.ts";
import { OSError } from "./os_error.ts";
import { POLLERR, POLLIN, POLLNVAL, POLLOUT } from "./poll.ts";
import { SSLSocket as TLSSocket } from "./socket.ts";
import type { StreamLink } from "./stream_socket.ts";
import { toSeedError } from "./ussl_errors.ts";

const CHUNK_MIN = 1024; // bytes; a line is not read byte by byte
const CHUNK_MAX = 64 * 1024; // bytes; four records
const GOODBYE = 1; // seconds that the peer has for its own: a server that serves one after the other must not wait long

/** What TLS stands on: the endpoint of a socket, or a stream. */
export interface Below {
  /** Seconds that a call may wait. */
  timeout: number | null;
  /** Whether there is a connection. */
  readonly connected: boolean;
  /** What there is once it is connected; `undefined` while that is to come. Throws if it will not. */
  opened(action: string): unknown;
  /** Which events of `mask` there are now, before TLS. */
  pollEvents(mask: number): number;
  /** Calls `wake` at each change before TLS. */
  subscribe(wake: () => void): Disposable;
  /** Its bytes. */
  duplex(): Duplex;
}

/** A stream of bytes under TLS: it is connected, and TLS alone decides its events. */
export function belowStream(duplex: Duplex): Below {
  return {
    timeout: null,
    connected: true,
    opened: () => duplex,
    pollEvents: () => 0,
    subscribe: () => ({ [Symbol.dispose]() {} }),
    duplex: () => duplex,
  };
}

/** One end of a TLS connection. */
export class TlsEndpoint implements StreamLink {
  readonly #below: Below;
  readonly #start: (duplex: Duplex) => TLSSocket;
  readonly #changes = new Changes(); // what no one below tells of
  readonly #received = new ByteQueue();
  #tls: TLSSocket | undefined;
  #open = false; // the handshake is over
  #ended = false;
  #full = false; // a call found no room to send
  #told = false; // a call has thrown why the connection failed
  #closing: Promise<void> | undefined;

  /** `start` puts TLS on a connection and leaves the handshake to us. */
  constructor(below: Below, start: (duplex: Duplex) => TLSSocket) {
    this.#below = below;
    this.#start = start;
  }

  /** Seconds that a call may wait: those of the socket below. */
  get timeout(): number | null {
    return this.#below.timeout;
  }

  set timeout(seconds: number | null) {
    this.#below.timeout = seconds;
  }

  /** Whether there is a connection, not closed here. */
  get connected(): boolean {
    return this.#closing === undefined && this.#below.connected;
  }

  /** The TLS socket, once it was used. */
  get tls(): TLSSocket | undefined {
    return this.#tls;
  }

  /** TLS on the connection; `undefined` while that is to come. */
  #opened(action: string): TLSSocket | undefined {
    if (this.#closing !== undefined) throw new OSError("EBADF", `Cannot ${action}()`);
    if (this.#tls !== undefined) return this.#tls;
    if (this.#below.opened(action) === undefined) return undefined;
    const tls = this.#attempt(action, () => this.#start(this.#below.duplex()));
    tls.setBlocking(false);
    return this.#tls = tls;
  }

  #attempt<T>(action: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.#failure(action, error);
    }
  }

  #failure(action: string, error: unknown): unknown {
    if (this.#closing !== undefined) return new OSError("EBADF", `Cannot ${action}()`);
    this.#told = true;
    return toSeedError(action, error);
  }

  // ---- Waiting ----------------------------------------------------------------------------------------

  /** Makes a call of `timeout` seconds. One that may wait begins with the handshake, which has a deadline of its own. */
  until<T>(action: string, attempt: () => T | undefined, timeout = this.timeout): Promise<T> {
    return timeout === 0 || this.#isOpen()
      ? until(this, action, attempt, timeout)
      : this.#untilOpen(action, attempt, timeout);
  }

  /** Whether the handshake is over. From then on, `#changes` tells of everything. */
  #isOpen(): boolean {
    if (this.#open || this.#tls?.version() === undefined) return this.#open;
    TLSSocket.nonBlocking(this.#tls)!.subscribe((sent) => { // as long as both live
      if (sent && !this.#full) return; // of no use to those who receive
      this.#full = false;
      this.#changes.notify();
    });
    return this.#open = true;
  }

  async #untilOpen<T>(action: string, attempt: () => T | undefined, timeout: number | null): Promise<T> {
    const ends = endOf(timeout);
    const tls = await until(this, action, () => this.#opened(action), timeout, ends);
    await this.#handshake(tls, action, timeout, ends);
    return await until(this, action, attempt, timeout, ends);
  }

  /** Completes the handshake within its own deadline; waits no longer than until `ends`, of `timeout`. */
  async #handshake(tls: TLSSocket, action: string, timeout: number | null, ends: number): Promise<void> {
    const { promise: closed, reject } = Promise.withResolvers<never>();
    using _ = this.#changes.subscribe(() => {
      if (this.#closing !== undefined) reject(new OSError("EBADF", `Cannot ${action}()`));
    });
    const done = Promise.race([tls.handshake(), closed]);
    const left = (ends - performance.now()) / 1000;
    try {
      await (timeout === null ? done : inTime(done, left, () => timedOut(action, timeout)));
    } catch (error) {
      if (error instanceof OSError) throw error;
      throw this.#failure(action, error);
    }
  }

  /** Completes the handshake, whatever the mode; the deadline is the handshake's own. */
  async handshake(action: string): Promise<void> {
    await this.until(action, () => this.#opened(action), null);
  }

  /** Goes on with the handshake without waiting; whether it is complete. */
  tryHandshake(action: string): boolean {
    const tls = this.#opened(action);
    return tls !== undefined && this.#attempt(action, () => tls.tryHandshake().state === "ok");
  }

  // ---- Receiving and sending --------------------------------------------------------------------------

  /** What was decrypted and not taken. */
  get received(): ByteQueue {
    return this.#received;
  }

  /** Whether at least `n` bytes wait, or all that will come. */
  has(action: string, n: number, wanted = n): boolean {
    const tls = this.#opened(action);
    if (tls === undefined) return false;
    const queue = this.#received;
    while (queue.length < n && !this.#ended) {
      const room = Math.min(Math.max(wanted - queue.length, CHUNK_MIN), CHUNK_MAX);
      const outcome = this.#attempt(action, () => tls.tryRead(queue.space(room)));
      if (outcome.state === "ok") queue.commit(outcome.bytes);
      else if (outcome.state === "eof") this.#ended = true;
      else return false;
    }
    return true;
  }

  /** Encrypts bytes of `p`; `undefined` while those taken before are on their way, or before the handshake is over. */
  send(action: string, p: Uint8Array): number | undefined {
    const tls = this.#opened(action);
    if (tls === undefined) return undefined;
    const outcome = this.#attempt(action, () => tls.tryWrite(p as Bytes));
    if (outcome.state === "ok") return outcome.bytes;
    this.#full = true;
    return undefined;
  }

  // ---- Polling ----------------------------------------------------------------------------------------

  /**
   * For `poll()`. What is waited for is what TLS waits for: a socket is ready to write during a handshake once it has read,
   * and to read as soon as there are decrypted bytes. A failure is `POLLERR`; once a call has thrown it, `POLLNVAL`.
   */
  pollEvents(mask: number): number {
    if (this.#closing !== undefined || this.#told) return POLLNVAL;
    if (this.#tls === undefined && !this.#below.connected) return this.#below.pollEvents(mask);
    let calls;
    try {
      calls = TLSSocket.nonBlocking(this.#opened("poll")!)!;
    } catch {
      return POLLNVAL;
    }
    const canRead = (mask & POLLIN) !== 0 && (this.#received.length > 0 || calls.isReady("read"));
    const canWrite = (mask & POLLOUT) !== 0 && calls.isReady("write");
    this.#full ||= (mask & POLLOUT) !== 0 && !canWrite;
    return (canRead ? POLLIN : 0) | (canWrite ? POLLOUT : 0) | (calls.failure === undefined ? 0 : POLLERR);
  }

  /** Calls `wake` whenever the events may be others, until disposed of. */
  subscribe(wake: () => void): Disposable {
    const own = this.#changes.subscribe(wake);
    if (this.#isOpen()) return own;
    const calls = this.#tls && TLSSocket.nonBlocking(this.#tls);
    const below = (calls ?? this.#below).subscribe(wake);
    return {
      [Symbol.dispose]() {
        own[Symbol.dispose]();
        below[Symbol.dispose]();
      },
    };
  }

  // ---- Under TLS --------------------------------------------------------------------------------------

  /** The decrypted bytes as a Duplex. */
  duplex(): Duplex {
    const address = (which: "localAddr" | "remoteAddr") => this.#below.duplex()[which] as Deno.Addr;
    return {
      read: async (p) => {
        await this.until("read", () => this.has("read", 1, p.length) || undefined, null);
        const n = Math.min(p.length, this.#received.length);
        p.set(this.#received.peek().subarray(0, n));
        this.#received.drop(n);
        return n > 0 ? n : null;
      },
      write: (p) => this.until("write", () => this.send("write", p), null),
      closeWrite: async () => await this.#tls?.closeWrite(),
      close: () => this.close(),
      abort: () => {
        this.#tls?.abort();
        this.close();
      },
      get localAddr() {
        return address("localAddr");
      },
      get remoteAddr() {
        return address("remoteAddr");
      },
    };
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /** Closes, once: calls that wait fail, close_notify is exchanged, the connection below is closed. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#close();
      this.#changes.notify();
    }
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#tls !== undefined) return await closeSoon(this.#tls);
    try {
      await this.#below.duplex().close();
    } catch {
      // it was closed already
    }
  }
}

/** Closes. What was sent has the whole shutdown timeout to leave; the peer, for its answer, has less. */
async function closeSoon(tls: TLSSocket): Promise<void> {
  const said = tls.version() === undefined ? undefined : tls.closeWrite();
  const closed = tls.close();
  said?.then(() => inTime(closed, GOODBYE).catch(() => tls.abort()), () => {});
  await closed;
}
