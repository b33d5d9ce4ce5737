/**
 * Drives the C harness (`wasm/harness/`) of a test core: puts inputs into its memory wherever they are wanted, hands out
 * exact randomness, and sees to it that nothing is written but outputs.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Bytes } from "../../lib/bytes.ts";
import { CORE_IMPORTS } from "../../lib/core.ts";
import { ensureBuilt, folderOf } from "../../wasm/build.ts";
import type { TestCoreExports } from "./exports.ts";
import { Random } from "./random.ts";

/** The cores that have the harness: with kernels, with those for plain SIMD, and mbedTLS alone. */
export type TestCore = "test" | "test.simd" | "stock";

/** Bytes for the buffers of one call: the longest input is FIPS 180's million of letters. */
const ARENA = 2 << 20;
/** Bytes before and behind each buffer that no call may write to: the width of two vectors. */
const GUARD = 32;
const GUARD_BYTE = 0xa5;

const ENTROPY_FAILED = -0x3c; // MBEDTLS_ERR_ENTROPY_SOURCE_FAILED, as lib/core.ts says it

/** What {@linkcode Harness.random} throws where there is no randomness. */
export class NoRandomness extends Error {}

/** Where buffers lie. */
export interface Layout {
  /** Bytes by which they miss 16-byte alignment, 0 to 15. @default {0} */
  shift?: number;
}

/** Builds what is missing of `cores`, and loads them. */
export async function loadHarnesses<T extends TestCore[]>(
  ...cores: T
): Promise<{ [index in keyof T]: Harness }> {
  await ensureBuilt(cores);
  return await Promise.all(cores.map(Harness.load)) as { [index in keyof T]: Harness };
}

/** An instance of a test core. */
export class Harness {
  /** Which core it is. */
  readonly core: TestCore;
  /** The module's functions. Pointers and lengths are numbers. */
  readonly call: TestCoreExports;
  /** Where the core's randomness comes from. Tests set it to what they need; {@linkcode NoRandomness} reports failure. */
  random: (bytes: Uint8Array) => void;
  readonly #memory: WebAssembly.Memory;
  readonly #arena: number;
  #view: Bytes = new Uint8Array(0);

  private constructor(core: TestCore, module: WebAssembly.Module) {
    this.core = core;
    this.random = streamOf("");
    const imports: Record<string, (...args: number[]) => number> = {
      ...Object.fromEntries(Object.keys(CORE_IMPORTS).map((name) => [name, () => 0])), // none but this one is called
      entropy: (at, length) => {
        try {
          this.random(this.memory.subarray(at, at! + length!));
          return 0;
        } catch (error) {
          if (error instanceof NoRandomness) return ENTROPY_FAILED;
          throw error;
        }
      },
    };
    const { exports } = new WebAssembly.Instance(module, { tlsio: imports });
    this.call = exports as unknown as TestCoreExports;
    this.#memory = exports.memory as WebAssembly.Memory;
    (exports._initialize as () => void)();
    if (this.call.core_init() !== 0) throw new Error(`Cannot start core "${core}"`);
    this.#arena = this.call.core_alloc(ARENA);
  }

  /** Loads a core that has been built. */
  static async load(core: TestCore): Promise<Harness> {
    const bytes = await Deno.readFile(new URL(`${core}.wasm`, folderOf(core)));
    return new Harness(core, await WebAssembly.compile(bytes));
  }

  /** The core's memory. Not to be kept over a call: growth detaches it. */
  get memory(): Bytes {
    if (this.#view.buffer !== this.#memory.buffer) {
      this.#view = new Uint8Array(this.#memory.buffer as ArrayBuffer);
    }
    return this.#view;
  }

  /** The memory but for the buffers of calls: what is below them, what is above. Not to be kept over a call. */
  get remains(): [below: Bytes, above: Bytes] {
    return [this.memory.subarray(0, this.#arena), this.memory.subarray(this.#arena + ARENA)];
  }

  /** Whether `bytes` are anywhere in memory, in this order or the other, but for the buffers of calls. */
  holds(bytes: Uint8Array): boolean {
    const parts = this.remains.map((part) => Buffer.from(part.buffer, part.byteOffset, part.length));
    return parts.some((part) => part.indexOf(bytes) >= 0 || part.indexOf(bytes.toReversed()) >= 0);
  }

  /** Where two cores differ in memory, but for the buffers of calls: addresses of bytes. */
  differences(other: Harness): number[] {
    const [ours, theirs] = [this.memory, other.memory];
    const differ: number[] = [];
    for (let at = 0; at < Math.max(ours.length, theirs.length); at++) {
      if (ours[at] !== theirs[at] && (at < this.#arena || at >= this.#arena + ARENA)) differ.push(at);
    }
    return differ;
  }

  /** Bytes in live blocks of the core's heap. */
  get allocated(): number {
    return this.call.core_allocated();
  }

  /**
   * Runs `use` with buffers in the core's memory.
   *
   * @returns What `use` returns.
   * @throws {Error} When the call has written before or behind a buffer, or to an input.
   */
  frame<T>(layout: Layout, use: (frame: Frame) => T): T {
    const frame = new Frame(this, this.#arena, this.#arena + ARENA, layout.shift ?? 0);
    const result = use(frame);
    frame.check();
    return result;
  }
}

/** The buffers of one call. */
export class Frame {
  #harness: Harness;
  #next: number;
  #end: number;
  #shift: number;
  #buffers: { at: number; size: number; input: Uint8Array | undefined }[] = [];

  constructor(harness: Harness, start: number, end: number, shift: number) {
    this.#harness = harness;
    this.#next = start;
    this.#end = end;
    this.#shift = shift;
  }

  /** A copy of `bytes`, which the call must leave alone. */
  input(bytes: Uint8Array): number {
    const at = this.#place(bytes.length, bytes);
    this.#harness.memory.set(bytes, at);
    return at;
  }

  /** Room for `size` bytes of output. */
  output(size: number): number {
    return this.#place(size, undefined);
  }

  /** Room for an output that begins as a copy of `bytes`. */
  inout(bytes: Uint8Array): number {
    const at = this.#place(bytes.length, undefined);
    this.#harness.memory.set(bytes, at);
    return at;
  }

  /**
   * An input and an output of its length: apart, in one place (`overlap` 0), or the output so many bytes before the
   * input.
   */
  pair(bytes: Uint8Array, overlap?: number): [input: number, output: number] {
    if (overlap === undefined) return [this.input(bytes), this.output(bytes.length)];
    const at = this.#place(bytes.length + overlap, undefined);
    this.#harness.memory.set(bytes, at + overlap);
    return [at + overlap, at];
  }

  /** A list of uint32: its address and its length, as the C side takes it. */
  list(numbers: readonly number[]): [at: number, count: number] {
    const shift = this.#shift;
    this.#shift = 0;
    const at = this.input(new Uint8Array(Uint32Array.from(numbers).buffer));
    this.#shift = shift;
    return [at, numbers.length];
  }

  /** A copy of `size` bytes of output; of none, when `size` is an error code. */
  read(at: number, size: number): Bytes {
    return this.#harness.memory.slice(at, at + Math.max(size, 0));
  }

  /** Looks at all that the call had no business with. */
  check(): void {
    const memory = this.#harness.memory;
    for (const { at, size, input } of this.#buffers) {
      const before = intact(memory, at - GUARD) ? "" : "before";
      const behind = intact(memory, at + size) ? "" : "behind";
      if (before + behind !== "") throw new Error(`It wrote ${before || behind} a buffer of ${size} bytes`);
      for (let i = 0; input !== undefined && i < size; i++) {
        if (memory[at + i] !== input[i]) throw new Error(`It changed an input of ${size} bytes`);
      }
    }
  }

  #place(size: number, input: Uint8Array | undefined): number {
    const at = (this.#next + GUARD + 15 & ~15) + this.#shift;
    this.#next = at + size + GUARD;
    if (this.#next > this.#end) throw new RangeError(`Cannot place ${size} bytes: the arena is full`);
    this.#harness.memory.fill(GUARD_BYTE, at - GUARD, at + size + GUARD);
    this.#buffers.push({ at, size, input });
    return at;
  }
}

function intact(memory: Bytes, at: number): boolean {
  for (let i = at; i < at + GUARD; i++) {
    if (memory[i] !== GUARD_BYTE) return false;
  }
  return true;
}

/** Randomness for {@linkcode Harness.random}: first the bytes of `first`, then what `seed` gives. */
export function streamOf(seed: string, first: Uint8Array = new Uint8Array(0)): (bytes: Uint8Array) => void {
  const random = new Random(seed);
  let rest = first;
  return (bytes) => {
    bytes.set(random.bytes(bytes.length));
    bytes.set(rest.subarray(0, bytes.length));
    rest = rest.subarray(bytes.length);
  };
}

/** Calls an export with a list that is as long as its parameters, which TypeScript cannot count. */
export function apply(call: (...args: number[]) => number, args: number[]): number {
  return call(...args);
}
