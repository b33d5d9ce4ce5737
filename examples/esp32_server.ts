/**
 * The book's HTTPS server as an ESP32 runs it: `profile: "esp32"` is its mbedTLS, its heap and its manners. For each client it
 * says what the handshake took, and how long it would have taken on the board.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/esp32_server.ts localhost 8443 server.pem server.key
 * ```
 *
 * The heap has room for two connections: hold three open, by `openssl s_client -connect localhost:8443`, and see the third one fail.
 */
import { assertHandshakeCost, estimate } from "../cost.ts";
import { type SSLSocket, startServer } from "../mod.ts";

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;

/** What a DS18B20 might say. */
function readTemperature(): number {
  return 20 + 5 * Math.sin(Date.now() / 60_000);
}

function report(socket: SSLSocket): void {
  const { handshake } = socket.cost();
  const { up, down } = handshake.network;
  const { likely, low, high, reliability } = estimate(handshake, "esp32");
  const seconds = [likely, low, high].map((milliseconds) => (milliseconds / 1000).toFixed(2));
  console.log(`${socket.version()} ${socket.cipher()!.name} ${socket.group()}`);
  console.log(`  ${up.bytes} bytes in, ${down.bytes} out; heap ${handshake.heap!.peak} bytes at its peak`);
  console.log(`  on the board ${seconds[0]} s (${seconds[1]} to ${seconds[2]}, ${reliability})`);
  assertHandshakeCost(socket, { maxPeakHeap: 40_000 }); // throws for a chain of certificates that is too long
}

const server = await startServer(async (reader, writer) => {
  while ((await reader.readline()).length > 2); // up to the blank one; the first of them completes the handshake
  report(writer.transport as SSLSocket);
  const page = `<!DOCTYPE html><title>Temperature</title><h1>${readTemperature().toFixed(1)} &deg;C</h1>\n`;
  writer.write(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n`);
  writer.write(`Connection: close\r\n\r\n${page}`);
  await writer.drain();
}, {
  hostname,
  port: Number(port),
  ssl: { profile: "esp32", heap: { budget: 60 * 1024 }, certfile, keyfile },
  onError: (error) => console.log(`A client failed: ${error}`),
});
const { port: taken } = server.addr as Deno.NetAddr;
console.log(`Listening on https://${hostname}:${taken}/`);
await server.serveForever();
