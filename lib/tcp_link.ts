/**
 * TcpLink: a connection's bytes under a socket. One read and one write of the connection are under way at most; what came
 * and was not taken waits in a queue, so that a call that timed out has lost nothing.
 *
 * Nothing here waits but what says so. Errors are the platform's own: the socket makes its `OSError` of them.
 */

import { ByteQueue } from "./byte_queue.ts";
import { type Bytes, EMPTY } from "./bytes.ts";
import { type Changes, nextChangeOf } from "./changes.ts";
import { inTime } from "./deadline.ts";

const CHUNK_MIN = 1024; // bytes; an idle connection's read asks for as many
const CHUNK_MAX = 64 * 1024; // bytes; larger reads are not faster per byte
const SEND_BUFFER = 64 * 1024; // bytes taken by one send; the write of what was taken is under way
const CLOSE_TIMEOUT = 20; // seconds that what was sent has to leave; lwIP's TCP_FIN_WAIT_TIMEOUT

/** A connection, and what was received and is being sent. */
export class TcpLink {
  /** The connection. */
  readonly conn: Deno.TcpConn;
  readonly #changes: Changes;
  readonly #received = new ByteQueue();
  #chunk: Bytes = EMPTY;
  #reading = false;
  #sending: Promise<void> | undefined;
  #ended = false;
  #readFailure: { error: unknown } | undefined;
  #writeFailure: { error: unknown } | undefined;

  constructor(conn: Deno.TcpConn, changes: Changes) {
    this.conn = conn;
    this.#changes = changes;
  }

  // ---- Receiving --------------------------------------------------------------------------------------

  /** What came and was not taken. */
  get received(): ByteQueue {
    return this.#received;
  }

  /** Whether nothing more will come: the peer's end of the stream, or a failure. */
  get ended(): boolean {
    return this.#ended || this.#readFailure !== undefined;
  }

  /** Whether the connection failed, in a direction. */
  get failed(): boolean {
    return this.#readFailure !== undefined || this.#writeFailure !== undefined;
  }

  /**
   * Whether at least `n` bytes wait, or all that will come; if not, a read for `wanted` is under way. Throws a failure.
   */
  has(n: number, wanted = n): boolean {
    if (this.#received.length >= n) return true;
    if (this.#readFailure !== undefined) throw this.#readFailure.error;
    if (this.#ended) return true;
    this.#fill(wanted - this.#received.length);
    return false;
  }

  async #fill(wanted: number): Promise<void> {
    if (this.#reading) return;
    const size = Math.min(Math.max(wanted, CHUNK_MIN), CHUNK_MAX);
    if (this.#chunk.length < size) this.#chunk = new Uint8Array(size);
    this.#reading = true; // until its bytes are in the queue: the next read's come behind them
    try {
      const n = await this.#readOnce(this.#chunk);
      if (n === null) return;
      this.#received.space(n).set(this.#chunk.subarray(0, n));
      this.#received.commit(n);
    } catch {
      // the next call throws it
    } finally {
      this.#reading = false;
      this.#changes.notify();
    }
  }

  async #readOnce(p: Bytes): Promise<number | null> {
    try {
      const n = await this.conn.read(p);
      if (n === null) this.#ended = true;
      return n;
    } catch (error) {
      this.#readFailure = { error };
      throw error;
    }
  }

  /** Waits for at least one byte, as a Duplex does: straight into `p`, unless something waits. */
  async read(p: Bytes): Promise<number | null> {
    while (this.#reading) await nextChangeOf(this.#changes, Infinity);
    const n = Math.min(p.length, this.#received.length);
    if (n > 0) {
      p.set(this.#received.peek().subarray(0, n));
      this.#received.drop(n);
      return n;
    }
    if (this.#readFailure !== undefined) throw this.#readFailure.error;
    if (this.#ended) return null;
    this.#reading = true;
    try {
      return await this.#readOnce(p);
    } finally {
      this.#reading = false;
      this.#changes.notify();
    }
  }

  // ---- Sending ----------------------------------------------------------------------------------------

  /** Whether a send would take bytes, or throw. */
  get canSend(): boolean {
    return this.#sending === undefined || this.#writeFailure !== undefined;
  }

  /** Takes bytes of `p` and starts to write them; `undefined` while those taken before are on their way. */
  send(p: Uint8Array): number | undefined {
    if (this.#writeFailure !== undefined) throw this.#writeFailure.error;
    if (p.length === 0) return 0;
    if (this.#sending !== undefined) return undefined;
    const taken = new Uint8Array(p.subarray(0, SEND_BUFFER));
    this.#start(this.#writeAll(taken));
    return taken.length;
  }

  /** Waits until `p` is written, as a Duplex does. */
  async write(p: Bytes): Promise<number> {
    while (this.#sending !== undefined) await this.#sending;
    if (this.#writeFailure === undefined) await this.#start(this.#writeAll(p));
    if (this.#writeFailure !== undefined) throw this.#writeFailure.error;
    return p.length;
  }

  #start(writing: Promise<void>): Promise<void> {
    return this.#sending = writing.catch((error) => void (this.#writeFailure = { error })).finally(() => {
      this.#sending = undefined;
      this.#changes.notify();
    });
  }

  async #writeAll(p: Bytes): Promise<void> {
    for (let at = 0; at < p.length;) at += await this.conn.write(at === 0 ? p : p.subarray(at));
  }

  /** Ends our direction, after what was taken. */
  async closeWrite(): Promise<void> {
    await this.#sending;
    await this.conn.closeWrite();
  }

  /** Closes; what was taken is written first, as a kernel does. A read under way fails. */
  async close(): Promise<void> {
    if (this.#sending !== undefined) await inTime(this.#sending, CLOSE_TIMEOUT).catch(() => {});
    this.abort();
  }

  /** Closes at once. */
  abort(): void {
    try {
      this.conn.close();
    } catch {
      // it is closed already
    }
  }
}
