/*
 * ChaCha20, Poly1305, and the two together: in one call, and in pieces.
 */
#include "harness.h"

#include "mbedtls/chacha20.h"
#include "mbedtls/chachapoly.h"
#include "mbedtls/poly1305.h"

/* ---- The parts ------------------------------------------------------------------------------------- */

/* setkey, starts, update for each piece. `out` may be `in`. */
int EXPORT(chacha20)(const unsigned char key[32], const unsigned char nonce[12], uint32_t counter,
                     const unsigned char *in, size_t len, const uint32_t *lengths, size_t count,
                     unsigned char *out)
{
    int ret;
    const struct cuts cuts = { lengths, count };
    mbedtls_chacha20_context chacha;
    mbedtls_chacha20_init(&chacha);
    MBEDTLS_MPI_CHK(mbedtls_chacha20_setkey(&chacha, key));
    MBEDTLS_MPI_CHK(mbedtls_chacha20_starts(&chacha, nonce, counter));
    FOR_PIECES(cuts, len, at, size) MBEDTLS_MPI_CHK(mbedtls_chacha20_update(&chacha, size, in + at, out + at));
cleanup:
    mbedtls_chacha20_free(&chacha);
    return ret;
}

/* starts, update for each piece, finish. */
int EXPORT(poly1305)(const unsigned char key[32], const unsigned char *in, size_t len, const uint32_t *lengths,
                     size_t count, unsigned char out[16])
{
    int ret;
    const struct cuts cuts = { lengths, count };
    mbedtls_poly1305_context poly;
    mbedtls_poly1305_init(&poly);
    MBEDTLS_MPI_CHK(mbedtls_poly1305_starts(&poly, key));
    FOR_PIECES(cuts, len, at, size) MBEDTLS_MPI_CHK(mbedtls_poly1305_update(&poly, in + at, size));
    MBEDTLS_MPI_CHK(mbedtls_poly1305_finish(&poly, out));
cleanup:
    mbedtls_poly1305_free(&poly);
    return ret;
}

/* ---- The AEAD -------------------------------------------------------------------------------------- */

mbedtls_chachapoly_context *EXPORT(chachapoly_new)(void)
{
    mbedtls_chachapoly_context *aead = tlsio_calloc(1, sizeof(*aead));
    mbedtls_chachapoly_init(aead);
    return aead;
}

void EXPORT(chachapoly_free)(mbedtls_chachapoly_context *aead)
{
    mbedtls_chachapoly_free(aead);
    tlsio_free(aead);
}

int EXPORT(chachapoly_setkey)(mbedtls_chachapoly_context *aead, const unsigned char key[32])
{
    return mbedtls_chachapoly_setkey(aead, key);
}

/* mbedtls_chachapoly_encrypt_and_tag(). `out` may be `in`. */
int EXPORT(chachapoly_encrypt)(mbedtls_chachapoly_context *aead, const unsigned char nonce[12],
                               const unsigned char *aad, size_t aad_len, const unsigned char *in, size_t len,
                               unsigned char *out, unsigned char tag[16])
{
    return mbedtls_chachapoly_encrypt_and_tag(aead, len, nonce, aad, aad_len, in, out, tag);
}

/* mbedtls_chachapoly_auth_decrypt(). */
int EXPORT(chachapoly_decrypt)(mbedtls_chachapoly_context *aead, const unsigned char nonce[12],
                               const unsigned char *aad, size_t aad_len, const unsigned char *in, size_t len,
                               unsigned char *out, const unsigned char tag[16])
{
    return mbedtls_chachapoly_auth_decrypt(aead, len, nonce, aad, aad_len, tag, in, out);
}

/* starts, update_aad and update for each piece, finish. `mode` is 1 to encrypt, 0 to decrypt; the tag is an output. */
int EXPORT(chachapoly_stream)(mbedtls_chachapoly_context *aead, int mode, const unsigned char nonce[12],
                              const unsigned char *aad, size_t aad_len, const unsigned char *in, size_t len,
                              const uint32_t *lengths, size_t count, unsigned char *out, unsigned char tag[16])
{
    int ret;
    const struct cuts cuts = { lengths, count };
    const mbedtls_chachapoly_mode_t direction = mode ? MBEDTLS_CHACHAPOLY_ENCRYPT : MBEDTLS_CHACHAPOLY_DECRYPT;
    MBEDTLS_MPI_CHK(mbedtls_chachapoly_starts(aead, nonce, direction));
    FOR_PIECES(cuts, aad_len, at, size) MBEDTLS_MPI_CHK(mbedtls_chachapoly_update_aad(aead, aad + at, size));
    FOR_PIECES(cuts, len, at, size) MBEDTLS_MPI_CHK(mbedtls_chachapoly_update(aead, size, in + at, out + at));
    MBEDTLS_MPI_CHK(mbedtls_chachapoly_finish(aead, tag));
cleanup:
    return ret;
}
