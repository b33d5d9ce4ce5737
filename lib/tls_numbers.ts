/**
 * Names for the numbers that a peer may send, also where the core cannot speak what they stand for (IANA, "TLS
 * Parameters").
 *
 * @module
 */

import { Core } from "./core.ts";
import { GROUPS, SIGALGS, suitesOf } from "./suites.ts";

/** A number of the protocol, with its name. */
export interface TLSNumber {
  /** The number on the wire. */
  readonly id: number;
  /** IANA's name, `"GREASE"` for a number that stands for nothing (RFC 8701), `undefined` where none is known. */
  readonly name: string | undefined;
}

/** Kinds of numbers that have names of their own. */
export type NumberKind = "version" | "group" | "signatureScheme" | "extension" | "pskMode";

/** Extensions of a ClientHello that tlsio reads. */
export const EXTENSION = {
  server_name: 0,
  supported_groups: 10,
  ec_point_formats: 11,
  signature_algorithms: 13,
  application_layer_protocol_negotiation: 16,
  session_ticket: 35,
  pre_shared_key: 41,
  supported_versions: 43,
  psk_key_exchange_modes: 45,
  key_share: 51,
} as const;

const NAMES: Readonly<Record<NumberKind, ReadonlyMap<number, string>>> = {
  version: new Map([ // as CPython spells them
    [0x0300, "SSLv3"],
    [0x0301, "TLSv1"],
    [0x0302, "TLSv1.1"],
    [0x0303, "TLSv1.2"],
    [0x0304, "TLSv1.3"],
  ]),
  group: new Map([
    ...flipped(GROUPS),
    [19, "secp192r1"],
    [21, "secp224r1"],
    [22, "secp256k1"],
    [26, "brainpoolP256r1"],
    [27, "brainpoolP384r1"],
    [28, "brainpoolP512r1"],
    [30, "x448"],
    [31, "brainpoolP256r1tls13"],
    [32, "brainpoolP384r1tls13"],
    [33, "brainpoolP512r1tls13"],
    [256, "ffdhe2048"],
    [257, "ffdhe3072"],
    [258, "ffdhe4096"],
    [259, "ffdhe6144"],
    [260, "ffdhe8192"],
    [512, "MLKEM512"],
    [513, "MLKEM768"],
    [514, "MLKEM1024"],
    [4587, "SecP256r1MLKEM768"],
    [4588, "X25519MLKEM768"],
    [4589, "SecP384r1MLKEM1024"],
    [25497, "X25519Kyber768Draft00"],
  ]),
  signatureScheme: new Map([
    ...flipped(SIGALGS),
    [0x0201, "rsa_pkcs1_sha1"],
    [0x0203, "ecdsa_sha1"],
    [0x0807, "ed25519"],
    [0x0808, "ed448"],
    [0x0809, "rsa_pss_pss_sha256"],
    [0x080a, "rsa_pss_pss_sha384"],
    [0x080b, "rsa_pss_pss_sha512"],
    [0x081a, "ecdsa_brainpoolP256r1tls13_sha256"],
    [0x081b, "ecdsa_brainpoolP384r1tls13_sha384"],
    [0x081c, "ecdsa_brainpoolP512r1tls13_sha512"],
    [0x0904, "mldsa44"],
    [0x0905, "mldsa65"],
    [0x0906, "mldsa87"],
  ]),
  extension: new Map([
    ...flipped(new Map(Object.entries(EXTENSION))),
    [1, "max_fragment_length"],
    [5, "status_request"],
    [14, "use_srtp"],
    [15, "heartbeat"],
    [18, "signed_certificate_timestamp"],
    [21, "padding"],
    [22, "encrypt_then_mac"],
    [23, "extended_master_secret"],
    [24, "token_binding"],
    [27, "compress_certificate"],
    [28, "record_size_limit"],
    [34, "delegated_credential"],
    [42, "early_data"],
    [44, "cookie"],
    [47, "certificate_authorities"],
    [48, "oid_filters"],
    [49, "post_handshake_auth"],
    [50, "signature_algorithms_cert"],
    [57, "quic_transport_parameters"],
    [17613, "application_settings"],
    [0xca34, "trust_anchors"],
    [0xfe0d, "encrypted_client_hello"],
    [0xff01, "renegotiation_info"],
  ]),
  pskMode: new Map([
    [0, "psk_ke"],
    [1, "psk_dhe_ke"],
  ]),
};

function flipped(names: ReadonlyMap<string, number>): [number, string][] {
  return [...names].map(([name, id]) => [id, name]);
}

/** Whether `id` is one of the numbers that clients send so that servers stay used to unknown ones (RFC 8701). */
export function isGrease(id: number): boolean {
  return (id & 0x0f0f) === 0x0a0a && id >> 8 === (id & 255);
}

/** The numbers `ids` with their names. */
export function withNames(kind: NumberKind, ids: readonly number[]): TLSNumber[] {
  const grease = kind === "pskMode" ? undefined : "GREASE"; // its GREASE values are of one byte, and others
  return ids.map((id) => ({ id, name: isGrease(id) ? grease : NAMES[kind].get(id) }));
}

let suiteNames: Map<number, string> | undefined;

/** The suites `ids` with their names: those of the core's, and the two that are no suites but signals. */
export function withSuiteNames(ids: readonly number[]): TLSNumber[] {
  suiteNames ??= new Map([
    ...suitesOf(Core.shared()).map(({ id, name }): [number, string] => [id, name]),
    [0x00ff, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"],
    [0x5600, "TLS_FALLBACK_SCSV"],
  ]);
  return ids.map((id) => ({ id, name: isGrease(id) ? "GREASE" : suiteNames!.get(id) }));
}
