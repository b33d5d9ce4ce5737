/** Server: handshakes beside each other, counts, limits, and what a connection that fails costs the others. */

import { assert, assertEquals, assertGreater, assertInstanceOf, assertRejects } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { SSLError } from "../lib/errors.ts";
import type { ClientConnected } from "../lib/net.ts";
import { type ConnectionFailure, Server } from "../lib/server.ts";
import { noStats } from "../lib/server_stats.ts";
import { SSLContext, type WrapSocketOptions } from "../lib/ssl.ts";
import { certFile } from "./peers.ts";
import {
  assertKind,
  CLIENT,
  CREDENTIAL,
  dial,
  dialTls,
  eventually,
  readText,
  serving,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";

/** Sends back what comes, until the peer ends. */
const echo: ClientConnected = async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
};

const CALM = {
  accepted: 0,
  refused: 0,
  handshaking: 0,
  open: 0,
  handshakeFailures: 0,
  failures: {},
  limits: {},
};

/** What a server counts, but for the handshakes that were completed: see server_stats_test.ts. */
function counts({ stats }: Server) {
  return Object.fromEntries(Object.entries(stats).filter(([name]) => name in CALM));
}

/** Collects what a server reports. */
function log() {
  const entries: { error: unknown; failure: ConnectionFailure }[] = [];
  return {
    entries,
    onError: (error: unknown, failure: ConnectionFailure) => void entries.push({ error, failure }),
  };
}

// ---- Handshakes and counts ------------------------------------------------------------------------------

test("Server shakes hands off the accept path: silent peers delay nobody", async () => {
  await using server = await serving(echo);
  const silent = await Promise.all([dial(server), dial(server), dial(server)]);
  const client = await dialTls(server);
  await client.write(encodeText("hello"));
  assertEquals(await readText(client), "hello");
  assertEquals(counts(server), { ...CALM, accepted: 4, handshaking: 3, open: 1 });
  await client.close();
  for (const conn of silent) conn.close();
  await eventually(() => server.stats.handshaking === 0 && server.stats.open === 0);
  assertEquals(counts(server), {
    ...CALM,
    accepted: 4,
    handshakeFailures: 3,
    failures: { MBEDTLS_ERR_SSL_CONN_EOF: 3 },
  });
});

const OUTCOMES: Record<string, { reason: string; attempt: (server: Server) => Promise<unknown> }> = {
  "a client that does not trust the server": {
    reason: "unknown_ca",
    attempt: (server) => assertKind(dialTls(server, { caCerts: certFile("root-rsa.pem") }), "verify"),
  },
  "a client that wants another protocol": {
    reason: "MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL",
    attempt: (server) => assertKind(dialTls(server, { alpnProtocols: ["h2"] }), "alert"),
  },
  "a client of another protocol": {
    reason: "MBEDTLS_ERR_SSL_INVALID_RECORD",
    attempt: async (server) => {
      const conn = await dial(server);
      await conn.write(encodeText("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
      assertGreater((await new Response(conn.readable).bytes()).length, 0); // an alert
    },
  },
  "a client that says nothing": {
    reason: "MBEDTLS_ERR_SSL_TIMEOUT",
    attempt: async (server) => {
      const conn = await dial(server);
      assertEquals((await new Response(conn.readable).bytes()).length, 0);
    },
  },
  "a client that leaves": {
    reason: "MBEDTLS_ERR_SSL_CONN_EOF",
    attempt: async (server) => (await dial(server)).close(),
  },
};

for (const [what, { reason, attempt }] of Object.entries(OUTCOMES)) {
  test(`Server.stats counts ${what}, and the server goes on`, async () => {
    const { entries, onError } = log();
    const ssl = { ...CREDENTIAL, alpnProtocols: ["http/1.1"] };
    await using server = await serving(echo, { ssl, onError, sslHandshakeTimeout: 2 * SHORT });
    await attempt(server);
    await eventually(() => server.stats.handshakeFailures === 1);
    const limits: Record<string, number> = reason.endsWith("TIMEOUT") ? { sslHandshakeTimeout: 1 } : {};
    const failures = { [reason]: 1 };
    assertEquals(server.stats, { ...noStats(), accepted: 1, handshakeFailures: 1, failures, limits });
    const [{ error, failure } = {}] = entries;
    assertInstanceOf(error, SSLError);
    assertEquals([failure?.phase, failure?.remoteAddr?.transport], ["handshake", "tcp"]);

    const client = await dialTls(server);
    await client.write(encodeText("next"));
    assertEquals(await readText(client), "next");
    await client.close();
  });
}

test("Server serves many connections at once, each its own", async () => {
  await using server = await serving(echo);
  const talk = async (i: number) => {
    const client = await dialTls(server, { sslVersion: Object.values(VERSIONS)[i % 2]! });
    await client.write(encodeText(`number ${i}`));
    assertEquals(await readText(client), `number ${i}`);
    await client.close();
  };
  await Promise.all(Array.from({ length: 40 }, (_, i) => talk(i)));
  await eventually(() => server.stats.open === 0);
  assertEquals(counts(server), { ...CALM, accepted: 40 });
});

// ---- Limits ---------------------------------------------------------------------------------------------

/** Asserts that a server closes a new connection at once. */
async function assertRefused(server: Server): Promise<void> {
  const { refused } = server.stats;
  using conn = await dial(server);
  assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
  assertEquals(server.stats.refused, refused + 1);
}

for (const ssl of [CREDENTIAL, null]) {
  const kind = ssl ? "TLS" : "plain";
  test(`Server refuses ${kind} connections beyond maxConnections, until one ends`, async () => {
    await using server = await serving(echo, { ssl, maxConnections: 2 });
    const connect = () => ssl ? dialTls(server) : dial(server);
    const clients = [await connect(), await connect()];
    await eventually(() => server.stats.open === 2);
    await assertRefused(server);
    await assertRefused(server);
    await clients[0]!.close();
    await eventually(() => server.stats.open === 1);
    clients.push(await connect());
    await eventually(() => server.stats.open === 2);
    assertEquals(counts(server), {
      ...CALM,
      accepted: 5,
      refused: 2,
      open: 2,
      limits: { maxConnections: 2 },
    });
    for (const client of clients.slice(1)) await client.close();
  });
}

test("Server counts a handshake for maxConnections, too", async () => {
  await using server = await serving(echo, { maxConnections: 1 });
  const silent = await dial(server);
  await eventually(() => server.stats.handshaking === 1);
  await assertRefused(server);
  silent.close();
});

test("Server refuses connections beyond maxHandshakes; open ones do not count", async () => {
  await using server = await serving(echo, { maxHandshakes: 1 });
  const client = await dialTls(server);
  await eventually(() => server.stats.open === 1);
  const silent = await dial(server);
  await eventually(() => server.stats.handshaking === 1);
  await assertRefused(server);
  await client.write(encodeText("still here"));
  assertEquals(await readText(client), "still here");
  silent.close();
  await eventually(() => server.stats.handshaking === 0);
  const next = await dialTls(server);
  await Promise.all([client.close(), next.close()]);
});

// ---- Handlers that fail ---------------------------------------------------------------------------------

const FAILING: Record<string, ClientConnected> = {
  "rejects": async (reader) => {
    await reader.read(1);
    throw new Error("a defect");
  },
  "throws": () => {
    throw new Error("a defect");
  },
};

for (const [how, callback] of Object.entries(FAILING)) {
  test(`Server reports a handler that ${how}, drops its connection and goes on`, async () => {
    const { entries, onError } = log();
    let fails = true;
    await using server = await serving((...args) => fails ? callback(...args) : echo(...args), { onError });
    const client = await dialTls(server);
    await client.write(encodeText("x"));
    await assertKind(client.read(new Uint8Array(1)), "eof"); // no close_notify: it is not a good end
    await eventually(() => entries.length === 1);
    const [{ error, failure } = {}] = entries;
    assertEquals([(error as Error).message, failure?.phase], ["a defect", "handler"]);
    assertEquals(failure?.remoteAddr, client.localAddr);
    await client.close();
    await eventually(() => server.stats.open === 0);
    assertEquals(counts(server), { ...CALM, accepted: 1 });

    fails = false;
    const next = await dialTls(server);
    await next.write(encodeText("next"));
    assertEquals(await readText(next), "next");
    await next.close();
  });
}

test("Server prints a handler's failure when there is no onError, and nothing else", async () => {
  const printed: unknown[][] = [];
  const { error } = console;
  console.error = (...args) => void printed.push(args);
  try {
    const failure = new Error("a defect");
    await using server = await serving(() => {
      throw failure;
    });
    (await dial(server)).close(); // a failed handshake
    await eventually(() => server.stats.handshakeFailures === 1);
    assertEquals(printed, []);
    const client = await dialTls(server);
    await assertKind(client.read(new Uint8Array(1)), "eof");
    await client.close();
    await eventually(() => printed.length === 1);
    assertEquals(printed, [["Uncaught in a connection's handler:", failure]]);
  } finally {
    console.error = error;
  }
});

const FAILING_ON_ERROR: Record<string, (failure: Error) => void | Promise<void>> = {
  throws: (failure: Error) => {
    throw failure;
  },
  rejects: (failure: Error) => Promise.reject(failure),
};
for (const [how, fail] of Object.entries(FAILING_ON_ERROR)) {
  test(`Server goes on when onError ${how}`, async () => {
    const printed: unknown[][] = [];
    const { error } = console;
    console.error = (...args) => void printed.push(args);
    try {
      const failure = new Error("in onError");
      await using server = await serving(echo, { onError: () => fail(failure) });
      (await dial(server)).close();
      await eventually(() => server.stats.handshakeFailures === 1);
      const client = await dialTls(server);
      await client.close();
      assertEquals(printed, [["Uncaught in a server's onError:", failure]]);
    } finally {
      console.error = error;
    }
  });
}

// ---- Starting -------------------------------------------------------------------------------------------

test("startServer() rejects when the port is in use", async () => {
  await using server = await serving(echo);
  const { port } = server.addr as Deno.NetAddr;
  await assertRejects(() => serving(echo, { port }), Deno.errors.AddrInUse);
});

const WRONG: Record<string, [Record<string, unknown>, typeof TypeError | typeof RangeError]> = {
  "sslHandshakeTimeout: 0": [{ sslHandshakeTimeout: 0 }, RangeError],
  "sslShutdownTimeout: NaN": [{ sslShutdownTimeout: NaN }, RangeError],
  "maxConnections: 0": [{ maxConnections: 0 }, RangeError],
  "maxHandshakes: 1.5": [{ maxHandshakes: 1.5 }, RangeError],
  "maxHandshakesPerAddress: 0": [{ maxHandshakesPerAddress: 0 }, RangeError],
  "limit: 0": [{ limit: 0 }, RangeError],
  "ssl without a certificate": [{ ssl: {} }, TypeError],
  "ssl: true": [{ ssl: true }, TypeError],
};

for (const [what, [options, errorClass]] of Object.entries(WRONG)) {
  test(`startServer() refuses ${what} and does not listen`, async () => {
    await assertRejects(() => serving(echo, options), errorClass, "Cannot ");
  });
}

test("startServer() refuses a client's context and does not listen", async () => {
  using ssl = await SSLContext.create({ caCerts: CLIENT.caCerts! });
  await assertRejects(() => serving(echo, { ssl }), TypeError, "Cannot use ssl: the context is a client's");
});

test("startServer() takes a context that it does not dispose of", async () => {
  using ssl = await SSLContext.create({ serverSide: true, ...CREDENTIAL } as WrapSocketOptions);
  for (let i = 0; i < 2; i++) {
    await using server = await serving(echo, { ssl });
    await (await dialTls(server)).close();
  }
});

// ---- A listener that misbehaves -------------------------------------------------------------------------

/** A listener that gives what it is told to give. */
class FakeListener {
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  #waiting: PromiseWithResolvers<Deno.Conn> | undefined;
  closed = false;
  accepts = 0;

  accept(): Promise<Deno.Conn> {
    this.accepts++;
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  give(conn: Partial<Deno.Conn>): void {
    this.#waiting!.resolve(conn as Deno.Conn);
  }

  fail(error: Error): void {
    this.#waiting!.reject(error);
  }

  close(): void {
    this.closed = true;
    this.#waiting?.reject(new Deno.errors.BadResource("closed"));
  }
}

test("Server reports a failing accept, and accepts again", async () => {
  const listener = new FakeListener();
  const { entries, onError } = log();
  const served: Duplex[] = [];
  await using server = await Server.start(
    (socket) => void served.push(socket),
    () => listener as unknown as Deno.Listener,
    { onError },
  );
  const failure = new Error("too many open files");
  await eventually(() => listener.accepts === 1);
  listener.fail(failure);
  await eventually(() => entries.length === 1);
  assertEquals(entries, [{ error: failure, failure: { phase: "accept" } }]);
  const conn = { close() {}, remoteAddr: { ...listener.addr, port: 9 } };
  await eventually(() => listener.accepts === 2);
  listener.give(conn);
  await eventually(() => served.length === 1);
  assertEquals(served[0]!.remoteAddr, conn.remoteAddr);
  assertEquals(server.stats, { ...noStats(), accepted: 1 });
});

test("Server goes on at once after clients that have gone before they were accepted", async () => {
  const listener = new FakeListener();
  const { entries, onError } = log();
  await using _server = await Server.start(
    () => {},
    () => listener as unknown as Deno.Listener,
    { onError },
  );
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  await eventually(() => listener.accepts === 1);
  const started = Date.now();
  for (let accepts = 2; accepts <= 61; accepts++) {
    const Gone = [NotConnected, ConnectionReset, ConnectionAborted][accepts % 3]!;
    listener.fail(new Gone("Transport endpoint is not connected"));
    await eventually(() => listener.accepts === accepts);
  }
  assertEquals(entries, []);
  assert(Date.now() - started < 5000); // with a wait of 100 ms for each, it were six seconds at least
});

test("Server.close() drops a connection that was accepted in that moment", async () => {
  const listener = new FakeListener();
  const server = await Server.start(() => {}, () => listener as unknown as Deno.Listener, {
    ssl: CREDENTIAL,
  });
  let closed = false;
  await eventually(() => listener.accepts === 1);
  listener.give({
    close() {
      closed = true;
    },
  });
  server.close();
  await server.waitClosed();
  assertEquals([closed, listener.closed], [true, true]);
  assertEquals(server.stats, noStats());
});
