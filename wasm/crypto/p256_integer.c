/*
 * Integers of nine limbs of 29 bits, and inverses modulo p and n.
 */
#include "p256.h"

#include <string.h>

/* ---- Words and bytes ------------------------------------------------------------------------------- */

void p256_from_words(limbs *r, const uint64_t words[4])
{
    EACH_LIMB {
        const int word = LIMB_BITS * i / 64, shift = LIMB_BITS * i % 64;
        uint64_t bits = words[word] >> shift;
        if (shift > 64 - LIMB_BITS && word < 3) bits |= words[word + 1] << (64 - shift);
        r->limb[i] = (int32_t) (bits & LIMB_MASK);
    }
}

void p256_to_words(uint64_t words[4], const limbs *a)
{
    UNROLL for (int word = 0; word < 4; word++) {
        uint64_t bits = 0;
        EACH_LIMB {
            const int shift = LIMB_BITS * i - 64 * word;
            if (shift >= 0 && shift < 64) bits |= (uint64_t) (uint32_t) a->limb[i] << shift;
            else if (shift < 0 && shift > -LIMB_BITS) bits |= (uint64_t) (uint32_t) a->limb[i] >> -shift;
        }
        words[word] = bits;
    }
}

void p256_from_bytes(limbs *r, const unsigned char bytes[32])
{
    uint64_t words[4];
    for (int i = 0; i < 4; i++) {
        memcpy(&words[i], bytes + 24 - 8 * i, 8);
        words[i] = __builtin_bswap64(words[i]);
    }
    p256_from_words(r, words);
    WIPE(words);
}

void p256_to_bytes(unsigned char bytes[32], const limbs *a)
{
    uint64_t words[4];
    p256_to_words(words, a);
    for (int i = 0; i < 4; i++) {
        words[i] = __builtin_bswap64(words[i]);
        memcpy(bytes + 24 - 8 * i, &words[i], 8);
    }
    WIPE(words);
}

/* ---- Ranges ---------------------------------------------------------------------------------------- */

/* Brings limbs 0 to 7 into 0 to 2^29 - 1; the last keeps the sign. */
static void carry_limbs(limbs *a)
{
    for (int i = 0; i < LIMBS - 1; i++) {
        a->limb[i + 1] += a->limb[i] >> LIMB_BITS;
        a->limb[i] &= LIMB_MASK;
    }
}

/* a + (m & mask) or, with sign -1, a - (m & mask); carried. */
static void add_masked(limbs *a, const limbs *m, int32_t sign, int32_t mask)
{
    for (int i = 0; i < LIMBS; i++) a->limb[i] += sign * (m->limb[i] & mask);
    carry_limbs(a);
}

/* -1 if a, carried, is negative; else 0. */
static int32_t sign_mask(const limbs *a)
{
    return mask_of((uint32_t) a->limb[LIMBS - 1] >> 31);
}

void p256_canonical(limbs *a, const limbs *m)
{
    carry_limbs(a);
    add_masked(a, m, 1, sign_mask(a)); /* 0 to 2 m - 1 */
    add_masked(a, m, -1, -1);
    add_masked(a, m, 1, sign_mask(a));
}

uint32_t p256_is_below(const limbs *a, const limbs *m)
{
    limbs difference = *a;
    add_masked(&difference, m, -1, -1);
    const uint32_t below = (uint32_t) difference.limb[LIMBS - 1] >> 31;
    WIPE(difference);
    return below;
}

uint32_t p256_is_zero(const limbs *a)
{
    uint32_t any = 0;
    for (int i = 0; i < LIMBS; i++) any |= (uint32_t) a->limb[i];
    return 1 ^ ((any | -any) >> 31);
}

/* ---- Inverses -------------------------------------------------------------------------------------- */

/*
 * Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the form that Wuille gave
 * it for libsecp256k1 (doc/safegcd_implementation.md): half-delta division steps
 *
 *   (delta, f, g) -> (1 - delta, g, (g - f) / 2)  if delta > 0 and g is odd
 *                    (1 + delta, f, (g + (g mod 2) f) / 2)  else
 *
 * from delta = 1/2, f = m, g = a. For 0 <= a < m < 2^256, 590 steps always bring g to 0 and f to +-gcd (proved there by
 * the convex hull method). Each batch of 29 finds from the low limbs a matrix t, such that 2^29 (f, g)' = t (f, g), and
 * applies it to f and g, and modulo m to d and e, which begin as 0 and 1 and keep d a = f, e a = g (mod m).
 */
#define BATCHES 21 /* of 29: 609 steps */

typedef struct {
    int32_t u, v, q, r;
} matrix;

/* One batch. zeta is -(delta + 1/2). Entries stay so small that |u| + |v| <= 2^29 and |q| + |r| <= 2^29. */
static int32_t divsteps(int32_t zeta, uint32_t f, uint32_t g, matrix *t)
{
    uint32_t u = 1, v = 0, q = 0, r = 1;
    for (int i = 0; i < LIMB_BITS; i++) {
        const uint32_t swap = (uint32_t) mask_of((uint32_t) zeta >> 31); /* delta > 0 */
        const uint32_t odd = (uint32_t) mask_of(g & 1);
        g += ((f ^ swap) - swap) & odd;
        q += ((u ^ swap) - swap) & odd;
        r += ((v ^ swap) - swap) & odd;
        const uint32_t both = swap & odd;
        zeta = (zeta ^ (int32_t) both) - 1;
        f += g & both;
        u += q & both;
        v += r & both;
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    *t = (matrix) { (int32_t) u, (int32_t) v, (int32_t) q, (int32_t) r };
    return zeta;
}

/* (f, g) = t (f, g) / 2^29, which is exact. Both stay between -m and m. */
static void update_fg(limbs *f, limbs *g, const matrix *t)
{
    int64_t cf = 0, cg = 0;
    UNROLL for (int i = 0; i < LIMBS; i++) {
        const int64_t fi = f->limb[i], gi = g->limb[i];
        cf += t->u * fi + t->v * gi;
        cg += t->q * fi + t->r * gi;
        if (i > 0) {
            f->limb[i - 1] = (int32_t) (cf & LIMB_MASK);
            g->limb[i - 1] = (int32_t) (cg & LIMB_MASK);
        }
        cf >>= LIMB_BITS;
        cg >>= LIMB_BITS;
    }
    f->limb[LIMBS - 1] = (int32_t) cf;
    g->limb[LIMBS - 1] = (int32_t) cg;
}

/*
 * (d, e) = t (d, e) / 2^29 modulo m: multiples of m make the low limbs 0. Both stay above -2 m and below m: where d or
 * e is negative, its row first gets m once for each of its factors.
 */
static void update_de(limbs *d, limbs *e, const matrix *t, const limbs *m, uint32_t m_inverse)
{
    const int32_t sd = sign_mask(d), se = sign_mask(e);
    int32_t md = (t->u & sd) + (t->v & se), me = (t->q & sd) + (t->r & se);
    int64_t cd = (int64_t) t->u * d->limb[0] + (int64_t) t->v * e->limb[0];
    int64_t ce = (int64_t) t->q * d->limb[0] + (int64_t) t->r * e->limb[0];
    md -= (int32_t) ((m_inverse * (uint32_t) cd + (uint32_t) md) & LIMB_MASK);
    me -= (int32_t) ((m_inverse * (uint32_t) ce + (uint32_t) me) & LIMB_MASK);
    cd = (cd + (int64_t) m->limb[0] * md) >> LIMB_BITS;
    ce = (ce + (int64_t) m->limb[0] * me) >> LIMB_BITS;
    UNROLL for (int i = 1; i < LIMBS; i++) {
        const int64_t di = d->limb[i], ei = e->limb[i], mi = m->limb[i];
        cd += t->u * di + t->v * ei + mi * md;
        ce += t->q * di + t->r * ei + mi * me;
        d->limb[i - 1] = (int32_t) (cd & LIMB_MASK);
        e->limb[i - 1] = (int32_t) (ce & LIMB_MASK);
        cd >>= LIMB_BITS;
        ce >>= LIMB_BITS;
    }
    d->limb[LIMBS - 1] = (int32_t) cd;
    e->limb[LIMBS - 1] = (int32_t) ce;
}

void p256_inverse(limbs *r, const limbs *a, const limbs *m, uint32_t m_inverse)
{
    limbs d = { { 0 } }, e = { { 1 } }, f = *m, g = *a;
    matrix t;
    int32_t zeta = -1;
    for (int i = 0; i < BATCHES; i++) {
        zeta = divsteps(zeta, (uint32_t) f.limb[0], (uint32_t) g.limb[0], &t);
        update_fg(&f, &g, &t);
        update_de(&d, &e, &t, m, m_inverse);
    }
    /* d a = f = +-1, with d above -2 m and below m. */
    const int32_t negative = sign_mask(&f);
    add_masked(&d, m, 1, sign_mask(&d));
    for (int i = 0; i < LIMBS; i++) d.limb[i] = (d.limb[i] ^ negative) - negative;
    carry_limbs(&d);
    add_masked(&d, m, 1, sign_mask(&d));
    *r = d;
    WIPE(d);
    WIPE(e);
    WIPE(f);
    WIPE(g);
    WIPE(t);
}
