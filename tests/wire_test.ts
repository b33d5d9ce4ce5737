/** Records that wait to be sent, in arrays that are used again. */
import { assert, assertEquals } from "@std/assert";
import { BytePool, giveBytes } from "../lib/byte_pool.ts";
import { type Bytes, concat } from "../lib/bytes.ts";
import { Wire } from "../lib/wire.ts";
import { bytesFrom } from "./pair.ts";

/** Sends `parts` as the core does: out of a larger memory. */
function sent(parts: readonly Bytes[]): Wire {
  const wire = new Wire(undefined);
  for (const part of parts) {
    wire.send(concat([Uint8Array.of(1, 2, 3), part, Uint8Array.of(4)]), 3, part.length);
  }
  return wire;
}

Deno.test("Wire.take() gives what was sent, in order, at any size", () => {
  for (
    const sizes of [[], [1], [86], [4096], [4000, 96, 1], [16_401, 16_401, 16_401], [200_000], [
      90,
      400_000,
      5,
    ]]
  ) {
    const parts = sizes.map((size, i) => bytesFrom(i, size));
    const wire = sent(parts);
    assertEquals(wire.outputLength, sizes.reduce((sum, size) => sum + size, 0));
    assertEquals(wire.take(), concat([new Uint8Array(0), ...parts]), `${sizes}`);
    assertEquals(wire.outputLength, 0);
    assertEquals(wire.take().length, 0);
  }
});

Deno.test("Wire.take(): what one wire gave changes only once it was given back", () => {
  const record = bytesFrom(1, 100);
  const held = sent([record]).take();
  for (let i = 0; i < 200; i++) giveBytes(sent([bytesFrom(i, 100)]).take());
  assertEquals(held, record);
  const { buffer } = held;
  giveBytes(held);
  const arrays = Array.from({ length: 200 }, (_, i) => sent([bytesFrom(i, 100)]).take());
  assert(arrays.some((array) => array.buffer === buffer), "it is used again");
  assertEquals(new Set(arrays.map((array) => array.buffer)).size, 200, "by one at a time");
});

Deno.test("BytePool holds on to no more than it may, and to nothing that is not its own size", () => {
  const pool = new BytePool(128, 3);
  const arrays = Array.from({ length: 10 }, () => pool.take());
  for (const array of arrays) pool.give(array.subarray(5, 9));
  pool.give(new Uint8Array(127));
  pool.give(new Uint8Array(0));
  const given = new Set(arrays.map(({ buffer }) => buffer));
  const again = Array.from({ length: 10 }, () => pool.take());
  assertEquals(again.map(({ length }) => length), new Array(10).fill(128));
  assertEquals(again.filter(({ buffer }) => given.has(buffer)).length, 3);
});
