/**
 * `doHandshake: false` puts TLS on a connection and returns at once. The handshake comes later: by itself with the
 * first read or write, or step by step, as on a device with other work to do.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/deferred_handshake.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/deferred_handshake.ts example.com 443
 * ```
 */
import { type SSLSocket, wrapSocket } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;
const request = new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);

async function connect(): Promise<SSLSocket> {
  const conn = await Deno.connect({ hostname, port: Number(port) });
  return await wrapSocket(conn, {
    serverHostname: hostname,
    ...(caCerts && { caCerts }),
    doHandshake: false,
    timeout: 5, // seconds for the handshake, from its first step
  });
}

async function statusLine(tls: SSLSocket): Promise<string> {
  const buffer = new Uint8Array(512);
  const n = await tls.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, n)).split("\r\n")[0]!;
}

{
  await using tls = await connect();
  console.log(`By itself: ${tls.version() ?? "no handshake yet"}`);
  await tls.write(request); // the handshake, then the request
  console.log(`By itself: ${tls.version()}, ${await statusLine(tls)}`);
}
{
  await using tls = await connect();
  tls.setBlocking(false);
  let outcome = tls.tryHandshake();
  for (; outcome.state !== "ok"; outcome = tls.tryHandshake()) {
    console.log(`Step by step: ${outcome.state}`);
    while (!await tls.ready("read", 0.1)) console.log("Step by step: other work");
  }
  tls.setBlocking(true);
  await tls.write(request);
  console.log(`Step by step: ${tls.version()}, ${await statusLine(tls)}`);
}
