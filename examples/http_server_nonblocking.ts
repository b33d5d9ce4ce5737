/**
 * The book's non-blocking server: it tries to accept, finds nobody, does other work, and tries again.
 *
 * ```sh
 * deno run --allow-net examples/http_server_nonblocking.ts localhost 8080
 * ```
 */
import { errno, OSError, type Socket, socket } from "../socket.ts";

const [hostname = "localhost", port = "8080"] = Deno.args;

/** The next client, if there is one now. */
async function tryAccept(listener: Socket): Promise<Socket | undefined> {
  try {
    const [client] = await listener.accept();
    return client;
  } catch (error) {
    if (error instanceof OSError && error.errno === errno.EAGAIN) return undefined;
    throw error;
  }
}

async function answer(client: Socket): Promise<void> {
  client.settimeout(5); // it blocks again, but for no longer than this
  await client.recv(512);
  const page = `<h1>${(20 + 5 * Math.sin(Date.now() / 60_000)).toFixed(1)} &deg;C</h1>\n`;
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}`;
  await client.sendall(`${head}\r\nConnection: close\r\n\r\n${page}`);
}

const listener = socket();
listener.bind([hostname, Number(port)]);
listener.listen(5);
listener.setblocking(false);
console.log(`Listening on http://${hostname}:${listener.localAddr!.port}/`);
for (let tries = 1, beat = Date.now();; tries++) {
  if (Date.now() >= beat) { // the other work
    console.log(`Tried ${tries} times`);
    beat += 1000;
  }
  const client = await tryAccept(listener);
  if (client === undefined) continue;
  try {
    await answer(client);
  } catch (error) {
    console.log(`A client failed: ${error}`);
  }
  await client.close();
}
