/** What a connection says of itself, against what CPython, OpenSSL and Node say of the same one. */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { getServerCertificate, SSLError, type SSLSocket, TLSVersion } from "tlsio";
import { closeInOrder, python, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import {
  certFile,
  gnutlsServer,
  identity,
  listening,
  opensslClient,
  opensslServer,
  Program,
  pythonServer,
  run,
} from "./peers.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const NUMBER = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 };

const UNIQUE = `context = ssl.create_default_context(cafile=ca)
context.maximum_version = ssl.TLSVersion.TLSv1_2
found, session = [], None
for i in range(2):
    with connect(context, session=session) as sock:
        found.append([sock.get_channel_binding("tls-unique").hex(), sock.session_reused])
        session = sock.session
        sock.unwrap()
print(json.dumps(found))`;

Deno.test('getChannelBinding: "tls-unique" is CPython\'s, full and resumed (server)', async () => {
  const ours: [string, boolean][] = [];
  await using server = await tlsioServer({
    handler: async (reader, _writer, socket) => {
      ours.push([socket.getChannelBinding("tls-unique").toHex(), socket.sessionReused]);
      await reader.read();
    },
  });
  assertEquals(await python(UNIQUE, server.port), ours);
  assertEquals(ours.map(([, reused]) => reused), [false, true]);
  assertEquals(new Set(ours.map(([binding]) => binding)).size, 2);
});

/** A TLS 1.2 server in Python that says what its "tls-unique" is. */
const UNIQUE_SERVER = `import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.maximum_version = ssl.TLSVersion.TLSv1_2
with socket.create_server(("127.0.0.1", 0)) as listener:
    print("port", listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(tls.get_channel_binding("tls-unique"))
            while tls.recv(100): pass
            tls.unwrap()`;

Deno.test('getChannelBinding: "tls-unique" is CPython\'s, full and resumed (client)', async () => {
  const { cert, key } = identity("ec");
  await using server = await listening(
    new Program("python3", ["-c", UNIQUE_SERVER, cert, key]),
    /^port (\d+)$/m,
  );
  let savedSession: SSLSocket["session"];
  for (const reused of [false, true]) {
    const socket = await tlsioClient(server.port, savedSession && { savedSession });
    const theirs = new Uint8Array(12);
    assertEquals(await socket.read(theirs), 12);
    assertEquals([socket.sessionReused, socket.getChannelBinding("tls-unique")], [reused, theirs]);
    savedSession = socket.session;
    await closeInOrder(socket);
  }
});

for (const tls of VERSIONS) {
  for (const name of ["ec", "p384", "sha1"]) {
    const signed = { ec: "SHA-256", p384: "SHA-256", sha1: "SHA-256" }[name]!; // never SHA-1
    Deno.test(`getChannelBinding: "tls-server-end-point" of ${name}.pem is OpenSSL's digest of it (TLSv${tls})`, async () => {
      const { cert, key } = name === "sha1"
        ? { ...identity("ec"), cert: certFile("sha1.pem") }
        : identity(name);
      const options = { sslVersion: NUMBER[tls], certReqs: 0 } as const;
      const bindings: Uint8Array[] = [];
      await using server = await tlsioServer({
        certfile: cert,
        keyfile: key,
        handler: async (reader, _writer, socket) => {
          bindings.push(socket.getChannelBinding("tls-server-end-point"));
          await reader.read();
        },
      });
      const socket = await tlsioClient(server.port, options);
      bindings.push(socket.getChannelBinding("tls-server-end-point"));
      await closeInOrder(socket);
      const digest = signed.replace("-", "").toLowerCase();
      const { stdout } = await run("openssl", ["x509", "-in", cert, "-noout", "-fingerprint", `-${digest}`]);
      const expected = stdout.trim().split("=")[1]!.replaceAll(":", "").toLowerCase();
      await server.served(1);
      assertEquals(bindings.map((binding) => binding.toHex()), [expected, expected]);
    });
  }

  Deno.test(`getChannelBinding: "tls-server-end-point" is gnutls-serv's own (TLSv${tls})`, async () => {
    await using server = await gnutlsServer({ ...identity("rsa"), tls });
    const socket = await tlsioClient(server.port);
    await send(socket, "hello\n");
    await receive(socket, /\n/);
    const ours = socket.getChannelBinding("tls-server-end-point").toHex();
    const [, theirs] = await server.program.waitFor(/'tls-server-end-point': ([0-9a-f]{64})/);
    assertEquals(ours, theirs);
    await closeInOrder(socket);
  });

  Deno.test(`getEphemeralKeyInfo: the name and size that Node says (TLSv${tls})`, async () => {
    const names = {
      x25519: "X25519",
      secp256r1: "prime256v1",
      secp384r1: "secp384r1",
      secp521r1: "secp521r1",
    };
    for (const [group, theirName] of Object.entries(names)) {
      const ours: unknown[] = [];
      await using server = await tlsioServer({
        groups: [group],
        handler: async (reader, _writer, socket) => {
          ours.push(socket.getEphemeralKeyInfo());
          await reader.read();
        },
      });
      const script = `const [port, ca, version] = process.argv.slice(1);
const s = require("tls").connect({ port: +port, host: "127.0.0.1", servername: "localhost",
  ca: require("fs").readFileSync(ca), minVersion: version, maxVersion: version,
  ecdhCurve: "X25519:P-256:P-384:P-521" }, () => {
  console.log(JSON.stringify(s.getEphemeralKeyInfo()));
  s.end();
}).resume();`;
      const { stdout, stderr } = await run("node", ["-e", script, String(server.port), ROOTS, `TLSv${tls}`]);
      const { type, name, size } = JSON.parse(stdout || "{}");
      assertEquals([type, name], ["ECDH", theirName], stderr);
      assertEquals(ours, [{ type, name: group, size }]);
    }
  });

  // ---- Signatures ----

  /** OpenSSL's names of a signature's key and hash. */
  const SCHEMES: [string, "ec" | "rsa" | "p384", string, string][] = [
    ["ecdsa_secp256r1_sha256", "ec", "ECDSA", "SHA256"],
    ["ecdsa_secp384r1_sha384", "p384", "ECDSA", "SHA384"],
    ["rsa_pss_rsae_sha256", "rsa", "RSA-PSS", "SHA256"],
    ["rsa_pss_rsae_sha512", "rsa", "RSA-PSS", "SHA512"],
    ...(tls === "1.2"
      ? [["rsa_pkcs1_sha256", "rsa", "RSA", "SHA256"], ["rsa_pkcs1_sha384", "rsa", "RSA", "SHA384"]] as [
        string,
        "rsa",
        string,
        string,
      ][]
      : []),
  ];
  for (const [scheme, name, type, hash] of SCHEMES) {
    // mbedTLS makes no PSS signatures in TLS 1.2 (ssl_tls12_server.c takes mbedtls_pk_sign, which is PKCS#1 for RSA).
    if (tls === "1.2" && type === "RSA-PSS") continue;
    Deno.test(`serverSigalg: ${scheme} is what openssl s_client says of our signature (TLSv${tls})`, async () => {
      const ours: unknown[] = [];
      await using server = await tlsioServer({
        identity: name,
        handler: async (reader, _writer, socket) => {
          ours.push([socket.serverSigalg(), socket.clientSigalg()]);
          await reader.read();
        },
      });
      const { stdout } = await opensslClient({
        port: server.port,
        ca: ROOTS,
        tls,
        args: ["-sigalgs", scheme.replace("rsa_pkcs1_", "RSA+").replace(/\+sha(\d+)/, "+SHA$1")],
      });
      assertMatch(stdout, new RegExp(`Peer signing digest: ${hash}\\nPeer signature type: ${type}\\n`));
      assertEquals(ours, [[scheme, undefined]]);
    });
  }

  Deno.test(`clientSigalg, serverSigalg: what openssl s_server says of our certificate (TLSv${tls})`, async () => {
    await using server = await opensslServer({
      ...identity("rsa"),
      tls,
      mode: "raw",
      clientCa: ROOTS,
      clientAuth: "required",
    });
    const { cert, key } = identity("client");
    const socket = await tlsioClient(server.port, { certfile: cert, keyfile: key });
    const [, hash, type] = await server.program.waitFor(
      /Peer signing digest: (\w+)\nPeer signature type: (\S+)/,
    );
    assertEquals([socket.clientSigalg(), hash, type], ["ecdsa_secp256r1_sha256", "SHA256", "ECDSA"]);
    assertEquals(socket.serverSigalg(), "rsa_pss_rsae_sha256");
    assertEquals(socket.getCertificate(), await der(cert));
    await closeInOrder(socket);
  });

  Deno.test(`clientSigalg, getCertificate: of a client that openssl plays; none when resumed (TLSv${tls})`, async () => {
    const seen: unknown[] = [];
    await using server = await tlsioServer({
      certReqs: 2,
      caCerts: ROOTS,
      handler: async (reader, _writer, socket) => {
        seen.push([socket.clientSigalg(), socket.serverSigalg(), socket.getCertificate()?.length]);
        await reader.read();
      },
    });
    const dir = await Deno.makeTempDir();
    try {
      const { cert, key } = identity("client-rsa");
      const args = ["-sigalgs", "RSA-PSS+SHA384:ECDSA+SHA256:RSA+SHA384"];
      const both = { port: server.port, ca: ROOTS, tls, cert, key, args };
      await opensslClient({ ...both, sessionOut: `${dir}/session`, input: "hello\n" });
      const again = await opensslClient({ ...both, sessionIn: `${dir}/session`, input: "hello\n" });
      assertEquals(again.resumed, true);
      const length = (await der(identity("ec").cert)).length;
      // mbedTLS asks TLS 1.2 clients for what it can verify there; OpenSSL takes its first of those.
      assertEquals(seen, [
        [(seen as string[][])[0]![0], "ecdsa_secp256r1_sha256", length],
        [undefined, undefined, undefined],
      ]);
      assertMatch((seen as string[][])[0]![0]!, /^rsa_(pss_rsae|pkcs1)_sha384$/);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });

  Deno.test(`getServerCertificate: the certificate of openssl s_server, checked and not (TLSv${tls})`, async () => {
    const { cert } = identity("rsa");
    await using server = await opensslServer({ ...identity("rsa"), tls });
    const address = { hostname: "127.0.0.1", port: server.port };
    const { stdout } = await run("openssl", ["x509", "-in", cert]);
    assertEquals(await getServerCertificate(address, { sslVersion: NUMBER[tls] }), stdout);
    const trusting = { caCerts: ROOTS, serverHostname: "localhost" };
    assertEquals(await getServerCertificate(address, trusting), stdout);
    const wrong = getServerCertificate(address, { ...trusting, caCerts: certFile("self.pem") });
    assertEquals((await assertRejects(() => wrong, SSLError)).kind, "verify");
  });
}

Deno.test("getServerCertificate: the text that CPython's get_server_certificate gives; nobody there", async () => {
  await using server = await pythonServer(identity("ec"));
  const script = `print(json.dumps(ssl.get_server_certificate(("127.0.0.1", port))))`;
  const theirs = await python(script, server.port);
  assertEquals(await getServerCertificate({ hostname: "127.0.0.1", port: server.port }), theirs);
  await assertRejects(
    () => getServerCertificate({ hostname: "127.0.0.1", port: 1 }),
    Deno.errors.ConnectionRefused,
  );
});

/** A certificate's DER. */
async function der(path: string): Promise<Uint8Array> {
  const { bytes } = await run("openssl", ["x509", "-in", path, "-outform", "DER"]);
  return bytes;
}

Deno.test("getChannelBinding: with RSA key exchange, where the server signs nothing, it has a certificate all the same", async () => {
  const ciphers = ["TLS_RSA_WITH_AES_128_GCM_SHA256"];
  const sslVersion = TLSVersion.TLSv1_2;
  const theirs: unknown[] = [];
  await using server = await tlsioServer({
    identity: "rsa",
    ciphers,
    sslVersion,
    handler: async (reader, _writer, socket) => {
      theirs.push(socket.getChannelBinding("tls-server-end-point"), socket.serverSigalg());
      await reader.read();
    },
  });
  const socket = await tlsioClient(server.port, { ciphers, sslVersion });
  assertEquals([socket.cipher()!.name, socket.getEphemeralKeyInfo()], [ciphers[0], undefined]);
  const ours = [socket.getChannelBinding("tls-server-end-point"), socket.serverSigalg()];
  await closeInOrder(socket);
  await server.served(1);
  assertEquals(theirs, ours);
  assertEquals(ours[1], undefined);
});

Deno.test("getChannelBinding: says why a connection has none", async () => {
  await using server = await tlsioServer();
  const socket = await tlsioClient(server.port);
  assertThrows(() => socket.getChannelBinding("tls-unique"), TypeError, "TLS 1.3 has no tls-unique");
  await send(socket, "QUIT\n");
  await receive(socket);
  const savedSession = socket.session!;
  await socket.close();
  const again = await tlsioClient(server.port, { savedSession });
  assertEquals(again.sessionReused, true);
  const ask = () => again.getChannelBinding("tls-server-end-point");
  assertThrows(ask, TypeError, "the server sent no certificate");
  await send(again, "QUIT\n");
  await receive(again);
  await again.close();
});
