/**
 * TcpEndpoint: a socket's way from new to closed, and how its calls wait. What the bytes are for is the socket's.
 */

import { type Address, AF_INET6 } from "./addresses.ts";
import { ByteQueue } from "./byte_queue.ts";
import { Changes, turn, until } from "./changes.ts";
import type { Duplex } from "./duplex.ts";
import { type ErrorCode, OSError, toOSError } from "./os_error.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from "./poll.ts";
import type { StreamLink } from "./stream_socket.ts";
import { TcpLink } from "./tcp_link.ts";

/** Where a socket is on its way. Only a socket that failed to connect goes back, by another `connect()`. */
type State = "new" | "bound" | "listening" | "connecting" | "connected" | "failed" | "closed";

/** What a call throws that is made in the wrong state. */
const WRONG: Readonly<Record<State, ErrorCode>> = {
  new: "ENOTCONN",
  bound: "ENOTCONN",
  listening: "ENOTCONN",
  connecting: "EALREADY",
  connected: "EISCONN",
  failed: "ENOTCONN",
  closed: "EBADF",
};

const NOTHING = new ByteQueue(); // what came before there is a connection

/** One end, of a connection or of those to be accepted. */
export class TcpEndpoint implements StreamLink {
  /** What wakes those who wait. */
  readonly changes: Changes = new Changes();
  /** Seconds that a call may wait: `null` for ever, 0 not at all. */
  timeout: number | null = null;
  readonly #af: number;
  #state: State = "new";
  #noDelay: boolean | undefined;
  #keepAlive: boolean | undefined;
  #address: Address | undefined; // of bind()
  #attempt: AbortController | undefined; // of connect()
  #failure: unknown; // of connect()
  #link: TcpLink | undefined;
  #listener: Deno.TcpListener | undefined;
  #accepting = false;
  #accepted: Deno.TcpConn | undefined;
  #acceptFailure: { error: unknown } | undefined;

  /** `conn`: of a connection that was accepted. */
  constructor(af: number, conn?: Deno.TcpConn) {
    this.#af = af;
    if (conn !== undefined) this.#open(conn);
  }

  /** Whether there is a connection, not closed here. */
  get connected(): boolean {
    return this.#state === "connected";
  }

  /** The connection, once there is one. */
  get link(): TcpLink | undefined {
    return this.#link;
  }

  /** Our address, once there is one. */
  get localAddr(): Deno.NetAddr | undefined {
    return this.#link?.conn.localAddr ?? this.#listener?.addr as Deno.NetAddr | undefined;
  }

  set noDelay(on: boolean) {
    this.#noDelay = on;
    this.#applyOptions();
  }

  set keepAlive(on: boolean) {
    this.#keepAlive = on;
    this.#applyOptions();
  }

  #applyOptions(): void {
    if (this.#noDelay !== undefined) this.#link?.conn.setNoDelay(this.#noDelay);
    if (this.#keepAlive !== undefined) this.#link?.conn.setKeepAlive(this.#keepAlive);
  }

  // ---- Waiting ----------------------------------------------------------------------------------------

  /** Makes a call of `timeout` seconds: tries, and tries again after each change. */
  until<T>(action: string, attempt: () => T | undefined, timeout = this.timeout): Promise<T> {
    return until(this.changes, action, attempt, timeout);
  }

  /** Calls `wake` at each change, until disposed of. */
  subscribe(wake: () => void): Disposable {
    return this.changes.subscribe(wake);
  }

  // ---- Connecting -------------------------------------------------------------------------------------

  async connect([hostname, port]: Address): Promise<void> {
    const nonBlocking = this.timeout === 0;
    if (nonBlocking) await turn(); // a program may call until it hears EISCONN
    if (this.#state !== "new" && this.#state !== "failed") {
      const bound = this.#state === "bound" || this.#state === "listening";
      throw bound
        ? new OSError("EINVAL", "Cannot connect()", { text: "Deno connects from no address that was bound" })
        : new OSError(WRONG[this.#state], "Cannot connect()");
    }
    const attempt = this.#attempt = new AbortController();
    this.#state = "connecting";
    Deno.connect({ hostname, port, signal: attempt.signal }).then((conn) => {
      if (this.#attempt === attempt && this.#state === "connecting") this.#open(conn);
      else conn.close();
    }, (error) => {
      if (this.#attempt === attempt && this.#state === "connecting") this.#fail(error);
    });
    if (nonBlocking) throw new OSError("EINPROGRESS", "Cannot connect() at once");
    try {
      await this.until("connect", () => this.opened("connect"));
    } catch (error) {
      if (this.#state === "connecting" && this.#attempt === attempt) {
        this.#fail(error);
        attempt.abort();
      }
      throw error;
    }
  }

  #open(conn: Deno.TcpConn): void {
    this.#link = new TcpLink(conn, this.changes);
    this.#applyOptions();
    this.#state = "connected";
    this.changes.notify();
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#state = "failed";
    this.changes.notify();
  }

  /** The connection; `undefined` while it is to come. */
  opened(action: string): TcpLink | undefined {
    if (this.#state === "connected") return this.#link;
    if (this.#state === "connecting") return undefined;
    if (this.#state === "failed") throw toOSError(`Cannot ${action}()`, this.#failure);
    throw new OSError(WRONG[this.#state], `Cannot ${action}()`);
  }

  // ---- Receiving and sending --------------------------------------------------------------------------

  /** What came and was not taken. */
  get received(): ByteQueue {
    return this.#link?.received ?? NOTHING;
  }

  /** Whether at least `n` bytes wait, or all that will come; if not, a read for `wanted` is under way. */
  has(action: string, n: number, wanted = n): boolean {
    return this.#use(action, (link) => link.has(n, wanted)) ?? false;
  }

  /** Takes bytes of `p` to send; `undefined` while those taken before are on their way. */
  send(action: string, p: Uint8Array): number | undefined {
    return this.#use(action, (link) => link.send(p));
  }

  #use<T>(action: string, call: (link: TcpLink) => T): T | undefined {
    const link = this.opened(action);
    try {
      return link && call(link);
    } catch (error) {
      throw toOSError(`Cannot ${action}()`, error);
    }
  }

  // ---- Listening --------------------------------------------------------------------------------------

  /** Remembers the address. */
  bind(address: Address): void {
    if (this.#state !== "new") throw this.#misuse("bind", "the socket has an address");
    this.#address = address;
    this.#state = "bound";
  }

  listen(backlog: number): void {
    if (this.#state !== "new" && this.#state !== "bound") {
      throw this.#misuse("listen", "the socket is in use");
    }
    const [host, port] = this.#address ?? ["", 0];
    const hostname = host === "" ? (this.#af === AF_INET6 ? "::" : "0.0.0.0") : host;
    try {
      this.#listener = Deno.listen({ hostname, port, tcpBacklog: Math.max(backlog, 0) });
    } catch (error) {
      throw toOSError("Cannot listen()", error);
    }
    this.#state = "listening";
    this.changes.notify();
  }

  #misuse(action: string, text: string): OSError {
    if (this.#state === "closed") return new OSError("EBADF", `Cannot ${action}()`);
    return new OSError("EINVAL", `Cannot ${action}()`, { text });
  }

  /** Waits for a connection. */
  accept(): Promise<Deno.TcpConn> {
    return this.until("accept", () => this.#tryAccept());
  }

  #tryAccept(): Deno.TcpConn | undefined {
    if (this.#state !== "listening") throw this.#misuse("accept", "the socket does not listen");
    if (!this.#canAccept()) return undefined;
    const [conn, failure] = [this.#accepted, this.#acceptFailure];
    this.#accepted = this.#acceptFailure = undefined;
    if (failure !== undefined) throw toOSError("Cannot accept()", failure.error);
    return conn;
  }

  /** Whether a connection waits; if not, the next one will. */
  #canAccept(): boolean {
    if (this.#accepted !== undefined || this.#acceptFailure !== undefined) return true;
    if (this.#accepting) return false;
    this.#accepting = true;
    this.#listener!.accept().then((conn) => {
      if (this.#state === "closed") conn.close();
      else this.#accepted = conn;
    }, (error) => {
      this.#acceptFailure = { error };
    }).finally(() => {
      this.#accepting = false;
      this.changes.notify();
    });
    return false;
  }

  // ---- Polling ----------------------------------------------------------------------------------------

  /** For `poll()`: which events of `mask` there are now; a failure and a closed socket whatever the mask. */
  pollEvents(mask: number): number {
    switch (this.#state) {
      case "closed":
        return POLLNVAL;
      case "failed": // as Linux; the next call says why
        return mask & (POLLIN | POLLOUT) | POLLERR | POLLHUP;
      case "new":
      case "bound":
        return POLLHUP;
      case "listening":
        return (mask & POLLIN) !== 0 && this.#canAccept() ? POLLIN : 0;
      case "connecting":
        return 0;
      case "connected":
        return this.#linkEvents(this.#link!, mask);
    }
  }

  #linkEvents(link: TcpLink, mask: number): number {
    const canRead = (mask & POLLIN) !== 0 && (link.ended || link.has(1));
    const canWrite = (mask & POLLOUT) !== 0 && link.canSend;
    return (canRead ? POLLIN : 0) | (canWrite ? POLLOUT : 0) | (link.failed ? POLLERR | POLLHUP : 0);
  }

  // ---- Under TLS --------------------------------------------------------------------------------------

  /** The bytes as a Duplex. */
  duplex(): Duplex {
    const opened = async (action: string) =>
      this.#link ??
        await this.until(
          action,
          () => this.#state === "new" || this.#state === "bound" ? undefined : this.opened(action),
          null,
        );
    const address = (which: "localAddr" | "remoteAddr") => this.#link?.conn[which] as Deno.Addr;
    return {
      read: async (p) => await (await opened("read")).read(p),
      write: async (p) => await (await opened("write")).write(p),
      closeWrite: async () => await (await opened("close")).closeWrite(),
      close: async () => await this.end()?.close(),
      abort: () => {
        this.end();
        this.#link?.abort();
      },
      setNoDelay: (noDelay = true) => void (this.noDelay = noDelay),
      get localAddr() {
        return address("localAddr");
      },
      get remoteAddr() {
        return address("remoteAddr");
      },
    };
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /** Ends all but the connection, which it gives the first time. */
  end(): TcpLink | undefined {
    if (this.#state === "closed") return undefined;
    this.#state = "closed";
    this.#attempt?.abort();
    this.#listener?.close();
    this.#accepted?.close();
    this.#accepted = undefined;
    this.changes.notify();
    return this.#link;
  }
}
