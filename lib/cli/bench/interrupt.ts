/** Ctrl-C: the first ends the run and shows what there is, the second the program. */

const EXIT_CODE = 130; // 128 and SIGINT, as a shell tells it
/** What ends a program at once, with what a shell tells of it: peers that it has started end with it. */
const ENDS = Deno.build.os === "windows" ? [] : [["SIGTERM", 143], ["SIGHUP", 129]] as const;

/** While it is there, Ctrl-C is its own. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners: readonly (readonly [Deno.Signal, () => void])[] = [
    ["SIGINT", () => this.#interrupt()],
    ...ENDS.map(([signal, code]) => [signal, () => Deno.exit(code)] as const),
  ];

  /** Begins to listen. */
  constructor() {
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
  }

  /** The exit code of a run that was ended. */
  static readonly exitCode = EXIT_CODE;

  /** Aborts with the first Ctrl-C. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #interrupt(): void {
    if (this.signal.aborted) Deno.exit(EXIT_CODE);
    this.#controller.abort(new Error("Interrupted"));
  }

  /** Ends the listening. */
  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
