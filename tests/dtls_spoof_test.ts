/** DTLS against those who see datagrams or make them up: what a handshake costs others, and whom a cookie lets in. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type DatagramHost,
  type DatagramLike,
  DTLSContext,
  type DTLSSocket,
  PROTOCOL_DTLS_CLIENT,
  PROTOCOL_DTLS_SERVER,
  toDatagrams,
} from "tlsio/dtls";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import { contexts, HOST, pipe, PSK } from "./dtls_sockets.ts";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import { TLSConfig } from "../lib/config.ts";
import { DTLSEngine } from "../lib/dtls_engine.ts";
import { greet } from "../lib/dtls_greeting.ts";
import { CLIENT_ID, datagramConfigs, DatagramPair } from "./dtls_network.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  ENDS,
  FixedClock,
  fixedCore,
  serverOptions,
  source,
} from "./pair.ts";

const HELLO_RANDOM = 27; // where a hello's random begins in its datagram

/** A plain record with the empty handshake message of this number: the peer takes it for the end of our last flight. */
function forgedMessage(messageSeq: number, recordSeq: number): Bytes {
  const number = [0, 0, 0, 0, recordSeq >> 8, recordSeq & 255];
  return Uint8Array.of(22, 0xfe, 0xfd, 0, 0, ...number, 0, 12, 11, 0, 0, 0, 0, messageSeq, 0, 0, 0, 0, 0, 0);
}

Deno.test("DTLSEngine: made-up messages of an old flight do not have the next one sent again and again", () => {
  const clock = new FixedClock();
  using configs = datagramConfigs(fixedCore(1, clock));
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  client.handshake();
  client.receive(greet(configs.server, client.takeDatagrams()[0]!, { clientId: CLIENT_ID }).reply!);
  client.handshake();
  const { engine } = greet(configs.server, client.takeDatagrams()[0]!, { clientId: CLIENT_ID });
  using server = engine!;
  server.handshake();
  const sizeOf = (datagrams: Bytes[]) => datagrams.reduce((sum, { length }) => sum + length, 0);
  const flight = sizeOf(server.takeDatagrams());
  let sent = 0;
  for (let i = 0; i < 100; i++) {
    const many = Array.from({ length: 10 }, (_, j) => forgedMessage(1, 100 + 10 * i + j));
    server.receive(concat(many));
    clock.advance(0.005);
    assertEquals(server.handshake().state, "need-records");
    sent += sizeOf(server.takeDatagrams());
  }
  assertEquals(sent, 4 * flight);
  const left = server.nextTimeout()!;
  assert(left > 400 && left < 600, `the timer went on: ${left} ms are left`);
  clock.advance(1);
  server.handshake();
  assertEquals(sizeOf(server.takeDatagrams()), flight, "as ever when the time is up");
});

Deno.test("greet: a cookie is good for the hello that asked for it, and for no other", () => {
  using configs = datagramConfigs(fixedCore());
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  client.handshake();
  client.receive(greet(configs.server, client.takeDatagrams()[0]!, { clientId: CLIENT_ID }).reply!);
  client.handshake();
  const hello = client.takeDatagrams()[0]!;
  const other = hello.slice();
  other[HELLO_RANDOM]! ^= 1;
  const { engine, reply } = greet(configs.server, other, { clientId: CLIENT_ID });
  engine?.[Symbol.dispose]();
  assertEquals([engine === undefined, reply !== undefined], [true, true]);
});

Deno.test("DTLS: what is for streams is refused, whatever the types say", () => {
  const core = fixedCore();
  for (const name of ["onUnknownPeer", "verifyConnection"]) {
    const trust = [source("roots.pem")];
    for (const options of [clientOptions(), serverOptions({ certReqs: 2, trust })]) {
      assertThrows(
        () => new TLSConfig({ ...options, datagrams: {}, [name]: () => true }, core),
        TypeError,
        `Cannot use ${name}: it is for streams`,
      );
    }
  }
  assertThrows(() => new TLSConfig({ ...serverOptions(), datagrams: {}, maxEarlyData: 1 }, core), TypeError);
});

for (const [kind, mtu, protocols] of [["one datagram", 1200, 1], ["many datagrams", 256, 60]] as const) {
  Deno.test(`DTLSEngine: what both ends share is known when the hello is ${kind}`, () => {
    const alpnProtocols = Array.from({ length: protocols }, (_, i) => `protocol number ${i}`);
    const server = { certReqs: 2, trust: [source("roots.pem")] } as const;
    const ciphers = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"];
    using configs = datagramConfigs(fixedCore(), { alpnProtocols }, {
      credential: credential("client"),
      ciphers,
      sigalgs: ["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"],
    }, server);
    using pair = new DatagramPair({ configs, mtu });
    pair.connect(0.1);
    for (const end of ENDS) {
      const scheme = "ecdsa_secp256r1_sha256";
      assertEquals([pair[end].signatureSchemes, pair[end].group], [{ own: scheme, peer: scheme }, "x25519"]);
    }
    assertEquals(pair.server.opened.sharedSigalgs(), ["ecdsa_secp256r1_sha256"]);
    assertEquals(pair.server.opened.sharedSuites().map(({ name }) => name), ciphers);
    assertEquals(pair.send("client", bytesFrom(1, 9)), [bytesFrom(1, 9)]);
    assertEquals(pair.client.opened.finished(), pair.server.opened.finished());
  });
}

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

Deno.test("DTLSEngine: the key log has the secret of the handshake, once at each end", () => {
  const lines: Record<string, string[]> = { client: [], server: [] };
  using configs = datagramConfigs(fixedCore(), {}, { keyLog: (line) => lines.client!.push(line) }, {
    keyLog: (line) => lines.server!.push(line),
  });
  using pair = new DatagramPair({ configs });
  pair.connect();
  assertEquals(lines.client, lines.server);
  const [label, random, secret] = lines.client![0]!.split(" ");
  const hello = pair.sent.client[0]!.subarray(HELLO_RANDOM, HELLO_RANDOM + 32);
  assertEquals([lines.client!.length, label, random, secret!.trim().length], [
    1,
    "CLIENT_RANDOM",
    hello.toHex(),
    96,
  ]);
});

Deno.test("DTLSEngine: fragments that overlap, lie or are tiny cost a bounded memory", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  using configs = datagramConfigs(core);
  using pair = new DatagramPair({ configs, clock });
  const before = core.allocated;
  let most = 0;
  let injected = 0;
  pair.tamper = (from, datagram) => {
    if (from === "client" || datagram[13] === 3) return datagram;
    for (let i = 0; i < 600; i++) { // to the client: parts of messages that are to come
      const [length, offset, part] = [16000 + i % 7, (i * 31) % 15000, 1 + i % 40];
      const u24 = (n: number) => [n >> 16, n >> 8 & 255, n & 255];
      const message = [11, ...u24(length), 0, 3 + i % 9, ...u24(offset), ...u24(part), ...bytesFrom(i, part)];
      const number = [0, 0, 0, 1, i >> 8, i & 255];
      const record = Uint8Array.of(22, 0xfe, 0xfd, 0, 0, ...number, 0, message.length, ...message);
      pair.client.receive(record);
      pair.client.handshake();
      injected++;
      most = Math.max(most, core.allocated - before);
    }
    return undefined; // lost: mbedTLS keeps parts of no more than four messages
  };
  pair.run(() => injected > 0);
  pair.tamper = (_, datagram) => datagram;
  assert(injected > 0 && most < 131072, `${most} bytes`);
  assertEquals(core.retired, false);
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

Deno.test("DTLSEngine: a last flight is sent again also when the connection's buffers have gone to another", () => {
  const clock = new FixedClock();
  using configs = datagramConfigs(fixedCore(1, clock));
  using pair = new DatagramPair({ configs, clock });
  let lost = 0;
  pair.tamper = (from, datagram) => {
    if (from === "client" || pair.server === undefined || !pair.server.handshakeDone || lost++ > 0) {
      return datagram;
    }
    using other = new DatagramPair({ configs, clock: new FixedClock() }); // takes the buffers
    other.connect();
    assertEquals(other.send("client", bytesFrom(1, 100)), [bytesFrom(1, 100)]);
    return undefined;
  };
  pair.connect(10);
  assert(lost > 1);
  for (const end of ENDS) assertEquals(pair.send(end, bytesFrom(2, 900)), [bytesFrom(2, 900)]);
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
