/** `tlsio serve --dashboard` as its users run it: who may read it, what it tells, how it ends. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Moment } from "../lib/cli/dashboard/recorder.ts";
import { VIEWERS_MAX } from "../lib/cli/dashboard/viewers.ts";
import { cli, cliServe, type CliServer } from "./cli_helpers.ts";
import { curl, run, tempDir } from "./peers.ts";

/** The dashboard's address, as the server announces it. */
function dashboardOf({ program }: CliServer): URL {
  return new URL(program.stdout.match(/^ +Dashboard +(\S+)$/m)![1]!);
}

/** Starts a server with a dashboard on a free port. */
function serve(...args: string[]): Promise<CliServer> {
  return cliServe(["--quiet", "--dashboard=127.0.0.1:0", ...args]);
}

/** What a request is answered, byte for byte: `fetch` would not send these. */
async function ask({ port }: URL, head: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await conn.write(new TextEncoder().encode(`${head}\r\nConnection: close\r\n\r\n`));
  return await new Response(conn.readable).text();
}

const status = (answer: string) => Number(answer.split(" ")[1]);

/** The events of a stream, as they come. */
async function* eventsOf(url: URL, signal: AbortSignal): AsyncGenerator<{ name: string; data: string }> {
  const response = await fetch(new URL("/events", url), { signal });
  assertEquals([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    const all = text.split("\n\n");
    text = all.pop()!;
    for (const event of all.filter((event) => !event.startsWith("retry: "))) {
      const [, name = "message", data] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(event)!;
      yield { name, data: data! };
    }
  }
}

/** What the viewers are told, until `enough`. */
async function momentOf(url: URL, enough: (moment: Moment) => boolean): Promise<Moment> {
  using viewer = viewing();
  for await (const { name, data } of eventsOf(url, viewer.signal)) {
    if (name === "message" && enough(JSON.parse(data))) return JSON.parse(data);
  }
  throw new Error("the events have ended");
}

function viewing(): { signal: AbortSignal } & Disposable {
  const leave = new AbortController();
  return { signal: leave.signal, [Symbol.dispose]: () => leave.abort() };
}

Deno.test("serve --dashboard: the events tell what clients do; the viewers themselves are not counted", async () => {
  await using server = await serve();
  const url = dashboardOf(server);
  assertEquals([url.protocol, url.hostname], ["http:", "127.0.0.1"]);
  using viewer = viewing();
  const events = eventsOf(url, viewer.signal);
  const next = async () => (await events.next()).value!;
  const about = await next();
  assertEquals([about.name, JSON.parse(about.data).url], ["about", server.url]);
  assertEquals(await next(), { name: "history", data: "[]" });

  for (let i = 0; i < 3; i++) assertEquals((await curl(`${server.url}temp`, server.ca)).code, 0);
  assertEquals((await curl(server.url, server.ca, ["--tls-max", "1.2"])).code, 0);
  assert((await run("curl", ["-s", "--noproxy", "*", server.url])).code !== 0); // it trusts nobody: an alert
  const { totals, tables, point, workers, times } = await momentOf(
    url,
    ({ totals, point }) => totals.handshakes === 4 && totals.failures === 1 && point.requests !== null,
  );
  assertEquals(totals, { accepted: 5, refused: 0, requests: 4, handshakes: 4, failures: 1, resumed: 0 });
  assertEquals(tables.failures, [{ name: "unknown_ca", total: 1, recent: tables.failures[0]!.recent }]);
  assertEquals(tables.suites.reduce((sum, { total }) => sum + total, 0), 4);
  assertEquals(times.at(-1)!.le, "+Inf");
  assert(point.rss > 20 && point.core > 0 && point.lag >= 0, JSON.stringify(point));
  assertEquals(workers, null);

  const late = eventsOf(url, viewer.signal); // who comes later sees what has been
  await late.next();
  const history = (await late.next()).value!;
  assertEquals([history.name, JSON.parse(history.data).length >= 1], ["history", true]);
});

Deno.test("serve --dashboard: it reads by its own names alone, and answers no other site", async () => {
  await using server = await serve();
  const url = dashboardOf(server);
  const { host, port } = url;
  const get = (path: string, name: string, ...more: string[]) =>
    ask(url, [`GET ${path} HTTP/1.1`, `Host: ${name}`, ...more].join("\r\n"));

  for (const name of [host, `localhost:${port}`, "localhost:1", "[::1]:1", "10.1.2.3"]) {
    assertEquals(status(await get("/", name)), 200, name);
  }
  // A name of somebody else's that resolves to this machine: DNS rebinding.
  for (const path of ["/", "/events", "/page.js"]) {
    for (
      const name of [
        "evil.example",
        `evil.example:${port}`,
        "127.0.0.1.evil.example",
        "localhost.evil.example",
      ]
    ) {
      assertEquals(status(await get(path, name)), 421, `${name} ${path}`);
    }
  }
  assertEquals(status(await get("http://evil.example/", host)), 421);
  assertEquals(status(await ask(url, "GET / HTTP/1.1\r\nX: y")), 400, "no host");

  // Another site's page neither reads it nor takes viewers' places; it may link to it.
  const from = (site: string) => `Sec-Fetch-Site: ${site}`;
  assertEquals(status(await get("/events", host, from("cross-site"))), 403);
  assertEquals(status(await get("/page.js", host, from("same-site"))), 403);
  assertEquals(status(await get("/", host, from("cross-site"), "Sec-Fetch-Dest: iframe")), 403);
  for (const origin of ["http://evil.example", `http://127.0.0.1:1`, `https://${host}`, "null"]) {
    assertEquals(status(await get("/events", host, `Origin: ${origin}`)), 403, origin); // before Sec-Fetch-Site
  }
  assertEquals(status(await get("/page.js", host, `Origin: http://${host}`)), 200);
  assertEquals(status(await get("/", host, from("cross-site"), "Sec-Fetch-Dest: document")), 200);

  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const answer = await ask(url, `${method} /events HTTP/1.1\r\nHost: ${host}`);
    assertEquals(status(answer), 405);
    assertMatch(answer, /^allow: GET, HEAD\r$/im);
  }
  assertEquals(status(await get("/nothing", host)), 404);
  assertEquals(status(await get("/constructor", host)), 404);
  assertEquals((await ask(url, `HEAD /events HTTP/1.1\r\nHost: ${host}`)).split("\r\n\r\n")[1], "");

  const page = await get("/", host);
  assertMatch(
    page,
    /^content-security-policy: default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/im,
  );
  assertMatch(page, /^cross-origin-resource-policy: same-origin\r$/im);
  assert(!/^access-control-/im.test(page));
  assert(!/(src|href)="(?!\/|data:,)/.test(page), "an address elsewhere");
});

Deno.test("serve --dashboard: it takes so many viewers and no more", async () => {
  await using server = await serve();
  const url = dashboardOf(server);
  using viewer = viewing();
  const all = Array.from({ length: VIEWERS_MAX }, () => eventsOf(url, viewer.signal));
  await Promise.all(all.map((events) => events.next()));
  const { status, headers, body } = await fetch(new URL("/events", url));
  await body?.cancel();
  assertEquals([status, headers.get("retry-after")], [503, "10"]);
  await all[0]!.return(undefined); // one leaves
  for (let taken = false; !taken;) {
    const response = await fetch(new URL("/events", url), { signal: viewer.signal });
    taken = response.status === 200;
    if (!taken) await response.body?.cancel();
  }
});

Deno.test("serve --dashboard: Ctrl-C ends it with its viewers", async () => {
  await using server = await serve();
  const url = dashboardOf(server);
  using viewer = viewing();
  const events = eventsOf(url, viewer.signal);
  await events.next();
  server.program.kill("SIGINT");
  const ended = (async () => {
    for await (const _event of events);
  })();
  await ended; // in good order: else it would throw
  assertEquals(await server.program.exit(), 0);
  assertEquals(server.program.stderr, "");
});

Deno.test("serve --dashboard --workers: it adds up what all of them count, and asks how each thread is", async () => {
  await using server = await serve("--workers", "2");
  const url = dashboardOf(server);
  for (let i = 0; i < 6; i++) assertEquals((await curl(`${server.url}temp`, server.ca)).code, 0);

  const { totals, workers, restarts, coreSize, point } = await momentOf(
    url,
    ({ totals, coreSize }) => totals.requests === 6 && coreSize >= 3,
  );
  assertEquals([totals.handshakes, workers, restarts], [6, 2, 0]);
  assert(coreSize >= 3 && point.core > 0);
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0);
  assertEquals(server.program.stderr, "");
});

Deno.test("serve --dashboard: on an address that others reach it has TLS, and says so", async () => {
  await using server = await cliServe(["--quiet", "--dashboard=0.0.0.0:0"]);
  const url = dashboardOf(server);
  assertEquals([url.protocol, url.hostname], ["https:", "localhost"]);
  assertStringIncludes(server.program.stderr, "everybody who reaches 0.0.0.0 port");
  const { code, stdout } = await curl(url.href, server.ca);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "<title>tlsio dashboard</title>");
  const named = await curl(url.href, server.ca, [
    "-H",
    "Host: evil.example",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
  ]);
  assertEquals(named.stdout, "421");
  assert(
    (await run("curl", ["-s", "--noproxy", "*", `http://127.0.0.1:${url.port}/`])).code !== 0,
    "no plain HTTP",
  );
});

Deno.test("serve --dashboard: what it cannot do it says in a line", async () => {
  await using cache = await tempDir();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const [device, address, used] = await Promise.all([
    cli(["serve", "--dashboard", "--profile", "esp32"]),
    cli(["serve", "--dashboard=example.com:80"]),
    cli(["serve", "--port", "0", `--dashboard=127.0.0.1:${port}`], { env: { XDG_CACHE_HOME: cache.path } }),
  ]);
  assertEquals([device.code, address.code, used.code], [2, 2, 1]);
  assertStringIncludes(device.stderr, "--dashboard is not for --profile esp32");
  assertStringIncludes(
    address.stderr,
    `--dashboard takes an address and a port, such as 127.0.0.1:8444, not "example.com:80"`,
  );
  assertEquals(
    used.stderr,
    `tlsio serve: Cannot listen on 127.0.0.1 port ${port}: the port is in use; --dashboard takes another\n`,
  );
});
