/*
 * mbedTLS configuration of the default core: TLS 1.2 and 1.3, and DTLS 1.2, client and server, over whatever
 * carries bytes.
 *
 * mbedTLS reads its own mbedtls_config.h first and then this file, so only what differs from upstream is here.
 */

#include "wasm/config/host.h"

/* ---- Speed ---- */

/* The kernel "bignum" defines it for all files of a core: the size of a limb is part of every big number. */
#if defined(TLSIO_BIGNUM)
#include "wasm/crypto/bignum.h"
#endif

/* The kernel "rsa" defines it: an RSA signature of a server is made in steps, between which its handshake waits. In TLS 1.2
 * mbedTLS has a way to wait; for TLS 1.3 see wasm/glue/steps.c. */
#if defined(TLSIO_RSA_STEPS)
#define MBEDTLS_SSL_ASYNC_PRIVATE
#endif

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
