/** What an idle connection holds in the core: all but its keys goes to those who talk. */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Bytes } from "../lib/bytes.ts";
import type { Core } from "../lib/core.ts";
import { bytesFrom, chooser, configs, credential, EnginePair, fixedCore, VERSIONS } from "./pair.ts";

const BUFFERS = 34_000; // bytes; mbedTLS's two record buffers, and a little
/** Bytes of the core's heap that an idle connection may hold: what it does hold, and some room for a new field. */
const IDLE_MAX = {
  "TLSv1.2": { client: 3800, server: 2100 },
  "TLSv1.3": { client: 6000, server: 2100 }, // mbedTLS keeps a client's handshake, for the tickets that may come
};

/** `count` connections, each of which has carried a message in either direction. */
function talkers(both: ReturnType<typeof configs>, count: number): EnginePair[] {
  return Array.from({ length: count }, (_, i) => {
    const pair = new EnginePair(both.client, both.server).connect();
    const message = bytesFrom(i, 100);
    assertEquals(pair.send("client", message), message);
    assertEquals(pair.send("server", message), message);
    return pair;
  });
}

for (const [version, sslVersion] of VERSIONS) {
  const most = IDLE_MAX[version as keyof typeof IDLE_MAX];

  Deno.test(`Core: an idle connection holds its keys and not its buffers (${version})`, () => {
    const core = fixedCore();
    using both = configs(core, { sslVersion }, {}, { credential: credential("ec") });
    for (const pair of talkers(both, 1)) pair[Symbol.dispose](); // what mbedTLS allocates once for all
    const start = core.allocated;
    const pairs = talkers(both, 50);
    assert(
      core.allocated - start <= 50 * (most.client + most.server) + BUFFERS,
      `${core.allocated - start} bytes`,
    );
    for (const end of ["client", "server"] as const) {
      const before = core.allocated;
      for (const pair of pairs.slice(0, 49)) pair[end][Symbol.dispose]();
      const each = (before - core.allocated) / 49;
      assert(each <= most[end], `${each} bytes for each ${end}`);
    }
    for (const pair of pairs) pair[Symbol.dispose]();
    assertEquals(core.allocated, start);
  });

  Deno.test(`Core: connections that lend each other their buffers lose nothing (${version})`, () => {
    const core = fixedCore();
    using both = configs(core, { sslVersion }, {}, { credential: credential("ec") });
    const choose = chooser(3);
    const pairs = talkers(both, 8);
    const nothing = () => ({ records: [] as number[], sent: [] as number[], got: [] as number[] });
    /** What is on its way, and what has not arrived yet, for each pair and direction. */
    const ways = pairs.flatMap((pair) => [
      { from: pair.client, to: pair.server, ...nothing() },
      { from: pair.server, to: pair.client, ...nothing() },
    ]);
    const buffer = new Uint8Array(300);
    const read = (way: typeof ways[number]) => {
      for (;;) {
        const outcome = way.to.read(buffer.subarray(0, 1 + choose(300)));
        if (outcome.state !== "data") return;
        way.got.push(...buffer.subarray(0, outcome.bytes));
        if (choose(4) === 0) return; // the rest stays in the core
      }
    };
    for (let i = 0; i < 2000; i++) {
      const way = ways[choose(ways.length)]!;
      if (choose(3) === 0) {
        const message = bytesFrom(i, 1 + choose(600));
        assertEquals(way.from.write(message), message.length);
        way.sent.push(...message);
        if (version === "TLSv1.3" && choose(10) === 0) way.from.updateKey();
        way.records.push(...way.from.takeRecords());
      } else {
        const piece = way.records.splice(0, 1 + choose(500)); // often a part of a record
        if (piece.length > 0) way.to.receive(Uint8Array.from(piece));
        read(way);
      }
    }
    for (const { to, records, sent, got } of ways) {
      to.receive(Uint8Array.from(records));
      for (let outcome = to.read(buffer); outcome.state === "data"; outcome = to.read(buffer)) {
        got.push(...buffer.subarray(0, outcome.bytes));
      }
      assertEquals(got, sent);
    }
    for (const pair of pairs) pair[Symbol.dispose]();
  });

  Deno.test(`Core: buffers that pass to another connection are wiped (${version})`, () => {
    const core = fixedCore();
    using both = configs(core, { sslVersion }, {}, { credential: credential("ec") });
    const [one, other] = talkers(both, 2) as [EnginePair, EnginePair];
    one.server.write(bytesFrom(7, 10_000));
    const record = one.server.takeRecords();
    const end = record.slice(record.length - 64);
    assert(holds(core, end), "the search finds what is there");
    other.server.write(bytesFrom(8, 10)); // far shorter: it would leave the end of the other record
    assert(!holds(core, end));
    one[Symbol.dispose]();
    other[Symbol.dispose]();
  });
}

function holds(core: Core, bytes: Bytes): boolean {
  return Buffer.from(core.memory.buffer).indexOf(bytes) >= 0;
}
