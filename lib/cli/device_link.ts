/**
 * DeviceLink: a connection below a device's TLS. It counts the bytes and, with `--slow`, lets them wait for as long as the
 * device would have computed before.
 */

import type { Bytes } from "../bytes.ts";
import type { Duplex } from "../duplex.ts";
import type { Pace } from "./device_pace.ts";

/** A connection, its bytes and when it was used last. */
export class DeviceLink implements Duplex {
  /** Bytes of records from the client, and to it. */
  readonly bytes = { in: 0, out: 0 };
  /** When bytes passed last: milliseconds on the clock of `performance.now()`. */
  lastUsed: number = performance.now();
  /** What the device's time is taken for; `undefined`: it answers as fast as it can. */
  pace: Pace | undefined;
  readonly #conn: Deno.TcpConn;
  readonly #closed = new AbortController();

  /** Takes the connection over. */
  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** The client. */
  get remoteAddr(): Deno.Addr {
    return this.#conn.remoteAddr;
  }

  /** Where it came to. */
  get localAddr(): Deno.Addr {
    return this.#conn.localAddr;
  }

  /** Reads; then the device takes its time for what came. */
  async read(p: Bytes): Promise<number | null> {
    const n = await this.#conn.read(p);
    if (n === null) return null;
    this.bytes.in += n;
    this.lastUsed = performance.now();
    await this.pace?.spend(n, this.#closed.signal);
    return n;
  }

  /** The device takes its time for what it has computed, and for the bytes; then they go. */
  async write(p: Bytes): Promise<number> {
    await this.pace?.spend(p.length, this.#closed.signal);
    const n = await this.#conn.write(p);
    this.bytes.out += n;
    this.lastUsed = performance.now();
    return n;
  }

  /** Switches Nagle's algorithm off. */
  setNoDelay(noDelay = true): void {
    this.#conn.setNoDelay(noDelay);
  }

  /** Ends our direction. */
  async closeWrite(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Closes, also while a write waits. */
  close(): void {
    this.#closed.abort(new Deno.errors.Interrupted("The connection was closed"));
    this.#conn.close();
  }
}
