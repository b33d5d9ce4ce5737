/** SharedTicketKeys at bad moments: a store that comes back meanwhile, clocks that are wrong, an end that does not wait. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { TLSVersion } from "tlsio";
import { MemoryStore, type SharedEntry, SharedTicketKeys } from "../stores.ts";
import type { Bytes } from "../lib/bytes.ts";
import { bytesFrom, configs, EnginePair, FixedClock, fixedCore } from "./pair.ts";
import { run, tempDir } from "./peers.ts";
import { keysOf, open, PERIOD, until } from "./shared_keys.ts";

/** A store whose answers a test gives. */
class Scripted extends MemoryStore {
  onGet: (() => Promise<void>) | undefined;
  onReplace: (() => Promise<void>) | undefined;

  override async get(key: string): Promise<SharedEntry | undefined> {
    await this.onGet?.();
    return await super.get(key);
  }
  override async replace(key: string, seen: SharedEntry | undefined, value: Bytes, lifetime: number) {
    await this.onReplace?.();
    return await super.replace(key, seen, value, lifetime);
  }
}

const down = () => Promise.reject(new Error("connection refused"));
const never = () => new Promise<void>(() => {});

Deno.test("SharedTicketKeys: a store that is back while the cache is read takes no key that is wiped", async () => {
  await using dir = await tempDir();
  const cache = `${dir.path}/keys`;
  {
    await using store = new MemoryStore();
    await using _keys = await open(store, { cache });
  }
  await using store = new Scripted();
  store.onGet = down;
  // The cache is a pipe: who reads it waits until the test writes.
  const sealed = await Deno.readFile(cache);
  await Deno.remove(cache);
  const { success } = await new Deno.Command("mkfifo", { args: [cache] }).output();
  assert(success);
  const pipe = await Deno.open(cache, { read: true, write: true });
  const opening = open(store, { cache, refreshEvery: 0.05, onError: () => {} });
  await new Promise((resolve) => setTimeout(resolve, 100));
  store.onGet = undefined; // empty: it is given the keys of whoever looks
  const written = Promise.withResolvers<void>();
  store.onReplace = () => written.promise;
  await new Promise((resolve) => setTimeout(resolve, 400));
  await pipe.write(sealed);
  pipe.close();
  await new Promise((resolve) => setTimeout(resolve, 100));
  written.resolve();
  await using keys = await opening;
  await until("share", () => keys.status.state === "shared");
  await using other = await open(store);
  assertEquals(keysOf(other), keysOf(keys), "the store has the keys that the server has");
  for (const key of keysOf(keys)) assert(!/^(00)+$/.test(key), "no key of zeros");
});

Deno.test("SharedTicketKeys: a program that does not dispose of it ends all the same", async () => {
  const root = new URL("../", import.meta.url).href;
  const program = `
    const { MemoryStore, SharedTicketKeys, StoreKey } = await import("${root}stores.ts");
    const storeKey = await StoreKey.from(new Uint8Array(32));
    const keys = await SharedTicketKeys.open({ store: new MemoryStore(), storeKey, refreshEvery: 1 });
    console.log(keys.status.state);`;
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/main.ts`, program);
  const { code, stdout } = await run("deno", ["run", "-A", "--no-check", `${dir.path}/main.ts`]);
  assertEquals([code, stdout], [0, "shared\n"]);
});

Deno.test("SharedTicketKeys: errors that take turns are told of once each", async () => {
  await using store = new Scripted();
  const told: string[] = [];
  await using keys = await open(store, { refreshEvery: 0.02, onError: (error) => told.push(String(error)) });
  let i = 0;
  store.onGet = () => Promise.reject(new Error(`error ${i++ % 2}`));
  await until("fail", () => keys.status.failures >= 6);
  assertEquals(told, ["Error: error 0", "Error: error 1"]);
  store.onGet = undefined;
  await until("come back", () => keys.status.state === "shared");
  store.onGet = () => Promise.reject(new Error("error 0"));
  await until("fail again", () => keys.status.state === "stale");
  assertEquals(told.length, 3, "another outage");
});

Deno.test("SharedTicketKeys: is disposed of at once, also while the store hangs; nobody is told", async () => {
  await using store = new Scripted();
  const told: unknown[] = [];
  const options = { timeout: 600, onError: (error: unknown) => told.push(error) };
  const keys = await open(store, options);
  const { ring } = keys;
  store.onGet = never;
  const rotation = assertRejects(() => keys.rotate(), TypeError, "disposed of");
  const start = performance.now();
  await keys[Symbol.asyncDispose]();
  await rotation;
  assert(performance.now() - start < 5_000);
  assertEquals(told, []);
  await assertRejects(() => keys.rotate(), TypeError, "Cannot use ticket keys: they are disposed of");
  let error: unknown;
  try {
    ring.keys();
  } catch (thrown) {
    error = thrown;
  }
  assertStringIncludes(String(error), "disposed");
  await keys[Symbol.asyncDispose](); // twice is no error
});

Deno.test("SharedTicketKeys: a write whose answer is late is found by the next look", async () => {
  await using store = new Scripted();
  await using keys = await open(store, { timeout: 0.05, onError: () => {} });
  const answer = Promise.withResolvers<void>();
  store.onReplace = () => answer.promise;
  await assertRejects(() => keys.rotate(), Error, "no answer in 0.05 seconds");
  const before = keysOf(keys);
  answer.resolve();
  store.onReplace = undefined;
  await new Promise((resolve) => setTimeout(resolve, 50));
  await using other = await open(store); // sees what was written after all
  assertEquals(other.status.sequence, 2);
  await keys.rotate().catch(() => {});
  for (const key of before) assert(keysOf(keys).includes(key) && keysOf(other).includes(key));
  for (const key of [...keysOf(keys), ...keysOf(other)]) assert(!/^(00)+$/.test(key));
});

Deno.test("SharedTicketKeys: a clock that jumps ahead and back costs no tickets once it is right", async () => {
  let ahead = 0;
  const now = () => Date.now() + ahead;
  await using store = new MemoryStore();
  await using keys = await open(store, { now, refreshEvery: 0.2 });
  const known = keysOf(keys);
  ahead = 30 * 24 * 3600 * 1000; // between two looks
  keys.ring.keys();
  assert(keys.ring.size < known.length, "what has expired by that clock is dropped");
  ahead = 0;
  await until("have them again", () => keys.ring.size === known.length);
  assertEquals(keysOf(keys), known);
});

for (const sslVersion of [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]) {
  Deno.test(`SharedTicketKeys: servers' clocks may differ by five seconds; by more, TLS 1.3 shakes hands in full (${sslVersion})`, async () => {
    const here = new FixedClock();
    const there = new FixedClock();
    await using store = new MemoryStore();
    await using keys = await open(store, { now: here.now });
    await using other = await open(store, { now: there.now });
    const first = configs(fixedCore(1, here), { sslVersion }, {}, { tickets: keys.ring });
    const second = configs(fixedCore(2, there), { sslVersion }, {}, { tickets: other.ring });
    using _first = first;
    using _second = second;
    using pair = new EnginePair(first.client, first.server).connect();
    const savedSession = pair.client.session()!;
    const isResumed = (seconds: number) => { // the other's clock is so much later
      there.time = here.time + seconds * 1000;
      using again = new EnginePair(first.client, second.server, { savedSession }).connect();
      return again.server.sessionReused;
    };
    assertEquals(
      [isResumed(0), isResumed(5), isResumed(-5)],
      [true, true, false],
      "a ticket of the future is none",
    );
    here.advance(8); // the client's age of the ticket goes by the same clock
    const wide = sslVersion === TLSVersion.TLSv1_2;
    assertEquals([isResumed(5), isResumed(-5), isResumed(7), isResumed(-7)], [true, true, wide, wide]);
  });
}

Deno.test("SharedTicketKeys: a key of a clock that was years ahead is told of, once, and rotate() sets it right", async () => {
  let ahead = 10 * 365 * 24 * 3600 * 1000;
  const told: string[] = [];
  await using store = new MemoryStore();
  {
    await using _wrong = await open(store, { now: () => Date.now() + ahead });
  }
  ahead = 0;
  await using keys = await open(store, { refreshEvery: 0.02, onError: (error) => told.push(String(error)) });
  const start = performance.now();
  await until("look some times", () => performance.now() - start > 200);
  assertEquals(told.length, 1);
  assertMatch(
    told[0]!,
    /Cannot rotate ticket keys: the next takes over .* 20\d\d .*rotate\(\) sets it right/,
  );
  assertEquals(keys.status.state, "shared");
  await keys.rotate();
  await using late = await open(store, { now: () => Date.now() + 2 * PERIOD * 1000 });
  assertEquals(late.status.sequence > keys.status.sequence, true, "rotation goes on");
});

Deno.test("SharedTicketKeys: what fails with the cache is told once, and tried again", async () => {
  await using dir = await tempDir();
  const cache = `${dir.path}/not/there/keys`;
  const told: string[] = [];
  await using store = new MemoryStore();
  const options = { cache, refreshEvery: 0.02, onError: (error: unknown) => told.push(String(error)) };
  await using keys = await open(store, options);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assertEquals([keys.status.state, told.length], ["shared", 1], told.join("\n"));
  assertStringIncludes(told[0]!, `Cannot use cache "${cache}"`);
  await Deno.mkdir(`${dir.path}/not/there`, { recursive: true });
  const isThere = () => Deno.stat(cache).then(() => true, () => false);
  let there = false;
  await until("write it", () => (void isThere().then((is) => there = is), there));
  assertEquals((await Deno.stat(cache)).mode! & 0o777, 0o600);
});

Deno.test("SharedTicketKeys: what a store gives that is none of ours is no keys", async () => {
  for (const garbage of [new Uint8Array(0), bytesFrom(1, 1), bytesFrom(2, 60_000)]) {
    await using store = new MemoryStore();
    await store.replace("tickets", undefined, garbage, 60);
    const told: string[] = [];
    await using keys = await open(store, { onError: (error) => told.push(String(error)) });
    assertEquals([keys.status.state, keys.ring.size], ["private", 1]);
    assertEquals(told, ['SealError: Cannot open "tickets": it is not of this version of the format']);
  }
  await using broken = new MemoryStore();
  broken.get = () => Promise.resolve({ value: "text" as never, version: 1 });
  await using keys = await open(broken, { onError: () => {} });
  assertEquals(keys.status.state, "private");
  assert(keys instanceof SharedTicketKeys);
});
