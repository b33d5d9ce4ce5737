/** What resumption saves: by real handshakes, by hand, and where it saves nothing. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { HandshakeCost } from "../lib/cost/cost.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import { type ReconnectPlan, resumptionReport } from "../lib/cost/resumption.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { configs, EnginePair, fixedCore, VERSIONS } from "./pair.ts";

/** A full handshake and one that resumes it, at the client, with what its operations are. */
function bothCosts([, sslVersion]: (typeof VERSIONS)[number], server: TLSConfigOptions = {}) {
  using both = configs(fixedCore(), { sslVersion }, {}, server);
  const count = (savedSession?: SSLSession) => {
    const events: TraceEvent[] = [];
    using pair = new EnginePair(both.client, both.server, {
      trace: (event) => events.push(event),
      ...(savedSession && { savedSession }),
    }).connect();
    const resumed = pair.client.sessionReused;
    const operations = resumed ? {} : { "P-256 multiply": 2, "P-256 verify": 2 } as const;
    const cost: HandshakeCost = {
      resumed,
      network: networkCost(events),
      operations,
      bulk: { "SHA-256": 2048 },
    };
    const [up, down] = (["client", "server"] as const).map((end) => pair.flight(end).length);
    return { cost, session: pair.client.session(), up: up!, down: down! };
  };
  const full = count();
  return { full, resumed: count(full.session) };
}

const HOURLY = { interval: 300, ticketLifetime: 3600 };

Deno.test("resumptionReport: TLS 1.2, whose ticket lasts for its lifetime", () => {
  const { full, resumed } = bothCosts(VERSIONS[0]);
  const { perResumption, perConnection, perDay, ...rest } = resumptionReport(full.cost, resumed.cost, HOURLY);
  const ticket = full.cost.network.down.ticketBytes;
  assert(ticket > 100);
  assertEquals([rest.resumedPerFull, rest.resumedShare], [12, 12 / 13]);
  assertEquals(perResumption, {
    bytesUp: full.up - resumed.up,
    bytesDown: full.down - resumed.down - ticket,
    roundTrips: 1,
    ms: undefined,
    cpuMs: undefined,
  });
  // Thirteen connections: one full with its ticket, twelve resumed, against thirteen full ones without.
  const without = 13 * (full.down - ticket);
  assertNear(13 * perConnection.bytesDown, without - full.down - 12 * resumed.down);
  assertNear(perDay.bytesDown, 288 * perConnection.bytesDown);
  assertNear(perDay.roundTrips, 288 * 12 / 13);
  assertEquals(rest.breakEven, { ticketBytes: ticket, resumptions: 1, interval: 3600 });
});

Deno.test("resumptionReport: TLS 1.3, each of whose handshakes renews it", () => {
  const { full, resumed } = bothCosts(VERSIONS[1]);
  const report = resumptionReport(full.cost, resumed.cost, HOURLY);
  assertEquals([report.resumedPerFull, report.resumedShare], [Infinity, 1]);
  assertEquals(report.perConnection, report.perResumption);
  const { rest } = full.cost.network;
  assertEquals(report.breakEven.ticketBytes, rest.down.ticketBytes);
  assertEquals(
    report.perResumption.bytesDown,
    full.cost.network.down.bytes - resumed.cost.network.down.bytes -
      resumed.cost.network.rest.down.ticketBytes,
  );
  assertEquals(report.perResumption.roundTrips, 0);
  const once = resumptionReport(full.cost, resumed.cost, { ...HOURLY, renewed: false });
  assertEquals(once.resumedPerFull, 12);
});

Deno.test("resumptionReport: who connects less often than tickets last pays for them alone", () => {
  const { full, resumed } = bothCosts(VERSIONS[0]);
  const at = (interval: number) =>
    resumptionReport(full.cost, resumed.cost, { interval, ticketLifetime: 3600 });
  assertEquals([at(3600).resumedPerFull, at(1801).resumedPerFull, at(1800).resumedPerFull], [1, 1, 2]);
  assert(at(3600).perDay.bytesDown > 0);
  const rare = at(3601);
  assertEquals([rare.resumedPerFull, rare.resumedShare], [0, 0]);
  assertEquals(rare.perConnection.bytesDown, -full.cost.network.down.ticketBytes);
  assertEquals([rare.perConnection.bytesUp, rare.perDay.roundTrips], [0, 0]);
});

Deno.test("resumptionReport: a device's time and CPU, and the link's waits", () => {
  const { full, resumed } = bothCosts(VERSIONS[0]);
  const plan = { ...HOURLY, device: "esp32", link: { rtt: 60 } };
  const { perResumption: { ms, cpuMs }, perDay, missing } = resumptionReport(full.cost, resumed.cost, plan);
  assertNear(cpuMs!.likely, 2 * 150 + 2 * 300); // the hash is the same
  assert(cpuMs!.low > 700 && cpuMs!.high < 1300);
  const transfer = 14 * (full.up + full.down - resumed.up - resumed.down) / 1024;
  assertNear(ms!.likely, 900 + 60 + transfer);
  assertNear(perDay.cpuMs!.likely, 900 * 288 * 12 / 13);
  assertEquals(missing, []);

  const waits = resumptionReport(full.cost, resumed.cost, { ...HOURLY, link: { rtt: 60 } }).perResumption;
  assertEquals([waits.ms, waits.cpuMs], [{ low: 60, likely: 60, high: 60 }, undefined]);
  const little = resumptionReport(full.cost, resumed.cost, { ...HOURLY, device: "rp2040" });
  assertEquals(little.missing, ["P-256 multiply", "P-256 verify", "records", "SHA-256"]);
});

Deno.test("resumptionReport: a resumption that saves no bytes never pays for the ticket", () => {
  const { full: { cost: { network } } } = bothCosts(VERSIONS[0]);
  const { down: { bytes, ticketBytes } } = network;
  const free = { ...network, down: { ...network.down, bytes: bytes - ticketBytes, ticketBytes: 0 } };
  const { breakEven, perDay } = resumptionReport({ resumed: false, network }, {
    resumed: true,
    network: free,
  }, HOURLY);
  assertEquals(breakEven.resumptions, Infinity);
  assert(perDay.bytesDown < 0);
});

Deno.test("resumptionReport: refuses costs that cannot be compared, and times that cannot be", () => {
  const { full: { cost: full }, resumed: { cost: resumed } } = bothCosts(VERSIONS[0]);
  const refused: [HandshakeCost, HandshakeCost, Partial<ReconnectPlan>, string][] = [
    [full, full, {}, "Cannot use resumed: that handshake did not resume a session"],
    [resumed, resumed, {}, "Cannot use full: that handshake resumed a session"],
    [
      { ...full, network: { ...full.network, complete: false } },
      resumed,
      {},
      "Cannot use full: that handshake is not",
    ],
    [
      full,
      { ...resumed, network: { ...resumed.network, role: "server" } },
      {},
      "one was counted by the client",
    ],
    [full, resumed, { device: "esp9000" }, "known are esp32"],
    [full, resumed, { link: "5g" }, "known are 2g"],
  ];
  for (const [one, other, plan, message] of refused) {
    assertThrows(() => resumptionReport(one, other, { ...HOURLY, ...plan }), TypeError, message);
  }
  for (const name of ["interval", "ticketLifetime"]) {
    for (const value of [0, -1, NaN, "60" as unknown as number]) {
      const plan = { ...HOURLY, [name]: value };
      assertThrows(() => resumptionReport(full, resumed, plan), RangeError, `Cannot use ${name}: expected`);
    }
  }
});

function assertNear(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) < 1e-6, `${actual} instead of ${expected}`);
}
