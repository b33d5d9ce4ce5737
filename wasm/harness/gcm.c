/*
 * AES-GCM: in one call, and in pieces.
 */
#include "harness.h"

mbedtls_gcm_context *EXPORT(gcm_new)(void)
{
    mbedtls_gcm_context *gcm = tlsio_calloc(1, sizeof(*gcm));
    mbedtls_gcm_init(gcm);
    return gcm;
}

void EXPORT(gcm_free)(mbedtls_gcm_context *gcm)
{
    mbedtls_gcm_free(gcm);
    tlsio_free(gcm);
}

int EXPORT(gcm_setkey)(mbedtls_gcm_context *gcm, const unsigned char *key, unsigned bits)
{
    return mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, key, bits);
}

/* mbedtls_gcm_crypt_and_tag() to encrypt. `out` may be `in`, or lie at least 8 bytes before it (gcm.h). */
int EXPORT(gcm_encrypt)(mbedtls_gcm_context *gcm, const unsigned char *iv, size_t iv_len, const unsigned char *aad,
                        size_t aad_len, const unsigned char *in, size_t len, unsigned char *out,
                        unsigned char *tag, size_t tag_len)
{
    return mbedtls_gcm_crypt_and_tag(gcm, MBEDTLS_GCM_ENCRYPT, len, iv, iv_len, aad, aad_len, in, out, tag_len,
                                     tag);
}

/* mbedtls_gcm_auth_decrypt(). */
int EXPORT(gcm_decrypt)(mbedtls_gcm_context *gcm, const unsigned char *iv, size_t iv_len, const unsigned char *aad,
                        size_t aad_len, const unsigned char *in, size_t len, unsigned char *out,
                        const unsigned char *tag, size_t tag_len)
{
    return mbedtls_gcm_auth_decrypt(gcm, len, iv, iv_len, aad, aad_len, tag, tag_len, in, out);
}

/*
 * starts, update_ad and update for each piece, finish. `mode` is 1 to encrypt, 0 to decrypt; the tag is an output in
 * both. An implementation may hold bytes back until more come or the end does. Returns the bytes written to `out`.
 */
int EXPORT(gcm_stream)(mbedtls_gcm_context *gcm, int mode, const unsigned char *iv, size_t iv_len,
                       const unsigned char *aad, size_t aad_len, const unsigned char *in, size_t len,
                       const uint32_t *lengths, size_t count, unsigned char *out, unsigned char *tag,
                       size_t tag_len)
{
    int ret;
    const struct cuts cuts = { lengths, count };
    size_t done = 0, more = 0;
    MBEDTLS_MPI_CHK(mbedtls_gcm_starts(gcm, mode, iv, iv_len));
    FOR_PIECES(cuts, aad_len, at, size) MBEDTLS_MPI_CHK(mbedtls_gcm_update_ad(gcm, aad + at, size));
    FOR_PIECES(cuts, len, at, size) {
        MBEDTLS_MPI_CHK(mbedtls_gcm_update(gcm, in + at, size, out + done, len - done, &more));
        done += more;
    }
    MBEDTLS_MPI_CHK(mbedtls_gcm_finish(gcm, out + done, len - done, &more, tag, tag_len));
    ret = (int) (done + more);
cleanup:
    return ret;
}
