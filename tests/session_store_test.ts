/** A client context's store of sessions: connections that resume by themselves. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { ContextOptions, SessionStore, SocketOptions, SSLSession, SSLSocket } from "tlsio";
import { MemorySessionStore, openConnection, SSLContext, startServer } from "tlsio";
import { SSLSession as Session } from "../lib/session.ts";
import { bytesFrom } from "./pair.ts";
import { opensslServer } from "./peers.ts";
import { closeInOrder, receive, send } from "./interop.ts";
import { identity } from "./peers.ts";
import { assertTalk, CLIENT, closeBoth, CREDENTIAL, isPending, test, VERSIONS, wrapBoth } from "./sockets.ts";
import { pipe } from "./pipe.ts";

const TRUST = { caCerts: CLIENT.caCerts! };
const TYPES = { "TLSv1.2": 1, "TLSv1.3": 2 } as const; // tickets of a handshake

/** A session that nobody can resume, for the store's own tests. */
function session(version: keyof typeof VERSIONS, created: number, lifetime = 3600, tag = 0): SSLSession {
  const facts = {
    serverHostname: "localhost",
    trust: "00",
    version,
    verifyFlags: 0,
    created,
    peer: "",
    alpn: "",
  };
  return new Session({ ...facts, id: "", lifetime, ticket: true }, bytesFrom(tag, 8));
}

/** Connects two contexts over a pipe, talks, closes. */
async function connect(
  client: SSLContext,
  server: SSLContext,
  options: SocketOptions = {},
): Promise<SSLSocket> {
  const { doHandshake = true } = options;
  const ends = await wrapBoth(...pipe(), {
    client: { context: client, serverHostname: "localhost", ...options },
    server: { context: server, doHandshake },
  });
  await assertTalk(...ends);
  await closeBoth(...ends);
  return ends[0];
}

function serving(options: ContextOptions = {}): Promise<SSLContext> {
  return SSLContext.create({ serverSide: true, ...CREDENTIAL, ...options });
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  const isTLS13 = version === "TLSv1.3";

  test(`sessionStore: the second connection resumes, by itself (${version})`, async () => {
    const sessionStore = new MemorySessionStore();
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
    using server = await serving();
    assertEquals((await connect(client, server)).sessionReused, false);
    assertEquals(sessionStore.size, TYPES[version as "TLSv1.2"]);
    for (let i = 0; i < 5; i++) assertEquals((await connect(client, server)).sessionReused, true, `${i}`);
    assertEquals(client.sessionStats().hits, 5);
    assertEquals(sessionStore.size, TYPES[version as "TLSv1.2"]); // each that is used is replaced by a new one
  });

  test(`sessionStore: is not asked for another host, trust or certificate (${version})`, async () => {
    const sessionStore = new MemorySessionStore();
    using server = await serving();
    const reused = async (options: ContextOptions, connection: SocketOptions = {}) => {
      using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore, ...options });
      return (await connect(client, server, connection)).sessionReused;
    };
    assertEquals(await reused({}), false);
    assertEquals(await reused({}), true); // another context with the same trust
    assertEquals(await reused({}, { serverHostname: "example.test" }), false);
    assertEquals(await reused({ caCerts: identity("ec").cert, certReqs: 1 }), false);
    assertEquals(await reused({ certReqs: 0 }), false);
    const { cert, key } = identity("client");
    assertEquals(await reused({ certfile: cert, keyfile: key }), false);
    assertEquals(await reused({}), true);
  });

  test(`sessionStore: a savedSession goes before what is stored; onSession is told, too (${version})`, async () => {
    const sessionStore = new MemorySessionStore();
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
    using server = await serving();
    const told: SSLSession[] = [];
    const first = await connect(client, server, { onSession: (one: SSLSession) => told.push(one) });
    assertEquals([told.length, told.at(-1)], [TYPES[version as "TLSv1.2"], first.session]);
    const before = sessionStore.size;
    const again = await connect(client, server, { savedSession: first.session! });
    assertEquals([again.sessionReused, sessionStore.size], [true, before]);
  });

  test(`sessionStore: many connections at once, of which each resumes (${version})`, async () => {
    const taken: string[] = [];
    const memory = new MemorySessionStore({ ticketsPerKey: 16 });
    const sessionStore: SessionStore = {
      take(key) {
        const found = memory.take(key);
        if (found !== undefined) taken.push(found.toBytes().toHex());
        return Promise.resolve(found); // as a store on a disk would
      },
      put: (key, session) => memory.put(key, session),
      delete: (key) => memory.delete(key),
    };
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
    using server = await serving({ numTickets: 8 });
    await connect(client, server);
    const sockets = await Promise.all(Array.from({ length: 8 }, () => connect(client, server)));
    assertEquals(sockets.map(({ sessionReused }) => sessionReused), Array(8).fill(true));
    assertEquals(new Set(taken).size, isTLS13 ? 8 : 1, "a ticket of TLS 1.3 is used once");
  });

  test(`sessionStore: bytes in place of sessions, on a disk or elsewhere (${version})`, async () => {
    const files = new Map<string, Uint8Array>();
    const sessionStore: SessionStore = {
      take(key) {
        const bytes = files.get(key);
        files.delete(key);
        return Promise.resolve(bytes);
      },
      put: (key, session) => Promise.resolve().then(() => void files.set(key, session.toBytes())),
      delete: (key) => void files.delete(key),
    };
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
    using server = await serving();
    const reused = [];
    for (let i = 0; i < 3; i++) reused.push((await connect(client, server)).sessionReused);
    assertEquals(reused, [false, true, true]);
  });

  test(`sessionStore: one that throws, rejects, or gives rubbish costs no handshake, and is reported (${version})`, async () => {
    using server = await serving();
    const boom = () => {
      throw new Error("disk full");
    };
    const reject = () => Promise.reject(new Error("disk full"));
    const rubbish = [1, null, {}, new Uint8Array(3), bytesFrom(1, 500)];
    const stores: [string, SessionStore][] = [
      ["throws", { take: boom, put: boom, delete: boom }],
      ["rejects", { take: reject, put: reject, delete: reject }],
      ...rubbish.map((what): [string, SessionStore] => [
        `gives ${Deno.inspect(what)}`,
        { take: () => what as Uint8Array, put() {}, delete() {} },
      ]),
    ];
    for (const [name, sessionStore] of stores) {
      const reported: string[] = [];
      const { error } = console;
      console.error = (...args: unknown[]) => reported.push(args.join(" "));
      try {
        using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
        assertEquals((await connect(client, server)).sessionReused, false, name);
      } finally {
        console.error = error;
      }
      assert(reported.length >= 1, name);
      for (const line of reported) {
        assert(line.startsWith("Cannot use sessionStore; the connection goes on"), line);
      }
    }
  });

  test(`sessionStore: a handshake that fails with a stored session forgets it (${version})`, async () => {
    const memory = new MemorySessionStore();
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore: memory });
    using server = await serving();
    await connect(client, server);
    assert(memory.size > 0);
    const [near, far] = pipe();
    const failing = client.wrapSocket(near, { serverHostname: "localhost" });
    await far.read(new Uint8Array(10000));
    await far.write(new Uint8Array([22, 3, 3, 0, 4, 99, 0, 0, 0])); // no such message
    await assertRejects(() => failing, Error, "Cannot complete TLS handshake");
    far.close();
    assertEquals(memory.size, 0);
  });

  test(`sessionStore: a deferred handshake resumes, too (${version})`, async () => {
    const sessionStore = new MemorySessionStore();
    using client = await SSLContext.create({ ...TRUST, sslVersion, sessionStore });
    using server = await serving();
    await connect(client, server);
    for (let i = 0; i < 3; i++) {
      assertEquals((await connect(client, server, { doHandshake: false })).sessionReused, true);
    }
  });

  test(`sessionStore: openConnection() resumes, and tells ports apart (${version})`, async () => {
    const sessionStore = new MemorySessionStore();
    const serve = () =>
      startServer(async (reader, writer) => {
        writer.write(await reader.readline());
        await writer.drain();
      }, { hostname: "127.0.0.1", port: 0, ssl: { ...CREDENTIAL } });
    await using one = await serve();
    await using other = await serve();
    const visit = async ({ addr }: { addr: Deno.Addr }) => {
      const [reader, writer] = await openConnection({
        hostname: "127.0.0.1",
        port: (addr as Deno.NetAddr).port,
        serverHostname: "localhost",
        ssl: { ...TRUST, sslVersion, sessionStore },
      });
      writer.write("hello\n");
      await reader.readline();
      writer.close();
      await writer.waitClosed();
      return (writer.transport as SSLSocket).sessionReused;
    };
    assertEquals([await visit(one), await visit(other), await visit(one)], [false, false, true]);
  });
}

test("sessionStore: openssl s_server's tickets, each used once", async () => {
  const sessionStore = new MemorySessionStore();
  await using server = await opensslServer({ ...identity("ec"), tls: "1.3" });
  using context = await SSLContext.create({ ...TRUST, sessionStore });
  const reused = [];
  for (let i = 0; i < 3; i++) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const socket = await context.wrapSocket(conn, { serverHostname: "localhost" });
    await send(socket, "abc\n");
    await receive(socket, /cba/);
    reused.push(socket.sessionReused);
    await closeInOrder(socket);
  }
  assertEquals(reused, [false, true, true]);
});

test("sessionStore: one that does not answer is waited for a second, no longer", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const sessionStore = { take: () => promise, put() {}, delete() {} };
  using client = await SSLContext.create({ ...TRUST, sessionStore });
  using server = await serving();
  const reported: string[] = [];
  const { error } = console;
  console.error = (...args: unknown[]) => reported.push(args.join(" "));
  try {
    const connecting = connect(client, server);
    assertEquals(await isPending(connecting), true);
    assertEquals((await connecting).sessionReused, false);
  } finally {
    console.error = error;
    resolve(undefined);
  }
  assertEquals(reported.length, 1);
  assert(reported[0]!.includes("timed out after 1 second"), reported[0]);
});

test("sessionStore: refuses what is no store, and a server's context", async () => {
  for (const wrong of [1, null, {}, { take() {} }, new Map()]) {
    const made = SSLContext.create({ ...TRUST, sessionStore: wrong as unknown as SessionStore });
    await assertRejects(() => made, TypeError, "Cannot use sessionStore: expected an object with take()");
  }
  const server = serving({ sessionStore: new MemorySessionStore() });
  await assertRejects(() => server, TypeError, "Cannot use sessionStore: it is for clients");
  using client = await SSLContext.create(TRUST);
  const onSession = "print" as unknown as () => void;
  const [near] = pipe();
  const made = client.wrapSocket(near, { serverHostname: "localhost", onSession });
  await assertRejects(() => made, TypeError, "Cannot use onSession: expected a function, got string");
  near.close();
});

// ---- The store itself ----

test("MemorySessionStore: the key that was not used for the longest time makes room", async () => {
  const store = new MemorySessionStore({ capacity: 2, now: () => 0 });
  const [a, b, c] = [1, 2, 3].map((tag) => session("TLSv1.2", 0, 3600, tag));
  store.put("a", a!);
  store.put("b", b!);
  assertEquals(store.take("a"), a); // used: b is the oldest now
  store.put("c", c!);
  assertEquals([store.take("a"), store.take("b"), store.take("c"), store.size], [a, undefined, c, 2]);
  store.delete("a");
  assertEquals([store.take("a"), store.size], [undefined, 1]);
  await Promise.resolve();
});

test("MemorySessionStore: the newest ticket first, each once; a bound for each key", async () => {
  const store = new MemorySessionStore({ ticketsPerKey: 3, now: () => 0 });
  const tickets = [1, 2, 3, 4].map((tag) => session("TLSv1.3", 0, 3600, tag));
  for (const ticket of tickets) store.put("a", ticket);
  assertEquals(store.size, 3);
  assertEquals(Array.from({ length: 4 }, () => store.take("a")), [
    tickets[3],
    tickets[2],
    tickets[1],
    undefined,
  ]);
  // A server that speaks another version now: what it gave before is of no use.
  store.put("a", tickets[0]!);
  const older = session("TLSv1.2", 0, 3600, 9);
  store.put("a", older);
  assertEquals([store.size, store.take("a"), store.take("a")], [1, older, older]);
  store.put("a", tickets[0]!);
  assertEquals([store.size, store.take("a"), store.take("a")], [1, tickets[0], undefined]);
  await Promise.resolve();
});

test("MemorySessionStore: gives none that has expired", async () => {
  let now = 1000;
  const store = new MemorySessionStore({ now: () => now });
  store.put("a", session("TLSv1.3", 1000, 10, 1));
  store.put("a", session("TLSv1.3", 1000, 20, 2));
  now += 15_000;
  assertEquals(store.take("a")?.facts.lifetime, 20);
  store.put("b", session("TLSv1.2", now, 0, 3)); // a session id without a promise: a day
  now += 24 * 3600 * 1000 - 1;
  assert(store.take("b") !== undefined);
  now += 1;
  assertEquals([store.take("b"), store.size], [undefined, 0]);
  await Promise.resolve();
});

test("MemorySessionStore: refuses bounds that are none, and shows nothing secret", async () => {
  for (const bound of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new MemorySessionStore({ capacity: bound }), RangeError, "Cannot use capacity");
    assertThrows(
      () => new MemorySessionStore({ ticketsPerKey: bound }),
      RangeError,
      "Cannot use ticketsPerKey",
    );
  }
  const now = 5 as unknown as () => number;
  assertThrows(() => new MemorySessionStore({ now }), TypeError, "Cannot use now: expected a function");
  assertEquals(Deno.inspect(new MemorySessionStore()), "MemorySessionStore { size: 0 }");
  await Promise.resolve();
});
