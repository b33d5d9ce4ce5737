import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { SSLError } from "tlsio";
import { type HttpHandler, type HttpServeOptions, serve } from "tlsio/http";
import {
  converse,
  curl,
  eventually,
  plain,
  portOf,
  RawClient,
  say,
  secure,
  statuses,
} from "./http_helpers.ts";
import { tlsioClient } from "./interop.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\n";

const read: HttpHandler = async (request) => new Response(`read ${(await request.bytes()).length}`);

/** Chunks of a chunked body. */
function chunked(...sizes: number[]): string {
  return sizes.map((size) => `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`).join("");
}

// ---- Sizes ----------------------------------------------------------------------------------------------

Deno.test("serve() answers 431 when line and headers are larger than maxHeaderSize", async () => {
  await using server = await plain(say, { maxHeaderSize: 2000 });
  const header = (size: number) => `X: ${"x".repeat(size)}\r\n\r\n`;
  assertEquals(statuses(await converse(server, `${GET}Connection: close\r\n${header(1500)}`)), [200]);
  assertEquals(statuses(await converse(server, GET + header(2000))), [431]);
  assertEquals(statuses(await converse(server, `GET /${"x".repeat(2000)} HTTP/1.1\r\n`)), [431]);
  assertEquals(server.stats.requests, 1);
});

Deno.test("serve() gives the handler all headers, however many", async () => {
  await using server = await plain(({ headers }) =>
    new Response(`<${headers.get("x")?.split(", ").length}>`)
  );
  const answer = await converse(server, `${GET}Connection: close\r\n${"X: 1\r\n".repeat(2000)}\r\n`);
  assertStringIncludes(answer, "<2000>");
});

Deno.test("serve() answers 413 when Content-Length is above maxBodySize, without a handler", async () => {
  await using server = await plain(() => new Response("handled"), { maxBodySize: 100 });
  const answer = await converse(server, `${POST}Content-Length: 101\r\n\r\n`);
  assertEquals(statuses(answer), [413]);
  assert(!answer.includes("handled"));
  const polite = await converse(server, `${POST}Content-Length: 101\r\nExpect: 100-continue\r\n\r\n`);
  assertEquals(statuses(polite), [413]);
});

Deno.test("serve() answers 413 when a chunked body grows above maxBodySize", async () => {
  const failures: unknown[] = [];
  await using server = await plain(async (request) => {
    try {
      return await read(request, {} as never);
    } catch (error) {
      failures.push(error);
      throw error;
    }
  }, { maxBodySize: 100, onError: (error) => (failures.push(error), new Response()) });
  const answer = await converse(server, `${POST}Transfer-Encoding: chunked\r\n\r\n${chunked(60, 60)}`);
  assertEquals(statuses(answer), [413]);
  assertMatch(String(failures[0]), /RangeError: Cannot read the request's body: it is larger than 100 bytes/);
  assertEquals(failures.length, 1); // it is the client's
});

Deno.test("serve() takes a body of just maxBodySize", async () => {
  await using server = await plain(read, { maxBodySize: 100 });
  const answer = await converse(
    server,
    `${POST}Content-Length: 100\r\n\r\n${"x".repeat(100)}` +
      `${POST}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunked(60, 40, 0)}`,
  );
  assertEquals(answer.match(/read \d+/g), ["read 100", "read 100"]);
});

Deno.test("serve() shows curl a 413 in the middle of an upload", async () => {
  await using server = await secure(read, { maxBodySize: 1000 });
  const upload = ["-i", "-T", "-", "-H", "Expect:"];
  const { stdout } = await curl(server, "/", upload, { stdin: new Uint8Array(1 << 20) });
  assertEquals(statuses(stdout), [413]);
});

Deno.test("serve() closes the connection when a handler leaves a body unread", async () => {
  await using server = await plain(() => new Response("enough"));
  const answer = await converse(server, `${POST}Content-Length: 1000000\r\n\r\n${"x".repeat(1000)}`);
  assertEquals(statuses(answer), [200]);
});

Deno.test("serve() lets its refusal reach a client that goes on sending", async () => {
  await using server = await plain(read, { maxBodySize: 10 });
  using client = await RawClient.connect(server);
  await client.send(`${POST}Content-Length: 900000\r\n\r\n`);
  await eventually("it is refused", () => server.stats.requests === 1);
  for (let i = 0; i < 90; i++) await client.send("x".repeat(10_000)); // unread data would make TCP send a reset
  assertEquals(statuses(await client.until()), [413]);
});

Deno.test("serve() closes a connection after maxRequestsPerSocket", async () => {
  await using server = await secure(say, { maxRequestsPerSocket: 2 });
  await curl(server, ["/1", "/2", "/3", "/4", "/5"]);
  assertEquals([server.stats.accepted, server.stats.requests], [3, 5]);
});

Deno.test("serve() closes a connection after maxRequestsPerSocket, also when the client leaves that to us", async () => {
  await using server = await plain(read, { maxRequestsPerSocket: 2 });
  assertEquals(statuses(await converse(server, `${GET}\r\n${GET}\r\n${GET}\r\n`)), [200, 200]);
  assertEquals(server.stats.requests, 2);
});

Deno.test("serve() drops a client with more than 256 requests under way", async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  await using server = await plain(async () => (await goOn, new Response()));
  using client = await RawClient.connect(server);
  await client.send(`${GET}\r\n`.repeat(255) + `${GET}Connection: close\r\n\r\n`);
  await eventually("all are under way", () => server.stats.requests === 256);
  assertEquals(await converse(server, `${GET}\r\n`.repeat(257)).catch(() => ""), "");
  assertEquals(server.stats.limits, { pipelined: 1 });
  resolve();
  assertEquals(statuses(await client.until()).length, 256);
});

// ---- Times ----------------------------------------------------------------------------------------------

const SLOW: readonly [name: string, options: HttpServeOptions, sent: string, statuses: number[]][] = [
  ["headers that do not come to an end", { headersTimeout: 0.2 }, GET, [408]],
  ["a client that says nothing", { headersTimeout: 0.2 }, "", [408]],
  ["a body that does not come", { requestTimeout: 0.2 }, `${POST}Content-Length: 9\r\n\r\nx`, [408]],
  ["headers of a second request", { headersTimeout: 0.2 }, `${GET}\r\n${GET}`, [200, 408]],
  ["a second request that does not come", { keepAliveTimeout: 0.1 }, `${GET}\r\n`, [200]],
];
for (const [name, options, sent, expected] of SLOW) {
  Deno.test(`serve() closes a connection in time: ${name}`, async () => {
    await using server = await plain(read, options);
    const started = Date.now();
    assertEquals(statuses(await converse(server, sent)), expected);
    assert(Date.now() - started < 10_000); // the others of these timeouts are a minute and more
  });
}

Deno.test("serve() leaves a handler its time when the request is complete", async () => {
  await using server = await plain(async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return new Response("late");
  }, { requestTimeout: 0.1, keepAliveTimeout: 0.1 });
  assertStringIncludes(await converse(server, `${GET}Connection: close\r\n\r\n`), "late");
});

Deno.test("serve() drops a client that takes nothing for sendTimeout", async () => {
  let cancelled = false;
  await using server = await plain(() =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(65536)),
        cancel: () => void (cancelled = true),
      }),
    ), { sendTimeout: 0.2 });
  using client = await RawClient.connect(server);
  await client.send(`${GET}\r\n`);
  await eventually("the response is cancelled", () => cancelled);
});

// ---- Hostile clients ------------------------------------------------------------------------------------

const MALFORMED: readonly [name: string, request: string, status?: number][] = [
  ["no HTTP at all", "hello\r\n\r\n"],
  ["another protocol", "GET / SMTP/1.0\r\n\r\n"],
  ["HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n"],
  ["two Hosts", `${GET}Host: b\r\n\r\n`],
  ["a Host with a path", "GET /b HTTP/1.1\r\nHost: a/admin?\r\n\r\n"],
  ["a Host with a user", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
  ["a target that is neither path nor URL", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a target of another protocol", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a header without a name", `${GET}: x\r\n\r\n`],
  ["a space before the colon", `${GET}X : x\r\n\r\n`],
  ["a folded header", `${GET}X: x\r\n y\r\n\r\n`],
  ["a header that ends in a bare CR", `${GET}X: x\rY: y\r\n\r\n`],
  ["Content-Length twice", `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`],
  ["Content-Length below zero", `${POST}Content-Length: -1\r\n\r\n`],
  ["Content-Length that is no number", `${POST}Content-Length: 1x\r\n\r\nx`],
  ["Content-Length and chunked", `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["an encoding after chunked", `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ["an encoding that is not chunked", `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ["a chunk size that is no number", `${POST}Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n`],
  ["a chunk longer than its size", `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n`],
  ["chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["another version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
  ["a WebSocket", `${GET}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`, 501],
  ["a tunnel", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 501],
  ["TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501],
  ["an expectation that no one knows", `${GET}Expect: wonders\r\nConnection: close\r\n\r\n`, 417],
];
for (const [name, request, status = 400] of MALFORMED) {
  Deno.test(`serve() answers ${status} to ${name}, and goes on`, async () => {
    const served: string[] = [];
    await using server = await plain(async (request) => {
      served.push(request.url);
      return await read(request, {} as never);
    });
    const answer = await converse(server, `${request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals(statuses(answer), [status]);
    assert(!served.some((url) => url.includes("smuggled")), String(served));
    assertEquals(statuses(await converse(server, `${GET}Connection: close\r\n\r\n`)), [200]);
  });
}

Deno.test("serve() answers what was asked before something malformed", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  await using server = await plain(() => promise);
  using client = await RawClient.connect(server);
  await client.send(`${GET}\r\n${GET}\r\ngarbage\r\n\r\n`);
  await eventually("both are asked", () => server.stats.requests === 2);
  resolve(new Response(null, { status: 204 }));
  assertEquals(statuses(await client.until()), [204, 204]);
});

Deno.test("serve() gives bytes behind something malformed to no one", async () => {
  const urls: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = await plain(async ({ url }) => {
    urls.push(url);
    await promise;
    return new Response();
  });
  using hostile = await RawClient.connect(server);
  await hostile.send(`${GET}\r\n`); // holds the connection open while its end is malformed
  await hostile.send("garbage\r\n\r\n");
  using other = await RawClient.connect(server);
  await other.send("GET /other HTTP/1.1\r\nHost: a\r\n");
  await hostile.send("X: injected\r\n\r\nGET /injected HTTP/1.1\r\nHost: a\r\n\r\n");
  await new Promise((resolve) => setTimeout(resolve, 100));
  resolve();
  assertEquals(statuses(await hostile.until()), [200]);
  await other.send("Connection: close\r\n\r\n");
  assertEquals(statuses(await other.until()), [200]);
  assertEquals(urls, ["http://a/", "http://a/other"]);
});

Deno.test("serve() passes over an upgrade that it does not know", async () => {
  await using server = await plain(say);
  const h2c = "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n";
  using client = await RawClient.connect(server);
  await client.send(GET + h2c);
  await client.until(/\r\n\r\nGET \/$/);
  await client.send(`${GET}Connection: close\r\n\r\n`);
  assertEquals(statuses(await client.until()), [200, 200]);
});

Deno.test("serve() answers plain HTTP on its TLS port with an alert, and goes on", async () => {
  const failures: unknown[] = [];
  await using server = await secure(say, { onConnectionError: (error) => void failures.push(error) });
  const answer = await converse(server, `${GET}\r\n`);
  assertEquals(answer.charCodeAt(0), 21, "a record of type alert");
  assertEquals((await curl(server, "/")).stdout, "GET /");
  assertEquals([server.stats.handshakeFailures, server.stats.requests], [1, 1]);
  assert(failures[0] instanceof SSLError);
});

Deno.test("serve() refuses a client that speaks only HTTP/2", async () => {
  await using server = await secure(say);
  const error = await assertRejects(() => tlsioClient(portOf(server), { alpnProtocols: ["h2"] }), SSLError);
  assertEquals(error.alert?.name, "no_application_protocol");
});

Deno.test("serve() checks its options before it listens", async () => {
  const wrong: HttpServeOptions[] = [
    { headersTimeout: 0 },
    { requestTimeout: NaN },
    { keepAliveTimeout: -1 },
    { sendTimeout: "1" as never },
    { shutdownTimeout: 0 },
    { sslShutdownTimeout: 0 },
    { maxBodySize: -1 },
    { maxBodySize: 1.5 },
    { maxHeaderSize: 0 },
    { maxRequestsPerSocket: 0 },
    { headersTimeout: 10, requestTimeout: 5 },
  ];
  for (const options of wrong) {
    const name = Object.keys(options)[0]!;
    await assertRejects(() => serve(say, { port: 0, ...options }), RangeError, `Cannot use ${name}`);
  }
  await assertRejects(() => serve(undefined as never), TypeError, "Cannot use handler");
  await assertRejects(() => serve(say, { port: 0, signal: AbortSignal.abort() }), DOMException);
});
