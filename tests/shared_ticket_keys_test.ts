/** Ticket keys and sessions that a fleet shares, whatever becomes of the store. */
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
  MemoryStore,
  SealError,
  SharedSessionStore,
  type SharedStore,
  SharedTicketKeys,
  type SharedTicketKeysOptions,
  StoreKey,
  VALUE_MAX,
} from "../stores.ts";
import { bytesFrom, clientOptions, configs, EnginePair, fixedCore } from "./pair.ts";
import { tempDir, within } from "./peers.ts";
import { keysOf, open, PERIOD, SECRET, storeKey, until } from "./shared_keys.ts";

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

/** A session that was made now, and that its server promises to resume for so many seconds. */
function newSession(lifetime?: number): SSLSession {
  using both = configs(fixedCore(), { sslVersion: TLSVersion.TLSv1_3 });
  using pair = new EnginePair(both.client, both.server).connect();
  const session = SSLSession.from(pair.client.session()!.toBytes());
  const facts = { ...session.facts, created: Date.now() };
  return new SSLSession({ ...facts, lifetime: lifetime ?? facts.lifetime }, SSLSession.state(session));
}

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
  const clock = new Clock();
  await using store = new MemoryStore();
  await using one = await open(store, { now: clock.now });
  await using other = await open(store, { now: clock.now, refreshEvery: 0.05 });
  clock.advance(PERIOD / 2);
  const [seals, next] = keysOf(one);
  await one.rotate();
  assertEquals(keysOf(one)[0], next);
  assert(keysOf(other).includes(next!));
  await until("follow", () => keysOf(other)[0] === next);
  assert(keysOf(other).includes(seals!));
});

Deno.test("SharedTicketKeys: rotate() lets no key seal before every server has had time to look twice", async () => {
  const clock = new Clock();
  await using store = new MemoryStore();
  await using one = await open(store, { now: clock.now });
  await using other = await open(store, { now: clock.now }); // it does not look again during this test
  const [seals, next] = keysOf(one);
  for (let i = 0; i < 12; i++) await one.rotate();
  assertEquals([keysOf(one)[0], one.status.sequence], [seals, 2], "the next is too new; asked once or often");
  clock.advance(PERIOD / 2);
  assertEquals([keysOf(one)[0], keysOf(other)[0]], [next, seals]);
  assert(keysOf(other).includes(next!));
  await one.rotate();
  await one.rotate();
  assertNotEquals(keysOf(one)[0], next);
  assert([seals, next].every((key) => keysOf(one).includes(key!)), "what the fleet seals with still opens");
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
  const { message, cause } = errors[1] as Error;
  assert(cause instanceof SealError);
  assertEquals(
    message,
    `Cannot use cache "${cache}": Cannot open "tickets": it is not of this version of the format`,
  );
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

Deno.test("SharedSessionStore: a hundred connections that wait for a dead store are one failure", async () => {
  await using store = new Faulty();
  const sessions = new SharedSessionStore({ store, storeKey: await storeKey() });
  store.fault = "down";
  const takes = await Promise.allSettled(Array.from({ length: 100 }, () => sessions.take("host")));
  assertEquals(takes.filter(({ status }) => status === "rejected").length, 1, "told of once");
  store.fault = "none";
  const { calls } = store;
  const asked = async () => {
    while (store.calls === calls) {
      await sessions.take("host");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await within(asked(), 5_000, "ask again: the pause is the first, not the hundredth");
});

Deno.test("SharedSessionStore: where others are always faster it goes on without, and the store is not to blame", async () => {
  await using store = new Faulty();
  const sessions = new SharedSessionStore({ store, storeKey: await storeKey() });
  const session = newSession();
  store.replace = () => Promise.resolve(false);
  await sessions.put("host", session);
  store.replace = (...args) => MemoryStore.prototype.replace.apply(store, args);
  await sessions.put("host", session);
  assertEquals((await sessions.take("host"))?.toBytes(), session.toBytes(), "it is asked again at once");
});

Deno.test("SharedSessionStore: a session is its host's and its trust's alone, whoever moves it in the store", async () => {
  await using store = new MemoryStore();
  const sessions = new SharedSessionStore({ store, storeKey: await storeKey() });
  const names: string[] = [];
  const get = store.get.bind(store);
  store.get = (name) => (names.push(name), get(name));
  await sessions.put("a.test:443 trust", newSession());
  for (const other of ["b.test:443 trust", "a.test:443 other trust"]) {
    assertEquals(await sessions.take(other), undefined);
    const stolen = await get(names[0]!);
    const at = names.at(-1)!;
    await store.replace(at, await get(at), stolen!.value, 60);
    assertEquals(await sessions.take(other), undefined);
  }
  assert(names.every((name) => /^session:[0-9a-f]{64}$/.test(name)), "names say nothing");
  assert(await sessions.take("a.test:443 trust") !== undefined);
});

Deno.test("SharedSessionStore: what it keeps of a host ends, whatever the host promises, and fits the store", async () => {
  await using store = new MemoryStore();
  const written: [number, number][] = [];
  const replace = store.replace.bind(store);
  store.replace = (name, seen, value, lifetime) => {
    written.push([value.length, lifetime]);
    return replace(name, seen, value, lifetime);
  };
  const sessions = new SharedSessionStore({ store, storeKey: await storeKey(), ticketsPerKey: 1000 });
  for (let i = 0; i < 60; i++) await sessions.put("host", newSession(2 ** 32 - 1));
  assertEquals(Math.max(...written.map(([, lifetime]) => lifetime)), 7 * 24 * 3600);
  const sizes = written.map(([size]) => size);
  assert(sizes.at(-1)! <= VALUE_MAX && sizes.at(-1)! > VALUE_MAX / 2, `${sizes.at(-1)}`);
});

Deno.test("MemoryStore: is bounded; what was used last stays", async () => {
  await using store = new MemoryStore({ capacity: 3 });
  for (const key of ["a", "b", "c"]) await store.replace(key, undefined, Uint8Array.of(1), 60);
  await store.get("a");
  await store.replace("d", undefined, Uint8Array.of(1), 60);
  assertEquals([store.size, await store.get("b")], [3, undefined]);
  assert(await store.get("a") !== undefined);
  assertThrows(() => new MemoryStore({ capacity: 0 }), RangeError, "capacity");
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
