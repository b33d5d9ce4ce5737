/** Limits of a server, each at its edge and past it: who is refused or dropped, what counts it, and that others go on. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { HttpServerStats } from "tlsio/http";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { SSLError } from "../lib/errors.ts";
import { Gate, type LimitOptions } from "../lib/gate.ts";
import { Metered } from "../lib/metered.ts";
import type { ClientConnected } from "../lib/net.ts";
import { converse, curl, plain, RawClient, secure, statuses } from "./http_helpers.ts";
import { CREDENTIAL, dial, dialTls, eventually, LONG, readText, serving, SHORT, test } from "./sockets.ts";

/** Sends back what comes, until the peer ends. */
const echo: ClientConnected = async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
};

const POST = "POST / HTTP/1.1\r\nHost: a\r\n";

/** A connection from an address, which waits for bytes for ever. */
function from(hostname: string): Deno.Conn {
  const never = Promise.withResolvers<null>();
  const addr: Deno.NetAddr = { transport: "tcp", hostname, port: 1 };
  const conn = {
    localAddr: addr,
    remoteAddr: addr,
    read: () => never.promise,
    write: (p: Uint8Array) => Promise.resolve(p.length),
    close: () => never.reject(new Deno.errors.BadResource("closed")),
  };
  never.promise.catch(() => {});
  return conn as unknown as Deno.Conn;
}

/** A gate, and what it has counted; it looks when it is told to. */
function gate(options: LimitOptions) {
  const limits: Record<string, number> = {};
  return { gate: new Gate(options, limits), limits };
}

// ---- Connections of one address -------------------------------------------------------------------------

for (const ssl of [CREDENTIAL, null]) {
  const kind = ssl ? "TLS" : "plain";
  test(`maxConnectionsPerAddress: the next ${kind} connection is refused, until one ends`, async () => {
    await using server = await serving(echo, { ssl, maxConnectionsPerAddress: 2 });
    const connect = () => ssl ? dialTls(server) : dial(server);
    const clients = [await connect(), await connect()];
    await eventually(() => server.stats.open === 2);
    using refused = await dial(server);
    assertEquals(await refused.read(new Uint8Array(1)).catch(() => null), null);
    assertEquals([server.stats.refused, server.stats.limits], [1, { maxConnectionsPerAddress: 1 }]);
    await clients[0]!.close();
    await eventually(() => server.stats.open === 1);
    clients.push(await connect());
    await eventually(() => server.stats.open === 2);
    for (const client of clients.slice(1)) await client.close();
  });
}

const HOSTS: readonly [what: string, one: string, other: string, same: boolean][] = [
  ["two IPv4 addresses", "192.0.2.1", "192.0.2.2", false],
  ["one IPv6 network", "2001:db8::1", "2001:db8:0:0:ffff::2", true],
  ["two IPv6 networks", "2001:db8::1", "2001:db8:0:1::1", false],
  ["an IPv4 address by IPv6", "192.0.2.1", "::ffff:192.0.2.1", true],
  ["two IPv4 addresses by IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
  ["an address with a zone", "fe80::1%eth0", "fe80::1", true],
];
for (const [what, one, other, same] of HOSTS) {
  Deno.test(`maxConnectionsPerAddress: ${what} are ${same ? "one host" : "two hosts"}`, () => {
    const { gate: tested, limits } = gate({ maxConnectionsPerAddress: 1 });
    assert(tested.admit(from(one)) !== undefined);
    assertEquals(tested.admit(from(other)) === undefined, same);
    assertEquals(limits, same ? { maxConnectionsPerAddress: 1 } : {});
    tested.stop();
  });
}

Deno.test("maxConnectionsPerAddress: 1000 by default, of which loopback addresses and unix sockets are free", () => {
  for (const hostname of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1"]) {
    const { gate: tested, limits } = gate({ maxHandshakes: Infinity });
    for (let i = 0; i < 1001; i++) tested.admit(from(hostname));
    assertEquals(limits, hostname === "192.0.2.1" ? { maxConnectionsPerAddress: 1 } : {});
    tested.stop();
  }
  const { gate: tested, limits } = gate({ maxConnectionsPerAddress: 1 });
  const unix = { ...from("::"), remoteAddr: { transport: "unix", path: "" } } as unknown as Deno.Conn;
  for (let i = 0; i < 2; i++) assert(tested.admit(unix) !== undefined);
  assertEquals(limits, {});
  tested.stop();
});

// ---- Handshakes that stall ------------------------------------------------------------------------------

test("maxHandshakes: a handshake that has stalled makes room for the newest, the oldest first", async () => {
  const errors: unknown[] = [];
  await using server = await serving(echo, {
    maxHandshakes: 2,
    idleTimeout: 20, // does not drop them
    onError: (error) => void errors.push(error),
  });
  const stalled = [await dial(server), await dial(server)];
  await eventually(() => server.stats.handshaking === 2);
  let client: Awaited<ReturnType<typeof dialTls>> | undefined;
  while (client === undefined) client = await dialTls(server).catch(() => undefined); // refused for two looks
  await client.write(encodeText("hello"));
  assertEquals(await readText(client), "hello");
  assertEquals(await stalled[0]!.read(new Uint8Array(1)).catch(() => null), null);
  assertEquals([server.stats.handshaking, server.stats.handshakeFailures], [1, 1]);
  const { maxHandshakes } = server.stats.limits;
  assertEquals(maxHandshakes, server.stats.refused + 1);
  assertMatch(String(errors[0]), /needs its place, and its handshake has stalled \(maxHandshakes\)/);
  await client.close();
  for (const conn of stalled) conn.close();
});

Deno.test("maxHandshakes: no host holds up another, whether its handshakes stall or not", () => {
  const { gate: tested, limits } = gate({ maxHandshakes: 4 });
  const [a, b] = ["192.0.2.1", "192.0.2.2"];
  const first = Array.from({ length: 4 }, () => tested.admit(from(a))!);
  assertEquals(tested.admit(from(a)), undefined, "a host with the most waits for itself");
  assert(tested.admit(from(b)) !== undefined);
  assertMatch(String(first[0]!.reason), /its host has the most handshakes \(maxHandshakes\)$/);
  assert(tested.admit(from(b)) !== undefined);
  assertEquals(tested.admit(from(b)), undefined, "two and two: both have their share");
  assertEquals(first.map(({ reason }) => reason !== undefined), [true, true, false, false]);
  assertEquals(limits, { maxHandshakes: 4 });
  for (const conn of first) tested.release(conn);
  assert(tested.admit(from(a)) !== undefined, "what was released twice is counted once");
  assert(tested.admit(from(a)) !== undefined);
  assertEquals(tested.admit(from(a)), undefined);
  tested.stop();
});

Deno.test("maxHandshakes: silence of the host with the most handshakes goes before that of others", () => {
  const { gate: tested } = gate({ maxHandshakes: 3 });
  const [other, one, two] = ["192.0.2.2", "192.0.2.1", "192.0.2.1"].map((host) => tested.admit(from(host))!);
  for (const conn of [other!, two!]) {
    conn.read(new Uint8Array(1)).catch(() => {});
    for (let look = 0; look < 3; look++) conn.look();
  }
  assert(tested.admit(from("192.0.2.3")) !== undefined);
  assertEquals([other, one, two].map((conn) => conn!.reason !== undefined), [false, false, true]);
  assert(tested.admit(from("192.0.2.4")) !== undefined);
  assertEquals([other, one, two].map((conn) => conn!.reason !== undefined), [true, false, true]);
  assertEquals(tested.admit(from("192.0.2.5")), undefined);
  tested.stop();
});

Deno.test("maxHandshakes: a host that keeps its handshakes busy does not hold up another", async () => {
  await using server = await secure(() => new Response("served"), { maxHandshakes: 3 });
  const held = await Promise.all([1, 2, 3].map(() => dial(server)));
  const hello = new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, ...new Uint8Array(500)]);
  let sent = 0;
  const trickle = setInterval(() => {
    const byte = hello.slice(sent, ++sent);
    for (const conn of held) conn.write(byte).catch(() => {});
  }, 100);
  try {
    await eventually(() => server.stats.handshaking === 3);
    using refused = await dial(server);
    assertEquals(await refused.read(new Uint8Array(1)).catch(() => null), null);
    assertEquals((await curl(server, "/", ["--interface", "127.0.0.2"])).stdout, "served");
    assertEquals([server.stats.refused, server.stats.limits.maxHandshakes], [1, 2]);
    assertEquals(await held[0]!.read(new Uint8Array(1)).catch(() => null), null); // the oldest
  } finally {
    clearInterval(trickle);
    for (const conn of held) conn.close();
  }
});

test("maxHandshakes: a handshake that waits for the server's own code has not stalled", async () => {
  const { promise: chosen, resolve: choose } = Promise.withResolvers<undefined>();
  const getConfigForClient = () => chosen;
  await using server = await serving(echo, {
    ssl: { ...CREDENTIAL, getConfigForClient },
    maxHandshakes: 1,
    idleTimeout: 8,
  });
  const waiting = dialTls(server, { timeout: LONG });
  await eventually(() => server.stats.handshaking === 1);
  await new Promise((resolve) => setTimeout(resolve, 4000)); // four looks
  using refused = await dial(server);
  assertEquals(await refused.read(new Uint8Array(1)).catch(() => null), null);
  assertEquals([server.stats.refused, server.stats.limits], [1, { maxHandshakes: 1 }]);
  choose(undefined);
  const client = await waiting;
  await client.write(encodeText("hello"));
  assertEquals(await readText(client), "hello");
  await client.close();
});

test("maxHandshakes: a handshake that is dropped ends at once, whatever it waits for", async () => {
  const getConfigForClient = () => new Promise<undefined>(() => {});
  const server = await secure(() => new Response(), { ssl: { ...CREDENTIAL, getConfigForClient } });
  const client = dialTls({ addr: server.addr }, { timeout: LONG }).catch((error) => error);
  await eventually(() => server.stats.handshaking === 1);
  await server.close(); // not after sslHandshakeTimeout
  assertEquals([server.stats.handshaking, server.stats.open], [0, 0]);
  assert(await client instanceof SSLError);
});

// ---- Bytes that wait ------------------------------------------------------------------------------------

Deno.test("maxPendingBytes: nobody is dropped at it; past it those that hold the most are, until it holds", async () => {
  const [at, past] = [gate({ maxPendingBytes: 100 }), gate({ maxPendingBytes: 100 })];
  const admit = ({ gate: tested }: typeof at, sizes: number[]) =>
    sizes.map((size) => {
      const conn = tested.admit(from("192.0.2.1"))!;
      conn.held = () => size;
      return conn;
    });
  const kept = admit(at, [60, 40]);
  const some = admit(past, [10, 50, 40, 42]);
  await eventually(() => past.limits.maxPendingBytes === 1);
  assertEquals(some.map(({ reason }) => reason !== undefined), [false, true, false, false]);
  some[0]!.held = () => 60;
  await eventually(() => past.limits.maxPendingBytes === 2);
  assertMatch(String(some[0]!.reason), /it holds the most, 60 \(maxPendingBytes\)$/);
  assertEquals([at.limits, kept.map(({ reason }) => reason)], [{}, [undefined, undefined]]);
  at.gate.stop();
  past.gate.stop();
});

const MIB = 1 << 20;

for (const ssl of [CREDENTIAL, null]) {
  const kind = ssl ? "TLS" : "plain";
  test(`maxPendingBytes: what is written to ${kind} clients that do not read`, async () => {
    const failures: unknown[] = [];
    const reported: unknown[] = [];
    await using server = await serving(async (reader, writer) => {
      const size = Number(decodeText(await reader.readline()));
      for (let sent = 0; sent < size; sent += MIB) writer.write(new Uint8Array(MIB)); // no drain()
      await reader.readline().catch((error) => (failures.push(error), Promise.reject(error)));
    }, { ssl, maxPendingBytes: 48 * MIB, onError: (error) => void reported.push(error) });
    const clients = [];
    for (const size of [16, 40, 16]) {
      const client = ssl ? await dialTls(server) : await dial(server);
      await client.write(encodeText(`${size * MIB}\n`));
      clients.push(client);
    }
    await eventually(() => failures.length === 1);
    assertMatch(
      String(failures[0]),
      /bytes that wait in the server, it holds the most, .*\(maxPendingBytes\)/,
    );
    assertEquals([server.stats.limits, server.stats.open, reported], [{ maxPendingBytes: 1 }, 2, []]);
    for (const client of [clients[0]!, clients[2]!]) {
      const buffer = new Uint8Array(65536);
      for (let total = 0; total < 16 * MIB;) total += (await client.read(buffer))!; // the others go on
      await client.write(encodeText("done\n"));
    }
    for (const client of clients) await client.close();
    await eventually(() => server.stats.open === 0);
  });
}

test("maxPendingBytes: what a handler waits for, and has not come whole", async () => {
  const failures: unknown[] = [];
  await using server = await serving(async (reader) => {
    await reader.readexactly(32 * MIB).catch((error) => failures.push(error)); // a length that the client gave
  }, { ssl: null, maxPendingBytes: 20 * MIB });
  const clients = [await dial(server), await dial(server)];
  const bytes = new Uint8Array(12 * MIB);
  for (const client of clients) {
    let at = 0;
    (async () => {
      while (at < bytes.length) at += await client.write(bytes.subarray(at));
    })().catch(() => {});
  }
  await eventually(() => failures.length === 1);
  assertMatch(String(failures[0]), /\(maxPendingBytes\)/);
  assertEquals([server.stats.limits, server.stats.open], [{ maxPendingBytes: 1 }, 1]);
  for (const client of clients) client.close();
});

test("maxPendingBytes: responses to clients that do not read", async () => {
  const size = { "/small": 2 * MIB, "/large": 32 * MIB } as Record<string, number>;
  await using server = await plain(
    ({ url }) => new Response(new Uint8Array(size[new URL(url).pathname]!)),
    { maxPendingBytes: 16 * MIB },
  );
  using small = await RawClient.connect(server);
  await small.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
  using large = await RawClient.connect(server);
  await large.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  await eventually(() => server.stats.limits.maxPendingBytes === 1);
  await eventually(() => server.stats.open === 1);
  const buffer = new Uint8Array(65536);
  for (let total = 0; total < 2 * MIB;) total += (await small.conn.read(buffer))!; // it goes on
});

// ---- Silence --------------------------------------------------------------------------------------------

for (const ssl of [CREDENTIAL, null]) {
  const kind = ssl ? "TLS" : "plain";
  test(`idleTimeout: a silent ${kind} connection is dropped, one that talks is not`, async () => {
    const failures: unknown[] = [];
    const reported: unknown[] = [];
    await using server = await serving(async (reader, writer) => {
      try {
        await echo(reader, writer);
      } catch (error) {
        failures.push(error);
        throw error;
      }
    }, { ssl, idleTimeout: 1, onError: (error) => void reported.push(error) });
    const connect = () => ssl ? dialTls(server) : dial(server);
    const [silent, talking] = [await connect(), await connect()];
    let ended = false;
    const end = silent.read(new Uint8Array(1)).catch(() => null).then((n) => (ended = true, n));
    let said = 0;
    for (; !ended; said++) {
      await talking.write(encodeText("still here"));
      const p = new Uint8Array(64);
      assertEquals(decodeText(p.subarray(0, (await talking.read(p))!)), "still here");
      await new Promise((resolve) => setTimeout(resolve, SHORT * 250));
    }
    assertEquals(await end, null);
    assert(said > 1);
    await eventually(() => failures.length === 1);
    const [failure] = failures as [SSLError];
    assertEquals(failure.kind, "timeout");
    assertMatch(failure.message, /nothing came or went for 1 seconds \(idleTimeout\)$/);
    assertEquals([server.stats.limits, server.stats.open, reported], [{ idleTimeout: 1 }, 1, []]);
    await talking.close();
    if (!ssl) silent.close();
    else await silent.close();
  });
}

test("idleTimeout: a handler that waits for something else is told by its next read or write", async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
  await using server = await serving(async (reader) => {
    await goOn;
    await reader.read(1).catch(fail);
  }, { idleTimeout: SHORT });
  const client = await dialTls(server);
  assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
  resolve();
  assertMatch(String(await failed), /\(idleTimeout\)/);
  await client.close();
});

Deno.test("Gate: silence is counted in looks, so that a process that slept drops nobody for it", async () => {
  const { gate: tested, limits } = gate({ idleTimeout: 0.2 });
  const conn = tested.admit(from("192.0.2.1"))!;
  for (const end = performance.now() + 500; performance.now() < end;); // the event loop stands still
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([limits, conn.silent < 2], [{}, true]);
  await eventually(() => limits.idleTimeout === 1);
  await assertRejects(() => conn.read(new Uint8Array(1)), SSLError, "(idleTimeout)");
});

Deno.test("Metered: bytes in either direction end its silence; it has stalled while we wait for some", async () => {
  const conn = new Metered(from("192.0.2.1"));
  const look = (times: number) => {
    for (; times > 0; times--) conn.look();
    return [conn.silent, conn.stalled];
  };
  assertEquals(look(3), [2, 0]);
  const read = conn.read(new Uint8Array(1));
  assertEquals(look(2), [4, 2]);
  await conn.write(new Uint8Array(3));
  assertEquals(look(1), [0, 0]);
  assertEquals(look(1), [1, 1]);
  const reason = new Error("enough");
  conn.drop(reason);
  assertEquals(await assertRejects(() => read), reason);
  assertEquals(look(1), [2, 0]);
  let told: unknown;
  conn.ondrop = (why) => told = why;
  assertEquals(told, reason, "who asks late is told at once");
});

Deno.test("Metered: a client that is gone before its first byte fails its first read, nothing else", () => {
  const gone = () => {
    throw new Deno.errors.BadResource("gone");
  };
  new Metered({ ...from("192.0.2.1"), setNoDelay: gone } as unknown as Deno.Conn).setNoDelay();
});

// ---- HTTP -----------------------------------------------------------------------------------------------

const read = async (request: Request) => new Response(`read ${(await request.bytes()).length}`);

Deno.test("minDataRate: a body that comes more slowly is answered with 408; faster ones, and slow handlers, are not", async () => {
  await using server = await plain(async (request) => {
    if (request.url.endsWith("/slow")) await new Promise((resolve) => setTimeout(resolve, 6000));
    return await read(request);
  }, { minDataRate: 1000 });
  using slow = await RawClient.connect(server);
  using fast = await RawClient.connect(server);
  await slow.send(`${POST}Content-Length: 100000\r\n\r\n`);
  await fast.send(`${POST}Connection: close\r\nContent-Length: 12000\r\n\r\n`);
  const handled = converse(
    server,
    `${POST.replace("/", "/slow")}Connection: close\r\nContent-Length: 200000\r\n\r\n${"x".repeat(200000)}`,
  );
  const answer = slow.until();
  for (let i = 0; i < 6; i++) { // a second each; the grace is 5
    await Promise.all([slow.send("x").catch(() => {}), fast.send("x".repeat(2000))]);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  assertEquals(statuses(await answer), [408]);
  assertMatch(await fast.until(), /read 12000$/);
  assertMatch(await handled, /read 200000$/);
  assertEquals(server.stats.limits, { minDataRate: 1 });
});

Deno.test("minDataRate: an odd value is refused by its name", async () => {
  for (const minDataRate of [-1, 1.5, Infinity, NaN]) {
    await assertRejects(() => plain(read, { minDataRate }), RangeError, "minDataRate");
  }
});

const COUNTED: readonly [
  limit: keyof HttpServerStats["limits"],
  options: object,
  sent: string,
  status: number[],
][] = [
  ["maxHeaderSize", { maxHeaderSize: 200 }, `GET /${"x".repeat(300)}`, [431]],
  ["maxBodySize", { maxBodySize: 9 }, `${POST}Content-Length: 10\r\n\r\n`, [413]],
  ["maxBodySize", { maxBodySize: 9 }, `${POST}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n`, [413]],
  ["headersTimeout", { headersTimeout: SHORT }, "GET / HTTP/1.1\r\n", [408]],
  ["requestTimeout", { requestTimeout: SHORT }, `${POST}Content-Length: 9\r\n\r\nx`, [408]],
  ["keepAliveTimeout", { keepAliveTimeout: SHORT }, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", [200]],
  ["maxRequestsPerSocket", { maxRequestsPerSocket: 1 }, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", [200]],
];
for (const [limit, options, sent, status] of COUNTED) {
  Deno.test(`serve() counts under its name that ${limit} was reached: ${JSON.stringify(options)}, ${sent.length} bytes`, async () => {
    await using server = await plain(read, options);
    assertEquals(statuses(await converse(server, sent)), status);
    assertEquals(server.stats.limits, { [limit]: 1 });
    assertMatch(await converse(server, `${POST}Connection: close\r\nContent-Length: 2\r\n\r\nok`), /read 2$/);
  });
}

Deno.test("serve() counts a client that takes nothing for sendTimeout", async () => {
  await using server = await plain(() => new Response(new Uint8Array(64 << 20)), { sendTimeout: SHORT });
  using client = await RawClient.connect(server);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await eventually(() => server.stats.limits.sendTimeout === 1);
});

test("serve() counts a client that does not close within sslShutdownTimeout", async () => {
  await using server = await secure(read, { sslShutdownTimeout: SHORT });
  const client = await dialTls({ addr: server.addr });
  await client.write(encodeText("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); // and reads nothing
  await eventually(() => server.stats.limits.sslShutdownTimeout === 1);
  assertEquals(server.stats.open, 0);
  client.abort();
});

test("Server.stats: failures are counted by names, not by texts that a client may choose", async () => {
  let n = 0;
  await using server = await serving(echo, { wrap: () => Promise.reject(new Error(`no host ${n++}`)) });
  for (let i = 1; i <= 3; i++) {
    using client = await dial(server);
    assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
  }
  await eventually(() => server.stats.handshakeFailures === 3);
  assertEquals(server.stats.failures, { Error: 3 });
});

test("serve() takes maxConnections and maxConnectionsPerAddress, too", async () => {
  await using server = await plain(read, { maxConnectionsPerAddress: 1 });
  using held = await RawClient.connect(server);
  await held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await held.until(/read 0/);
  assertEquals(await converse(server, "").catch(() => ""), "");
  assertEquals(server.stats.limits, { maxConnectionsPerAddress: 1 });
});
