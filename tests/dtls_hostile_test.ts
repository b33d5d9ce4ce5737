/** DTLS among liars: cookies that are not theirs, and datagrams that are forged, changed, old or repeated. */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { DTLSEngine } from "../lib/dtls_engine.ts";
import { SSLError } from "../lib/errors.ts";
import { greet } from "../lib/dtls_greeting.ts";
import { CLIENT_ID, datagramConfigs, DatagramPair } from "./dtls_network.ts";
import { bytesFrom, chooser, credential, ENDS, FixedClock, fixedCore, peerOf, source } from "./pair.ts";

type Configs = ReturnType<typeof datagramConfigs>;

/** A client's first hello, and its second with the cookie that `configs.server` gave for `clientId`. */
function hellos(configs: Configs, clientId: Bytes): { first: Bytes; second: Bytes } {
  using client = new DTLSEngine(configs.client, { serverHostname: "localhost" });
  client.handshake();
  const [first] = client.takeDatagrams();
  client.receive(greet(configs.server, first!, { clientId }).reply!);
  client.handshake();
  const [second] = client.takeDatagrams();
  return { first: first!, second: second! };
}

/** What the server does about `hello`. */
function answer(configs: Configs, clientId: Bytes, hello: Bytes): "cookie" | "handshake" | "silence" {
  const { reply, engine } = greet(configs.server, hello.slice(), { clientId });
  engine?.[Symbol.dispose]();
  return engine !== undefined ? "handshake" : reply === undefined ? "silence" : "cookie";
}

Deno.test("greet: a cookie is good for its client, for its time, and for its server", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  using configs = datagramConfigs(core, {}, {}, { datagrams: { cookieLifetime: 30 } });
  using others = datagramConfigs(core);
  const { first, second } = hellos(configs, CLIENT_ID);
  assertEquals(answer(configs, CLIENT_ID, first), "cookie");
  assertEquals(answer(configs, CLIENT_ID, second), "handshake");
  assertEquals(answer(configs, encodeText("192.0.2.1 5685"), second), "cookie", "another port");
  assertEquals(answer(configs, encodeText("192.0.2.2 5684"), second), "cookie", "another address");
  assertEquals(answer(others, CLIENT_ID, second), "cookie", "another server");
  clock.advance(30);
  assertEquals(answer(configs, CLIENT_ID, second), "handshake");
  clock.advance(1);
  assertEquals(answer(configs, CLIENT_ID, second), "cookie", "too late");
  clock.advance(-3600);
  assertEquals(answer(configs, CLIENT_ID, second), "cookie", "from the future");
});

Deno.test("greet: a cookie that is changed in any bit is none", () => {
  using configs = datagramConfigs(fixedCore());
  const { first, second } = hellos(configs, CLIENT_ID);
  const at = second.length - first.length; // the cookie's length
  assertEquals(at, 32);
  const start = 25 + 2 + 32 + 1 + second[25 + 2 + 32]! + 1; // behind version, random, session id and its own length
  for (let bit = 0; bit < 32 * 8; bit++) {
    const forged = second.slice();
    forged[start + (bit >> 3)]! ^= 1 << (bit & 7);
    assertEquals(answer(configs, CLIENT_ID, forged), "cookie", `bit ${bit}`);
  }
});

Deno.test("greet: a flood of hellos leaves nothing, and is answered with less than it brought", () => {
  const core = fixedCore();
  using configs = datagramConfigs(core);
  const { first } = hellos(configs, CLIENT_ID);
  const start = core.allocated;
  for (let i = 0; i < 2000; i++) {
    const { reply, engine } = greet(configs.server, first.slice(), {
      clientId: encodeText(`192.0.2.1 ${i}`),
    });
    assertEquals(engine, undefined);
    assert(reply!.length < first.length);
  }
  assertEquals(core.allocated, start);
});

Deno.test("greet: hellos that are changed or cut short are survived, and never answered with more", () => {
  const core = fixedCore();
  using configs = datagramConfigs(core);
  const { first, second } = hellos(configs, CLIENT_ID);
  const choose = chooser(5);
  const start = core.allocated;
  let begun = 0;
  for (let i = 0; i < 3000; i++) {
    const hello = (i % 2 === 0 ? first : second).slice(0, i % 5 === 0 ? choose(first.length) : undefined);
    for (let flips = choose(4); flips >= 0 && hello.length > 0; flips--) {
      hello[choose(hello.length)]! ^= 1 << choose(8);
    }
    const { reply, engine } = greet(configs.server, hello, { clientId: CLIENT_ID });
    assert((reply?.length ?? 0) <= hello.length);
    if (engine === undefined) continue;
    begun++;
    try {
      engine.handshake();
    } catch (error) {
      assert(error instanceof SSLError && error.kind !== "internal", String(error));
    }
    engine[Symbol.dispose]();
  }
  assertEquals([core.allocated, core.retired, begun > 100], [start, false, true]);
});

Deno.test("greet: what does not begin a hello is met with silence", () => {
  using configs = datagramConfigs(fixedCore());
  const { first } = hellos(configs, CLIENT_ID);
  const change = (at: number, value: number) => {
    const changed = first.slice();
    changed[at] = value;
    return changed;
  };
  for (
    const datagram of [
      new Uint8Array(0),
      new Uint8Array(12),
      bytesFrom(1, 2000),
      change(0, 23), // application data
      change(1, 3), // TLS
      change(4, 1), // of a later epoch
      change(13, 16), // ClientKeyExchange
      change(21, 1), // a later fragment
      change(59, 33), // a session id that is too long
      first.subarray(0, -1),
    ]
  ) assertEquals(answer(configs, CLIENT_ID, datagram), "silence");
});

Deno.test("DTLSEngine: forged, changed, cut and old datagrams are dropped, and the connection goes on", () => {
  using pair = new DatagramPair();
  pair.connect();
  const early = { client: [...pair.sent.client], server: [...pair.sent.server] };
  const choose = chooser(9);
  for (const from of ENDS) {
    const to = peerOf(from);
    for (let i = 0; i < 200; i++) {
      pair[from].write(bytesFrom(i, 40));
      const [datagram] = pair[from].takeDatagrams();
      const changed = datagram!.slice();
      const bit = choose(datagram!.length * 8);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      pair.inject(to, changed);
      pair.inject(to, datagram!.slice(0, choose(datagram!.length)));
      pair.inject(to, bytesFrom(i, 1 + choose(1500)));
      pair.inject(to, early[from][choose(early[from].length)]!.slice());
      assertEquals(pair.received(to), [], "nothing of that is data");
      pair.inject(to, datagram!);
      pair.inject(to, datagram!.slice());
      assertEquals(pair.received(to), [bytesFrom(i, 40)], "once");
    }
    assertEquals(pair.errors, {});
  }
  pair.run();
  for (const end of ENDS) assertEquals(pair.send(end, encodeText("still here")), [encodeText("still here")]);
});

Deno.test("DTLSEngine: a datagram from before the window of 64 is dropped", () => {
  using pair = new DatagramPair();
  pair.connect();
  pair.client.write(encodeText("old"));
  const [old] = pair.client.takeDatagrams();
  const sent = Array.from({ length: 64 }, (_, i) => bytesFrom(i, 10));
  assertEquals(pair.send("client", ...sent.slice(0, 63)), sent.slice(0, 63));
  pair.inject("server", old!.slice());
  assertEquals(pair.received("server"), [encodeText("old")], "the 64th before the last is just inside");
  pair.client.write(encodeText("older"));
  const [older] = pair.client.takeDatagrams();
  assertEquals(pair.send("client", ...sent), sent);
  pair.inject("server", older!);
  assertEquals(pair.received("server"), []);
});

Deno.test("DTLSEngine: plain datagrams of a liar do not end an open connection", () => {
  using pair = new DatagramPair();
  pair.connect();
  const alert = (level: number, description: number, epoch: number) =>
    Uint8Array.of(21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 99, 0, 2, level, description);
  for (const end of ENDS) {
    for (const epoch of [0, 1, 2]) {
      pair.inject(end, alert(2, 40, epoch));
      pair.inject(end, alert(1, 0, epoch));
    }
  }
  assertEquals([pair.errors, pair.ended], [{}, { client: false, server: false }]);
  for (const end of ENDS) assertEquals(pair.send(end, encodeText("x")), [encodeText("x")]);
});

Deno.test("DTLSEngine: records that a liar makes up, several in a datagram, do not end an open connection", () => {
  const record = (choose: (below: number) => number) => {
    const body = bytesFrom(choose(1 << 30), choose(80));
    if (body.length >= 12 && choose(2) === 0) { // looks like a handshake message
      body[0] = [0, 1, 2, 3, 11, 12, 14, 16, 20][choose(9)]!;
      body.set([0, 0, body.length - 12, 0, choose(6), 0, 0, 0, 0, 0, body.length - 12], 1);
    }
    const version = [0xfd, 0xff, 0xfc][choose(3)]!;
    const length = choose(10) === 0 ? choose(256) : body.length;
    const number = [...bytesFrom(choose(99), 4), choose(2), choose(256)];
    return [20 + choose(5), 0xfe, version, 0, choose(3), ...number, 0, length, ...body];
  };
  for (let seed = 1; seed <= 12; seed++) {
    const choose = chooser(seed);
    using pair = new DatagramPair({ seed });
    pair.connect();
    // Until the first data, mbedTLS keeps its last flight, and looks at more.
    if (seed % 2 === 0) { for (const end of ENDS) pair.send(end, encodeText("x")); }
    for (let i = 0; i < 500; i++) {
      const records = Array.from({ length: 1 + choose(4) }, () => record(choose)).flat();
      pair.inject(ENDS[i % 2]!, new Uint8Array(records));
    }
    pair.run();
    for (const end of ENDS) assertEquals(pair.send(end, encodeText("y")), [encodeText("y")], `seed ${seed}`);
  }
});

Deno.test("DTLSEngine: less than a record behind one that is skipped is dropped with it", () => {
  using pair = new DatagramPair();
  pair.connect();
  const skipped = [...Uint8Array.of(23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 50, 0, 4), 1, 2, 3, 4]; // of an old epoch
  for (const end of ENDS) {
    for (let tail = 1; tail < 20; tail++) {
      pair.inject(end, new Uint8Array([...skipped, ...bytesFrom(tail, tail)]));
      pair[peerOf(end)].write(bytesFrom(tail, 9));
      const [datagram] = pair[peerOf(end)].takeDatagrams();
      pair.inject(end, new Uint8Array([...skipped, ...datagram!, ...bytesFrom(tail, tail)]));
      assertEquals(pair.received(end), [bytesFrom(tail, 9)], "what is behind it is not lost");
    }
  }
  assertEquals(pair.errors, {});
});

const LONG_HELLO = { alpnProtocols: Array.from({ length: 60 }, (_, i) => `protocol number ${i}`) };

for (
  const [kind, options, mtu] of [["one datagram", {}, 1200], ["many datagrams", LONG_HELLO, 256]] as const
) {
  Deno.test(`DTLSEngine: noise during a handshake whose hello is ${kind} is dropped, and it completes`, () => {
    for (let seed = 1; seed <= 20; seed++) {
      const choose = chooser(seed);
      const clock = new FixedClock();
      using configs = datagramConfigs(fixedCore(seed, clock), options);
      using pair = new DatagramPair({ configs, clock, seed, mtu });
      pair.tamper = (from, datagram) => {
        const to = peerOf(from);
        if (pair.server === undefined || pair[to].state !== "handshake") return datagram;
        const noise = bytesFrom(choose(1000), 1 + choose(300));
        // Not a handshake message or an alert: until there are keys, one that is forged can end a handshake.
        const header = Uint8Array.of(23, 0xfe, 0xfd, 0, choose(3), 0, 0, 0, 0, 0, 50, 0, 40);
        const cut = datagram.slice(0, choose(datagram.length));
        for (const one of [noise, concat([header, bytesFrom(1, 40)]), cut]) pair[to].receive(one);
        return datagram;
      };
      pair.connect(60);
      assertEquals(pair.send("client", encodeText("x")), [encodeText("x")], `seed ${seed}`);
    }
  });
}

Deno.test("DTLSEngine: handshakes whose datagrams are changed, cut or swapped complete or fail, and free all", () => {
  const clock = new FixedClock();
  const core = fixedCore(1, clock);
  const server = { certReqs: 2, trust: [source("roots.pem")] } as const;
  using configs = datagramConfigs(core, {}, { credential: credential("client") }, server);
  const run = (seed: number): boolean => {
    const choose = chooser(seed);
    using pair = new DatagramPair({ configs, clock, seed, mtu: [256, 512, 1200][seed % 3]! });
    const seen: Bytes[] = [];
    pair.tamper = (_, datagram) => {
      seen.push(datagram);
      const changed = seen[choose(8) === 0 ? choose(seen.length) : seen.length - 1]!.slice();
      for (let flips = choose(6) - 3; flips > 0; flips--) changed[choose(changed.length)]! ^= 1 << choose(8);
      return choose(8) === 0 ? changed.subarray(0, choose(changed.length)) : changed;
    };
    pair.run(() => false, 200);
    for (const error of Object.values(pair.errors)) {
      assert(error.kind !== "internal", `seed ${seed}: ${error}`);
    }
    return pair.client.handshakeDone && pair.server?.handshakeDone;
  };
  run(0);
  const start = core.allocated;
  const done = Array.from({ length: 600 }, (_, i) => run(i + 1)).filter(Boolean).length;
  assertEquals([core.retired, core.allocated - start < 65536], [false, true], "the session cache may grow");
  assert(done > 20 && done < 580, `${done} of 600 completed`);
});
