/**
 * What a {@linkcode TLSConfig} tells the core: each function sets one group of options of the config `handle`.
 */

import { concat, encodeText } from "./bytes.ts";
import type { Core } from "./core.ts";
import { credentialError, crlError, loadRoots, loadTrust, parseLength, type Source } from "./credentials.ts";
import { judgesPeer } from "./peer_policy.ts";
import {
  CERT_OPTIONAL,
  type CertReqs,
  type DatagramPolicy,
  datagramPolicy,
  FRAGMENT_CODES,
  type OwnCredential,
  type PolicyOptions,
  type TLSConfigOptions,
  usesPsk,
  versionRange,
} from "./policy.ts";
import { StrikeRegister } from "./strikes.ts";
import { defaultSuites, groupIds, GROUPS, sigalgIds, SIGALGS, suiteIds, usesSha1 } from "./suites.ts";

/** Option bits of wasm/glue/tlsio.h; a test compares them. */
export const OPTION = {
  ALLOW_COMMON_NAME: 1,
  RENEGOTIATION: 2,
  SHA1: 4,
  KEY_LOG: 8,
  CLIENT_ORDER: 16,
  JUDGE: 32,
  VERIFY_EACH: 64,
  CRL_LEAF: 128,
  CRL_CHAIN: 256,
  MEASURE: 512,
} as const;

/** Sets versions, suites, groups, schemes, ALPN names and the pre-shared key. */
export function setPolicy(core: Core, handle: number, certReqs: CertReqs, options: TLSConfigOptions): void {
  const { call } = core;
  const suites = suitesFor(core, options);
  const { minimum, maximum } = versionRange(options);
  const sigalgs = options.sigalgs === undefined ? defaultSigalgs(core) : sigalgIds(options.sigalgs);
  const bits = (options.allowCommonName ? OPTION.ALLOW_COMMON_NAME : 0) |
    (options.renegotiation ? OPTION.RENEGOTIATION : 0) |
    (usesSha1(sigalgs) ? OPTION.SHA1 : 0) |
    (options.measure ? OPTION.MEASURE : 0) |
    (options.keyLog ? OPTION.KEY_LOG : 0) |
    (options.preferClientOrder ?? true ? OPTION.CLIENT_ORDER : 0) |
    (judgesPeer(options) ? OPTION.JUDGE : 0) |
    (options.verifyCallback ? OPTION.VERIFY_EACH : 0) |
    (options.crls ? options.crlCheck === "chain" ? OPTION.CRL_CHAIN : OPTION.CRL_LEAF : 0);
  const authmode = options.onUnknownPeer ? CERT_OPTIONAL : certReqs; // the engine asks, and refuses
  const fragment = FRAGMENT_CODES.get(options.maxFragmentLength)!;
  core.check(
    "set the TLS policy",
    call.config_set_policy(handle, authmode, minimum, maximum, fragment, bits),
  );
  if (options.minRsaBits !== undefined) {
    core.check("set minRsaBits", call.config_set_min_rsa(handle, options.minRsaBits));
  }
  if (options.psk !== undefined) setPsk(core, handle, options.psk);
  if (options.datagrams !== undefined) setDatagrams(core, handle, options.datagrams);
  if (options.pskCallback !== undefined) core.check("set pskCallback", call.config_ask_psk(handle));
  if (options.maxEarlyData) {
    StrikeRegister.of(core.now); // it begins before the first ticket that allows early data
    core.check("set maxEarlyData", call.config_set_early_data(handle, options.maxEarlyData));
  }

  const groups = options.groups === undefined
    ? [...GROUPS.values()]
    : groupIds(options.groups, core.device !== undefined);
  const set = (list: Int32Array | Uint16Array, setter: (c: number, at: number, n: number) => number) =>
    core.check("set the TLS policy", core.with([list], (at) => setter(handle, at!, list.length)));
  set(Int32Array.from(suites), call.config_set_suites);
  set(Uint16Array.from(groups), call.config_set_groups);
  set(Uint16Array.from(sigalgs), call.config_set_sigalgs);

  const names = (options.alpnProtocols ?? []).map((name) => encodeText(`${name}\0`));
  if (names.length > 0) {
    const joined = concat(names);
    const set = (at?: number) => call.config_set_alpn(handle, at!, joined.length, names.length);
    core.check("set alpnProtocols", core.with([joined], set));
  }
}

function setDatagrams(core: Core, handle: number, given: DatagramPolicy): void {
  const { retransmitAfter, retransmitMax, cookieLifetime } = datagramPolicy(given);
  const times = [retransmitAfter * 1000, retransmitMax * 1000, cookieLifetime].map(Math.ceil);
  core.check("use datagrams", core.call.config_use_datagrams(handle, times[0]!, times[1]!, times[2]!));
}

/** The numbers of the suites that `options` allow, in order. */
export function suitesFor(core: Core, options: PolicyOptions): number[] {
  const { ciphers } = options;
  return ciphers === undefined ? defaultSuites(core, usesPsk(options)) : suiteIds(core, ciphers);
}

function setPsk(core: Core, handle: number, { identity, key }: NonNullable<PolicyOptions["psk"]>): void {
  const name = typeof identity === "string" ? encodeText(identity) : identity;
  const set = (keyAt?: number, nameAt?: number) =>
    core.call.config_set_psk(handle, keyAt!, key.length, nameAt!, name.length);
  core.check("set psk", core.with([key, name], set));
}

/** Adds one of our certificate chains, with its key or with the number of who signs. */
export function addCredential(
  core: Core,
  handle: number,
  { chain, key, password = "" }: OwnCredential,
  signer: number,
): void {
  if (key === undefined) return addSigner(core, handle, chain, signer);
  const secret = encodeText(password);
  const inputs = [chain.bytes, key.bytes, secret, new Int32Array(1)];
  core.with(inputs, (chainAt, keyAt, secretAt, where) => {
    const code = core.call.config_add_credential(
      handle,
      chainAt!,
      parseLength(chain.bytes),
      keyAt!,
      parseLength(key.bytes),
      secretAt!,
      secret.length,
      where!,
    );
    if (code !== 0) throw credentialError(code, core.int32s(where!, 1)[0]!, chain, key);
  });
}

/** Throws unless the core can use each of them. */
export function checkCredentials(core: Core, credentials: readonly OwnCredential[]): void {
  const handle = core.call.config_new(1);
  try {
    credentials.forEach((own, number) => addCredential(core, handle, own, number));
  } finally {
    core.call.config_free(handle);
  }
}

function addSigner(core: Core, handle: number, chain: Source, signer: number): void {
  core.with([chain.bytes, new Int32Array(1)], (at, where) => {
    const code = core.call.config_add_signer(handle, at!, parseLength(chain.bytes), signer, where!);
    if (code !== 0) throw credentialError(code, core.int32s(where!, 1)[0]!, chain, chain);
  });
}

/** Adds revocation lists; the trust is set. */
export function addCrls(core: Core, handle: number, crls: readonly Source[]): void {
  for (const { name, bytes } of crls) {
    const code = core.with([bytes], (at) => core.call.config_add_crl(handle, at!, parseLength(bytes)));
    if (code !== 0) throw crlError(name, bytes, code);
  }
}

/** Returns the handle to free with the config; 0 when the trust is shared. */
export function setTrust(core: Core, handle: number, sources: TLSConfigOptions["trust"]): number {
  const trust = sources === undefined ? core.defaultTrust(() => loadRoots(core)) : loadTrust(core, sources);
  core.check("set caCerts", core.call.config_set_trust(handle, trust));
  return sources === undefined ? 0 : trust;
}

/** mbedTLS 3.6.6 fails with TLS-1.2-only servers that sign with RSA unless PKCS#1 comes first (Mbed-TLS#10668). */
function defaultSigalgs(core: Core): number[] {
  const ids = [...SIGALGS.values()];
  const isPss = (id: number) => id >> 8 === 8;
  return core.version.startsWith("3.6.6") ? ids.sort((a, b) => Number(isPss(a)) - Number(isPss(b))) : ids;
}
