/** Floods, in short: what they leave, and how much of the event loop they take. `deno task flood` measures them. */

import { assert, assertEquals } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import { TLSEngine } from "../lib/engine.ts";
import type { ClientConnected } from "../lib/net.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { growthOf } from "../bench/soak/slope.ts";
import { certFile } from "./peers.ts";
import { CLIENT, CREDENTIAL, dial, dialTls, eventually, readText, serving, test } from "./sockets.ts";

const echo: ClientConnected = async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
  }
};

/** What a turn of the event loop may take of handshakes before no further step begins, in milliseconds. */
const BUDGET = 8;

test("flood: RSA handshakes that come at once are spread over turns of the event loop", async () => {
  const turns: number[][] = [];
  let over = false;
  const count = () => {
    turns.push([]);
    if (!over) setTimeout(count);
  };
  const { handshakeStep } = TLSEngine.prototype;
  TLSEngine.prototype.handshakeStep = function () {
    const start = performance.now();
    try {
      return handshakeStep.call(this);
    } finally {
      if (this.config.serverSide) turns.at(-1)!.push(performance.now() - start);
    }
  };
  try {
    const ssl = { certfile: certFile("rsa.pem"), keyfile: certFile("rsa.key") };
    await using server = await serving(echo, { ssl });
    turns.push([]);
    setTimeout(count);
    const clients = await Promise.all(
      Array.from({ length: 24 }, () => dialTls(server, { ...CLIENT, certReqs: 0 })),
    );
    await eventually(() => server.stats.open === 24);
    over = true;
    const busy = turns.filter((steps) => steps.length > 0);
    assert(busy.flat().length >= 48);
    for (const steps of busy) {
      const before = steps.slice(0, -1).reduce((sum, ms) => sum + ms, 0);
      assert(before < 3 * BUDGET, `a step began in a turn that had worked for ${before} ms: ${steps}`); // the turnstile's turns end beside ours
    }
    await Promise.all(clients.map((client) => client.close()));
  } finally {
    over = true;
    TLSEngine.prototype.handshakeStep = handshakeStep;
  }
  await new Promise((resolve) => setTimeout(resolve));
});

test("flood: half-open handshakes, hellos and foreign tickets leave nothing, and clients come in meanwhile", async () => {
  const core = Core.shared();
  let hello: Uint8Array<ArrayBuffer>;
  await using server = await serving(echo, { sslHandshakeTimeout: 2, onError() {} });
  using ring = new TicketKeyRing();
  await using other = await serving(echo, { ssl: { ...CREDENTIAL, tickets: ring } }); // the first cannot open its tickets
  { // a client whose hello is kept
    const conn = await dial(server);
    const write = conn.write.bind(conn);
    conn.write = (p) => (hello ??= p.slice() as Uint8Array<ArrayBuffer>, write(p));
    await (await wrapSocket(conn, CLIENT)).close();
  }
  const stranger = await dialTls(other);
  await stranger.write(encodeText("x"));
  await readText(stranger);
  const foreign = stranger.session!;
  await stranger.close();
  await eventually(() => server.stats.open === 0 && other.stats.open === 0);
  const { allocated } = core;

  const halfOpen = await Promise.all(Array.from({ length: 100 }, async (_, i) => {
    const conn = await dial(server);
    await conn.write(hello.subarray(0, i));
    return conn;
  }));
  const hellos = Promise.all(Array.from({ length: 100 }, async () => {
    using conn = await dial(server);
    await conn.write(hello);
    assert((await conn.read(new Uint8Array(16384)))! > 0);
  }));
  const tickets = Promise.all(Array.from({ length: 50 }, async () => {
    const client = await dialTls(server, { savedSession: foreign });
    assert(!client.sessionReused);
    client.abort();
  }));
  const good = await dialTls(server);
  await good.write(encodeText("hello"));
  assertEquals(await readText(good), "hello");
  await Promise.all([hellos, tickets, good.close()]);
  for (const conn of halfOpen) conn.close();
  await eventually(() => server.stats.handshaking === 0 && server.stats.open === 0);
  assert(core.allocated <= allocated + 4096, `${core.allocated - allocated} bytes are left`);
  assertEquals(server.stats.refused, 0);
});

Deno.test("soak: growth is told from noise", () => {
  const samples = (value: (i: number) => number) =>
    Array.from({ length: 60 }, (_, i) => ({ at: i, value: value(i) }));
  assertEquals(growthOf(samples(() => 7)), 0);
  assert(Math.abs(growthOf(samples((i) => 100 + (i * 7919) % 13))) < 3, "noise");
  assert(Math.abs(growthOf(samples((i) => i < 15 ? i * 50 : 1000))) < 1, "the warm-up");
  const leak = growthOf(samples((i) => 100 + (i * 7919) % 13 + 2 * i));
  assert(leak > 70 && leak < 90, `${leak}`);
  assertEquals(growthOf([]), 0);
});
