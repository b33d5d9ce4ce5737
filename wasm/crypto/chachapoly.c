/*
 * Takes the place of mbedtls_chachapoly_encrypt_and_tag() and mbedtls_chachapoly_auth_decrypt(): a record in one call
 * (RFC 8439 section 2.8). The first four blocks of ChaCha20 give the one-time key and 192 bytes of key stream. After
 * them ChaCha20's vectors and Poly1305's multiplications take turns, round by round: each leaves the other's part of
 * the processor idle.
 *
 * Encryption authenticates what it has written before, decryption what it is about to overwrite.
 */
#include "chacha20_blocks.h"
#include "common.h"
#include "poly1305_digits.h"

#include "mbedtls/chachapoly.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/platform_util.h"

#define FIRST (CHACHA_BYTES - 64) /* bytes of key stream that come with the one-time key */
#define FINISHED 3 /* CHACHAPOLY_STATE_FINISHED; chachapoly.c keeps the name to itself */

/* ---- ChaCha20 and Poly1305 by themselves ----------------------------------------------------------- */

static void key_stream(uint32_t state[16], unsigned char out[CHACHA_BYTES])
{
    static const unsigned char zeros[CHACHA_BYTES];
    const struct chacha_rotations rotations = chacha_rotations();
    v128_t w[16];
    chacha_spread(w, state);
    for (int i = 0; i < 10; i++) chacha_double_round(w, rotations);
    chacha_finish(w, state, zeros, out);
    state[12] += 4;
}

static void xor_stream(const unsigned char *stream, const unsigned char *in, size_t len, unsigned char *out)
{
    for (; len >= 16; len -= 16, in += 16, out += 16, stream += 16) {
        wasm_v128_store(out, wasm_v128_xor(wasm_v128_load(in), wasm_v128_load(stream)));
    }
    for (size_t i = 0; i < len; i++) out[i] = in[i] ^ stream[i];
}

/* Authenticates `len` bytes, and zeros up to a whole block (section 2.8). */
static void authenticate(struct poly *poly, const unsigned char *in, size_t len)
{
    struct poly_number h = poly->h;
    for (; len >= 2 * POLY_BLOCK; len -= 2 * POLY_BLOCK, in += 2 * POLY_BLOCK) {
        h = poly_step(h, &poly->r, &poly->r2, in);
    }
    if (len >= POLY_BLOCK) {
        h = poly_single(h, &poly->r, poly_block(in));
        len -= POLY_BLOCK, in += POLY_BLOCK;
    }
    if (len > 0) {
        unsigned char last[POLY_BLOCK] = { 0 };
        memcpy(last, in, len);
        h = poly_single(h, &poly->r, poly_block(last));
    }
    poly->h = h;
}

/* The tag: (h mod p) + s, modulo 2^128. */
static void make_tag(struct poly_number h, const unsigned char s[16], unsigned char tag[16])
{
    uint64_t low, high, top;
    poly_words(h, &low, &high, &top);

    /* h >= p exactly when h + 5 >= 2^130, and then h - p and h + 5 are the same in their lower 128 bits. */
    const uint64_t low_5 = low + 5, high_5 = high + (low_5 < 5), top_5 = top + (high_5 < high);
    const uint64_t mask = 0 - (top_5 >> 2);
    low ^= mask & (low ^ low_5);
    high ^= mask & (high ^ high_5);

    const uint64_t s_low = poly_load64(s);
    low += s_low;
    high += poly_load64(s + 8) + (low < s_low);
    memcpy(tag, &low, 8);
    memcpy(tag + 8, &high, 8);
}

/* ---- Together -------------------------------------------------------------------------------------- */

/* En- or decrypts `count` times 256 bytes, and authenticates as many from `mac` on. */
static void both(uint32_t state[16], struct poly *poly, size_t count, const unsigned char *in,
                 unsigned char *out, const unsigned char *mac)
{
    const struct chacha_rotations rotations = chacha_rotations();
    struct poly_number h = poly->h;
    for (; count > 0; count--, in += CHACHA_BYTES, out += CHACHA_BYTES) {
        v128_t w[16];
        chacha_spread(w, state);
        for (int i = 0; i < 8; i++, mac += 2 * POLY_BLOCK) {
            chacha_double_round(w, rotations);
            h = poly_step(h, &poly->r, &poly->r2, mac);
        }
        chacha_double_round(w, rotations);
        chacha_double_round(w, rotations);
        chacha_finish(w, state, in, out);
        state[12] += 4;
    }
    poly->h = h;
}

static void crypt_and_tag(mbedtls_chachapoly_context *aead, int encrypt, size_t len, const unsigned char nonce[12],
                          const unsigned char *aad, size_t aad_len, const unsigned char *in, unsigned char *out,
                          unsigned char tag[16])
{
    struct {
        uint32_t state[16];
        unsigned char stream[CHACHA_BYTES], s[16];
        struct poly poly;
    } secret;

    memcpy(secret.state, aead->chacha20_ctx.state, 48); /* the constants and the key */
    secret.state[12] = 0;
    memcpy(secret.state + 13, nonce, 12);
    key_stream(secret.state, secret.stream);
    poly_start(&secret.poly, poly_load64(secret.stream), poly_load64(secret.stream + 8));
    memcpy(secret.s, secret.stream + 16, 16);
    authenticate(&secret.poly, aad, aad_len);

    const size_t first = len < FIRST ? len : FIRST;
    const size_t fours = (len - first) / CHACHA_BYTES;
    size_t done = first + fours * CHACHA_BYTES; /* where the last bytes begin, less than 256 */
    const unsigned char *mac = encrypt ? out : in; /* from where on it is not authenticated yet */
    const unsigned char *const end = mac + len;

    if (!encrypt && fours > 0) authenticate(&secret.poly, mac, first), mac += first;
    if (!encrypt && fours == 0) authenticate(&secret.poly, mac, len), mac = end;
    xor_stream(secret.stream + 64, in, first, out);
    if (encrypt && fours > 0) authenticate(&secret.poly, mac, first), mac += first;

    if (fours > 0 && encrypt) {
        /* The first time there is nothing written yet to authenticate, so do that alone. */
        key_stream(secret.state, secret.stream);
        xor_stream(secret.stream, in + first, CHACHA_BYTES, out + first);
        both(secret.state, &secret.poly, fours - 1, in + first + CHACHA_BYTES, out + first + CHACHA_BYTES, mac);
        mac += (fours - 1) * CHACHA_BYTES;
    }
    if (fours > 0 && !encrypt) {
        both(secret.state, &secret.poly, fours, in + first, out + first, mac);
        mac += fours * CHACHA_BYTES;
        authenticate(&secret.poly, mac, (size_t) (end - mac)), mac = end;
    }
    if (done < len) {
        key_stream(secret.state, secret.stream);
        xor_stream(secret.stream, in + done, len - done, out + done);
    }
    authenticate(&secret.poly, mac, (size_t) (end - mac));

    const uint64_t lengths[2] = { aad_len, len };
    authenticate(&secret.poly, (const unsigned char *) lengths, sizeof(lengths));
    make_tag(secret.poly.h, secret.s, tag);

    aead->state = FINISHED;
    mbedtls_platform_zeroize(&secret, sizeof(secret));
}

/* ---- mbedTLS's functions --------------------------------------------------------------------------- */

int mbedtls_chachapoly_encrypt_and_tag(mbedtls_chachapoly_context *aead, size_t length,
                                       const unsigned char nonce[12], const unsigned char *aad, size_t aad_len,
                                       const unsigned char *input, unsigned char *output, unsigned char tag[16])
{
    crypt_and_tag(aead, 1, length, nonce, aad, aad_len, input, output, tag);
    return 0;
}

int mbedtls_chachapoly_auth_decrypt(mbedtls_chachapoly_context *aead, size_t length,
                                    const unsigned char nonce[12], const unsigned char *aad, size_t aad_len,
                                    const unsigned char tag[16], const unsigned char *input, unsigned char *output)
{
    unsigned char computed[16];
    crypt_and_tag(aead, 0, length, nonce, aad, aad_len, input, output, computed);
    const int differs = mbedtls_ct_memcmp(tag, computed, sizeof(computed));
    mbedtls_platform_zeroize(computed, sizeof(computed));
    if (differs == 0) return 0;
    mbedtls_platform_zeroize(output, length);
    return MBEDTLS_ERR_CHACHAPOLY_AUTH_FAILED;
}
