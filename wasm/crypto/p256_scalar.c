/*
 * Scalars: arithmetic modulo the group's order n, and the digits that multiplications take.
 */
#include "p256.h"
#include "p256_constants.h"

/* ---- Products -------------------------------------------------------------------------------------- */

/*
 * a b / 2^261 modulo n, by Montgomery's method: between 0 and n + a b / 2^261. For limbs of a below 2^30 and of b below
 * 2^29, a column with its carry is less than 9 (2^59 + 2^58) + 2^34 < 2^63.
 */
static void montgomery(limbs *r, const limbs *a, const limbs *b)
{
    int64_t carry = 0;
    int32_t m[LIMBS];
    UNROLL for (int k = 0; k < 2 * LIMBS - 1; k++) {
        UNROLL for (int i = k < LIMBS ? 0 : k - LIMBS + 1; i < LIMBS && i <= k; i++) {
            carry += (int64_t) a->limb[i] * b->limb[k - i];
            if (i < k || k >= LIMBS) carry += (int64_t) m[i] * GROUP_N.limb[k - i];
        }
        if (k < LIMBS) {
            m[k] = (int32_t) (-GROUP_N_INVERSE * (uint32_t) carry & LIMB_MASK);
            carry += (int64_t) m[k] * GROUP_N.limb[0];
        } else {
            r->limb[k - LIMBS] = (int32_t) (carry & LIMB_MASK);
        }
        carry >>= LIMB_BITS;
    }
    r->limb[LIMBS - 1] = (int32_t) carry;
}

void p256_scalar_mul(scalar *r, const limbs *a, const limbs *b)
{
    limbs t;
    montgomery(&t, a, &SCALAR_R2); /* a R, below n + 2^253 */
    montgomery(&t, &t, b);
    p256_canonical(&t, &GROUP_N);
    *r = t;
    WIPE(t);
}

/* ---- Digits ---------------------------------------------------------------------------------------- */

/*
 * An odd e, |e| < 2^256, is a sum of +-2^i over all i from 0 to 255, in just one way: with bits b_i for the signs,
 *   e = sum (2 b_i - 1) 2^i = 2 b - (2^256 - 1),  so  b = (e + 2^256 - 1) / 2:
 * for e > 0 that is 2^255 + floor(e / 2), and -e has the complement of e's bits.
 * Here e = k for an odd k, and e = k - n for an even one: n is odd.
 */
void p256_digits(digits *r, const scalar *k)
{
    uint64_t words[4];
    scalar odd;
    const int32_t even = mask_of(1 ^ ((uint32_t) k->limb[0] & 1));
    int32_t carry = 0;
    for (int i = 0; i < LIMBS; i++) { /* k, or n - k */
        carry += (k->limb[i] ^ even) - even + (GROUP_N.limb[i] & even);
        odd.limb[i] = carry & LIMB_MASK;
        carry >>= LIMB_BITS;
    }
    p256_to_words(words, &odd);
    for (int i = 0; i < 4; i++) {
        const uint64_t next = i < 3 ? words[i + 1] << 63 : (uint64_t) 1 << 63;
        const uint64_t bits = ((words[i] >> 1) | next) ^ (uint64_t) (int64_t) even;
        for (int j = 0; j < 8; j++) r->bits[8 * i + j] = (unsigned char) (bits >> 8 * j);
    }
    r->bits[32] = 0;
    WIPE(words);
    WIPE(odd);
}
