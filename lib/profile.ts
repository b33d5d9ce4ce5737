/** Profiles: which core, and which defaults. A profile is data that you can read. */

import type { Core } from "./core.ts";
import { ESP32_POLICY, esp32Core } from "./esp32.ts";
import type { PolicyOptions, TLSConfigOptions } from "./policy.ts";
import { groupIds, suitesOf } from "./suites.ts";

/** One profile. */
export interface Profile {
  /** Its name. */
  readonly name: string;
  /** What an option is when it is not given. */
  readonly policy: Readonly<PolicyOptions>;
  /** Likewise for a server alone. */
  readonly server?: Readonly<PolicyOptions>;
  /** Whether it speaks every suite of its core, in the core's order. @default {false} */
  readonly allSuites?: boolean;
  /** Its core. @default {the shared one} */
  readonly core?: () => Promise<Core>;
}

const PROFILES: ReadonlyMap<string, Profile> = new Map<string, Profile>([
  ["default", { name: "default", policy: {} }],
  ["esp32", { name: "esp32", ...ESP32_POLICY, core: esp32Core }],
]);

/** The names of all profiles. */
export function profileNames(): string[] {
  return [...PROFILES.keys()];
}

/** The profile called `name`. */
export function resolveProfile(name = "default"): Profile {
  const profile = PROFILES.get(name);
  if (profile === undefined) {
    throw new TypeError(
      `Cannot use profile: unknown name "${name}"; known are ${profileNames().join(", ")}`,
    );
  }
  return profile;
}

/** Names of protocols for the ALPN of a profile's servers that name none; none for a device, which has no ALPN. */
export function defaultAlpn(profile: string | undefined, names: string[]): { alpnProtocols?: string[] } {
  return resolveProfile(profile).core === undefined ? { alpnProtocols: names } : {};
}

/** What a profile makes of the options that are given. */
export async function applyProfile(
  name: string | undefined,
  given: TLSConfigOptions,
): Promise<{ policy: TLSConfigOptions; core: Core | undefined }> {
  const profile = resolveProfile(name);
  checkLimits(profile, given);
  const core = await profile.core?.();
  const suites = profile.allSuites ? { ciphers: suitesOf(core!).map(({ name }) => name) } : undefined;
  return {
    policy: {
      ...(core && { measure: true }),
      ...profile.policy,
      ...(given.serverSide && profile.server),
      ...suites,
      ...given,
    },
    core,
  };
}

/** A device's core has the versions and the groups of its policy, and no others. */
function checkLimits({ name, policy, core }: Profile, { sslVersion, groups }: TLSConfigOptions): void {
  if (core === undefined) return;
  if (sslVersion !== undefined && sslVersion !== policy.sslVersion) {
    throw new TypeError(`Cannot use sslVersion: the profile "${name}" has TLS 1.2 alone`);
  }
  const known = groupIds(policy.groups!);
  const missing = groups?.find((group) => !known.includes(groupIds([group])[0]!));
  if (missing !== undefined) {
    throw new TypeError(`Cannot use groups: the profile "${name}" has no "${missing}"`);
  }
}
