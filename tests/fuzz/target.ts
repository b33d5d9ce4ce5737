/** What the fuzzer can be aimed at. */

import type { Bytes } from "../../lib/bytes.ts";

/** One way in for bytes from outside. */
export interface Target {
  readonly name: string;
  /** What it begins with. */
  seeds(): Bytes[];
  /**
   * Lets the code under test use one input. Returns what came of it: inputs of which something else comes are worth to be kept.
   * Throws a `Finding` for what must not be.
   */
  run(bytes: Bytes): string | Promise<string>;
  /** Makes another input of one. @default {as of any bytes} */
  mutate?(bytes: Bytes, choose: (below: number) => number): Bytes;
  /** Inputs like `bytes` with less in them, the smallest first. @default {with parts cut out} */
  shorten?(bytes: Bytes): Iterable<Bytes>;
  /** An input for people. @default {hexadecimal} */
  show?(bytes: Bytes): string;
}
