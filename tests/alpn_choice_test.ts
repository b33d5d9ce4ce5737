/** alpnCallback: the application protocol of each client, chosen when its ClientHello has been read. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { AlpnCallback, AlpnOffer, SSLSession } from "tlsio";
import { Certificate, MemoryBIO, peerCertificate, SSLContext, SSLError } from "tlsio";
import { readClientHello, TLSEngine } from "tlsio/engine";
import { chooseAlpn } from "../lib/alpn_choice.ts";
import { encodeText } from "../lib/bytes.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { tlsioServer } from "./interop.ts";
import { ROOTS } from "./interop.ts";
import { run } from "./peers.ts";
import { configs, EnginePair, fixedCore } from "./pair.ts";
import {
  assertKind,
  assertTalk,
  closeBoth,
  pair,
  SERVER,
  SHORT,
  test,
  VERSIONS,
  wrapBoth,
} from "./sockets.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`alpnCallback: chooses of what each client offers, at once or later (${version})`, async () => {
    const offers: AlpnOffer[] = [];
    const byName: Record<string, string> = { "localhost": "h2", "example.test": "http/1.1" };
    const alpnCallback: AlpnCallback = async (offer) => {
      offers.push(offer);
      await pause(1);
      return byName[offer.serverName!];
    };
    for (const [serverHostname, expected] of Object.entries(byName)) {
      const { client, server } = await pair({
        client: { sslVersion, serverHostname, alpnProtocols: ["http/1.1", "h2"] },
        server: { alpnCallback },
      });
      assertEquals([client.selectedAlpnProtocol(), server.selectedAlpnProtocol()], [expected, expected]);
      await assertTalk(client, server);
      await closeBoth(client, server);
    }
    assertEquals(
      offers,
      Object.keys(byName).map((serverName) => ({ serverName, protocols: ["http/1.1", "h2"] })),
    );
  });

  test(`alpnCallback: is not asked about a client that names no protocol (${version})`, async () => {
    const alpnCallback = () => {
      throw new Error("asked");
    };
    const { client, server } = await pair({ client: { sslVersion }, server: { alpnCallback } });
    assertEquals([client.selectedAlpnProtocol(), server.selectedAlpnProtocol()], [undefined, undefined]);
    await closeBoth(client, server);
  });

  test(`alpnCallback: undefined ends the handshake with no_application_protocol (${version})`, async () => {
    const failed = pair({
      client: { sslVersion, alpnProtocols: ["h2"] },
      server: { alpnCallback: () => undefined },
    });
    const error = await assertRejects(() => failed, SSLError);
    // whichever end fails first
    const text = error.kind === "alert"
      ? "no_application_protocol (120)"
      : 'none of the protocols "h2" was chosen';
    assertStringIncludes(error.message, text);
  });

  test(`alpnCallback: one that throws, gives another name, or never answers ends the handshake (${version})`, async () => {
    const never = Promise.withResolvers<undefined>();
    const cases: [AlpnCallback, string, string][] = [
      [
        () => "spdy/3",
        "config",
        'alpnCallback failed: expected one of the client\'s protocols, got "spdy/3"',
      ],
      [() => 1 as unknown as string, "config", "got number"],
      [() => Promise.reject(new Error("no idea")), "config", "alpnCallback failed: no idea"],
      [() => never.promise, "timeout", "timed out after"],
    ];
    for (const [alpnCallback, kind, message] of cases) {
      const errors: SSLError[] = [];
      const { client, server } = await pair({
        client: { sslVersion, alpnProtocols: ["h2"], doHandshake: false },
        server: { alpnCallback, timeout: SHORT, doHandshake: false },
      });
      const [, theirs] = await Promise.allSettled([
        client.handshake().catch((error) => errors.push(error)),
        assertKind(server.handshake(), kind as "config"),
      ]);
      assertStringIncludes(String((theirs as PromiseFulfilledResult<SSLError>).value), message);
      if (kind === "config") assertEquals(errors[0]?.alert?.name, "internal_error");
      client.abort();
      server.abort();
    }
    never.resolve(undefined);
  });

  Deno.test(`alpnCallback: Node's client gets what was chosen, not its favourite (${version})`, async () => {
    await using server = await tlsioServer({
      alpnCallback: ({ protocols }) => protocols.at(-1)!,
      handler: async (reader) => void await reader.read(),
    });
    const script = `const [port, ca, version] = process.argv.slice(1);
const s = require("tls").connect({ port: +port, host: "127.0.0.1", servername: "localhost",
  ca: require("fs").readFileSync(ca), minVersion: version, maxVersion: version,
  ALPNProtocols: ["h2", "http/1.1", "acme-tls/1"] }, () => { console.log(s.alpnProtocol); s.end(); }).resume();`;
    const { stdout, stderr } = await run("node", ["-e", script, String(server.port), ROOTS, version]);
    assertEquals(stdout, "acme-tls/1\n", stderr);
  });
}

test("alpnCallback: that of the context which getConfigForClient chose is asked", async () => {
  using chosen = await SSLContext.create({ ...SERVER, alpnCallback: () => "h2" });
  const { client, server } = await pair({
    client: { alpnProtocols: ["http/1.1", "h2"] },
    server: { getConfigForClient: () => chosen, alpnCallback: () => "http/1.1" },
  });
  assertEquals(client.selectedAlpnProtocol(), "h2");
  await closeBoth(client, server);
});

test("alpnCallback, sessionStats: beside getCertificate, whose configs count as their context", async () => {
  const own = await Certificate.load({ certfile: certFile("p384.pem"), keyfile: certFile("p384.key") });
  using context = await SSLContext.create({
    ...SERVER,
    sslVersion: VERSIONS["TLSv1.2"],
    tickets: false,
    getCertificate: () => own,
    alpnCallback: () => "h2",
  });
  let savedSession: SSLSession | undefined;
  for (let i = 0; i < 3; i++) {
    const ends = await wrapBoth(...pipe(), {
      client: { alpnProtocols: ["http/1.1", "h2"], ...(savedSession && { savedSession }) },
      server: { context },
    });
    assertEquals(ends[0].selectedAlpnProtocol(), "h2");
    assertEquals(
      ends[0].getpeercert()?.subject,
      peerCertificate(await Deno.readFile(certFile("p384.pem"))).subject,
    );
    savedSession = ends[0].session;
    await closeBoth(...ends);
  }
  const { accept, acceptGood, hits, number, cacheFull } = context.sessionStats();
  assertEquals([accept, acceptGood, hits, number, cacheFull], [3, 3, 2, 1, 0]);
});

test("alpnCallback: 200 clients at once, each gets its own", async () => {
  using context = await SSLContext.create({
    ...SERVER,
    alpnCallback: async ({ protocols }) => {
      await pause(Number(protocols[0]) % 7);
      return protocols[0];
    },
  });
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const { client, server } = await pair({
      client: { alpnProtocols: [String(i), "common"] },
      server: { context } as object,
    });
    assertEquals([client.selectedAlpnProtocol(), server.selectedAlpnProtocol()], [String(i), String(i)]);
    await closeBoth(client, server);
  }));
});

test("alpnCallback: refuses what is no function, a client, a list beside it, and MemoryBIO", async () => {
  const make = (options: object) => SSLContext.create({ ...SERVER, alpnCallback: () => "h2", ...options });
  await assertRejects(
    () => make({ alpnCallback: "h2" }),
    TypeError,
    "Cannot use alpnCallback: expected a function",
  );
  await assertRejects(
    () => make({ serverSide: false }),
    TypeError,
    "Cannot use alpnCallback: it is for servers",
  );
  await assertRejects(() => make({ alpnProtocols: ["h2"] }), TypeError, "alpnProtocols is given, too");
  using context = await make({});
  assertThrows(
    () => context.wrapBio(new MemoryBIO(), new MemoryBIO()),
    TypeError,
    "alpnCallback needs a socket",
  );
});

test("alpnCallback: the choice is freed with the connection, and cannot be made in the middle of a handshake", async () => {
  const core = fixedCore();
  using both = configs(core);
  {
    using warm = new EnginePair(both.client, both.server).connect();
    assertEquals(warm.server.alpnProtocol, undefined);
  }
  const before = core.allocated;
  {
    using pair = new EnginePair(both.client, both.server);
    pair.server.chooseAlpn("first");
    pair.server.chooseAlpn("second");
    pair.connect();
    assertThrows(() => pair.server.chooseAlpn("third"), SSLError, "Cannot choose the ALPN protocol");
  }
  assertEquals(core.allocated, before);
  await Promise.resolve();
});

Deno.test("alpnCallback: a name that is not text is not offered to choose, nor one that would end at its NUL", async () => {
  const offered = async (from: string, to: string, choose: AlpnCallback) => {
    const { client: config } = configs(fixedCore(), { alpnProtocols: [from, "h2"] });
    const client = new TLSEngine(config, { serverHostname: "localhost" });
    client.handshake();
    const hello = client.takeRecords().toHex().replace(encodeText(from).toHex(), to);
    client[Symbol.dispose]();
    const outcome = readClientHello(Uint8Array.fromHex(hello));
    assert(outcome.state === "done");
    return await chooseAlpn(choose, outcome.hello);
  };
  for (const bytes of ["fafa2f31", "68320031"]) { // RFC 8701's, and "h2\0001"
    assertEquals(await offered("xx/1", bytes, ({ protocols }) => protocols.join()), "h2");
    await assertRejects(() => offered("xx/1", bytes, () => undefined), SSLError, "none of the protocols");
  }
});

Deno.test("TLSEngine.chooseAlpn() refuses what is no protocol", () => {
  using both = configs(fixedCore());
  using pair = new EnginePair(both.client, both.server);
  for (const name of ["", "a\0b", "x".repeat(256)]) {
    assertThrows(() => pair.server.chooseAlpn(name), RangeError, "Cannot use protocol: a name has 1 to 255");
  }
});
