// `tlsio bench handshake` as its users run it: its arguments, its output, servers that are none, peers, Ctrl-C.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { BenchResult } from "../lib/cli/bench/result.ts";
import { type ContextOptions, SSLContext, type SSLSocket, TLSVersion } from "../mod.ts";
import { cli, cliServe, cliStart } from "./cli_helpers.ts";
import { certFile, identity, run, tempDir } from "./peers.ts";

const QUICK = ["--runs", "2", "--scenario", "1.3/P-256/full"];

async function bench(...args: string[]) {
  return await cli(["bench", "handshake", ...args]);
}

async function benchJson(...args: string[]): Promise<{ code: number; run: BenchResult; stderr: string }> {
  const { code, stdout, stderr } = await bench(...args, "--json");
  return { code, run: JSON.parse(stdout), stderr };
}

for (
  const [args, words] of [
    [["shake"], 'unknown bench "shake"; known are handshake'],
    [["handshake", "--scenario", "1.3/x"], 'unknown scenario "1.3/x"; known are 1.2/P-256/full, '],
    [
      ["handshake", "--kind", "x"],
      'unknown kind "x"; known are full, session-id, ticket, psk, ecdhe-psk, mutual',
    ],
    [["handshake", "--profile", "x"], 'unknown profile "x"; known are default, esp32'],
    [
      ["handshake", "--device", "x"],
      '--device: unknown name "x"; known are esp32, esp32-s3, esp32-c3, rp2040',
    ],
    [["handshake", "--link", "x"], '--link: unknown name "x"; known are 2g, lte-m, lora'],
    [["handshake", "--peers=x"], 'unknown peer "x"; known are deno, node, openssl, gnutls'],
    [["handshake", "--runs", "0"], "--runs takes a whole number from 1"],
    [["handshake", "--runs", "5", "--seconds", "1"], "--runs and --seconds exclude each other"],
    [["handshake", "--rtt=-1"], '--rtt takes milliseconds, 0 or more, not "-1"'],
    [["handshake", "--rtt", "60", "--kbps", "0"], "--kbps takes 1000 bits a second, above 0"],
    [["handshake", "--kbps", "200"], "--kbps needs --rtt"],
    [["handshake", "--reconnect", "soon"], '--reconnect takes seconds, above 0, not "soon"'],
    [["handshake", "--ticket-lifetime", "60"], "--ticket-lifetime needs --reconnect"],
    [["handshake", "--no-check"], "--no-check needs a host"],
    [["handshake", "--key", "x"], "--key needs a host"],
    [["handshake", "--json=x", "--html", "./x"], "--json and --html name the same file"],
    [["handshake", "--json", "--csv"], "--json and --csv cannot both be printed"],
    [["handshake", "localhost:0"], 'cannot connect to "localhost:0"'],
    [["handshake", "localhost", "--key-type", "P-256"], "--key-type is the server's"],
    [["handshake", "localhost", "--kind", "psk"], "psk is between our ends or with --peers"],
    [["handshake", "localhost", "--kind", "mutual"], "mutual needs --cert and --key"],
    [["handshake", "localhost", "--peers"], "--peers are on this machine"],
  ] as [string[], string][]
) {
  Deno.test(`tlsio bench ${args.join(" ")} is refused in a line, exit code 2`, async () => {
    const { code, stdout, stderr } = await cli(["bench", ...args]);
    assertEquals({ code, stdout }, { code: 2, stdout: "" });
    assertStringIncludes(stderr, words);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  });
}

Deno.test("tlsio bench handshake: a report that cannot be written fails before the run", async () => {
  for (const flag of ["--html", "--json", "--csv"]) {
    // 100000 handshakes of RSA-4096 would take an hour.
    const { code, stdout, stderr } = await bench(
      `${flag}=/nowhere/x`,
      "--key-type",
      "RSA-4096",
      "--runs",
      "100000",
    );
    assertEquals({ code, stdout }, { code: 1, stdout: "" });
    assertEquals(stderr, 'tlsio bench: Cannot write "/nowhere/x": no such file or directory\n');
  }
});

Deno.test("tlsio bench handshake prints a table, and writes JSON, CSV and a report", async () => {
  await using dir = await tempDir();
  const file = (name: string) => `${dir.path}/${name}`;
  const files = [`--json=${file("x.json")}`, `--csv=${file("x.csv")}`, "--html", file("x.html")];
  const { code, stdout, stderr } = await bench(...QUICK, ...files, "--link", "lora");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^scenario +median .*lora$/m);
  assertMatch(stdout, /^1\.3\/P-256\/full +\d+\.\d+ /m);
  assertMatch(stdout, /2 runs each/);
  assert(!stdout.includes("\x1b"), "no colours, and no bar, where there is no terminal");
  const run: BenchResult = JSON.parse(await Deno.readTextFile(file("x.json")));
  assertEquals([run.bench, run.format, run.interrupted, run.plan.runs], ["handshake", 1, false, 2]);
  assertEquals(run.scenarios.map(({ scenario: { name } }) => name), ["1.3/P-256/full"]);
  assertMatch(
    await Deno.readTextFile(file("x.csv")),
    /^name,version,.*\r\n1\.3\/P-256\/full,1\.3,P-256,full,/,
  );
  assertMatch(await Deno.readTextFile(file("x.html")), /^<!doctype html>.*1\.3\/P-256\/full/is);
});

Deno.test("tlsio bench handshake host:port measures our own tlsio serve, full and resumed", async () => {
  await using server = await cliServe();
  const target = [`localhost:${server.port}`, "--runs", "3"];
  const { code, run } = await benchJson(
    ...target,
    "--ca",
    server.ca,
    "--kind",
    "full,ticket",
    "--reconnect",
    "60",
  );
  assertEquals([code, run.skipped, run.plan.target], [0, [], `localhost:${server.port}`]);
  assertEquals(
    run.scenarios.map(({ scenario: { name, key, server }, resumed }) => [name, key, server, resumed]),
    ["1.2", "1.3"].flatMap((version) => [
      [`${version}/full`, "P-256", run.plan.target, false],
      [`${version}/ticket`, "P-256", run.plan.target, true],
    ]),
  );
  for (const { wallMs, connectMs, ends } of run.scenarios) {
    assert(connectMs!.median > 0 && ends.client.cpuMs!.median <= wallMs.max);
    assertEquals(
      [ends.server.cpuMs, ends.server.heap],
      [undefined, undefined],
      "what cannot be told is not there",
    );
  }
  assertEquals(run.resumption.length, 2);

  const untrusted = await benchJson(...target);
  assertEquals([untrusted.code, untrusted.run.scenarios], [1, []]);
  for (const { reason, failed } of untrusted.run.skipped) {
    assertEquals(failed, true);
    assertStringIncludes(reason, "not correctly signed by the trusted CA");
  }
  const insecure = await benchJson(...target, "--no-check", "--tls", "1.3", "--kind", "full");
  assertEquals([insecure.code, insecure.run.scenarios.length], [0, 1]);
});

Deno.test("tlsio bench handshake host:port: a server with one version, without tickets", async () => {
  await using server = await cliTls({ sslVersion: TLSVersion.TLSv1_2, tickets: false });
  const { code, run } = await benchJson(
    `localhost:${server.port}`,
    "--ca",
    certFile("root.pem"),
    "--runs",
    "1",
  );
  assertEquals([code, run.scenarios.map(({ scenario: { name } }) => name)], [0, ["1.2/full"]]);
  assertEquals(run.skipped.map(({ name, reason, failed }) => [name, reason, failed]), [
    ["1.2/ticket", "the server gave no ticket, but an id", false],
    ["1.3/full", "the server agrees to no TLS 1.3 of ours (handshake_failure)", false],
    ["1.3/ticket", "the server agrees to no TLS 1.3 of ours (handshake_failure)", false],
  ]);
});

Deno.test("tlsio bench handshake host:port: the wait for a ticket ends, also of a server that sends data without end", async () => {
  const flood = async (tls: SSLSocket) => {
    while (true) await tls.write(new Uint8Array(16384)); // until the client hangs up
  };
  await using server = await cliTls({ sslVersion: TLSVersion.TLSv1_3, tickets: false }, flood);
  const args = ["--ca", certFile("root.pem"), "--tls", "1.3", "--kind", "ticket"];
  const { code, run } = await benchJson(`localhost:${server.port}`, ...args);
  assertEquals([code, run.skipped], [1, [
    { name: "1.3/ticket", reason: "the server gave no ticket", failed: false },
  ]]);
});

/** A server of ours in this process. */
async function cliTls(options: ContextOptions, onConnection: (tls: SSLSocket) => unknown = () => {}) {
  const { cert: certfile, key: keyfile } = identity("ec");
  const context = await SSLContext.create({ serverSide: true, certfile, keyfile, ...options });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Promise<void>>();
  const serve = async (conn: Deno.Conn) => {
    try {
      const tls = await context.wrapSocket(conn);
      await onConnection(tls);
      await tls.read(new Uint8Array(1));
      await tls.close();
    } catch {
      try {
        conn.close(); // of a client that hangs up
      } catch {
        // wrapSocket() has.
      }
    }
  };
  const accept = (async () => {
    for await (const conn of listener) {
      const served: Promise<void> = serve(conn).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accept;
      await Promise.all(open);
      context[Symbol.dispose]();
    },
  };
}

Deno.test("tlsio bench handshake host:port: nobody there, and one that does not answer", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr;
  const held: Deno.Conn[] = [];
  const accept = (async () => {
    for await (const conn of silent) held.push(conn);
  })();
  const { code, run } = await benchJson(`127.0.0.1:${port}`, "--timeout", "0.5");
  assertEquals([code, run.scenarios], [1, []]);
  assertEquals(
    new Set(run.skipped.map(({ reason }) => reason)),
    new Set(["the handshake took longer than 0.5 seconds"]),
  );
  assertEquals(
    held.length,
    2,
    "the look whether there is a server, and one handshake: the others are not waited for",
  );
  silent.close();
  await accept;
  for (const conn of held) conn.close();

  const { code: closed, stdout, stderr } = await bench(`127.0.0.1:${port}`);
  assertEquals([closed, stdout], [1, ""]);
  assertEquals(stderr, `tlsio bench: Cannot connect to 127.0.0.1 port ${port}: connection refused\n`);
});

Deno.test("tlsio bench handshake: Ctrl-C shows what was measured so far, exit code 130", async () => {
  let connections = 0;
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  await using server = await cliTls({}, () => ++connections === 20 && resolve());
  const target = [
    `localhost:${server.port}`,
    "--ca",
    certFile("root.pem"),
    "--tls",
    "1.3",
    "--kind",
    "full",
  ];
  await using program = await cliStart(["bench", "handshake", ...target, "--seconds", "3000", "--json"]);
  await enough;
  program.kill("SIGINT");
  assertEquals(await program.exit(), 130);
  assertStringIncludes(program.stderr, "interrupted: this is what was measured until then");
  const run: BenchResult = JSON.parse(program.stdout);
  assertEquals(run.interrupted, true);
  assert(run.scenarios[0]!.wallMs.runs >= 5, `${run.scenarios[0]!.wallMs.runs} runs`);
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`tlsio bench handshake: ${signal} before there is a figure leaves all files as they were`, async () => {
    await using dir = await tempDir();
    const [old, made] = [`${dir.path}/old.html`, `${dir.path}/new.json`];
    await Deno.writeTextFile(old, "of yesterday");
    const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = [`127.0.0.1:${silent.addr.port}`, "--html", old, `--json=${made}`, "--seconds", "60"];
    await using program = await cliStart(["bench", "handshake", ...args, "--timeout", "60"]);
    const held = [await silent.accept(), await silent.accept()]; // the look whether there is one, and a handshake
    program.kill(signal);
    assertEquals(await program.exit(), expected);
    assertEquals(await Deno.readTextFile(old), "of yesterday");
    assertEquals((await Array.fromAsync(Deno.readDir(dir.path))).map(({ name }) => name), ["old.html"]);
    silent.close();
    for (const conn of held) conn.close();
  });
}

Deno.test("tlsio bench handshake: a full disk is said, and the other files are written", async () => {
  await using dir = await tempDir();
  const csv = `${dir.path}/x.csv`;
  const { code, stderr } = await bench(...QUICK, "--json=/dev/full", `--csv=${csv}`);
  assertEquals([code, stderr], [1, 'tlsio bench: Cannot write "/dev/full": no space left on device\n']);
  assertMatch(await Deno.readTextFile(csv), /^name,version,/);
});

Deno.test("tlsio bench handshake --peers: no peer outlives a program that is ended", async () => {
  await using dir = await tempDir();
  await using program = await cliStart(
    ["bench", "handshake", "--peers=openssl", "--seconds", "3000", "--tls", "1.3", "--kind", "full"],
    { TMPDIR: dir.path },
  );
  let servers: string[] = [];
  const ends = Date.now() + 60_000;
  while (servers.length === 0 && Date.now() < ends) servers = await processesOf(program.pid, "s_server");
  assertEquals(servers.length, 1);
  program.kill("SIGTERM");
  assertEquals(await program.exit(), 143);
  let command = "?";
  // Of a process that has ended there is none, also while nobody has asked for its status.
  while (command !== "" && Date.now() < ends) {
    command = await Deno.readTextFile(`/proc/${servers[0]}/cmdline`).catch(() => "");
  }
  assertEquals(command, "");
  assertEquals(await Array.fromAsync(Deno.readDir(dir.path)), [], "the keys are gone, too");
});

/** The processes that `parent` has started with a word among their arguments. */
async function processesOf(parent: number, word: string): Promise<string[]> {
  const { stdout } = await run("ps", ["-o", "pid=,args=", "--ppid", `${parent}`]);
  return stdout.split("\n").filter((line) => line.includes(word)).map((line) => line.trim().split(" ")[0]!);
}

Deno.test("tlsio bench handshake --peers: each as server and as client, full and resumed", async () => {
  const { code, run, stderr } = await benchJson(
    "--peers=deno,node,openssl,gnutls",
    "--kind",
    "full,ticket",
    "--runs",
    "1",
  );
  assertEquals([code, stderr], [0, ""]);
  const measured = run.scenarios.map(({ scenario: { name } }) => name);
  const gaps = run.skipped.map(({ name }) => name);
  const expected = ["deno", "node", "openssl", "gnutls"].flatMap((peer) =>
    ["server", "client"].flatMap((end) =>
      ["1.2", "1.3"].flatMap((version) =>
        ["full", "ticket"].map((kind) => `${version}/P-256/${kind}/${peer}-${end}`)
      )
    )
  );
  assertEquals([...measured, ...gaps].sort(), expected.sort());
  assertEquals(run.skipped.filter(({ failed }) => failed), []);
  assertEquals(gaps.length, 5, gaps.join(", "));
  for (const { scenario, resumed, ends, network } of run.scenarios) {
    const { name, kind, client, server } = scenario;
    assertEquals([resumed, network!.complete], [kind === "ticket", true], name);
    const [ours, theirs] = client === "tlsio" ? [ends.client, ends.server] : [ends.server, ends.client];
    assert(ours.cpuMs!.median > 0 && ours.heap!.peak > 0, name);
    assertMatch(ours.implementation, /^tlsio /);
    assertMatch(theirs.implementation, /^(Deno|Node|OpenSSL|GnuTLS) \d/);
    assertEquals(theirs.heap, undefined, name);
    // Whose process lives on tells its CPU.
    const lives = server !== "tlsio" || client === "deno" || client === "node";
    assertEquals(theirs.cpuMs !== undefined, lives, name);
  }
});

Deno.test("tlsio bench handshake --peers: gnutls-serv, which listens on all addresses, is started for who names it", async () => {
  const { code, run } = await benchJson("--peers", "--kind", "full", "--tls", "1.3", "--runs", "1");
  assertEquals([code, run.skipped], [0, [{
    name: "1.3/P-256/full/gnutls-server",
    reason: "gnutls-serv listens on all addresses of this machine: --peers=gnutls starts it",
    failed: false,
  }]]);
  assertEquals(run.scenarios.length, 7);
  assert(run.environment.notes.includes("Of fewer than 20 runs the p95 is the slowest."));
});

Deno.test("tlsio bench handshake --peers: a program that is missing is said and left out", async () => {
  await using dir = await tempDir();
  const options = { env: { PATH: dir.path } };
  const args = [
    "bench",
    "handshake",
    "--peers=openssl,gnutls,deno",
    "--kind",
    "full",
    "--tls",
    "1.3",
    "--runs",
    "1",
    "--json",
  ];
  const { code, stdout } = await cli(args, options);
  const run: BenchResult = JSON.parse(stdout);
  assertEquals(code, 0);
  assertEquals(run.skipped, [
    { name: "openssl", reason: '"openssl" is not installed', failed: false },
    { name: "gnutls", reason: '"gnutls-cli" is not installed', failed: false },
  ]);
  assertEquals(
    new Set(run.scenarios.flatMap(({ scenario: { client, server } }) => [client, server])),
    new Set(["tlsio", "deno"]),
  );
});
