/** The file of `--pcap`. */

import { PcapWriter } from "../pcap.ts";
import { OutputFile } from "./output_file.ts";

/** A capture, and the file that gets it when it is disposed of. */
export class CaptureFile implements AsyncDisposable {
  /** What passes. */
  readonly pcap = new PcapWriter();
  readonly #file: OutputFile;

  private constructor(file: OutputFile) {
    this.#file = file;
  }

  /**
   * Opens the file, before there is anything to lose.
   *
   * @param path Where it is; what was there is overwritten.
   * @param secret Whether it will hold keys: then it is its owner's alone, also if it was there before.
   */
  static async create(path: string, secret: boolean): Promise<CaptureFile> {
    return new CaptureFile(await OutputFile.open(path, { ownerOnly: true, secret }));
  }

  /** Writes all of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await using file = this.#file;
    await file.write(this.pcap.toBytes());
  }
}
