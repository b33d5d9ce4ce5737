// The part of jsr:@std/csv's stringify() that the command line uses.
export interface StringifyOptions {
  columns: readonly string[];
}
export function stringify(
  data: readonly Readonly<Record<string, string | number | boolean | undefined>>[],
  options: StringifyOptions,
): string;
