/** Old and small peers: what must be chosen by name, with peers that can still speak it; and that a default server refuses it. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SSLError, TLSVersion } from "tlsio";
import { Core } from "tlsio/engine";
import { defaultSuites, suiteIds, suitesOf } from "../lib/suites.ts";
import { cipherFamily, closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import {
  certFile,
  identity,
  nssClient,
  nssServer,
  opensslClient,
  opensslServer,
  run,
  runSteps,
  tempDir,
} from "./peers.ts";

const core = Core.shared();
/** Every suite that OpenSSL has, by all of its names. */
const OPENSSL_SUITES = await run("openssl", [
  ...["ciphers", "-stdname", "-s", "-psk", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"],
  "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
]);
const ECHO = { input: "ECHO 6 0\nhello\n", until: /^hello$/m };

// ---- Static ECDH ----------------------------------------------------------------------------------------

// OpenSSL dropped it in 1.1.0; GnuTLS, Go and rustls never had it. Of the programs that peers.sh installs, only NSS's
// have it, and only these four suites: old_peers_test.ts tries the eight with SHA-256, SHA-384 or GCM between two ends
// of ours.
const STATIC_ECDH = Object.entries({ ecdh: "ECDSA", "ecdh-rsa": "RSA" }).flatMap(([key, signature]) =>
  [128, 256].map((bits) => ({ key, suite: `TLS_ECDH_${signature}_WITH_AES_${bits}_CBC_SHA`, bits }))
);

for (const { key, suite, bits } of STATIC_ECDH) {
  const suites = suiteIds(core, [suite]);

  Deno.test(`ciphers: ${suite}: NSS tstclnt -> tlsio, bytes come back`, async () => {
    await using server = await tlsioServer({ identity: key, ciphers: [suite] });
    const client = await nssClient({ port: server.port, ca: ROOTS, suites, ...ECHO });
    assertEquals([client.version, client.cipher], ["TLSv1.2", `${bits}-bit AES with 160-bit SHA1 MAC`]);
    assertMatch(client.stderr, /Key Exchange: 256-bit ECDH$/m);
    assertMatch(client.stdout, /^hello$/m);
    assertEquals((await server.served(1))[0]?.cipher, suite);
  });

  Deno.test(`ciphers: ${suite}: tlsio -> NSS selfserv, bytes come back`, async () => {
    await using server = await nssServer({ ...identity(key), suites });
    const socket = await tlsioClient(server.port, { ciphers: [suite] });
    assertEquals([socket.version(), socket.cipher()?.name, socket.group()], ["TLSv1.2", suite, "secp256r1"]);
    await send(socket, "GET /hello HTTP/1.0\r\n\r\n");
    assertMatch(await receive(socket, /EOF/), /^GET \/hello HTTP\/1.0\r$/m);
    await closeInOrder(socket);
  });
}

Deno.test("ciphers: static ECDH: openssl knows no such suite, which is why NSS is the peer", () => {
  assertMatch(OPENSSL_SUITES.stdout, /^TLS_RSA_WITH_/m);
  assertEquals(OPENSSL_SUITES.stdout.match(/TLS_ECDH_(?!anon).*/), null);
});

// ---- CBC without encrypt-then-MAC -------------------------------------------------------------------------

// Peers of today agree on encrypt-then-MAC (RFC 7366); old ones MAC first, which is the code that Lucky 13 is about.
const CBC = {
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA256: "AES256-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384: "ECDHE-RSA-AES256-SHA384",
};

for (const [suite, theirs] of Object.entries(CBC)) {
  const args = ["-no_etm", "-cipher", `${theirs}:@SECLEVEL=0`];

  Deno.test(`ciphers: ${suite} without encrypt-then-MAC: openssl <-> tlsio, every length of padding`, async () => {
    await using server = await tlsioServer({ identity: "rsa", ciphers: [suite] });
    const client = await opensslClient({ port: server.port, ca: ROOTS, args, ...ECHO });
    assertEquals([client.code, cipherFamily(client.cipher)], [0, cipherFamily(suite)], client.stderr);
    assertMatch(client.stdout, /^hello$/m);

    await using host = await opensslServer({ ...identity("rsa"), args });
    const socket = await tlsioClient(host.port, { ciphers: [suite] });
    assertEquals(socket.cipher()?.name, suite);
    for (let length = 1; length <= 33; length++) {
      const line = "0123456789abcdefghijklmnopqrstuvwxyz".slice(0, length);
      const [step] = await runSteps(socket, [`LINE ${line}`]);
      assertEquals(step?.line, [...line].reverse().join(""));
    }
    await closeInOrder(socket);
  });
}

// ---- An old device, whole -----------------------------------------------------------------------------------

Deno.test("ciphers, sslVersion, maxFragmentLength, minRsaBits: tlsio -> a device as openssl plays it, all at once", async () => {
  await using device = await opensslServer({
    ...identity("rsa1024"),
    tls: "1.2",
    args: ["-no_etm", "-no_ticket", "-cipher", "AES128-SHA:@SECLEVEL=0"],
  });
  await assertRejects(() => tlsioClient(device.port), SSLError, "handshake_failure");
  const ciphers = ["TLS-RSA-WITH-AES-128-CBC-SHA"]; // mbedTLS's spelling
  const old = { ciphers, sslVersion: TLSVersion.TLSv1_2, maxFragmentLength: 512 } as const;
  await assertRejects(() => tlsioClient(device.port, old), SSLError, "unacceptable key");
  const socket = await tlsioClient(device.port, { ...old, minRsaBits: 1024 });
  assertEquals([socket.cipher()?.name, socket.verifyFlags], ["TLS_RSA_WITH_AES_128_CBC_SHA", 0]);
  const line = "0123456789".repeat(200);
  assertEquals((await runSteps(socket, [`LINE ${line}`]))[0]?.line, [...line].reverse().join(""));
  await closeInOrder(socket);
});

Deno.test("sigalgs: rsa_pkcs1_sha1: tlsio -> an openssl s_server that can sign with nothing better", async () => {
  const args = ["-sigalgs", "RSA+SHA1", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"];
  await using server = await opensslServer({ ...identity("rsa"), tls: "1.2", args });
  await assertRejects(() => tlsioClient(server.port), SSLError, "handshake_failure");
  const sigalgs = ["rsa_pkcs1_sha256", "rsa_pkcs1_sha1"];
  const socket = await tlsioClient(server.port, { sigalgs, sslVersion: TLSVersion.TLSv1_2 });
  assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
  await closeInOrder(socket);
});

Deno.test("caCerts: X.509 version 1, with its name in the CN: tlsio -> openssl, once allowCommonName is set", async () => {
  await using dir = await tempDir();
  const [csr, cert, ca] = [`${dir.path}/v1.csr`, `${dir.path}/v1.pem`, certFile("root")];
  const { key } = identity("ec");
  await run("openssl", ["req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", csr]);
  const by = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-set_serial", "1", "-days", "2"];
  await run("openssl", ["x509", "-req", "-in", csr, ...by, "-out", cert]);
  assertMatch((await run("openssl", ["x509", "-in", cert, "-noout", "-text"])).stdout, /Version: 1 /);
  await using server = await opensslServer({ cert, key });
  await assertRejects(() => tlsioClient(server.port), SSLError, 'the certificate is not for "localhost"');
  const socket = await tlsioClient(server.port, { allowCommonName: true });
  assertEquals(socket.verifyFlags, 0);
  await closeInOrder(socket);
});

// ---- None of it by default --------------------------------------------------------------------------------

const chosen = new Set(defaultSuites(core, false));
const WEAK = suitesOf(core).filter(({ id, name }) => !chosen.has(id) && !name.includes("PSK"));

Deno.test("ciphers: a default server refuses each other suite that openssl or NSS can offer: alert handshake_failure", async () => {
  const offers = [...OPENSSL_SUITES.stdout.matchAll(/^(TLS_\S+) +- (\S+)/gm)].map(([, name, theirs]) => ({
    name: name!,
    theirs: theirs!,
    ours: suitesOf(core).find((suite) => suite.name === name),
  })).filter(({ name, ours }) => !/PSK|SRP/.test(name) && !(ours && chosen.has(ours.id)));
  assert(offers.length > 40);
  for (const key of ["rsa", "ec"]) {
    await using server = await tlsioServer({ identity: key });
    for (const { name, theirs } of offers) {
      const is13 = !name.includes("_WITH_");
      const args = is13 ? ["-ciphersuites", theirs] : ["-cipher", `${theirs}:@SECLEVEL=0`];
      const client = await opensslClient({ port: server.port, tls: is13 ? "1.3" : "1.2", args });
      assertEquals(client.cipher, undefined, name);
      assertMatch(client.stderr, /alert handshake failure/, `${name}: ${client.stderr}`);
    }
    assertEquals(server.failures.length, offers.length);
  }
  await using server = await tlsioServer({ identity: "ecdh" });
  for (const { suite } of STATIC_ECDH) {
    const client = await nssClient({
      port: server.port,
      ca: ROOTS,
      suites: suiteIds(core, [suite]),
      ...ECHO,
    });
    assertMatch(client.stderr, /SSL_ERROR_NO_CYPHER_OVERLAP/);
  }
  assertEquals(server.failures.length, STATIC_ECDH.length);
  // All of ours were among them, but for those that nobody else has: old_peers_test.ts tries those.
  const tried = new Set(offers.map(({ name }) => name));
  const untried = WEAK.map(({ name }) => name).filter((name) => !tried.has(name));
  assertEquals(untried.filter((name) => !name.startsWith("TLS_ECDH_")), []);
});

Deno.test("psk: a default server refuses each weaker suite with a pre-shared key that openssl can offer: alert handshake_failure", async () => {
  const psk = { identity: "device-7", key: new Uint8Array(32).fill(7) };
  const usual = new Set(defaultSuites(core, true));
  const offers = [...OPENSSL_SUITES.stdout.matchAll(/^(TLS_\S+PSK\S+) +- (\S+)/gm)]
    .filter(([, name]) => !suitesOf(core).some((suite) => suite.name === name && usual.has(suite.id)));
  assert(offers.length > 30);
  await using server = await tlsioServer({ psk, identity: "rsa" });
  for (const [, name, theirs] of offers) {
    const keys = ["-psk_identity", psk.identity, "-psk", psk.key.toHex()];
    const args = [...keys, "-cipher", `${theirs}:@SECLEVEL=0`];
    const client = await opensslClient({ port: server.port, tls: "1.2", args });
    assertMatch(client.stderr, /alert handshake failure/, `${name}: ${client.stderr}`);
  }
  assertEquals(server.failures.length, offers.length);
});
