/**
 * Gate: which connections a server takes, and which it drops, by its limits. At a limit the newest connection is refused; a
 * handshake whose client has fallen silent makes room for it.
 *
 * @module
 */

import { assertSize } from "./byte_queue.ts";
import { assertSeconds } from "./bytes.ts";
import { CODE, SSLError } from "./errors.ts";
import { parseAddress } from "./ip_address.ts";
import { Metered } from "./metered.ts";
import { increment } from "./server_stats.ts";

const MAX_CONNECTIONS = 10_000; // at some 20 KiB each when idle, 200 MiB
const MAX_PER_ADDRESS = 1_000; // a tenth of them: ten hosts are needed to take all; an office behind one address has fewer
const MAX_HANDSHAKES = 1_000; // half-open: below the connections, so that a flood of them leaves room for the rest
const IDLE_TIMEOUT = 600; // seconds; nginx's proxy_timeout
const INTERVAL = 1; // seconds between two looks; one at 10 000 connections takes a tenth of a millisecond
const LOOKS = 4; // at least so many per idleTimeout
/** Looks in a row after which a handshake may give way: two, since a busy event loop may look before it reads what has come. */
const STALLED = 2;

/** Limits of the connections of a server. */
export interface LimitOptions {
  /** Connections at once; at the limit a new one is closed at once. @default {10000} */
  maxConnections?: number;
  /**
   * Connections at once from one IPv4 address, or one IPv6 network of 64 bits; a further one is closed at once.
   *
   * @default {1000; none for loopback addresses: all clients of a proxy on the same machine have one}
   */
  maxConnectionsPerAddress?: number;
  /**
   * Handshakes at once. At the limit, the oldest whose client has sent nothing for two seconds is dropped for a new connection;
   * if there is none, the new one is closed at once. @default {1000}
   */
  maxHandshakes?: number;
  /** Seconds after which a connection on which no byte comes or goes is dropped; `Infinity`: never. @default {600} */
  idleTimeout?: number;
}

/** The connections of a server. */
export class Gate {
  readonly #options: LimitOptions;
  readonly #limits: Record<string, number>;
  readonly #idleTimeout: number;
  readonly #interval: number; // seconds
  readonly #all = new Map<Metered, string | undefined>(); // with their addresses, where these are counted
  readonly #handshakes = new Set<Metered>(); // the oldest first
  readonly #perAddress = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `limits` counts how often each was reached. */
  constructor(options: LimitOptions, limits: Record<string, number>) {
    this.#options = options;
    this.#limits = limits;
    this.#idleTimeout = options.idleTimeout ?? IDLE_TIMEOUT;
    this.#interval = Math.min(INTERVAL, this.#idleTimeout / LOOKS);
  }

  /** Throws for limits that cannot be used. */
  static check({ idleTimeout, maxConnections, maxConnectionsPerAddress, maxHandshakes }: LimitOptions): void {
    if (idleTimeout !== undefined) assertSeconds("idleTimeout", idleTimeout);
    for (const [name, value] of Object.entries({ maxConnections, maxConnectionsPerAddress, maxHandshakes })) {
      if (value !== undefined && value !== Infinity) assertSize(name, value, 1);
    }
  }

  /** Takes a connection, in its handshake; `undefined`: a limit is reached, and that was counted. */
  admit(conn: Deno.Conn): Metered | undefined {
    const address = this.#addressOf(conn.remoteAddr);
    const limit = this.#exceeded(address);
    if (limit !== undefined) {
      this.reached(limit);
      return undefined;
    }
    const metered = new Metered(conn);
    this.#all.set(metered, address);
    this.#handshakes.add(metered);
    if (address !== undefined) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    this.#timer ??= setTimeout(() => this.#look(), this.#interval * 1000);
    return metered;
  }

  #exceeded(address: string | undefined): keyof LimitOptions | undefined {
    const { maxConnections = MAX_CONNECTIONS, maxHandshakes = MAX_HANDSHAKES } = this.#options;
    const { maxConnectionsPerAddress = MAX_PER_ADDRESS } = this.#options;
    const perAddress = address === undefined ? 0 : this.#perAddress.get(address) ?? 0;
    if (perAddress >= maxConnectionsPerAddress) return "maxConnectionsPerAddress";
    if (this.#all.size >= maxConnections && !this.makeRoom("maxConnections")) return "maxConnections";
    if (this.#handshakes.size >= maxHandshakes && !this.makeRoom("maxHandshakes")) return "maxHandshakes";
    return undefined;
  }

  /** Whom a connection counts for: a host, which has a whole IPv6 network of 64 bits; `undefined`: nobody. */
  #addressOf(addr: Deno.Addr): string | undefined {
    if (!("hostname" in addr)) return undefined;
    const { hostname } = addr;
    const isLocal = hostname.startsWith("127.") || hostname === "::1" || hostname.startsWith("::ffff:127.");
    if (isLocal && this.#options.maxConnectionsPerAddress === undefined) return undefined;
    if (!hostname.includes(":")) return hostname;
    const bytes = parseAddress(hostname.split("%", 1)[0]!)!;
    const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 &&
      bytes[11] === 255;
    return isMapped ? bytes.subarray(12).join(".") : bytes.subarray(0, 8).toHex();
  }

  /** Counts that a limit was reached. */
  reached(limit: string): void {
    increment(this.#limits, limit);
  }

  /** Drops the oldest handshake whose client has fallen silent, if there is one. */
  makeRoom(limit: string): boolean {
    for (const conn of this.#handshakes) {
      if (conn.silent < STALLED) continue;
      this.#drop(conn, limit, "a new connection needs its place, and its handshake has stalled");
      return true;
    }
    return false;
  }

  #drop(conn: Metered, limit: string, why: string): void {
    this.release(conn);
    this.reached(limit);
    const message = `Cannot go on with the connection: ${why} (${limit})`;
    conn.drop(new SSLError(message, { kind: "timeout", code: CODE.TIMEOUT }));
  }

  /** Its handshake is over. */
  opened(conn: Metered): void {
    this.#handshakes.delete(conn);
  }

  /** It has ended. */
  release(conn: Metered): void {
    const address = this.#all.get(conn);
    if (!this.#all.delete(conn)) return;
    this.#handshakes.delete(conn);
    if (this.#all.size === 0) this.stop();
    if (address === undefined) return;
    const left = this.#perAddress.get(address)! - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }

  /**
   * Looks at each connection. Silence is counted in looks, not by the clock: when the process has slept, or was busy, what
   * came meanwhile is read before the next look.
   */
  #look(): void {
    this.#timer = setTimeout(() => this.#look(), this.#interval * 1000);
    for (const conn of this.#all.keys()) {
      conn.look();
      if (conn.silent * this.#interval < this.#idleTimeout) continue;
      this.#drop(conn, "idleTimeout", `nothing came or went for ${this.#idleTimeout} seconds`);
    }
  }

  /** Stops looking until a connection comes. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
