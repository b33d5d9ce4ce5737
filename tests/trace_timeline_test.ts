/** The timeline of `tlsio trace`: from what a connection's trace was told to messages, flights and text. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import type { Style } from "../lib/cli/terminal.ts";
import { TraceRecorder } from "../lib/cli/trace_recorder.ts";
import type { TracedConnection } from "../lib/cli/trace_result.ts";
import { renderConnection, renderTrace } from "../lib/cli/trace_text.ts";
import { type Recording, timelineOf } from "../lib/cli/trace_timeline.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { earlyConfigs, EarlyPair, sessionFor } from "./early.ts";
import {
  byteAtATime,
  configs,
  credential,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  flipAt,
  type PairOptions,
  source,
  VERSIONS,
} from "./pair.ts";

const core = fixedCore();
const PLAIN: Style = { bold: (text) => text, dim: (text) => text, good: (text) => text, bad: (text) => text };

/** A pair after its handshake, and what each end's trace was told. */
function traced(
  both: TLSConfigOptions,
  client: TLSConfigOptions,
  server: TLSConfigOptions,
  options: PairOptions = {},
  resumed = false,
) {
  using config = configs(core, both, client, server);
  const saved = resumed ? new EnginePair(config.client, config.server).connect() : undefined;
  using _ = saved;
  const savedSession = saved?.client.session();
  const events: Record<End, TraceEvent[]> = { client: [], server: [] };
  using pair = new EnginePair(config.client, config.server, {
    trace: (event) => events.client.push(event),
    serverTrace: (event) => events.server.push(event),
    ...(savedSession && { savedSession }),
    ...options,
  });
  pair.run();
  if (Object.keys(pair.errors).length === 0) pair.close();
  return events;
}

function recording(role: End, events: TraceEvent[], more: Partial<Recording> = {}): Recording {
  return { role, events, waits: [], start: events[0]!.time, failed: undefined, ...more };
}

/** A traced connection as the recorder makes it. */
function connectionOf(role: End, events: readonly TraceEvent[], error?: unknown): TracedConnection {
  const recorder = new TraceRecorder(role);
  for (const event of events) recorder.trace(event);
  if (error !== undefined) recorder.fail(error);
  return recorder.result({ address: "192.0.2.1", port: 443, lookupMs: null, connectMs: 1 });
}

const SCENARIOS: Record<string, Parameters<typeof traced>> = {
  "full": [{}, {}, {}],
  "resumed": [{}, {}, {}, {}, true],
  "mutual": [{}, { credential: credential("client") }, {
    certReqs: CERT_REQUIRED,
    trust: [source("root.pem")],
  }],
  "byte at a time": [{}, {}, {}, { deliver: byteAtATime }],
  "that fails": [{}, { trust: [source("root-rsa.pem")] }, {}],
};
const LIMITED: Record<string, readonly [string, ...Parameters<typeof traced>]> = {
  "in records of 512 bytes": ["TLSv1.2", { maxFragmentLength: 512 }, {}, {}],
  "with a HelloRetryRequest": ["TLSv1.3", {}, { groups: ["secp256r1", "x25519"] }, { groups: ["x25519"] }],
};

for (const [version, sslVersion] of VERSIONS) {
  const limited = Object.entries(LIMITED).filter(([, [only]]) => only === version)
    .map(([name, [, ...scenario]]) => [name, scenario] as const);
  for (const [name, [both, ...rest]] of [...Object.entries(SCENARIOS), ...limited]) {
    Deno.test(`trace timeline: a handshake ${name}: every message and record once, flights as NetworkCost has them (${version})`, () => {
      const all = traced({ sslVersion, ...both }, ...rest);
      for (const end of ENDS) {
        const events = all[end];
        const { messages, flights, handshakeMs } = timelineOf(recording(end, events));
        const said = events.filter(({ layer }) => layer === "message");
        assertEquals(
          messages.map(({ name, bytes, encrypted }) => [name, bytes, encrypted]),
          said.map(({ name, contentType, length, encrypted }) => [name ?? contentType, length, encrypted]),
        );
        for (const [direction, way] of [["sent", "up"], ["received", "down"]] as const) {
          const ours = messages.filter((message) =>
            message.way === (end === "client" ? way : way === "up" ? "down" : "up")
          );
          const records = events.filter((event) => event.layer === "record" && event.direction === direction);
          assertEquals(sum(ours.map(({ wireBytes }) => wireBytes)), sum(records.map(({ length }) => length)));
          assertEquals(sum(ours.map(({ records }) => records)), records.length);
        }
        assertEquals(
          flights.map(({ way, bytes, records }) => ({ way, bytes, records })),
          networkCost(events).flights.map(({ way, bytes, records }) => ({ way, bytes, records })),
        );
        const times = messages.map(({ time }) => time);
        assertEquals(times, times.toSorted((a, b) => a - b));
        const steps = messages.filter(({ flight }) => flight !== null).map(({ waitMs, workMs }) =>
          waitMs + workMs
        );
        assert(Math.abs(sum(steps) - handshakeMs) < 0.1, `${sum(steps)} of ${handshakeMs}`);
        const text = renderConnection(connectionOf(end, events), PLAIN);
        for (const line of text.split("\n")) assert(line.length <= 80, `${line.length}: ${line}`);
      }
    });
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

Deno.test("trace timeline: early data is in no flight, and what a server passes over is a record that was not read", () => {
  using config = earlyConfigs(core);
  using other = earlyConfigs(core); // another ring of tickets: it refuses both the session and the early data
  const savedSession = sessionFor(config.client, config.server);
  const run = (server: typeof config.server) => {
    const events: TraceEvent[] = [];
    const early = { savedSession, earlyData: encodeText("early") };
    using pair = new EarlyPair(config.client, server, { ...early, trace: (event) => events.push(event) });
    pair.connect();
    return events;
  };
  const { messages } = timelineOf(recording("client", run(config.server)));
  const data = messages.find(({ contentType }) => contentType === "application_data")!;
  assertEquals([data.way, data.flight, data.bytes], ["up", null, 5]);
  assert(
    messages.slice(messages.indexOf(data)).some(({ flight }) => flight !== null),
    "the handshake goes on",
  );

  const events: TraceEvent[] = [];
  using refusing = new EnginePair(config.client, other.server, {
    ...{ savedSession: sessionFor(config.client, config.server), earlyData: encodeText("early") },
    serverTrace: (event) => events.push(event),
  });
  refusing.run();
  const seen = timelineOf(recording("server", events)).messages;
  const skipped = seen.filter(({ name }) => name === "record");
  assertEquals(skipped.map(({ contentType, flight, encrypted }) => [contentType, flight, encrypted]), [
    ["application_data", null, true],
  ]);
  assertEquals(seen.findLast(({ name, way }) => name === "finished" && way === "up")!.records, 1);
});

Deno.test("trace timeline: waits and work of each step, and the longest", () => {
  const at = { encrypted: false, state: "handshake", contentType: "handshake" } as const;
  const message = (time: number, direction: TraceEvent["direction"], name: string): TraceEvent[] => {
    const record = { ...at, time, direction, layer: "record", length: 105 } as const;
    const content = { ...at, time, direction, layer: "message", name, length: 100 } as const;
    return direction === "sent" ? [content, record] : [record, content];
  };
  const events = [
    ...message(1002, "sent", "client_hello"),
    ...message(1052, "received", "server_hello"),
    ...message(1059, "received", "certificate"),
  ];
  const waits = [[1002, 1050], [1054, 1056], [1059.5, 1090]] as const;
  const whole = timelineOf({ role: "client", events, waits, start: 1000, failed: undefined });
  assertEquals(whole.messages.map(({ time, waitMs, workMs }) => [time, waitMs, workMs]), [
    [2, 0, 2],
    [52, 48, 2],
    [59, 2, 5],
  ]);
  assertEquals([whole.handshakeMs, whole.waitMs], [59, 50]);
  assertEquals(whole.longest, { message: 1, kind: "wait", ms: 48 });
  const failed = timelineOf({ role: "client", events, waits: [waits[2]], start: 1000, failed: 1090 });
  assertEquals([failed.handshakeMs, failed.waitMs], [90, 30.5]);
  assertEquals(failed.longest, { message: 1, kind: "work", ms: 50 });
  const late = timelineOf({
    role: "client",
    events,
    waits: [[1000, 1052], [1059, 2000]],
    start: 1000,
    failed: 2000,
  });
  assertEquals(late.longest, { message: 3, kind: "wait", ms: 941 });
});

Deno.test("trace text: messages that share a record, alerts, what is not TLS, words that are long", () => {
  const at = { time: 0, encrypted: false, state: "handshake" } as const;
  const record = {
    ...at,
    direction: "received",
    layer: "record",
    contentType: "handshake",
    length: 300,
  } as const;
  const handshake = { ...at, direction: "received", layer: "message", contentType: "handshake" } as const;
  const shared = connectionOf("client", [
    { ...handshake, direction: "sent", name: "client_hello", code: 1, length: 100 },
    { ...record, direction: "sent" },
    record,
    { ...handshake, name: "server_hello", code: 2, length: 100 },
    { ...handshake, name: "certificate", code: 11, length: 100 },
    { ...handshake, name: "unknown", code: 99, length: 50 },
  ]);
  assertEquals(shared.messages.map(({ records, wireBytes }) => [records, wireBytes]), [
    [1, 300],
    [1, 300],
    [0, 0],
    [0, 0],
  ]);
  const text = renderConnection(shared, PLAIN);
  assertStringIncludes(text, "─ Certificate     100     same");
  assertStringIncludes(text, "─ message of type 99      50     same");

  const error = new Error(`Cannot do it: ${"many words ".repeat(20)}\x1b[31m`);
  const foreign = connectionOf("server", [
    { ...record, contentType: "unknown", length: 8000 },
    {
      ...at,
      direction: "sent",
      layer: "message",
      contentType: "alert",
      name: "decode_error",
      code: 50,
      level: "fatal",
      length: 2,
    },
    { ...at, direction: "sent", layer: "record", contentType: "alert", length: 7 },
  ], error);
  assertEquals(foreign.alert, { from: "server", name: "decode_error", code: 50 });
  assertEquals([foreign.up.bytes, foreign.down.bytes, foreign.complete], [5, 7, false]);
  const words = renderConnection(foreign, PLAIN);
  assertStringIncludes(words, "not TLS ─");
  assertStringIncludes(words, "─ alert decode_error");
  assertStringIncludes(words, "Alert        decode_error (50), sent by the server");
  for (const line of words.split("\n")) assert(line.length <= 80, line);
  assert(!words.includes("\x1b"));
});

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`trace timeline: who sent the alert that ended it, at both ends (${version})`, () => {
    const all = traced({ sslVersion }, { trust: [source("root-rsa.pem")] }, {});
    for (const end of ENDS) {
      const { alert, complete } = connectionOf(end, all[end], new Error("no"));
      assertEquals([alert, complete], [{ from: "client", name: "unknown_ca", code: 48 }, false]);
      assertEquals(connectionOf(end, all[end]).alert, null);
    }
  });
}

Deno.test("trace timeline: a record that does not decrypt is shown as one", () => {
  const all = traced({ sslVersion: VERSIONS[1][1] }, {}, {}, { deliver: flipAt("server", 400) });
  const { messages } = timelineOf(recording("client", all.client));
  const record = messages.find(({ name }) => name === "record")!;
  assertEquals([record.way, record.encrypted, record.flight], ["down", true, null]);
  assertEquals(messages.at(-1)!.name, "bad_record_mac");
});

Deno.test("trace text: a second connection that resumed, and one that did not", () => {
  const both = { host: "localhost", port: 443, servername: "localhost", format: 1 } as const;
  const at = (resumed: boolean) => {
    const all = traced({ sslVersion: VERSIONS[1][1] }, {}, {}, {}, resumed);
    return { ...connectionOf("client", all.client), complete: true, resumed, handshakeMs: 5 };
  };
  const text = (resumed: boolean) => renderTrace({ ...both, connections: [at(false), at(resumed)] }, PLAIN);
  assertMatch(text(true), /^Resumed +\d+ bytes in place of \d+, [\d.]+ ms in place of [\d.]+ ms$/m);
  assertMatch(text(false), /^Resumed +no: the server made a full handshake$/m);
});

Deno.test("TraceRecorder: is bounded, and can be stopped", () => {
  const at = { time: 0, encrypted: false, state: "open", direction: "received", layer: "record" } as const;
  const recorder = new TraceRecorder("server");
  for (let i = 0; i < 20_000; i++) recorder.trace({ ...at, contentType: "alert", length: 7 });
  assertEquals(recorder.events.length, 10_000);
  const stopped = new TraceRecorder("server");
  stopped.stop();
  stopped.trace({ ...at, contentType: "alert", length: 7 });
  assertEquals(stopped.events.length, 0);
});
