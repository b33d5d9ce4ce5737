/** MicroPython's `socket`, over `Deno.connect` and `Deno.listen`. See `tlsio/socket` for its one rule: what may wait is awaited. */

import { type Address, AF_INET, AF_INET6, assertAddress, IPPROTO_TCP, SOCK_STREAM } from "./addresses.ts";
import { MAX_BUFFERED, toBytes } from "./byte_queue.ts";
import { assertBytes } from "./bytes.ts";
import type { Duplex, HasDuplex } from "./duplex.ts";
import { OSError, toOSError } from "./os_error.ts";
import type { Pollable } from "./poll.ts";
import { TcpEndpoint } from "./tcp_endpoint.ts";
import type { TcpLink } from "./tcp_link.ts";

/** The level of the options of a socket. */
export const SOL_SOCKET = 0xfff;
/** Bind to an address that was in use a moment ago. Deno's listeners always do. */
export const SO_REUSEADDR = 4;
/** Ask a silent peer from time to time whether it is there. */
export const SO_KEEPALIVE = 8;
/** Send small writes at once: an option of `IPPROTO_TCP`. */
export const TCP_NODELAY = 1;

const BACKLOG = 2; // connections; MicroPython's
const NEWLINE = 0x0a;

/** Makes a socket, of a connection that was accepted. */
let make: (af: number, conn?: Deno.TcpConn) => Socket;

/**
 * MicroPython's TCP socket. {@linkcode socket} makes one. It is blocking at first: a call waits until it is done; with
 * `settimeout(seconds)` it fails with `ETIMEDOUT`, with `setblocking(false)` with `EAGAIN`, when it would wait (longer).
 * Nothing is lost by that: what came is there for the next call.
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
export class Socket implements HasDuplex, Pollable, AsyncDisposable {
  readonly #af: number;
  readonly #endpoint: TcpEndpoint;
  #duplex: Duplex | undefined;

  static {
    make = (af, conn) => new Socket(af, conn);
  }

  private constructor(af: number, conn?: Deno.TcpConn) {
    this.#af = af;
    this.#endpoint = new TcpEndpoint(af, conn);
  }

  // ---- Modes and options ------------------------------------------------------------------------------

  /** Sets how long a call may wait, in seconds; `null`: for ever; 0: not at all, which is the non-blocking mode. */
  settimeout(seconds: number | null): void {
    if (seconds !== null && !(typeof seconds === "number" && seconds >= 0)) {
      throw new RangeError(
        `Cannot settimeout(): expected seconds of 0 or more, or null, got ${String(seconds)}`,
      );
    }
    this.#endpoint.timeout = seconds;
  }

  /** `true`: `settimeout(null)`; `false`: `settimeout(0)`. */
  setblocking(blocking: boolean): void {
    this.settimeout(blocking ? null : 0);
  }

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

  // ---- Receiving --------------------------------------------------------------------------------------

  /** Waits until there is `enough`. */
  async #receive(action: string, enough: (link: TcpLink) => boolean): Promise<TcpLink> {
    return await this.#endpoint.until(action, () => {
      const link = this.#endpoint.opened(action);
      try {
        return link !== undefined && enough(link) ? link : undefined;
      } catch (error) {
        throw toOSError(`Cannot ${action}()`, error);
      }
    });
  }

  /** As {@linkcode Socket.#receive}, for the methods that give what there is, or `null`, where `recv()` throws `EAGAIN`. */
  async #receiveStream(action: string, enough: (link: TcpLink) => boolean): Promise<TcpLink | null> {
    try {
      return await this.#receive(action, enough);
    } catch (error) {
      if (!(error instanceof OSError && error.errorcode === "EAGAIN")) throw error;
      return (this.#endpoint.link?.received.length ?? 0) > 0 ? this.#endpoint.link! : null;
    }
  }

  /**
   * Receives what has come.
   *
   * @param bufsize How many bytes at most.
   * @returns At least one byte; none at the end of the stream.
   * @throws {OSError} `EAGAIN`, `ETIMEDOUT`, `ECONNRESET`, `ENOTCONN`, ...
   */
  async recv(bufsize: number): Promise<Uint8Array<ArrayBuffer>> {
    assertLength("recv()", bufsize);
    return (await this.#receive("recv", (link) => link.has(Math.min(bufsize, 1), bufsize))).take(bufsize);
  }

  /**
   * Reads `size` bytes, or to the end of the stream.
   *
   * @param size How many bytes; without it all that will come, up to 64 MiB.
   * @returns The bytes, fewer at the end of the stream; in non-blocking mode those that came, `null` if none did.
   * @throws {OSError} As {@linkcode Socket.recv} but for `EAGAIN`; `ENOMEM` for what is longer than 64 MiB.
   */
  async read(size?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (size !== undefined && size !== -1) assertLength("read()", size);
    const wanted = size === undefined || size === -1 ? Infinity : size;
    const link = await this.#receiveStream("read", (link) => {
      if (wanted > MAX_BUFFERED) assertRoom("read()", link);
      return link.has(wanted);
    });
    return link && link.take(wanted);
  }

  /**
   * Reads into a buffer, until it is full or the stream ends.
   *
   * @param buf Where to put the bytes.
   * @param nbytes How many at most. @default {buf.length}
   * @returns How many; in non-blocking mode `null` if none came.
   */
  async readinto(buf: Uint8Array, nbytes: number = buf.length): Promise<number | null> {
    assertBytes("buf", buf);
    assertLength("readinto()", nbytes);
    const bytes = await this.read(Math.min(nbytes, buf.length));
    if (bytes !== null) buf.set(bytes);
    return bytes && bytes.length;
  }

  /**
   * Reads a line with its `\n`.
   *
   * @param size How many bytes at most. @default {64 MiB}
   * @returns The line; less at the end of the stream or, as in MicroPython, when a non-blocking socket has only a part;
   *   `null` if it has nothing.
   */
  async readline(size?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (size !== undefined && size !== -1) assertLength("readline()", size);
    const most = size === undefined || size === -1 ? Infinity : size;
    let length = 0;
    const link = await this.#receiveStream("readline", (link) => {
      const at = link.received.peek().indexOf(NEWLINE, length);
      length = at < 0 ? link.received.length : at + 1;
      if (at >= 0 || length >= most) return true;
      assertRoom("readline()", link);
      return link.has(length + 1);
    });
    return link && link.take(Math.min(length, most));
  }

  // ---- Sending ----------------------------------------------------------------------------------------

  /**
   * Sends what can be taken at once, up to 64 KiB. What was taken is on its way; that it did not arrive, a later call says.
   *
   * @param data Bytes or text.
   * @returns How many bytes were taken.
   * @throws {OSError} `EAGAIN`, `ETIMEDOUT`, `EPIPE`, `ECONNRESET`, `ENOTCONN`, ...
   */
  async send(data: Uint8Array | string): Promise<number> {
    return await this.#send("send", toBytes("data", data), this.#endpoint.timeout);
  }

  async #send(action: string, bytes: Uint8Array, timeout: number | null): Promise<number> {
    return await this.#endpoint.until(action, () => {
      try {
        return this.#endpoint.opened(action)?.send(bytes);
      } catch (error) {
        throw toOSError(`Cannot ${action}()`, error);
      }
    }, timeout);
  }

  /**
   * Sends all; the timeout is for all of it. In non-blocking mode `EAGAIN` may come after a part was taken: use
   * {@linkcode Socket.send} there.
   *
   * @param data Bytes or text.
   * @throws {OSError} As {@linkcode Socket.send}.
   */
  async sendall(data: Uint8Array | string): Promise<void> {
    await this.#sendAll("sendall", toBytes("data", data));
  }

  async #sendAll(action: string, bytes: Uint8Array): Promise<void> {
    const timeout = this.#endpoint.timeout;
    const ends = performance.now() + (timeout ?? 0) * 1000;
    for (let at = 0; at < bytes.length;) {
      // Not 0 seconds, which is the non-blocking mode.
      const left = timeout ? Math.max((ends - performance.now()) / 1000, Number.MIN_VALUE) : timeout;
      at += await this.#send(action, bytes.subarray(at), left);
    }
  }

  /**
   * Writes all; in non-blocking mode what can be taken at once.
   *
   * @param buf Bytes or text.
   * @returns How many bytes; `null` if a non-blocking socket can take none now.
   * @throws {OSError} As {@linkcode Socket.send} but for `EAGAIN`.
   */
  async write(buf: Uint8Array | string): Promise<number | null> {
    const bytes = toBytes("buf", buf);
    if (this.#endpoint.timeout !== 0) {
      await this.#sendAll("write", bytes);
      return bytes.length;
    }
    try {
      return await this.#send("write", bytes, 0);
    } catch (error) {
      if (error instanceof OSError && error.errorcode === "EAGAIN") return null;
      throw error;
    }
  }

  /** The socket itself, which has the methods of a file already, as in MicroPython. */
  makefile(_mode?: string, _buffering?: number): this {
    return this;
  }

  // ---- Polling ----------------------------------------------------------------------------------------

  /** For `poll()`: which events of `mask` there are now; a failure and a closed socket whatever the mask. */
  pollEvents(mask: number): number {
    return this.#endpoint.pollEvents(mask);
  }

  /** For `poll()`: calls `wake` whenever the events may be others, until disposed of. */
  subscribe(wake: () => void): Disposable {
    return this.#endpoint.changes.subscribe(wake);
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

function assertLength(method: string, length: unknown): void {
  if (Number.isInteger(length) && (length as number) >= 0) return;
  throw new RangeError(`Cannot ${method}: expected a whole number of bytes, got ${String(length)}`);
}

/** A peer that never ends what it sends cannot fill the memory. */
function assertRoom(method: string, { received }: TcpLink): void {
  if (received.length < MAX_BUFFERED) return;
  throw new OSError("ENOMEM", `Cannot ${method}`, { text: `more than ${MAX_BUFFERED} bytes` });
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
