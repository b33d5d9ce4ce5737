/** What both ends have in common, counts, sessions and MemoryBIO, against CPython and OpenSSL. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ContextOptions, getServerCertificate, MemoryBIO, SSLContext, TLSVersion } from "tlsio";
import { encodeText } from "../lib/bytes.ts";
import {
  clientOptions,
  closeInOrder,
  python,
  receive,
  ROOTS,
  send,
  tlsioClient,
  tlsioServer,
} from "./interop.ts";
import { certFile, identity, opensslClient, opensslServer, Program, pythonServer } from "./peers.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const NUMBER = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 };

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
