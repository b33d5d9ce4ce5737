/**
 * The profiles of devices, as data: docs/profiles.md has them as a table, with what is known of each and what is not.
 */

import type { Behaviour } from "./behaviour.ts";
import type { Build } from "./device.ts";
import { CERT_NONE, CERT_REQUIRED, type PolicyOptions } from "./policy.ts";
import { TLSVersion } from "./suites.ts";

/** A device, and the program that runs on it. */
export interface DeviceProfile {
  /** Its build of mbedTLS, as far as it is not an ESP32's. */
  readonly build: Build;
  /** Its cipher suites, of those of the core, in whose order they are. */
  readonly suites: RegExp;
  /** What its program or its mbedTLS does not have: the options that it refuses. */
  readonly refuses: readonly (keyof PolicyOptions)[];
  /** What an option is when it is not given. */
  readonly policy: Readonly<PolicyOptions>;
  /** Likewise for a server alone. */
  readonly server: Readonly<PolicyOptions>;
  /** How it goes about connections. */
  readonly behaviour: Behaviour;
}

const NIST = ["secp256r1", "secp384r1", "secp521r1"] as const;
const PSK = ["psk", "pskCallback"] as const;

/** mbedTLS 3.6's order: hashes from the strongest, each with every kind of key. */
function sigalgs(kinds: readonly ("ecdsa" | "rsa_pss_rsae" | "rsa_pkcs1")[]): string[] {
  const curve = { sha512: "secp521r1", sha384: "secp384r1", sha256: "secp256r1" } as const;
  return (["sha512", "sha384", "sha256"] as const).flatMap((hash) =>
    kinds.map((kind) => kind === "ecdsa" ? `ecdsa_${curve[hash]}_${hash}` : `${kind}_${hash}`)
  );
}

/** No resumption unless it is asked for: MicroPython gives mbedTLS no ticket keys and no cache. */
const FORGETFUL: PolicyOptions = { preferClientOrder: false, tickets: false, sessionCacheSize: 0 };

/** MicroPython's way with connections: modtls_mbedtls.c and asyncio's stream.py. */
const MICROPYTHON = {
  closeNotify: false, // mbedtls_ssl_free() and no more
  resumption: false,
  backlog: 5,
  whenFull: "wait",
  handshake: "in the handler's first read or write",
  key: "the server's", // asyncio's start_server() has one SSLContext
} as const;

/** An ESP32 with MicroPython 1.28: ESP-IDF 5.5.1, mbedTLS 3.6.4. Its sdkconfig and esp_config.h, preprocessed. */
const ESP32: DeviceProfile = {
  build: {},
  suites: /^TLS_(ECDHE?_(ECDSA|RSA)|RSA)_WITH_(AES|ARIA)_/,
  refuses: ["alpnProtocols", ...PSK],
  policy: {
    certReqs: CERT_NONE, // as `ssl.wrap_socket()`
    sslVersion: TLSVersion.TLSv1_2,
    groups: NIST,
    sigalgs: sigalgs(["ecdsa", "rsa_pss_rsae", "rsa_pkcs1"]),
  },
  server: FORGETFUL,
  // lwIP has 12 TCP connections. It answers no SYN of the 13th until one of them has gone; here that one waits in the backlog.
  behaviour: { ...MICROPYTHON, profile: "esp32", sockets: 12 },
};

/** An ESP32 with ESP-IDF 5.5.1 and its defaults: its HTTPS server, `esp_https_server`, and `esp-tls`. */
const ESP32_IDF: DeviceProfile = {
  ...ESP32,
  refuses: PSK,
  policy: {
    ...ESP32.policy,
    certReqs: CERT_REQUIRED, // esp-tls refuses to connect without a CA
    groups: ["x25519", ...NIST, "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"],
  },
  server: { ...FORGETFUL, certReqs: CERT_NONE },
  behaviour: {
    profile: "esp32-idf",
    closeNotify: false, // esp_mbedtls_conn_delete() and esp_mbedtls_server_session_delete() free, and no more
    resumption: true, // of tickets, where they are asked for
    backlog: 5,
    sockets: 4,
    whenFull: "purge the least recently used",
    handshake: "before the handler",
    key: "its own", // esp_tls_server_session_create() parses them
    handshakeTimeout: 10,
    transferTimeout: 5, // recv_wait_timeout and send_wait_timeout
  },
};

/** A Raspberry Pi Pico W with MicroPython: mbedtls_config_common.h. Its heap is Python's; here it is limited as an ESP32's. */
const RP2: DeviceProfile = {
  build: { lacks: ["encryptThenMac", "extendedMasterSecret", "maxFragmentLength"] },
  suites: /^TLS_(ECDHE_(ECDSA|RSA)|RSA|PSK)_WITH_AES_(128|256)_(CBC|GCM)_/, // without a key, mbedTLS leaves PSK's out
  refuses: ["alpnProtocols", "maxFragmentLength", "renegotiation"],
  policy: { ...ESP32.policy, sigalgs: sigalgs(["ecdsa", "rsa_pkcs1"]), tickets: false },
  server: FORGETFUL,
  behaviour: { ...MICROPYTHON, profile: "rp2", sockets: 5 }, // lwIP's default, MEMP_NUM_TCP_PCB
};

/**
 * A Pycom board with its `ussl`, on mbedTLS 2.x.
 *
 * Known from its sdkconfig.h: key exchanges, ciphers, curves, records of 16384 bytes both ways, tickets; from mbedTLS 2.16's
 * source: the groups from the strongest on, as `mbedtls_ecp_grp_id_list()` has them. Modelled: the hello is written by
 * mbedTLS 3.6, whose extensions have another order (2.x sends the schemes before the groups), and so is the handshake's heap.
 * Not to be had in mbedTLS 3.6: TLS 1.0 and 1.1 with their record version in the hello, DHE, truncated_hmac, SHA-224.
 */
const PYCOM: DeviceProfile = {
  build: { maxSent: 16384 },
  suites: /^TLS_(ECDHE?_(ECDSA|RSA)|RSA)_WITH_AES_/,
  refuses: ["alpnProtocols", ...PSK],
  policy: {
    ...ESP32.policy,
    groups: [
      ...["secp521r1", "brainpoolP512r1", "secp384r1", "brainpoolP384r1", "secp256r1", "secp256k1"],
      ...["brainpoolP256r1", "secp224r1", "secp224k1", "secp192r1", "secp192k1"],
    ],
    sigalgs: sigalgs(["ecdsa", "rsa_pkcs1"]),
  },
  server: FORGETFUL,
  behaviour: {
    profile: "pycom",
    closeNotify: true,
    resumption: true, // ussl.save_session()
    backlog: 5, // it has no asyncio: as MicroPython's
    sockets: 9, // CONFIG_LWIP_MAX_SOCKETS is 10, and one listens
    whenFull: "wait",
    handshake: "before the handler",
    key: "its own", // wrap_socket() reads the files
    handshakeTimeout: 10, // wrap_socket()'s
  },
};

/** All of them, by name. */
export const DEVICE_PROFILES: ReadonlyMap<string, DeviceProfile> = new Map([
  ["esp32", ESP32],
  ["esp32-idf", ESP32_IDF],
  ["rp2", RP2],
  ["pycom", PYCOM],
]);
