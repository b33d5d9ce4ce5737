/**
 * What the bench of primitives repeats.
 *
 * @module
 */

import type { OpensslSpeed } from "./openssl.ts";
import type { TestCoreExports } from "../tests/crypto/exports.ts";

/** A core with the harness: of wasm, or native. */
export interface PrimitiveCore {
  readonly call: TestCoreExports;
  readonly memory: { set(bytes: Uint8Array, at: number): void };
}

/** Something to repeat; what it returns, other than a promise, is nobody's concern. */
export type Operation = () => unknown;

/** One primitive. */
export interface PrimitiveRow {
  name: string;
  /** Bytes that an operation handles: the figure is MB/s. Without it, it is microseconds. */
  bytes?: number;
  /** In a core with the harness. */
  core(harness: PrimitiveCore): Operation;
  /** In Deno's node:crypto. */
  node?(): Operation;
  /** In WebCrypto. */
  web?(): Promise<Operation>;
  /** In OpenSSL. */
  openssl?: OpensslSpeed;
}

/** Puts bytes, or room for so many, into a core's memory for good. */
export function place(harness: PrimitiveCore, content: Uint8Array | number): number {
  const bytes = typeof content === "number" ? new Uint8Array(content) : content;
  const at = harness.call.core_alloc(bytes.length + 1);
  harness.memory.set(bytes, at);
  return at;
}
