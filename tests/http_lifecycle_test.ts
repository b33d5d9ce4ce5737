import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SSLContext, SSLError, type SSLSocket } from "tlsio";
import type { HttpServeOptions, HttpServer } from "tlsio/http";
import {
  converse,
  curl,
  eventually,
  plain,
  portOf,
  printedErrors,
  RawClient,
  say,
  secure,
  SlowResponse,
  startCurl,
  statuses,
} from "./http_helpers.ts";
import { send, tlsioClient } from "./interop.ts";
import { certFile, PATIENCE, within } from "./peers.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A client over TLS that has asked, and has the first bytes of the answer. */
async function ask(server: HttpServer): Promise<SSLSocket> {
  const socket = await tlsioClient(portOf(server));
  await send(socket, GET);
  await read(socket);
  return socket;
}

function read(socket: SSLSocket): Promise<number | null> {
  return within(socket.read(new Uint8Array(1000)), PATIENCE, "read the answer");
}

// ---- Clients that leave ---------------------------------------------------------------------------------

const LEAVINGS: readonly [name: string, leave: (server: HttpServer) => Promise<void>][] = [
  ["curl is killed", async (server) => {
    await using program = startCurl(server);
    await program.waitFor(/begun/);
    program.kill("SIGKILL");
  }],
  ["it says goodbye", async (server) => {
    const socket = await ask(server);
    await socket.close();
  }],
  ["it resets the connection", async (server) => {
    const socket = await ask(server);
    socket.abort();
  }],
];
for (const [name, leave] of LEAVINGS) {
  Deno.test(`serve() cancels a response when the client leaves: ${name}`, async () => {
    using errors = printedErrors();
    const slow = new SlowResponse();
    const aborted = Promise.withResolvers<void>();
    await using server = await secure(({ signal }) => {
      signal.addEventListener("abort", () => aborted.resolve());
      return slow.response;
    });
    await leave(server);
    const both = Promise.all([slow.cancelled.promise, aborted.promise]);
    await within(both, PATIENCE, "learn that the client has left");
    await eventually("the connection is closed", () => server.stats.open === 0);
    assertEquals(errors.printed, []);
  });
}

Deno.test("serve() does not abort the signal of a request that is answered", async () => {
  const signals: AbortSignal[] = [];
  await using server = await secure(({ signal }) => {
    signals.push(signal);
    return new Response("answer");
  });
  for (const args of [[], ["-I"], ["-d", "body"]]) await curl(server, "/", args);
  await eventually("the connections are closed", () => server.stats.open === 0);
  assertEquals(signals.map(({ aborted }) => aborted), [false, false, false]);
});

Deno.test("serve() fails the reading of a body when the client leaves, and prints nothing", async () => {
  using errors = printedErrors();
  const failed = Promise.withResolvers<boolean>();
  await using server = await plain(async (request) => {
    await request.text().catch((error) => {
      failed.resolve(request.signal.aborted);
      throw error;
    });
    return new Response();
  });
  {
    using client = await RawClient.connect(server);
    await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
    await eventually("the handler runs", () => server.stats.requests === 1);
  }
  assert(await within(failed.promise, PATIENCE, "learn that the client has left"));
  assertEquals(errors.printed, []);
});

Deno.test("serve() cancels a response that comes when the client has left", async () => {
  const slow = new SlowResponse();
  const handled = Promise.withResolvers<Response>();
  await using server = await plain(() => handled.promise);
  {
    using client = await RawClient.connect(server);
    await client.send(GET);
    await eventually("the handler runs", () => server.stats.requests === 1);
  }
  await eventually("the connection is closed", () => server.stats.open === 0);
  handled.resolve(slow.response);
  await within(slow.cancelled.promise, PATIENCE, "learn that the client has left");
});

// ---- Closing --------------------------------------------------------------------------------------------

Deno.test("serve() closes idle keep-alive connections on close", async () => {
  const server = await secure(say);
  const socket = await ask(server);
  const started = Date.now();
  const closed = server.close();
  assertEquals(await read(socket), null); // a close_notify, else this rejects
  await socket.close();
  await within(closed, PATIENCE, "close the server");
  assert(Date.now() - started < 10_000); // not keepAliveTimeout
  assertEquals(server.stats.open, 0);
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: portOf(server) }));
});

Deno.test("serve() completes a request under way on close", async () => {
  const slow = new SlowResponse();
  const server = await secure(() => slow.response);
  await using program = startCurl(server);
  await program.waitFor(/begun/);
  const closed = server.close();
  assertEquals(server.close(), closed);
  await slow.finish();
  assertEquals(await program.exit(), 0);
  assertEquals(program.stdout, "begun, finished");
  await within(closed, PATIENCE, "close the server");
});

Deno.test("serve() says Connection: close when the head is sent after close", async () => {
  const handled = Promise.withResolvers<Response>();
  const server = await plain(() => handled.promise);
  let closed: Promise<void>;
  {
    using client = await RawClient.connect(server);
    await client.send(GET);
    await eventually("the handler runs", () => server.stats.requests === 1);
    closed = server.close();
    await client.send(GET); // behind the last one: not served
    handled.resolve(new Response("last"));
    const answer = await client.until();
    assertStringIncludes(answer, "Connection: close");
    assertEquals(statuses(answer), [200]);
  }
  await within(closed, PATIENCE, "close the server");
  assertEquals(server.stats.requests, 1);
});

const STUCK: readonly [name: string, options: HttpServeOptions, end: (server: HttpServer) => unknown][] = [
  ["close() after shutdownTimeout", { shutdownTimeout: 0.2 }, (server) => server.close()],
  ["abort()", {}, (server) => server.abort()],
];
for (const [name, options, end] of STUCK) {
  Deno.test(`serve() drops requests under way on ${name}`, async () => {
    const slow = new SlowResponse();
    const server = await secure(() => slow.response, options);
    const socket = await ask(server);
    end(server);
    await within(Promise.all([slow.cancelled.promise, server.finished]), PATIENCE, "end the server");
    await assertRejects(() => read(socket), SSLError); // no close_notify: it was cut short
    await socket.close();
  });

  Deno.test(`serve() drops uploads that nobody reads on ${name}`, async () => {
    const handled = Promise.withResolvers<Response>();
    const server = await plain(() => handled.promise, options);
    using client = await RawClient.connect(server);
    await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + "x".repeat(500_000));
    await eventually("the handler runs", () => server.stats.requests === 1);
    end(server);
    await within(server.finished, PATIENCE, "end the server");
    handled.resolve(new Response());
  });
}

Deno.test("serve() does not wait for stalled handshakes on close", async () => {
  const server = await secure(say);
  using _client = await RawClient.connect(server);
  await eventually("the handshake waits", () => server.stats.handshaking === 1);
  await within(server.close(), 10_000, "close the server"); // not sslHandshakeTimeout
});

Deno.test("serve() closes when its signal is aborted", async () => {
  const controller = new AbortController();
  const heard: Deno.Addr[] = [];
  const server = await plain(say, { signal: controller.signal, onListen: (addr) => void heard.push(addr) });
  assertEquals(heard, [server.addr]);
  assertEquals(statuses(await converse(server, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))), [
    200,
  ]);
  controller.abort();
  await within(server.serveForever(), PATIENCE, "close the server");
});

Deno.test("serve() leaves a context that it is given to its owner", async () => {
  using context = await SSLContext.create({
    serverSide: true,
    certfile: certFile("ec.pem"),
    keyfile: certFile("ec.key"),
  });
  for (let i = 0; i < 2; i++) {
    await using server = await plain(say, { ssl: context });
    assertEquals((await curl(server, "/")).stdout, "GET /");
  }
});

Deno.test("serve() fails when its port is taken, and leaves nothing behind", async () => {
  await using server = await plain(say);
  await assertRejects(() => secure(say, { port: portOf(server) }), Deno.errors.AddrInUse);
});
