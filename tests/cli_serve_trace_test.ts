// `tlsio serve --trace`: the handshakes of others' clients, at our server.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TraceRecorder } from "../lib/cli/trace_recorder.ts";
import type { TracedConnection } from "../lib/cli/trace_result.ts";
import { cli, cliServe } from "./cli_helpers.ts";
import { certFile, curl, opensslClient, tempDir } from "./peers.ts";
import { handshakeEvents } from "./trace_samples.ts";

async function lines(path: string): Promise<TracedConnection[]> {
  return (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("serve --trace: text, lines of JSON and pages of each handshake, of a refused one too, and no secrets", async () => {
  await using dir = await tempDir();
  const [json, pages, keys] = ["trace.jsonl", "pages", "keys"].map((name) => `${dir.path}/${name}`);
  await using server = await cliServe(["--trace", "--trace-json", json!, "--trace-html", pages!, "--quiet"]);
  const { program, ca, url, port } = server;
  for (const tls of ["1.2", "1.3"]) await curl(url, ca, [`--tlsv${tls}`, "--tls-max", tls]);
  await opensslClient({ port, ca, args: ["-keylogfile", keys!] });
  await opensslClient({ port, ca: certFile("root.pem"), args: ["-verify_return_error"] });
  using plain = await Deno.connect({ hostname: "127.0.0.1", port });
  await plain.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  await program.waitFor(/decode_error \(50\), sent by the server\n.*\n/);
  program.kill("SIGINT");
  await program.waitFor(/Stopping/);
  await program.exit();

  const all = await lines(json!);
  assertEquals(all.map(({ role, version, complete }) => [role, version, complete]), [
    ["server", "TLSv1.2", true],
    ["server", "TLSv1.3", true],
    ["server", "TLSv1.3", true],
    ["server", null, false],
    ["server", null, false],
  ]);
  const [old, modern, , refused, foreign] = all as [
    TracedConnection,
    TracedConnection,
    unknown,
    TracedConnection,
    TracedConnection,
  ];
  assertEquals([old.roundTrips, modern.roundTrips], [2, 1]);
  assertEquals(modern.messages.slice(0, 2).map(({ way, name }) => [way, name]), [["up", "client_hello"], [
    "down",
    "server_hello",
  ]]);
  assert(modern.messages.some(({ name, flight }) => name === "new_session_ticket" && flight === null));
  assertEquals([refused.alert?.from, refused.alert?.name], ["client", "unknown_ca"]);
  assertEquals([foreign.alert?.from, foreign.messages[0]?.name, foreign.up.bytes], ["server", "record", 5]);
  assert(all.every(({ address, port }) => address === "127.0.0.1" && port! > 0));

  const text = program.stdout;
  assertMatch(text, /^ +ms {2}client +server \(here\) +bytes {2}records$/m);
  assertMatch(text, /^ +[\d.]+ {2}ClientHello ─+→ +\d+ +1$/m);
  assertMatch(text, /^ +[\d.]+ {2}⇐═+ Certificate +\d+ +1$/m);
  assertMatch(text, /^Alert +unknown_ca \(48\), sent by the client$/m);
  assertEquals(text.match(/^(Full h|H)andshake from 127\.0\.0\.1 port \d+$/gm)?.length, 5);

  const names = (await Array.fromAsync(Deno.readDir(pages!))).map(({ name }) => name).sort();
  assertEquals(names, [1, 2, 3, 4, 5].map((number) => `connection-00000${number}.html`));
  const drawn = await Promise.all(names.map((name) => Deno.readTextFile(`${pages!}/${name}`)));
  assert(drawn[0]!.includes("client_key_exchange") && drawn[3]!.includes("unknown_ca"));

  const secrets = [...(await Deno.readTextFile(keys!)).matchAll(/^[A-Z0-9_]+ [0-9a-f]{64} ([0-9a-f]+)$/gm)];
  assert(secrets.length >= 4);
  const said = [text, program.stderr, await Deno.readTextFile(json!), ...drawn].join("\n").toLowerCase();
  for (const [, secret] of secrets) assert(!said.includes(secret!), "a secret");
});

Deno.test("serve --trace --profile esp32: the device's handshakes", async () => {
  await using dir = await tempDir();
  const json = `${dir.path}/trace.jsonl`;
  await using server = await cliServe(["--profile", "esp32", "--trace-json", json, "--quiet"]);
  assertEquals((await curl(server.url, server.ca)).code, 0);
  await opensslClient({ port: server.port, tls: "1.3" }); // it has 1.2 alone: no suite in common
  server.program.kill("SIGINT");
  await server.program.exit();
  const [served, refused] = await lines(json) as [TracedConnection, TracedConnection];
  assertEquals([served.version, served.complete, served.roundTrips, served.error], [
    "TLSv1.2",
    true,
    2,
    null,
  ]);
  assertEquals([refused.complete, refused.alert?.from, refused.alert?.name], [
    false,
    "server",
    "handshake_failure",
  ]);
  assert(!server.program.stdout.includes("ClientHello"));
});

Deno.test("serve --trace: keeps the pages of the last hundred connections", async () => {
  const { ServeTrace } = await import("../lib/cli/serve_trace.ts");
  await using dir = await tempDir();
  const folder = `${dir.path}/pages`;
  {
    await using trace = (await ServeTrace.open({ "trace-html": folder }))!;
    for (let i = 0; i < 103; i++) {
      const nothing = { read: () => Promise.resolve(null), write: () => Promise.resolve(1), close: () => {} };
      trace.watch(nothing).failed(new Error("Cannot connect"));
      await trace.drawn();
    }
  }
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  assertEquals([names.length, names[0], names.at(-1)], [
    100,
    "connection-000004.html",
    "connection-000103.html",
  ]);
});

Deno.test("serve --trace: a page is drawn beside the server's own work, and by a new worker after one that failed", async () => {
  const { PageDrawer } = await import("../lib/cli/trace_page.ts");
  const recorder = new TraceRecorder("server");
  for (const event of handshakeEvents()) recorder.trace(event);
  const facts = { address: "192.0.2.1", port: 1, lookupMs: null, connectMs: null };
  const traced = { connection: recorder.result(facts), recorder };
  using drawer = new PageDrawer();
  await drawer.draw("first", [traced]); // its libraries are loaded now
  let turns = 0;
  const turn = () => {
    turns++;
    timer = setTimeout(turn, 0);
  };
  let timer = setTimeout(turn, 0);
  assertMatch(await drawer.draw("second", [traced]), /<h1>second<\/h1>/);
  clearTimeout(timer);
  assert(turns > 1, "the event loop stood still");
  const broken = { connection: traced.connection, recorder: { events: [null], start: 0 } };
  await assertRejects(() => drawer.draw("third", [broken as unknown as typeof traced]));
  assertMatch(await drawer.draw("fourth", [traced]), /<h1>fourth<\/h1>/);
});

Deno.test("serve --trace: what cannot be written, and --workers, are refused before it serves", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/file`, "");
  const env = { XDG_CACHE_HOME: dir.path };
  const runs: [args: string[], code: number, message: RegExp][] = [
    [["--trace-json", "/nonexistent/file"], 1, /Cannot write "\/nonexistent\/file": no such file/],
    [["--trace-html", `${dir.path}/file`], 1, /Cannot write to the folder ".*\/file": /],
    [["--trace", "--workers", "2"], 2, /--workers and --trace exclude each other/],
  ];
  for (const [args, expected, message] of runs) {
    const { code, stdout, stderr } = await cli(["serve", "--port", "0", ...args], { env });
    assertEquals([code, stdout], [expected, ""], stderr);
    assertMatch(stderr, message);
  }
});
