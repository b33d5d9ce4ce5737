/** Greeting: what a DTLS server does about a client that it does not know. It keeps nothing until a cookie has come back. */

import type { Bytes } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { helloRandom } from "./datagram.ts";
import { DTLSEngine } from "./dtls_engine.ts";
import { SSLError } from "./errors.ts";

/** What came of it. */
export interface Greeting {
  /** What to send: together no longer than what came, so that a forged address gains a liar nothing. */
  readonly reply: readonly Bytes[];
  /** The client is where it says, and its handshake has begun. */
  readonly engine?: DTLSEngine;
}

const SILENCE: Greeting = { reply: [] };

/**
 * Answers a datagram of an unknown client.
 *
 * @param config The server's.
 * @param clientId What the client is known by: its cookie is good for no other.
 * @param mtu Bytes of a datagram.
 * @param datagram The first that came, or the first behind our cookie.
 */
export function greet(
  config: TLSConfig,
  clientId: Bytes,
  mtu: number | undefined,
  datagram: Bytes,
): Greeting {
  if (helloRandom(datagram) === undefined) return SILENCE;
  const engine = new DTLSEngine(config, { clientId, mtu });
  engine.receive(datagram);
  let keep = false;
  try {
    const { state } = engine.accept();
    keep = state !== "hello-verify" && engine.hasDatagrams; // the server's flight: the cookie was good
    return keep ? { reply: [], engine } : { reply: answers(engine, datagram) };
  } catch (error) {
    if (!(error instanceof SSLError)) throw error;
    return { reply: answers(engine, datagram) };
  } finally {
    if (!keep) engine[Symbol.dispose]();
  }
}

function answers(engine: DTLSEngine, { length: most }: Bytes): readonly Bytes[] {
  const datagrams = engine.takeDatagrams();
  return datagrams.reduce((sum, { length }) => sum + length, 0) <= most ? datagrams : [];
}
