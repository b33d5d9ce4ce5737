/** The functions of `tlsio/ussl`, by the seeds' own names. */

import { typeName } from "./bytes.ts";
import { type DuplexLike, toDuplex } from "./duplex.ts";
import type { SSLSession } from "./session.ts";
import { Socket } from "./tcp_socket.ts";
import { build, check, type WrapOptions, wrapping } from "./ussl_options.ts";
import { sessionOf, SSLSocket, wrap } from "./ussl_socket.ts";

/**
 * Puts TLS on a socket: `ssl.wrap_socket()` of MicroPython and Pycom, with their names and defaults. **By default it does not
 * check whom it talks to** (`CERT_NONE`), as theirs: give `cert_reqs`, `ca_certs` and `server_hostname`.
 *
 * @param sock A `Socket` of `tlsio/socket`, connected or not; or any stream of bytes that `wrapSocket` of `tlsio` takes. It is
 *   taken over: closing the SSL socket closes it, and so does a handshake that fails.
 * @param options See {@linkcode WrapOptions}.
 * @returns The SSL socket. If `sock` is connected, its handshake is done, unless `do_handshake` is `false`; else `connect()`
 *   does it.
 * @throws {TypeError} An option that is wrong, unknown or missing; certificates or keys that cannot be used. Python's
 *   `ValueError`. Nothing was sent then.
 * @throws {RangeError} A number out of range.
 * @throws {OSError} `ENOENT`, `EACCES` for a file; what the socket below throws.
 * @throws {SSLError} If the handshake fails; {@linkcode SSL_TIMEOUT} if it takes longer than `timeout`.
 *
 * @example Pycom's order: wrap, then connect
 * ```ts
 * import { createCertificate } from "tlsio";
 * import { socket } from "tlsio/socket";
 * import { CERT_REQUIRED, wrap_socket } from "tlsio/ussl";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * await using listener = await wrap_socket(socket(), { server_side: true, cert: certificate, key });
 * listener.bind(["127.0.0.1", 0]);
 * listener.listen(1);
 * const { port } = listener.localAddr as Deno.NetAddr;
 *
 * const options = { cert_reqs: CERT_REQUIRED, cadata: certificate, server_hostname: "localhost" } as const;
 * await using ss = await wrap_socket(socket(), options);
 * const [[server]] = await Promise.all([listener.accept(), ss.connect(["127.0.0.1", port])]);
 * await ss.write("21 degrees\n");
 * assertEquals(new TextDecoder().decode((await server.readline())!), "21 degrees\n");
 * await server.close();
 * ```
 */
export async function wrap_socket(sock: Socket | DuplexLike, options: WrapOptions = {}): Promise<SSLSocket> {
  assertWrappable(sock);
  const { context, ...connection } = wrapping(options);
  const names = {
    ...(options.cert && { certfile: "cert" }),
    ...(options.key && { keyfile: "key" }),
    ...(options.cadata && { caCerts: "cadata" }),
  };
  const built = await build(context, names);
  try {
    check(built, connection.options);
    return await wrap(sock, { context: built, own: true, ...connection });
  } catch (error) {
    built[Symbol.dispose]();
    throw error;
  }
}

/** Throws a `TypeError` unless TLS can go on `sock`. */
export function assertWrappable(sock: unknown): void {
  if (sock instanceof Socket || sock instanceof SSLSocket) return;
  if (typeof sock === "object" && sock !== null) {
    if ("duplex" in sock || "readable" in sock && "writable" in sock) return;
    if ("read" in sock && "write" in sock && "close" in sock) return void toDuplex(sock as DuplexLike);
  }
  throw new TypeError(`Cannot wrap sock: expected a socket or a stream of bytes, got ${typeName(sock)}`);
}

/**
 * What a client needs to resume this connection later: Pycom's `ssl.save_session()`. Give it to {@linkcode wrap_socket} as
 * `saved_session`, also of another process, by its bytes.
 *
 * @param ssl_sock A client's socket, open or closed.
 * @returns The session. A TLS 1.3 server sends it after the handshake: it is waited for, for 2 seconds.
 * @throws {SSLError} If the server has given nothing to resume.
 */
export async function save_session(ssl_sock: SSLSocket): Promise<SSLSession> {
  if (ssl_sock instanceof SSLSocket) return await sessionOf(ssl_sock);
  throw new TypeError(`Cannot save_session(): expected an SSL socket, got ${typeName(ssl_sock)}`);
}
