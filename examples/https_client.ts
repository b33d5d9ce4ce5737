/**
 * The book's HTTPS client: connect, put TLS on the socket, send a request, print the answer.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_client.ts localhost 8443 ca.pem
 * ```
 *
 * `ca.pem` is whom to trust. The book's ESP32 trusted everybody, and so does `wrap_socket(s)`.
 */
import { AF_INET, getaddrinfo, socket } from "../socket.ts";
import { CERT_REQUIRED, wrap_socket } from "../ussl.ts";

const [hostname = "localhost", port = "8443", ca_certs = "ca.pem"] = Deno.args;
const request = `GET /index.html HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;

const [info] = await getaddrinfo(hostname, Number(port), AF_INET);
const s = socket();
s.settimeout(10); // seconds for each call
await s.connect(info!.at(-1) as [string, number]);
const ss = await wrap_socket(s, { cert_reqs: CERT_REQUIRED, ca_certs, server_hostname: hostname });
console.log(`${ss.version()}, ${ss.cipher()![0]}\n`);
await ss.write(request);

const decoder = new TextDecoder();
for (let data = await ss.read(512); data!.length > 0; data = await ss.read(512)) { // none: the end
  console.log(decoder.decode(data!, { stream: true }));
}
await ss.close();
