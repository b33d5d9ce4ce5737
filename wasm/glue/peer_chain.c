/*
 * Certificates of strangers: their form, where mbedTLS lets pass what RFC 5280 does not, and what bounds the work that they
 * make. What their authorities may certify is in constraints.c. The linker sends mbedTLS's calls of two functions here (--wrap).
 */
#include "tlsio.h"

#include "mbedtls/error.h"
#include "mbedtls/oid.h"
#include "mbedtls/pem.h"

#define EXTENSIONS_MAX 64    /* a certificate of the web has some ten; looking for doubles takes time by their square */
#define RSA_BITS_MAX 8192    /* Go's limit, and the largest signature that mbedTLS checks */
#define RSA_EXPONENT_MAX 33  /* bits; *ring*'s limit, 65537 has 17: a long one makes a check take seconds */
#define CHECKS_MAX 32        /* of signatures in one chain; mbedTLS tries each pair of certificates whose names fit */

int __wrap_mbedtls_x509_crt_parse_der(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len);
int __real_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options, mbedtls_pk_context *key,
                                 mbedtls_md_type_t md, const unsigned char *hash, size_t hash_len,
                                 const unsigned char *sig, size_t sig_len);
int __wrap_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options, mbedtls_pk_context *key,
                                 mbedtls_md_type_t md, const unsigned char *hash, size_t hash_len,
                                 const unsigned char *sig, size_t sig_len);

/* ---- Parsing ---------------------------------------------------------------------------------------- */

/* Called for each extension that mbedTLS does not know. Returns 0: we do. */
static int on_extension(void *unused, const mbedtls_x509_crt *crt, const mbedtls_x509_buf *oid, int critical,
                        const unsigned char *p, const unsigned char *end)
{
    (void) unused, (void) crt, (void) critical, (void) p, (void) end;
    return is_name_constraints(oid) ? 0 : MBEDTLS_ERR_X509_INVALID_EXTENSIONS;
}

static int parse_der(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len)
{
    return mbedtls_x509_crt_parse_der_with_ext_cb(chain, bytes, len, 1, on_extension, NULL);
}

/* As mbedtls_x509_crt_parse() does it. */
static int parse_pem(mbedtls_x509_crt *chain, const unsigned char *text, size_t len)
{
    int first_error = MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT, failed = 0, parsed = 0;
    while (len > 1) { /* the NUL is counted */
        mbedtls_pem_context pem;
        size_t used = 0;
        mbedtls_pem_init(&pem);
        int ret = mbedtls_pem_read_buffer(&pem, "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", text, NULL,
                                          0, &used);
        if (ret == MBEDTLS_ERR_PEM_BAD_INPUT_DATA) return ret;
        if (ret == MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT) break;
        text += used;
        len -= used;
        if (ret == 0) ret = parse_der(chain, pem.buf, pem.buflen);
        mbedtls_pem_free(&pem);
        if (ret == MBEDTLS_ERR_X509_ALLOC_FAILED) return ret;
        if (ret != 0 && failed++ == 0) first_error = ret;
        if (ret == 0) parsed = 1;
    }
    return parsed ? failed : first_error;
}

int read_certificate(mbedtls_x509_crt *crt, const unsigned char *bytes, size_t len)
{
    int is_der = len > 1 && bytes[0] == (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) && bytes[1] > 0x7f;
    int is_pem = !is_der && len != 0 && bytes[len - 1] == 0 &&
                 strstr((const char *) bytes, "-----BEGIN CERTIFICATE-----") != NULL;
    return is_pem ? parse_pem(crt, bytes, len) : parse_der(crt, bytes, len);
}

/* Whether an extension is there twice (RFC 5280 section 4.2), or there are too many to look. */
static int has_double(const mbedtls_x509_crt *crt)
{
    unsigned char *p = crt->v3_ext.p;
    const unsigned char *end;
    mbedtls_asn1_buf oids[EXTENSIONS_MAX];
    size_t count = 0, len;
    if (crt->v3_ext.len == 0) return 0;
    end = p + crt->v3_ext.len;
    if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) return 1;
    while (p < end) {
        if (count == EXTENSIONS_MAX) return 1;
        if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) return 1;
        unsigned char *next = p + len;
        mbedtls_asn1_buf *oid = &oids[count];
        if (mbedtls_asn1_get_tag(&p, next, &oid->len, MBEDTLS_ASN1_OID) != 0) return 1;
        oid->p = p;
        for (size_t i = 0; i < count; i++) {
            if (oids[i].len == oid->len && memcmp(oids[i].p, p, oid->len) == 0) return 1;
        }
        count++;
        p = next;
    }
    return 0;
}

static int is_costly(const mbedtls_pk_context *key)
{
    if (mbedtls_pk_get_type(key) != MBEDTLS_PK_RSA) return 0;
    const mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*key);
    return mbedtls_mpi_bitlen(&rsa->N) > RSA_BITS_MAX || mbedtls_mpi_bitlen(&rsa->E) > RSA_EXPONENT_MAX;
}

/* A peer's certificate: all of `bytes`. */
int __wrap_mbedtls_x509_crt_parse_der(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len)
{
    if (active != NULL && chain->raw.p == NULL) active->signatures = 0; /* the first of a chain */
    int ret = parse_der(chain, bytes, len);
    if (ret != 0) return ret;
    while (chain->next != NULL) chain = chain->next;
    if (chain->raw.len != len) return MBEDTLS_ERROR_ADD(MBEDTLS_ERR_X509_INVALID_FORMAT, MBEDTLS_ERR_ASN1_LENGTH_MISMATCH);
    if (has_double(chain)) return MBEDTLS_ERR_X509_INVALID_EXTENSIONS;
    return is_costly(&chain->pk) ? MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE : 0;
}

/* ---- Verifying -------------------------------------------------------------------------------------- */

/* Whether a signature is one of our CRLs': we chose how many there are, and mbedTLS stops at one that is wrong. */
static int is_of_list(const config *c, const unsigned char *sig)
{
    const mbedtls_x509_crl *crl = &c->crls;
    while (crl != NULL && crl->sig.p != sig) crl = crl->next;
    return crl != NULL;
}

/*
 * What a check counts for, by the time that it takes: 8 intermediates of any key but the longest, which nobody has in such
 * chains, are within the bound, and no chain takes longer than some 50 ms (tests/x509/cost.ts).
 */
static int cost_of(const mbedtls_pk_context *key)
{
    size_t bits = mbedtls_pk_get_bitlen(key);
    if (mbedtls_pk_can_do(key, MBEDTLS_PK_ECKEY)) return bits <= 256 ? 1 : bits <= 384 ? 3 : 6;
    return bits <= 3072 ? 1 : bits <= 4096 ? 2 : 6;
}

int __wrap_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options, mbedtls_pk_context *key,
                                 mbedtls_md_type_t md, const unsigned char *hash, size_t hash_len,
                                 const unsigned char *sig, size_t sig_len)
{
    if (active != NULL && !is_of_list(active->config, sig)) {
        active->signatures += cost_of(key);
        if (active->signatures > CHECKS_MAX) return MBEDTLS_ERR_PK_BAD_INPUT_DATA;
    }
    return __real_mbedtls_pk_verify_ext(type, options, key, md, hash, hash_len, sig, sig_len);
}
