/*
 * HKDF-Expand-Label (RFC 8446 section 7.1) of one block, which all of TLS is, without PSA's key derivation: a handshake
 * calls it some twenty times on each side, and PSA's bookkeeping took as long as the hashing.
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

int stock_mbedtls_ssl_tls13_hkdf_expand_label(psa_algorithm_t hash, const unsigned char *secret, size_t secret_len,
                                              const unsigned char *label, size_t label_len,
                                              const unsigned char *context, size_t context_len,
                                              unsigned char *out, size_t out_len);

int mbedtls_ssl_tls13_hkdf_expand_label(psa_algorithm_t hash, const unsigned char *secret, size_t secret_len,
                                        const unsigned char *label, size_t label_len, const unsigned char *context,
                                        size_t context_len, unsigned char *out, size_t out_len)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(mbedtls_md_type_from_psa_alg(hash));
    const size_t hash_len = md == NULL ? 0 : mbedtls_md_get_size(md);
    if (secret_len != hash_len || out_len == 0 || out_len > hash_len || label_len > LABEL_MAX ||
        context_len > CONTEXT_MAX) {
        return stock_mbedtls_ssl_tls13_hkdf_expand_label(hash, secret, secret_len, label, label_len, context,
                                                         context_len, out, out_len);
    }

    /* HkdfLabel: length (2), label and context, each behind its length (1); then the number of HKDF's block. */
    unsigned char info[2 + 1 + PREFIX_LEN + LABEL_MAX + 1 + CONTEXT_MAX + 1], block[MBEDTLS_MD_MAX_SIZE];
    unsigned char *p = info;
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

    const int ret = mbedtls_md_hmac(md, secret, secret_len, info, (size_t) (p - info), block);
    if (ret == 0) memcpy(out, block, out_len);
    mbedtls_platform_zeroize(block, sizeof(block));
    mbedtls_platform_zeroize(info, sizeof(info));
    return ret;
}
