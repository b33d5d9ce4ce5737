/**
 * What a fleet keeps in a store: sessions and ticket keys, as whoever can write the store may change them, and as they are once they
 * have opened: what is inside must be read with care even then, a fleet may have members of other releases.
 *
 * @module
 */

import { type Bytes, concat } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import type { SSLSession } from "../../lib/session.ts";
import { SharedSessionCache } from "../../lib/stores/session_cache.ts";
import { SharedSessionStore } from "../../lib/stores/sessions.ts";
import { MemoryStore, type SharedStore } from "../../lib/stores/store.ts";
import { SealError, StoreKey } from "../../lib/stores/store_key.ts";
import { SharedTicketKeys } from "../../lib/stores/ticket_keys.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { bytesFrom, clientOptions, credential, EnginePair, fixedRing, NOW, serverOptions } from "../pair.ts";
import type { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { sessionsOf } from "./sessions.ts";
import type { Target } from "./target.ts";

const OPENED = 2; // in the first byte: the rest is sealed first
const TICKET_KEYS = 1, SESSION_BY_ID = 4; // likewise; neither: a client's session

/** The records of `tlsio/stores`. The first byte says of which kind, and whether the rest is sealed with the fleet's key first. */
export async function storesTarget(fuzz: FuzzCore): Promise<Target> {
  const storeKey = await StoreKey.from(bytesFrom(11, 32));
  const { sessions, configs } = sessionsOf(fuzz);
  for (const config of Object.values(configs).flatMap(Object.values<TLSConfig>)) config[Symbol.dispose]();
  const fleet = new Fleet(fuzz, storeKey);
  const made = await Promise.all([
    inside(storeKey, async (store) => {
      const stored = new SharedSessionStore({ store, storeKey });
      for (const session of sessions) await stored.put("peer", session);
    }),
    inside(storeKey, async (store) => {
      await (await open(store, storeKey, [])).keys[Symbol.asyncDispose]();
    }),
    inside(storeKey, (store) => fleet.begin(store)),
  ]);
  const kinds = [0, TICKET_KEYS, SESSION_BY_ID];
  return {
    name: "stores",
    seeds: () =>
      made.flatMap(({ sealed, opened }, number) => [
        concat([Uint8Array.of(kinds[number]!), sealed]),
        concat([Uint8Array.of(kinds[number]! | OPENED), opened]),
      ]),
    async run(bytes) {
      const kind = bytes[0] ?? 0;
      const content = bytes.slice(1);
      const store = new FixedStore(
        async (name) => kind & OPENED ? await storeKey.seal(name, content) : content,
      );
      if (kind & SESSION_BY_ID) return await fleet.resume(store);
      if ((kind & TICKET_KEYS) === 0) {
        const taken = await new SharedSessionStore({ store, storeKey }).take("peer");
        return `a session: ${taken?.facts.version}`;
      }
      const errors: unknown[] = [];
      const { keys, state } = await open(store, storeKey, errors);
      await using _keys = keys;
      if (keys.ring.size < 1) throw new Finding("data", "a ring without a key");
      return [state, ...errors.map((error) => expected(error, SealError, SyntaxError).message)].join("; ");
    },
  };
}

/** Two servers that share TLS 1.2 sessions by id, and a client that goes from the one to the other. */
class Fleet {
  readonly #fuzz: FuzzCore;
  readonly #storeKey: StoreKey;
  readonly #client: TLSConfig;
  #savedSession: SSLSession | undefined;

  constructor(fuzz: FuzzCore, storeKey: StoreKey) {
    [this.#fuzz, this.#storeKey] = [fuzz, storeKey];
    this.#client = new TLSConfig(
      clientOptions({ sslVersion: TLSVersion.TLSv1_2, tickets: false }),
      fuzz.core,
    );
  }

  #server(sessionCache: SharedSessionCache): TLSConfig {
    const options = { sessionCache, tickets: fixedRing(), credential: credential("ec") };
    return new TLSConfig(serverOptions(options), this.#fuzz.core);
  }

  /** Makes the session, and leaves it in the store. */
  async begin(store: SharedStore): Promise<void> {
    await using cache = new SharedSessionCache({ store, storeKey: this.#storeKey });
    using server = this.#server(cache);
    using pair = new EnginePair(this.#client, server).connect();
    this.#savedSession = pair.client.session()!;
  }

  /** The client names it at another server. */
  async resume(store: SharedStore): Promise<string> {
    const errors: unknown[] = [];
    const before = this.#fuzz.core.allocated;
    await using cache = new SharedSessionCache({
      store,
      storeKey: this.#storeKey,
      onError: (error) => errors.push(error),
    });
    {
      using server = this.#server(cache);
      using pair = new EnginePair(this.#client, server, { savedSession: this.#savedSession }).run();
      const outcome = pair.server.handshake();
      if (outcome.state !== "session") throw new Finding("data", `it does not ask: ${outcome.state}`);
      const session = await cache.find(server.trustId, outcome.id);
      pair.server.giveSession(session);
      session?.fill(0);
      pair.run();
      const { client, server: failure } = pair.errors; // another master secret: the Finished does not fit
      for (const error of [client, failure]) if (error !== undefined) expected(error);
      const isOpen = client === undefined && failure === undefined;
      if (isOpen !== (pair.server.handshakeDone && pair.client.handshakeDone)) {
        throw new Finding("data", "a handshake neither ends nor fails");
      }
      if (pair.client.sessionReused && session === undefined) {
        throw new Finding("data", "a session of nobody's");
      }
    }
    const leaked = this.#fuzz.core.allocated - before;
    if (leaked !== 0) throw new Finding("leak", `${leaked} bytes of the core's heap`);
    return `a session by id: ${cache.status.found} found, ${cache.status.refused} refused, ${errors.length} failed`;
  }
}

async function open(store: SharedStore, storeKey: StoreKey, errors: unknown[]) {
  const onError = (error: unknown) => void errors.push(error);
  const keys = await SharedTicketKeys.open({ store, storeKey, onError, now: () => NOW });
  return { keys, state: keys.status.state };
}

/** What `write` leaves in a store, as it is there and without its seal. */
async function inside(storeKey: StoreKey, write: (store: SharedStore) => Promise<void>) {
  await using store = new MemoryStore();
  let written = "";
  await write({
    get: (key) => store.get(key),
    replace: (key, ...rest) => store.replace(written = key, ...rest),
    delete: (key) => store.delete(key),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
  const sealed = (await store.get(written))!.value;
  return { sealed, opened: await storeKey.open(written, sealed) };
}

/** Has one value under every name, whatever is written. */
class FixedStore implements SharedStore {
  constructor(readonly value: (name: string) => Promise<Bytes>) {}

  async get(name: string) {
    return { value: await this.value(name), version: 1 };
  }

  replace(): Promise<boolean> {
    return Promise.resolve(true);
  }

  delete(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
