/**
 * Faults of the network, each in each phase, for a client and a server at once: nothing hangs, errors say what happened,
 * others are served meanwhile and afterwards, and everything comes back.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { serve } from "tlsio/http";
import { Core } from "../lib/core.ts";
import { startServer } from "../lib/net.ts";
import { IncompleteReadError } from "../lib/streams.ts";
import { SSLError, type SSLErrorKind } from "../lib/errors.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { wrapSocket } from "../lib/ssl.ts";
import type { TLSVersion } from "../lib/suites.ts";
import { type Fault, FaultProxy, FAULTS, type Phase, PHASES } from "./fault_proxy.ts";
import { within } from "./peers.ts";
import { CLIENT, CREDENTIAL, eventually, LONG, SERVER, test, VERSIONS } from "./sockets.ts";

const BODY = crypto.getRandomValues(new Uint8Array(65_536)); // twice each way
const SIZE = 2 * BODY.length;
/** Seconds for what is to time out; a handshake takes some milliseconds, so a busy machine has its time, too. */
const SOON = 1.5;

/** What of a fault a client may be told, at the least one of these kinds; `undefined`: it loses nothing. */
const KINDS: Record<Fault, SSLErrorKind[] | undefined> = {
  "delay": undefined,
  "1-byte segments": undefined,
  "merged segments": undefined,
  "loss": ["timeout"],
  "stall": ["timeout", "eof"], // a server that gives up writing drops the connection
  "reset": ["eof"],
  "end": ["eof"],
  "half-close": ["eof", "timeout", "alert", "closed"], // who is told the end of its stream closes, or says so
};

/** A server that sends back what it is sent, and what went wrong with its connections. */
interface Running extends AsyncDisposable {
  readonly addr: Deno.Addr;
  readonly errors: unknown[];
  /** Connections that it has. */
  readonly open: () => number;
}

/** Over `wrapSocket()`, by hand. */
function overWrapSocket(): Promise<Running> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const errors: unknown[] = [];
  const tasks = new Set<Promise<void>>();
  const handle = async (conn: Deno.Conn) => {
    try {
      const tls = await wrapSocket(conn, { ...SERVER, timeout: SOON, shutdownTimeout: SOON });
      try {
        tls.setTimeout(SOON);
        const received = await readAll(tls, SIZE);
        await tls.write(received);
        await tls.read(received); // the client closes first
      } finally {
        await tls.close();
      }
    } catch (error) {
      errors.push(error);
    }
  };
  const accepting = (async () => {
    for await (const conn of listener) {
      const task = handle(conn).finally(() => tasks.delete(task));
      tasks.add(task);
    }
  })();
  return Promise.resolve({
    addr: listener.addr,
    errors,
    open: () => tasks.size,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(tasks);
    },
  });
}

async function overStartServer(): Promise<Running> {
  const errors: unknown[] = [];
  const server = await startServer(async (reader, writer) => {
    writer.write(await reader.readexactly(SIZE));
    await writer.drain();
    await reader.read(1); // the client closes first
  }, {
    hostname: "127.0.0.1",
    port: 0,
    ssl: CREDENTIAL,
    sslHandshakeTimeout: SOON,
    sslShutdownTimeout: SOON,
    idleTimeout: SOON,
    onError: (error) => void errors.push(error),
  });
  return {
    addr: server.addr,
    errors,
    open: () => server.stats.open + server.stats.handshaking,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function overServe(): Promise<Running> {
  const errors: unknown[] = [];
  const server = await serve(async (request) => new Response(await request.bytes()), {
    hostname: "127.0.0.1",
    port: 0,
    ssl: CREDENTIAL,
    sslHandshakeTimeout: SOON,
    sslShutdownTimeout: SOON,
    headersTimeout: SOON,
    requestTimeout: SOON,
    keepAliveTimeout: SOON,
    sendTimeout: SOON,
    onError: (error) => (errors.push(error), new Response(null, { status: 500 })),
    onConnectionError: (error) => void errors.push(error),
  });
  return {
    addr: server.addr,
    errors,
    open: () => server.stats.open + server.stats.handshaking,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const SERVERS = { wrapSocket: overWrapSocket, startServer: overStartServer, serve: overServe };

/** Reads so many bytes. */
async function readAll(tls: SSLSocket, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const n = await tls.read(all.subarray(at));
    if (n === null) throw new Error(`Cannot read ${size} bytes: the stream ended in good order after ${at}`);
    at += n;
  }
  return all;
}

/** A client: the handshake, bytes there and back, the end. Returns what came back. */
async function visit(
  port: number,
  http: boolean,
  sslVersion: TLSVersion,
  timeout: number,
  onClose?: () => void,
): Promise<Uint8Array> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const tls = await wrapSocket(conn, { ...CLIENT, sslVersion, timeout, shutdownTimeout: timeout });
  try {
    tls.setTimeout(timeout);
    if (http) {
      await tls.write(
        new TextEncoder().encode(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`),
      );
    }
    for (let i = 0; i < 2; i++) await tls.write(BODY);
    if (http) await readHead(tls);
    const answer = await readAll(tls, SIZE);
    onClose?.();
    await tls.close();
    return answer;
  } catch (error) {
    tls.abort();
    throw error;
  }
}

/** Reads the head of a response, byte by byte, which says that the body is of SIZE bytes. */
async function readHead(tls: SSLSocket): Promise<void> {
  const byte = new Uint8Array(1);
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    if (await tls.read(byte) === null) {
      throw new Error(`Cannot read the head: it ended after ${JSON.stringify(head)}`);
    }
    head += String.fromCharCode(byte[0]!);
  }
  assertMatch(head, new RegExp(`^HTTP/1.1 200 OK\r\n[^]*content-length: ${SIZE}\r\n`, "i"));
}

/** One client through a proxy with a fault. */
async function meet(
  running: Running,
  http: boolean,
  fault: Fault,
  phase: Phase,
  version: TLSVersion,
): Promise<void> {
  const what = `${fault}, ${phase}, version ${version.toString(16)}`;
  const { port } = running.addr as Deno.NetAddr;
  await using proxy = await FaultProxy.start(port, fault, phase);
  const kinds = phase === "amid the close" ? undefined : KINDS[fault]; // by then the data is there, and close() never fails
  const timeout = kinds === undefined && fault !== "loss" && fault !== "stall" ? LONG / 2 : SOON;
  const visiting = visit(proxy.port, http, version, timeout, () => proxy.closing = true);
  const outcome = await within(visiting.catch((error: unknown) => error), LONG * 1000, what);
  await eventually(() => proxy.struck); // the proxy may still have to read what the client said last
  if (kinds === undefined) {
    assert(outcome instanceof Uint8Array, `${what}: ${outcome}`);
    assertEquals(outcome, new Uint8Array([...BODY, ...BODY]), what);
  } else {
    assert(outcome instanceof SSLError && kinds.includes(outcome.kind), `${what}: ${outcome}`);
    assertMatch(outcome.message, /^Cannot [^:]+: .{5,}/s, what);
  }
}

for (const [kind, start] of Object.entries(SERVERS)) {
  for (const fault of FAULTS) {
    test(`fault: ${fault} over ${kind}, in each phase`, async () => {
      const core = Core.shared();
      await within(visitOnce(start, kind === "serve"), LONG * 1000, "load what is loaded once");
      const { allocated } = core;
      {
        await using running = await start();
        const phases = Object.keys(PHASES) as Phase[];
        const both = Object.values(VERSIONS).flatMap((version) =>
          phases.map((phase) => ({ phase, version }))
        );
        await Promise.all([
          ...both.map(({ phase, version }) => meet(running, kind === "serve", fault, phase, version)),
          visit((running.addr as Deno.NetAddr).port, kind === "serve", VERSIONS["TLSv1.3"], LONG), // who is not at fault
        ]);
        await eventually(() => running.open() === 0);
        for (const error of running.errors) {
          assert(error instanceof SSLError || error instanceof IncompleteReadError, `${error}`);
          assertMatch(error.message, /^Cannot /);
        }
        if (KINDS[fault] === undefined) assertEquals(running.errors, []);
        else assert(running.errors.length > 0);
        await visit((running.addr as Deno.NetAddr).port, kind === "serve", VERSIONS["TLSv1.2"], LONG);
      }
      assert(core.allocated <= allocated + 4096, `${core.allocated - allocated} bytes are left in the core`);
    });
  }
}

async function visitOnce(start: () => Promise<Running>, http: boolean): Promise<void> {
  await using running = await start();
  await visit((running.addr as Deno.NetAddr).port, http, VERSIONS["TLSv1.3"], LONG);
}
