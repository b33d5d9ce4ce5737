/*
 * Takes the place of mbedtls_ecp_mul_restartable(), through which all multiplications by one scalar go: key
 * generation, ECDH, and PSA's. Each kernel says whether the curve is its own; the rest stays with mbedTLS, and so
 * does mbedtls_ecp_muladd(), whose scalars are public. ECDSA with P-256 is in p256_ecdsa.c.
 */
#include "common.h"
#include "ecp_mul.h"

int stock_mbedtls_ecp_mul_restartable(mbedtls_ecp_group *group, mbedtls_ecp_point *result, const mbedtls_mpi *scalar,
                                      const mbedtls_ecp_point *point,
                                      int (*rng)(void *, unsigned char *, size_t), void *rng_context,
                                      mbedtls_ecp_restart_ctx *restart);

int mbedtls_ecp_mul_restartable(mbedtls_ecp_group *group, mbedtls_ecp_point *result, const mbedtls_mpi *scalar,
                                const mbedtls_ecp_point *point, int (*rng)(void *, unsigned char *, size_t),
                                void *rng_context, mbedtls_ecp_restart_ctx *restart)
{
    if (rng == NULL) return MBEDTLS_ERR_ECP_BAD_INPUT_DATA; /* mbedTLS refuses, whether it needs one or not */

    int ret = tlsio_p256_mul(group, result, scalar, point, rng, rng_context);
    if (ret == TLSIO_NOT_MINE) ret = tlsio_x25519_mul(group, result, scalar, point);
    if (ret != TLSIO_NOT_MINE) return ret;
    return stock_mbedtls_ecp_mul_restartable(group, result, scalar, point, rng, rng_context, restart);
}
