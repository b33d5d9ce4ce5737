/** Limits of a server's connections, each at its edge and past it: who is refused or dropped, what counts it, who goes on. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { SSLError } from "../lib/errors.ts";
import { Metered, Share } from "../lib/metered.ts";
import { echo, from, gate } from "./gates.ts";
import { curl, secure } from "./http_helpers.ts";
import { CREDENTIAL, dial, dialTls, eventually, LONG, readText, serving, SHORT, test } from "./sockets.ts";
/** Its client sends nothing for as long as a handshake may. */
function fallSilent(conn: Metered): void {
  conn.read(new Uint8Array(1)).catch(() => {});
  for (let look = 0; look < 3; look++) conn.look();
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
    const { gate: tested, limits } = gate({ maxHandshakes: Infinity, maxHandshakesPerAddress: Infinity });
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

Deno.test("maxHandshakesPerAddress: 100 by default, of which loopback addresses and unix sockets are free", () => {
  const local = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
  for (const hostname of [...local, "2001:db8::1", "192.0.2.1"]) {
    const { gate: tested, limits } = gate({});
    const admitted = Array.from({ length: 100 }, () => tested.admit(from(hostname))!);
    assertEquals(limits, {});
    const isFree = local.includes(hostname);
    assertEquals(tested.admit(from(hostname)) !== undefined, isFree);
    assertEquals(limits, isFree ? {} : { maxHandshakesPerAddress: 1 });
    assert(tested.admit(from("192.0.2.2")) !== undefined, "another host has its own");
    tested.opened(admitted[0]!);
    assert(tested.admit(from(hostname)) !== undefined, "one is open");
    tested.stop();
  }
  const { gate: tested } = gate({ maxHandshakesPerAddress: 1 });
  const unix = { ...from("::"), remoteAddr: { transport: "unix", path: "" } } as unknown as Deno.Conn;
  for (let i = 0; i < 2; i++) assert(tested.admit(unix) !== undefined);
  tested.stop();
});

Deno.test("maxHandshakesPerAddress: the host's oldest that has stalled gives way, else the newest is refused", () => {
  const { gate: tested, limits } = gate({ maxHandshakesPerAddress: 3 });
  const other = tested.admit(from("192.0.2.2"))!;
  const held = [1, 2, 3].map(() => tested.admit(from("192.0.2.1"))!);
  for (const conn of [other, held[1]!, held[2]!]) fallSilent(conn);
  assert(tested.admit(from("192.0.2.1")) !== undefined);
  assertMatch(String(held[1]!.reason), /its handshake has stalled \(maxHandshakesPerAddress\)$/);
  assert(tested.admit(from("192.0.2.1")) !== undefined);
  assertEquals(tested.admit(from("192.0.2.1")), undefined, "those that are left are under way");
  const dropped = [other, ...held].map(({ reason }) => reason !== undefined);
  assertEquals(dropped, [false, false, true, true]);
  assertEquals(limits, { maxHandshakesPerAddress: 3 });
  tested.stop();
});

test("maxHandshakesPerAddress: the next connection is refused, until one is over; open ones do not count", async () => {
  await using server = await serving(echo, { maxHandshakesPerAddress: 1, onError() {} });
  const halfOpen = await dial(server);
  await eventually(() => server.stats.handshaking === 1);
  using refused = await dial(server);
  assertEquals(await refused.read(new Uint8Array(1)).catch(() => null), null);
  assertEquals([server.stats.refused, server.stats.limits], [1, { maxHandshakesPerAddress: 1 }]);
  halfOpen.close();
  await eventually(() => server.stats.handshaking === 0);
  const first = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  await (await dialTls(server)).close();
  await first.close();
});

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

Deno.test("maxHandshakes: a host with more than ten takes no place of another host's that is silent", () => {
  const { gate: tested, limits } = gate({ maxHandshakes: 12 });
  const admit = (host: string) => tested.admit(from(host));
  const slow = admit("192.0.2.2")!;
  const busy = Array.from({ length: 11 }, () => admit("192.0.2.1")!);
  fallSilent(slow);
  for (let again = 0; again < 2; again++) {
    assertEquals(admit("192.0.2.1"), undefined, "it keeps its own busy");
  }
  assertEquals([slow.reason, limits], [undefined, { maxHandshakes: 2 }]);
  assert(admit("192.0.2.3") !== undefined, "for whom has few, the silent one of all gives way");
  const [first] = busy.filter(({ reason }) => reason !== undefined);
  assertEquals([slow.reason, first], [undefined, busy[0]], "that of the host with the most goes first");
  fallSilent(busy[5]!);
  assertEquals(busy.filter(({ reason }) => reason === undefined).length, 10);
  assert(admit("192.0.2.1") !== undefined, "one of its own gives way");
  assertEquals([slow.reason, busy[5]!.reason !== undefined], [undefined, true]);
  tested.stop();
});

Deno.test("maxHandshakes: silence of the host with the most handshakes goes before that of others", () => {
  const { gate: tested } = gate({ maxHandshakes: 3 });
  const [other, one, two] = ["192.0.2.2", "192.0.2.1", "192.0.2.1"].map((host) => tested.admit(from(host))!);
  for (const conn of [other!, two!]) fallSilent(conn);
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

function metered(conn: Deno.Conn): Metered {
  return new Metered(conn, new Share("a"));
}

Deno.test("Metered: bytes in either direction end its silence; it has stalled while we wait for some", async () => {
  const conn = metered(from("192.0.2.1"));
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
  metered({ ...from("192.0.2.1"), setNoDelay: gone } as unknown as Deno.Conn).setNoDelay();
});
