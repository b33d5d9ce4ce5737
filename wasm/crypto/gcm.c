/*
 * AES-GCM (SP 800-38D) as mbedTLS's own functions (MBEDTLS_GCM_ALT): they take, write, return and refuse what its gcm.c
 * does, in the same order.
 */
#include "mbedtls/gcm.h"

#include "aes_ctr.h"
#include "ghash.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/error.h"
#include "mbedtls/platform_util.h"

#include <string.h>

#define TEXT_MAX 0xfffffffe0 /* bytes: 2^39 - 256 bits */

/* What a call takes besides the message's own blocks: the first bytes of a block, those of the last, the lengths. */
#define EXTRA_BLOCKS 3

void mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
    memset(ctx, 0, sizeof(*ctx));
}

void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
    if (ctx != NULL) mbedtls_platform_zeroize(ctx, sizeof(*ctx));
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher, const unsigned char *key,
                       unsigned int keybits)
{
    if (keybits != 128 && keybits != 192 && keybits != 256) return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (cipher != MBEDTLS_CIPHER_ID_AES) return MBEDTLS_ERR_GCM_BAD_INPUT;
    const int ret = mbedtls_aes_setkey_enc(&ctx->aes, key, keybits);
    if (ret != 0) return ret;
    memset(ctx->h, 0, sizeof(ctx->h));
    return mbedtls_internal_aes_encrypt(&ctx->aes, ctx->h, ctx->h);
}

/* ---- Steps, between ghash_begin() and ghash_end() ---------------------------------------------------- */

static void put_uint64(unsigned char *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, 8);
}

/* Goes on with the block that ctx->buf holds, after bytes of other data. */
static void hash_block(mbedtls_gcm_context *ctx)
{
    static const unsigned char zero[16];
    ghash_blocks(ctx->buf, zero, 1);
}

/* Hashes data of which `before` bytes came earlier. */
static void hash(mbedtls_gcm_context *ctx, uint64_t before, const unsigned char *data, size_t len)
{
    size_t used = before % 16;
    if (used != 0) {
        for (; used < 16 && len > 0; len--) ctx->buf[used++] ^= *data++;
        if (used < 16) return;
        hash_block(ctx);
    }
    if (len >= 16) ghash_blocks(ctx->buf, data, len / 16);
    data += len - len % 16;
    for (size_t i = 0; i < len % 16; i++) ctx->buf[i] ^= data[i];
}

/* The counter to begin with. */
static void start(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len)
{
    ctx->mode = mode;
    ctx->len = 0;
    ctx->add_len = 0;
    memset(ctx->buf, 0, sizeof(ctx->buf));
    ctx->counter_secret = iv_len != 12;
    if (iv_len == 12) {
        memcpy(ctx->y, iv, 12);
        memcpy(ctx->y + 12, "\0\0\0\1", 4);
        return;
    }
    unsigned char lengths[16] = { 0 };
    put_uint64(lengths + 8, (uint64_t) iv_len * 8);
    hash(ctx, 0, iv, iv_len);
    if (iv_len % 16 != 0) hash_block(ctx);
    ghash_blocks(ctx->buf, lengths, 1);
    memcpy(ctx->y, ctx->buf, 16);
    memset(ctx->buf, 0, sizeof(ctx->buf));
}

static void add_data(mbedtls_gcm_context *ctx, const unsigned char *add, size_t add_len)
{
    hash(ctx, ctx->add_len, add, add_len);
    ctx->add_len += add_len;
}

/* Encrypts or decrypts, and hashes the ciphertext. With `mask`, these are the first bytes, and the tag's mask is due. */
static void crypt(mbedtls_gcm_context *ctx, unsigned char *mask, const unsigned char *in, size_t len,
                  unsigned char *out)
{
    if (len > 0 && ctx->len == 0 && ctx->add_len % 16 != 0) hash_block(ctx);
    if (ctx->mode == MBEDTLS_GCM_DECRYPT) hash(ctx, ctx->len, in, len);

    const unsigned char *encrypted = out;
    size_t left = len, used = ctx->len % 16;
    if (used != 0) { /* the block that ctx->y has counted already */
        unsigned char stream[16];
        mbedtls_internal_aes_encrypt(&ctx->aes, ctx->y, stream);
        for (; used < 16 && left > 0; left--) *out++ = *in++ ^ stream[used++];
        mbedtls_platform_zeroize(stream, sizeof(stream));
    }
    if (left > 0 || mask != NULL) aes_ctr32(&ctx->aes, ctx->y, ctx->counter_secret, mask, in, out, left);

    if (ctx->mode == MBEDTLS_GCM_ENCRYPT) hash(ctx, ctx->len, encrypted, len);
    ctx->len += len;
}

static int finish(mbedtls_gcm_context *ctx, unsigned char *tag, size_t tag_len)
{
    if (tag_len < 4 || tag_len > 16) return MBEDTLS_ERR_GCM_BAD_INPUT;
    unsigned char lengths[16];
    if ((ctx->len != 0 ? ctx->len : ctx->add_len) % 16 != 0) hash_block(ctx);
    put_uint64(lengths, ctx->add_len * 8);
    put_uint64(lengths + 8, ctx->len * 8);
    ghash_blocks(ctx->buf, lengths, 1);
    for (size_t i = 0; i < tag_len; i++) tag[i] = ctx->base_ectr[i] ^ ctx->buf[i];
    return 0;
}

/* ---- In pieces -------------------------------------------------------------------------------------- */

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len)
{
    if (iv_len == 0) return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (ctx->aes.rounds == 0) return MBEDTLS_ERR_CIPHER_BAD_INPUT_DATA;
    ghash_begin(ctx->h, iv_len / 16 + EXTRA_BLOCKS);
    start(ctx, mode, iv, iv_len);
    ghash_end();
    return mbedtls_internal_aes_encrypt(&ctx->aes, ctx->y, ctx->base_ectr);
}

int mbedtls_gcm_update_ad(mbedtls_gcm_context *ctx, const unsigned char *add, size_t add_len)
{
    if ((ctx->add_len + add_len) >> 61 != 0) return MBEDTLS_ERR_GCM_BAD_INPUT; /* both are below 2^61 */
    ghash_begin(ctx->h, add_len / 16 + EXTRA_BLOCKS);
    add_data(ctx, add, add_len);
    ghash_end();
    return 0;
}

/* What mbedtls_gcm_update() refuses, for a context with `before` bytes done. */
static int check_text(uint64_t before, const unsigned char *in, size_t len, const unsigned char *out)
{
    if (len == 0) return 0;
    if (out > in && (size_t) (out - in) < len) return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (before + len > TEXT_MAX) return MBEDTLS_ERR_GCM_BAD_INPUT;
    return 0;
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, const unsigned char *input, size_t input_length,
                       unsigned char *output, size_t output_size, size_t *output_length)
{
    if (output_size < input_length) return MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL;
    *output_length = input_length;
    if (input_length == 0) return 0;
    const int ret = check_text(ctx->len, input, input_length, output);
    if (ret != 0) return ret;
    ghash_begin(ctx->h, input_length / 16 + EXTRA_BLOCKS);
    crypt(ctx, NULL, input, input_length, output);
    ghash_end();
    return 0;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *output, size_t output_size, size_t *output_length,
                       unsigned char *tag, size_t tag_len)
{
    (void) output;
    (void) output_size;
    *output_length = 0;
    ghash_begin(ctx->h, EXTRA_BLOCKS);
    const int ret = finish(ctx, tag, tag_len);
    ghash_end();
    return ret;
}

/* ---- In one ------------------------------------------------------------------------------------------ */

int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length, const unsigned char *iv,
                              size_t iv_len, const unsigned char *add, size_t add_len, const unsigned char *input,
                              unsigned char *output, size_t tag_len, unsigned char *tag)
{
    if (iv_len == 0) return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (ctx->aes.rounds == 0) return MBEDTLS_ERR_CIPHER_BAD_INPUT_DATA;
    int ret = check_text(0, input, length, output);
    if (ret != 0) return ret;
    ghash_begin(ctx->h, iv_len / 16 + add_len / 16 + length / 16 + EXTRA_BLOCKS);
    start(ctx, mode, iv, iv_len);
    add_data(ctx, add, add_len);
    crypt(ctx, ctx->base_ectr, input, length, output);
    ret = finish(ctx, tag, tag_len);
    ghash_end();
    return ret;
}

int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv, size_t iv_len,
                             const unsigned char *add, size_t add_len, const unsigned char *tag, size_t tag_len,
                             const unsigned char *input, unsigned char *output)
{
    unsigned char check_tag[16];
    const int ret = mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_DECRYPT, length, iv, iv_len, add, add_len, input,
                                              output, tag_len, check_tag);
    if (ret != 0) return ret;
    const int differs = mbedtls_ct_memcmp(tag, check_tag, tag_len);
    mbedtls_platform_zeroize(check_tag, sizeof(check_tag));
    if (differs != 0) {
        mbedtls_platform_zeroize(output, length);
        return MBEDTLS_ERR_GCM_AUTH_FAILED;
    }
    return 0;
}
