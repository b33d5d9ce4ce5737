/*
 * mbedtls_ecp_mul_restartable() for one curve each: the same checks, the same results, the same codes. For another
 * curve they do nothing and return TLSIO_NOT_MINE.
 */
#ifndef ECP_MUL_H
#define ECP_MUL_H

#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "mbedtls/ecp.h"

#define TLSIO_NOT_MINE 1 /* codes are negative */

int tlsio_p256_mul(const mbedtls_ecp_group *group, mbedtls_ecp_point *result, const mbedtls_mpi *scalar,
                   const mbedtls_ecp_point *point, int (*rng)(void *, unsigned char *, size_t), void *rng_context);
int tlsio_x25519_mul(const mbedtls_ecp_group *group, mbedtls_ecp_point *result, const mbedtls_mpi *scalar,
                     const mbedtls_ecp_point *point);

#endif
