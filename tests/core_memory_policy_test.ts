/** What the parts of a handshake in which the program has a say, and early data, do when there is no memory left. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import { publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { TLSVersion } from "../lib/suites.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { earlyConfigs, EarlyPair, sessionFor } from "./early.ts";
import { exhaust, fullCore } from "./full_core.ts";
import { bytesFrom, configs, ENDS, EnginePair, serverOptions, source, VERSIONS } from "./pair.ts";
import { credential } from "./pair.ts";
import { pem } from "./refusals.ts";

/**
 * A cipher context without its key: mbedtls_ssl_tls13_compute_early_transform() frees a transform that it could not fill, but
 * not what it points to (mbedTLS 3.6.7).
 */
const LOST_CIPHER = 236; // bytes

/** What is done again and again, with more memory each time. */
interface Attempt extends Disposable {
  /** Returns whether it came to its good end; throws the core's failure. */
  run(): boolean;
}

/**
 * Runs attempts with more and more memory, until three have come to their end. Each must give back what it took, but for
 * `lost` bytes that mbedTLS may lose.
 */
function withLittleMemory(core: Core, attempt: () => Attempt, lost = 0): void {
  using first = attempt(); // what mbedTLS allocates once for all
  assert(first.run(), "with all memory");
  first[Symbol.dispose]();
  core.free(exhaust(core, 2 << 20)[0]!); // a heap of one MiB: faster to fill
  let start = core.allocated;
  let failed = 0;
  let done = 0;
  for (let free = 64; done < 3 && free < 400_000; free = Math.ceil(free * 1.05)) {
    const what = attempt();
    const room = core.alloc(free);
    const blocks = exhaust(core, 0);
    core.free(room);
    try {
      if (what.run()) done++;
      else failed++;
    } catch (error) {
      assertInstanceOf(error, SSLError, `${free} bytes free: ${error}`);
      const kinds = ["internal", "verify", "alert", "config"]; // mbedTLS's code is that of what it could not do
      assert(
        kinds.includes(error.kind),
        `${free} bytes free: ${error.kind}: ${error.message} (${error.reason})`,
      );
      failed++;
    }
    assert(!core.retired);
    for (const at of blocks) core.free(at);
    what[Symbol.dispose]();
    const more = core.allocated - start;
    assert(more === 0 || more === lost, `${free} bytes free: ${more} bytes were not given back`);
    start += more;
  }
  assert(failed > 5 && done === 3, `${failed} failed, ${done} were done`);
}

/** A handshake whose ends have a say; it is done only if each was asked what it must be. */
function judged(core: Core, sslVersion: TLSVersion): Attempt {
  const asked = { client: new Set<string>(), server: new Set<string>() };
  const both = (["client", "server"] as const).map((end): TLSConfigOptions => ({
    pins: [publicKeyPin(pem(end === "client" ? "ec.pem" : "client.pem"))],
    verifyCallback: (_, depth) => (asked[end].add(`certificate ${depth}`), 0),
    onUnknownPeer: () => false,
    verifyConnection() {},
  }));
  const shared = { sslVersion, certReqs: CERT_REQUIRED, trust: [source("root.pem")] } as const;
  const made = configs(core, shared, { ...both[0], credential: credential("client") }, both[1]);
  const pair = new EnginePair(made.client, made.server);
  const judge = () => {
    for (const end of ENDS) {
      if (pair.errors[end] !== undefined || pair[end].handshakeDone) continue;
      if (pair[end].handshake().state !== "verify") continue;
      assertEquals(pair[end].connectionState(undefined).verifyFlags, 0);
      asked[end].add("connection");
      pair[end].accept();
    }
    pair.run();
  };
  return {
    run() {
      pair.run();
      judge();
      judge();
      for (const end of ENDS) {
        if (!pair[end].handshakeDone) continue;
        assertEquals(
          [...asked[end]],
          ["certificate 1", "certificate 0", "connection"],
          `the ${end} was asked`,
        );
      }
      const error = pair.errors.client ?? pair.errors.server;
      if (error !== undefined) throw error;
      return pair.client.handshakeDone && pair.server.handshakeDone;
    },
    [Symbol.dispose]() {
      pair[Symbol.dispose]();
      made[Symbol.dispose]();
    },
  };
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`Core: out of memory anywhere, no peer gets past who judges it (${version})`, () => {
    const core = fullCore();
    withLittleMemory(core, () => judged(core, sslVersion));
  });

  Deno.test(`Core: out of memory anywhere, keys by identity and their sessions fail cleanly (${version})`, () => {
    const core = fullCore();
    const key = bytesFrom(4, 32);
    const psk = { identity: "device", key };
    using tickets = new TicketKeyRing();
    using client = new TLSConfig({ sslVersion, psk }, core);
    using server = new TLSConfig({ serverSide: true, sslVersion, pskCallback: () => key, tickets }, core);
    withLittleMemory(core, () => {
      const savedSession = sessionFor(client, server);
      const full = new EnginePair(client, server);
      const again = new EnginePair(client, server, { savedSession });
      return {
        run: () => !!(full.connect() && again.connect().client.sessionReused),
        [Symbol.dispose]() {
          full[Symbol.dispose]();
          again[Symbol.dispose]();
        },
      };
    });
  });

  Deno.test(`Core: out of memory anywhere, a key that is elsewhere fails cleanly (${version})`, () => {
    const core = fullCore();
    let signed = 0;
    const sign = () => (signed++, bytesFrom(1, 70)); // no signature: the client refuses it
    const elsewhere = { chain: source("ec.pem"), sign };
    using client = new TLSConfig({ sslVersion, trust: [source("root.pem")] }, core);
    const options = serverOptions({ sslVersion, credential: elsewhere });
    using server = new TLSConfig(options, core);
    withLittleMemory(core, () => {
      signed = 0;
      const pair = new EnginePair(client, server);
      let another: TLSConfig | undefined;
      return {
        run() {
          another = new TLSConfig(options, core);
          pair.run();
          assertEquals([pair.client.handshakeDone, pair.server.handshakeDone], [false, false]);
          const { client: refused = pair.errors.server } = pair.errors;
          if (signed === 1 && refused?.kind === "protocol") return true;
          throw refused;
        },
        [Symbol.dispose]() {
          pair[Symbol.dispose]();
          another?.[Symbol.dispose]();
        },
      };
    });
  });
}

Deno.test("Core: out of memory anywhere, early data arrives once or not, and its answer", () => {
  const core = fullCore();
  const request = encodeText("GET / HTTP/1.1\r\n\r\n");
  using both = earlyConfigs(core, { alpnProtocols: ["a"] }, { alpnProtocols: ["a"] });
  withLittleMemory(core, () => {
    const options = { savedSession: sessionFor(both.client, both.server), earlyData: request };
    const flights = new TLSEngine(both.client, { serverHostname: "localhost", ...options });
    const pair = new EarlyPair(both.client, both.server, options);
    return {
      run() {
        try {
          const flight = pair.serve(pair.first);
          if (pair.server.canAnswerEarly) pair.server.write(request);
          const last = pair.answer(new Uint8Array([...flight, ...pair.server.takeRecords()]));
          pair.connect(last);
        } finally {
          const got = pair.early.length + pair.read.server.length;
          assert(got === 0 || got === request.length, `${got} bytes arrived`);
        }
        assertEquals([pair.early, pair.read.client], [request, request]);
        flights.handshake();
        return pair.client.handshakeDone && pair.server.handshakeDone;
      },
      [Symbol.dispose]() {
        flights[Symbol.dispose]();
        pair[Symbol.dispose]();
      },
    };
  }, LOST_CIPHER);
});
