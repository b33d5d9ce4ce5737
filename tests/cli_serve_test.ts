// `tlsio serve`: the demo, the certificate that it makes, the way it stops.
import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { simulatedTemperature } from "../lib/cli/thermometer.ts";
import { createCertificate } from "../mod.ts";
import { cli, cliServe } from "./cli_helpers.ts";
import { certFile, chromium, curl, identity, opensslClient, Program, run, tempDir } from "./peers.ts";

const FINGERPRINT = /^ +SHA-256 +(\S+)$/m;

Deno.test("tlsio serve prints a curl command that works as it is", async () => {
  await using server = await cliServe();
  assertEquals(server.url, `https://localhost:${server.port}/`);
  const { code, stdout } = await run("sh", ["-c", `${server.curl} --silent --noproxy '*' --max-time 20`]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "simulated");
  const leaf = await run("sh", [
    "-c",
    `openssl s_client -connect localhost:${server.port} </dev/null | openssl x509 -noout -fingerprint -sha256`,
  ]);
  assertStringIncludes(leaf.stdout, server.program.stdout.match(FINGERPRINT)![1]!);
});

Deno.test("tlsio serve: the demo's page has its facts without JavaScript, and refreshes itself", async () => {
  await using server = await cliServe();
  const { stdout } = await curl(server.url, server.ca, ["-i"]);
  assertMatch(stdout, /^HTTP\/1\.1 200 /);
  assertMatch(stdout, /<noscript><meta http-equiv="refresh" content="\d+"/);
  assertMatch(stdout, /id="celsius">-?\d+\.\d\d</);
  for (
    const fact of [
      /TLS version<\/th>\s*<td>TLSv1\.3</,
      /Cipher suite<\/th>\s*<td>TLS_\w+</,
      /Key exchange<\/th>\s*<td>(x25519|secp256r1)</,
      /Resumed<\/th>\s*<td>no, /,
      /ALPN<\/th>\s*<td>http\/1\.1</,
      /Client certificate<\/th>\s*<td>none</,
      /Your address<\/th>\s*<td>127\.0\.0\.1:\d+</,
    ]
  ) assertMatch(stdout, fact);
});

Deno.test("tlsio serve: the demo answers /temp with JSON, HEAD, and what it does not have", async () => {
  await using server = await cliServe();
  const temp = JSON.parse((await curl(`${server.url}temp`, server.ca, ["--tls-max", "1.2"])).stdout);
  assertEquals(temp.simulated, true);
  assertMatch(temp.celsius, /^\d\d\.\d\d$/);
  assertEquals(temp.connection[0], ["TLS version", "TLSv1.2"]);
  const head = await curl(server.url, server.ca, ["--head"]);
  assertMatch(head.stdout, /^HTTP\/1\.1 200 /);
  const missing = await curl(`${server.url}nothing`, server.ca, ["-o", "/dev/null", "-w", "%{http_code}"]);
  assertEquals(missing.stdout, "404");
  const posted = await curl(server.url, server.ca, ["-d", "x", "-o", "/dev/null", "-w", "%{http_code}"]);
  assertEquals(posted.stdout, "405");
});

Deno.test("tlsio serve: Chromium trusts the demo's CA, and its page refreshes itself under its own policy", async () => {
  await using server = await cliServe();
  const { dom, error } = await chromium(server.url, { ca: server.ca });
  assertEquals(error, undefined);
  assertStringIncludes(dom, `<body class="live">`);
  assertMatch(dom, /TLS version<\/th><td>TLSv1\.3</); // without spaces: put there by the script
  assertMatch(server.program.stdout, /GET \/temp 200/);
  const stranger = await chromium(server.url);
  assertStringIncludes(stranger.error ?? "", "ERR_CERT_AUTHORITY_INVALID");
});

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`tlsio serve: the demo and the log tell a resumed TLS ${tls} connection from a new one`, async () => {
    await using server = await cliServe();
    const session = `${server.cache}/session`;
    const ask = {
      port: server.port,
      ca: server.ca,
      tls,
      input: "GET /temp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      until: /"Resumed","[^"]+"/,
    };
    const first = await opensslClient({ ...ask, sessionOut: session });
    assertStringIncludes(first.stdout, '["Resumed","no, a full handshake"]');
    const again = await opensslClient({ ...ask, sessionIn: session });
    assertStringIncludes(again.stdout, '["Resumed","yes, an earlier session"]');
    const lines = server.program.stdout.match(/GET \/temp .*/g);
    assertEquals(lines, [`GET /temp 200 TLSv${tls}`, `GET /temp 200 TLSv${tls} resumed`]);
  });
}

Deno.test("simulatedTemperature() is what a DS18B20 can say, the same for the same time", () => {
  for (let time = 1.7e12; time < 1.7e12 + 1e8; time += 123_457) {
    const celsius = simulatedTemperature(time);
    assert(celsius > 15 && celsius < 30 && Number.isInteger(celsius * 16), `${celsius} at ${time}`);
    assertEquals(simulatedTemperature(time), celsius);
  }
});

Deno.test("tlsio serve --client-ca admits a client with a certificate alone, and escapes its name", async () => {
  await using dir = await tempDir();
  const ca = createCertificate({ subject: "CN=Clients", isCA: true });
  const client = createCertificate({ subject: "CN=<b>Eve</b>", issuer: ca });
  await Deno.writeTextFile(`${dir.path}/ca.pem`, ca.certificate);
  await Deno.writeTextFile(`${dir.path}/client.pem`, client.certificate + client.key);
  await using server = await cliServe(["--client-ca", `${dir.path}/ca.pem`]);
  const { stdout } = await curl(server.url, server.ca, ["--cert", `${dir.path}/client.pem`]);
  assertStringIncludes(stdout, "commonName=&lt;b&gt;Eve&lt;/b&gt;");
  assertNotEquals((await curl(server.url, server.ca)).code, 0);
  await server.program.waitFor(/handshake failed: .*no client certificat/);
});

Deno.test("tlsio serve --cert --key uses them; trust is the certificate itself when it is self-signed", async () => {
  const { cert, key } = identity("self");
  await using server = await cliServe(["--cert", cert, "--key", key]);
  assertEquals(server.ca, cert);
  assertEquals((await run("sh", ["-c", `${server.curl} -s --noproxy '*' --max-time 20`])).code, 0);

  const encrypted = ["--cert", certFile("ec.pem"), "--key", certFile("ec.pbes2.key")];
  await using opened = await cliServe([...encrypted, "--password", "tlsio"]);
  assertEquals(opened.curl, ""); // we do not know its authority
  assertEquals((await curl(opened.url, certFile("root.pem"))).code, 0);
});

// ---- The certificate that it makes ----------------------------------------------------------------------

async function fingerprint(args: readonly string[], cache: string): Promise<string> {
  await using server = await cliServe(args, cache);
  assertEquals((await curl(server.url, server.ca)).code, 0);
  return server.program.stdout.match(FINGERPRINT)![1]!;
}

Deno.test("tlsio serve keeps its certificate for its owner alone, and uses it again", async () => {
  await using cache = await tempDir();
  const first = await fingerprint([], cache.path);
  const home = `${cache.path}/tlsio/cert-local`;
  assertEquals((await Deno.stat(home)).mode! & 0o777, 0o700);
  for (const name of ["ca.pem", "server.pem", "server.key"]) {
    assertEquals((await Deno.stat(`${home}/${name}`)).mode! & 0o777, 0o600);
  }
  assertEquals(await fingerprint([], cache.path), first);

  const elsewhere = await fingerprint(["--host", "127.0.0.9"], cache.path);
  assertNotEquals(elsewhere, first);
  assertEquals(await fingerprint([], cache.path), first, "another address must not replace what was trusted");
});

Deno.test("tlsio serve makes its certificate anew when it is damaged, mixed up, or about to expire", async () => {
  await using cache = await tempDir();
  const home = `${cache.path}/tlsio/cert-local`;
  let last = await fingerprint([], cache.path);
  const short = createCertificate({ subject: "CN=localhost", hosts: ["localhost"], days: 29, isCA: true });
  for (
    const files of [
      { "server.pem": "garbage" },
      { "server.key": short.key },
      { "server.key": short.key, "server.pem": short.certificate, "ca.pem": short.certificate },
      { "ca.pem": short.certificate },
    ]
  ) {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${home}/${name}`, text);
    const next = await fingerprint([], cache.path);
    assertNotEquals(next, last);
    last = next;
  }
  const { validTo } = new X509Certificate(await Deno.readTextFile(`${home}/server.pem`));
  assert(Date.parse(validTo) - Date.now() > 300 * 86_400_000);
});

Deno.test("tlsio serve: servers that start at once agree on one certificate", async () => {
  await using cache = await tempDir();
  const found = await Promise.all(Array.from({ length: 4 }, () => fingerprint([], cache.path)));
  assertEquals(new Set(found).size, 1);
});

// ---- Errors and logs ------------------------------------------------------------------------------------

Deno.test("tlsio serve says in one line that it cannot listen or keep a certificate, exit code 1", async () => {
  await using cache = await tempDir();
  const env = { XDG_CACHE_HOME: cache.path };
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const results = await Promise.all([
      cli(["serve", "--port", String(taken.addr.port)], { env }),
      cli(["serve", "--host", "192.0.2.1", "--port", "0"], { env }),
      cli(["serve", "--host", "no-such-host.invalid", "--port", "0"], { env }),
      cli(["serve", "--port", "0"], { env: { XDG_CACHE_HOME: certFile("ec.pem") } }),
    ]);
    assertEquals(
      results.map(({ code, stdout }) => ({ code, stdout })),
      Array(4).fill({ code: 1, stdout: "" }),
    );
    assertEquals(results.map(({ stderr }) => stderr), [
      `tlsio serve: Cannot listen on 127.0.0.1 port ${taken.addr.port}: the port is in use; --port takes another\n`,
      "tlsio serve: Cannot listen on 192.0.2.1 port 0: this machine does not have the address\n",
      "tlsio serve: Cannot listen on no-such-host.invalid port 0: no such host\n",
      `tlsio serve: Cannot keep a certificate in ${certFile("ec.pem")}/tlsio/cert-local: not a directory; ` +
      "give --cert and --key, or set XDG_CACHE_HOME\n",
    ]);
  } finally {
    taken.close();
  }
});

Deno.test("tlsio serve prints a line for each request, and none with --quiet", async () => {
  await using server = await cliServe();
  await using quiet = await cliServe(["--quiet"], server.cache);
  for (const { url, ca } of [server, quiet]) {
    await curl(`${url}temp?a=1`, ca, ["--http1.1"]);
    assertNotEquals((await curl(url, certFile("root.pem"))).code, 0);
  }
  await server.program.waitFor(/^\d\d:\d\d:\d\d 127\.0\.0\.1:\d+ GET \/temp\?a=1 200 TLSv1\.3$/m);
  await server.program.waitFor(/^\d\d:\d\d:\d\d 127\.0\.0\.1:\d+ handshake failed: /m);
  assertEquals(quiet.program.stdout.replace(/^ {2}\w.*\n/gm, ""), "\n");
  assertEquals(quiet.program.stderr, "");
});

// ---- Workers --------------------------------------------------------------------------------------------

Deno.test("tlsio serve --workers serves a folder and the demo from several Workers, and stops cleanly", async () => {
  await using site = await tempDir();
  await Deno.writeTextFile(`${site.path}/page.txt`, "a page");
  await using server = await cliServe(["--workers", "2", site.path]);
  for (let i = 0; i < 8; i++) {
    assertEquals((await curl(`${server.url}page.txt`, server.ca)).stdout, "a page");
  }
  await server.program.waitFor(/^\d\d:\d\d:\d\d 127\.0\.0\.1:\d+ GET \/page\.txt 200 TLSv1\.3$/m);
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0);
  assertEquals(server.program.stderr, "");

  await using demo = await cliServe(["--workers", "2", "--quiet"]);
  assertStringIncludes((await curl(`${demo.url}temp`, demo.ca)).stdout, '"simulated":true');
});

Deno.test("tlsio serve --workers says what is wrong in a line", async () => {
  const many = await cli(["serve", "--workers", "many"]);
  assertEquals([many.code, many.stdout], [2, ""]);
  assertStringIncludes(many.stderr, "--workers takes a whole number from 1 to 256");
  const cliFile = new URL("../cli.ts", import.meta.url).href;
  const command = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-config",
    "-A",
    cliFile,
    "serve",
    "--workers",
    "2",
  ];
  const { code, stderr } = await run("env", command, { env: { DENO_DIR: (await denoInfo()).denoDir } });
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tlsio serve: Cannot share a port: start Deno with --unstable-net.*\n$/,
  );
});

// ---- Stopping -------------------------------------------------------------------------------------------

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`tlsio serve stops cleanly on ${signal}, also with an idle connection`, async () => {
    await using server = await cliServe();
    await using idle = new Program("openssl", ["s_client", "-quiet", "-connect", `127.0.0.1:${server.port}`]);
    await idle.write("GET /temp HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await idle.waitFor(/"simulated":true/);
    server.program.kill(signal);
    assertEquals(await server.program.exit(), 0);
    assertEquals(server.program.stderr, "");
  });
}

async function slowDownload(stop: (server: Program) => Promise<void>) {
  await using site = await tempDir();
  await Deno.writeFile(`${site.path}/large`, new Uint8Array(32 << 20));
  await using server = await cliServe([site.path]);
  await using client = new Program("curl", [
    ...["--silent", "--noproxy", "*", "--cacert", server.ca, "--limit-rate", "16M"],
    ...["--output", `${site.path}/copy`, `${server.url}large`],
  ]);
  await server.program.waitFor(/GET \/large 200/);
  await stop(server.program);
  const code = await server.program.exit();
  return { code, curl: await client.exit(), size: (await Deno.stat(`${site.path}/copy`)).size };
}

Deno.test("tlsio serve finishes a download on SIGINT", async () => {
  const result = await slowDownload((server) => Promise.resolve(server.kill("SIGINT")));
  assertEquals(result, { code: 0, curl: 0, size: 32 << 20 });
});

Deno.test("tlsio serve drops a download on a second SIGINT", async () => {
  const { code, curl } = await slowDownload(async (server) => {
    server.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 700)); // sooner it counts as the same Ctrl-C
    server.kill("SIGINT");
  });
  assertEquals(code, 130);
  assertNotEquals(curl, 0);
});

Deno.test("deno task serve needs no deno in PATH, and passes flags and signals on", async () => {
  await using cache = await tempDir();
  const home = Deno.env.get("HOME") ?? "/";
  const clean = ["-i", "PATH=/usr/bin:/bin", `HOME=${home}`];
  const dirs = [`XDG_CACHE_HOME=${cache.path}`, `DENO_DIR=${(await denoInfo()).denoDir}`];
  const task = [Deno.execPath(), "task", "serve", "--port", "0", "--host", "127.0.0.8"];
  await using program = new Program("env", [...clean, ...dirs, ...task], {
    cwd: new URL("../", import.meta.url).pathname,
  });
  const [, url] = await program.waitFor(/^ +URL +(https:\/\/127\.0\.0\.8:\d+\/)$/m, 120_000); // builds the core if need be
  const [, ca] = await program.waitFor(/--cacert (\S+)/);
  assertEquals((await curl(url!, ca!)).code, 0);
  program.kill("SIGINT");
  assertEquals(await program.exit(), 0);
});

async function denoInfo(): Promise<{ denoDir: string }> {
  return JSON.parse((await run("env", [Deno.execPath(), "info", "--json"])).stdout);
}

// ---- Devices --------------------------------------------------------------------------------------------

Deno.test("tlsio serve --profile: a flag that the profile has no use for is refused by name", async () => {
  const device = ["--profile", "esp32"];
  const cases: [args: string[], message: RegExp][] = [
    [["--heap", "60"], /^tlsio serve: --heap is for a device: give its --profile, too, such as esp32; see /],
    [["--clock", "1970", "--profile", "default"], /--clock is for a device/],
    [["--one-at-a-time"], /--one-at-a-time is for a device/],
    [["--slow"], /--slow is for a device/],
    [
      [...device, "--workers", "2"],
      /--workers and --profile esp32 exclude each other: a device has one proc/,
    ],
    [[...device, "--heap", "39"], /--heap takes a whole number from 40 to 110, not "39"/],
    [[...device, "--heap", "lots"], /--heap takes a whole number from 40 to 110, not "lots"/],
    [[...device, "--clock", "yesterday"], /--clock takes a date from 1970 on, .* not "yesterday"/],
    [[...device, "--clock", "1969"], /--clock takes a date from 1970 on, .* not "1969"/],
    [[...device, "--clock", "1970-02-31"], /--clock takes a date from 1970 on, .* not "1970-02-31"/],
    [[...device, "--clock", "2026-13-01"], /--clock takes a date from 1970 on, .* not "2026-13-01"/],
    [
      ["--profile", "rp2", "--slow"],
      /--slow is not for --profile rp2: nobody has published how long it takes/,
    ],
    [
      ["--profile", "esp32-idf", "--one-at-a-time"],
      /--one-at-a-time is not for --profile esp32-idf: its server /,
    ],
    [
      ["--profile", "esp32-idf", "--clock", "1970"],
      /--clock is not for --profile esp32-idf: its mbedTLS does not/,
    ],
    [["--profile", "esp8266"], /Cannot use --profile: unknown name "esp8266"; known are default, esp32/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await cli(["serve", "--port", "0", ...args]);
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, message);
  }
});

Deno.test("tlsio serve --profile: a certificate and a key that do not match are said by their flags", async () => {
  const args = ["--cert", certFile("ec.pem"), "--key", certFile("rsa.key")];
  for (const more of [[], ["--one-at-a-time"]]) {
    const { code, stderr } = await cli(["serve", "--port", "0", "--profile", "esp32", ...args, ...more]);
    assertEquals(code, 1);
    assertMatch(stderr, /^tlsio serve: Cannot use --\w+/);
  }
});
