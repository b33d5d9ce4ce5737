/**
 * The book's asyncio server: `startServer` runs a callback for each client while the main program goes on, here with a
 * heartbeat. Handshakes run beside each other; a client that stalls holds up nobody.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/asyncio_server.ts localhost 8443 server.pem server.key
 * ```
 */
import { setTimeout as delay } from "node:timers/promises";
import { startServer, type StreamReader, type Writer } from "../mod.ts";

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;

async function handle(reader: StreamReader, writer: Writer): Promise<void> {
  const [, path] = new TextDecoder().decode(await reader.readuntil("\r\n\r\n")).split(" ");
  const celsius = 20 + 5 * Math.sin(Date.now() / 60_000);
  const page = `<h1>${celsius.toFixed(1)} &deg;C</h1><p>This is ${path}</p>\n`;
  writer.write(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n`);
  writer.write(`Connection: close\r\n\r\n${page}`);
  await writer.drain();
  writer.close();
  await writer.waitClosed();
}

const server = await startServer(handle, {
  hostname,
  port: Number(port),
  backlog: 5,
  ssl: { certfile, keyfile },
  onError: (error, { phase }) => console.log(`A client failed in its ${phase}: ${error}`),
});
console.log(`Listening on https://${hostname}:${(server.addr as Deno.NetAddr).port}/`);

for (let beats = 1;; beats++) {
  const { accepted, open } = server.stats;
  console.log(`Heartbeat ${beats}, clients: ${accepted} so far, ${open} now`);
  await delay(1000);
}
