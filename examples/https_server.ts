/**
 * The book's HTTPS server: a page with the temperature, for one client after the other. One that does not trust the
 * certificate, speaks no TLS or says nothing costs only its own connection.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_server.ts localhost 8443 server.pem server.key
 * ```
 *
 * `0.0.0.0` instead of `localhost` lets other machines in.
 */
import { StreamReader, wrapSocket } from "../mod.ts";

const TEMPLATE = `<!DOCTYPE html>
<html>
  <head><title>Temperature</title></head>
  <body><h1><!--#temp--> &deg;C</h1></body>
</html>
`;

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;

/** What a DS18B20 might say. */
function readTemperature(): number {
  return 20 + 5 * Math.sin(Date.now() / 60_000);
}

function response(): string {
  const page = TEMPLATE.replace("<!--#temp-->", readTemperature().toFixed(1));
  const headers = [
    "Content-Type: text/html",
    "Server: tlsio",
    `Content-Length: ${page.length}`,
    "Connection: close",
  ];
  return `HTTP/1.1 200 OK\r\n${headers.join("\r\n")}\r\n\r\n${page}`;
}

async function answer(conn: Deno.Conn): Promise<void> {
  // The next client waits for this one, so each gets few seconds.
  const limits = { timeout: 5, shutdownTimeout: 1 };
  await using tls = await wrapSocket(conn, { serverSide: true, certfile, keyfile, ...limits });
  tls.setTimeout(5);
  for await (const line of new StreamReader(tls)) {
    if (line.length <= 2) break; // the blank line that ends a request: "\r\n"
  }
  await tls.write(new TextEncoder().encode(response()));
}

const listener = Deno.listen({ hostname, port: Number(port), tcpBacklog: 5 });
console.log(`Listening on https://${hostname}:${listener.addr.port}/`);
for await (const conn of listener) {
  try {
    await answer(conn);
  } catch (error) {
    console.log(`A client failed: ${error}`);
  }
}
