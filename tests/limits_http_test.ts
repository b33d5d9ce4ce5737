/** What `serve()` counts when a limit is reached, each by its name; `minDataRate`. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { HttpServerStats } from "tlsio/http";
import { encodeText } from "../lib/bytes.ts";
import { echo } from "./gates.ts";
import { converse, plain, RawClient, secure, statuses } from "./http_helpers.ts";
import { dial, dialTls, eventually, serving, SHORT, test } from "./sockets.ts";
const POST = "POST / HTTP/1.1\r\nHost: a\r\n";

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
