/** What a connection has cost: `measure`, `cost()`, and when it is fixed. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import { configs, ENDS, EnginePair, fixedCore, source, VERSIONS } from "./pair.ts";

const core = fixedCore();

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`cost: bytes and round trips are those on the wire, at both ends (${version})`, () => {
    using both = configs(core, { sslVersion, measure: true });
    using pair = new EnginePair(both.client, both.server).connect();
    const before = ENDS.map((end) => pair[end].cost().handshake);
    pair.send("client", encodeText("hello"));
    pair.send("server", new Uint8Array(20_000));
    pair.close();
    ENDS.forEach((end, i) => {
      const { handshake, total } = pair[end].cost();
      const { rest, ...network } = handshake.network;
      const { rest: restBefore, ...networkBefore } = before[i]!.network;
      assertEquals({ ...handshake, network }, { ...before[i], network: networkBefore }, "it is fixed");
      assertEquals([network.complete, network.role, handshake.resumed], [true, end, false]);
      assertEquals([rest.up.dataBytes, rest.down.dataBytes], [5, 20_000]);
      assertEquals(total.up.bytes, pair.flight("client").length);
      assertEquals(total.down.bytes, pair.flight("server").length);
      assertEquals([restBefore.up.dataBytes, total.down.dataBytes], [0, 20_000]);
    });
  });

  Deno.test(`cost: stays known once the connection is freed; a trace beside it sees the same (${version})`, () => {
    const events: TraceEvent[] = [];
    using both = configs(core, { sslVersion, measure: true });
    const pair = new EnginePair(both.client, both.server, { trace: (event) => events.push(event) }).connect();
    pair.close();
    const before = ENDS.map((end) => pair[end].cost());
    pair[Symbol.dispose]();
    assertEquals(ENDS.map((end) => pair[end].cost()), before);
    const { elapsed: _, ...traced } = networkCost(events);
    const { elapsed: __, ...counted } = before[0]!.handshake.network;
    assertEquals(counted, traced);
  });

  Deno.test(`cost: a handshake that fails has cost what it took; its network is not complete (${version})`, () => {
    using both = configs(core, { sslVersion, measure: true }, { trust: [source("root-rsa.pem")] });
    const pair = new EnginePair(both.client, both.server);
    pair.run();
    assert(pair.errors.client !== undefined);
    const before = ENDS.map((end) => pair[end].cost());
    pair[Symbol.dispose]();
    assertEquals(ENDS.map((end) => pair[end].cost()), before);
    for (const { handshake, total } of before) {
      assertEquals([handshake.network.complete, handshake.resumed], [false, false]);
      assertEquals(total.up.bytes, pair.flight("client").length);
    }
  });
}

Deno.test("cost: a TypeError names measure where it was not asked for; measure is a boolean, and not for DTLS", () => {
  using both = configs(core);
  using pair = new EnginePair(both.client, both.server).connect();
  assertThrows(() => pair.client.cost(), TypeError, "measure was not asked for");
  assertThrows(
    () => configs(core, { measure: 1 as never }),
    TypeError,
    "Cannot use measure: expected true or false, got number",
  );
  assertThrows(
    () => configs(core, { measure: true, datagrams: {} }),
    TypeError,
    "Cannot use measure: it is for streams",
  );
});
