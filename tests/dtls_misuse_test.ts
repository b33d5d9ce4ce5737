/** DTLS servers and sockets among liars, clients that fail, callbacks that misbehave, and programs that close too early. */
import { assert, assertEquals, assertRejects } from "@std/assert";
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
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import { CLIENT_ID } from "./dtls_network.ts";
import { contexts, HOST, pipe, PSK } from "./dtls_sockets.ts";
import { bytesFrom } from "./pair.ts";

const HELLO_RANDOM = 27; // where a hello's random begins in its datagram

/** A network in memory: what `say` sends comes from any address that it names. */
function network() {
  const queue: [Bytes, Deno.NetAddr][] = [];
  const ways = new Map<number, (datagram: Bytes | null) => void>();
  let wake: () => void = () => {};
  let closed = false;
  const host: DatagramHost = {
    addr: { transport: "udp", hostname: "192.0.2.1", port: 5684 },
    async receive(p) {
      while (queue.length === 0 && !closed) await new Promise<void>((resolve) => wake = resolve);
      const next = queue.shift();
      if (next === undefined) throw new Deno.errors.BadResource("closed");
      p.set(next[0]);
      return [p.subarray(0, next[0].length), next[1]];
    },
    send(p, to) {
      ways.get((to as Deno.NetAddr).port)?.(p.slice());
      return Promise.resolve(p.length);
    },
    close() {
      closed = true;
      wake();
    },
  };
  const say = (port: number, datagram: Bytes) => {
    queue.push([datagram.slice(), { transport: "udp", hostname: "192.0.2.7", port }]);
    wake();
  };
  /** A program at a port, and what it has sent. */
  const program = (port: number): { way: DatagramLike; sent: Bytes[] } => {
    const received: (Bytes | null)[] = [];
    const sent: Bytes[] = [];
    let arrive: () => void = () => {};
    const put = (datagram: Bytes | null) => {
      received.push(datagram);
      arrive();
    };
    ways.set(port, put);
    const way: DatagramLike = {
      send: (datagram) => Promise.resolve(sent.push(datagram.slice()) && say(port, datagram)),
      async receive() {
        while (received.length === 0) await new Promise<void>((resolve) => arrive = resolve);
        return received.shift()!;
      },
      close: () => put(null),
    };
    return { way, sent };
  };
  /** Until the server has used what was said. */
  const settle = async () => {
    while (queue.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { host, say, program, settle };
}

Deno.test("DTLSServer: hellos with good cookies that were seen, sent again, begin nothing and end nothing", async () => {
  using context = await contexts();
  const net = network();
  await using server = context.server.listen(net.host);
  const connect = async () => {
    const { way, sent } = net.program(7);
    const [near, far] = await Promise.all([context.client.wrapSocket(way), server.accept()]);
    return { near, far, sent };
  };
  const first = await connect();
  first.near.abort();
  const second = await connect(); // from the same port, with a hello of its own
  await assertRejects(() => first.far.recv(), SSLEOFError);
  const works = async ({ near, far }: { near: DTLSSocket; far: DTLSSocket }) => {
    await near.send(encodeText("x"));
    assertEquals(await far.recv(), encodeText("x"));
  };
  for (const datagram of [...first.sent, ...second.sent]) net.say(7, datagram);
  await net.settle();
  await works(second);
  // A hello of the liar's own, with a cookie that was seen.
  const hello = second.sent[1]!.slice();
  hello[HELLO_RANDOM]! ^= 1;
  net.say(7, hello);
  for (const datagram of second.sent) net.say(8, datagram); // and from elsewhere
  await net.settle();
  assertEquals(server.stats, { peers: 1, waiting: 0, dropped: 0 });
  await works(second);
  await second.near.close();
  await second.far.close();
  for (const datagram of [...first.sent, ...second.sent]) net.say(7, datagram);
  await net.settle();
  assertEquals(server.stats, { peers: 0, waiting: 0, dropped: 0 }, "nor after the end");
  const third = await connect();
  await works(third);
  await third.near.close();
});

Deno.test("DTLSServer: a client that has ended before it was accepted is not accepted, and takes no room", async () => {
  using context = await contexts();
  const net = network();
  await using server = context.server.listen(net.host, { backlog: 2 });
  for (let i = 0; i < 6; i++) { // each time as if it had lost power
    const near = await context.client.wrapSocket(net.program(7).way);
    near.abort();
  }
  assertEquals(server.stats, { peers: 1, waiting: 1, dropped: 0 });
  const { way } = net.program(8);
  const near = await context.client.wrapSocket(way);
  const [, far] = [await server.accept(), await server.accept()];
  await near.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"));
  await near.close();
});

Deno.test("DTLSServer.close() during handshakes and with clients that wait tells all, and leaves no timer", async () => {
  using context = await contexts();
  const net = network();
  const errors: unknown[] = [];
  const server = context.server.listen(net.host, { onError: (error) => errors.push(error) });
  const near = await context.client.wrapSocket(net.program(7).way);
  const { way, sent } = net.program(8);
  const half: DatagramLike = { // its second flight never comes
    ...way,
    send: (datagram) => sent.length < 2 ? way.send(datagram) : Promise.resolve(),
  };
  const stuck = context.client.wrapSocket(half, { timeout: 0.5 });
  while (server.stats.peers < 2) await net.settle();
  await Promise.all([server.close(), assertRejects(() => stuck, SSLError)]);
  assertEquals([await near.recv(), errors, server.stats.peers], [null, [], 0]);
  await near.close();
});

Deno.test("DTLSSocket: a way that was closed by others, or cannot be, is an error of the socket and of nobody else", async () => {
  using context = await contexts();
  const conn = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  const peer: Deno.NetAddr = { transport: "udp", hostname: HOST, port: 9 };
  const alone = context.client.wrapSocket(toDatagrams(conn, peer), { timeout: 20 });
  conn.close();
  await assertRejects(() => alone, SSLEOFError, "the way for datagrams was closed");

  const close = () => {
    throw new Error("not today");
  };
  const { ends: [a, b], closed } = pipe();
  const clientId = CLIENT_ID;
  const [near, far] = await Promise.all([
    context.client.wrapSocket({ ...a, close }),
    context.server.wrapSocket({ ...b, close }, { clientId }),
  ]);
  await near.close();
  await far.close();
  await assertRejects(
    () => context.server.wrapSocket({ ...pipe().ends[0], close }, { clientId, timeout: 0.02 }),
    SSLError,
    "timed out",
  );
  assertEquals(closed, [false, false]);
});

Deno.test("DTLSContext: what is for streams is refused, whatever the types say", async () => {
  const store = { get: () => undefined, set: () => {}, delete: () => {} };
  const wrong: Record<string, unknown> = {
    getConfigForClient: () => undefined,
    getCertificate: () => undefined,
    alpnCallback: () => undefined,
    sessionStore: store,
    onUnknownPeer: () => true,
    verifyConnection: () => {},
    renegotiation: true,
    trace: () => {},
    maxEarlyData: 1,
    profile: "esp32", // a core of its own
  };
  for (const [name, value] of Object.entries(wrong)) {
    for (const protocol of [2, 3] as const) {
      await assertRejects(() => DTLSContext.create(protocol, { psk: PSK, [name]: value }), TypeError, name);
    }
  }
  using server = await DTLSContext.create(PROTOCOL_DTLS_SERVER, { psk: PSK, serverSide: false } as object);
  assertEquals(server.serverSide, true);
});

Deno.test("DTLSServer: callbacks that throw, or that close what calls them, end one handshake and nothing else", async () => {
  const net = network();
  let act: () => void = () => {
    throw new Error("not today");
  };
  const errors: string[] = [];
  const pskCallback = () => {
    act();
    return PSK.key;
  };
  using client = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { psk: PSK });
  using context = await DTLSContext.create(PROTOCOL_DTLS_SERVER, { pskCallback });
  const server = context.listen(net.host, {
    onError: (error) => errors.push(String((error as Error).cause ?? error)),
  });
  const core = Core.shared();
  await assertRejects(() => client.wrapSocket(net.program(7).way, { timeout: 5 }), SSLError);
  await net.settle();
  assertEquals([errors.length, server.stats.peers], [1, 0]);
  act = () => {};
  const near = await client.wrapSocket(net.program(8).way);
  act = () => void server.close();
  const late = client.wrapSocket(net.program(9).way, { timeout: 0.3 });
  await assertRejects(() => late, SSLError);
  await server.close();
  assertEquals([server.stats.peers, core.retired], [0, false]);
  await near.close();
});

Deno.test("DTLSSocket: close() and abort() in each state end the handshake, those who wait, and the way", async () => {
  using context = await contexts();
  for (const end of ["close", "abort"] as const) {
    for (let stop = 0; stop < 6; stop++) { // after so many datagrams of the client
      const { ends: [a, b], closed } = pipe();
      const controller = new AbortController();
      let sent = 0;
      const way: DatagramLike = {
        ...a,
        send: (datagram) => (sent++ === stop && controller.abort(new Error("enough")), a.send(datagram)),
      };
      const far = context.server.wrapSocket(b, { clientId: CLIENT_ID, timeout: 0.2 });
      const hasFar = far.then((socket) => socket, () => undefined);
      const near = await context.client.wrapSocket(way, { signal: controller.signal }).catch(() => undefined);
      if (near !== undefined) {
        const waits = near.recv();
        await assertRejects(() => near.recv(), TypeError, "another recv is waiting");
        const told = assertRejects(() => waits, SSLError);
        if (end === "close") await near.close();
        else near.abort();
        await told;
        await assertRejects(() => near.send(bytesFrom(1, 1)), SSLError);
        await near.close();
      }
      await (await hasFar)?.close();
      assertEquals(closed, [true, true], `${end} after ${stop}`);
    }
  }
});

Deno.test("DTLSSocket: datagrams of one byte that nobody reads are bounded, too, and reading makes room", async () => {
  using context = await contexts();
  const { ends: [a, b] } = pipe();
  const [near, far] = await Promise.all([
    context.client.wrapSocket(a),
    context.server.wrapSocket(b, { clientId: CLIENT_ID }),
  ]);
  const readAll = async () => {
    let count = 0;
    for (; far.pending() > 0; count++) await far.recv();
    return count;
  };
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 3000; i++) await near.send(bytesFrom(i, 1));
    for (let i = 0; i < 3000; i++) await Promise.resolve(); // the pipe's reader takes its turn
    assertEquals(await readAll(), Math.floor(262144 / 257));
  }
  await near.close();
  await far.close();
});

Deno.test("DTLSServer: clients that begin anew, fail or fall silent leave nothing in the core", async () => {
  using context = await contexts();
  const core = Core.shared();
  const round = async () => {
    const net = network();
    const server = context.server.listen(net.host, { timeout: 0.05 });
    for (let i = 0; i < 20; i++) (await context.client.wrapSocket(net.program(7).way)).abort();
    for (let i = 0; i < 20; i++) {
      const { way, sent } = net.program(100 + i);
      const half: DatagramLike = {
        ...way,
        send: (datagram) => sent.length < 2 ? way.send(datagram) : Promise.resolve(),
      };
      await assertRejects(() => context.client.wrapSocket(half, { timeout: 0.005 }), SSLError);
      if (i % 2 === 0) net.say(100 + i, Uint8Array.of(21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 9, 0, 2, 2, 40)); // handshake_failure
    }
    await net.settle();
    await server.close();
    assertEquals(server.stats.peers, 0);
  };
  await round();
  await round();
  const start = core.allocated;
  for (let i = 0; i < 3; i++) await round();
  assert(core.allocated - start < 4096, `${core.allocated - start} bytes more`);
});

Deno.test("DTLSServer: what keeps a client from beginning, such as a context that is gone, is told to onError", async () => {
  using context = await contexts();
  const net = network();
  const errors: string[] = [];
  await using server = context.server.listen(net.host, { onError: (error) => errors.push(String(error)) });
  const near = await context.client.wrapSocket(net.program(7).way);
  const far = await server.accept();
  context.server[Symbol.dispose]();
  await assertRejects(() => context.client.wrapSocket(net.program(8).way, { timeout: 0.02 }), SSLError);
  assertEquals(errors[0], "TypeError: Cannot use TLSConfig: it is disposed");
  await near.send(encodeText("x"));
  assertEquals(await far.recv(), encodeText("x"), "who is there goes on");
  await near.close();
});
