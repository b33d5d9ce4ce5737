/** tlsio/ussl and MicroPython 1.25 itself, each as client and as server. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { poll, POLLIN, POLLOUT, socket } from "../socket.ts";
import { SSLError, type SSLSocket, wrap_socket } from "../ussl.ts";
import { certFile, identity, micropythonClient, micropythonServer } from "./peers.ts";
import { test } from "./sockets.ts";
import { text } from "./tcp_sockets.ts";
import { CLIENT, DEFER, events, pollLine, serving, thrown, WAIT } from "./ussl_helpers.ts";

const ROOT = certFile("root.pem");
const CERTIFICATE = Deno.readFileSync(certFile("ec.der"));
const TRUSTING = { ca: ROOT, hostname: "localhost" };
const VERSIONS = { "TLSv1.2": 0x0303, "TLSv1.3": 0x0304 } as const;
const ALERT = [-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"] as const;
const NO_CERTIFICATE = [-29824, "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"] as const;

/** Gives back a line in capitals, and more, and closes. */
async function answer(server: SSLSocket, more: Uint8Array): Promise<void> {
  await server.write(text(await server.readline())!.toUpperCase());
  await server.write(more);
  await server.close();
}

for (const [version, ssl_version] of Object.entries(VERSIONS)) {
  for (const deferred of [false, true]) {
    const how = deferred ? "deferred and polling" : "blocking";
    test(`wrap_socket(): MicroPython's client, ${how}, ${version}`, async () => {
      const [listener, [, port]] = await serving({ ssl_version });
      await using _ = listener;
      const client = micropythonClient({ ...TRUSTING, port, deferred, line: "21 degrees", read: true });
      const [server] = await listener.accept();
      await answer(server, new Uint8Array(100_000));
      const { line, rest, peer, cipher } = await client;
      assertEquals([line, rest], ["21 DEGREES\n", 100_000]);
      assertEquals(peer, CERTIFICATE.length);
      assertEquals(cipher, server.cipher());
      assertEquals(server.version(), version);
    });

    test(`wrap_socket(): MicroPython's server, ${how}, ${version}`, async () => {
      await using peer = await micropythonServer({ ...identity("ec"), deferred });
      await using client = await wrap_socket(socket(), { ...CLIENT, ssl_version });
      await client.connect(["127.0.0.1", peer.port]);
      await client.write("21 degrees\n");
      assertEquals(text(await client.readline()), "21 DEGREES\n");
      assertEquals(client.getpeercert(true), CERTIFICATE);
      await client.write("bye\n");
      assertEquals((await client.read())!.length, 0); // it says no goodbye
      assertEquals(await peer.closed(), { event: "closed", lines: 1, cipher: client.cipher()! } as object);
    });

    test(`Poll.poll(): of SSL sockets with MicroPython at the other end, ${how}, ${version}`, async () => {
      await using peer = await micropythonServer({ ...identity("ec"), deferred });
      const sock = socket();
      await using client = await wrap_socket(sock, { ...CLIENT, ssl_version, ...DEFER });
      client.setblocking(false);
      await assertRejects(() => client.connect(["127.0.0.1", peer.port]), Error, "in progress");
      assertEquals(await pollLine(client, "polling\n"), "POLLING\n");
      assertEquals(client.version(), version);

      const [listener, [, port]] = await serving({ ssl_version, ...DEFER });
      await using _ = listener;
      const theirs = micropythonClient({ ...TRUSTING, port, deferred, line: "one" });
      assertEquals(await events(listener, POLLIN), POLLIN);
      const [server] = await listener.accept();
      server.setblocking(false);
      const poller = poll();
      poller.register(server, POLLIN);
      let line = "";
      while (!line.endsWith("\n")) {
        assertEquals((await poller.poll(WAIT)).length, 1);
        line += text(await server.read(1)) ?? "";
      }
      poller.modify(server, POLLOUT);
      assertEquals(await poller.poll(WAIT), [[server, POLLOUT]]);
      assertEquals(await server.write("two\n"), 4);
      assertEquals((await theirs).line, "two\n");
      await server.close();
    });
  }

  test(`SSLError: MicroPython does not accept our certificate, ${version}`, async () => {
    const [listener, [, port]] = await serving({ ssl_version });
    await using _ = listener;
    const wrong = micropythonClient({ ca: ROOT, hostname: "example.com", port });
    assertEquals(await thrown(() => listener.accept()), ALERT);
    const { error, args } = await wrong;
    assertEquals(error, "ValueError");
    assertMatch(String(args![0]), /Common Name \(CN\) does not match/);

    const unknown = micropythonClient({ ca: certFile("root-rsa.pem"), hostname: "localhost", port });
    assertEquals(await thrown(() => listener.accept()), ALERT);
    assertMatch(String((await unknown).args![0]), /not correctly signed by the trusted CA/);
  });

  test(`SSLError: we do not accept MicroPython's certificate, ${version}`, async () => {
    await using peer = await micropythonServer(identity("expired"));
    const client = await wrap_socket(socket(), { ...CLIENT, ssl_version });
    const error = await assertRejects(() => client.connect(["127.0.0.1", peer.port]), SSLError);
    assertEquals(error.args, [-9984, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"]);
    assertEquals([error.verify_flags, error.verify_message], [1, "The certificate validity has expired"]);
    assertEquals((await peer.closed()).args![0], ALERT[0]);
    await client.close();
  });

  test(`SSLError: MicroPython's client has no certificate, ${version}`, async () => {
    const [listener, [, port]] = await serving({
      ssl_version,
      cert_reqs: CLIENT.cert_reqs,
      ca_certs: ROOT,
      ...DEFER,
    });
    await using _ = listener;
    const without = micropythonClient({ ...TRUSTING, port });
    const [server] = await listener.accept();
    assertEquals(await thrown(() => server.read(1)), NO_CERTIFICATE); // in the first read
    await server.close();
    assertEquals((await without).args![0], ALERT[0]);

    const having = micropythonClient({ ...TRUSTING, port, ...identity("client") });
    const [good] = await listener.accept();
    assertEquals(text(await good.readline()), "hello\n");
    assert(good.getpeercert(true) !== null);
    await good.write("HELLO\n");
    await good.close();
    assertEquals((await having).line, "HELLO\n");
  });

  test(`SSLError: MicroPython's server wants a certificate, ${version}`, async () => {
    await using peer = await micropythonServer({ ...identity("ec"), ca: ROOT, deferred: true });
    const without = await wrap_socket(socket(), { ...CLIENT, ssl_version });
    const failing = async () => {
      await without.connect(["127.0.0.1", peer.port]);
      await without.write("hello\n");
      await without.readline();
    };
    // As a TLS 1.3 server, mbedTLS sends this alert under keys that the client has left already.
    const expected = version === "TLSv1.2" ? ALERT : [-29056, "MBEDTLS_ERR_SSL_INVALID_MAC"] as const;
    assertEquals(await thrown(failing), expected);
    await without.close();
    assertEquals((await peer.closed()).args![0], NO_CERTIFICATE[0]);

    const { cert, key } = identity("client");
    await using having = await wrap_socket(socket(), {
      ...CLIENT,
      certfile: cert,
      keyfile: key,
      ssl_version,
    });
    await having.connect(["127.0.0.1", peer.port]);
    await having.write("hello\n");
    assertEquals(text(await having.readline()), "HELLO\n");
    await having.write("bye\n");
  });

  test(`suppress_ragged_eofs: MicroPython ends without a goodbye, ${version}`, async () => {
    await using peer = await micropythonServer(identity("ec"));
    for (const suppress_ragged_eofs of [true, false]) {
      const options = { ...CLIENT, ssl_version, suppress_ragged_eofs };
      await using client = await wrap_socket(socket(), options);
      await client.connect(["127.0.0.1", peer.port]);
      await client.write("x\nbye\n");
      assertEquals(text(await client.readline()), "X\n");
      if (suppress_ragged_eofs) assertEquals(text(await client.read()), "");
      else assertEquals(await thrown(() => client.read()), [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"]);
    }
  });
}

test("wrap_socket(): plain text of MicroPython's is -29184 to us, and ours to it", async () => {
  const [listener, [, port]] = await serving();
  await using _ = listener;
  const plain = socket();
  await plain.connect(["127.0.0.1", port]);
  await plain.sendall("GET / HTTP/1.0\r\n\r\n");
  assertEquals(await thrown(() => listener.accept()), [-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"]);
  await plain.close();

  const http = socket();
  http.bind(["127.0.0.1", 0]);
  http.listen(1);
  const client = micropythonClient({ port: http.localAddr!.port });
  const [conn] = await http.accept();
  await conn.sendall("HTTP/1.0 400 Bad Request\r\n\r\n");
  assertEquals((await client).args![0], -29184);
  for (const one of [conn, http]) await one.close();
});
