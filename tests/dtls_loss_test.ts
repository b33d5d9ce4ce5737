/** DTLS in a storm: 30 % of the datagrams are lost, 30 % doubled, 30 % overtaken, both ways, by a seed. */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import { datagramConfigs, DatagramPair, FAIR, STORM } from "./dtls_network.ts";
import { bytesFrom, credential, ENDS, FixedClock, fixedCore, peerOf, source } from "./pair.ts";

/** Long enough for any seed: a flight of ten datagrams that is sent again until each of them has arrived once. */
const datagrams = { retransmitAfter: 0.1, retransmitMax: 3600 };
const DEADLINE = 7200; // seconds of the pair's clock
const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

const KINDS: Record<
  string,
  {
    both?: TLSConfigOptions;
    client?: TLSConfigOptions;
    server?: TLSConfigOptions;
    mtu?: number;
    resumes?: boolean;
  }
> = {
  "an ECDSA key": {},
  "a chain in fragments of 512 bytes, and a client's certificate": {
    client: { credential: credential("client-rsa") },
    server: {
      credential: { chain: source("chain.pem"), key: source("chain.key") },
      certReqs: 2,
      trust: [source("roots.pem")],
    },
    mtu: 512,
    resumes: false, // its ticket has the client's certificate: too long
  },
  "a hello in fragments": {
    both: { alpnProtocols: Array.from({ length: 60 }, (_, i) => `protocol number ${i}`) },
    mtu: 256,
    resumes: false,
  },
  "a pre-shared key": { both: { psk: { identity: "sensor 7", key: bytesFrom(7, 32) } } },
};

for (const [kind, { both, client, server, mtu, resumes = true }] of Object.entries(KINDS)) {
  Deno.test(`DTLSEngine completes in a storm with ${kind}, full and resumed`, () => {
    for (const seed of SEEDS) {
      const clock = new FixedClock();
      const core = fixedCore(seed, clock);
      using configs = datagramConfigs(core, { datagrams, ...both }, client, server);
      const options = { configs, clock, weather: STORM, seed, ...(mtu !== undefined && { mtu }) };
      using full = new DatagramPair(options);
      full.connect(DEADLINE);
      const savedSession = full.client.session()!;
      using resumed = new DatagramPair({ ...options, savedSession });
      resumed.connect(DEADLINE);
      assertEquals(
        [full.client.sessionReused, resumed.server.sessionReused],
        [false, resumes],
        `seed ${seed}`,
      );
      for (const end of ENDS) {
        resumed.weather = FAIR;
        assertEquals(resumed.send(end, encodeText("clear")), [encodeText("clear")], `seed ${seed}`);
      }
    }
  });
}

Deno.test("DTLSEngine: what arrives in a storm was sent, as it was, and comes once", () => {
  for (const seed of SEEDS) {
    using pair = new DatagramPair({ seed });
    pair.connect();
    pair.weather = STORM;
    for (const end of ENDS) {
      const sent = Array.from({ length: 100 }, (_, i) => bytesFrom(i, 1 + i % 50));
      const got = pair.send(end, ...sent);
      const texts = new Set(sent.map((message) => message.toHex()));
      const seen = new Set(got.map((message: Bytes) => message.toHex()));
      assertEquals(seen.size, got.length, `seed ${seed}: none twice`);
      assert([...seen].every((text) => texts.has(text)), `seed ${seed}: none changed`);
      assert(got.length > 40 && got.length < 100, `seed ${seed}: ${got.length} of 100 arrived`);
      assertEquals(pair.errors, {}, `the ${peerOf(end)} goes on`);
    }
  }
});
