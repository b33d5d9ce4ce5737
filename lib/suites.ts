/**
 * Names of what TLS negotiates: versions, suites, groups, signature schemes, by their IANA numbers.
 *
 * @module
 */

import type { Core } from "./core.ts";

/** TLS versions, by their number on the wire. */
export const TLSVersion = {
  /** RFC 5246. */
  TLSv1_2: 0x0303,
  /** RFC 8446. */
  TLSv1_3: 0x0304,
} as const;

/** One of {@linkcode TLSVersion}. */
export type TLSVersion = (typeof TLSVersion)[keyof typeof TLSVersion];

/** The version as CPython and MicroPython print it. */
export function versionName(version: number): string {
  return version === TLSVersion.TLSv1_3 ? "TLSv1.3" : "TLSv1.2";
}

/** The one version of DTLS, as MicroPython prints it. */
export const DTLS_VERSION = "DTLSv1.2";

/** The groups that the core has, our preference first: the core is fastest on X25519, which browsers and OpenSSL ask for, too. */
export const GROUPS: ReadonlyMap<string, number> = new Map([
  ["x25519", 29],
  ["secp256r1", 23],
  ["secp384r1", 24],
  ["secp521r1", 25],
]);

/** Groups that devices alone have. */
const DEVICE_GROUPS: ReadonlyMap<string, number> = new Map([
  ["secp192k1", 18],
  ["secp192r1", 19],
  ["secp224k1", 20],
  ["secp224r1", 21],
  ["secp256k1", 22],
  ["brainpoolp256r1", 26],
  ["brainpoolp384r1", 27],
  ["brainpoolp512r1", 28],
]);

const GROUP_ALIASES: ReadonlyMap<string, string> = new Map([
  ["p-256", "secp256r1"],
  ["prime256v1", "secp256r1"],
  ["p-384", "secp384r1"],
  ["p-521", "secp521r1"],
]);

/** The signature schemes that a default config takes, our preference first (RFC 8446 section 4.2.3). */
export const SIGALGS: ReadonlyMap<string, number> = new Map([
  ["ecdsa_secp256r1_sha256", 0x0403],
  ["ecdsa_secp384r1_sha384", 0x0503],
  ["ecdsa_secp521r1_sha512", 0x0603],
  ["rsa_pss_rsae_sha256", 0x0804],
  ["rsa_pss_rsae_sha384", 0x0805],
  ["rsa_pss_rsae_sha512", 0x0806],
  ["rsa_pkcs1_sha256", 0x0401],
  ["rsa_pkcs1_sha384", 0x0501],
  ["rsa_pkcs1_sha512", 0x0601],
]);

/** Schemes that only a config that names them takes: SHA-1 is broken. */
const LEGACY_SIGALGS: ReadonlyMap<string, number> = new Map([
  ["ecdsa_sha1", 0x0203],
  ["rsa_pkcs1_sha1", 0x0201],
]);

/** The IANA name of a signature scheme. */
export function schemeName(id: number): string {
  const all = [...SIGALGS, ...LEGACY_SIGALGS];
  return all.find(([, known]) => known === id)?.[0] ?? `0x${id.toString(16).padStart(4, "0")}`;
}

/** A cipher suite of the core. */
export interface Suite {
  /** IANA number. */
  readonly id: number;
  /** IANA name: `"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"`. */
  readonly name: string;
  /** Strength of its cipher in bits. */
  readonly bits: number;
}

const SUITES = new WeakMap<Core, readonly Suite[]>();

/** Every suite that `core` can speak. */
export function suitesOf(core: Core): readonly Suite[] {
  let suites = SUITES.get(core);
  if (suites === undefined) {
    const { core_suite, core_suite_name, core_suite_bits } = core.call;
    const found: Suite[] = [];
    for (let id; (id = core_suite(found.length)) !== 0;) {
      found.push({ id, name: ianaName(core.text(core_suite_name(id))), bits: core_suite_bits(id) });
    }
    SUITES.set(core, suites = found);
  }
  return suites;
}

/** The suite with number `id`. */
export function suiteOf(core: Core, id: number): Suite | undefined {
  return suitesOf(core).find((suite) => suite.id === id);
}

/** Whether a suite is one of TLS 1.3; all others are of TLS 1.2. */
export function isTLS13Suite(name: string): boolean {
  return !ianaName(name).includes("_WITH_");
}

/** Whether a server shows a certificate for a suite of TLS 1.2. */
export function needsCertificate(name: string): boolean {
  return !isTLS13Suite(name) && !/^TLS_(ECDHE_)?PSK_/.test(ianaName(name));
}

/** mbedTLS's name of a suite in IANA's spelling: they differ in the dashes and the "TLS1-3-" of TLS 1.3. */
export function ianaName(name: string): string {
  return name.toUpperCase().replace(/^TLS1-3-/, "TLS-").replaceAll("-", "_");
}

/** Ciphers in our order: the core is fastest on ChaCha20-Poly1305. CBC is there for pre-shared keys alone. */
const CIPHER_ORDER = [
  /CHACHA20/,
  /AES_128_GCM/,
  /AES_256_GCM/,
  /AES_(128|256)_CCM_SHA|_CCM$/,
  /_CBC_SHA(256|384)$/,
  /_CBC_SHA$/,
];

/**
 * The suites of a config that names none: forward secret, authenticated encryption (AEAD), no truncated tag. With a
 * pre-shared key, only the suites that use it, those with CBC, too: TLS 1.2 peers have few others.
 */
export function defaultSuites(core: Core, psk: boolean): number[] {
  const keyExchange = psk ? /^TLS_(ECDHE_)?PSK_WITH_/ : /^TLS_ECDHE_(ECDSA|RSA)_WITH_/;
  const ranked = suitesOf(core)
    .filter(({ name }) => isTLS13Suite(name) || (keyExchange.test(name) && (psk || !/_CBC_/.test(name))))
    .map(({ id, name }) => ({
      id,
      rank: CIPHER_ORDER.findIndex((cipher) => cipher.test(name)) + (isTLS13Suite(name) ? 0 : 100) +
        (/^TLS_PSK_/.test(name) ? 50 : 0),
      known: CIPHER_ORDER.some((cipher) => cipher.test(name)),
    }));
  return ranked.filter(({ known }) => known).sort((a, b) => a.rank - b.rank).map(({ id }) => id);
}

/** The numbers of suites by name, IANA's or mbedTLS's spelling. */
export function suiteIds(core: Core, names: readonly string[]): number[] {
  const known = new Map(suitesOf(core).map(({ id, name }) => [name, id]));
  return names.map((name) => lookUp("ciphers", known, ianaName(name), name));
}

/** The numbers of groups by name, IANA's or NIST's. */
export function groupIds(names: readonly string[], ofDevice = false): number[] {
  const known = ofDevice ? new Map([...GROUPS, ...DEVICE_GROUPS]) : GROUPS;
  return names.map((name) => {
    const key = name.toLowerCase();
    return lookUp("groups", known, GROUP_ALIASES.get(key) ?? key, name);
  });
}

/** The numbers of signature schemes by IANA name. */
export function sigalgIds(names: readonly string[]): number[] {
  const known = new Map([...SIGALGS, ...LEGACY_SIGALGS]);
  return names.map((name) => lookUp("sigalgs", known, name.toLowerCase(), name));
}

/** Whether one of the schemes signs with SHA-1. */
export function usesSha1(ids: readonly number[]): boolean {
  return ids.some((id) => id >> 8 === 2);
}

function lookUp(option: string, known: ReadonlyMap<string, number>, key: string, given: string): number {
  const id = known.get(key);
  if (id === undefined) {
    throw new TypeError(
      `Cannot use ${option}: unknown name "${given}"; known are ${[...known.keys()].join(", ")}`,
    );
  }
  return id;
}

/** The name of group `id`; `undefined` for 0. */
export function groupName(id: number): string | undefined {
  for (const [name, number] of [...GROUPS, ...DEVICE_GROUPS]) if (number === id) return name;
  return undefined;
}

/** The IANA name of signature scheme `id`, its number in hexadecimal where it has none here; `undefined` for 0. */
export function sigalgName(id: number): string | undefined {
  if (id === 0) return undefined;
  for (const [name, number] of [...SIGALGS, ...LEGACY_SIGALGS]) if (number === id) return name;
  return `0x${id.toString(16).padStart(4, "0")}`;
}
