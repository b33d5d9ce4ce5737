/**
 * SharedSessionStore: a client's sessions in a store that its processes share, sealed.
 *
 * @module
 */

import { type Bytes, concat, encodeText } from "../bytes.ts";
import { inTime } from "../deadline.ts";
import { SSLSession } from "../session.ts";
import type { SessionStore } from "../session_store.ts";
import { assertSharedStore, type SharedEntry, type SharedStore, VALUE_MAX } from "./store.ts";
import { assertStoreKey, SEAL_OVERHEAD, SealError, type StoreKey } from "./store_key.ts";

const CONTENTION = 8; // others that may be faster, one after another; then the connection goes on without, before TIMEOUT
const TIMEOUT = 0.5; // seconds; a handshake waits for it, and a full one takes less
const FIRST_PAUSE = 0.5; // seconds that a store which failed is left alone; doubles
const LONGEST_PAUSE = 30; // seconds
const LIFETIME_MAX = 7 * 24 * 3600; // seconds (RFC 8446 section 4.6.1), whatever a server promises
const LENGTH = 4; // bytes in front of each session

/** Options of a {@linkcode SharedSessionStore}. */
export interface SharedSessionStoreOptions {
  /** Where the sessions are. Who opened it closes it. */
  store: SharedStore;
  /** What seals them there. */
  storeKey: StoreKey;
  /** TLS 1.3 tickets to keep for a key, the newest. @default {8} (as rustls) */
  ticketsPerKey?: number;
}

/**
 * A client's sessions, shared by its processes: the next connection resumes, whichever of them makes it. Each TLS 1.3 ticket
 * is given once, to one of them. The names in the store are hashes: who reads it does not learn with whom the client speaks.
 *
 * A store that is down or slow is left alone for a while, longer each time: connections are then made without a session, and
 * without a wait.
 *
 * @example
 * ```ts
 * import { createCertificate, SSLContext } from "tlsio";
 * import { MemoryStore, SharedSessionStore, StoreKey } from "tlsio/stores";
 *
 * const { certificate } = createCertificate({ subject: "CN=My CA", isCA: true });
 * await using store = new MemoryStore();
 * const storeKey = await StoreKey.from(crypto.getRandomValues(new Uint8Array(32)));
 * const sessionStore = new SharedSessionStore({ store, storeKey });
 * using context = await SSLContext.create({ caCerts: certificate, sessionStore });
 * ```
 */
export class SharedSessionStore implements SessionStore {
  readonly #store: SharedStore;
  readonly #storeKey: StoreKey;
  readonly #ticketsPerKey: number;
  #failures = 0; // pauses since it last answered
  #pausedUntil = 0;

  /**
   * Makes a store of sessions.
   *
   * @param options Where they are, what seals them, and how many.
   * @throws {TypeError | RangeError} An option that is wrong.
   */
  constructor({ store, storeKey, ticketsPerKey = 8 }: SharedSessionStoreOptions) {
    assertSharedStore(store);
    assertStoreKey(storeKey);
    if (!Number.isSafeInteger(ticketsPerKey) || ticketsPerKey < 1) {
      throw new RangeError(
        `Cannot use ticketsPerKey: expected a whole number of at least 1, got ${ticketsPerKey}`,
      );
    }
    this.#store = store;
    this.#storeKey = storeKey;
    this.#ticketsPerKey = ticketsPerKey;
  }

  /** Takes the newest session of `key` that is still good; a TLS 1.3 ticket is gone then, for every process. */
  async take(key: string): Promise<SSLSession | undefined> {
    let taken: SSLSession | undefined;
    await this.#use(async () => {
      let newest: SSLSession | undefined;
      const isOurs = await this.#change(key, (sessions) => {
        newest = sessions.at(-1);
        return newest?.facts.version === "TLSv1.3" ? sessions.slice(0, -1) : undefined;
      });
      if (isOurs) taken = newest;
    });
    return taken as SSLSession | undefined;
  }

  /** Keeps a session of `key`. */
  async put(key: string, session: SSLSession): Promise<void> {
    await this.#use(async () => {
      await this.#change(key, (sessions) => {
        if (session.facts.version !== "TLSv1.3") return [session];
        const tickets = sessions.filter(({ facts }) => facts.version === "TLSv1.3");
        return [...tickets, session].slice(-this.#ticketsPerKey);
      });
    });
  }

  /** Forgets the sessions of `key`. */
  async delete(key: string): Promise<void> {
    await this.#use(async () => await this.#store.delete(await nameOf(key)));
  }

  /** Asks the store, unless it has just failed. Throws for a failure, once for all that it has kept waiting. */
  async #use(work: () => Promise<void>): Promise<void> {
    const pausedUntil = this.#pausedUntil;
    if (performance.now() < pausedUntil) return;
    try {
      const late = () => new Error(`Cannot reach the store: no answer in ${TIMEOUT} seconds`);
      await inTime(work(), TIMEOUT, late);
      this.#failures = 0;
    } catch (error) {
      if (this.#pausedUntil !== pausedUntil) return; // another one has told of it
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#failures++, 20));
      this.#pausedUntil = performance.now() + pause * 1000 * (0.5 + Math.random() / 2);
      throw error;
    }
  }

  /** Writes what `make` makes of the sessions of a key, unless that is `undefined`. `false`: others were faster, each time. */
  async #change(key: string, make: (sessions: SSLSession[]) => SSLSession[] | undefined): Promise<boolean> {
    const name = await nameOf(key);
    for (let i = 0; i < CONTENTION; i++) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 10 * i));
      const seen = await this.#store.get(name);
      const before = seen === undefined ? [] : await this.#open(name, seen);
      const after = make(before.filter(isGood));
      if (after === undefined || (after.length === 0 && seen === undefined)) return true;
      // What was taken last leaves an empty list; delete() would forget what another process has put meanwhile.
      const packed = pack(after);
      const sealed = await this.#storeKey.seal(name, packed);
      packed.fill(0);
      const lifetime = Math.min(LIFETIME_MAX, Math.max(1, ...after.map((session) => session.timeout)));
      if (await this.#store.replace(name, seen, sealed, lifetime)) return true;
    }
    return false;
  }

  async #open(name: string, { value }: SharedEntry): Promise<SSLSession[]> {
    const sessions: SSLSession[] = [];
    try {
      const bytes = await this.#storeKey.open(name, value);
      for (let at = 0; at < bytes.length;) {
        if (bytes.length - at < LENGTH) {
          throw new SyntaxError("Cannot read stored sessions: they are cut short");
        }
        const end = at + LENGTH + new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
        sessions.push(SSLSession.from(bytes.subarray(at + LENGTH, end)));
        at = end;
      }
      bytes.fill(0);
    } catch (error) { // damaged, under a key that was withdrawn, or of another release: the next session takes its place
      if (!(error instanceof SealError || error instanceof SyntaxError)) throw error;
    }
    return sessions;
  }

  /** Shows what it is, never its sessions. */
  [Symbol.for("Deno.customInspect")](): string {
    return "SharedSessionStore {}";
  }
}

function isGood({ facts, timeout }: SSLSession): boolean {
  return Date.now() < facts.created + timeout * 1000;
}

/** The newest of `sessions` that a store has room for, the oldest of them first. */
function pack(sessions: readonly SSLSession[]): Bytes {
  const parts: Bytes[] = [];
  let room = VALUE_MAX - SEAL_OVERHEAD;
  for (const session of sessions.toReversed()) {
    const bytes = session.toBytes();
    room -= LENGTH + bytes.length;
    if (room < 0) break;
    const length = new Uint8Array(LENGTH);
    new DataView(length.buffer).setUint32(0, bytes.length);
    parts.unshift(length, bytes);
  }
  return parts.length === 0 ? new Uint8Array(0) : concat(parts);
}

/** The name of a key in the store. */
async function nameOf(key: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", encodeText(`tlsio session ${key}`));
  return `session:${new Uint8Array(hash).toHex()}`;
}
