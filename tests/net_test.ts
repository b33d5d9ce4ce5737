/** openConnection(), startServer() and their unix pair: asyncio's streams with and without TLS. */

import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { decodeText } from "../lib/bytes.ts";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import {
  type ClientConnected,
  openConnection,
  type OpenConnectionOptions,
  openUnixConnection,
  startServer,
  startUnixServer,
  type Writer,
} from "../lib/net.ts";
import type { Server } from "../lib/server.ts";
import { SSLSocket } from "../lib/socket.ts";
import { SSLContext } from "../lib/ssl.ts";
import { LimitOverrunError, type StreamReader } from "../lib/streams.ts";
import { certFile } from "./peers.ts";
import {
  assertTook,
  CREDENTIAL,
  dial,
  eventually,
  isPending,
  LONG,
  seconds,
  SERVER,
  serving,
  SHORT,
  test,
} from "./sockets.ts";

const TRUST = { caCerts: certFile("root.pem") };

/** Answers each line in capitals. */
const shout: ClientConnected = async (reader, writer) => {
  for await (const line of reader) writer.write(decodeText(line).toUpperCase());
};

/** Options of a connection to a server. */
function to(server: Server, options: Partial<OpenConnectionOptions> = {}): OpenConnectionOptions {
  const { port } = server.addr as Deno.NetAddr;
  return { hostname: "127.0.0.1", port, sslShutdownTimeout: LONG / 4, ...options };
}

async function line(reader: StreamReader): Promise<string> {
  return decodeText(await reader.readline());
}

/** Asserts that a line comes back, and closes. */
async function assertShout([reader, writer]: [StreamReader, Writer]): Promise<void> {
  writer.write("hello\n");
  await writer.drain();
  assertEquals(await line(reader), "HELLO\n");
  writer.close();
  await writer.waitClosed();
}

/** Asserts that nothing connects to a server while `attempt` rejects. */
async function assertNoConnection(
  attempt: (server: Server) => Promise<unknown>,
  ...rejection: [errorClass: new (...args: never[]) => Error, message?: string]
): Promise<void> {
  await using server = await serving(shout);
  await assertRejects(() => attempt(server), ...rejection as [typeof Error, string]);
  const probe = await dial(server); // whatever was before it in the backlog is accepted before it
  await eventually(() => server.stats.accepted > 0);
  assertEquals(server.stats.accepted, 1);
  probe.close();
}

// ---- With and without TLS -------------------------------------------------------------------------------

test("openConnection() and startServer() talk without TLS", async () => {
  await using server = await serving(shout, { ssl: null });
  const [reader, writer] = await openConnection(to(server));
  assertEquals(writer.getExtraInfo("cipher", "none"), "none");
  await assertShout([reader, writer]);
});

test("openConnection({ ssl }) takes options of a context and checks the server", async () => {
  await using server = await serving(shout);
  await assertShout(await openConnection(to(server, { ssl: TRUST })));
  await assertShout(await openConnection(to(server, { ssl: TRUST, serverHostname: "example.test" })));
  await assertShout(await openConnection(to(server, { ssl: { ...TRUST, serverHostname: "localhost" } })));
  const wrong = openConnection(to(server, { ssl: TRUST, serverHostname: "other.test" }));
  await assertRejects(() => wrong, SSLCertVerificationError, 'the certificate is not for "other.test"');
});

test("openConnection({ ssl }) prefers its own serverHostname to that of the options of ssl", async () => {
  await using server = await serving(shout);
  const ssl = { ...TRUST, serverHostname: "other.test" };
  await assertShout(await openConnection(to(server, { ssl, serverHostname: "localhost" })));
});

test("openConnection({ ssl: true }) trusts the Mozilla roots and nobody else", async () => {
  await using server = await serving(shout);
  const error = await assertRejects(
    () => openConnection(to(server, { ssl: true })),
    SSLCertVerificationError,
  );
  assertEquals(error.verifyFlags, 8);
});

test("openConnection({ ssl }) takes a context, again and again", async () => {
  await using server = await serving(shout);
  using ssl = await SSLContext.create(TRUST);
  for (let i = 0; i < 2; i++) await assertShout(await openConnection(to(server, { ssl })));
});

test("openConnection({ ssl }) passes the options of the connection on", async () => {
  await using server = await serving(shout);
  const [reader, writer] = await openConnection(to(server, { ssl: TRUST }));
  writer.write("x\n");
  await line(reader);
  const { session } = writer.getExtraInfo("sslObject") as SSLSocket;
  writer.close();
  await writer.waitClosed();
  const ssl = { ...TRUST, savedSession: session!, doHandshake: false };
  const [again, other] = await openConnection(to(server, { ssl }));
  const socket = other.getExtraInfo("sslObject") as SSLSocket;
  assertEquals(socket.version(), undefined); // deferred
  await assertShout([again, other]);
  assertEquals(socket.sessionReused, true);
});

test("openUnixConnection() and startUnixServer() talk with and without TLS", async () => {
  const folder = await Deno.makeTempDir();
  for (const ssl of [undefined, CREDENTIAL]) {
    const path = `${folder}/${ssl ? "tls" : "plain"}`;
    await using server = await startUnixServer(shout, {
      path,
      ...(ssl && { ssl }),
      sslShutdownTimeout: LONG / 4,
    });
    assertEquals(server.addr, { transport: "unix", path });
    const options = { path, serverHostname: "localhost", sslShutdownTimeout: LONG / 4 };
    await assertShout(await openUnixConnection({ ...options, ...(ssl && { ssl: TRUST }) }));
  }
  await assertRejects(() => openUnixConnection({ path: `${folder}/none` }), Deno.errors.NotFound);
  await Deno.remove(folder, { recursive: true });
});

test("startServer() and openConnection() pass limit to their readers", async () => {
  await using server = await serving(async (reader, writer) => {
    await assertRejects(() => reader.readline(), LimitOverrunError);
    writer.write("too long\n");
  }, { limit: 10 });
  const [reader, writer] = await openConnection(to(server, { ssl: TRUST, limit: 5 }));
  writer.write("0123456789abcdef\n");
  await assertRejects(() => reader.readline(), LimitOverrunError);
  writer.abort();
});

test("startServer() leaves the closing to a callback that returns no promise", async () => {
  let kept: Writer | undefined;
  await using server = await serving((_, writer) => {
    kept = writer;
  });
  const [reader, writer] = await openConnection(to(server, { ssl: TRUST }));
  await eventually(() => kept !== undefined);
  kept!.write("later\n");
  assertEquals(await line(reader), "later\n");
  assertEquals(server.stats.open, 1);
  kept!.close();
  assertEquals(await reader.read(), new Uint8Array(0));
  writer.close();
  await writer.waitClosed();
});

test("StreamWriter.writeEof() over TLS sends close_notify, and the answer still comes", async () => {
  await using server = await serving(async (reader, writer) => {
    writer.write(`${(await reader.read()).length} bytes`);
  });
  const [reader, writer] = await openConnection(to(server, { ssl: TRUST }));
  assertEquals(writer.canWriteEof(), true); // asyncio's cannot
  writer.write("some bytes");
  writer.writeEof();
  assertEquals(decodeText(await reader.read()), "10 bytes");
  writer.close();
  await writer.waitClosed();
});

// ---- getExtraInfo() -------------------------------------------------------------------------------------

test("StreamWriter.getExtraInfo() knows the names of asyncio on both ends", async () => {
  const { promise, resolve } = Promise.withResolvers<Writer>();
  await using server = await serving(async (reader, writer) => {
    resolve(writer);
    await reader.read();
  });
  const [, writer] = await openConnection(to(server, { ssl: TRUST, serverHostname: "localhost" }));
  const theirs = await promise;
  const socket = writer.getExtraInfo("sslObject");
  assertInstanceOf(socket, SSLSocket);
  assertStrictEquals(socket, writer.transport);
  assertEquals(writer.getExtraInfo("cipher"), socket.cipher());
  assertEquals(writer.getExtraInfo("cipher"), theirs.getExtraInfo("cipher"));
  assertEquals(writer.getExtraInfo("peercert"), socket.getpeercert());
  assertEquals(theirs.getExtraInfo("peercert", "none"), "none");
  assertEquals(writer.getExtraInfo("peername"), server.addr as Deno.NetAddr);
  assertEquals(writer.getExtraInfo("sockname"), theirs.getExtraInfo("peername"));
  assertEquals(writer.getExtraInfo("compression", null), null);
  writer.close();
  await writer.waitClosed();
});

// ---- Options that are wrong, and connections that fail --------------------------------------------------

const WRONG: Record<string, Partial<OpenConnectionOptions>> = {
  "connectTimeout: 0": { connectTimeout: 0 },
  "sslHandshakeTimeout: -1": { ssl: TRUST, sslHandshakeTimeout: -1 },
  "sslShutdownTimeout: NaN": { ssl: TRUST, sslShutdownTimeout: NaN },
  "ssl.timeout: 0": { ssl: { ...TRUST, timeout: 0 } },
  "limit: 0": { limit: 0 },
  "an unknown cipher": { ssl: { ...TRUST, ciphers: ["ROT13"] } },
  "a serverHostname that is none": { ssl: TRUST, serverHostname: "not a name" },
  "a savedSession that is none": { ssl: { ...TRUST, savedSession: new Uint8Array(3) } },
};

for (const [what, options] of Object.entries(WRONG)) {
  test(`openConnection() refuses ${what} and does not connect`, async () => {
    await assertNoConnection((server) => openConnection(to(server, options)), Error, "Cannot ");
  });
}

test("openConnection({ ssl }) reads its files before it connects", async () => {
  const ssl = { caCerts: certFile("no such file.pem") };
  await assertNoConnection((server) => openConnection(to(server, { ssl })), Deno.errors.NotFound, "caCerts");
});

test("openConnection({ ssl }) refuses a server's context and does not connect", async () => {
  using ssl = await SSLContext.create(SERVER);
  const message = "Cannot use ssl: the context is a server's";
  await assertNoConnection((server) => openConnection(to(server, { ssl })), TypeError, message);
});

test("openUnixConnection({ ssl }) needs serverHostname, and says so before it connects", async () => {
  const call = () => openUnixConnection({ path: "/no/such/socket", ssl: TRUST });
  await assertRejects(call, TypeError, "CERT_REQUIRED needs serverHostname");
});

test("openConnection() rejects with what Deno.connect() says", async () => {
  const nobody = { hostname: "127.0.0.1", port: 1, ssl: TRUST }; // tcpmux, which died out
  await assertRejects(() => openConnection(nobody), Deno.errors.ConnectionRefused);
});

test("openConnection({ sslHandshakeTimeout }) bounds the handshake, and closes the connection", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const options = { hostname: "127.0.0.1", port: listener.addr.port };
  for (const limit of [{ ssl: TRUST, sslHandshakeTimeout: SHORT }, { ssl: { ...TRUST, timeout: SHORT } }]) {
    const opening = openConnection({ ...options, ...limit });
    const [conn, took] = await Promise.all([listener.accept(), seconds(opening)]);
    assertTook(took, SHORT);
    const error = await assertRejects(() => opening, SSLError, `timed out after ${SHORT} seconds`);
    assertEquals(error.kind, "timeout");
    await new Response(conn.readable).bytes(); // to the end
  }
});

test("openConnection({ connectTimeout }) bounds the connecting, and drops a connection that comes late", async () => {
  const late = Promise.withResolvers<Deno.TcpConn>();
  const { connect } = Deno;
  let signal: AbortSignal | undefined;
  let closed = false;
  Deno.connect = ((options: Deno.ConnectOptions) => {
    signal = options.signal;
    return late.promise;
  }) as typeof Deno.connect;
  try {
    const opening = openConnection({ hostname: "192.0.2.1", port: 1, connectTimeout: SHORT });
    assertTook(await seconds(opening), SHORT);
    await assertRejects(
      () => opening,
      Deno.errors.TimedOut,
      `Cannot connect: timed out after ${SHORT} seconds`,
    );
    assertEquals(signal?.aborted, true);
    const conn = {
      close() {
        closed = true;
      },
    };
    late.resolve(conn as Deno.TcpConn);
    await eventually(() => closed);
  } finally {
    Deno.connect = connect;
  }
});

test("openConnection({ signal }) that is aborted already does not connect", async () => {
  const reason = new Error("changed my mind");
  const signal = AbortSignal.abort(reason);
  for (const ssl of [TRUST, false]) {
    const attempt = (server: Server) => openConnection(to(server, { ssl, signal }));
    await assertNoConnection(attempt, Error, "changed my mind");
  }
});

test("openConnection({ signal }) ends a handshake with its reason", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const abort = new AbortController();
  const options = { hostname: "127.0.0.1", port: listener.addr.port, signal: abort.signal, ssl: TRUST };
  const opening = openConnection(options);
  const conn = await listener.accept();
  assert(await conn.read(new Uint8Array(1)) !== null); // the ClientHello
  assertEquals(await isPending(opening), true);
  const reason = new Error("stop");
  abort.abort(reason);
  assertStrictEquals(await assertRejects(() => opening), reason);
  await new Response(conn.readable).bytes().catch(() => {});
});

test("openConnection({ signal }) leaves an open connection alone", async () => {
  await using server = await serving(shout);
  const abort = new AbortController();
  const streams = await openConnection(to(server, { signal: abort.signal, ssl: TRUST }));
  abort.abort();
  await assertShout(streams);
});

test("startServer() listens on all addresses by default", async () => {
  await using server = await startServer(shout, { port: 0 });
  assertEquals((server.addr as Deno.NetAddr).hostname, "0.0.0.0");
});
