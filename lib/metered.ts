/**
 * Metered: an accepted connection as a {@linkcode Duplex} that knows whether bytes still come or go, and that can be dropped
 * for a reason which its reads and writes then give.
 */

import type { Duplex } from "./duplex.ts";

/** What a host has of a server: which one, see `hostOf()`. */
export class Share {
  connections = 0;
  handshakes = 0;
  /** At the last look none of its handshakes had stalled. */
  isHopeless = false;

  constructor(readonly host: string) {}
}

/** A connection of a server. */
export class Metered implements Duplex {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** What its host has. */
  readonly share: Share;
  /** Looks in a row at which nothing had come or gone. */
  silent = 0;
  /** Those of them at which we waited for the client, which is not so while its handshake waits for a turn. */
  stalled = 0;
  /** How many bytes the streams on it hold: what has come and was not read, what was written and has not gone. */
  held: () => number = () => 0;
  readonly #conn: Deno.Conn;
  #ondrop: ((reason: Error) => void) | undefined;
  #waits = 0; // reads and writes under way
  #moved = 0; // bytes, both ways
  #seen = -1; // of them, at the last look
  #reason: Error | undefined;
  #isClosed = false;

  constructor(conn: Deno.Conn, share: Share) {
    this.#conn = conn;
    this.share = share;
    this.localAddr = conn.localAddr;
    this.remoteAddr = conn.remoteAddr;
  }

  readonly #count = <N extends number | null>(n: N): N => {
    this.#waits--;
    if (n !== null) this.#moved += n;
    return n;
  };

  readonly #fail = (error: unknown): never => {
    this.#waits--;
    throw this.#reason ?? error;
  };

  read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    this.#waits++;
    return this.#conn.read(p).then(this.#count, this.#fail);
  }

  write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    this.#waits++;
    return this.#conn.write(p).then(this.#count, this.#fail);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return; // Deno makes an error of it, which takes longer than the close
    this.#isClosed = true;
    this.#conn.close();
  }

  setNoDelay(noDelay = true): void {
    try {
      (this.#conn as Duplex).setNoDelay?.(noDelay); // a unix socket has none
    } catch {
      // the client is gone: the first read or write says so
    }
  }

  /** Looks whether bytes have come or gone since the last time. */
  look(): void {
    const isSilent = this.#moved === this.#seen;
    this.silent = isSilent ? this.silent + 1 : 0;
    this.stalled = isSilent && this.#waits > 0 ? this.stalled + 1 : 0;
    this.#seen = this.#moved;
  }

  /** Why it was dropped; `undefined`: it was not. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Called when it is dropped, with the reason, also when it was already: what stands on it has to go, too. */
  set ondrop(tell: (reason: Error) => void) {
    this.#ondrop = tell;
    if (this.#reason !== undefined) tell(this.#reason);
  }

  /** Closes it; its reads and writes, also those under way, fail with `reason`. */
  drop(reason: Error): void {
    this.#reason ??= reason;
    this.#ondrop?.(reason);
    try {
      this.close();
    } catch {
      // closed already
    }
  }
}
