/**
 * Gate: which connections a server takes, and which it drops, by its limits. At a limit the newest connection is refused, unless
 * a handshake makes room for it: one whose client has fallen silent, or one of a host that has more of them than others.
 *
 * @module
 */

import { assertSize } from "./byte_queue.ts";
import { assertSeconds } from "./bytes.ts";
import { CODE, SSLError } from "./errors.ts";
import { hostOf } from "./ip_address.ts";
import { Metered, Share } from "./metered.ts";
import { increment } from "./server_stats.ts";

const MAX_CONNECTIONS = 10_000; // at some 20 KiB each when idle, 200 MiB
const MAX_PER_ADDRESS = 1_000; // a tenth of them: ten hosts are needed to take all; an office behind one address has fewer
const MAX_HANDSHAKES = 1_000; // half-open: below the connections, so that a flood of them leaves room for the rest
const MAX_HANDSHAKES_PER_ADDRESS = 100; // a tenth again; at 50 ms from client to server and back, 2 000 a second
const IDLE_TIMEOUT = 600; // seconds; nginx's proxy_timeout
const INTERVAL = 1; // seconds between two looks; one at 10 000 connections takes 1 to 2 ms
const LOOKS = 4; // at least so many per idleTimeout
const STALLED = 2; // seconds without a byte after which a handshake may give way
const FEW = 10; // handshakes of a host with which it may take the place of another host's that has stalled
const MAX_PENDING = 1 << 30; // bytes: 100 KiB for each of 10 000 connections, or 16 writers that are full

const LOOPBACK = hostOf({ transport: "tcp", hostname: "::1", port: 0 });

/** Limits of the connections of a server. */
export interface LimitOptions {
  /** Connections at once; at the limit a handshake gives way as at `maxHandshakes`, or the new one is closed at once. @default {10000} */
  maxConnections?: number;
  /**
   * Connections at once from one IPv4 address, or one IPv6 network of 64 bits; a further one is closed at once. Behind a balancer
   * on another machine all clients have its address: give `Infinity`.
   *
   * @default {1000; none for loopback addresses: all clients of a proxy on the same machine have one}
   */
  maxConnectionsPerAddress?: number;
  /**
   * Handshakes at once. At the limit, one is dropped for a new connection: the oldest whose client has sent nothing for two
   * seconds (one of its own host only, if that has more than ten), or else the oldest of a host that has at least two more than
   * the new one's. If there is none, the new connection is closed at once. @default {1000}
   */
  maxHandshakes?: number;
  /**
   * Handshakes at once from one IPv4 address, or one IPv6 network of 64 bits. At the limit, the oldest of them whose client has
   * sent nothing for two seconds gives way, or else the new connection is closed at once. Behind a balancer as above.
   *
   * @default {100; none for loopback addresses}
   */
  maxHandshakesPerAddress?: number;
  /**
   * Bytes that wait in the streams of all connections: those that came and were not read, and those that were written and not
   * sent. It is looked at every second; above it, the connection that holds the most is dropped, and the next. @default {1073741824}
   */
  maxPendingBytes?: number;
  /**
   * Seconds after which a connection on which no byte comes or goes is dropped, whatever its handler waits for meanwhile;
   * `Infinity`: never. @default {600}
   */
  idleTimeout?: number;
}

/** The connections of a server. */
export class Gate {
  readonly #options: LimitOptions;
  readonly #limits: Record<string, number>;
  readonly #idleTimeout: number;
  readonly #interval: number; // seconds
  readonly #all = new Set<Metered>();
  readonly #handshakes = new Set<Metered>(); // the oldest first
  readonly #perHost = new Map<string, Share>();
  #hopeless = Infinity; // with so many handshakes a host finds no room: until one has stalled, or there are more
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `limits` counts how often each was reached. */
  constructor(options: LimitOptions, limits: Record<string, number>) {
    this.#options = options;
    this.#limits = limits;
    this.#idleTimeout = options.idleTimeout ?? IDLE_TIMEOUT;
    this.#interval = Math.min(INTERVAL, this.#idleTimeout / LOOKS);
  }

  /** Throws for limits that cannot be used. */
  static check({ idleTimeout, ...limits }: LimitOptions): void {
    if (idleTimeout !== undefined) assertSeconds("idleTimeout", idleTimeout);
    for (
      const name of [
        "maxConnections",
        "maxConnectionsPerAddress",
        "maxHandshakes",
        "maxHandshakesPerAddress",
        "maxPendingBytes",
      ] as const
    ) {
      const value = limits[name];
      if (value !== undefined) assertSize(name, value, 1);
    }
  }

  /** Takes a connection, in its handshake; `undefined`: a limit is reached, and that was counted. */
  admit(conn: Deno.Conn): Metered | undefined {
    const host = hostOf(conn.remoteAddr);
    const limit = this.#exceeded(host);
    if (limit !== undefined) {
      this.reached(limit);
      return undefined;
    }
    let share = this.#perHost.get(host);
    if (share === undefined) this.#perHost.set(host, share = new Share(host));
    const metered = new Metered(conn, share);
    this.#hopeless = Infinity;
    this.#all.add(metered);
    this.#handshakes.add(metered);
    share.connections++;
    share.handshakes++;
    this.#timer ??= setTimeout(() => this.#look(), this.#interval * 1000);
    return metered;
  }

  #exceeded(host: string): keyof LimitOptions | undefined {
    const { maxConnections = MAX_CONNECTIONS, maxHandshakes = MAX_HANDSHAKES } = this.#options;
    const share = this.#perHost.get(host);
    if (share !== undefined) {
      const { maxConnectionsPerAddress, maxHandshakesPerAddress } = this.#options;
      const connections = limitOf(host, maxConnectionsPerAddress, MAX_PER_ADDRESS);
      if (share.connections >= connections) return "maxConnectionsPerAddress";
      const handshakes = limitOf(host, maxHandshakesPerAddress, MAX_HANDSHAKES_PER_ADDRESS);
      if (share.handshakes >= handshakes && !this.#makeRoomOf(share)) return "maxHandshakesPerAddress";
    }
    if (this.#all.size >= maxConnections && !this.makeRoom("maxConnections", host)) return "maxConnections";
    if (this.#handshakes.size >= maxHandshakes && !this.makeRoom("maxHandshakes", host)) {
      return "maxHandshakes";
    }
    return undefined;
  }

  /** Counts that a limit was reached. */
  reached(limit: string): void {
    increment(this.#limits, limit);
  }

  /**
   * Drops a handshake for a new connection of `host`, if one may be: see {@linkcode LimitOptions.maxHandshakes}. Of those whose
   * clients are silent, those of the host that has most go first.
   */
  makeRoom(limit: string, host?: string): boolean {
    const own = host === undefined ? 0 : this.#perHost.get(host)?.handshakes ?? 0;
    if (host !== undefined && own >= this.#hopeless) return false; // a look at each takes 0.1 ms
    let most: { share: Share; oldest: Metered; stalled: Metered | undefined } | undefined; // of the host that has most
    let stalled: Metered | undefined; // of all that may give way
    for (const conn of this.#handshakes) {
      const { share } = conn;
      const mayGiveWay = own <= FEW || share.host === host;
      const silent = mayGiveWay && this.#hasStalled(conn) ? conn : undefined;
      stalled ??= silent;
      if (share === most?.share) most.stalled ??= silent;
      else if (share.handshakes > (most?.share.handshakes ?? 0)) {
        most = { share, oldest: conn, stalled: silent };
      }
    }
    if (most === undefined) return false;
    const isUnfair = host !== undefined && most.share.handshakes > own + 1;
    const isLate = most.stalled !== undefined || !isUnfair;
    const conn = isLate ? most.stalled ?? stalled : most.oldest;
    if (conn === undefined) {
      if (host !== undefined) this.#hopeless = own;
      return false;
    }
    this.#giveWay(conn, limit, isLate);
    return true;
  }

  /** Drops a handshake that has stalled for a new connection of the same host, if there is one. */
  #makeRoomOf(share: Share): boolean {
    if (share.isHopeless) return false;
    for (const conn of this.#handshakes) {
      if (conn.share !== share || !this.#hasStalled(conn)) continue;
      this.#giveWay(conn, "maxHandshakesPerAddress", true);
      return true;
    }
    share.isHopeless = true;
    return false;
  }

  #hasStalled(conn: Metered): boolean {
    return conn.stalled * this.#interval >= STALLED;
  }

  #giveWay(conn: Metered, limit: string, isLate: boolean): void {
    const why = isLate ? "its handshake has stalled" : "its host has the most handshakes";
    this.#drop(conn, limit, `a new connection needs its place, and ${why}`, isLate);
  }

  #drop(conn: Metered, limit: string, why: string, isLate = true): void {
    this.release(conn);
    this.reached(limit);
    const message = `Cannot go on with the connection: ${why} (${limit})`;
    conn.drop(new SSLError(message, isLate ? { kind: "timeout", code: CODE.TIMEOUT } : { kind: "closed" }));
  }

  /** Its handshake is over. */
  opened(conn: Metered): void {
    if (this.#handshakes.delete(conn)) conn.share.handshakes--;
  }

  /** It has ended. */
  release(conn: Metered): void {
    if (!this.#all.delete(conn)) return;
    this.opened(conn);
    if (--conn.share.connections === 0) this.#perHost.delete(conn.share.host);
    if (this.#all.size === 0) this.stop();
  }

  /**
   * Looks at each connection. Silence is counted in looks, not by the clock: when the process has slept, or was busy, what
   * came meanwhile is read before the next look.
   */
  #look(): void {
    this.#timer = setTimeout(() => this.#look(), this.#interval * 1000);
    this.#hopeless = Infinity;
    const { maxPendingBytes = MAX_PENDING } = this.#options;
    let pending = 0;
    for (const conn of this.#all) {
      conn.look();
      conn.share.isHopeless = false;
      if (conn.silent * this.#interval < this.#idleTimeout) pending += conn.held();
      else this.#drop(conn, "idleTimeout", `nothing came or went for ${this.#idleTimeout} seconds`);
    }
    if (pending > maxPendingBytes) this.#shed(pending - maxPendingBytes);
  }

  /** Drops those that hold the most, until so many bytes are gone. */
  #shed(bytes: number): void {
    const held = Array.from(this.#all, (conn) => ({ conn, bytes: conn.held() })).sort((a, b) =>
      b.bytes - a.bytes
    );
    for (const { conn, bytes: most } of held) {
      if (bytes <= 0) return;
      const why = `of all bytes that wait in the server, it holds the most, ${most}`;
      this.#drop(conn, "maxPendingBytes", why, false);
      bytes -= most;
    }
  }

  /** Stops looking until a connection comes. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** A limit of an address. Unix sockets have none; loopback addresses, which may be a proxy's, none by default. */
function limitOf(host: string, given: number | undefined, usual: number): number {
  if (host === "") return Infinity;
  return given ?? (host === LOOPBACK || host.startsWith("127.") ? Infinity : usual);
}
