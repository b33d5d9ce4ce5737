/** What the tests of limits share: connections that come from anywhere, and a gate without a server. */

import { Gate, type LimitOptions } from "../lib/gate.ts";
import type { ClientConnected } from "../lib/net.ts";

/** Sends back what comes, until the peer ends. */
export const echo: ClientConnected = async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
};

/** A connection from an address, which waits for bytes for ever. */
export function from(hostname: string): Deno.Conn {
  const never = Promise.withResolvers<null>();
  const addr: Deno.NetAddr = { transport: "tcp", hostname, port: 1 };
  const conn = {
    localAddr: addr,
    remoteAddr: addr,
    read: () => never.promise,
    write: (p: Uint8Array) => Promise.resolve(p.length),
    close: () => never.reject(new Deno.errors.BadResource("closed")),
  };
  never.promise.catch(() => {});
  return conn as unknown as Deno.Conn;
}

/** A gate, and what it has counted; it looks when it is told to. */
export function gate(options: LimitOptions) {
  const limits: Record<string, number> = {};
  return { gate: new Gate(options, limits), limits };
}
