/** Stores that ten processes use at the same instant: with a real Redis, and with a real file of Deno KV. */
import { assert, assertEquals } from "@std/assert";
import { KvStore, RedisStore } from "../stores.ts";
import { Program, redisServer, tempDir } from "./peers.ts";
import { keysOf, open, until } from "./shared_keys.ts";

const PROCESSES = 10;
const RACER = new URL("stores/racer.ts", import.meta.url).href;

/** What `tests/stores/racer.ts` says. */
interface Race {
  refused: number;
  errors: string[];
  state: string;
  written: number;
  sequence: number;
}

async function race(place: string): Promise<Race[]> {
  await using stack = new AsyncDisposableStack();
  const racers = Array.from({ length: PROCESSES }, () => {
    const program = new Program("deno", ["run", "-A", "--unstable-kv", "--no-check", RACER, place]);
    stack.defer(() => program[Symbol.asyncDispose]());
    return program;
  });
  await Promise.all(racers.map((racer) => racer.waitFor(/^ready$/m)));
  await Promise.all(racers.map((racer) => racer.write("\n")));
  return await Promise.all(racers.map(async (racer) => JSON.parse((await racer.waitFor(/^\{.*\}$/m))[0])));
}

function assertFair(races: readonly Race[], additions: number): void {
  const figures = JSON.stringify(races);
  assertEquals(additions, PROCESSES * 20, `no addition is lost: ${figures}`);
  assert(races.some(({ refused }) => refused > 0), `they were at it at once: ${figures}`);
  const sequence = Math.max(...races.map(({ sequence }) => sequence));
  const written = races.reduce((sum, { written }) => sum + written, 0);
  assert(sequence >= 3, `the keys have rotated: ${figures}`);
  assertEquals(written, sequence, `each rotation was written once: ${figures}`);
  assertEquals(races.map(({ state, errors }) => [state, errors]), races.map(() => ["shared", []]), figures);
}

Deno.test("stores: ten processes with Redis lose no write, and rotate the keys once for all", async () => {
  await using server = await redisServer();
  const url = `redis://127.0.0.1:${server.port}`;
  const races = await race(url);
  await using store = await RedisStore.open(url);
  assertFair(races, (await store.get("number"))!.value.length);
});

Deno.test("stores: ten processes with a file of Deno KV lose no write, and rotate the keys once for all", async () => {
  await using dir = await tempDir();
  const races = await race(`${dir.path}/kv`);
  await using store = await KvStore.open(`${dir.path}/kv`);
  assertFair(races, (await store.get("number"))!.value.length);
});

Deno.test("stores: KvStore: a file that somebody holds locked costs no server its keys", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/kv`;
  await using store = await KvStore.open(path);
  await using keys = await open(store, { onError: () => {} });
  const before = keysOf(keys);
  const hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); " +
    "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.readline(); c.execute('ROLLBACK'); print('free', flush=True)";
  await using holder = new Program("python3", ["-c", hold, path]);
  await holder.waitFor(/^held$/m);
  let error: unknown;
  await keys.rotate().catch((thrown) => error = thrown);
  assert(String(error).includes("database is locked"), String(error));
  assertEquals(keysOf(keys), before);
  await holder.write("\n");
  await holder.waitFor(/^free$/m);
  await keys.rotate();
  await until("have the next", () => keys.status.sequence === 2);
  for (const key of before) assert(keysOf(keys).includes(key));
});
