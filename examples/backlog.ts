/**
 * The connection queue: while a server is busy, the clients that connect wait in its backlog, and when that is full, before
 * the door. Five clients come at once to a server with `listen(2)`, which serves one after the other.
 *
 * ```sh
 * deno run --allow-net examples/backlog.ts localhost 2
 * ```
 *
 * Linux lets in one more than the backlog, and does not answer the others: their systems knock again after 1 s, 3 s, ...
 * Other systems refuse them.
 */
import { setTimeout as delay } from "node:timers/promises";
import { socket } from "../socket.ts";

const [hostname = "localhost", backlog = "2"] = Deno.args;
const CLIENTS = 5;

const start = performance.now();
function say(text: string): void {
  console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(4)} s  ${text}`);
}

const listener = socket();
listener.bind([hostname, 0]);
listener.listen(Number(backlog));

async function visit(name: string): Promise<void> {
  await using s = socket();
  s.settimeout(20);
  await s.connect([hostname, listener.localAddr!.port]);
  say(`${name}: connected, in the queue`); // though the server knows nothing of it yet
  await s.sendall(`${name}\n`);
  const answer = await s.read();
  say(`${name}: ${new TextDecoder().decode(answer!).trim()}`);
}

async function serve(): Promise<void> {
  say("server: busy");
  await delay(500);
  say("server: ready");
  for (let i = 0; i < CLIENTS; i++) {
    const [client] = await listener.accept();
    const name = new TextDecoder().decode((await client.readline())!).trim();
    say(`server: serves ${name}`);
    await delay(200);
    await client.sendall("served\n");
    await client.close();
  }
}

const clients = Array.from({ length: CLIENTS }, (_, i) => visit(`client ${i + 1}`));
await Promise.all([serve(), ...clients]);
await listener.close();
