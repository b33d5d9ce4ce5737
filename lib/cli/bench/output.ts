/** The files that a run is written to: opened before it, so that one that cannot be written costs no measurement. */

import { CommandError } from "../flags.ts";
import { systemReason } from "../terminal.ts";

/** A file that is there, and is written once, or left as it was. */
export class OutputFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #isNew: boolean;
  #written = false;

  private constructor(path: string, file: Deno.FsFile, isNew: boolean) {
    [this.#path, this.#file, this.#isNew] = [path, file, isNew];
  }

  /**
   * Opens or makes it.
   *
   * @throws {CommandError} It cannot be written.
   */
  static async open(path: string): Promise<OutputFile> {
    try {
      const made = await Deno.open(path, { write: true, createNew: true }).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
      return new OutputFile(path, made ?? await Deno.open(path, { write: true }), made !== undefined);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new CommandError(`Cannot write "${path}": ${systemReason(error)}`, { cause: error });
    }
  }

  /** Writes all of it, in place of what was there. */
  async write(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    this.#written = true;
    try {
      if ((await this.#file.stat()).isFile) await this.#file.truncate();
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (error) {
      throw new CommandError(`Cannot write "${this.#path}": ${systemReason(error)}`, { cause: error });
    }
  }

  /** Closes it; one that was made for nothing is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#file.close();
    if (this.#isNew && !this.#written) await Deno.remove(this.#path).catch(() => {});
  }
}
