/** The turnstile: what handshakes may take of a turn of the event loop, and whose turn it is. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { inTurn } from "../lib/turnstile.ts";

/** Work of so many milliseconds. */
function work(ms: number): void {
  for (const ends = performance.now() + ms; performance.now() < ends;);
}

/** Lets all that is due be done, and the turn be over. */
async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, 40));
}

Deno.test("inTurn(): short steps are done at once, in one turn", async () => {
  await nextTurn();
  let timers = 0;
  setTimeout(() => timers++);
  const results = await Promise.all(Array.from({ length: 20 }, (_, i) => inTurn(() => i, "a")));
  assertEquals(results, Array.from({ length: 20 }, (_, i) => i));
  assertEquals(timers, 0);
  await nextTurn();
});

Deno.test("inTurn(): a turn begins no step once its time is used up, and other work comes between", async () => {
  await nextTurn();
  const order: string[] = [];
  const steps = Promise.all(["1", "2", "3"].map((name) =>
    inTurn(() => {
      work(10);
      order.push(name);
    }, "a")
  ));
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using _client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using _server = await listener.accept();
  order.push("network");
  await steps;
  assert(order.indexOf("network") < 3, order.join());
  await nextTurn();
});

Deno.test("inTurn(): what is under way goes first, then one of each address", async () => {
  await nextTurn();
  const order: string[] = [];
  const begin = (name: string, address?: string) =>
    inTurn(() => {
      work(10);
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
    work(10);
    throw new Error("broken");
  };
  const all = [1, 2, 3].map(() => assertRejects(() => inTurn(fail, "a"), Error, "broken"));
  await Promise.all([...all, inTurn(() => {}, "b")]);
  await nextTurn();
});
