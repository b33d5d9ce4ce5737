/** The dashboard's parts: what it reads from the flag, what it makes of counts, how it tells viewers. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { dashboardAddress } from "../lib/cli/dashboard.ts";
import { type Counts, POINTS, quantile, Recorder } from "../lib/cli/dashboard/recorder.ts";
import { Viewers, VIEWERS_MAX } from "../lib/cli/dashboard/viewers.ts";
import { answerVitals, type Vitals, VitalsReader } from "../lib/cli/dashboard/vitals.ts";
import { serve } from "../lib/http.ts";
import { UsageError } from "../lib/cli/flags.ts";
import { noStats } from "../lib/server_stats.ts";

Deno.test("serve --dashboard: its address is this machine's unless another one is given", () => {
  const read = (value: string) => {
    const { hostname, port, isLoopback } = dashboardAddress(value)!;
    return [hostname, port, isLoopback];
  };
  assertEquals(dashboardAddress(undefined), undefined);
  for (const value of ["-", "127.0.0.1", "localhost", "localhost:8444", "8444", "127.0.0.1:8444"]) {
    assertEquals(read(value), ["127.0.0.1", 8444, true]);
  }
  assertEquals(read("0"), ["127.0.0.1", 0, true]);
  assertEquals(read("127.9.0.1:1"), ["127.9.0.1", 1, true]);
  assertEquals(read("[::1]:9000"), ["::1", 9000, true]);
  assertEquals(read("0.0.0.0:9000"), ["0.0.0.0", 9000, false]);
  assertEquals(read("[::]"), ["::", 8444, false]);
  assertEquals(read("[::ffff:127.0.0.1]:9000"), ["::ffff:127.0.0.1", 9000, false]); // not by that name: better TLS than none
  for (
    const value of ["::1", "example.com:80", "127.0.0.1:", ":80", "[127.0.0.1]:80", "127.1:80", "x", "[::1"]
  ) {
    assertThrows(() => dashboardAddress(value), UsageError, "takes an address and a port");
  }
  assertThrows(() => dashboardAddress("127.0.0.1:65536"), UsageError, "from 0 to 65535");
});

// ---- Counts ---------------------------------------------------------------------------------------------

const VITALS: Vitals = {
  ...{ lag: 3, waiting: 2, cpuTime: 1, rss: 64 << 20, core: 2048, coreSize: 1 << 20, ticketKeys: 1 },
};

/** What a server has counted after so many handshakes, each with so many requests. */
function counts(handshakes: number, times: Record<string, number> = {}): Counts {
  const stats = noStats();
  let sum = 0;
  for (const le of Object.keys(stats.handshakeTime.buckets)) {
    stats.handshakeTime.buckets[le] = 0;
  }
  for (const le of ["0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "+Inf"]) {
    stats.handshakeTime.buckets[le] = sum += times[le] ?? 0;
  }
  return Object.assign(stats, {
    ...{ handshakes, resumed: handshakes / 4, accepted: handshakes, requests: 3 * handshakes, open: 5 },
    ...{
      versions: { "TLSv1.3": handshakes },
      suites: { A: handshakes - 1, B: 1 },
      bytesSent: 1000 * handshakes,
    },
    ...{
      failures: handshakes > 100 ? { "unknown_ca": 7, "eof": 9 } : { "unknown_ca": 5 },
      handshakeFailures: 7,
    },
  });
}

Deno.test("serve --dashboard: rates are of the last second, shares and tables of the last minute", () => {
  const recorder = new Recorder();
  const first = recorder.add(counts(100), VITALS, 1_000_000);
  assertEquals(first.point.requests, null, "nothing to compare with");
  assertEquals([first.resumedShare, first.p50, first.recentSeconds], [null, null, 0]);
  assertEquals(first.totals.requests, 300);

  const second = recorder.add(counts(120), { ...VITALS, cpuTime: 1.5 }, 1_002_000);
  const { requests, full, resumed, tls13, tls12, sent, cpu, lag, waiting, rss, core } = second.point;
  assertEquals([requests, full, resumed, tls13, tls12, sent], [30, 7.5, 2.5, 10, 0, 10_000]);
  assertEquals([cpu, lag, waiting, rss, core], [25, 3, 2, 64, 2]);
  assertEquals([second.resumedShare, second.recentSeconds], [0.25, 2]);
  assertEquals(second.tables.failures, [
    { name: "eof", total: 9, recent: 9 },
    { name: "unknown_ca", total: 7, recent: 2 },
  ]);
  assertEquals(second.tables.suites.map(({ name, recent }) => [name, recent]), [["A", 20], ["B", 0]]);

  // A worker crashed: what it had not told is gone. A rate is never below nothing.
  assertEquals(recorder.add(counts(110), VITALS, 1_003_000).point.requests, 0);
  // After a while without viewers: no minute that is longer than one.
  const later = recorder.add(counts(1000), VITALS, 1_900_000);
  assertEquals([later.point.requests, later.recentSeconds], [null, 0]);
});

Deno.test("serve --dashboard: the counts that it was given may change afterwards", () => {
  const recorder = new Recorder();
  const live = counts(100);
  recorder.add(live, VITALS, 0);
  live.requests += 10;
  live.suites.A! += 4;
  const { point, tables } = recorder.add(live, VITALS, 1000);
  assertEquals([point.requests, tables.suites[0]!.recent], [10, 4]);
});

Deno.test("serve --dashboard: quantiles are those of a histogram, and unknown without handshakes", () => {
  const recorder = new Recorder();
  recorder.add(counts(4, { "0.1": 50 }), VITALS, 0);
  const { p50, p99, times } = recorder.add(counts(8, { "0.1": 50, "0.001": 90, "0.01": 10 }), VITALS, 1000);
  assertEquals(times.filter(({ count }) => count > 0), [{ le: "0.001", count: 90 }, {
    le: "0.01",
    count: 10,
  }]);
  assertEquals(p50, 50 / 90);
  assert(Math.abs(p99! - (5 + 5 * 0.9)) < 1e-9, `${p99}`); // nine of the ten between 5 and 10 ms
  assertEquals(quantile([], 0.5), null);
  assertEquals(
    quantile([{ le: "1", count: 0 }, { le: "+Inf", count: 3 }], 0.5),
    1000,
    "at least the last bound",
  );
});

Deno.test("serve --dashboard: five minutes are kept, no more", () => {
  const recorder = new Recorder();
  for (let i = 0; i < POINTS + 20; i++) recorder.add(counts(i), VITALS, i * 1000);
  assertEquals([recorder.points.length, recorder.points[0]!.time], [POINTS, 20_000]);
});

Deno.test("serve --dashboard: each worker answers a question once, and not the others' answers", async () => {
  const channel = crypto.randomUUID();
  using _a = answerVitals(channel, "a");
  using _b = answerVitals(channel, "b");
  using listener = Object.assign(new BroadcastChannel(channel), {
    [Symbol.dispose](this: BroadcastChannel) {
      this.close();
    },
  });
  const heard: unknown[] = [];
  listener.onmessage = ({ data }) => heard.push(typeof data === "string" ? data : data[0]);
  using reader = new VitalsReader(channel);
  reader.start();
  while (heard.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(heard.sort(), ["a", "b", "how are you"]);
  const one = 1 << 20;
  const { coreSize, lag, rss } = reader.read();
  assert(coreSize >= 3 * one && lag >= 0 && rss > one);
});

// ---- Viewers --------------------------------------------------------------------------------------------

function viewersOf(interval: number) {
  const log: boolean[] = [];
  let told = 0;
  const viewers = new Viewers({
    watched: (isWatched) => log.push(isWatched),
    greeting: () => ({ about: { name: "a\nb" } }),
    now: () => Promise.resolve({ n: ++told }),
  }, interval);
  return { viewers, log, told: () => told };
}

type Events = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

async function next(events: Events): Promise<string> {
  return new TextDecoder().decode((await events.read()).value);
}

Deno.test("serve --dashboard: one timer for all viewers, none without", async () => {
  const { viewers, log, told } = viewersOf(1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals([log, told()], [[], 0]);
  const [one, two] = [viewers.join()!.getReader(), viewers.join()!.getReader()];
  assertEquals(await next(one), `retry: 2000\n\nevent: about\ndata: {"name":"a\\nb"}\n\n`);
  await next(two);
  assertEquals(await next(one), `data: {"n":1}\n\n`);
  assertEquals(await next(two), `data: {"n":1}\n\n`, "the same, not another one");
  await one.cancel();
  assertEquals([viewers.size, log], [1, [true]]);
  await two.cancel();
  assertEquals([viewers.size, log], [0, [true, false]]);
  const before = told();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(told() <= before + 1, "it goes on without viewers");
  using _all = viewers;
});

Deno.test("serve --dashboard: so many viewers, and one that does not read is dropped for the others", async () => {
  const { viewers } = viewersOf(1);
  const all = Array.from({ length: VIEWERS_MAX }, () => viewers.join()!.getReader());
  assertEquals(viewers.join(), undefined);
  const [reads, ...doNot] = all;
  while (viewers.size > 1) await next(reads!);
  await next(reads!);
  for (const each of doNot) await assertRejects(() => each.closed, Error, "the viewer does not read");
  const joined = viewers.join()!.getReader(); // there is room again
  viewers[Symbol.dispose]();
  for (const each of [reads!, joined]) {
    while (!(await each.read()).done);
  }
  assertEquals([viewers.size, viewers.join()], [0, undefined]);
});

Deno.test("serve --dashboard: over sockets, too, a viewer that does not read is dropped, and holds up neither others nor the end", async () => {
  const log: boolean[] = [];
  const viewers = new Viewers({
    watched: (isWatched) => log.push(isWatched),
    greeting: () => ({}),
    now: () => Promise.resolve({ much: "x".repeat(1 << 18) }), // more than the kernel keeps, soon
  }, 5);
  const address = { hostname: "127.0.0.1", port: 0 };
  const server = await serve(() => new Response(viewers.join() ?? null), { ...address, shutdownTimeout: 1 });
  const { port } = server.addr as Deno.NetAddr;
  const view = async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    return conn;
  };
  using _idle = await view();
  const reader = await view();
  const buffer = new Uint8Array(1 << 16);
  while (viewers.size < 2) await reader.read(buffer);
  while (viewers.size > 1) assert(await reader.read(buffer) !== null, "who reads is not dropped");
  reader.close();
  while (viewers.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(log, [true, false], "no timer is left");

  using _last = await view();
  while (viewers.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 20)); // it has something that it does not read
  viewers[Symbol.dispose]();
  await server.close();
  assertEquals(server.stats.open, 0);
});
