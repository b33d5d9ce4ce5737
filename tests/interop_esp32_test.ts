/** The profile "esp32" with programs that nobody here wrote: client programs at its server, its client at their servers. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { CERT_REQUIRED, SSLError } from "../mod.ts";
import { httpHandler, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import { curl, identity, micropythonClient, opensslClient, opensslServer, pythonClient } from "./peers.ts";

/** What MicroPython on the board agrees on with everybody: its own first suite that the key allows. */
const SUITES = { ec: "ECDHE-ECDSA-AES256-GCM-SHA384", rsa: "ECDHE-RSA-AES256-GCM-SHA384" };

for (const key of ["ec", "rsa"] as const) {
  const options = { identity: key, profile: "esp32" };

  Deno.test(`profile: openssl and python at an esp32 server with ${key}.pem`, async () => {
    await using server = await tlsioServer(options);
    const { port } = server;
    const openssl = await opensslClient({ port, ca: ROOTS, input: "ECHO 6 0\nhello\n", until: /^hello$/m });
    assertEquals([openssl.code, openssl.verifyCode, openssl.cipher], [0, 0, SUITES[key]], openssl.stderr);

    const python = await pythonClient({ port, ca: ROOTS, steps: ["ECHO 100000 7"], connections: 2 });
    assertEquals(python.connections.map(({ cipher, resumed }) => [cipher, resumed]), [
      [SUITES[key], false],
      [SUITES[key], false], // the device keeps no sessions
    ]);
    assert(python.connections.every(({ steps }) => steps.every(({ ok }) => ok)));
    assertEquals(server.failures, []);
  });

  Deno.test(`profile: MicroPython at an esp32 server with ${key}.pem`, async () => {
    await using server = await tlsioServer({
      ...options,
      handler: async (reader, writer) => {
        writer.write(await reader.readline());
        await writer.drain();
      },
    });
    const { error, cipher, line } = await micropythonClient({
      port: server.port,
      ca: ROOTS,
      hostname: "localhost",
    });
    assertEquals([error, cipher?.[1], line], [undefined, "TLSv1.2", "hello\n"]);
  });

  Deno.test(`profile: curl at an esp32 server with ${key}.pem`, async () => {
    await using server = await tlsioServer({ ...options, handler: httpHandler() });
    const sent = "0123456789".repeat(20_000);
    const post = ["--verbose", "--data-binary", "@-"];
    const { code, stdout, stderr } = await curl(`https://localhost:${server.port}/`, ROOTS, post, sent);
    assertEquals([code, stdout === sent], [0, true], stderr);
    assert(stderr.includes(`SSL connection using TLSv1.2 / ${SUITES[key]}`), stderr);
  });

  Deno.test(`profile: an esp32 client at openssl's server with ${key}.pem`, async () => {
    await using server = await opensslServer({ ...identity(key) });
    const socket = await tlsioClient(server.port, { profile: "esp32", certReqs: CERT_REQUIRED });
    assertEquals([socket.version(), socket.cipher()!.name], [
      "TLSv1.2",
      `TLS_${SUITES[key].replace("AES256", "WITH-AES-256").replaceAll("-", "_")}`,
    ]);
    await send(socket, "hello\n");
    assertEquals(await receive(socket, /\n/), "olleh\n");
    // The device says no goodbye: OpenSSL takes the end of the stream for an error.
    await socket.closeWrite();
    const error = await assertRejects(() => receive(socket), SSLError, "peer sent alert decode_error (50)");
    assertEquals(error.kind, "alert");
    await socket.close();
  });
}

Deno.test("profile: an esp32 server refuses a client of TLS 1.3 alone with the device's alert", async () => {
  await using server = await tlsioServer({ profile: "esp32" });
  const { code, stderr } = await opensslClient({ port: server.port, ca: ROOTS, tls: "1.3" });
  assertEquals(code, 1);
  assert(/alert handshake failure|alert number 40/.test(stderr), stderr); // mbedTLS without TLS 1.3: no suite in common
  const error = await server.failed();
  assertInstanceOf(error, SSLError);
  assertEquals(error.reason, "MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE");
});
