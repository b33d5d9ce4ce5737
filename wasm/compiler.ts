/**
 * The C compiler and linker (clang and wasm-ld from npm), on several threads.
 *
 * @module
 */

import type { Tree } from "@yowasp/clang";

/** One run of an LLVM tool. */
export interface Job {
  /** The tool's name and arguments. */
  args: string[];
  /** Files in the root of its file system, beside those of {@linkcode Compiler.share}. */
  files?: Tree;
  /** The file that it writes. */
  output?: string;
}

/** What came of a {@linkcode Job}. */
export interface Result {
  ok: boolean;
  /** Everything that the tool printed. */
  text: string;
  output?: Uint8Array<ArrayBuffer>;
}

// Each thread takes about 300 MB, and beyond this the longest file alone decides how long a build takes.
const MAX_THREADS = 8;

/** A pool of compiler threads. They start to load LLVM (2 s) when it is made. */
export class Compiler {
  /** How many jobs run at once. */
  readonly threads = Math.min(navigator.hardwareConcurrency, MAX_THREADS);
  #workers: Worker[] = [];
  #idle: Worker[] = [];
  #waiting: ((worker: Worker) => void)[] = [];
  #broken = Promise.withResolvers<never>();
  #plans = new Map<string, Promise<string[]>>();

  constructor() {
    this.#broken.promise.catch(() => {}); // jobs report it
    for (let i = 0; i < this.threads; i++) {
      const worker = new Worker(new URL("compile_worker.ts", import.meta.url), { type: "module" });
      worker.onerror = (event) => {
        event.preventDefault();
        this.#broken.reject(new Error(`Cannot run the compiler: ${event.message}`));
      };
      this.#workers.push(worker);
    }
    this.#idle.push(...this.#workers);
  }

  /** Gives all threads the files that compilations read. */
  share(files: Tree): void {
    for (const worker of this.#workers) worker.postMessage({ shared: files });
  }

  /** Runs one tool on the next idle thread: first come, first served. */
  async run(job: Job): Promise<Result> {
    const worker = this.#idle.pop() ?? await new Promise<Worker>((resolve) => this.#waiting.push(resolve));
    const done = new Promise<Result>((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.postMessage(job);
    const result = await Promise.race([done, this.#broken.promise]);
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(worker);
    else next(worker);
    return result;
  }

  /**
   * What `clang` would run to compile `in.c` to `out.o`, to assemble `in.s`, or to link `in.o` to `out.wasm`. Asked once for each set of
   * flags; `runClang()` would ask for each file, which takes 30 ms more.
   */
  plan(...args: string[]): Promise<string[]> {
    const key = args.join("\0");
    const known = this.#plans.get(key) ?? this.#plan(args);
    this.#plans.set(key, known);
    return known;
  }

  async #plan(args: string[]): Promise<string[]> {
    const { ok, text } = await this.run({
      args: ["clang", "-###", ...args],
      files: { "in.c": "", "in.s": "", "in.o": "" },
    });
    const command = text.trimEnd().split("\n").at(-1)!;
    if (!ok || !command.startsWith(' "')) throw new Error(`Cannot plan a compilation: clang says\n${text}`);
    const words = [...command.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word]) =>
      word!.replaceAll(/\\(.)/g, "$1")
    );
    return words[0] === "" ? words.slice(1) : words; // "" stands for clang itself
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}
