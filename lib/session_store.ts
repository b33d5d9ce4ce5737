/**
 * SessionStore: where a client context keeps its sessions, so that its connections resume by themselves.
 *
 * ```text
 *   SSLContext { sessionStore }   -- take(key) -->  SessionStore   before a handshake: what to offer
 *                                 -- put(key) --->                 each session as the server gives it
 *                                 -- delete(key) ->                a handshake failed with what was offered
 * ```
 *
 * @module
 */

import { typeName } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import { SSLSession } from "./session.ts";

/**
 * Keeps sessions by key. The methods may wait, on a disk or a network; a store that fails, or takes longer than a second to
 * answer, costs a connection its resumption and nothing else: that is reported with `console.error`.
 *
 * Sessions are secret: whoever reads them can read the connections that resume them. `SSLSession.toBytes()` makes bytes of
 * one. The key names the host and port, and holds a hash of the trust: whom the context trusts, and who we are.
 */
export interface SessionStore {
  /**
   * Takes a session to offer. A TLS 1.3 ticket (`session.facts.version`) is for one use, so that nobody can tell that two
   * connections are of the same client (RFC 8446 appendix C.4): a second call must not give it again.
   *
   * @param key The host and the trust.
   * @returns The session or its bytes; `undefined`: there is none.
   */
  take(key: string): Stored | undefined | Promise<Stored | undefined>;
  /**
   * Keeps a session, for {@linkcode SSLSession.timeout} seconds at most. A TLS 1.3 server gives several, one after another;
   * a TLS 1.2 session takes the place of the one before.
   *
   * @param key The host and the trust.
   * @param session The session.
   */
  put(key: string, session: SSLSession): void | Promise<void>;
  /**
   * Forgets what it has for a key.
   *
   * @param key The host and the trust.
   */
  delete(key: string): void | Promise<void>;
}

/** What a store gives: a session, or what `toBytes()` made of one. */
export type Stored = SSLSession | Uint8Array;

/** Options of a {@linkcode MemorySessionStore}. */
export interface MemorySessionStoreOptions {
  /** Keys to keep; the one that was not used for the longest time makes room. @default {256} (as rustls) */
  capacity?: number;
  /** TLS 1.3 tickets to keep for a key, the newest. @default {8} (as rustls) */
  ticketsPerKey?: number;
  /** The clock: milliseconds since the Unix epoch. @default {Date.now} */
  now?: () => number;
}

/**
 * Keeps sessions in memory, bounded, and no longer than they are good for.
 *
 * @example Connections that resume by themselves
 * ```ts
 * import { createCertificate, MemorySessionStore, SSLContext } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate } = createCertificate({ subject: "CN=My CA", isCA: true });
 * const sessionStore = new MemorySessionStore({ capacity: 100 });
 * using context = await SSLContext.create({ caCerts: certificate, sessionStore });
 * assertEquals([context.serverSide, sessionStore.size], [false, 0]);
 * ```
 */
export class MemorySessionStore implements SessionStore {
  readonly #capacity: number;
  readonly #ticketsPerKey: number;
  readonly #now: () => number;
  readonly #sessions = new Map<string, SSLSession[]>(); // the key that was used last is the last one

  /**
   * Makes an empty store.
   *
   * @param options Its bounds.
   * @throws {RangeError} If a bound is not a whole number of at least 1.
   * @throws {TypeError} If `now` is not a function.
   */
  constructor({ capacity = 256, ticketsPerKey = 8, now = Date.now }: MemorySessionStoreOptions = {}) {
    for (const [name, bound] of Object.entries({ capacity, ticketsPerKey })) {
      if (!Number.isSafeInteger(bound) || bound < 1) {
        throw new RangeError(`Cannot use ${name}: expected a whole number of at least 1, got ${bound}`);
      }
    }
    if (typeof now !== "function") {
      throw new TypeError(`Cannot use now: expected a function, got ${typeName(now)}`);
    }
    this.#capacity = capacity;
    this.#ticketsPerKey = ticketsPerKey;
    this.#now = now;
  }

  /** How many sessions it holds. */
  get size(): number {
    return [...this.#sessions.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Takes the newest session of `key` that is still good; a TLS 1.3 ticket is gone then. */
  take(key: string): SSLSession | undefined {
    const sessions = this.#fresh(key);
    const newest = sessions.at(-1);
    if (newest?.facts.version === "TLSv1.3") sessions.pop();
    this.#set(key, sessions);
    return newest;
  }

  /** Keeps a session of `key`. */
  put(key: string, session: SSLSession): void {
    const isTicket = session.facts.version === "TLSv1.3";
    const others = isTicket ? this.#fresh(key).filter(({ facts }) => facts.version === "TLSv1.3") : [];
    this.#set(key, [...others, session].slice(-this.#ticketsPerKey));
    for (const oldest of this.#sessions.keys()) {
      if (this.#sessions.size <= this.#capacity) break;
      this.#sessions.delete(oldest);
    }
  }

  /** Forgets the sessions of `key`. */
  delete(key: string): void {
    this.#sessions.delete(key);
  }

  /** The sessions of `key` that are still good. */
  #fresh(key: string): SSLSession[] {
    const now = this.#now();
    return (this.#sessions.get(key) ?? []).filter(({ facts, timeout }) =>
      now < facts.created + timeout * 1000
    );
  }

  #set(key: string, sessions: SSLSession[]): void {
    this.#sessions.delete(key);
    if (sessions.length > 0) this.#sessions.set(key, sessions);
  }

  /** Shows how much it holds, never its sessions. */
  [Symbol.for("Deno.customInspect")](): string {
    return `MemorySessionStore { size: ${this.size} }`;
  }
}

/** Seconds to wait for a store: a full handshake takes no longer. */
const TAKE_TIMEOUT = 1;

/** One connection's use of a store. It never fails. */
export class Resumption {
  readonly #store: SessionStore;
  readonly #key: string;

  constructor(store: SessionStore, key: string) {
    this.#store = store;
    this.#key = key;
  }

  /** What to offer. `isDeferred`: nobody watches the handshake, so that a session must not wait there to fail again. */
  async take(isDeferred: boolean): Promise<SSLSession | undefined> {
    try {
      const late = () => new Error(`timed out after ${TAKE_TIMEOUT} second`);
      const found = await inTime(Promise.resolve(this.#store.take(this.#key)), TAKE_TIMEOUT, late);
      if (found === undefined) return undefined;
      const session = found instanceof Uint8Array ? SSLSession.from(found) : found;
      if (session instanceof SSLSession) {
        if (isDeferred && session.facts.version === "TLSv1.2") this.failed(); // when it is good, it is put back
        return session;
      }
      throw new TypeError(`take() gave neither an SSLSession nor its bytes, but ${typeName(session)}`);
    } catch (error) {
      report(error);
      return undefined;
    }
  }

  /** Keeps a session that has come. */
  readonly put = (session: SSLSession): void => attempt(() => this.#store.put(this.#key, session));

  /** The handshake failed: what was offered may be why. */
  failed(): void {
    attempt(() => this.#store.delete(this.#key));
  }
}

function attempt(use: () => void | Promise<void>): void {
  try {
    Promise.resolve(use()).catch(report);
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  console.error("Cannot use sessionStore; the connection goes on without:", error);
}

/** Throws a `TypeError` unless `value` is a store. */
export function assertStore(value: unknown): asserts value is SessionStore {
  const methods = ["take", "put", "delete"] as const;
  const store = value as Partial<SessionStore> | null;
  if (typeof store === "object" && methods.every((method) => typeof store?.[method] === "function")) return;
  throw new TypeError(
    `Cannot use sessionStore: expected an object with take(), put() and delete(), got ${typeName(value)}`,
  );
}
