import { LONGEST } from "./deadline.ts";

const BUSY = 20; // milliseconds by which a timer is late when the event loop stood still

/**
 * Alarm: a time limit that is set and lifted many times a second, and hardly ever reached.
 *
 * Setting it notes the time. One timer looks at that when it fires, and sleeps on: a timer for each request and each write
 * would cost a microsecond apiece. When the process was busy or asleep, what has come meanwhile is seen before it rings.
 */
export class Alarm {
  readonly #ring: () => void;
  #due = Infinity; // milliseconds, on the clock of performance.now()
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fires = Infinity; // when the timer does
  #waived = false; // it was due, and waits for what came while the process was busy

  /** Makes an alarm that is not set; `ring` is called when its time has come. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Sets it to ring in so many milliseconds instead of when it would have. */
  set(milliseconds: number): void {
    this.#due = performance.now() + milliseconds;
    if (this.#fires > this.#due) this.#sleep(milliseconds);
  }

  /** Lifts it: it does not ring until it is set again. */
  lift(): void {
    this.#due = Infinity;
  }

  /** Ends its use: it never rings, also when it is set again, and its timer holds no process back. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#fires = -Infinity;
  }

  #sleep(milliseconds: number): void {
    clearTimeout(this.#timer);
    const nap = Math.min(Math.ceil(milliseconds), LONGEST);
    this.#fires = performance.now() + nap;
    this.#timer = setTimeout(() => this.#look(), nap);
  }

  #look(): void {
    const now = performance.now();
    const left = this.#due - now;
    const wasBusy = now - this.#fires > BUSY;
    this.#fires = Infinity;
    this.#waived = left <= 0 && wasBusy && !this.#waived;
    if (left === Infinity) return;
    if (left > 0 || this.#waived) return this.#sleep(Math.max(left, 0));
    this.#due = Infinity;
    this.#ring();
  }
}
