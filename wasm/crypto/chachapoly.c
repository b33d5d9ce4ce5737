/*
 * Takes the place of mbedtls_chachapoly_encrypt_and_tag() and mbedtls_chachapoly_auth_decrypt(): a record in
 * one call (RFC 8439 section 2.8). The first four blocks of ChaCha20 give the one-time key and 192 bytes of
 * key stream. After them ChaCha20's vectors and Poly1305's multiplications take turns, round by round: each
 * leaves the other's part of the processor idle.
 *
 * Encryption authenticates what it has written before, decryption what it is about to overwrite.
 */
#include "chacha20_blocks.h"
#include "common.h"
#include "poly1305_digits.h"

#include "mbedtls/chachapoly.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/platform_util.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
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

/* What a call knows: all of it is wiped at its end. */
struct call {
    uint32_t state[16];
    unsigned char stream[CHACHA_BYTES], s[16];
    struct poly poly;
};

/* The one-time key, and behind it in `stream` the first of the key stream; the additional data. */
static void begin(struct call *call, const mbedtls_chachapoly_context *aead, const unsigned char nonce[12],
                  const unsigned char *aad, size_t aad_len)
{
    memcpy(call->state, aead->chacha20_ctx.state, 48); /* the constants and the key */
    call->state[12] = 0;
    memcpy(call->state + 13, nonce, 12);
    key_stream(call->state, call->stream);
    poly_start(&call->poly, poly_load64(call->stream), poly_load64(call->stream + 8));
    memcpy(call->s, call->stream + 16, sizeof(call->s));
    authenticate(&call->poly, aad, aad_len);
}

static void encrypt(struct call *call, size_t len, const unsigned char *in, unsigned char *out)
{
    size_t done = MIN(len, FIRST), authenticated = 0;
    xor_stream(call->stream + 64, in, done, out);
    if (len - done >= 2 * CHACHA_BYTES) {
        /* Gets ahead by what both() authenticates while it encrypts as much. */
        key_stream(call->state, call->stream);
        xor_stream(call->stream, in + done, CHACHA_BYTES, out + done);
        done += CHACHA_BYTES;
        const size_t count = (len - done) / CHACHA_BYTES;
        both(call->state, &call->poly, count, in + done, out + done, out);
        done += count * CHACHA_BYTES;
        authenticated = count * CHACHA_BYTES;
    }
    while (done < len) {
        const size_t size = MIN(len - done, CHACHA_BYTES);
        key_stream(call->state, call->stream);
        xor_stream(call->stream, in + done, size, out + done);
        done += size;
    }
    authenticate(&call->poly, out + authenticated, len - authenticated);
}

static void decrypt(struct call *call, size_t len, const unsigned char *in, unsigned char *out)
{
    const size_t first = MIN(len, FIRST), count = (len - first) / CHACHA_BYTES;
    const size_t last = first + count * CHACHA_BYTES; /* where less than 256 bytes are left */
    authenticate(&call->poly, in, count == 0 ? len : first);
    xor_stream(call->stream + 64, in, first, out);
    if (count > 0) {
        both(call->state, &call->poly, count, in + first, out + first, in + first);
        authenticate(&call->poly, in + last, len - last);
    }
    if (last < len) {
        key_stream(call->state, call->stream);
        xor_stream(call->stream, in + last, len - last, out + last);
    }
}

static void finish(struct call *call, mbedtls_chachapoly_context *aead, size_t aad_len, size_t len,
                   unsigned char tag[16])
{
    const uint64_t lengths[2] = { aad_len, len };
    authenticate(&call->poly, (const unsigned char *) lengths, sizeof(lengths));
    make_tag(call->poly.h, call->s, tag);
    mbedtls_platform_zeroize(call, sizeof(*call));
    aead->state = FINISHED;
}

/* ---- mbedTLS's functions ------------------------------------------------------------------------- */

int mbedtls_chachapoly_encrypt_and_tag(mbedtls_chachapoly_context *aead, size_t length,
                                       const unsigned char nonce[12], const unsigned char *aad,
                                       size_t aad_len, const unsigned char *input, unsigned char *output,
                                       unsigned char tag[16])
{
    struct call call;
    begin(&call, aead, nonce, aad, aad_len);
    encrypt(&call, length, input, output);
    finish(&call, aead, aad_len, length, tag);
    return 0;
}

int mbedtls_chachapoly_auth_decrypt(mbedtls_chachapoly_context *aead, size_t length,
                                    const unsigned char nonce[12], const unsigned char *aad, size_t aad_len,
                                    const unsigned char tag[16], const unsigned char *input,
                                    unsigned char *output)
{
    struct call call;
    unsigned char computed[16];
    begin(&call, aead, nonce, aad, aad_len);
    decrypt(&call, length, input, output);
    finish(&call, aead, aad_len, length, computed);

    const int differs = mbedtls_ct_memcmp(tag, computed, sizeof(computed));
    mbedtls_platform_zeroize(computed, sizeof(computed));
    if (differs == 0) return 0;
    mbedtls_platform_zeroize(output, length);
    return MBEDTLS_ERR_CHACHAPOLY_AUTH_FAILED;
}
