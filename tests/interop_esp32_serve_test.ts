// `tlsio serve --profile esp32` with programs that nobody here wrote: what they get, and what it says of them.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cliServe } from "./cli_helpers.ts";
import { bookServer, kib, lines, recorded, Visitor } from "./device_serve.ts";
import {
  certFile,
  chromium,
  curl,
  identity,
  micropythonClient,
  opensslClient,
  PATIENCE,
  run,
} from "./peers.ts";

const HANDSHAKE = /^\d\d:\d\d:\d\d 127\.0\.0\.1:\d+ handshake TLSv1\.2 (\S+) ([^;]+); .*$/m;

Deno.test("serve --profile: curl's handshake is a line of facts, and what it took is given back", async () => {
  await using server = await cliServe(["--profile", "esp32"]);
  const { code, stdout } = await curl(`${server.url}temp`, server.ca);
  assertEquals([code, JSON.parse(stdout).simulated], [0, true]);
  const { stdout: head } = await curl(server.url, server.ca, ["-i"]);
  assertMatch(head, /^connection: close\r$/im); // the book's programs answer one request
  await server.program.waitFor(/GET \/ 200/);

  const [line, suite, group] = await server.program.waitFor(HANDSHAKE);
  assertEquals([suite, group], ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "secp256r1"]);
  assertMatch(line, /; \d{3,4} B in, \d{3,4} B out; /);
  const [peak, kept] = [kib(line, /heap peak ([\d.]+) KiB/), kib(line, /, then ([\d.]+) KiB/)];
  assert(peak > kept && kept > 21 && peak < 40, line); // two record buffers have 21.1 KB
  assertMatch(line, /; 0\.\d\d s on the device \(0\.\d\d s to \d\.\d\d s, \w+\); /);
  assertMatch(line, /; board [\d.]+ of 60\.0 KiB, peak [\d.]+, 1 of 12 sockets$/);

  assertMatch(server.program.stdout, /^ +Device +ESP32, 240 MHz, MicroPython/m);
  assertMatch(server.program.stdout, /^ +Not modelled +fragmentation/m);
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0);
  assertMatch(server.program.stdout, /^Handshakes: 2, failed: 0; heap: [\d.]+ of 60\.0 KiB at its peak, /m);
  assertEquals(server.program.stderr, "");
});

Deno.test("serve --profile: docs/esp32.md shows what it prints", async () => {
  const page = await Deno.readTextFile(new URL("../docs/esp32.md", import.meta.url));
  const shown = page.match(/^```\n( {2}Serving [^]*?)^```$/m)![1]!;
  await using server = await bookServer();
  await curl(server.url, undefined, ["--insecure"]);
  await server.program.waitFor(/GET \/ 200/);
  const form = (text: string) => text.replaceAll(/[\d.]+/g, "0");
  const rows = (text: string) => text.match(/^ {2}\w.*$/gm)!.map((row) => row.slice(0, 15).trim());
  assertEquals(rows(shown), rows(server.program.stdout));
  const [, theirs] = shown.match(/ (handshake .*)$/m)!;
  const [, ours] = server.program.stdout.match(/ (handshake .*)$/m)!;
  assertEquals(form(theirs!), form(ours!));
});

Deno.test("serve --profile: MicroPython as the client", async () => {
  await using server = await bookServer();
  const { error, line, cipher } = await micropythonClient({
    port: server.port,
    line: "GET /temp HTTP/1.0\r\n\r",
    read: true,
  });
  assertEquals([error, line, cipher?.[1]], [undefined, "HTTP/1.1 200 OK\r\n", "TLSv1.2"]);
  await server.program.waitFor(/GET \/temp 200 TLSv1\.2/);
});

Deno.test("serve --profile: a client of TLS 1.3 alone gets the device's alert, handshake_failure", async () => {
  await using server = await bookServer();
  await using relay = await recorded(server.port);
  const { code, stderr } = await opensslClient({ port: relay.port, tls: "1.3" });
  assertEquals(code, 1);
  assertMatch(stderr, /SSL alert number 40/);
  // Built without TLS 1.3, mbedTLS does not read supported_versions: it sees a hello of TLS 1.2 (RFC 8446 section 4.1.2) in
  // which no suite is its own. It says protocol_version only to hellos that are older.
  assertEquals(await relay.answer(), Uint8Array.of(21, 3, 3, 0, 2, 2, 40));
  await server.program.waitFor(/failed: OSError: \(-28160, 'MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE'\)/);
  await using old = await recorded(server.port);
  const args = ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"];
  assertMatch((await opensslClient({ port: old.port, args })).stderr, /SSL alert number 70/);
  assertEquals((await old.answer()).slice(-2), Uint8Array.of(2, 70));
  assertEquals((await curl(server.url, undefined, ["--insecure", "-o", "/dev/null"])).code, 0);
});

Deno.test("serve --profile: a client with X25519 alone is left RSA's key exchange, or nothing", async () => {
  const args = ["-groups", "X25519"];
  await using rsa = await bookServer();
  const { cipher } = await opensslClient({ port: rsa.port, tls: "1.2", args });
  assertEquals(cipher, "AES256-GCM-SHA384");
  const [, suite, group] = await rsa.program.waitFor(HANDSHAKE);
  assertEquals([suite, group], ["TLS_RSA_WITH_AES_256_GCM_SHA384", "no group"]);

  await using ec = await cliServe(["--profile", "esp32"]);
  const { code, stderr } = await opensslClient({ port: ec.port, tls: "1.2", args });
  assertEquals(code, 1);
  assertMatch(stderr, /SSL alert number 40/);
});

Deno.test("serve --profile: the third client at once fails with ENOMEM, the others are served", async () => {
  await using server = await bookServer();
  {
    await using first = new Visitor(server.port);
    await server.program.waitFor(lines("handshake", 1));
    await using second = new Visitor(server.port);
    await server.program.waitFor(lines("handshake", 2));
    const third = await curl(server.url, undefined, ["--insecure"]);
    assertEquals(third.code, 35);
    const [line] = await server.program.waitFor(/failed: .*/);
    assertMatch(line, /^failed: OSError: \[Errno 12\] ENOMEM \(MBEDTLS_ERR_SSL_ALLOC_FAILED\); /);
    const used = kib(line, /board ([\d.]+) of/);
    assert(used > 44 && used < 60, line);
    assertMatch(line, /, 1 refused, 3 of 12 sockets$/);
    await first.ask();
    await second.ask();
  }
  await server.program.waitFor(lines("GET /temp 200", 2));
  assertEquals((await curl(server.url, undefined, ["--insecure", "-o", "/dev/null"])).code, 0);
  const last = server.program.stdout.match(/handshake .*/g)!.at(-1)!;
  const used = kib(last, /board ([\d.]+) of/);
  assert(used < 32, last); // one connection: nothing is left of those before
});

Deno.test("serve --profile --heap: a larger heap has room for four at once", async () => {
  await using server = await bookServer(["--heap", "110"]);
  const visitors = Array.from({ length: 4 }, () => new Visitor(server.port));
  try {
    await server.program.waitFor(lines("handshake", 4), 2 * PATIENCE);
    for (const visitor of visitors) await visitor.ask();
  } finally {
    for (const visitor of visitors) await visitor[Symbol.asyncDispose]();
  }
  assert(!server.program.stdout.includes("failed"), server.program.stdout);
  assertStringIncludes(server.program.stdout, "110.0 KiB");
});

Deno.test("serve --profile --clock: a board whose clock is not set refuses a client's certificate", async () => {
  const { cert, key } = identity("client");
  const args = ["--client-ca", certFile("root.pem")];
  const ask = ["--insecure", "--cert", cert, "--key", key, "-o", "/dev/null"];
  for (const date of ["1970", "2000-01-01"]) {
    await using cold = await bookServer([...args, "--clock", date]);
    assertStringIncludes(cold.program.stdout, `${date.slice(0, 4)}-01-01T00:00:0`);
    const { code } = await curl(cold.url, undefined, ask);
    assert(code !== 0);
    await cold.program.waitFor(
      /failed: ValueError: .*validity starts in the future.* \(MBEDTLS_ERR_X509_CERT_VERIFY_FAILED\)/,
    );
  }
  await using set = await bookServer(args);
  assertEquals((await curl(set.url, undefined, ask)).code, 0);
  await using noCheck = await bookServer(["--clock", "1970"]);
  assertEquals((await curl(noCheck.url, undefined, ["--insecure", "-o", "/dev/null"])).code, 0);
});

Deno.test("serve --profile --one-at-a-time: the next client waits for the one that is served", async () => {
  await using server = await bookServer(["--one-at-a-time"]);
  await using first = new Visitor(server.port);
  await server.program.waitFor(lines("handshake", 1));
  await using second = new Visitor(server.port); // TCP lets it in: the kernel's queue, not the server
  const answered = second.ask();
  await first.ask();
  await answered;
  assertMatch(
    server.program.stdout,
    /handshake .*\n.*GET \/temp 200.*\n.*handshake .*\n.*GET \/temp 200/,
  );
  const used = [...server.program.stdout.matchAll(/handshake .* board ([\d.]+) of/g)].map(([, kib]) =>
    Number(kib)
  );
  assert(used.every((kib) => kib < 32), String(used)); // never two connections
  const times = [...server.program.stdout.matchAll(/; ([\d.]+) s on the device/g)].map(([, time]) => time);
  assertEquals([times.length, times[0]], [2, times[1]]); // the key is cold for each
});

Deno.test("serve --profile: a browser shows the page, and what it refuses does not end the server", async () => {
  await using server = await bookServer();
  const stranger = await chromium(server.url);
  assertEquals(stranger.error, "ERR_CERT_AUTHORITY_INVALID");
  await server.program.waitFor(/MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE'\), the client says certificate_unknown/);

  const hash = await run("sh", [
    "-c",
    `openssl x509 -in '${identity("book").cert}' -pubkey -noout | openssl pkey -pubin -outform der |
     openssl dgst -sha256 -binary | base64`,
  ]);
  const args = [`--ignore-certificate-errors-spki-list=${hash.stdout.trim()}`];
  const { dom, error } = await chromium(server.url, { args });
  assertEquals(error, undefined);
  assertStringIncludes(dom, `<body class="live">`); // it has asked again by itself
  assertMatch(dom, /TLS version<\/th><td>TLSv1\.2</);
  assertMatch(server.program.stdout, /GET \/temp 200/);
});

Deno.test("serve --profile --slow: the handshake takes what it would there, and says that it is a simulation", async () => {
  await using server = await bookServer(["--slow"]);
  assertMatch(server.program.stdout, /^ +Slow +a simulation/m);
  const start = performance.now();
  assertEquals((await curl(server.url, undefined, ["--insecure", "-o", "/dev/null"])).code, 0);
  const waited = (performance.now() - start) / 1000;
  const [line] = await server.program.waitFor(HANDSHAKE);
  const [, likely, , spent] = line.match(
    /; ([\d.]+) s on the device \((.*)\); SIMULATED, the client waits ([\d.]+) s/,
  )!;
  assert(Math.abs(Number(likely) - Number(spent)) < 0.05, line);
  assert(Number(likely) > 0.5, line);
  assert(waited >= Number(spent), `${waited} s for ${line}`);

  await using client = new Visitor(server.port); // in its handshake when the server is told to stop
  await server.program.waitFor(lines("handshake", 1));
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0);
  assertMatch(server.program.stdout, /all waits were a simulation$/m);
  assertEquals(client.program.stdout, "");
});

Deno.test("serve --profile esp32-idf: connections stay open, and the least recently used makes room for a fifth", async () => {
  await using server = await bookServer(["--heap", "110"], "esp32-idf");
  const visitors: Visitor[] = [];
  try {
    for (let i = 1; i <= 4; i++) {
      visitors.push(new Visitor(server.port));
      await server.program.waitFor(lines("handshake", i));
    }
    await visitors[0]!.ask();
    const fifth = await curl(server.url, undefined, ["--insecure", "-o", "/dev/null"]);
    assertEquals(fifth.code, 0, fifth.stderr);
    await server.program.waitFor(/closed for a new one: it was used least recently; .*, 3 of 4 sockets/);
    await visitors[1]!.program.exit(); // the second one was the oldest
    await visitors[2]!.ask();
  } finally {
    for (const visitor of visitors) await visitor[Symbol.asyncDispose]();
  }
  const kept = ["--insecure", "-v", "-o", "/dev/null", "-o", "/dev/null", `${server.url}temp`];
  assertStringIncludes((await curl(server.url, undefined, kept)).stderr, "Re-using existing connection");
});

Deno.test("serve --profile rp2, pycom: curl's page, and no time that nobody has published", async () => {
  for (const profile of ["rp2", "pycom"]) {
    await using server = await bookServer([], profile);
    assertEquals((await curl(server.url, undefined, ["--insecure", "-o", "/dev/null"])).code, 0);
    const [line] = await server.program.waitFor(HANDSHAKE);
    assertStringIncludes(line, `; nobody has published how long it takes on ${profile}; `);
  }
});
