/**
 * What it costs the core that it can count: the same connections with it, and with one that is linked without the counting,
 * interleaved. The third column counts (`measure: true`).
 *
 * `deno run -A --v8-flags=--no-liftoff,--no-wasm-dynamic-tiering bench/counting.ts [INSTANCES]`: with these flags both cores are
 * optimised from the beginning. The best of all rounds is compared: whatever else the machine does only adds. A row alone is
 * good to some 2 %, for where code and memory lie; exit code 1: of all rows, the mean is above 1 % where nobody asked.
 *
 * @module
 */

import { TLSConfig } from "../lib/config.ts";
import { Core } from "../lib/core.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { ensureBuilt, folderOf } from "../wasm/build.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  EnginePair,
  FixedClock,
  serverOptions,
} from "../tests/pair.ts";

const WITHIN = 0.01;
const INSTANCES = Number(Deno.args[0] ?? 4); // of each core: where its memory lies alone makes 3 %
const ROUNDS = 40; // of each instance
const ROUND = 4; // milliseconds, some: the shorter, the more of them meet a machine that does nothing else

interface Row {
  readonly name: string;
  readonly both: TLSConfigOptions;
  readonly key?: string;
  readonly resumed?: boolean;
  /** Bytes of plaintext in a record; none: the row is of handshakes. */
  readonly record?: number;
}

const TLS12 = { sslVersion: 0x0303 } as const;
const TLS13 = { sslVersion: 0x0304 } as const;
const CBC = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"];
const ROWS: readonly Row[] = [
  { name: "handshake, TLS 1.3, P-256", both: TLS13 },
  { name: "handshake, TLS 1.2, P-256", both: TLS12 },
  { name: "handshake, TLS 1.3, RSA-2048", both: TLS13, key: "rsa" },
  { name: "handshake, TLS 1.3, resumed", both: TLS13, resumed: true },
  { name: "handshake, TLS 1.2, resumed", both: TLS12, resumed: true },
  { name: "16 KiB records, AES-128-GCM", both: { ciphers: ["TLS_AES_128_GCM_SHA256"] }, record: 16384 },
  { name: "16 KiB records, ChaCha20", both: { ciphers: ["TLS_CHACHA20_POLY1305_SHA256"] }, record: 16384 },
  { name: "64-byte records, AES-128-GCM", both: { ciphers: ["TLS_AES_128_GCM_SHA256"] }, record: 64 },
  { name: "16 KiB records, AES-128-CBC", both: { ciphers: CBC }, record: 16384 },
  { name: "64-byte records, AES-128-CBC", both: { ciphers: CBC }, record: 64 },
];

type Contender = "without" | "off" | "on";
const CONTENDERS: readonly Contender[] = ["without", "off", "on"];

/** Does the row's work so many times. Returns the milliseconds that it took. */
type Work = (times: number) => number;

function prepare({ both, key = "ec", resumed = false, record }: Row, core: Core, measure: boolean): Work {
  const client = new TLSConfig(clientOptions({ ...both, measure }), core);
  const server = new TLSConfig(serverOptions({ ...both, measure, credential: credential(key) }), core);
  const connect = (savedSession?: SSLSession) => {
    const pair = new EnginePair(client, server, savedSession && { savedSession }).connect();
    if (pair.client.sessionReused !== (savedSession !== undefined)) throw new Error("It resumed, or did not");
    return pair;
  };
  if (record === undefined) {
    let session: SSLSession | undefined;
    const work = () => {
      using pair = connect(session);
      if (resumed) session = pair.client.session();
    };
    if (resumed) {
      using first = connect();
      session = first.client.session();
    }
    return timed(work);
  }
  const pair = connect();
  const plaintext = bytesFrom(1, record);
  const buffer = new Uint8Array(record);
  return timed(() => {
    pair.client.write(plaintext);
    pair.server.receive(pair.client.takeRecords());
    const outcome = pair.server.read(buffer);
    if (outcome.state !== "data" || outcome.bytes !== record) throw new Error("The record did not arrive");
  });
}

function timed(work: () => void): Work {
  return (times) => {
    const began = performance.now();
    for (let i = 0; i < times; i++) work();
    return performance.now() - began;
  };
}

/** The milliseconds of one piece of work, by contender: the best of all rounds of all instances. */
function measureRow(row: Row, newCore: (contender: Contender) => Core): Record<Contender, number> {
  const best = { without: Infinity, off: Infinity, on: Infinity };
  for (let instance = 0; instance < INSTANCES; instance++) {
    const order = CONTENDERS.map((_, i) => CONTENDERS[(i + instance) % CONTENDERS.length]!);
    const works = order.map((name) => [name, prepare(row, newCore(name), name === "on")] as const);
    for (const [, work] of works) work(100); // until the engine has compiled it
    const times = Math.max(1, Math.round(ROUND / (works[0]![1](20) / 20)));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, work] of works) best[name] = Math.min(best[name], work(times) / times);
    }
  }
  return best;
}

await ensureBuilt(["core", "uncounted"]);
const uncounted = await WebAssembly.compile(
  await Deno.readFile(new URL("uncounted.wasm", folderOf("uncounted"))),
);
const { now } = new FixedClock();
const newCore = (name: Contender) => new Core({ now, ...(name === "without" && { module: uncounted }) });
const ratios: number[] = [];
console.log(
  `${"best of rounds".padEnd(30)} ${"without".padStart(10)} ${"off".padStart(8)} ${"on".padStart(8)}`,
);
for (const row of ROWS) {
  const best = measureRow(row, newCore);
  const percent = (name: Contender) => toPercent(best[name] / best.without);
  ratios.push(best.off / best.without);
  const time = `${(1000 * best.without).toFixed(2)} us`.padStart(10);
  console.log(`${row.name.padEnd(30)} ${time} ${percent("off")} ${percent("on")}`);
}
const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
console.log(`${"mean".padEnd(41)} ${toPercent(mean)}`);
if (mean > 1 + WITHIN) Deno.exit(1);

function toPercent(ratio: number): string {
  return `${(100 * (ratio - 1)).toFixed(2)} %`.padStart(8);
}
