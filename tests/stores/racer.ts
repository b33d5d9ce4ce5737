/**
 * One of many processes that use one store at once: `racer.ts STORE`, a URL of Redis or a path of Deno KV. Opens the fleet's
 * keys, says `ready`, and waits for a line; then adds to a number by compare-and-set while the keys rotate, and says what it did.
 */
import { KvStore, RedisStore, SharedTicketKeys, StoreKey } from "../../stores.ts";

const ADDITIONS = 20;
const ROTATING = 3; // seconds

const place = Deno.args[0]!;
await using store = place.startsWith("redis") ? await RedisStore.open(place) : await KvStore.open(place);
const storeKey = await StoreKey.from(new Uint8Array(32).fill(7));
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));

const errors: string[] = [];
const onError = (error: unknown) => errors.push(String(error));
const times = { lifetime: 2, rotateEvery: 1, refreshEvery: 0.1 };
await using keys = await SharedTicketKeys.open({ store, storeKey, ...times, onError });
const until = performance.now() + ROTATING * 1000;
let refused = 0;
for (let i = 0; i < ADDITIONS;) {
  const seen = await store.get("number");
  const value = Uint8Array.of(...(seen?.value ?? []), 1); // its length counts, and no two are alike
  if (await store.replace("number", seen, value, 600)) i++;
  else refused++;
}
await new Promise((resolve) => setTimeout(resolve, until - performance.now()));
const { state, written, sequence } = keys.status;
console.log(JSON.stringify({ refused, errors, state, written, sequence }));
