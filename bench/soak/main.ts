/**
 * Runs both kinds of server under a steady mixed load, and says whether what they hold grows or a byte was lost:
 * `deno task soak`, an hour; `--minutes 1`. Exit code 1: it does, or was.
 *
 * The load: messages on connections that stay, new ones, resumed ones, of TLS 1.2 and 1.3, HTTP with bodies up to 1 MiB, and
 * clients that abort, say nonsense, or fall silent.
 */
import { parseArgs } from "@std/cli";
import { SSLContext } from "../../lib/ssl.ts";
import { MemorySessionStore } from "../../lib/session_store.ts";
import type { SSLSocket } from "../../lib/socket.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { certFile, Program } from "../../tests/peers.ts";
import { growthOf } from "./slope.ts";

const MiB = 1 << 20;
/** What may grow, from a third of the run to its end. */
const ALLOWED = { rss: 24 * MiB, heap: 0, allocated: 64 * 1024, files: 4, open: 4 };
type Held = Record<keyof typeof ALLOWED, number>;

const { minutes } = parseArgs(Deno.args, { string: ["minutes"], default: { minutes: "60" } });
const SECONDS = Number(minutes) * 60;
if (!(SECONDS > 0)) throw new RangeError(`Cannot use --minutes: expected a number above 0, got ${minutes}`);

const script = new URL("server.ts", import.meta.url).pathname;
const args = ["run", "--quiet", "--no-check", "-A", script, certFile("ec.pem"), certFile("ec.key")];
await using server = new Program("deno", args);
const [, streamsPort, webPort] = await server.waitFor(/^(\d+) (\d+)\n/);
const caCerts = certFile("root.pem");
const contexts = await Promise.all(
  [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3].flatMap((sslVersion) => [
    SSLContext.create({ caCerts, sslVersion }),
    SSLContext.create({ caCerts, sslVersion, sessionStore: new MemorySessionStore() }), // these resume
  ]),
);

const counts = { connections: 0, resumed: 0, bytes: 0, requests: 0, hostile: 0 };
const ends = performance.now() + SECONDS * 1000;
let round = 0;

/** Random bytes, a slice of a large block that was made once. */
const POOL = new Uint8Array(4 * MiB);
for (let at = 0; at < POOL.length; at += 65536) crypto.getRandomValues(POOL.subarray(at, at + 65536));
function someBytes(max: number): Uint8Array<ArrayBuffer> {
  const length = 1 + Math.floor(Math.random() * max);
  const start = Math.floor(Math.random() * (POOL.length - length));
  return POOL.slice(start, start + length);
}

async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function connect(port: string): Promise<SSLSocket> {
  const context = contexts[round++ % contexts.length]!;
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const tls = await context.wrapSocket(conn, { serverHostname: "localhost", timeout: 60 });
  tls.setTimeout(60);
  counts.connections++;
  if (tls.sessionReused) counts.resumed++;
  return tls;
}

async function readAll(tls: SSLSocket, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const n = await tls.read(all.subarray(at));
    if (n === null) throw new Error(`Cannot read ${length} bytes: they end after ${at}`);
    at += n;
  }
  return all;
}

/** Messages there and back; their hashes are the same, or the run fails. */
async function talk(messages: number): Promise<void> {
  const tls = await connect(streamsPort!);
  for (let i = 0; i < messages; i++) {
    const bytes = someBytes(200_000);
    const [, back] = await Promise.all([tls.write(bytes), readAll(tls, bytes.length)]);
    if (await hashOf(back) !== await hashOf(bytes)) {
      throw new Error(`A message of ${bytes.length} bytes came back changed`);
    }
    counts.bytes += 2 * bytes.length;
  }
  await tls.close();
}

/** Requests on one connection. */
async function request(times: number): Promise<void> {
  const tls = await connect(webPort!);
  for (let i = 0; i < times; i++) {
    const body = someBytes(MiB);
    await tls.write(
      new TextEncoder().encode(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`),
    );
    const sending = tls.write(body);
    const byte = new Uint8Array(1);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      if (await tls.read(byte) === null) throw new Error("Cannot read a response: it ends in its head");
      head += String.fromCharCode(byte[0]!);
    }
    const back = await readAll(tls, Number(/content-length: (\d+)/i.exec(head)![1]));
    await sending;
    const hash = await hashOf(body);
    if (await hashOf(back) !== hash || !head.includes(hash)) throw new Error("A body came back changed");
    counts.requests++;
    counts.bytes += 2 * body.length;
  }
  await tls.close();
}

/** A client that means no good, or has bad luck. */
async function misbehave(): Promise<void> {
  counts.hostile++;
  const kind = Math.floor(Math.random() * 3);
  if (kind === 0) { // leaves amid an answer
    const tls = await connect(streamsPort!);
    await tls.write(someBytes(100_000));
    return tls.abort();
  }
  using conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(kind === 1 ? streamsPort : webPort),
  });
  await conn.write(someBytes(2000));
  if (kind === 2) await new Promise((resolve) => setTimeout(resolve, 200));
}

async function lane(work: () => Promise<void>): Promise<void> {
  while (performance.now() < ends) {
    await work();
    await new Promise((resolve) => setTimeout(resolve, 10)); // steady, not as much as it can
  }
}

let asked = 1;
async function sample(): Promise<Held & Record<string, unknown>> {
  await server.write("?\n");
  const nth = ++asked;
  await server.waitFor(new RegExp(`^(.*\n){${nth}}`));
  return JSON.parse(server.stdout.split("\n")[nth - 1]!);
}

const samples: (Held & { at: number })[] = [];
const every = Math.max(1000, SECONDS * 1000 / 600);
async function watch(): Promise<void> {
  while (performance.now() < ends) {
    await new Promise((resolve) => setTimeout(resolve, every));
    samples.push({ at: performance.now(), ...await sample() });
  }
}

await Promise.all([
  watch(),
  ...[50, 50, 3, 1, 1].map((messages) => lane(() => talk(messages))),
  ...[20, 2, 1].map((times) => lane(() => request(times))),
  lane(misbehave),
]);
const last = await sample();
for (const context of contexts) context[Symbol.dispose]();

let isFlat = samples.length > 5;
console.log(`${minutes} minutes: ${JSON.stringify(counts)}`);
for (const [name, allowed] of Object.entries(ALLOWED) as [keyof Held, number][]) {
  const growth = growthOf(samples.map(({ at, [name]: value }) => ({ at, value })));
  const isFine = growth <= allowed;
  isFlat &&= isFine;
  const [first, end] = [samples[Math.floor(samples.length / 3)]![name], samples.at(-1)![name]];
  console.log(
    `${name.padEnd(10)} ${first} to ${end}, growth by slope ${Math.round(growth)} of ${allowed}: ${
      isFine ? "flat" : "GROWS"
    }`,
  );
}
console.log(
  `no byte lost or changed; failures ${JSON.stringify(last.failures)}, limits ${JSON.stringify(last.limits)}`,
);
if (!isFlat) Deno.exitCode = 1;
