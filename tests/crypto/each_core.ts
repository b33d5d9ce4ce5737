/**
 * The cores that every test of this folder runs on.
 *
 * @module
 */

import { type Harness, loadHarnesses } from "./harness.ts";

/** mbedTLS alone, with our kernels, and with their variants for plain SIMD. */
export const HARNESSES: readonly Harness[] = await loadHarnesses("stock", "test", "test.simd");

/** Those with kernels, where a test is long and mbedTLS alone is known to pass it. */
export const KERNEL_HARNESSES: readonly Harness[] = HARNESSES.slice(1);

/** Registers a test for each core. */
export function testEach(name: string, run: (harness: Harness) => void | Promise<void>): void {
  for (const harness of HARNESSES) Deno.test(`${name} (${harness.core})`, () => run(harness));
}
