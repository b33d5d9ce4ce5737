/**
 * The book's polling server: one loop does its own work and, in between, what each client allows. It waits for no client.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/https_server_nonblocking.ts localhost 8443 server.pem server.key
 * ```
 */
import { poll, POLLIN, POLLOUT, type Socket, socket } from "../socket.ts";
import { PROTOCOL_TLS_SERVER, SSLContext, type SSLSocket } from "../ussl.ts";

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
const readTemperature = () => (20 + 5 * Math.sin(Date.now() / 60_000)).toFixed(1);

async function accept(): Promise<void> {
  const [client] = await listener.accept();
  const ss = await context.wrap_socket(client, { server_side: true, do_handshake_on_connect: false });
  ss.setblocking(false);
  poller.register(ss, POLLIN);
  clients.set(ss, { request: "", ends: Date.now() + 5000 });
}

/** Goes on with a client, as far as it can now; whether it is done. */
async function answer(ss: SSLSocket, client: { request: string; ends: number }): Promise<boolean> {
  if (Date.now() >= client.ends) throw new Error("it took too long");
  if (client.request.includes("\r\n\r\n")) {
    const page = `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<h1>${readTemperature()} &deg;C</h1>\n`;
    return await ss.write(page) !== null; // all or nothing: it fits in a record
  }
  const data = await ss.read(512); // first of all the handshake
  client.request += new TextDecoder().decode(data ?? undefined);
  if (client.request.length > 4096) throw new Error("it said too much");
  if (client.request.includes("\r\n\r\n")) poller.modify(ss, POLLOUT);
  return data?.length === 0; // it has gone
}

const context = new SSLContext(PROTOCOL_TLS_SERVER);
context.load_cert_chain(certfile, keyfile);
const listener = socket();
listener.bind([hostname, Number(port)]);
listener.listen(5);
listener.setblocking(false);
console.log(`Listening on https://${hostname}:${listener.localAddr!.port}/`);
const clients = new Map<SSLSocket, { request: string; ends: number }>();
const poller = poll<Socket | SSLSocket>();
poller.register(listener, POLLIN);
for (let beats = 1, next = Date.now();;) {
  if (Date.now() >= next) console.log(`Heartbeat ${beats++}, clients: ${clients.size}`); // the work of its own
  while (Date.now() >= next) next += 1000;
  const ready = new Set((await poller.poll(50)).map(([sock]) => sock));
  if (ready.has(listener)) await accept().catch((error) => console.log(`Nobody came: ${error}`));
  for (const [ss, client] of clients) {
    if (!ready.has(ss) && Date.now() < client.ends) continue;
    const isDone = await answer(ss, client).catch((error) => console.log(`A client failed: ${error}`));
    if (isDone === false) continue;
    poller.unregister(ss);
    clients.delete(ss);
    ss.close(); // in the background
  }
}
