/*
 * What mbedTLS asks of a platform: randomness, time (memory is memory.c's); and the core's own life.
 */
#include "tlsio.h"

#include "mbedtls/sha256.h"
#include "mbedtls/version.h"
#include "psa/crypto.h"

/* ---- Randomness and time --------------------------------------------------------------------------- */

int tlsio_rng(void *unused, unsigned char *bytes, size_t len)
{
    (void) unused;
    return entropy(bytes, len);
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *unused,
                                             uint8_t *bytes, size_t size, size_t *length)
{
    (void) unused;
    if (entropy(bytes, size) != 0) return PSA_ERROR_INSUFFICIENT_ENTROPY;
    *length = size;
    return PSA_SUCCESS;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t) clock_ms();
}

mbedtls_time_t tlsio_time(mbedtls_time_t *out)
{
    mbedtls_time_t now = (mbedtls_time_t) (clock_ms() / 1000);
    if (out != NULL) *out = now;
    return now;
}

/* ---- The core -------------------------------------------------------------------------------------- */

/* Called once, after the module's own start. */
int EXPORT(core_init)(void)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) /* who alone uses it */
    if (psa_crypto_init() != PSA_SUCCESS) return MBEDTLS_ERR_PLATFORM_HW_ACCEL_FAILED;
#endif
    return 0;
}

int EXPORT(core_sha256)(const unsigned char *bytes, size_t len, unsigned char hash[32])
{
    return mbedtls_sha256(bytes, len, hash, 0);
}

/* The version of mbedTLS with a hash of all that was compiled, as a C string. */
const char *EXPORT(core_version)(void)
{
    return TLSIO_CORE_VERSION;
}

/* The IANA number of the index-th suite that the core can speak, best first; 0 after the last. */
int EXPORT(core_suite)(size_t index)
{
    const int *suites = mbedtls_ssl_list_ciphersuites();
    for (size_t i = 0; suites[i] != 0; i++) {
        if (i == index) return suites[i];
    }
    return 0;
}

/* mbedTLS's name of a suite, as a C string; NULL if it is unknown. */
const char *EXPORT(core_suite_name)(int suite)
{
    return mbedtls_ssl_get_ciphersuite_name(suite);
}

/* The strength of a suite's cipher in bits. */
int EXPORT(core_suite_bits)(int suite)
{
    const mbedtls_ssl_ciphersuite_t *info = mbedtls_ssl_ciphersuite_from_id(suite);
    return info == NULL ? 0 : (int) mbedtls_ssl_ciphersuite_get_cipher_key_bitlen(info);
}

/* Writes verify flags in words, one line each. Returns the length. */
int EXPORT(core_verify_text)(char *out, size_t size, uint32_t flags)
{
    int len = mbedtls_x509_crt_verify_info(out, size, "", flags & ~BADCERT_NAMES);
    if (len < 0 || (flags & BADCERT_NAMES) == 0) return len;
    static const char words[] = "The certificate has a name that its authority must not certify\n";
    if (size - (size_t) len < sizeof(words)) return MBEDTLS_ERR_X509_BUFFER_TOO_SMALL;
    memcpy(out + len, words, sizeof(words));
    return len + (int) sizeof(words) - 1;
}
