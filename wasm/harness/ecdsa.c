/*
 * ECDSA: as a pair of numbers, and as the DER that X.509 and TLS carry.
 */
#include "harness.h"

#include "mbedtls/ecdsa.h"

/*
 * mbedtls_ecdsa_sign_det_ext() with the hash of `bits` for its HMAC_DRBG (RFC 6979), or, for 0, mbedtls_ecdsa_sign(),
 * which draws k from `entropy`. Writes r and s, each padded to a coordinate's size.
 */
int EXPORT(ecdsa_sign)(int curve, const unsigned char *key, size_t key_len, int bits, const unsigned char *hash,
                       size_t hash_len, unsigned char *out)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi d, r, s;
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    MBEDTLS_MPI_CHK(read_scalar(group, &d, key, key_len));
    MBEDTLS_MPI_CHK(bits == 0 ? mbedtls_ecdsa_sign(group, &r, &s, &d, hash, hash_len, tlsio_rng, NULL)
                              : mbedtls_ecdsa_sign_det_ext(group, &r, &s, &d, hash, hash_len, md_of(bits),
                                                           tlsio_rng, NULL));
    MBEDTLS_MPI_CHK(write_scalar(group, &r, out));
    MBEDTLS_MPI_CHK(write_scalar(group, &s, out + coordinate_size(group)));
cleanup:
    mbedtls_mpi_free(&d);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    return ret;
}

/* mbedtls_ecdsa_sign_det_ext() for a caller who has no random numbers: the code, which is for bad input. */
int EXPORT(ecdsa_sign_unblinded)(int curve, const unsigned char *key, size_t key_len, const unsigned char *hash,
                                 size_t hash_len)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_mpi d, r, s;
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    MBEDTLS_MPI_CHK(read_scalar(group, &d, key, key_len));
    MBEDTLS_MPI_CHK(
        mbedtls_ecdsa_sign_det_ext(group, &r, &s, &d, hash, hash_len, MBEDTLS_MD_SHA256, NULL, NULL));
cleanup:
    mbedtls_mpi_free(&d);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    return ret;
}

/* mbedtls_ecdsa_write_signature(): deterministic, with blinding from `entropy`. Returns the length of the DER. */
int EXPORT(ecdsa_write)(int curve, const unsigned char *key, size_t key_len, int bits, const unsigned char *hash,
                        size_t hash_len, unsigned char *out, size_t out_size)
{
    int ret;
    size_t len;
    mbedtls_ecdsa_context ecdsa;
    mbedtls_ecdsa_init(&ecdsa);
    MBEDTLS_MPI_CHK(mbedtls_ecp_read_key(group_of(curve)->id, &ecdsa, key, key_len));
    MBEDTLS_MPI_CHK(mbedtls_ecdsa_write_signature(&ecdsa, md_of(bits), hash, hash_len, out, out_size, &len,
                                                  tlsio_rng, NULL));
    ret = (int) len;
cleanup:
    mbedtls_ecdsa_free(&ecdsa);
    return ret;
}

/* mbedtls_ecdsa_verify(), for r and s of any size. */
int EXPORT(ecdsa_verify)(int curve, const unsigned char *point, size_t point_len, const unsigned char *hash,
                         size_t hash_len, const unsigned char *r_bytes, size_t r_len,
                         const unsigned char *s_bytes, size_t s_len)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_ecp_point q;
    mbedtls_mpi r, s;
    mbedtls_ecp_point_init(&q);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &q, point, point_len));
    MBEDTLS_MPI_CHK(read_scalar(group, &r, r_bytes, r_len));
    MBEDTLS_MPI_CHK(read_scalar(group, &s, s_bytes, s_len));
    MBEDTLS_MPI_CHK(mbedtls_ecdsa_verify(group, hash, hash_len, &q, &r, &s));
cleanup:
    mbedtls_ecp_point_free(&q);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    return ret;
}

/* mbedtls_ecdsa_read_signature(): verifies a signature in DER. */
int EXPORT(ecdsa_read)(int curve, const unsigned char *point, size_t point_len, const unsigned char *hash,
                       size_t hash_len, const unsigned char *signature, size_t signature_len)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_ecp_point q;
    mbedtls_ecdsa_context ecdsa;
    mbedtls_ecp_point_init(&q);
    mbedtls_ecdsa_init(&ecdsa);
    MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &q, point, point_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_set_public_key(group->id, &ecdsa, &q));
    MBEDTLS_MPI_CHK(mbedtls_ecdsa_read_signature(&ecdsa, hash, hash_len, signature, signature_len));
cleanup:
    mbedtls_ecp_point_free(&q);
    mbedtls_ecdsa_free(&ecdsa);
    return ret;
}
