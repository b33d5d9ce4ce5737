/**
 * The options of an {@linkcode SSLContext}: what they are, and what is made of them.
 *
 * @module
 */

import type { AlpnCallback } from "./alpn_choice.ts";
import { typeName } from "./bytes.ts";
import type { ClientInfo } from "./client_choice.ts";
import type { ClientHello } from "./client_hello.ts";
import type { TLSConfig } from "./config.ts";
import type { Core } from "./core.ts";
import type { Source } from "./credentials.ts";
import type { HeapLimits } from "./device_heap.ts";
import { type FileOrData, loadSource } from "./files.ts";
import { keyLogFile } from "./key_log.ts";
import { Certificate, type CertificateFiles, loadCredentials } from "./own_certificate.ts";
import type { OwnCredential, PolicyOptions, TLSConfigOptions } from "./policy.ts";
import { applyProfile, resolveProfile } from "./profile.ts";
import { assertStore, type SessionStore } from "./session_store.ts";
import { SOCKET_OPTIONS, type SocketOptions } from "./socket_options.ts";
import type { SSLContext } from "./ssl.ts";

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
  /**
   * Which core, which defaults, and whose manners. `"esp32"`: an ESP32 with MicroPython 1.28; `"esp32-idf"`: one with ESP-IDF's HTTPS
   * server; `"rp2"`: a Pico W with MicroPython; `"pycom"`: a Pycom board. docs/profiles.md says what each of them does. The process
   * is one device of each profile, whose heap all its connections share. Devices check no certificates unless `certReqs` is given
   * (but `"esp32-idf"`). Takes `--allow-import` for where this package is from, or `--allow-read` for a file.
   *
   * @default {"default"}
   */
  profile?: string;
  /**
   * The heap of a device's profile, in bytes: `{ budget, largestBlock, perSocket }`. What does not fit fails as on the device, with
   * `MBEDTLS_ERR_SSL_ALLOC_FAILED`. There is one for each profile in the process (and in each Worker): until all its connections and
   * contexts are gone, other limits are refused. @default {60 KiB with blocks to 34 KiB}
   */
  heap?: HeapLimits;
  /** Adds the secrets of each handshake to this file, in NSS's format: who has it can read the traffic. */
  keylogFilename?: string | URL;
  /** Client: keeps the sessions, so that connections resume by themselves. @default {none} */
  sessionStore?: SessionStore;
  /** Server: chooses another context for a client by what it offers: its certificate by the name, or its policy. */
  getConfigForClient?: GetConfigForClient;
  /** Server: chooses the certificate for a client by what it offers. */
  getCertificate?: GetCertificate;
  /** Server: chooses the application protocol for a client, in place of `alpnProtocols`. */
  alpnCallback?: AlpnCallback;
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
  "sessionCache",
  "maxEarlyData",
  "renegotiation",
  "preferClientOrder",
  "measure",
  "keyLog",
  "keylogFilename",
  "sessionStore",
  "profile",
  "heap",
  "getConfigForClient",
  "alpnCallback",
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

/** Throws for options that a context has not: a check that is misspelled would not be made. */
export function assertContextOptions(options: ContextOptions): void {
  assertKnown(options, CONTEXT_OPTIONS, SOCKET_OPTIONS, "it is for a connection, not for a context");
}

/** Throws for options that a connection has not. */
export function assertSocketOptions(options: SocketOptions): void {
  assertKnown(options, SOCKET_OPTIONS, CONTEXT_OPTIONS, "the context decides it");
}

function assertKnown(
  options: object,
  known: readonly string[],
  others: readonly string[],
  whose: string,
): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || known.includes(name)) continue;
    const state = others.includes(name) ? whose : "there is no such option";
    throw new TypeError(`Cannot use ${name}: ${state}`);
  }
}

/** The options that are given: those of a connection, and the rest, for a context. */
export function partsOf(
  options: ContextOptions & SocketOptions,
): { context: ContextOptions; socket: SocketOptions } {
  const context: Record<string, unknown> = {};
  const socket: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    const part = (SOCKET_OPTIONS as readonly string[]).includes(name) ? socket : context;
    if (value !== undefined) part[name] = value;
  }
  return { context, socket };
}

/** Whom a context asks, besides its config. */
export type Asks = {
  readonly [name in "getConfigForClient" | "getCertificate" | "alpnCallback" | "sessionStore"]:
    ContextOptions[name];
};

/** Reads the files, and checks what the config does not. */
export async function readOptions(
  options: ContextOptions,
): Promise<{ policy: TLSConfigOptions; asks: Asks; core: (() => Core) | undefined }> {
  const { profile, heap, certfile, keyfile, password, certificates, caCerts, crls, ...others } = options;
  const { getConfigForClient, getCertificate, alpnCallback, sessionStore, keylogFilename, ...given } = others;
  const { policy, core } = await applyProfile(profile, given, heap);
  const own = await ownCertificate({ certfile, keyfile, password, certificates });
  if (own !== undefined) policy.credential = own;
  if (caCerts !== undefined) policy.trust = await loadList("caCerts", caCerts, given.onUnknownPeer ? 0 : 1);
  if (crls !== undefined) policy.crls = await loadList("crls", crls, 1);
  const choosers = { getConfigForClient, getCertificate, alpnCallback };
  for (const [name, choose] of Object.entries(choosers)) checkChooser(name, choose, policy);
  if (alpnCallback !== undefined && resolveProfile(profile)?.refuses.includes("alpnProtocols")) {
    throw new TypeError(`Cannot use alpnCallback: the profile "${profile}" has no ALPN`);
  }
  if (alpnCallback !== undefined && policy.alpnProtocols !== undefined) {
    throw new TypeError("Cannot use alpnCallback: alpnProtocols is given, too");
  }
  if (sessionStore !== undefined) {
    assertStore(sessionStore);
    if (policy.serverSide) throw new TypeError("Cannot use sessionStore: it is for clients");
    if (policy.behaviour?.resumption === false) {
      throw new TypeError(`Cannot use sessionStore: the profile "${profile}" resumes no sessions`);
    }
  }
  if (keylogFilename !== undefined) {
    const write = keyLogFile("keylogFilename", keylogFilename);
    policy.keyLog = both(write, policy.keyLog);
  }
  return { policy, core, asks: { ...choosers, sessionStore } };
}

/** Calls both, where there are two. */
export function both<T>(
  first: (value: T) => void,
  second: ((value: T) => void) | undefined,
): (value: T) => void {
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
