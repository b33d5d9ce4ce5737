/**
 * What the fuzzer asks two cores, and whether they say the same.
 *
 * @module
 */

import type { Harness } from "./harness.ts";
import type { Random } from "./random.ts";

/** One question, for any core. */
export interface Case {
  /** What is asked, for a report. */
  about: Record<string, unknown>;
  /** Asks a core. Everything in the answer must be the same for both: codes, and bytes of outputs. */
  run(harness: Harness): unknown;
}

/** A source of questions. */
export interface Primitive {
  name: string;
  /** Microseconds that a case takes mbedTLS, or so: what many of them cost decides how many a short run does. */
  cost: number;
  /** Makes a case; `reference` is the core of mbedTLS alone, for what a case needs beforehand. */
  make(random: Random, reference: Harness): Case;
  /** Loads into a core what cases share. */
  prepare?(harness: Harness): void;
}

/** Whether two answers are the same. */
export function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a === b;
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) {
      if (a[i] !== b[i]) return false;
    }
    return true;
  }
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length &&
    keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

/** A case or an answer as JSON, bytes in hexadecimal. */
export function describe(value: unknown): string {
  return JSON.stringify(value, (_, part) => part instanceof Uint8Array ? part.toHex() : part);
}
