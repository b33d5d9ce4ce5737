/** DTLS engines against those who see datagrams or make them up: what a handshake costs others, and whom a cookie lets in. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
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
