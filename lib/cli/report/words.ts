/**
 * Numbers as a report writes them.
 *
 * @module
 */

/** Stands where there is no figure. */
export const NONE = "–";

/** Three figures that count, of what is not whole: `"0.120"`, `"12.3"`, `"1,234"`; what is, is written so. */
export function number(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value - Math.round(value)) < 1e-9) return whole(value);
  const rounded = Number(value.toPrecision(3)); // 99.99 is 100, and has no place behind the point
  const digits = Math.max(0, Math.min(2 - Math.floor(Math.log10(Math.abs(rounded))), DIGITS_MAX));
  return withMinus(
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}

/** Behind the point: a microsecond of milliseconds. */
const DIGITS_MAX = 3;

/** A number below an axis: no more figures than it needs. */
export function tick(value: number): string {
  return withMinus(value.toLocaleString("en", { maximumFractionDigits: 4 }));
}

/** The sign that is as wide as a figure. */
function withMinus(text: string): string {
  return text.replace("-", "\u2212");
}

/** A whole number: `"12,345"`. */
export function whole(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  const text = withMinus(Math.round(value).toLocaleString("en"));
  return text === "\u22120" ? "0" : text;
}

/** `"1,234 B"`. */
export function bytes(value: number | undefined): string {
  return value === undefined ? NONE : `${whole(value)} B`;
}

/** `"12.3 ms"`, from 10 000 on `"12.3 s"`. */
export function ms(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  return Math.abs(value) >= 10_000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

/** `"1 record"`, `"2 records"`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${whole(value)} ${value === 1 ? one : many}`;
}

/** `"a, b and c"`. */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join();
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
