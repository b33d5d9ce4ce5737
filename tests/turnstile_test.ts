/** The turnstile: what handshakes may take of a turn of the event loop, and whose turn it is. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Turn, waitingHandshakes } from "../lib/turnstile.ts";
import { certFile, PATIENCE, within } from "./peers.ts";
import { encodeText } from "../lib/bytes.ts";
import { Connection } from "../lib/connection.ts";
import { WORKING } from "../lib/engine_state.ts";
import { dialTls, eventually, isPending, pair, readText, SERVER, serving, test } from "./sockets.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { pipe } from "./pipe.ts";
import { SSLError } from "../lib/errors.ts";

/** Work of so many milliseconds. */
function work(ms: number): void {
  for (const ends = performance.now() + ms; performance.now() < ends;);
}

/** Lets all that is due be done, and the turn be over. */
async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, 40));
}

/** The place of a handshake with a host. */
function turn(hostname: string): Turn {
  return new Turn({ transport: "tcp", hostname, port: 1 });
}

/** Uses turns up until a step has to wait for one, as all that come later do, then. */
function useUp(): Promise<void> {
  for (let waits = true;; waits = true) {
    const step = turn("first").take(() => {
      work(10);
      waits = false;
    });
    if (waits) return step;
  }
}

/** Notes the order of steps, each of which uses a turn up. */
function steps(order: string[]) {
  return (name: string, place: Turn) =>
    place.take(() => {
      work(10);
      order.push(name);
    });
}

Deno.test("Turn: short steps are done at once, in one turn", async () => {
  await nextTurn();
  let timers = 0;
  setTimeout(() => timers++);
  const results = await Promise.all(Array.from({ length: 20 }, (_, i) => turn("a").take(() => i)));
  assertEquals(results, Array.from({ length: 20 }, (_, i) => i));
  assertEquals(timers, 0);
  await nextTurn();
});

Deno.test("Turn: a turn begins no step once its time is used up, and other work comes between", async () => {
  await nextTurn();
  const order: string[] = [];
  const step = steps(order);
  const done = Promise.all(["1", "2", "3"].map((name) => step(name, turn("a"))));
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using _client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using _server = await listener.accept();
  order.push("network");
  await done;
  assert(order.indexOf("network") < 3, order.join());
  await nextTurn();
});

Deno.test("Turn: hosts take turns; of a host what is under way goes first", async () => {
  await nextTurn();
  const order: string[] = [];
  const step = steps(order);
  const begun = turn("a");
  await begun.take(() => {});
  await Promise.all([
    useUp(),
    ...["a1", "a2", "a3"].map((name) => step(name, turn("a"))),
    step("under way", begun),
    ...["b1", "b2"].map((name) => step(name, turn("b"))),
    step("c1", turn("c")),
  ]);
  assertEquals(order, ["under way", "b1", "c1", "a1", "b2", "a2", "a3"]);
  await nextTurn();
});

Deno.test("Turn: a host whose many handshakes are all under way does not hold up one that begins", async () => {
  await nextTurn();
  const order: string[] = [];
  const step = steps(order);
  const begun = Array.from({ length: 5 }, () => turn("a"));
  for (const place of begun) await place.take(() => {}); // as with HelloRetryRequest: the costly step is the second
  await Promise.all([useUp(), ...begun.map((place, i) => step(`a${i}`, place)), step("b", turn("b"))]);
  assert(order.indexOf("b") <= 2, order.join());
  await nextTurn();
});

Deno.test("Turn: a host of which none waits goes before those that do", async () => {
  for (;;) {
    await nextTurn();
    const order: string[] = [];
    const start = performance.now();
    const place = (name: string, host: string) =>
      turn(host).take(() => {
        work(3);
        order.push(name);
      });
    const all = Promise.all([place("a1", "a"), place("a2", "a"), place("a3", "a"), place("b", "b")]);
    const isInTime = performance.now() - start < 7; // else the turn had no time left for "b": again
    await all;
    if (!isInTime) continue;
    assertEquals(order, ["a1", "b", "a2", "a3"]);
    return await nextTurn();
  }
});

/** Tries again for as long as something else had the processor amid a try, so that its turns were others. */
async function eventuallyEquals(attempt: () => Promise<unknown[]>, expected: unknown[]): Promise<void> {
  let result = await attempt();
  for (let again = 0; again < 20 && `${result}` !== `${expected}`; again++) result = await attempt();
  assertEquals(result, expected);
}

Deno.test("Turn: a host of which many wait goes behind others that come, and has less of a turn", async () => {
  await eventuallyEquals(async () => {
    await nextTurn();
    const order: string[] = [];
    const place = (name: string, ms: number) =>
      turn(name[0]!).take(() => {
        work(ms);
        order.push(name);
      });
    const used = useUp();
    const many = Array.from({ length: 12 }, (_, i) => place(`a${i}`, 0.55));
    await Promise.all([used, ...many, ...["b0", "b1", "b2"].map((name) => place(name, 0.1))]);
    await nextTurn();
    return order.slice(0, 4);
  }, ["b0", "b1", "b2", "a0"]);
});

Deno.test("Turn: while one host comes alone, its turns are longer", async () => {
  const stepsAtOnce = async () => {
    await nextTurn();
    const place = turn("alone");
    let steps = 0;
    const all = Promise.all(Array.from({ length: 8 }, () => place.take(() => (work(1.1), steps++))));
    const atOnce = steps;
    await all;
    return atOnce;
  };
  await eventuallyEquals(async () => {
    await turn("another").take(() => {});
    const shared = await stepsAtOnce();
    await new Promise((resolve) => setTimeout(resolve, 1100)); // nobody else comes for a second
    return [shared, await stepsAtOnce()];
  }, [2, 4]);
  await nextTurn();
});

Deno.test("Turn: a signature goes on before all else of its host, and in turn with other hosts", async () => {
  await nextTurn();
  const order: string[] = [];
  const step = steps(order);
  let left = 3;
  const signs = () => {
    work(10);
    order.push("a signs");
    return --left > 0;
  };
  await Promise.all([
    useUp(),
    turn("a").take(signs, (isAmid) => isAmid),
    step("a", turn("a")),
    step("b1", turn("b")),
    step("b2", turn("b")),
  ]);
  assertEquals(order, ["a signs", "b1", "a signs", "b2", "a signs", "a"]);
  await nextTurn();
});

const HOSTS = [["2001:db8::1", "2001:db8::2", true], ["192.0.2.1", "::ffff:192.0.2.1", true], [
  "2001:db8::1",
  "2001:db8:0:1::1",
  false,
]] as const;
for (const [one, other, same] of HOSTS) {
  Deno.test(`Turn: ${one} and ${other} are ${same ? "one host" : "two hosts"}`, async () => {
    await nextTurn();
    const order: string[] = [];
    const step = steps(order);
    await Promise.all([
      useUp(),
      step("1", turn(one)),
      step("2", turn(one)),
      step("3", turn(other)),
    ]);
    assertEquals(order, same ? ["1", "2", "3"] : ["1", "3", "2"]);
    await nextTurn();
  });
}

Deno.test("Turn: handshakes that come in crumbs do not keep out others of their host that begin", async () => {
  await nextTurn();
  let crumbs = 0;
  let isOver = false;
  const crumble = async (place: Turn) => {
    while (!isOver && crumbs < 60) await place.take(() => (crumbs++, work(3))); // each uses a turn up
  };
  const slow = Array.from({ length: 3 }, () => turn("a"));
  for (const place of slow) await place.take(() => {});
  const all = slow.map(crumble);
  await turn("a").take(() => isOver = true);
  await Promise.all(all);
  assert(crumbs <= 30, `${crumbs} steps`);
  await nextTurn();
});

Deno.test("Turn: a host of which none waits goes before signatures that many others wait for", async () => {
  await nextTurn();
  const { now } = performance;
  let clock = now.call(performance);
  performance.now = () => clock;
  try {
    let steps = 0;
    const sign = () => {
      let left = 10;
      return () => (clock += 2, steps++, --left);
    };
    const all = Array.from({ length: 20 }, (_, i) => turn(`host ${i}`).take(sign(), (left) => left > 0));
    await new Promise((resolve) => setTimeout(resolve)); // behind the first turn
    const before = steps;
    const fresh = turn("fresh").take(() => steps);
    assert(before < 100 && await fresh - before <= 1, `${before} steps, then ${await fresh - before}`);
    await Promise.all(all);
  } finally {
    performance.now = now;
  }
  await nextTurn();
});

Deno.test("Turn: whatever comes, fails, is amid its work or leaves, nobody waits for ever", async () => {
  await nextTurn();
  const { now } = performance;
  let clock = now.call(performance); // each step moves it on
  performance.now = () => clock;
  let seed = 1;
  const random = (n: number) => (seed = seed * 48271 % 0x7fffffff) % n;
  try {
    const waits: Promise<unknown>[] = [];
    let done = 0;
    for (let i = 0; i < 1000; i++) {
      const place = turn(`host ${random(8) === 0 ? i : random(3)}`);
      const size = random(4);
      let parts = size;
      const fate = random(10);
      const step = () => {
        clock += random(3);
        if (fate === 0) throw new Error("broken");
        if (fate === 1 && parts === 2) place.leave(); // its connection is dropped amid its work
        return --parts;
      };
      const taken = place.take(step, (left) => left > 0).then(() => done++, () => done++);
      if (fate !== 2 && (fate !== 1 || size < 2)) waits.push(taken);
      if (fate === 2) random(2) === 0 ? place.leave() : setTimeout(() => place.leave(), random(3));
      if (random(20) === 0) await new Promise((resolve) => setTimeout(resolve, random(2)));
      if (random(200) === 0) clock += 5;
    }
    await within(Promise.all(waits), PATIENCE, "have every turn");
    assert(done >= waits.length);
  } finally {
    performance.now = now;
  }
  await nextTurn();
  await nextTurn();
  assertEquals(waitingHandshakes(), 0);
});

Deno.test("Turn: a step that throws holds up nobody", async () => {
  await nextTurn();
  const fail = () => {
    work(10);
    throw new Error("broken");
  };
  const all = [1, 2, 3].map(() => assertRejects(() => turn("a").take(fail), Error, "broken"));
  await Promise.all([...all, turn("b").take(() => {})]);
  await nextTurn();
});

Deno.test("Turn: a step that leaves something undone is done again, in turns with other hosts", async () => {
  await nextTurn();
  const order: string[] = [];
  let timers = 0;
  const count = setInterval(() => timers++, 1);
  const inParts = (name: string, place: Turn) => {
    let left = 3;
    return place.take(() => {
      work(10);
      order.push(name);
      return --left;
    }, (undone) => undone > 0);
  };
  const gone = turn("b");
  const results = Promise.all([useUp(), inParts("a", turn("a")), inParts("b", turn("c"))]);
  inParts("gone", gone);
  while (!order.includes("gone")) await new Promise((resolve) => setTimeout(resolve));
  gone.leave(); // amid its work
  assertEquals(await results, [undefined, 0, 0]);
  await nextTurn();
  clearInterval(count);
  assertEquals(order.join(), "a,b,gone,a,b,a,b");
  assert(timers >= 6, `${timers} timers`);
});

Deno.test("Turn: who leaves has no step any more, and holds up nobody", async () => {
  await nextTurn();
  const order: string[] = [];
  const step = steps(order);
  const [left, also, stays] = [turn("a"), turn("b"), turn("a")];
  useUp();
  step("left", left);
  step("also", also);
  const done = step("stays", stays);
  left.leave();
  also.leave();
  left.leave(); // again
  stays.take(() => order.push("second"));
  await done;
  await nextTurn();
  await nextTurn();
  assertEquals(order, ["stays", "second"]);
  stays.leave(); // it waits for nothing
});

test("Turn: a handshake that ends while it waits for its turn leaves", async () => {
  await nextTurn();
  const [near, far] = pipe();
  const hello = new Uint8Array([22, 3, 1, 0, 1, 1]);
  await near.write(hello);
  const reason = new SSLError("enough", { kind: "closed" });
  const end = new AbortController();
  const others = [useUp(), ...Array.from({ length: 4 }, () => turn("").take(() => work(10)))];
  const wrapping = wrapSocket(far, { ...SERVER, signal: end.signal });
  assert(await isPending(wrapping));
  end.abort(reason);
  assertEquals(await assertRejects(() => wrapping), reason);
  await Promise.all(others);
  const { client, server } = await pair(); // nobody is held up
  await Promise.all([client.close(), server.close()]);
  near.close();
});

test("Turn: handshakes that are dropped amid a signature, and while they wait for one, hold up nobody", async () => {
  const ssl = { certfile: certFile("rsa4096.pem"), keyfile: certFile("rsa4096.key") };
  await using server = await serving(async (reader, writer) => writer.write(await reader.read(4)), { ssl });
  const connect = () => dialTls(server, { caCerts: certFile("roots.pem") });
  const { handshake } = Connection.prototype;
  let drop = true;
  Connection.prototype.handshake = function (inSteps: boolean) {
    const code = handshake.call(this, inSteps);
    if (inSteps && code === WORKING && drop) {
      drop = false;
      setTimeout(() => server.abortHandshakes()); // of the one that signs, when it waits for its next step, and of the others
    }
    return code;
  };
  try {
    const ends = await Promise.allSettled(Array.from({ length: 6 }, connect));
    assert(ends.some(({ status }) => status === "rejected"));
    for (const end of ends) if (end.status === "fulfilled") await end.value.close();
  } finally {
    Connection.prototype.handshake = handshake;
  }
  await eventually(() => server.stats.handshaking === 0);
  assertEquals([drop, waitingHandshakes()], [false, 0]);
  const client = await connect();
  await client.write(encodeText("next"));
  assertEquals(await readText(client), "next");
  await client.close();
  assertEquals(server.stats.failures, {});
});
