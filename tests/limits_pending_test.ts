/** `maxPendingBytes`: what counts, at its edge and past it, and that others go on. */

import { assertEquals, assertMatch } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { from, gate } from "./gates.ts";
import { plain, RawClient } from "./http_helpers.ts";
import { CREDENTIAL, dial, dialTls, eventually, serving, test } from "./sockets.ts";
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
