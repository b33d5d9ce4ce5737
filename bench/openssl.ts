/**
 * `openssl speed`: what the machine's own OpenSSL makes of a primitive.
 *
 * @module
 */

import { isInstalled } from "./installed.ts";

/** How to ask, and which line of the answer counts. */
export interface OpensslSpeed {
  readonly args: readonly string[];
  /** Of algorithms in pairs: the number of the operation in a line `+R5:count:bits:seconds`. */
  readonly line?: number;
}

const results = new Map<string, Promise<string>>();

/**
 * Microseconds of an operation; once in a run, for a second. `undefined` where OpenSSL is not installed, or does not know it.
 *
 * @param bytes What an operation handles; none: it is not data.
 */
export async function opensslSpeed(
  { args, line }: OpensslSpeed,
  bytes: number | undefined,
): Promise<number | undefined> {
  const all = [
    "speed",
    "-mr",
    "-seconds",
    "1",
    ...(bytes === undefined ? [] : ["-bytes", `${bytes}`]),
    ...args,
  ];
  const key = all.join(" ");
  if (!results.has(key)) results.set(key, run(all));
  const text = await results.get(key)!;
  if (line === undefined) {
    const rate = /^\+F:\d+:[^:]+:([\d.]+)$/m.exec(text)?.[1]; // bytes per second
    return rate === undefined ? undefined : bytes! / Number(rate) * 1e6;
  }
  const [, count, seconds] = new RegExp(`^\\+R${line}:(\\d+):\\d+:([\\d.]+)$`, "m").exec(text) ?? [];
  return count === undefined ? undefined : Number(seconds) / Number(count) * 1e6;
}

async function run(args: string[]): Promise<string> {
  if (!await isInstalled("openssl")) return "";
  const { stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}
