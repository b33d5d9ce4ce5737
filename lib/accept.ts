/** Accepts connections, for as long as a server serves. */

import { delay } from "./_std/async.js";

const BACKOFF = 100; // milliseconds to wait when no connection can be accepted (out of file descriptors)

const BURST = 4; // milliseconds of work with connections that come at once: some ten are taken, or eighty refused
const COST = 0.03; // milliseconds of accept() itself, which is not seen
const TAKEN = 0.2; // milliseconds that one which is taken costs later: its hello comes at once, too
const WINDOW = 10; // milliseconds: so much work in less is a burst

// Of all servers:
let began = 0; // when it was last counted from nothing
let used = 0; // milliseconds of work since then
let given = 0; // when the last connection was handed out

/** Closes a connection without TLS, whatever its state. */
export function tryClose(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // closed already
  }
}

/**
 * The next connection; `undefined`: the server serves no more.
 *
 * @param listener Where it listens.
 * @param isServing Whether it still does. When it ends, the listener is closed, too.
 * @param onError Is told why a connection cannot be accepted; whether it has made room, so that the next try is soon.
 */
export async function accept<Conn extends Deno.Conn>(
  listener: { accept(): Promise<Conn> },
  isServing: () => boolean,
  onError: (error: unknown) => boolean | void,
): Promise<Conn | undefined> {
  while (isServing()) {
    try {
      await takeBreath();
      if (!isServing()) break; // it was closed meanwhile
      const conn = await listener.accept();
      given = performance.now();
      if (isServing()) return conn;
      tryClose(conn);
    } catch (error) {
      if (!isServing()) break;
      if (isGone(error)) continue;
      await delay(onError(error) === true ? 0 : BACKOFF); // what is closed is free with the next turn of the event loop
    }
  }
  return undefined;
}

/** Counts a connection as taken, not refused. */
export function taken(): void {
  used += TAKEN;
}

/** Those that wait in the backlog come at once, one after the other: then all else has its turn between. */
async function takeBreath(): Promise<void> {
  const now = performance.now();
  used += Math.min(now - given, BURST) + COST;
  given = now;
  if (used < BURST) return;
  if (now - began < WINDOW) await delay(0);
  began = performance.now();
  used = 0;
}

/** The client has reset the connection while it waited. To wait then would let such clients hold up the others. */
function isGone(error: unknown): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((gone) => error instanceof gone);
}

/** EMFILE, ENFILE: of the process, of the machine. */
export function isOutOfDescriptors(error: unknown): boolean {
  return /\(os error 2[34]\)/.test(String(error));
}
