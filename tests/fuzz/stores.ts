/**
 * What a fleet keeps in a store: sessions and ticket keys, as whoever can write the store may change them, and as they are once they
 * have opened: what is inside must be read with care even then, a fleet may have members of other releases.
 *
 * @module
 */

import { type Bytes, concat } from "../../lib/bytes.ts";
import { SharedSessionStore } from "../../lib/stores/sessions.ts";
import { MemoryStore, type SharedStore } from "../../lib/stores/store.ts";
import { SealError, StoreKey } from "../../lib/stores/store_key.ts";
import { SharedTicketKeys } from "../../lib/stores/ticket_keys.ts";
import { bytesFrom, NOW } from "../pair.ts";
import type { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { sessionsOf } from "./sessions.ts";
import type { Target } from "./target.ts";

const OPENED = 2; // in the first byte: the rest is sealed first; 1: ticket keys

/** The records of `tlsio/stores`. The first byte says of which kind, and whether the rest is sealed with the fleet's key first. */
export async function storesTarget(fuzz: FuzzCore): Promise<Target> {
  const storeKey = await StoreKey.from(bytesFrom(11, 32));
  const { sessions } = sessionsOf(fuzz);
  const seeds = await Promise.all([
    inside(storeKey, async (store) => {
      const stored = new SharedSessionStore({ store, storeKey });
      for (const session of sessions) await stored.put("peer", session);
    }),
    inside(storeKey, async (store) => {
      await (await open(store, storeKey, [])).keys[Symbol.asyncDispose]();
    }),
  ]);
  return {
    name: "stores",
    seeds: () =>
      seeds.flatMap(({ sealed, opened }, kind) => [
        concat([Uint8Array.of(kind), sealed]),
        concat([Uint8Array.of(kind | OPENED), opened]),
      ]),
    async run(bytes) {
      const kind = bytes[0] ?? 0;
      const content = bytes.slice(1);
      const store = new FixedStore(
        async (name) => kind & OPENED ? await storeKey.seal(name, content) : content,
      );
      if ((kind & 1) === 0) {
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
