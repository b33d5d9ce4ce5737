/** The file of `tlsio connect --pcap`. */

import { PcapWriter } from "../pcap.ts";
import { CommandError } from "./flags.ts";
import { systemReason } from "./terminal.ts";

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

/** A capture, and the file that gets it when it is disposed of. */
export class CaptureFile implements AsyncDisposable {
  /** What passes. */
  readonly pcap = new PcapWriter();
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Opens the file, before there is anything to lose.
   *
   * @param path Where it is; what was there is overwritten.
   * @param secret Whether it will hold keys: then it is its owner's alone, also if it was there before.
   */
  static async create(path: string, secret: boolean): Promise<CaptureFile> {
    using stack = new DisposableStack();
    try {
      const open = { write: true, create: true, truncate: true, mode: OWNER_ONLY };
      const file = stack.use(await Deno.open(path, open));
      const { isFile, mode } = await file.stat();
      if (secret && isFile && mode !== null && (mode & OTHERS) !== 0) await Deno.chmod(path, OWNER_ONLY);
      stack.move();
      return new CaptureFile(file);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new CommandError(`Cannot write "${path}": ${systemReason(error)}`, { cause: error });
    }
  }

  /** Writes all of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    using file = this.#file;
    const bytes = this.pcap.toBytes();
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }
}
