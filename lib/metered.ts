/**
 * Metered: an accepted connection as a {@linkcode Duplex} that knows whether bytes still come or go, and that can be dropped
 * for a reason which its reads and writes then give.
 */

import type { Duplex } from "./duplex.ts";

/** A connection of a server. */
export class Metered implements Duplex {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** Looks in a row at which nothing had come or gone. */
  silent = 0;
  /** Called when it is dropped, with the reason: what stands on it has to go, too. */
  ondrop: ((reason: Error) => void) | undefined;
  readonly #conn: Deno.Conn;
  #moved = 0; // bytes, both ways
  #seen = -1; // of them, at the last look
  #reason: Error | undefined;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.localAddr = conn.localAddr;
    this.remoteAddr = conn.remoteAddr;
  }

  readonly #count = <N extends number | null>(n: N): N => {
    if (n !== null) this.#moved += n;
    return n;
  };

  readonly #fail = (error: unknown): never => {
    throw this.#reason ?? error;
  };

  read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.#conn.read(p).then(this.#count, this.#fail);
  }

  write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    return this.#conn.write(p).then(this.#count, this.#fail);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#conn.close();
  }

  setNoDelay(noDelay = true): void {
    (this.#conn as Duplex).setNoDelay?.(noDelay); // a unix socket has none
  }

  /** Looks whether bytes have come or gone since the last time. */
  look(): void {
    this.silent = this.#moved === this.#seen ? this.silent + 1 : 0;
    this.#seen = this.#moved;
  }

  /** Why it was dropped; `undefined`: it was not. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Closes it; its reads and writes, also those under way, fail with `reason`. */
  drop(reason: Error): void {
    this.#reason ??= reason;
    this.ondrop?.(reason);
    try {
      this.#conn.close();
    } catch {
      // closed already
    }
  }
}
