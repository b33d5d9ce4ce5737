/**
 * Pairs of engines in one thread, with arrays for a wire: what TLS itself costs, without sockets and event loop.
 *
 * @module
 */

import process from "node:process";
import { TLSConfig, TLSVersion } from "tlsio";
import { Core, TLSEngine, type TLSEngineOptions } from "tlsio/engine";
import { HOST, type Identity } from "./peer.ts";
import { ensureBuilt, folderOf } from "../wasm/build.ts";
import { Native } from "./native.ts";
import type { Bench, Sample } from "./runner.ts";
import type { Row } from "./table.ts";

const CHUNK = new Uint8Array(65536); // bytes per write in bulk
const SHORT = 1024; // bytes; of shorter records so many are written at once that the clock costs nothing
const BATCH = 64; // records
const FLIGHTS_MAX = 10; // more than any handshake of TLS has
const MINIMUM = 2; // handshakes of a measurement, however slow

type Bytes = Uint8Array<ArrayBuffer>;
type Records = (records: Bytes) => void;

/** Both ends of a row, as a program makes them once for many connections. */
class Pair {
  readonly #client: TLSConfig;
  readonly #server: TLSConfig;
  readonly #row: Row;

  constructor(row: Row, identity: Identity, core: Core) {
    const { version, suite } = row;
    const policy = {
      ...(version && { sslVersion: version === "1.2" ? TLSVersion.TLSv1_2 : TLSVersion.TLSv1_3 }),
      ...(suite && { ciphers: [suite] }),
    };
    const source = (name: string, pem: string) => ({ name, bytes: new TextEncoder().encode(pem) });
    const credential = {
      chain: source("certfile", identity.certificate),
      key: source("keyfile", identity.key),
    };
    this.#row = row;
    this.#client = new TLSConfig({ ...policy, trust: [source("caCerts", identity.ca)] }, core);
    this.#server = new TLSConfig({ ...policy, serverSide: true, credential }, core);
  }

  /** Two engines; a saved session makes them resume. */
  connect(savedSession?: TLSEngineOptions["savedSession"]): Connection {
    const client = new TLSEngine(this.#client, { serverHostname: HOST, savedSession });
    return new Connection(client, new TLSEngine(this.#server));
  }

  /** Throws unless `client` did what the row's name says. */
  verify(client: TLSEngine): void {
    const { version, suite, resume = false } = this.#row;
    const actual = [client.version, suite && client.cipher?.name, client.sessionReused];
    const expected = [`TLSv${version}`, suite, resume];
    if (actual.join() === expected.join()) return;
    throw new Error(`Cannot use connection: it is ${actual.join()}, the row says ${expected.join()}`);
  }
}

/** Two engines of one connection, with the milliseconds and bytes of each. */
class Connection implements Disposable {
  readonly client: TLSEngine;
  readonly server: TLSEngine;
  clientMs = 0;
  serverMs = 0;
  up = 0;
  down = 0;

  constructor(client: TLSEngine, server: TLSEngine) {
    this.client = client;
    this.server = server;
  }

  handshake(): void {
    const up: Records = (records) => {
      this.up += records.length;
      this.server.receive(records);
    };
    const down: Records = (records) => {
      this.down += records.length;
      this.client.receive(records);
    };
    for (let flight = 0; flight < FLIGHTS_MAX; flight++) {
      this.clientMs += step(this.client, up);
      this.serverMs += step(this.server, down);
      if (this.client.handshakeDone && this.server.handshakeDone) return;
    }
    throw new Error("Cannot complete handshake: it does not end");
  }

  /** Sends `data` down in writes of at most `size` bytes. Returns the milliseconds of writing and of reading. */
  send(data: Bytes, buffer: Bytes, size = data.length): [write: number, read: number] {
    let write = 0;
    let read = 0;
    for (let rest = data; rest.length > 0;) {
      const start = performance.now();
      for (let left = Math.min(rest.length, BATCH * SHORT); left > 0;) {
        const n = this.server.write(rest.subarray(0, Math.min(left, size)));
        if (n === 0) break; // the engine wants its records taken first
        left -= n;
        rest = rest.subarray(n);
      }
      const records = this.server.takeRecords();
      const written = performance.now();
      this.client.receive(records);
      while (this.client.read(buffer).state === "data");
      write += written - start;
      read += performance.now() - written;
    }
    return [write, read];
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.server[Symbol.dispose]();
  }
}

/** One flight of `engine`, given to the peer. Returns its milliseconds. */
function step(engine: TLSEngine, deliver: Records): number {
  const start = performance.now();
  engine.handshake();
  const records = engine.takeRecords();
  const ms = performance.now() - start;
  if (records.length > 0) deliver(records);
  return ms;
}

const pairs = new Map<Row, Promise<Pair>>();

function pairOf(row: Row, { identityOf }: Bench): Promise<Pair> {
  if (!pairs.has(row)) {
    pairs.set(row, coreOf(row).then((core) => new Pair(row, identityOf(row), core)));
  }
  return pairs.get(row)!;
}

let stock: Promise<Core> | undefined;

/** The core that a row names: ours, or mbedTLS alone. */
function coreOf({ engine }: Row): Promise<Core> {
  if (engine !== "stock wasm mbedTLS") return Promise.resolve(Core.shared());
  return stock ??= (async () => {
    await ensureBuilt(["stock"]);
    const bytes = await Deno.readFile(new URL("stock.wasm", folderOf("stock")));
    return new Core({ module: await WebAssembly.compile(bytes) });
  })();
}

/** Handshakes for the time of a measurement: connections made, handshakes done, connections freed; microseconds. */
export async function measureHandshake(row: Row, bench: Bench): Promise<Sample> {
  const { effort } = bench;
  if (row.engine === "native mbedTLS") return await nativeHandshake(row, bench);
  const pair = await pairOf(row, bench);
  let session: TLSEngineOptions["savedSession"];
  if (row.resume) {
    using first = pair.connect();
    first.handshake();
    first.send(CHUNK.subarray(0, 1), new Uint8Array(1)); // brings the ticket of TLS 1.3
    session = first.client.session();
  }
  const sum = { client: 0, server: 0, up: 0, down: 0 };
  const begun = performance.now();
  const start = cpuMs();
  let count = 0;
  for (; count < MINIMUM || performance.now() - begun < effort.ms; count++) {
    using connection = pair.connect(session);
    connection.handshake();
    pair.verify(connection.client);
    sum.client += connection.clientMs;
    sum.server += connection.serverMs;
    sum.up += connection.up;
    sum.down += connection.down;
  }
  const cpu = (cpuMs() - start) / count;
  return {
    both: cpu * 1000,
    client: cpu * 1000 * sum.client / (sum.client + sum.server),
    server: cpu * 1000 * sum.server / (sum.client + sum.server),
    up: sum.up / count,
    down: sum.down / count,
  };
}

async function nativeHandshake({ version, resume = false, ...row }: Row, bench: Bench): Promise<Sample> {
  const native = await Native.load();
  const figures = native.handshakes(version!, bench.identityOf(row), resume, bench.effort.ms);
  const { count, checked, all, client, server, up, down } = figures;
  if (checked !== (resume ? 0 : count)) throw new Error(`Cannot use handshakes: ${checked} were full ones`);
  const cpu = all / count * 1e6;
  return {
    both: cpu,
    client: cpu * client / (client + server),
    server: cpu * server / (client + server),
    up: up / count,
    down: down / count,
  };
}

/** Bulk data for the time of a measurement, over a connection that is there already: MB/s of each end and of both. */
export async function measureBulk(row: Row, bench: Bench): Promise<Sample> {
  const { effort } = bench;
  const { version, suite, size = CHUNK.length } = row;
  if (row.engine === "native mbedTLS") {
    const native = await Native.load();
    const [bytes, write, read] = native.records(version!, bench.identityOf(row), suite!, size, effort.ms);
    return speeds(bytes! / 1e6, write!, read!);
  }
  const pair = await pairOf(row, bench);
  using connection = pair.connect();
  connection.handshake();
  pair.verify(connection.client);
  const buffer = new Uint8Array(CHUNK.length);
  const data = CHUNK.subarray(0, size < SHORT ? BATCH * size : CHUNK.length);
  let write = 0;
  let read = 0;
  let megabytes = 0;
  const begun = performance.now();
  const start = cpuMs();
  do {
    const [writeMs, readMs] = connection.send(data, buffer, size);
    write += writeMs;
    read += readMs;
    megabytes += data.length / 1e6;
  } while (performance.now() - begun < effort.ms);
  const cpu = (cpuMs() - start) / 1000;
  return speeds(megabytes, cpu * write / (write + read), cpu * read / (write + read));
}

function speeds(megabytes: number, writing: number, reading: number): Sample {
  return { write: megabytes / writing, read: megabytes / reading, both: megabytes / (writing + reading) };
}

/** Milliseconds of CPU time so far. The clock on the wall would count what other programs do meanwhile. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
