/*
 * The group of P-256: y^2 = x^3 - 3 x + b, of prime order n.
 *
 * Points are (X, Y, Z) for (X / Z^2, Y / Z^3); points that are added come from tables, with Z = 1. The formulas are
 * incomplete: a sum of equal points, of opposite points, and one with infinity come out with Z = 0, and from there on
 * Z stays 0. The multiplications say why that cannot happen to them, or what they do about it.
 */
#include "p256_field.h"
#include "p256_constants.h"

#include <string.h>
#include <wasm_simd128.h>

/* ---- The field's functions -------------------------------------------------------------------------- */

static void fe_mul(fe *r, const fe *a, const fe *b)
{
    store(r, mul(load(a), load(b)));
}

static void fe_sqr(fe *r, const fe *a)
{
    store(r, sqr(load(a)));
}

static const limbs ONE = { { 1 } };

/* From R times a number to the number, canonical. */
static void from_field(limbs *r, const fe *a)
{
    fe_mul(r, a, &ONE); /* between 0 and p, since |a| < R */
    p256_canonical(r, &FIELD_P);
}

/* ---- Doubling and addition -------------------------------------------------------------------------- */

/*
 * Of every point: A <= 9/16; V of X <= 1.1, of Y <= 1.6, of Z <= 1.1. Of an entry of a table: A <= 1, V <= 1.
 * Below, [A, V] is what a value has, and AB a product's sum of A B.
 */

/*
 * r = 2 p, "dbl-2001-b" of the Explicit-Formulas Database:
 *   delta = Z^2, gamma = Y^2, beta = X gamma, alpha = 3 (X - delta) (X + delta),
 *   X3 = alpha^2 - 8 beta, Z3 = (Y + Z)^2 - gamma - delta, Y3 = alpha (4 beta - X3) - 8 gamma^2.
 * delta, gamma, beta [1/2, 1.1]; X +- delta [17/16, 2.2], so alpha has AB = 3.4 [1/2, 1.5]; Y + Z [9/8, 2.7];
 * 4 beta - X3 [41/16, 5.5], so Y3 has AB = 1.3 + 2 [1/2, 1 + (8.3 + 9.7) / 32]. X3 is folded from at most 10, Z3 from 4.
 */
static __attribute__((noinline)) void twice(jacobian *r, const jacobian *p)
{
    const wide x = load(&p->x), y = load(&p->y), z = load(&p->z);
    const wide delta = sqr(z), gamma = sqr(y), beta = mul(x, gamma);
    const wide alpha = mul(times(3, sub(x, delta)), add(x, delta));
    const wide x3 = sqr_sub(alpha, times(8, beta));
    store(&r->z, sqr_sub(add(y, z), add(gamma, delta)));
    store(&r->x, x3);
    store(&r->y, mul_sub_8sqr(alpha, sub(times(4, beta), x3), gamma));
}

/*
 * r = p + (x2, y2), and h with r->z = p->z h:
 *   h = x2 Z^2 - X, s = y2 Z^3 - Y, v = X h^2, X3 = s^2 - h^3 - 2 v, Y3 = s (v - X3) - Y h^3, Z3 = Z h.
 * h = 0 for equal and for opposite points.
 * h [1/2, 2.2]; s [1/2, 2.7]; h^2, h^3, v [1/2, 1.2]; v - X3 [17/16, 2.3], so Y3 has AB = 0.6 + 0.3 [1/2, 1.3]. X3 is
 * folded from at most 5.
 */
static __attribute__((noinline)) void plus_affine(jacobian *r, fe *h_out, const jacobian *p, const fe *x2,
                                                  const fe *y2)
{
    const wide x = load(&p->x), y = load(&p->y), z = load(&p->z);
    const wide zz = sqr(z), h = mul_sub(load(x2), zz, x), s = mul_sub(load(y2), mul(zz, z), y);
    const wide hh = sqr(h), hhh = mul(hh, h), v = mul(x, hh);
    const wide x3 = sqr_sub(s, add(hhh, times(2, v)));
    store(h_out, h);
    store(&r->z, mul(z, h));
    store(&r->x, x3);
    store(&r->y, mul_sub_mul(s, sub(v, x3), y, hhh));
}

/* (x, y) with Z = `z`, which is not yet times R. With a random Z: Coron's randomized projective coordinates. */
static void begin(jacobian *r, const fe *x, const fe *y, const limbs *z)
{
    fe t;
    fe_mul(&r->z, z, &FIELD_R2);
    fe_sqr(&t, &r->z);
    fe_mul(&r->x, x, &t);
    fe_mul(&t, &t, &r->z);
    fe_mul(&r->y, y, &t);
    WIPE(t);
}

/* ---- Tables ------------------------------------------------------------------------------------------ */

static void unpack(fe *x, fe *y, const affine *p)
{
    p256_from_words(x, p->x);
    p256_from_words(y, p->y);
}

/* y = -y where the mask says so. */
static void negate_masked(fe *y, int32_t mask)
{
    for (int i = 0; i < LIMBS; i++) y->limb[i] = (y->limb[i] ^ mask) - mask;
}

/* Reads all `count` points of a table, and keeps the one at `index`, or its opposite. */
static void select_point(fe *x, fe *y, const affine *table, uint32_t count, uint32_t index, int32_t negative)
{
    v128_t r[4] = { 0 };
    const v128_t wanted = wasm_i32x4_splat((int32_t) index);
    for (uint32_t i = 0; i < count; i++) {
        const v128_t mask = wasm_i32x4_eq(wasm_i32x4_splat((int32_t) i), wanted);
        const v128_t *entry = (const v128_t *) &table[i];
        UNROLL for (int j = 0; j < 4; j++) r[j] = wasm_v128_or(r[j], wasm_v128_and(entry[j], mask));
    }
    affine chosen;
    memcpy(&chosen, r, sizeof(chosen));
    unpack(x, y, &chosen);
    negate_masked(y, negative);
    WIPE(chosen);
}

/* The digits' sum has the sign of the last one; tables have its absolute value, at the index of the other bits. */
static uint32_t index_of(uint32_t bits, int width, int32_t *negative)
{
    *negative = mask_of(1 ^ bits >> (width - 1));
    return (bits ^ (uint32_t) *negative) & ((1u << (width - 1)) - 1);
}

/* The points 1 P, 3 P, 5 P, ... Public. */
static void odd_multiples(affine *table, int count, const affine *p)
{
    jacobian multiple[16], two;
    fe h[16], t, zz;
    /*
     * 2 P = (X, Y, Z) is an affine (X, Y) on another curve, to which (x, y) -> (x Z^2, y Z^3) leads, and additions are
     * the same on both. There 2 P is added again and again. (2 i - 1) P + 2 P: never equal, opposite, or infinite.
     */
    fe x, y;
    unpack(&x, &y, p);
    begin(&multiple[0], &x, &y, &ONE);
    twice(&two, &multiple[0]);
    fe_sqr(&zz, &two.z);
    fe_mul(&multiple[0].x, &multiple[0].x, &zz);
    fe_mul(&t, &zz, &two.z);
    fe_mul(&multiple[0].y, &multiple[0].y, &t);
    for (int i = 1; i < count; i++) plus_affine(&multiple[i], &h[i], &multiple[i - 1], &two.x, &two.y);

    /* One inversion for all of them: each Z is the one before it, times h. */
    fe inverse;
    fe_mul(&inverse, &multiple[count - 1].z, &two.z);
    from_field(&t, &inverse);
    p256_inverse(&inverse, &t, &FIELD_P, FIELD_P_INVERSE);
    fe_mul(&inverse, &inverse, &FIELD_R2);
    for (int i = count - 1; i > 0; i--) {
        fe_sqr(&zz, &inverse);
        fe_mul(&t, &multiple[i].x, &zz);
        p256_canonical(&t, &FIELD_P);
        p256_to_words(table[i].x, &t);
        fe_mul(&zz, &zz, &inverse);
        fe_mul(&t, &multiple[i].y, &zz);
        p256_canonical(&t, &FIELD_P);
        p256_to_words(table[i].y, &t);
        fe_mul(&inverse, &inverse, &h[i]);
    }
    table[0] = *p;
}

/* ---- Multiplication by a secret ---------------------------------------------------------------------- */

/*
 * Both multiplications read the scalar as 256 digits of +-1 (p256_digits), of which each entry of a table has a few. So
 * no entry is infinity, and none is ever left out.
 *
 * A sum so far is e times the point, and the entry to be added e' times, where e and e' are sums of +-2^i, with no i
 * twice, in both of them together. As integers, then, e + e' and e - e' are not 0. Modulo n they are not 0 either while
 * they are smaller than n: the comb's stages 3 to 1 have |e| + |e'| < 2^255; before the end of its stage 0 the digit of
 * 2^252 is missing, so that |e| + |e'| < 2^256 - 2^252 < n; and the windows have |e| + |e'| < 2^251 before the last one.
 *
 * In the last addition of all, e + e' = k (mod n) is not 0. But e - e' can be, where e + e' = +-n + 2 e': for two or so
 * of all scalars the points are equal. So it takes the double, too.
 */
static void plus_last(jacobian *r, const jacobian *p, const fe *x2, const fe *y2)
{
    jacobian sum, same;
    fe h;
    plus_affine(&sum, &h, p, x2, y2);
    twice(&same, p);
    from_field(&h, &h);
    const int32_t equal = mask_of(p256_is_zero(&h));
    for (int i = 0; i < LIMBS; i++) {
        r->x.limb[i] = sum.x.limb[i] ^ ((sum.x.limb[i] ^ same.x.limb[i]) & equal);
        r->y.limb[i] = sum.y.limb[i] ^ ((sum.y.limb[i] ^ same.y.limb[i]) & equal);
        r->z.limb[i] = sum.z.limb[i] ^ ((sum.z.limb[i] ^ same.z.limb[i]) & equal);
    }
    WIPE(sum);
    WIPE(same);
    WIPE(h);
}

/*
 * The comb. Block b (0 to 10) has the digits 24 b to 24 b + 23, the last block just 16. Stage s (3 to 0) takes of each
 * block the digits s, s + 4, s + 8, ...; between stages all is doubled. P256_COMB has the sums of each block's teeth
 * 2^(24 b), 2^(24 b + 4), ... 44 additions and 3 doublings, with 21 KB of tables.
 */
#define BLOCKS 11

/* The digits of one block that a stage takes, as an integer: six, or four for the last block. */
static uint32_t teeth_of(const digits *k, int block, int stage)
{
    const unsigned char *at = k->bits + 3 * block;
    const uint32_t bits = (at[0] | (uint32_t) at[1] << 8 | (block < BLOCKS - 1 ? (uint32_t) at[2] << 16 : 0)) >> stage;
    return (bits & 1) | (bits >> 3 & 2) | (bits >> 6 & 4) | (bits >> 9 & 8) | (bits >> 12 & 16) | (bits >> 15 & 32);
}

void p256_mul_base(jacobian *r, const scalar *k, const limbs *blind)
{
    digits d;
    fe x, y, h;
    p256_digits(&d, k);
    for (int stage = 3; stage >= 0; stage--) {
        if (stage < 3) twice(r, r);
        for (int block = 0; block < BLOCKS; block++) {
            const int teeth = block < BLOCKS - 1 ? 6 : 4;
            int32_t negative;
            const uint32_t index = index_of(teeth_of(&d, block, stage), teeth, &negative);
            select_point(&x, &y, P256_COMB + 32 * block, 1u << (teeth - 1), index, negative);
            if (stage == 3 && block == 0) begin(r, &x, &y, blind);
            else if (stage == 0 && block == BLOCKS - 1) plus_last(r, r, &x, &y);
            else plus_affine(r, &h, r, &x, &y);
        }
    }
    WIPE(d);
    WIPE(x);
    WIPE(y);
    WIPE(h);
}

/* Windows of five digits, below the first one: 51 additions of 1 P, 3 P, ... 31 P or their opposites, 255 doublings. */
#define WINDOW 5

void p256_mul(jacobian *r, const scalar *k, const affine *p, const limbs *blind)
{
    digits d;
    fe x, y, h;
    affine table[1 << (WINDOW - 1)];
    odd_multiples(table, 1 << (WINDOW - 1), p);
    p256_digits(&d, k);

    unpack(&x, &y, p);
    negate_masked(&y, mask_of(1 ^ d.bits[31] >> 7));
    begin(r, &x, &y, blind);
    for (int at = 255 - WINDOW; at >= 0; at -= WINDOW) {
        for (int i = 0; i < WINDOW; i++) twice(r, r);
        const uint32_t bits = (d.bits[at / 8] | (uint32_t) d.bits[at / 8 + 1] << 8) >> at % 8 & ((1 << WINDOW) - 1);
        int32_t negative;
        const uint32_t index = index_of(bits, WINDOW, &negative);
        select_point(&x, &y, table, 1 << (WINDOW - 1), index, negative);
        if (at == 0) plus_last(r, r, &x, &y);
        else plus_affine(r, &h, r, &x, &y);
    }
    WIPE(d);
    WIPE(x);
    WIPE(y);
    WIPE(h);
}

/* ---- Multiplication by what is public ---------------------------------------------------------------- */

#define NAF_DIGITS 257

/*
 * Digits of v, each 0 or odd and below 2^(width - 1) in size, the odd ones with at least width - 1 zeros behind them: a
 * non-adjacent form.
 */
static void naf_of(signed char naf[NAF_DIGITS], const scalar *v, int width)
{
    uint64_t words[5] = { 0 };
    int carry = 0;
    p256_to_words(words, v);
    memset(naf, 0, NAF_DIGITS);
    for (int at = 0; at < NAF_DIGITS;) {
        const int word = at / 64, shift = at % 64;
        uint64_t bits = words[word] >> shift;
        if (shift > 64 - width && word < 4) bits |= words[word + 1] << (64 - shift);
        const int value = (int) (bits & ((1u << width) - 1)) + carry;
        if (value % 2 == 0) { /* 0, or a carry into a 1: the carry, if any, goes on */
            at++;
            continue;
        }
        carry = value >> (width - 1);
        naf[at] = (signed char) (value - (carry << width));
        at += width;
    }
}

/* Adds `digit` times the point whose odd multiples the table has. The first of all begins the sum. */
static void plus_digit(jacobian *r, int *empty, const affine *table, int digit)
{
    fe x, y, h;
    if (digit == 0) return;
    unpack(&x, &y, &table[(digit < 0 ? -digit : digit) / 2]);
    negate_masked(&y, -(digit < 0));
    if (*empty) begin(r, &x, &y, &ONE);
    else plus_affine(r, &h, r, &x, &y);
    *empty = 0;
}

/*
 * Once down the bits of both scalars, adding odd multiples of G and Q. Equal points, opposite ones and infinity can come
 * up, by chance never, and from then on Z is 0.
 */
void p256_mul_add(jacobian *r, const scalar *u, const scalar *v, const affine *q)
{
    signed char u_naf[NAF_DIGITS], v_naf[NAF_DIGITS];
    affine table[1 << (WINDOW - 2)];
    int empty = 1;
    naf_of(u_naf, u, BASE_WINDOW);
    naf_of(v_naf, v, WINDOW);
    odd_multiples(table, 1 << (WINDOW - 2), q);

    memset(r, 0, sizeof(*r));
    for (int at = NAF_DIGITS - 1; at >= 0; at--) {
        if (!empty) twice(r, r);
        plus_digit(r, &empty, P256_ODD, u_naf[at]);
        plus_digit(r, &empty, table, v_naf[at]);
    }
}

uint32_t p256_is_unknown(const jacobian *p)
{
    limbs z;
    from_field(&z, &p->z);
    return p256_is_zero(&z);
}

uint32_t p256_has_x(const jacobian *p, const limbs *x)
{
    fe t, zz;
    fe_mul(&t, x, &FIELD_R2);
    fe_sqr(&zz, &p->z);
    store(&t, mul_sub(load(&t), load(&zz), load(&p->x)));
    from_field(&t, &t);
    return p256_is_zero(&t);
}

/* ---- In and out --------------------------------------------------------------------------------------- */

uint32_t p256_read_point(affine *r, const limbs *x_in, const limbs *y_in)
{
    fe fx, fy;
    fe_mul(&fx, x_in, &FIELD_R2);
    fe_mul(&fy, y_in, &FIELD_R2);
    const wide x = load(&fx), y = load(&fy);
    const wide right = fold(mul_sub(sqr(x), x, sub(times(3, x), load(&FIELD_B)))); /* x^3 - (3 x - b) */
    fe difference;
    store(&difference, mul_sub(y, y, right));
    from_field(&difference, &difference);
    p256_canonical(&fx, &FIELD_P);
    p256_canonical(&fy, &FIELD_P);
    p256_to_words(r->x, &fx);
    p256_to_words(r->y, &fy);
    return p256_is_below(x_in, &FIELD_P) & p256_is_below(y_in, &FIELD_P) & p256_is_zero(&difference);
}

uint32_t p256_is_base(const affine *p)
{
    affine base;
    p256_to_words(base.x, &BASE_X);
    p256_to_words(base.y, &BASE_Y);
    return memcmp(p, &base, sizeof(base)) == 0;
}

uint32_t p256_to_affine(limbs *x, limbs *y, const jacobian *p)
{
    fe inverse, t, zz;
    from_field(&t, &p->z);
    const uint32_t known = 1 ^ p256_is_zero(&t);
    p256_inverse(&inverse, &t, &FIELD_P, FIELD_P_INVERSE);
    fe_mul(&inverse, &inverse, &FIELD_R2);
    fe_sqr(&zz, &inverse);
    fe_mul(&t, &p->x, &zz);
    from_field(x, &t);
    if (y != NULL) {
        fe_mul(&t, &zz, &inverse);
        fe_mul(&t, &t, &p->y);
        from_field(y, &t);
    }
    WIPE(inverse);
    WIPE(t);
    WIPE(zz);
    return known;
}
