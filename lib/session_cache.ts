/**
 * SessionCache: what the servers of a fleet share of their TLS 1.2 sessions by id, and when an engine uses it.
 *
 * ```text
 *   client names an id that its server has not   -- find(context, id) -->    SessionCache
 *   a full handshake, without a ticket           -- keep(context, ...) -->
 *   the connection fails                         -- forget(context, id) -->
 * ```
 *
 * @module
 */

import { type Bytes, typeName } from "./bytes.ts";
import { tell } from "./tell.ts";

const ID = 32; // bytes of a session id
/** Bytes of each of {@linkcode SessionCache.idKeys}, and how many there may be: wasm/glue/tlsio.h; a test compares them. */
export const SESSION_KEY = 32;
/** How many of them a core takes. */
export const SESSION_KEYS = 8;

/**
 * TLS 1.2 sessions by id for several servers. A session is secret: who reads one can read the connections that resume it.
 * `context` is a hash of whom a server trusts, how strictly, and who it is: a session must be found under its own alone.
 */
export interface SessionCache {
  /**
   * Secrets of 32 bytes, one to eight, the same for all servers. They mark session ids, the first of them new ones: a client
   * that names an id without a mark is not looked up.
   */
  readonly idKeys: readonly Uint8Array<ArrayBuffer>[];
  /**
   * Looks a session up. A handshake waits for it, so it answers soon; what it throws means that there is none.
   *
   * @param context Of the server.
   * @param id The session id that a client names, 32 bytes.
   * @returns What {@linkcode SessionCache.keep} was given; the caller wipes it. `undefined`: there is none.
   */
  find(context: string, id: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Keeps a session. It cannot wait.
   *
   * @param context Of the server.
   * @param id The session id.
   * @param session The session, its own to wipe.
   * @param lifetime Seconds for which it can be resumed.
   */
  keep(
    context: string,
    id: Uint8Array<ArrayBuffer>,
    session: Uint8Array<ArrayBuffer>,
    lifetime: number,
  ): void;
  /**
   * Forgets a session whose connection has failed. It cannot wait.
   *
   * @param context Of the server.
   * @param id The session id.
   */
  forget(context: string, id: Uint8Array<ArrayBuffer>): void;
}

/** Throws unless `cache` is one, and a server with these options can use it. */
export function assertSessionCache(
  cache: unknown,
  { serverSide, sessionCacheSize, datagrams }: {
    serverSide?: boolean;
    sessionCacheSize?: number;
    datagrams?: unknown;
  },
): asserts cache is SessionCache {
  const { idKeys, find, keep, forget } = (cache ?? {}) as Partial<SessionCache>;
  if ([find, keep, forget].some((method) => typeof method !== "function") || !Array.isArray(idKeys)) {
    throw new TypeError(`Cannot use sessionCache: expected a SessionCache, got ${typeName(cache)}`);
  }
  const areKeys = idKeys.every((key) => key instanceof Uint8Array && key.length === SESSION_KEY);
  if (!areKeys || idKeys.length < 1 || idKeys.length > SESSION_KEYS) {
    throw new RangeError(
      `Cannot use sessionCache: expected 1 to ${SESSION_KEYS} idKeys of ${SESSION_KEY} bytes`,
    );
  }
  if (!serverSide) throw new TypeError("Cannot use sessionCache: it is for servers");
  if (sessionCacheSize === 0) throw new TypeError("Cannot use sessionCache: sessionCacheSize is 0");
  if (datagrams !== undefined) throw new TypeError("Cannot use sessionCache: it is for streams");
}

/** The config of an engine. */
interface Config {
  readonly options: { readonly sessionCache?: SessionCache };
  readonly serverSide: boolean;
  readonly trustId: string;
  readonly cacheLifetime: number;
}

/** The connection of an engine. */
interface Connection {
  sessionId(): Bytes;
  newSession(): Bytes;
  forgetSession(): void;
}

/** A handshake is over: if it has made a session by id, the fleet gets it. */
export function shareNew(
  { options: { sessionCache }, trustId, cacheLifetime }: Config,
  from: Connection,
): void {
  if (sessionCache === undefined) return;
  let whole: Bytes;
  try {
    whole = from.newSession();
  } catch {
    return; // out of memory, as its next use will say; the handshake is good
  }
  if (whole.length <= ID) return;
  const session = whole.slice(ID);
  whole.fill(0, ID);
  tell((id: Bytes) => sessionCache.keep(trustId, id, session, cacheLifetime), whole.slice(0, ID));
}

/** A connection fails: a server must not resume its session (RFC 5246 section 7.2.2). */
export function forgetFailed(
  { options: { sessionCache }, serverSide, trustId }: Config,
  of: Connection,
): void {
  if (!serverSide) return;
  const id = of.sessionId();
  if (id.length === 0) return;
  of.forgetSession();
  tell(sessionCache && ((id: Bytes) => sessionCache.forget(trustId, id)), id);
}
