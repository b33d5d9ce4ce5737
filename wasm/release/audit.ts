/**
 * Compares the releases of mbedTLS that a core may be built from (`wasm/sources.json`) with its security advisories
 * (`wasm/advisories.json`), and says which concern us and why.
 *
 * `deno task audit` fails when one concerns us and nothing has been decided about it. It asks no network: the list is
 * as new as its `checked` says, and it does not know advisories of npm packages.
 *
 * @module
 */

import { command } from "../build.ts";
import { SOURCES } from "../fetch.ts";

/** How an advisory concerns us. Only with the last two does the release of mbedTLS matter. */
export const EFFECTS = {
  "configured-out": "the code is in no core",
  "not-used": "nothing of ours calls it in that way",
  "patched": "our own code does away with it",
  "accepted": "it concerns us, no release has done away with it, and we live with it",
  "upstream": "it concerns us until mbedTLS's release does away with it",
  "open": "nothing is decided",
} as const;

/** One advisory. */
export interface Advisory {
  /** Its CVE, or a name of ours when it has none. */
  id: string;
  cve: string | null;
  title: string;
  /** The first release that has the fault; null where the source does not say: then all before `fixed`. */
  since: string | null;
  /** The first release of 3.6 without it; null when there is none. */
  fixed: string | null;
  /** Where this is from. */
  source: string;
  effect: keyof typeof EFFECTS;
  why: string;
  /** What must be in mbedTLS's configuration for `why` to be true; with `!`, what must not. */
  requires?: string[];
}

/** `wasm/advisories.json`. */
export interface Advisories {
  /** The day on which the sources were last read. */
  checked: string;
  sources: string[];
  advisories: Advisory[];
}

const FIELDS = ["id", "cve", "title", "since", "fixed", "source", "effect", "why"];
const VERSION = /^\d+\.\d+\.\d+$/;

/**
 * Reads a list of advisories.
 *
 * @throws {Error} That names the advisory and the field that is unknown, missing, wrong or there twice.
 */
export function parseAdvisories(value: unknown): Advisories {
  const { checked, sources, advisories, ...rest } = asRecord(value, "the list");
  refuseUnknown(rest, "the list");
  if (typeof checked !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(checked)) throw fault("the list", "checked");
  if (!Array.isArray(sources) || !sources.every(isText)) throw fault("the list", "sources");
  if (!Array.isArray(advisories)) throw fault("the list", "advisories");
  const seen = new Set<string>();
  for (const entry of advisories) {
    const advisory = asRecord(entry, "an advisory");
    const name = isText(advisory.id) ? advisory.id : JSON.stringify(entry);
    for (const field of FIELDS) if (!(field in advisory)) throw fault(name, field);
    for (const field of ["id", "title", "source", "why"]) {
      if (!isText(advisory[field])) throw fault(name, field);
    }
    for (const field of ["since", "fixed"]) {
      const version = advisory[field];
      if (version !== null && !(isText(version) && VERSION.test(version))) throw fault(name, field);
    }
    const { cve, effect, requires, ...known } = advisory;
    if (cve !== null && !(isText(cve) && /^CVE-\d{4}-\d{4,}$/.test(cve) && cve === name)) {
      throw fault(name, "cve");
    }
    if (!isText(effect) || !Object.hasOwn(EFFECTS, effect)) throw fault(name, "effect");
    if (requires !== undefined && !(Array.isArray(requires) && requires.every(isText))) {
      throw fault(name, "requires");
    }
    if (effect === "configured-out" && requires === undefined) throw fault(name, "requires");
    for (const field of FIELDS) delete known[field];
    refuseUnknown(known, name);
    if (seen.has(name)) throw new Error(`Cannot read wasm/advisories.json: ${name} is there twice`);
    seen.add(name);
  }
  return { checked, sources, advisories };
}

function asRecord(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error(`Cannot read wasm/advisories.json: ${what} is no object`);
}

function refuseUnknown(rest: Record<string, unknown>, what: string): void {
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) {
    throw new Error(`Cannot read wasm/advisories.json: ${what} has an unknown field "${unknown}"`);
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function fault(what: string, field: string): Error {
  return new Error(`Cannot read wasm/advisories.json: "${field}" of ${what} is missing or wrong`);
}

/** What one release of mbedTLS has of the advisories. */
export interface Finding {
  advisory: Advisory;
  /** Whether the release has the fault at all. */
  present: boolean;
  /** Whether it concerns us, and nobody has said that we live with it. */
  concerns: boolean;
}

/** Judges one release of mbedTLS. */
export function judge(version: string, advisories: readonly Advisory[]): Finding[] {
  return advisories.map((advisory) => {
    const { since, fixed, effect } = advisory;
    const present = (since === null || compare(version, since) >= 0) &&
      (fixed === null || compare(version, fixed) < 0);
    return { advisory, present, concerns: present && (effect === "upstream" || effect === "open") };
  });
}

/** Orders versions: below 0 when `a` is the earlier one. */
export function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const at = left!.findIndex((part, i) => part !== right![i]);
  return at < 0 ? 0 : left![at]! - right![at]!;
}

/** Reads `wasm/advisories.json`. */
export async function readAdvisories(): Promise<Advisories> {
  const text = await Deno.readTextFile(new URL("../advisories.json", import.meta.url));
  return parseAdvisories(JSON.parse(text));
}

/**
 * Says how the release `version` stands.
 *
 * @param log Told line by line.
 * @throws {Error} Naming what concerns us and has no decision.
 */
export function audit(version: string, list: Advisories, log: (line: string) => void): void {
  const present = judge(version, list.advisories).filter(({ present }) => present);
  log(
    `mbedTLS ${version}: has ${present.length} of ${list.advisories.length} advisories (checked ${list.checked})`,
  );
  for (const { advisory: { id, title, effect, why } } of present) {
    log(`  ${id}  ${title}\n    ${effect}: ${why}`);
  }
  log("npm packages: not checked, this list has none of their advisories");
  const concerns = present.filter(({ concerns }) => concerns).map(({ advisory: { id } }) => id);
  if (concerns.length > 0) {
    throw new Error(
      `Cannot accept mbedTLS ${version}: ${concerns.join(", ")}. ` +
        "Take a later release, or decide in wasm/advisories.json",
    );
  }
}

/** What is to be said of a release that a machine builds from when it has no better one. It is never released. */
export function standIn(version: string, { advisories }: Advisories): string {
  const concerns = judge(version, advisories).filter(({ concerns }) => concerns).length;
  return `mbedTLS ${version}, which stands in where a later one is not to be had, has ${concerns} that concern us`;
}

if (import.meta.main) {
  await command(async () => {
    if (Deno.args.length > 0) {
      throw new Error(`Cannot audit: no argument is known, but not "${Deno.args[0]}"`);
    }
    const [preferred, ...others] = SOURCES.map(({ version }) => version);
    const list = await readAdvisories();
    for (const version of others) console.log(standIn(version, list));
    audit(preferred!, list, console.log);
  });
}
