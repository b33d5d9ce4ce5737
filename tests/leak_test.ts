/** Thousands of connections leave nothing behind: in the core's heap, in its memory's size, in the system. */
import { assert, assertEquals } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import { TLSEngine } from "../lib/engine.ts";
import { openConnection, startServer } from "../lib/net.ts";
import type { SSLSession } from "../lib/session.ts";
import { SSLContext } from "../lib/ssl.ts";
import { bytesFrom, configs, credential, EnginePair, fixedCore, flipAt, source, VERSIONS } from "./pair.ts";
import { certFile } from "./peers/options.ts";

const HANDSHAKES = 10_000;
const [[, TLS12], [, TLS13]] = VERSIONS;
const MUTUAL = { certReqs: 2, trust: [source("roots.pem")], credential: credential("client") } as const;

Deno.test(`TLSEngine: ${HANDSHAKES} handshakes, full, resumed and failed, leave nothing in the core`, () => {
  const core = fixedCore();
  const start = core.allocated;
  const both = {
    [TLS12]: configs(core, { sslVersion: TLS12, ...MUTUAL }, {}, { credential: credential("ec") }),
    [TLS13]: configs(core, { sslVersion: TLS13, ...MUTUAL }, {}, { credential: credential("ec") }),
  };
  const sessions: { [version: number]: SSLSession } = {};
  const seen = { full: 0, resumed: 0, failed: 0 };

  /** One connection, one of the hundred kinds. */
  const connect = (i: number) => {
    const version = i % 10 === 0 || i % 50 === 1 ? TLS13 : TLS12;
    const { client, server } = both[version];
    if (i % 20 === 3) { // garbage
      using engine = new TLSEngine(server);
      engine.receive(bytesFrom(i, 1 + i % 3000));
      try {
        engine.handshake();
      } catch {
        seen.failed++;
      }
      return;
    }
    const savedSession = i % 50 < 2 ? undefined : sessions[version];
    const deliver = i % 20 === 5
      ? { deliver: flipAt(i % 40 === 5 ? "client" : "server", 40 + i % 400, 255) }
      : {};
    using pair = new EnginePair(client, server, { savedSession, ...deliver }).run();
    if (!pair.client.handshakeDone || !pair.server.handshakeDone) {
      seen.failed++;
      return;
    }
    assertEquals(pair.send("client", encodeText("ping")).length, 4);
    if (i % 3 === 0) pair.close();
    sessions[version] = pair.client.session() ?? sessions[version]!;
    if (pair.client.sessionReused) seen.resumed++;
    else seen.full++;
  };

  for (let i = 0; i < 500; i++) connect(i);
  const [allocated, size] = [core.allocated, core.memory.length];
  for (let i = 500; i < HANDSHAKES; i++) {
    connect(i);
    if (i % 1000 === 999) assertEquals(core.allocated, allocated, `after ${i + 1} handshakes`);
  }
  assertEquals(core.memory.length, size, "its memory has not grown");
  for (const pair of Object.values(both)) pair[Symbol.dispose]();
  assert(core.allocated - start < 2000, "what mbedTLS allocates once for all");
  for (const [kind, count] of Object.entries(seen)) {
    assert(count >= HANDSHAKES / 50, `${kind}: ${JSON.stringify(seen)}`);
  }
});

Deno.test("TLSConfig: a thousand configs leave nothing in the core", () => {
  const core = fixedCore();
  const make = () => {
    using both = configs(core, MUTUAL, { alpnProtocols: ["h2"] }, { credential: credential("chain") });
    assert(core.allocated > 0);
    return both;
  };
  make();
  const [allocated, size] = [core.allocated, core.memory.length];
  for (let i = 0; i < 1000; i++) make();
  assertEquals([core.allocated, core.memory.length], [allocated, size]);
});

Deno.test("SSLSocket: three hundred connections over loopback leave nothing in the core", async () => {
  const core = Core.shared();
  using client = await SSLContext.create({ caCerts: certFile("root.pem") });
  using server = await SSLContext.create({
    serverSide: true,
    certfile: certFile("ec.pem"),
    keyfile: certFile("ec.key"),
  });

  /** `count` connections, ten at a time; every third is dropped by one end or the other. */
  const connect = async (count: number) => {
    await using echo = await startServer(async (reader, writer) => {
      const line = await reader.readline();
      writer.write(line);
      await writer.drain();
      if (new TextDecoder().decode(line) === "drop me\n") writer.abort();
    }, { hostname: "127.0.0.1", port: 0, ssl: server, onError: () => {} });
    const { port } = echo.addr as Deno.NetAddr;
    const one = async (i: number) => {
      const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port, ssl: client });
      writer.write(i % 3 === 1 ? "drop me\n" : "echo\n");
      await writer.drain();
      if (i % 3 === 2) return writer.abort();
      await reader.readline();
      writer.close();
      await writer.waitClosed().catch(() => {}); // the peer may have dropped it
    };
    for (let i = 0; i < count; i += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, k) => one(i + k)));
    }
  };

  await connect(20);
  const { allocated } = core;
  await connect(300);
  assertEquals(core.allocated, allocated);
});
