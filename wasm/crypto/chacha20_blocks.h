/*
 * ChaCha20 (RFC 8439 section 2.3), four blocks side by side: vector i holds word i of each of them, so a round
 * on one block is the same round on all four, without a shuffle.
 *
 * Only additions, exclusive ors and rotations by constants touch the key: nothing here can depend on it in
 * time.
 */
#ifndef CHACHA20_BLOCKS_H
#define CHACHA20_BLOCKS_H

#include "inline.h"

#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

#define CHACHA_BYTES 256 /* what the four blocks are together */

INLINE v128_t rotate(v128_t x, int bits)
{
    return wasm_v128_or(wasm_i32x4_shl(x, bits), wasm_u32x4_shr(x, 32 - bits));
}

/*
 * Rotations by whole bytes are one instruction where a swizzle may be relaxed: indices are below 16, for which
 * every engine has to do the same. V8 adds a fix-up to the plain one, which makes shifts the better choice
 * there.
 */
struct chacha_rotations {
    v128_t by_16, by_8;
};

INLINE struct chacha_rotations chacha_rotations(void)
{
    struct chacha_rotations indices = {
        wasm_i8x16_const(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13),
        wasm_i8x16_const(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14),
    };
    /* The compiler must not know them, or it makes them anew, in four instructions, at each of the 160 uses. */
    __asm__("" : "+r"(indices.by_16), "+r"(indices.by_8));
    return indices;
}

#ifdef __wasm_relaxed_simd__
#define ROTATE_16(x) wasm_i8x16_relaxed_swizzle(x, rotations.by_16)
#define ROTATE_8(x) wasm_i8x16_relaxed_swizzle(x, rotations.by_8)
#else
#define ROTATE_16(x) rotate(x, 16)
#define ROTATE_8(x) rotate(x, 8)
#endif

/*
 * Four quarter rounds (section 2.1) on each block, step by step together. Word i of the first row goes with
 * words i + shift, i + 2 shift and i + 3 shift of the others: shift 0 takes the columns, shift 1 the
 * diagonals.
 */
INLINE void chacha_quarter_rounds(v128_t w[16], struct chacha_rotations rotations, int shift)
{
    (void) rotations; /* plain SIMD does without */
    v128_t *const a = w, *const b = w + 4, *const c = w + 8, *const d = w + 12;
#define B b[(i + shift) & 3]
#define C c[(i + 2 * shift) & 3]
#define D d[(i + 3 * shift) & 3]
#define EACH UNROLL for (int i = 0; i < 4; i++)
    EACH a[i] = wasm_i32x4_add(a[i], B);
    EACH D = ROTATE_16(wasm_v128_xor(D, a[i]));
    EACH C = wasm_i32x4_add(C, D);
    EACH B = rotate(wasm_v128_xor(B, C), 12);
    EACH a[i] = wasm_i32x4_add(a[i], B);
    EACH D = ROTATE_8(wasm_v128_xor(D, a[i]));
    EACH C = wasm_i32x4_add(C, D);
    EACH B = rotate(wasm_v128_xor(B, C), 7);
#undef B
#undef C
#undef D
#undef EACH
}

INLINE void chacha_double_round(v128_t w[16], struct chacha_rotations rotations)
{
    chacha_quarter_rounds(w, rotations, 0);
    chacha_quarter_rounds(w, rotations, 1);
}

/* The state before the rounds (section 2.3): counters follow on each other, and wrap to 0. */
INLINE void chacha_spread(v128_t w[16], const uint32_t state[16])
{
    UNROLL for (int i = 0; i < 16; i++) w[i] = wasm_i32x4_splat((int32_t) state[i]);
    w[12] = wasm_i32x4_add(w[12], wasm_i32x4_const(0, 1, 2, 3));
}

/* Columns to rows: four vectors with a word of each block, to a vector with four words for each block. */
INLINE void chacha_transpose(v128_t w[4])
{
    const v128_t ab_low = wasm_i32x4_shuffle(w[0], w[1], 0, 4, 1, 5);
    const v128_t ab_high = wasm_i32x4_shuffle(w[0], w[1], 2, 6, 3, 7);
    const v128_t cd_low = wasm_i32x4_shuffle(w[2], w[3], 0, 4, 1, 5);
    const v128_t cd_high = wasm_i32x4_shuffle(w[2], w[3], 2, 6, 3, 7);
    w[0] = wasm_i64x2_shuffle(ab_low, cd_low, 0, 2);
    w[1] = wasm_i64x2_shuffle(ab_low, cd_low, 1, 3);
    w[2] = wasm_i64x2_shuffle(ab_high, cd_high, 0, 2);
    w[3] = wasm_i64x2_shuffle(ab_high, cd_high, 1, 3);
}

/*
 * Adds the first state and xors the 256 bytes of key stream. Input and output may be anywhere, and may overlap
 * as long as the output does not begin inside the input: bytes go from first to last, as in mbedTLS.
 */
INLINE void chacha_finish(v128_t w[16], const uint32_t state[16], const unsigned char *in, unsigned char *out)
{
    v128_t first[16];
    chacha_spread(first, state);
    UNROLL for (int i = 0; i < 16; i++) w[i] = wasm_i32x4_add(w[i], first[i]);
    UNROLL for (int row = 0; row < 16; row += 4) chacha_transpose(w + row);
    UNROLL for (int i = 0; i < 16; i++) {
        const v128_t stream = w[i % 4 * 4 + i / 4]; /* row i % 4 of block i / 4 */
        wasm_v128_store(out + 16 * i, wasm_v128_xor(wasm_v128_load(in + 16 * i), stream));
    }
}

#endif
