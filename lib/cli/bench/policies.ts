/** The configs of our ends: what each scenario asks of them. */

import { encodeText } from "../../bytes.ts";
import { TLSConfig } from "../../config.ts";
import { Core } from "../../core.ts";
import type { Source } from "../../credentials.ts";
import { newEsp32Core } from "../../esp32.ts";
import { CERT_NONE, CERT_REQUIRED, type TLSConfigOptions } from "../../policy.ts";
import { applyProfile, resolveProfile } from "../../profile.ts";
import { suitesOf, TLSVersion } from "../../suites.ts";
import { TicketKeyRing } from "../../tickets.ts";
import type { Identity } from "./identities.ts";
import type { End, Scenario } from "./result.ts";
import { PSK_SUITES, usesSharedKey } from "./scenarios.ts";

/** A key that both ends know. */
export interface SharedKey {
  readonly identity: string;
  readonly key: Uint8Array<ArrayBuffer>;
}

/** What an end is made of. */
export interface EndOptions {
  /** None: it has a shared key. */
  readonly identity?: Identity | undefined;
  readonly psk?: SharedKey | undefined;
  /** What goes over all else. */
  readonly given?: TLSConfigOptions | undefined;
}

/** Sessions that a server keeps. */
const SESSIONS = 16;
const VERSIONS = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 } as const;

/** A key for one scenario. */
export function newSharedKey(): SharedKey {
  return { identity: "tlsio-bench", key: crypto.getRandomValues(new Uint8Array(32)) };
}

/** Both configs of one end: one to time, and one that counts, too. */
export class EndConfigs implements Disposable {
  readonly timed: TLSConfig;
  readonly counting: TLSConfig;

  private constructor(policy: TLSConfigOptions, core: Core) {
    // Both in one core: what the first handshakes warm up is warm for all that follow.
    using stack = new DisposableStack();
    this.timed = stack.use(new TLSConfig({ ...policy, measure: false }, core));
    this.counting = stack.use(new TLSConfig({ ...policy, measure: true }, core));
    stack.move();
  }

  /** Makes them in a core of their own. */
  static async create(scenario: Scenario, end: End, options: EndOptions): Promise<EndConfigs> {
    const profile = resolveProfile(scenario.profile);
    const core = profile === undefined ? new Core() : await newEsp32Core({}, profile.build);
    const given = { ...givenOptions(scenario, end, options, core), ...options.given };
    const { policy } = await applyProfile(scenario.profile, given);
    return new EndConfigs(policy, core);
  }

  /** Frees them. */
  [Symbol.dispose](): void {
    this.timed[Symbol.dispose]();
    this.counting[Symbol.dispose]();
  }
}

function givenOptions(
  scenario: Scenario,
  end: End,
  { identity, psk }: EndOptions,
  core: Core,
): TLSConfigOptions {
  const { version, kind } = scenario;
  const profile = resolveProfile(scenario.profile);
  const serverSide = end === "server";
  const base = {
    serverSide,
    sslVersion: VERSIONS[version],
    // A client that offers both resumes by its ticket.
    ...(kind === "session-id" && { tickets: false as const }),
  };
  if (usesSharedKey(scenario)) {
    const ciphers = suitesOf(core).map(({ name }) => name)
      .filter((name) => name.startsWith(PSK_SUITES[scenario.kind]) && (profile?.suites.test(name) ?? true));
    // To name certReqs is to know that there is no certificate: a device's profile warns otherwise.
    return {
      ...base,
      ...(profile && { certReqs: CERT_NONE }),
      psk: psk!,
      ...(version === "1.2" && { ciphers }),
    };
  }
  const own = identity && {
    chain: source("certificate", identity.certificate),
    key: source("key", identity.key),
  };
  const trust = identity && [source("ca", identity.ca)];
  const isMutual = kind === "mutual";
  if (serverSide) {
    return {
      ...base,
      credential: own!,
      // A device's resumes what it is asked to.
      ...(profile && kind === "ticket" && { tickets: TicketKeyRing.shared() }),
      ...(profile && kind === "session-id" && { sessionCacheSize: SESSIONS }),
      ...(isMutual ? { certReqs: CERT_REQUIRED, trust: trust! } : { certReqs: CERT_NONE }),
    };
  }
  return {
    ...base,
    // Asked for of each client: a device's checks nothing otherwise, and would not compare.
    certReqs: CERT_REQUIRED,
    ...(trust && { trust }),
    ...(isMutual && own && { credential: own }),
  };
}

function source(name: string, pem: string): Source {
  return { name, bytes: encodeText(pem) };
}
