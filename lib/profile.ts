/** Profiles: which core, and which defaults. A profile is data that you can read: lib/device_profiles.ts. */

import type { Core } from "./core.ts";
import { type HeapLimits, heapLimits } from "./device_heap.ts";
import { DEVICE_PROFILES, type DeviceProfile } from "./device_profiles.ts";
import { deviceOf, loadedDevice } from "./esp32.ts";
import { CERT_NONE, type TLSConfigOptions } from "./policy.ts";
import { groupIds, ianaName, suitesOf } from "./suites.ts";

const DEFAULT = "default";

/** The names of all profiles. */
export const PROFILE_NAMES: readonly string[] = [DEFAULT, ...DEVICE_PROFILES.keys()];

/** The device's profile called `name`; `undefined`: the profile is the default one. */
export function resolveProfile(name = DEFAULT): DeviceProfile | undefined {
  if (!PROFILE_NAMES.includes(name)) {
    throw new TypeError(
      `Cannot use profile: unknown name ${JSON.stringify(name)}; known are ${PROFILE_NAMES.join(", ")}`,
    );
  }
  return DEVICE_PROFILES.get(name);
}

/** Names of protocols for the ALPN of a profile's servers that name none: a device's have none. */
export function defaultAlpn(profile: string | undefined, names: string[]): { alpnProtocols?: string[] } {
  return resolveProfile(profile) === undefined ? { alpnProtocols: names } : {};
}

/** What a profile makes of options. */
export interface Applied {
  /** The options of the config. */
  readonly policy: TLSConfigOptions;
  /**
   * The core to use: the device's, which restarts when it has trapped. It throws a `TypeError` where the heap has other limits
   * than these options ask for.
   */
  readonly core: (() => Core) | undefined;
}

/** What a profile makes of the options that are given, and of the limits of the device's heap. */
export async function applyProfile(
  name: string | undefined,
  given: TLSConfigOptions,
  heap?: HeapLimits,
): Promise<Applied> {
  const profile = resolveProfile(name);
  if (profile === undefined) {
    if (heap !== undefined) {
      throw new TypeError(`Cannot use heap: the profile "${DEFAULT}" is no device's; name one that is`);
    }
    return { policy: { ...given }, core: undefined };
  }
  if (heap !== undefined) heapLimits(heap);
  checkLimits(profile, given);
  const { build, policy, server, suites, behaviour } = profile;
  const device = await deviceOf(name!, build);
  const core = () => device.core(heap);
  const ciphers = suitesLike(suites, core());
  const missing = namesIn(given.ciphers).find((name) => !ciphers.includes(ianaName(name)));
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot use ciphers: the profile "${behaviour.profile}" has no "${missing}"; known are ${
        ciphers.join(", ")
      }`,
    );
  }
  const all = { measure: true, ...policy, ...(given.serverSide && server), ciphers, ...given, behaviour };
  if (!given.serverSide && given.certReqs === undefined && all.certReqs === CERT_NONE) {
    warn(behaviour.profile);
  }
  return { policy: all, core };
}

function suitesLike(pattern: RegExp, core: Core): string[] {
  return suitesOf(core).map(({ name }) => name).filter((name) => pattern.test(name));
}

/** The suites of a device, in its order; `undefined`: it is not loaded yet. */
export function deviceSuites(name: string): string[] | undefined {
  const device = loadedDevice(name);
  return device && suitesLike(DEVICE_PROFILES.get(name)!.suites, device.core());
}

/** The names in an option's list; what is no list of names the config refuses. */
function namesIn(list: readonly string[] | undefined): readonly string[] {
  return Array.isArray(list) && list.every((name) => typeof name === "string") ? list : [];
}

let warned = false;

/** Once in a process, as a board says it at most. To name `certReqs` is to know, and says nothing. */
function warn(profile: string): void {
  if (warned) return;
  warned = true;
  console.warn(
    `tlsio: the profile "${profile}" checks no certificates unless asked, as the device does: anyone may be the server. ` +
      "Give certReqs (in tlsio/ussl cert_reqs): CERT_REQUIRED checks them, CERT_NONE silences this warning.",
  );
}

/** A device's core has the versions and the groups of its policy, and no others. */
function checkLimits({ policy, refuses, behaviour }: DeviceProfile, given: TLSConfigOptions): void {
  const lacks = (option: string, what: string) =>
    new TypeError(`Cannot use ${option}: the profile "${behaviour.profile}" ${what}`);
  for (const option of refuses) {
    if (given[option]) throw lacks(option, `has no ${FEATURES[option] ?? option}`);
  }
  const { sslVersion, groups, tickets, sessionCacheSize } = given;
  if (!behaviour.resumption && tickets) throw lacks("tickets", "resumes no sessions");
  if (!behaviour.resumption && sessionCacheSize) throw lacks("sessionCacheSize", "resumes no sessions");
  if (sslVersion !== undefined && sslVersion !== policy.sslVersion) {
    throw lacks("sslVersion", "has TLS 1.2 alone");
  }
  const known = groupIds(policy.groups!, true);
  const missing = namesIn(groups).find((group) => !known.includes(groupIds([group], true)[0]!));
  if (missing !== undefined) throw lacks("groups", `has no "${missing}"`);
}

/** What the options that a profile may refuse are about. */
const FEATURES: Readonly<Record<string, string>> = {
  alpnProtocols: "ALPN",
  psk: "pre-shared keys",
  pskCallback: "pre-shared keys",
};
