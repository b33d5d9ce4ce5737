/**
 * Whether time tells a wrong padding from a wrong MAC, where a CBC record was MACed first (Lucky 13):
 * `deno run -A tests/crypto/timing_cbc.ts [--seconds 20] [SUITE ...]`. To be read as `deno task timing`: |t| below 4.5 shows nothing,
 * and the first row of a suite, which compares like with like, shows what that is worth on this machine.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import type { Bytes } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { SSLError } from "../../lib/errors.ts";
import { CBC_SUITES, CbcServer, type CbcSuite } from "../cbc_peer.ts";
import { bytesFrom } from "../pair.ts";
import { TYPE } from "../records.ts";
import { Welch } from "./timing.ts";

/** Bytes of content, MAC and padding: as many in every record. */
const SIZE = 320;
const WARM_UP = 500; // records of each kind, until the engine has compiled it
/** Shares of the fastest samples that are compared, too: a leak may show there only. */
const CROPS = [1, 0.9, 0.5, 0.2];

const PSK = { identity: "clock", key: bytesFrom(7, 32) };
const spoilContent = (plain: Bytes) => plain[0]! ^= 1;

/** A record: bytes of padding, and what is changed. */
type Spoilt = readonly [padding: number, change: (plain: Bytes) => void];
const WRONG_MAC: Spoilt = [15, spoilContent];
const OTHERS: Record<string, Spoilt> = {
  "the same": WRONG_MAC,
  "wrong MAC before 255 bytes of padding": [255, spoilContent],
  "a wrong byte in 255 of padding": [255, (plain) => plain[plain.length - 200]! ^= 1],
};

/** Microseconds until a record is refused. */
function refuse(config: TLSConfig, suite: CbcSuite, [padding, change]: Spoilt): number {
  using client = new TLSEngine(config);
  const server = new CbcServer(client, suite, PSK.key);
  const content = bytesFrom(padding, SIZE - CBC_SUITES[suite].macSize - padding - 1);
  client.receive(server.seal(TYPE.data, content, padding, change));
  const buffer = new Uint8Array(SIZE);
  const began = performance.now();
  try {
    client.read(buffer);
  } catch (error) {
    if (error instanceof SSLError) return (performance.now() - began) * 1000;
    throw error;
  }
  throw new Error("Cannot time the record: it was accepted");
}

const { _: wanted, seconds } = parseArgs(Deno.args, { string: ["_", "seconds"], default: { seconds: "20" } });
for (const suite of Object.keys(CBC_SUITES) as CbcSuite[]) {
  if (wanted.length > 0 && !wanted.includes(suite)) continue;
  using config = new TLSConfig({ psk: PSK, ciphers: [suite] });
  for (const [what, other] of Object.entries(OTHERS)) {
    const kinds = [WRONG_MAC, other] as const;
    for (let i = 0; i < WARM_UP; i++) for (const kind of kinds) refuse(config, suite, kind);
    const samples: [0 | 1, number][] = [];
    for (const end = performance.now() + Number(seconds) * 1000; performance.now() < end;) {
      const kind = Math.random() < 0.5 ? 0 : 1;
      samples.push([kind, refuse(config, suite, kinds[kind]!)]);
    }
    samples.sort((a, b) => a[1] - b[1]);
    const t = CROPS.map((share) => {
      const welch = new Welch();
      for (const [kind, time] of samples.slice(0, share * samples.length)) welch.add(kind, time);
      return Math.abs(welch.t);
    });
    const median = samples[samples.length >> 1]![1];
    console.log(
      `${suite}: wrong MAC, ${what}: ${median.toFixed(1)} us, ${samples.length} samples, ` +
        `max |t| ${Math.max(...t).toFixed(1)}`,
    );
  }
}
