/*
 * What every core has instead of a platform: everything comes from the host through the glue.
 */

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

/* Instructions of other machines. */
#undef MBEDTLS_AESNI_C
#undef MBEDTLS_AESCE_C
#undef MBEDTLS_PADLOCK_C

/* Self tests print; ours run outside. Debug messages hold secrets; the key log and error codes serve instead. */
#undef MBEDTLS_SELF_TEST
#undef MBEDTLS_DEBUG_C
#undef MBEDTLS_VERSION_FEATURES
