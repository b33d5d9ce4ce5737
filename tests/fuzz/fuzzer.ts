/**
 * The fuzzer: keeps inputs that lead somewhere new, and makes others of them. The same seed makes the same inputs.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { chooser } from "../pair.ts";
import type { FuzzCore } from "./core.ts";
import { Finding } from "./finding.ts";
import { mutateBytes, mutateScript, shorterBytes } from "./mutate.ts";
import { openTarget } from "./targets.ts";
import type { Target } from "./target.ts";

/** Runs that a minimisation may take. */
const MINIMISE_MAX = 2000;
/** Milliseconds that one run may take: 100 times what the slowest takes. */
const SLOW = 5000;
/** Counts that are taken for the same: AFL's. */
const BUCKET = Uint8Array.from(
  { length: 256 },
  (_, n) => n < 3 ? n : n < 4 ? 3 : n < 8 ? 4 : n < 16 ? 5 : n < 32 ? 6 : n < 128 ? 7 : 8,
);

/** A finding with the input that makes it. */
export interface Crash {
  readonly target: string;
  readonly finding: Finding;
  readonly input: Bytes;
  /** The input in words. */
  readonly text: string;
}

/** One target under fire. */
export class Fuzzer {
  /** Inputs that each led somewhere new. */
  readonly corpus: Bytes[] = [];
  /** How many inputs were run. */
  runs = 0;
  /** Edges that have run. */
  edges = 0;
  readonly #name: string;
  readonly #before: (input: Bytes) => void;
  readonly #choose: (below: number) => number;
  readonly #seen = new Set<number | string>();
  #target!: Target;
  #fuzz!: FuzzCore;

  readonly #opener: typeof openTarget;

  private constructor(name: string, seed: number, before: (input: Bytes) => void, opener: typeof openTarget) {
    this.#name = name;
    this.#opener = opener;
    this.#choose = chooser(seed);
    this.#before = before;
  }

  /** Opens a target. `before` is told of each input. */
  static async open(
    name: string,
    seed: number,
    before: (input: Bytes) => void = () => {},
    opener: typeof openTarget = openTarget,
  ): Promise<Fuzzer> {
    const fuzzer = new Fuzzer(name, seed, before, opener);
    await fuzzer.#open();
    return fuzzer;
  }

  async #open(): Promise<void> {
    ({ target: this.#target, fuzz: this.#fuzz } = await this.#opener(this.#name));
  }

  /** What the target begins with. */
  seeds(): Bytes[] {
    return this.#target.seeds();
  }

  /** Runs an input. Returns whether it led somewhere new; throws a {@linkcode Finding}. */
  async run(input: Bytes): Promise<boolean> {
    this.runs++;
    this.#before(input);
    this.#fuzz.clearEdges();
    const start = performance.now();
    let outcome;
    try {
      outcome = this.#target.run(input);
      if (outcome instanceof Promise) outcome = await outcome;
    } catch (error) {
      if (error instanceof Finding) throw error;
      throw new Finding(
        "exception",
        error instanceof Error ? `${error.name}: ${error.message}` : String(error),
        error,
      );
    }
    const took = performance.now() - start;
    if (took > SLOW) throw new Finding("hang", `it took ${Math.round(took)} ms`);
    return this.#isNew(outcome);
  }

  #isNew(outcome: string): boolean {
    const before = this.#seen.size;
    this.#seen.add(outcome);
    const edges = this.#fuzz.edges();
    for (let i = 0; i < edges.length; i++) {
      const count = edges[i]!;
      if (count === 0) continue;
      const feature = i << 4 | BUCKET[count]!;
      if (this.#seen.has(feature)) continue;
      this.#seen.add(feature);
      if (this.#seen.has(-i - 1)) continue;
      this.#seen.add(-i - 1);
      this.edges++;
    }
    return this.#seen.size > before;
  }

  /** Runs inputs, and keeps those that lead somewhere new. Returns what was found. */
  async add(inputs: readonly Bytes[]): Promise<Crash[]> {
    const crashes: Crash[] = [];
    for (const input of inputs) {
      const crash = await this.#try(input);
      if (crash !== undefined) crashes.push(crash);
    }
    return crashes;
  }

  /** Makes an input of those that are kept, and runs it. */
  async step(): Promise<Crash | undefined> {
    const pick = () => {
      const last = this.corpus.length - 1; // what is new is promising
      return this
        .corpus[
          this.#choose(3) === 0 ? last - this.#choose(Math.min(20, last + 1)) : this.#choose(last + 1)
        ]!;
    };
    const [input, other] = [pick(), pick()];
    const mutant = this.#target.name === "handshake"
      ? mutateScript(input, other, this.#choose)
      : mutateBytes(input, other, this.#fuzz, this.#choose);
    return await this.#try(mutant);
  }

  async #try(input: Bytes): Promise<Crash | undefined> {
    try {
      if (await this.run(input)) this.corpus.push(input);
      return undefined;
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      return await this.#minimised(input, error);
    }
  }

  /** The smallest input like this one that has the same finding. Opens the target anew: what was found may have spoilt it. */
  async #minimised(input: Bytes, finding: Finding): Promise<Crash> {
    const shorten = this.#target.shorten ?? shorterBytes;
    let tries = finding.kind === "hang" ? 0 : MINIMISE_MAX;
    for (let found = true; found;) {
      found = false;
      for (const shorter of shorten(input)) {
        if (tries-- <= 0) break;
        const same = await this.#sameFinding(shorter, finding);
        if (same === undefined) continue;
        [input, finding, found] = [shorter, same, true];
        break;
      }
    }
    await this.#open();
    const text = this.#target.show?.(input) ?? input.toHex();
    return { target: this.#name, finding, input, text };
  }

  async #sameFinding(input: Bytes, { kind }: Finding): Promise<Finding | undefined> {
    if (kind === "trap" || kind === "leak") await this.#open();
    try {
      await this.run(input);
    } catch (error) {
      if (error instanceof Finding && error.kind === kind) return error;
    }
    return undefined;
  }
}
