import { assertEquals } from "@std/assert";
import { Alarm } from "../lib/_alarm.ts";
import { PATIENCE, within } from "./peers.ts";

/** An alarm, how often it has rung, and when it rings next. */
function alarm(): { alarm: Alarm; rings: () => number; next: () => Promise<void> } {
  let rings = 0;
  let ringing = Promise.withResolvers<void>();
  const made = new Alarm(() => {
    rings++;
    ringing.resolve();
    ringing = Promise.withResolvers();
  });
  return { alarm: made, rings: () => rings, next: () => within(ringing.promise, PATIENCE, "ring") };
}

const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("Alarm rings once for each time that it is set, and not before", async () => {
  const { alarm: it, rings, next } = alarm();
  for (const ms of [20, 1]) {
    const started = performance.now();
    it.set(ms);
    await next();
    assertEquals(performance.now() - started >= ms, true);
  }
  await pass(30);
  assertEquals(rings(), 2);
  it.stop();
});

Deno.test("Alarm keeps to the last time that it was set to, later or earlier", async () => {
  const { alarm: it, rings, next } = alarm();
  const started = performance.now();
  it.set(10);
  it.set(60);
  await next();
  assertEquals(performance.now() - started >= 60, true);
  it.set(1e9);
  it.set(1);
  await next();
  assertEquals(rings(), 2);
  it.stop();
});

Deno.test("Alarm does not ring when it is lifted, until it is set again", async () => {
  const { alarm: it, rings, next } = alarm();
  it.set(10);
  it.lift();
  await pass(30);
  assertEquals(rings(), 0);
  it.set(10);
  await next();
  it.set(10);
  it.lift();
  it.set(1);
  await next();
  it.stop();
});

Deno.test("Alarm.stop() leaves no timer behind, whenever it is set", async () => {
  const { alarm: it, rings } = alarm();
  it.set(10);
  it.stop();
  it.set(1);
  it.set(1e9); // the test's sanitizer would see its timer
  await pass(30);
  assertEquals(rings(), 0);
});

Deno.test("Alarm: a time that no timer can wait is waited in parts", () => {
  const waits: unknown[] = [];
  const real = globalThis.setTimeout;
  const noTimer = (_: () => void, ms: number) => (waits.push(ms), 0);
  globalThis.setTimeout = noTimer as unknown as typeof setTimeout;
  try {
    const { alarm: it, rings } = alarm();
    it.set(3e12); // a hundred years: a timer of as much would ring at once
    assertEquals([waits, rings()], [[2 ** 31 - 1], 0]);
    it.stop();
  } finally {
    globalThis.setTimeout = real;
  }
});

Deno.test("Alarm: what came while the process was busy is seen before it rings, once", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using server = await listener.accept();
  const busy = () => {
    for (const ends = performance.now() + 80; performance.now() < ends;);
  };
  const { alarm: it, rings, next } = alarm();
  const reading = server.read(new Uint8Array(1)).then(() => it.lift());
  it.set(30);
  await client.write(new Uint8Array(1));
  busy();
  await reading;
  await pass(10);
  assertEquals(rings(), 0);
  it.set(30);
  const others = setInterval(busy); // the process is busy all the time
  busy();
  await next();
  clearInterval(others);
  assertEquals(rings(), 1);
  it.stop();
});
