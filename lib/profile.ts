/** Profiles: which core, and which defaults. A profile is data that you can read. */

import type { PolicyOptions } from "./policy.ts";

/** One profile. */
export interface Profile {
  /** Its name. */
  readonly name: string;
  /** What an option is when it is not given. */
  readonly policy: Readonly<PolicyOptions>;
}

const PROFILES: ReadonlyMap<string, Profile> = new Map([
  ["default", { name: "default", policy: {} }],
]);

/** The profile called `name`. */
export function resolveProfile(name = "default"): Profile {
  const profile = PROFILES.get(name);
  if (profile === undefined) {
    throw new TypeError(
      `Cannot use profile: unknown name "${name}"; known are ${[...PROFILES.keys()].join(", ")}`,
    );
  }
  return profile;
}
