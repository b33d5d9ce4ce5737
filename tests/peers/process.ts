/**
 * Child processes for tests: every wait has a deadline, every error shows what the program printed, and the end
 * of the scope ends the process, by its id.
 */

import { fileURLToPath } from "node:url";

const encoder = new TextEncoder();

/** How long a program may take for one thing (seconds matter only when something is broken), in milliseconds. */
export const PATIENCE = 20_000;
/** Between SIGTERM and SIGKILL, in milliseconds. Chromium and nginx take some 100 to end in order. */
const GRACE = 3_000;

/**
 * Waits for a promise, no longer than `ms`.
 *
 * @throws {Error} `Cannot <what>: no answer in <ms> ms`.
 */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Cannot ${what}: no answer in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const PROGRAMS = fileURLToPath(new URL("../.programs", import.meta.url));
const found = new Map<string, string>();

/**
 * The path of a program.
 *
 * @throws {Error} When it is not installed. A test without its peer fails; it is never skipped.
 */
export function need(program: string): string {
  const known = found.get(program);
  if (known !== undefined) return known;
  // Debian keeps nginx where only root's PATH looks; peers.sh unpacks what the machine's own archive does not have.
  for (const dir of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin", PROGRAMS]) {
    const path = `${dir}/${program}`;
    try {
      if (!Deno.statSync(path).isFile) continue;
    } catch {
      continue;
    }
    found.set(program, path);
    return path;
  }
  throw new Error(`Cannot start "${program}": it is not installed, run tests/peers.sh`);
}

/** One output stream of a program: its bytes so far, and a wake-up when there are more. */
class Output {
  readonly chunks: Uint8Array<ArrayBuffer>[] = [];
  text = "";
  readonly done: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, onChange: () => void) {
    this.#reader = stream.getReader();
    this.done = this.#pump(onChange);
  }

  async #pump(onChange: () => void) {
    const decoder = new TextDecoder();
    while (true) {
      const { value, done } = await this.#reader.read();
      if (done) break;
      this.chunks.push(value);
      this.text += decoder.decode(value, { stream: true });
      onChange();
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

/** Options of {@linkcode Program} and {@linkcode run}. */
export interface SpawnOptions {
  /** Added to the environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** Make a program that uses C's stdio pass on each line when it has written it, as to a terminal. */
  lineBuffered?: boolean;
}

/** A program that runs until it ends by itself or its scope ends: `await using p = new Program("cat", [])`. */
export class Program implements AsyncDisposable {
  readonly name: string;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #out: Output;
  readonly #err: Output;
  #wake = Promise.withResolvers<void>();
  #status: Deno.CommandStatus | undefined;

  /** @param name A program that {@linkcode need} finds. */
  constructor(name: string, args: readonly string[], { lineBuffered, ...options }: SpawnOptions = {}) {
    this.name = name;
    const command = [need(name), ...args];
    if (lineBuffered) command.unshift(need("stdbuf"), "-oL"); // becomes the program itself: same process id
    this.#child = new Deno.Command(command.shift()!, {
      args: command,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...options,
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // a program that ends first is not an error here
    const wake = () => {
      this.#wake.resolve();
      this.#wake = Promise.withResolvers<void>();
    };
    this.#out = new Output(this.#child.stdout, wake);
    this.#err = new Output(this.#child.stderr, wake);
    this.#child.status.then((status) => {
      this.#status = status;
      wake();
    });
  }

  get pid(): number {
    return this.#child.pid;
  }
  /** What it has printed so far. */
  get stdout(): string {
    return this.#out.text;
  }
  get stderr(): string {
    return this.#err.text;
  }
  /** Whether the process is still there. */
  get running(): boolean {
    return this.#status === undefined;
  }

  /** Standard output so far, unchanged. */
  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#out.chunks.reduce((n, chunk) => n + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#out.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  /** Writes to its standard input. */
  async write(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    await within(this.#stdin.write(bytes), PATIENCE, `write to ${this.name}`);
  }

  /** Ends its standard input. */
  async closeStdin(): Promise<void> {
    await within(this.#stdin.close(), PATIENCE, `end the input of ${this.name}`).catch(() => {});
  }

  /**
   * Waits until one of its outputs matches.
   *
   * @throws {Error} When the deadline passes, or the program ends without a match; the message has its output.
   */
  async waitFor(pattern: RegExp, ms: number = PATIENCE): Promise<RegExpMatchArray> {
    const deadline = Date.now() + ms;
    while (true) {
      const ended = !this.running;
      if (ended) await this.#drained();
      const match = this.stdout.match(pattern) ?? this.stderr.match(pattern);
      if (match) return match;
      const wait = `wait for ${pattern} of ${this.name}`;
      if (ended) throw new Error(`Cannot ${wait}: it ended with ${this.#status?.code}\n${this.output()}`);
      await within(this.#wake.promise, deadline - Date.now(), wait).catch(() => {
        throw new Error(`Cannot ${wait}: not in ${ms} ms\n${this.output()}`);
      });
    }
  }

  /**
   * Waits until it ends by itself.
   *
   * @returns Its exit status; 128 and more: it was ended by a signal.
   */
  async exit(ms: number = PATIENCE): Promise<number> {
    const status = await within(this.#child.status, ms, `wait for the end of ${this.name}`).catch((error) => {
      throw new Error(`${error.message}\n${this.output()}`);
    });
    await this.#drained();
    return status.code;
  }

  /** Both outputs, for error messages; long ones lose their middle. */
  output(): string {
    const clip = (s: string) => s.length <= 4000 ? s : `${s.slice(0, 2000)}\n[...]\n${s.slice(-2000)}`;
    return `--- ${this.name} stdout\n${clip(this.stdout)}\n--- ${this.name} stderr\n${clip(this.stderr)}`;
  }

  /** Sends it a signal, if it is still there. */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    if (!this.running) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // TypeError: it has just ended
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await within(this.#child.status, GRACE, "end it").catch(() => this.kill("SIGKILL"));
    await this.#child.status;
    await this.#drained();
    await this.#stdin.close().catch(() => {});
  }

  /** A grandchild can keep the pipes open for longer than the program lives; nobody waits for those. */
  async #drained() {
    const both = Promise.all([this.#out.done, this.#err.done]);
    await within(both, GRACE, "read the rest").catch(() =>
      Promise.all([this.#out.cancel(), this.#err.cancel()])
    );
  }
}

/** What a finished program left. */
export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
  /** Standard output, unchanged. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** Options of {@linkcode run}. */
export interface RunOptions extends SpawnOptions {
  /** Its standard input; none: empty. */
  stdin?: string | Uint8Array<ArrayBuffer>;
  /** Default 20 s. */
  timeoutMs?: number;
}

/**
 * Runs a program to its end. An exit status other than 0 is a result, not an error.
 *
 * @throws {Error} When it does not end in time; it is ended then.
 */
export async function run(
  name: string,
  args: readonly string[],
  { stdin, timeoutMs = PATIENCE, ...spawn }: RunOptions = {},
): Promise<RunResult> {
  await using program = new Program(name, args, spawn);
  // Not awaited alone: a program may end, or fill its output, before it has read all of its input.
  const input = (async () => {
    if (stdin !== undefined) await program.write(stdin).catch(() => {});
    await program.closeStdin();
  })();
  const code = await program.exit(timeoutMs);
  await input;
  return { code, stdout: program.stdout, stderr: program.stderr, bytes: program.bytes() };
}
