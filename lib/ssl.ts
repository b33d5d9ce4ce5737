/**
 * CPython's and MicroPython's face: {@linkcode wrapSocket}, {@linkcode SSLContext}, {@linkcode saveSession}.
 *
 * @module
 */

import { type AlpnCallback, chooseAlpn } from "./alpn_choice.ts";
import { assertBytes, typeName } from "./bytes.ts";
import { type CipherInfo, cipherInfo } from "./ciphers.ts";
import { type Choice, chooserError, type ConfigChooser } from "./client_choice.ts";
import type { ClientHello } from "./client_hello.ts";
import { TLSConfig } from "./config.ts";
import { Core } from "./core.ts";
import type { Source } from "./credentials.ts";
import type { DuplexLike } from "./duplex.ts";
import { TLSEngine } from "./engine.ts";
import { type FileOrData, loadSource } from "./files.ts";
import { normalizeHostname } from "./hostname.ts";
import { keyLogFile } from "./key_log.ts";
import { type MemoryBIO, SSLBio } from "./memory_bio.ts";
import type { PolicyOptions, TLSConfigOptions } from "./policy.ts";
import { resolveProfile } from "./profile.ts";
import { SSLSession } from "./session.ts";
import { assertStore, Resumption, type SessionStore } from "./session_store.ts";
import { type SocketOptions, SSLSocket } from "./socket.ts";
import { suitesOf } from "./suites.ts";
import type { SessionStats } from "./tally.ts";

/** Options of an {@linkcode SSLContext}. */
export interface ContextOptions extends PolicyOptions {
  /** Our certificate, with the chain up to the root: a path, PEM text, or bytes (PEM or DER). */
  certfile?: FileOrData;
  /** Our private key: a path, PEM text, or bytes (PEM or DER). */
  keyfile?: FileOrData;
  /** Opens an encrypted `keyfile`. */
  password?: string;
  /** Whom to trust: one or several of a path, PEM text, or bytes. @default {the Mozilla roots that Deno ships} */
  caCerts?: FileOrData | readonly FileOrData[];
  /** Which core and which defaults. @default {"default"} */
  profile?: string;
  /** Adds the secrets of each handshake to this file, in NSS's format: who has it can read the traffic. */
  keylogFilename?: string | URL;
  /** Client: keeps the sessions, so that connections resume by themselves. @default {none} */
  sessionStore?: SessionStore;
  /** Server: chooses another context for a client by what it offers: its certificate by the name, or its policy. */
  getConfigForClient?: GetConfigForClient;
  /** Server: chooses the application protocol for a client, in place of `alpnProtocols`. */
  alpnCallback?: AlpnCallback;
}

/**
 * Chooses by the ClientHello the context for one connection; `undefined`: the context that asks. It may wait, for no longer
 * than the handshake may take. The context's own `getConfigForClient` is not asked.
 *
 * What it throws ends the handshake. The client is told `internal_error`, or the `alert` of an `SSLError`.
 *
 * @example The certificate of the name that the client asks for
 * ```ts
 * import { createCertificate, type GetConfigForClient, SSLContext } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=a.test", hosts: ["a.test"] });
 * const own = { serverSide: true, certfile: certificate, keyfile: key };
 * using a = await SSLContext.create(own);
 * const sites = new Map([["a.test", a]]);
 * const getConfigForClient: GetConfigForClient = ({ serverName }) => sites.get(serverName ?? "");
 * using server = await SSLContext.create({ ...own, getConfigForClient });
 * assertEquals(server.serverSide, true);
 * ```
 */
export type GetConfigForClient = (
  hello: ClientHello,
) => SSLContext | TLSConfig | undefined | Promise<SSLContext | TLSConfig | undefined>;

/** Options of {@linkcode wrapSocket}: of the context and of the connection. */
export interface WrapSocketOptions extends ContextOptions, SocketOptions {
  /** Use this context; the options of a context may then not be given. */
  context?: SSLContext;
}

const CONTEXT_OPTIONS = [
  "serverSide",
  "certfile",
  "keyfile",
  "password",
  "certReqs",
  "caCerts",
  "sslVersion",
  "ciphers",
  "groups",
  "sigalgs",
  "minRsaBits",
  "alpnProtocols",
  "checkHostname",
  "allowCommonName",
  "maxFragmentLength",
  "psk",
  "tickets",
  "numTickets",
  "onTicket",
  "sessionCacheSize",
  "renegotiation",
  "preferClientOrder",
  "keyLog",
  "keylogFilename",
  "sessionStore",
  "profile",
  "getConfigForClient",
  "alpnCallback",
] as const satisfies readonly (keyof ContextOptions)[];

/** Whom a context asks, besides its config. */
type Asks = {
  readonly [name in "getConfigForClient" | "alpnCallback" | "sessionStore"]: ContextOptions[name];
};

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

  /** Asks for the context, then that one for the protocol; `undefined`: there is nobody to ask. */
  get #choose(): ConfigChooser | undefined {
    if (this.#asks.getConfigForClient === undefined && this.#asks.alpnCallback === undefined) {
      return undefined;
    }
    return async (hello) => {
      const chosen = await this.#chooseConfig(hello) ?? this;
      return chosen instanceof TLSConfig ? { config: chosen } : await chosen.#chooseProtocol(hello);
    };
  }

  async #chooseConfig(hello: ClientHello): Promise<SSLContext | TLSConfig | undefined> {
    try {
      const chosen = await this.#asks.getConfigForClient?.(hello);
      if (chosen === undefined || chosen instanceof TLSConfig || chosen instanceof SSLContext) return chosen;
      throw new TypeError(`expected an SSLContext, a TLSConfig or undefined, got ${typeName(chosen)}`);
    } catch (cause) {
      throw chooserError("getConfigForClient", cause);
    }
  }

  async #chooseProtocol(hello: ClientHello): Promise<Choice> {
    const { alpnCallback } = this.#asks;
    try {
      const alpnProtocol = alpnCallback && await chooseAlpn(alpnCallback, hello);
      return { config: this.#config, alpnProtocol };
    } catch (cause) {
      throw chooserError("alpnCallback", cause);
    }
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
    const { profile, certfile, keyfile, password, caCerts, ...others } = options;
    const { getConfigForClient, alpnCallback, keylogFilename, sessionStore, ...given } = others;
    const policy: TLSConfigOptions = { ...resolveProfile(profile).policy, ...given };
    if ((certfile === undefined) !== (keyfile === undefined)) {
      throw new TypeError(
        `Cannot use ${certfile ? "certfile" : "keyfile"}: the other of certfile and keyfile is missing`,
      );
    }
    if (certfile !== undefined) {
      const [chain, key] = await Promise.all([
        loadSource("certfile", certfile),
        loadSource("keyfile", keyfile),
      ]);
      policy.credential = { chain, key, password };
    }
    if (caCerts !== undefined) policy.trust = await loadTrust(caCerts);
    checkChooser("getConfigForClient", getConfigForClient, policy);
    checkChooser("alpnCallback", alpnCallback, policy);
    if (alpnCallback !== undefined && policy.alpnProtocols !== undefined) {
      throw new TypeError("Cannot use alpnCallback: alpnProtocols is given, too");
    }
    if (sessionStore !== undefined) {
      assertStore(sessionStore);
      if (policy.serverSide) throw new TypeError("Cannot use sessionStore: it is for clients");
    }
    if (keylogFilename !== undefined) {
      const { keyLog } = policy;
      const write = keyLogFile("keylogFilename", keylogFilename);
      policy.keyLog = keyLog === undefined ? write : (line) => {
        write(line);
        keyLog(line);
      };
    }
    return new SSLContext(new TLSConfig(policy), { getConfigForClient, alpnCallback, sessionStore });
  }

  /** Whether its connections are a server's. */
  get serverSide(): boolean {
    return this.#config.serverSide;
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
    const stored = await resumption?.take(!doHandshake);
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
   * Puts TLS between two buffers: CPython's `wrap_bio`, for a transport of your own.
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
    const { getConfigForClient, alpnCallback } = this.#asks;
    const asked = getConfigForClient ? "getConfigForClient" : alpnCallback && "alpnCallback";
    if (asked !== undefined) throw new TypeError(`Cannot wrapBio(): ${asked} needs a socket`);
    const { serverHostname, savedSession, onSession, suppressRaggedEofs = false } = this.#check(options);
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

  /** For `openConnection()`: throws for what {@linkcode SSLContext.wrapSocket} would refuse, before there is a connection. */
  static check(context: SSLContext, options: SocketOptions): void {
    context.#check(options);
  }

  #check(options: SocketOptions): SocketOptions & { savedSession?: SSLSession } {
    const serverHostname = this.#checkHostname(options.serverHostname);
    if (options.initialData !== undefined) assertBytes("initialData", options.initialData);
    const { onSession } = options;
    if (onSession !== undefined && typeof onSession !== "function") {
      throw new TypeError(`Cannot use onSession: expected a function, got ${typeName(onSession)}`);
    }
    const { savedSession: saved, serverHostname: _, ...rest } = options;
    const savedSession = saved instanceof Uint8Array ? SSLSession.from(saved) : saved;
    if (savedSession !== undefined && !(savedSession instanceof SSLSession)) {
      throw new TypeError(
        `Cannot use savedSession: expected an SSLSession or its bytes, got ${typeName(saved)}`,
      );
    }
    return {
      ...rest,
      ...(serverHostname !== undefined && { serverHostname }),
      ...(savedSession !== undefined && { savedSession }),
    };
  }

  #checkHostname(hostname: unknown): string | undefined {
    if (this.#config.serverSide) return undefined;
    if (hostname === undefined) {
      this.#config.assertHost(hostname);
      return undefined;
    }
    if (typeof hostname !== "string") {
      throw new TypeError(`Cannot use serverHostname: expected a string, got ${typeName(hostname)}`);
    }
    return normalizeHostname(hostname);
  }

  /** Frees the context once its last connection has closed. */
  [Symbol.dispose](): void {
    this.#config[Symbol.dispose]();
  }
}

function both<T>(first: (value: T) => void, second: ((value: T) => void) | undefined): (value: T) => void {
  return second === undefined ? first : (value) => {
    first(value);
    second(value);
  };
}

function checkChooser(name: string, choose: unknown, { serverSide }: TLSConfigOptions): void {
  if (choose === undefined) return;
  if (typeof choose !== "function") {
    throw new TypeError(`Cannot use ${name}: expected a function, got ${typeName(choose)}`);
  }
  if (!serverSide) throw new TypeError(`Cannot use ${name}: it is for servers`);
}

async function loadTrust(caCerts: FileOrData | readonly FileOrData[]): Promise<Source[]> {
  const list = Array.isArray(caCerts) ? caCerts : [caCerts];
  if (list.length === 0) throw new TypeError("Cannot use caCerts: the list is empty");
  return await Promise.all(list.map((one) => loadSource("caCerts", one)));
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
  const given = contextPart(rest);
  if (context !== undefined) {
    const [name] = Object.keys(given);
    if (name !== undefined) throw new TypeError(`Cannot use ${name}: the context decides it`);
    return await context.wrapSocket(conn, rest);
  }
  using own = await SSLContext.create(given);
  return await own.wrapSocket(conn, rest);
}

/** The options of a context among those of {@linkcode wrapSocket}. */
export function contextPart(options: WrapSocketOptions): ContextOptions {
  const given = CONTEXT_OPTIONS.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
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
