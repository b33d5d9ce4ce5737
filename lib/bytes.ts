/** Checks and small helpers for bytes. */

/** A view over an `ArrayBuffer` (not a `SharedArrayBuffer`). */
export type Bytes = Uint8Array<ArrayBuffer>;

/** No bytes. */
export const EMPTY: Bytes = new Uint8Array(0);

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** UTF-8 bytes of `text`. */
export function encodeText(text: string): Bytes {
  return ENCODER.encode(text);
}

/** The text of UTF-8 `bytes`. */
export function decodeText(bytes: Uint8Array): string {
  return DECODER.decode(bytes);
}

/** A copy. A node `Buffer` is a `Uint8Array`, but its `slice()` is a view of the same memory. */
export function copyOf(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

/** Joins `parts` into one array. One part is returned as it is. */
export function concat(parts: readonly Bytes[]): Bytes {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Whether `a` and `b` hold the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Throws a `TypeError` that names the argument, unless `value` is a `Uint8Array`. */
export function assertBytes(name: string, value: unknown): asserts value is Bytes {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(`Cannot use ${name}: expected a Uint8Array, got ${typeName(value)}`);
  }
}

/** Throws a `RangeError` that names the argument, unless `value` is a number of seconds above 0. */
export function assertSeconds(name: string, value: unknown): asserts value is number {
  if (typeof value !== "number" || !(value > 0)) {
    throw new RangeError(`Cannot use ${name}: expected a number of seconds above 0, got ${String(value)}`);
  }
}

/** Throws a `TypeError` that names the argument, unless `value` is of this type, or absent: `"false"` would count as true. */
export function assertType(name: string, type: "boolean" | "function", value: unknown): void {
  if (value === undefined || typeof value === type) return;
  const expected = type === "boolean" ? "true or false" : "a function";
  throw new TypeError(`Cannot use ${name}: expected ${expected}, got ${typeName(value)}`);
}

/** Throws a `TypeError` unless `options` is an object: a host name in its place would be a server without TLS. */
export function assertOptions(options: unknown): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(`Cannot use options: expected an object, got ${typeName(options)}`);
}

/** Throws a `TypeError` that names the argument, unless it is an `AbortSignal`, or absent. */
export function assertSignal(name: string, value: unknown): void {
  if (value === undefined || value instanceof AbortSignal) return;
  throw new TypeError(`Cannot use ${name}: expected an AbortSignal, got ${typeName(value)}`);
}

/** What `value` is, for a message: `"null"`, `"string"`, `"Date"`. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? value.constructor?.name ?? "object" : typeof value;
}
