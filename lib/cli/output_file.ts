/** Files that the program writes: opened before the work that fills them, so that a wrong path fails first. */

import { CommandError } from "./flags.ts";
import { systemReason } from "./terminal.ts";

/** The mode of a file that others may not read. */
export const OWNER_ONLY = 0o600;

const OTHERS = 0o077;

/** How to open one. */
export interface OutputOptions {
  /** Of a file that is made. @default what the system gives */
  readonly mode?: number;
  /** It will hold keys: it is its owner's alone, also if it was there before. @default {false} */
  readonly secret?: boolean;
  /** Keep what is there, and write behind it. @default {false} */
  readonly append?: boolean;
}

/**
 * Opens a file to write. What was there is overwritten.
 *
 * @throws {CommandError} If it cannot be; the message names it.
 */
export async function openOutput(path: string, options: OutputOptions = {}): Promise<Deno.FsFile> {
  const { secret = false, append = false, mode = secret ? OWNER_ONLY : undefined } = options;
  using stack = new DisposableStack();
  try {
    const how = append ? { append } : { write: true, truncate: true };
    const file = stack.use(
      await Deno.open(path, { ...how, create: true, ...(mode !== undefined && { mode }) }),
    );
    const { isFile, mode: found } = await file.stat();
    if (secret && isFile && found !== null && (found & OTHERS) !== 0) await Deno.chmod(path, OWNER_ONLY);
    stack.move();
    return file;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new CommandError(`Cannot write "${path}": ${systemReason(error)}`, { cause: error });
  }
}

/** Writes all of `bytes`. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
