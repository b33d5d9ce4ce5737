/*
 * mbedtls_ecp_mul() and mbedtls_ecp_check_pubkey() for P-256, and mbedTLS's numbers to and from limbs.
 */
#include "ecp_mul.h"
#include "p256_mbedtls.h"
#include "p256_constants.h"

#include "mbedtls/error.h"

#if defined(MBEDTLS_ECP_RESTARTABLE)
#error "the kernel does not stop half-way"
#endif

extern __typeof__(mbedtls_ecp_check_pubkey) stock_mbedtls_ecp_check_pubkey;

/* ---- Numbers --------------------------------------------------------------------------------------- */

uint32_t p256_read_mpi(limbs *r, const mbedtls_mpi *a)
{
    unsigned char bytes[32];
    if (a->s < 0 || mbedtls_mpi_write_binary(a, bytes, sizeof(bytes)) != 0) return 0;
    p256_from_bytes(r, bytes);
    WIPE(bytes);
    return 1;
}

int p256_write_mpi(mbedtls_mpi *r, const limbs *a)
{
    unsigned char bytes[32];
    p256_to_bytes(bytes, a);
    const int ret = mbedtls_mpi_read_binary(r, bytes, sizeof(bytes));
    WIPE(bytes);
    return ret;
}

uint32_t p256_read_scalar(scalar *r, const mbedtls_mpi *a)
{
    return p256_read_mpi(r, a) && (p256_is_below(r, &GROUP_N) & (1 ^ p256_is_zero(r)));
}

uint32_t p256_read_ecp_point(affine *r, const mbedtls_ecp_point *p)
{
    limbs x, y;
    return mbedtls_mpi_cmp_int(&p->Z, 1) == 0 && p256_read_mpi(&x, &p->X) && p256_read_mpi(&y, &p->Y) &&
           p256_read_point(r, &x, &y);
}

int p256_random_blind(limbs *r, rng *f_rng, void *p_rng)
{
    unsigned char bytes[32];
    int ret = 0;
    if (f_rng == NULL) return MBEDTLS_ERR_ECP_BAD_INPUT_DATA; /* ECDSA's f_rng_blind, which callers may leave out */
    for (int tries = 30; tries > 0; tries--) { /* as many as mbedTLS has for a random number */
        ret = f_rng(p_rng, bytes, sizeof(bytes));
        if (ret != 0) break;
        p256_from_bytes(r, bytes);
        if (p256_is_below(r, &FIELD_P) & (1 ^ p256_is_zero(r))) break;
        ret = MBEDTLS_ERR_ECP_RANDOM_FAILED;
    }
    WIPE(bytes);
    return ret;
}

/* ---- mbedTLS's functions --------------------------------------------------------------------------- */

int tlsio_p256_mul(const mbedtls_ecp_group *grp, mbedtls_ecp_point *R, const mbedtls_mpi *m,
                   const mbedtls_ecp_point *P, rng *f_rng, void *p_rng)
{
    if (grp->id != MBEDTLS_ECP_DP_SECP256R1) return TLSIO_NOT_MINE;

    int ret = MBEDTLS_ERR_ECP_INVALID_KEY;
    scalar k;
    affine p;
    limbs blind, x, y;
    jacobian product;
    if (!p256_read_scalar(&k, m) || !p256_read_ecp_point(&p, P)) goto cleanup;
    MBEDTLS_MPI_CHK(p256_random_blind(&blind, f_rng, p_rng));
    if (p256_is_base(&p)) p256_mul_base(&product, &k, &blind);
    else p256_mul(&product, &k, &p, &blind);
    MBEDTLS_MPI_CHK(p256_to_affine(&x, &y, &product) ? 0 : MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED);
    MBEDTLS_MPI_CHK(p256_write_mpi(&R->X, &x));
    MBEDTLS_MPI_CHK(p256_write_mpi(&R->Y, &y));
    MBEDTLS_MPI_CHK(mbedtls_mpi_lset(&R->Z, 1));
cleanup:
    WIPE(k);
    WIPE(blind);
    WIPE(product);
    WIPE(x);
    WIPE(y);
    return ret;
}

int mbedtls_ecp_check_pubkey(const mbedtls_ecp_group *grp, const mbedtls_ecp_point *pt)
{
    affine p;
    if (grp->id != MBEDTLS_ECP_DP_SECP256R1) return stock_mbedtls_ecp_check_pubkey(grp, pt);
    return p256_read_ecp_point(&p, pt) ? 0 : MBEDTLS_ERR_ECP_INVALID_KEY;
}
