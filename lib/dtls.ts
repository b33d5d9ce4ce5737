/**
 * DTLS over whatever carries datagrams: {@linkcode DTLSContext}, {@linkcode connectDtls}, {@linkcode listenDtls}.
 *
 * @module
 */

import { AF_INET6, getaddrinfo } from "./addresses.ts";
import { type Bytes, copyOf, equalBytes, typeName } from "./bytes.ts";
import { TLSConfig } from "./config.ts";
import { DATAGRAM_MAX, type DatagramHost, type DatagramLike, isLastError } from "./datagram.ts";
import { inTime } from "./deadline.ts";
import { checkDatagramOptions, DTLSEngine } from "./dtls_engine.ts";
import { greet } from "./dtls_greeting.ts";
import { DTLSServer, type DTLSServerOptions } from "./dtls_server.ts";
import {
  checkSocketOptions,
  type DatagramSocketOptions,
  DTLSSocket,
  HANDSHAKE_TIMEOUT,
} from "./dtls_socket.ts";
import { CODE, SSLEOFError, SSLError } from "./errors.ts";
import { parseAddress } from "./ip_address.ts";
import { assertContextOptions, type ContextOptions, readOptions } from "./context_options.ts";
import { resolveProfile } from "./profile.ts";
import type { DatagramPolicy } from "./policy.ts";
import type { SSLSession } from "./session.ts";
import { checkPeer } from "./socket_options.ts";

/** MicroPython's number for a DTLS client. */
export const PROTOCOL_DTLS_CLIENT = 2;
/** MicroPython's number for a DTLS server. */
export const PROTOCOL_DTLS_SERVER = 3;

/** Options of a {@linkcode DTLSContext}: those of an `SSLContext` that are not for streams, and times. */
export interface DTLSContextOptions extends
  Omit<
    ContextOptions,
    | "serverSide"
    | "sslVersion"
    | "renegotiation"
    | "measure"
    | "maxEarlyData"
    | "profile"
    | "heap"
    | "getConfigForClient"
    | "getCertificate"
    | "alpnCallback"
    | "sessionStore"
    | "onUnknownPeer"
    | "verifyConnection"
  >,
  DatagramPolicy {}

/** Options of one DTLS connection. */
export interface DTLSSocketOptions extends DatagramSocketOptions {
  /** Client: the host, a DNS name or an IP address, for SNI and the check of its certificate. */
  serverHostname?: string;
  /** Client: the session to resume. One that does not fit is passed over: a full handshake does as well. */
  savedSession?: SSLSession | Uint8Array;
  /** Server: what the client is known by, such as its address: its cookie is good for no other. MicroPython's `client_id`. */
  clientId?: Uint8Array;
  /** Bytes of a datagram that we send, 256 to 16384. @default {1200} */
  mtu?: number;
}

/** Options of {@linkcode connectDtls}: of the context and of the connection. */
export interface ConnectDtlsOptions extends DTLSContextOptions, Omit<DTLSSocketOptions, "clientId"> {
  /** A host name or IP address. */
  hostname: string;
  /** The port. */
  port: number;
  /** Use this context; the options of a context may then not be given. */
  context?: DTLSContext;
}

/** Options of {@linkcode listenDtls}: of the context and of the server. */
export interface ListenDtlsOptions extends DTLSContextOptions, DTLSServerOptions {
  /** The address to listen at. @default {"0.0.0.0"} */
  hostname?: string;
  /** The port; 0: any that is free. */
  port: number;
  /** Use this context; the options of a context may then not be given. */
  context?: DTLSContext;
}

/**
 * Certificates, trust and policy, read once for many connections: MicroPython's `SSLContext(PROTOCOL_DTLS_CLIENT)`. A
 * server's context has the key of the cookies: only the server that sent one takes it back.
 *
 * @example A handshake in memory
 * ```ts
 * import { type DatagramLike, DTLSContext, PROTOCOL_DTLS_CLIENT, PROTOCOL_DTLS_SERVER } from "tlsio/dtls";
 * import { assertEquals } from "@std/assert";
 *
 * function datagrams({ readable }: TransformStream<Uint8Array>, { writable }: TransformStream<Uint8Array>): DatagramLike {
 *   const [reader, writer] = [readable.getReader(), writable.getWriter()];
 *   return {
 *     send: (datagram) => writer.write(datagram),
 *     receive: async () => (await reader.read()).value as Uint8Array<ArrayBuffer> ?? null,
 *     close: () => void Promise.allSettled([writer.close(), reader.cancel()]),
 *   };
 * }
 *
 * const [up, down] = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()];
 * const psk = { identity: "sensor 1", key: crypto.getRandomValues(new Uint8Array(32)) };
 * using client = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { psk });
 * using server = await DTLSContext.create(PROTOCOL_DTLS_SERVER, { psk });
 * const [a, b] = await Promise.all([
 *   client.wrapSocket(datagrams(down, up)),
 *   server.wrapSocket(datagrams(up, down), { clientId: new TextEncoder().encode("192.0.2.1 5684") }),
 * ]);
 * await a.send(new TextEncoder().encode("21.5"));
 * assertEquals(new TextDecoder().decode(await b.recv() ?? undefined), "21.5");
 * await a.close();
 * await b.close();
 * ```
 */
export class DTLSContext implements Disposable {
  /** {@linkcode PROTOCOL_DTLS_CLIENT} or {@linkcode PROTOCOL_DTLS_SERVER}. */
  readonly protocol: typeof PROTOCOL_DTLS_CLIENT | typeof PROTOCOL_DTLS_SERVER;
  readonly #config: TLSConfig;

  private constructor(protocol: DTLSContext["protocol"], config: TLSConfig) {
    this.protocol = protocol;
    this.#config = config;
  }

  /**
   * Reads the files, checks the options, and builds a context.
   *
   * @param protocol {@linkcode PROTOCOL_DTLS_CLIENT} or {@linkcode PROTOCOL_DTLS_SERVER}.
   * @param options See {@linkcode DTLSContextOptions}.
   * @returns The context. Dispose of it when no more connections are to be made; those that live keep what they use.
   * @throws {TypeError} An option of the wrong type, or an unknown name.
   * @throws {RangeError} An option out of range.
   * @throws {Deno.errors.NotFound} A file that does not exist; the message names the option and the path.
   * @throws {SSLError} `kind: "config"`: a certificate or key that does not parse, or does not match.
   */
  static async create(
    protocol: DTLSContext["protocol"],
    options: DTLSContextOptions = {},
  ): Promise<DTLSContext> {
    if (protocol !== PROTOCOL_DTLS_CLIENT && protocol !== PROTOCOL_DTLS_SERVER) {
      throw new RangeError(
        `Cannot use protocol: expected PROTOCOL_DTLS_CLIENT or PROTOCOL_DTLS_SERVER, got ${String(protocol)}`,
      );
    }
    const { retransmitAfter, retransmitMax, cookieLifetime, ...given } = options;
    const datagrams: DatagramPolicy = {
      ...(retransmitAfter !== undefined && { retransmitAfter }),
      ...(retransmitMax !== undefined && { retransmitMax }),
      ...(cookieLifetime !== undefined && { cookieLifetime }),
    };
    assertContextOptions(given);
    const serverSide = protocol === PROTOCOL_DTLS_SERVER;
    if (resolveProfile((given as ContextOptions).profile) !== undefined) {
      throw new TypeError("Cannot use profile: it is for streams");
    }
    const { policy, asks } = await readOptions({ ...given, serverSide });
    const [asked] = Object.entries(asks).find(([, value]) => value !== undefined) ?? [];
    if (asked !== undefined) throw new TypeError(`Cannot use ${asked}: it is for streams`);
    return new DTLSContext(protocol, new TLSConfig({ ...policy, serverSide, datagrams }));
  }

  /** Whether its connections are a server's. */
  get serverSide(): boolean {
    return this.#config.serverSide;
  }

  /**
   * Puts DTLS on a way for datagrams, and completes the handshake. It takes the way over: closing the socket closes it,
   * and so does a handshake that fails. A server sends the first hello a cookie and waits for its return: the one call
   * does both of MicroPython's.
   *
   * @param datagrams The way to one peer: see {@linkcode toDatagrams} for UDP.
   * @param options Of this connection. A server must name the client: `clientId`.
   * @returns The socket.
   * @throws {TypeError} An option that is wrong or missing; nothing was sent then, and `datagrams` is still yours.
   * @throws {SSLError} If the handshake fails; `kind` says who is at fault.
   */
  async wrapSocket(datagrams: DatagramLike, options: DTLSSocketOptions = {}): Promise<DTLSSocket> {
    this.#check(options);
    const { clientId, mtu, timeout = HANDSHAKE_TIMEOUT, signal } = options;
    if (!this.serverSide) {
      const engine = new DTLSEngine(this.#config, { ...checkPeer(this.#config, options), mtu });
      return await this.#connect(datagrams, engine, options);
    }
    const ends = performance.now() + timeout * 1000;
    const meeting = { over: false };
    let engine: DTLSEngine;
    try {
      signal?.throwIfAborted();
      const met = meet(this.#config, copyOf(clientId!), mtu, datagrams, meeting);
      engine = await inTime(met, timeout, () => noHello(timeout), signal);
    } catch (error) {
      meeting.over = true;
      try {
        datagrams.close();
      } catch {
        // it was closed by others
      }
      throw error;
    }
    const left = Math.max((ends - performance.now()) / 1000, 0.001);
    return await this.#connect(datagrams, engine, { ...options, timeout: left });
  }

  async #connect(
    datagrams: DatagramLike,
    engine: DTLSEngine,
    options: DTLSSocketOptions,
  ): Promise<DTLSSocket> {
    const socket = new DTLSSocket(datagrams, engine, options);
    void receiveAll(datagrams, socket);
    await socket.handshake();
    return socket;
  }

  #check(options: DTLSSocketOptions): void {
    checkSocketOptions(options);
    checkDatagramOptions(this.serverSide, options.clientId, options.mtu);
    checkPeer(this.#config, options);
  }

  /** For {@linkcode connectDtls}: throws for what {@linkcode DTLSContext.wrapSocket} would refuse, before anything is opened. */
  static check(context: DTLSContext, options: DTLSSocketOptions): void {
    if (context.serverSide) throw new TypeError("Cannot connect: the context is a server's");
    context.#check(options);
  }

  /**
   * Serves many clients at one port. Once the context is disposed of, no more can begin: `onError` is told.
   *
   * @param host A `Deno.DatagramConn`, or what has its shape. The server takes it over.
   * @param options See {@linkcode DTLSServerOptions}.
   * @param onEnd Called when the server has closed.
   * @returns The server.
   * @throws {TypeError} If the context is a client's.
   */
  listen(host: DatagramHost, options: DTLSServerOptions = {}, onEnd: () => void = () => {}): DTLSServer {
    if (!this.serverSide) throw new TypeError("Cannot listen: the context is a client's");
    DTLSServer.check(options);
    return new DTLSServer(host, this.#config, options, onEnd);
  }

  /** Frees the context once its last connection has closed. */
  [Symbol.dispose](): void {
    this.#config[Symbol.dispose]();
  }
}

/** Sends cookies until one has come back: an engine that has read the hello. */
async function meet(
  config: TLSConfig,
  clientId: Bytes,
  mtu: number | undefined,
  datagrams: DatagramLike,
  meeting: { over: boolean },
): Promise<DTLSEngine> {
  while (!meeting.over) {
    const datagram = await datagrams.receive();
    if (datagram === null || meeting.over) break;
    const { reply, engine } = greet(config, copyOf(datagram), { clientId, mtu });
    if (reply !== undefined) await datagrams.send(reply).catch(() => {}); // it counts as lost
    if (engine === undefined) continue;
    if (!meeting.over) return engine;
    engine[Symbol.dispose]();
  }
  throw new SSLEOFError("Cannot complete DTLS handshake: the way for datagrams was closed", {
    kind: "eof",
    code: CODE.CONN_EOF,
  });
}

function noHello(seconds: number): SSLError {
  const text = `Cannot complete DTLS handshake: timed out after ${seconds} seconds`;
  return new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT });
}

async function receiveAll(datagrams: DatagramLike, socket: DTLSSocket): Promise<void> {
  try {
    for (;;) {
      const datagram = await datagrams.receive();
      if (datagram === null) return DTLSSocket.lose(socket);
      DTLSSocket.deliver(socket, datagram);
    }
  } catch (error) {
    DTLSSocket.lose(socket, error);
  }
}

// ---- UDP ------------------------------------------------------------------------------------------------

/**
 * A UDP socket as a way to one peer: what others send to it is dropped.
 *
 * @param conn From `Deno.listenDatagram`. It is taken over.
 * @param peer The peer's address; `hostname` is an IP address.
 * @returns The way, for {@linkcode DTLSContext.wrapSocket}.
 * @throws {TypeError} If `peer` has no IP address.
 */
export function toDatagrams(conn: DatagramHost, peer: Deno.NetAddr): DatagramLike {
  const address = parseAddress(peer.hostname);
  if (address === undefined) {
    throw new TypeError(`Cannot use peer: expected an IP address, got ${JSON.stringify(peer.hostname)}`);
  }
  const buffer = new Uint8Array(DATAGRAM_MAX);
  let closed = false;
  return {
    localAddr: conn.addr,
    remoteAddr: peer,
    send: (datagram) => conn.send(datagram, peer),
    async receive() {
      for (let errors = 0; !closed;) {
        try {
          const [datagram, from] = await conn.receive(buffer);
          errors = 0;
          if (isFrom(from, address, peer.port)) return copyOf(datagram);
        } catch (error) {
          if (!closed && isLastError(error, ++errors)) throw error;
        }
      }
      return null;
    },
    close() {
      if (closed) return;
      closed = true;
      conn.close();
    },
  };
}

function isFrom(from: Deno.Addr, address: Bytes, port: number): boolean {
  if (!("hostname" in from) || from.port !== port) return false;
  const sender = parseAddress(from.hostname);
  return sender !== undefined && equalBytes(sender, address);
}

/**
 * Connects by UDP. `Deno.listenDatagram` is unstable: the program needs `--unstable-net`, or `"unstable": ["net"]` in its
 * deno.json.
 *
 * @param options Where to, and how. A client that checks certificates checks for `serverHostname`, by default `hostname`.
 * @returns The socket, its handshake done.
 * @throws {TypeError} An option that is wrong or missing; nothing was sent then.
 * @throws {OSError} `EAI_NONAME`: there is no such host.
 * @throws {SSLError} If the handshake fails; `kind: "timeout"` if nobody answers.
 */
export async function connectDtls(options: ConnectDtlsOptions): Promise<DTLSSocket> {
  const { hostname, port, context, serverHostname = hostname, savedSession, mtu, ...others } = options;
  const { timeout = HANDSHAKE_TIMEOUT, idleTimeout, signal, ...given } = others;
  using own = await contextOf(PROTOCOL_DTLS_CLIENT, context, given);
  const socketOptions: DTLSSocketOptions = {
    serverHostname,
    timeout,
    ...(savedSession !== undefined && { savedSession }),
    ...(mtu !== undefined && { mtu }),
    ...(idleTimeout !== undefined && { idleTimeout }),
    ...(signal !== undefined && { signal }),
  };
  DTLSContext.check(own.context, socketOptions);
  const [info] = await inTime(
    getaddrinfo(hostname, port),
    timeout,
    () => noAddress(hostname, timeout),
    signal,
  );
  const [family, , , , [address]] = info!;
  const local = family === AF_INET6 ? "::" : "0.0.0.0";
  const datagrams = toDatagrams(listenUdp(local, 0), { transport: "udp", hostname: address, port });
  try {
    return await own.context.wrapSocket(datagrams, socketOptions);
  } catch (error) {
    datagrams.close();
    throw error;
  }
}

function listenUdp(hostname: string, port: number): Deno.DatagramConn {
  if (typeof Deno.listenDatagram !== "function") {
    throw new TypeError("Cannot use UDP: start Deno with --unstable-net");
  }
  return Deno.listenDatagram({ transport: "udp", hostname, port });
}

function noAddress(hostname: string, seconds: number): SSLError {
  const text = `Cannot find ${JSON.stringify(hostname)}: timed out after ${seconds} seconds`;
  return new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT });
}

/**
 * Listens by UDP. It needs `--unstable-net`: see {@linkcode connectDtls}.
 *
 * @param options Where, and how.
 * @returns The server; closing it frees all.
 * @throws {TypeError} An option that is wrong or missing.
 * @throws {Deno.errors.AddrInUse} And what else `Deno.listenDatagram` throws.
 */
export async function listenDtls(options: ListenDtlsOptions): Promise<DTLSServer> {
  const { hostname = "0.0.0.0", port, context, maxPeers, backlog, mtu, onError, ...others } = options;
  const { timeout, idleTimeout, ...given } = others;
  const serverOptions: DTLSServerOptions = {
    ...(maxPeers !== undefined && { maxPeers }),
    ...(backlog !== undefined && { backlog }),
    ...(mtu !== undefined && { mtu }),
    ...(onError !== undefined && { onError }),
    ...(timeout !== undefined && { timeout }),
    ...(idleTimeout !== undefined && { idleTimeout }),
  };
  DTLSServer.check(serverOptions);
  const own = await contextOf(PROTOCOL_DTLS_SERVER, context, given);
  try {
    if (!own.context.serverSide) throw new TypeError("Cannot listen: the context is a client's");
    const host = listenUdp(hostname, port);
    return own.context.listen(host, serverOptions, () => own[Symbol.dispose]());
  } catch (error) {
    own[Symbol.dispose]();
    throw error;
  }
}

/** The context that was given, or one of our own, which is disposed of with the result. */
async function contextOf(
  protocol: DTLSContext["protocol"],
  context: DTLSContext | undefined,
  given: DTLSContextOptions,
): Promise<{ context: DTLSContext } & Disposable> {
  if (context === undefined) {
    const made = await DTLSContext.create(protocol, given);
    return { context: made, [Symbol.dispose]: () => made[Symbol.dispose]() };
  }
  if (!(context instanceof DTLSContext)) {
    throw new TypeError(`Cannot use context: expected a DTLSContext, got ${typeName(context)}`);
  }
  const name = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (name !== undefined) throw new TypeError(`Cannot use ${name}: the context decides it`);
  return { context, [Symbol.dispose]: () => {} };
}
