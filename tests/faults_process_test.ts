/** Faults that hit a process: no file descriptors left, its end amid writes. */

import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { encodeText } from "../lib/bytes.ts";
import type { ServerStats } from "../lib/server_stats.ts";
import { assertKind, dial, dialTls, readText, test } from "./sockets.ts";
import { Program } from "./peers.ts";

const SERVER = fileURLToPath(new URL("faults/server.ts", import.meta.url));

/** The server of faults/server.ts, with a limit of open files. */
class ServerProcess extends Program {
  #asked = 0;
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 0 };

  static async start(files = 1024): Promise<ServerProcess> {
    const command = `ulimit -n ${files} && exec "${Deno.execPath()}" run --quiet --no-check -A "${SERVER}"`;
    const process = new ServerProcess("sh", ["-c", command]);
    const [, port] = await process.waitFor(/^(\d+)\n/);
    process.addr.port = Number(port);
    return process;
  }

  async stats(): Promise<ServerStats> {
    const nth = ++this.#asked;
    await this.write(`stats ${nth}\n`);
    const [, json] = await this.waitFor(new RegExp(`stats ${nth} (.*)\n`));
    return JSON.parse(json!);
  }
}

test("out of file descriptors: who is open goes on, a client comes in for a handshake that stalls, and all comes back", async () => {
  await using server = await ServerProcess.start(64);
  const open = await dialTls(server);
  const silent = await Promise.all(Array.from({ length: 80 }, () => dial(server)));
  await open.write(encodeText("still here"));
  assertEquals(await readText(open), "still here");
  const late = await dialTls(server, { timeout: 15 }); // waits in the backlog until some have stalled for two seconds
  await late.write(encodeText("hello"));
  assertEquals(await readText(late), "hello");
  const during = await server.stats();
  assert(during.limits.descriptors! > 0, JSON.stringify(during));
  for (const conn of silent) conn.close();
  await late.close();
  let after = await server.stats();
  while (after.handshaking > 0 || after.open > 1) after = await server.stats();
  const next = await Promise.all(Array.from({ length: 10 }, () => dialTls(server)));
  await Promise.all([open, ...next].map((client) => client.close()));
});

test("Deno.exit() during writes: clients get an SSLEOFError, not a good end", async () => {
  await using server = await ServerProcess.start();
  const clients = await Promise.all([1, 2, 3].map(() => dialTls(server)));
  const read = async (client: typeof clients[0]) => {
    await client.write(encodeText("flood"));
    const p = new Uint8Array(65536);
    while (await client.read(p) !== null);
  };
  const ends = clients.map((client) => assertKind(read(client!), "eof"));
  await server.write("exit\n");
  await Promise.all(ends);
  for (const client of clients) await client!.close();
});
