/** The book's programs in `examples/`, started as their head comments say, with the permissions named there and no more. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { commandOf, Example, Folder, grep, START } from "./examples.ts";
import { certFile, curl, opensslServer, PATIENCE, run, within } from "./peers.ts";

/** Sends plain text to a TLS server and returns when it has hung up. */
async function sendPlainText(port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "localhost", port });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const buffer = new Uint8Array(1024);
  const hungUp = async () => {
    while (await conn.read(buffer).catch(() => null) !== null);
  };
  await within(hungUp(), PATIENCE, "wait for the server to hang up");
}

/** Asserts that curl, which verifies the server, gets a page with a temperature. */
async function assertTemperature(url: string, ca: string, args: readonly string[] = []): Promise<void> {
  const page = await curl(url, ca, ["-i", ...args]);
  assertEquals(page.code, 0, page.stderr);
  assertMatch(page.stdout, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(page.stdout, /<h1>\d\d\.\d &deg;C<\/h1>/);
}

Deno.test("examples/http_client.ts prints the page of examples/http_server.ts", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("http_server.ts");
  const text = await folder.run("http_client.ts", server.port);
  assertMatch(text, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(text, /<h1>\d\d\.\d &deg;C<\/h1>/);
  assertMatch(server.program.stdout, /^GET \/index\.html HTTP\/1\.1$/m);
});

Deno.test("examples/http_server.ts serves curl after a client that leaves and one that says nothing", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("http_server.ts");
  (await Deno.connect({ hostname: "localhost", port: server.port })).close();
  using _silent = await Deno.connect({ hostname: "localhost", port: server.port });
  await assertTemperature(server.url, folder.ca);
  assertMatch(server.program.stdout, /^\S+ failed: OSError: Cannot recv\(\): timed out after 5 seconds$/m);
});

Deno.test("examples/http_server_nonblocking.ts serves curl and goes on with its other work", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("http_server_nonblocking.ts");
  await assertTemperature(server.url, folder.ca);
  const { program } = server;
  const count = () => Number(grep(program.stdout, /^Tried \d+ times$/).at(-1)!.split(" ")[1]);
  await program.waitFor(/^Tried /m);
  const before = count();
  const lines = grep(program.stdout, /^Tried /).length;
  await program.waitFor(new RegExp(`^(Tried \\d+ times\n[^]*){${lines + 1}}`, "m"));
  assert(count() > before, program.output());
  await assertTemperature(server.url, folder.ca);
});

Deno.test("examples/backlog.ts: no more clients than the queue holds are connected while the server is busy", async () => {
  await using folder = await Folder.create();
  const lines = (await folder.run("backlog.ts")).trimEnd().split("\n");
  assertMatch(lines[0]!, / s {2}server: busy$/);
  const ready = lines.findIndex((line) => line.endsWith("server: ready"));
  const waiting = lines.slice(0, ready).filter((line) => line.endsWith("connected, in the queue"));
  assert(waiting.length >= 1 && waiting.length <= 3, lines.join("\n")); // listen(2): Linux takes one more
  for (let i = 1; i <= 5; i++) {
    assertEquals(lines.filter((line) => line.endsWith(`  client ${i}: served`)).length, 1, lines.join("\n"));
  }
});

Deno.test("examples/https_client.ts prints the page of examples/https_server.ts", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("https_client.ts", server.port);
  assertMatch(text, /^TLSv1\.3, TLS1-3-[-\w]+\n\nHTTP\/1\.1 200 OK\r\n/);
  assertMatch(text, /<h1>\d\d\.\d &deg;C<\/h1>/);
});

Deno.test("examples/https_client.ts prints the page of openssl s_server, and trusts nobody else", async () => {
  await using folder = await Folder.create();
  await using server = await opensslServer({ ...folder.identity, mode: "www" });
  assertStringIncludes(await folder.run("https_client.ts", server.port), "s_server");

  await using other = await opensslServer({ cert: certFile("ec.pem"), key: certFile("ec.key"), mode: "www" });
  const command = await commandOf("https_client.ts", other.port);
  await using program = new Example("https_client.ts", command, folder.path);
  assertEquals(await program.exit(START), 1);
  assertStringIncludes(program.stderr, "SSLError: Cannot complete TLS handshake");
  assertStringIncludes(program.stderr, "not correctly signed by the trusted CA");
});

for (
  const example of [
    "asyncio_client.ts",
    "asyncio_pages.ts",
    "rest_client.ts",
    "session_resume.ts",
    "deferred_handshake.ts",
    "tls_in_tls.ts",
  ]
) {
  Deno.test(`examples/${example} trusts whom Deno trusts when it is given no authority`, async () => {
    await using folder = await Folder.create();
    await using server = await opensslServer({ ...folder.identity, mode: "www" });
    await using program = new Example(example, await commandOf(example, server.port, 1), folder.path);
    assertEquals(await program.exit(START), 1, program.output());
    assertStringIncludes(program.stderr, "SSLCertVerificationError");
  });
}

Deno.test("examples/https_server.ts serves curl and survives a bad client", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  await assertTemperature(server.url, folder.ca);
  await sendPlainText(server.port);
  const { code } = await curl(server.url, certFile("root.pem")); // trusts somebody else
  assertEquals(code, 60);
  (await Deno.connect({ hostname: "localhost", port: server.port })).close();
  await assertTemperature(server.url, folder.ca, ["--tls-max", "1.2"]);
  assertEquals(
    grep(server.program.stdout, /^A client failed: SSL\w*Error: /).length,
    3,
    server.program.output(),
  );
  assert(server.program.running);
});

Deno.test("examples/https_server.ts serves with the book's own certificate, which names nobody, who checks nothing", async () => {
  await using folder = await Folder.create();
  await Deno.copyFile(certFile("book.der"), folder.file("server.der"));
  await Deno.copyFile(certFile("book.key.der"), folder.file("server.key.der"));
  await using server = await folder.serve("https_server.ts");
  await assertTemperature(server.url, folder.ca, ["--insecure"]);
  const { code } = await curl(server.url, certFile("book.pem")); // trusted, but for no host
  assertEquals(code, 60);
});

Deno.test("examples/esp32_server.ts says what a handshake costs the board, and has room for two", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("esp32_server.ts");
  await assertTemperature(server.url, folder.ca);
  await server.program.waitFor(/^TLSv1\.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 secp256r1$/m);
  await server.program.waitFor(/^ {2}\d+ bytes in, \d+ out; heap 2\d{4} bytes at its peak$/m);
  await server.program.waitFor(/^ {2}on the board 0\.\d\d s \(0\.\d\d to \d\.\d\d, \w+\)$/m);
  const conns = await Promise.all(
    [1, 2, 3].map(() => Deno.connect({ hostname: "localhost", port: server.port })),
  );
  await server.program.waitFor(/^A client failed: SSLError: .*/m); // each has its buffers before it has said anything
  for (const conn of conns) conn.close();
  await assertTemperature(server.url, folder.ca);
});

Deno.test("examples/https_server.ts gives up a client that says nothing, and serves the next", async () => {
  await using folder = await Folder.create();
  const caCerts = [await Deno.readTextFile(folder.ca)];
  const silences: Record<string, (port: number) => Promise<Deno.Conn>> = {
    "complete TLS handshake": (port) => Deno.connect({ hostname: "localhost", port }),
    async "readline()"(port) {
      const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts });
      await within(conn.handshake(), PATIENCE, "shake hands");
      return conn;
    },
  };
  await Promise.all(
    Object.entries(silences).map(async ([action, connect]) => {
      await using server = await folder.serve("https_server.ts");
      using _silent = await connect(server.port);
      await assertTemperature(server.url, folder.ca);
      assertMatch(server.program.stdout, /^A client failed: \w+: /m);
      assertStringIncludes(server.program.stdout, `Error: Cannot ${action}: timed out after 5 seconds\n`);
    }),
  );
});

for (const example of ["https_server_nonblocking.ts", "asyncio_server.ts"]) {
  Deno.test(`examples/${example} serves curl and keeps its heartbeat beside bad clients`, async () => {
    await using folder = await Folder.create();
    await using server = await folder.serve(example);
    using _silent = await Deno.connect({ hostname: "localhost", port: server.port });
    await sendPlainText(server.port);
    await assertTemperature(server.url, folder.ca);
    const urls = Array.from({ length: 8 }, () => server.url);
    await Promise.all(urls.map((url) => assertTemperature(url, folder.ca, ["--tlsv1.3"])));
    const { program } = server;
    const beats = grep(program.stdout, /^Heartbeat \d+, clients: /).length;
    await program.waitFor(new RegExp(`^Heartbeat ${beats + 2}, clients: `, "m"));
    assertEquals(grep(program.stdout, /^A client failed.*: SSL\w*Error: /).length, 1, program.output());
  });
}

Deno.test("examples/asyncio_client.ts prints a page of examples/asyncio_server.ts", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("asyncio_server.ts");
  const text = await folder.run("asyncio_client.ts", server.port);
  assertMatch(text, /^HTTP\/1\.1 200 OK\r\n[^]*<p>This is \/index\.html<\/p>/);
});

Deno.test("examples/asyncio_pages.ts fetches pages of examples/asyncio_server.ts one by one and at once", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("asyncio_server.ts");
  const text = await folder.run("asyncio_pages.ts", server.port);
  assertMatch(text, /^One after the other: 3 pages in \d+ ms$/m);
  assertMatch(text, /^All at once: 3 pages in \d+ ms$/m);
  for (const path of ["/", "/temperature", "/humidity"]) {
    assertEquals(grep(text, new RegExp(`^  ${path}: HTTP/1.1 200 OK, \\d+ characters$`)).length, 2, text);
  }
});

Deno.test("examples/session_resume.ts resumes with openssl s_server and examples/serve_http.ts from its second run", async () => {
  for (const peer of ["openssl", "serve_http.ts"]) {
    await using folder = await Folder.create();
    await using server = peer === "openssl"
      ? await opensslServer({ ...folder.identity, mode: "www" })
      : await folder.serve(peer);
    for (const reused of [false, true, true]) {
      const text = await folder.run("session_resume.ts", server.port);
      assertMatch(text, new RegExp(`^Reused: ${reused}, handshake: [\\d.]+ ms, TLSv1.3$`, "m"), peer);
      assertMatch(text, /^Saved session\.bin: \d{3,} bytes; run it again$/m);
      assertMatch(text, /^ {2}TLSv1\.3 with localhost at \d{4}-\S+Z$/m);
      assertMatch(text, /^ {2}certificate: valid$/m);
    }
    assertEquals((await Deno.stat(folder.file("session.bin"))).mode! & 0o777, 0o600);
  }
});

Deno.test("examples/pycom_client.ts saves the session of its first connection and resumes it with the second", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const lines = (await folder.run("pycom_client.ts", server.port)).trimEnd().split("\n");
  assertEquals(lines.length, 3, lines.join("\n"));
  assertEquals(lines[0], "Full handshake, TLSv1.3: HTTP/1.1 200 OK");
  assertMatch(
    lines[1]!,
    /^Saved \d{3,} bytes of a TLSv1\.3 session with SSLSession \{ serverHostname: "localhost", /,
  );
  assertEquals(lines[2], "Resumed, TLSv1.3: HTTP/1.1 200 OK");
});

Deno.test("examples/deferred_handshake.ts shakes hands on first use, and step by step", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("deferred_handshake.ts", server.port);
  assertMatch(text, /^By itself: no handshake yet\nBy itself: TLSv1\.3, HTTP\/1\.1 200 OK$/m);
  assertMatch(text, /^Step by step: want-read$/m);
  assertMatch(text, /^Step by step: TLSv1\.3, HTTP\/1\.1 200 OK$/m);
});

Deno.test("examples/race_and_lock.ts loses counts without its lock, and none with it", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("race_and_lock.ts");
  const [, without, held] = text.match(/^Without a lock: (\d+) of 20\nWith a lock: (\d+) of 20\n$/) ?? [];
  assert(Number(without) < 20, text);
  assertEquals(held, "20");
});

Deno.test("examples/rest_client.ts sends each method to examples/serve_http.ts over our TLS", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("serve_http.ts");
  const lines = (await folder.run("rest_client.ts", server.port)).trimEnd().split("\n");
  const answers = lines.map((line) => {
    const [, method, status, body] = line.match(/^(\w+) (\d+) ?(.*)$/)!;
    if (body === "") return [method, status];
    const { method: heard, body: data, version } = JSON.parse(body!);
    assertEquals([heard, version], [method, "TLSv1.3"]);
    return [method, status, data];
  });
  const data = '{"temperature":21.5}';
  assertEquals(answers, [
    ["GET", "200", ""],
    ["HEAD", "200"],
    ["DELETE", "200", ""],
    ["PUT", "200", data],
    ["POST", "200", data],
    ["PATCH", "200", data],
  ]);
});

Deno.test("examples/pem_to_der.ts makes the bytes that openssl makes", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("pem_to_der.ts");
  const openssl = await run("openssl", ["x509", "-in", folder.identity.cert, "-outform", "DER"]);
  assertEquals(await Deno.readFile(folder.file("server.der")), openssl.bytes);
  assertEquals(text, `server.der: CERTIFICATE, ${openssl.bytes.length} bytes\n`);
});
