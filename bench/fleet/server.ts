/**
 * One server of a fleet: a line in, a line out, with the ticket keys of the store. `{"port":...}` is its argument,
 * {@linkcode ServerSettings}; the key of the store is in the environment. Prints `listening`, and what it has counted for each
 * line of its input.
 */
import { startServer, type TicketEvent, TicketKeyRing, watchCertificates } from "../../mod.ts";
import {
  KvStore,
  RedisStore,
  SharedSessionCache,
  SharedTicketKeys,
  type SharedTicketKeysStatus,
  StoreKey,
} from "../../stores.ts";

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
  /** Files, which are followed. */
  certfile: string;
  keyfile: string;
  /** Seconds. */
  lifetime: number;
  rotateEvery: number;
  refreshEvery: number;
}

/** What a server has counted. */
export interface ServerCounts {
  /** How often it has said so. */
  answer: number;
  /** Handshakes that resumed. */
  resumed: number;
  /** Tickets that were refused, by reason. */
  refused: Record<string, number>;
  /** How often it has gone on with renewed certificates. */
  renewed: number;
  /** Handshakes that failed. */
  failed: number;
  /** `SharedTicketKeys.status`. */
  keys: SharedTicketKeysStatus | undefined;
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
  const counts = { resumed: 0, refused: {} as Record<string, number>, renewed: 0 };
  const onTicket = (event: TicketEvent) => {
    if (event.type === "accepted") counts.resumed++;
    else if (event.type === "refused") {
      counts.refused[event.reason] = (counts.refused[event.reason] ?? 0) + 1;
    }
  };
  const tickets = keys?.ring ?? new TicketKeyRing(times);
  const ssl = { certfile, keyfile, onTicket, tickets, ...(sessionCache && { sessionCache }) };
  const server = await startServer(async (reader, writer) => {
    for await (const _ of reader) {
      writer.write(`${name}\n`);
      await writer.drain();
    }
  }, { hostname: "127.0.0.1", port, ssl });
  const watch = await watchCertificates(server, ssl, { onRenewed: () => counts.renewed++ });
  console.log("listening");
  const decoder = new TextDecoder();
  let answer = 0;
  for await (const chunk of Deno.stdin.readable) {
    for (const _ of decoder.decode(chunk).matchAll(/\n/g)) {
      const { handshakeFailures: failed } = server.stats;
      console.log(
        JSON.stringify({ answer: ++answer, ...counts, failed, keys: keys?.status } satisfies ServerCounts),
      );
    }
  }
  await watch[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await sessionCache?.[Symbol.asyncDispose]();
  await keys?.[Symbol.asyncDispose]();
  await store?.[Symbol.asyncDispose]();
}
