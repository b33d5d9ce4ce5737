/** Peers that break off, stall and lie, against a server and a client over loopback: each costs only itself. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { openConnection, startServer, type StartServerOptions } from "../lib/net.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import { tryClose } from "../lib/accept.ts";
import type { Server } from "../lib/server.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext, wrapSocket } from "../lib/ssl.ts";
import { TLSEngine } from "../lib/engine.ts";
import { bytesFrom, clientOptions, fixedCore } from "./pair.ts";
import { TLSConfig } from "../lib/config.ts";
import { certFile } from "./peers/options.ts";
import { within } from "./peers/process.ts";

const HOST = "127.0.0.1";
const WAIT = 10_000; // milliseconds: nothing here takes a tenth of it
const IDENTITY = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };
const TRUST = { caCerts: certFile("root.pem") };

/** What a server reported, and a wait for it. */
class Reports {
  readonly errors: unknown[] = [];
  #next = Promise.withResolvers<void>();

  readonly add = (error: unknown): void => {
    this.errors.push(error);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  };

  /** Waits until there are `count` reports. */
  async until(count: number): Promise<void> {
    while (this.errors.length < count) await within(this.#next.promise, WAIT, `see ${count} failures`);
  }
}

/** A server that sends back each line; a wait is short, so that a test of it is. */
async function echoServer(
  options: Partial<StartServerOptions> = {},
): Promise<{ server: Server; reports: Reports }> {
  const reports = new Reports();
  const server = await startServer(async (reader, writer) => {
    for await (const line of reader) {
      writer.write(line);
      await writer.drain();
    }
  }, {
    hostname: HOST,
    port: 0,
    ssl: IDENTITY,
    sslHandshakeTimeout: 0.3,
    sslShutdownTimeout: 0.3,
    onError: reports.add,
    ...options,
  });
  return { server, reports };
}

function portOf(server: Server): number {
  return (server.addr as Deno.NetAddr).port;
}

/** A good client gets its answer: the server goes on. */
async function assertServes(server: Server): Promise<void> {
  const [reader, writer] = await within(
    openConnection({ hostname: HOST, port: portOf(server), ssl: TRUST }),
    WAIT,
    "connect",
  );
  writer.write("still there?\n");
  assertEquals(new TextDecoder().decode(await within(reader.readline(), WAIT, "read")), "still there?\n");
  writer.close();
  await within(writer.waitClosed(), WAIT, "close");
}

/** Sends `bytes` to the server, and reads until it closes; a reset ends it, too. */
async function talk(
  server: Server,
  bytes: Uint8Array,
  end: "wait" | "close" | "half-close",
): Promise<Uint8Array> {
  const conn = await Deno.connect({ hostname: HOST, port: portOf(server) });
  const answer: number[] = [];
  try {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    if (end === "close") return new Uint8Array(0);
    if (end === "half-close") await conn.closeWrite();
    const buffer = new Uint8Array(4096);
    for (;;) {
      const n = await within(conn.read(buffer), WAIT, "read what the server says");
      if (n === null) break;
      answer.push(...buffer.subarray(0, n));
    }
  } catch (error) {
    if (!/Connection(Reset|Aborted)|BrokenPipe/.test((error as Error).name)) throw error;
  } finally {
    conn.close();
  }
  return Uint8Array.from(answer);
}

/** A ClientHello that the server takes. */
function clientHello(): Uint8Array {
  using config = new TLSConfig(clientOptions(), fixedCore());
  using client = new TLSEngine(config, { serverHostname: "localhost" });
  client.handshake();
  return client.takeRecords();
}

const SHORT_OF = clientHello().slice(0, -1);

const BAD: Record<
  string,
  { bytes: Uint8Array; end: "wait" | "close" | "half-close"; reason: RegExp; alert?: number }
> = {
  "plain HTTP": {
    bytes: encodeText("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    end: "wait",
    reason: /^MBEDTLS_ERR_SSL_/,
    alert: 21,
  },
  "random bytes": { bytes: bytesFrom(1, 5000), end: "wait", reason: /^MBEDTLS_ERR_SSL_/, alert: 21 },
  "a megabyte of random bytes": { bytes: bytesFrom(2, 1 << 20), end: "wait", reason: /^MBEDTLS_ERR_SSL_/ },
  "nothing, and then the end": {
    bytes: new Uint8Array(0),
    end: "close",
    reason: /^MBEDTLS_ERR_SSL_CONN_EOF$/,
  },
  "half a hello, and then the end": {
    bytes: SHORT_OF,
    end: "half-close",
    reason: /^MBEDTLS_ERR_SSL_CONN_EOF$/,
  },
  "a hello, and then the end": {
    bytes: clientHello(),
    end: "half-close",
    reason: /^MBEDTLS_ERR_SSL_CONN_EOF$/,
    alert: 22,
  },
  "nothing at all": { bytes: new Uint8Array(0), end: "wait", reason: /^MBEDTLS_ERR_SSL_TIMEOUT$/ },
  "half a hello": { bytes: SHORT_OF, end: "wait", reason: /^MBEDTLS_ERR_SSL_TIMEOUT$/ },
  "a hello, and no more": {
    bytes: clientHello(),
    end: "wait",
    reason: /^MBEDTLS_ERR_SSL_TIMEOUT$/,
    alert: 22,
  },
};

for (const [name, { bytes, end, reason, alert }] of Object.entries(BAD)) {
  Deno.test(`Server: a client that sends ${name} costs only itself`, async () => {
    const { server, reports } = await echoServer();
    await using _ = server;
    const answer = await talk(server, bytes, end);
    if (alert !== undefined && answer.length > 0) {
      assertEquals(answer[0], alert, "the type of the first record");
    }
    await reports.until(1);
    const { accepted, open, handshaking, handshakeFailures, failures } = server.stats;
    assertEquals({ accepted, open, handshaking, handshakeFailures }, {
      accepted: 1,
      open: 0,
      handshaking: 0,
      handshakeFailures: 1,
    });
    assert(reason.test(Object.keys(failures).join()), JSON.stringify(failures));
    assertInstanceOf(reports.errors[0], SSLError);
    await assertServes(server);
  });
}

Deno.test("Server: a hundred bad clients at once do not keep out a good one", async () => {
  const { server, reports } = await echoServer({ sslHandshakeTimeout: 2 });
  await using _ = server;
  const all = Object.values(BAD).filter(({ end }) => end !== "wait");
  const bad = Array.from(
    { length: 100 },
    (_, i) => talk(server, all[i % all.length]!.bytes, all[i % all.length]!.end),
  );
  await assertServes(server);
  await Promise.all(bad);
  await reports.until(100);
  await assertServes(server);
  assertEquals([server.stats.handshakeFailures, server.stats.refused], [100, 0]);
});

Deno.test("Server: beyond maxHandshakes a connection is refused at once, and counted", async () => {
  const { server, reports } = await echoServer({ maxHandshakes: 2, sslHandshakeTimeout: 5 });
  await using _ = server;
  const stalled = [1, 2].map(() => Deno.connect({ hostname: HOST, port: portOf(server) }));
  const conns = await Promise.all(stalled);
  const refused = await talk(server, new Uint8Array(0), "wait");
  assertEquals([refused.length, server.stats.refused, server.stats.handshaking], [0, 1, 2]);
  for (const conn of conns) conn.close();
  await reports.until(2);
  await assertServes(server);
});

Deno.test("Server: a client without close_notify is an SSLEOFError to the one who reads", async () => {
  const { server, reports } = await echoServer();
  await using _ = server;
  const conn = await Deno.connect({ hostname: HOST, port: portOf(server) });
  const socket = await wrapSocket(conn, { ...TRUST, serverHostname: "localhost" });
  await socket.write(encodeText("cut sho"));
  conn.close();
  await reports.until(1);
  assertInstanceOf(reports.errors[0], SSLEOFError);
  socket.abort();
  await assertServes(server);
});

// ---- A server that is not what it should be -----------------------------------------------------------

/** Listens, and lets `serve` speak to the one who connects. */
async function badServer(
  serve: (conn: Deno.TcpConn) => Promise<void>,
  use: (conn: Deno.TcpConn) => Promise<void>,
) {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const [conn, far] = await Promise.all([
    Deno.connect({ hostname: HOST, port: (listener.addr as Deno.NetAddr).port }),
    listener.accept(),
  ]);
  const serving = serve(far).catch(() => {}); // the client may be gone
  try {
    await within(use(conn), WAIT, "use the bad server");
  } finally {
    tryClose(far); // TLS on top of it may have closed it
    await serving;
  }
}

const CLIENT = { ...TRUST, serverHostname: "localhost" };

for (
  const [name, answer, kind] of [
    ["answers plain HTTP", encodeText("HTTP/1.1 400 Bad Request\r\n\r\n"), "protocol"],
    ["answers random bytes", bytesFrom(3, 5000), "protocol"],
    ["closes", new Uint8Array(0), "eof"],
    ["breaks off in its first record", Uint8Array.of(22, 3, 3, 0, 100, 2, 0, 0, 90), "eof"],
  ] as const
) {
  Deno.test(`wrapSocket() of a client: a server that ${name} is an error of kind "${kind}"`, async () => {
    await badServer(async (far) => {
      await far.read(new Uint8Array(4096));
      if (answer.length > 0) await far.write(answer);
      await far.closeWrite();
      while (await far.read(new Uint8Array(4096)) !== null);
    }, async (conn) => {
      const error = await assertRejects(() => wrapSocket(conn, CLIENT), SSLError);
      assertEquals(error.kind, kind, error.message);
      await assertRejects(
        () => conn.read(new Uint8Array(1)),
        Deno.errors.BadResource,
        undefined,
        "it was closed",
      );
    });
  });
}

Deno.test("wrapSocket() of a client: a server that says nothing is a timeout, in time", async () => {
  await badServer((far) => far.read(new Uint8Array(4096)).then(() => {}), async (conn) => {
    const start = Date.now();
    const error = await assertRejects(() => wrapSocket(conn, { ...CLIENT, timeout: 0.2 }), SSLError);
    assertEquals([error.kind, error.reason], ["timeout", "MBEDTLS_ERR_SSL_TIMEOUT"]);
    assert(Date.now() - start < 2000);
  });
});

Deno.test("SSLSocket.write() waits for a peer that does not read, and abort() ends the wait", async () => {
  using context = await SSLContext.create({ serverSide: true, ...IDENTITY });
  const handshaken = Promise.withResolvers<SSLSocket>();
  await badServer(async (far) => handshaken.resolve(await context.wrapSocket(far)), async (conn) => {
    const socket = await wrapSocket(conn, CLIENT);
    const peer = await handshaken.promise;
    const chunk = new Uint8Array(1 << 20);
    let written = 0;
    let writing = socket.write(chunk);
    while (await within(writing, 200, "go on writing").then(() => true, () => false)) {
      written += chunk.length;
      assert(written < 1 << 28, "the system's buffers bound what is written");
      writing = socket.write(chunk);
    }
    const failure = assertRejects(() => writing, SSLError, "it was aborted");
    socket.abort();
    await within(failure, WAIT, "end the write");
    peer.abort();
  });
});
