/**
 * Whether time tells what a server of RSA key exchange has decrypted (Bleichenbacher, ROBOT):
 * `deno run -A tests/crypto/timing_rsa_exchange.ts [--seconds 20] [BLOCK ...]`. To be read as `deno task timing`: |t| below 4.5 shows
 * nothing, and the first row, which compares like with like, shows what that is worth on this machine.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { type Bytes, concat } from "../../lib/bytes.ts";
import type { TLSConfig } from "../../lib/config.ts";
import { Core } from "../../lib/core.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { configs, credential } from "../pair.ts";
import { message, record, TYPE } from "../records.ts";
import { BLOCKS, encrypter } from "../rsa_exchange.ts";
import { Welch } from "./timing.ts";

const CLIENT_KEY_EXCHANGE = 16;
const WARM_UP = 200; // of each kind, until the engine has compiled it
/** Shares of the fastest samples that are compared, too: a leak may show there only. */
const CROPS = [1, 0.9, 0.5, 0.2];

const options = { sslVersion: TLSVersion.TLSv1_2, ciphers: ["TLS_RSA_WITH_AES_128_GCM_SHA256"] };
using both = configs(new Core(), options, {}, { credential: credential("rsa") });
const encrypt = await encrypter();

/** The message with a block. */
function exchange(name: string): Bytes {
  const secret = encrypt(BLOCKS[name]!);
  const body = concat([Uint8Array.of(secret.length >> 8, secret.length & 255), secret]);
  return record(TYPE.handshake, message(CLIENT_KEY_EXCHANGE, body));
}

/** Microseconds until the server has taken it. */
function take(
  { client: clientConfig, server: serverConfig }: Record<"client" | "server", TLSConfig>,
  sent: Bytes,
) {
  using client = new TLSEngine(clientConfig, { serverHostname: "localhost" });
  using server = new TLSEngine(serverConfig);
  client.handshake();
  server.receive(client.takeRecords());
  server.handshake();
  server.takeRecords();
  const began = performance.now();
  server.receive(sent);
  const { state } = server.handshake();
  const took = (performance.now() - began) * 1000;
  if (state !== "need-records") throw new Error(`Cannot time the exchange: the server comes to "${state}"`);
  return took;
}

const { _: wanted, seconds } = parseArgs(Deno.args, { string: ["_", "seconds"], default: { seconds: "20" } });
for (const name of Object.keys(BLOCKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const kinds = [exchange("good"), exchange(name)] as const;
  for (let i = 0; i < WARM_UP; i++) for (const kind of kinds) take(both, kind);
  const samples: [0 | 1, number][] = [];
  for (const end = performance.now() + Number(seconds) * 1000; performance.now() < end;) {
    const kind = Math.random() < 0.5 ? 0 : 1;
    samples.push([kind, take(both, kinds[kind]!)]);
  }
  samples.sort((a, b) => a[1] - b[1]);
  const t = CROPS.map((share) => {
    const welch = new Welch();
    for (const [kind, time] of samples.slice(0, share * samples.length)) welch.add(kind, time);
    return Math.abs(welch.t);
  });
  const median = samples[samples.length >> 1]![1];
  console.log(
    `a good block, ${name}: ${median.toFixed(1)} us, ${samples.length} samples, max |t| ${
      Math.max(...t).toFixed(1)
    }`,
  );
}
