/*
 * GHASH (SP 800-38D section 6.4): the polynomial over GF(2^128) that authenticates in GCM.
 */
#ifndef GHASH_H
#define GHASH_H

#include <stddef.h>
#include <stdint.h>

/* Makes ready to multiply by `h`, some `blocks` times in all. What this derives is the module's, not the key's: it goes
 * from one begin to its end and cannot be nested. */
void ghash_begin(const uint8_t h[16], size_t blocks);

/* y = (y + block) h for each block. */
void ghash_blocks(uint8_t y[16], const uint8_t *blocks, size_t count);

/* Wipes what ghash_begin() has derived. */
void ghash_end(void);

#endif
