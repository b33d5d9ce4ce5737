/** DTLSServer: many clients over UDP, those that come back, those that lie, and what is left of them. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SSLEOFError, SSLError } from "tlsio";
import {
  type DatagramHost,
  type DatagramLike,
  DTLSContext,
  type DTLSSocket,
  PROTOCOL_DTLS_CLIENT,
  PROTOCOL_DTLS_SERVER,
  toDatagrams,
} from "tlsio/dtls";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import { certificate, connect, HOST, listen, OWN, portOf } from "./dtls_sockets.ts";
import { bytesFrom } from "./pair.ts";
import { PATIENCE, within } from "./peers.ts";

Deno.test("DTLSServer: 100 clients at once, each served by its own connection", async () => {
  await using server = await listen();
  const echo = async (socket: DTLSSocket) => {
    await using _ = socket;
    try {
      for (let p = await socket.recv(); p !== null; p = await socket.recv()) await socket.send(p);
    } catch (error) {
      if (!(error instanceof SSLError && error.kind === "closed")) throw error; // the server was closed first
    }
  };
  const serving = (async () => {
    const each: Promise<void>[] = [];
    for await (const socket of server) each.push(echo(socket));
    await Promise.all(each);
  })();
  using context = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { caCerts: certificate });
  await Promise.all(Array.from({ length: 100 }, async (_, i) => {
    await using socket = await connect(portOf(server), { context, timeout: 60 });
    await socket.send(bytesFrom(i, 100));
    socket.setTimeout(PATIENCE / 1000);
    assertEquals(await socket.recv(), bytesFrom(i, 100));
  }));
  await server.close();
  await within(serving, PATIENCE, "wait for the server's clients");
});

Deno.test("DTLSServer: maxPeers and backlog bound the clients; those who wait come in when there is room", async () => {
  for (const bound of [{ maxPeers: 1 }, { backlog: 1 }]) {
    await using server = await listen(bound);
    const first = await connect(portOf(server));
    const second = connect(portOf(server), { retransmitAfter: 0.05, timeout: 30 });
    while (server.stats.dropped === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const far = await server.accept();
    await first.close();
    assertEquals(await far.recv(), null);
    await far.close();
    await using _ = await second;
    assertEquals(server.stats.peers, 1);
  }
});

Deno.test("DTLSServer: a client that begins anew from its port gets a new connection; its old hello does not", async () => {
  await using server = await listen();
  using context = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { caCerts: certificate });
  const conn = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const to = server.addr as Deno.NetAddr;
  const way = toDatagrams(conn, to);
  const hellos: Bytes[] = [];
  let take: (datagram: Bytes | null) => void = () => {};
  const reading = (async () => {
    for (let p = await way.receive(); p !== null; p = await way.receive()) take(p);
  })();
  /** A program at the client's port: what comes is its own until the next one is started. */
  const keepOpen = (): DatagramLike => {
    const queue: (Bytes | null)[] = [];
    let wake: () => void = () => {};
    const put = take = (datagram) => {
      queue.push(datagram);
      wake();
    };
    return {
      send: (datagram) => (datagram[13] === 1 && hellos.push(datagram), way.send(datagram)),
      async receive() {
        while (queue.length === 0) await new Promise<void>((resolve) => wake = resolve);
        return queue.shift()!;
      },
      close: () => put(null),
    };
  };
  const [first, far] = await Promise.all([
    context.wrapSocket(keepOpen(), { serverHostname: "localhost" }),
    server.accept(),
  ]);
  for (const hello of hellos) await conn.send(hello, to); // once more, late
  await first.send(encodeText("still here"));
  assertEquals(await far.recv(), encodeText("still here"));
  first.abort(); // without a word, as after a loss of power
  const [second, anew] = await Promise.all([
    context.wrapSocket(keepOpen(), { serverHostname: "localhost" }),
    server.accept(),
  ]);
  const lost = await assertRejects(() => far.recv(), SSLEOFError);
  assertEquals((lost.cause as Error).message, "the client has begun anew");
  await second.send(encodeText("anew"));
  assertEquals([await anew.recv(), server.stats.peers], [encodeText("anew"), 1]);
  await second.close();
  way.close();
  await reading;
});

Deno.test("DTLSServer.close() ends its connections, those who accept, and for await", async () => {
  const server = await listen();
  const near = await connect(portOf(server));
  const far = await server.accept();
  const accepting = server.accept();
  const iterating = (async () => {
    for await (const _ of server);
  })();
  await Promise.all([
    server.close(),
    server.close(),
    assertRejects(() => accepting, SSLError, "the server is closed"),
  ]);
  await iterating;
  assertEquals((await assertRejects(() => far.recv(), SSLError)).kind, "closed");
  assertEquals(await near.recv(), null, "close_notify came");
  await assertRejects(() => server.accept(), SSLError, "the server is closed");
  await near.close();
});

Deno.test("DTLSServer: garbage, and a host that fails now and then, do not stop it", async () => {
  const udp = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  let calls = 0;
  const host: DatagramHost = {
    addr: udp.addr,
    receive: (p) =>
      ++calls % 2 === 0
        ? Promise.reject(new Deno.errors.ConnectionReset("port unreachable"))
        : udp.receive(p),
    send: (p, addr) => udp.send(p, addr),
    close: () => udp.close(),
  };
  using context = await DTLSContext.create(PROTOCOL_DTLS_SERVER, OWN);
  await using server = context.listen(host);
  const liar = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  for (let i = 0; i < 50; i++) await liar.send(bytesFrom(i, i * 20), udp.addr);
  liar.close();
  const [near] = await Promise.all([connect(portOf(server)), server.accept()]);
  assertEquals(server.stats.peers, 1);
  await near.close();
});

Deno.test("DTLSServer: a flood of hellos from made-up addresses leaves nothing, and clients still get in", async () => {
  const udp = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const hellos: Bytes[] = [];
  using client = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { caCerts: certificate });
  const silence: DatagramLike = {
    send: (datagram) => Promise.resolve(hellos.push(datagram)),
    receive: () => new Promise(() => {}),
    close: () => {},
  };
  await assertRejects(
    () => client.wrapSocket(silence, { serverHostname: "localhost", timeout: 0.05 }),
    SSLError,
  );
  let left = 3000;
  let answered = 0;
  const drained = Promise.withResolvers<void>();
  const host: DatagramHost = {
    addr: udp.addr,
    receive(p) {
      if (left === 0) drained.resolve();
      if (left-- <= 0) return udp.receive(p);
      p.set(hellos[0]!);
      const hostname = `198.51.${left >> 8}.${left & 255}`;
      return Promise.resolve([p.subarray(0, hellos[0]!.length), { transport: "udp", hostname, port: 9 }]);
    },
    send: (p, addr) => (addr as Deno.NetAddr).port === 9 ? Promise.resolve(++answered) : udp.send(p, addr),
    close: () => udp.close(),
  };
  using context = await DTLSContext.create(PROTOCOL_DTLS_SERVER, OWN);
  const core = Core.shared();
  const start = core.allocated;
  await using server = context.listen(host);
  await drained.promise;
  assertEquals([core.allocated <= start, server.stats.peers], [true, 0]);
  assert(answered > 0 && answered <= 3000, `${answered} answers`);
  const [near] = await Promise.all([connect(portOf(server)), server.accept()]);
  assertEquals(server.stats.peers, 1);
  await near.close();
});

Deno.test("DTLS: connections leave nothing in the core", async () => {
  const core = Core.shared();
  using client = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { caCerts: certificate });
  await using server = await listen();
  const one = async () => {
    const [near, far] = await Promise.all([connect(portOf(server), { context: client }), server.accept()]);
    await near.send(encodeText("x"));
    await far.recv();
    await near.close();
    assertEquals(await far.recv(), null);
    await far.close();
  };
  for (let i = 0; i < 300; i++) await one(); // the session cache is full, and everything has been used
  const start = core.allocated;
  for (let i = 0; i < 200; i++) await one();
  assert(core.allocated - start < 2048, `${core.allocated - start} bytes more after 200 connections`);
});
