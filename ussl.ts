/**
 * MicroPython's and Pycom's `ssl` for Deno, by their own names and with their own defaults, so that their programs translate line
 * by line. A program that is new here is better off with `wrapSocket` of `tlsio`, whose defaults are safe.
 *
 * As in `tlsio/socket`, **what may wait gives a promise**: put `await` before `wrap_socket`, `save_session`, and the methods of
 * sockets that receive, send, connect, accept, close, or complete the handshake. Python's keyword arguments are an object of
 * options; `None` is `null`.
 *
 * What is on purpose not as in the seeds: a wrong argument is a `TypeError` or `RangeError` before anything is sent (their
 * `ValueError`); a certificate that is not accepted is an {@linkcode SSLError} with their text (MicroPython's `ValueError`, Pycom's
 * `OSError` of the flags); `timeout` is wall-clock time; `close()` says goodbye, which MicroPython's does not.
 *
 * @example A client
 * ```ts
 * import { createCertificate, startServer } from "tlsio";
 * import { getaddrinfo, socket } from "tlsio/socket";
 * import { wrap_socket } from "tlsio/ussl";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * await using server = await startServer(async (reader, writer) => {
 *   await reader.readline();
 *   writer.write("HTTP/1.0 200 OK\r\n\r\nwarm");
 *   await writer.drain();
 * }, { hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: key } });
 *
 * const [info] = await getaddrinfo("127.0.0.1", (server.addr as Deno.NetAddr).port);
 * const s = socket();
 * await s.connect(info![4]);
 * const ss = await wrap_socket(s, { server_hostname: "localhost" });
 * await ss.write("GET / HTTP/1.0\r\n\r\n");
 * const page = new TextDecoder().decode((await ss.read())!);
 * await ss.close();
 * assertEquals(page.endsWith("warm"), true);
 * ```
 *
 * @module
 */
export { save_session, wrap_socket } from "./lib/ussl.ts";
export {
  type DeviceOptions,
  type EcdsaSignCallback,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLS_SERVER,
  type PskKeys,
  SSLContext,
  type VerifyCallback,
  type VerifyLocations,
} from "./lib/ussl_context.ts";
export type { HeapLimits } from "./lib/device_heap.ts";
export type { ConnectionOptions, WrapOptions } from "./lib/ussl_options.ts";
export { SSLSocket } from "./lib/ussl_socket.ts";
export { SSL_TIMEOUT, SSLError } from "./lib/ussl_errors.ts";
export { SSLSession } from "./lib/session.ts";
export { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED } from "./lib/policy.ts";
export { OSError } from "./lib/os_error.ts";
export { StreamSocket } from "./lib/stream_socket.ts";
