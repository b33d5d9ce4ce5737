/** The turnstile: what handshakes may take of a turn of the event loop, and whose turn it is. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { inTurn } from "../lib/turnstile.ts";

/** Work of so many milliseconds. */
function work(ms: number): void {
  for (const ends = performance.now() + ms; performance.now() < ends;);
}

/** Turns of the event loop from now on; `stop` gives their number. */
function turns() {
  let n = 0;
  let over = false;
  const count = () => {
    n++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  return {
    get n() {
      return n;
    },
    stop: () => {
      over = true;
      return n;
    },
  };
}

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
}

Deno.test("inTurn(): short steps are done at once, in one turn", async () => {
  const counted = turns();
  const results = await Promise.all(Array.from({ length: 20 }, (_, i) => inTurn(() => i, "a")));
  assertEquals(results, Array.from({ length: 20 }, (_, i) => i));
  assert(counted.stop() <= 1);
  await nextTurn();
});

Deno.test("inTurn(): a turn begins no step once its time is used up", async () => {
  const counted = turns();
  const when = new Map<number, number>();
  await Promise.all(Array.from({ length: 10 }, () =>
    inTurn(() => {
      work(5);
      when.set(counted.n, (when.get(counted.n) ?? 0) + 1);
    }, "a")));
  counted.stop();
  assertEquals([...when.values()], Array(10).fill(1));
  await nextTurn();
});

Deno.test("inTurn(): what is under way goes first, then one of each address", async () => {
  const order: string[] = [];
  const begin = (name: string, address?: string) =>
    inTurn(() => {
      work(5);
      order.push(name);
    }, address);
  await Promise.all([
    begin("first", "a"), // uses this turn up
    ...["a1", "a2", "a3"].map((name) => begin(name, "a")),
    ...["b1", "b2"].map((name) => begin(name, "b")),
    begin("c1", "c"),
    begin("under way"),
  ]);
  assertEquals(order, ["first", "under way", "a1", "b1", "c1", "a2", "b2", "a3"]);
  await nextTurn();
});

Deno.test("inTurn(): a step that throws holds up nobody", async () => {
  const fail = () => {
    work(5);
    throw new Error("broken");
  };
  const all = [1, 2, 3].map(() => assertRejects(() => inTurn(fail, "a"), Error, "broken"));
  await Promise.all([...all, inTurn(() => {}, "b")]);
  await nextTurn();
});
