/** The page of `tlsio bench handshake --html`: what it says, and what it must not do. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { BenchResult, EndResult, ScenarioResult } from "../lib/cli/bench/result.ts";
import { bars } from "../lib/cli/report/bars.ts";
import { handshakeReport } from "../lib/cli/report/handshake_report.ts";
import { pagedBars } from "../lib/cli/report/paged_bars.ts";
import { draw } from "../lib/cli/report/svg.ts";
import { bytes, ms, number, whole } from "../lib/cli/report/words.ts";
import { sampleRun, scenario, statistics } from "./report_samples.ts";
import { assertSound, type Element, HOSTILE, tableOf, textOf, textsOf } from "./report_pages.ts";

// ---- Words ----------------------------------------------------------------------------------------------

Deno.test("report words: three figures that count, dashes for what is not known", () => {
  assertEquals([0, 0.0004, 0.12, 5, 6.5, 12.34, 99.99, 1234.5, -120].map(number), [
    ...["0", "0.000", "0.120", "5", "6.50", "12.3", "100", "1,235", "\u2212120"],
  ]);
  assertEquals([undefined, NaN, Infinity].map(number), ["–", "–", "–"]);
  assertEquals([whole(-0.2), whole(1234.4), bytes(0), bytes(undefined)], ["0", "1,234", "0 B", "–"]);
  assertEquals([ms(0.5), ms(9999), ms(23_000), ms(undefined)], ["0.500 ms", "9,999 ms", "23 s", "–"]);
});

// ---- Bars -----------------------------------------------------------------------------------------------

Deno.test("report bars: a part is as long as its value, and parts follow each other", () => {
  const segments = [["a", 30], ["b", 0], ["c", 10]] as const;
  const bar = {
    label: "x",
    text: "40",
    segments: segments.map(([name, value]) => ({ name, value, colour: "red" })),
  };
  const svg = draw(
    bars([{ title: "t", bars: [bar] }], { width: 400, unit: "ms", format: String }),
  ) as unknown as Element;
  const rects = [...svg.querySelectorAll("rect")].map((rect) =>
    ["x", "width"].map((name) => Number(rect.getAttribute(name)))
  );
  const [[from, long], [next, short]] = rects as [[number, number], [number, number]];
  assertEquals(rects.length, 2); // nothing is drawn for 0
  assertEquals([Math.round(long / short), Math.round(from + long)], [3, Math.round(next)]);
});

Deno.test("report bars: what is too long for a printed page is several drawings, with one scale and all of the bars", () => {
  const bar = (value: number) => ({
    label: `b${value}`,
    text: "",
    segments: [{ name: "", value, colour: "red" }],
  });
  const many = { title: "many", bars: Array.from({ length: 100 }, (_, i) => bar(i + 1)) };
  const few = Array.from(
    { length: 30 },
    (_, i) => ({ title: `t${i}`, bars: [bar(1000 + i), bar(2000 + i)] }),
  );
  const pages = pagedBars([many, ...few], { width: 760, unit: "ms", format: String }, { title: "all" });
  assertEquals(pages.map(({ title }) => title), ["all", ...Array(pages.length - 1).fill("all, continued")]);
  const drawn = pages.map(({ options }) => draw(options) as unknown as Element);
  for (const svg of drawn) {
    const height = Number(svg.getAttribute("height"));
    assert(height > 300 && height < 1000, `a page of ${height} pixels`);
  }
  const widths = drawn.flatMap((svg) =>
    [...svg.querySelectorAll("rect")].map((rect) => Number(rect.getAttribute("width")))
  );
  const values = [many, ...few].flatMap(({ bars }) => bars.map(({ segments }) => segments[0]!.value));
  assertEquals(widths.length, values.length);
  const scale = widths.at(-1)! / values.at(-1)!;
  for (const [i, value] of values.entries()) assert(Math.abs(widths[i]! - value * scale) < 1, `bar ${i}`);
  assertEquals(pagedBars([], { width: 760, unit: "ms", format: String }), []);
});

// ---- The bench's report ---------------------------------------------------------------------------------

Deno.test("bench handshake --html: the page says what the run found, in words, tables and drawings", async () => {
  const run = sampleRun();
  const root = assertSound(await handshakeReport(run));
  assertEquals(textsOf(root, "h2"), [
    ...["All scenarios", "CPU", "Bytes", "Heap", "Full against resumed", "On slow networks", "On devices"],
    ...["Each scenario", "Left out", "How and where it was measured"],
  ]);
  assertStringIncludes(textOf(root.querySelector(".lead")), "15 kinds of handshake were measured in memory");
  const [first] = run.scenarios as [ScenarioResult];
  const [cells] = tableOf(root, "All scenarios") as [string[]];
  assertEquals(cells.slice(0, 10), [
    "1.2/P-256/full",
    number(first.wallMs.median),
    number(first.wallMs.p95),
    number(first.ends.client.cpuMs!.median),
    number(first.ends.server.cpuMs!.median),
    "2",
    whole(first.network!.up.bytes),
    whole(first.network!.down.bytes),
    "461",
    String(first.network!.up.records + first.network!.down.records),
  ]);
  assertEquals(tableOf(root, "All scenarios").length, run.scenarios.length);
  for (const wide of root.querySelectorAll("figure")) { // each drawing for both kinds of screens
    const count = (name: string) => [...wide.querySelectorAll(`.${name} svg`)].length;
    assert(count("wide") > 0);
    assertEquals(count("wide"), count("narrow"));
  }
  assertEquals([...root.querySelectorAll("figure")].map((each) => each.getAttribute("id")), [
    ...["cpu-split", "bytes-flights", "heap-peaks", "heap-phases", "full-against-resumed", "network-model"],
    ...["device-estimates", "device-parts"],
  ]);
});

Deno.test("bench handshake --html: each figure of a device has its interval, its reliability and its source beside it", async () => {
  const root = assertSound(await handshakeReport(sampleRun()));
  const rows = tableOf(root, "The figures for esp32");
  const row = rows.find(([name]) => name === "P-256 verify")!;
  assertEquals(row.slice(0, 6), ["P-256 verify", "derived", "255", "300", "405", "each time"]);
  assertMatch(row[6]!, /TF-PSA-Crypto PR #873/);
  assertEquals(rows.filter((cells) => cells.length !== 7 || cells.includes("")), []);
  const estimates = tableOf(root, "Estimates for esp32");
  const own = estimates.find(([name, end]) => name === "1.2/P-256/full/esp32" && end === "server")!;
  const likely =
    sampleRun().scenarios.find(({ scenario }) => scenario.name === own[0])!.ends.server.devices[0]!.likely;
  assertEquals(own[3], whole(likely));
  // What nobody has published is said, not counted as 0.
  assertStringIncludes(textOf(root.querySelector("#devices")), "Nobody has published what");
  assertEquals(tableOf(root, "Estimates for rp2040").map(([name]) => name), ["1.3/RSA-4096/full"]);
});

Deno.test("bench handshake --html: full against resumed, in per cent and in figures", async () => {
  const run = sampleRun();
  const root = assertSound(await handshakeReport(run));
  const byName = (name: string) => run.scenarios.find((each) => each.scenario.name === name)!.network!;
  const sum = (name: string) => byName(name).up.bytes + byName(name).down.bytes;
  const [full, short] = [sum("1.3/P-256/full"), sum("1.3/P-256/ticket")];
  assertEquals(
    tableOf(root, "Full and resumed").find(([name, of]) => name === "1.3/P-256/ticket" && of === "bytes"),
    [
      ...["1.3/P-256/ticket", "bytes", bytes(full), bytes(short), bytes(full - short)],
      `${Math.round(100 * short / full)} %`,
    ],
  );
  assertStringIncludes(
    textOf(root.querySelector("#resumed")),
    "12 connections resume for each full one (92 % of all)",
  );
  const saved = tableOf(root, "What 1.2/P-256/ticket saves");
  assertEquals(saved[0], ["Bytes from the client", "\u2212120 B", "\u2212120 B", "\u2212120 B"]);
  const client = saved.find(([name]) => name === "CPU of esp32 as the client, estimated")!;
  assertEquals(client[1], "400 ms (300 ms to 540 ms)");
  // Nobody has published what keys take the other device: a saving of 0 would be made up.
  const unknown = saved.find(([name]) => name!.startsWith("CPU of rp2040 as the client"))!;
  assertStringIncludes(textOf(root.querySelector("#resumed")), "rp2040: nobody has published what");
  assertEquals(unknown.slice(1), ["–", "–", "–"]);
});

Deno.test("bench handshake --html: nothing of a peer's text is markup, in no place", async () => {
  const run = sampleRun();
  const literal = new Set([
    "1.2",
    "1.3",
    "full",
    "ticket",
    "session-id",
    "psk",
    "ecdhe-psk",
    "mutual",
    "up",
    "down",
  ]);
  for (const one of ["cpu", "transfer", "network", "fixed", "times", "bytes", "sent", "received"]) {
    literal.add(one);
  }
  for (const one of ["given", "measured", "reported", "derived", "ceiling", "guess"]) literal.add(one);
  const hostile = (value: unknown): unknown =>
    typeof value === "string"
      ? literal.has(value) ? value : `${HOSTILE}${value}`
      : Array.isArray(value)
      ? value.map(hostile)
      : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hostile(each)]))
      : value;
  const changed = hostile(run) as BenchResult;
  const plain = assertSound(await handshakeReport(run));
  const root = assertSound(await handshakeReport(changed));
  const shapeOf = (element: Element) => textsOf(element, "h2").length;
  assertEquals(shapeOf(root), shapeOf(plain));
  assertStringIncludes(textOf(root), "<script>alert(1)</script>");
  assertStringIncludes(textOf(root), "\\u{202e}");
});

Deno.test("bench handshake --html: the names of steps, messages and operations are text, too", async () => {
  const one = scenario("1.2", "P-256", "full", "esp32");
  const flights = one.network!.flights.map((flight) => ({
    ...flight,
    messages: flight.messages.map(({ bytes }) => ({ name: HOSTILE, bytes })),
  }));
  const server = {
    ...one.ends.server,
    heap: { peak: 9, live: 3, phases: { [HOSTILE]: 9 } },
    bulk: { [HOSTILE]: 3 } as NonNullable<EndResult["bulk"]>,
  };
  const hostile = { ...one, network: { ...one.network!, flights }, ends: { ...one.ends, server } };
  assertSound(await handshakeReport(sampleRun({ scenarios: [hostile], resumption: [] })));
});

Deno.test("bench handshake --html: a run that was interrupted says so, and what is missing", async () => {
  const skipped = [
    { name: "1.3/P-256/full", reason: "interrupted before there was a figure", failed: false },
    { name: "1.3/P-256/ticket", reason: "it did not resume", failed: true },
  ];
  const page = await handshakeReport(
    sampleRun({ interrupted: true, scenarios: [scenario("1.2", "P-256", "full")], skipped }),
  );
  const root = assertSound(page);
  assertEquals(textsOf(root, ".notice").map((text) => text.slice(0, 29)), [
    ...["The run was interrupted. What", "1 scenario failed: 1.3/P-256/"],
  ]);
  assertEquals(textsOf(root, "#left-out li"), [
    "1.3/P-256/ticket: it did not resume",
    "1.3/P-256/full: interrupted before there was a figure",
  ]);
});

Deno.test("bench handshake --html: a run without any result is a page that says so", async () => {
  const root = assertSound(
    await handshakeReport(sampleRun({ interrupted: true, scenarios: [], resumption: [] })),
  );
  assertStringIncludes(textOf(root.querySelector(".lead")), "ended before anything was measured");
  assertEquals([...root.querySelectorAll("svg")].length, 0);
  const failed = assertSound(
    await handshakeReport(sampleRun({ scenarios: [], skipped: [], resumption: [] })),
  );
  assertStringIncludes(textOf(failed.querySelector(".lead")), "Nothing could be measured");
});

Deno.test("bench handshake --html: one scenario has its own numbers in place of the least and the most", async () => {
  const one = scenario("1.3", "P-256", "full");
  const root = assertSound(
    await handshakeReport(sampleRun({ scenarios: [one], resumption: [], skipped: [] })),
  );
  assertEquals(textsOf(root, ".tiles .label"), [
    "Wall",
    "CPU of the client",
    "CPU of the server",
    "Bytes, both ways",
  ]);
  assertStringIncludes(textOf(root.querySelector("#resumed")), "No handshake of this run resumed");
  assertStringIncludes(textOf(root.querySelector("#heap")), "No heap was counted");
});

/** A handshake between two peers that tell nothing. */
function mute(name: string): ScenarioResult {
  const { scenario: known, wallMs } = scenario("1.3", "P-256", "full");
  const end = { implementation: "OpenSSL 3.5.0", devices: [] };
  return {
    scenario: { ...known, name },
    resumed: false,
    wallMs,
    ends: { client: end, server: end },
    links: [],
  };
}

Deno.test("bench handshake --html: what nobody told is a dash or a sentence, not 0", async () => {
  const root = assertSound(
    await handshakeReport(sampleRun({ scenarios: [mute("a"), mute("b")], resumption: [] })),
  );
  const [row] = tableOf(root, "All scenarios") as [string[]];
  assertEquals(row.slice(3), Array(row.length - 3).fill("–"));
  for (
    const [section, sentence] of [
      ["cpu", "No end told its CPU"],
      ["bytes", "Nothing told of the bytes"],
      ["network", "Nothing told of the flights"],
      ["devices", "There is no estimate for esp32 and rp2040"],
    ] as const
  ) assertStringIncludes(textOf(root.querySelector(`#${section}`)), sentence);
  const none = { ...sampleRun().plan, devices: [], links: [] };
  const bare = assertSound(
    await handshakeReport(sampleRun({ scenarios: [mute("a")], resumption: [], plan: none })),
  );
  assertStringIncludes(textOf(bare.querySelector("#network")), "No link was asked for");
  assertStringIncludes(textOf(bare.querySelector("#devices")), "No device was asked for");
});

Deno.test("bench handshake --html: figures of 0 are drawn and written as 0", async () => {
  const full = scenario("1.2", "P-256", "full", "esp32");
  const nothing = { median: 0, p95: 0, min: 0, max: 0, runs: 1 };
  const zero = (of: ScenarioResult): ScenarioResult => {
    const end = {
      ...{
        implementation: "x",
        cpuMs: nothing,
        devices: [],
        heap: { peak: 0, live: 0, phases: { setup: 0 } },
      },
      operations: [{ name: "other" as const, count: 1, cpuMs: 0, share: 0 }],
      steps: [{ name: "finished", direction: "sent" as const, cpuMs: 0 }],
    };
    const traffic = { bytes: 0, records: 0, certificateBytes: 0, ticketBytes: 0, dataBytes: 0 };
    const network = { ...of.network!, up: traffic, down: traffic, flights: [], roundTrips: 0 };
    return {
      ...of,
      wallMs: nothing,
      ends: { client: end, server: end },
      network,
      links: [{ connectMs: 0, clientMs: 0, serverMs: 0 }],
    };
  };
  const scenarios = [
    zero(full),
    zero({ ...full, resumed: true, scenario: { ...full.scenario, kind: "ticket", name: "t" } }),
  ];
  const plan = {
    ...sampleRun().plan,
    devices: [],
    runs: 0,
    warmUp: 0,
    links: sampleRun().plan.links.slice(0, 1),
  };
  const root = assertSound(
    await handshakeReport(sampleRun({ scenarios, plan, resumption: [], skipped: [] })),
  );
  assertEquals(tableOf(root, "All scenarios")[0]!.slice(1, 8), Array(7).fill("0"));
});

Deno.test("bench handshake --html: where operations are not timed, the CPU is split by message, and sums to the median", async () => {
  const one = scenario("1.2", "P-256", "full");
  const steps = [["client_hello", 1], ["certificate", 2], ["server_key_exchange", 3], [
    "finished",
    4,
  ]] as const;
  const end = {
    ...one.ends.client,
    cpuMs: statistics(5),
    operations: [{ name: "P-256 multiply" as const, count: 2 }],
    steps: steps.map(([name, cpuMs]) => ({ name, direction: "sent" as const, cpuMs })),
  };
  const page = await handshakeReport(
    sampleRun({ scenarios: [{ ...one, ends: { client: end, server: end } }], resumption: [] }),
  );
  const figure = assertSound(page).querySelector("#cpu-split")!;
  assertStringIncludes(textOf(figure), "CPU of a handshake, by message");
  assertEquals(textsOf(figure.querySelector(".wide")!, "rect title").slice(0, 4), [
    ...["certificates: 1 ms", "hellos: 0.500 ms", "keys, signatures: 1.50 ms", "finished: 2 ms"],
  ]);
});

/** As of a peer that does not tell its CPU. */
function without(result: ScenarioResult, end: "client" | "server", name: string): ScenarioResult {
  const { cpuMs: _, operations: __, steps: ___, ...rest } = result.ends[end];
  return { ...result, scenario: { ...result.scenario, name }, ends: { ...result.ends, [end]: rest } };
}

Deno.test("bench handshake --html: CPU is compared between ends that tell it, never one with both", async () => {
  const full = scenario("1.3", "P-256", "full");
  const other = scenario("1.3", "RSA-2048", "full");
  const both = [full, other, without(full, "client", "half")];
  const root = assertSound(await handshakeReport(sampleRun({ scenarios: both, resumption: [] })));
  const [finding] = textsOf(root, "header li:not(.tiles li)");
  assertMatch(finding!, /^Of full handshakes, 1.3\/P-256\/full takes both ends the least CPU, 0.670 ms/);
  assertEquals(textsOf(root, ".tiles .label")[0], "CPU, both ends: least");
  const half = [full, other].map((each) => without(each, "client", each.scenario.name));
  const one = assertSound(await handshakeReport(sampleRun({ scenarios: half, resumption: [] })));
  assertEquals(textsOf(one, ".tiles .label")[0], "CPU, the server: least");
  const short = scenario("1.3", "P-256", "ticket");
  const pair = [without(full, "client", "1.3/P-256/full"), short];
  const compared = assertSound(await handshakeReport(sampleRun({ scenarios: pair, resumption: [] })));
  const [before, after] = [full, short].map(({ ends }) => ends.server.cpuMs!.median);
  assertEquals(
    tableOf(compared, "Full and resumed").find(([, name]) => name === "CPU")!.slice(2, 4),
    [ms(before), ms(after)],
  );
});

Deno.test("bench handshake --html: a colour has one meaning in a drawing: what is split by operation is not by message, too", async () => {
  const [full, other] = [scenario("1.3", "P-256", "full"), scenario("1.3", "P-256", "mutual")];
  const { operations: _, ...untimed } = other.ends.server;
  const scenarios = [full, { ...other, ends: { ...other.ends, server: untimed } }];
  const root = assertSound(await handshakeReport(sampleRun({ scenarios, resumption: [] })));
  const legend = textsOf(root, "#cpu-split .legend li");
  assertEquals(legend, ["key agreement", "signing, decrypting", "verifying, encrypting", legend[3]!]);
  assertEquals(
    textsOf(root, "#cpu-split .wide rect title").at(-1),
    `not split: ${ms(untimed.cpuMs!.median)}`,
  );
});
