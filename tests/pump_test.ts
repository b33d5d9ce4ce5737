/** Pump: what happens between a call that ends and the next that begins. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { giveBytes, takeBytes } from "../lib/byte_pool.ts";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Duplex } from "../lib/duplex.ts";
import { TLSEngine } from "../lib/engine.ts";
import { Pump } from "../lib/pump.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { certFile } from "./peers.ts";
import { pipe, type PipeEnd } from "./pipe.ts";
import { CLIENT, idle, test } from "./sockets.ts";

/** A connection whose reads and writes, once it is `held`, end when the test says so. */
class HeldDuplex implements Duplex {
  readonly #below: PipeEnd;
  readonly #reads: PromiseWithResolvers<number | null>[] = [];
  /** The array of each read while held that has not ended. */
  readonly reading: Uint8Array<ArrayBuffer>[] = [];
  readonly #writes: (() => void)[] = [];
  readonly written: Uint8Array<ArrayBuffer>[] = [];
  /** The very arrays that were written while held. */
  readonly lent: Uint8Array<ArrayBuffer>[] = [];
  held = false;
  onRead: ((size: number) => void) | undefined;

  constructor(below: PipeEnd) {
    this.#below = below;
  }

  read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    this.onRead?.(p.length);
    if (!this.held) return this.#below.read(p);
    const read = Promise.withResolvers<number | null>();
    this.#reads.push(read);
    this.reading.push(p);
    return read.promise;
  }

  write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    if (!this.held) return this.#below.write(p);
    this.written.push(p.slice());
    this.lent.push(p);
    return new Promise((resolve) => this.#writes.push(() => resolve(p.length)));
  }

  /** Ends the read that waits. */
  endRead(bytes: Uint8Array): void {
    this.reading.shift()!.set(bytes);
    this.#reads.shift()!.resolve(bytes.length);
  }

  /** Fails the read that waits. */
  failRead(error: Error): void {
    this.reading.shift();
    this.#reads.shift()!.reject(error);
  }

  /** Ends the write that waits. */
  endWrite(): void {
    this.#writes.shift()!();
  }

  close(): void {
    this.#below.close();
  }
}

/** A TLS 1.3 client on such a connection, and the engine of its server. */
async function connect() {
  const [near, far] = pipe();
  const held = new HeldDuplex(near);
  const source = (name: string) => ({ name, bytes: Deno.readFileSync(certFile(name)) });
  const config = new TLSConfig({
    serverSide: true,
    tickets: false,
    credential: { chain: source("ec.pem"), key: source("ec.key") },
  });
  const engine = new TLSEngine(config);
  const connecting = wrapSocket(held, CLIENT);
  const buffer = new Uint8Array(4096);
  while (engine.handshake().state !== "done") {
    if (engine.hasRecords) await far.write(engine.takeRecords());
    const n = await far.read(buffer);
    engine.receive(buffer.slice(0, n!));
  }
  const client = await connecting;
  held.held = true;
  return { client, held, engine, far };
}

test("Pump.close() closes the transport although the engine cannot be freed", async () => {
  const [near] = pipe();
  const engine = {
    [Symbol.dispose]() {
      throw new Error("the core is gone");
    },
  };
  await new Pump(near, engine as unknown as TLSEngine).close();
  assertEquals(near.closed, true);
});

async function writeAll(end: PipeEnd, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await end.write(rest));
}

test("SSLSocket reads into 68 KiB while bytes come in bulk, and waits with 512", async () => {
  const sizes: number[] = [];
  const { client, held, engine, far } = await connect();
  held.onRead = (size) => sizes.push(size);
  held.held = false;
  const buffer = new Uint8Array(65536);
  const bulk = new Uint8Array(120_000).fill(7);
  /** Sends `data`, and reads it all; then the next read waits. */
  const send = async (data: Uint8Array<ArrayBuffer>) => {
    assertEquals(engine.write(data), data.length);
    const sent = writeAll(far, engine.takeRecords());
    for (let got = 0; got < data.length;) got += (await client.read(buffer))!;
    await sent;
  };
  await send(bulk.subarray(0, 10));
  await send(bulk.subarray(0, 10));
  assertEquals(sizes.at(-1), 512);
  await send(bulk);
  await send(bulk);
  assertEquals(Math.max(...sizes), 68 * 1024);
  for (let i = 0; i < 2; i++) await send(bulk.subarray(0, 10));
  assertEquals(sizes.at(-1), 512);
  for (let i = 0; i < 3; i++) await send(bulk.subarray(0, 600));
  assertEquals(sizes.slice(-2), [4096, 4096], "messages of 600 bytes come in one read");
  client.abort();
  engine[Symbol.dispose]();
});

test("SSLSocket.write() gives no array to another while the transport writes it", async () => {
  const one = await connect();
  const other = await connect();
  const writing = one.client.write(new Uint8Array(100));
  const [held] = one.held.lent;
  const before = held!.slice();
  other.held.held = false;
  for (let i = 0; i < 100; i++) await other.client.write(new Uint8Array(100));
  assertEquals(held, before);
  one.held.endWrite();
  await writing;
  for (const { client, engine } of [one, other]) {
    client.abort();
    engine[Symbol.dispose]();
  }
});

for (const end of ["fails", "is left behind by abort()"]) {
  test(`SSLSocket gives no array to another when its read ${end}: it may still be written to`, async () => {
    const { client, held, engine } = await connect();
    const reading = client.read(new Uint8Array(100));
    await idle();
    const [array] = held.reading;
    assertEquals(array!.length, 4096);
    if (end === "fails") held.failRead(new Error("A wait that was too long"));
    else client.abort();
    if (end === "fails") await assertRejects(() => reading);
    await client.close();
    const others = Array.from({ length: 100 }, () => takeBytes(4096));
    assert(others.every(({ buffer }) => buffer !== array!.buffer));
    others.forEach(giveBytes);
    if (end !== "fails") held.failRead(new Error("closed"));
    await reading.catch(() => {});
    engine[Symbol.dispose]();
  });
}

/** Turns of the microtask queue. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

for (const first of ["read", "write"] as const) {
  test(`SSLSocket sends the answer to a KeyUpdate that comes as a write ends, the ${first} first`, async () => {
    for (let between = 0; between < 12; between++) {
      const { client, held, engine } = await connect();
      const buffer = new Uint8Array(100);
      const reading = client.read(buffer);
      const writing = client.write(encodeText("x"));
      await idle();
      assertEquals(held.written.length, 1);
      engine.updateKey(true);
      const keyUpdate = engine.takeRecords();
      if (first === "read") held.endRead(keyUpdate);
      else held.endWrite();
      await turns(between);
      if (first === "read") held.endWrite();
      else held.endRead(keyUpdate);
      await idle();
      assertEquals(held.written.length, 2, `the answer was forgotten, ${between} turns between the two`);

      for (const records of held.written) engine.receive(records);
      const n = engine.read(buffer.subarray(50));
      assertEquals(n, { state: "data", bytes: 1 });
      engine.write(encodeText("new keys"));
      held.endWrite();
      held.endRead(engine.takeRecords());
      await writing;
      assertEquals(await reading, 8);
      assertEquals(decodeText(buffer.subarray(0, 8)), "new keys");
      client.abort();
      engine[Symbol.dispose]();
    }
  });
}
