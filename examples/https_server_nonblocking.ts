/**
 * The book's polling server: one loop does its own work and, in between, what each client allows. It waits for no client.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_server_nonblocking.ts localhost 8443 server.pem server.key
 * ```
 */
import { setTimeout as delay } from "node:timers/promises";
import { SSLContext, type SSLSocket } from "../mod.ts";

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
const readTemperature = () => (20 + 5 * Math.sin(Date.now() / 60_000)).toFixed(1);

/** Answers one client. Yields what it waits for, instead of waiting. */
function* answer(tls: SSLSocket) {
  try {
    for (let request = "", ends = Date.now() + 10_000; Date.now() < ends && request.length < 4096;) {
      if (request.includes("\r\n\r\n")) {
        const text = `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<h1>${readTemperature()} &deg;C</h1>\n`;
        const { state } = tls.tryWrite(new TextEncoder().encode(text)); // all or nothing: it fits in a record
        if (state === "ok") return void tls.close(); // in the background
        yield tls.ready("write", 0.05);
      } else {
        const buffer = new Uint8Array(512);
        const got = tls.tryRead(buffer); // first of all the handshake
        if (got.state === "eof") return tls.abort();
        if (got.state === "ok") request += new TextDecoder().decode(buffer.subarray(0, got.bytes));
        else yield tls.ready("read", 0.05);
      }
    }
    throw new Error("it took too long, or said too much");
  } catch (error) {
    console.log(`A client failed: ${error}`);
    tls.abort();
  }
}

const context = await SSLContext.create({ serverSide: true, certfile, keyfile });
const listener = Deno.listen({ hostname, port: Number(port), tcpBacklog: 5 });
console.log(`Listening on https://${hostname}:${listener.addr.port}/`);
const clients = new Map<ReturnType<typeof answer>, Promise<unknown>>(); // with what each waits for
(async () => {
  for await (const conn of listener) {
    const tls = await context.wrapSocket(conn, { doHandshake: false, shutdownTimeout: 1 });
    tls.setBlocking(false);
    clients.set(answer(tls), Promise.resolve());
  }
})();

for (let beats = 1, next = Date.now();;) {
  if (Date.now() >= next) console.log(`Heartbeat ${beats++}, clients: ${clients.size}`); // the work of its own
  while (Date.now() >= next) next += 1000;
  for (const client of clients.keys()) {
    const { done, value } = client.next(); // as far as it can go now
    if (done) clients.delete(client);
    else clients.set(client, value);
  }
  await Promise.race([delay(50), ...clients.values()]); // the poll
}
