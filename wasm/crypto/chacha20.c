/*
 * Takes the place of mbedtls_chacha20_update(): long inputs go through the vectors, four blocks at a time.
 * What comes before and after that, and the state between calls, stays with mbedTLS's own code.
 */
#include "chacha20_blocks.h"
#include "common.h"

#include "mbedtls/chacha20.h"
#include "mbedtls/platform_util.h"

#define BLOCK 64
/* keystream_bytes_used when the counter has run out; chacha20.c keeps the name to itself. */
#define EXHAUSTED (BLOCK + 1)

int mbedtls_chacha20_check_counter_wrap(const mbedtls_chacha20_context *chacha, size_t size);
int stock_mbedtls_chacha20_update(mbedtls_chacha20_context *chacha, size_t size, const unsigned char *input,
                                  unsigned char *output);

static void xor_blocks(const uint32_t initial[16], size_t fours, const unsigned char *in, unsigned char *out)
{
    const struct chacha_rotations rotations = chacha_rotations();
    uint32_t state[16];
    memcpy(state, initial, sizeof(state));
    for (; fours > 0; fours--, in += CHACHA_BYTES, out += CHACHA_BYTES) {
        v128_t w[16];
        chacha_spread(w, state);
        for (int i = 0; i < 10; i++) chacha_double_round(w, rotations);
        chacha_finish(w, state, in, out);
        state[12] += 4;
    }
    mbedtls_platform_zeroize(state, sizeof(state));
}

int mbedtls_chacha20_update(mbedtls_chacha20_context *chacha, size_t size, const unsigned char *input,
                            unsigned char *output)
{
    int ret = mbedtls_chacha20_check_counter_wrap(chacha, size);
    if (ret != 0) return ret;

    const size_t left = chacha->keystream_bytes_used < BLOCK ? BLOCK - chacha->keystream_bytes_used : 0;
    if (size < left + CHACHA_BYTES) return stock_mbedtls_chacha20_update(chacha, size, input, output);

    ret = stock_mbedtls_chacha20_update(chacha, left, input, output);
    if (ret != 0) return ret;
    input += left, output += left, size -= left;

    const size_t fours = size / CHACHA_BYTES, done = fours * CHACHA_BYTES;
    xor_blocks(chacha->state, fours, input, output);
    chacha->state[12] += (uint32_t) (4 * fours);
    if (chacha->state[12] == 0) chacha->keystream_bytes_used = EXHAUSTED;
    return stock_mbedtls_chacha20_update(chacha, size - done, input + done, output + done);
}
