/** WorkerServer: several Workers on one port, their ticket keys, crashes, and closing. */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { startServer } from "../lib/net.ts";
import type { ConnectionFailure } from "../lib/server.ts";
import type { SSLSession } from "../lib/session.ts";
import type { WrapSocketOptions } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import type { WorkerServer } from "../lib/workers.ts";
import { certFile, tempDir } from "./peers.ts";
import {
  assertKind,
  CREDENTIAL,
  dial,
  dialTls,
  eventually,
  LONG,
  readText,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";
import { STREAMS, working } from "./workers/working.ts";

/** Seconds that a close takes at most when nothing hinders it: far below the deadline of the tests' servers. */
const SOON = LONG / 4;

/** Collects what a server reports. */
function log() {
  const entries: { error: unknown; failure: ConnectionFailure }[] = [];
  return {
    entries,
    crashes: () =>
      entries.filter(({ failure }) => failure.phase === "worker").map(({ error }) => String(error)),
    onError: (error: unknown, failure: ConnectionFailure) => void entries.push({ error, failure }),
  };
}

/** What a client knows of one exchange. */
interface Exchange {
  answer: string | null;
  reused: boolean;
  session: SSLSession | undefined;
}

/** Connects, sends one command, reads the answer, and closes. */
async function ask(
  server: WorkerServer,
  command = "who",
  options: WrapSocketOptions = {},
): Promise<Exchange> {
  const client = await dialTls(server, options);
  try {
    await client.write(encodeText(`${command}\n`));
    const answer = await readText(client);
    return { answer, reused: client.sessionReused, session: client.session };
  } finally {
    await client.close();
  }
}

/** Asks one after the other. */
async function askMany(
  count: number,
  server: WorkerServer,
  options: (i: number) => WrapSocketOptions = () => ({}),
) {
  const exchanges: Exchange[] = [];
  for (let i = 0; i < count; i++) exchanges.push(await ask(server, "who", options(i)));
  return exchanges;
}

/** Makes a worker crash that way; the connection breaks off. */
async function crash(server: WorkerServer, how: string): Promise<void> {
  await assertKind(ask(server, how), "eof");
}

// ---- One port -------------------------------------------------------------------------------------------

test("WorkerServer: connections are served by each of its workers, and counted over all", async () => {
  await using server = await working({ workers: 3 });
  const exchanges = await askMany(48, server);
  assertEquals(new Set(exchanges.map(({ answer }) => answer)).size, 3);
  const { workers, restarts, accepted, open, handshakeFailures } = await server.stats();
  assertEquals({ workers, restarts, accepted, open, handshakeFailures }, {
    workers: 3,
    restarts: 0,
    accepted: 48,
    open: 0,
    handshakeFailures: 0,
  });
});

test("WorkerServer: serves plain bytes without ssl", async () => {
  await using server = await startServer(STREAMS, { hostname: "127.0.0.1", port: 0, workers: 2 });
  using conn = await dial(server);
  await conn.write(encodeText("slow\n"));
  const buffer = new Uint8Array(100);
  assertEquals(decodeText(buffer.subarray(0, (await conn.read(buffer))!)), "done\n");
});

test("WorkerServer: a port that another server shares is in use, unless reusePort says otherwise", async () => {
  await using first = await working();
  const { port } = first.addr;
  await assertRejects(() => working({ port }), Deno.errors.AddrInUse);
  await using second = await working({ port, reusePort: true, workers: 1 });
  assertEquals(second.addr.port, port);
  const exchanges = await askMany(48, first);
  assertEquals(new Set(exchanges.map(({ answer }) => answer)).size, 3);
});

test("WorkerServer: a port that is given is free again after the close", async () => {
  let port = 0;
  for (let i = 0; i < 3; i++) {
    await using server = await working({ port });
    port = server.addr.port;
    await ask(server);
  }
  Deno.listen({ hostname: "127.0.0.1", port }).close();
});

// ---- Ticket keys ----------------------------------------------------------------------------------------

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`WorkerServer: a session of one worker resumes with any of them (${version})`, async () => {
    await using server = await working({ ssl: { ...CREDENTIAL, sessionCacheSize: 0 } });
    const first = await ask(server, "who", { sslVersion });
    // A TLS 1.3 ticket is for one use: each connection takes that of the one before.
    let { session } = first;
    const exchanges: Exchange[] = [];
    for (let i = 0; i < 40; i++) {
      exchanges.push(await ask(server, "who", { sslVersion, savedSession: session! }));
      session = exchanges.at(-1)!.session;
    }
    assertEquals(exchanges.filter(({ reused }) => reused).length, 40);
    assertEquals(new Set(exchanges.map(({ answer }) => answer)).size, 2);
  });
}

test("WorkerServer: workers follow the rotation of the ring that they are given", async () => {
  using ring = new TicketKeyRing();
  await using server = await working({ ssl: { ...CREDENTIAL, tickets: ring, sessionCacheSize: 0 } });
  const before = await askMany(8, server);
  ring.rotate();
  await server.stats(); // comes to the workers behind the keys
  for (const { session } of before) assert((await ask(server, "who", { savedSession: session! })).reused);

  for (let i = 0; i < 8; i++) ring.rotate(); // the ring holds eight keys
  await server.stats();
  for (const { session } of before) assert(!(await ask(server, "who", { savedSession: session! })).reused);
  for (const { session } of await askMany(8, server)) {
    assert((await ask(server, "who", { savedSession: session! })).reused);
  }
});

test("WorkerServer: a worker that was started again opens the tickets of the one before", async () => {
  const { crashes, onError } = log();
  await using server = await working({ workers: 1, onError });
  const { answer, session } = await ask(server);
  await crash(server, "throw");
  await eventually(() => crashes().length === 1);
  await connectable(server);
  const again = await ask(server, "who", { savedSession: session! });
  assertEquals([again.reused, again.answer === answer], [true, false]);
});

test("WorkerServer: contexts that the handler's module makes share tickets, too", async () => {
  const module = new URL("./workers/own_context.ts", import.meta.url);
  await using server = await startServer(module, { hostname: "127.0.0.1", port: 0, workers: 2 });
  const exchanges = await askMany(24, server);
  assertEquals(new Set(exchanges.map(({ answer }) => answer)).size, 2);
  for (const { session } of exchanges) assert((await ask(server, "who", { savedSession: session! })).reused);
});

// ---- Crashes --------------------------------------------------------------------------------------------

/** Waits until a connection is accepted: while the only worker starts again, it is refused. */
async function connectable(server: WorkerServer): Promise<void> {
  const ends = Date.now() + LONG * 1000;
  for (;;) {
    try {
      return (await dial(server)).close();
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionRefused && Date.now() < ends, String(error));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Waits until so many workers were started again, and all are serving. */
async function restarted(server: WorkerServer, count: number, workers = 2): Promise<void> {
  const ends = Date.now() + LONG * 1000;
  for (;;) {
    const stats = await server.stats();
    if (stats.restarts === count && stats.workers === workers) return;
    assert(Date.now() < ends, `not started again: ${JSON.stringify(stats)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const CRASHES: Record<string, string> = {
  throw: "RangeError: thrown on purpose",
  reject: "RangeError: rejected on purpose",
  exit: "Error: A worker has ended without a word",
  close: "Error: A worker has ended without a word",
};

for (const [how, message] of Object.entries(CRASHES)) {
  test(`WorkerServer: a worker that ends by ${how} is reported and started again`, async () => {
    const { crashes, onError } = log();
    await using server = await working({ onError });
    const before = new Set((await askMany(24, server)).map(({ answer }) => answer));
    await crash(server, how);
    await restarted(server, 1);
    assertEquals(crashes(), [message]);
    const after = new Set((await askMany(24, server)).map(({ answer }) => answer));
    assertEquals([before.size, after.size, before.union(after).size], [2, 2, 3]);
    assert(server.isServing());
  });
}

test("WorkerServer: a worker that crashes again and again is given up, and finished rejects", async () => {
  await using dir = await tempDir();
  const flag = `${dir.path}/crash`;
  const module = new URL("./workers/crashing.ts", import.meta.url);
  module.searchParams.set("flag", flag);
  const { crashes, onError } = log();
  const server = await working({ workers: 1, onError }, module);
  await Deno.writeTextFile(flag, "");
  const error = await assertRejects(() => server.finished, Error, "Cannot keep the workers running");
  assertEquals(crashes(), Array.from({ length: 5 }, () => "Error: crashes whatever happens"));
  assertEquals(String((error as Error).cause), "Error: crashes whatever happens");
  assertEquals([server.isServing(), (await server.stats()).restarts], [false, 4]);
  Deno.listen({ hostname: "127.0.0.1", port: server.addr.port }).close();
  await server.close();
});

test("WorkerServer: failures of connections are reported with their class and fields", async () => {
  const { entries, onError } = log();
  await using server = await working({ onError });
  await assertKind(dialTls(server, { caCerts: certFile("root-rsa.pem") }), "verify");
  await eventually(() => entries.length === 1);
  const [{ error, failure } = {}] = entries;
  assertEquals(failure?.phase, "handshake");
  assertEquals(failure?.remoteAddr?.transport, "tcp");
  assertEquals((error as { alert?: { name: string } }).alert?.name, "unknown_ca");
  assertEquals((error as Error).name, "SSLError");

  await assertKind(ask(server, "fail"), "eof");
  await eventually(() => entries.length === 2);
  assertInstanceOf(entries[1]?.error, RangeError);
  assertEquals(entries[1]?.failure.phase, "handler");
  assertEquals((await server.stats()).failures, { unknown_ca: 1 });
});

// ---- Closing --------------------------------------------------------------------------------------------

test("WorkerServer.close() finishes what is under way in every worker, and accepts no more", async () => {
  const server = await working();
  const clients = await Promise.all(Array.from({ length: 12 }, () => dialTls(server)));
  await Promise.all(clients.map((client) => client.write(encodeText("slow\n"))));
  const closed = server.close();
  assert(!server.isServing());
  await refusing(server);
  assertEquals(await Promise.all(clients.map((client) => readText(client))), clients.map(() => "done\n"));
  await Promise.all(clients.map((client) => client.close()));
  await closed;
  await server.finished;
  const { workers, accepted, open } = await server.stats();
  assertEquals([workers, accepted >= 12, open], [0, true, 0]);
});

/** Waits until nobody listens any more: Deno closes a listener in the turn of the event loop after its close(). */
async function refusing(server: WorkerServer): Promise<void> {
  const ends = Date.now() + LONG * 1000;
  for (;;) {
    try {
      (await dial(server)).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      // It was in the backlog when the listener closed; the reset may come before Deno asks for the peer's address.
      const { ConnectionReset, NotConnected } = Deno.errors;
      assert(error instanceof ConnectionReset || error instanceof NotConnected, String(error));
    }
    assert(Date.now() < ends, "still listening");
  }
}

test("WorkerServer.close() breaks off what takes longer than the shutdown timeout", async () => {
  const server = await working({ sslShutdownTimeout: SHORT });
  const client = await dialTls(server);
  await client.write(encodeText("never\n"));
  await assertSoon(server.close());
  assertEquals(await readText(client).catch((error) => error.kind), "eof");
  client.abort();
});

test("WorkerServer.abort() waits for nothing", async () => {
  const server = await working();
  const client = await dialTls(server);
  await client.write(encodeText("never\n"));
  server.abort();
  await assertSoon(server.finished);
  assertEquals(await readText(client).catch((error) => error.kind), "eof");
  client.abort();
});

/** Asserts that a close ends long before its deadline. */
async function assertSoon(closed: Promise<void>): Promise<void> {
  const start = performance.now();
  await closed;
  const seconds = (performance.now() - start) / 1000;
  assert(seconds < SOON, `took ${seconds} seconds`);
}

test("WorkerServer.close() while a worker starts again does not wait for its module", async () => {
  await using dir = await tempDir();
  const flag = `${dir.path}/hang`;
  const module = new URL("./workers/hanging.ts", import.meta.url);
  module.searchParams.set("flag", flag);
  const { crashes, onError } = log();
  const server = await working({ workers: 1, onError }, module);
  await Deno.writeTextFile(flag, "");
  await crash(server, "throw");
  await eventually(() => crashes().length === 1);
  while ((await server.stats()).restarts === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await assertSoon(server.close());
  await server.finished;
});

test("WorkerServer.close() before a crashed worker is started again is not delayed", async () => {
  const { crashes, onError } = log();
  const server = await working({ workers: 1, onError });
  await crash(server, "throw");
  await eventually(() => crashes().length === 1);
  await assertSoon(server.close());
  assertEquals((await server.stats()).restarts, 0);
});
