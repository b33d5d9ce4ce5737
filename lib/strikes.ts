/** StrikeRegister: which tickets have brought early data, so that a replay of it is refused. */

/** Tickets that are remembered: 5 000 a second; each takes some 100 bytes. Full, it admits no more early data. */
const STRIKES_MAX = 65536;

/**
 * Which tickets have brought early data (RFC 8446 section 8.2). mbedTLS takes a ClientHello only while the age that it
 * names fits, within `window`: so long is a ticket remembered. One register serves all that go by the same clock.
 */
export class StrikeRegister {
  static readonly #registers = new WeakMap<() => number, StrikeRegister>();

  /** The register for a clock: milliseconds since the Unix epoch. It begins with the first call. */
  static of(now: () => number): StrikeRegister {
    const register = StrikeRegister.#registers.get(now) ?? new StrikeRegister(now);
    StrikeRegister.#registers.set(now, register);
    return register;
  }

  readonly #now: () => number;
  readonly #begun: number;
  readonly #max: number;
  #forgot = -Infinity; // when a ticket was last forgotten
  readonly #seen = new Map<string, number>(); // by ticket, in order: when

  /** A register of `max` tickets that begins now. */
  constructor(now: () => number, max: number = STRIKES_MAX) {
    this.#now = now;
    this.#begun = now();
    this.#max = max;
  }

  /** How many tickets it remembers. */
  get size(): number {
    return this.#seen.size;
  }

  /**
   * Whether early data under the ticket `id` may be taken; it is remembered then.
   *
   * @param id Tells the ticket from all others.
   * @param created When it was made: milliseconds since the Unix epoch.
   * @param window Milliseconds for which one ClientHello can be sent again.
   */
  claim(id: string, created: number, window: number): boolean {
    const now = this.#now();
    for (const [old, at] of this.#seen) {
      if (now - at <= window) break;
      this.#seen.delete(old);
      this.#forgot = now;
    }
    if (now < this.#forgot) return false; // the clock went back: what was forgotten could be sent again
    // The keys may be older than this process: whoever ran before us may have taken it.
    if (created < this.#begun && now - this.#begun <= window) return false;
    if (this.#seen.has(id) || this.#seen.size >= this.#max) return false;
    this.#seen.set(id, now);
    return true;
  }
}
