/*
 * ECDH both ways that TLS takes: by mbedTLS's own functions (TLS 1.2) and by PSA (TLS 1.3). The PSA exports return
 * psa_status_t, which is negative too.
 */
#include "harness.h"

#include "mbedtls/ecdh.h"
#include "mbedtls/pk.h"
#include "psa/crypto.h"

#define CHECK_PSA(call) \
    do { if ((status = (call)) != PSA_SUCCESS) goto cleanup; } while (0)

/* ---- mbedTLS's own --------------------------------------------------------------------------------- */

/* The secret of our key and the peer's point, by an ECDH context. Returns its length. */
static int shared(int curve, const unsigned char *key, size_t key_len, const mbedtls_ecp_keypair *peer,
                  unsigned char *out)
{
    int ret;
    size_t len;
    mbedtls_ecp_keypair ours;
    mbedtls_ecdh_context ecdh;
    mbedtls_ecp_keypair_init(&ours);
    mbedtls_ecdh_init(&ecdh);
    MBEDTLS_MPI_CHK(mbedtls_ecp_read_key(group_of(curve)->id, &ours, key, key_len));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_get_params(&ecdh, &ours, MBEDTLS_ECDH_OURS));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_get_params(&ecdh, peer, MBEDTLS_ECDH_THEIRS));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_calc_secret(&ecdh, &len, out, POINT_MAX, tlsio_rng, NULL));
    ret = (int) len;
cleanup:
    mbedtls_ecp_keypair_free(&ours);
    mbedtls_ecdh_free(&ecdh);
    return ret;
}

/* mbedtls_ecdh_calc_secret() for a peer that is a point. Returns the length. */
int EXPORT(ecdh_shared)(int curve, const unsigned char *key, size_t key_len, const unsigned char *point,
                        size_t point_len, unsigned char *out)
{
    int ret;
    mbedtls_ecp_group *group = group_of(curve);
    mbedtls_ecp_point q;
    mbedtls_ecp_keypair peer;
    mbedtls_ecp_point_init(&q);
    mbedtls_ecp_keypair_init(&peer);
    MBEDTLS_MPI_CHK(mbedtls_ecp_point_read_binary(group, &q, point, point_len));
    MBEDTLS_MPI_CHK(mbedtls_ecp_set_public_key(group->id, &peer, &q));
    ret = shared(curve, key, key_len, &peer, out);
cleanup:
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_keypair_free(&peer);
    return ret;
}

/* The same for a peer that is a SubjectPublicKeyInfo in DER, as in a certificate. */
int EXPORT(ecdh_shared_spki)(int curve, const unsigned char *key, size_t key_len, const unsigned char *der,
                             size_t der_len, unsigned char *out)
{
    int ret;
    mbedtls_pk_context pk;
    mbedtls_pk_init(&pk);
    MBEDTLS_MPI_CHK(mbedtls_pk_parse_public_key(&pk, der, der_len));
    if (!mbedtls_pk_can_do(&pk, MBEDTLS_PK_ECKEY_DH)) ret = MBEDTLS_ERR_PK_TYPE_MISMATCH;
    else ret = shared(curve, key, key_len, mbedtls_pk_ec(pk), out);
cleanup:
    mbedtls_pk_free(&pk);
    return ret;
}

/*
 * A TLS 1.2 client's part: mbedtls_ecdh_read_public() of the peer's point, mbedtls_ecdh_make_public(),
 * mbedtls_ecdh_calc_secret(). Points have TLS's length byte before them. Returns the secret's length.
 */
int EXPORT(ecdh_exchange)(int curve, const unsigned char *peer, size_t peer_len, unsigned char *point,
                          unsigned char *out)
{
    int ret;
    size_t len;
    mbedtls_ecdh_context ecdh;
    mbedtls_ecdh_init(&ecdh);
    MBEDTLS_MPI_CHK(mbedtls_ecdh_setup(&ecdh, group_of(curve)->id));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_read_public(&ecdh, peer, peer_len));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_make_public(&ecdh, &len, point, POINT_MAX + 1, tlsio_rng, NULL));
    MBEDTLS_MPI_CHK(mbedtls_ecdh_calc_secret(&ecdh, &len, out, POINT_MAX, tlsio_rng, NULL));
    ret = (int) len;
cleanup:
    mbedtls_ecdh_free(&ecdh);
    return ret;
}

/* ---- PSA ------------------------------------------------------------------------------------------- */

static void describe(psa_key_attributes_t *attributes, int curve)
{
    mbedtls_ecp_group *group = group_of(curve);
    const psa_ecc_family_t family = curve == 29 ? PSA_ECC_FAMILY_MONTGOMERY : PSA_ECC_FAMILY_SECP_R1;
    psa_set_key_usage_flags(attributes, PSA_KEY_USAGE_DERIVE);
    psa_set_key_algorithm(attributes, PSA_ALG_ECDH);
    psa_set_key_type(attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(family));
    psa_set_key_bits(attributes, group->pbits);
}

/* psa_import_key() and psa_raw_key_agreement(). Returns the length. */
int EXPORT(psa_shared)(int curve, const unsigned char *key, size_t key_len, const unsigned char *point,
                       size_t point_len, unsigned char *out)
{
    psa_status_t status;
    size_t len;
    psa_key_id_t id = 0;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    describe(&attributes, curve);
    CHECK_PSA(psa_import_key(&attributes, key, key_len, &id));
    CHECK_PSA(psa_raw_key_agreement(PSA_ALG_ECDH, id, point, point_len, out, POINT_MAX, &len));
    status = (psa_status_t) len;
cleanup:
    psa_destroy_key(id);
    return status;
}

/*
 * TLS 1.3's part of either side: psa_generate_key(), psa_export_public_key(), psa_raw_key_agreement(). Returns the
 * secret's length.
 */
int EXPORT(psa_exchange)(int curve, const unsigned char *peer, size_t peer_len, unsigned char *point,
                         unsigned char *out)
{
    psa_status_t status;
    size_t len;
    psa_key_id_t id = 0;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    describe(&attributes, curve);
    CHECK_PSA(psa_generate_key(&attributes, &id));
    CHECK_PSA(psa_export_public_key(id, point, POINT_MAX, &len));
    CHECK_PSA(psa_raw_key_agreement(PSA_ALG_ECDH, id, peer, peer_len, out, POINT_MAX, &len));
    status = (psa_status_t) len;
cleanup:
    psa_destroy_key(id);
    return status;
}
