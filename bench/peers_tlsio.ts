/**
 * tlsio: its sockets as they are, and asyncio's streams over them.
 *
 * @module
 */

import {
  type ContextOptions,
  openConnection,
  SSLContext,
  type SSLSession,
  type SSLSocket,
  startServer,
  type StreamReader,
  TLSVersion,
  type Writer,
} from "tlsio";
import { serve } from "tlsio/http";
import { ANSWER, type Conn, type Dialed, HOST, LOOPBACK, type Peer, type Terms } from "./peer.ts";

function policy({ version, suite }: Terms): ContextOptions {
  return {
    ...(version && { sslVersion: version === "1.2" ? TLSVersion.TLSv1_2 : TLSVersion.TLSv1_3 }),
    ...(suite && { ciphers: [suite] }),
  };
}

function serverOptions(terms: Terms): ContextOptions {
  const { certificate, key } = terms.identity;
  return { ...policy(terms), certfile: certificate, keyfile: key };
}

function facts(socket: SSLSocket): Omit<Dialed, "conn"> {
  return {
    version: socket.version(),
    suite: socket.cipher()?.name,
    reused: socket.sessionReused,
    session: () => socket.session,
  };
}

/** `SSLContext.wrapSocket()` on both sides, over `Deno.listen` and `Deno.connect`. */
export const sockets: Peer = {
  async listen(terms, serve) {
    const context = await SSLContext.create({ ...serverOptions(terms), serverSide: true });
    const listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
    const accept = async () => {
      for await (const conn of listener) context.wrapSocket(conn).then(serve, () => {});
    };
    accept();
    return listener.addr.port;
  },

  async listenHttp(terms) {
    const server = await serve(() => new Response(ANSWER), {
      hostname: LOOPBACK,
      port: 0,
      ssl: serverOptions(terms),
      onListen: () => {},
    });
    return (server.addr as Deno.NetAddr).port;
  },

  async dialer(terms) {
    const context = await SSLContext.create({ ...policy(terms), caCerts: terms.identity.ca });
    return async (port, session) => {
      const conn = await Deno.connect({ hostname: LOOPBACK, port });
      const socket = await context.wrapSocket(conn, {
        serverHostname: HOST,
        ...(session !== undefined && { savedSession: session as SSLSession }),
      });
      return { conn: socket, ...facts(socket) };
    };
  },
};

/** `startServer()` and `openConnection()`. */
export const streams: Peer = {
  async listen(terms, serve) {
    const options = {
      hostname: LOOPBACK,
      port: 0,
      ssl: serverOptions(terms),
      maxConnections: Infinity,
      onError: () => {}, // a client that hangs up in the middle of its download
    };
    const { workers, work = 0 } = terms;
    const server = workers === undefined
      ? await startServer((reader, writer) => serve(connOf(reader, writer)), options)
      : await startServer(new URL(`worker.ts?work=${work}`, import.meta.url), { ...options, workers });
    return (server.addr as Deno.NetAddr).port;
  },

  async dialer(terms) {
    const ssl = await SSLContext.create({ ...policy(terms), caCerts: terms.identity.ca });
    return async (port) => {
      const [reader, writer] = await openConnection({ hostname: LOOPBACK, port, ssl, serverHostname: HOST });
      return { conn: connOf(reader, writer), ...facts(writer.transport as SSLSocket) };
    };
  },
};

/** A connection by its streams. */
export function connOf(reader: StreamReader, writer: Writer): Conn {
  return {
    async read(p) {
      const bytes = await reader.read(p.length);
      p.set(bytes);
      return bytes.length === 0 ? null : bytes.length;
    },
    async write(p) {
      writer.write(p);
      await writer.drain();
      return p.length;
    },
    async close() {
      writer.close();
      await writer.waitClosed();
    },
  };
}
