// The part of jsr:@std/cli's parseArgs() that cli.ts uses.
export interface ParseOptions {
  boolean?: readonly string[];
  string?: readonly string[];
  collect?: readonly string[];
  negatable?: readonly string[];
  default?: Record<string, unknown>;
  alias?: Record<string, string | readonly string[]>;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
export type Args = Record<string, unknown> & { _: (string | number)[] };
export function parseArgs(args: string[], options?: ParseOptions): Args;
