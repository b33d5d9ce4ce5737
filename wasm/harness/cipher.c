/*
 * AES by the block (ECB), in chains (CBC), and with CBC-MAC (CCM). A context is made and freed here; its key may be
 * set again.
 */
#include "harness.h"

#include "mbedtls/aes.h"
#include "mbedtls/ccm.h"

/* ---- AES ------------------------------------------------------------------------------------------- */

mbedtls_aes_context *EXPORT(aes_new)(void)
{
    mbedtls_aes_context *aes = tlsio_calloc(1, sizeof(*aes));
    mbedtls_aes_init(aes);
    return aes;
}

void EXPORT(aes_free)(mbedtls_aes_context *aes)
{
    mbedtls_aes_free(aes);
    tlsio_free(aes);
}

/* mbedtls_aes_setkey_enc() or, for `mode` 0, mbedtls_aes_setkey_dec(). */
int EXPORT(aes_setkey)(mbedtls_aes_context *aes, int mode, const unsigned char *key, unsigned bits)
{
    return mode == MBEDTLS_AES_ENCRYPT ? mbedtls_aes_setkey_enc(aes, key, bits)
                                       : mbedtls_aes_setkey_dec(aes, key, bits);
}

/* mbedtls_aes_crypt_ecb() for each of `blocks` blocks; `out` may be `in`. */
int EXPORT(aes_ecb)(mbedtls_aes_context *aes, int mode, const unsigned char *in, size_t blocks, unsigned char *out)
{
    int ret = 0;
    for (size_t at = 0; ret == 0 && at < 16 * blocks; at += 16) {
        ret = mbedtls_aes_crypt_ecb(aes, mode, in + at, out + at);
    }
    return ret;
}

/* mbedtls_aes_crypt_cbc() for each piece; `iv` is left as the next call needs it. */
int EXPORT(aes_cbc)(mbedtls_aes_context *aes, int mode, unsigned char iv[16], const unsigned char *in, size_t len,
                    const uint32_t *lengths, size_t count, unsigned char *out)
{
    int ret = 0;
    const struct cuts cuts = { lengths, count };
    FOR_PIECES(cuts, len, at, size) {
        MBEDTLS_MPI_CHK(mbedtls_aes_crypt_cbc(aes, mode, size, iv, in + at, out + at));
    }
cleanup:
    return ret;
}

/* ---- CCM ------------------------------------------------------------------------------------------- */

mbedtls_ccm_context *EXPORT(ccm_new)(void)
{
    mbedtls_ccm_context *ccm = tlsio_calloc(1, sizeof(*ccm));
    mbedtls_ccm_init(ccm);
    return ccm;
}

void EXPORT(ccm_free)(mbedtls_ccm_context *ccm)
{
    mbedtls_ccm_free(ccm);
    tlsio_free(ccm);
}

int EXPORT(ccm_setkey)(mbedtls_ccm_context *ccm, const unsigned char *key, unsigned bits)
{
    return mbedtls_ccm_setkey(ccm, MBEDTLS_CIPHER_ID_AES, key, bits);
}

/* mbedtls_ccm_encrypt_and_tag(). */
int EXPORT(ccm_encrypt)(mbedtls_ccm_context *ccm, const unsigned char *iv, size_t iv_len, const unsigned char *aad,
                        size_t aad_len, const unsigned char *in, size_t len, unsigned char *out,
                        unsigned char *tag, size_t tag_len)
{
    return mbedtls_ccm_encrypt_and_tag(ccm, len, iv, iv_len, aad, aad_len, in, out, tag, tag_len);
}

/* mbedtls_ccm_auth_decrypt(). */
int EXPORT(ccm_decrypt)(mbedtls_ccm_context *ccm, const unsigned char *iv, size_t iv_len, const unsigned char *aad,
                        size_t aad_len, const unsigned char *in, size_t len, unsigned char *out,
                        const unsigned char *tag, size_t tag_len)
{
    return mbedtls_ccm_auth_decrypt(ccm, len, iv, iv_len, aad, aad_len, in, out, tag, tag_len);
}
