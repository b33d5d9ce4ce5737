/** Pre-shared keys (RFC 4279, RFC 8446 section 4.2.11), in both directions. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SSLError } from "tlsio";
import { Core } from "tlsio/engine";
import { suitesOf } from "../lib/suites.ts";
import { closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer, VERSION } from "./interop.ts";
import {
  gnutlsClient,
  gnutlsServer,
  identity,
  opensslClient,
  opensslServer,
  runSteps,
  tempDir,
} from "./peers.ts";

const KEY = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
const PSK = { identity: "device-7", key: Uint8Array.fromHex(KEY) };
const OPENSSL = ["-psk", KEY, "-psk_identity", PSK.identity];
const ANY_PSK = ["-cipher", "ALL:PSK:@SECLEVEL=0"];
const INFO = { input: "INFO\n", until: /^\{.*\}$/m };
const VERSIONS = ["1.2", "1.3"] as const;

/** OpenSSL needs a certificate file even where no certificate is used. */
const HOST = { ...identity("rsa"), args: [...OPENSSL, ...ANY_PSK] };

for (const tls of VERSIONS) {
  Deno.test(`interop openssl s_client -psk -> tlsio TLSv${tls}: agreed without a certificate, then resumed`, async () => {
    await using dir = await tempDir();
    await using server = await tlsioServer({ psk: PSK });
    const at = { port: server.port, tls, args: HOST.args };
    const session = `${dir.path}/session`;
    const first = await opensslClient({ ...at, sessionOut: session });
    assertEquals([first.code, first.version], [0, `TLSv${tls}`], first.stderr);
    assertMatch(first.stdout, /^no peer certificate available$/m);
    const again = await opensslClient({ ...at, ...INFO, sessionIn: session });
    assertEquals([again.code, again.resumed], [0, true]);
    const served = await server.served(2);
    assertEquals(served.map(({ resumed, ended }) => [resumed, ended]), [[false, "eof"], [true, "eof"]]);
  });

  Deno.test(`interop tlsio -> openssl s_server -psk TLSv${tls}: agreed without a certificate, then resumed`, async () => {
    await using server = await opensslServer({ ...HOST, tls });
    const first = await tlsioClient(server.port, { psk: PSK });
    assertEquals((await runSteps(first, ["LINE hello"]))[0]?.line, "olleh");
    assertEquals([first.version(), first.sessionReused, first.getpeercert()], [
      `TLSv${tls}`,
      false,
      undefined,
    ]);
    const savedSession = first.session!;
    await closeInOrder(first);
    const again = await tlsioClient(server.port, { psk: PSK, savedSession });
    assertEquals((await runSteps(again, ["LINE hello"]))[0]?.line, "olleh");
    assertEquals(again.sessionReused, true);
    await closeInOrder(again);
  });

  const priority = `NORMAL:-VERS-ALL:+VERS-TLS${tls}:-KX-ALL:+ECDHE-PSK:+PSK`;

  if (tls === "1.3") { // gnutls-cli 3.7.9 crashes after any TLS 1.2 handshake with a PSK
    Deno.test(`interop gnutls-cli PSK -> tlsio TLSv${tls}: agreed`, async () => {
      await using server = await tlsioServer({ psk: PSK });
      const args = ["--pskusername", PSK.identity, "--pskkey", KEY];
      const client = await gnutlsClient({ port: server.port, priority, args, ...INFO });
      assertEquals([client.code, client.version], [0, `TLSv${tls}`], client.stderr);
      assertEquals((await server.served(1))[0]?.ended, "eof");
    });
  }

  Deno.test(`interop tlsio -> gnutls-serv PSK TLSv${tls}: agreed`, async () => {
    await using dir = await tempDir();
    const keys = `${dir.path}/keys`;
    await Deno.writeTextFile(keys, `${PSK.identity}:${KEY}\n`);
    await using host = await gnutlsServer({ ...identity("ec"), priority, args: ["--pskpasswd", keys] });
    const socket = await tlsioClient(host.port, { psk: PSK });
    await send(socket, "hello\n");
    assertEquals(await receive(socket, /\n/), "hello\n");
    assertEquals(socket.version(), `TLSv${tls}`);
    await closeInOrder(socket);
  });

  const WRONG = {
    key: { ...PSK, key: new Uint8Array(32) },
    identity: { ...PSK, identity: "device-8" },
  };
  for (const [what, psk] of Object.entries(WRONG)) {
    Deno.test(`interop openssl s_client -psk -> tlsio TLSv${tls} wrong ${what}: both ends fail`, async () => {
      await using server = await tlsioServer({ psk });
      const client = await opensslClient({ port: server.port, tls, args: HOST.args });
      assertEquals(client.code, 1);
      assertMatch(client.stderr, /SSL alert number \d+/);
      const error = await server.failed() as SSLError;
      assert(error.kind === "protocol", error.message);
    });

    if (what === "identity" && tls === "1.2") continue; // s_server takes any
    // In TLS 1.3 it falls back to its certificate when it does not know the identity; tlsio with psk does not.
    const kind = what === "identity" ? "protocol" : "alert";
    Deno.test(`interop tlsio -> openssl s_server -psk TLSv${tls} wrong ${what}: refused, kind ${kind}`, async () => {
      await using server = await opensslServer({ ...HOST, tls });
      const error = await assertRejects(() => tlsioClient(server.port, { psk }), SSLError);
      assertEquals(error.kind, kind, error.message);
    });
  }
}

Deno.test("interop openssl s_client without -psk -> tlsio with psk and no certificate: an alert says so", async () => {
  await using server = await tlsioServer({ psk: PSK });
  for (const tls of VERSIONS) {
    const client = await opensslClient({ port: server.port, tls });
    assertMatch(client.stderr, tls === "1.2" ? /alert handshake failure/ : /alert missing extension/);
  }
  assertEquals((await server.failed(2) as SSLError).kind, "protocol");
});

const suites = suitesOf(Core.shared()).map(({ name }) => name).filter((name) => name.includes("PSK"));

for (const suite of suites) {
  // RSA_PSK is both: the key, and the server's certificate.
  const certified = suite.startsWith("TLS_RSA_PSK");
  const only = { psk: PSK, ciphers: [suite], sslVersion: VERSION["1.2"] };

  Deno.test(`interop openssl <-> tlsio ${suite}: agreed in both directions`, async () => {
    await using server = await tlsioServer({ ...only, ...(certified && { identity: "rsa" }) });
    const client = await opensslClient({ port: server.port, args: HOST.args, ...INFO });
    assertEquals(client.code, 0, client.stderr);
    assertEquals((await server.served(1))[0]?.cipher, suite);

    await using host = await opensslServer(HOST);
    const socket = await tlsioClient(host.port, { ...only, ...(certified && { caCerts: ROOTS }) });
    assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
    assertEquals([socket.cipher()?.name, socket.getpeercert() !== undefined], [suite, certified]);
    await closeInOrder(socket);
  });
}
