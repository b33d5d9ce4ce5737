/**
 * ByteQueue: the buffer of either stream, and the checks that both make of sizes and counts.
 *
 * @module
 */

import { type Bytes, EMPTY, encodeText, typeName } from "./bytes.ts";

/** Bytes that an empty queue holds on to: an idle connection's read asks for as many. */
export const MIN_CHUNK = 1024;
/** Default of `maxBuffered`, in bytes: 1024 times the high-water mark, out of reach for whoever awaits `drain()`. */
export const MAX_BUFFERED = 64 * 1024 * 1024;

/** Bytes in one array: added at the back, taken from the front, in amortised constant time for each. */
export class ByteQueue {
  #bytes: Bytes = EMPTY;
  #start = 0;
  #end = 0;

  /** How many bytes it holds. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** All of it, valid until the next change. */
  peek(): Bytes {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Room for `n` bytes at the back, of which {@linkcode ByteQueue.commit} adds the first ones. */
  space(n: number): Bytes {
    if (this.#bytes.length - this.#end < n) {
      const { length } = this;
      // Moving down is worth it once as many bytes were taken as have to move.
      if (this.#start >= length && this.#bytes.length >= length + n) {
        this.#bytes.copyWithin(0, this.#start, this.#end);
      } else {
        const larger = new Uint8Array(Math.max(length + n, 2 * this.#bytes.length));
        larger.set(this.peek());
        this.#bytes = larger;
      }
      this.#start = 0;
      this.#end = length;
    }
    return this.#bytes.subarray(this.#end, this.#end + n);
  }

  /** Adds the first `n` bytes of the last {@linkcode ByteQueue.space}. */
  commit(n: number): void {
    this.#end += n;
  }

  /** Takes `n` bytes: a copy, or the array itself when they fill most of it. */
  take(n: number): Bytes {
    const whole = n === this.length && 2 * n > this.#bytes.length;
    const bytes = whole ? this.peek() : this.#bytes.slice(this.#start, this.#start + n);
    if (whole) this.#bytes = EMPTY;
    this.drop(n);
    return bytes;
  }

  /** Drops `n` bytes from the front. */
  drop(n: number): void {
    this.#start += n;
    if (this.#start < this.#end) return;
    this.#start = this.#end = 0;
    if (this.#bytes.length > MIN_CHUNK) this.#bytes = EMPTY; // nothing large is held while nothing waits
  }
}

/** Where `separator` begins in `bytes`, at `from` or later; -1 if nowhere. */
export function indexOf(bytes: Uint8Array, separator: Uint8Array, from: number): number {
  const first = separator[0]!;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let i = 1;
    while (i < separator.length && bytes[at + i] === separator[i]) i++;
    if (i === separator.length) return at;
  }
  return -1;
}

/** The bytes of text or bytes; throws a `TypeError` that names the argument if `value` is neither. */
export function toBytes(name: string, value: unknown): Uint8Array {
  if (typeof value === "string") return encodeText(value);
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`Cannot use ${name}: expected a string or a Uint8Array, got ${typeName(value)}`);
}

/** Throws a `RangeError` that names the argument, unless `value` is a whole number of at least `min`, or `Infinity`. */
export function assertSize(name: string, value: unknown, min: number): number {
  const whole = typeof value === "number" && (Number.isInteger(value) || value === Infinity);
  if (whole && value >= min) return value;
  throw new RangeError(
    `Cannot use ${name}: expected a whole number of at least ${min}, got ${String(value)}`,
  );
}

/** A Duplex that counts wrongly would make a loop over its reads or writes spin, or lose bytes. */
export function assertCount(method: string, n: number, max: number): number {
  if (Number.isInteger(n) && n >= 1 && n <= max) return n;
  throw new TypeError(`Cannot use transport: ${method}() returned ${n}, expected 1 to ${max}`);
}
