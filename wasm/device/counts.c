/*
 * Counts operations: the linker sends mbedTLS's calls from one of its files to another here (--wrap).
 */
#include "tlsio.h"

#include "counts.h"
#include "mbedtls/aes.h"
#include "mbedtls/aria.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/rsa.h"
#include "mbedtls/sha1.h"
#include "mbedtls/sha256.h"
#include "mbedtls/sha512.h"

/* Declares both names of a function, and begins the definition of ours. */
#define WRAP(type, name, ...) \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

/* ---- Curves ---------------------------------------------------------------------------------------- */

static int in_ecdsa; /* whose multiplications of points are not a key exchange's */

static unsigned curve_of(const mbedtls_ecp_group *group)
{
    return group->id < CURVES ? (unsigned) group->id : 0;
}

WRAP(int, mbedtls_mpi_mul_mpi, mbedtls_mpi *x, const mbedtls_mpi *a, const mbedtls_mpi *b)
{
    COUNT(multiplications, 1);
    return __real_mbedtls_mpi_mul_mpi(x, a, b);
}

WRAP(int, mbedtls_ecp_mul_restartable, mbedtls_ecp_group *group, mbedtls_ecp_point *r, const mbedtls_mpi *m,
     const mbedtls_ecp_point *p, mbedtls_f_rng_t *f_rng, void *p_rng, mbedtls_ecp_restart_ctx *restart)
{
    if (!in_ecdsa) COUNT(ecdh[curve_of(group)], 1);
    return __real_mbedtls_ecp_mul_restartable(group, r, m, p, f_rng, p_rng, restart);
}

WRAP(int, mbedtls_ecdsa_write_signature, mbedtls_ecdsa_context *key, mbedtls_md_type_t md, const unsigned char *hash,
     size_t hash_len, unsigned char *sig, size_t sig_size, size_t *sig_len, mbedtls_f_rng_t *f_rng, void *p_rng)
{
    COUNT(ecdsa_sign[curve_of(&key->grp)], 1);
    in_ecdsa = 1;
    int ret = __real_mbedtls_ecdsa_write_signature(key, md, hash, hash_len, sig, sig_size, sig_len, f_rng, p_rng);
    in_ecdsa = 0;
    return ret;
}

WRAP(int, mbedtls_ecdsa_read_signature, mbedtls_ecdsa_context *key, const unsigned char *hash, size_t hash_len,
     const unsigned char *sig, size_t sig_len)
{
    COUNT(ecdsa_verify[curve_of(&key->grp)], 1);
    in_ecdsa = 1;
    int ret = __real_mbedtls_ecdsa_read_signature(key, hash, hash_len, sig, sig_len);
    in_ecdsa = 0;
    return ret;
}

/* ---- RSA ------------------------------------------------------------------------------------------- */

static unsigned size_of(const mbedtls_rsa_context *key)
{
    size_t bits = mbedtls_rsa_get_bitlen(key);
    return bits <= 2048 ? 0 : bits <= 3072 ? 1 : bits <= 4096 ? 2 : 3;
}

static void count_private(const mbedtls_rsa_context *key)
{
    COUNT(rsa_private[size_of(key)], 1);
    if (key->Vf.p == NULL) COUNT(rsa_first[size_of(key)], 1);
}

/* mbedTLS checks each PKCS #1 v1.5 signature by the public key, against faults. */
WRAP(int, mbedtls_rsa_pkcs1_sign, mbedtls_rsa_context *key, mbedtls_f_rng_t *f_rng, void *p_rng, mbedtls_md_type_t md,
     unsigned hash_len, const unsigned char *hash, unsigned char *sig)
{
    count_private(key);
    if (key->padding == MBEDTLS_RSA_PKCS_V15) COUNT(rsa_public[size_of(key)], 1);
    return __real_mbedtls_rsa_pkcs1_sign(key, f_rng, p_rng, md, hash_len, hash, sig);
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

/* ---- Ciphers and hashes ---------------------------------------------------------------------------- */

WRAP(int, mbedtls_aes_crypt_ecb, mbedtls_aes_context *aes, int mode, const unsigned char *input, unsigned char *output)
{
    COUNT(aes, 16);
    return __real_mbedtls_aes_crypt_ecb(aes, mode, input, output);
}

WRAP(int, mbedtls_aes_crypt_cbc, mbedtls_aes_context *aes, int mode, size_t len, unsigned char *iv,
     const unsigned char *input, unsigned char *output)
{
    COUNT(aes, len);
    return __real_mbedtls_aes_crypt_cbc(aes, mode, len, iv, input, output);
}

WRAP(int, mbedtls_aria_crypt_ecb, mbedtls_aria_context *aria, const unsigned char *input, unsigned char *output)
{
    COUNT(aria, 16);
    return __real_mbedtls_aria_crypt_ecb(aria, input, output);
}

WRAP(int, mbedtls_aria_crypt_cbc, mbedtls_aria_context *aria, int mode, size_t len, unsigned char *iv,
     const unsigned char *input, unsigned char *output)
{
    COUNT(aria, len);
    return __real_mbedtls_aria_crypt_cbc(aria, mode, len, iv, input, output);
}

WRAP(int, mbedtls_sha1_update, mbedtls_sha1_context *hash, const unsigned char *input, size_t len)
{
    COUNT(sha1, len);
    return __real_mbedtls_sha1_update(hash, input, len);
}

WRAP(int, mbedtls_sha256_update, mbedtls_sha256_context *hash, const unsigned char *input, size_t len)
{
    COUNT(sha256, len);
    return __real_mbedtls_sha256_update(hash, input, len);
}

WRAP(int, mbedtls_sha512_update, mbedtls_sha512_context *hash, const unsigned char *input, size_t len)
{
    COUNT(sha512, len);
    return __real_mbedtls_sha512_update(hash, input, len);
}
