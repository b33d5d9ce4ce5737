/*
 * Poly1305 (RFC 8439 section 2.5) with numbers modulo p = 2^130 - 5 as five digits of 26 bits, each in 64
 * bits.
 *
 * A product of digits x_i y_j counts 2^(26 (i + j)); where i + j >= 5 that is 5 * 2^(26 (i + j - 5)) modulo p,
 * so the digits of one factor are kept a second time, multiplied by 5.
 *
 * Bounds. A number is "short" when its digits are below 2^26 + 2^11; what `poly_carry()` leaves is. A message
 * block's digits are below 2^26, its top digit below 2^25. In `poly_step()` the digits to be multiplied are
 * then below 2^27 + 2^11 (sum of a short number and a block) and 2^26 (block), the others below 5 * (2^26 +
 * 2^11): a column is below 5 * 5 * (2^26 + 2^11) * (2^27 + 2^26 + 2^11) < 2^58.3, far from overflow.
 * `poly_carry()` starts with carries below 2^33; 5 times the one out of the top is below 2^36 and leaves a
 * last one below 2^11.
 *
 * Multiplications, additions and shifts by constants only: no time depends on key or message.
 */
#ifndef POLY1305_DIGITS_H
#define POLY1305_DIGITS_H

#include "inline.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POLY_MASK 0x3ffffff
#define POLY_BLOCK 16

struct poly_number {
    uint64_t d[5];
};

/* A number to multiply by: its digits, and 5 times those. */
struct poly_factor {
    uint64_t d[5], d5[5];
};

struct poly {
    struct poly_number h; /* the accumulator; short */
    struct poly_factor r, r2; /* the key's r and its square; short */
};

INLINE uint64_t poly_load64(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word)); /* wasm is little-endian, as Poly1305 is */
    return word;
}

/* The digits of low + 2^64 high + 2^128 top. */
INLINE struct poly_number poly_split(uint64_t low, uint64_t high, uint64_t top)
{
    return (struct poly_number) { {
        low & POLY_MASK,
        low >> 26 & POLY_MASK,
        (low >> 52 | high << 12) & POLY_MASK,
        high >> 14 & POLY_MASK,
        high >> 40 | top << 24,
    } };
}

/* A whole block, with the bit behind its end. */
INLINE struct poly_number poly_block(const unsigned char *at)
{
    return poly_split(poly_load64(at), poly_load64(at + 8), 1);
}

INLINE struct poly_number poly_add(struct poly_number a, struct poly_number b)
{
    UNROLL for (int i = 0; i < 5; i++) a.d[i] += b.d[i];
    return a;
}

INLINE struct poly_factor poly_factor(struct poly_number a)
{
    struct poly_factor factor;
    UNROLL for (int i = 0; i < 5; i++) factor.d[i] = a.d[i], factor.d5[i] = 5 * a.d[i];
    return factor;
}

/* columns += a b, without carries. */
INLINE void poly_multiply(struct poly_number *columns, struct poly_number a, const struct poly_factor *b)
{
    UNROLL for (int k = 0; k < 5; k++) {
        UNROLL for (int i = 0; i < 5; i++) {
            columns->d[k] += a.d[i] * (i <= k ? b->d[k - i] : b->d5[k - i + 5]);
        }
    }
}

/* Columns to a short number: two chains of carries side by side, from digits 0 and 3. */
INLINE struct poly_number poly_carry(struct poly_number n)
{
#define CARRY(from, to, times) n.d[to] += (times) * (n.d[from] >> 26), n.d[from] &= POLY_MASK
    CARRY(0, 1, 1), CARRY(3, 4, 1);
    CARRY(1, 2, 1), CARRY(4, 0, 5);
    CARRY(2, 3, 1), CARRY(0, 1, 1);
    CARRY(3, 4, 1);
#undef CARRY
    return n;
}

/* h = (h + first block) r^2 + second block r. */
INLINE struct poly_number poly_step(struct poly_number h, const struct poly_factor *r,
                                    const struct poly_factor *r2, const unsigned char *blocks)
{
    struct poly_number columns = { { 0 } };
    poly_multiply(&columns, poly_add(h, poly_block(blocks)), r2);
    poly_multiply(&columns, poly_block(blocks + POLY_BLOCK), r);
    return poly_carry(columns);
}

/* h = (h + block) r. */
INLINE struct poly_number poly_single(struct poly_number h, const struct poly_factor *r,
                                      struct poly_number block)
{
    struct poly_number columns = { { 0 } };
    poly_multiply(&columns, poly_add(h, block), r);
    return poly_carry(columns);
}

/* Takes r from the key's first half, and clamps it. The accumulator becomes 0. */
INLINE void poly_start(struct poly *poly, uint64_t low, uint64_t high)
{
    const struct poly_number zero = { { 0 } };
    const struct poly_number r = poly_split(low & 0x0ffffffc0fffffff, high & 0x0ffffffc0ffffffc, 0);
    poly->h = zero;
    poly->r = poly_factor(r);
    poly->r2 = poly_factor(poly_single(zero, &poly->r, r));
}

/* The accumulator's value below 2^130, as words; it may still be p or above. */
INLINE void poly_words(struct poly_number h, uint64_t *low, uint64_t *high, uint64_t *top)
{
    /* From digit 0 all the way round, twice: the first round can leave a carry of 5 in digit 0 that runs on. */
    UNROLL for (int i = 0; i < 10; i++) {
        h.d[(i + 1) % 5] += (i % 5 == 4 ? 5 : 1) * (h.d[i % 5] >> 26);
        h.d[i % 5] &= POLY_MASK;
    }
    *low = h.d[0] | h.d[1] << 26 | h.d[2] << 52;
    *high = h.d[2] >> 12 | h.d[3] << 14 | h.d[4] << 40;
    *top = h.d[4] >> 24;
}

#endif
