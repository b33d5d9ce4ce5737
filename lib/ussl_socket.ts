/** The socket of `tlsio/ussl`: MicroPython's and Pycom's SSL socket, with all the methods of the socket that it wraps. */

import { type Address, IPPROTO_TCP } from "./addresses.ts";
import type { ConnectionCost } from "./cost/cost.ts";
import { type Duplex, type DuplexLike, type HasDuplex, toDuplex } from "./duplex.ts";
import { CODE, SSLError as TLSError } from "./errors.ts";
import { OSError } from "./os_error.ts";
import type { PeerCertificate } from "./peer_certificate.ts";
import type { SSLSession } from "./session.ts";
import { SSLContext as TLSContext } from "./ssl.ts";
import { StreamSocket } from "./stream_socket.ts";
import { endpointOf, Socket, TCP_NODELAY } from "./tcp_socket.ts";
import { belowStream, TlsEndpoint } from "./tls_endpoint.ts";
import { SSLError, toSeedError } from "./ussl_errors.ts";
import type { Connecting } from "./ussl_options.ts";

const TICKET_WAIT = 2; // seconds; a TLS 1.3 server sends its ticket at once, so it comes a round trip after the handshake

/** How a socket is wrapped. */
export interface Wrapping extends Connecting {
  readonly context: TLSContext;
  /** Whether the context is this socket's own, to be disposed of by it. */
  readonly own: boolean;
}

/** Wraps a socket, and completes the handshake of one that is connected, unless it is deferred. */
export let wrap: (sock: Socket | DuplexLike, wrapping: Wrapping) => Promise<SSLSocket>;
/** What to resume; waits for a TLS 1.3 ticket. */
export let sessionOf: (sock: SSLSocket) => Promise<SSLSession>;

/**
 * An SSL socket. {@linkcode wrap_socket} makes one of a socket, before or after it is connected. Modes, receiving, sending and
 * polling: {@linkcode StreamSocket}. TLS follows its own directions in them: a `write()` may have to read first, and
 * `poll()` knows.
 *
 * What may wait gives a promise, as in `tlsio/socket`: besides the methods there, `do_handshake()`.
 */
export class SSLSocket extends StreamSocket implements HasDuplex, AsyncDisposable {
  readonly #endpoint: TlsEndpoint;
  readonly #socket: Socket | undefined; // below, where it is one
  readonly #wrapping: Wrapping;
  #shared = false; // the context, with those that were accepted
  #duplex: Duplex | undefined;

  static {
    wrap = async (sock, wrapping) => {
      const made = new SSLSocket(sock, wrapping);
      try {
        if (wrapping.handshake && made.connected) await made.#endpoint.handshake("wrap_socket");
        return made;
      } catch (error) {
        made.close(); // also when TLS could not begin
        throw error;
      }
    };
    sessionOf = (sock) => sock.#session();
  }

  private constructor(sock: Socket | DuplexLike, wrapping: Wrapping) {
    const { context, own, options } = wrapping;
    const socket = sock instanceof Socket ? sock : undefined;
    const below = socket === undefined ? belowStream(toDuplex(sock as DuplexLike)) : endpointOf(socket);
    const endpoint = new TlsEndpoint(below, (duplex) => {
      const tls = TLSContext.start(context, duplex, options);
      if (own) context[Symbol.dispose](); // the connection keeps what it uses
      return tls;
    });
    super(endpoint);
    this.#endpoint = endpoint;
    this.#socket = socket;
    this.#wrapping = wrapping;
  }

  // ---- Of the socket below ----------------------------------------------------------------------------

  #below(action: string): Socket {
    if (this.#socket !== undefined) return this.#socket;
    throw new OSError("EOPNOTSUPP", `Cannot ${action}()`, {
      text: "what was wrapped is a stream, not a socket",
    });
  }

  /** Whether the connection below is there: by `connect()` or `accept()`, and not closed. */
  get connected(): boolean {
    return this.#endpoint.connected;
  }

  /** Our address, once there is one. */
  get localAddr(): Deno.Addr | undefined {
    return this.#socket ? this.#socket.localAddr : this.duplex.localAddr;
  }

  /** The peer's address, once connected. */
  get remoteAddr(): Deno.Addr | undefined {
    return this.#socket ? this.#socket.remoteAddr : this.duplex.remoteAddr;
  }

  /** As `Socket.setsockopt()`. A stream ignores `TCP_NODELAY`, which TLS sets by itself, and has no other. */
  setsockopt(level: number, option: number, value: number | boolean): void {
    if (this.#socket === undefined && level === IPPROTO_TCP && option === TCP_NODELAY) return;
    this.#below("setsockopt").setsockopt(level, option, value);
  }

  /**
   * Connects, and completes the handshake, as in Pycom's `ussl`. In non-blocking mode it throws `EINPROGRESS`; the first call
   * once `poll()` says `POLLOUT` goes on with the handshake.
   *
   * @param address The host, by name or address, and the port.
   * @throws {OSError} As `Socket.connect()`; the socket may then try again.
   * @throws {SSLError} If the handshake fails; the socket is closed then.
   */
  async connect(address: Address): Promise<void> {
    await this.#below("connect").connect(address);
    if (this.#wrapping.handshake) await this.#endpoint.handshake("connect");
  }

  /** As `Socket.bind()`. */
  bind(address: Address): void {
    this.#below("bind").bind(address);
  }

  /** As `Socket.listen()`. */
  listen(backlog?: number): void {
    this.#below("listen").listen(backlog);
  }

  /**
   * Waits for a connection and its handshake, as in CPython. A client that takes long for it keeps the others waiting, up to
   * `timeout` each, in non-blocking mode, too: with `do_handshake: false`, each connection's own calls complete it.
   *
   * @returns The connection's SSL socket, a blocking one, and the peer's address.
   * @throws {OSError} As `Socket.accept()`; `EINVAL` without `server_side`.
   * @throws {SSLError} If the handshake failed. The next client can be accepted.
   */
  async accept(): Promise<[SSLSocket, Address]> {
    const socket = this.#below("accept");
    const { context } = this.#wrapping;
    if (!context.serverSide) {
      throw new OSError("EINVAL", "Cannot accept()", { text: "the socket was wrapped without server_side" });
    }
    const [conn, address] = await socket.accept();
    this.#shared = true;
    return [await wrap(conn, { ...this.#wrapping, own: false }), address];
  }

  // ---- TLS --------------------------------------------------------------------------------------------

  /**
   * Completes the handshake, within `timeout`. Not needed: the first call that sends or receives does so.
   *
   * @throws {SSLError} If it fails; {@linkcode SSL_TIMEOUT} if it takes longer.
   * @throws {OSError} `ENOTCONN`; in non-blocking mode `EAGAIN` while it is under way.
   */
  async do_handshake(): Promise<void> {
    if (this.gettimeout() !== 0) return await this.#endpoint.handshake("do_handshake");
    await this.#endpoint.until(
      "do_handshake",
      () => this.#endpoint.tryHandshake("do_handshake") || undefined,
    );
  }

  /** MicroPython's: the cipher suite, in mbedTLS's spelling, and the version of TLS; `null` before the handshake. */
  cipher(): [suite: string, version: string] | null {
    const cipher = this.#endpoint.tls?.cipher();
    return cipher ? [mbedtlsName(cipher.name), cipher.version] : null;
  }

  /** `"TLSv1.2"` or `"TLSv1.3"`, as in CPython; `null` before the handshake. */
  version(): string | null {
    return this.#endpoint.tls?.version() ?? null;
  }

  /** Whether `saved_session` was resumed. */
  get session_reused(): boolean {
    return this.#endpoint.tls?.sessionReused ?? false;
  }

  /**
   * The peer's certificate.
   *
   * @param binary_form `true`: DER. `false`: CPython's form, empty when the certificate was not checked.
   * @returns The certificate; `null` when the peer sent none, and before the handshake.
   * @throws {OSError} `EBADF` once the connection is closed.
   */
  getpeercert(binary_form: true): Uint8Array<ArrayBuffer> | null;
  /** CPython's form: see above. */
  getpeercert(binary_form?: false): PeerCertificate | null;
  getpeercert(binary_form = false): Uint8Array | PeerCertificate | null {
    const { tls } = this.#endpoint;
    if (this.version() === null) return null;
    try {
      return (binary_form ? tls?.getpeercert(true) : tls?.getpeercert()) ?? null;
    } catch (error) {
      throw toSeedError("getpeercert", error);
    }
  }

  /**
   * What the connection has cost this end so far, as of `tlsio`'s sockets, where the socket is a device's: `profile` counts it. It
   * stays known once the socket is closed.
   *
   * @throws {OSError} `ENOTCONN` before it is connected.
   * @throws {TypeError} Without `profile`.
   */
  cost(): ConnectionCost {
    const { tls } = this.#endpoint;
    if (tls === undefined) throw new OSError("ENOTCONN", "Cannot tell cost()");
    return tls.cost();
  }

  /** The decrypted bytes as a {@linkcode Duplex}, whose reads and writes wait whatever the mode: for TLS in TLS. */
  get duplex(): Duplex {
    return this.#duplex ??= this.#endpoint.duplex();
  }

  async #session(): Promise<SSLSession> {
    const endpoint = this.#endpoint;
    const saved = () => endpoint.tls?.session;
    const mayCome = endpoint.tls?.version() === "TLSv1.3" && !this.#wrapping.context.serverSide;
    if (mayCome && saved() === undefined && this.connected) {
      const more = () => endpoint.has("save_session", endpoint.received.length + 1) || undefined;
      await endpoint.until("save_session", () => saved() ?? more() ?? saved(), TICKET_WAIT).catch(() => {});
    }
    const session = saved();
    if (session !== undefined) return session;
    const text = "Cannot save_session(): the server has given nothing to resume";
    throw new SSLError(new TLSError(text, { kind: "protocol", code: CODE.BAD_INPUT_DATA }));
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  /**
   * Closes: says so to the peer, and closes the socket below. Calls that wait fail with `EBADF`; what was sent still goes out.
   *
   * @returns When that is done: what was sent has 20 seconds to leave, the peer one more to say goodbye, too. It need not be
   *   awaited, and does not fail.
   */
  async close(): Promise<void> {
    const { context, own } = this.#wrapping;
    if (own && !this.#shared) context[Symbol.dispose]();
    await this.#endpoint.close();
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** IANA's name of a suite in mbedTLS's spelling: `"TLS1-3-AES-128-GCM-SHA256"`. */
export function mbedtlsName(name: string): string {
  const dashed = name.replaceAll("_", "-");
  return name.includes("_WITH_") ? dashed : dashed.replace(/^TLS-/, "TLS1-3-");
}
