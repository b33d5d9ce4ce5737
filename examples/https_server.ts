/**
 * The book's HTTPS server: a page with the temperature, key and certificate as DER bytes, and up to five clients in the
 * queue while one is served. One that does not trust the certificate, speaks no TLS or says nothing costs only itself.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_server.ts localhost 8443 server.der server.key.der
 * ```
 */
import { SO_REUSEADDR, type Socket, socket, SOL_SOCKET } from "../socket.ts";
import { wrap_socket } from "../ussl.ts";

const [hostname = "localhost", port = "8443", ...files] = Deno.args;
const cert = await Deno.readFile(files[0] ?? "server.der"); // the book's program holds these bytes itself
const key = await Deno.readFile(files[1] ?? "server.key.der");

/** What a DS18B20 might say. */
function readTemperature(): number {
  return 20 + 5 * Math.sin(Date.now() / 60_000);
}

async function answer(client: Socket): Promise<void> {
  // The next client waits for this one, so each gets few seconds.
  await using ss = await wrap_socket(client, { server_side: true, key, cert, timeout: 5 });
  ss.settimeout(5);
  for (let line = await ss.readline(); line!.length > 2; line = await ss.readline()); // up to the blank one
  const page = `<!DOCTYPE html><title>Temperature</title><h1>${readTemperature().toFixed(1)} &deg;C</h1>\n`;
  const headers = `Content-Type: text/html\r\nServer: tlsio\r\nContent-Length: ${page.length}`;
  await ss.write(`HTTP/1.1 200 OK\r\n${headers}\r\nConnection: close\r\n\r\n${page}`);
}

const listener = socket();
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
listener.bind([hostname, Number(port)]);
listener.listen(5);
console.log(`Listening on https://${hostname}:${listener.localAddr!.port}/`);
for (;;) {
  const [client] = await listener.accept();
  try {
    await answer(client);
  } catch (error) {
    console.log(`A client failed: ${error}`);
  }
}
