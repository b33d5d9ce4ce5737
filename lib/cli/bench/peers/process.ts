/** A peer's process: every wait has a deadline, and the end of its scope ends it, by its id. */

import { inTime } from "../../../deadline.ts";
import { oneLine, printable } from "../../terminal.ts";
import { Unavailable } from "../target.ts";

/** Seconds that a program may take to start, or to answer. */
export const PATIENCE = 10;
/** Of what a program complains, so much is kept. */
const COMPLAINT = 2000; // characters

/** Those that run: none outlives a program that ends in the middle. */
const RUNNING = new Set<Deno.ChildProcess>();
addEventListener("unload", () => {
  for (const child of RUNNING) end(child);
});

/** A program that runs. */
export class PeerProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #complaints: Promise<void>;
  #complaint = "";
  #ended = false;

  private constructor(name: string, child: Deno.ChildProcess, quiet: boolean) {
    [this.#name, this.#child] = [name, child];
    this.#input = child.stdin.getWriter();
    this.#input.closed.catch(() => {}); // a program that ends first
    const output = quiet
      ? new ReadableStream<Uint8Array<ArrayBuffer>>({ start: (to) => to.close() })
      : child.stdout;
    this.#lines = output.pipeThrough(new TextDecoderStream()).pipeThrough(new Lines()).getReader();
    this.#complaints = this.#listen();
    RUNNING.add(child);
    child.status.then(() => {
      this.#ended = true;
      RUNNING.delete(child);
    });
  }

  /**
   * Starts a program.
   *
   * @param options `quiet`: what it prints is of no use.
   * @throws {Unavailable} It is not installed.
   */
  static start(name: string, args: readonly string[], { quiet = false } = {}): PeerProcess {
    try {
      const child = new Deno.Command(name, {
        args: [...args],
        stdin: "piped",
        stdout: quiet ? "null" : "piped",
        stderr: "piped",
        ...(Deno.build.os !== "windows" && { detached: true }), // Ctrl-C is ours
      }).spawn();
      return new PeerProcess(name, child, quiet);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw new Unavailable(`"${name}" is not installed`);
      throw error;
    }
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Its last words, for an error message. */
  get complaint(): string {
    const last = this.#complaint.trim().split("\n").at(-1) ?? "";
    return last === "" ? "" : `: ${printable(last)}`;
  }

  async #listen(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#complaint = (this.#complaint + text).slice(-COMPLAINT);
    }
  }

  /** Writes to its standard input. */
  async send(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Its next line. */
  async line(): Promise<string> {
    const late = () => new Error(`"${this.#name}" did not answer in ${PATIENCE} seconds${this.complaint}`);
    const { value, done } = await inTime(this.#lines.read(), PATIENCE, late);
    if (done) {
      await inTime(this.#complaints, 1).catch(() => {}); // why
      throw new Error(`"${this.#name}" has ended${this.complaint}`);
    }
    return value;
  }

  /** Writes a line, and gives the answer's JSON. */
  async ask(request: string): Promise<Record<string, unknown>> {
    await this.send(`${request}\n`);
    const answer = JSON.parse(await this.line()) as Record<string, unknown>;
    if (answer.error !== undefined) throw new Error(oneLine(String(answer.error)));
    return answer;
  }

  /** Its CPU so far, in milliseconds, to the nanosecond; `undefined`: only Linux tells it. */
  async cpuMs(): Promise<number | undefined> {
    if (Deno.build.os !== "linux") return undefined;
    try {
      let nanoseconds = 0;
      for await (const { name } of Deno.readDir(`/proc/${this.pid}/task`)) {
        const text = await Deno.readTextFile(`/proc/${this.pid}/task/${name}/schedstat`);
        nanoseconds += Number(text.split(" ")[0]);
      }
      return nanoseconds / 1e6;
    } catch {
      return undefined;
    }
  }

  /** Waits until it ends by itself. */
  async exit(): Promise<number> {
    const late = () => new Error(`"${this.#name}" did not end in ${PATIENCE} seconds`);
    return (await inTime(this.#child.status, PATIENCE, late)).code;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    if (!this.#ended) end(this.#child);
    await this.#child.status;
    await this.#complaints.catch(() => {});
    await this.#lines.cancel().catch(() => {});
  }
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/** Text as lines. */
class Lines extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}

/** A port of this machine that nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Waits until somebody listens on a port. */
export async function listens(port: number, process: PeerProcess): Promise<void> {
  const ends = performance.now() + PATIENCE * 1000;
  while (true) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      if (process.ended) throw new Error(`the server has ended${process.complaint}`);
      if (performance.now() > ends) throw new Error(`the server did not listen in ${PATIENCE} seconds`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
