import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { pipe } from "./pipe.ts";
import { isPending, receiveAll } from "./stream_helpers.ts";

Deno.test("pipe() holds its capacity, then writes wait", async () => {
  const [near, far] = pipe({ capacity: 4 });
  assertEquals(await near.write(encodeText("abcdef")), 4);
  const waiting = near.write(encodeText("ef"));
  assertEquals(await isPending(waiting), true);
  assertEquals(near.unread, 4);
  assertEquals(await far.read(new Uint8Array(3)), 3);
  assertEquals(await waiting, 2);
});

Deno.test("pipe() ends settle what waits when they close", async () => {
  const [near, far] = pipe({ capacity: 1 });
  await near.write(encodeText("a"));
  near.blockReads();
  const waiting = [near.read(new Uint8Array(1)), near.write(encodeText("b"))];
  near.close();
  for (const call of waiting) await assertRejects(() => call, Deno.errors.Interrupted);
  assertThrows(() => near.close(), Deno.errors.BadResource);
  assertEquals(await receiveAll(far), "a");
  await assertRejects(() => far.write(encodeText("c")), Deno.errors.BrokenPipe);
});

Deno.test("pipe() loses what is on its way when an end aborts", async () => {
  const [near, far] = pipe();
  await near.write(encodeText("lost"));
  near.abort();
  await assertRejects(() => far.read(new Uint8Array(4)), Deno.errors.ConnectionReset);
  await assertRejects(() => far.write(encodeText("x")), Deno.errors.ConnectionReset);
});

Deno.test("pipe() delivers what alter() makes of a write", async () => {
  const [near, far] = pipe();
  near.alter = (bytes) => bytes.map((byte) => byte ^ 0x20);
  await near.write(encodeText("Case"));
  near.close();
  assertEquals(await receiveAll(far), "cASE");
});

Deno.test("pipe() keeps a blocked read waiting until it is unblocked", async () => {
  const [near, far] = pipe();
  near.blockReads();
  await far.write(encodeText("a"));
  const waiting = near.read(new Uint8Array(1));
  assertEquals(await isPending(waiting), true);
  near.unblockReads();
  assertEquals(await waiting, 1);
});
