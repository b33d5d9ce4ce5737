/** Budgets: what is kept passes, what is not says what took it, and what cannot be checked is not passed over. */
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { assertHandshakeCost, type HandshakeBudget, HandshakeBudgetError } from "../lib/cost/budget.ts";
import type { HandshakeCost } from "../lib/cost/cost.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { configs, EnginePair, fixedCore, source, VERSIONS } from "./pair.ts";

const COUNTED = {
  operations: { "P-256 multiply": 2, "RSA-2048 private cold": 1 },
  bulk: { "SHA-256": 4000 },
  heap: { peak: 41_000, live: 24_000, phases: { ServerHello: 30_000, ServerKeyExchange: 41_000 } },
} as const;

/** A real handshake's network, with counts of a device's core. */
function realCost([, sslVersion]: (typeof VERSIONS)[number], fails = false): HandshakeCost {
  using both = configs(fixedCore(), { sslVersion }, fails ? { trust: [source("root-rsa.pem")] } : {});
  const events: TraceEvent[] = [];
  using pair = new EnginePair(both.client, both.server, { serverTrace: (event) => events.push(event) });
  pair.run();
  return { resumed: false, network: networkCost(events), ...COUNTED };
}

for (const version of VERSIONS) {
  const roundTrips = version[0] === "TLSv1.2" ? 2 : 1;
  const cost = realCost(version);
  const { up, down } = cost.network;

  Deno.test(`assertHandshakeCost: what is exactly kept passes, one less does not (${version[0]})`, () => {
    const exact: HandshakeBudget = {
      maxBytesUp: up.bytes,
      maxBytesDown: down.bytes,
      maxRoundTrips: roundTrips,
      maxPeakHeap: 41_000,
      maxDeviceMs: 1000,
    };
    assertHandshakeCost(cost, exact);
    for (const limit of ["maxBytesUp", "maxBytesDown", "maxRoundTrips", "maxPeakHeap"] as const) {
      const allowed = exact[limit]! - 1;
      const error = assertThrows(
        () => assertHandshakeCost(cost, { ...exact, [limit]: allowed }),
        HandshakeBudgetError,
        `Handshake over its budget: ${limit} ${allowed}, but took ${allowed + 1}: `,
      );
      assertEquals(error.excesses.map((excess) => [excess.limit, excess.actual]), [[limit, allowed + 1]]);
    }
  });

  Deno.test(`assertHandshakeCost: says what took it (${version[0]})`, () => {
    const { message, excesses } = assertThrows(
      () =>
        assertHandshakeCost(cost, {
          maxBytesDown: 500,
          maxRoundTrips: 0,
          maxPeakHeap: 30_000,
          maxDeviceMs: 700,
        }),
      HandshakeBudgetError,
    );
    assertEquals(excesses.map(({ limit }) => limit), [
      "maxBytesDown",
      "maxRoundTrips",
      "maxPeakHeap",
      "maxDeviceMs",
    ]);
    assertMatch(
      message,
      new RegExp(`maxBytesDown 500, but took ${down.bytes}: certificate ${down.certificateBytes}, `),
    );
    assertMatch(message, new RegExp(`maxRoundTrips 0, but took ${roundTrips}: server_hello 1`));
    assertMatch(message, /maxPeakHeap 30000, but took 41000: ServerKeyExchange 41000, ServerHello 30000/);
    assertMatch(
      message,
      /maxDeviceMs 700, but took 8\d\d\.\d: RSA-2048 private cold 420, 2 × P-256 multiply 300, /,
    );
  });
}

Deno.test("assertHandshakeCost: maxBytesDown: its first four parts are nearly all of it", () => {
  const cost = realCost(VERSIONS[0]);
  const { excesses: [excess] } = assertThrows(
    () => assertHandshakeCost(cost, { maxBytesDown: 0 }),
    HandshakeBudgetError,
  );
  const sum = excess!.takers.reduce((sum, taker) => sum + Number(taker.split(" ").at(-1)), 0);
  assertEquals(excess!.takers.length, 4);
  assertEquals(sum > excess!.actual * 0.9 && sum <= excess!.actual, true);
});

Deno.test("assertHandshakeCost: a limit passed by a fraction is seen to be passed", () => {
  const { operations: _, bulk: __, ...rest } = realCost(VERSIONS[0]);
  const network = { ...networkCost([], { role: "server" }), complete: true };
  const cost = { ...rest, network, operations: { "P-256 multiply": 1 }, bulk: { "SHA-256": 8000 } } as const;
  assertThrows(
    () => assertHandshakeCost(cost, { maxDeviceMs: 245 }),
    HandshakeBudgetError,
    "maxDeviceMs 245, but took 245.7: ",
  );
});

Deno.test("assertHandshakeCost: maxDeviceMs takes a device and a link", () => {
  const { operations: _, ...rest } = realCost(VERSIONS[0]);
  const cost = { ...rest, operations: { "P-256 multiply": 2, "P-256 sign": 1 } } as const;
  assertHandshakeCost(cost, { maxDeviceMs: 1500, device: "esp32-c3" });
  assertHandshakeCost(cost, { maxDeviceMs: 1500, link: { rtt: 60 } });
  const over = (budget: HandshakeBudget) =>
    assertThrows(() => assertHandshakeCost(cost, { maxDeviceMs: 1500, ...budget }), HandshakeBudgetError)
      .message;
  assertMatch(over({ link: "2g" }), /round trips and bytes 1\d\d\d, /);
  assertThrows(
    () => assertHandshakeCost(cost, { maxDeviceMs: 1, device: "esp9000" }),
    TypeError,
    "known are esp32",
  );
  assertThrows(() => assertHandshakeCost(cost, { maxDeviceMs: 1, link: "5g" }), TypeError, "known are 2g");
});

Deno.test("assertHandshakeCost: what cannot be checked is no success", () => {
  const cost = realCost(VERSIONS[0]);
  const { network } = cost;
  const refused: [HandshakeCost, object, string][] = [
    [cost, {}, "the budget has no limit; known are maxBytesUp, maxBytesDown, maxRoundTrips"],
    [cost, { maxBytesDown: undefined, device: "esp32" }, "the budget has no limit"],
    [cost, { maxBytes: 100 }, "Cannot check maxBytes: unknown limit; known are maxBytesUp"],
    [cost, { maxBytesDown: "9999" }, "Cannot check maxBytesDown: expected a number of 0 or more, got string"],
    [cost, { maxRoundTrips: -1 }, "Cannot check maxRoundTrips: expected a number of 0 or more, got -1"],
    [cost, { maxBytesDown: NaN }, "expected a number of 0 or more, got NaN"],
    [{ resumed: false, network }, { maxPeakHeap: 1e9 }, "Cannot check maxPeakHeap: the heap was not counted"],
    [{ resumed: false, network }, { maxDeviceMs: 1e9 }, "the operations were not counted"],
    [
      cost,
      { maxDeviceMs: 1e9, device: "rp2040" },
      "rp2040 has no figure for P-256 multiply, RSA-2048 private cold",
    ],
    [realCost(VERSIONS[0], true), { maxBytesDown: 1e9 }, "it is not complete"],
  ];
  for (const [cost, budget, message] of refused) {
    assertThrows(() => assertHandshakeCost(cost, budget as HandshakeBudget), TypeError, message);
  }
});
