/**
 * What the tests of sockets and servers share: TLS over a pipe or over loopback TCP, and bounded waits.
 *
 * @module
 */

import { assert, assertRejects } from "@std/assert";
import { decodeText, encodeText } from "../lib/bytes.ts";
import type { DuplexLike } from "../lib/duplex.ts";
import { SSLError, type SSLErrorKind } from "../lib/errors.ts";
import { type ClientConnected, startServer, type StartServerOptions } from "../lib/net.ts";
import type { Server } from "../lib/server.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { certFile, PATIENCE, within } from "./peers.ts";
import { pipe, type PipeEnd, type PipeOptions } from "./pipe.ts";

/** A timeout for what is to time out, in seconds. */
export const SHORT = 0.2;
/** A time that no test reaches unless something is broken, in seconds. */
export const LONG = PATIENCE / 1000;

/** Both versions, by their names. */
export const VERSIONS = { "TLSv1.2": TLSVersion.TLSv1_2, "TLSv1.3": TLSVersion.TLSv1_3 } as const;

/** Text, not a path: wrapSocket() then starts without waiting for a file. */
function pem(name: string): string {
  return Deno.readTextFileSync(certFile(name));
}

/** A client that trusts the test authority. */
export const CLIENT: WrapSocketOptions = { caCerts: pem("root.pem"), serverHostname: "localhost" };
/** A server's certificate. */
export const CREDENTIAL = { certfile: pem("ec.pem"), keyfile: pem("ec.key") };
/** A server with it. */
export const SERVER: WrapSocketOptions = { serverSide: true, ...CREDENTIAL };

/** A test all of whose waits end, and that leaves nothing open. */
export function test(name: string, body: () => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: () => within(body(), PATIENCE, "finish the test"),
  });
}

/** Lets everything go on that waits neither for the test nor for a timer nor for the network. */
export async function idle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve)); // all microtasks come before a timer
}

/** Whether `promise` waits: for the test, a timer, or the network. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(() => pending = false, () => pending = false);
  await idle();
  return pending;
}

/** Asserts that `promise` rejects with an SSLError of this kind. */
export async function assertKind(promise: Promise<unknown>, ...kinds: SSLErrorKind[]): Promise<SSLError> {
  const error = await assertRejects(() => promise, SSLError);
  assert(kinds.includes(error.kind), `${error.kind} instead of ${kinds.join(" or ")}: ${error.message}`);
  return error;
}

/** Seconds that `promise` takes to settle. */
export async function seconds(promise: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await promise.catch(() => {});
  return (performance.now() - start) / 1000;
}

/** Asserts that a wait of `expected` seconds took as long, give or take what a busy machine takes. */
export function assertTook(took: number, expected: number): void {
  assert(took > expected * 0.9 && took < expected + LONG / 2, `took ${took} instead of ${expected} seconds`);
}

/** Options of {@linkcode pair}. */
export interface PairOptions {
  /** More options of the client. */
  client?: WrapSocketOptions;
  /** More options of the server. */
  server?: WrapSocketOptions;
  /** The pipe below. */
  pipe?: PipeOptions;
}

/** Two sockets, and the ends of the pipe below them. */
export interface Pair {
  client: SSLSocket;
  server: SSLSocket;
  /** The client's end. */
  near: PipeEnd;
  /** The server's end. */
  far: PipeEnd;
}

/** A client and a server over a pipe, their handshake done unless they defer it. */
export async function pair(options: PairOptions = {}): Promise<Pair> {
  const [near, far] = pipe(options.pipe);
  const [client, server] = await wrapBoth(near, far, options);
  return { client, server, near, far };
}

/** Puts TLS on both ends of a connection. */
export function wrapBoth(
  near: DuplexLike,
  far: DuplexLike,
  options: PairOptions = {},
): Promise<[SSLSocket, SSLSocket]> {
  return Promise.all([
    wrapSocket(near, over(CLIENT, options.client)),
    wrapSocket(far, over(SERVER, options.server)),
  ]);
}

/** Defaults, unless a context has its own. */
function over(defaults: WrapSocketOptions, options: WrapSocketOptions = {}): WrapSocketOptions {
  return options.context === undefined ? { ...defaults, ...options } : options;
}

/** Both ends of a TCP connection. The test closes them. */
export async function tcp(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname: "127.0.0.1", port }), listener.accept()]);
}

/**
 * Writes what may become a long record, byte by byte, as long as it is taken.
 *
 * @param header How it begins.
 * @returns How many bytes were taken.
 */
export async function trickle(end: PipeEnd, header: number[]): Promise<number> {
  for (let sent = 0;; sent++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    try {
      await end.write(new Uint8Array([header[sent] ?? sent & 0xff]));
    } catch {
      return sent;
    }
  }
}

/** Reads once, at most `size` bytes, as text; `null` at the end. */
export async function readText(socket: SSLSocket, size = 65536): Promise<string | null> {
  const buffer = new Uint8Array(size);
  const n = await socket.read(buffer);
  return n === null ? null : decodeText(buffer.subarray(0, n));
}

/** Asserts that bytes travel both ways. */
export async function assertTalk(a: SSLSocket, b: SSLSocket): Promise<void> {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    const [, text] = await Promise.all([from.write(encodeText("ping")), readText(to)]);
    assert(text === "ping", `received ${text}`);
  }
}

/** Closes both at once. */
export async function closeBoth(a: SSLSocket, b: SSLSocket): Promise<void> {
  await Promise.all([a.close(), b.close()]);
}

/** A server of `CREDENTIAL` on a port of 127.0.0.1, or of plain bytes with `ssl: null`. */
export async function serving(
  callback: ClientConnected,
  { ssl = CREDENTIAL, ...options }: Omit<Partial<StartServerOptions>, "ssl"> & {
    ssl?: StartServerOptions["ssl"] | null;
  } = {},
): Promise<Server> {
  return await startServer(callback, {
    hostname: "127.0.0.1",
    port: 0,
    sslShutdownTimeout: LONG / 4,
    ...(ssl && { ssl }),
    ...options,
  });
}

/** A plain connection to a server. */
export async function dial(server: Pick<Server, "addr">): Promise<Deno.TcpConn> {
  const { port } = server.addr as Deno.NetAddr;
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

/** A client of a server. */
export async function dialTls(
  server: Pick<Server, "addr">,
  options: WrapSocketOptions = {},
): Promise<SSLSocket> {
  return await wrapSocket(await dial(server), { ...CLIENT, shutdownTimeout: LONG / 4, ...options });
}

/** Waits until `condition` holds. */
export async function eventually(condition: () => boolean): Promise<void> {
  const ends = Date.now() + PATIENCE;
  while (!condition()) {
    assert(Date.now() < ends, `never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
