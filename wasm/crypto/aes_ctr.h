/*
 * AES in GCM's counter mode.
 */
#ifndef AES_CTR_H
#define AES_CTR_H

#include "mbedtls/aes.h"

#include <stddef.h>
#include <stdint.h>

/*
 * `counter` is the block counted last, and its last four bytes are the count, big-endian, modulo 2^32 (SP 800-38D, inc32).
 * Adds the stream of the blocks that follow it to `len` bytes, and leaves the last of them in `counter`. With `mask`, the
 * block that `counter` began as is encrypted into that. `out` may be `in`, or lie before it.
 *
 * A secret counter takes the slower way, which is the same for all of them: each bit of one that GHASH has made of a known
 * IV is an equation in the bits of h, and for an IV of up to 16 bytes a linear one.
 */
void aes_ctr32(const mbedtls_aes_context *aes, uint8_t counter[16], int counter_secret, uint8_t mask[16],
               const uint8_t *in, uint8_t *out, size_t len);

#endif
