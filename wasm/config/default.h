/*
 * mbedTLS configuration of the default core: TLS 1.2 and 1.3, and DTLS 1.2, client and server, over whatever
 * carries bytes.
 *
 * mbedTLS reads its own mbedtls_config.h first and then this file, so only what differs from upstream is here.
 */

/* ---- The world outside: everything comes from the host through the glue ---- */

/* Sockets, timers and files belong to Deno. */
#undef MBEDTLS_NET_C
#undef MBEDTLS_TIMING_C
#undef MBEDTLS_FS_IO
#undef MBEDTLS_PSA_ITS_FILE_C
#undef MBEDTLS_PSA_CRYPTO_STORAGE_C

/* One heap, counted by the glue: leak tests and heap limits need every byte. */
#include <stddef.h>
#include <time.h>
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO tlsio_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO tlsio_free
void *tlsio_calloc(size_t count, size_t size);
void tlsio_free(void *block);

/* The clock is a parameter of a Core. The glue defines these two and mbedtls_ms_time(). */
#define MBEDTLS_PLATFORM_TIME_MACRO tlsio_time
#define MBEDTLS_PLATFORM_MS_TIME_ALT
time_t tlsio_time(time_t *now);

/* So is randomness: the host's generator is good already, a second one on top would only cost.
 * The glue defines mbedtls_psa_external_get_random(). */
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#undef MBEDTLS_ENTROPY_C
#undef MBEDTLS_CTR_DRBG_C

/* ---- Speed ---- */

/* The kernel "bignum" defines it for all files of a core: the size of a limb is part of every big number. */
#if defined(TLSIO_BIGNUM)
#include "wasm/crypto/bignum.h"
#endif

/* Instructions of other machines. */
#undef MBEDTLS_AESNI_C
#undef MBEDTLS_AESCE_C
#undef MBEDTLS_PADLOCK_C

/* ---- TLS: what comes in ---- */

/* 0-RTT: off unless asked for, see wasm/glue/early.c. */
#define MBEDTLS_SSL_EARLY_DATA

/* ---- TLS: what stays out ---- */

/* DTLS: a client that begins anew from the same port is lib/dtls_server.ts's; connection ids have no user here. */
#undef MBEDTLS_SSL_DTLS_CLIENT_PORT_REUSE
#undef MBEDTLS_SSL_DTLS_CONNECTION_ID
#undef MBEDTLS_SSL_DTLS_CONNECTION_ID_COMPAT
#undef MBEDTLS_SSL_CONTEXT_SERIALIZATION

/* Key exchanges that nothing needs: finite-field DH is slow, its parameters are the peer's to choose badly, and
 * whoever speaks it speaks RSA key exchange or ECDHE, too. RSA key exchange, static ECDH and plain PSK stay: old
 * devices speak nothing else. lib/suites.ts keeps them out of the defaults. */
#undef MBEDTLS_DHM_C
#undef MBEDTLS_KEY_EXCHANGE_DHE_RSA_ENABLED
#undef MBEDTLS_KEY_EXCHANGE_DHE_PSK_ENABLED
#undef MBEDTLS_ECJPAKE_C

/* OpenSSL takes pre-shared keys of up to 512 bytes, people use 64; mbedTLS's default stops at 48. */
#define MBEDTLS_PSK_MAX_LEN 256

/* ---- Algorithms: what stays out ---- */

/* Curves below 112 bits of strength, those of other trades (k1: coins; Brainpool: passports), and x448. */
#undef MBEDTLS_ECP_DP_SECP192R1_ENABLED
#undef MBEDTLS_ECP_DP_SECP224R1_ENABLED
#undef MBEDTLS_ECP_DP_SECP192K1_ENABLED
#undef MBEDTLS_ECP_DP_SECP224K1_ENABLED
#undef MBEDTLS_ECP_DP_SECP256K1_ENABLED
#undef MBEDTLS_ECP_DP_BP256R1_ENABLED
#undef MBEDTLS_ECP_DP_BP384R1_ENABLED
#undef MBEDTLS_ECP_DP_BP512R1_ENABLED
#undef MBEDTLS_ECP_DP_CURVE448_ENABLED

/* Ciphers, modes and hashes that no suite of ours uses. DES and MD5 stay: private keys encrypted by older
 * OpenSSL need them ("Proc-Type: 4,ENCRYPTED" derives its key by MD5). */
#undef MBEDTLS_ARIA_C
#undef MBEDTLS_CAMELLIA_C
#undef MBEDTLS_RIPEMD160_C
#undef MBEDTLS_SHA3_C
#undef MBEDTLS_CMAC_C
#undef MBEDTLS_NIST_KW_C
#undef MBEDTLS_CIPHER_MODE_CFB
#undef MBEDTLS_CIPHER_MODE_CTR
#undef MBEDTLS_CIPHER_MODE_OFB
#undef MBEDTLS_CIPHER_MODE_XTS
#undef MBEDTLS_CIPHER_PADDING_ONE_AND_ZEROS
#undef MBEDTLS_CIPHER_PADDING_ZEROS_AND_LEN
#undef MBEDTLS_CIPHER_PADDING_ZEROS
#undef MBEDTLS_LMS_C
#undef MBEDTLS_PKCS7_C

/* ---- Size: text and tests that a user never reaches ---- */

/* Self tests print; ours run outside. Debug messages hold secrets; the key log and error codes serve instead. */
#undef MBEDTLS_SELF_TEST
#undef MBEDTLS_DEBUG_C
#undef MBEDTLS_VERSION_FEATURES
