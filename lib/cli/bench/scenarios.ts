/** The table of scenarios: which there are, and which are chosen. */

import { PROFILE_NAMES, resolveProfile } from "../../profile.ts";
import { items, UsageError } from "../flags.ts";
import type { Key, Kind, Scenario, Skipped, Version } from "./result.ts";

const VERSIONS = ["1.2", "1.3"] as const satisfies readonly Version[];
/** The keys that there are, the quickest first. */
export const KEYS = ["P-256", "P-384", "RSA-2048", "RSA-4096"] as const satisfies readonly Key[];
const KINDS = [
  "full",
  "session-id",
  "ticket",
  "psk",
  "ecdhe-psk",
  "mutual",
] as const satisfies readonly Kind[];
const USUAL_PROFILE = "default";
/** How the names of the suites of a kind begin. */
export const PSK_SUITES = { "psk": "TLS_PSK_", "ecdhe-psk": "TLS_ECDHE_PSK_" } as const;
/** A kind without certificates. */
export type SharedKeyKind = keyof typeof PSK_SUITES;
/** Who speaks for our side. */
export const OURSELVES = "tlsio";

/** What is measured when nothing is asked for: some seconds of it. */
const USUAL: readonly (readonly [Key, Kind])[] = [
  ["P-256", "full"],
  ["RSA-2048", "full"],
  ...(["session-id", "ticket", "psk", "ecdhe-psk", "mutual"] as const).map((kind) =>
    ["P-256", kind] as const
  ),
];
/** Over TCP: what most peers can. */
export const OVER_TCP: readonly (readonly [Key, Kind])[] = [["P-256", "full"], ["P-256", "ticket"]];
const USUAL_DEVICE = "1.2/P-256/full/esp32";

/** The flags that choose, as they were given. */
export interface Choice {
  readonly version?: readonly string[] | undefined;
  readonly key?: readonly string[] | undefined;
  readonly kind?: readonly string[] | undefined;
  readonly profile?: readonly string[] | undefined;
  readonly scenario?: readonly string[] | undefined;
}

/** What a choice comes to. */
export interface Chosen {
  readonly scenarios: readonly Scenario[];
  /** Combinations that were asked for and do not exist. */
  readonly skipped: readonly Skipped[];
}

/** Whether a handshake of this kind resumes an earlier one. */
export function resumes({ kind }: Pick<Scenario, "kind">): boolean {
  return kind === "session-id" || kind === "ticket";
}

/** Whether a key that both know takes the place of certificates. */
export function usesSharedKey<S extends Pick<Scenario, "kind">>(
  scenario: S,
): scenario is S & { kind: SharedKeyKind } {
  return scenario.kind in PSK_SUITES;
}

/** A scenario between our two ends. */
export function scenarioOf(version: Version, key: Key, kind: Kind, profile = USUAL_PROFILE): Scenario {
  const shared = usesSharedKey({ kind });
  const parts = [version, ...(shared ? [] : [key]), kind, ...(profile === USUAL_PROFILE ? [] : [profile])];
  return {
    name: parts.join("/"),
    version,
    ...(!shared && { key }),
    kind,
    profile,
    client: OURSELVES,
    server: OURSELVES,
  };
}

/** Why there is no such handshake; `undefined`: there is. */
function absence(scenario: Scenario): string | undefined {
  const { version, kind, profile: name } = scenario;
  const profile = resolveProfile(name);
  if (version === "1.3" && profile !== undefined) return `the profile "${name}" has TLS 1.2 alone`;
  if (version === "1.3" && kind === "session-id") return "TLS 1.3 resumes by tickets";
  if (version === "1.3" && kind === "psk") {
    return "between our ends TLS 1.3 agrees on a key with every pre-shared one: ecdhe-psk";
  }
  if (profile === undefined) return undefined;
  const { refuses, suites, behaviour } = profile;
  if (
    usesSharedKey(scenario) &&
    (refuses.includes("psk") || !suites.test(`${PSK_SUITES[scenario.kind]}WITH_AES_128_CBC_`))
  ) {
    return `the profile "${name}" has no suites of ${kind}`;
  }
  if (resumes(scenario) && !behaviour.resumption) return `the profile "${name}" resumes no sessions`;
  return undefined;
}

/** Every scenario between our ends. */
export function allScenarios(): Scenario[] {
  return product(VERSIONS, crossed(KEYS, KINDS), PROFILE_NAMES)
    .filter((scenario) => absence(scenario) === undefined);
}

/**
 * The scenarios that flags choose. Of what a flag leaves open: both versions, the key P-256, full handshakes, our own
 * profile; nothing given, a table of the usual ones.
 *
 * @param usual What is measured when nothing is asked for.
 * @param withFull With the full handshake, too, of each that resumes one.
 * @throws {UsageError} A name is unknown (the message has those that are known), or nothing is left.
 */
export function chooseScenarios(choice: Choice, withFull = false, usual = USUAL): Chosen {
  const named = items(choice.scenario ?? []);
  const { version, key, kind, profile } = {
    version: words("version", choice.version, VERSIONS),
    key: words("key", choice.key, KEYS),
    kind: words("kind", choice.kind, KINDS),
    profile: words("profile", choice.profile, PROFILE_NAMES),
  };
  const isOpen = [version, key, kind, profile].every((given) => given === undefined);
  if (named.length > 0) {
    if (!isOpen) {
      throw new UsageError("--scenario names it all: it goes without --tls, --key-type, --kind, --profile");
    }
    return { scenarios: paired(named.map(scenarioByName), withFull), skipped: [] };
  }
  const pairs = key === undefined && kind === undefined ? usual : crossed(key ?? ["P-256"], kind ?? ["full"]);
  const wanted = product(version ?? VERSIONS, pairs, profile ?? [USUAL_PROFILE]);
  if (isOpen && usual === USUAL) wanted.push(scenarioByName(USUAL_DEVICE));
  const scenarios: Scenario[] = [];
  const skipped: Skipped[] = [];
  for (const scenario of wanted) {
    const reason = absence(scenario);
    if (reason === undefined) scenarios.push(scenario);
    // What nobody asked for by its name is not missing.
    else if (kind !== undefined || version !== undefined) {
      skipped.push({ name: scenario.name, reason, failed: false });
    }
  }
  if (scenarios.length === 0) {
    const reasons = new Set(skipped.map(({ reason }) => reason));
    throw new UsageError(`no such handshake: ${[...reasons].join("; ")}`);
  }
  return { scenarios: paired(scenarios, withFull), skipped };
}

function paired(scenarios: readonly Scenario[], withFull: boolean): Scenario[] {
  return uniqueByName(scenarios.flatMap((scenario) => {
    const { version, key, profile } = scenario;
    return withFull && resumes(scenario)
      ? [scenarioOf(version, key!, "full", profile), scenario]
      : [scenario];
  }));
}

function scenarioByName(name: string): Scenario {
  const known = allScenarios();
  const found = known.find((scenario) => scenario.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  const shown = known.filter(({ profile }) => profile === USUAL_PROFILE).map(({ name }) => name);
  const profiles = PROFILE_NAMES.filter((profile) => profile !== USUAL_PROFILE);
  throw new UsageError(
    `unknown scenario "${name}"; known are ${shown.join(", ")}; of 1.2 with /${
      profiles.join(" or /")
    } behind it`,
  );
}

function product(
  versions: readonly Version[],
  pairs: readonly (readonly [Key, Kind])[],
  profiles: readonly string[],
): Scenario[] {
  return uniqueByName(
    profiles.flatMap((profile) =>
      versions.flatMap((version) => pairs.map(([key, kind]) => scenarioOf(version, key, kind, profile)))
    ),
  );
}

function crossed(keys: readonly Key[], kinds: readonly Kind[]): (readonly [Key, Kind])[] {
  return keys.flatMap((key) => kinds.map((kind) => [key, kind] as const));
}

function uniqueByName(scenarios: readonly Scenario[]): Scenario[] {
  return [...new Map(scenarios.map((scenario) => [scenario.name, scenario])).values()];
}

/** The words of a flag, each one of those that are known; `"all"` is every one. */
function words<T extends string>(
  flag: string,
  given: readonly string[] | undefined,
  known: readonly T[],
): T[] | undefined {
  if (given === undefined) return undefined;
  return items(given).flatMap((text) => {
    if (text === "all") return [...known];
    const found = known.find((word) => word.toLowerCase() === text.toLowerCase());
    if (found === undefined) {
      throw new UsageError(`unknown ${flag} "${text}"; known are ${known.join(", ")}, all`);
    }
    return [found];
  });
}

/** What the help text says of the choices. */
export const CHOICES = {
  version: VERSIONS.join(", "),
  key: KEYS.join(", "),
  kind: KINDS.join(", "),
  profile: PROFILE_NAMES.join(", "),
};
