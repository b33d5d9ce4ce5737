/*
 * mbedTLS for this machine: the configuration of our cores, without what that does for wasm's sake, and with the
 * instructions of the machine that mbedTLS knows to use.
 */
#include "wasm/config/default.h"

#undef MBEDTLS_HAVE_INT64 /* bignum.h finds out */
#undef MULADDC_X1_INIT
#undef MULADDC_X1_CORE
#undef MULADDC_X1_STOP
#define MBEDTLS_HAVE_ASM
#if defined(__x86_64__)
#define MBEDTLS_AESNI_C
#elif defined(__aarch64__)
#define MBEDTLS_AESCE_C
#endif
