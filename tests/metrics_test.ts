/** What a server counts, as Prometheus reads it, and as Deno's own OpenTelemetry sends it. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { createCertificate } from "tlsio";
import { noStats } from "../lib/server_stats.ts";
import { metricsText, observeServer } from "../metrics.ts";
import { Program, tempDir, within } from "./peers.ts";

const STATS = {
  ...noStats(),
  accepted: 9,
  open: 2,
  handshakes: 7,
  resumed: 3,
  versions: { "TLSv1.3": 7 },
  failures: { 'a "b" \\ c\nd': 1 },
  limits: { idleTimeout: 4 },
  handshakeTime: { count: 2, sum: 0.5, buckets: { "10": 2, "0.1": 1, "0.001": 0, "+Inf": 2 } },
  bytesReceived: 1234,
};

Deno.test("metricsText(): each metric has its help, its type and its values, once", () => {
  const text = metricsText(STATS);
  for (
    const line of [
      "# TYPE tlsio_connections_accepted_total counter",
      "tlsio_connections_accepted_total 9",
      "# TYPE tlsio_connections_open gauge",
      "tlsio_connections_open 2",
      'tlsio_handshakes_completed_total{resumed="true"} 3',
      'tlsio_handshakes_completed_total{resumed="false"} 4',
      'tlsio_handshakes_version_total{version="TLSv1.3"} 7',
      'tlsio_handshakes_failed_total{reason="a \\"b\\" \\\\ c\\nd"} 1',
      'tlsio_limits_reached_total{limit="idleTimeout"} 4',
      "tlsio_received_bytes_total 1234",
      "# TYPE tlsio_handshakes_duration_seconds histogram",
      'tlsio_handshakes_duration_seconds_bucket{le="+Inf"} 2',
      "tlsio_handshakes_duration_seconds_sum 0.5",
      "tlsio_handshakes_duration_seconds_count 2",
    ]
  ) assert(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  const bounds = [...text.matchAll(/_bucket\{le="(.*)"\}/g)].map(([, bound]) => bound);
  assertEquals(bounds, ["0.001", "0.1", "10", "+Inf"]);
  const types = text.match(/^# TYPE \S+/gm)!;
  assertEquals(new Set(types).size, types.length);
  for (const line of text.trimEnd().split("\n")) {
    assertMatch(
      line,
      /^(# (HELP|TYPE) tlsio_\w+ .+|tlsio_\w+(\{(\w+="([^"\\]|\\["\\n])*",?)+\})? [\d.e+-]+)$/,
    );
  }
  assertEquals(text.includes("requests"), false, "a server without HTTP has none");
});

Deno.test("metricsText(): labels go into every line; HTTP and workers have their own metrics", () => {
  const text = metricsText({ ...STATS, requests: 5, workers: 2, restarts: 1 }, { host: "a" });
  assertStringIncludes(text, '\ntlsio_http_requests_total{host="a"} 5\n');
  assertStringIncludes(text, '\ntlsio_workers{host="a"} 2\n');
  const values = text.split("\n").filter((line) => /^tlsio/.test(line));
  assert(values.every((line) => line.includes('{host="a"')), text);
  for (const name of ["a-b", "", "1", "__name__", "a\nb"]) {
    assertThrows(() => metricsText(STATS, { [name]: "c" }), TypeError, `"${name}" is no name of a label`);
  }
  const number = { host: 1 as unknown as string };
  assertThrows(() => metricsText(STATS, number), TypeError, 'expected text for "host", got number');
});

Deno.test("observeServer(): Deno's OpenTelemetry sends what a server counts", async () => {
  const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
  const root = new URL("../", import.meta.url).href;
  const program = `
    const { openConnection, startServer } = await import("${root}mod.ts");
    const { observeServer } = await import("${root}metrics.ts");
    const [certfile, keyfile] = ${JSON.stringify([certificate, key])};
    const ssl = { certfile, keyfile };
    await using server = await startServer((_, writer) => writer.close(), { hostname: "127.0.0.1", port: 0, ssl });
    using _metrics = await observeServer(server, { attributes: { place: "here" } });
    for (let i = 0; i < 3; i++) {
      const address = { hostname: "127.0.0.1", port: server.addr.port, serverHostname: "localhost" };
      const [reader, writer] = await openConnection({ ...address, ssl: { caCerts: certfile } });
      await reader.read();
      writer.close();
      await writer.waitClosed();
    }
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/main.ts`, program);

  const seen = new Map<string, { place?: string; value: number }[]>();
  const { promise: complete, resolve } = Promise.withResolvers<void>();
  await using collector = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const body = await request.json();
    for (const { scopeMetrics = [] } of body.resourceMetrics ?? []) {
      for (const { metrics } of scopeMetrics) {
        for (const { name, sum } of metrics) seen.set(name, (sum?.dataPoints ?? []).map(point));
      }
    }
    if (seen.get("tlsio.connections.accepted")?.[0]?.value === 3) resolve();
    return Response.json({});
  });
  const env = {
    OTEL_DENO: "true",
    OTEL_DENO_CONSOLE: "ignore",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    OTEL_METRIC_EXPORT_INTERVAL: "200",
  };
  await using server = new Program("deno", ["run", "-A", "--no-check", `${dir.path}/main.ts`], { env });
  await within(complete, 20_000, "collect metrics").catch((error) => {
    throw new Error(`${error.message}: ${[...seen.keys()]}\n${server.output()}`);
  });
  const value = (name: string) => seen.get(name)!.reduce((sum, { value }) => sum + value, 0);
  assertEquals([value("tlsio.handshakes.completed"), value("tlsio.handshakes.version")], [3, 3]);
  assert(value("tlsio.received") > 3 * 150 && value("tlsio.handshakes.duration.sum") > 0);
  assertEquals(seen.get("tlsio.connections.accepted")![0]!.place, "here");
});

/** A data point of OTLP's JSON. */
function point(point: { asInt?: string | number; asDouble?: number; attributes?: Attribute[] }) {
  const place = point.attributes?.find(({ key }) => key === "place")?.value.stringValue;
  return { ...(place !== undefined && { place }), value: Number(point.asInt ?? point.asDouble) };
}
type Attribute = { key: string; value: { stringValue?: string } };

Deno.test("observeServer(): asks a server with workers for its counts, and ends when it is disposed of", async () => {
  const observed = new Map<unknown, number>();
  let callback: ((observer: unknown) => Promise<void>) | undefined;
  const meter = {
    createObservableCounter: (name: string) => name,
    createObservableUpDownCounter: (name: string) => name,
    addBatchObservableCallback: (given: typeof callback) => callback = given,
    removeBatchObservableCallback: (given: typeof callback) => {
      assertEquals(given, callback);
      callback = undefined;
    },
  };
  {
    using _metrics = await observeServer({ stats: () => Promise.resolve(STATS) }, { meter });
    await callback!({ observe: (name: string, value: number) => observed.set(name, value) });
  }
  assertEquals([observed.get("tlsio.connections.accepted"), observed.get("tlsio.received")], [9, 1234]);
  assertEquals(callback, undefined);
  await assertRejects(() => observeServer({} as never), TypeError, "expected one with stats");
});
