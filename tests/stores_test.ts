/** Stores that a fleet shares, and the sealing of what is in them. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SSLSession, TLSVersion } from "tlsio";
import {
  KvStore,
  MemoryStore,
  RedisStore,
  SealError,
  SharedSessionCache,
  SharedSessionStore,
  type SharedStore,
  type SharedTicketKeys,
  StoreKey,
} from "../stores.ts";
import { bytesFrom, configs, EnginePair, fixedCore } from "./pair.ts";
import { redisServer, run, tempDir } from "./peers.ts";
import { keysOf, open, SECRET, storeKey, until } from "./shared_keys.ts";

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

for (const [name, start] of Object.entries(STORES)) {
  Deno.test(`SharedSessionCache: ${name}: what one server keeps, the others find, until it is forgotten`, async () => {
    await using place = await start();
    await using stack = new AsyncDisposableStack();
    const open = async () => {
      const store = stack.use(await place.open());
      return stack.use(new SharedSessionCache({ store, storeKey: await storeKey(), timeout: 5 }));
    };
    const [one, other] = [await open(), await open()];
    const [id, session] = [bytesFrom(1, 32), bytesFrom(2, 900)];
    one.keep("00", id, session.slice(), 60);
    await until("write", () => one.status.written === 1);
    assertEquals(await other.find("00", id), session);
    assertEquals(await other.find("01", id), undefined);
    other.forget("00", id);
    let found = await one.find("00", id);
    for (let i = 0; i < 100 && found !== undefined; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      found = await one.find("00", id);
    }
    assertEquals([found, one.status.failures, other.status.failures], [undefined, 0, 0]);
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

Deno.test("stores: KvStore: what somebody else has put there is not taken, nor for nothing", async () => {
  await using dir = await tempDir();
  using kv = await (Deno as unknown as { openKv(path: string): Promise<Kv> }).openKv(`${dir.path}/kv`);
  await kv.set(["tlsio", "key"], "text");
  await using store = await KvStore.open(`${dir.path}/kv`);
  await assertRejects(() => store.get("key"), TypeError, 'Cannot read "key" from Deno KV: expected bytes');
  assertEquals(await store.replace("key", undefined, Uint8Array.of(1), 60), false);
  await store[Symbol.asyncDispose](); // twice, with its scope
});

type Kv = Disposable & { set(key: string[], value: unknown): Promise<unknown> };

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
