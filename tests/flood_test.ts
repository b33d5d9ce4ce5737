/** Floods, in short: what they leave, and how much of the event loop they take. `deno task flood` measures them. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { accept } from "../lib/accept.ts";
import { encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import type { Duplex } from "../lib/duplex.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import type { ClientConnected } from "../lib/net.ts";
import { SSLContext, wrapSocket } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { growthOf } from "../bench/soak/slope.ts";
import { certFile } from "./peers.ts";
import { pipe, type PipeEnd } from "./pipe.ts";
import { CLIENT, CREDENTIAL, dial, dialTls, eventually, readText, serving, test } from "./sockets.ts";

const echo: ClientConnected = async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
  }
};

const RSA = { certfile: certFile("rsa.pem"), keyfile: certFile("rsa.key") };

test("flood: RSA handshakes that come at once are spread over turns of the event loop", async () => {
  const turns: number[] = []; // steps in each
  let over = false;
  const count = () => {
    turns.push(0);
    if (!over) setTimeout(count);
  };
  const { handshakeStep } = TLSEngine.prototype;
  const begun = new WeakSet<TLSEngine>();
  TLSEngine.prototype.handshakeStep = function () {
    if (begun.has(this)) turns[turns.length - 1]!++; // the first has nothing to do yet
    begun.add(this);
    return handshakeStep.call(this);
  };
  try {
    using context = await SSLContext.create({ serverSide: true, ...RSA });
    const hello = await helloOf();
    turns.push(0);
    setTimeout(count);
    const clients = Array.from({ length: 48 }, () => attack(context, hello, "192.0.2.1"));
    await Promise.all(clients.map(({ answered }) => answered));
    over = true;
    const steps = turns.reduce((sum, n) => sum + n);
    assert(steps >= 48, `${steps}`);
    assert(Math.max(...turns) <= steps / 4, `${turns}`);
    await endAll(clients);
  } finally {
    over = true;
    TLSEngine.prototype.handshakeStep = handshakeStep;
  }
  await new Promise((resolve) => setTimeout(resolve));
});

test("flood: who comes from another address goes before the hellos that wait", async () => {
  using context = await SSLContext.create({ serverSide: true, ...RSA });
  const hello = await helloOf();
  let answers = 0;
  const attackers = Array.from({ length: 100 }, () => attack(context, hello, "192.0.2.1"));
  for (const { answered } of attackers) answered.then(() => answers++);
  const [near, far] = pipe();
  const [client, server] = await Promise.all([
    wrapSocket(near, { ...CLIENT, certReqs: 0 }),
    context.wrapSocket(from("192.0.2.2", far)),
  ]);
  assert(answers < 75, `${answers} of 100 were answered before`);
  await Promise.all([client.close(), server.close()]);
  await Promise.all(attackers.map(({ answered }) => answered));
  await endAll(attackers);
});

test("flood: connections that wait are not accepted all at once", async () => {
  const listener = { accept: () => Promise.resolve({} as Deno.Conn) };
  let turns = 0;
  let accepted = 0;
  const timer = setTimeout(() => turns++);
  for (; turns === 0 && accepted < 10_000; accepted++) await accept(listener, () => true, () => {});
  clearTimeout(timer);
  assertEquals(turns, 1, `after ${accepted}`);
});

Deno.test("flood: out of descriptors, one connection makes room for one, as it is free only a turn later", async () => {
  using real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using _client = await Deno.connect({ hostname: "127.0.0.1", port: real.addr.port });
  let isFree = false;
  let dropped = 0;
  const error = new Error("Too many open files (os error 24)");
  const listener = { accept: () => isFree ? real.accept() : Promise.reject(error) };
  const makeRoom = () => {
    dropped++;
    setTimeout(() => isFree = true);
    return true;
  };
  using _conn = await accept(listener, () => true, makeRoom);
  assertEquals(dropped, 1);
});

/** The first flight of a client. */
async function helloOf(): Promise<Uint8Array<ArrayBuffer>> {
  const [near, far] = pipe();
  const client = assertRejects(() => wrapSocket(near, CLIENT), SSLError);
  const hello = new Uint8Array(4096);
  const n = (await far.read(hello))!;
  far.close();
  await client;
  return hello.slice(0, n);
}

/** One end of a connection, as if its other end were at `hostname`. */
function from(hostname: string, far: PipeEnd): Duplex {
  const remoteAddr: Deno.Addr = { transport: "tcp", hostname, port: 1 };
  return {
    remoteAddr,
    read: (p) => far.read(p),
    write: (p) => far.write(p),
    close: () => far.close(),
  };
}

/** Sends a server a hello; `answered` when its answer comes. */
function attack(context: SSLContext, hello: Uint8Array<ArrayBuffer>, hostname: string) {
  const [near, far] = pipe();
  const ended = assertRejects(() => context.wrapSocket(from(hostname, far)), SSLError);
  const answered = near.write(hello).then(() => near.read(new Uint8Array(16384)));
  return { near, ended, answered };
}

async function endAll(attacks: ReturnType<typeof attack>[]): Promise<void> {
  for (const { near } of attacks) near.close();
  await Promise.all(attacks.map(({ ended }) => ended));
}

test("flood: half-open handshakes, hellos and foreign tickets leave nothing, and clients come in meanwhile", async () => {
  const core = Core.shared();
  let hello: Uint8Array<ArrayBuffer>;
  await using server = await serving(echo, { onError() {} });
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
  const flood = async () => {
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
  };
  await flood(); // some lists of the core have grown then
  const { allocated } = core;
  await flood();
  await eventually(() => core.allocated <= allocated + 8192); // a fifth of a connection
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
