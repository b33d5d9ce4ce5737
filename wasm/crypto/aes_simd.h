/*
 * What AES and GHASH share: vectors of 16 bytes, look-ups by 4 bits, and the steps of AES that aes_tables.ts explains.
 *
 * A look-up gives 0 for an index from 128 on. Its relaxed variant, one instruction on every machine, says nothing of the
 * indices from 16 to 127: none occurs here.
 */
#ifndef AES_SIMD_H
#define AES_SIMD_H

#include "inline.h"

#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

typedef v128_t vec;
typedef uint8_t table[16] __attribute__((aligned(16)));

INLINE vec load(const void *from)
{
    return wasm_v128_load(from);
}

INLINE void store(void *to, vec value)
{
    wasm_v128_store(to, value);
}

INLINE vec splat(uint8_t byte)
{
    return wasm_i8x16_splat((int8_t) byte);
}

INLINE vec look(vec row, vec index)
{
#if defined(__wasm_relaxed_simd__)
    return wasm_i8x16_relaxed_swizzle(row, index);
#else
    return wasm_i8x16_swizzle(row, index);
#endif
}

INLINE vec low_nibbles(vec bytes)
{
    return bytes & splat(0x0f);
}

INLINE vec high_nibbles(vec bytes)
{
    return wasm_u32x4_shr(wasm_v128_andnot(bytes, splat(0x0f)), 4);
}

/* Makes byte p of vector l byte l of vector p. Four times the interleaving of both halves is a transposition. */
INLINE void transpose(vec rows[16])
{
    vec next[16];
    UNROLL for (int turn = 0; turn < 4; turn++) {
        UNROLL for (int n = 0; n < 8; n++) {
            next[2 * n] = wasm_i8x16_shuffle(rows[n], rows[n + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            next[2 * n + 1] = wasm_i8x16_shuffle(rows[n], rows[n + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
                                                 30, 15, 31);
        }
        UNROLL for (int n = 0; n < 16; n++) rows[n] = next[n];
    }
}

/* ---- AES ------------------------------------------------------------------------------------------- */

/* In a file of their own, where the compiler of the code does not see them: it would write them into the code as
 * constants, and an engine makes those anew in general registers for each use. */
extern const table aes_inverse[2], aes_enter[2], aes_sbox2[2], aes_sbox3[2], aes_sbox_leave[2];
extern const table aes_unenter[2], aes_unsbox[8], aes_unsbox_leave[2], aes_shift[4], aes_unshift[4];

/* Two tables for the two nibbles of bytes, or for the two results of invert(). */
typedef struct {
    vec first, second;
} vec2;

INLINE vec2 load2(const table rows[2])
{
    return (vec2) { load(rows[0]), load(rows[1]) };
}

INLINE vec look2(vec2 tables, vec2 indices)
{
    return look(tables.first, indices.first) ^ look(tables.second, indices.second);
}

/* A linear map of bytes, given by its values for low and for high nibbles. */
INLINE vec map_bytes(const table rows[2], vec bytes)
{
    return look2(load2(rows), (vec2) { low_nibbles(bytes), high_nibbles(bytes) });
}

/* io and jo. `inverse` is aes_inverse. */
INLINE vec2 invert(vec2 inverse, vec bytes)
{
    const vec i = high_nibbles(bytes), k = low_nibbles(bytes), j = i ^ k;
    const vec ak = look(inverse.second, k);
    const vec io = look(inverse.first, look(inverse.first, i) ^ ak) ^ j;
    const vec jo = look(inverse.first, look(inverse.first, j) ^ ak) ^ i;
    return (vec2) { io, jo };
}

#endif
