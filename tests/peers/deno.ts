/** Deno's own TLS (rustls), in this process. */
import { certFile } from "./options.ts";
import { handleProtocol, runSteps, type StepResult } from "./protocol.ts";
import { PATIENCE, within } from "./process.ts";

/** A running server in this process. */
export interface DenoServer extends AsyncDisposable {
  readonly port: number;
  /** What went wrong on its connections, handshakes too, so far. */
  readonly errors: unknown[];
}

/** Options of {@linkcode denoServer}. */
export interface DenoServerOptions {
  /** Paths, PEM; the chain may follow the certificate. */
  cert: string;
  key: string;
  alpn?: string[];
}

/**
 * Starts `Deno.listenTls` on a free port of 127.0.0.1 with the protocol of `protocol.ts`. Deno cannot ask for
 * client certificates, name the version or the suite (so there is no `INFO`), or leave out a close_notify
 * (`DROP` is a `QUIT`). Disposing it ends its connections.
 */
export function denoServer(options: DenoServerOptions): DenoServer {
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(options.cert),
    key: Deno.readTextFileSync(options.key),
    ...(options.alpn ? { alpnProtocols: options.alpn } : {}),
  });
  const errors: unknown[] = [];
  const open = new Set<Deno.TlsConn>();
  const tasks = new Set<Promise<void>>();
  let ending = false;
  const serve = async (conn: Deno.TlsConn) => {
    open.add(conn);
    try {
      await conn.handshake();
      await handleProtocol(conn);
    } catch (error) {
      if (!ending) errors.push(error);
    } finally {
      if (open.delete(conn)) conn.close();
    }
  };
  const accept = (async () => {
    while (true) {
      const conn = await listener.accept().catch(() => null);
      if (conn === null) return; // closed
      const task = serve(conn).finally(() => tasks.delete(task));
      tasks.add(task);
    }
  })();
  return {
    port: listener.addr.port,
    errors,
    async [Symbol.asyncDispose]() {
      ending = true;
      listener.close();
      for (const conn of open) {
        open.delete(conn);
        conn.close();
      }
      await within(Promise.all([accept, ...tasks]), PATIENCE, "end Deno's TLS server");
    },
  };
}

/** Options of {@linkcode denoClient}. */
export interface DenoClientOptions {
  port: number;
  /** SNI and the name that the certificate must have. Default `"localhost"`. */
  servername?: string;
  /** The authorities of the server's certificate, a path. Deno cannot do without. Default: `roots.pem`. */
  ca?: string;
  /** The client's own certificate. Deno then connects to the address of `servername`. */
  cert?: string;
  key?: string;
  alpn?: string[];
  steps?: readonly string[];
}

/**
 * Connects with Deno's own TLS and runs steps of `protocol.ts`.
 *
 * @throws What Deno throws when the handshake fails.
 */
export async function denoClient(
  options: DenoClientOptions,
): Promise<{ alpn: string | null; steps: StepResult[] }> {
  const { servername = "localhost", ca = certFile("roots.pem"), steps = [] } = options;
  const shared = {
    hostname: servername,
    caCerts: [await Deno.readTextFile(ca)],
    ...(options.alpn ? { alpnProtocols: options.alpn } : {}),
  };
  using conn = await connect(options, shared);
  const { alpnProtocol } = await within(conn.handshake(), PATIENCE, "shake hands as Deno");
  return { alpn: alpnProtocol, steps: await runSteps(conn, steps) };
}

async function connect(options: DenoClientOptions, shared: Deno.StartTlsOptions): Promise<Deno.TlsConn> {
  const { port, cert, key } = options;
  if (cert !== undefined && key !== undefined) { // startTls has no client certificate
    const own = { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) };
    return await Deno.connectTls({ ...shared, ...own, port });
  }
  // By address, then TLS: Deno.connectTls by name is slow, and its Nagle delay cannot be switched off.
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  tcp.setNoDelay(true);
  return await Deno.startTls(tcp, shared);
}
