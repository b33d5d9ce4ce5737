/** Turns: those who write, one after the other in the order of their calls. */
export class Turns {
  #taken = 0; // turns that are not over
  #last: Promise<unknown> | undefined;

  /**
   * Starts `work`, which is to wait for `before` when there is one: for the turns that were taken earlier. The turn is over
   * when the promise settles.
   */
  take<T>(work: (before: Promise<unknown> | undefined) => Promise<T>): Promise<T> {
    const before = this.#taken++ === 0 ? undefined : this.#last!.catch(() => {});
    const turn = this.#end(work(before));
    this.#last = turn;
    return turn;
  }

  async #end<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (--this.#taken === 0) this.#last = undefined;
    }
  }
}
