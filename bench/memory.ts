/**
 * Pairs of engines in one thread, with arrays for a wire: what TLS itself costs, without sockets and event loop.
 *
 * @module
 */

import process from "node:process";
import { TLSConfig, TLSEngine, type TLSEngineOptions, TLSVersion } from "tlsio";
import { HOST, type Identity } from "./peer.ts";
import type { Bench, Sample } from "./runner.ts";
import type { Row } from "./table.ts";

const CHUNK = new Uint8Array(65536); // bytes per write
const FLIGHTS_MAX = 10; // more than any handshake of TLS has
const MINIMUM = 2; // handshakes of a measurement, however slow

type Bytes = Uint8Array<ArrayBuffer>;
type Records = (records: Bytes) => void;

/** Both ends of a row, as a program makes them once for many connections. */
class Pair {
  readonly #client: TLSConfig;
  readonly #server: TLSConfig;
  readonly #row: Row;

  constructor(row: Row, identity: Identity) {
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
    this.#client = new TLSConfig({ ...policy, trust: [source("caCerts", identity.ca)] });
    this.#server = new TLSConfig({ ...policy, serverSide: true, credential });
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

  /** Sends `data` down. Returns the milliseconds of writing and of reading. */
  send(data: Bytes, buffer: Bytes): [write: number, read: number] {
    let write = 0;
    let read = 0;
    for (let rest = data; rest.length > 0;) {
      const start = performance.now();
      rest = rest.subarray(this.server.write(rest));
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

const pairs = new Map<Row, Pair>();

function pairOf(row: Row, identity: Identity): Pair {
  if (!pairs.has(row)) pairs.set(row, new Pair(row, identity));
  return pairs.get(row)!;
}

/** Handshakes for the time of a measurement: connections made, handshakes done, connections freed. */
export function measureHandshake(row: Row, { effort, identityOf }: Bench): Sample {
  const pair = pairOf(row, identityOf(row));
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

/** Bulk data for the time of a measurement, over a connection that is there already. */
export function measureBulk(row: Row, { effort, identityOf }: Bench): Sample {
  const pair = pairOf(row, identityOf(row));
  using connection = pair.connect();
  connection.handshake();
  pair.verify(connection.client);
  const buffer = new Uint8Array(CHUNK.length);
  let write = 0;
  let read = 0;
  let megabytes = 0;
  const begun = performance.now();
  const start = cpuMs();
  while (performance.now() - begun < effort.ms) {
    const [writeMs, readMs] = connection.send(CHUNK, buffer);
    write += writeMs;
    read += readMs;
    megabytes += CHUNK.length / 1e6;
  }
  const cpu = cpuMs() - start;
  const rate = megabytes / (cpu / 1000);
  return { both: rate, write: rate * (write + read) / write, read: rate * (write + read) / read };
}

/** Milliseconds of CPU time so far. The clock on the wall would count what other programs do meanwhile. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
