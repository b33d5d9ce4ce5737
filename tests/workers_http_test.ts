/** `serve()` with workers, and clients that no one here wrote: curl and OpenSSL. */

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { type HttpServeOptions, type HttpServerStats, serve } from "../lib/http.ts";
import type { WorkerOptions, WorkerServer } from "../lib/workers.ts";
import { certFile, curl, opensslClient, Program, tempDir } from "./peers.ts";
import { eventually, LONG, SHORT, test } from "./sockets.ts";

const HTTP = new URL("./workers/http.ts", import.meta.url);
const CA = certFile("root.pem");

type HttpWorkers = WorkerServer<HttpServerStats>;

/** Two workers on a port of 127.0.0.1. */
function working(options: Partial<HttpServeOptions & WorkerOptions> = {}): Promise<HttpWorkers> {
  return serve(HTTP, {
    hostname: "127.0.0.1",
    port: 0,
    workers: 2,
    ssl: { certfile: certFile("ec.pem"), keyfile: certFile("ec.key"), sessionCacheSize: 0 },
    ...options,
  });
}

/** The body that curl gets. */
async function get(server: HttpWorkers, path = "/"): Promise<string> {
  const { code, stdout, stderr } = await curl(`https://localhost:${server.addr.port}${path}`, CA);
  assertEquals(code, 0, stderr);
  return stdout;
}

test("serve() with workers answers curl from each of them, and counts the requests of all", async () => {
  await using server = await working();
  const answers = [];
  for (let i = 0; i < 24; i++) answers.push(JSON.parse(await get(server)));
  assertEquals(new Set(answers.map(({ self }) => self)).size, 2);
  const { requests, accepted, workers } = await server.stats();
  assertEquals({ requests, accepted, workers }, { requests: 24, accepted: 24, workers: 2 });
});

for (const tls of ["1.2", "1.3"] as const) {
  test(`serve() with workers resumes OpenSSL's TLS ${tls} session with each of them`, async () => {
    await using dir = await tempDir();
    const session = `${dir.path}/session`;
    await using server = await working();
    const options = {
      port: server.addr.port,
      ca: CA,
      tls,
      input: "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      until: /"self":"[^"]+"/,
    };
    const first = await opensslClient({ ...options, sessionOut: session });
    assertEquals([first.code, first.resumed], [0, false], first.stderr);
    const selves = new Set<string>();
    for (let i = 0; i < 24; i++) {
      // A TLS 1.3 ticket is for one use, says RFC 8446: a server may take it again, and this one does.
      const again = await opensslClient({ ...options, sessionIn: session });
      assertEquals([again.code, again.resumed, again.version], [0, true, `TLSv${tls}`], again.stderr);
      assertStringIncludes(again.stdout, '"reused":true');
      selves.add(again.stdout.match(options.until)![0]);
    }
    assertEquals(selves.size, 2);
  });
}

test("serve() with workers: the module's onError answers; the parent's cannot cross", async () => {
  await using server = await working();
  assertEquals(await get(server, "/fail"), "from the module: the handler failed on purpose");
  const error = await assertRejects(() => working({ onError: () => new Response() }), TypeError);
  assertStringIncludes(error.message, "Cannot use onError with workers: it is a function");
  assertStringIncludes(error.message, "export const options = { onError: ... }");
});

test("serve() with workers reports a crash to onConnectionError, and goes on", async () => {
  const phases: string[] = [];
  await using server = await working({ onConnectionError: (_, { phase }) => void phases.push(phase) });
  const { code } = await curl(`https://localhost:${server.addr.port}/crash`, CA);
  assert(code !== 0);
  await eventually(() => phases.length === 1);
  assertEquals(phases, ["worker"]);
  for (let i = 0; i < 8; i++) await get(server);
});

test("serve() with workers: close() finishes the requests under way", async () => {
  const server = await working();
  await using program = new Program("curl", [
    ...["--silent", "--show-error", "--noproxy", "*", "--cacert", CA, "--parallel", "--parallel-immediate"],
    ...Array.from({ length: 6 }, () => `https://localhost:${server.addr.port}/slow`),
  ]);
  let requests = 0;
  while (requests < 6) requests = (await server.stats()).requests;
  await server.close();
  assertEquals(await program.exit(LONG * 1000), 0, program.output());
  assertEquals(program.stdout, "done".repeat(6));
});

test("serve() with workers: shutdownTimeout bounds close(), and a signal closes", async () => {
  const stop = new AbortController();
  const server = await working({ shutdownTimeout: SHORT, signal: stop.signal });
  const request = curl(`https://localhost:${server.addr.port}/slow`, CA);
  while ((await server.stats()).requests === 0);
  stop.abort();
  await server.finished;
  assert((await request).code !== 0);
  assertEquals((await server.stats()).workers, 0);
  await assertRejects(() => working({ signal: stop.signal }), DOMException, "aborted");
});

test("serve() with workers calls onListen once, and serves without TLS", async () => {
  const addresses: Deno.Addr[] = [];
  const server = await serve(HTTP, {
    hostname: "127.0.0.1",
    port: 0,
    workers: 2,
    onListen: (addr) => addresses.push(addr),
  });
  await using _ = server;
  assertEquals(addresses, [server.addr]);
  const { stdout } = await curl(`http://127.0.0.1:${server.addr.port}/`);
  assertMatch(stdout, /"self":"/);
});
