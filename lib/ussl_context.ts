/** MicroPython's `tls.SSLContext`. */

import { toBytes } from "./byte_queue.ts";
import { assertBytes, type Bytes, copyOf, decodeText, EMPTY, typeName } from "./bytes.ts";
import { TLSConfig } from "./config.ts";
import { Core } from "./core.ts";
import type { Source } from "./credentials.ts";
import type { HeapLimits } from "./device_heap.ts";
import type { DuplexLike } from "./duplex.ts";
import { CODE, SSLError as TLSError } from "./errors.ts";
import { type FileOrData, loadSourceSync } from "./files.ts";
import {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  type CertReqs,
  type PolicyOptions,
  PSK_MAX,
  type TLSConfigOptions,
} from "./policy.ts";
import type { ContextOptions } from "./context_options.ts";
import type { SSLContext as TLSContext } from "./ssl.ts";
import { deviceSuites, resolveProfile } from "./profile.ts";
import { suiteIds, suitesOf, TLSVersion } from "./suites.ts";
import type { Socket } from "./tcp_socket.ts";
import { assertWrappable } from "./ussl.ts";
import { SSLError } from "./ussl_errors.ts";
import { build, check, connecting, type ConnectionOptions, given, refusal } from "./ussl_options.ts";
import { mbedtlsName, type SSLSocket, wrap } from "./ussl_socket.ts";

/** A client's context. */
export const PROTOCOL_TLS_CLIENT = 0;
/** A server's context. */
export const PROTOCOL_TLS_SERVER = 1;

/** Finds the pre-shared key of an identity: a `Map` of texts, or what has such a `get()`. */
export type PskKeys = ReadonlyMap<string, Uint8Array> | {
  /** The key; `null` or `undefined`: the identity is not known. */
  get(identity: Uint8Array<ArrayBuffer>): Uint8Array | null | undefined;
};

/** Judges a certificate of the peer's chain, DER; the leaf's depth is 0. 0 goes on, any other number ends the handshake. */
export type VerifyCallback = (cert: Uint8Array<ArrayBuffer>, depth: number) => number;

/**
 * Signs `hash` in the key's place: with ECDSA, the signature in DER. `key` is what `load_cert_chain()` was given, such as the name
 * of a slot of a secure element; empty if nothing.
 */
export type EcdsaSignCallback = (
  key: Uint8Array<ArrayBuffer>,
  hash: Uint8Array<ArrayBuffer>,
) => Uint8Array<ArrayBuffer>;

/** Options of an {@linkcode SSLContext} that is a device's. */
export interface DeviceOptions {
  /** The device to be: `"esp32"`, `"rp2"`, `"pycom"` ... See `profile` of the contexts of `tlsio`. @default {"default"} */
  profile?: string;
  /** The device's heap, in bytes: see `heap` there. */
  heap?: HeapLimits;
}

/** Where trusted certificates are. */
export interface VerifyLocations {
  /** A path, PEM text, or bytes (PEM or DER). */
  cafile?: FileOrData | null;
  /** The same, in MicroPython's older name. */
  cadata?: FileOrData | null;
}

/**
 * Certificates, trust and policy for many connections: the `SSLContext` of MicroPython's module `tls`. Its `verify_mode` is
 * `CERT_REQUIRED` for a client at first, as there; MicroPython's module `ssl` has `CERT_NONE`.
 *
 * What is changed counts for the sockets that are wrapped afterwards.
 *
 * @example A server and a client
 * ```ts
 * import { createCertificate } from "tlsio";
 * import { socket } from "tlsio/socket";
 * import { PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, SSLContext } from "tlsio/ussl";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const serving = new SSLContext(PROTOCOL_TLS_SERVER);
 * serving.load_cert_chain(certificate, key);
 * await using listener = await serving.wrap_socket(socket(), { server_side: true });
 * listener.bind(["127.0.0.1", 0]);
 * listener.listen(1);
 *
 * const asking = new SSLContext(PROTOCOL_TLS_CLIENT);
 * asking.load_verify_locations(certificate);
 * asking.set_ciphers(["TLS1-3-AES-128-GCM-SHA256"]);
 * await using ss = await asking.wrap_socket(socket(), { server_hostname: "localhost" });
 * const { port } = listener.localAddr as Deno.NetAddr;
 * const [[server]] = await Promise.all([listener.accept(), ss.connect(["127.0.0.1", port])]);
 * assertEquals(ss.cipher(), ["TLS1-3-AES-128-GCM-SHA256", "TLSv1.3"]);
 * await server.close();
 * ```
 */
export class SSLContext {
  readonly #serverSide: boolean;
  #verifyMode: CertReqs;
  #credential: { chain: Source; key?: Source } | undefined;
  #trust: Source[] = [];
  #ciphers: readonly string[] | undefined;
  #verify: VerifyCallback | null = null;
  #sign: EcdsaSignCallback | null = null;
  #pskIdentity: string | Uint8Array | null = null;
  #pskKey: Uint8Array | null = null;
  #pskKeys: PskKeys | null = null;
  readonly #device: DeviceOptions;
  #context: Promise<TLSContext> | undefined; // until something is changed

  /**
   * Makes a context.
   *
   * @param protocol {@linkcode PROTOCOL_TLS_CLIENT} or {@linkcode PROTOCOL_TLS_SERVER}.
   * @param device The device to be; its heap is that of all who are it.
   * @throws {TypeError} A profile that is not known.
   */
  constructor(protocol: number, device: DeviceOptions = {}) {
    if (protocol !== PROTOCOL_TLS_CLIENT && protocol !== PROTOCOL_TLS_SERVER) {
      throw new RangeError(
        `Cannot use protocol: expected PROTOCOL_TLS_CLIENT or PROTOCOL_TLS_SERVER, got ${String(protocol)}`,
      );
    }
    this.#device = given(device, { profile: "string", heap: "object" });
    resolveProfile(this.#device.profile);
    this.#serverSide = protocol === PROTOCOL_TLS_SERVER;
    this.#verifyMode = this.#serverSide ? CERT_NONE : CERT_REQUIRED;
  }

  #change(change: () => void): void {
    change();
    this.#context = undefined;
  }

  /** Throws what the core has against `options`: at once, as in MicroPython. */
  #check(options: TLSConfigOptions): void {
    try {
      new TLSConfig({ tickets: false, ...options })[Symbol.dispose]();
    } catch (error) {
      throw refusal(error, { trust: "cadata" });
    }
  }

  #load(option: string, value: unknown): Source {
    try {
      return loadSourceSync(option, value);
    } catch (error) {
      throw refusal(error);
    }
  }

  /** What to ask of the peer's certificate. With `CERT_OPTIONAL` a connection goes on whatever the check finds. */
  get verify_mode(): CertReqs {
    return this.#verifyMode;
  }

  set verify_mode(mode: CertReqs) {
    if (![CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED].includes(mode)) {
      throw new RangeError(
        `Cannot use verify_mode: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got ${String(mode)}`,
      );
    }
    this.#change(() => this.#verifyMode = mode);
  }

  /**
   * Loads our certificate and its key, at once.
   *
   * @param certfile The certificate, with its chain: a path, PEM text, or bytes (PEM or DER).
   * @param keyfile The key, likewise. With {@linkcode SSLContext.ecdsa_sign_callback}, set before, bytes for that, or `null`.
   * @throws {OSError} A file that cannot be read.
   * @throws {TypeError} What is no certificate or key, or two that do not match.
   */
  load_cert_chain(certfile: FileOrData, keyfile: FileOrData | null): void {
    const chain = this.#load("certfile", certfile);
    const none = keyfile === null && this.#sign !== null;
    const credential = none ? { chain } : { chain, key: this.#load("keyfile", keyfile) };
    const unused = () => new Uint8Array();
    this.#check({ serverSide: true, credential: this.#sign === null ? credential : { chain, sign: unused } });
    this.#change(() => this.#credential = credential);
  }

  /**
   * Adds to those whom we trust, at once.
   *
   * @param source The certificates: a path, PEM text, or bytes (PEM or DER), or {@linkcode VerifyLocations}.
   * @throws {OSError} A file that cannot be read.
   * @throws {TypeError} What is no certificate.
   */
  load_verify_locations(source: FileOrData | VerifyLocations): void {
    const isPlain = typeof source === "string" || source instanceof URL || source instanceof Uint8Array;
    const { cafile, cadata } = isPlain ? { cafile: undefined, cadata: source } : source ?? {};
    const given = Object.entries({ cafile, cadata }).filter(([, value]) =>
      value !== undefined && value !== null
    );
    if (given.length === 0) {
      throw new TypeError("Cannot load_verify_locations(): cafile and cadata are missing");
    }
    const trust = given.map(([name, value]) => this.#load(name, value));
    this.#check({ trust });
    this.#change(() => this.#trust.push(...trust));
  }

  /**
   * All cipher suites that there are, in mbedTLS's spelling: `"TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"`.
   *
   * @throws {TypeError} The context is a device's, and the process has not yet wrapped a socket as that device: it is not loaded.
   */
  get_ciphers(): string[] {
    const { profile } = this.#device;
    if (resolveProfile(profile) === undefined) {
      return suitesOf(Core.shared()).map(({ name }) => mbedtlsName(name));
    }
    const names = deviceSuites(profile!);
    if (names !== undefined) return names.map(mbedtlsName);
    throw new TypeError(`Cannot get_ciphers(): "${profile}" is not loaded before the first wrap_socket()`);
  }

  /**
   * Chooses the cipher suites.
   *
   * @param ciphers Names, best first, in mbedTLS's spelling or IANA's.
   * @throws {SSLError} -24192, `MBEDTLS_ERR_SSL_BAD_CONFIG`: a name that is not known, or none.
   * @throws {TypeError} What is no list of strings.
   */
  set_ciphers(ciphers: readonly string[]): void {
    if (!Array.isArray(ciphers) || !ciphers.every((name) => typeof name === "string")) {
      throw new TypeError(`Cannot set_ciphers(): expected a list of names, got ${typeName(ciphers)}`);
    }
    try {
      if (ciphers.length === 0) throw new TypeError("Cannot use ciphers: the list is empty");
      if (resolveProfile(this.#device.profile) === undefined) suiteIds(Core.shared(), ciphers); // else when it is loaded
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      const text = error.message.replace("Cannot use ciphers", "Cannot set_ciphers()");
      throw new SSLError(new TLSError(text, { kind: "config", code: CODE.BAD_CONFIG, cause: error }));
    }
    this.#change(() => this.#ciphers = [...ciphers]);
  }

  /** Judges each certificate of the peer's chain; not asked with `CERT_NONE`. @default {null} */
  get verify_callback(): VerifyCallback | null {
    return this.#verify;
  }

  set verify_callback(callback: VerifyCallback | null) {
    assertFunction("verify_callback", callback);
    this.#change(() => this.#verify = callback);
  }

  /** Signs in place of the key; our certificate must be one for ECDSA. @default {null} */
  get ecdsa_sign_callback(): EcdsaSignCallback | null {
    return this.#sign;
  }

  set ecdsa_sign_callback(callback: EcdsaSignCallback | null) {
    assertFunction("ecdsa_sign_callback", callback);
    this.#change(() => this.#sign = callback);
  }

  /** Client: who we are to a server with pre-shared keys. With `psk_key`, only suites that use the key are offered. @default {null} */
  get psk_identity(): string | Uint8Array | null {
    return this.#pskIdentity;
  }

  set psk_identity(identity: string | Uint8Array | null) {
    this.#assertSide("psk_identity", false);
    if (identity !== null) toBytes("psk_identity", identity);
    this.#change(() => this.#pskIdentity = identity);
  }

  /** Client: the key that we share with the server, 1 to 256 bytes (MicroPython's: 48). @default {null} */
  get psk_key(): Uint8Array | null {
    return this.#pskKey;
  }

  set psk_key(key: Uint8Array | null) {
    this.#assertSide("psk_key", false);
    if (key !== null) {
      assertBytes("psk_key", key);
      if (key.length < 1 || key.length > PSK_MAX) {
        throw new RangeError(`Cannot use psk_key: a key has 1 to ${PSK_MAX} bytes, got ${key.length}`);
      }
    }
    this.#change(() => this.#pskKey = key && copyOf(key));
  }

  /** Server: the keys of clients, by their identities. Only suites that use them are accepted. @default {null} */
  get server_psk_keys(): PskKeys | null {
    return this.#pskKeys;
  }

  set server_psk_keys(keys: PskKeys | null) {
    this.#assertSide("server_psk_keys", true);
    if (keys !== null && typeof keys?.get !== "function") {
      throw new TypeError(
        `Cannot use server_psk_keys: expected a Map or what has get(), got ${typeName(keys)}`,
      );
    }
    this.#change(() => this.#pskKeys = keys);
  }

  #assertSide(name: string, serverSide: boolean): void {
    if (this.#serverSide === serverSide) return;
    throw new TypeError(`Cannot use ${name}: it is for ${serverSide ? "servers" : "clients"}`);
  }

  /**
   * Puts TLS on a socket. See {@linkcode wrap_socket}.
   *
   * @param sock A `Socket`, connected or not, or a stream of bytes.
   * @param options Of this connection. `server_side` is for the name's sake: it must agree with the protocol.
   * @returns The SSL socket.
   * @throws {TypeError} An option that is wrong or missing: a server needs `load_cert_chain()`; who checks certificates needs
   *   `load_verify_locations()`, and as a client `server_hostname`.
   * @throws {SSLError} If the handshake fails.
   */
  async wrap_socket(sock: Socket | DuplexLike, options: ConnectionOptions = {}): Promise<SSLSocket> {
    assertWrappable(sock);
    const serverSide = this.#serverSide;
    const connection = connecting(options, serverSide);
    if ((options.server_side ?? serverSide) !== serverSide) {
      throw new TypeError(`Cannot use server_side: the context is a ${serverSide ? "server" : "client"}'s`);
    }
    const checksName = this.#verifyMode === CERT_REQUIRED && !serverSide && this.#psk === undefined;
    if (checksName && connection.options.serverHostname === undefined) {
      throw new TypeError("Cannot wrap_socket(): CERT_REQUIRED requires server_hostname");
    }
    const context = await this.#built();
    check(context, connection.options);
    return await wrap(sock, { context, own: false, ...connection });
  }

  /** The context of what is set now; one that could not be built is tried again. */
  #built(): Promise<TLSContext> {
    if (this.#context !== undefined) return this.#context;
    const building = this.#context = build(this.#options());
    building.catch(() => {
      if (this.#context === building) this.#context = undefined;
    });
    return building;
  }

  /** A client's pre-shared key, once it has both halves. */
  get #psk(): PolicyOptions["psk"] {
    const [identity, key] = [this.#pskIdentity, this.#pskKey];
    return identity !== null && key !== null ? { identity, key } : undefined;
  }

  #certificates(): ContextOptions {
    const { chain, key } = this.#credential ?? {};
    const callback = this.#sign;
    if (chain === undefined) return {};
    if (callback === null) {
      if (key === undefined) throw new TypeError("Cannot wrap_socket(): load_cert_chain() was given no key");
      return { certfile: chain.bytes, keyfile: key.bytes };
    }
    const sign = (hash: Bytes, scheme: string) => {
      if (!scheme.startsWith("ecdsa_")) throw new TypeError(`ecdsa_sign_callback cannot sign ${scheme}`);
      return callback(key?.bytes ?? EMPTY, hash);
    };
    return { certificates: [{ certfile: chain.bytes, sign }] };
  }

  #options(): ContextOptions {
    const psk = this.#psk;
    const keys = this.#pskKeys;
    const usesPsk = psk !== undefined || keys !== null;
    if (this.#serverSide && this.#credential === undefined && !usesPsk) {
      throw new TypeError("Cannot wrap_socket(): a server needs load_cert_chain() or server_psk_keys");
    }
    // With a pre-shared key there may be no certificate to check.
    const certReqs = usesPsk && this.#trust.length === 0 ? CERT_NONE : this.#verifyMode;
    if (certReqs !== CERT_NONE && this.#trust.length === 0) {
      throw new TypeError("Cannot wrap_socket(): verify_mode needs load_verify_locations()");
    }
    return {
      ...this.#device,
      serverSide: this.#serverSide,
      certReqs,
      ...this.#certificates(),
      ...(certReqs !== CERT_NONE && { caCerts: this.#trust.map(({ bytes }) => bytes) }),
      ...(certReqs !== CERT_NONE && this.#verify && { verifyCallback: this.#verify }),
      ...(psk && { psk }),
      ...(keys && { pskCallback: (identity) => lookUp(keys, identity) }),
      ...(this.#ciphers && { ciphers: this.#ciphers, ...versionFor(this.#ciphers) }),
    };
  }
}

function assertFunction(name: string, callback: unknown): void {
  if (callback === null || typeof callback === "function") return;
  throw new TypeError(`Cannot use ${name}: expected a function or null, got ${typeName(callback)}`);
}

function lookUp(keys: PskKeys, identity: Bytes): Bytes | undefined {
  const key = keys instanceof Map ? keys.get(decodeText(identity)) : keys.get(identity as Bytes & string);
  return key === null || key === undefined ? undefined : key as Bytes;
}

/** The version, if the suites are all of one: to offer the other, too, would be to fail with a peer that has both. */
function versionFor(ciphers: readonly string[]): Pick<ContextOptions, "sslVersion"> {
  const versions = new Set(ciphers.map((name) => /[-_]WITH[-_]/i.test(name)));
  if (versions.size > 1) return {};
  return { sslVersion: versions.has(true) ? TLSVersion.TLSv1_2 : TLSVersion.TLSv1_3 };
}
