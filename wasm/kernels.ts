/**
 * Our own primitives: what each is made of and where it enters mbedTLS. mbedTLS's sources are never edited.
 *
 * @module
 */

/** Sources that take the place of a part of mbedTLS. */
export interface Kernel {
  /** Its `.c` files in `wasm/crypto/`, by name. Kernels may share one. */
  sources: string[];
  /**
   * mbedTLS's options for replacements (`MBEDTLS_GCM_ALT`), or our configuration's, defined for every file of a core that
   * takes the kernel. With one that wants a header (`gcm_alt.h`), that is in `wasm/crypto/` too.
   */
  defines?: string[];
  /**
   * Functions that it defines instead of mbedTLS, by the source that has them. There they become weak, so that all
   * callers reach the kernel, those in the same source too; mbedTLS's own stays callable as `stock_<name>`.
   */
  renames?: Record<string, string[]>;
  /** Flags for its sources, after {@linkcode KERNEL_FLAGS} and those of the core's SIMD. */
  flags?: string[];
}

/**
 * How kernels are compiled. They say themselves what is a vector; where the compiler makes more of them, it costs speed
 * and may cost constant time.
 */
export const KERNEL_FLAGS = ["-O3", "-fno-vectorize", "-fno-slp-vectorize"];

/** Every kernel, by name. */
export const KERNELS: Readonly<Record<string, Kernel>> = {
  bignum: { sources: [], defines: ["TLSIO_BIGNUM"] }, // bignum.h, by config/default.h
  aes: { sources: ["aes.c", "aes_tables.c"], defines: ["MBEDTLS_AES_ALT"] },
  gcm: { sources: ["gcm.c", "ghash.c", "aes_ctr.c"], defines: ["MBEDTLS_GCM_ALT"] }, // with aes
  "chachapoly": {
    sources: ["chacha20.c", "poly1305.c", "chachapoly.c"],
    renames: {
      "mbedtls/library/chacha20.c": ["mbedtls_chacha20_update"],
      "mbedtls/library/poly1305.c": ["mbedtls_poly1305_update"],
      "mbedtls/library/chachapoly.c": [
        "mbedtls_chachapoly_encrypt_and_tag",
        "mbedtls_chachapoly_auth_decrypt",
      ],
    },
  },
  "sha2": {
    sources: ["sha256.c", "sha512.c"],
    defines: ["MBEDTLS_SHA256_PROCESS_ALT", "MBEDTLS_SHA512_PROCESS_ALT"],
  },
  "hkdf": {
    sources: ["hkdf_label.c"],
    renames: { "mbedtls/library/ssl_tls13_keys.c": ["mbedtls_ssl_tls13_hkdf_expand_label"] },
  },
  "curves": {
    sources: [
      "ecp_mul.c",
      "fma.c",
      "x25519.c",
      "x25519_fma.c",
      "x25519_integer.c",
      "p256_integer.c",
      "p256_scalar.c",
      "p256_point.c",
      "p256_table.c",
      "p256_ecp.c",
      "p256_ecdsa.c",
    ],
    renames: {
      "mbedtls/library/ecp.c": ["mbedtls_ecp_mul_restartable", "mbedtls_ecp_check_pubkey"],
      "mbedtls/library/ecdsa.c": ["mbedtls_ecdsa_sign_restartable", "mbedtls_ecdsa_verify_restartable"],
    },
  },
  rsa: { // with bignum
    sources: ["rsa.c", "rsa_steps.c", "rsa_power.c", "rsa_modulus.c", "rsa_montgomery.c", "fma.c"],
    defines: ["TLSIO_RSA_STEPS"], // rsa_steps.h, by config/default.h and wasm/glue/steps.c
    renames: { "mbedtls/library/rsa.c": ["mbedtls_rsa_public", "mbedtls_rsa_private"] },
  },
};

/** What {@linkcode renamed} puts before the name of a function that a kernel defines. */
const STOCK = "stock_";

/**
 * The source to compile instead of `path`, for a core with `kernels`: itself with some functions weak, and with an alias
 * for each of them.
 *
 * @returns undefined when no kernel renames anything of `path`.
 */
export function renamed(path: string, kernels: readonly string[]): string | undefined {
  const names = kernels.flatMap((name) => KERNELS[name]!.renames?.[path] ?? []);
  if (names.length === 0) return undefined;
  return [
    ...names.map((name) => `#pragma weak ${name}`),
    `#include "${path}"`,
    // __typeof__ fails for a function that the configuration leaves out; the alias, for one that is not defined here.
    ...names.map((name) => `extern __typeof__(${name}) ${STOCK}${name} __attribute__((alias("${name}")));`),
    "",
  ].join("\n");
}
