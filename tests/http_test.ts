import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CERT_REQUIRED } from "tlsio";
import type { ServeTlsInfo } from "tlsio/http";
import { createHash } from "node:crypto";
import { curl, plain, portOf, RawClient, say, secure, statuses, urlOf } from "./http_helpers.ts";
import { certFile, need, opensslClient, PATIENCE, run, tempDir, within } from "./peers.ts";

const BULK = 64 << 20; // bytes

/** Bytes that no one could guess, always the same. */
function* bulk(): Generator<Uint8Array<ArrayBuffer>> {
  const chunk = new Uint8Array(1 << 16);
  for (let at = 0; at < BULK; at += chunk.length) {
    new DataView(chunk.buffer).setUint32((at >> 8) & 0xfff0, at);
    yield chunk.slice();
  }
}

async function sha256(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}

// ---- Clients --------------------------------------------------------------------------------------------

Deno.test("serve() answers curl over TLS", async () => {
  await using server = await secure(async (request) => new Response(`got ${await request.text()}`));
  const { stdout, code } = await curl(server, "/path", ["-i", "-d", "this"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^HTTP\/1\.1 200 OK\r\n/);
  assertStringIncludes(stdout, "\r\n\r\ngot this");
});

Deno.test("serve() answers Node's fetch and https over TLS", async () => {
  await using server = await secure(say);
  const script = `
    const url = process.argv[1];
    const first = await (await fetch(url)).text();
    const { get, Agent } = await import("node:https");
    const agent = new Agent({ keepAlive: false });
    get(url + "two", { agent }, async (res) => {
      let second = "";
      for await (const chunk of res) second += chunk;
      console.log(first + ", " + second);
    });`;
  const env = { NODE_EXTRA_CA_CERTS: certFile("root.pem") };
  const { stdout, stderr } = await run("node", ["--input-type=module", "-e", script, urlOf(server)], { env });
  assertEquals(stdout, "GET /, GET /two\n", stderr);
});

Deno.test("serve() answers Deno's fetch over TLS", async () => {
  await using server = await secure(async (request) => Response.json(await request.json(), { status: 201 }));
  using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(certFile("root.pem"))] });
  const body = JSON.stringify({ a: [1] });
  const fetching = fetch(urlOf(server), { client, method: "POST", body });
  const response = await within(fetching, PATIENCE, "fetch");
  assertEquals([response.status, response.statusText], [201, "Created"]);
  assertEquals(await response.json(), { a: [1] });
});

Deno.test("serve() answers without TLS when ssl is not given", async () => {
  await using server = await plain((request, { tls }) => new Response(`${request.url} ${tls}`));
  const url = `http://127.0.0.1:${portOf(server)}/`;
  const response = await within(fetch(url), PATIENCE, "fetch");
  assertEquals(await response.text(), `${url} undefined`);
});

Deno.test("serve() answers an HTTP/1.0 client", async () => {
  await using server = await secure(say);
  const { stdout } = await curl(server, "/old", ["-0", "-i"]);
  assertStringIncludes(stdout, "Connection: close");
  assertStringIncludes(stdout, "\r\n\r\nGET /old");
});

Deno.test("serve() keeps a connection alive: 20 requests of curl on one connection", async () => {
  await using server = await secure(say);
  const paths = Array.from({ length: 20 }, (_, i) => `/${i}`);
  const { stdout } = await curl(server, paths, ["-w", "\n"]);
  assertEquals(stdout.trim().split("\n"), paths.map((path) => `GET ${path}`));
  assertEquals([server.stats.accepted, server.stats.requests], [1, 20]);
});

Deno.test("serve() answers pipelined requests in their order", async () => {
  await using server = await plain(async (request) => {
    const ms = Number(new URL(request.url).searchParams.get("ms"));
    await new Promise((resolve) => setTimeout(resolve, ms));
    return new Response(`<${ms}>`);
  });
  using client = await RawClient.connect(server);
  const requests = [30, 0, 10].map((ms) => `GET /?ms=${ms} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await client.send(requests.join(""));
  const answer = await client.until(/<10>/);
  assertEquals(answer.match(/<\d+>/g), ["<30>", "<0>", "<10>"]);
});

Deno.test("serve() answers 200 clients at once", async () => {
  await using server = await secure(({ url }) => new Response(`${new URL(url).pathname}\n`));
  const paths = Array.from({ length: 200 }, (_, i) => `/${i}`);
  const parallel = ["-Z", "--parallel-immediate", "--parallel-max", "200"];
  const { stdout, stderr } = await curl(server, paths, parallel, { timeoutMs: 60_000 });
  assertEquals(new Set(stdout.trim().split("\n")), new Set(paths), stderr);
  assertEquals([server.stats.accepted, server.stats.handshakeFailures], [200, 0]);
});

Deno.test("serve() bears wrk for 2 seconds without an error", async () => {
  await using server = await secure(() => new Response("hello"));
  need("wrk");
  const { stdout } = await run("wrk", ["-t1", "-c20", "-d2s", urlOf(server)]);
  const requests = Number(stdout.match(/(\d+) requests in/)?.[1]);
  assert(requests > 10, stdout);
  assert(!/errors|Non-2xx/.test(stdout), stdout);
  assert(server.stats.requests >= requests);
});

// ---- Bodies ---------------------------------------------------------------------------------------------

Deno.test("serve() streams 64 MiB up", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/bulk`;
  await Deno.writeFile(path, ReadableStream.from(bulk()));
  let chunks = 0;
  await using server = await secure(async ({ body }) => {
    const seen = body!.pipeThrough(
      new TransformStream({ transform: (chunk, out) => (chunks++, out.enqueue(chunk)) }),
    );
    return new Response(await sha256(seen));
  }, { maxBodySize: BULK });
  const { stdout } = await curl(server, "/", ["-T", path], { timeoutMs: 60_000 });
  assertEquals(stdout, await sha256(bulk()));
  assert(chunks > 100);
});

Deno.test("serve() streams 64 MiB down", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/bulk`;
  await using server = await secure(() => new Response(ReadableStream.from(bulk())));
  await curl(server, "/", ["-o", path], { timeoutMs: 60_000 });
  using file = await Deno.open(path);
  assertEquals(await sha256(file.readable), await sha256(bulk()));
});

Deno.test("serve() takes a chunked body and gives one", async () => {
  await using server = await secure(({ body, headers }) => {
    assertEquals(headers.get("transfer-encoding"), "chunked");
    return new Response(body);
  });
  const { stdout } = await curl(server, "/", ["-i", "-T", "-"], { stdin: "from standard input" });
  assertStringIncludes(stdout, "Transfer-Encoding: chunked\r\n");
  assertStringIncludes(stdout, "\r\n\r\nfrom standard input");
});

Deno.test("serve() takes a body that the client asks to send first", async () => {
  await using server = await secure(async (request) => new Response(await request.text()));
  const { stdout, stderr } = await curl(server, "/", ["-v", "-H", "Expect: 100-continue", "-d", "body"]);
  assertEquals(stdout, "body");
  assertStringIncludes(stderr, "< HTTP/1.1 100 Continue");
});

Deno.test("serve() stops reading a body that the handler does not read", async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<Response>();
  await using server = await plain(() => answered);
  using client = await RawClient.connect(server);
  await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const chunk = new TextEncoder().encode(`10000\r\n${"x".repeat(65536)}\r\n`);
  let sent = 0;
  let stuck = false;
  while (!stuck && sent < BULK) {
    const write = client.conn.write(chunk).then((n) => (sent += n, false), () => false);
    let timer;
    stuck = await Promise.race([write, new Promise<boolean>((r) => timer = setTimeout(r, 500, true))]);
    clearTimeout(timer);
  }
  answer(new Response());
  assert(stuck, `${sent} bytes were taken`);
});

Deno.test("serve() stops pulling a response that the client does not read", async () => {
  let pulled = 0;
  await using server = await plain(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled += 65536;
          controller.enqueue(new Uint8Array(65536));
        },
      }),
    )
  );
  using client = await RawClient.connect(server);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until(/200 OK/);
  for (let before = -1; before !== pulled && pulled < BULK;) {
    before = pulled;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert(pulled < BULK, `${pulled} bytes were pulled`);
});

// ---- Responses ------------------------------------------------------------------------------------------

Deno.test("serve() says how long a body is that it is given whole, and chunks a stream", async () => {
  const stream = (parts: string[]) => ReadableStream.from(parts).pipeThrough(new TextEncoderStream());
  const bodies: Record<string, () => BodyInit | null> = {
    "/text": () => "caf\xe9",
    "/bytes": () => new Uint8Array(70_000),
    "/blank": () => "",
    "/none": () => null,
    "/stream": () => stream(["one ", "two"]),
    "/nothing": () => stream([]),
  };
  await using server = await secure(({ url }) => new Response(bodies[new URL(url).pathname]!()));
  const lengths: Record<string, string | undefined> = {};
  for (const path of Object.keys(bodies)) {
    const { stdout } = await curl(server, path, ["-D", "-", "-o", "/dev/null"]);
    lengths[path] = /^(?:content-length|transfer-encoding): (.*)\r$/im.exec(stdout)?.[1];
  }
  const { "/nothing": nothing, ...others } = lengths;
  assertEquals(others, {
    "/text": "5",
    "/bytes": "70000",
    "/blank": "0",
    "/none": "0",
    "/stream": "chunked",
  });
  assert(nothing === "0" || nothing === "chunked", nothing);
  const { stdout } = await curl(server, ["/text", "/stream", "/blank", "/none"]);
  assertEquals(stdout, "caf\xe9one two");
  assertEquals(server.stats.accepted, 7);
});

Deno.test("serve() sends the responses that have no body", async () => {
  await using server = await secure(({ url }) => {
    const status = Number(new URL(url).pathname.slice(1));
    if (status === 302) return Response.redirect("https://other.test/", 302);
    return new Response(status === 200 ? "body" : null, { status, headers: { "content-length": "4" } });
  });
  const { stdout } = await curl(server, ["/200", "/204", "/304", "/302"], ["-I"]);
  assertEquals(statuses(stdout), [200, 204, 304, 302]);
  assertStringIncludes(stdout, "location: https://other.test/");
  assertEquals(server.stats.accepted, 1);
  const { stdout: got } = await curl(server, ["/204", "/304", "/200"]);
  assertEquals(got, "body");
});

Deno.test("serve() sends each Set-Cookie by itself", async () => {
  await using server = await secure(() => {
    const headers = new Headers({ "x-one": "1" });
    headers.append("set-cookie", "a=1; Path=/");
    headers.append("set-cookie", "b=2");
    return new Response("", { headers });
  });
  const { stdout } = await curl(server, "/", ["-i"]);
  assertEquals(stdout.match(/^set-cookie: .*$/gim), ["set-cookie: a=1; Path=/", "set-cookie: b=2"]);
});

Deno.test("serve() cancels the body of a response to HEAD", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = await secure(() => new Response(new ReadableStream({ cancel: () => resolve() })));
  assertEquals(statuses((await curl(server, "/", ["-I"])).stdout), [200]);
  await within(promise, PATIENCE, "learn that the body is not wanted");
});

// ---- What a handler is told -----------------------------------------------------------------------------

Deno.test("serve() tells the handler about the connection", async () => {
  await using server = await secure((_request, info) => Response.json(info));
  const { remoteAddr, localAddr, tls } = JSON.parse((await curl(server, "/", ["--tlsv1.3"])).stdout);
  assertEquals(localAddr, { transport: "tcp", hostname: "127.0.0.1", port: portOf(server) });
  assertEquals(remoteAddr.hostname, "127.0.0.1");
  assertEquals(tls, {
    version: "TLSv1.3",
    cipher: tls.cipher,
    group: "x25519",
    sessionReused: false,
    alpnProtocol: "http/1.1",
    verifyFlags: 0x80,
  });
  assertMatch(tls.cipher, /^TLS_/);
});

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`serve() tells the handler about a client certificate, TLS ${tls}`, async () => {
    await using server = await secure((_request, info) => Response.json(info.tls), {
      ssl: { certReqs: CERT_REQUIRED, caCerts: certFile("root.pem") },
    });
    const identity = ["--cert", certFile("client.pem"), "--key", certFile("client.key")];
    const { stdout } = await curl(server, "/", [...identity, "--tls-max", tls]);
    const { peerCertificate, verifyFlags, version } = JSON.parse(stdout) as ServeTlsInfo;
    assertEquals([verifyFlags, version], [0, `TLSv${tls}`]);
    const name = peerCertificate?.subject?.flat().find(([type]) => type === "commonName")?.[1];
    assertMatch(name ?? "", /client/i);
    assert((await curl(server, "/", ["--tls-max", tls])).code !== 0);
    assertEquals([server.stats.requests, server.stats.handshakeFailures], [1, 1]);
  });

  Deno.test(`serve() tells the handler about a resumed session, TLS ${tls}`, async () => {
    await using dir = await tempDir();
    const session = `${dir.path}/session`;
    await using server = await secure((_request, info) =>
      new Response(`reused: ${info.tls?.sessionReused}.`)
    );
    const options = {
      port: portOf(server),
      ca: certFile("root.pem"),
      tls,
      input: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      until: /reused: \w+\./,
    };
    const first = await opensslClient({ ...options, sessionOut: session });
    assertStringIncludes(first.stdout, "reused: false.");
    const second = await opensslClient({ ...options, sessionIn: session });
    assertStringIncludes(second.stdout, "reused: true.");
  });
}

Deno.test("serve() gives the request the URL that was asked for", async () => {
  await using server = await secure(({ url }) => new Response(url));
  const ask = async (path: string, ...args: string[]) => (await curl(server, path, args)).stdout;
  assertEquals(await ask("/a?b=c#d"), urlOf(server, "/a?b=c"));
  assertEquals(await ask("/a", "-H", "Host: example.test:99"), "https://example.test:99/a");
  assertEquals(await ask("/a", "-H", "Host: [::1]:99"), "https://[::1]:99/a");
  assertEquals(await ask("/", "--request-target", "http://proxied.test/x?y"), "https://proxied.test/x?y");
  assertEquals(await ask("/", "--request-target", "//elsewhere/x"), urlOf(server, "//elsewhere/x"));
  const old = await ask("/old", "-0", "-H", "Host:");
  assertEquals(old, `https://127.0.0.1:${portOf(server)}/old`);
});
