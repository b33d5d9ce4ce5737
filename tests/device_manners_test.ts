/** What the programs of devices do otherwise than tlsio, seen by peers. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { DeviceHeap } from "../lib/device_heap.ts";
import { newEsp32Core, setDeviceClock } from "../lib/esp32.ts";
import { CODE, codeName } from "../lib/errors.ts";
import { applyProfile } from "../lib/profile.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext } from "../lib/ssl.ts";
import { toSeedError } from "../lib/ussl_errors.ts";
import { MemorySessionStore, TicketKeyRing } from "../mod.ts";
import { socket } from "../socket.ts";
import { OSError, PROTOCOL_TLS_SERVER, SSLContext as SeedContext, SSLError, wrap_socket } from "../ussl.ts";
import { ROOTS, tlsioServer } from "./interop.ts";
import { clientOptions, credential, EnginePair, fixedCore, randomFrom, serverOptions } from "./pair.ts";
import { identity, opensslClient, opensslServer, run } from "./peers.ts";
import { assertKind, CREDENTIAL, dialTls, eventually, readText, serving, test } from "./sockets.ts";
import { thrown } from "./ussl_helpers.ts";

const LARGE = { budget: 110 * 1024 };
const QUIET = { onError: () => {} };

// ---- Certificates ---------------------------------------------------------------------------------------

/** What a program writes to stderr. */
async function stderrOf(program: string): Promise<string> {
  const imports = `
    import { SSLContext } from "${new URL("../mod.ts", import.meta.url)}";
    import { wrap_socket } from "${new URL("../ussl.ts", import.meta.url)}";`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", "--ext=js", imports + program],
    cwd: new URL("../", import.meta.url), // for the import map
    env: { NO_COLOR: "1" },
  });
  const { code, stderr } = await command.output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stderr);
}

test("profile: a device's clients check no certificates unless asked, and say so once in a process", async () => {
  const make = (options: string) => `(await SSLContext.create(${options}))[Symbol.dispose]();`;
  const seed = `
    const { readable, writable } = new TransformStream();
    await wrap_socket({ readable, writable }, { profile: "esp32", do_handshake: false });`;
  const warned = await stderrOf(make('{ profile: "esp32" }') + make('{ profile: "rp2" }') + seed);
  assertEquals(warned.match(/checks no certificates unless asked/g)?.length, 1, warned);
  assert(warned.includes('tlsio: the profile "esp32"'), warned);
  assert((await stderrOf(seed)).includes("CERT_NONE silences this warning"));

  const silent = seed.replace("do_handshake", "cert_reqs: 0, do_handshake");
  const server = `{ profile: "esp32", serverSide: true, certfile: ${JSON.stringify(CREDENTIAL.certfile)}, ` +
    `keyfile: ${JSON.stringify(CREDENTIAL.keyfile)} }`;
  assertEquals(await stderrOf(make('{ profile: "esp32", certReqs: 0 }') + make(server) + silent), "");
});

test("profile: an esp32 client goes on with any certificate, and with CERT_REQUIRED refuses openssl's expired one", async () => {
  await using server = await opensslServer(identity("expired"));
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  using trusting = await SSLContext.create({ profile: "esp32", certReqs: 0 });
  const socket = await trusting.wrapSocket(await connect());
  assertEquals(socket.version(), "TLSv1.2");
  socket.abort();
  using checking = await SSLContext.create({ profile: "esp32", certReqs: 2, caCerts: ROOTS });
  await assertKind(checking.wrapSocket(await connect(), { serverHostname: "localhost" }), "verify");
});

test("profile: a board whose clock nobody has set takes no certificate for valid", async () => {
  await using server = await opensslServer(identity("ec"));
  using context = await SSLContext.create({ profile: "esp32", certReqs: 2, caCerts: ROOTS });
  const connect = async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    return await context.wrapSocket(conn, { serverHostname: "localhost" });
  };
  try {
    setDeviceClock(() => 0);
    const error = await assertKind(connect(), "verify");
    assertStringIncludes(error.message, "the certificate validity starts in the future");
  } finally {
    setDeviceClock(undefined);
  }
  (await connect()).abort();
});

// ---- Sessions -------------------------------------------------------------------------------------------

test("profile: an esp32 resumes nothing, and refuses what would", async () => {
  using context = await SSLContext.create({ profile: "esp32", certReqs: 0 });
  await using server = await opensslServer(identity("ec"));
  const sockets = [];
  for (let i = 0; i < 2; i++) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const socket = await context.wrapSocket(conn);
    sockets.push([socket.sessionReused, socket.session]);
    socket.abort();
  }
  assertEquals(sockets, [[false, undefined], [false, undefined]], "nor is there a session to save");

  const refused = (options: object, text: string) =>
    assertRejects(() => SSLContext.create({ profile: "esp32", certReqs: 0, ...options }), TypeError, text);
  const words = 'the profile "esp32" resumes no sessions';
  await refused({ sessionStore: new MemorySessionStore() }, `Cannot use sessionStore: ${words}`);
  await refused({ serverSide: true, tickets: new TicketKeyRing() }, `Cannot use tickets: ${words}`);
  await refused({ serverSide: true, sessionCacheSize: 1 }, `Cannot use sessionCacheSize: ${words}`);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const saved = { savedSession: new Uint8Array(100) };
  await assertRejects(
    () => context.wrapSocket({ readable, writable }, saved),
    TypeError,
    `savedSession: ${words}`,
  );
});

test("profile: esp32-idf gives no tickets unless it has a ring for them", async () => {
  const idf = { ...CREDENTIAL, profile: "esp32-idf" };
  for (const [tickets, resumed] of [[undefined, false], [new TicketKeyRing(), true]] as const) {
    await using server = await serving(async (reader) => void await reader.readline(), {
      ssl: { ...idf, ...(tickets && { tickets }) },
      ...QUIET,
    });
    const first = await dialTls(server);
    const { session } = first;
    first.abort();
    const second = await dialTls(server, session && { savedSession: session });
    assertEquals([second.version(), second.sessionReused], ["TLSv1.2", resumed]);
    second.abort();
    tickets?.[Symbol.dispose]();
  }
});

test("profile: esp32-idf parses the server's key for each connection, which makes RSA's first operation of each", async () => {
  const { cert: certfile, key: keyfile } = identity("rsa");
  for (const [profile, cold] of [["esp32-idf", [1, 1]], ["esp32", [1, undefined]]] as const) {
    const counted: (number | undefined)[] = [];
    await using server = await serving(async (reader, writer) => {
      await reader.readline();
      const { operations } = (writer.transport as SSLSocket).cost().handshake;
      counted.push(operations!["RSA-2048 private cold"]);
    }, { ssl: { profile, certfile, keyfile }, ...QUIET });
    for (let i = 1; i <= 2; i++) {
      const client = await dialTls(server, { caCerts: ROOTS });
      await client.write(encodeText("\n"));
      await eventually(() => counted.length === i);
      await client.close();
    }
    assertEquals(counted, [...cold], profile);
  }
});

// ---- Closing --------------------------------------------------------------------------------------------

test("profile: an esp32 closes without a close_notify: openssl sees an unexpected end, as do we", async () => {
  await using server = await tlsioServer({
    profile: "esp32",
    handler: async (_reader, writer) => {
      writer.write("bye\n");
      await writer.drain();
    },
  });
  const { stdout, stderr } = await opensslClient({ port: server.port, ca: ROOTS, until: /never/ });
  assert(stdout.includes("bye"), stdout);
  assert(/unexpected eof while reading/.test(stderr), stderr);

  const { port } = server;
  const client = await dialTls({ addr: { transport: "tcp", hostname: "127.0.0.1", port } });
  assertEquals(await readText(client), "bye\n");
  await assertKind(readText(client), "eof");
  await client.close();
});

test("profile: pycom closes with a close_notify", async () => {
  await using server = await serving(async (_reader, writer) => {
    writer.write("bye\n");
    await writer.drain();
  }, { ssl: { ...CREDENTIAL, profile: "pycom" } });
  const client = await dialTls(server);
  assertEquals([await readText(client), await readText(client)], ["bye\n", null]);
  await client.close();
});

// ---- Errors ---------------------------------------------------------------------------------------------

/** Every error of a handshake on a device whose heap ends somewhere in it, by MicroPython's number. */
async function errorsOf(end: "client" | "server", key: "ec" | "rsa"): Promise<Map<number, OSError>> {
  const core = await newEsp32Core({ random: randomFrom(1) });
  const heap = new DeviceHeap(core, LARGE);
  const given = end === "server" ? serverOptions({ credential: credential(key) }) : { certReqs: 0 as const };
  const { policy } = await applyProfile("esp32", given);
  using own = new TLSConfig(policy, core);
  using other = new TLSConfig(
    end === "server" ? clientOptions({ certReqs: 0 }) : serverOptions({ credential: credential(key) }),
    fixedCore(2),
  );
  const pairOf = () => end === "server" ? new EnginePair(other, own) : new EnginePair(own, other);
  const idle = heap.used;
  const found = new Map<number, OSError>();
  for (let room = 20 * 1024; room < 34 * 1024; room += 96) {
    core.device!.heap_limit(idle + room, LARGE.budget, 0);
    let error: unknown;
    try {
      using pair = pairOf();
      pair.run();
      error = pair.errors[end];
    } catch (thrown) {
      error = thrown;
    }
    if (error === undefined) continue;
    const seen = toSeedError("wrap_socket", error);
    assertInstanceOf(seen, OSError);
    found.set(seen.errno, seen);
  }
  return found;
}

test("profile: a heap that ends in a handshake raises MicroPython's numbers and names", async () => {
  const seen = new Map<number, string>();
  for (const end of ["client", "server"] as const) {
    for (const key of ["ec", "rsa"] as const) {
      for (const [number, { errorcode }] of await errorsOf(end, key)) seen.set(number, errorcode);
    }
  }
  assertEquals(seen.get(12), "ENOMEM"); // MBEDTLS_ERR_SSL_ALLOC_FAILED
  assertEquals(seen.get(16), "EBUSY"); // MBEDTLS_ERR_MPI_ALLOC_FAILED
  assertEquals(seen.get(-17040), "MBEDTLS_ERR_RSA_PUBLIC_FAILED+MBEDTLS_ERR_MPI_ALLOC_FAILED");
  assertEquals(seen.get(-17168), "MBEDTLS_ERR_RSA_PRIVATE_FAILED+MBEDTLS_ERR_MPI_ALLOC_FAILED");
  for (const [number, name] of seen) if (number < 0) assertEquals(name, codeName(number));
});

test("profile: wrap_socket() as an esp32 raises what MicroPython raises, with openssl as the peer", async () => {
  const device = { profile: "esp32", cert_reqs: 0 } as const;
  const wrong = { ...device, server_side: true } as const;
  const text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const { cert, key } = identity("ec");
  await assertRejects(() => wrap_socket(socket(), { ...wrong, certfile: cert, key: text }), TypeError, "key");
  await assertRejects(() => wrap_socket(socket(), { ...wrong, cert: text, keyfile: key }), TypeError, "cert");

  await using alone = await opensslServer({ ...identity("ec"), tls: "1.3" });
  const refused = await thrown(() => connectAs(alone.port, device));
  assertEquals(refused, [-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"]);

  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const gone = thrown(() => connectAs(listener.addr.port, device));
  const conn = await listener.accept();
  await conn.read(new Uint8Array(1024));
  conn.close();
  assertEquals(await gone, [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"]);

  await using expired = await opensslServer(identity("expired"));
  const checks = { profile: "esp32", cert_reqs: 2, ca_certs: ROOTS, server_hostname: "localhost" } as const;
  const error = await assertRejects(() => connectAs(expired.port, checks), SSLError);
  assertEquals(error.args, [CODE.CERT_VERIFY_FAILED, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"]);
  assertEquals(error.verify_message, "The certificate validity has expired"); // MicroPython's ValueError
});

async function connectAs(port: number, options: Parameters<typeof wrap_socket>[1]): Promise<void> {
  const ss = await wrap_socket(socket(), options);
  await ss.connect(["127.0.0.1", port]);
  await ss.close();
}

// ---- The book's way -------------------------------------------------------------------------------------

test("profile: wrap_socket() makes a context for each connection, whose RSA key is cold; an SSLContext keeps its own", async () => {
  const { cert, key } = identity("rsa");
  const listener = socket();
  listener.bind(["127.0.0.1", 0]);
  listener.listen(5);
  const { port } = listener.localAddr as Deno.NetAddr;
  const { start } = SSLContext;
  const begun: SSLSocket[] = [];
  const handshakes = async (
    wrap: (sock: ReturnType<typeof socket>) => Promise<{ close(): Promise<void> }>,
  ) => {
    SSLContext.start = (...args) => begun[begun.push(start(...args)) - 1]!;
    try {
      for (let i = 0; i < 3; i++) {
        const client = run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`], { stdin: "" });
        const [sock] = await listener.accept();
        const ss = await wrap(sock);
        await ss.close();
        await client;
      }
    } finally {
      SSLContext.start = start;
    }
    const all = begun.splice(0).map((tls) => tls.cost().handshake.operations!);
    return all.map((counts) => [counts["RSA-2048 private cold"] ?? 0, counts["RSA-2048 private warm"] ?? 0]);
  };
  const device = { profile: "esp32", server_side: true } as const;
  const bookStyle = await handshakes((sock) =>
    wrap_socket(sock, { ...device, certfile: cert, keyfile: key })
  );
  assertEquals(bookStyle, [[1, 0], [1, 0], [1, 0]]);
  const context = new SeedContext(PROTOCOL_TLS_SERVER, { profile: "esp32" });
  context.load_cert_chain(cert, key);
  const shared = await handshakes((sock) => context.wrap_socket(sock, { server_side: true }));
  assertEquals(shared, [[1, 0], [0, 1], [0, 1]]);
  assertEquals(context.get_ciphers().length, 58);
  await listener.close();
});
