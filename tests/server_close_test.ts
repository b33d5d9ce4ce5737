/** The end of a Server: its connections drain, are closed, or are dropped, and nothing waits for ever. */

import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { ClientConnected } from "../lib/net.ts";
import { wrapSocket } from "../lib/ssl.ts";
import type { StreamReader } from "../lib/streams.ts";
import {
  assertKind,
  assertTook,
  CLIENT,
  CREDENTIAL,
  dial,
  dialTls,
  eventually,
  isPending,
  LONG,
  readText,
  seconds,
  serving,
  SHORT,
  test,
} from "./sockets.ts";

const KINDS = { TLS: CREDENTIAL, plain: null };

/** Answers each line. */
const answer: ClientConnected = async (reader, writer) => {
  for await (const line of reader) writer.write(line);
};

/** Waits for a line that never comes. */
const wait: ClientConnected = async (reader) => void await reader.readline();

test("Server.close() stops listening and lets open connections go on", async () => {
  const server = await serving(answer);
  assertEquals([server.isServing(), server.sockets], [true, [server.addr]]);
  const client = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  const forever = server.serveForever();
  assertEquals(await isPending(forever), true);
  server.close();
  server.close();
  await forever;
  assertEquals([server.isServing(), server.sockets], [false, []]);
  await assertRejects(() => dial(server), Deno.errors.ConnectionRefused);

  const closed = server.waitClosed();
  await client.write(encodeText("still served\n"));
  assertEquals(await readText(client), "still served\n");
  assertEquals(await isPending(closed), true);
  await client.close();
  await closed;
  assertEquals(server.stats.open, 0);
});

test("Server.close() lets a handshake go on", async () => {
  const server = await serving(answer);
  const conn = await dial(server);
  await eventually(() => server.stats.handshaking === 1);
  server.close();
  const client = await wrapSocket(conn, CLIENT);
  await client.write(encodeText("in time\n"));
  assertEquals(await readText(client), "in time\n");
  await client.close();
  await server.waitClosed();
});

test("Server.waitClosed() waits for the handlers, not only for their connections", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = await serving(async (reader) => {
    await reader.read();
    await promise;
  });
  const client = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  const closing = client.close();
  server.close();
  const closed = server.waitClosed();
  assertEquals(await isPending(closed), true);
  resolve();
  await Promise.all([closed, closing]);
});

for (const [kind, ssl] of Object.entries(KINDS)) {
  test(`Server.closeClients() closes each ${kind} connection in good order, and reports no failure`, async () => {
    const errors: unknown[] = [];
    await using server = await serving(wait, { ssl, onError: (error) => errors.push(error) });
    const connect = () => ssl ? dialTls(server) : dial(server);
    const clients = [await connect(), await connect()];
    await eventually(() => server.stats.open === 2);
    server.closeClients();
    for (const client of clients) assertEquals(await client.read(new Uint8Array(1)), null);
    for (const client of clients) await client.close();
    await eventually(() => server.stats.open === 0);
    assertEquals(errors, []);
    const next = await connect();
    await eventually(() => server.stats.open === 1);
    await next.close();
  });

  test(`Server.abortClients() drops each ${kind} connection, and reports no failure`, async () => {
    const errors: unknown[] = [];
    await using server = await serving(wait, { ssl, onError: (error) => errors.push(error) });
    const client = ssl ? await dialTls(server) : await dial(server);
    await eventually(() => server.stats.open === 1);
    server.abortClients();
    if (ssl) await assertKind(client.read(new Uint8Array(1)), "eof");
    else assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
    await eventually(() => server.stats.open === 0);
    await client.close();
    assertEquals(errors, []);
  });

  test(`Server.closeClients() and abortClients() pass over ${kind} connections that are closed already`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using server = await serving(async (_, writer) => {
      writer.close();
      await writer.waitClosed();
      await promise;
    }, { ssl });
    const client = ssl ? await dialTls(server) : await dial(server);
    assertEquals(await client.read(new Uint8Array(1)), null);
    await client.close();
    await eventually(() => server.stats.open === 1);
    server.closeClients();
    server.abortClients();
    resolve();
  });
}

test("Server.closeClients() reports what a handler does wrong afterwards", async () => {
  const errors: unknown[] = [];
  const failure = new Error("a defect");
  await using server = await serving(async (reader) => {
    await reader.read().catch(() => {});
    throw failure;
  }, { onError: (error) => errors.push(error) });
  const client = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  server.closeClients();
  await client.close();
  await eventually(() => server.stats.open === 0);
  assertEquals(errors, [failure]);
});

test("Server.closeClients() and abortClients() end handshakes under way, which have not failed", async () => {
  for (const method of ["closeClients", "abortClients", "abortHandshakes"] as const) {
    await using server = await serving(answer);
    const silent = await dial(server);
    await eventually(() => server.stats.handshaking === 1);
    server[method]();
    assertEquals(await silent.read(new Uint8Array(1)).catch(() => null), null);
    await eventually(() => server.stats.handshaking === 0);
    assertEquals([server.stats.handshakeFailures, server.stats.failures], [0, {}]);
    silent.close();
  }
});

test("Server.closeClients() ends handshakes at once that wait for the server's own code", async () => {
  const getConfigForClient = () => new Promise<undefined>(() => {});
  await using server = await serving(answer, { ssl: { ...CREDENTIAL, getConfigForClient } });
  const client = assertKind(dialTls(server, { timeout: LONG }), "eof", "closed");
  await eventually(() => server.stats.handshaking === 1);
  server.closeClients();
  await client;
  await eventually(() => server.stats.handshaking === 0);
  assertEquals([server.stats.handshakeFailures, server.stats.failures], [0, {}]);
});

test("Server.abortHandshakes() leaves open connections alone", async () => {
  await using server = await serving(answer);
  const client = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  server.abortHandshakes();
  await client.write(encodeText("still here\n"));
  assertEquals(await readText(client), "still here\n");
  await client.close();
});

test("Server is closed at the end of an await using block, when its handlers have ended", async () => {
  let ended = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  let last: Promise<string | null>;
  {
    await using server = await serving(async (reader) => {
      await reader.readline();
      await promise;
      ended = true;
    });
    const client = await dialTls(server);
    await eventually(() => server.stats.open === 1);
    await client.write(encodeText("go on\n"));
    last = readText(client).finally(() => client.close());
    setTimeout(resolve, 20);
  }
  assertEquals(ended, true);
  assertEquals(await last, null);
});

test("Server's disposal drops after sslShutdownTimeout what does not end", async () => {
  const server = await serving(wait, { sslShutdownTimeout: SHORT });
  const client = await dialTls(server);
  const silent = await dial(server);
  await eventually(() => server.stats.open === 1 && server.stats.handshaking === 1);
  assertTook(await seconds(server[Symbol.asyncDispose]()), SHORT);
  assertEquals([server.stats.open, server.stats.handshaking], [0, 0]);
  await assertKind(client.read(new Uint8Array(1)), "eof");
  await client.close();
  silent.close();
});

test("Server's disposal does not wait for a handler that goes on without its connection", async () => {
  let reader: StreamReader | undefined;
  const server = await serving(async (given) => {
    reader = given;
    await new Promise(() => {});
  }, { sslShutdownTimeout: SHORT });
  const client = await dialTls(server);
  await eventually(() => reader !== undefined);
  assertTook(await seconds(server[Symbol.asyncDispose]()), SHORT + 1);
  await assertRejects(() => reader!.read(1));
  client.abort();
});

test("Server's disposal is immediate when nothing is open", async () => {
  const server = await serving(answer);
  assertLess(await seconds(server[Symbol.asyncDispose]()), LONG / 4);
  await server[Symbol.asyncDispose]();
  await server.waitClosed();
});
