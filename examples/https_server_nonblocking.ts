/**
 * The book's polling server: one loop does its own work, here a heartbeat, and in between what each client allows at
 * the moment. Nothing in it waits for a client, not even for a handshake.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_server_nonblocking.ts localhost 8443 server.pem server.key
 * ```
 */
import { setTimeout as delay } from "node:timers/promises";
import { SSLContext, type SSLSocket } from "../mod.ts";

type Waits = "read" | "write";
type Client = { tls: SSLSocket; answering: Generator<Waits, void>; waits: Waits; ends: number };

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
const buffer = new Uint8Array(512);

/** Answers one client. Yields what it waits for, instead of waiting. */
function* answer(tls: SSLSocket): Generator<Waits, void> {
  let request = "";
  while (!request.includes("\r\n\r\n")) {
    const got = tls.tryRead(buffer); // first of all the handshake
    if (got.state === "eof" || request.length > 4096) return;
    if (got.state === "ok") request += new TextDecoder().decode(buffer.subarray(0, got.bytes));
    else yield "read";
  }
  const page = `<h1>${(20 + 5 * Math.sin(Date.now() / 60_000)).toFixed(1)} &deg;C</h1>\n`;
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n`;
  for (let unsent = new TextEncoder().encode(head + page); unsent.length > 0;) {
    const sent = tls.tryWrite(unsent);
    if (sent.state === "ok") unsent = unsent.subarray(sent.bytes);
    else yield "write";
  }
}

/** Lets a client go on as far as it can. Returns whether it is done. */
function proceed(client: Client): boolean {
  try {
    if (Date.now() > client.ends) throw new Error("it took too long");
    const { done = false, value } = client.answering.next();
    if (!done) client.waits = value as Waits;
    else client.tls.close(); // in the background
    return done;
  } catch (error) {
    console.log(`A client failed: ${error}`);
    client.tls.abort();
    return true;
  }
}

const context = await SSLContext.create({ serverSide: true, certfile, keyfile });
const listener = Deno.listen({ hostname, port: Number(port), tcpBacklog: 5 });
console.log(`Listening on https://${hostname}:${listener.addr.port}/`);

const clients = new Set<Client>();
(async () => {
  for await (const conn of listener) {
    const tls = await context.wrapSocket(conn, { doHandshake: false, shutdownTimeout: 1 });
    tls.setBlocking(false);
    clients.add({ tls, answering: answer(tls), waits: "read", ends: Date.now() + 10_000 });
  }
})();

for (let beats = 0, next = 0;;) {
  if (Date.now() >= next) { // the work of its own
    console.log(`Heartbeat ${++beats}, clients: ${clients.size}`);
    next = Date.now() + 1000;
  }
  for (const client of clients) if (proceed(client)) clients.delete(client);
  // The poll: until a client can go on, and no longer than 50 ms.
  await Promise.race([delay(50), ...[...clients].map(({ tls, waits }) => tls.ready(waits, 0.05))]);
}
