/** Connections that share arrays and record buffers: none sees a byte of another, however they wait and end. */

import { assert, assertEquals } from "@std/assert";
import type { Bytes } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { SSLError } from "../lib/errors.ts";
import type { SSLSocket } from "../lib/socket.ts";
import type { TLSVersion } from "../lib/suites.ts";
import { bytesFrom, chooser } from "./pair.ts";
import { pipe, type PipeEnd } from "./pipe.ts";
import { test, VERSIONS, wrapBoth } from "./sockets.ts";

const SLOTS = 8; // connections at a time
const ROUNDS = 12; // for each slot
const STREAM_MAX = 80_000; // bytes each way

type Choose = ReturnType<typeof chooser>;

/** A few turns of the microtask queue, or a timer. */
async function pause(choose: Choose): Promise<void> {
  if (choose(30) === 0) await new Promise((resolve) => setTimeout(resolve));
  else for (let turns = choose(40); turns > 0; turns--) await null;
}

/** Touches an array as late as it may: what it reads has a buffer of its own, what it writes is taken at the end. */
class LateDuplex implements Duplex {
  readonly #below: PipeEnd;
  readonly #choose: Choose;

  constructor(below: PipeEnd, choose: Choose) {
    this.#below = below;
    this.#choose = choose;
  }

  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const bytes = new Uint8Array(p.length);
    try {
      return await this.#below.read(bytes);
    } finally {
      await pause(this.#choose);
      p.set(bytes); // even when it failed
    }
  }

  async write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    await pause(this.#choose);
    return await this.#below.write(p);
  }

  close(): void {
    this.#below.close();
  }

  async closeWrite(): Promise<void> {
    await this.#below.closeWrite();
  }
}

/** Writes `stream` in pieces of any size. */
async function writeAll(socket: SSLSocket, stream: Bytes, choose: Choose): Promise<void> {
  for (let at = 0; at < stream.length;) {
    const end = at + 1 + choose(choose(3) === 0 ? 40_000 : 600);
    at += await socket.write(stream.slice(at, end));
    if (choose(4) === 0) await pause(choose);
  }
}

/** Reads `stream`, with waits that end too early now and then. */
async function readAll(socket: SSLSocket, stream: Bytes, choose: Choose): Promise<void> {
  for (let at = 0; at < stream.length;) {
    const buffer = new Uint8Array(1 + choose(choose(2) === 0 ? 20_000 : 300));
    socket.setTimeout(choose(3) === 0 ? 0.001 : null);
    const reading = socket.read(buffer);
    socket.setTimeout(null); // of the writes, for which it would be the end
    let n: number | null;
    try {
      n = await reading;
    } catch (error) {
      if (error instanceof SSLError && error.kind === "timeout") continue;
      throw error;
    }
    assert(n !== null, "the stream has ended early");
    assertEquals(buffer.subarray(0, n), stream.subarray(at, at + n), `at ${at} of ${stream.length}`);
    at += n;
    if (choose(8) === 0) await pause(choose);
  }
}

/** One connection, which ends well or is dropped on its way. Returns whether it ended well. */
async function connection(sslVersion: TLSVersion, choose: Choose): Promise<boolean> {
  const [near, far] = pipe({ chunkSize: [1000 + choose(3000), Infinity][choose(2)]! });
  const options = { client: { sslVersion }, server: { sslVersion } };
  const [client, server] = await wrapBoth(new LateDuplex(near, choose), new LateDuplex(far, choose), options);
  const stream = () => bytesFrom(choose(1 << 30), 1 + choose(choose(2) === 0 ? STREAM_MAX : 5000));
  const streams = [stream(), stream()] as const;
  const moving = Promise.allSettled([
    writeAll(client, streams[0], choose),
    readAll(server, streams[0], choose),
    writeAll(server, streams[1], choose),
    readAll(client, streams[1], choose),
  ]);
  const isDropped = choose(3) === 0;
  if (isDropped) {
    for (let turns = choose(20); turns > 0; turns--) await pause(choose);
    (choose(2) === 0 ? client : server).abort();
    if (choose(2) === 0) await pause(choose);
    client.abort();
    server.abort();
  }
  for (const outcome of await moving) {
    if (outcome.status === "fulfilled") continue;
    const { reason } = outcome;
    if (!isDropped || !(reason instanceof SSLError) || !["closed", "eof"].includes(reason.kind)) throw reason;
  }
  await Promise.all([client.close(), server.close()]);
  return !isDropped;
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket: connections that share arrays get their own bytes, however others end (${version})`, async () => {
    const slots = Array.from({ length: SLOTS }, async (_, slot) => {
      const choose = chooser(slot);
      let whole = 0;
      for (let round = 0; round < ROUNDS; round++) whole += Number(await connection(sslVersion, choose));
      return whole;
    });
    const whole = (await Promise.all(slots)).reduce((sum, count) => sum + count, 0);
    assert(whole > 0 && whole < SLOTS * ROUNDS, `${whole} of ${SLOTS * ROUNDS} ended well`);
  });
}
