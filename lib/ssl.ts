/**
 * CPython's and MicroPython's face: {@linkcode wrapSocket}, {@linkcode SSLContext}, {@linkcode saveSession}.
 *
 * @module
 */

import { assertBytes, type Bytes, typeName } from "./bytes.ts";
import type { ChosenConfig, ClientInfo, ConfigChooser } from "./client_choice.ts";
import type { ClientHello } from "./client_hello.ts";
import { TLSConfig } from "./config.ts";
import type { OwnCredential, PolicyOptions, TLSConfigOptions } from "./policy.ts";
import type { Source } from "./credentials.ts";
import type { DuplexLike } from "./duplex.ts";
import { checkEarlyData } from "./early_data.ts";
import { type FileOrData, loadSource } from "./files.ts";
import { parseAddress } from "./ip_address.ts";
import { Certificate, type CertificateFiles, loadCredentials } from "./own_certificate.ts";
import { resolveProfile } from "./profile.ts";
import { SSLSession } from "./session.ts";
import { type SocketOptions, SSLSocket } from "./socket.ts";
import { callbackError } from "./stage.ts";

/** Options of an {@linkcode SSLContext}. */
export interface ContextOptions extends PolicyOptions {
  /** Our certificate, with the chain up to the root: a path, PEM text, or bytes (PEM or DER). */
  certfile?: FileOrData;
  /** Our private key: a path, PEM text, or bytes (PEM or DER). */
  keyfile?: FileOrData;
  /** Opens an encrypted `keyfile`. */
  password?: string;
  /**
   * Our certificates in place of `certfile` and `keyfile`: several for the same hosts, of which a client is shown the first that
   * it can verify, or one whose key is elsewhere. A client uses one.
   */
  certificates?: Certificate | readonly CertificateFiles[];
  /**
   * Whom to trust: one or several of a path, PEM text, or bytes. Each is an anchor, an intermediate authority too (CPython's
   * `VERIFY_X509_PARTIAL_CHAIN`), and a server's own certificate if it has signed itself. With `onUnknownPeer` the list may be
   * empty. @default {the Mozilla roots that Deno ships}
   */
  caCerts?: FileOrData | readonly FileOrData[];
  /**
   * Certificate revocation lists: one or several of a path, PEM text, or bytes. A certificate that one of them names is refused,
   * and so is one whose issuer has given none (`crlCheck`), an outdated one, or one that it did not sign.
   */
  crls?: FileOrData | readonly FileOrData[];
  /** Which core and which defaults. @default {"default"} */
  profile?: string;
  /** Server: chooses another context for a client by what it offers: its certificate by the name, or its policy. */
  getConfigForClient?: GetConfigForClient;
  /** Server: chooses the certificate for a client by what it offers. */
  getCertificate?: GetCertificate;
}

/**
 * Chooses by the ClientHello the certificate for one connection; `undefined`: the context's own. It is Go's `GetCertificate`,
 * CPython's `sni_callback` and Node's `SNICallback` in one; Node's `addContext` is a `Map` of names that it looks into. It may
 * wait, for no longer than the handshake may take, and a {@linkcode Certificate} that was read before costs nothing. All else is
 * the context's; {@linkcode GetConfigForClient} changes that, too, and is asked first: `getCertificate` is then asked of the
 * context that it has chosen.
 *
 * What it throws ends the handshake. The client is told `internal_error`, or the `alert` of an `SSLError`.
 */
export type GetCertificate = (
  hello: ClientHello,
  info: ClientInfo,
) => Certificate | undefined | Promise<Certificate | undefined>;

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
  info: ClientInfo,
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
  "sessionCacheSize",
  "maxEarlyData",
  "renegotiation",
  "preferClientOrder",
  "keyLog",
  "profile",
  "getConfigForClient",
  "getCertificate",
  "certificates",
  "crls",
  "crlCheck",
  "pins",
  "onUnknownPeer",
  "verifyConnection",
  "verifyCallback",
  "pskCallback",
] as const satisfies readonly (keyof ContextOptions)[];

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
  readonly #getConfigForClient: GetConfigForClient | undefined;
  readonly #getCertificate: GetCertificate | undefined;

  private constructor(
    config: TLSConfig,
    { getConfigForClient, getCertificate }: Pick<ContextOptions, "getConfigForClient" | "getCertificate">,
  ) {
    this.#config = config;
    this.#getConfigForClient = getConfigForClient;
    this.#getCertificate = getCertificate;
  }

  /** Asks for the context, then that one for the certificate; `undefined`: there is nobody to ask. */
  get #choose(): ConfigChooser | undefined {
    if (this.#getConfigForClient === undefined && this.#getCertificate === undefined) return undefined;
    return async (hello, info) => {
      const chosen = await this.#chooseConfig(hello, info) ?? this;
      return chosen instanceof TLSConfig ? { config: chosen } : await chosen.#chooseCertificate(hello, info);
    };
  }

  async #chooseConfig(hello: ClientHello, info: ClientInfo): Promise<SSLContext | TLSConfig | undefined> {
    try {
      const chosen = await this.#getConfigForClient?.(hello, info);
      if (chosen === undefined || chosen instanceof TLSConfig || chosen instanceof SSLContext) return chosen;
      throw new TypeError(`expected an SSLContext, a TLSConfig or undefined, got ${typeName(chosen)}`);
    } catch (cause) {
      throw callbackError("getConfigForClient", cause);
    }
  }

  async #chooseCertificate(hello: ClientHello, info: ClientInfo): Promise<ChosenConfig> {
    try {
      const certificate = await this.#getCertificate?.(hello, info);
      if (certificate === undefined || certificate instanceof Certificate) {
        return { config: this.#config, certificate };
      }
      throw new TypeError(`expected a Certificate or undefined, got ${typeName(certificate)}`);
    } catch (cause) {
      throw callbackError("getCertificate", cause);
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
    const { profile, certfile, keyfile, password, certificates, caCerts, crls, ...others } = options;
    const { getConfigForClient, getCertificate, ...given } = others;
    const policy: TLSConfigOptions = { ...resolveProfile(profile).policy, ...given };
    const own = await ownCertificate({ certfile, keyfile, password, certificates });
    if (own !== undefined) policy.credential = own;
    if (caCerts !== undefined) policy.trust = await loadList("caCerts", caCerts, given.onUnknownPeer ? 0 : 1);
    if (crls !== undefined) policy.crls = await loadList("crls", crls, 1);
    checkChooser("getConfigForClient", getConfigForClient, policy);
    checkChooser("getCertificate", getCertificate, policy);
    return new SSLContext(new TLSConfig(policy), { ...others });
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

  /**
   * Puts TLS on a connection. See {@linkcode wrapSocket}.
   *
   * @param conn A `Deno.Conn`, any Duplex, or a `{ readable, writable }` pair.
   * @param options Of this connection.
   * @returns The socket.
   */
  async wrapSocket(conn: DuplexLike, options: SocketOptions = {}): Promise<SSLSocket> {
    const socket = SSLContext.start(this, conn, options);
    if (options.doHandshake ?? true) await socket.handshake();
    return socket;
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
    const serverHostname = this.#checkHostname(options.serverHostname);
    if (options.initialData !== undefined) assertBytes("initialData", options.initialData);
    if (options.earlyData !== undefined) checkEarlyData(this.#config, options.earlyData);
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

function checkChooser(name: string, choose: unknown, { serverSide }: TLSConfigOptions): void {
  if (choose === undefined) return;
  if (typeof choose !== "function") {
    throw new TypeError(`Cannot use ${name}: expected a function, got ${typeName(choose)}`);
  }
  if (!serverSide) throw new TypeError(`Cannot use ${name}: it is for servers`);
}

async function ownCertificate(
  { certfile, keyfile, password, certificates }: {
    [name in "certfile" | "keyfile" | "password" | "certificates"]: ContextOptions[name] | undefined;
  },
): Promise<readonly OwnCredential[] | undefined> {
  if (certificates === undefined) {
    if (certfile === undefined && keyfile === undefined) return undefined;
    return await loadCredentials([{ certfile, keyfile, password } as CertificateFiles]);
  }
  const [extra] = Object.entries({ certfile, keyfile, password }).filter(([, value]) => value !== undefined);
  if (extra !== undefined) throw new TypeError(`Cannot use ${extra[0]}: certificates is given, too`);
  if (certificates instanceof Certificate) return certificates.credentials;
  if (!Array.isArray(certificates)) {
    throw new TypeError(
      `Cannot use certificates: expected a list or a Certificate, got ${typeName(certificates)}`,
    );
  }
  return await loadCredentials(certificates);
}

async function loadList(
  option: "caCerts" | "crls",
  value: FileOrData | readonly FileOrData[],
  atLeast: number,
): Promise<Source[]> {
  const list = Array.isArray(value) ? value : [value];
  if (list.length < atLeast) throw new TypeError(`Cannot use ${option}: the list is empty`);
  return await Promise.all(list.map((one) => loadSource(option, one)));
}

const DNS_NAME_MAX = 253; // bytes; RFC 1035 section 2.3.4, without the dot of the root

/** Lower case, in ASCII (IDNA), without the dot of the root and the brackets of an IPv6 address. */
function normalizeHostname(hostname: string): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  let address: Bytes | undefined;
  try {
    address = parseAddress(bare);
    if (address !== undefined) return bare;
    const { hostname: ascii } = new URL(`http://${bare.replace(/\.$/, "")}`);
    if (ascii !== "" && ascii.length <= DNS_NAME_MAX && !/[/?#@:%]/.test(bare)) return ascii;
  } catch {
    // told below
  }
  throw new TypeError(
    `Cannot use serverHostname: ${JSON.stringify(hostname)} is not a host name or IP address`,
  );
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
