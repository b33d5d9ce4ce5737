/**
 * CPython's and MicroPython's face: {@linkcode wrapSocket}, {@linkcode SSLContext}, {@linkcode saveSession}.
 *
 * @module
 */

import { chooseAlpn } from "./alpn_choice.ts";
import type { Behaviour } from "./behaviour.ts";
import { assertBytes, typeName } from "./bytes.ts";
import { type CipherInfo, cipherInfo } from "./ciphers.ts";
import type { ChosenConfig, ClientInfo, ConfigChooser } from "./client_choice.ts";
import type { ClientHello } from "./client_hello.ts";
import { TLSConfig } from "./config.ts";
import {
  type Asks,
  assertContextOptions,
  assertSocketOptions,
  both,
  type ContextOptions,
  partsOf,
  readOptions,
} from "./context_options.ts";
import { Core } from "./core.ts";
import type { DuplexLike } from "./duplex.ts";
import { checkEarlyData } from "./early_data.ts";
import { TLSEngine } from "./engine.ts";
import { assertBios, type MemoryBIO, SSLBio } from "./memory_bio.ts";
import { Certificate } from "./own_certificate.ts";
import type { SSLSession } from "./session.ts";
import { Resumption } from "./session_store.ts";
import { SSLSocket } from "./socket.ts";
import { checkPeer, type SocketOptions } from "./socket_options.ts";
import { callbackError } from "./stage.ts";
import { suitesOf } from "./suites.ts";
import type { SessionStats } from "./tally.ts";

/** Options of {@linkcode wrapSocket}: of the context and of the connection. */
export interface WrapSocketOptions extends ContextOptions, SocketOptions {
  /** Use this context; the options of a context may then not be given. */
  context?: SSLContext;
}

/**
 * Certificates, trust and policy, read once for many connections. Connections of one server context resume each
 * other's sessions.
 *
 * @example A client's context
 * ```ts
 * import { createCertificate, SSLContext } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate } = createCertificate({ subject: "CN=My CA", isCA: true });
 * using context = await SSLContext.create({ caCerts: certificate });
 * assertEquals(context.serverSide, false);
 * ```
 */
export class SSLContext implements Disposable {
  readonly #config: TLSConfig;
  readonly #asks: Asks;

  private constructor(config: TLSConfig, asks: Asks) {
    this.#config = config;
    this.#asks = asks;
  }

  /** Asks for the context, then that one for the rest; `undefined`: there is nobody to ask. */
  get #choose(): ConfigChooser | undefined {
    if (this.#asked === undefined) return undefined;
    return async (hello, info) => {
      const chosen = await this.#chooseConfig(hello, info) ?? this;
      return chosen instanceof TLSConfig ? { config: chosen } : await chosen.#chooseMore(hello, info);
    };
  }

  /** The name of a callback that must be asked before the handshake. */
  get #asked(): string | undefined {
    const { sessionStore: _, ...choosers } = this.#asks;
    return Object.entries(choosers).find(([, choose]) => choose !== undefined)?.[0];
  }

  async #chooseConfig(hello: ClientHello, info: ClientInfo): Promise<SSLContext | TLSConfig | undefined> {
    const { getConfigForClient } = this.#asks;
    return getConfigForClient && await asking("getConfigForClient", async () => {
      const chosen = await getConfigForClient(hello, info);
      if (chosen === undefined || chosen instanceof TLSConfig || chosen instanceof SSLContext) return chosen;
      throw new TypeError(`expected an SSLContext, a TLSConfig or undefined, got ${typeName(chosen)}`);
    });
  }

  async #chooseMore(hello: ClientHello, info: ClientInfo): Promise<ChosenConfig> {
    const { getCertificate, alpnCallback } = this.#asks;
    const certificate = getCertificate && await asking("getCertificate", async () => {
      const certificate = await getCertificate(hello, info);
      if (certificate === undefined || certificate instanceof Certificate) return certificate;
      throw new TypeError(`expected a Certificate or undefined, got ${typeName(certificate)}`);
    });
    const alpnProtocol = alpnCallback &&
      await asking("alpnCallback", () => chooseAlpn(alpnCallback, hello));
    return { config: this.#config, certificate, alpnProtocol };
  }

  /**
   * Reads the files, checks the options, and builds a context.
   *
   * @param options See {@linkcode ContextOptions}.
   * @returns The context. Dispose of it when no more connections are to be made; those that live keep what they use.
   * @throws {TypeError} An option of the wrong type, or an unknown name.
   * @throws {RangeError} An option out of range.
   * @throws {Deno.errors.NotFound} A file that does not exist; the message names the option and the path.
   * @throws {SSLError} `kind: "config"`: a certificate or key that does not parse, or does not match.
   */
  static async create(options: ContextOptions = {}): Promise<SSLContext> {
    assertContextOptions(options);
    const { policy, core, asks } = await readOptions(options);
    return new SSLContext(new TLSConfig(policy, core), asks);
  }

  /** Whether its connections are a server's. */
  get serverSide(): boolean {
    return this.#config.serverSide;
  }

  /** For `startServer()` and `serve()`, whose handlers are not told of early data: throws for a context that takes it. */
  static refuseEarlyData(context: SSLContext | ContextOptions): void {
    const { maxEarlyData } = context instanceof SSLContext ? context.#config.options : context;
    if (maxEarlyData) {
      throw new TypeError("Cannot use maxEarlyData: accept the connections yourself, and use wrapSocket()");
    }
  }

  /** For servers: how the device of the context's profile goes about connections. */
  static behaviour(context: SSLContext): Behaviour | undefined {
    return context.#config.options.behaviour;
  }

  /**
   * Puts TLS on a connection. See {@linkcode wrapSocket}.
   *
   * @param conn A `Deno.Conn`, any Duplex, or a `{ readable, writable }` pair.
   * @param options Of this connection.
   * @returns The socket.
   */
  async wrapSocket(conn: DuplexLike, options: SocketOptions = {}): Promise<SSLSocket> {
    const checked = this.#check(options);
    const { doHandshake = true } = options;
    const choose = this.#choose;
    const resumption = checked.savedSession === undefined
      ? this.#resumption(conn, checked.serverHostname)
      : undefined;
    const stored = resumption && await resumption.take(!doHandshake); // without a store, the context may go right away
    const socket = new SSLSocket(conn, this.#config, {
      ...checked,
      ...(choose && { choose }),
      ...(stored && { savedSession: stored }),
      ...(resumption && { onSession: both(resumption.put, checked.onSession) }),
    });
    try {
      if (doHandshake) await socket.handshake();
    } catch (error) {
      if (stored !== undefined) resumption!.failed();
      throw error;
    }
    return socket;
  }

  /** Where the sessions for a connection are; none for a host without a name, which could be any. */
  #resumption(conn: DuplexLike, hostname: string | undefined): Resumption | undefined {
    const { sessionStore } = this.#asks;
    if (sessionStore === undefined || hostname === undefined) return undefined;
    const { port } = (conn as { remoteAddr?: { port?: unknown } }).remoteAddr ?? {};
    const host = typeof port === "number" ? `${hostname}:${port}` : hostname;
    return new Resumption(sessionStore, `${host} ${this.#config.trustId}`);
  }

  /**
   * Puts TLS between two buffers: CPython's `wrap_bio`, for a transport of your own. It cannot wait, so that `sessionStore` is not
   * asked: give `savedSession` and `onSession`.
   *
   * @param incoming Where you put the peer's records.
   * @param outgoing Where you find those for the peer.
   * @param options Of this connection. Dispose of what you get when it is closed.
   * @returns The connection; its handshake has not begun.
   * @throws {TypeError} An option that is wrong or missing.
   */
  wrapBio(
    incoming: MemoryBIO,
    outgoing: MemoryBIO,
    options: Pick<SocketOptions, "serverHostname" | "savedSession" | "onSession" | "suppressRaggedEofs"> = {},
  ): SSLBio {
    assertBios(incoming, outgoing);
    const asked = this.#asked ??
      (["verifyConnection", "onUnknownPeer", "sessionCache"] as const).find((name) =>
        this.#config.options[name] !== undefined
      );
    if (asked !== undefined) throw new TypeError(`Cannot wrapBio(): ${asked} needs a socket`);
    const { serverHostname, savedSession, onSession, suppressRaggedEofs = false, ...others } = this.#check(
      options,
    );
    const [other] = Object.entries(others).find(([, value]) => value !== undefined) ?? [];
    if (other !== undefined) throw new TypeError(`Cannot wrapBio(): ${other} needs a socket`);
    const engine = new TLSEngine(this.#config, { serverHostname, savedSession, suppressRaggedEofs });
    engine.onSession = onSession;
    return new SSLBio(engine, incoming, outgoing);
  }

  /** The cipher suites that this context may agree on, in its order. */
  getCiphers(): CipherInfo[] {
    return this.#config.suites().map(cipherInfo);
  }

  /** Every cipher suite that there is, for the option `ciphers`: MicroPython's `get_ciphers()`. */
  static getCiphers(): CipherInfo[] {
    return suitesOf(Core.shared()).map(cipherInfo);
  }

  /** How many handshakes its connections made, and how they went: CPython's `session_stats()`. */
  sessionStats(): SessionStats {
    return this.#config.stats();
  }

  /** For `tlsio/ussl`: as {@linkcode SSLContext.wrapSocket}, without the handshake. */
  static start(context: SSLContext, conn: DuplexLike, options: SocketOptions): SSLSocket {
    const choose = context.#choose && { choose: context.#choose };
    return new SSLSocket(conn, context.#config, { ...context.#check(options), ...choose });
  }

  /** For `openConnection()`: throws for what {@linkcode SSLContext.wrapSocket} would refuse, before there is a connection. */
  static check(context: SSLContext, options: SocketOptions): void {
    context.#check(options);
  }

  #check(options: SocketOptions): SocketOptions & { savedSession?: SSLSession } {
    assertSocketOptions(options);
    if (options.initialData !== undefined) assertBytes("initialData", options.initialData);
    const { onSession, signal } = options;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError(`Cannot use signal: expected an AbortSignal, got ${typeName(signal)}`);
    }
    if (onSession !== undefined && typeof onSession !== "function") {
      throw new TypeError(`Cannot use onSession: expected a function, got ${typeName(onSession)}`);
    }
    const { behaviour } = this.#config.options;
    if (options.savedSession !== undefined && behaviour?.resumption === false) {
      throw new TypeError(`Cannot use savedSession: the profile "${behaviour.profile}" resumes no sessions`);
    }
    if (options.earlyData !== undefined) checkEarlyData(this.#config, options.earlyData);
    const { savedSession, serverHostname, ...rest } = options;
    return { ...rest, ...checkPeer(this.#config, { savedSession, serverHostname }) };
  }

  /** Frees the context once its last connection has closed. */
  [Symbol.dispose](): void {
    this.#config[Symbol.dispose]();
  }
}

/** Runs a callback; what it throws is the handshake's, and names it. */
async function asking<T>(callback: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw callbackError(callback, cause);
  }
}

/**
 * Puts TLS on a connection, on either side of it: MicroPython's `ssl.wrap_socket`, awaitable. It takes the connection over:
 * closing the socket closes it, and so does a handshake that fails.
 *
 * @param conn A `Deno.Conn` (TCP or unix), any {@linkcode Duplex} (another `SSLSocket`, too), or a
 *   `{ readable, writable }` pair. It may have carried plain bytes before (STARTTLS).
 * @param options See {@linkcode WrapSocketOptions}. A client that checks certificates must name the host.
 * @returns The socket: handshake done, or with `doHandshake: false` at once.
 * @throws {TypeError} An option that is wrong or missing; nothing was sent then, and `conn` is still yours.
 * @throws {SSLError} If the handshake fails; `kind` says who is at fault.
 *
 * @example A handshake in memory
 * ```ts
 * import { createCertificate, wrapSocket } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const up = new TransformStream<Uint8Array, Uint8Array>();
 * const down = new TransformStream<Uint8Array, Uint8Array>();
 * const [client, server] = await Promise.all([
 *   wrapSocket({ readable: down.readable, writable: up.writable }, { caCerts: certificate, serverHostname: "localhost" }),
 *   wrapSocket({ readable: up.readable, writable: down.writable }, { serverSide: true, certfile: certificate, keyfile: key }),
 * ]);
 * assertEquals(client.version(), "TLSv1.3");
 * await Promise.all([client.close(), server.close()]);
 * ```
 */
export async function wrapSocket(conn: DuplexLike, options: WrapSocketOptions = {}): Promise<SSLSocket> {
  const { context, ...rest } = options;
  if (context !== undefined) {
    if (context instanceof SSLContext) return await context.wrapSocket(conn, rest);
    throw new TypeError(`Cannot use context: expected an SSLContext, got ${typeName(context)}`);
  }
  const parts = partsOf(rest);
  using own = await SSLContext.create(parts.context);
  return await own.wrapSocket(conn, parts.socket);
}

/**
 * What a client needs to resume this connection later: Pycom's `ssl.save_session`.
 *
 * @param sock A client's socket, open or closed.
 * @returns The session; `undefined` when the server has given nothing to resume. A TLS 1.3 ticket comes with the first
 *   data that is read.
 */
export function saveSession(sock: SSLSocket): SSLSession | undefined {
  return sock.session;
}
