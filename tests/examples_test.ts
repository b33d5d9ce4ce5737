/** The programs of `examples/` that are not the book's, started as their head comments say, with the permissions named there alone. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { startServer } from "tlsio";
import { commandOf, Example, EXAMPLES, Folder, grep, START } from "./examples.ts";
import { curl, opensslClient, opensslServer, PATIENCE, run, tempDir, within } from "./peers.ts";

Deno.test("examples/mutual_tls.ts lets in only whom its authority has signed", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("mutual_tls.ts");
  assertMatch(text, /^With a certificate:\n {2}client: Hello alice\n/);
  assertMatch(text, /^With none:\n( {2}server: .*\n)? {2}client: SSLError: .* peer sent alert \w+ \(\d+\)$/m);
  assertMatch(text, /^With one that nobody signed:\n(.*\n)*? {2}client: SSLError: .* unknown_ca \(48\)$/m);
  assertEquals(grep(text, /^ {2}server: SSL\w*Error: /).length, 2, text);
});

Deno.test("examples/renew_certificate.ts shows each host's certificate, a renewed one too, and drops nobody", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("renew_certificate.ts");
  const shown = grep(text, /^[ab]\.test: certificate \w+$/);
  assertEquals(shown.map((line) => line.slice(0, 6)), ["a.test", "a.test", "b.test"]);
  assertEquals([new Set(shown).size, grep(text, /^still here$/).length], [3, 3], text);
});

Deno.test("examples/handshake_budget_test.ts passes, and does not where the budget is less", async () => {
  const example = async (name: string, folder: string) => {
    const args = ["test", "--no-prompt", "--no-check", "--allow-net=127.0.0.1", `${folder}/${name}`];
    return await run("env", ["deno", ...args], { timeoutMs: START });
  };
  const [name, folder] = ["handshake_budget_test.ts", EXAMPLES.pathname];
  const source = await Deno.readTextFile(new URL(name, EXAMPLES));
  assertMatch(source, new RegExp(`^ \\* deno test --allow-net=127.0.0.1 examples/${name}$`, "m"));
  const kept = await example(name, folder);
  assertEquals(kept.code, 0, kept.stdout + kept.stderr);

  const less = source.replace("maxBytesDown: 1200", "maxBytesDown: 300").replaceAll(
    `"../`,
    `"${new URL("../", EXAMPLES).href}`,
  );
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/${name}`, less);
  const over = await example(name, dir.path);
  assertEquals(over.code, 1);
  assertMatch(
    over.stdout + over.stderr,
    /Handshake over its budget: maxBytesDown 300, but took \d+: certificate \d+, /,
  );
});

Deno.test("examples/trust_on_first_use.ts remembers a key, and refuses another one", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("trust_on_first_use.ts");
  assertMatch(text, /^The first time:\n {2}new: localhost has the key sha256\/\/\S+\n {2}21\.5 degrees\n/);
  assertMatch(
    text,
    /^The second time:\n {2}21\.5 degrees\nAnother key in its place:\n {2}SSLCertVerificationError: /m,
  );
});

Deno.test("examples/starttls_server.ts upgrades CPython's smtplib and openssl s_client", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  const script = `
import smtplib, ssl, sys
smtp = smtplib.SMTP("localhost", int(sys.argv[1]), timeout=${PATIENCE / 1000})
smtp.ehlo()
print(smtp.noop())
print(smtp.starttls(context=ssl.create_default_context(cafile=sys.argv[2])))
smtp.ehlo()
print(smtp.has_extn("starttls"), smtp.noop())
print(smtp.quit())
`;
  const python = await run("python3", ["-c", script, String(server.port), folder.ca]);
  assertEquals(
    python.stdout,
    "(250, b'In plain text')\n(220, b'Go ahead')\nFalse (250, b'TLSv1.3')\n(221, b'Bye')\n",
    python.stderr,
  );
  const openssl = await opensslClient({
    port: server.port,
    ca: folder.ca,
    args: ["-starttls", "smtp", "-crlf"],
    input: "noop\n",
    until: /^250 TLSv1\.3/m,
  });
  assertEquals([openssl.version, openssl.verifyCode], ["TLSv1.3", 0], openssl.stderr);
});

Deno.test("examples/starttls_server.ts takes no command that came in plain text behind STARTTLS", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  using conn = await Deno.connect({ hostname: "localhost", port: server.port });
  await conn.write(new TextEncoder().encode("STARTTLS\r\nNOOP\r\n"));
  let text = "";
  const readAll = async () => {
    for await (const chunk of conn.readable) text += new TextDecoder("latin1").decode(chunk);
  };
  await within(readAll(), PATIENCE, "wait for the server to hang up").catch(() => {});
  assertMatch(text, /^220 localhost is here\r\n220 Go ahead\r\n/);
  assertEquals(text.includes("250"), false, text);
  await server.program.waitFor(/^A client failed in its handler: SSLError: /m);
});

Deno.test("examples/starttls_server.ts takes a mail of CPython's smtplib, and its password inside TLS only", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  const script = `
import smtplib, ssl, sys
smtp = smtplib.SMTP("localhost", int(sys.argv[1]), timeout=${PATIENCE / 1000})
smtp.ehlo()
print(smtp.docmd("AUTH", "PLAIN AGFubmEAZGVtbw=="), smtp.docmd("MAIL FROM:<anna@example.com>"))
smtp.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
smtp.ehlo()
try:
    smtp.login("anna", "wrong")
except smtplib.SMTPAuthenticationError as error:
    print(error.smtp_code)
print(smtp.login("anna", "demo"))
print(smtp.sendmail("anna@example.com", ["bob@example.com"], "Subject: Hello\\n\\nIt is 21.5 C."))
print(smtp.quit())
`;
  const python = await run("python3", ["-c", script, String(server.port), folder.ca]);
  assertEquals(
    python.stdout,
    "(538, b'TLS first') (530, b'Say who you are')\n535\n(235, b'Welcome')\n{}\n(221, b'Bye')\n",
    python.stderr,
  );
  await server.program.waitFor(/^A mail of 36 bytes over TLSv1\.3$/m);
});

Deno.test("examples/starttls_client.ts leaves a mail with examples/starttls_server.ts, and shows no password", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  const text = await folder.run("starttls_client.ts", server.port);
  assertMatch(text, /^C: STARTTLS\nS: 220 Go ahead\n-- TLSv1\.3\nC: EHLO localhost\n/m);
  assertMatch(text, /^C: AUTH PLAIN \.\.\.\nS: 235 Welcome$/m);
  assertMatch(text, /^C: QUIT\nS: 221 Bye$/m);
  assertEquals(text.includes(btoa("\0anna\0demo")), false);
  await server.program.waitFor(/^A mail of \d+ bytes over TLSv1\.3$/m);
});

Deno.test("examples/starttls_client.ts says nothing to a server that offers no TLS", async () => {
  await using folder = await Folder.create();
  let heard = "";
  await using server = await startServer(async (reader, writer) => {
    writer.write("220 localhost\r\n");
    heard += new TextDecoder().decode(await reader.readline());
    writer.write("250-localhost\r\n250 AUTH PLAIN\r\n");
    for await (const line of reader) heard += new TextDecoder().decode(line);
  }, { hostname: "localhost", port: 0 });
  const { port } = server.addr as Deno.NetAddr;
  const command = await commandOf("starttls_client.ts", port);
  await using program = new Example("starttls_client.ts", command, folder.path);
  assertEquals(await program.exit(START), 1, program.output());
  assertMatch(program.stderr, /Error: The server offers no TLS/);
  assertEquals(heard, "EHLO localhost\r\n");
});

Deno.test("examples/psk.ts: who knows the key gets in without a certificate, another does not", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("psk.ts");
  assertMatch(
    text,
    /^With the key:\n {2}client: 21\.5 C over TLSv1\.3, certificate: none\nWith another key:\n/,
  );
  assertMatch(text, /^ {2}client: SSLError: .* peer sent alert decrypt_error \(51\)$/m);
  assertEquals(grep(text, /^ {2}server: SSLError: /).length, 1, text);
});

Deno.test("examples/websocket.ts speaks TLS inside a WebSocket", async () => {
  await using folder = await Folder.create();
  assertEquals(await folder.run("websocket.ts"), "TLSv1.3 inside ws: HELLO\n");
});

Deno.test("examples/memory_engines.ts shakes hands, talks and says goodbye without a network", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("memory_engines.ts");
  assertMatch(text, /^client sends \d+ bytes\nserver sends \d+ bytes\nclient sends \d+ bytes\n/);
  assertMatch(text, /^TLSv1\.3, TLS_\w+, x25519\n/m);
  assertMatch(text, /^server reads "hello"\nclient sends \d+ bytes\nserver reads eof\n$/m);
});

Deno.test("examples/tls_in_tls.ts reads the page of examples/https_server.ts through its proxy", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("tls_in_tls.ts", server.port);
  assertMatch(
    text,
    /^Proxy: TLSv1\.3, HTTP\/1\.1 200 Connected\nServer: TLSv1\.3, TLS_\w+\n\nHTTP\/1\.1 200 OK\r\n/,
  );
  assertMatch(text, /<h1>\d\d\.\d &deg;C<\/h1>/);
});

Deno.test("examples/early_data.ts is answered early from its second visit, but for a POST", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("early_data.ts");
  assertEquals(text.split("\n").slice(0, 6), [
    "answer to GET /first",
    "with the first flight: false",
    "early answer to GET /second",
    "with the first flight: true",
    "answer to POST /third",
    "with the first flight: true",
  ]);
});

Deno.test("examples/custom_stream.ts speaks TLS with its child over pipes", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("custom_stream.ts");
  assertMatch(text, /^TLSv1\.3, TLS_\w+\nHELLO\nOUT THERE\nThe child ended with 0\n$/);
});

Deno.test("examples/serve_http.ts tells curl about its connection, and ends in order", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("serve_http.ts");
  const post = await curl(server.url, folder.ca, ["--tls-max", "1.2", "--data", "hello"]);
  const { cipher, group, ...facts } = JSON.parse(post.stdout);
  assertEquals(facts, {
    method: "POST",
    body: "hello",
    client: "127.0.0.1",
    version: "TLSv1.2",
    sessionReused: false,
  });
  assertMatch(`${cipher} ${group}`, /^TLS_ECDHE_ECDSA_WITH_\w+ \w+$/);
  const missing = await curl(`${server.url}missing`, folder.ca, ["-i"]);
  assertMatch(missing.stdout, /^HTTP\/1\.1 404 [^]*Nothing at \/missing\n$/);
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0, server.program.output());
  assertMatch(server.program.stdout, /^Served 2 requests$/m);
});

Deno.test("examples/metrics.ts says what it has counted, in Prometheus' text", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("metrics.ts");
  const [, metrics] = await server.program.waitFor(/^Metrics at (\S+)$/m);
  for (let i = 0; i < 2; i++) await curl(server.url, undefined, ["--tls-max", "1.2"]);
  const { stdout } = await curl(metrics!);
  assertMatch(stdout, /^tlsio_handshakes_version_total\{version="TLSv1\.2"\} 2$/m);
  assertMatch(stdout, /^tlsio_http_requests_total 2$/m);
});

Deno.test("examples/serve_workers.ts answers curl from each of its Workers, and ends in order", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("serve_workers.ts");
  const workers = new Set<string>();
  for (let i = 0; i < 24; i++) {
    const { worker, ...facts } = JSON.parse((await curl(server.url, folder.ca)).stdout);
    assertEquals(facts, { version: "TLSv1.3", sessionReused: false });
    workers.add(worker);
  }
  assert(workers.size > (navigator.hardwareConcurrency > 1 ? 1 : 0), [...workers].join(" "));
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0, server.program.output());
  assertMatch(server.program.stdout, /^Served 24 requests$/m);
});

Deno.test("examples/key_log.ts logs the secrets that openssl s_server has", async () => {
  await using folder = await Folder.create();
  const theirs = folder.file("server_keys.log");
  const args = ["-keylogfile", theirs];
  await using server = await opensslServer({ ...folder.identity, mode: "www", args });
  const text = await folder.run("key_log.ts", server.port);
  assertMatch(text, /^Read \d+ bytes over TLSv1\.3; the secrets are in keys\.log$/m);
  const secrets = async (file: string) => grep(await Deno.readTextFile(file), /^(CLIENT|SERVER)_/).sort();
  const ours = folder.file("keys.log");
  assertEquals((await secrets(ours)).length, 4);
  assertEquals(await secrets(ours), await secrets(theirs));
  assertEquals((await Deno.stat(ours)).mode! & 0o777, 0o600);
});

Deno.test("examples/shared_tickets.ts resumes at the server with the same keys only", async () => {
  await using folder = await Folder.create();
  assertEquals(
    await folder.run("shared_tickets.ts"),
    "First server: full handshake\nSecond server, same keys: resumed\nServer with other keys: full handshake\n",
  );
});

Deno.test("examples/ has nothing that is not tested and described in its README.md", async () => {
  const files = ["examples_test.ts", "examples_book_test.ts"];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(new URL(file, import.meta.url))));
  const tests = texts.join("");
  const readme = await Deno.readTextFile(new URL("README.md", EXAMPLES));
  const described = [...readme.matchAll(/^\| \[(\S+)\]\((\S+)\) +\|/gm)].map(([, name, link]) => {
    assertEquals(link, name);
    return name!;
  });
  const examples: string[] = [];
  for await (const { name } of Deno.readDir(EXAMPLES)) {
    if (name === "README.md") continue;
    examples.push(name);
    assert(
      new RegExp(`\\.(run|serve)\\("${name}"|\\["${name}", |, "${name}"\\]`).test(tests),
      `${name} is not tested`,
    );
  }
  assertEquals(described.sort(), examples.sort());
});

Deno.test("examples/: each is shorter than 60 lines, and begins with what it is", async () => {
  for await (const { name } of Deno.readDir(EXAMPLES)) {
    if (name === "README.md") continue;
    const source = await Deno.readTextFile(new URL(name, EXAMPLES));
    assert(source.trimEnd().split("\n").length < 60, name);
    assertMatch(source, /^\/\*\*\n \* [A-Z`][^]*?[.:]\s/, name);
  }
});
