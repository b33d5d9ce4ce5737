/**
 * What the servers, or the clients, of a fleet share, so that a session that began with one of them resumes with all: ticket
 * keys and sessions, in memory, in Deno KV or in Redis, sealed.
 *
 * @example Servers that resume each other's sessions
 * ```ts no-assert ignore
 * import { startServer } from "tlsio";
 * import { RedisStore, SharedTicketKeys, StoreKey } from "tlsio/stores";
 *
 * await using store = await RedisStore.open("redis://10.0.0.5:6379");
 * const storeKey = await StoreKey.fromEnv("TLSIO_STORE_KEY");
 * await using keys = await SharedTicketKeys.open({ store, storeKey });
 * const ssl = { certfile: "server.pem", keyfile: "server.key", tickets: keys.ring };
 * await using server = await startServer((_reader, writer) => writer.close(), { port: 443, ssl });
 * await server.serveForever();
 * ```
 *
 * @module
 */

export { type KvAtomic, type KvLike, KvStore } from "./lib/stores/kv_store.ts";
export { RedisStore, type RedisStoreOptions } from "./lib/stores/redis_store.ts";
export {
  SharedSessionCache,
  type SharedSessionCacheOptions,
  type SharedSessionCacheStatus,
} from "./lib/stores/session_cache.ts";
export { SharedSessionStore, type SharedSessionStoreOptions } from "./lib/stores/sessions.ts";
export {
  MemoryStore,
  type MemoryStoreOptions,
  type SharedEntry,
  type SharedStore,
  VALUE_MAX,
} from "./lib/stores/store.ts";
export { SealError, StoreKey } from "./lib/stores/store_key.ts";
export {
  SharedTicketKeys,
  type SharedTicketKeysOptions,
  type SharedTicketKeysStatus,
} from "./lib/stores/ticket_keys.ts";
