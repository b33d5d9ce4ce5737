/**
 * Pump: moves bytes between a {@linkcode Duplex} and a {@linkcode TLSEngine}. The engine does no I/O, the pump no TLS.
 *
 * At most one read and one write of the transport are under way; everyone who waits shares them. All engine calls are
 * synchronous, so nothing needs a lock. The first failure, of either side, is kept and thrown by every later call.
 */

import { giveBytes, takeBytes } from "./byte_pool.ts";
import { type Bytes, EMPTY } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import { type Duplex, type DuplexLike, toDuplex } from "./duplex.ts";
import type { TLSEngine } from "./engine.ts";
import { CODE, SSLEOFError, SSLError } from "./errors.ts";

const LINGER = 1; // seconds that a fatal alert has to reach the peer before the connection is dropped
/**
 * Bytes of a read: what an idle connection keeps; a flight of a handshake; 64 KiB of data as records, since a read of about
 * that size is the fastest per byte (Deno 2.9).
 */
const READ_SIZES = [512, 4096, 68 * 1024] as const;
const FLIGHT = 1; // index
const TURNS = 24; // from a read or a handshake to what a program writes at once: 2 us, where a write takes 10

/** Bytes read and thrown away while waiting for the peer to close. */
export const DRAIN_MAX = 1 << 20;

/** Names of the errors by which a platform says that the peer is gone. */
const PEER_GONE = ["ConnectionReset", "ConnectionAborted", "BrokenPipe", "UnexpectedEof", "NotConnected"];

/** Stands for a read that is not made. */
const NOTHING = Promise.resolve(null);

/** The two ends of a connection, and what moves between them. */
export class Pump {
  /** The transport. */
  readonly duplex: Duplex;
  /** The TLS side. */
  readonly engine: TLSEngine;
  /** Bytes of records that came in. */
  received = 0;
  /** Bytes of records that were written. */
  sent = 0;
  #filling: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #ending: Promise<void> | undefined;
  #released: Promise<void> | undefined;
  #releasing = false;
  #failure: Error | undefined;
  #retired: string | undefined;
  #soon = false; // a write is to start
  #waiting: Set<(written: boolean) => void> | undefined;
  #inbox: Bytes = EMPTY;
  #readSize = FLIGHT; // index of the next read's
  #filled = false; // by the last read

  constructor(duplex: Duplex, engine: TLSEngine) {
    this.duplex = duplex;
    this.engine = engine;
    try {
      duplex.setNoDelay?.(true); // else a flight waits 40 ms for the ACK of the one before (Nagle, delayed ACK)
    } catch {
      // it is closed: the first read or write says so
    }
  }

  /** Reads once from the transport. */
  fill(): Promise<void> {
    return this.#filling ??= this.#readTransport();
  }

  async #readTransport(): Promise<void> {
    let n: number | null;
    try {
      // Woken too early, or at the end of the stream, there is nothing to read.
      const reading = this.engine.wantsRecords ? this.duplex.read(this.#openInbox()) : NOTHING;
      n = await reading;
      if (reading === NOTHING) return;
      if (n !== null) assertCount("read", n, this.#inbox.length);
    } catch (error) {
      this.#inbox = EMPTY; // not given back: who gives up waiting may still have a read of it under way
      await null; // if read() threw, `#filling` is still to be set
      throw this.fail(transportError("read from", error));
    } finally {
      this.#filling = undefined;
      this.wake();
    }
    this.received += n ?? 0;
    if (this.engine.state === "freed") return this.#closeInbox();
    if (n === null) return this.engine.receiveEof();
    this.engine.receive(this.#inbox.subarray(0, n));
    this.#fitInbox(n);
  }

  /** The array for the next read. The engine has used up what came before. */
  #openInbox(): Bytes {
    const size = READ_SIZES[this.#readSize]!;
    if (this.#inbox.length !== size) {
      giveBytes(this.#inbox);
      this.#inbox = this.#readSize === 0 ? new Uint8Array(size) : takeBytes(size);
    }
    return this.#inbox;
  }

  #closeInbox(): void {
    giveBytes(this.#inbox);
    this.#inbox = EMPTY;
  }

  /**
   * Chooses the size of the next read by how much came in this one: large for bulk, small for a connection that will wait.
   * What comes behind a full buffer does not say how long messages are.
   */
  #fitInbox(n: number): void {
    const wasFilled = this.#filled;
    this.#filled = n === this.#inbox.length;
    if (this.#filled && this.#readSize < READ_SIZES.length - 1) this.#readSize++;
    while (this.#readSize > (wasFilled ? FLIGHT : 0) && n < READ_SIZES[this.#readSize - 1]!) this.#readSize--;
  }

  /** Writes all waiting records to the transport; `undefined` when there are none. */
  flush(): Promise<void> | undefined {
    if (this.#flushing === undefined && !this.engine.hasRecords) return undefined;
    return this.#flushing ??= this.#writeTransport();
  }

  async #writeTransport(): Promise<void> {
    try {
      while (this.engine.hasRecords) {
        const records = this.engine.takeRecords();
        for (let at = 0; at < records.length;) {
          const rest = at === 0 ? records : records.subarray(at);
          const n = await this.duplex.write(rest);
          assertCount("write", n, rest.length);
          at += n;
          this.sent += n;
        }
        giveBytes(records);
      }
    } catch (error) {
      throw this.fail(transportError("write to", error));
    } finally {
      this.#flushing = undefined; // here: records that come after this moment need a write of their own
      this.wake(true);
    }
  }

  /** The write under way. */
  get flushing(): Promise<void> | undefined {
    return this.#flushing;
  }

  /** Starts a read without anyone waiting for it; a failure shows in the next call. */
  fillLater(): void {
    if (this.#filling === undefined) this.fill().catch(() => {});
  }

  /** Starts a write without anyone waiting for it; a failure shows in the next call. */
  flushLater(): void {
    if (this.#flushing === undefined) this.flush()?.catch(() => {});
  }

  /**
   * Starts a write a few turns of the microtask queue later, so that what the program writes at once goes out with it: a
   * ticket with the first answer, a client's last flight with its request. Who is about to wait calls
   * {@linkcode Pump.flushLater}.
   */
  flushSoon(): void {
    if (this.#flushing === undefined && this.engine.hasRecords && !this.#soon) this.#flushAfterTurns();
  }

  async #flushAfterTurns(): Promise<void> {
    this.#soon = true;
    for (let turn = 0; turn < TURNS; turn++) await null;
    this.#soon = false;
    if (this.#released === undefined) this.flushLater();
  }

  /**
   * Waits until a read or write of the transport ends, no longer than `seconds`. Unlike one for {@linkcode Pump.fill}, a
   * wait that ends sooner leaves nothing behind: a program may poll an idle connection for days.
   */
  async changed(seconds: number, late?: () => Error): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _ = this.subscribe(() => resolve());
    await inTime(promise, seconds, late);
  }

  /** Calls `wake` whenever a read or write of the transport ends, with whether it is a write, until disposed of. */
  subscribe(wake: (written: boolean) => void): Disposable {
    const waiting = this.#waiting ??= new Set();
    waiting.add(wake);
    return { [Symbol.dispose]: () => void waiting.delete(wake) };
  }

  /** Wakes who waits for a change: a read or write has ended, or the engine has been given what it needs. */
  wake(written = false): void {
    this.#waiting?.forEach((wake) => wake(written));
  }

  /** Ends our direction of the transport, at most once, after all waiting records. */
  closeWrite(): Promise<void> {
    return this.#ending ??= (async () => {
      await this.flush();
      try {
        await this.duplex.closeWrite?.();
      } catch (error) {
        throw this.fail(transportError("end", error));
      }
    })();
  }

  /** Runs an engine call. When it fails, its alert is sent, whatever becomes of it, and the failure is final. */
  step<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (this.engine.error === undefined) throw error; // the call was wrong; the connection is as before
      const first = this.fail(error as Error);
      this.flushLater();
      throw first;
    }
  }

  /** Keeps the first failure, and returns it. */
  fail(error: Error): Error {
    return this.failure ?? (this.#failure = error);
  }

  /** Ends the use of the connection, as its user asked: `how` says how it ended. */
  retire(how: string): void {
    if (this.#failure === undefined) this.#retired ??= how;
  }

  /** Why the connection failed or was closed. An error takes long to make, and most connections are closed but once. */
  get failure(): Error | undefined {
    if (this.#retired === undefined) return this.#failure;
    return this.#failure ??= new SSLError(`Cannot use the socket: it ${this.#retired}`, { kind: "closed" });
  }

  /** Throws if the connection has failed. */
  assertUsable(): void {
    const { failure } = this;
    if (failure !== undefined) throw failure;
  }

  /**
   * Gives the engine's alert a moment to arrive. To close at once with unread data would make TCP send a reset that
   * overtakes it.
   */
  async linger(): Promise<void> {
    const { error, refused } = this.engine;
    if (error === undefined || this.#released !== undefined) return;
    if (!refused && (error.kind === "alert" || error.kind === "eof")) return; // the peer ended it
    await inTime(this.#drain(), LINGER).catch(() => {});
  }

  async #drain(): Promise<void> {
    await this.closeWrite();
    await this.#filling;
    const scratch = new Uint8Array(READ_SIZES[FLIGHT]);
    for (let total = 0; total < DRAIN_MAX;) {
      const n = await this.duplex.read(scratch);
      if (n === null) return;
      total += n;
    }
  }

  /** Closes the transport; drops it when its own goodbye takes longer than `seconds`. */
  async close(seconds = LINGER): Promise<void> {
    const released = this.release(() => this.duplex.close());
    if (!this.#releasing) return await released; // it had no goodbye to say, as TCP has none
    await inTime(released, seconds).catch(() => void this.abort());
  }

  /** Frees the engine and gives the transport up by `close`, at most once. */
  release(close: () => void | Promise<void>): Promise<void> {
    return this.#released ??= this.#release(close);
  }

  async #release(close: () => void | Promise<void>): Promise<void> {
    this.#releasing = true;
    if (this.#soon) this.flushLater(); // what was put off: a last flight without which the peer has no handshake
    try {
      this.engine[Symbol.dispose]();
    } catch {
      // the core failed while it saved the session: that must not keep the transport open
    }
    if (this.#filling === undefined) this.#closeInbox();
    try {
      const closing = close();
      if (closing !== undefined) await closing;
    } catch {
      // it was closed already: by the peer, by the user, or by a failure that was reported
    } finally {
      this.#releasing = false;
    }
  }

  /** Frees the engine and drops the transport, also while an earlier release waits for its goodbye. */
  abort(): Promise<void> {
    const { duplex } = this;
    if (this.#releasing) duplex.abort?.();
    return this.release(() => duplex.abort ? duplex.abort() : duplex.close());
  }
}

/** Puts a pump between. The last step of a constructor: it locks a pair of streams, which must not happen in vain. */
export function takeOver(conn: DuplexLike, engine: TLSEngine): Pump {
  try {
    return new Pump(toDuplex(conn), engine);
  } catch (error) {
    engine[Symbol.dispose]();
    throw error;
  }
}

/** A Duplex that counts wrongly would make a loop over its reads or writes spin, or lose bytes. */
function assertCount(method: string, n: number, max: number): void {
  if (Number.isInteger(n) && n >= 1 && n <= max) return;
  throw new TypeError(`${method}() returned ${n}, expected 1 to ${max}`);
}

function transportError(action: string, cause: unknown): SSLError {
  const { name, message } = cause instanceof Error ? cause : { name: "", message: String(cause) };
  const text = `Cannot ${action} the connection below TLS: ${message}`;
  if (PEER_GONE.includes(name)) return new SSLEOFError(text, { kind: "eof", code: CODE.CONN_EOF, cause });
  return cause instanceof SSLError ? cause : new SSLError(text, { kind: "closed", cause });
}
