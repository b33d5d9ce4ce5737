/** Handshakes of our ends over TCP; every wait has a deadline. */

import { EMPTY } from "../../bytes.ts";
import { inTime } from "../../deadline.ts";
import { SSLError } from "../../errors.ts";
import type { SSLSession } from "../../session.ts";
import { CommandError } from "../flags.ts";
import { systemReason } from "../terminal.ts";
import type { TimedEngine } from "./timed_engine.ts";

/** Bytes of a read: a whole record and its header. */
const CHUNK = 16384 + 256 + 5;
/** Seconds that a TLS 1.3 ticket may take after the handshake. */
const TICKET_WAIT = 2;

/** Where to, and how long each wait may take. */
export interface Address {
  readonly hostname: string;
  readonly port: number;
  /** Seconds. */
  readonly timeout: number;
}

/** Connects, without Nagle's algorithm. */
export async function connectTcp(
  { hostname, port, timeout }: Address,
  signal?: AbortSignal,
): Promise<Deno.TcpConn> {
  const late = AbortSignal.timeout(timeout * 1000);
  try {
    const both = signal === undefined ? late : AbortSignal.any([late, signal]);
    const conn = await Deno.connect({ hostname, port, signal: both });
    conn.setNoDelay(true);
    return conn;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || signal?.aborted) throw error;
    const state = late.aborted ? `timed out after ${timeout} seconds` : systemReason(error);
    throw new CommandError(`Cannot connect to ${hostname} port ${port}: ${state}`, { cause: error });
  }
}

/**
 * Makes the handshake of our end.
 *
 * @returns Milliseconds, from the first byte that is sent or received on.
 * @throws {CommandError} It took longer than `timeout` seconds.
 * @throws {SSLError} It failed; the peer was told why.
 */
export async function shakeHands(
  conn: Deno.Conn,
  end: TimedEngine,
  timeout: number,
  signal?: AbortSignal,
): Promise<number> {
  const late = () => new CommandError(`the handshake took longer than ${timeout} seconds`);
  return await inTime(run(conn, end), timeout, late, signal);
}

async function run(conn: Deno.Conn, end: TimedEngine): Promise<number> {
  const chunk = new Uint8Array(CHUNK);
  let start = performance.now();
  let first = true;
  let records = EMPTY;
  try {
    while (true) {
      await sendAll(conn, end.advance(records));
      if (end.done) return performance.now() - start;
      const length = await conn.read(chunk);
      if (first && end.engine.config.serverSide) start = performance.now();
      first = false;
      if (length === null) end.engine.receiveEof();
      records = chunk.subarray(0, length ?? 0);
    }
  } catch (error) {
    if (error instanceof SSLError) await sendAll(conn, end.engine.takeRecords()).catch(() => {});
    throw error;
  }
}

async function sendAll(conn: Deno.Conn, records: Uint8Array): Promise<void> {
  for (let at = 0; at < records.length;) at += await conn.write(records.subarray(at));
}

/** The session of our client: in TLS 1.3 its tickets come behind the handshake, which a server may put off. */
export async function awaitSession(
  conn: Deno.Conn,
  { engine }: TimedEngine,
  session: () => SSLSession | undefined,
  signal?: AbortSignal,
): Promise<SSLSession | undefined> {
  const ends = performance.now() + TICKET_WAIT * 1000;
  const [chunk, plaintext] = [new Uint8Array(CHUNK), new Uint8Array(CHUNK)];
  while (true) {
    const { state } = engine.read(plaintext);
    if (state === "eof" || session() !== undefined) break;
    if (state === "data") continue; // the engine has the chunk by reference until all of it is read
    const left = (ends - performance.now()) / 1000;
    if (left <= 0) break; // of a server that sends data without end
    const length = await inTime(conn.read(chunk), left, undefined, signal).catch(() => null);
    if (length === null) break;
    engine.receive(chunk.subarray(0, length));
  }
  return session();
}

/**
 * Says goodbye and closes: servers that keep sessions forget those of connections that were cut off.
 *
 * @param wait Seconds to wait for the peer to close first: what it has not read yet is lost otherwise.
 */
export async function hangUp(conn: Deno.TcpConn, { engine }: TimedEngine, wait = 0): Promise<void> {
  try {
    engine.closeNotify();
    await inTime(sendAll(conn, engine.takeRecords()), TICKET_WAIT);
    if (wait > 0) await inTime(drain(conn), wait);
  } catch {
    // The peer has gone first, or stays.
  }
  conn.close();
}

/** Closes a connection that may be. */
export function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It was.
  }
}

async function drain(conn: Deno.TcpConn): Promise<void> {
  await conn.closeWrite();
  const chunk = new Uint8Array(CHUNK);
  while (await conn.read(chunk) !== null);
}
