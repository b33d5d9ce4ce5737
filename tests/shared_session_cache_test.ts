/** Servers that share TLS 1.2 sessions by id in a store, whatever becomes of the store. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type ContextOptions, SSLContext, SSLSession, type SSLSocket, startServer } from "tlsio";
import { CERT_OPTIONAL, MemoryBIO, TLSVersion, wrapSocket } from "tlsio";
import {
  MemoryStore,
  SharedSessionCache,
  type SharedSessionCacheOptions,
  type SharedStore,
  StoreKey,
} from "../stores.ts";
import type { Bytes } from "../lib/bytes.ts";
import { contextFor } from "../lib/worker_context.ts";
import { bytesFrom } from "./pair.ts";
import { pipe } from "./pipe.ts";
import { SECRET, storeKey, until } from "./shared_keys.ts";
import { assertTalk, CLIENT, closeBoth, CREDENTIAL, readText, seconds, test, wrapBoth } from "./sockets.ts";

/** A store that can be down, silent or spoilt, and shows its names. */
class Faulty extends MemoryStore {
  fault: "none" | "down" | "silent" | "changed" | "swapped" = "none";
  readonly names = new Set<string>();
  calls = 0;

  async #pass(): Promise<void> {
    this.calls++;
    if (this.fault === "down") throw new Error("connection refused");
    if (this.fault === "silent") await new Promise(() => {});
  }
  override async get(key: string) {
    await this.#pass();
    const other = this.fault === "swapped" ? [...this.names].find((name) => name !== key)! : key;
    const entry = await super.get(other);
    if (entry === undefined || this.fault !== "changed") return entry;
    const value = entry.value.slice();
    value[value.length >> 1]! ^= 1;
    return { ...entry, value };
  }
  override async replace(...args: Parameters<SharedStore["replace"]>) {
    await this.#pass();
    this.names.add(args[0]);
    return await super.replace(...args);
  }
  override async delete(key: string) {
    await this.#pass();
    this.names.delete(key);
    await super.delete(key);
  }
}

/** A server of a fleet: a context with a cache of its own. */
interface Member extends AsyncDisposable {
  readonly context: SSLContext;
  readonly cache: SharedSessionCache;
}

async function member(
  store: SharedStore,
  options: Partial<SharedSessionCacheOptions> = {},
  context: ContextOptions = {},
): Promise<Member> {
  const cache = new SharedSessionCache({ store, storeKey: await storeKey(), onError: () => {}, ...options });
  const own = { serverSide: true, ...CREDENTIAL, sessionCache: cache };
  const made = await SSLContext.create({ ...own, ...context });
  return {
    context: made,
    cache,
    async [Symbol.asyncDispose]() {
      made[Symbol.dispose]();
      await cache[Symbol.asyncDispose]();
    },
  };
}

const WITHOUT = { sslVersion: TLSVersion.TLSv1_2, tickets: false } as const;

/** A client without tickets comes, talks, and goes. */
async function visit({ context, cache }: Member, savedSession?: SSLSession): Promise<SSLSocket> {
  const { written, dropped } = cache.status;
  const ends = await wrapBoth(...pipe(), {
    client: { ...CLIENT, ...WITHOUT, ...(savedSession && { savedSession }) },
    server: { context },
  });
  await assertTalk(...ends);
  await closeBoth(...ends);
  const [socket] = ends;
  if (!socket.sessionReused && cache.status.isUp) {
    await until("write the session", () => cache.status.written + cache.status.dropped > written + dropped);
  }
  return socket;
}

test("SharedSessionCache: a session by id resumes at every server of the fleet", async () => {
  await using store = new Faulty();
  const fleet = await Promise.all([member(store), member(store), member(store)]);
  await using stack = new AsyncDisposableStack();
  for (const one of fleet) stack.use(one);
  const first = await visit(fleet[0]!);
  assertEquals([first.sessionReused, first.session!.hasTicket, store.names.size], [false, false, 1]);
  for (let i = 1; i < 6; i++) {
    assertEquals((await visit(fleet[i % 3]!, first.session)).sessionReused, true, `visit ${i}`);
  }
  assertEquals(fleet.map(({ cache }) => cache.status.found), [0, 1, 1], "then each has it itself");
  assertEquals(fleet.map(({ context }) => context.sessionStats().hits), [1, 2, 2]);
});

test("SharedSessionCache: the store sees neither the session nor its id", async () => {
  await using store = new Faulty();
  await using one = await member(store);
  const { session } = await visit(one);
  const [name] = store.names;
  const { value } = (await store.get(name!))!;
  const state = SSLSession.from(session!.toBytes()).toBytes().toHex();
  const { id } = session!.facts;
  assert(state.includes(id) && id.length === 64);
  const secret = state.slice(state.indexOf(id) + 64, state.indexOf(id) + 64 + 96);
  for (const text of [id, secret, secret.slice(20, 60)]) {
    assert(!name!.includes(text) && !value.toHex().includes(text));
  }
});

for (const fault of ["changed", "swapped"] as const) {
  test(`SharedSessionCache: a record that was ${fault} is a full handshake`, async () => {
    await using store = new Faulty();
    await using one = await member(store);
    await using other = await member(store);
    const { session } = await visit(one);
    await visit(one);
    store.fault = fault;
    assertEquals((await visit(other, session)).sessionReused, false);
    store.fault = "none";
    const { refused, failures, isUp } = other.cache.status;
    assertEquals([refused, failures, isUp], [1, 0, true], "the store is not at fault");
    assertEquals((await visit(other, session)).sessionReused, true);
  });
}

for (const fault of ["down", "silent"] as const) {
  test(`SharedSessionCache: while the store is ${fault}, clients get full handshakes in time, and it is left alone`, async () => {
    await using store = new Faulty();
    const errors: unknown[] = [];
    await using one = await member(store);
    await using other = await member(store, { timeout: 0.3, onError: (error) => errors.push(error) });
    const { session } = await visit(one);
    store.fault = fault;
    const took = await seconds((async () => {
      const visits = await Promise.all([1, 2, 3].map(() => visit(other, session)));
      assertEquals(visits.map((socket) => socket.sessionReused), [false, false, false]);
    })());
    assert(took < 5, `${took} s`);
    assert(other.cache.status.failures > 0);
    const calls = store.calls;
    for (let i = 0; i < 50; i++) assertEquals(await other.cache.find("00", bytesFrom(1, 32)), undefined);
    assert(store.calls - calls < 10 && other.cache.status.skipped > 40, Deno.inspect(other.cache.status));
    assertEquals([errors.length, (await visit(other, session)).sessionReused], [1, false]);
    assertEquals((await visit(one, session)).sessionReused, true, "its own it has");
    store.fault = "none";
    await until("try the store again", () => other.cache.status.isUp);
    assertEquals((await visit(other, session)).sessionReused, true);
  });
}

test("SharedSessionCache: a server that asks for certificates does not look for a session of one that does not", async () => {
  await using store = new Faulty();
  await using one = await member(store);
  await using asking = await member(store, {}, { certReqs: CERT_OPTIONAL, caCerts: CLIENT.caCerts! });
  const { session } = await visit(one);
  assertEquals((await visit(asking, session)).sessionReused, false);
  assertEquals(asking.cache.status.lookups, 0);
});

test("SharedSessionCache: what nobody has made is not looked up; the rest is bounded in rate and number", async () => {
  await using store = new Faulty();
  await using one = await member(store, { lookupsPerSecond: 2 });
  const id = bytesFrom(1, 32);
  store.fault = "silent";
  const finds = Array.from({ length: 5 }, () => one.cache.find("00", id));
  assertEquals([one.cache.status.lookups, one.cache.status.skipped, store.calls <= 2], [2, 3, true]);
  assertEquals(await Promise.all(finds), [undefined, undefined, undefined, undefined, undefined]);

  await using many = await member(store, { lookupsPerSecond: 1e6 });
  const all = Array.from({ length: 200 }, () => many.cache.find("00", id));
  assertEquals([many.cache.status.lookups, many.cache.status.skipped], [64, 136]);
  await Promise.all(all);
});

test("SharedSessionCache: writes are bounded, in order, and none is lost when it ends", async () => {
  await using store = new Faulty();
  const one = await member(store);
  const session = (seed: number): Bytes => bytesFrom(seed, 200);
  const id = (seed: number): Bytes => bytesFrom(seed, 32);
  for (let i = 0; i < 1100; i++) one.cache.keep("00", id(i), session(i), 60);
  one.cache.forget("00", id(7));
  assertEquals(one.cache.status.dropped, 100);
  await until("write", () => one.cache.status.written === 1000);
  assertEquals(await one.cache.find("00", id(8)), session(8));
  one.cache.forget("00", id(8));
  one.cache.keep("00", id(2000), session(1), 60);
  one.cache.forget("00", id(2000));
  one.cache.keep("00", id(2001), new Uint8Array(60_000), 60);
  assertEquals(one.cache.status.dropped, 101, "too long");
  await one[Symbol.asyncDispose]();
  assertEquals(store.names.size, 999);
  assertEquals(await one.cache.find("00", id(9)), undefined, "it has ended");
});

test("SharedSessionCache: a session that expires in the store is a full handshake", async () => {
  await using store = new Faulty();
  await using one = await member(store);
  one.cache.keep("00", bytesFrom(1, 32), bytesFrom(2, 100), 0.2);
  await until("write", () => one.cache.status.written === 1);
  assertEquals(await one.cache.find("00", bytesFrom(1, 32)), bytesFrom(2, 100));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals(await one.cache.find("00", bytesFrom(1, 32)), undefined);
});

test("SharedSessionCache: a new StoreKey goes in front of the old one, server by server", async () => {
  await using store = new Faulty();
  await using old = await member(store);
  await using both = await member(store, { storeKey: await StoreKey.from(bytesFrom(9, 32), SECRET) });
  const before = await visit(old);
  assertEquals((await visit(both, before.session)).sessionReused, true);
  const after = await visit(both);
  assertEquals((await visit(old, after.session)).sessionReused, false, "it does not know the new key yet");
  await using next = await member(store, { storeKey: await StoreKey.from(bytesFrom(9, 32)) });
  assertEquals((await visit(next, after.session)).sessionReused, true);
  assertEquals((await visit(next, before.session)).sessionReused, false);
});

test("SharedSessionCache: with startServer(), a server of a chosen context, and calls that do not wait", async () => {
  await using store = new Faulty();
  await using one = await member(store);
  await using other = await member(store);
  await using front = await member(store, {}, {
    getConfigForClient: () => other.context,
    sessionCache: one.cache,
  });
  const serve = (context: SSLContext) =>
    startServer(async (reader, writer) => {
      writer.write(await reader.readexactly(5));
      await writer.drain();
      writer.close();
    }, { hostname: "127.0.0.1", port: 0, ssl: context });
  await using first = await serve(one.context);
  await using second = await serve(front.context);
  const ask = async ({ sockets: [addr] }: typeof first, savedSession?: SSLSession) => {
    const conn = await Deno.connect({ port: (addr as Deno.NetAddr).port });
    const options = { ...CLIENT, ...WITHOUT, ...(savedSession && { savedSession }) };
    const socket = await wrapSocket(conn, options);
    await socket.write(new TextEncoder().encode("hello"));
    assertEquals(await readText(socket), "hello");
    await socket.close();
    return socket;
  };
  const made = await ask(first);
  await until("write the session", () => one.cache.status.written === 1);
  assertEquals((await ask(second, made.session)).sessionReused, true);
  assertEquals(other.cache.status.found, 1);

  await using third = await member(store);
  const [near, far] = pipe();
  const client = wrapSocket(near, { ...CLIENT, ...WITHOUT, savedSession: made.session! });
  const polled = await wrapSocket(far, { context: third.context, doHandshake: false });
  polled.setBlocking(false);
  while (polled.tryHandshake().state !== "ok") assert(await polled.ready("read", 5));
  polled.setBlocking(true);
  assertEquals([(await client).sessionReused, third.cache.status.found], [true, 1]);
  await closeBoth(await client, polled);
});

test("SharedSessionCache: options that are wrong are refused by name", async () => {
  await using store = new Faulty();
  const options = { store, storeKey: await storeKey() };
  assertThrows(() => new SharedSessionCache({ ...options, store: {} as SharedStore }), TypeError, "store");
  assertThrows(() => new SharedSessionCache({ ...options, storeKey: {} as StoreKey }), TypeError, "storeKey");
  assertThrows(() => new SharedSessionCache({ ...options, timeout: -1 }), RangeError, "timeout");
  assertThrows(
    () => new SharedSessionCache({ ...options, lookupsPerSecond: 0 }),
    RangeError,
    "lookupsPerSecond",
  );
  await using one = await member(store);
  const bio = () => one.context.wrapBio(new MemoryBIO(), new MemoryBIO());
  assertThrows(bio, TypeError, "sessionCache needs a socket");
  await assertRejects(
    () => contextFor({ ...CREDENTIAL, sessionCache: one.cache }),
    TypeError,
    "cannot cross to a Worker",
  );
  assertEquals(Deno.inspect(one.cache), "SharedSessionCache { isUp: true, found: 0 }");
});
