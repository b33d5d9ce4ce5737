/*
 * HKDF-Expand-Label (RFC 8446 section 7.1) of one block, which all of TLS is, without PSA's key derivation: a handshake
 * calls it some twenty times on each side, and PSA's bookkeeping took as long as the hashing. The HMAC is made of two
 * hashes here: mbedtls_md_hmac() allocates, and leaves the inner hash on the stack.
 */
#include "common.h"

#include "mbedtls/md.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/psa_util.h"
#include "psa/crypto.h"

#define PREFIX "tls13 "
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define LABEL_MAX 32   /* bytes; TLS's own have 12 at most, an exporter's may have more */
#define CONTEXT_MAX 64 /* bytes; a hash */
#define INFO_MAX (2 + 1 + PREFIX_LEN + LABEL_MAX + 1 + CONTEXT_MAX + 1)
#define BLOCK_MAX 128 /* bytes; of SHA-512 */
#define HASH_MAX MBEDTLS_MD_MAX_SIZE

int stock_mbedtls_ssl_tls13_hkdf_expand_label(psa_algorithm_t hash, const unsigned char *secret, size_t secret_len,
                                              const unsigned char *label, size_t label_len,
                                              const unsigned char *context, size_t context_len,
                                              unsigned char *out, size_t out_len);

int mbedtls_ssl_tls13_hkdf_expand_label(psa_algorithm_t hash, const unsigned char *secret, size_t secret_len,
                                        const unsigned char *label, size_t label_len, const unsigned char *context,
                                        size_t context_len, unsigned char *out, size_t out_len)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(mbedtls_md_type_from_psa_alg(hash));
    const size_t hash_len = md == NULL ? 0 : mbedtls_md_get_size(md), block_len = PSA_HASH_BLOCK_LENGTH(hash);
    if (block_len < hash_len || block_len > BLOCK_MAX || secret_len != hash_len || out_len == 0 || out_len > hash_len ||
        label_len > LABEL_MAX || context_len > CONTEXT_MAX) {
        return stock_mbedtls_ssl_tls13_hkdf_expand_label(hash, secret, secret_len, label, label_len, context,
                                                         context_len, out, out_len);
    }

    /* HMAC (RFC 2104): each of its hashes is of a block that is made of the key, and what follows. */
    unsigned char inner[BLOCK_MAX + INFO_MAX], outer[BLOCK_MAX + HASH_MAX], mac[HASH_MAX];
    memset(inner, 0x36, block_len);
    memset(outer, 0x5c, block_len);
    for (size_t i = 0; i < secret_len; i++) {
        inner[i] ^= secret[i];
        outer[i] ^= secret[i];
    }

    /* HkdfLabel: length (2), label and context, each behind its length (1); then the number of HKDF's block. */
    unsigned char *p = inner + block_len;
    *p++ = (unsigned char) (out_len >> 8);
    *p++ = (unsigned char) out_len;
    *p++ = (unsigned char) (PREFIX_LEN + label_len);
    memcpy(p, PREFIX, PREFIX_LEN);
    memcpy(p += PREFIX_LEN, label, label_len);
    *(p += label_len) = (unsigned char) context_len;
    p++;
    if (context_len != 0) memcpy(p, context, context_len);
    p += context_len;
    *p++ = 1; /* the first block is all that is needed */

    int ret = mbedtls_md(md, inner, (size_t) (p - inner), outer + block_len);
    if (ret == 0) ret = mbedtls_md(md, outer, block_len + hash_len, mac);
    if (ret == 0) memcpy(out, mac, out_len);
    mbedtls_platform_zeroize(inner, sizeof(inner));
    mbedtls_platform_zeroize(outer, sizeof(outer));
    mbedtls_platform_zeroize(mac, sizeof(mac));
    return ret;
}
