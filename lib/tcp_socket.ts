/** MicroPython's `socket`, over `Deno.connect` and `Deno.listen`. See `tlsio/socket` for its one rule: what may wait is awaited. */

import { type Address, AF_INET, AF_INET6, assertAddress, IPPROTO_TCP, SOCK_STREAM } from "./addresses.ts";
import type { Duplex, HasDuplex } from "./duplex.ts";
import { OSError } from "./os_error.ts";
import { StreamSocket } from "./stream_socket.ts";
import { TcpEndpoint } from "./tcp_endpoint.ts";

/** The level of the options of a socket. */
export const SOL_SOCKET = 0xfff;
/** Bind to an address that was in use a moment ago. Deno's listeners always do. */
export const SO_REUSEADDR = 4;
/** Ask a silent peer from time to time whether it is there. */
export const SO_KEEPALIVE = 8;
/** Send small writes at once: an option of `IPPROTO_TCP`. */
export const TCP_NODELAY = 1;

const BACKLOG = 2; // connections; MicroPython's

/** Makes a socket, of a connection that was accepted. */
let make: (af: number, conn?: Deno.TcpConn) => Socket;
/** What a socket stands on, for TLS over it. */
export let endpointOf: (socket: Socket) => TcpEndpoint;

/**
 * MicroPython's TCP socket. {@linkcode socket} makes one. Modes, receiving, sending and polling: {@linkcode StreamSocket}.
 *
 * @example Both ends
 * ```ts
 * import { socket } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = socket();
 * listener.bind(["127.0.0.1", 0]);
 * listener.listen(1);
 * const client = socket();
 * await client.connect(["127.0.0.1", listener.localAddr!.port]);
 * const [server] = await listener.accept();
 * await client.sendall("hello\n");
 * assertEquals(new TextDecoder().decode((await server.readline())!), "hello\n");
 * for (const one of [client, server, listener]) await one.close();
 * ```
 */
export class Socket extends StreamSocket implements HasDuplex, AsyncDisposable {
  readonly #af: number;
  readonly #endpoint: TcpEndpoint;
  #duplex: Duplex | undefined;

  static {
    make = (af, conn) => new Socket(af, new TcpEndpoint(af, conn));
    endpointOf = (socket) => socket.#endpoint;
  }

  private constructor(af: number, endpoint: TcpEndpoint) {
    super(endpoint);
    this.#af = af;
    this.#endpoint = endpoint;
  }

  // ---- Options ----------------------------------------------------------------------------------------

  /**
   * Sets an option: `SO_REUSEADDR` (always on, so nothing is to do), `SO_KEEPALIVE` or `TCP_NODELAY`.
   *
   * @throws {OSError} `ENOPROTOOPT` for another.
   */
  setsockopt(level: number, option: number, value: number | boolean): void {
    const on = Boolean(value);
    const key = `${level} ${option}`;
    if (key === `${SOL_SOCKET} ${SO_KEEPALIVE}`) this.#endpoint.keepAlive = on;
    else if (key === `${IPPROTO_TCP} ${TCP_NODELAY}`) this.#endpoint.noDelay = on;
    else if (key !== `${SOL_SOCKET} ${SO_REUSEADDR}` || !on) {
      const text = `cannot set option ${option} at level ${level} to ${value}`;
      throw new OSError("ENOPROTOOPT", "Cannot setsockopt()", { text });
    }
  }

  /** Whether it is connected: by `connect()` or `accept()`, and not closed here. */
  get connected(): boolean {
    return this.#endpoint.connected;
  }

  /** Our address, once there is one: the port that `bind(["", 0])` was given. */
  get localAddr(): Deno.NetAddr | undefined {
    return this.#endpoint.localAddr;
  }

  /** The peer's address, once connected. */
  get remoteAddr(): Deno.NetAddr | undefined {
    return this.#endpoint.link?.conn.remoteAddr as Deno.NetAddr | undefined;
  }

  // ---- Connecting and accepting -----------------------------------------------------------------------

  /**
   * Connects. In non-blocking mode it throws `EINPROGRESS`: `poll()` says `POLLOUT` once it is connected.
   *
   * @param address The host, by name or address, and the port: the last of `getaddrinfo()`'s.
   * @throws {OSError} `ECONNREFUSED`, `ETIMEDOUT`, ...; the socket may then try again. `EISCONN`, `EALREADY`.
   */
  async connect(address: Address): Promise<void> {
    assertAddress("connect()", address);
    await this.#endpoint.connect(address);
  }

  /** Chooses the address to listen at. An address that is in use shows in `listen()`. */
  bind(address: Address): void {
    assertAddress("bind()", address);
    this.#endpoint.bind(address);
  }

  /**
   * Starts to listen.
   *
   * @param backlog How many connections may wait to be accepted: the kernel refuses or ignores more. @default {2}
   * @throws {OSError} `EADDRINUSE`, `EACCES`, ...
   */
  listen(backlog: number = BACKLOG): void {
    if (!Number.isInteger(backlog)) {
      throw new TypeError("Cannot listen(): expected a whole number as backlog");
    }
    this.#endpoint.listen(backlog);
  }

  /**
   * Waits for a connection.
   *
   * @returns Its socket, a blocking one, and the peer's address.
   * @throws {OSError} `EAGAIN` or `ETIMEDOUT` while there is none; `EINVAL` on a socket that does not listen.
   */
  async accept(): Promise<[Socket, Address]> {
    const conn = await this.#endpoint.accept();
    const { hostname, port } = conn.remoteAddr;
    return [make(this.#af, conn), [hostname, port]];
  }

  // ---- Under TLS --------------------------------------------------------------------------------------

  /**
   * The socket's bytes as a {@linkcode Duplex}: what `wrapSocket(socket)` uses. Its reads and writes wait, whatever the
   * socket's mode; before `connect()` they wait for the connection, so that a socket may be wrapped first.
   */
  get duplex(): Duplex {
    return this.#duplex ??= this.#endpoint.duplex();
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /**
   * Closes. Calls that wait fail with `EBADF`; what was sent still goes out.
   *
   * @returns When it has gone out, after 20 seconds at most. It need not be awaited, and does not fail.
   */
  async close(): Promise<void> {
    await this.#endpoint.end()?.close();
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Makes a socket: MicroPython's `socket.socket()`.
 *
 * @param af `AF_INET` or `AF_INET6`. @default {AF_INET}
 * @param type `SOCK_STREAM`. @default {SOCK_STREAM}
 * @param proto `IPPROTO_TCP`, or 0. @default {IPPROTO_TCP}
 * @returns The socket, a blocking one.
 * @throws {OSError} `EPROTONOSUPPORT` for another kind.
 *
 * @example A name that nobody listens to
 * ```ts
 * import { errno, OSError, socket } from "tlsio/socket";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using sock = socket();
 * const error = await assertRejects(() => sock.connect(["127.0.0.1", 1]), OSError);
 * assertEquals(error.errno, errno.ECONNREFUSED);
 * ```
 */
export function socket(
  af: number = AF_INET,
  type: number = SOCK_STREAM,
  proto: number = IPPROTO_TCP,
): Socket {
  const known = [AF_INET, AF_INET6].includes(af) && type === SOCK_STREAM && [0, IPPROTO_TCP].includes(proto);
  if (known) return make(af);
  throw new OSError("EPROTONOSUPPORT", "Cannot make socket()", {
    text: "only TCP over IPv4 and IPv6 is supported",
  });
}
