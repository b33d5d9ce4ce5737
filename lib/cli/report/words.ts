/**
 * Numbers as a report writes them.
 *
 * @module
 */

/** Stands where there is no figure. */
export const NONE = "–";

/** Three figures that count: `"0.123"`, `"12.3"`, `"1,234"`. */
export function number(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  const digits = value === 0 ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toLocaleString("en", { maximumFractionDigits: Math.max(0, Math.min(digits, 3)) });
}

/** A whole number: `"12,345"`. */
export function whole(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NONE;
  return Math.round(value).toLocaleString("en");
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
