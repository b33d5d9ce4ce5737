/** What a fleet shares: stores, sealing, ticket keys and sessions. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { SSLSession, TicketKeyRing, TLSVersion } from "tlsio";
import {
  KvStore,
  MemoryStore,
  RedisStore,
  SealError,
  SharedSessionStore,
  type SharedStore,
  SharedTicketKeys,
  type SharedTicketKeysOptions,
  StoreKey,
} from "../stores.ts";
import { bytesFrom, clientOptions, configs, EnginePair, fixedCore } from "./pair.ts";
import { redisServer, run, tempDir, within } from "./peers.ts";

const SECRET = bytesFrom(7, 32);
const PERIOD = 3600; // seconds
const TIMES = { lifetime: 2 * PERIOD, rotateEvery: PERIOD, refreshEvery: PERIOD / 4 };

/** A clock that a test sets, near the real one. */
class Clock {
  ms = Date.now();
  readonly now = () => this.ms;
  advance(seconds: number): void {
    this.ms += seconds * 1000;
  }
}

/** A store that can be down, or answer never, and counts what it is asked. */
class Faulty extends MemoryStore {
  fault: "none" | "down" | "silent" = "none";
  calls = 0;

  async #pass(): Promise<void> {
    this.calls++;
    if (this.fault === "down") throw new Error("connection refused");
    if (this.fault === "silent") await new Promise(() => {});
  }
  override async get(key: string) {
    await this.#pass();
    return await super.get(key);
  }
  override async replace(...args: Parameters<SharedStore["replace"]>) {
    await this.#pass();
    return await super.replace(...args);
  }
  override async delete(key: string) {
    await this.#pass();
    await super.delete(key);
  }
}

const storeKey = () => StoreKey.from(SECRET);

/** Keys of the ring, the sealing one first. */
const keysOf = ({ ring }: SharedTicketKeys) => ring.keys().map((key) => key.toHex());

async function open(store: SharedStore, options: Partial<SharedTicketKeysOptions> = {}) {
  return await SharedTicketKeys.open({ store, storeKey: await storeKey(), ...TIMES, ...options });
}

/** Waits for what comes by a timer of the library. */
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const wait = async () => {
    while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await within(wait(), 10_000, what);
}

const STORES: Record<string, () => Promise<AsyncDisposable & { open(): Promise<SharedStore> }>> = {
  MemoryStore: () => {
    const store = new MemoryStore();
    const open = () => Promise.resolve(store);
    return Promise.resolve({ open, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() });
  },
  KvStore: async () => {
    const dir = await tempDir();
    return { open: () => KvStore.open(`${dir.path}/kv`), [Symbol.asyncDispose]: dir[Symbol.asyncDispose] };
  },
  RedisStore: async () => {
    const server = await redisServer();
    const open = () => RedisStore.open(`redis://127.0.0.1:${server.port}`);
    return { open, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  },
};

for (const [name, start] of Object.entries(STORES)) {
  Deno.test(`stores: ${name} keeps bytes, and of two writers lets one win`, async () => {
    await using place = await start();
    await using one = await place.open();
    await using other = await place.open();
    const value = bytesFrom(1, 60_000);
    assertEquals(await one.get("key"), undefined);
    assertEquals(await one.replace("key", undefined, value, 60), true);
    assertEquals(await other.replace("key", undefined, Uint8Array.of(1), 60), false);
    const seen = await other.get("key");
    assertEquals(seen!.value, value);
    assertEquals(await other.replace("key", seen, Uint8Array.of(0, 255), 60), true);
    assertEquals(await one.replace("key", seen, Uint8Array.of(2), 60), false);
    assertEquals((await one.get("key"))!.value, Uint8Array.of(0, 255));
    await one.delete("key");
    assertEquals(await other.get("key"), undefined);
    assertEquals(await other.replace("key", seen, Uint8Array.of(3), 60), false, "it is gone, not as seen");
  });

  Deno.test(`stores: ${name}: many servers start at once, and have the same keys; none is in the clear`, async () => {
    await using place = await start();
    await using stores = new AsyncDisposableStack();
    const all: SharedTicketKeys[] = [];
    const opened = Array.from({ length: 8 }, async () => {
      const store = stores.use(await place.open());
      all.push(stores.use(await open(store)));
    });
    await Promise.all(opened);
    assertEquals(new Set(all.map((keys) => keysOf(keys).join())).size, 1);
    assertEquals(all.reduce((sum, { status }) => sum + status.written, 0), 1, "one writer");
    assertEquals(all.map(({ status }) => status.state), all.map(() => "shared"));
    const store = await place.open();
    if (name !== "MemoryStore") stores.use(store);
    const stored = (await store.get("tickets"))!.value.toHex();
    for (const key of keysOf(all[0]!)) assert(!stored.includes(key) && !stored.includes(key.slice(32)));
  });

  Deno.test(`stores: ${name}: a client's processes share sessions, and use a TLS 1.3 ticket once`, async () => {
    await using place = await start();
    await using store = await place.open();
    const core = fixedCore();
    using both = configs(core, { sslVersion: TLSVersion.TLSv1_3 });
    const session = () => {
      using pair = new EnginePair(both.client, both.server).connect();
      return SSLSession.from(pair.client.session()!.toBytes());
    };
    const fresh = (session: SSLSession) =>
      new SSLSession({ ...session.facts, created: Date.now() }, SSLSession.state(session));
    const options = { store, storeKey: await storeKey(), ticketsPerKey: 4 };
    const one = new SharedSessionStore(options);
    const other = new SharedSessionStore(options);
    assertEquals(await other.take("host"), undefined);
    const put = Array.from({ length: 6 }, () => fresh(session()));
    for (const [i, session] of put.entries()) await [one, other][i % 2]!.put("host", session);
    const takes = [one, other, one, other, one, other].map((store) => store.take("host"));
    const taken = (await Promise.all(takes)).filter((session) => session !== undefined);
    const hex = (sessions: SSLSession[]) => sessions.map((session) => session.toBytes().toHex()).sort();
    assertEquals(hex(taken), hex(put.slice(2)), "the four newest, each once");
    assertEquals(await one.take("host"), undefined);
    await one.put("host", put[0]!);
    await other.delete("host");
    assertEquals(await one.take("host"), undefined);
  });
}

Deno.test("stores: RedisStore: an outage fails each call in time, and is over when Redis is back", async () => {
  let server = await redisServer();
  const { port } = server;
  try {
    await using store = await RedisStore.open(`redis://127.0.0.1:${port}`);
    await using keys = await open(store, { refreshEvery: 0.2, timeout: 1, onError: () => {} });
    const before = keysOf(keys);
    await server[Symbol.asyncDispose]();
    await until("notice the outage", () => keys.status.state === "stale");
    assertEquals(keysOf(keys), before);
    await assertRejects(() => keys.rotate());
    server = await redisServer(port); // it has forgotten all
    await until("come back", () => keys.status.state === "shared");
    assertEquals(keysOf(keys), before, "the store has them again from who knew them");
    await using joined = await open(store);
    assertEquals(keysOf(joined), before);
    server.program.kill("SIGSTOP"); // there, but silent
    await until("notice the silence", () => keys.status.state === "stale");
    server.program.kill("SIGCONT");
    await until("come back again", () => keys.status.state === "shared");
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

Deno.test("stores: RedisStore.open() refuses other URLs, without the password in what it says", async () => {
  const error = await assertRejects(() => RedisStore.open("http://user:hunter2@localhost"), TypeError);
  assertEquals(error.message.includes("hunter2"), false);
});

Deno.test("stores: KvStore.open() says which flag Deno needs", async () => {
  const program = `const { KvStore } = await import("${new URL("../stores.ts", import.meta.url)}");
    await KvStore.open(":memory:").catch((error) => console.log(error.name, error.message));`;
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/main.ts`, program);
  const { stdout } = await run("deno", ["run", "-A", "--no-check", "--no-config", `${dir.path}/main.ts`]);
  assertStringIncludes(stdout, "NotSupported Cannot open Deno KV: start Deno with --unstable-kv");
});

Deno.test("StoreKey: a value opens under its name and key alone, with no bit changed", async () => {
  const key = await storeKey();
  const value = bytesFrom(3, 40);
  const sealed = await key.seal("name", value);
  assertEquals(await key.open("name", sealed), value);
  assertNotEquals(await key.seal("name", value), sealed);
  await assertRejects(() => key.open("other", sealed), SealError, "changed, or is another one's");
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.slice();
    changed[i]! ^= 1 << i % 8;
    await assertRejects(() => key.open("name", changed), SealError);
    await assertRejects(() => key.open("name", sealed.slice(0, i)), SealError);
  }
  const stranger = await StoreKey.from(bytesFrom(8, 32));
  await assertRejects(() => stranger.open("name", sealed), SealError, "under another storeKey");
  const changing = await StoreKey.from(bytesFrom(8, 32), SECRET);
  assertEquals(await changing.open("name", sealed), value, "the old one still opens");
  assertEquals(await stranger.open("name", await changing.seal("name", value)), value, "the new one seals");
});

Deno.test("StoreKey: comes from the environment or a file, and errors show none of it", async () => {
  await using dir = await tempDir();
  const text = SECRET.toBase64();
  const sealed = await (await storeKey()).seal("name", Uint8Array.of(1));
  await Deno.writeTextFile(`${dir.path}/key`, `${bytesFrom(8, 32).toBase64()}\n${text}\n`);
  assertEquals(await (await StoreKey.fromFile(`${dir.path}/key`)).open("name", sealed), Uint8Array.of(1));
  const name = "TLSIO_STORE_KEY_OF_A_TEST";
  try {
    await assertRejects(() => StoreKey.fromEnv(name), TypeError, `the environment has no ${name}`);
    Deno.env.set(name, text);
    assertEquals(await (await StoreKey.fromEnv(name)).open("name", sealed), Uint8Array.of(1));
    for (const wrong of ["", "c2hvcnQ=", `${text} c2hvcnQ=`, `${text}!`]) {
      Deno.env.set(name, wrong);
      const error = await assertRejects(() => StoreKey.fromEnv(name), TypeError, "not base64 of at least 32");
      assertEquals(error.message.includes(text) || error.message.includes("c2hvcnQ"), false);
    }
  } finally {
    Deno.env.delete(name);
  }
  await assertRejects(() => StoreKey.from(), RangeError);
  await assertRejects(() => StoreKey.from(new Uint8Array(31)), RangeError);
});

Deno.test("SharedTicketKeys: a key is known a period before it seals, and rotates once for all", async () => {
  const clock = new Clock();
  await using store = new MemoryStore();
  await using stack = new AsyncDisposableStack();
  const all: SharedTicketKeys[] = [];
  for (let i = 0; i < 3; i++) {
    all.push(stack.use(await open(store, { now: clock.now, refreshEvery: 0.05 })));
  }
  const sequence = () => Math.min(...all.map(({ status }) => status.sequence));
  let [seals, next] = keysOf(all[0]!);
  assertEquals(all[0]!.ring.size, 2);
  for (let period = 0; period < 4; period++) {
    clock.advance(PERIOD - 1);
    assertEquals(all.map((keys) => keysOf(keys)[0]), [seals, seals, seals]);
    clock.advance(1);
    assertEquals(all.map((keys) => keysOf(keys)[0]), [next, next, next], "at once, by the clock");
    assert(all.every((keys) => keysOf(keys).includes(seals!)), "the one before still opens");
    await until("see the next key", () => sequence() === period + 2);
    assertEquals(new Set(all.map((keys) => keysOf(keys).join())).size, 1);
    [seals, next] = keysOf(all[0]!);
  }
  clock.advance(1);
  assertEquals(all[0]!.ring.size, 4, "two for the lifetime, one that seals, one in advance");
  assertEquals(all.reduce((sum, { status }) => sum + status.written, 0), 5, "no two writers");
});

Deno.test("SharedTicketKeys: rotate() makes the next key take over; the others have it already", async () => {
  await using store = new MemoryStore();
  await using one = await open(store);
  await using other = await open(store, { refreshEvery: 0.05 });
  const [seals, next] = keysOf(one);
  await one.rotate();
  assertEquals(keysOf(one)[0], next);
  assert(keysOf(other).includes(next!));
  await until("follow", () => keysOf(other)[0] === next);
  assert(keysOf(other).includes(seals!));
});

for (const fault of ["down", "silent"] as const) {
  Deno.test(`SharedTicketKeys: while the store is ${fault} it goes on with what it knows, and comes back`, async () => {
    const clock = new Clock();
    await using store = new Faulty();
    const errors: unknown[] = [];
    const times = { refreshEvery: 0.05, timeout: 0.05, now: clock.now };
    await using keys = await open(store, { ...times, onError: (error) => errors.push(error) });
    await using other = await open(store, { ...times, onError: () => {} });
    const [, next] = keysOf(keys);
    store.fault = fault;
    clock.advance(5 * PERIOD); // the key in advance takes over, and there is none after it
    await until("fail some times", () => keys.status.failures > 3);
    assertEquals([keys.status.state, errors.length], ["stale", 1], "an outage is told of once");
    assertEquals([keysOf(keys)[0], keysOf(other)[0]], [next, next], "the newest known key goes on");
    store.fault = "none";
    await until("come back", () => keys.status.state === "shared" && other.status.state === "shared");
    await until("agree", () => keysOf(keys).join() === keysOf(other).join());
    assertEquals([keysOf(keys)[0], keys.ring.size], [next, 2], "a late key is not used at once");
  });
}

Deno.test("SharedTicketKeys: a wait grows while the store is down", async () => {
  await using store = new Faulty();
  store.fault = "down";
  await using keys = await open(store, { refreshEvery: 600, onError: () => {} });
  const start = performance.now();
  await until("try again", () => keys.status.failures === 4);
  // 0.25, 0.5 and 1 s, each by half to whole
  assert(performance.now() - start >= 850, `after ${performance.now() - start} ms`);
});

Deno.test("SharedTicketKeys: without a store it starts with a key of its own, and joins later", async () => {
  await using store = new Faulty();
  await using known = await open(store);
  store.fault = "down";
  await using late = await open(store, { refreshEvery: 0.05, onError: () => {} });
  assertEquals([late.status.state, late.ring.size, late.status.sequence], ["private", 1, 0]);
  assertNotEquals(keysOf(late)[0], keysOf(known)[0]);
  store.fault = "none";
  await until("join", () => late.status.state === "shared");
  assertEquals(keysOf(late), keysOf(known));
});

Deno.test("SharedTicketKeys: with a cache it starts with the fleet's keys while the store is down", async () => {
  await using dir = await tempDir();
  const cache = `${dir.path}/keys`;
  await using store = new Faulty();
  await using first = await open(store, { cache });
  store.fault = "down";
  await using again = await open(store, { cache, onError: () => {} });
  assertEquals([again.status.state, keysOf(again)], ["stale", keysOf(first)]);
  const { mode } = await Deno.stat(cache);
  assertEquals(mode! & 0o777, 0o600);
  const text = (await Deno.readFile(cache)).toHex();
  for (const key of keysOf(first)) assertEquals(text.includes(key.slice(32)), false);
  const files = await Array.fromAsync(Deno.readDir(dir.path));
  assertEquals(files.map(({ name }) => name), ["keys"]);

  await Deno.writeFile(cache, new Uint8Array(100));
  const errors: unknown[] = [];
  await using without = await open(store, { cache, onError: (error) => errors.push(error) });
  assertEquals([without.status.state, errors.length], ["private", 2]);
  assert(errors[1] instanceof SealError);
});

Deno.test("SharedTicketKeys: what the store has lost, or has from before, it gets again; what was forged is not used", async () => {
  await using store = new MemoryStore();
  await using keys = await open(store);
  const old = (await store.get("tickets"))!;
  await keys.rotate();
  const before = keysOf(keys);
  const replay = async (value: Uint8Array<ArrayBuffer>) => {
    await store.replace("tickets", await store.get("tickets"), value, 60);
    return await open(store, { onError: () => {} });
  };
  {
    await using deceived = await replay(old.value); // a server that starts cannot know better
    assertEquals(deceived.status.sequence, 1);
    await keys.rotate(); // one that runs does
    assertEquals(keys.status.sequence, 3);
    assert(before.slice(0, 2).every((key) => keysOf(keys).includes(key)));
  }
  const good = (await store.get("tickets"))!.value;
  const forged = good.slice();
  forged[40]! ^= 1;
  {
    await using careful = await replay(forged);
    assertEquals(careful.status.state, "private");
    assertEquals((await store.get("tickets"))!.value, forged, "what is not ours is not written over");
  }
  await store.delete("tickets");
  await keys.rotate();
  await using joined = await open(store);
  assertEquals(keysOf(joined), keysOf(keys));
});

Deno.test("SharedTicketKeys: of two fleets with different keys in one store, the second goes on alone", async () => {
  await using store = new MemoryStore();
  await using one = await open(store);
  const errors: unknown[] = [];
  const other = {
    storeKey: await StoreKey.from(bytesFrom(9, 32)),
    onError: (error: unknown) => errors.push(error),
  };
  await using second = await open(store, other);
  assertEquals([one.status.state, second.status.state, errors.length], ["shared", "private", 1]);
  await using named = await open(store, { ...other, name: "another fleet" });
  assertEquals(named.status.state, "shared");
});

Deno.test("SharedTicketKeys: neither what is printed nor an error shows a key", async () => {
  await using store = new Faulty();
  const key = await storeKey();
  const printed: string[] = [];
  const onError = (error: unknown) => printed.push(Deno.inspect(error, { depth: 20, showHidden: true }));
  await using keys = await open(store, { storeKey: key, onError, refreshEvery: 0.05 });
  const secrets = [SECRET, ...keys.ring.keys().map((key) => key.subarray(16))];
  store.fault = "down";
  await until("fail", () => keys.status.failures > 0);
  store.fault = "none";
  await store.replace("tickets", await store.get("tickets"), bytesFrom(5, 200), 60);
  await until("fail again", () => printed.length > 1);
  for (
    const value of [
      keys,
      key,
      keys.ring,
      keys.status,
      store,
      new SharedSessionStore({ store, storeKey: key }),
    ]
  ) {
    printed.push(Deno.inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value));
  }
  const text = printed.join("\n");
  for (const secret of secrets) {
    for (const form of [secret.toHex(), secret.toBase64(), [...secret.subarray(0, 8)].join(", ")]) {
      assertEquals(text.includes(form), false);
    }
  }
});

Deno.test("SharedTicketKeys: wrong options are named", async () => {
  await using store = new MemoryStore();
  const key = await storeKey();
  const wrong: [Record<string, unknown>, string][] = [
    [{ store: {} }, "Cannot use store"],
    [{ storeKey: SECRET }, "Cannot use storeKey"],
    [{ name: "" }, "Cannot use name"],
    [{ cache: 1 }, "Cannot use cache"],
    [{ lifetime: 0 }, "Cannot use lifetime"],
    [{ lifetime: 8 * 24 * 3600, rotateEvery: 2 * 24 * 3600 }, "Cannot use lifetime"],
    [{ rotateEvery: Infinity }, "Cannot use refreshEvery"],
    [{ rotateEvery: 100, refreshEvery: 60 }, "Cannot use refreshEvery"],
    [{ lifetime: 7 * PERIOD, rotateEvery: PERIOD }, "Cannot use rotateEvery"],
    [{ timeout: -1 }, "Cannot use timeout"],
  ];
  for (const [options, message] of wrong) {
    const opening = () =>
      SharedTicketKeys.open({ store, storeKey: key, ...options } as SharedTicketKeysOptions);
    const error = await assertRejects(opening, Error);
    assertStringIncludes(error.message, message);
  }
  const sessions = { store, storeKey: key, ticketsPerKey: 0 };
  assertThrows(() => new SharedSessionStore(sessions), RangeError, "ticketsPerKey");
});

Deno.test("SharedSessionStore: a store that is down is asked once in a while, and nobody waits for it", async () => {
  await using store = new Faulty();
  const sessions = new SharedSessionStore({ store, storeKey: await storeKey() });
  store.fault = "silent";
  await assertRejects(() => sessions.take("host"), Error, "no answer in 0.5 seconds");
  const { calls } = store;
  for (let i = 0; i < 100; i++) assertEquals(await sessions.take("host"), undefined);
  assertEquals(store.calls, calls);
});

Deno.test("TicketKeyRing.load() tells who watches, so that workers follow a ring that follows a store", () => {
  using ring = new TicketKeyRing();
  using copy = TicketKeyRing.from(ring.toBytes());
  let changes = 0;
  using _watch = copy.watch(() => changes++);
  ring.rotate();
  copy.load(ring.toBytes());
  assertEquals([changes, copy.keys()], [1, ring.keys()]);
});

Deno.test("SharedTicketKeys: a session resumes at another server, also at one that does not know of a rotation yet", async () => {
  const clock = new Clock();
  const core = fixedCore();
  await using store = new MemoryStore();
  await using one = await open(store, { now: clock.now });
  await using other = await open(store, { now: clock.now });
  using first = configs(core, clientOptions(), {}, { tickets: one.ring });
  using second = configs(core, clientOptions(), {}, { tickets: other.ring });
  using pair = new EnginePair(first.client, first.server).connect();
  const savedSession = pair.client.session()!;
  const resumes = () => {
    using again = new EnginePair(first.client, second.server, { savedSession }).connect();
    return again.server.sessionReused;
  };
  assertEquals(resumes(), true);
  await one.rotate();
  assertEquals(resumes(), true, "the other does not know of it yet");
  await other.rotate();
  assertEquals(resumes(), true);
});
