/*
 * Keys and certificates of our own, for servers that have none yet.
 */
#include "tlsio.h"

#include "mbedtls/rsa.h"

#define SERIAL 16  /* bytes; random, RFC 5280 allows 20 */
#define SANS_MAX 64

/* Makes a private key: `bits` of 256, 384 or 521 is an elliptic curve, 2048 and more is RSA. */
static int generate(mbedtls_pk_context *key, int bits)
{
    if (bits >= 2048) {
        int ret = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA));
        return ret != 0 ? ret : mbedtls_rsa_gen_key(mbedtls_pk_rsa(*key), tlsio_rng, NULL, (unsigned) bits, 65537);
    }
    mbedtls_ecp_group_id group = bits == 256   ? MBEDTLS_ECP_DP_SECP256R1
                                 : bits == 384 ? MBEDTLS_ECP_DP_SECP384R1
                                 : bits == 521 ? MBEDTLS_ECP_DP_SECP521R1
                                               : MBEDTLS_ECP_DP_NONE;
    if (group == MBEDTLS_ECP_DP_NONE) return MBEDTLS_ERR_PK_BAD_INPUT_DATA;
    int ret = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    return ret != 0 ? ret : mbedtls_ecp_gen_key(group, mbedtls_pk_ec(*key), tlsio_rng, NULL);
}

/* Writes a new private key as PEM, with its NUL. Returns 0 or a negative code. */
int EXPORT(issue_key)(int bits, unsigned char *out, size_t size)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int ret = generate(&key, bits);
    if (ret == 0) ret = mbedtls_pk_write_key_pem(&key, out, size);
    mbedtls_pk_free(&key);
    return ret;
}

/* Reads `sans`, entries of type (1), length (1) and value, into a list in `nodes`. */
static int read_sans(mbedtls_x509_san_list *nodes, const unsigned char *sans, size_t len, size_t *count)
{
    const unsigned char *end = sans + len;
    for (*count = 0; sans < end; (*count)++, sans += 2 + sans[1]) {
        if (*count == SANS_MAX || end - sans < 2 || end - sans < 2 + sans[1]) {
            return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
        }
        mbedtls_x509_san_list *node = &nodes[*count];
        node->node.type = sans[0];
        node->node.san.unstructured_name.p = (unsigned char *) sans + 2;
        node->node.san.unstructured_name.len = sans[1];
        node->next = NULL;
        if (*count > 0) nodes[*count - 1].next = node;
    }
    return 0;
}

static int set_usage(mbedtls_x509write_cert *crt, int is_ca)
{
    int ret = mbedtls_x509write_crt_set_basic_constraints(crt, is_ca, is_ca ? 0 : -1);
    if (ret != 0) return ret;
    if (is_ca) {
        return mbedtls_x509write_crt_set_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE | /* may serve, too */
                                                            MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                            MBEDTLS_X509_KU_CRL_SIGN);
    }
    ret = mbedtls_x509write_crt_set_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE |
                                                       MBEDTLS_X509_KU_KEY_ENCIPHERMENT);
    if (ret != 0) return ret;
    mbedtls_asn1_sequence client = { { MBEDTLS_ASN1_OID, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH),
                                       (unsigned char *) MBEDTLS_OID_CLIENT_AUTH }, NULL };
    mbedtls_asn1_sequence server = { { MBEDTLS_ASN1_OID, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH),
                                       (unsigned char *) MBEDTLS_OID_SERVER_AUTH }, &client };
    return mbedtls_x509write_crt_set_ext_key_usage(crt, &server);
}

/*
 * Writes a certificate as PEM, with its NUL. `subject_key` and `issuer_key` are PEM with their NUL;
 * names are as in "CN=localhost,O=Example"; times are YYYYMMDDhhmmss. Returns 0 or a negative code.
 */
int EXPORT(issue_certificate)(const unsigned char *subject_key, size_t subject_key_len,
                              const unsigned char *issuer_key, size_t issuer_key_len,
                              const char *subject, const char *issuer,
                              const char *not_before, const char *not_after, int is_ca,
                              const unsigned char *sans, size_t sans_len, unsigned char *out, size_t size)
{
    mbedtls_x509write_cert crt;
    mbedtls_pk_context own, signer;
    mbedtls_x509_san_list nodes[SANS_MAX];
    unsigned char serial[SERIAL];
    size_t count;
    mbedtls_x509write_crt_init(&crt);
    mbedtls_pk_init(&own);
    mbedtls_pk_init(&signer);

    int ret = entropy(serial, SERIAL);
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of full length, whatever the randomness */
    if (ret == 0) ret = mbedtls_pk_parse_key(&own, subject_key, subject_key_len, NULL, 0, tlsio_rng, NULL);
    if (ret == 0) ret = mbedtls_pk_parse_key(&signer, issuer_key, issuer_key_len, NULL, 0, tlsio_rng, NULL);
    if (ret == 0) {
        mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
        mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
        mbedtls_x509write_crt_set_subject_key(&crt, &own);
        mbedtls_x509write_crt_set_issuer_key(&crt, &signer);
        ret = mbedtls_x509write_crt_set_serial_raw(&crt, serial, SERIAL);
    }
    if (ret == 0) ret = mbedtls_x509write_crt_set_subject_name(&crt, subject);
    if (ret == 0) ret = mbedtls_x509write_crt_set_issuer_name(&crt, issuer);
    if (ret == 0) ret = mbedtls_x509write_crt_set_validity(&crt, not_before, not_after);
    if (ret == 0) ret = set_usage(&crt, is_ca);
    if (ret == 0) ret = mbedtls_x509write_crt_set_subject_key_identifier(&crt);
    if (ret == 0) ret = mbedtls_x509write_crt_set_authority_key_identifier(&crt);
    if (ret == 0) ret = read_sans(nodes, sans, sans_len, &count);
    if (ret == 0 && count > 0) ret = mbedtls_x509write_crt_set_subject_alternative_name(&crt, nodes);
    if (ret == 0) ret = mbedtls_x509write_crt_pem(&crt, out, size, tlsio_rng, NULL);

    mbedtls_x509write_crt_free(&crt);
    mbedtls_pk_free(&own);
    mbedtls_pk_free(&signer);
    return ret;
}
