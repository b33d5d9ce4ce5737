/*
 * Where ECDSA enters mbedTLS: all signatures and all checks, of X.509 and PSA too, come here. FIPS 186-5, section 6.4.
 */
#include "p256_mbedtls.h"
#include "p256_constants.h"

#include <string.h>

#include "mbedtls/ecdsa.h"
#include "mbedtls/error.h"

extern __typeof__(mbedtls_ecdsa_sign_restartable) stock_mbedtls_ecdsa_sign_restartable;
extern __typeof__(mbedtls_ecdsa_verify_restartable) stock_mbedtls_ecdsa_verify_restartable;

/* The hash as an integer below 2^256: its first 32 bytes, or all of a shorter one. */
static void read_hash(limbs *e, const unsigned char *hash, size_t len)
{
    unsigned char bytes[32] = { 0 };
    const size_t used = len < sizeof(bytes) ? len : sizeof(bytes);
    if (used > 0) memcpy(bytes + sizeof(bytes) - used, hash, used);
    p256_from_bytes(e, bytes);
}

/* ---- Signing --------------------------------------------------------------------------------------- */

/* r = x of k G, modulo n. */
static int make_r(scalar *r, const scalar *k, rng *f_rng, void *p_rng)
{
    limbs blind;
    jacobian product;
    int ret = p256_random_blind(&blind, f_rng, p_rng);
    if (ret == 0) {
        p256_mul_base(&product, k, &blind);
        ret = p256_to_affine(r, NULL, &product) ? 0 : MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
        p256_canonical(r, &GROUP_N); /* p < 2 n */
        WIPE(product);
    }
    WIPE(blind);
    return ret;
}

/* s = (e + r d) / k modulo n. */
static void make_s(scalar *s, const limbs *e, const scalar *r, const scalar *d, const scalar *k)
{
    limbs sum, inverse;
    p256_scalar_mul(&sum, r, d);
    for (int i = 0; i < LIMBS; i++) sum.limb[i] += e->limb[i]; /* below 2^257, of limbs below 2^30 */
    p256_inverse(&inverse, k, &GROUP_N, GROUP_N_INVERSE);
    p256_scalar_mul(s, &sum, &inverse);
    WIPE(sum);
    WIPE(inverse);
}

/* As mbedTLS does it: k from f_rng (for RFC 6979, an HMAC_DRBG), again when r or s is 0. */
int mbedtls_ecdsa_sign_restartable(mbedtls_ecp_group *grp, mbedtls_mpi *r_out, mbedtls_mpi *s_out,
                                   const mbedtls_mpi *d_in, const unsigned char *hash, size_t len, rng *f_rng,
                                   void *p_rng, rng *f_rng_blind, void *p_rng_blind,
                                   mbedtls_ecdsa_restart_ctx *rs_ctx)
{
    if (grp->id != MBEDTLS_ECP_DP_SECP256R1) {
        return stock_mbedtls_ecdsa_sign_restartable(grp, r_out, s_out, d_in, hash, len, f_rng, p_rng,
                                                    f_rng_blind, p_rng_blind, rs_ctx);
    }
    int ret;
    mbedtls_mpi k_in;
    scalar d, k, r, s;
    limbs e;
    if (!p256_read_scalar(&d, d_in)) {
        WIPE(d);
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    }
    mbedtls_mpi_init(&k_in);
    read_hash(&e, hash, len);
    for (int s_tries = 0;; s_tries++) {
        if (s_tries > 10) goto failed;
        for (int r_tries = 0;; r_tries++) {
            if (r_tries > 10) goto failed;
            MBEDTLS_MPI_CHK(mbedtls_ecp_gen_privkey(grp, &k_in, f_rng, p_rng));
            p256_read_mpi(&k, &k_in); /* 0 < k < n */
            MBEDTLS_MPI_CHK(make_r(&r, &k, f_rng_blind, p_rng_blind));
            if (!p256_is_zero(&r)) break;
        }
        make_s(&s, &e, &r, &d, &k);
        if (!p256_is_zero(&s)) break;
    }
    MBEDTLS_MPI_CHK(p256_write_mpi(r_out, &r));
    MBEDTLS_MPI_CHK(p256_write_mpi(s_out, &s));
    goto cleanup;
failed:
    ret = MBEDTLS_ERR_ECP_RANDOM_FAILED;
cleanup:
    mbedtls_mpi_free(&k_in);
    WIPE(d);
    WIPE(k);
    WIPE(e);
    WIPE(r);
    WIPE(s);
    return ret;
}

/* ---- Verifying: all public --------------------------------------------------------------------------- */

/* Whether x of the point, modulo n, is r: x is r or r + n, since p < 2 n. */
static int has_r(const jacobian *point, const scalar *r)
{
    if (p256_has_x(point, r)) return 1;
    if (!p256_is_below(r, &P_MINUS_N)) return 0;
    limbs x;
    for (int i = 0; i < LIMBS; i++) x.limb[i] = r->limb[i] + GROUP_N.limb[i];
    p256_canonical(&x, &FIELD_P);
    return (int) p256_has_x(point, &x);
}

int mbedtls_ecdsa_verify_restartable(mbedtls_ecp_group *grp, const unsigned char *hash, size_t len,
                                     const mbedtls_ecp_point *q_in, const mbedtls_mpi *r_in,
                                     const mbedtls_mpi *s_in, mbedtls_ecdsa_restart_ctx *rs_ctx)
{
    if (grp->id != MBEDTLS_ECP_DP_SECP256R1) {
        return stock_mbedtls_ecdsa_verify_restartable(grp, hash, len, q_in, r_in, s_in, rs_ctx);
    }
    affine q;
    scalar r, s, u, v;
    limbs e;
    jacobian point;
    if (!p256_read_scalar(&r, r_in) || !p256_read_scalar(&s, s_in)) return MBEDTLS_ERR_ECP_VERIFY_FAILED;
    if (!p256_read_ecp_point(&q, q_in)) return MBEDTLS_ERR_ECP_INVALID_KEY;
    read_hash(&e, hash, len);
    p256_inverse(&s, &s, &GROUP_N, GROUP_N_INVERSE);
    p256_scalar_mul(&u, &e, &s);
    p256_scalar_mul(&v, &r, &s);
    p256_mul_add(&point, &u, &v, &q);
    if (p256_is_unknown(&point)) {
        return stock_mbedtls_ecdsa_verify_restartable(grp, hash, len, q_in, r_in, s_in, rs_ctx);
    }
    return has_r(&point, &r) ? 0 : MBEDTLS_ERR_ECP_VERIFY_FAILED;
}
