/*
 * AES by blocks in order, a few at once; aes_ctr.c has what is faster for many.
 */
#ifndef AES_CORE_H
#define AES_CORE_H

#include "mbedtls/aes.h"

#include "aes_simd.h"

/*
 * Encrypts `count` blocks, which must be a constant: their steps interleave, which hides most of the latency.
 *
 * Between the rounds the blocks are in the tower's representation (phi), without S-box constant: that is in the round
 * keys, as MixColumns leaves a column of four equal bytes as it is. A round puts
 *
 *   2 S(r) + 3 S(r+1) + S(r+2) + S(r+3)
 *
 * into row r, where ShiftRows says which column S(r+n) comes from: aes_shift[n].
 */
INLINE void aes_encrypt(const mbedtls_aes_context *aes, vec *blocks, const int count)
{
    const vec2 inverse = load2(aes_inverse), sbox2 = load2(aes_sbox2), sbox3 = load2(aes_sbox3);
    const vec shift0 = load(aes_shift[0]), shift1 = load(aes_shift[1]);
    const vec shift2 = load(aes_shift[2]), shift3 = load(aes_shift[3]);

    vec key = load(aes->round_key[0]);
    UNROLL for (int n = 0; n < count; n++) blocks[n] = map_bytes(aes_enter, blocks[n]) ^ key;
    KEEP_LOOP for (uint32_t round = 1; round < aes->rounds; round++) {
        key = load(aes->round_key[round]);
        UNROLL for (int n = 0; n < count; n++) {
            const vec2 inverted = invert(inverse, blocks[n]);
            const vec s2 = look2(sbox2, inverted), s3 = look2(sbox3, inverted), s = s2 ^ s3;
            blocks[n] = look(s2, shift0) ^ look(s3, shift1) ^ look(s, shift2) ^ look(s, shift3) ^ key;
        }
    }
    key = load(aes->round_key[aes->rounds]);
    UNROLL for (int n = 0; n < count; n++) {
        blocks[n] = look(look2(load2(aes_sbox_leave), invert(inverse, blocks[n])), shift0) ^ key;
    }
}

#endif
