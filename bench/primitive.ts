/**
 * What the bench of primitives repeats.
 *
 * @module
 */

import type { Harness } from "../tests/crypto/harness.ts";

/** Something to repeat; what it returns, other than a promise, is nobody's concern. */
export type Operation = () => unknown;

/** One primitive. */
export interface PrimitiveRow {
  name: string;
  /** Bytes that an operation handles: the figure is MB/s. Without it, it is microseconds. */
  bytes?: number;
  /** In a core with the harness. */
  core(harness: Harness): Operation;
  /** In Deno's node:crypto. */
  node?(): Operation;
  /** In WebCrypto. */
  web?(): Promise<Operation>;
}

/** Puts bytes, or room for so many, into a core's memory for good. */
export function place(harness: Harness, content: Uint8Array | number): number {
  const bytes = typeof content === "number" ? new Uint8Array(content) : content;
  const at = harness.call.core_alloc(bytes.length + 1);
  harness.memory.set(bytes, at);
  return at;
}
