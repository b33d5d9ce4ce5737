/** The file of `tlsio connect --pcap`. */

import { PcapWriter } from "../pcap.ts";
import { CommandError } from "./flags.ts";
import { systemReason } from "./terminal.ts";

/** A capture, and the file that gets it when it is disposed of. */
export class CaptureFile implements AsyncDisposable {
  /** What passes. */
  readonly pcap = new PcapWriter();
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Opens the file before there is anything to lose. Who may read a new one: its owner, since it can hold keys. */
  static async create(path: string): Promise<CaptureFile> {
    try {
      return new CaptureFile(
        await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 }),
      );
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
