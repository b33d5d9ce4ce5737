/**
 * TLS in TLS: an SSLSocket is a connection like any other, so it can carry another one. Here the outer one leads to a
 * proxy, which is part of this program, and the inner one through it to an HTTPS server that the proxy cannot read.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/tls_in_tls.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/tls_in_tls.ts example.com 443
 * ```
 */
import { createCertificate, type SSLSocket, StreamReader, wrapSocket } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;
const own = createCertificate({ subject: "CN=proxy", hosts: ["localhost"] });

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** The first words of HTTP, up to the blank line. */
async function readHead(tls: SSLSocket): Promise<string> {
  return new TextDecoder().decode(await new StreamReader(tls).readuntil("\r\n\r\n"));
}

/** The proxy: takes "CONNECT host:port", then passes bytes on, in both directions. */
async function relay(conn: Deno.Conn): Promise<void> {
  const credential = { certfile: own.certificate, keyfile: own.key };
  await using client = await wrapSocket(conn, { serverSide: true, ...credential });
  const { hostname, port } = new URL(`tcp://${(await readHead(client)).split(" ")[1]}`);
  const server = await Deno.connect({ hostname, port: Number(port) });
  await client.write(encode("HTTP/1.1 200 Connected\r\n\r\n"));
  const pipes = [client.readable.pipeTo(server.writable), server.readable.pipeTo(client.writable)];
  await Promise.allSettled(pipes); // either end may leave first
}

using listener = Deno.listen({ hostname: "localhost", port: 0 });
const relayed = listener.accept().then(relay);

const conn = await Deno.connect({ hostname: "localhost", port: listener.addr.port });
const outer = await wrapSocket(conn, { serverHostname: "localhost", caCerts: own.certificate });
await outer.write(encode(`CONNECT ${hostname}:${port} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`));
console.log(`Proxy: ${outer.version()}, ${(await readHead(outer)).split("\r\n")[0]}`);

const inner = await wrapSocket(outer, { serverHostname: hostname, ...(caCerts && { caCerts }) });
console.log(`Server: ${inner.version()}, ${inner.cipher()!.name}\n`);
await inner.write(encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`));
console.log(new TextDecoder().decode(await new StreamReader(inner).read()));
await inner.close(); // and the outer one with it
await relayed;
