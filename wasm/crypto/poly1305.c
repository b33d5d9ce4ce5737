/*
 * Takes the place of mbedtls_poly1305_update(): long inputs are multiplied two blocks at a time. What comes
 * before and after that, and the state between calls, stays with mbedTLS's own code.
 */
#include "common.h"
#include "poly1305_digits.h"

#include "mbedtls/platform_util.h"
#include "mbedtls/poly1305.h"

#define SHORT 128 /* bytes; below, it costs more to square r than it saves */

int stock_mbedtls_poly1305_update(mbedtls_poly1305_context *mac, const unsigned char *input, size_t ilen);

static uint64_t join(const uint32_t words[2])
{
    return words[0] | (uint64_t) words[1] << 32;
}

static void split(uint32_t words[2], uint64_t value)
{
    words[0] = (uint32_t) value;
    words[1] = (uint32_t) (value >> 32);
}

static void add_pairs(mbedtls_poly1305_context *mac, const unsigned char *in, size_t pairs)
{
    struct poly poly;
    uint64_t low, high, top;
    poly_start(&poly, join(mac->r), join(mac->r + 2));
    struct poly_number h = poly_split(join(mac->acc), join(mac->acc + 2), mac->acc[4]);
    for (; pairs > 0; pairs--, in += 2 * POLY_BLOCK) h = poly_step(h, &poly.r, &poly.r2, in);
    poly_words(h, &low, &high, &top);
    split(mac->acc, low);
    split(mac->acc + 2, high);
    mac->acc[4] = (uint32_t) top;
    mbedtls_platform_zeroize(&poly, sizeof(poly));
}

int mbedtls_poly1305_update(mbedtls_poly1305_context *mac, const unsigned char *input, size_t ilen)
{
    if (ilen < SHORT) return stock_mbedtls_poly1305_update(mac, input, ilen);

    const size_t missing = mac->queue_len > 0 ? POLY_BLOCK - mac->queue_len : 0; /* of a block begun */
    const int ret = stock_mbedtls_poly1305_update(mac, input, missing);
    if (ret != 0) return ret;
    input += missing, ilen -= missing;

    const size_t pairs = ilen / (2 * POLY_BLOCK), done = pairs * 2 * POLY_BLOCK;
    add_pairs(mac, input, pairs);
    return stock_mbedtls_poly1305_update(mac, input + done, ilen - done);
}
