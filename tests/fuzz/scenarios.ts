/**
 * The connections that the fuzzer plays with: every kind of handshake, and peers that are not who they say.
 *
 * @module
 */

import { encodeText } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import type { Core } from "../../lib/core.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../../lib/policy.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { bytesFrom, clientOptions, credential, type End, fixedRing, serverOptions, source } from "../pair.ts";

/** One kind of connection. */
export interface Scenario {
  readonly name: string;
  readonly both?: TLSConfigOptions;
  readonly client?: TLSConfigOptions;
  readonly server?: TLSConfigOptions;
  /** The client offers a session that was made with the same configs. */
  readonly resumes?: boolean;
  /** Bytes of early data that the client sends. */
  readonly early?: number;
  /** The ends that hold no key of who they say they are: the other must never complete a handshake with them. */
  readonly impostors?: readonly End[];
  /** The host that the client asks for. @default {"localhost"} */
  readonly host?: string;
}

const TLS12 = { sslVersion: TLSVersion.TLSv1_2 } as const;
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 } as const;
const DTLS = { datagrams: {} } as const;
const KEY = encodeText("the pre-shared key of the fuzzer");
const PSK = { psk: { identity: "fuzz", key: KEY }, tickets: false } as const;
const OTHER_PSK = { psk: { identity: "fuzz", key: bytesFrom(3, 32) }, tickets: false } as const;
const MUTUAL = { certReqs: CERT_REQUIRED, trust: [source("root.pem")] } as const;
const MINE = { credential: credential("client"), trust: [source("root.pem")] } as const;

/** A certificate of ours with somebody else's signature: bytes that are one by their form alone. */
function forged(name: string): NonNullable<TLSConfigOptions["credential"]> {
  const sign = () =>
    Uint8Array.of(
      0x30,
      0x44,
      0x02,
      0x20,
      ...new Uint8Array(32).fill(17),
      0x02,
      0x20,
      ...new Uint8Array(32).fill(18),
    );
  return { chain: source(`${name}.pem`), sign };
}

/** All of them. Scripts know them by number: new ones come last. */
export const SCENARIOS: readonly Scenario[] = [
  { name: "tls12", both: TLS12 },
  { name: "tls12-rsa", both: TLS12, server: { credential: credential("rsa") } },
  {
    name: "tls12-rsa-kx-cbc",
    both: { ...TLS12, ciphers: ["TLS_RSA_WITH_AES_128_CBC_SHA"] },
    server: { credential: credential("rsa") },
  },
  { name: "tls12-mutual", both: TLS12, client: MINE, server: MUTUAL },
  { name: "tls12-ticket", both: TLS12, resumes: true },
  {
    name: "tls12-session-id",
    both: { ...TLS12, tickets: false },
    server: { sessionCacheSize: 2 },
    resumes: true,
  },
  { name: "tls12-psk", both: { ...TLS12, ...PSK } },
  { name: "tls12-renegotiation", both: { ...TLS12, renegotiation: true } },
  { name: "tls13", both: TLS13 },
  { name: "tls13-mutual", both: TLS13, client: MINE, server: MUTUAL },
  { name: "tls13-ticket", both: TLS13, resumes: true },
  { name: "tls13-early", both: TLS13, resumes: true, early: 100, server: { maxEarlyData: 1000 } },
  { name: "tls13-psk", both: { ...TLS13, ...PSK } },
  {
    name: "tls13-retry",
    both: TLS13,
    client: { groups: ["x25519", "secp384r1"] },
    server: { groups: ["secp384r1"] },
  },
  {
    name: "either",
    both: { alpnProtocols: ["h2", "http/1.1"] },
    client: { maxFragmentLength: 1024 },
  },
  { name: "either-downgrade", client: {}, server: TLS12 },
  { name: "tls12-impostor-server", both: TLS12, server: { credential: forged("ec") }, impostors: ["server"] },
  { name: "tls13-impostor-server", both: TLS13, server: { credential: forged("ec") }, impostors: ["server"] },
  {
    name: "tls12-untrusted-server",
    both: TLS12,
    server: { credential: credential("self") },
    impostors: ["server"],
  },
  {
    name: "tls13-untrusted-server",
    both: TLS13,
    server: { credential: credential("self") },
    impostors: ["server"],
  },
  { name: "tls13-wrong-host", both: TLS13, host: "example.org", impostors: ["server"] },
  { name: "tls12-wrong-host", both: TLS12, host: "example.org", impostors: ["server"] },
  {
    name: "tls12-impostor-client",
    both: TLS12,
    client: { ...MINE, credential: forged("client") },
    server: MUTUAL,
    impostors: ["client"],
  },
  {
    name: "tls13-impostor-client",
    both: TLS13,
    client: { ...MINE, credential: forged("client") },
    server: MUTUAL,
    impostors: ["client"],
  },
  { name: "tls12-no-client-certificate", both: TLS12, server: MUTUAL, impostors: ["client"] },
  { name: "tls13-no-client-certificate", both: TLS13, server: MUTUAL, impostors: ["client"] },
  { name: "tls12-wrong-psk", both: TLS12, client: PSK, server: OTHER_PSK, impostors: ["client", "server"] },
  { name: "tls13-wrong-psk", both: TLS13, client: PSK, server: OTHER_PSK, impostors: ["client", "server"] },
  { name: "dtls12", both: DTLS },
  { name: "dtls12-mutual", both: DTLS, client: MINE, server: MUTUAL },
  { name: "dtls12-ticket", both: DTLS, resumes: true },
  { name: "dtls12-psk", both: { ...DTLS, ...PSK } },
  { name: "dtls12-impostor-server", both: DTLS, server: { credential: forged("ec") }, impostors: ["server"] },
  {
    name: "dtls12-impostor-client",
    both: DTLS,
    client: { ...MINE, credential: forged("client") },
    server: MUTUAL,
    impostors: ["client"],
  },
];

/** Their names. */
export const NAMES: readonly string[] = SCENARIOS.map(({ name }) => name);

/** What no error may show: keys, as bytes, hexadecimal and Base64. */
export const SECRETS: readonly string[] = [
  ...[KEY, bytesFrom(3, 32)].flatMap((key) => [
    new TextDecoder("latin1").decode(key),
    key.toHex(),
    key.toBase64(),
  ]),
  ...["ec", "rsa", "client"].map((name) =>
    new TextDecoder().decode(source(`${name}.key`).bytes).split("\n")[1]!
  ),
];

/** A scenario's configs in a core. */
export function configsOf({ both, client, server }: Scenario, core: Core): Record<End, TLSConfig> {
  const isPsk = both?.psk !== undefined || server?.psk !== undefined;
  const serverBase = isPsk ? { serverSide: true } : serverOptions();
  const clientBase = isPsk ? {} : clientOptions();
  return {
    client: new TLSConfig({ ...clientBase, ...both, ...client }, core),
    server: new TLSConfig(
      { ...serverBase, tickets: fixedRing(), sessionCacheSize: 0, ...both, ...server },
      core,
    ),
  };
}
