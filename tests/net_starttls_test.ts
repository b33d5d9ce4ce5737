/** StreamWriter.startTls() on the streams of openConnection() and startServer(). */

import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { type ClientConnected, openConnection, type StartTlsOptions, type Writer } from "../lib/net.ts";
import type { Server } from "../lib/server.ts";
import { SSLSocket } from "../lib/socket.ts";
import { SSLContext, wrapSocket } from "../lib/ssl.ts";
import type { StreamReader } from "../lib/streams.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  CLIENT,
  CREDENTIAL,
  dial,
  eventually,
  idle,
  LONG,
  readText,
  SERVER,
  serving,
  SHORT,
  test,
} from "./sockets.ts";

const UPGRADE: StartTlsOptions = { caCerts: certFile("root.pem"), serverHostname: "localhost" };

async function line(reader: StreamReader): Promise<string> {
  return decodeText(await reader.readline());
}

/** A handler that upgrades once, and logs the commands that it takes. */
function upgrading(log: string[], options: StartTlsOptions = CREDENTIAL): ClientConnected {
  return async (reader, writer) => {
    for (let command = await line(reader); command !== ""; command = await line(reader)) {
      log.push(command.trim());
      writer.write(`OK ${command}`);
      if (command === "STARTTLS\n") await writer.startTls(options);
    }
  };
}

async function open(server: Server): Promise<[StreamReader, Writer]> {
  const { port } = server.addr as Deno.NetAddr;
  return await openConnection({ hostname: "127.0.0.1", port });
}

async function command([reader, writer]: [StreamReader, Writer], text: string): Promise<void> {
  writer.write(`${text}\n`);
  assertEquals(await line(reader), `OK ${text}\n`);
}

async function close(writer: Writer): Promise<void> {
  writer.close();
  await writer.waitClosed();
}

test("StreamWriter.startTls() continues both ends over TLS", async () => {
  const log: string[] = [];
  await using server = await serving(upgrading(log), { ssl: null });
  const streams = await open(server);
  const [, writer] = streams;
  await command(streams, "HELO");
  assertEquals(writer.getExtraInfo("sslObject", "none"), "none");
  await command(streams, "STARTTLS");
  await writer.startTls(UPGRADE);
  const socket = writer.getExtraInfo("sslObject");
  assertInstanceOf(socket, SSLSocket);
  assertEquals([socket.version(), socket.serverHostname], ["TLSv1.3", "localhost"]);
  await command(streams, "MAIL");
  assertEquals(server.stats.open, 1);
  await close(writer);
  await eventually(() => server.stats.open === 0);
  assertEquals(log, ["HELO", "STARTTLS", "MAIL"]);
  assertEquals(server.stats.handshakeFailures, 0);
});

test("StreamWriter.startTls() takes contexts", async () => {
  using theirs = await SSLContext.create(SERVER);
  using ours = await SSLContext.create({ caCerts: certFile("root.pem") });
  await using server = await serving(upgrading([], { context: theirs }), { ssl: null });
  for (let i = 0; i < 2; i++) {
    const streams = await open(server);
    await command(streams, "STARTTLS");
    await streams[1].startTls({ context: ours, serverHostname: "localhost" });
    await command(streams, "MAIL");
    await close(streams[1]);
  }
});

test("StreamWriter.startTls() says that what it was given is no context", async () => {
  for (const context of [{}, null, "default"]) {
    await using server = await serving(upgrading([], {}), { ssl: null });
    const [, writer] = await openConnection({
      hostname: "127.0.0.1",
      port: (server.addr as Deno.NetAddr).port,
    });
    const wrong = writer.startTls({ context: context as unknown as SSLContext, serverHostname: "localhost" });
    await assertRejects(() => wrong, TypeError, "Cannot use context: expected an SSLContext, got");
  }
});

test("StreamWriter.startTls() refuses the context of the other side, and names both sides", async () => {
  using theirs = await SSLContext.create(SERVER);
  using ours = await SSLContext.create({ caCerts: certFile("root.pem") });
  const failed = Promise.withResolvers<unknown>();
  await using server = await serving(upgrading([], { context: ours }), {
    ssl: null,
    onError: failed.resolve,
  });
  const streams = await open(server);
  await command(streams, "STARTTLS");
  const wrong = streams[1].startTls({ context: theirs, serverHostname: "localhost" });
  await assertRejects(
    () => wrong,
    TypeError,
    "Cannot startTls(): the context is a server's, this end is the client",
  );
  assertInstanceOf(await failed.promise, TypeError);
  assertStringIncludes(String(await failed.promise), "the context is a client's, this end is the server");
  await streams[1].waitClosed().catch(() => {});
});

test("StreamWriter.startTls() checks the certificate for serverHostname, not for what was dialled", async () => {
  await using server = await serving(upgrading([]), { ssl: null, onError: () => {} });
  const streams = await open(server); // 127.0.0.1
  await command(streams, "STARTTLS");
  await streams[1].startTls({ ...UPGRADE, serverHostname: "example.test" });
  assertEquals((streams[1].transport as SSLSocket).serverHostname, "example.test");
  await command(streams, "MAIL");
  await close(streams[1]);
  const nameless = await open(server);
  await command(nameless, "STARTTLS");
  const { serverHostname: _, ...rest } = UPGRADE;
  await assertRejects(() => nameless[1].startTls(rest), TypeError, "needs serverHostname");
});

test("StreamWriter.startTls() puts TLS in TLS", async () => {
  await using server = await serving(upgrading([]));
  const { port } = server.addr as Deno.NetAddr;
  const streams = await openConnection({
    hostname: "127.0.0.1",
    port,
    ssl: { caCerts: certFile("root.pem") },
    sslShutdownTimeout: LONG / 4,
  });
  await command(streams, "STARTTLS");
  await streams[1].startTls({ ...UPGRADE, shutdownTimeout: LONG / 4 });
  await command(streams, "MAIL");
  await close(streams[1]);
});

// ---- Injection (CVE-2011-0411) --------------------------------------------------------------------------

test("StreamWriter.startTls() of a server never takes a command that came in clear for one over TLS", async () => {
  const log: string[] = [];
  const errors: unknown[] = [];
  await using server = await serving(upgrading(log), { ssl: null, onError: (error) => errors.push(error) });
  const conn = await dial(server);
  await conn.write(encodeText("STARTTLS\nINJECTED\n")); // who sits on the line adds the second
  const answer = new Uint8Array(12);
  assertEquals(await conn.read(answer), 12);
  const error = await assertRejects(() => wrapSocket(conn, CLIENT), SSLError);
  assertEquals(error.alert === undefined, error.kind !== "alert");
  await eventually(() => server.stats.open === 0);
  assertEquals(log, ["STARTTLS"]);
  assertInstanceOf(errors[0], SSLError);
  assertEquals([errors[0].kind, errors.length], ["protocol", 1]);
});

test("StreamWriter.startTls() of a client never takes an answer that came in clear for one over TLS", async () => {
  const { promise: injected, resolve } = Promise.withResolvers<void>();
  await using server = await serving(async (reader, writer) => {
    await reader.readline();
    writer.write("OK STARTTLS\nINJECTED\n");
    await writer.drain();
    resolve();
    await writer.startTls(CREDENTIAL);
  }, { ssl: null, onError: () => {} });
  const [reader, writer] = await open(server);
  writer.write("STARTTLS\n");
  assertEquals(await line(reader), "OK STARTTLS\n");
  await injected;
  const error = await assertRejects(() => writer.startTls(UPGRADE), SSLError);
  assertEquals(error.kind, "protocol");
  assertStrictEquals(await assertRejects(() => reader.readline()), error);
  await assertRejects(() => writer.waitClosed());
});

test("StreamWriter.startTls() takes a ClientHello that came with the command", async () => {
  await using server = await serving(upgrading([]), { ssl: null });
  const conn = await dial(server);
  const [near, far] = pipe();
  const connecting = wrapSocket(near, CLIENT);
  await idle();
  const hello = new Uint8Array(near.unread);
  await far.read(hello);
  await conn.write(new Uint8Array([...encodeText("STARTTLS\n"), ...hello]));
  const answer = new Uint8Array(12);
  assertEquals([await conn.read(answer), decodeText(answer)], [12, "OK STARTTLS\n"]);
  const relays = [relay(conn, far), relay(far, conn)];
  const client = await connecting;
  await client.write(encodeText("MAIL\n"));
  assertEquals(await readText(client), "OK MAIL\n");
  await client.close();
  await Promise.all(relays);
  conn.close();
});

/** Copies until the end. */
async function relay(from: Deno.Conn | ReturnType<typeof pipe>[1], to: typeof from): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
    for (let at = 0; at < n;) at += await to.write(buffer.slice(at, n));
  }
  await to.closeWrite();
}

// ---- Failures and the end -------------------------------------------------------------------------------

test("StreamWriter.startTls() that does not verify closes the connection on both ends", async () => {
  const errors: unknown[] = [];
  await using server = await serving(upgrading([]), { ssl: null, onError: (error) => errors.push(error) });
  const streams = await open(server);
  const [reader, writer] = streams;
  await command(streams, "STARTTLS");
  const error = await assertRejects(
    () => writer.startTls({ ...UPGRADE, serverHostname: "other.test" }),
    SSLCertVerificationError,
  );
  assertStrictEquals(await assertRejects(() => reader.read(1)), error);
  assertStrictEquals(await assertRejects(() => writer.drain()), error);
  await eventually(() => errors.length === 1);
  assertInstanceOf(errors[0], SSLError);
  assertEquals(errors[0].alert?.name, "bad_certificate");
});

test("StreamWriter.startTls({ timeout }) bounds a peer that does not answer", async () => {
  await using server = await serving(async (reader) => void await reader.read(), { ssl: null });
  const [, writer] = await open(server);
  const call = () => writer.startTls({ ...UPGRADE, timeout: SHORT });
  assertEquals((await assertRejects(call, SSLError)).kind, "timeout");
  await eventually(() => server.stats.open === 0);
});

test("Server.closeClients() sends a close_notify on connections that were upgraded", async () => {
  const errors: unknown[] = [];
  await using server = await serving(upgrading([]), { ssl: null, onError: (error) => errors.push(error) });
  const streams = await open(server);
  const [reader, writer] = streams;
  await command(streams, "STARTTLS");
  await writer.startTls(UPGRADE);
  await command(streams, "MAIL");
  server.closeClients();
  assertEquals(await line(reader), ""); // an end without close_notify would be an error
  await close(writer);
  await eventually(() => server.stats.open === 0);
  assertEquals(errors, []);
});

test("Server.abortClients() drops connections that were upgraded", async () => {
  await using server = await serving(upgrading([]), { ssl: null });
  const streams = await open(server);
  await command(streams, "STARTTLS");
  await streams[1].startTls(UPGRADE);
  await command(streams, "MAIL");
  server.abortClients();
  await assertKind(streams[0].readline(), "eof");
  await eventually(() => server.stats.open === 0);
  streams[1].abort();
});
