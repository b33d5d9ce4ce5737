/** Ctrl-C: the first ends the run and shows what there is, the second the program. */

const EXIT_CODE = 130; // 128 and SIGINT, as a shell tells it

/** While it is there, Ctrl-C is its own. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #listener = () => this.#interrupt();

  /** Begins to listen. */
  constructor() {
    Deno.addSignalListener("SIGINT", this.#listener);
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
    Deno.removeSignalListener("SIGINT", this.#listener);
  }
}
