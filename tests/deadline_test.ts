/** Waits that end in time. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { inTime } from "../lib/deadline.ts";

const NEVER = new Promise<never>(() => {});

Deno.test("inTime gives what the work gives, or throws what it throws", async () => {
  assertEquals(await inTime(Promise.resolve(7), 60), 7);
  await assertRejects(() => inTime(Promise.reject(new RangeError("no")), 60), RangeError, "no");
});

Deno.test("inTime ends a wait that takes too long, with the error of the caller", async () => {
  await assertRejects(() => inTime(NEVER, 0.01), Error, "Timed out");
  await assertRejects(() => inTime(NEVER, -1, () => new RangeError("late")), RangeError, "late");
});

Deno.test("inTime: what fails after its time is no unhandled rejection", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  await assertRejects(() => inTime(promise, 0.01), Error, "Timed out");
  reject(new Error("later"));
  await new Promise((resolve) => setTimeout(resolve));
});

Deno.test("inTime: a signal ends the wait with its reason, and is let go", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add.apply(signal, args));
  signal.removeEventListener = (
    ...args: Parameters<typeof remove>
  ) => (listeners--, remove.apply(signal, args));
  assertEquals(await inTime(Promise.resolve(1), 60, undefined, signal), 1);
  assertEquals(listeners, 0);
  const waiting = assertRejects(() => inTime(NEVER, 60, undefined, signal), RangeError, "enough");
  controller.abort(new RangeError("enough"));
  await waiting;
  await assertRejects(() => inTime(NEVER, 60, undefined, signal), RangeError, "enough");
  assert(signal.aborted);
});

Deno.test("inTime: a time that no timer can wait for is no time limit", async () => {
  const work = new Promise<number>((resolve) => setTimeout(() => resolve(3), 20));
  assertEquals(await inTime(work, 1e10), 3);
  assertEquals(await inTime(Promise.resolve(4), Infinity), 4);
});
