/**
 * DTLS 1.2 (RFC 6347): TLS for datagrams, as MicroPython has it on its mbedTLS ports. {@linkcode connectDtls} and
 * {@linkcode listenDtls} are for UDP; {@linkcode DTLSContext} puts DTLS on whatever carries datagrams;
 * {@linkcode DTLSEngine} does no I/O at all.
 *
 * UDP in Deno is unstable: a program needs `--unstable-net`, or `"unstable": ["net"]` in its deno.json.
 *
 * A datagram may be lost, doubled or overtaken; what arrives is what was sent. The handshake sends again what is lost. A
 * server keeps nothing of a client until that has sent back a cookie, and so has shown that it is where it says.
 *
 * @example A server that answers in capitals
 * ```ts
 * import { connectDtls, listenDtls } from "tlsio/dtls";
 * import { createCertificate } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * await using server = await listenDtls({ hostname: "127.0.0.1", port: 0, certfile: certificate, keyfile: key });
 * const serving = (async () => {
 *   for await (const client of server) {
 *     const text = new TextDecoder().decode(await client.recv() ?? undefined);
 *     await client.send(new TextEncoder().encode(text.toUpperCase()));
 *   }
 * })();
 *
 * const { port } = server.addr as Deno.NetAddr;
 * await using socket = await connectDtls({
 *   hostname: "127.0.0.1",
 *   port,
 *   serverHostname: "localhost",
 *   caCerts: certificate,
 * });
 * await socket.send(new TextEncoder().encode("hello"));
 * socket.setTimeout(5); // seconds: the answer may be lost
 * assertEquals(new TextDecoder().decode(await socket.recv() ?? undefined), "HELLO");
 * await server.close();
 * await serving;
 * ```
 *
 * @module
 */

export type { DatagramHost, DatagramLike, DatagramLink } from "./lib/datagram.ts";
export {
  connectDtls,
  type ConnectDtlsOptions,
  DTLSContext,
  type DTLSContextOptions,
  type DTLSSocketOptions,
  listenDtls,
  type ListenDtlsOptions,
  PROTOCOL_DTLS_CLIENT,
  PROTOCOL_DTLS_SERVER,
  toDatagrams,
} from "./lib/dtls.ts";
export { DTLSEngine, type DTLSEngineOptions } from "./lib/dtls_engine.ts";
export { greet, type Greeting, type GreetOptions } from "./lib/dtls_greeting.ts";
export { DTLSServer, type DTLSServerOptions, type DTLSServerStats } from "./lib/dtls_server.ts";
export { type DatagramSocketOptions, DTLSSocket } from "./lib/dtls_socket.ts";
export type { DatagramPolicy } from "./lib/policy.ts";
