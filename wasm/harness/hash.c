/*
 * Hashes and what is made of them: SHA-2 by its own functions, HMAC and HKDF by the md layer, as TLS calls them.
 */
#include "harness.h"

#include "mbedtls/hkdf.h"
#include "mbedtls/psa_util.h"
#include "mbedtls/sha256.h"
#include "mbedtls/sha512.h"
#include "ssl_misc.h" /* ssl_tls13_keys.h wants it first */
#include "ssl_tls13_keys.h"

/* ---- One face for both families ---------------------------------------------------------------------- */

struct hash {
    int bits;
    union {
        mbedtls_sha256_context small; /* 224, 256 */
        mbedtls_sha512_context large; /* 384, 512 */
    };
};

static void hash_init(struct hash *hash, int bits)
{
    hash->bits = bits;
    if (bits <= 256) mbedtls_sha256_init(&hash->small);
    else mbedtls_sha512_init(&hash->large);
}

static void hash_free(struct hash *hash)
{
    if (hash->bits <= 256) mbedtls_sha256_free(&hash->small);
    else mbedtls_sha512_free(&hash->large);
}

static void hash_clone(struct hash *to, const struct hash *from)
{
    if (from->bits <= 256) mbedtls_sha256_clone(&to->small, &from->small);
    else mbedtls_sha512_clone(&to->large, &from->large);
}

static int hash_starts(struct hash *hash)
{
    return hash->bits <= 256 ? mbedtls_sha256_starts(&hash->small, hash->bits == 224)
                             : mbedtls_sha512_starts(&hash->large, hash->bits == 384);
}

static int hash_update(struct hash *hash, const unsigned char *in, size_t len)
{
    return hash->bits <= 256 ? mbedtls_sha256_update(&hash->small, in, len)
                             : mbedtls_sha512_update(&hash->large, in, len);
}

static int hash_finish(struct hash *hash, unsigned char *out)
{
    return hash->bits <= 256 ? mbedtls_sha256_finish(&hash->small, out)
                             : mbedtls_sha512_finish(&hash->large, out);
}

/* ---- Exports --------------------------------------------------------------------------------------- */

/* mbedtls_sha256(), mbedtls_sha512(). */
int EXPORT(hash_once)(int bits, const unsigned char *in, size_t len, unsigned char *out)
{
    return bits <= 256 ? mbedtls_sha256(in, len, out, bits == 224)
                       : mbedtls_sha512(in, len, out, bits == 384);
}

/* starts, update for each piece, finish. */
int EXPORT(hash_stream)(int bits, const unsigned char *in, size_t len, const uint32_t *lengths, size_t count,
                        unsigned char *out)
{
    int ret;
    struct hash hash;
    const struct cuts cuts = { lengths, count };
    hash_init(&hash, bits);
    MBEDTLS_MPI_CHK(hash_starts(&hash));
    FOR_PIECES(cuts, len, at, size) MBEDTLS_MPI_CHK(hash_update(&hash, in + at, size));
    MBEDTLS_MPI_CHK(hash_finish(&hash, out));
cleanup:
    hash_free(&hash);
    return ret;
}

/*
 * A transcript that forks after `cut` bytes: `whole` is the hash of everything by the first context, `part` that of
 * the beginning by its clone, `again` that of everything by the clone started afresh.
 */
int EXPORT(hash_fork)(int bits, const unsigned char *in, size_t len, size_t cut, unsigned char *whole,
                      unsigned char *part, unsigned char *again)
{
    int ret;
    struct hash first, clone;
    hash_init(&first, bits);
    hash_init(&clone, bits);
    MBEDTLS_MPI_CHK(hash_starts(&first));
    MBEDTLS_MPI_CHK(hash_update(&first, in, cut));
    hash_clone(&clone, &first);
    MBEDTLS_MPI_CHK(hash_update(&first, in + cut, len - cut));
    MBEDTLS_MPI_CHK(hash_finish(&clone, part));
    MBEDTLS_MPI_CHK(hash_finish(&first, whole));
    MBEDTLS_MPI_CHK(hash_starts(&clone));
    MBEDTLS_MPI_CHK(hash_update(&clone, in, len));
    MBEDTLS_MPI_CHK(hash_finish(&clone, again));
cleanup:
    hash_free(&first);
    hash_free(&clone);
    return ret;
}

/* mbedtls_md_hmac_starts(), update for each piece, finish. */
int EXPORT(hmac)(int bits, const unsigned char *key, size_t key_len, const unsigned char *in, size_t len,
                 const uint32_t *lengths, size_t count, unsigned char *out)
{
    int ret;
    mbedtls_md_context_t md;
    const struct cuts cuts = { lengths, count };
    mbedtls_md_init(&md);
    MBEDTLS_MPI_CHK(mbedtls_md_setup(&md, mbedtls_md_info_from_type(md_of(bits)), 1));
    MBEDTLS_MPI_CHK(mbedtls_md_hmac_starts(&md, key, key_len));
    FOR_PIECES(cuts, len, at, size) MBEDTLS_MPI_CHK(mbedtls_md_hmac_update(&md, in + at, size));
    MBEDTLS_MPI_CHK(mbedtls_md_hmac_finish(&md, out));
cleanup:
    mbedtls_md_free(&md);
    return ret;
}

/* mbedtls_hkdf(). */
int EXPORT(hkdf)(int bits, const unsigned char *salt, size_t salt_len, const unsigned char *ikm, size_t ikm_len,
                 const unsigned char *info, size_t info_len, unsigned char *okm, size_t okm_len)
{
    return mbedtls_hkdf(mbedtls_md_info_from_type(md_of(bits)), salt, salt_len, ikm, ikm_len, info, info_len, okm,
                        okm_len);
}

/* mbedtls_ssl_tls13_hkdf_expand_label(). */
int EXPORT(hkdf_label)(int bits, const unsigned char *secret, size_t secret_len, const unsigned char *label,
                       size_t label_len, const unsigned char *context, size_t context_len, unsigned char *out,
                       size_t out_len)
{
    return mbedtls_ssl_tls13_hkdf_expand_label(mbedtls_md_psa_alg_from_type(md_of(bits)), secret, secret_len, label,
                                               label_len, context, context_len, out, out_len);
}
