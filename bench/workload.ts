/**
 * What runs over a connection, the same for every implementation: the server's side, and the client's measurements.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import type { Conn, Dial, Dialed, Terms } from "./peer.ts";

const ECHO = 0x65;
const DOWNLOAD = 0x64;
const UPLOAD = 0x75;
const ACK = 2 ** 20; // bytes; each such part of an upload is answered with a byte
const CHUNK = 65536; // bytes per write and per read in bulk: four full records
const DOWNLOAD_MAX = 16 * 2 ** 30; // bytes; ends a server whose client never hangs up
const IDLE_BUFFER = 256; // bytes of a waiting read; the same for all, so that it does not count in a comparison
const TIMES_MAX = 100_000; // round trips
const WARM_UP = 10; // round trips; the first ones of Deno's TLS wait for delayed ACKs

/** The server: sends or takes without end when the first byte asks for it, otherwise gives back what comes. */
export async function serve(conn: Conn): Promise<void> {
  try {
    await answer(conn).finally(() => conn.close());
  } catch {
    // the client has what it wanted and hung up
  }
}

/** Keeps the processor busy for some milliseconds, as a handler does that makes a page. */
export function compute(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

async function answer(conn: Conn): Promise<void> {
  const buffer = new Uint8Array(IDLE_BUFFER);
  let n = await conn.read(buffer);
  if (n !== null && buffer[0] === DOWNLOAD) await sendBulk(conn);
  if (n !== null && buffer[0] === UPLOAD) return await takeBulk(conn, n - 1);
  for (; n !== null; n = await conn.read(buffer)) await writeAll(conn, buffer.subarray(0, n));
}

async function sendBulk(conn: Conn): Promise<void> {
  const chunk = new Uint8Array(CHUNK);
  for (let sent = 0; sent < DOWNLOAD_MAX; sent += CHUNK) await writeAll(conn, chunk);
}

async function takeBulk(conn: Conn, first: number): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  let taken = first;
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    const acks = Math.floor((taken + n) / ACK) - Math.floor(taken / ACK);
    taken += n;
    if (acks > 0) await writeAll(conn, new Uint8Array(acks));
  }
}

async function writeAll(conn: Conn, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
}

async function readFull(conn: Conn, buffer: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let got = 0; got < buffer.length;) {
    const n = await conn.read(buffer.subarray(got));
    if (n === null) throw new Error(`Cannot read: stream ended after ${got} of ${buffer.length} bytes`);
    got += n;
  }
}

/** Sends `message` and waits for as many bytes. With the first of them a TLS 1.3 ticket has come, too. */
async function roundTrip(conn: Conn, message: Uint8Array<ArrayBuffer>): Promise<void> {
  await writeAll(conn, message);
  await readFull(conn, message);
}

/** Throws unless the connection is what the row's name says. */
function verify({ version, suite, reused }: Dialed, terms: Terms, resumed: boolean): void {
  const check = (what: string, actual: unknown, expected: unknown) => {
    if (expected === undefined || actual === undefined || actual === expected) return;
    throw new Error(`Cannot use connection: its ${what} is ${actual}, the row says ${expected}`);
  };
  check("version", version, terms.version && `TLSv${terms.version}`);
  check("suite", suite, terms.suite);
  check("sessionReused", reused, resumed);
  if (resumed && reused !== true) {
    throw new Error("Cannot use connection: it does not tell whether it resumed");
  }
}

/** One connection: TCP, handshake, one byte there and back. Returns the milliseconds and the session. */
async function connectOnce(
  dial: Dial,
  port: number,
  terms: Terms,
  session?: unknown,
): Promise<[ms: number, session: unknown]> {
  const start = performance.now();
  const dialed = await dial(port, session);
  await roundTrip(dialed.conn, new Uint8Array([ECHO]));
  const ms = performance.now() - start;
  verify(dialed, terms, session !== undefined);
  const next = terms.resume ? dialed.session() : undefined;
  await dialed.conn.close();
  return [ms, next];
}

/** One connection after the other. Returns the milliseconds of each. */
export async function connects(dial: Dial, port: number, terms: Terms, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push((await connectOnce(dial, port, terms))[0]);
  return times;
}

/** A session for each of `lanes` clients, by a full handshake each. */
export async function prime(dial: Dial, port: number, terms: Terms, lanes: number): Promise<unknown[]> {
  const sessions: unknown[] = [];
  for (let i = 0; i < lanes; i++) sessions.push((await connectOnce(dial, port, terms))[1]);
  if (sessions.includes(undefined)) throw new Error("Cannot resume: the server gave no session");
  return sessions;
}

/**
 * `lanes` clients at once, each one connection after the other, until `ms` milliseconds are over. With `sessions`, each
 * lane resumes with what its last connection gave.
 */
export async function handshakes(
  dial: Dial,
  port: number,
  terms: Terms,
  options: { lanes: number; ms: number; sessions: unknown[] },
): Promise<{ count: number; seconds: number }> {
  const start = performance.now();
  let count = 0;
  const lane = async (_: unknown, i: number) => {
    while (performance.now() - start < options.ms || count < options.lanes) {
      const [, session] = await connectOnce(dial, port, terms, options.sessions[i]);
      if (terms.resume) options.sessions[i] = session;
      count++;
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  return { count, seconds: (performance.now() - start) / 1000 };
}

/** Reads from a server that sends without end, first unmeasured, then for `ms` milliseconds. */
export async function download(
  dial: Dial,
  port: number,
  terms: Terms,
  ms: number,
): Promise<{ bytes: number; seconds: number; all: number }> {
  const dialed = await dial(port);
  verify(dialed, terms, false);
  const { conn } = dialed;
  await writeAll(conn, new Uint8Array([DOWNLOAD]));
  const buffer = new Uint8Array(CHUNK);
  const read = async (until: number) => {
    let bytes = 0;
    while (performance.now() < until) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("Cannot download: the server ended the stream");
      bytes += n;
    }
    return bytes;
  };
  const before = await read(performance.now() + ms / 4);
  const start = performance.now();
  const bytes = await read(start + ms);
  const seconds = (performance.now() - start) / 1000;
  await conn.close();
  return { bytes, seconds, all: before + bytes };
}

/** Sends `size` bytes there and back, again and again for `ms` milliseconds. Returns the milliseconds of each trip. */
export async function pingPong(
  dial: Dial,
  port: number,
  options: { size: number; ms: number },
): Promise<number[]> {
  const { conn } = await dial(port);
  const message = new Uint8Array(options.size).fill(ECHO);
  const times: number[] = [];
  for (let i = 0; i < WARM_UP; i++) await roundTrip(conn, message);
  const end = performance.now() + options.ms;
  for (let start = performance.now(); start < end && times.length < TIMES_MAX;) {
    await roundTrip(conn, message);
    const now = performance.now();
    times.push(now - start);
    start = now;
  }
  await conn.close();
  return times;
}

/** Opens `count` connections, some at a time, each used once. The caller keeps them. */
export async function hold(dial: Dial, port: number, count: number): Promise<Conn[]> {
  const conns: Conn[] = [];
  let opening = 0;
  const lane = async () => {
    while (opening < count) {
      opening++;
      const { conn } = await dial(port);
      await roundTrip(conn, new Uint8Array([ECHO]));
      conns.push(conn);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, 8) }, lane));
  return conns;
}
