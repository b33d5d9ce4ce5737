// The parts of `tlsio bench handshake`: the table of scenarios, statistics, rounds, what a resumed run must do, output.
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { readOptions } from "../lib/context_options.ts";
import { environment, ourImplementation } from "../lib/cli/bench/environment.ts";
import { ClientMeasurer } from "../lib/cli/bench/client.ts";
import { renderCsv } from "../lib/cli/bench/csv.ts";
import { benchHandshakes } from "../lib/cli/bench/handshake.ts";
import { Identities } from "../lib/cli/bench/identities.ts";
import { MemoryMeasurer, MemoryTarget } from "../lib/cli/bench/memory.ts";
import { type Measurer, ScenarioError } from "../lib/cli/bench/measurer.ts";
import { OutputFile } from "../lib/cli/output_file.ts";
import { EndConfigs } from "../lib/cli/bench/policies.ts";
import type { BenchResult } from "../lib/cli/bench/result.ts";
import { runRounds } from "../lib/cli/bench/runner.ts";
import { allScenarios, chooseScenarios, scenarioOf } from "../lib/cli/bench/scenarios.ts";
import { statisticsOf, timerStep } from "../lib/cli/bench/statistics.ts";
import { renderTable } from "../lib/cli/bench/table.ts";
import { CommandError, UsageError } from "../lib/cli/flags.ts";
import { modelHandshake } from "../lib/cost/link.ts";
import { SSLContext, TicketKeyRing } from "../mod.ts";
import { tempDir } from "./peers.ts";

const IDENTITIES = new Identities();
const NEVER = new AbortController().signal;
const PLAIN = { bold: String, dim: String, good: String, bad: String };
const SILENT = { update() {}, [Symbol.dispose]() {} };

async function bench(
  names: string[],
  given: Partial<Parameters<typeof benchHandshakes>[0]> = {},
): Promise<BenchResult> {
  await using target = new MemoryTarget(chooseScenarios({ scenario: names }));
  return await benchHandshakes({
    target,
    effort: { runs: 3, warmUp: 1 },
    models: { devices: [], links: [] },
    links: [],
    progress: SILENT,
    signal: NEVER,
    ...given,
  });
}

Deno.test("statistics: median, p95 by nearest rank, least, greatest", () => {
  assertEquals(statisticsOf([3, 1, 2]), { median: 2, p95: 3, min: 1, max: 3, runs: 3 });
  assertEquals(statisticsOf([4, 1, 3, 2]).median, 2.5);
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals(statisticsOf(hundred), { median: 50.5, p95: 95, min: 1, max: 100, runs: 100 });
  assertEquals(statisticsOf(hundred.slice(0, 20)).p95, 99);
  assertThrows(() => statisticsOf([]), RangeError, "there is none");
});

Deno.test("statistics: the step of a clock is the smallest that it makes", () => {
  let reading = 0;
  assertEquals(timerStep(() => Math.floor(reading++ / 3) * 5, 100), 5);
  assertEquals(timerStep(() => 1, 10), 0);
});

Deno.test("scenarios: each has a name of its own, and what does not exist is not there", () => {
  const all = allScenarios();
  assertEquals(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { version, kind, profile, key } of all) {
    if (profile !== "default") assertEquals(version, "1.2");
    if (kind === "psk" || kind === "ecdhe-psk") assert(profile === "default" || profile === "rp2");
    if (kind === "ticket" || kind === "session-id") assert(profile !== "esp32" && profile !== "rp2");
    if (kind === "session-id" || kind === "psk") assertEquals(version, "1.2");
    assertEquals(key === undefined, kind === "psk" || kind === "ecdhe-psk");
  }
  assert(all.some(({ name }) => name === "1.3/RSA-4096/mutual"));
});

Deno.test("scenarios: flags choose, and what was asked for and does not exist is said", () => {
  const names = (choice: Parameters<typeof chooseScenarios>[0], withFull = false) =>
    chooseScenarios(choice, withFull).scenarios.map(({ name }) => name);
  assertEquals(names({ key: ["P-384"] }), ["1.2/P-384/full", "1.3/P-384/full"]);
  assertEquals(names({ version: ["1.2"], kind: ["psk,ticket"] }), ["1.2/psk", "1.2/P-256/ticket"]);
  assertEquals(names({ kind: ["ticket"], version: ["1.3"] }, true), ["1.3/P-256/full", "1.3/P-256/ticket"]);
  assertEquals(names({ scenario: ["1.2/p-256/FULL/esp32"] }), ["1.2/P-256/full/esp32"]);
  const { skipped } = chooseScenarios({ kind: ["session-id"] });
  assertEquals(skipped.map(({ name, failed }) => [name, failed]), [["1.3/P-256/session-id", false]]);
  assert(chooseScenarios({}).scenarios.length >= 10);
  for (
    const [choice, words] of [
      [{ key: ["P-1"] }, 'unknown key "P-1"; known are P-256, P-384, RSA-2048, RSA-4096, all'],
      [{ version: ["1.1"] }, 'unknown version "1.1"; known are 1.2, 1.3, all'],
      [
        { kind: ["half"] },
        'unknown kind "half"; known are full, session-id, ticket, psk, ecdhe-psk, mutual, all',
      ],
      [{ profile: ["z80"] }, 'unknown profile "z80"; known are default, esp32'],
      [{ scenario: ["1.3/P-256/half"] }, 'unknown scenario "1.3/P-256/half"; known are 1.2/P-256/full, '],
      [{ version: ["1.3"], kind: ["session-id"] }, "no such handshake: TLS 1.3 resumes by tickets"],
      [{ scenario: ["1.2/psk"], kind: ["psk"] }, "it goes without --tls"],
    ] as const
  ) assertThrows(() => chooseScenarios(choice), UsageError, words);
});

Deno.test("bench handshake: every kind in memory is what it says, with counts of both ends", async () => {
  const kinds = ["session-id", "ticket", "mutual", "full"].map((kind) => `1.2/P-256/${kind}`);
  const names = [...kinds, "1.2/psk", "1.2/ecdhe-psk", "1.3/P-256/full", "1.3/P-256/ticket", "1.3/ecdhe-psk"];
  const run = await bench([...names, "1.3/P-256/mutual", "1.2/P-256/full/esp32"], {
    models: { devices: ["esp32"], links: [{ rtt: 60, kbpsUp: 200, kbpsDown: 200 }] },
    reconnect: { interval: 300, ticketLifetime: 3600 },
  });
  assertEquals(run.skipped, []);
  const find = (name: string) => run.scenarios.find(({ scenario }) => scenario.name === name)!;
  for (const result of run.scenarios) {
    const { scenario: { name, kind }, resumed, network, ends, wallMs, links } = result;
    assertEquals(resumed, kind === "ticket" || kind === "session-id", name);
    assertEquals([wallMs.runs, network!.complete], [3, true], name);
    assertEquals(network!.up.certificateBytes > 0, kind === "mutual", name);
    assertEquals(
      links[0]!.clientMs,
      modelHandshake(network!, { rtt: 60, kbpsUp: 200, kbpsDown: 200 }).client,
    );
    for (const { cpuMs, steps, operations, heap, devices } of [ends.client, ends.server]) {
      assert(cpuMs!.median > 0 && cpuMs!.p95 >= cpuMs!.median && cpuMs!.median < wallMs.max, name);
      assert(steps!.length >= 4 && steps!.every(({ cpuMs }) => cpuMs >= 0), name);
      assert(heap!.peak > heap!.live && heap!.live > 1000, name);
      assertEquals(devices[0]!.device, "esp32");
      const shares = operations!.reduce((sum, { share }) => sum + share!, 0);
      assertClose(shares, 1, name);
    }
  }
  const operations = (name: string) =>
    find(name).ends.server.operations!.filter(({ name }) => name !== "other").map((
      { name, count },
    ) => [name, count]);
  assertEquals(operations("1.2/P-256/full/esp32"), [["P-256 multiply", 2], ["P-256 sign", 1]]);
  assertEquals(operations("1.2/P-256/ticket"), []);
  assertEquals(find("1.2/ecdhe-psk").ends.client.operations![0]!.count, 2);
  assertMatch(find("1.2/psk").suite!, /^TLS_PSK_/);
  assertMatch(find("1.2/ecdhe-psk").suite!, /^TLS_ECDHE_PSK_/);

  assertEquals(run.resumption.map(({ resumed, full }) => [resumed, full]), [
    ["1.2/P-256/session-id", "1.2/P-256/full"],
    ["1.2/P-256/ticket", "1.2/P-256/full"],
    ["1.3/P-256/ticket", "1.3/P-256/full"],
  ]);
  const [id, ticket, renewed] = run.resumption;
  assertEquals([id!.breakEven.ticketBytes, id!.resumedPerFull], [0, 12]);
  assert(ticket!.breakEven.ticketBytes > 0 && ticket!.perResumption.cpuMs.client! > 0);
  assertEquals(renewed!.resumedPerFull, null, "without end, which JSON has no number for");
  assertEquals(ticket!.perResumption.roundTrips, 1);
  assertEquals(ticket!.perResumption.deviceMs.server.length, 1);
  assertClose(ticket!.perDay.bytesDown, ticket!.perConnection.bytesDown * 288);
  assertEquals(numbersOf(run).filter((number) => !Number.isFinite(number)), [], "JSON holds all of it");
});

Deno.test("bench handshake: a server that refuses its tickets fails the scenario", async () => {
  const identity = await IDENTITIES.of("P-256");
  const { certificate: certfile, key: keyfile, ca } = identity;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = (async () => {
    for await (const conn of listener) {
      // Each connection has ticket keys of its own: none opens another's.
      using tickets = new TicketKeyRing();
      using context = await SSLContext.create({ serverSide: true, certfile, keyfile, tickets });
      const tls = await context.wrapSocket(conn);
      await tls.read(new Uint8Array(1)).catch(() => {}); // the client hangs up when it sees what it got
      await tls.close().catch(() => {});
    }
  })();
  const { policy } = await readOptions({ caCerts: ca });
  for (const version of ["1.2", "1.3"] as const) {
    const scenario = scenarioOf(version, "P-256", "ticket");
    const configs = await EndConfigs.create(scenario, "client", { given: { trust: policy.trust! } });
    const address = { hostname: "127.0.0.1", port: listener.addr.port, timeout: 20 };
    const implementations = { client: ourImplementation(), server: "ours" };
    await using measurer = new ClientMeasurer(
      scenario,
      configs,
      { address, serverHostname: "localhost" },
      implementations,
    );
    await assertRejects(() => measurer.measure({ observe: false }), ScenarioError, "it did not resume");
    const result = (await runRounds([measurer], { runs: 2, warmUp: 0 }, () => {}, NEVER)).get(measurer)!;
    assertEquals([result.samples, result.failure], [
      [],
      "it did not resume: the server made a full handshake",
    ]);
  }
  listener.close();
  await serve;
});

Deno.test("bench handshake: a measurer keeps what it resumes, run after run", async () => {
  const scenario = scenarioOf("1.3", "P-256", "ticket");
  const identity = await IDENTITIES.of("P-256");
  await using measurer = await MemoryMeasurer.create(scenario, identity, ourImplementation());
  for (let i = 0; i < 5; i++) {
    const { observed } = await measurer.measure({ observe: true });
    assertEquals(observed!.resumed, true);
  }
  assertEquals([measurer.primed!.resumed, measurer.primed!.network.rest.down.ticketBytes > 0], [false, true]);
});

/** Sums of floating-point numbers. */
function assertClose(actual: number, expected: number, message?: string): void {
  assert(
    Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    message ?? `${actual} is not ${expected}`,
  );
}

function numbersOf(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbersOf) : [];
}

/** A measurer without TLS, that says when it is asked. */
function scripted(name: string, log: string[], failsAt = Infinity): Measurer {
  let n = 0;
  return {
    scenario: { ...scenarioOf("1.3", "P-256", "full"), name },
    implementations: { client: "", server: "" },
    measure({ observe }) {
      log.push(observe ? `${name}*` : name);
      if (++n >= failsAt) return Promise.reject(new Error("broken"));
      return Promise.resolve({ sample: { wallMs: n, cpuMs: {} } });
    },
    async [Symbol.asyncDispose]() {},
  };
}

Deno.test("rounds: scenarios take turns, warm-up does not count, one that fails is left out", async () => {
  const log: string[] = [];
  const [a, b] = [scripted("a", log), scripted("b", log, 5)];
  const results = await runRounds([a, b], { runs: 3, warmUp: 1 }, () => {}, NEVER);
  assertEquals(log.join(" "), "b* b a* a a a* b b* b a a");
  assertEquals(results.get(a)!.samples.map(({ wallMs }) => wallMs), [3, 5, 6]);
  assertEquals([results.get(b)!.failure, results.get(b)!.samples.length], ["broken", 1]);
});

Deno.test("rounds: the warm-up lasts its time, and so many rounds at least, in turning order", async () => {
  const log: string[] = [];
  const slow: Measurer = {
    ...scripted("a", log),
    async measure(options) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      return await scripted("a", log).measure(options);
    },
  };
  const effort = { runs: 2, warmUp: 1, warmUpMs: 500 };
  const shares: number[] = [];
  const { samples, warmUp } = (await runRounds([slow], effort, (share) => shares.push(share), NEVER)).get(
    slow,
  )!;
  assertEquals(shares, shares.toSorted((a, b) => a - b), "the bar goes forward");
  assert(shares.length > 1);
  assertEquals(samples.length, 2);
  assert(warmUp > 1 && warmUp % 2 === 1, `${warmUp} rounds`); // one, and pairs
  assertEquals(
    log.filter((each) => each === "a*").length,
    2,
    "the first, and the first that counts, are observed",
  );
});

Deno.test("rounds: a time ends them, though not before there is a median; a signal at once", async () => {
  const log: string[] = [];
  const measurer = scripted("a", log);
  const some = await runRounds([measurer], { seconds: 1e-9, warmUp: 0 }, () => {}, NEVER);
  assertEquals(some.get(measurer)!.samples.length, 3);
  const none = await runRounds([measurer], { runs: 9, warmUp: 0 }, () => {}, AbortSignal.abort());
  assertEquals(none.get(measurer)!.samples, []);
});

Deno.test("bench handshake: an interrupted run says what it lacks", async () => {
  const run = await bench(["1.3/P-256/full"], { signal: AbortSignal.abort() });
  assertEquals(run.interrupted, true);
  assertEquals(run.skipped, [
    { name: "1.3/P-256/full", reason: "interrupted before there was a figure", failed: false },
  ]);
});

Deno.test("bench handshake: the table fits its width, and says what it leaves out", async () => {
  const models = { devices: ["esp32", "rp2040"], links: [{ rtt: 60 }] };
  const links = [{
    name: "60 ms",
    rttMs: 60,
    kbpsUp: null,
    kbpsDown: null,
    reliability: "given",
    source: "a test",
  }] as const;
  const run = await bench(["1.2/RSA-2048/full/esp32", "1.3/P-256/ticket"], { models, links });
  for (const width of [80, 120]) {
    const lines = renderTable(run, { width, style: PLAIN }).split("\n");
    assert(lines.every((line) => line.length <= width), lines.join("\n"));
    assertMatch(lines.join(" "), /Without room here: .*suite/);
  }
  const wide = renderTable(run, { width: Infinity, style: PLAIN });
  assertMatch(wide, /^1\.2\/RSA-2048\/full\/esp32 .*TLS_ECDHE_RSA/m);
  assertMatch(wide, /~\d+ (derived|guess|reported|measured|ceiling)/, "an estimate with its reliability");
  assert(!wide.includes("Without room"));
  assertMatch(wide, /^No estimate for rp2040: /m, "what was asked for is not silently left out");
});

Deno.test("bench handshake: CSV has a line for each scenario, and as many values as names", async () => {
  const models = { devices: ["esp32"], links: [] };
  const text = renderCsv(await bench(["1.2/psk", "1.3/P-256/full"], { models }));
  const [names, ...rows] = text.trimEnd().split("\r\n").map((line) =>
    line.match(/("([^"]|"")*"|[^,]*)(,|$)/g)!
  );
  assertEquals(rows.length, 2);
  for (const row of rows) assertEquals(row.length, names!.length);
  for (
    const name of [
      "name",
      "wall_ms_median",
      "client_cpu_ms_p95",
      "server_peak_heap",
      "round_trips",
      "bytes_down",
      "server_esp32_reliability",
    ]
  ) assert(names!.includes(`${name},`) || names!.at(-1) === name, name);
  assertEquals(renderCsv({ ...await bench(["1.2/psk"]), scenarios: [] }), "");
});

Deno.test("bench handshake: a file that was made for nothing is removed, one that was there stays", async () => {
  await using dir = await tempDir();
  const [made, kept] = [`${dir.path}/new.html`, `${dir.path}/old.html`];
  await Deno.writeTextFile(kept, "a longer text than the next");
  for (const path of [made, kept]) await (await OutputFile.open(path))[Symbol.asyncDispose]();
  await assertRejects(() => Deno.stat(made), Deno.errors.NotFound);
  assertEquals(await Deno.readTextFile(kept), "a longer text than the next");
  for (const path of [made, kept]) {
    await using file = await OutputFile.open(path);
    await file.write("new");
  }
  assertEquals(await Promise.all([made, kept].map((path) => Deno.readTextFile(path))), ["new", "new"]);
  await assertRejects(() => OutputFile.open(`${dir.path}/none/x`), CommandError, "no such file or directory");
  await assertRejects(() => OutputFile.open(dir.path), CommandError, "Cannot write");
});

Deno.test("bench handshake: the environment is told", () => {
  const { deno, cpus, core, timerStepMs } = environment();
  assertEquals([deno, cpus > 0, timerStepMs < 1], [Deno.version.deno, true, true]);
  assertMatch(core, /^mbedtls-/);
});
