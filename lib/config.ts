/**
 * TLSConfig: certificates, trust, versions, suites, tickets. Built once, checked at once, shared by many connections.
 *
 * @module
 */

import { assertBytes, type Bytes, concat, EMPTY, encodeText, typeName } from "./bytes.ts";
import { Core } from "./core.ts";
import { credentialError, loadRoots, loadTrust, parseLength, type Source } from "./credentials.ts";
import { CODE, SSLError } from "./errors.ts";
import { readCertificate } from "./peer_certificate.ts";
import {
  defaultSuites,
  groupIds,
  GROUPS,
  sigalgIds,
  SIGALGS,
  suiteIds,
  TLSVersion,
  usesSha1,
  versionName,
} from "./suites.ts";
import { TicketKeyRing } from "./tickets.ts";

/** Ask for no certificate, check none. */
export const CERT_NONE = 0;
/** Check the certificate but go on whatever the result; `verifyFlags` says what it was. */
export const CERT_OPTIONAL = 1;
/** Go on only with a certificate that is valid, trusted and for the right host. */
export const CERT_REQUIRED = 2;

/** {@linkcode CERT_NONE}, {@linkcode CERT_OPTIONAL} or {@linkcode CERT_REQUIRED}. */
export type CertReqs = 0 | 1 | 2;

/** What both a config and the contexts above it take as it is. */
export interface PolicyOptions {
  /** Whether we are the server. @default {false} */
  serverSide?: boolean;
  /** What to ask of the peer's certificate. @default {CERT_REQUIRED for a client, CERT_NONE for a server} */
  certReqs?: CertReqs;
  /** One version, or the lowest and highest. @default {TLS 1.2 to TLS 1.3} */
  sslVersion?: TLSVersion | { minimum?: TLSVersion; maximum?: TLSVersion };
  /** Cipher suites by name, best first, IANA's or mbedTLS's spelling. @default {forward secret ones, by the core's speed} */
  ciphers?: readonly string[];
  /** Groups of the key exchange by name, best first: `"x25519"`, `"secp256r1"` ... */
  groups?: readonly string[];
  /** Signature schemes by IANA name, best first. A SHA-1 scheme also admits certificates signed with SHA-1. */
  sigalgs?: readonly string[];
  /** ALPN protocol names, best first (RFC 7301). */
  alpnProtocols?: readonly string[];
  /** Whether the certificate must be for `serverHostname`. @default {true} */
  checkHostname?: boolean;
  /** Whether the CN may name the host when the certificate has no SAN; RFC 9525 says no. @default {false} */
  allowCommonName?: boolean;
  /**
   * Bytes of plaintext in a record, 512, 1024, 2048 or 4096: a client agrees on it with the server (RFC 6066 section 4), a
   * server keeps to it. A client that speaks TLS 1.3 alone cannot ask for it. @default {16384}
   */
  maxFragmentLength?: 512 | 1024 | 2048 | 4096;
  /** A pre-shared key instead of certificates. */
  psk?: { identity: string | Uint8Array; key: Uint8Array };
  /** Server: the keys of session tickets; `false`: none. Client: `false` asks for none. @default {one ring for the process} */
  tickets?: TicketKeyRing | false;
  /** Server: sessions to keep for TLS 1.2 clients without tickets; 0: none. @default {256} (as rustls) */
  sessionCacheSize?: number;
  /** TLS 1.2: follow a peer that asks to renegotiate. @default {false} */
  renegotiation?: boolean;
  /**
   * Server, TLS 1.2: let the client's order of suites decide, as it always does in TLS 1.3: one without AES instructions asks
   * for ChaCha20-Poly1305 first, others for AES-GCM. `false`: ours decides, which is that of {@linkcode ciphers} or of the
   * core's speed, ChaCha20-Poly1305 before AES-GCM before CBC. @default {true}
   */
  preferClientOrder?: boolean;
  /** Takes each secret as a line of an NSS key log: who has it can read the traffic. */
  keyLog?: (line: string) => void;
}

/** Options of a {@linkcode TLSConfig}: {@linkcode PolicyOptions} and bytes. */
export interface TLSConfigOptions extends PolicyOptions {
  /** Our certificate chain with its key. */
  credential?: { chain: Source; key: Source; password?: string | undefined };
  /** Trusted certificates; none: a client trusts the Mozilla roots that Deno ships. */
  trust?: readonly Source[];
}

const ROOTS = "mozilla";
const FRAGMENT_CODES: ReadonlyMap<number | undefined, number> = new Map([
  [undefined, 0],
  [512, 1],
  [1024, 2],
  [2048, 3],
  [4096, 4],
]);
/** Tickets after a TLS 1.3 handshake: two, as OpenSSL, so that two connections can resume at once. */
const NEW_SESSION_TICKETS = 2;
/** Seconds that a server without tickets keeps a session: as long as a ticket would live. */
const CACHE_LIFETIME = 43200;
/** Bytes of a pre-shared key: MBEDTLS_PSK_MAX_LEN of wasm/config/default.h; a test compares them. */
export const PSK_MAX = 256;
/** Option bits of wasm/glue/tlsio.h; a test compares them. */
export const OPTION = {
  ALLOW_COMMON_NAME: 1,
  RENEGOTIATION: 2,
  SHA1: 4,
  KEY_LOG: 8,
  CLIENT_ORDER: 16,
} as const;

/** A config in one core, with the engines that use it. */
interface Built {
  readonly core: Core;
  readonly handle: number;
  readonly trust: number; // 0: none, or shared
  generation: number;
}

/**
 * What many connections share. The constructor checks everything and throws before any I/O.
 *
 * @throws {TypeError} An option of the wrong type, or an unknown name of a suite, group or scheme.
 * @throws {RangeError} An option out of range.
 * @throws {SSLError} `kind: "config"`: a certificate or key that does not parse, or does not match.
 */
export class TLSConfig {
  /** The checked options. */
  readonly options: Readonly<TLSConfigOptions>;
  /** Whether we are the server. */
  readonly serverSide: boolean;
  /** What is asked of the peer's certificate. */
  readonly certReqs: CertReqs;
  /** A hash of what a session must share to be resumed: whom we trust, how strictly, and who we are. Hexadecimal. */
  readonly trustId: string;
  readonly #core: Core | undefined;
  readonly #ring: TicketKeyRing | undefined;
  #built: Built | undefined;
  #engines = 0;
  #disposed = false;

  /**
   * Builds a config.
   *
   * @param options What to build.
   * @param core An instance of its own instead of the shared one; it is not replaced when it traps.
   */
  constructor(options: TLSConfigOptions = {}, core?: Core) {
    this.options = options;
    this.serverSide = options.serverSide ?? false;
    this.certReqs = options.certReqs ?? (this.serverSide ? CERT_NONE : CERT_REQUIRED);
    this.#core = core;
    checkOptions(options, this.serverSide, this.certReqs);
    if (this.serverSide && options.tickets !== false) this.#ring = options.tickets ?? TicketKeyRing.shared();
    this.trustId = this.#hashTrust();
    this.#build();
  }

  /** Throws a `TypeError` if a client that must check the server does not know its name. */
  assertHost(hostname: string | undefined): void {
    const { checkHostname, psk } = this.options;
    if (hostname?.includes("\0")) throw new TypeError("Cannot use serverHostname: it holds a NUL");
    if (hostname !== undefined || this.serverSide || checkHostname === false || psk !== undefined) return;
    if (this.certReqs === CERT_REQUIRED) {
      throw new TypeError("Cannot check the server: CERT_REQUIRED needs serverHostname");
    }
  }

  /** Whether a session of `version` can be offered or resumed. */
  speaks(version: string): boolean {
    const { minimum, maximum } = versionRange(this.options);
    return versionName(minimum) === version || versionName(maximum) === version;
  }

  /** The handle of this config in its core, for a new engine; {@linkcode TLSConfig.release} gives it back. */
  acquire(): { core: Core; handle: number } {
    if (this.#disposed) throw new TypeError("Cannot use TLSConfig: it is disposed");
    if (this.#built === undefined || this.#built.core.retired) this.#build();
    const built = this.#built!;
    if (this.#ring !== undefined && this.#ring.generation !== built.generation) {
      this.#setTickets(built, this.#ring);
    }
    this.#engines++;
    return built;
  }

  /** An engine is done with the config. */
  release(): void {
    this.#engines--;
    if (this.#disposed && this.#engines === 0) this.#free();
  }

  /** Frees the config once the last connection that uses it has closed. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#engines === 0) this.#free();
  }

  #free(): void {
    if (this.#built !== undefined) freeBuilt(this.#built);
    BUILT.unregister(this);
    this.#built = undefined;
  }

  #hashTrust(): string {
    const { trust, checkHostname, allowCommonName, sigalgs } = this.options;
    const core = this.#core ?? Core.shared();
    const facts = JSON.stringify([this.serverSide, this.certReqs, checkHostname, allowCommonName, sigalgs]);
    const parts = [encodeText(facts)];
    if (this.certReqs !== CERT_NONE) {
      if (trust === undefined) parts.push(encodeText(ROOTS));
      for (const { bytes } of trust ?? []) parts.push(encodeText(`${bytes.length}:`), bytes);
    }
    if (this.options.credential !== undefined) {
      parts.push(encodeText(identityOf(core, this.options.credential.chain.bytes)));
    }
    const { psk } = this.options;
    if (psk !== undefined) {
      const identity = typeof psk.identity === "string" ? encodeText(psk.identity) : psk.identity;
      parts.push(encodeText(`psk ${identity.length}:`), identity as Bytes);
      if (this.serverSide) parts.push(psk.key as Bytes); // a client's hash leaves the process with its sessions
    }
    const all = concat(parts);
    const hash = core.sha256(all).toHex();
    all.fill(0);
    return hash;
  }

  #build(): void {
    const core = this.#core ?? Core.shared();
    const { call } = core;
    const handle = call.config_new(this.serverSide ? 1 : 0);
    if (handle === 0) throw new SSLError("Cannot create TLSConfig: out of memory", OUT_OF_MEMORY);
    let trust = 0;
    try {
      trust = this.#setTrust(core, handle);
      this.#setPolicy(core, handle);
      this.#setCredential(core, handle);
    } catch (error) {
      freeBuilt({ core, handle, trust, generation: 0 });
      throw error;
    }
    const built = { core, handle, trust, generation: -1 };
    this.#built = built;
    BUILT.register(this, built, this);
    const { tickets, sessionCacheSize = 256 } = this.options;
    if (this.#ring !== undefined) this.#setTickets(built, this.#ring);
    if (this.serverSide && sessionCacheSize > 0) {
      call.config_set_cache(handle, sessionCacheSize, this.#ring?.lifetime ?? CACHE_LIFETIME);
    }
    call.config_use_tickets(handle, tickets === false ? 0 : 1, NEW_SESSION_TICKETS);
  }

  #setPolicy(core: Core, handle: number): void {
    const options = this.options;
    const { call } = core;
    const { minimum, maximum } = versionRange(options);
    const sigalgs = options.sigalgs === undefined ? defaultSigalgs(core) : sigalgIds(options.sigalgs);
    const bits = (options.allowCommonName ? OPTION.ALLOW_COMMON_NAME : 0) |
      (options.renegotiation ? OPTION.RENEGOTIATION : 0) |
      (usesSha1(sigalgs) ? OPTION.SHA1 : 0) |
      (options.keyLog ? OPTION.KEY_LOG : 0) |
      (options.preferClientOrder ?? true ? OPTION.CLIENT_ORDER : 0);
    const fragment = FRAGMENT_CODES.get(options.maxFragmentLength)!;
    core.check(
      "set the TLS policy",
      call.config_set_policy(handle, this.certReqs, minimum, maximum, fragment, bits),
    );
    if (options.psk !== undefined) this.#setPsk(core, handle, options.psk);

    const psk = options.psk !== undefined;
    const suites = options.ciphers === undefined ? defaultSuites(core, psk) : suiteIds(core, options.ciphers);
    const groups = options.groups === undefined ? [...GROUPS.values()] : groupIds(options.groups);
    const set = (list: Int32Array | Uint16Array, setter: (c: number, at: number, n: number) => number) =>
      core.check("set the TLS policy", core.with([list], (at) => setter(handle, at!, list.length)));
    set(Int32Array.from(suites), call.config_set_suites);
    set(Uint16Array.from(groups), call.config_set_groups);
    set(Uint16Array.from(sigalgs), call.config_set_sigalgs);

    const names = (options.alpnProtocols ?? []).map((name) => encodeText(`${name}\0`));
    if (names.length > 0) {
      const joined = concat(names);
      const set = (at?: number) => call.config_set_alpn(handle, at!, joined.length, names.length);
      core.check("set alpnProtocols", core.with([joined], set));
    }
  }

  #setPsk(core: Core, handle: number, { identity, key }: NonNullable<PolicyOptions["psk"]>): void {
    const name = typeof identity === "string" ? encodeText(identity) : identity;
    const set = (keyAt?: number, nameAt?: number) =>
      core.call.config_set_psk(handle, keyAt!, key.length, nameAt!, name.length);
    core.check("set psk", core.with([key, name], set));
  }

  #setCredential(core: Core, handle: number): void {
    if (this.options.credential === undefined) return;
    const { chain, key, password = "" } = this.options.credential;
    const secret = encodeText(password);
    const inputs = [chain.bytes, key.bytes, secret, new Int32Array(1)];
    core.with(inputs, (chainAt, keyAt, secretAt, where) => {
      const code = core.call.config_add_credential(
        handle,
        chainAt!,
        parseLength(chain.bytes),
        keyAt!,
        parseLength(key.bytes),
        secretAt!,
        secret.length,
        where!,
      );
      if (code !== 0) throw credentialError(code, core.int32s(where!, 1)[0]!, chain, key);
    });
  }

  /** Returns the handle to free with the config; 0 when the trust is shared or none. */
  #setTrust(core: Core, handle: number): number {
    if (this.certReqs === CERT_NONE) return 0;
    const { trust: sources } = this.options;
    const trust = sources === undefined ? core.defaultTrust(() => loadRoots(core)) : loadTrust(core, sources);
    core.check("set caCerts", core.call.config_set_trust(handle, trust));
    return sources === undefined ? 0 : trust;
  }

  #setTickets(built: Built, ring: TicketKeyRing): void {
    const { core, handle } = built;
    const keys = ring.keys();
    const context = Uint8Array.fromHex(this.trustId);
    const secrets = concat([EMPTY, ...keys]);
    const set = (keysAt?: number, contextAt?: number) =>
      core.call.config_set_tickets(handle, keysAt!, keys.length, ring.lifetime, contextAt!);
    core.check("set the ticket keys", core.with([secrets, context], set));
    secrets.fill(0);
    built.generation = ring.generation;
  }
}

const OUT_OF_MEMORY = { kind: "internal", code: CODE.ALLOC_FAILED } as const;

/** Frees the configs that nobody disposed of. */
const BUILT = new FinalizationRegistry<Built>(freeBuilt);

function freeBuilt({ core, handle, trust }: Built): void {
  if (core.retired) return;
  core.call.config_free(handle);
  core.call.trust_free(trust);
}

function checkOptions(options: TLSConfigOptions, serverSide: boolean, certReqs: number): void {
  if (certReqs !== CERT_NONE && certReqs !== CERT_OPTIONAL && certReqs !== CERT_REQUIRED) {
    throw new RangeError(
      `Cannot use certReqs: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got ${certReqs}`,
    );
  }
  if (serverSide && options.credential === undefined && options.psk === undefined) {
    throw new TypeError("Cannot create a TLS server: it needs certfile and keyfile, or psk");
  }
  if (serverSide && certReqs !== CERT_NONE && options.trust === undefined) {
    throw new TypeError("Cannot check client certificates: caCerts is missing");
  }
  for (const option of ["ciphers", "groups", "sigalgs", "alpnProtocols"] as const) {
    assertNames(option, options[option], option === "alpnProtocols" ? 0 : 1);
  }
  for (const name of options.alpnProtocols ?? []) {
    const { length } = encodeText(name);
    if (length < 1 || length > 255 || name.includes("\0")) {
      throw new RangeError(
        `Cannot use alpnProtocols: a name has 1 to 255 bytes and no NUL, got ${length} bytes`,
      );
    }
  }
  if (!FRAGMENT_CODES.has(options.maxFragmentLength)) {
    throw new RangeError(
      `Cannot use maxFragmentLength: expected 512, 1024, 2048 or 4096, got ${options.maxFragmentLength}`,
    );
  }
  if (options.psk !== undefined) {
    const { key, identity } = options.psk;
    assertBytes("psk.key", key);
    if (typeof identity !== "string") assertBytes("psk.identity", identity);
    if (key.length < 1 || key.length > PSK_MAX) {
      throw new RangeError(`Cannot use psk: a key has 1 to ${PSK_MAX} bytes, got ${key.length}`);
    }
  }
  if (options.keyLog !== undefined && typeof options.keyLog !== "function") {
    throw new TypeError(`Cannot use keyLog: expected a function, got ${typeName(options.keyLog)}`);
  }
  const { tickets, sessionCacheSize = 0 } = options;
  if (tickets !== undefined && tickets !== false && !(tickets instanceof TicketKeyRing)) {
    throw new TypeError(`Cannot use tickets: expected a TicketKeyRing or false, got ${typeName(tickets)}`);
  }
  if (!Number.isSafeInteger(sessionCacheSize) || sessionCacheSize < 0) {
    throw new RangeError(`Cannot use sessionCacheSize: expected a whole number, got ${sessionCacheSize}`);
  }
}

function assertNames(option: string, list: unknown, atLeast: number): void {
  if (list === undefined) return;
  if (!Array.isArray(list) || list.length < atLeast || list.some((name) => typeof name !== "string")) {
    throw new TypeError(
      `Cannot use ${option}: expected a list of ${atLeast ? "at least one name" : "names"}`,
    );
  }
}

/**
 * Whom a certificate is for. A server must not resume what another one began, or a client could be led from the one to the
 * other without noticing (Delignat-Lavaud and Bhargavan, "Virtual host confusion"); a renewed certificate goes on.
 */
function identityOf(core: Core, chain: Bytes): string {
  try {
    const { subject, subjectAltName = [] } = readCertificate(core, chain);
    return JSON.stringify([subject, subjectAltName]);
  } catch {
    return ""; // not a certificate: #setCredential() says so, naming the option
  }
}

function versionRange(
  { sslVersion, serverSide, maxFragmentLength }: PolicyOptions,
): { minimum: number; maximum: number } {
  if (sslVersion !== undefined && typeof sslVersion !== "number" && typeof sslVersion !== "object") {
    throw new TypeError(
      `Cannot use sslVersion: expected one of TLSVersion or a range, got ${typeName(sslVersion)}`,
    );
  }
  const { minimum = TLSVersion.TLSv1_2, maximum = TLSVersion.TLSv1_3 } = typeof sslVersion === "number"
    ? { minimum: sslVersion, maximum: sslVersion }
    : sslVersion ?? {};
  if (maxFragmentLength !== undefined && !serverSide && minimum === TLSVersion.TLSv1_3) {
    throw new TypeError("Cannot use maxFragmentLength: a client needs sslVersion TLS 1.2 for it");
  }
  const known: number[] = Object.values(TLSVersion);
  if (!known.includes(minimum) || !known.includes(maximum) || minimum > maximum) {
    throw new RangeError(
      `Cannot use sslVersion: expected TLS 1.2 to TLS 1.3, got 0x${Number(minimum).toString(16)} to 0x${
        Number(maximum).toString(16)
      }`,
    );
  }
  return { minimum, maximum };
}

/** mbedTLS 3.6.6 fails with TLS-1.2-only servers that sign with RSA unless PKCS#1 comes first (Mbed-TLS#10668). */
function defaultSigalgs(core: Core): number[] {
  const ids = [...SIGALGS.values()];
  const isPss = (id: number) => id >> 8 === 8;
  return core.version.startsWith("3.6.6") ? ids.sort((a, b) => Number(isPss(a)) - Number(isPss(b))) : ids;
}
