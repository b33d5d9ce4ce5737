/**
 * A TCP proxy on loopback with the delay and the rates of a link: what arrives leaves again when the link would have carried it.
 *
 * @module
 */

import type { Link } from "../lib/cost/link.ts";

/** A proxy that runs. */
export interface SlowProxy extends AsyncDisposable {
  /** Its port on 127.0.0.1. */
  readonly port: number;
}

/** Starts a proxy in front of a port of 127.0.0.1. */
export function slowProxy(target: number, { rtt, kbpsUp = Infinity, kbpsDown = Infinity }: Link): SlowProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const running = new Set<Promise<unknown>>();
  const run = (work: Promise<unknown>) => {
    const done = work.catch(() => {}).finally(() => running.delete(done));
    running.add(done);
  };
  const serve = async (client: Deno.TcpConn) => {
    using _ = client;
    using server = await Deno.connect({ hostname: "127.0.0.1", port: target });
    for (const conn of [client, server]) conn.setNoDelay(true);
    await Promise.allSettled([
      carry(client, server, rtt / 2, kbpsUp),
      carry(server, client, rtt / 2, kbpsDown),
    ]);
  };
  run((async () => {
    for await (const conn of listener) run(serve(conn));
  })());
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      while (running.size > 0) await Promise.all(running);
    },
  };
}

/** Carries bytes one way until the sender ends: `delay` in milliseconds, `kbps` in 1000 bits a second. */
async function carry(from: Deno.TcpConn, to: Deno.TcpConn, delay: number, kbps: number): Promise<void> {
  const buffer = new Uint8Array(65536);
  let free = 0; // when the link has sent what came before
  let delivered: Promise<unknown> = Promise.resolve();
  try {
    for (let n; (n = await from.read(buffer)) !== null;) {
      const bytes = buffer.slice(0, n);
      free = Math.max(free, performance.now()) + 8 * n / kbps;
      delivered = Promise.all([delivered, until(free + delay)]).then(() => writeAll(to, bytes));
      delivered.catch(() => {}); // awaited below
    }
  } finally {
    await delivered;
    await to.closeWrite();
  }
}

/** Waits until that time of `performance.now()`; a timer may fire a little early. */
async function until(time: number): Promise<void> {
  for (let left; (left = time - performance.now()) > 0;) {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(left)));
  }
}

async function writeAll(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
}
