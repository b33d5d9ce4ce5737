/*
 * mbedTLS for this machine under sanitizers: the configuration of our cores. Arithmetic is mbedTLS's own, in C: the kernels are
 * wasm's, and tests/crypto compares them with it.
 */
#include "wasm/config/default.h"

#undef MBEDTLS_HAVE_INT64 /* bignum.h finds out */
#define MBEDTLS_HAVE_ASM
