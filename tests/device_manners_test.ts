/** What the programs of devices do otherwise than tlsio, seen by peers. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { DeviceHeap } from "../lib/device_heap.ts";
import { newEsp32Core, setDeviceClock } from "../lib/esp32.ts";
import { CODE, codeName, SSLError as TLSError } from "../lib/errors.ts";
import { applyProfile } from "../lib/profile.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext } from "../lib/ssl.ts";
import { toSeedError } from "../lib/ussl_errors.ts";
import { serve } from "../http.ts";
import { MemorySessionStore, TicketKeyRing } from "../mod.ts";
import { socket } from "../socket.ts";
import { OSError, PROTOCOL_TLS_SERVER, SSLContext as SeedContext, SSLError, wrap_socket } from "../ussl.ts";
import { ROOTS, tlsioServer } from "./interop.ts";
import { clientOptions, credential, EnginePair, fixedCore, randomFrom, serverOptions } from "./pair.ts";
import { identity, opensslClient, opensslServer, run } from "./peers.ts";
import {
  assertKind,
  CLIENT,
  CREDENTIAL,
  dial,
  dialTls,
  eventually,
  readText,
  seconds,
  serving,
  test,
} from "./sockets.ts";
import { thrown } from "./ussl_helpers.ts";

const ESP32 = { ...CREDENTIAL, profile: "esp32" } as const;
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

// ---- Servers --------------------------------------------------------------------------------------------

test("profile: an esp32 server leaves the handshake to the handler's first read", async () => {
  let started = 0;
  const caught: unknown[] = [];
  const reports: string[] = [];
  await using server = await serving(async (reader, writer) => {
    started++;
    try {
      writer.write(await reader.readline());
      await writer.drain();
    } catch (error) {
      caught.push(error);
      throw error;
    }
  }, { ssl: ESP32, onError: (_error, { phase }) => void reports.push(phase) });
  const silent = await dial(server);
  await eventually(() => started === 1); // though the client has said nothing
  const client = await dialTls(server);
  await client.write(encodeText("hello\n"));
  assertEquals(await readText(client), "hello\n");
  await client.close();

  await silent.write(encodeText("GET / HTTP/1.0\r\n\r\n"));
  await eventually(() => reports.length === 1);
  silent.close();
  assertInstanceOf(caught[0], TLSError);
  assertEquals([reports, server.stats.handshakeFailures, server.stats.failures], [["handshake"], 1, {
    MBEDTLS_ERR_SSL_INVALID_RECORD: 1,
  }]);
});

test("profile: serve() as an esp32 answers fetch()", async () => {
  await using server = await serve((_request, { tls }) => new Response(tls?.cipher), {
    hostname: "127.0.0.1",
    port: 0,
    ssl: ESP32,
    onConnectionError: () => {},
  });
  const { port } = server.addr as Deno.NetAddr;
  using client = Deno.createHttpClient({ caCerts: [CLIENT.caCerts as string] });
  const response = await fetch(`https://localhost:${port}/`, { client });
  assertEquals(await response.text(), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
});

/** Runs `body` with a device that has so many sockets. */
async function withSockets(sockets: number, body: () => Promise<void>): Promise<void> {
  const { behaviour } = SSLContext;
  SSLContext.behaviour = (context) => ({ ...behaviour(context)!, sockets });
  try {
    await body();
  } finally {
    SSLContext.behaviour = behaviour;
  }
}

test("profile: a connection for which the device has no socket waits in the backlog", async () => {
  await withSockets(2, async () => {
    await using server = await serving(async (reader, writer) => {
      for (let line = await reader.readline(); line.length > 0; line = await reader.readline()) {
        writer.write(line);
        await writer.drain();
      }
    }, { ssl: ESP32, ...QUIET });
    const [first, second] = [await dialTls(server), await dialTls(server)];
    const third = dialTls(server);
    await first.write(encodeText("1\n"));
    assertEquals([await readText(first), server.stats.accepted, server.stats.refused], ["1\n", 2, 0]);
    await first.close();
    const socket = await third; // it is its turn
    await socket.write(encodeText("3\n"));
    assertEquals([await readText(socket), server.stats.accepted], ["3\n", 3]);
    await Promise.all([second.close(), socket.close()]);
  });
});

test("profile: a server that waits for a socket can be closed", async () => {
  await withSockets(1, async () => {
    const server = await serving(async (reader) => void await reader.readline(), { ssl: ESP32, ...QUIET });
    const client = await dialTls(server);
    await eventually(() => server.stats.open === 1);
    server.close();
    await client.close();
    await server.waitClosed();
  });
});

test("profile: a server that waits for a socket goes on when it gets a profile with more of them", async () => {
  await withSockets(1, async () => {
    await using server = await serving(async (reader) => void await reader.readline(), {
      ssl: ESP32,
      ...QUIET,
    });
    const first = await dialTls(server);
    const second = dialTls(server);
    await eventually(() => server.stats.open === 1);
    await server.setContext(CREDENTIAL);
    const client = await second;
    await Promise.all([first.close(), client.close()]);
  });
});

test("profile: serve() as an esp32 is closed without waiting for a client that says nothing", async () => {
  const failures: unknown[] = [];
  const server = await serve(() => new Response(), {
    hostname: "127.0.0.1",
    port: 0,
    ssl: ESP32,
    onConnectionError: (error) => failures.push(error),
  });
  const silent = await dial(server);
  await eventually(() => server.stats.open === 1);
  assert(await seconds(server.close()) < 10); // shutdownTimeout is 30, and the handshake's 60
  assertEquals(failures, []);
  silent.close();
});

test("profile: an esp32-idf that is sending is in use: another connection makes room", async () => {
  const ended: string[] = [];
  await using server = await serving(async (reader, writer) => {
    const name = new TextDecoder().decode(await reader.readline()).trim();
    try {
      for (let i = 0; name === "stream" || i < 1; i++) {
        writer.write("x\n");
        await writer.drain();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await reader.readline();
    } catch { // dropped
    } finally {
      ended.push(name);
    }
  }, { ssl: { ...CREDENTIAL, profile: "esp32-idf", heap: LARGE }, ...QUIET });
  const clients: SSLSocket[] = [];
  for (const name of ["stream", "first", "second", "third"]) {
    const client = await dialTls(server);
    clients.push(client);
    await client.write(encodeText(`${name}\n`));
    await readText(client);
  }
  await new Promise((resolve) => setTimeout(resolve, 50)); // the stream goes on
  clients.push(await dialTls(server));
  await eventually(() => ended.length > 0);
  assertEquals(ended, ["first"]);
  for (const client of clients) client.abort();
});

test("profile: esp32-idf closes the connection that was not used for longest when a fifth one comes", async () => {
  const ended: number[] = [];
  await using server = await serving(async (reader, writer) => {
    let id = 0;
    try {
      for (let line = await reader.readline(); line.length > 0; line = await reader.readline()) {
        id = parseInt(new TextDecoder().decode(line));
        writer.write(line);
        await writer.drain();
      }
    } finally {
      ended.push(id);
    }
  }, { ssl: { ...CREDENTIAL, profile: "esp32-idf", heap: LARGE }, ...QUIET });
  const clients: SSLSocket[] = [];
  const say = async (i: number) => {
    await clients[i]!.write(encodeText(`${i}\n`));
    assertEquals(await readText(clients[i]!), `${i}\n`);
  };
  for (let i = 0; i < 4; i++) {
    clients.push(await dialTls(server));
    await say(i);
  }
  await say(0); // it is not the oldest any more
  clients.push(await dialTls(server));
  await say(4);
  await eventually(() => ended.length > 0);
  assertEquals([ended, server.stats.open], [[1], 4]);
  for (const i of [0, 2, 3, 4]) await say(i);
  await assertKind(readText(clients[1]!), "eof");
  for (const client of clients) await client.close();
});

test("profile: a device's backlog and handshake timeout are its own, unless the options say otherwise", async () => {
  const { listen } = Deno;
  const { prototype } = SSLContext;
  const { wrapSocket } = prototype;
  const seen: unknown[] = [];
  try {
    Deno.listen = ((options: Deno.TcpListenOptions & { tcpBacklog: number }) => {
      seen.push(options.tcpBacklog);
      return listen(options);
    }) as typeof Deno.listen;
    prototype.wrapSocket = function (conn, options) {
      seen.push(options?.timeout);
      return wrapSocket.call(this, conn, options);
    };
    const own = { backlog: 7, sslHandshakeTimeout: 3 };
    for (
      const [profile, options] of [["esp32", {}], ["esp32-idf", {}], ["esp32", own], ["default", {}]] as const
    ) {
      const callback = async (reader: { readline(): Promise<unknown> }) => void await reader.readline();
      await using server = await serving(callback, { ssl: { ...CREDENTIAL, profile }, ...QUIET, ...options });
      const client = await dial(server);
      await eventually(() => server.stats.accepted === 1);
      client.close();
    }
  } finally {
    Deno.listen = listen;
    prototype.wrapSocket = wrapSocket;
  }
  assertEquals(seen, [5, 60, 5, 10, 7, 3, 100, 60]);
});

test("profile: serve() as an esp32-idf waits 5 seconds for a request's head", async () => {
  await using server = await serve(() => new Response(), {
    hostname: "127.0.0.1",
    port: 0,
    ssl: { ...CREDENTIAL, profile: "esp32-idf" },
    onConnectionError: () => {},
  });
  const client = await dialTls(server);
  const start = performance.now();
  await client.write(encodeText("GET / HTTP/1.1\r\n"));
  assert((await readText(client))!.startsWith("HTTP/1.1 408 "));
  const seconds = (performance.now() - start) / 1000;
  assert(seconds > 4 && seconds < 30, `${seconds}`); // node's and nginx's 60 are ours
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
