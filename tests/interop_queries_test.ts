/** What a connection says of itself, against what CPython, OpenSSL and Node say of the same one. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  type ContextOptions,
  getServerCertificate,
  MemoryBIO,
  SSLContext,
  SSLError,
  type SSLSocket,
  TLSVersion,
} from "tlsio";
import { encodeText } from "../lib/bytes.ts";
import { clientOptions, closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
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

/** Runs a Python program that connects to `port`; it prints JSON. */
async function python(script: string, port: number, ...argv: string[]): Promise<unknown> {
  const head = `import json, socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
def connect(context, **options):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context.wrap_socket(sock, server_hostname="localhost", **options)
`;
  const { code, stdout, stderr } = await run("python3", ["-c", head + script, String(port), ROOTS, ...argv]);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

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

// ---- Suites and counts ----

Deno.test("sharedCiphers: those of the client's list that we have, in its order; CPython's of the same", async () => {
  const list = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305";
  const args = ["-cipher", list, "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"];
  const ours: string[][] = [];
  const noAes128 = SSLContext.getCiphers().map(({ name }) => name).filter((name) =>
    name !== "TLS_AES_128_GCM_SHA256"
  );
  await using server = await tlsioServer({
    ciphers: noAes128,
    handler: async (reader, _writer, socket) => {
      ours.push(socket.sharedCiphers()!.map(({ name, version }) => `${name} ${version}`));
      await reader.read();
    },
  });
  await opensslClient({ port: server.port, ca: ROOTS, args });
  await opensslClient({ port: server.port, ca: ROOTS, args, tls: "1.2" });
  const older = [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLSv1.2",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLSv1.2",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 TLSv1.2",
  ];
  assertEquals(ours, [["TLS_AES_256_GCM_SHA384 TLSv1.3", ...older], older]);

  const socket = await tlsioClient(server.port);
  assertEquals(socket.sharedCiphers(), undefined);
  await closeInOrder(socket);
});

Deno.test("sessionStats: counts as CPython's session_stats, by session id and by ticket (TLSv1.2)", async () => {
  for (const tickets of [true, false]) {
    // Ours serves, CPython's client counts; then CPython serves itself the same way, and both servers are compared.
    using context = await SSLContext.create({
      serverSide: true,
      certfile: certFile("ec.pem"),
      keyfile: certFile("ec.key"),
      sslVersion: TLSVersion.TLSv1_2,
      ...(tickets ? {} : { tickets: false as const }),
    });
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = (async () => {
      for (let i = 0; i < 4; i++) {
        const socket = await context.wrapSocket(await listener.accept());
        await receive(socket);
        await socket.close();
      }
    })();
    const client = `import threading
def rounds(connect, context):
    session = None
    for i in range(4):
        with connect(context, session=session if i in (1, 2) else None) as sock:
            session = session or sock.session
            sock.unwrap()
context = ssl.create_default_context(cafile=ca)
context.maximum_version = ssl.TLSVersion.TLSv1_2
rounds(connect, context)
stats = [context.session_stats()]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(sys.argv[3], sys.argv[4])
server.maximum_version = ssl.TLSVersion.TLSv1_2
if sys.argv[5] == "false": server.options |= ssl.OP_NO_TICKET
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
def serve():
    for i in range(4):
        with server.wrap_socket(listener.accept()[0], server_side=True) as tls:
            while tls.recv(100): pass
            tls.unwrap()
thread = threading.Thread(target=serve)
thread.start()
rounds(connect, context)
thread.join()
print(json.dumps(stats + [server.session_stats()]))`;
    const files = [certFile("ec.pem"), certFile("ec.key"), String(tickets)];
    const [theirClient, theirServer] = await python(
      client,
      (listener.addr as Deno.NetAddr).port,
      ...files,
    ) as [
      Record<string, number>,
      Record<string, number>,
    ];
    await served;
    listener.close();
    const { accept, acceptGood, hits, misses, timeouts, cacheFull, number } = context.sessionStats();
    assertEquals([accept, acceptGood, hits, misses, timeouts, cacheFull], [4, 4, 2, 0, 0, 0]);
    assertEquals(
      [accept, acceptGood, hits, misses, timeouts, cacheFull],
      ["accept", "accept_good", "hits", "misses", "timeouts", "cache_full"].map((name) => theirServer[name]),
    );
    assertEquals([theirClient.connect, theirClient.hits], [4, 2]);
    if (!tickets) assertEquals(number, theirServer.number);
  }
});

Deno.test("getCiphers: a context lists what it may agree on, in its order", async () => {
  const all = SSLContext.getCiphers().map(({ name }) => name);
  const listed = async (options: ContextOptions) => {
    using context = await SSLContext.create({ caCerts: ROOTS, ...options });
    return context.getCiphers();
  };
  const ciphers = ["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_CHACHA20_POLY1305_SHA256"];
  assertEquals((await listed({ ciphers })).map(({ name }) => name), ciphers);
  const usual = await listed({});
  assertEquals(new Set(usual.map(({ protocol }) => protocol)), new Set(["TLSv1.2", "TLSv1.3"]));
  assert(usual.length < all.length && usual.every(({ name }) => all.includes(name)));
  for (
    const [protocol, sslVersion] of Object.entries({ "TLSv1.2": NUMBER["1.2"], "TLSv1.3": NUMBER["1.3"] })
  ) {
    const some = await listed({ sslVersion });
    assertEquals(new Set(some.map((cipher) => cipher.protocol)), new Set([protocol]));
  }
});

for (const tls of VERSIONS) {
  Deno.test(`sharedSigalgs: those of openssl s_client's list that we have, in its order (TLSv${tls})`, async () => {
    const list = "ECDSA+SHA384:rsa_pss_pss_sha256:ed25519:RSA-PSS+SHA256:ECDSA+SHA256:RSA+SHA256";
    const ours: unknown[] = [];
    await using server = await tlsioServer({
      sigalgs: [
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "rsa_pss_rsae_sha256",
        "rsa_pkcs1_sha512",
      ],
      handler: async (reader, _writer, socket) => {
        ours.push(socket.sharedSigalgs());
        await reader.read();
      },
    });
    await opensslClient({ port: server.port, ca: ROOTS, tls, args: ["-sigalgs", list] });
    const pss = tls === "1.3" ? ["rsa_pss_rsae_sha256"] : []; // mbedTLS has it for TLS 1.3 alone
    assertEquals(ours, [["ecdsa_secp384r1_sha384", ...pss, "ecdsa_secp256r1_sha256"]]);
  });
}

Deno.test("SSLSession: what it says of itself is what CPython's of the same server says (TLSv1.2)", async () => {
  for (const tickets of [true, false]) {
    const args = tickets ? [] : ["-no_ticket"];
    await using server = await opensslServer({ ...identity("ec"), tls: "1.2", args });
    const script = `context = ssl.create_default_context(cafile=ca)
with connect(context) as sock:
    s = sock.session
    print(json.dumps([s.has_ticket, s.ticket_lifetime_hint, s.time]))
    sock.unwrap()`;
    const [hasTicket, hint, time] = await python(script, server.port) as [boolean, number, number];
    const socket = await tlsioClient(server.port);
    const session = socket.session!;
    assertEquals([session.hasTicket, session.ticketLifetimeHint], [hasTicket, hint]);
    assertEquals(session.id.length, tickets ? 0 : 32); // with a ticket, OpenSSL's server gives no id
    assert(Math.abs(session.time - time) < 60, `${session.time} and ${time}`);
    await closeInOrder(socket);
  }
});

Deno.test("getServerCertificate: refuses an option that there is not, which would check nothing, and names others", async () => {
  const address = { hostname: "127.0.0.1", port: 1 };
  const wrong: [object, string][] = [
    [{ cacerts: ROOTS }, "Cannot use cacerts: there is no such option"],
    [{ timeout: 0 }, "Cannot use timeout: expected a number of seconds above 0, got 0"],
    [{ caCerts: [] }, "Cannot use caCerts: the list is empty"],
  ];
  for (const [options, message] of wrong) {
    await assertRejects(() => getServerCertificate(address, options), Error, message);
  }
});

// ---- MemoryBIO ----

Deno.test("wrapBio: our client over MemoryBIO talks to CPython's server, with every call", async () => {
  await using server = await pythonServer({ ...identity("ec"), tls: "1.3" });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  using context = await SSLContext.create({ caCerts: ROOTS });
  const [incoming, outgoing] = [new MemoryBIO(), new MemoryBIO()];
  using tls = context.wrapBio(incoming, outgoing, { serverHostname: "localhost" });
  const buffer = new Uint8Array(4096);
  /** Makes the call again until it can go on, as a program over CPython's `wrap_bio` does. */
  const drive = async <T extends { state: string }>(call: () => T): Promise<T> => {
    for (;;) {
      const outcome = call();
      while (outgoing.pending > 0) await conn.write(outgoing.read());
      if (outcome.state !== "want-read") return outcome;
      const n = await conn.read(buffer);
      if (n === null) incoming.writeEof();
      else incoming.write(buffer.subarray(0, n));
    }
  };
  assertEquals(tls.read(buffer).state, "want-read");
  assertEquals((await drive(() => tls.handshake())).state, "ok");
  assertEquals([tls.version(), tls.getpeercert()?.version], ["TLSv1.3", 3]);
  const command = encodeText("ECHO 6\nhello\n");
  assertEquals(await drive(() => tls.write(command)), { state: "ok", bytes: command.length });
  let text = "";
  while (text.length < 6) {
    const outcome = await drive(() => tls.read(buffer));
    assert(outcome.state === "ok" && "bytes" in outcome);
    text += new TextDecoder().decode(buffer.subarray(0, outcome.bytes));
  }
  assertEquals([text, tls.pending()], ["hello\n", 0]);
  assertEquals((await drive(() => tls.unwrap())).state, "ok");
});

Deno.test("wrapBio: CPython's MemoryBIO and ours, joined by a pipe of ours", async () => {
  // CPython's end reads and writes records as lines of hexadecimal.
  const script = `import ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
def drive(call):
    while True:
        try:
            return call()
        except ssl.SSLWantReadError:
            flush()
            line = sys.stdin.readline()
            if line == "": incoming.write_eof()
            else: incoming.write(bytes.fromhex(line))
        finally:
            flush()
def flush():
    if outgoing.pending: print(outgoing.read().hex(), flush=True)
drive(tls.do_handshake)
drive(lambda: tls.write(b"from CPython"))
assert drive(lambda: tls.read(100)) == b"from tlsio"
drive(tls.unwrap)
print("version", tls.version(), flush=True)`;
  await using program = new Program("python3", ["-c", script, ROOTS]);
  const { cert, key } = identity("ec");
  using context = await SSLContext.create({ serverSide: true, certfile: cert, keyfile: key });
  const [incoming, outgoing] = [new MemoryBIO(), new MemoryBIO()];
  using tls = context.wrapBio(incoming, outgoing);
  let lines = 0;
  const drive = async <T extends { state: string }>(call: () => T): Promise<T> => {
    for (;;) {
      const outcome = call();
      if (outgoing.pending > 0) await program.write(`${outgoing.read().toHex()}\n`);
      if (outcome.state !== "want-read") return outcome;
      lines++;
      await program.waitFor(new RegExp(`^(?:[0-9a-f]+\\n){${lines}}`));
      incoming.write(Uint8Array.fromHex(program.stdout.split("\n")[lines - 1]!));
    }
  };
  const buffer = new Uint8Array(100);
  const outcome = await drive(() => tls.read(buffer));
  assert(outcome.state === "ok" && "bytes" in outcome);
  assertEquals(new TextDecoder().decode(buffer.subarray(0, outcome.bytes)), "from CPython");
  await drive(() => tls.write(encodeText("from tlsio")));
  assertEquals((await drive(() => tls.read(buffer))).state, "eof");
  assertEquals((await drive(() => tls.unwrap())).state, "ok");
  await program.waitFor(/version TLSv1.3/);
});

Deno.test("onSession: each ticket of a server that gives three, as it comes (openssl s_server)", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.3", args: ["-num_tickets", "3"] });
  const sessions: string[] = [];
  const socket = await tlsioClient(server.port, {
    onSession: (session) =>
      sessions.push(`${session.hasTicket} ${session.ticketLifetimeHint} ${session.id.length}`),
  });
  assertEquals(sessions, []);
  await send(socket, "abc\n");
  await receive(socket, /cba/);
  assertEquals(sessions, Array(3).fill("true 7200 0"));
  await closeInOrder(socket);
  assertEquals(clientOptions().serverHostname, "localhost");
});
