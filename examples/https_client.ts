/**
 * The book's HTTPS client: connect, put TLS on the connection, send a request, print the answer.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_client.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/https_client.ts example.com 443
 * ```
 *
 * `ca.pem` is whom to trust; without it, whom Deno trusts.
 */
import { wrapSocket } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;
const request = `GET /index.html HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;

const conn = await Deno.connect({ hostname, port: Number(port) });
await using tls = await wrapSocket(conn, { serverHostname: hostname, ...(caCerts && { caCerts }) });
console.log(`${tls.version()}, ${tls.cipher()!.name}\n`);

await tls.write(new TextEncoder().encode(request));

const decoder = new TextDecoder();
const buffer = new Uint8Array(512);
let answer = "";
for (let n = await tls.read(buffer); n !== null; n = await tls.read(buffer)) {
  answer += decoder.decode(buffer.subarray(0, n), { stream: true });
}
console.log(answer);
