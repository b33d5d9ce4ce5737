/**
 * The book's HTTPS client: connect, put TLS on the socket, send a request, print the answer.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_client.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/https_client.ts example.com 443
 * ```
 *
 * `ca.pem` is whom to trust; without it, whom Deno trusts. The book's ESP32 trusted everybody: that is
 * `certReqs: CERT_NONE`.
 */
import { wrapSocket } from "../mod.ts";
import { AF_INET, getaddrinfo, socket } from "../socket.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;
const request = `GET /index.html HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;

const [info] = await getaddrinfo(hostname, Number(port), AF_INET);
const s = socket();
s.settimeout(10);
await s.connect(info!.at(-1) as [string, number]);
await using tls = await wrapSocket(s, { serverHostname: hostname, ...(caCerts && { caCerts }) });
console.log(`${tls.version()}, ${tls.cipher()!.name}\n`);

await tls.write(new TextEncoder().encode(request));

const decoder = new TextDecoder();
const buffer = new Uint8Array(512);
for (let n = await tls.read(buffer); n !== null; n = await tls.read(buffer)) {
  console.log(decoder.decode(buffer.subarray(0, n), { stream: true }));
}
