/** BytePool: arrays that are used again and again, by whoever needs one for a moment. */

import type { Bytes } from "./bytes.ts";

/**
 * A new array of more than 64 bytes costs the engine a block of zeroed memory, and its collector another look at it: more
 * than most records cost to encrypt. An array that is given back is not wiped: it is for what anybody may see.
 */
export class BytePool {
  /** Bytes in each array. */
  readonly size: number;
  readonly #kept: number;
  readonly #free: Bytes[] = [];

  /**
   * Makes an empty pool.
   *
   * @param size Bytes in each array.
   * @param kept Arrays that it holds on to, at most.
   */
  constructor(size: number, kept: number) {
    this.size = size;
    this.#kept = kept;
  }

  /** An array; what is in it is left over from its last use. */
  take(): Bytes {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Takes back the array that `bytes` is in, if it is one of this size. Nobody may use it any more. */
  give({ buffer }: Bytes): void {
    if (buffer.byteLength === this.size && this.#free.length < this.#kept) {
      this.#free.push(new Uint8Array(buffer));
    }
  }
}

/** For records, both ways: a flight or a message; 64 KiB of data; the most that engine.ts lets wait. */
const POOLS = [new BytePool(4096, 64), new BytePool(68 * 1024, 8), new BytePool(160 * 1024, 8)];

/** An array for `size` bytes of records, or for more. */
export function takeBytes(size: number): Bytes {
  return POOLS.find((pool) => pool.size >= size)?.take() ?? new Uint8Array(size);
}

/** Takes back an array that {@linkcode takeBytes} gave, or a part of it. Nobody may use it any more. */
export function giveBytes(bytes: Bytes): void {
  for (const pool of POOLS) pool.give(bytes);
}
