/** 0-RTT early data through sockets: when it comes, what waits for it, and who is told that it cannot be. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeText, EMPTY, encodeText } from "../lib/bytes.ts";
import { serve } from "../lib/http.ts";
import { openConnection, startServer } from "../lib/net.ts";
import type { SSLSession } from "../lib/session.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext, wrapSocket } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  CLIENT,
  closeBoth,
  CREDENTIAL,
  idle,
  isPending,
  readText,
  SHORT,
  test,
} from "./sockets.ts";

const REQUEST = encodeText("GET / HTTP/1.1\r\n\r\n");

/** A server's context that takes early data. */
function earlyContext(): Promise<SSLContext> {
  return SSLContext.create({
    serverSide: true,
    ...CREDENTIAL,
    maxEarlyData: 1000,
    tickets: new TicketKeyRing(),
  });
}

/** A session of a full handshake. */
async function sessionFor(context: SSLContext): Promise<SSLSession> {
  const [near, far] = pipe();
  const [client, server] = await Promise.all([wrapSocket(near, CLIENT), context.wrapSocket(far)]);
  await server.write(encodeText("ticket"));
  assertEquals(await readText(client), "ticket");
  const { session } = client;
  await closeBoth(client, server);
  return session!;
}

/** Reads early data once, as text; `null` at its end. */
async function readEarlyText(socket: SSLSocket): Promise<string | null> {
  const buffer = new Uint8Array(100);
  const n = await socket.readEarlyData(buffer);
  return n === null ? null : decodeText(buffer.subarray(0, n));
}

test("SSLSocket.write(): a server's answer to early data needs nothing but the client's first flight", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false });
  const client = await wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST, doHandshake: false });
  const answered = readText(client);
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  near.alter = () => EMPTY; // its second flight is lost
  await server.write(encodeText("answer"));
  assertEquals(await answered, "answer");
  assertEquals(server.version(), undefined, "its handshake is not over");
  client.abort();
  server.abort();
});

test("SSLSocket.readEarlyData(): a server reads and answers before the handshake is over", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false });
  const client = await wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST, doHandshake: false });
  const answered = readText(client); // starts the handshake
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  await server.write(encodeText("answer"));
  assertEquals(await answered, "answer");
  assertEquals(await readEarlyText(server), null);
  assert(client.earlyDataAccepted && server.earlyDataAccepted && server.sessionReused);
  await client.write(encodeText("later"));
  assertEquals(await readText(server), "later");
  await closeBoth(client, server);
});

test("SSLSocket.readEarlyData(): null for a client that sends none; write() and read() are as ever", async () => {
  using context = await earlyContext();
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false });
  const opening = wrapSocket(near, CLIENT);
  assertEquals(await readEarlyText(server), null);
  const client = await opening;
  await client.write(REQUEST);
  assertEquals(await readText(server), decodeText(REQUEST));
  assertEquals([client.earlyDataAccepted, server.earlyDataAccepted], [false, false]);
  await closeBoth(client, server);
});

test("SSLSocket.readEarlyData(): after the handshake it gives what came; read() fails until then", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const [client, server] = await Promise.all([
    wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST }),
    context.wrapSocket(far),
  ]);
  await assertRejects(() => server.read(new Uint8Array(10)), TypeError, "readEarlyData()");
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  assertEquals(await readEarlyText(server), null);
  const reading = readText(server);
  await client.write(encodeText("later"));
  assertEquals(await reading, "later");
  await closeBoth(client, server);
});

test("SSLSocket.close(): behind an early answer it waits for the handshake, and says goodbye", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false });
  const client = await wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST, doHandshake: false });
  const answered = readText(client);
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  await server.write(encodeText("answer"));
  const closing = server.close();
  assertEquals([await answered, await readText(client)], ["answer", null]);
  await Promise.all([client.close(), closing]);
});

test("SSLSocket.close(): early data that nobody read does not keep it", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const [client, server] = await Promise.all([
    wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST }),
    context.wrapSocket(far),
  ]);
  await closeBoth(client, server);
  await assertKind(readEarlyText(server), "closed");
});

test("SSLSocket.readEarlyData(): the deadline of the handshake ends it", async () => {
  using context = await earlyContext();
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false, timeout: SHORT });
  const early = readEarlyText(server);
  assert(await isPending(early));
  await assertKind(early, "timeout");
  await assertKind(readEarlyText(server), "timeout");
  await near.close();
});

test("SSLSocket.readEarlyData(): a client that sends no more than early data runs into the deadline", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const client = await wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST, doHandshake: false });
  const server = await context.wrapSocket(far, { doHandshake: false, timeout: SHORT });
  far.alter = () => EMPTY; // its flight is lost
  const dialling = client.handshake().catch((error) => error);
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  await assertKind(readEarlyText(server), "timeout");
  client.abort();
  await dialling;
});

test("SSLSocket.readEarlyData(): getConfigForClient chooses who takes it", async () => {
  using inner = await earlyContext();
  using outer = await SSLContext.create({
    serverSide: true,
    ...CREDENTIAL,
    getConfigForClient: async ({ serverName }) => {
      await idle();
      return serverName === "localhost" ? inner : undefined;
    },
  });
  const savedSession = await sessionFor(inner);
  const [near, far] = pipe();
  const server = await outer.wrapSocket(far, { doHandshake: false });
  const opening = wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST });
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  assertEquals(await readEarlyText(server), null);
  await closeBoth(await opening, server);
});

test("earlyData: not with what decides about the server only after it is sent", async () => {
  const [near] = pipe();
  for (const hook of [{ verifyConnection: () => {} }, { onUnknownPeer: () => true }]) {
    await assertRejects(
      () => wrapSocket(near, { ...CLIENT, ...hook, earlyData: REQUEST }),
      TypeError,
      "Cannot use earlyData: it would be gone before ",
    );
  }
});

test("earlyData: a client in non-blocking mode sends it, too; a server cannot be in that mode", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  const [near, far] = pipe();
  const server = await context.wrapSocket(far, { doHandshake: false });
  try {
    server.setBlocking(false);
    assert(false, "it was set");
  } catch (error) {
    assert(error instanceof TypeError && error.message.includes("maxEarlyData"), String(error));
  }
  const client = await wrapSocket(near, { ...CLIENT, savedSession, earlyData: REQUEST, doHandshake: false });
  client.setBlocking(false);
  const early = readEarlyText(server);
  while (client.tryHandshake().state !== "ok") await client.ready("read");
  assertEquals(await early, decodeText(REQUEST));
  assertEquals(await readEarlyText(server), null);
  client.setBlocking(true);
  await closeBoth(client, server);
});

test("openConnection(): savedSession and earlyData go with the first flight", async () => {
  using context = await earlyContext();
  const savedSession = await sessionFor(context);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const opening = openConnection({
    hostname: "127.0.0.1",
    port,
    ssl: { caCerts: CLIENT.caCerts! },
    serverHostname: "localhost",
    savedSession,
    earlyData: REQUEST,
  });
  const server = await context.wrapSocket(await listener.accept(), { doHandshake: false });
  assertEquals(await readEarlyText(server), decodeText(REQUEST));
  const [, writer] = await opening;
  assertEquals((writer.getExtraInfo("sslObject") as SSLSocket).earlyDataAccepted, true);
  writer.close();
  await Promise.all([writer.waitClosed(), server.close()]);
});

test("serve(): it refuses a context that takes early data: a handler would not know", async () => {
  using context = await earlyContext();
  const listening = { hostname: "127.0.0.1", port: 0 };
  const handler = () => new Response();
  await assertRejects(() => serve(handler, { ...listening, ssl: context }), TypeError, "maxEarlyData");
});

test("startServer(): it refuses a context that takes early data, with workers, too", async () => {
  using context = await earlyContext();
  const listening = { hostname: "127.0.0.1", port: 0 };
  const own = { ...CREDENTIAL, maxEarlyData: 1 };
  await assertRejects(() => startServer(() => {}, { ...listening, ssl: context }), TypeError, "maxEarlyData");
  await assertRejects(() => startServer(() => {}, { ...listening, ssl: own }), TypeError, "maxEarlyData");
  const module = new URL("programs/none.ts", import.meta.url);
  await assertRejects(
    () => startServer(module, { ...listening, ssl: own, workers: 2 }),
    TypeError,
    "maxEarlyData",
  );
});
