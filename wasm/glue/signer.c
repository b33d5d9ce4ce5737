/*
 * signer: private keys that never enter the core. A credential holds the public half, and the host signs.
 *
 * mbedTLS has hooks for this in TLS 1.2 alone (MBEDTLS_SSL_ASYNC_PRIVATE) or for RSA alone (mbedtls_pk_setup_rsa_alt()),
 * without PSS. So: the public key's own table of functions, with another one to sign.
 */
#include "tlsio.h"

#include "pk_wrap.h"  /* the table */
#include "ssl_misc.h" /* the numbers of hashes */

/* SignatureScheme, RFC 8446 section 4.2.3: what they add to the number of the hash (RFC 5246 section 7.4.1.4.1). */
#define SCHEME_RSA_PKCS1 0x0001
#define SCHEME_ECDSA 0x0003
#define SCHEME_RSA_PSS_RSAE 0x0800

static mbedtls_pk_info_t rsa_info, ec_info;

static int sign_outside(mbedtls_pk_context *key, int scheme, const unsigned char *hash, size_t hash_len,
                        unsigned char *sig, size_t sig_size, size_t *sig_len)
{
    const credential *c = (const credential *) ((const char *) key - offsetof(credential, key));
    int len = active == NULL ? 0 : sign_hash(active, c->signer, scheme, hash, hash_len, sig, sig_size);
    if (len <= 0 || (size_t) len > sig_size) return MBEDTLS_ERR_PK_BAD_INPUT_DATA;
    *sig_len = (size_t) len;
    return 0;
}

static int sign_rsa(mbedtls_pk_context *key, mbedtls_md_type_t md, const unsigned char *hash, size_t hash_len,
                    unsigned char *sig, size_t sig_size, size_t *sig_len,
                    int (*rng)(void *, unsigned char *, size_t), void *p_rng)
{
    (void) rng;
    (void) p_rng;
    int scheme = mbedtls_ssl_hash_from_md_alg(md) << 8 | SCHEME_RSA_PKCS1;
    return sign_outside(key, scheme, hash, hash_len, sig, sig_size, sig_len);
}

static int sign_ecdsa(mbedtls_pk_context *key, mbedtls_md_type_t md, const unsigned char *hash, size_t hash_len,
                      unsigned char *sig, size_t sig_size, size_t *sig_len,
                      int (*rng)(void *, unsigned char *, size_t), void *p_rng)
{
    (void) rng;
    (void) p_rng;
    int scheme = mbedtls_ssl_hash_from_md_alg(md) << 8 | SCHEME_ECDSA;
    return sign_outside(key, scheme, hash, hash_len, sig, sig_size, sig_len);
}

/* The linker sends TLS 1.3's signatures here (--wrap): PSS has no function in the table. */
int __real_mbedtls_pk_sign_ext(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md,
                               const unsigned char *hash, size_t hash_len, unsigned char *sig, size_t sig_size,
                               size_t *sig_len, int (*rng)(void *, unsigned char *, size_t), void *p_rng);
int __wrap_mbedtls_pk_sign_ext(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md,
                               const unsigned char *hash, size_t hash_len, unsigned char *sig, size_t sig_size,
                               size_t *sig_len, int (*rng)(void *, unsigned char *, size_t), void *p_rng);

int __wrap_mbedtls_pk_sign_ext(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md,
                               const unsigned char *hash, size_t hash_len, unsigned char *sig, size_t sig_size,
                               size_t *sig_len, int (*rng)(void *, unsigned char *, size_t), void *p_rng)
{
    if (type == MBEDTLS_PK_RSASSA_PSS && key->pk_info == &rsa_info) {
        int scheme = SCHEME_RSA_PSS_RSAE | mbedtls_ssl_hash_from_md_alg(md);
        return sign_outside(key, scheme, hash, hash_len, sig, sig_size, sig_len);
    }
    int ret = sign_in_steps(type, key, md, hash, hash_len, sig, sig_size, sig_len);
    if (ret <= 0) return ret;
    return __real_mbedtls_pk_sign_ext(type, key, md, hash, hash_len, sig, sig_size, sig_len, rng, p_rng);
}

static int use_public_key(credential *new, const void *source, int32_t *at)
{
    *at = 1;
    unsigned char *p = new->chain.pk_raw.p;
    int ret = mbedtls_pk_parse_subpubkey(&p, p + new->chain.pk_raw.len, &new->key);
    if (ret != 0) return ret;
    new->signer = *(const int *) source;
    mbedtls_pk_info_t *info = mbedtls_pk_can_do(&new->key, MBEDTLS_PK_RSA) ? &rsa_info : &ec_info;
    if (info == &ec_info && !mbedtls_pk_can_do(&new->key, MBEDTLS_PK_ECDSA)) return MBEDTLS_ERR_PK_TYPE_MISMATCH;
    *info = *new->key.pk_info;
    info->sign_func = info == &rsa_info ? sign_rsa : sign_ecdsa;
    info->decrypt_func = NULL;
    new->key.pk_info = info;
    return 0;
}

/* Adds a certificate chain whose key is the host's. Returns 0, or a negative code. */
int EXPORT(config_add_signer)(config *c, const unsigned char *chain, size_t chain_len, int signer, int32_t *at)
{
    return add_credential(c, chain, chain_len, use_public_key, &signer, at);
}
