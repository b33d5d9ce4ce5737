/**
 * The book's asyncio client: `openConnection` gives a reader and a writer.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/asyncio_client.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/asyncio_client.ts example.com 443
 * ```
 */
import { openConnection } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;

const [reader, writer] = await openConnection({
  hostname,
  port: Number(port),
  ssl: caCerts ? { caCerts } : true, // without `ssl`: plain TCP
});
writer.write(`GET /index.html HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
await writer.drain();
console.log(new TextDecoder().decode(await reader.read(512)));
writer.close();
await writer.waitClosed();
