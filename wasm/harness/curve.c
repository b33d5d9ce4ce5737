/*
 * Elliptic curves: key generation and multiplication, as PSA and X.509 call them below ECDH and ECDSA.
 */
#include "harness.h"

/* ---- What the other files share -------------------------------------------------------------------- */

mbedtls_ecp_group *group_of(int curve)
{
    static const int numbers[] = { 23, 24, 25, 29 };
    static const mbedtls_ecp_group_id ids[] = { MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
                                                MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_ECP_DP_CURVE25519 };
    static mbedtls_ecp_group groups[4];
    for (int i = 0; i < 4; i++) {
        if (numbers[i] != curve) continue;
        if (groups[i].id == MBEDTLS_ECP_DP_NONE && mbedtls_ecp_group_load(&groups[i], ids[i]) != 0) return NULL;
        return &groups[i];
    }
    return NULL;
}

static int is_montgomery(const mbedtls_ecp_group *group)
{
    return mbedtls_ecp_get_type(group) == MBEDTLS_ECP_TYPE_MONTGOMERY;
}

size_t coordinate_size(const mbedtls_ecp_group *group)
{
    return (group->pbits + 7) / 8;
}

int read_scalar(const mbedtls_ecp_group *group, mbedtls_mpi *scalar, const unsigned char *bytes, size_t len)
{
    return is_montgomery(group) ? mbedtls_mpi_read_binary_le(scalar, bytes, len)
                                : mbedtls_mpi_read_binary(scalar, bytes, len);
}

int write_scalar(const mbedtls_ecp_group *group, const mbedtls_mpi *scalar, unsigned char *bytes)
{
    const size_t size = coordinate_size(group);
    return is_montgomery(group) ? mbedtls_mpi_write_binary_le(scalar, bytes, size)
                                : mbedtls_mpi_write_binary(scalar, bytes, size);
}

int write_point(const mbedtls_ecp_group *group, const mbedtls_ecp_point *point, unsigned char *out)
{
    size_t len;
    int ret = mbedtls_ecp_point_write_binary(group, point, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, out, POINT_MAX);
    return ret == 0 ? (int) len : ret;
}

/* ---- Exports --------------------------------------------------------------------------------------- */

/* mbedtls_ecp_gen_keypair(). Writes the private key, padded to a coordinate's size. Returns the public key's length. */
int EXPORT(ecp_keygen)(int curve, unsigned char *scalar, unsigned char *point)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi d;
    mbedtls_ecp_point q;
    mbedtls_mpi_init(&d);
    mbedtls_ecp_point_init(&q);
    MBEDTLS_MPI_CHK(mbedtls_ecp_gen_keypair(group, &d, &q, tlsio_rng, NULL));
    MBEDTLS_MPI_CHK(write_scalar(group, &d, scalar));
    ret = write_point(group, &q, point);
cleanup:
    mbedtls_mpi_free(&d);
    mbedtls_ecp_point_free(&q);
    return ret;
}

/* mbedtls_ecp_read_key(), which clamps for X25519, and mbedtls_ecp_keypair_calc_public(). Returns the length. */
int EXPORT(ecp_public)(int curve, const unsigned char *scalar, size_t scalar_len, unsigned char *point)
{
    int ret;
    mbedtls_ecp_keypair key;
    mbedtls_ecp_keypair_init(&key);
    MBEDTLS_MPI_CHK(mbedtls_ecp_read_key(group_of(curve)->id, &key, scalar, scalar_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_keypair_calc_public(&key, tlsio_rng, NULL));
    ret = write_point(&key.grp, &key.Q, point);
cleanup:
    mbedtls_ecp_keypair_free(&key);
    return ret;
}

/*
 * mbedtls_ecp_mul(). Without a point (length 0) it is the group's own generator, by its address; with `alias` the
 * result overwrites the point. Returns the result's length.
 */
int EXPORT(ecp_mul)(int curve, const unsigned char *scalar, size_t scalar_len, const unsigned char *point,
                    size_t point_len, int alias, unsigned char *out)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi m;
    mbedtls_ecp_point p, r;
    mbedtls_ecp_point *result = alias ? &p : &r;
    mbedtls_mpi_init(&m);
    mbedtls_ecp_point_init(&p);
    mbedtls_ecp_point_init(&r);
    MBEDTLS_MPI_CHK(read_scalar(group, &m, scalar, scalar_len));
    if (point_len > 0) MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &p, point, point_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_mul(group, result, &m, point_len > 0 ? &p : &group->G, tlsio_rng, NULL));
    ret = write_point(group, result, out);
cleanup:
    mbedtls_mpi_free(&m);
    mbedtls_ecp_point_free(&p);
    mbedtls_ecp_point_free(&r);
    return ret;
}

/* mbedtls_ecp_mul() of the generator for a caller who has no random numbers: the code, which is for bad input. */
int EXPORT(ecp_mul_unblinded)(int curve, const unsigned char *scalar, size_t scalar_len)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi m;
    mbedtls_ecp_point r;
    mbedtls_mpi_init(&m);
    mbedtls_ecp_point_init(&r);
    MBEDTLS_MPI_CHK(read_scalar(group, &m, scalar, scalar_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_mul(group, &r, &m, &group->G, NULL, NULL));
cleanup:
    mbedtls_mpi_free(&m);
    mbedtls_ecp_point_free(&r);
    return ret;
}

/* mbedtls_ecp_muladd(): m P + n Q, where a point of length 0 is the generator. Returns the result's length. */
int EXPORT(ecp_muladd)(int curve, const unsigned char *m_bytes, size_t m_len, const unsigned char *p_bytes,
                       size_t p_len, const unsigned char *n_bytes, size_t n_len, const unsigned char *q_bytes,
                       size_t q_len, unsigned char *out)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi m, n;
    mbedtls_ecp_point p, q, r;
    mbedtls_mpi_init(&m);
    mbedtls_mpi_init(&n);
    mbedtls_ecp_point_init(&p);
    mbedtls_ecp_point_init(&q);
    mbedtls_ecp_point_init(&r);
    MBEDTLS_MPI_CHK(read_scalar(group, &m, m_bytes, m_len));
    MBEDTLS_MPI_CHK(read_scalar(group, &n, n_bytes, n_len));
    if (p_len > 0) MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &p, p_bytes, p_len));
    if (q_len > 0) MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &q, q_bytes, q_len));
    MBEDTLS_MPI_CHK(
        mbedtls_ecp_muladd(group, &r, &m, p_len > 0 ? &p : &group->G, &n, q_len > 0 ? &q : &group->G));
    ret = write_point(group, &r, out);
cleanup:
    mbedtls_mpi_free(&m);
    mbedtls_mpi_free(&n);
    mbedtls_ecp_point_free(&p);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_point_free(&r);
    return ret;
}

/* mbedtls_ecp_check_pubkey(). */
int EXPORT(ecp_check)(int curve, const unsigned char *point, size_t point_len)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_ecp_point p;
    mbedtls_ecp_point_init(&p);
    MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &p, point, point_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_check_pubkey(group, &p));
cleanup:
    mbedtls_ecp_point_free(&p);
    return ret;
}
