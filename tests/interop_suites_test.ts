/** Every cipher suite with certificates, in both directions; and which of them must be asked for by name. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SSLError } from "tlsio";
import { Core } from "tlsio/engine";
import { suitesOf } from "../lib/suites.ts";
import { cipherFamily, closeInOrder, ROOTS, tlsioClient, tlsioServer, VERSION } from "./interop.ts";
import { gnutlsClient, identity, opensslClient, opensslServer, runSteps } from "./peers.ts";

/** Every suite that OpenSSL has, those that it keeps back by default, too. */
const OPENSSL_ALL = [
  "-ciphersuites",
  [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
  ].join(":"),
  "-cipher",
  "ALL:@SECLEVEL=0",
];
const ECHO = { input: "ECHO 6 0\nhello\n", until: /^hello$/m };

// Static ECDH has no OpenSSL: interop_old_test.ts.
const suites = suitesOf(Core.shared()).map(({ name }) => name).filter((name) => !/PSK|_ECDH_/.test(name));

for (const suite of suites) {
  const tls = suite.includes("_WITH_") ? "1.2" : "1.3";
  const key = suite.includes("RSA_WITH") ? "rsa" : "ec";
  const only = { ciphers: [suite], sslVersion: VERSION[tls] };

  Deno.test(`interop openssl s_client -> tlsio ${suite}: agreed, bytes come back`, async () => {
    await using server = await tlsioServer({ ...only, identity: key });
    const client = await opensslClient({ port: server.port, ca: ROOTS, args: OPENSSL_ALL, ...ECHO });
    assertEquals([client.code, client.version], [0, `TLSv${tls}`], client.stderr);
    assertEquals(cipherFamily(client.cipher), cipherFamily(suite));
    assertMatch(client.stdout, /^hello$/m);
    const { ended, cipher, group } = (await server.served(1))[0]!;
    assertEquals([ended, cipher], ["eof", suite]);
    assertEquals(group === undefined, suite.startsWith("TLS_RSA_"));
  });

  Deno.test(`interop tlsio -> openssl s_server ${suite}: agreed, bytes come back`, async () => {
    await using server = await opensslServer({ ...identity(key), args: OPENSSL_ALL });
    const socket = await tlsioClient(server.port, only);
    assertEquals([socket.version(), socket.cipher()?.name], [`TLSv${tls}`, suite]);
    const [step] = await runSteps(socket, ["LINE hello"]);
    assertEquals(step?.line, "olleh");
    await closeInOrder(socket);
    const theirs = server.program.stderr.match(/^Ciphersuite: (.*)$/m)?.[1];
    assertEquals(cipherFamily(theirs), cipherFamily(suite));
  });
}

Deno.test("interop gnutls-cli -> tlsio CCM, TLS 1.3 and 1.2: agreed, bytes come back", async () => {
  await using server = await tlsioServer();
  for (const [version, cipher] of [["1.3", "AES-128-CCM"], ["1.2", "AES-256-CCM"]]) {
    const priority = `NONE:+VERS-TLS${version}:+${cipher}:+AEAD:+ECDHE-ECDSA:+SIGN-ALL:+GROUP-ALL`;
    const client = await gnutlsClient({ port: server.port, ca: ROOTS, priority, ...ECHO });
    assertEquals([client.code, client.cipher], [0, cipher], client.stderr);
    assertMatch(client.stdout, /^hello$/m);
  }
});

// ---- Which one is taken, and which ones are not ---------------------------------------------------------

for (const tls of ["1.2", "1.3"] as const) {
  const slow = ["-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"];
  const slower = ["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"];
  for (const preferClientOrder of [false, true]) {
    // mbedTLS's TLS 1.3 server always goes by the client's order.
    const [who, expected] = preferClientOrder || tls === "1.3"
      ? ["client", "AES256GCM"]
      : ["server", "CHACHA20"];
    Deno.test(`interop openssl s_client -> tlsio TLSv${tls} preferClientOrder ${preferClientOrder}: the ${who}'s order decides`, async () => {
      await using server = await tlsioServer({ preferClientOrder });
      const client = await opensslClient({ port: server.port, ca: ROOTS, tls, args: [...slow, ...slower] });
      assertEquals(cipherFamily(client.cipher), expected);
    });
  }
}

const NOT_BY_DEFAULT = {
  "RSA key exchange": { cipher: "AES128-GCM-SHA256", key: "rsa" },
  "a truncated tag (CCM_8)": { cipher: "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", key: "ec" },
  "finite-field DHE": { cipher: "DHE-RSA-AES128-GCM-SHA256", key: "rsa" },
  "NULL encryption": { cipher: "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", key: "ec" },
} as const;

for (const [what, { cipher, key }] of Object.entries(NOT_BY_DEFAULT)) {
  const args = ["-cipher", cipher];

  Deno.test(`interop openssl s_client -> tlsio with ${what} only: alert handshake_failure`, async () => {
    await using server = await tlsioServer({ identity: key });
    const client = await opensslClient({ port: server.port, ca: ROOTS, tls: "1.2", args });
    assertEquals(client.version, undefined);
    assertMatch(client.stderr, /alert handshake failure/);
    const error = await server.failed() as SSLError;
    assertEquals([error.kind, error.reason], ["protocol", "MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE"]);
  });

  Deno.test(`interop tlsio -> openssl s_server with ${what} only: the server's alert is the error`, async () => {
    await using server = await opensslServer({ ...identity(key), tls: "1.2", args });
    const error = await assertRejects(() => tlsioClient(server.port), SSLError);
    assertEquals([error.kind, error.alert?.name], ["alert", "handshake_failure"]);
  });
}

Deno.test("interop openssl s_client -> tlsio TLS 1.1 only: alert protocol_version", async () => {
  await using server = await tlsioServer();
  const args = ["-no_tls1_2", "-no_tls1_3", "-cipher", "ALL:@SECLEVEL=0"];
  const client = await opensslClient({ port: server.port, ca: ROOTS, args });
  assertMatch(client.stderr, /alert protocol version/);
  const error = await server.failed() as SSLError;
  assertEquals([error.kind, error.reason], ["protocol", "MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION"]);
});

for (const [ours, theirs] of [["1.2", "1.3"], ["1.3", "1.2"]] as const) {
  Deno.test(`interop tlsio TLSv${ours} only, openssl TLSv${theirs} only: an alert says so, both ways`, async () => {
    await using server = await tlsioServer({ sslVersion: VERSION[ours] });
    const client = await opensslClient({ port: server.port, ca: ROOTS, tls: theirs });
    // A server of TLS 1.2 alone does not know supported_versions: what it finds missing is a suite.
    assertMatch(client.stderr, ours === "1.2" ? /alert handshake failure/ : /alert protocol version/);
    assertEquals((await server.failed() as SSLError).kind, "protocol");

    await using host = await opensslServer({ ...identity("ec"), tls: theirs });
    const error = await assertRejects(
      () => tlsioClient(host.port, { sslVersion: VERSION[ours] }),
      SSLError,
    );
    assertEquals([error.kind, error.alert?.name], ["alert", "protocol_version"]);
  });
}
