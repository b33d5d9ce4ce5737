/** Faults that hit a process: no file descriptors or memory left, its end amid writes, a clock that jumps. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { encodeText } from "../lib/bytes.ts";
import type { ServerStats } from "../lib/server_stats.ts";
import { assertKind, dial, dialTls, eventually, readText, serving, test } from "./sockets.ts";
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

test("wasm memory at its maximum: who is open goes on, new clients are refused by an alert, and all comes back", async () => {
  await using server = await ServerProcess.start();
  const open = await dialTls(server);
  await open.write(encodeText("before"));
  assertEquals(await readText(open), "before");
  await server.write("fill\n");
  await server.waitFor(/full\n/);
  for (let i = 0; i < 3; i++) await assertKind(dialTls(server), "alert", "eof");
  await server.write("free\n");
  await server.waitFor(/free\n/);
  const { failures, handshaking } = await server.stats();
  assertEquals([failures, handshaking], [{ MBEDTLS_ERR_SSL_ALLOC_FAILED: 3 }, 0]);
  await open.write(encodeText("still here"));
  assertEquals(await readText(open), "still here");
  const next = await dialTls(server);
  await next.write(encodeText("hello"));
  assertEquals(await readText(next), "hello");
  await Promise.all([open.close(), next.close()]);
});

let jump = 0; // milliseconds
const { now } = Date;
Date.now = () => now() + jump; // from the start: a core keeps the clock that it finds
const YEAR = 365 * 86_400_000;
for (const [how, years] of [["forwards", 200], ["backwards", -30]] as const) {
  test(`the clock jumps ${how}: connections go on and no wait ends; certificates are judged by the new time`, async () => {
    await using server = await serving(async (reader, writer) => {
      for (let bytes = await reader.read(100); bytes.length > 0; bytes = await reader.read(100)) {
        writer.write(bytes);
      }
    }, { idleTimeout: 20, sslHandshakeTimeout: 20 });
    const open = await dialTls(server);
    using _silent = await dial(server);
    await eventually(() => server.stats.handshaking === 1);
    try {
      jump = years * YEAR;
      await open.write(encodeText("another day"));
      assertEquals(await readText(open), "another day");
      const { message } = await assertKind(dialTls(server), "verify");
      assertMatch(message, years > 0 ? /expired/ : /not yet valid|future/);
      await new Promise((resolve) => setTimeout(resolve, 1200)); // a look of the server
      assertEquals([server.stats.handshaking, server.stats.open, server.stats.limits], [1, 1, {}]);
    } finally {
      jump = 0;
    }
    const next = await dialTls(server);
    await Promise.all([open.close(), next.close()]);
  });
}
