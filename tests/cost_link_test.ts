/** The model of the network, by hand; cost_loopback_test.ts has it against real handshakes. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Flight, networkCost } from "../lib/cost/network_cost.ts";
import { type Link, linkNames, modelHandshake, resolveLink } from "../lib/cost/link.ts";
import { estimate } from "../lib/cost/estimate.ts";
import { RELIABILITY } from "../lib/cost/figure.ts";

/** Flights of so many bytes, up and down in turn. */
function flights(...bytes: number[]): { flights: Flight[] } {
  return {
    flights: bytes.map((bytes, i) => ({ way: i % 2 === 0 ? "up" : "down", bytes, records: 1, messages: [] })),
  };
}

Deno.test("modelHandshake: round trips alone", () => {
  const link = { rtt: 60 };
  const full = modelHandshake(flights(200, 2000, 100, 200), link); // TLS 1.2
  assertEquals([full.connect, full.client, full.server], [60, 120, 90]);
  const short = modelHandshake(flights(200, 2000, 100), link); // resumed, and TLS 1.3
  assertEquals([short.client, short.server], [60, 90]);
  assertEquals(modelHandshake(flights(), link), { connect: 60, client: 0, server: 0, flights: [] });
});

Deno.test("modelHandshake: bytes at the rate of their way", () => {
  const link = { rtt: 100, kbpsUp: 8, kbpsDown: 80 }; // 1 and 10 bytes a millisecond
  const { client, server, flights: modelled } = modelHandshake(flights(200, 2000, 100), link);
  assertEquals(modelled, [
    { way: "up", bytes: 200, leaves: 0, arrives: 250 },
    { way: "down", bytes: 2000, leaves: 250, arrives: 500 },
    { way: "up", bytes: 100, leaves: 500, arrives: 650 },
  ]);
  assertEquals([client, server], [500, 650]);
});

Deno.test("modelHandshake: links have names, bounds and sources; an unknown one lists them", () => {
  assertEquals(linkNames(), ["2g", "lte-m", "lora"]);
  for (const name of linkNames()) {
    const { source, reliability } = resolveLink(name);
    assert(source!.length > 10 && RELIABILITY.includes(reliability!));
    assertEquals(modelHandshake(flights(200, 2000, 100), name).client > resolveLink(name).rtt, true);
  }
  assertThrows(
    () => modelHandshake(flights(), "5g"),
    TypeError,
    'unknown name "5g"; known are 2g, lte-m, lora',
  );
  assertThrows(() => modelHandshake(flights(), "constructor"), TypeError, "unknown name");
});

Deno.test("modelHandshake: a link that cannot be is refused, by the name of its number", () => {
  const refused: [Partial<Link>, string][] = [
    [{}, "rtt must be 0 milliseconds or more, got undefined"],
    [{ rtt: -1 }, "rtt must be"],
    [{ rtt: Infinity }, "rtt must be"],
    [{ rtt: 1, kbpsUp: 0 }, "kbpsUp must be above 0, got 0"],
    [{ rtt: 1, kbpsDown: NaN }, "kbpsDown must be above 0, got NaN"],
  ];
  for (const [link, message] of refused) {
    assertThrows(() => modelHandshake(flights(), link as Link), RangeError, message);
  }
});

Deno.test("estimate: a link's waits are its client's, and as reliable as the link", () => {
  const network = { ...networkCost([], { role: "client" }), ...flights(200, 2000, 100) };
  const parts = (link: Link | string) =>
    estimate({ resumed: true, network, operations: {} }, "esp32", { link }).parts;
  const of = (link: Link | string) => parts(link).find(({ group }) => group === "network")!;
  assertEquals([of({ rtt: 40 }).likely, of({ rtt: 40 }).reliability], [40, "given"]);
  assertEquals(of("lora").reliability, "guess");
});
