/** TLS inside TLS, on a unix socket, and on the pipes of a program. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  type Duplex,
  openUnixConnection,
  type SSLSocket,
  startUnixServer,
  type StreamReader,
  wrapSocket,
  type Writer,
} from "tlsio";
import {
  clientOptions,
  closeInOrder,
  httpHandler,
  receive,
  ROOTS,
  send,
  tlsioClient,
  tlsioServer,
  VERSION,
} from "./interop.ts";
import {
  certFile,
  curl,
  handleProtocol,
  identity,
  need,
  nginx,
  nodeServer,
  PATIENCE,
  pythonClient,
  pythonServer,
  run,
  runSteps,
  tempDir,
  within,
} from "./peers.ts";

const IDENTITY = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };
const VERSIONS = ["1.2", "1.3"] as const;

async function line(reader: StreamReader): Promise<string> {
  return new TextDecoder().decode(await within(reader.readline(), PATIENCE, "read a line")).trimEnd();
}

// ---- TLS in TLS -----------------------------------------------------------------------------------------

/** Passes bytes on until their end, and then the end. */
async function pass(from: Duplex, to: Duplex): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (let n; (n = await from.read(buffer)) !== null;) {
    for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
  }
  await to.closeWrite?.();
}

async function relay(socket: SSLSocket, port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await within(Promise.allSettled([pass(socket, conn), pass(conn, socket)]), PATIENCE, "relay");
}

/** A proxy over TLS that answers CONNECT (RFC 9110 section 9.3.6), then passes bytes on. */
function tlsioProxy() {
  return tlsioServer({
    handler: async (reader, writer, socket) => {
      const head = new TextDecoder().decode(await reader.readuntil("\r\n\r\n"));
      writer.write("HTTP/1.1 200 OK\r\n\r\n");
      await writer.drain();
      await relay(socket, Number(head.match(/^CONNECT \S+:(\d+) /)![1]));
    },
  });
}

for (const tls of VERSIONS) {
  Deno.test(`interop tlsio inside tlsio -> node tls TLSv${tls} by a proxy over TLS: exact bytes`, async () => {
    await using proxy = await tlsioProxy();
    await using server = await nodeServer({ ...identity("rsa"), tls });
    const outer = await tlsioClient(proxy.port, { sslVersion: VERSION[tls] });
    await send(outer, `CONNECT localhost:${server.port} HTTP/1.1\r\n\r\n`);
    assertMatch(await receive(outer, /\r\n\r\n/), /^HTTP\/1.1 200 /);
    const inner = await wrapSocket(outer, clientOptions());
    assertEquals([inner.version(), inner.getpeercert() === outer.getpeercert()], [`TLSv${tls}`, false]);
    const steps = await runSteps(inner, ["ECHO 1000000 1", "SINK 1000000 2", "SOURCE 1000000 3", "INFO"]);
    assertEquals(steps.map(({ ok }) => ok), [true, true, true, true]);
    await closeInOrder(inner);
    assertEquals((await server.event("closed")).clean, true);
  });

  Deno.test(`interop curl by its HTTPS proxy -> tlsio inside tlsio TLSv${tls}: exact bytes`, async () => {
    await using proxy = await tlsioProxy();
    await using server = await tlsioServer({
      identity: "rsa",
      sslVersion: VERSION[tls],
      handler: httpHandler({ ragged: true }),
    });
    const sent = "0123456789".repeat(20_000);
    const { code, stdout, stderr } = await curl(`https://localhost:${server.port}/`, ROOTS, [
      ...["--noproxy", "", "--proxy", `https://localhost:${proxy.port}`, "--proxy-cacert", ROOTS],
      ...["--data-binary", "@-"],
    ], sent);
    assertEquals([code, stdout === sent], [0, true], stderr);
  });
}

Deno.test("interop curl -> tlsio serving TLS on top of its own TLS: exact bytes", async () => {
  await using server = await tlsioServer({
    handler: async (reader, writer, socket) => {
      await reader.readuntil("\r\n\r\n");
      writer.write("HTTP/1.1 200 OK\r\n\r\n");
      await writer.drain();
      const inner = await wrapSocket(socket, { serverSide: true, ...IDENTITY });
      assertMatch(await receive(inner, /\r\n\r\n/), /^GET \/x HTTP/);
      await send(inner, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
      await inner.close();
    },
  });
  const { stdout, stderr } = await curl("https://localhost:1/x", ROOTS, [
    ...["--noproxy", "", "--proxy", `https://localhost:${server.port}`, "--proxy-cacert", ROOTS],
  ]);
  assertEquals(stdout, "hello", stderr);
});

// ---- Unix sockets ---------------------------------------------------------------------------------------

Deno.test("interop openssl s_client, curl -> tlsio on a unix socket: bytes come back", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/socket`;
  await using _server = await startUnixServer(httpUnix, { path, ssl: IDENTITY });
  const input = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
  const args = [
    "s_client",
    "-unix",
    path,
    "-servername",
    "localhost",
    "-CAfile",
    ROOTS,
    "-ign_eof",
    "-quiet",
  ];
  const openssl = await run("openssl", args, { stdin: input });
  assertMatch(openssl.stdout, /^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\nhello$/);
  const { stdout, stderr } = await curl("https://localhost:1/", ROOTS, [
    ...["--unix-socket", path, "--data", "hello"],
  ]);
  assertEquals(stdout, "hello", stderr);
});

async function httpUnix(reader: StreamReader, writer: Writer): Promise<void> {
  await httpHandler({ ragged: true })(reader, writer, writer.transport as SSLSocket);
}

Deno.test("interop tlsio -> nginx on a unix socket: bytes come back", async () => {
  await using dir = await tempDir(); // openssl 3.0's s_server -unix ends at once
  const path = `${dir.path}/socket`;
  const files = { "a.txt": "hello\n" };
  await using _server = await nginx({ ...identity("ec"), files, directives: `listen unix:${path} ssl;` });
  const ssl = { caCerts: ROOTS };
  const [reader, writer] = await openUnixConnection({ path, serverHostname: "localhost", ssl });
  writer.write("GET /a.txt HTTP/1.0\r\n\r\n");
  assertEquals(await line(reader), "HTTP/1.1 200 OK");
  await reader.readuntil("\r\n\r\n");
  assertEquals(await line(reader), "hello");
  writer.close();
  await writer.waitClosed();
});

// ---- The pipes of a program -----------------------------------------------------------------------------

const CONNECT = "const s = require('net').connect(+process.argv[1], '127.0.0.1');";
const LISTEN =
  "require('net').createServer((s) => { process.stdin.pipe(s).pipe(process.stdout); s.on('close', () => process.exit()); })" +
  ".listen(0, '127.0.0.1', function () { console.error(this.address().port); });";

/** A program whose standard input and output are a connection. */
function spawn(script: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(need("node"), {
    args: ["-e", script, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("interop tlsio over a program's pipes -> python ssl: exact bytes, clean close", async () => {
  await using server = await pythonServer(identity("ec"));
  const child = spawn(`${CONNECT} process.stdin.pipe(s).pipe(process.stdout);`, String(server.port));
  const socket = await wrapSocket({ readable: child.stdout, writable: child.stdin }, clientOptions());
  const steps = await runSteps(socket, ["ECHO 300000 1", "SINK 300000 2", "SOURCE 300000 3"]);
  assertEquals(steps.map(({ ok }) => ok), [true, true, true]);
  await closeInOrder(socket);
  assertEquals((await server.event("closed")).clean, true);
  await child.stderr.cancel();
  assertEquals((await within(child.status, PATIENCE, "wait for the program")).code, 0);
});

Deno.test("interop python ssl -> tlsio over a program's pipes: exact bytes, clean close", async () => {
  const child = spawn(LISTEN);
  const stderr = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await within(stderr.read(), PATIENCE, "read the port")).value);
  const serve = async () => {
    const pair = { readable: child.stdout, writable: child.stdin };
    const socket = await wrapSocket(pair, { serverSide: true, ...IDENTITY });
    assertEquals(await handleProtocol(socket), "eof");
    await socket.close();
  };
  const steps = ["ECHO 300000 1", "SINK 300000 2", "SOURCE 300000 3"];
  const [{ connections }] = await Promise.all([pythonClient({ port, ca: ROOTS, steps }), serve()]);
  assertEquals(connections[0]?.steps.map(({ ok }) => ok), [true, true, true], connections[0]?.error);
  assertEquals(connections[0]?.closed, "clean");
  await stderr.cancel();
  assertEquals((await within(child.status, PATIENCE, "wait for the program")).code, 0);
});
