/*
 * The field of P-256: integers modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1.
 *
 * An element is nine signed limbs of 29 bits, so that a column of a product fits a signed 64-bit word, and stands for
 * its value times R = 2^261 (Montgomery). Since -1/p = 1 modulo 2^29, a Montgomery step needs no product: it adds m p
 * for m = the low limb, which is four shifts:  m 2^96 + m 2^192 - m 2^224 + m 2^256 - m.
 *
 * What keeps it exact is two bounds, which the callers state for each formula:
 *
 *  - Limbs. A is the largest of |limb 0..7| in units of 2^29; limb 8 is below 2^27. A column has at most 8 products of
 *    full limbs, so |column| <= 8 A B 2^58 + (less than 2^57) for two factors. With the carry and the shifts (less
 *    than 2^54) it must stay below 2^63: a product, or a sum of products, needs  sum of A B <= 3.8.
 *    Results have centred limbs, A = 1/2; with a fold (below) A = 9/16.
 *  - Values. V is the bound of |value| in units of 2^256. The product of a and b lies between -V_a V_b / 32 and
 *    1 + V_a V_b / 32, since m < 2^261. What a function adds after that is folded: with q = value >> 256, q p is
 *    subtracted. That leaves a value between -2^-20 and 1 + 2^-20, and A at most 9/16 for |q| <= 16.
 *
 * Nothing here branches or indexes by a value. Everything is inlined; p256_point.c makes functions of it.
 */
#ifndef P256_FIELD_H
#define P256_FIELD_H

#include "p256.h"

#define LIMB_HALF (1 << (LIMB_BITS - 1))

/* In locals. */
typedef struct {
    int64_t limb[LIMBS];
} wide;

INLINE wide load(const fe *a)
{
    wide r;
    EACH_LIMB r.limb[i] = a->limb[i];
    return r;
}

INLINE void store(fe *r, wide a)
{
    EACH_LIMB r->limb[i] = (int32_t) a.limb[i];
}

/* ---- Sums: A and V add up -------------------------------------------------------------------------- */

INLINE wide add(wide a, wide b)
{
    EACH_LIMB a.limb[i] += b.limb[i];
    return a;
}

INLINE wide sub(wide a, wide b)
{
    EACH_LIMB a.limb[i] -= b.limb[i];
    return a;
}

INLINE wide times(int64_t n, wide a)
{
    EACH_LIMB a.limb[i] *= n;
    return a;
}

/* ---- Products -------------------------------------------------------------------------------------- */

/*
 * sum + term. The barrier keeps LLVM from adding up a column from its last product to its first: all of them would
 * have to be kept until then, and everything would take 6 % longer.
 */
INLINE int64_t plus(int64_t sum, int64_t term)
{
    sum += term;
    __asm__("" : "+r"(sum));
    return sum;
}

/* Column k of a b. */
INLINE int64_t column(const wide *a, const wide *b, int k)
{
    int64_t sum = 0;
    UNROLL for (int i = k < LIMBS ? 0 : k - LIMBS + 1; i < LIMBS && i <= k; i++) {
        sum = plus(sum, a->limb[i] * b->limb[k - i]);
    }
    return sum;
}

/* Column k of a a, given also 2 a. */
INLINE int64_t square_column(const wide *a, const wide *twice, int k)
{
    int64_t sum = 0;
    UNROLL for (int i = k < LIMBS ? 0 : k - LIMBS + 1; 2 * i < k; i++) {
        sum = plus(sum, a->limb[i] * twice->limb[k - i]);
    }
    if (k % 2 == 0) sum += a->limb[k / 2] * a->limb[k / 2];
    return sum;
}

/* Column k of (p + 1) m: what Montgomery's steps add, beside the -m that cancels the lower columns. */
INLINE int64_t shifts(const int64_t m[LIMBS], int k)
{
    int64_t sum = 0;
    if (k >= 3 && k < 12) sum += m[k - 3] << 9;  /* 2^96 = 2^(3 * 29 + 9) */
    if (k >= 6 && k < 15) sum += m[k - 6] << 18; /* 2^192 */
    if (k >= 7 && k < 16) sum -= m[k - 7] << 21; /* 2^224 */
    if (k >= 8 && k < 17) sum += m[k - 8] << 24; /* 2^256 */
    return sum;
}

/* Carries through the columns COLUMN(0) to COLUMN(16), and reduces them. EXTRA(i) is added to limb i of the result. */
#define REDUCE(result, COLUMN, EXTRA)                                                                        \
    do {                                                                                                     \
        int64_t carry = 0, m[LIMBS];                                                                         \
        UNROLL for (int k = 0; k < LIMBS; k++) {                                                             \
            carry = COLUMN(k) + shifts(m, k) + carry;                                                        \
            m[k] = carry & LIMB_MASK;                                                                        \
            carry >>= LIMB_BITS;                                                                             \
        }                                                                                                    \
        UNROLL for (int k = LIMBS; k < 2 * LIMBS - 1; k++) {                                                 \
            carry = COLUMN(k) + shifts(m, k) + EXTRA(k - LIMBS) + LIMB_HALF + carry;                         \
            (result).limb[k - LIMBS] = (carry & LIMB_MASK) - LIMB_HALF;                                      \
            carry >>= LIMB_BITS;                                                                             \
        }                                                                                                    \
        (result).limb[LIMBS - 1] = carry + EXTRA(LIMBS - 1);                                                 \
    } while (0)

#define NOTHING(i) 0

/* Subtracts q p for q = a >> 256. */
INLINE wide fold(wide a)
{
    const int64_t q = a.limb[8] >> 24;
    a.limb[0] += q;
    a.limb[3] -= q * (1 << 9);
    a.limb[6] -= q * (1 << 18);
    a.limb[7] += q * (1 << 21);
    a.limb[8] -= q * (1 << 24);
    return a;
}

/* a b */
INLINE wide mul(wide a, wide b)
{
    wide r;
#define COLUMN(k) column(&a, &b, k)
    REDUCE(r, COLUMN, NOTHING);
#undef COLUMN
    return r;
}

/* a b - c d */
INLINE wide mul_sub_mul(wide a, wide b, wide c, wide d)
{
    wide r;
#define COLUMN(k) column(&a, &b, k) - column(&c, &d, k)
    REDUCE(r, COLUMN, NOTHING);
#undef COLUMN
    return r;
}

/* a b - 8 c c: as (8 c) c, so that A counts 8 A_c A_c */
INLINE wide mul_sub_8sqr(wide a, wide b, wide c)
{
    wide r;
    const wide twice = times(2, c);
#define COLUMN(k) column(&a, &b, k) - 8 * square_column(&c, &twice, k)
    REDUCE(r, COLUMN, NOTHING);
#undef COLUMN
    return r;
}

/* a b - c */
INLINE wide mul_sub(wide a, wide b, wide c)
{
    wide r;
#define COLUMN(k) column(&a, &b, k)
#define EXTRA(i) -c.limb[i]
    REDUCE(r, COLUMN, EXTRA);
#undef COLUMN
#undef EXTRA
    return r;
}

/* a a */
INLINE wide sqr(wide a)
{
    wide r;
    const wide twice = times(2, a);
#define COLUMN(k) square_column(&a, &twice, k)
    REDUCE(r, COLUMN, NOTHING);
#undef COLUMN
    return r;
}

/* a a - c */
INLINE wide sqr_sub(wide a, wide c)
{
    wide r;
    const wide twice = times(2, a);
#define COLUMN(k) square_column(&a, &twice, k)
#define EXTRA(i) -c.limb[i]
    REDUCE(r, COLUMN, EXTRA);
#undef COLUMN
#undef EXTRA
    return fold(r);
}

#endif
