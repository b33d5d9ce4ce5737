/** What the servers of devices do otherwise than tlsio's, seen by peers. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { SSLError as TLSError } from "../lib/errors.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext } from "../lib/ssl.ts";
import { serve } from "../http.ts";
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

const ESP32 = { ...CREDENTIAL, profile: "esp32" } as const;
const LARGE = { budget: 110 * 1024 };
const QUIET = { onError: () => {} };

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
    onConnectionError: (error) => void failures.push(error),
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
  assertEquals(seen, [5, 60, 5, 10, 7, 3, 4096, 60]);
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
