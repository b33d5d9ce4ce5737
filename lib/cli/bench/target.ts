/** With whom a run shakes hands. */

import type { Identities } from "./identities.ts";
import type { Measurer } from "./measurer.ts";
import type { Scenario, Skipped } from "./result.ts";

/** What has scenarios. */
export interface Target extends AsyncDisposable {
  /** As `Plan.target`. */
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  /** What was asked for and cannot be. */
  readonly skipped: readonly Skipped[];
  /** How many scenarios may be ready at once: what is measured in turn. */
  readonly atOnce: number;
  /** The certificates that it makes. */
  readonly identities: Identities;
  /**
   * Makes a scenario ready.
   *
   * @throws {Unavailable} It cannot be had here.
   */
  open(scenario: Scenario, signal: AbortSignal): Promise<Measurer>;
}

/** A scenario that cannot be had here: it is left out, and nothing has failed. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}
