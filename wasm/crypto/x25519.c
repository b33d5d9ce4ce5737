/*
 * X25519 behind mbedTLS's mbedtls_ecp_mul(). Keys and points are checked by mbedTLS's own functions, as there:
 * a scalar that is not clamped and the points of small order are refused, so a shared secret is never all
 * zero.
 *
 * mbedTLS multiplies the point's coordinates by a random number, since its arithmetic takes time that depends
 * on them. Here no time depends on any secret, so there is nothing to hide, and nothing random is drawn: where
 * randomness fails, a known key still works. A new key does not: mbedTLS draws it.
 */
#include "common.h"
#include "ecp_mul.h"
#include "fma.h"
#include "x25519.h"

#include "mbedtls/platform_util.h"

int tlsio_x25519_mul(const mbedtls_ecp_group *group, mbedtls_ecp_point *result, const mbedtls_mpi *scalar,
                     const mbedtls_ecp_point *point)
{
    int ret;
    unsigned char k[32], u[32];
    if (group->id != MBEDTLS_ECP_DP_CURVE25519) return TLSIO_NOT_MINE;

    MBEDTLS_MPI_CHK(mbedtls_ecp_check_privkey(group, scalar));
    MBEDTLS_MPI_CHK(mbedtls_ecp_check_pubkey(group, point));
    MBEDTLS_MPI_CHK(mbedtls_mpi_write_binary_le(scalar, k, sizeof(k)));
    MBEDTLS_MPI_CHK(mbedtls_mpi_write_binary_le(&point->X, u, sizeof(u)));

    if (tlsio_fma_is_fused()) tlsio_x25519_fma(u, k, u);
    else tlsio_x25519_integer(u, k, u);

    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary_le(&result->X, u, sizeof(u)));
    MBEDTLS_MPI_CHK(mbedtls_mpi_lset(&result->Z, 1));
    mbedtls_mpi_free(&result->Y); /* as mbedTLS leaves it: no Y says that only X counts */
cleanup:
    mbedtls_platform_zeroize(k, sizeof(k));
    mbedtls_platform_zeroize(u, sizeof(u));
    return ret;
}
