/**
 * One server of a fleet: a line in, a line out, with the ticket keys of the store. `{"port":...}` is its argument,
 * {@linkcode ServerSettings}; the key of the store is in the environment. Prints `listening`, and what it has counted for each
 * line of its input.
 */
import { startServer, type TicketEvent, TicketKeyRing } from "../../mod.ts";
import { KvStore, RedisStore, SharedSessionCache, SharedTicketKeys, StoreKey } from "../../stores.ts";

/** What a server is told. */
export interface ServerSettings {
  /** Its name, in its answers. */
  name: string;
  /** Where it listens. */
  port: number;
  /** Where the keys are: `redis://` or the path of a Deno KV; none: a ring of its own. */
  store?: string;
  /** A file for a copy of the keys. */
  cache?: string;
  certfile: string;
  keyfile: string;
  /** Seconds. */
  lifetime: number;
  rotateEvery: number;
  refreshEvery: number;
}

/** What a server has counted. */
export interface ServerCounts {
  /** Handshakes that resumed. */
  resumed: number;
  /** Tickets that were refused, by reason. */
  refused: Record<string, number>;
  /** `SharedTicketKeys.status`. */
  keys: Record<string, unknown> | undefined;
  /** `SharedSessionCache.status`. */
  sessions?: Record<string, unknown>;
}

if (import.meta.main) {
  const settings: ServerSettings = JSON.parse(Deno.args[0]!);
  const { name, port, store: place, cache, certfile, keyfile, ...times } = settings;
  const store = place === undefined
    ? undefined
    : place.startsWith("redis")
    ? await RedisStore.open(place)
    : await KvStore.open(place);
  const onError = (error: unknown) => console.error(String(error));
  const shared = store && { store, storeKey: await StoreKey.fromEnv(), onError };
  const keys = shared &&
    await SharedTicketKeys.open({ ...shared, ...times, ...(cache !== undefined && { cache }) });
  const sessionCache = shared && new SharedSessionCache(shared);
  const counts: ServerCounts = { resumed: 0, refused: {}, keys: undefined };
  const onTicket = (event: TicketEvent) => {
    if (event.type === "accepted") counts.resumed++;
    else if (event.type === "refused") {
      counts.refused[event.reason] = (counts.refused[event.reason] ?? 0) + 1;
    }
  };
  const server = await startServer(async (reader, writer) => {
    await reader.readline();
    writer.write(`${name}\n`);
    await writer.drain();
  }, {
    hostname: "127.0.0.1",
    port,
    ssl: {
      ...{ certfile, keyfile, onTicket, tickets: keys?.ring ?? new TicketKeyRing(times) },
      ...(sessionCache && { sessionCache }),
    },
  });
  console.log("listening");
  const decoder = new TextDecoder();
  for await (const chunk of Deno.stdin.readable) {
    for (const _ of decoder.decode(chunk).matchAll(/\n/g)) {
      console.log(JSON.stringify({ ...counts, keys: keys?.status, sessions: sessionCache?.status }));
    }
  }
  await server[Symbol.asyncDispose]();
  await sessionCache?.[Symbol.asyncDispose]();
  await keys?.[Symbol.asyncDispose]();
  await store?.[Symbol.asyncDispose]();
}
