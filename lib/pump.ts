/**
 * Pump: moves bytes between a {@linkcode Duplex} and a {@linkcode TLSEngine}. The engine does no I/O, the pump no TLS.
 *
 * At most one read and one write of the transport are under way; everyone who waits shares them. All engine calls are
 * synchronous, so nothing needs a lock. The first failure, of either side, is kept and thrown by every later call.
 */

import { deadline } from "./_std/async.js";
import type { Bytes } from "./bytes.ts";
import type { Duplex } from "./duplex.ts";
import type { TLSEngine } from "./engine.ts";
import { CODE, SSLEOFError, SSLError } from "./errors.ts";

const LINGER = 1; // seconds that a fatal alert has to reach the peer before the connection is dropped
const SMALLEST_READ = 4096; // bytes; an idle connection keeps this buffer
const LARGEST_READ = 65536; // bytes; a read of this size is the fastest per byte (Deno 2.9)

/** Bytes read and thrown away while waiting for the peer to close. */
export const DRAIN_MAX = 1 << 20;

/** Names of the errors by which a platform says that the peer is gone. */
const PEER_GONE = ["ConnectionReset", "ConnectionAborted", "BrokenPipe", "UnexpectedEof", "NotConnected"];

/** The two ends of a connection, and what moves between them. */
export class Pump {
  /** The transport. */
  readonly duplex: Duplex;
  /** The TLS side. */
  readonly engine: TLSEngine;
  #filling: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #released: Promise<void> | undefined;
  #failure: Error | undefined;
  #inbox: Bytes = new Uint8Array(SMALLEST_READ);

  constructor(duplex: Duplex, engine: TLSEngine) {
    this.duplex = duplex;
    this.engine = engine;
  }

  /** Reads once from the transport. */
  fill(): Promise<void> {
    return this.#filling ??= this.#readTransport().finally(() => this.#filling = undefined);
  }

  async #readTransport(): Promise<void> {
    if (!this.engine.wantsRecords) return; // woken too early, or at the end of the stream
    let n: number | null;
    try {
      n = await this.duplex.read(this.#inbox);
    } catch (error) {
      throw this.fail(transportError("read from", error));
    }
    if (this.engine.state === "freed") return;
    if (n === null) return this.engine.receiveEof();
    this.engine.receive(this.#inbox.subarray(0, n));
    // The engine uses up what it was given before the next read; then a larger buffer may take over.
    if (n === this.#inbox.length && n < LARGEST_READ) {
      this.#inbox = new Uint8Array(Math.min(4 * n, LARGEST_READ));
    }
  }

  /** Writes all waiting records to the transport; `undefined` when there are none. */
  flush(): Promise<void> | undefined {
    if (this.#flushing === undefined && !this.engine.hasRecords) return undefined;
    return this.#flushing ??= this.#writeTransport().finally(() => this.#flushing = undefined);
  }

  async #writeTransport(): Promise<void> {
    try {
      while (this.engine.hasRecords) {
        let records = this.engine.takeRecords();
        while (records.length > 0) records = records.subarray(await this.duplex.write(records));
      }
    } catch (error) {
      throw this.fail(transportError("write to", error));
    }
  }

  /** The write under way. */
  get flushing(): Promise<void> | undefined {
    return this.#flushing;
  }

  /** Starts a read without anyone waiting for it; a failure shows in the next call. */
  fillLater(): void {
    this.fill().catch(() => {});
  }

  /** Starts a write without anyone waiting for it; a failure shows in the next call. */
  flushLater(): void {
    this.flush()?.catch(() => {});
  }

  /** Runs an engine call. When it fails, its alert is sent, whatever becomes of it, and the failure is final. */
  step<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      const first = this.fail(error as Error);
      this.flushLater();
      throw first;
    }
  }

  /** Keeps the first failure, and returns it. */
  fail(error: Error): Error {
    return this.#failure ??= error;
  }

  /** Why the connection failed or was closed. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Throws if the connection has failed. */
  assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Gives the engine's alert a moment to arrive. To close at once with unread data would make TCP send a reset that
   * overtakes it.
   */
  async linger(): Promise<void> {
    if (this.engine.error !== undefined) await deadline(this.#drain(), LINGER * 1000).catch(() => {});
  }

  async #drain(): Promise<void> {
    await this.flush();
    await this.duplex.closeWrite?.();
    await this.#filling;
    const scratch = new Uint8Array(SMALLEST_READ);
    for (let total = 0; total < DRAIN_MAX;) {
      const n = await this.duplex.read(scratch);
      if (n === null) return;
      total += n;
    }
  }

  /** Frees the engine and closes the transport, at most once. */
  release(close: () => void | Promise<void> = () => this.duplex.close()): Promise<void> {
    return this.#released ??= (async () => {
      this.engine[Symbol.dispose]();
      try {
        await close();
      } catch {
        // it was closed already: by the peer, by the user, or by a failure that was reported
      }
    })();
  }
}

function transportError(action: string, cause: unknown): SSLError {
  const { name, message } = cause instanceof Error ? cause : { name: "", message: String(cause) };
  const text = `Cannot ${action} the connection below TLS: ${message}`;
  if (PEER_GONE.includes(name)) return new SSLEOFError(text, { kind: "eof", code: CODE.CONN_EOF, cause });
  return cause instanceof SSLError ? cause : new SSLError(text, { kind: "closed", cause });
}
