/*
 * AES (FIPS 197) without tables in memory that a secret indexes, as mbedTLS's own functions (MBEDTLS_AES_ALT): key
 * schedule, single blocks, CBC. Secrets are in vectors that the engine keeps in registers or on its own stack.
 */
#include "aes_core.h"

#include "mbedtls/platform_util.h"

#if defined(MBEDTLS_CIPHER_MODE_CTR) || defined(MBEDTLS_CIPHER_MODE_CFB) || defined(MBEDTLS_CIPHER_MODE_OFB) ||     \
    defined(MBEDTLS_CIPHER_MODE_XTS)
#error "The configuration wants a mode of AES that is not here"
#endif

#define S_CONSTANT splat(0x63) /* S(0) */

void mbedtls_aes_init(mbedtls_aes_context *ctx)
{
    memset(ctx, 0, sizeof(*ctx));
}

void mbedtls_aes_free(mbedtls_aes_context *ctx)
{
    if (ctx != NULL) mbedtls_platform_zeroize(ctx, sizeof(*ctx));
}

/* ---- Keys ------------------------------------------------------------------------------------------ */

static uint32_t sub_word(uint32_t word)
{
    const vec entered = map_bytes(aes_enter, wasm_u32x4_splat(word));
    const vec s = look2(load2(aes_sbox_leave), invert(load2(aes_inverse), entered)) ^ S_CONSTANT;
    return (uint32_t) wasm_i32x4_extract_lane(s, 0);
}

/*
 * FIPS 197 section 5.2, into ctx as it stands there. Words are little-endian, so that RotWord is a rotation to the right.
 */
static int expand_key(mbedtls_aes_context *ctx, const unsigned char *key, unsigned keybits)
{
    if (keybits != 128 && keybits != 192 && keybits != 256) return MBEDTLS_ERR_AES_INVALID_KEY_LENGTH;
    const uint32_t key_words = keybits / 32;
    ctx->rounds = key_words + 6;

    uint32_t words[60];
    const uint32_t count = 4 * (ctx->rounds + 1);
    memcpy(words, key, keybits / 8);
    uint32_t word = words[key_words - 1], constant = 1;
    KEEP_LOOP for (uint32_t i = key_words, step = 0; i < count; i++) {
        if (step == 0) {
            word = sub_word(word >> 8 | word << 24) ^ constant;
            constant = constant << 1 ^ (constant & 0x80 ? 0x11b : 0); /* nothing secret */
        } else if (key_words == 8 && step == 4) {
            word = sub_word(word);
        }
        word ^= words[i - key_words];
        words[i] = word;
        step = step + 1 == key_words ? 0 : step + 1;
    }
    memcpy(ctx->round_key, words, 4 * count);
    mbedtls_platform_zeroize(words, sizeof(words));
    return 0;
}

int mbedtls_aes_setkey_enc(mbedtls_aes_context *ctx, const unsigned char *key, unsigned int keybits)
{
    const int ret = expand_key(ctx, key, keybits);
    if (ret != 0) return ret;
    KEEP_LOOP for (uint32_t round = 0; round <= ctx->rounds; round++) {
        vec k = load(ctx->round_key[round]);
        if (round > 0) k ^= S_CONSTANT;
        if (round < ctx->rounds) k = map_bytes(aes_enter, k);
        store(ctx->round_key[round], k);
    }
    return 0;
}

/* x -> 2 x in each byte. */
static vec twice(vec x)
{
    return wasm_i8x16_shl(x, 1) ^ (wasm_i8x16_shr(x, 7) & splat(0x1b));
}

/* Rotates each column by so many rows. */
#define ROWS(x, n) (wasm_u32x4_shr(x, 8 * (n)) | wasm_i32x4_shl(x, 32 - 8 * (n)))

/*
 * InvMixColumns = MixColumns after (5 0 4 0): row r becomes 5 x(r) + 4 x(r+2), then 2 x(r) + 3 x(r+1) + x(r+2) + x(r+3).
 */
static vec unmix_columns(vec x)
{
    x ^= twice(twice(x ^ ROWS(x, 2)));
    const vec sum = x ^ ROWS(x, 1);
    return twice(sum) ^ ROWS(x, 1) ^ ROWS(sum, 2);
}

/*
 * The equivalent inverse cipher (FIPS 197 section 5.3.5). Before each InvSubBytes the state is psi(state + 0x63), which is
 * ready to be inverted; so are the round keys, the last of which is plain.
 */
int mbedtls_aes_setkey_dec(mbedtls_aes_context *ctx, const unsigned char *key, unsigned int keybits)
{
    const int ret = expand_key(ctx, key, keybits);
    if (ret != 0) return ret;
    const uint32_t rounds = ctx->rounds;
    for (uint32_t low = 0, high = rounds; low < high; low++, high--) {
        const vec k = load(ctx->round_key[low]);
        store(ctx->round_key[low], load(ctx->round_key[high]));
        store(ctx->round_key[high], k);
    }
    KEEP_LOOP for (uint32_t round = 0; round < rounds; round++) {
        vec k = load(ctx->round_key[round]);
        if (round > 0) k = unmix_columns(k);
        store(ctx->round_key[round], map_bytes(aes_unenter, k ^ S_CONSTANT));
    }
    return 0;
}

/* ---- Blocks ---------------------------------------------------------------------------------------- */

/* aes_encrypt() backwards: InvMixColumns puts 14 z(r) + 11 z(r+1) + 13 z(r+2) + 9 z(r+3) into row r. */
INLINE void aes_decrypt(const mbedtls_aes_context *aes, vec *blocks, const int count)
{
    const vec2 inverse = load2(aes_inverse);
    vec key = load(aes->round_key[0]);
    UNROLL for (int n = 0; n < count; n++) blocks[n] = map_bytes(aes_unenter, blocks[n]) ^ key;
    KEEP_LOOP for (uint32_t round = 1; round < aes->rounds; round++) {
        key = load(aes->round_key[round]);
        UNROLL for (int n = 0; n < count; n++) {
            const vec2 z = invert(inverse, blocks[n]);
            blocks[n] = key;
            UNROLL for (int row = 0; row < 4; row++) {
                blocks[n] ^= look(look2(load2(aes_unsbox + 2 * row), z), load(aes_unshift[row]));
            }
        }
    }
    key = load(aes->round_key[aes->rounds]);
    UNROLL for (int n = 0; n < count; n++) {
        const vec z = look2(load2(aes_unsbox_leave), invert(inverse, blocks[n]));
        blocks[n] = look(z, load(aes_unshift[0])) ^ key;
    }
}

int mbedtls_internal_aes_encrypt(mbedtls_aes_context *ctx, const unsigned char input[16], unsigned char output[16])
{
    vec block = load(input);
    aes_encrypt(ctx, &block, 1);
    store(output, block);
    return 0;
}

int mbedtls_internal_aes_decrypt(mbedtls_aes_context *ctx, const unsigned char input[16], unsigned char output[16])
{
    vec block = load(input);
    aes_decrypt(ctx, &block, 1);
    store(output, block);
    return 0;
}

int mbedtls_aes_crypt_ecb(mbedtls_aes_context *ctx, int mode, const unsigned char input[16], unsigned char output[16])
{
    if (mode == MBEDTLS_AES_ENCRYPT) return mbedtls_internal_aes_encrypt(ctx, input, output);
    if (mode == MBEDTLS_AES_DECRYPT) return mbedtls_internal_aes_decrypt(ctx, input, output);
    return MBEDTLS_ERR_AES_BAD_INPUT_DATA;
}

/* ---- CBC ------------------------------------------------------------------------------------------- */

#define AT_ONCE 4 /* blocks that are decrypted at once; encryption has to wait for each */

INLINE vec decrypt_cbc(const mbedtls_aes_context *ctx, vec previous, const unsigned char *in, unsigned char *out,
                       const int count)
{
    vec blocks[AT_ONCE], next[AT_ONCE];
    UNROLL for (int n = 0; n < count; n++) blocks[n] = next[n] = load(in + 16 * n);
    aes_decrypt(ctx, blocks, count);
    UNROLL for (int n = 0; n < count; n++) {
        store(out + 16 * n, blocks[n] ^ (n == 0 ? previous : next[n - 1]));
    }
    return next[count - 1];
}

int mbedtls_aes_crypt_cbc(mbedtls_aes_context *ctx, int mode, size_t length, unsigned char iv[16],
                          const unsigned char *input, unsigned char *output)
{
    if (mode != MBEDTLS_AES_ENCRYPT && mode != MBEDTLS_AES_DECRYPT) return MBEDTLS_ERR_AES_BAD_INPUT_DATA;
    if (length % 16 != 0) return MBEDTLS_ERR_AES_INVALID_INPUT_LENGTH;

    vec previous = load(iv);
    size_t at = 0;
    if (mode == MBEDTLS_AES_ENCRYPT) {
        for (; at < length; at += 16) {
            previous ^= load(input + at);
            aes_encrypt(ctx, &previous, 1);
            store(output + at, previous);
        }
    } else {
        for (; at + 16 * AT_ONCE <= length; at += 16 * AT_ONCE) {
            previous = decrypt_cbc(ctx, previous, input + at, output + at, AT_ONCE);
        }
        for (; at < length; at += 16) previous = decrypt_cbc(ctx, previous, input + at, output + at, 1);
    }
    store(iv, previous);
    return 0;
}
