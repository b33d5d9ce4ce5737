/*
 * Counts operations: the linker sends mbedTLS's calls here (--wrap). Each costs a call and a comparison where nothing is
 * counted; bench/counting.ts says how much that is.
 */
#include "tlsio.h"

#include "counts.h"
#include "mbedtls/aes.h"
#include "mbedtls/aria.h"
#include "mbedtls/ccm.h"
#include "mbedtls/chachapoly.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/rsa.h"
#include "mbedtls/sha1.h"
#include "mbedtls/sha256.h"
#include "mbedtls/sha512.h"
#include "rsa_internal.h"

/*
 * A call of mbedTLS whose own calls are a part of it, and not counted. (The compiler can have inlined those: then they do not
 * come here.) Nothing is allocated in it, for that would not be counted, either.
 */
#define AT_ONCE(call) \
    do { \
        counts *const outside = counting; \
        counting = NULL; \
        int ret = (call); \
        counting = outside; \
        return ret; \
    } while (0)

/* ---- Curves ---------------------------------------------------------------------------------------- */

static unsigned curve_of(const mbedtls_ecp_group *group)
{
    return group->id < CURVES ? (unsigned) group->id : 0;
}

static int in_ecdsa; /* likewise; but it allocates */

static int end_ecdsa(int ret)
{
    in_ecdsa = 0;
    return ret;
}

WRAP(int, mbedtls_ecp_mul_restartable, mbedtls_ecp_group *group, mbedtls_ecp_point *r, const mbedtls_mpi *m,
     const mbedtls_ecp_point *p, mbedtls_f_rng_t *f_rng, void *p_rng, mbedtls_ecp_restart_ctx *restart)
{
    if (!in_ecdsa) COUNT(multiply[curve_of(group)], 1);
    return __real_mbedtls_ecp_mul_restartable(group, r, m, p, f_rng, p_rng, restart);
}

WRAP(int, mbedtls_ecdsa_write_signature, mbedtls_ecdsa_context *key, mbedtls_md_type_t md, const unsigned char *hash,
     size_t hash_len, unsigned char *sig, size_t sig_size, size_t *sig_len, mbedtls_f_rng_t *f_rng, void *p_rng)
{
    COUNT(sign[curve_of(&key->grp)], 1);
    in_ecdsa = 1;
    return end_ecdsa(
        __real_mbedtls_ecdsa_write_signature(key, md, hash, hash_len, sig, sig_size, sig_len, f_rng, p_rng));
}

WRAP(int, mbedtls_ecdsa_read_signature, mbedtls_ecdsa_context *key, const unsigned char *hash, size_t hash_len,
     const unsigned char *sig, size_t sig_len)
{
    COUNT(verify[curve_of(&key->grp)], 1);
    in_ecdsa = 1;
    return end_ecdsa(__real_mbedtls_ecdsa_read_signature(key, hash, hash_len, sig, sig_len));
}

/* ---- RSA ------------------------------------------------------------------------------------------- */

static unsigned size_of(const mbedtls_rsa_context *key)
{
    size_t size = (mbedtls_rsa_get_bitlen(key) + 1023) / 1024;
    return size < 1 ? 0 : size > RSA_SIZES ? RSA_SIZES - 1 : (unsigned) size - 1;
}

static void count_private(const mbedtls_rsa_context *key)
{
    if (key->Vf.p == NULL) COUNT(rsa_cold[size_of(key)], 1);
    else COUNT(rsa_warm[size_of(key)], 1);
}

/* mbedTLS checks each PKCS #1 v1.5 signature by the public key, against faults. */
WRAP(int, mbedtls_rsa_pkcs1_sign, mbedtls_rsa_context *key, mbedtls_f_rng_t *f_rng, void *p_rng, mbedtls_md_type_t md,
     unsigned hash_len, const unsigned char *hash, unsigned char *sig)
{
    count_private(key);
    if (key->padding == MBEDTLS_RSA_PKCS_V15) COUNT(rsa_public[size_of(key)], 1);
    return __real_mbedtls_rsa_pkcs1_sign(key, f_rng, p_rng, md, hash_len, hash, sig);
}

WRAP(int, mbedtls_rsa_rsassa_pss_sign_no_mode_check, mbedtls_rsa_context *key, mbedtls_f_rng_t *f_rng, void *p_rng,
     mbedtls_md_type_t md, unsigned hash_len, const unsigned char *hash, unsigned char *sig)
{
    count_private(key);
    return __real_mbedtls_rsa_rsassa_pss_sign_no_mode_check(key, f_rng, p_rng, md, hash_len, hash, sig);
}

WRAP(int, mbedtls_rsa_pkcs1_decrypt, mbedtls_rsa_context *key, mbedtls_f_rng_t *f_rng, void *p_rng, size_t *len,
     const unsigned char *input, unsigned char *output, size_t size)
{
    count_private(key);
    return __real_mbedtls_rsa_pkcs1_decrypt(key, f_rng, p_rng, len, input, output, size);
}

WRAP(int, mbedtls_rsa_pkcs1_verify, mbedtls_rsa_context *key, mbedtls_md_type_t md, unsigned hash_len,
     const unsigned char *hash, const unsigned char *sig)
{
    COUNT(rsa_public[size_of(key)], 1);
    return __real_mbedtls_rsa_pkcs1_verify(key, md, hash_len, hash, sig);
}

WRAP(int, mbedtls_rsa_rsassa_pss_verify_ext, mbedtls_rsa_context *key, mbedtls_md_type_t md, unsigned hash_len,
     const unsigned char *hash, mbedtls_md_type_t mgf1, int salt_len, const unsigned char *sig)
{
    COUNT(rsa_public[size_of(key)], 1);
    return __real_mbedtls_rsa_rsassa_pss_verify_ext(key, md, hash_len, hash, mgf1, salt_len, sig);
}

WRAP(int, mbedtls_rsa_pkcs1_encrypt, mbedtls_rsa_context *key, mbedtls_f_rng_t *f_rng, void *p_rng, size_t len,
     const unsigned char *input, unsigned char *output)
{
    COUNT(rsa_public[size_of(key)], 1);
    return __real_mbedtls_rsa_pkcs1_encrypt(key, f_rng, p_rng, len, input, output);
}

/* ---- Ciphers --------------------------------------------------------------------------------------- */

/* Of which block cipher a mode is: AES, or ARIA, in whatever mode that is. */
#if defined(MBEDTLS_ARIA_C)
static enum bulk mode_of(const mbedtls_cipher_context_t *cipher, enum bulk aes)
{
    mbedtls_cipher_type_t type = mbedtls_cipher_get_type(cipher);
    return type >= MBEDTLS_CIPHER_ARIA_128_ECB && type <= MBEDTLS_CIPHER_ARIA_256_CCM_STAR_NO_TAG ? ARIA : aes;
}

#define MODE_OF(mode, aes) mode_of(&(mode)->cipher_ctx, aes)
#else
#define MODE_OF(mode, aes) (aes)
#endif

WRAP(int, mbedtls_gcm_crypt_and_tag, mbedtls_gcm_context *gcm, int mode, size_t len, const unsigned char *iv, size_t iv_len,
     const unsigned char *add, size_t add_len, const unsigned char *input, unsigned char *output, size_t tag_len,
     unsigned char *tag)
{
    COUNT(bulk[MODE_OF(gcm, AES_GCM)], len);
    return __real_mbedtls_gcm_crypt_and_tag(gcm, mode, len, iv, iv_len, add, add_len, input, output, tag_len, tag);
}

WRAP(int, mbedtls_gcm_auth_decrypt, mbedtls_gcm_context *gcm, size_t len, const unsigned char *iv, size_t iv_len,
     const unsigned char *add, size_t add_len, const unsigned char *tag, size_t tag_len, const unsigned char *input,
     unsigned char *output)
{
    COUNT(bulk[MODE_OF(gcm, AES_GCM)], len);
    AT_ONCE(__real_mbedtls_gcm_auth_decrypt(gcm, len, iv, iv_len, add, add_len, tag, tag_len, input, output));
}

WRAP(int, mbedtls_ccm_encrypt_and_tag, mbedtls_ccm_context *ccm, size_t len, const unsigned char *iv, size_t iv_len,
     const unsigned char *add, size_t add_len, const unsigned char *input, unsigned char *output, unsigned char *tag,
     size_t tag_len)
{
    COUNT(bulk[MODE_OF(ccm, AES_CCM)], len);
    return __real_mbedtls_ccm_encrypt_and_tag(ccm, len, iv, iv_len, add, add_len, input, output, tag, tag_len);
}

WRAP(int, mbedtls_ccm_auth_decrypt, mbedtls_ccm_context *ccm, size_t len, const unsigned char *iv, size_t iv_len,
     const unsigned char *add, size_t add_len, const unsigned char *input, unsigned char *output, const unsigned char *tag,
     size_t tag_len)
{
    COUNT(bulk[MODE_OF(ccm, AES_CCM)], len);
    return __real_mbedtls_ccm_auth_decrypt(ccm, len, iv, iv_len, add, add_len, input, output, tag, tag_len);
}

WRAP(int, mbedtls_aes_crypt_cbc, mbedtls_aes_context *aes, int mode, size_t len, unsigned char *iv,
     const unsigned char *input, unsigned char *output)
{
    COUNT(bulk[AES_CBC], len);
    return __real_mbedtls_aes_crypt_cbc(aes, mode, len, iv, input, output);
}

#if defined(MBEDTLS_ARIA_C)
WRAP(int, mbedtls_aria_crypt_cbc, mbedtls_aria_context *aria, int mode, size_t len, unsigned char *iv,
     const unsigned char *input, unsigned char *output)
{
    COUNT(bulk[ARIA], len);
    return __real_mbedtls_aria_crypt_cbc(aria, mode, len, iv, input, output);
}
#endif

#if defined(MBEDTLS_CHACHAPOLY_C)
WRAP(int, mbedtls_chachapoly_encrypt_and_tag, mbedtls_chachapoly_context *cipher, size_t len, const unsigned char *nonce,
     const unsigned char *add, size_t add_len, const unsigned char *input, unsigned char *output, unsigned char *tag)
{
    COUNT(bulk[CHACHA20_POLY1305], len);
    return __real_mbedtls_chachapoly_encrypt_and_tag(cipher, len, nonce, add, add_len, input, output, tag);
}

WRAP(int, mbedtls_chachapoly_auth_decrypt, mbedtls_chachapoly_context *cipher, size_t len, const unsigned char *nonce,
     const unsigned char *add, size_t add_len, const unsigned char *tag, const unsigned char *input, unsigned char *output)
{
    COUNT(bulk[CHACHA20_POLY1305], len);
    return __real_mbedtls_chachapoly_auth_decrypt(cipher, len, nonce, add, add_len, tag, input, output);
}
#endif

/* ---- Hashes: HMAC and HKDF are made of them -------------------------------------------------------- */

WRAP(int, mbedtls_sha1_update, mbedtls_sha1_context *hash, const unsigned char *input, size_t len)
{
    COUNT(bulk[SHA_1], len);
    return __real_mbedtls_sha1_update(hash, input, len);
}

WRAP(int, mbedtls_sha256_update, mbedtls_sha256_context *hash, const unsigned char *input, size_t len)
{
    COUNT(bulk[SHA_256], len);
    return __real_mbedtls_sha256_update(hash, input, len);
}

WRAP(int, mbedtls_sha512_update, mbedtls_sha512_context *hash, const unsigned char *input, size_t len)
{
    COUNT(bulk[SHA_512], len);
    return __real_mbedtls_sha512_update(hash, input, len);
}

WRAP(int, mbedtls_sha1, const unsigned char *input, size_t len, unsigned char *output)
{
    COUNT(bulk[SHA_1], len);
    AT_ONCE(__real_mbedtls_sha1(input, len, output));
}

WRAP(int, mbedtls_sha256, const unsigned char *input, size_t len, unsigned char *output, int is224)
{
    COUNT(bulk[SHA_256], len);
    AT_ONCE(__real_mbedtls_sha256(input, len, output, is224));
}

WRAP(int, mbedtls_sha512, const unsigned char *input, size_t len, unsigned char *output, int is384)
{
    COUNT(bulk[SHA_512], len);
    AT_ONCE(__real_mbedtls_sha512(input, len, output, is384));
}
