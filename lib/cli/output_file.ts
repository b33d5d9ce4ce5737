/** Files that the program writes: opened before the work that fills them, so that a wrong path fails first. */

import { resolve } from "node:path";
import { CommandError, UsageError } from "./flags.ts";
import { systemReason } from "./terminal.ts";

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

/** How to open one. */
export interface OutputOptions {
  /** A file that is made is its owner's alone. @default {false} */
  readonly ownerOnly?: boolean;
  /** It will hold keys: it is its owner's alone, also if it was there before. @default {false} */
  readonly secret?: boolean;
}

/** A file that is written once. Until then one that was there is as it was, and after a program that ends first, too. */
export class OutputFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #isNew: boolean;
  #written = false;

  private constructor(path: string, file: Deno.FsFile, isNew: boolean) {
    [this.#path, this.#file, this.#isNew] = [path, file, isNew];
    addEventListener("unload", this.#removeUnused); // also of a program that ends in the middle
  }

  /**
   * Opens or makes it.
   *
   * @throws {CommandError} It cannot be written; the message names it.
   */
  static async open(path: string, options: OutputOptions = {}): Promise<OutputFile> {
    const how = { write: true, ...modeOf(options) };
    try {
      const made = await Deno.open(path, { ...how, createNew: true }).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
      using stack = new DisposableStack();
      const file = stack.use(made ?? await Deno.open(path, { write: true }));
      if (options.secret) await keepFromOthers(path, file);
      stack.move();
      return new OutputFile(path, file, made !== undefined);
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  /**
   * Writes all of it, in place of what was there.
   *
   * @throws {CommandError} It cannot be; the message names it.
   */
  async write(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    this.#written = true;
    try {
      if ((await this.#file.stat()).isFile) await this.#file.truncate();
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  readonly #removeUnused = () => {
    if (!this.#isNew || this.#written) return;
    try {
      Deno.removeSync(this.#path);
    } catch {
      // It is gone.
    }
  };

  /** Closes it; one that was made for nothing is removed. */
  // deno-lint-ignore require-await -- an AsyncDisposable
  async [Symbol.asyncDispose](): Promise<void> {
    removeEventListener("unload", this.#removeUnused);
    this.#file.close();
    this.#removeUnused();
  }
}

/**
 * Opens a file to write behind what is there.
 *
 * @throws {CommandError} If it cannot be; the message names it.
 */
export async function openToAppend(path: string, options: OutputOptions = {}): Promise<Deno.FsFile> {
  using stack = new DisposableStack();
  try {
    const file = stack.use(await Deno.open(path, { append: true, create: true, ...modeOf(options) }));
    if (options.secret) await keepFromOthers(path, file);
    stack.move();
    return file;
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/**
 * Throws if two flags name one file: the second would overwrite the first.
 *
 * @param paths By the names of the flags.
 */
export function assertDistinct(paths: Readonly<Record<string, string | undefined>>): void {
  const seen = new Map<string, string>();
  for (const [flag, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    const other = seen.get(resolve(path));
    if (other !== undefined) throw new UsageError(`--${other} and --${flag} name the same file`);
    seen.set(resolve(path), flag);
  }
}

function modeOf({ ownerOnly = false, secret = false }: OutputOptions): { mode?: number } {
  return ownerOnly || secret ? { mode: OWNER_ONLY } : {};
}

async function keepFromOthers(path: string, file: Deno.FsFile): Promise<void> {
  const { isFile, mode } = await file.stat();
  if (isFile && mode !== null && (mode & OTHERS) !== 0) await Deno.chmod(path, OWNER_ONLY);
}

function cannotWrite(path: string, error: unknown): unknown {
  return error instanceof Deno.errors.NotCapable
    ? error
    : new CommandError(`Cannot write "${path}": ${systemReason(error)}`, { cause: error });
}
