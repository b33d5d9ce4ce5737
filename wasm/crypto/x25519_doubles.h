/*
 * Arithmetic in doubles, for X25519: two numbers modulo p = 2^255 - 19 at once, one in each lane, as five
 * signed digits of 51 bits, each digit an integer in a double. It needs multiply-adds that round once.
 *
 * fma.h says how a product of two digits becomes words: hi and lo of it, and constants.
 *
 * Columns. |hi| <= 2^51. Column k sums lo of the digits with i + j = k and hi of those with i + j = k - 1, at
 * most five of one and four of the other: below 7 * 2^51. With 2^255 = 19, column k + 5 adds to column k, 19
 * times: a sum T is below 134 * 2^51 in size.
 *
 * Carry. T + 2^60 + 2^50 is positive and below 2^61. Its low 51 bits less 2^50 are the digit, from -2^50 to
 * 2^50; the rest less 2^9 is the carry to the next digit, at most 134, and from the last, 19 times, to the
 * first: at most 2546. So a product is "short": digits are at most 2^50 + 2^12. A sum or difference of two
 * short numbers is "long": at most 2^51 + 2^13. Multiplied may be short by short and long by short (2^101 +
 * 2^65), not long by long; a square doubles digits, so only short ones are squared (2^101 + 2^65). `shorten()`
 * makes long short again.
 */
#ifndef X25519_DOUBLES_H
#define X25519_DOUBLES_H

#include "fma.h"

/* Two numbers. A pair is written [first lane, second lane]. */
typedef struct {
    v128_t d[5];
} pair;

INLINE v128_t times_19(v128_t x)
{
    v128_t twice = wasm_i64x2_add(x, x);
    __asm__("" : "+r"(twice)); /* or the compiler makes it a multiplication, which machines lack for 64 bits */
    return wasm_i64x2_add(wasm_i64x2_add(x, twice), wasm_i64x2_shl(x, 4));
}

/* How many products digits i and j with i + j = k make. */
INLINE uint64_t products_of(int k, int squared)
{
    const int all = k < 0 || k > 8 ? 0 : k < 5 ? k + 1 : 9 - k;
    return (uint64_t) (squared ? (all + 1) / 2 : all);
}

/* What column k has to begin with, so that the constants in the words come to nothing. */
INLINE uint64_t start_of(int k, int squared)
{
    return 0 - products_of(k, squared) * LOW_BITS - products_of(k - 1, squared) * HIGH_BITS;
}

/* Makes a short number of ten columns. */
INLINE void carry(pair *r, const v128_t columns[10], int squared)
{
    const v128_t mask = wasm_i64x2_const_splat(((int64_t) 1 << 51) - 1);
    const v128_t one = wasm_f64x2_const_splat(0x1p52); /* or-ed to an integer below 2^52: 2^52 more, as a double */
    v128_t digit[5], over[5];
    UNROLL for (int k = 0; k < 5; k++) {
        const uint64_t start = start_of(k, squared) + 19 * start_of(k + 5, squared);
        const int64_t positive = (int64_t) (start + ((uint64_t) 1 << 60) + ((uint64_t) 1 << 50));
        v128_t t = wasm_i64x2_add(columns[k], times_19(columns[k + 5]));
        t = wasm_i64x2_add(t, wasm_i64x2_splat(positive));
        digit[k] = wasm_v128_or(wasm_v128_and(t, mask), one);
        digit[k] = wasm_f64x2_sub(digit[k], wasm_f64x2_const_splat(0x1p52 + 0x1p50));
        over[k] = wasm_v128_or(wasm_u64x2_shr(t, 51), one);
        over[k] = wasm_f64x2_sub(over[k], wasm_f64x2_const_splat(0x1p52 + 0x1p9));
    }
    r->d[0] = wasm_f64x2_add(digit[0], wasm_f64x2_mul(over[4], wasm_f64x2_const_splat(19)));
    UNROLL for (int k = 1; k < 5; k++) r->d[k] = wasm_f64x2_add(digit[k], over[k - 1]);
}

INLINE void multiply(pair *r, const pair *a, const pair *b)
{
    v128_t columns[10] = { 0 };
    UNROLL for (int k = 0; k < 9; k++) {
        UNROLL for (int i = k < 5 ? 0 : k - 4; i <= k && i < 5; i++) {
            add_product(columns + k, columns + k + 1, a->d[i], b->d[k - i]);
        }
    }
    carry(r, columns, 0);
}

INLINE void square(pair *r, const pair *a)
{
    v128_t columns[10] = { 0 }, twice[5];
    UNROLL for (int i = 0; i < 5; i++) twice[i] = wasm_f64x2_add(a->d[i], a->d[i]);
    UNROLL for (int k = 0; k < 9; k++) {
        UNROLL for (int i = k < 5 ? 0 : k - 4; 2 * i < k; i++) {
            add_product(columns + k, columns + k + 1, twice[i], a->d[k - i]);
        }
        if (k % 2 == 0) add_product(columns + k, columns + k + 1, a->d[k / 2], a->d[k / 2]);
    }
    carry(r, columns, 1);
}

/* Makes digits of up to 2^52 short: at most 2^50 + 2 * 19. */
INLINE void shorten(pair *r)
{
    /* x + 1.5 * 2^103 - 1.5 * 2^103 is x to the nearest multiple of 2^51. */
    const v128_t round = wasm_f64x2_const_splat(HIGH), one = wasm_f64x2_const_splat(0x1p-51);
    v128_t over[5];
    UNROLL for (int i = 0; i < 5; i++) {
        over[i] = wasm_f64x2_sub(wasm_f64x2_add(r->d[i], round), round);
        r->d[i] = wasm_f64x2_sub(r->d[i], over[i]);
    }
    r->d[0] = wasm_f64x2_add(r->d[0], wasm_f64x2_mul(over[4], wasm_f64x2_const_splat(19 * 0x1p-51)));
    UNROLL for (int i = 1; i < 5; i++) r->d[i] = wasm_f64x2_add(r->d[i], wasm_f64x2_mul(over[i - 1], one));
}

/* The pair of lane `i` of a and lane `j` of b. */
#define PICK(r, a, i, b, j)                                                                                  \
    do {                                                                                                     \
        UNROLL for (int n_ = 0; n_ < 5; n_++) {                                                              \
            (r)->d[n_] = wasm_i64x2_shuffle((a)->d[n_], (b)->d[n_], i, 2 + (j));                             \
        }                                                                                                    \
    } while (0)

/* [x, z] to [x + z, x - z]: long, from short. */
INLINE void sum_and_difference(pair *r, const pair *a)
{
    const v128_t sign = wasm_f64x2_const(0.0, -0.0);
    UNROLL for (int i = 0; i < 5; i++) {
        const v128_t x = wasm_i64x2_shuffle(a->d[i], a->d[i], 0, 0);
        const v128_t z = wasm_i64x2_shuffle(a->d[i], a->d[i], 1, 1);
        r->d[i] = wasm_f64x2_add(x, wasm_v128_xor(z, sign));
    }
}

/* Swaps where `bit` is 1, and does as much where it is 0. */
INLINE void swap_if(pair *a, pair *b, unsigned bit)
{
    v128_t mask = wasm_i64x2_splat(-(int64_t) bit);
    OPAQUE(mask);
    UNROLL for (int i = 0; i < 5; i++) {
        const v128_t change = wasm_v128_and(mask, wasm_v128_xor(a->d[i], b->d[i]));
        a->d[i] = wasm_v128_xor(a->d[i], change);
        b->d[i] = wasm_v128_xor(b->d[i], change);
    }
}

#endif
