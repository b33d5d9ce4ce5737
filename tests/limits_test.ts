/** Limits of a server, each at its edge and past it: who is refused or dropped, what counts it, and that others go on. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { HttpServerStats } from "tlsio/http";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { SSLError } from "../lib/errors.ts";
import { Gate, type LimitOptions } from "../lib/gate.ts";
import { Metered } from "../lib/metered.ts";
import type { ClientConnected } from "../lib/net.ts";
import { converse, plain, RawClient, secure, statuses } from "./http_helpers.ts";
import { CREDENTIAL, dial, dialTls, eventually, readText, serving, SHORT, test } from "./sockets.ts";

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

Deno.test("Metered: bytes in either direction end its silence", async () => {
  const conn = new Metered(from("192.0.2.1"));
  conn.look();
  conn.look();
  conn.look();
  assertEquals(conn.silent, 2);
  await conn.write(new Uint8Array(3));
  conn.look();
  assertEquals(conn.silent, 0);
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

test("serve() takes maxConnections and maxConnectionsPerAddress, too", async () => {
  await using server = await plain(read, { maxConnectionsPerAddress: 1 });
  using held = await RawClient.connect(server);
  await held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await held.until(/read 0/);
  assertEquals(await converse(server, "").catch(() => ""), "");
  assertEquals(server.stats.limits, { maxConnectionsPerAddress: 1 });
});
