// `tlsio connect` against OpenSSL's server.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createCertificate } from "../mod.ts";
import { cli } from "./cli_helpers.ts";
import { certFile, gnutlsServer, identity, opensslServer, tempDir } from "./peers.ts";

const ROOT = certFile("root.pem");

async function connectJson(args: readonly string[]) {
  const { code, stdout, stderr } = await cli(["connect", ...args, "--json"]);
  assertEquals(stderr, "");
  return { code, report: JSON.parse(stdout) };
}

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`tlsio connect shows a valid TLS ${tls} server's facts, chain and resumption, exit code 0`, async () => {
    const chain = certFile("intermediate.pem");
    await using server = await opensslServer({
      ...identity("chain"),
      chain,
      mode: "www",
      alpn: ["http/1.1"],
    });
    const target = [`localhost:${server.port}`, "--ca", ROOT, "--tls", tls];
    const { code, stdout, stderr } = await cli(["connect", ...target, "--alpn", "h2,http/1.1", "--request"]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    for (
      const line of [
        new RegExp(`Address +127\\.0\\.0\\.1 port ${server.port}$`),
        /TCP +[\d.]+ ms, after [\d.]+ ms to find the address$/,
        /Handshake +[\d.]+ ms$/,
        new RegExp(`Version +TLSv${tls}$`),
        /Suite +TLS_\w+, (128|256) bits$/,
        /Group +(secp256r1|x25519)$/,
        /ALPN +http\/1\.1$/,
        /Certificate +valid for localhost, trusted by O=tlsio tests, CN=EC root$/,
        /Ticket +received/,
        /Resumption +yes, in [\d.]+ ms, against [\d.]+ ms in full$/,
        /GET \/ +HTTP\/1\.0 200 ok$/,
        /0 {2}O=tlsio tests, CN=localhost$/,
        /issuer +O=tlsio tests, CN=EC intermediate$/,
        /valid +2020-01-01 to 2099-12-31 \(\d+ days left\)$/,
        /key +EC P-256, signed with ecdsa-with-SHA256$/,
        /names +localhost, example\.test, \*\.wild\.test, 127\.0\.0\.1, ::1$/,
        /1 {2}O=tlsio tests, CN=EC intermediate$/,
      ]
    ) assertMatch(stdout, new RegExp(`^ *${line.source}`, "m"));
  });
}

Deno.test("tlsio connect --json gives the same facts for programs", async () => {
  await using server = await opensslServer({ ...identity("rsa"), mode: "www", tls: "1.3" });
  const { code, report } = await connectJson([`127.0.0.1:${server.port}`, "--ca", certFile("roots.pem")]);
  assertEquals(code, 0);
  const { connectMs, handshakeMs, lookupMs, resumption, chain, ...rest } = report;
  for (const ms of [connectMs, handshakeMs, lookupMs, resumption.handshakeMs]) assert(ms >= 0 && ms < 20_000);
  assertEquals(resumption.reused, true);
  assertEquals([chain[0].subject, chain[0].key, chain[0].isCA], [
    "O=tlsio tests, CN=localhost",
    "RSA 2048",
    false,
  ]);
  assertMatch(chain[0].sha256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assertMatch(rest.cipher, /^TLS_/);
  assertEquals({ ...rest, cipher: "", cipherBits: 0, group: "" }, {
    host: "127.0.0.1",
    port: server.port,
    servername: "127.0.0.1",
    address: "127.0.0.1",
    version: "TLSv1.3",
    cipher: "",
    cipherBits: 0,
    group: "",
    alpn: null,
    certificate: { checked: true, valid: true, problem: "", trustedBy: "O=tlsio tests, CN=RSA root" },
    session: true,
  });
});

const BAD: readonly (readonly [cert: string, key: string, args: string[], problem: string])[] = [
  ["expired", "ec", ["--ca", ROOT], "it has expired"],
  ["future", "ec", ["--ca", ROOT], "it is not valid yet"],
  ["self", "self", ["--ca", ROOT], "it is self-signed"],
  ["self", "self", [], "it is self-signed"],
  [
    "chain-leaf",
    "chain",
    ["--ca", ROOT],
    "its chain ends with O=tlsio tests, CN=EC intermediate, who is not trusted",
  ],
  [
    "ec",
    "ec",
    ["--ca", ROOT, "--servername", "evil.test"],
    "it is for localhost, example.test, *.wild.test, 127.0.0.1, ::1, not for evil.test",
  ],
  ["wrong-eku", "ec", ["--ca", ROOT], "it is not meant for servers"],
];

for (const [cert, key, args, problem] of BAD) {
  Deno.test(`tlsio connect ${args.join(" ").replace(ROOT, "root.pem")} shows what is wrong with ${cert}.pem, exit code 1`, async () => {
    await using server = await opensslServer({ cert: certFile(`${cert}.pem`), key: certFile(`${key}.key`) });
    const target = `localhost:${server.port}`;
    const { code, stdout, stderr } = await cli(["connect", target, ...args]);
    assertEquals({ code, stderr }, { code: 1, stderr: "" });
    assertStringIncludes(stdout, `NOT VALID: ${problem}`);
    assertMatch(stdout, /^ +Version +TLSv1\.3$/m);

    const { code: unchecked, report } = await connectJson([target, ...args, "--no-check"]);
    assertEquals([unchecked, report.certificate.checked, report.error], [0, false, undefined]);
  });
}

Deno.test("tlsio connect reports a server that demands a client certificate, and shows it one", async () => {
  for (const tls of ["1.2", "1.3"] as const) {
    await using server = await opensslServer({
      ...identity("ec"),
      tls,
      clientAuth: "required",
      clientCa: ROOT,
      mode: "www",
    });
    const target = ["connect", `localhost:${server.port}`, "--ca", ROOT, "--request"];
    const refused = await cli(target);
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /^tlsio connect: Cannot .*: peer sent alert (certificate_required|handshake_failure)/,
    );
    const client = identity("client");
    const { code, stdout } = await cli([...target, "--cert", client.cert, "--key", client.key]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, "HTTP/1.0 200 ok");
  }
});

Deno.test("tlsio connect says that a server without tickets does not resume", async () => {
  await using server = await gnutlsServer({ ...identity("ec"), tls: "1.3", args: ["--noticket"] });
  const { code, stdout } = await cli(["connect", `localhost:${server.port}`, "--ca", ROOT]);
  assertEquals(code, 0);
  assertMatch(stdout, /^ +Ticket +none received$/m);
  assert(!stdout.includes("Resumption"));
});

Deno.test("tlsio connect reports a version that the server does not have, in one line", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.2" });
  const { code, stderr } = await cli(["connect", `localhost:${server.port}`, "--tls", "1.3"]);
  assertEquals({ code, stderr }, {
    code: 1,
    stderr:
      'tlsio connect: Cannot complete TLS handshake with "localhost": peer sent alert protocol_version (70)\n',
  });
});

Deno.test("tlsio connect reports a port that is closed, a server that is silent, a name that is unknown", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  try {
    const [refused, late, unknown] = await Promise.all([
      cli(["connect", `127.0.0.1:${closed.addr.port}`]),
      cli(["connect", `127.0.0.1:${silent.addr.port}`, "--timeout", "0.5"]),
      cli(["connect", "no-such-host.invalid"]),
    ]);
    assertEquals([refused.code, late.code, unknown.code], [1, 1, 1]);
    assertEquals(
      refused.stderr,
      `tlsio connect: Cannot connect to 127.0.0.1 port ${closed.addr.port}: connection refused\n`,
    );
    assertMatch(late.stderr, /timed out after 0\.5 seconds\n$/);
    assertMatch(unknown.stderr, /^tlsio connect: Cannot find the address of "no-such-host\.invalid"\n$/);
  } finally {
    silent.close();
  }
});

Deno.test("tlsio connect prints nothing of a server's that a terminal obeys", async () => {
  await using dir = await tempDir();
  const { certificate, key } = createCertificate({
    subject: "CN=a\x1b[31mb\u202ec",
    hosts: ["x\x1b]0;title\x07y", "localhost"],
  });
  await Deno.writeTextFile(`${dir.path}/cert.pem`, certificate);
  await Deno.writeTextFile(`${dir.path}/key.pem`, key);
  await using server = await opensslServer({ cert: `${dir.path}/cert.pem`, key: `${dir.path}/key.pem` });
  const { stdout } = await cli(["connect", `localhost:${server.port}`]);
  assertStringIncludes(stdout, "CN=a");
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(stdout), JSON.stringify(stdout));
});
