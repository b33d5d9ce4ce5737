// `tlsio trace` against the servers of others and our own.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { TracedConnection, TraceResult } from "../lib/cli/trace_result.ts";
import { startServer, TLSVersion } from "../mod.ts";
import { cli } from "./cli_helpers.ts";
import { slowProxy } from "./slow_proxy.ts";
import { certFile, denoServer, gnutlsServer, identity, nginx, opensslServer, type Version } from "./peers.ts";

const ROOT = certFile("root.pem");

async function traceJson(
  args: readonly string[],
): Promise<{ code: number; stderr: string; result: TraceResult }> {
  const { code, stdout, stderr } = await cli(["trace", ...args, "--json"]);
  return { code, stderr, result: JSON.parse(stdout) };
}

/** `">client_hello"`; `*`: encrypted. */
const shown = ({ messages }: TracedConnection) =>
  messages.map(({ way, name, encrypted }) => `${way === "up" ? ">" : "<"}${encrypted ? "*" : ""}${name}`);

/** The messages of a full handshake that every server sends, in their order. */
const FULL: Record<"1.2" | "1.3", string[]> = {
  "1.2": [
    ...[">client_hello", "<server_hello", "<certificate", "<server_key_exchange", "<server_hello_done"],
    ...[">client_key_exchange", ">change_cipher_spec", ">*finished", "<change_cipher_spec", "<*finished"],
  ],
  "1.3": [
    ...[">client_hello", "<server_hello", "<*encrypted_extensions", "<*certificate", "<*certificate_verify"],
    ...["<*finished", ">*finished"],
  ],
};

/** Those that are not in each server's handshake, or not in the same place. */
const OPTIONAL = ["new_session_ticket", "close_notify", "<change_cipher_spec", ">change_cipher_spec"];

function assertFull(connection: TracedConnection, tls: "1.2" | "1.3"): void {
  const isOptional = (line: string) => OPTIONAL.some((name) => line.endsWith(name));
  const always = (lines: readonly string[]) => lines.filter((line) => !isOptional(line));
  assertEquals(always(shown(connection)), always(FULL[tls]));
  assertEquals([connection.complete, connection.error, connection.alert, connection.resumed], [
    true,
    null,
    null,
    false,
  ]);
  assertEquals([connection.version, connection.roundTrips], [`TLSv${tls}`, tls === "1.2" ? 2 : 1]);
  assert(connection.down.certificateBytes > 400 && connection.up.bytes > 150);
  assert(connection.connectMs! >= 0 && connection.waitMs > 0 && connection.waitMs < connection.handshakeMs);
  assertEquals(connection.flights.length, tls === "1.2" ? 4 : 3);
}

type Peer = (tls: "1.2" | "1.3") => Promise<AsyncDisposable & { port: number }>;

const ec = () => identity("ec");
const SSL_VERSION = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 } as const;

const PEERS: Record<string, Peer> = {
  "openssl s_server": (tls) => opensslServer({ ...ec(), tls }),
  "gnutls-serv": (tls) => gnutlsServer({ ...ec(), tls }),
  "nginx": (tls) => nginx({ ...ec(), tls }),
  "Deno": () => Promise.resolve(denoServer(ec())),
  "our own server": async (tls) => {
    const { cert, key } = ec();
    const server = await startServer(async (reader) => void await reader.read(), {
      hostname: "127.0.0.1",
      port: 0,
      ssl: { certfile: cert, keyfile: key, sslVersion: SSL_VERSION[tls] },
    });
    const { port } = server.addr as Deno.NetAddr;
    return { port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  },
};

for (const [name, peer] of Object.entries(PEERS)) {
  for (const tls of ["1.2", "1.3"] as const) {
    Deno.test(`tlsio trace: ${name}: each message of a handshake, resumed too (TLSv${tls})`, async () => {
      await using server = await peer(tls);
      const target = [`localhost:${server.port}`, "--ca", ROOT, "--tls", tls, "--resume"];
      const { code, result, stderr } = await traceJson(target);
      assertEquals([code, stderr, result.format, result.port], [0, "", 1, server.port]);
      const [full, resumed] = result.connections;
      assertFull(full!, tls);
      assertEquals([resumed!.resumed, resumed!.roundTrips, resumed!.complete], [true, 1, true]);
      assert(
        !shown(resumed!).some((line) => line.endsWith("certificate")),
        "a resumed handshake has no certificate",
      );
      assertEquals([resumed!.down.certificateBytes, resumed!.lookupMs], [0, null]);
    });
  }
}

Deno.test("tlsio trace: text of 80 columns: arrows, flights, records, a summary, and what resumption saves", async () => {
  await using server = await opensslServer({ ...ec(), tls: "1.3" });
  const { code, stdout, stderr } = await cli(["trace", `localhost:${server.port}`, "--ca", ROOT, "--resume"]);
  assertEquals([code, stderr], [0, ""]);
  for (const line of stdout.split("\n")) assert(line.length <= 80, `${line.length}: ${line}`);
  for (
    const line of [
      new RegExp(`Full handshake with 127\\.0\\.0\\.1 port ${server.port}`),
      / +ms {2}client \(here\) +server +bytes {2}records/,
      / flight 1 {2}\d+ bytes in 1 record, after [\d.]+ ms of work/,
      / +[\d.]+ {2}ClientHello ─+→ +\d+ +1/,
      / flight 2 {2}\d+ bytes in \d records, after [\d.]+ ms of waiting/,
      / +[\d.]+ {2}←─+ ServerHello +\d+ +1/,
      / +[\d.]+ {2}⇐═+ Certificate +\d+ +1/,
      / +[\d.]+ {2}Finished ═+⇒ +\d+ +1/,
      / {4}after {2}the handshake/,
      / +[\d.]+ {2}⇐═+ NewSessionTicket +\d+ +1/,
      /Agreed +TLSv1\.3, TLS_\w+, \w+/,
      /Network +1 round trip; up \d+ bytes; down \d+ bytes, certificates \d+/,
      /TCP +[\d.]+ ms, after [\d.]+ ms to find the address/,
      /Time +[\d.]+ ms: [\d.]+ ms of waiting for the server, [\d.]+ ms of work here/,
      /Longest +[\d.]+ ms of (waiting for|work) .+/,
      new RegExp(`Resumed handshake with 127\\.0\\.0\\.1 port ${server.port}`),
      /Agreed +TLSv1\.3, TLS_\w+, \w+, resumed/,
      /Resumed +\d+ bytes in place of \d+, [\d.]+ ms in place of [\d.]+ ms/,
    ]
  ) assertMatch(stdout, new RegExp(`^${line.source}$`, "m"));
});

Deno.test("tlsio trace --json: its fields are those that docs/trace.md lists", async () => {
  const listed = new Set<string>();
  const page = await Deno.readTextFile(new URL("../docs/trace.md", import.meta.url));
  for (const line of page.matchAll(/^\|.*\|$/gm)) {
    for (const [code] of line[0].matchAll(/`[^`]+`/g)) {
      code.match(/\w+/g)!.forEach((name) => listed.add(name));
    }
  }
  await using server = await opensslServer({ ...ec(), tls: "1.3" });
  const { result } = await traceJson([`localhost:${server.port}`]); // not trusted: with an alert
  const names: string[] = [];
  JSON.stringify(result, (name, value) => (!/^\d*$/.test(name) && names.push(name), value));
  assertEquals(names.filter((name) => !listed.has(name)), []);
});

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`tlsio trace: over a slow link, its round trips are waits, and the longest thing (TLSv${tls})`, async () => {
    const rtt = 300; // milliseconds; more than a busy machine works
    await using server = await opensslServer({ ...ec(), tls });
    await using proxy = slowProxy(server.port, { rtt });
    const { result } = await traceJson([`localhost:${proxy.port}`, "--ca", ROOT]);
    const [{ flights, handshakeMs, waitMs, longest, roundTrips, messages }] = result.connections as [
      TracedConnection,
    ];
    assert(waitMs > rtt * roundTrips - 1 && waitMs <= handshakeMs, `${waitMs} of ${handshakeMs}`);
    for (const { way, waitMs } of flights) {
      assert(way === "down" ? waitMs > rtt - 1 : waitMs < rtt, `${way} ${waitMs}`);
    }
    assertEquals([longest!.kind, messages[longest!.message]!.way], ["wait", "down"]);
    assert(handshakeMs - waitMs < rtt, "the rest is work");
  });
}

Deno.test("tlsio trace: a client's certificate, ALPN, suites, groups and a HelloRetryRequest", async () => {
  const client = identity("client");
  await using server = await opensslServer({
    ...{ ...ec(), tls: "1.3", clientAuth: "required", clientCa: ROOT, alpn: ["http/1.1"] },
    args: ["-groups", "P-384"],
  });
  const { code, result } = await traceJson([
    ...[
      `localhost:${server.port}`,
      "--ca",
      ROOT,
      "--cert",
      client.cert,
      "--key",
      client.key,
      "--alpn",
      "h2,http/1.1",
    ],
    ...["--ciphers", "TLS_AES_128_GCM_SHA256", "--groups", "x25519,secp384r1"],
  ]);
  const [connection] = result.connections;
  assertEquals([code, connection!.alpn, connection!.cipher, connection!.group, connection!.roundTrips], [
    ...[0, "http/1.1", "TLS_AES_128_GCM_SHA256", "secp384r1", 2],
  ]);
  const lines = shown(connection!);
  for (
    const line of ["<hello_retry_request", "<*certificate_request", ">*certificate", ">*certificate_verify"]
  ) {
    assert(lines.includes(line), `${line} is not in ${lines}`);
  }
  assert(connection!.up.certificateBytes > 400);
});

Deno.test("tlsio trace: a pre-shared key, and a device's profile", async () => {
  const key = "000102030405060708090a0b0c0d0e0f";
  await using server = await opensslServer({
    ...{ ...ec(), tls: "1.2", args: ["-psk", key, "-psk_identity", "sensor", "-cipher", "PSK"] },
  });
  const { code, result, stderr } = await traceJson([
    ...[`localhost:${server.port}`, "--psk-identity", "sensor", "--psk", key],
  ]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(result.connections[0]!.cipher!, /PSK/);
  assertEquals(result.connections[0]!.down.certificateBytes, 0);

  await using other = await opensslServer(ec());
  const device = await traceJson([`localhost:${other.port}`, "--profile", "esp32", "--ca", ROOT]);
  assertFull(device.result.connections[0]!, "1.2");
});

// ---- Failures -------------------------------------------------------------------------------------------

const ALERTS: Record<string, [server: "1.2" | "1.3" | "both", args: string[], from: string, alert: string]> =
  {
    "whose certificate is not trusted (TLSv1.2)": ["1.2", [], "client", "unknown_ca"],
    "whose certificate is not trusted (TLSv1.3)": ["1.3", [], "client", "unknown_ca"],
    "of another version": ["1.2", ["--tls", "1.3", "--ca", ROOT], "server", "protocol_version"],
    "of another name": ["both", ["--servername", "evil.test", "--ca", ROOT], "client", "bad_certificate"],
    "without a suite in common": [
      "1.2",
      ["--ca", ROOT, "--ciphers", "TLS_RSA_WITH_AES_128_GCM_SHA256"],
      "server",
      "handshake_failure",
    ],
  };

for (const [name, [tls, args, from, alert]] of Object.entries(ALERTS)) {
  Deno.test(`tlsio trace: a server ${name}: as far as it went, the alert and who sent it, exit code 1`, async () => {
    await using server = await opensslServer({ ...ec(), tls: tls as Version });
    const target = [`localhost:${server.port}`, ...args];
    const { code, stderr, result } = await traceJson(target);
    const [connection] = result.connections;
    assertEquals([code, stderr, connection!.complete], [1, "", false]);
    assertEquals([connection!.alert?.from, connection!.alert?.name], [from, alert]);
    assertEquals(shown(connection!)[0], ">client_hello");
    const last = connection!.messages.at(-1)!;
    assertEquals([last.name, last.way], [alert, from === "client" ? "up" : "down"]);
    assertMatch(connection!.error!, /^Cannot complete TLS handshake/);

    const text = await cli(["trace", ...target]);
    assertEquals([text.code, text.stderr], [1, ""]);
    assertMatch(text.stdout, new RegExp(`^Alert +${alert} \\(\\d+\\), sent by the ${from}$`, "m"));
    assertMatch(text.stdout, /^Failed +Cannot complete TLS handshake/m);
    assertMatch(text.stdout, /^Handshake with 127\.0\.0\.1/m);
  });
}

Deno.test("tlsio trace: a server that demands a client's certificate ends the connection after the handshake, exit code 1", async () => {
  await using server = await opensslServer({ ...ec(), tls: "1.3", clientAuth: "required", clientCa: ROOT });
  const { code, result } = await traceJson([`localhost:${server.port}`, "--ca", ROOT]);
  const [{ complete, alert, error }] = result.connections as [TracedConnection];
  assertEquals([code, complete, alert?.from, alert?.name], [1, true, "server", "certificate_required"]);
  assertMatch(error!, /certificate_required/);
});

Deno.test("tlsio trace: a peer that is silent ends by the deadline, one that speaks no TLS at once", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using plain = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await plain.accept();
    await conn.read(new Uint8Array(1000));
    await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
  })();
  const [late, foreign] = await Promise.all([
    traceJson([`127.0.0.1:${silent.addr.port}`, "--timeout", "0.5"]),
    traceJson([`127.0.0.1:${plain.addr.port}`]),
  ]);
  await serving;
  const [hung] = late.result.connections;
  assertEquals([late.code, hung!.alert, shown(hung!)], [1, null, [">client_hello"]]);
  assertMatch(hung!.error!, /timed out after 0\.5 seconds/);
  assert(hung!.handshakeMs >= 499 && hung!.waitMs > 300);
  assertEquals([hung!.longest!.kind, hung!.longest!.message], ["wait", 1]);

  const [other] = foreign.result.connections;
  assertEquals([foreign.code, other!.complete, other!.alert?.from], [1, false, "client"]);
  assertEquals(shown(other!).slice(0, 2), [">client_hello", "<record"]);
  assertEquals([other!.messages[1]!.contentType, other!.messages[1]!.bytes], ["unknown", 0]);
});

Deno.test("tlsio trace: a server that leaves in the midst of the handshake", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const leaving = (async () => {
    using conn = await listener.accept();
    await conn.read(new Uint8Array(1000));
  })();
  const { code, stdout, stderr } = await cli(["trace", `127.0.0.1:${listener.addr.port}`]);
  await leaving;
  assertEquals([code, stderr], [1, ""]);
  assertMatch(stdout, /ClientHello ─+→/);
  assertMatch(stdout, /^Failed +/m);
  assert(!/^Alert/m.test(stdout));
});

Deno.test("tlsio trace: a port that is closed, a name that is unknown: in a line, and in JSON", async () => {
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  const { port } = closed.addr;
  const [refused, unknown, json] = await Promise.all([
    cli(["trace", `127.0.0.1:${port}`]),
    cli(["trace", "no-such-host.invalid"]),
    traceJson([`127.0.0.1:${port}`]),
  ]);
  assertEquals([refused.code, refused.stdout, refused.stderr], [
    ...[1, "", `tlsio trace: Cannot connect to 127.0.0.1 port ${port}: connection refused\n`],
  ]);
  assertEquals([unknown.code, unknown.stderr], [
    ...[1, 'tlsio trace: Cannot find the address of "no-such-host.invalid"\n'],
  ]);
  const [connection] = json.result.connections;
  assertEquals([json.code, connection!.address, connection!.messages], [1, null, []]);
  assertStringIncludes(connection!.error!, "connection refused");
});

Deno.test("tlsio trace: wrong arguments end with exit code 2 and name the flag; a path that cannot be written fails first", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connected = listener.accept().then((conn) => conn.close(), () => {});
  let touched = false;
  connected.then(() => touched = true);
  const here = `127.0.0.1:${listener.addr.port}`;
  const wrong: [args: string[], code: number, message: RegExp][] = [
    [[], 2, /missing argument <host\[:port\]>/],
    [["localhost:"], 2, /cannot connect to "localhost:": expected host:port/],
    [["localhost:0"], 2, /port from 1 to 65535/],
    [[here, "--tls", "1.1"], 2, /--tls takes 1\.2, 1\.3/],
    [[here, "--ciphers", "nonsense"], 2, /Cannot use --ciphers: unknown name "nonsense"/],
    [[here, "--groups", "nonsense"], 2, /Cannot use --groups/],
    [[here, "--profile", "nonsense"], 2, /Cannot use --profile: unknown name "nonsense"; known are default/],
    [[here, "--timeout", "0"], 2, /--timeout takes seconds/],
    [[here, "--cert", "x"], 2, /--cert and --key go together/],
    [[here, "--psk", "00"], 2, /--psk-identity and --psk go together/],
    [[here, "--psk-identity", "x", "--psk", "0g"], 2, /--psk takes a key in hexadecimal/],
    [[here, "--html", "x", "--keylog", "./x"], 2, /--html and --keylog name the same file/],
    [[here, "--ca", "/nonexistent/ca.pem"], 1, /Cannot load --ca "\/nonexistent\/ca\.pem"/],
    ...["--html", "--keylog", "--pcap"].map((flag): [string[], number, RegExp] => [
      [here, flag, "/nonexistent/file"],
      1,
      /^tlsio trace: Cannot write "\/nonexistent\/file": no such file or directory/,
    ]),
  ];
  await Promise.all(wrong.map(async ([args, expected, message]) => {
    const { code, stdout, stderr } = await cli(["trace", ...args]);
    assertEquals([code, stdout], [expected, ""], args.join(" "));
    assertMatch(stderr, message);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }));
  assertEquals(touched, false, "it connected before it found out");
  listener.close();
  await connected;
});

Deno.test("tlsio trace --resume: says that a server gave nothing to resume", async () => {
  await using server = await gnutlsServer({ ...ec(), tls: "1.3", args: ["--noticket"] });
  const { code, stdout, stderr } = await cli(["trace", `localhost:${server.port}`, "--ca", ROOT, "--resume"]);
  assertEquals([code, stderr], [0, "tlsio trace: the server gave nothing to resume\n"]);
  assert(!stdout.includes("Resumed"));
});
