/** The register of tickets that have brought early data. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { StrikeRegister } from "../lib/strikes.ts";
import { FixedClock } from "./pair.ts";

const WINDOW = 12000; // milliseconds

Deno.test("StrikeRegister.claim(): a ticket is given once, until no copy of its ClientHello is taken any more", () => {
  const clock = new FixedClock();
  const register = new StrikeRegister(clock.now);
  const claim = (id: string) => register.claim(id, clock.time, WINDOW);
  assertEquals([claim("a"), claim("a"), claim("b"), claim("a")], [true, false, true, false]);
  clock.advance(12);
  assertEquals(claim("a"), false, "the last moment of its window");
  clock.advance(0.001);
  assertEquals(claim("a"), true);
  assertEquals(register.size, 1, "what is over is forgotten");
});

Deno.test("StrikeRegister.claim(): a clock that goes back forgets nothing", () => {
  const clock = new FixedClock();
  const register = new StrikeRegister(clock.now);
  assertEquals(register.claim("a", clock.time, WINDOW), true);
  clock.advance(-3600);
  assertEquals(register.claim("a", clock.time, WINDOW), false);
  clock.advance(3600 + 13);
  assertEquals(register.claim("b", clock.time, WINDOW), true, "a is forgotten");
  clock.advance(-5);
  assertEquals(register.claim("a", clock.time, WINDOW), false, "it could be sent again");
  clock.advance(5);
  assertEquals(register.claim("c", clock.time, WINDOW), true);
});

Deno.test("StrikeRegister.claim(): when it is full it gives no more, until there is room", () => {
  const clock = new FixedClock();
  const register = new StrikeRegister(clock.now, 2);
  const claim = (id: string) => register.claim(id, clock.time, WINDOW);
  assertEquals([claim("a"), claim("b"), claim("c")], [true, true, false]);
  clock.advance(13);
  assertEquals([claim("c"), register.size], [true, 1]);
});

Deno.test("StrikeRegister.claim(): tickets that are older than it wait until no copy can be about", () => {
  const clock = new FixedClock();
  const older = clock.time - 1;
  const register = new StrikeRegister(clock.now);
  assertEquals(register.claim("a", older, WINDOW), false);
  assertEquals(register.claim("b", clock.time, WINDOW), true, "its own");
  clock.advance(12.001);
  assertEquals(register.claim("a", older, WINDOW), true);
});

Deno.test("StrikeRegister.of(): one for each clock", () => {
  const clock = new FixedClock();
  assertStrictEquals(StrikeRegister.of(clock.now), StrikeRegister.of(clock.now));
  assert(StrikeRegister.of(clock.now) !== StrikeRegister.of(new FixedClock().now));
});
