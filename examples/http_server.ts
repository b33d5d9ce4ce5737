/**
 * The book's HTTP server: a page with the temperature, for one client after the other.
 *
 * ```sh
 * deno run --allow-net examples/http_server.ts localhost 8080
 * ```
 *
 * `0.0.0.0` instead of `localhost` lets other machines in.
 */
import { SO_REUSEADDR, type Socket, socket, SOL_SOCKET } from "../socket.ts";

const TEMPLATE = `<!DOCTYPE html>
<html>
  <head><title>Temperature</title></head>
  <body><h1><!--#temp--> &deg;C</h1></body>
</html>
`;

const [hostname = "localhost", port = "8080"] = Deno.args;

/** What a DS18B20 might say. */
function readTemperature(): number {
  return 20 + 5 * Math.sin(Date.now() / 60_000);
}

async function answer(client: Socket): Promise<void> {
  client.settimeout(5); // seconds: the next client waits for this one
  console.log(new TextDecoder().decode(await client.recv(512)).split("\r\n")[0]);
  const page = TEMPLATE.replace("<!--#temp-->", readTemperature().toFixed(1));
  await client.sendall(
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: tlsio\r\n" +
      `Content-Length: ${page.length}\r\nConnection: close\r\n\r\n${page}`,
  );
}

const listener = socket();
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
listener.bind([hostname, Number(port)]);
listener.listen(0); // nobody waits but the next one
console.log(`Listening on http://${hostname}:${listener.localAddr!.port}/`);
for (;;) {
  const [client, address] = await listener.accept();
  try {
    await answer(client);
  } catch (error) {
    console.log(`${address[0]} failed: ${error}`);
  }
  await client.close();
}
