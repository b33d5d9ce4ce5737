/**
 * TLSConfig: certificates, trust, versions, suites, tickets. Built once, checked at once, shared by many connections.
 *
 * @module
 */

import { type Bytes, concat, EMPTY, encodeText } from "./bytes.ts";
import { addCredential, addCrls, setPolicy, setTrust, suitesFor } from "./configure.ts";
import { Core } from "./core.ts";
import { CODE, SSLError } from "./errors.ts";
import { readCertificate } from "./peer_certificate.ts";
import { functionId, peerPolicyFacts } from "./peer_policy.ts";
import {
  CERT_NONE,
  CERT_REQUIRED,
  type CertReqs,
  checkOptions,
  credentialsOf,
  type OwnCredential,
  type TLSConfigOptions,
  usesPsk,
  versionRange,
} from "./policy.ts";
import {
  DTLS_VERSION,
  isTLS13Suite,
  needsCertificate,
  type Suite,
  suiteOf,
  TLSVersion,
  versionName,
} from "./suites.ts";
import type { SessionCache } from "./session_cache.ts";
import { type SessionStats, Tally } from "./tally.ts";
import { TicketKeyRing } from "./tickets.ts";

const ROOTS = "mozilla";
/** Tickets after a TLS 1.3 handshake: two, as OpenSSL, so that two connections can resume at once. */
const NUM_TICKETS = 2;
/** Seconds that a server without tickets keeps a session: as long as a ticket would live. */
const CACHE_LIFETIME = 43200;

/** Certificates that a config is kept for: some 20 KB each, and a shared front end of that many hosts is a large one. */
export const DERIVED_MAX = 1000;

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
  readonly #core: () => Core;
  readonly #ring: TicketKeyRing | undefined;
  #tally: Tally; // shared with those that differ by the certificate alone
  #built: Built | undefined;
  #engines = 0;
  #disposed = false;
  readonly #derived = new Map<object, TLSConfig>(); // by certificate, the one that was used last at the end

  /**
   * Builds a config.
   *
   * @param options What to build.
   * @param core An instance of its own instead of the shared one, which is not replaced when it traps; or what gives the one to
   *   use.
   */
  constructor(options: TLSConfigOptions = {}, core: Core | (() => Core) = () => Core.shared()) {
    this.options = options;
    this.serverSide = options.serverSide ?? false;
    this.certReqs = options.certReqs ?? (this.serverSide ? CERT_NONE : CERT_REQUIRED);
    this.#core = typeof core === "function" ? core : () => core;
    checkOptions(options, this.serverSide, this.certReqs);
    if (this.serverSide && options.tickets !== false) this.#ring = options.tickets ?? TicketKeyRing.shared();
    this.trustId = this.#hashTrust();
    this.#tally = new Tally(options.onTicket);
    this.#build();
  }

  /** Whether the peer proves who it is by a pre-shared key alone. */
  get #needsNoCertificate(): boolean {
    return usesPsk(this.options) && !(this.options.ciphers ?? []).some(needsCertificate);
  }

  /** Throws a `TypeError` if a client that must check the server does not know its name. */
  assertHost(hostname: string | undefined): void {
    const { checkHostname } = this.options;
    if (hostname?.includes("\0")) throw new TypeError("Cannot use serverHostname: it holds a NUL");
    if (hostname !== undefined || this.serverSide || checkHostname === false) return;
    if (this.#needsNoCertificate) return;
    if (this.certReqs === CERT_REQUIRED) {
      throw new TypeError("Cannot check the server: CERT_REQUIRED needs serverHostname");
    }
  }

  /** Whether a session of `version` can be offered or resumed. */
  speaks(version: string): boolean {
    if (this.options.datagrams !== undefined) return version === DTLS_VERSION;
    const { minimum, maximum } = versionRange(this.options);
    return versionName(minimum) === version || versionName(maximum) === version;
  }

  /** The cipher suites that it may agree on, in its order. */
  suites(): Suite[] {
    const core = this.#core();
    const { minimum, maximum } = versionRange(this.options);
    return suitesFor(core, this.options).map((id) => suiteOf(core, id)!).filter(({ name }) =>
      isTLS13Suite(name) ? maximum >= TLSVersion.TLSv1_3 : minimum <= TLSVersion.TLSv1_2
    );
  }

  /** How many handshakes there were, and how they went. */
  stats(): SessionStats {
    const all = [this, ...this.#derived.values()];
    const sum = (full: number) => all.reduce((total, config) => total + config.#cached(full), 0);
    return this.#tally.stats(this.serverSide, sum(0), sum(1));
  }

  #cached(full: number): number {
    const built = this.#built;
    return built === undefined || built.core.retired ? 0 : built.core.call.config_cached(built.handle, full);
  }

  /** @internal For engines: what it counts of its handshakes. */
  get tally(): Tally {
    return this.#tally;
  }

  /** The handle of this config in its core, for a new engine; {@linkcode TLSConfig.release} gives it back. */
  acquire(): { core: Core; handle: number } {
    const built = this.#current();
    if (this.#ring !== undefined && this.#ring.generation !== built.generation) {
      this.#setTickets(built, this.#ring);
    }
    this.#engines++;
    return built;
  }

  /** This config in a core that runs. */
  #current(): Built {
    if (this.#disposed) throw new TypeError("Cannot use TLSConfig: it is disposed");
    const core = this.#core();
    if (this.#built?.core !== core || core.retired) this.#build();
    return this.#built!;
  }

  /** An engine is done with the config. */
  release(): void {
    this.#engines--;
    if (this.#disposed && this.#engines === 0) this.#free();
  }

  /** DTLS server: a cookie for `asker`, a client's id with the random of its hello behind it. */
  writeCookie(asker: Bytes): Bytes {
    const { core, handle } = this.#current();
    const fill = (at: number, size: number) =>
      core.with([asker], (id) => core.call.config_write_cookie(handle, id!, asker.length, at, size));
    return core.collect("write a cookie", fill);
  }

  /** DTLS server: whether `cookie` is one of ours, for `asker`, and not too old. */
  checkCookie(asker: Bytes, cookie: Bytes): boolean {
    const { core, handle } = this.#current();
    return core.with([asker, cookie], (id, at) => {
      const { length } = cookie;
      const isGood = core.call.config_check_cookie(handle, id!, asker.length, at!, length);
      return core.check("check a cookie", isGood) === 1;
    });
  }

  /**
   * Gives `use` the same policy with another certificate. That config is made once for each of the {@linkcode DERIVED_MAX}
   * certificates that were used last; its engines keep it.
   */
  withCertificate(
    certificate: { readonly credentials: readonly OwnCredential[] },
    use: (config: TLSConfig) => void,
  ): void {
    const known = this.#derived.get(certificate);
    const config = known ??
      new TLSConfig({ ...this.options, credential: certificate.credentials }, this.#core);
    config.#tally = this.#tally;
    try {
      use(config);
    } finally {
      this.#derived.delete(certificate);
      if (this.#disposed) config[Symbol.dispose](); // of a context that has just been replaced: its last handshakes
      else this.#derived.set(certificate, config);
      if (this.#derived.size > DERIVED_MAX) {
        const [oldest, unused] = this.#derived.entries().next().value!;
        this.#derived.delete(oldest);
        unused[Symbol.dispose]();
      }
    }
  }

  /** Frees the config once the last connection that uses it has closed. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const config of this.#derived.values()) config[Symbol.dispose]();
    this.#derived.clear();
    if (this.#engines === 0) this.#free();
  }

  #free(): void {
    if (this.#built !== undefined) freeBuilt(this.#built);
    BUILT.unregister(this);
    this.#built = undefined;
  }

  #hashTrust(): string {
    const { trust, checkHostname, allowCommonName, sigalgs, minRsaBits, datagrams, behaviour } = this.options;
    const core = this.#core();
    const checks: unknown[] = [
      this.serverSide,
      this.certReqs,
      checkHostname,
      allowCommonName,
      sigalgs,
      minRsaBits,
    ];
    if (datagrams !== undefined) checks.push(DTLS_VERSION);
    if (behaviour !== undefined) checks.push(behaviour.profile); // a device's core checks less
    const parts = [encodeText(JSON.stringify(checks.concat(peerPolicyFacts(core, this.options) ?? [])))];
    if (this.certReqs !== CERT_NONE) {
      if (trust === undefined) parts.push(encodeText(ROOTS));
      for (const { bytes } of trust ?? []) parts.push(encodeText(`${bytes.length}:`), bytes);
    }
    const names = credentialsOf(this.options).map(({ chain }) => identityOf(core, chain.bytes));
    for (const name of new Set(names.sort())) parts.push(encodeText(name)); // one host's RSA and ECDSA have the same
    const { psk, pskCallback } = this.options;
    if (pskCallback !== undefined) parts.push(encodeText(`psk ${functionId(pskCallback)}`));
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
    const core = this.#core();
    const { call } = core;
    const handle = call.config_new(this.serverSide ? 1 : 0);
    if (handle === 0) throw new SSLError("Cannot create TLSConfig: out of memory", OUT_OF_MEMORY);
    let trust = 0;
    try {
      const isIdle = this.certReqs === CERT_NONE ||
        (this.options.trust === undefined && this.#needsNoCertificate);
      if (!isIdle) trust = setTrust(core, handle, this.options.trust);
      setPolicy(core, handle, this.certReqs, this.options);
      credentialsOf(this.options).forEach((own, number) => addCredential(core, handle, own, number));
      if (this.options.crls !== undefined) addCrls(core, handle, this.options.crls);
    } catch (error) {
      freeBuilt({ core, handle, trust, generation: 0 });
      throw error;
    }
    const built = { core, handle, trust, generation: -1 };
    this.#built = built;
    BUILT.register(this, built, this);
    const { tickets, numTickets = NUM_TICKETS, sessionCacheSize = 256 } = this.options;
    if (this.#ring !== undefined) this.#setTickets(built, this.#ring);
    if (this.serverSide && sessionCacheSize > 0) {
      call.config_set_cache(handle, sessionCacheSize, this.cacheLifetime);
      if (this.options.sessionCache !== undefined) this.#shareSessions(built, this.options.sessionCache);
    }
    call.config_use_tickets(handle, tickets === false ? 0 : 1, numTickets);
  }

  /** @internal Seconds for which a server keeps a session. */
  get cacheLifetime(): number {
    return this.#ring?.lifetime ?? CACHE_LIFETIME;
  }

  #shareSessions({ core, handle }: Built, { idKeys }: SessionCache): void {
    const keys = concat([EMPTY, ...idKeys]);
    const set = (keysAt?: number, contextAt?: number) =>
      core.call.config_share_sessions(handle, keysAt!, idKeys.length, contextAt!);
    core.check("share sessions", core.with([keys, Uint8Array.fromHex(this.trustId)], set));
    keys.fill(0);
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
  core.whenIdle(() => {
    if (core.retired) return;
    core.call.config_free(handle);
    core.call.trust_free(trust);
  });
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
