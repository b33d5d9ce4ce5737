/**
 * `node:tls`, run by Deno (rustls) and by Node (OpenSSL), without Nagle's algorithm on either side. Its events are given the
 * shape of reads and writes, which costs a promise and a copy for each.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect, createSecureContext, createServer, type TLSSocket } from "node:tls";
import { ANSWER, type Conn, HOST, LOOPBACK, type Peer, type Terms } from "./peer.ts";

class NodeConn implements Conn {
  readonly #socket: TLSSocket;
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #wake: () => void = () => {};

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      socket.pause();
      this.#wake();
    });
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  }

  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return null;
      this.#socket.resume();
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#chunks[0]!;
    const n = Math.min(p.length, chunk.length);
    p.set(chunk.subarray(0, n));
    if (n === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(n);
    return n;
  }

  async write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      // A copy, since the caller may reuse p while the socket still holds it.
      this.#socket.write(p.slice(), (error) => error ? reject(error) : resolve());
    });
    return p.length;
  }

  close(): void {
    this.#socket.destroySoon();
  }
}

function policy({ version, suite }: Terms) {
  const exact = version && `TLSv${version}` as const;
  return { ...(exact && { minVersion: exact, maxVersion: exact }), ...(suite && { ciphers: suite }) };
}

/** `createServer()` and `connect()` of `node:tls`. */
export const nodeTls: Peer = {
  async listen(terms, serve) {
    const { certificate: cert, key } = terms.identity;
    const server = createServer({ ...policy(terms), cert, key, noDelay: true });
    server.on("secureConnection", (socket) => void serve(new NodeConn(socket)));
    server.on("tlsClientError", () => {});
    server.listen(0, LOOPBACK);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },

  async listenHttp(terms) {
    const { certificate: cert, key } = terms.identity;
    const server = createHttpsServer({ ...policy(terms), cert, key, noDelay: true }, (_, response) => {
      response.end(ANSWER);
    });
    server.listen(0, LOOPBACK);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },

  // deno-lint-ignore require-await -- a Peer's methods are asynchronous
  async dialer(terms) {
    const secureContext = createSecureContext({ ...policy(terms), ca: terms.identity.ca });
    return async (port, session) => {
      const socket = connect({
        host: LOOPBACK,
        port,
        servername: HOST,
        secureContext,
        ca: terms.identity.ca, // Deno ignores secureContext
        ...policy(terms),
        ...(session !== undefined && { session: session as Buffer }),
      });
      socket.setNoDelay(true);
      let newest: Buffer | undefined;
      if (terms.resume) socket.on("session", (given: Buffer) => newest = given);
      await once(socket, "secureConnect");
      return {
        conn: new NodeConn(socket),
        version: socket.getProtocol() ?? undefined,
        suite: socket.getCipher()?.standardName,
        reused: socket.isSessionReused?.() ?? undefined,
        session: () => newest,
      };
    };
  },
};
