/** What a handshake would take on a device: the check values of what is published, bounds, and what is missing. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HandshakeCost, Operation } from "../lib/cost/cost.ts";
import { deviceNames, resolveDevice } from "../lib/cost/device.ts";
import { estimate } from "../lib/cost/estimate.ts";
import { type Figure, RELIABILITY, worst } from "../lib/cost/figure.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { configs, EnginePair, fixedCore, VERSIONS } from "./pair.ts";

const NOTHING = networkCost([], { role: "server" });

/** A cost of operations alone. */
function cost(
  operations: Partial<Record<Operation, number>>,
  rest: Partial<HandshakeCost> = {},
): HandshakeCost {
  return { resumed: false, network: NOTHING, operations, ...rest };
}

/** Sums of floating-point numbers are not exact. */
function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) < 1e-6, `${actual} instead of ${expected}`);
}

/** Check values: what, operations, likely milliseconds of CPU on the ESP32. */
const CHECKS: [string, Partial<Record<Operation, number>>, number][] = [
  ["RSA-2048 server, P-256, warm key", { "P-256 multiply": 2, "RSA-2048 private warm": 1 }, 500],
  ["RSA-2048 server, P-256, new context", { "P-256 multiply": 2, "RSA-2048 private cold": 1 }, 720],
  ["P-256 server", { "P-256 multiply": 2, "P-256 sign": 1 }, 455],
  ["P-256 client, chain not verified", { "P-256 multiply": 2, "P-256 verify": 1 }, 600],
  ["P-256 client, two certificates verified", { "P-256 multiply": 2, "P-256 verify": 3 }, 1200],
  ["RSA-2048 client, chain not verified", { "P-256 multiply": 2, "RSA-2048 public": 1 }, 318],
  ["RSA-2048 client, two certificates verified", { "P-256 multiply": 2, "RSA-2048 public": 3 }, 354],
  ["P-384 server", { "P-384 multiply": 2, "P-384 sign": 1 }, 900],
];

for (const [name, operations, expected] of CHECKS) {
  Deno.test(`estimate: ${name}: ${expected} ms on an ESP32`, () => {
    const { groups: { cpu }, missing } = estimate(cost(operations), "esp32");
    assertEquals(missing, []);
    assertNear(cpu.likely, expected);
    assert(
      cpu.low > expected * 0.7 && cpu.low < expected && cpu.high > expected && cpu.high < expected * 1.4,
    );
  });
}

Deno.test("estimate: reported handshakes of MicroPython on an ESP32 lie within low and high", () => {
  const within = (operations: Partial<Record<Operation, number>>, reported: number) => {
    const { low, high } = estimate(cost(operations), "esp32");
    assert(low <= reported && reported <= high, `${low} to ${high}`);
  };
  within({ "P-384 multiply": 2, "P-384 sign": 1 }, 983); // microdot#34
  within({ "P-256 multiply": 2, "RSA-2048 private cold": 1 }, 1000); // esp32_https_server#21
});

/** The network's half of a real handshake. */
function realNetwork(sslVersion: (typeof VERSIONS)[number][1], resumed: boolean) {
  using both = configs(fixedCore(), { sslVersion });
  using first = new EnginePair(both.client, both.server).connect();
  const events: TraceEvent[] = [];
  using pair = new EnginePair(both.client, both.server, {
    serverTrace: (event) => events.push(event),
    ...(resumed && { savedSession: first.client.session() }),
  }).connect();
  assertEquals(pair.client.sessionReused, resumed);
  return networkCost(events);
}

Deno.test("estimate: a resumed TLS 1.2 handshake takes an ESP32 less than 50 ms of CPU", () => {
  const network = realNetwork(VERSIONS[0][1], true);
  const bulk = { "AES-GCM": 600, "SHA-256": 20_000 };
  const { groups: { cpu, transfer, network: waits } } = estimate({
    resumed: true,
    network,
    operations: {},
    bulk,
  }, "esp32");
  assert(cpu.likely > 0 && cpu.high < 50, `${cpu.high}`);
  assert(transfer.likely > 0);
  assertEquals(waits.likely, 0, "no link");
});

Deno.test("estimate: its groups and its parts add up to it; bytes count by KiB, round trips by the link", () => {
  const network = realNetwork(VERSIONS[0][1], false);
  const all = estimate(
    { resumed: false, network, operations: { "P-256 multiply": 2 }, bulk: { "SHA-256": 4096 } },
    "esp32",
    { link: { rtt: 60 } },
  );
  const { groups, parts } = all;
  assertNear(groups.transfer.likely, 14 * (network.up.bytes + network.down.bytes) / 1024);
  assertNear(groups.cpu.likely, 300 + 0.36);
  assertEquals(groups.network, { low: 120, likely: 120, high: 120 });
  assertNear(groups.fixed.likely, 20 + 75);
  for (const bound of ["low", "likely", "high"] as const) {
    const sum = Object.values(groups).reduce((sum, group) => sum + group[bound], 0);
    assertNear(all[bound], sum);
    assertNear(all[bound], parts.reduce((sum, part) => sum + part[bound], 0));
  }
  assertEquals(parts.map(({ name }) => name).slice(0, 2), ["P-256 multiply", "SHA-256"]);
  assert(parts.every(({ source, reliability }) => source !== "" && RELIABILITY.includes(reliability)));
});

Deno.test("estimate: its reliability is the worst of what makes a tenth of it", () => {
  const { fixed: _, ...table } = resolveDevice("esp32");
  const device = { ...table, fixed: {} };
  assertEquals(estimate(cost({ "P-256 multiply": 2 }), device).reliability, "derived");
  assertEquals(estimate(cost({ "RSA-2048 private warm": 1 }), device).reliability, "measured");
  assertEquals(
    estimate(cost({ "RSA-2048 private warm": 1, "P-521 multiply": 1 }), device).reliability,
    "guess",
  );
  const little = cost({ "RSA-4096 private warm": 10 }, { bulk: { "AES-GCM": 100 } });
  assertEquals(estimate(little, device).reliability, "measured", "a ceiling, but of next to nothing");
  const tenth = (count: number) =>
    estimate(cost({ "RSA-4096 private warm": count, "P-384 multiply": 1 }), device).reliability;
  assertEquals([tenth(3), tenth(4)], ["derived", "measured"], "300 of 2850 ms, and of 3700");
  assertEquals(worst(["measured", "given"]), "measured");
  assertEquals(estimate(cost({}), device).reliability, "guess", "nothing is known, nothing can be trusted");
});

Deno.test("estimate: what a device has no figure for is missing, not nothing", () => {
  const { missing, likely, parts } = estimate(
    cost({ "P-256 multiply": 2, "RSA-4096 private cold": 1, "P-256 sign": 0 }, { bulk: { "AES-GCM": 100 } }),
    "rp2040",
  );
  assertEquals(missing, ["P-256 multiply", "AES-GCM"]);
  assertEquals([likely, parts.length], [23_000, 1]);
  const real = estimate(cost({}, { network: realNetwork(VERSIONS[1][1], false) }), "rp2040");
  assertEquals(real.missing, ["records"]);
});

Deno.test("estimate: a few bytes through a cipher without a figure are a guess, many are missing", () => {
  const of = (bytes: number) => estimate(cost({}, { bulk: { "ChaCha20-Poly1305": bytes } }), "esp32");
  const few = of(32);
  assertEquals([few.missing, few.parts.length], [[], 3]);
  const part = few.parts.find(({ name }) => name === "ChaCha20-Poly1305")!;
  assertEquals([part.reliability, part.low, part.unit], ["guess", 0, "bytes"]);
  assertNear(part.likely, 2 * 32 / 1024); // as AES-GCM, the slowest
  assertNear(part.high, 20 * 32 / 1024);
  assertEquals(of(48).missing, [], "0.94 of 95 ms at most");
  assertEquals(of(49).missing, ["ChaCha20-Poly1305"]);
  assertEquals(of(49).likely, 95);
});

Deno.test("estimate: an unknown device lists the known ones", () => {
  assertThrows(
    () => estimate(cost({}), "esp9000"),
    TypeError,
    'Cannot estimate for device: unknown name "esp9000"; known are esp32, esp32-s3, esp32-c3, rp2040',
  );
  assertThrows(() => resolveDevice("constructor"), TypeError, "unknown name");
});

Deno.test("estimate: without counts it says so", () => {
  assertThrows(
    () => estimate({ resumed: false, network: NOTHING }, "esp32"),
    TypeError,
    "the operations were not counted",
  );
});

Deno.test("Device: each figure has bounds in order, a reliability and a source", () => {
  for (const name of deviceNames()) {
    const device = resolveDevice(name);
    assertEquals(device.name, name);
    const figures: Record<string, Figure | undefined> = {
      ...device.operations,
      ...device.bulk,
      ...device.fixed,
      ...(device.transfer && { transfer: device.transfer }),
    };
    assert(Object.keys(figures).length > 0);
    for (const [of, figure] of Object.entries(figures)) {
      const { low, likely, high, reliability, source } = figure!;
      assert(low > 0 && low <= likely && likely <= high && high < Infinity, `${name} ${of}`);
      assert(
        RELIABILITY.includes(reliability) && reliability !== "given" && source.length > 10,
        `${name} ${of}`,
      );
    }
  }
});

Deno.test("Device: what is harder takes longer", () => {
  for (const name of ["esp32", "esp32-s3", "esp32-c3"]) {
    const { operations } = resolveDevice(name);
    const of = (operation: Operation) => operations[operation]!.likely;
    assert(of("P-256 sign") >= of("P-256 multiply") && of("P-256 verify") > 1.8 * of("P-256 multiply"));
    assert(of("P-384 verify") > 1.8 * of("P-256 verify"));
  }
  const { operations } = resolveDevice("esp32");
  for (const size of [2048, 3072, 4096]) {
    const [easy, warm, cold] = (["public", "private warm", "private cold"] as const)
      .map((kind) => operations[`RSA-${size} ${kind}`]!.likely);
    assert(easy! < warm! && warm! < cold!);
  }
});
