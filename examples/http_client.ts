/**
 * The book's HTTP client: look up the address, connect, send a request, print the answer as it comes.
 *
 * ```sh
 * deno run --allow-net examples/http_client.ts localhost 8080
 * ```
 */
import { AF_INET, getaddrinfo, socket } from "../socket.ts";

const [hostname = "localhost", port = "8080"] = Deno.args;
const request = `GET /index.html HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;

const [info] = await getaddrinfo(hostname, Number(port), AF_INET);
const s = socket();
s.settimeout(10); // seconds for each call
await s.connect(info!.at(-1) as [string, number]);
await s.sendall(request);

const decoder = new TextDecoder();
for (let data = await s.recv(512); data.length > 0; data = await s.recv(512)) { // none: the end
  console.log(decoder.decode(data, { stream: true }));
}
await s.close();
