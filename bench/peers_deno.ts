/**
 * Deno's own TLS (rustls), and plain TCP as what no TLS can beat. Neither version nor suite can be chosen, no session is
 * kept by a client, and nothing tells what was agreed on: the other end's terms decide.
 *
 * @module
 */

import { ANSWER, type Conn, type Dial, HOST, LOOPBACK, type Peer, type Terms } from "./peer.ts";

const UNTOLD = { version: undefined, suite: undefined, reused: undefined, session: () => undefined };

function accept(listener: Deno.Listener | Deno.TlsListener, serve: (conn: Conn) => Promise<void>): number {
  const run = async () => {
    for await (const conn of listener) serve(conn);
  };
  run();
  return (listener.addr as Deno.NetAddr).port;
}

// deno-lint-ignore require-await -- a Peer's methods are asynchronous
async function listenTls({ identity }: Terms, serve: (conn: Conn) => Promise<void>): Promise<number> {
  const { certificate: cert, key } = identity;
  return accept(Deno.listenTls({ hostname: LOOPBACK, port: 0, cert, key }), serve);
}

// deno-lint-ignore require-await -- see above
async function serveHttps({ identity }: Terms): Promise<number> {
  const { certificate: cert, key } = identity;
  const options = { hostname: LOOPBACK, port: 0, cert, key, onListen: () => {} };
  return Deno.serve(options, () => new Response(ANSWER)).addr.port;
}

/** `Deno.listenTls`; `Deno.connect`, `setNoDelay` and `Deno.startTls`: the fastest client that Deno has. */
export const startTls: Peer = {
  listen: listenTls,
  listenHttp: serveHttps,
  // deno-lint-ignore require-await -- see above
  async dialer({ identity }): Promise<Dial> {
    const options = { hostname: HOST, caCerts: [identity.ca] };
    return async (port) => {
      const tcp = await Deno.connect({ hostname: LOOPBACK, port });
      tcp.setNoDelay(true);
      const conn = await Deno.startTls(tcp, options);
      return { conn, ...UNTOLD };
    };
  },
};

/** `Deno.listenTls` and `Deno.connectTls`. */
export const connectTls: Peer = {
  listen: listenTls,
  // deno-lint-ignore require-await -- see above
  async dialer({ identity }): Promise<Dial> {
    const options = { hostname: LOOPBACK, caCerts: [identity.ca] };
    return async (port) => ({ conn: await Deno.connectTls({ ...options, port }), ...UNTOLD });
  },
};

/** No TLS. */
export const tcp: Peer = {
  // deno-lint-ignore require-await -- see above
  async listen(_, serve) {
    return accept(Deno.listen({ hostname: LOOPBACK, port: 0 }), (conn) => {
      (conn as Deno.TcpConn).setNoDelay(true);
      return serve(conn);
    });
  },
  // deno-lint-ignore require-await -- see above
  async dialer(): Promise<Dial> {
    return async (port) => {
      const conn = await Deno.connect({ hostname: LOOPBACK, port });
      conn.setNoDelay(true);
      return { conn, ...UNTOLD };
    };
  },
};
