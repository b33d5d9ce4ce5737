/** The pages of `tlsio bench handshake --html` and `tlsio trace --html`: what they say, and what they must not do. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { BenchResult, EndResult, ScenarioResult } from "../lib/cli/bench/result.ts";
import { parseHTML } from "../lib/cli/report/_plot.ts";
import { bars } from "../lib/cli/report/bars.ts";
import { handshakeReport } from "../lib/cli/report/handshake_report.ts";
import { pagedBars } from "../lib/cli/report/paged_bars.ts";
import { draw } from "../lib/cli/report/svg.ts";
import { type TracedConnection, tracePage } from "../lib/cli/report/trace_page.ts";
import { bytes, ms, number, whole } from "../lib/cli/report/words.ts";
import { sampleRun, scenario, statistics } from "./report_samples.ts";
import { handshakeEvents, message, record } from "./trace_samples.ts";

/** What is used of the DOM. */
interface Element {
  readonly localName: string;
  readonly textContent: string;
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
}

function parse(page: string): Element {
  const { document } = parseHTML(page) as unknown as { document: { documentElement: Element } };
  return document.documentElement;
}

const textOf = (element: Element | null) => (element?.textContent ?? "").replaceAll(/\s+/g, " ").trim();
const textsOf = (root: Element, selector: string) => [...root.querySelectorAll(selector)].map(textOf);

/** The rows of the table with this name, each as its cells. */
function tableOf(root: Element, caption: string): string[][] {
  const region = [...root.querySelectorAll(".scroll")].find((each) =>
    each.getAttribute("aria-label") === caption
  );
  assert(region !== undefined, `no table "${caption}"`);
  return [...region.querySelectorAll("tbody tr")].map((row) => textsOf(row, "th, td"));
}

/** Names that a peer, a user or a file could bring along. */
const HOSTILE =
  `<script>alert(1)</script><img src=x onerror=alert(1)>"'&amp;]]>--></style></title></svg>\u202e\u0000\ud800`;

const ELEMENTS = new Set(
  ("html head meta title link style body main header h1 h2 h3 h4 p strong ul ol li span small nav a section figure " +
    "figcaption i div svg g path rect circle line text tspan desc dl dt dd table thead tbody tr th td details summary footer code")
    .split(" "),
);

/** Asserts that a page is well made, and that nothing in it runs or is loaded. */
function assertSound(page: string): Element {
  assert(page.startsWith("<!doctype html>"));
  const root = parse(page);
  const ids: string[] = [];
  for (const element of root.querySelectorAll("*")) {
    assert(ELEMENTS.has(element.localName), `an element <${element.localName}>`);
    for (const { name, value } of element.attributes) {
      assert(!/^on/i.test(name), `an attribute ${name}`);
      if (/^(href|src|action|xlink:href)$/.test(name)) assertMatch(value, /^(#[\w-]+|data:,)$/);
      if (name === "style") assertMatch(value, /^background:\s?var\(--[\w-]+\)$/);
      if (name === "id") ids.push(value);
    }
  }
  assertEquals(new Set(ids).size, ids.length, "an id twice");
  for (const svg of root.querySelectorAll("svg")) {
    assertEquals(svg.getAttribute("role"), "img");
    const names = svg.getAttribute("aria-labelledby")!.split(" ");
    assertEquals(names.map((name) => textOf(svg.querySelector(`#${name}`)) !== ""), [true, true]);
  }
  for (const { href } of links(root)) assert(ids.includes(href), `a link to ${href}`);
  const policy = root.querySelector("meta[http-equiv]")?.getAttribute("content");
  assertStringIncludes(policy ?? "", "default-src 'none'");
  assert(page.isWellFormed());
  assertEquals(page.match(/[\p{Cf}]|(?!\n)\p{Cc}/u), null, "a character that a reader does not see");
  const words = textOf(root.querySelector("main"));
  assert(
    !/\b(NaN|undefined|Infinity|null|\[object)\b/.test(words),
    words.match(/.{40}\b(NaN|undefined|Infinity|null)\b/)?.[0],
  );
  assert(!/NaN|undefined|Infinity/.test(page.replaceAll(/>[^<]*</g, "><")), "in an attribute");
  return root;
}

function links(root: Element): { href: string }[] {
  return [...root.querySelectorAll("a")].map((a) => ({ href: a.getAttribute("href")!.slice(1) }));
}

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

// ---- The trace's page -----------------------------------------------------------------------------------

const connection = (changes: Partial<TracedConnection> = {}): TracedConnection => ({
  ...{ name: "full", role: "client", events: handshakeEvents() },
  ...changes,
});

Deno.test("trace --html: the messages in order, with sizes and times, each in its flight", async () => {
  const root = assertSound(
    await tracePage({ title: "example.com:443", connections: [connection({ connectMs: 61.2 })] }),
  );
  assertEquals(textsOf(root, "h1"), ["example.com:443"]);
  assertEquals(tableOf(root, "Messages"), [
    ["client_hello", "client", "0.000", "235", "no"],
    ["server_hello", "server", "60.100", "122", "no"],
    ["certificate", "server", "60.200", "461", "yes"],
    ["finished", "server", "60.300", "36", "yes"],
    ["finished", "client", "61.000", "36", "yes"],
    ["application_data × 3", "client", "62.000", "300", "yes"],
    ["new_session_ticket", "server", "120.000", "169", "yes"],
    ["alert: close_notify", "server", "121.000", "2", "yes"],
  ]);
  const [value, trips, up, down, certificates] = textsOf(root, ".tiles li");
  assertEquals([value, trips], [
    "Handshake 61 ms after 61.2 ms for TCP's connection",
    "Round trips 1 until the client may send",
  ]);
  assertEquals([up, down], ["Client to server 298 B 2 records", "Server to client 690 B 3 records"]);
  assertEquals(certificates, "Certificates 461 B of these bytes");
  const drawn = textsOf(root.querySelector("#c1-sequence .wide")!, "svg text");
  assertEquals(drawn.filter((text) => /on the wire/.test(text)), [
    "240 B on the wire, 1 record",
    "60.0 ms later: 690 B on the wire, 3 records",
    "0.7 ms later: 424 B on the wire, 4 records",
    "56.0 ms later: 222 B on the wire, 2 records",
  ]);
  assertEquals(drawn.filter((text) => /complete/.test(text)), ["handshake complete, 61.0 ms"]);
  assertEquals(drawn.indexOf("(traced here)") > 0, true);
});

Deno.test("trace --html: the server's view has the same arrows the other way round", async () => {
  const events = handshakeEvents().map((event) => ({
    ...event,
    direction: event.direction === "sent" ? "received" as const : "sent" as const,
  }));
  const [client, server] = await Promise.all([
    tracePage({ title: "t", connections: [connection()] }),
    tracePage({ title: "t", connections: [connection({ role: "server", events })] }),
  ]);
  assertEquals(tableOf(parse(server), "Messages"), tableOf(parse(client), "Messages"));
});

Deno.test("trace --html: a failure is said; where nothing passed there is no drawing", async () => {
  const events = [
    message(0, "sent", "client_hello", 235),
    record(0.1, "sent", 240),
    record(50, "received", 7),
    {
      ...message(50, "received", "handshake_failure", 2),
      contentType: "alert" as const,
      level: "fatal" as const,
    },
  ];
  const root = assertSound(
    await tracePage({
      title: "t",
      connections: [
        connection({ name: "refused", events, error: "the peer refused" }),
        connection({ name: "nobody there", events: [], error: "connection refused" }),
      ],
    }),
  );
  assertEquals(textsOf(root, "h2"), ["refused", "nobody there"]);
  assertEquals(textsOf(root, ".notice"), ["It failed: the peer refused", "It failed: connection refused"]);
  assertEquals(tableOf(root, "Messages").at(-1)![0], "fatal alert: handshake_failure");
  assertStringIncludes(textOf(root), "No record passed");
  assertStringIncludes(textOf(root.querySelector(".tiles")), "not complete");
  assertEquals([...root.querySelectorAll("figure")].length, 2);
  assertStringIncludes(
    textOf(assertSound(await tracePage({ title: "t", connections: [] }))),
    "No connection was traced",
  );
});

Deno.test("trace --html: nothing of a peer's text is markup, and of an event nothing but what a trace has", async () => {
  const secret = "c0ffee-c0ffee";
  const events = handshakeEvents().map((event) => ({
    ...event,
    ...(event.name && { name: HOSTILE }),
    secret,
    data: [secret],
  }));
  const page = await tracePage({
    title: HOSTILE,
    date: HOSTILE,
    notes: [HOSTILE],
    connections: [1, 2].map(() =>
      connection({ name: HOSTILE, events, error: HOSTILE, facts: [[HOSTILE, HOSTILE]] })
    ),
  });
  const root = assertSound(page);
  assertEquals(page.includes(secret), false);
  assertStringIncludes(textOf(root.querySelector("h1")), "<script>alert(1)</script>");
});

Deno.test("trace --html: of a connection with many messages the drawing has the first, the table more", async () => {
  const events = [...handshakeEvents()];
  for (let i = 0; i < 2500; i++) {
    const direction = i % 2 === 0 ? "sent" : "received";
    events.push(
      { ...message(200 + i, direction, undefined, 10), contentType: "application_data" },
      record(200 + i, direction, 32),
    );
  }
  const root = assertSound(await tracePage({ title: "t", connections: [connection({ events })] }));
  assertEquals(tableOf(root, "Messages").length, 2000);
  assertStringIncludes(textOf(root), "508 more messages are not listed");
  assertStringIncludes(textOf(root.querySelector("figcaption")), "The first 150 messages of 2508");
});
