/*
 * X25519 in doubles: two numbers modulo p = 2^255 - 19 at once, one in each lane, as five signed digits of 51
 * bits, each digit an integer in a double. It needs multiply-adds that round once.
 *
 * Product of two digits, |a b| <= 2^102. HIGH = 1.5 * 2^103: doubles from 2^103 to 2^104 are the multiples of
 * 2^51, so
 *     h = fma(a, b, HIGH)                    is HIGH + 2^51 hi,   hi = a b / 2^51 to the nearest integer;
 *     l = fma(a, b, (HIGH + LOW) - h)        is LOW + lo,         lo = a b - 2^51 hi,   |lo| <= 2^50.
 * LOW = 1.5 * 2^52: doubles from 2^52 to 2^53 are the integers, so l is exact; so is HIGH + LOW - h, a
 * multiple of 2^51 below 2^104. In both ranges the next double is the next larger word of 64 bits, so as
 * integers
 *     h = bits(HIGH) + hi    and    l = bits(LOW) + lo,
 * and columns are sums of these words, less the known sum of the constants (modulo 2^64).
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
#include "inline.h"
#include "x25519.h"

#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#include "mbedtls/platform_util.h"

#ifndef __wasm_relaxed_simd__

int tlsio_fma_is_fused(void)
{
    return 0;
}

void tlsio_x25519_fma(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32])
{
    tlsio_x25519_integer(out, scalar, u);
}

#else

#define FMA(a, b, c) wasm_f64x2_relaxed_madd(a, b, c)
#define HIGH (1.5 * 0x1p103)
#define LOW (1.5 * 0x1p52)
#define HIGH_BITS 0x4668000000000000u
#define LOW_BITS 0x4338000000000000u

int tlsio_fma_is_fused(void)
{
    /* (1 + 2^-30)^2 - (1 + 2^-29) is 2^-60; of a product rounded to 53 bits nothing is left. */
    volatile double a = 1 + 0x1p-30, c = -(1 + 0x1p-29); /* volatile: the engine is asked, not the compiler */
    const v128_t x = wasm_f64x2_splat(a), r = FMA(x, x, wasm_f64x2_splat(c));
    return wasm_i64x2_all_true(wasm_f64x2_eq(r, wasm_f64x2_const_splat(0x1p-60)));
}

/* Two numbers. A pair is written [first lane, second lane]. */
typedef struct {
    v128_t d[5];
} pair;

/* ---- Arithmetic modulo p --------------------------------------------------------------------------- */

INLINE v128_t times_19(v128_t x)
{
    v128_t twice = wasm_i64x2_add(x, x);
    __asm__("" : "+r"(twice)); /* or the compiler makes it a multiplication, which machines lack for 64 bits */
    return wasm_i64x2_add(wasm_i64x2_add(x, twice), wasm_i64x2_shl(x, 4));
}

/* Adds a product of digits to the columns: lo to the first, hi to the second. */
INLINE void add_product(v128_t columns[2], v128_t a, v128_t b)
{
    const v128_t h = FMA(a, b, wasm_f64x2_const_splat(HIGH));
    const v128_t l = FMA(a, b, wasm_f64x2_sub(wasm_f64x2_const_splat(HIGH + LOW), h));
    columns[0] = wasm_i64x2_add(columns[0], l);
    columns[1] = wasm_i64x2_add(columns[1], h);
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
            add_product(columns + k, a->d[i], b->d[k - i]);
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
            add_product(columns + k, twice[i], a->d[k - i]);
        }
        if (k % 2 == 0) add_product(columns + k, a->d[k / 2], a->d[k / 2]);
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
    const v128_t mask = wasm_i64x2_splat(-(int64_t) bit);
    UNROLL for (int i = 0; i < 5; i++) {
        const v128_t change = wasm_v128_and(mask, wasm_v128_xor(a->d[i], b->d[i]));
        a->d[i] = wasm_v128_xor(a->d[i], change);
        b->d[i] = wasm_v128_xor(b->d[i], change);
    }
}

static NOINLINE void multiply_call(pair *r, const pair *a, const pair *b)
{
    multiply(r, a, b);
}

static NOINLINE void square_times(pair *r, const pair *a, int count)
{
    pair t = *a;
    for (; count > 0; count--) square(&t, &t);
    *r = t;
}

/* z^(p - 2) = 1 / z; 0 for 0. The exponent is 2^255 - 21; names say which power of z they are. */
static void invert(pair *r, const pair *z)
{
    struct {
        pair z_2, z_9, z_11, e_5, e_10, e_20, e_50, e_100, t; /* e_n: 2^n - 1 */
    } s;
    square_times(&s.z_2, z, 1);
    square_times(&s.t, &s.z_2, 2), multiply_call(&s.z_9, &s.t, z);
    multiply_call(&s.z_11, &s.z_9, &s.z_2);
    square_times(&s.t, &s.z_11, 1), multiply_call(&s.e_5, &s.t, &s.z_9);
    square_times(&s.t, &s.e_5, 5), multiply_call(&s.e_10, &s.t, &s.e_5);
    square_times(&s.t, &s.e_10, 10), multiply_call(&s.e_20, &s.t, &s.e_10);
    square_times(&s.t, &s.e_20, 20), multiply_call(&s.t, &s.t, &s.e_20);
    square_times(&s.t, &s.t, 10), multiply_call(&s.e_50, &s.t, &s.e_10);
    square_times(&s.t, &s.e_50, 50), multiply_call(&s.e_100, &s.t, &s.e_50);
    square_times(&s.t, &s.e_100, 100), multiply_call(&s.t, &s.t, &s.e_100);
    square_times(&s.t, &s.t, 50), multiply_call(&s.t, &s.t, &s.e_50);
    square_times(&s.t, &s.t, 5), multiply_call(r, &s.t, &s.z_11);
    mbedtls_platform_zeroize(&s, sizeof(s));
}

/* ---- Bytes ----------------------------------------------------------------------------------------- */

#define DIGIT ((int64_t) ((uint64_t) 1 << 51) - 1)

/* [u, n]: u is of 256 bits, so its last digit has 52. Short. */
static void read(pair *r, const unsigned char bytes[32], double n)
{
    uint64_t w[4];
    memcpy(w, bytes, 32);
    const int64_t digits[5] = { w[0] & DIGIT, (w[0] >> 51 | w[1] << 13) & DIGIT,
                                (w[1] >> 38 | w[2] << 26) & DIGIT, (w[2] >> 25 | w[3] << 39) & DIGIT,
                                (int64_t) (w[3] >> 12) };
    for (int i = 0; i < 5; i++) r->d[i] = wasm_f64x2_make((double) digits[i], i == 0 ? n : 0);
    shorten(r);
}

/* Adds `n` to a number with digits that are not signed, and carries. Returns the carry out of bit 255. */
static int64_t add_up(int64_t h[5], int64_t n)
{
    for (int i = 0; i < 5; i++) {
        h[i] += n;
        n = h[i] >> 51;
        h[i] &= DIGIT;
    }
    return n;
}

/* Writes the first lane: the one value below p. */
static void write(unsigned char bytes[32], const pair *a)
{
    int64_t h[5], plus_19[5];
    for (int i = 0; i < 5; i++) h[i] = (int64_t) wasm_f64x2_extract_lane(a->d[i], 0);
    /* Into [0, 2^255): a short number is between -2^255 and 2^255, so this carry is -1 or 0, and the next ones too. */
    int64_t over = add_up(h, 0);
    over = add_up(h, 19 * over);
    (void) add_up(h, 19 * over);
    /* h >= p exactly when h + 19 >= 2^255, and then h - p is h + 19 without that bit. */
    memcpy(plus_19, h, sizeof(h));
    const int64_t mask = -add_up(plus_19, 19);
    uint64_t d[5];
    for (int i = 0; i < 5; i++) d[i] = (uint64_t) (h[i] ^ (mask & (h[i] ^ plus_19[i])));
    const uint64_t w[4] = { d[0] | d[1] << 51, d[1] >> 13 | d[2] << 38, d[2] >> 26 | d[3] << 25,
                            d[3] >> 39 | d[4] << 12 };
    memcpy(bytes, w, 32);
}

/* ---- The ladder (RFC 7748 section 5), with its names ------------------------------------------------ */

/*
 * One step; xz_2 = [x_2, z_2] and xz_3 are short before and after it. Lengths are in brackets; all products
 * are of a short number and one that may be long.
 */
INLINE void step(const pair *x_1, pair *xz_2, pair *xz_3)
{
    pair ab, cd, dc, squares, products, e, left, right;
    sum_and_difference(&ab, xz_2), shorten(&ab); /* [A, B], short */
    sum_and_difference(&cd, xz_3); /* [C, D], long */
    PICK(&dc, &cd, 1, &cd, 0);
    multiply(&products, &dc, &ab); /* [DA, CB] */
    square(&squares, &ab); /* [AA, BB] */
    sum_and_difference(&products, &products), shorten(&products);
    square(&products, &products); /* [(DA + CB)^2, (DA - CB)^2] */

    PICK(&e, &squares, 1, &squares, 0);
    UNROLL for (int i = 0; i < 5; i++) e.d[i] = wasm_f64x2_sub(squares.d[i], e.d[i]); /* [E, -E], long */
    PICK(&left, &products, 1, &e, 0); /* [(DA - CB)^2, E] */
    multiply(&left, &left, x_1); /* [x_1 (DA - CB)^2, a24 E] */
    PICK(xz_3, &products, 0, &left, 0);

    PICK(&right, &squares, 1, &left, 1); /* [BB, a24 E] */
    PICK(&left, &squares, 0, &e, 0); /* [AA, E] */
    /* [BB, AA + a24 E] */
    UNROLL for (int i = 0; i < 5; i++) {
        const v128_t aa = wasm_i64x2_shuffle(wasm_f64x2_const_splat(0), squares.d[i], 0, 2);
        right.d[i] = wasm_f64x2_add(right.d[i], aa);
    }
    shorten(&right);
    multiply(xz_2, &left, &right);
}

void tlsio_x25519_fma(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32])
{
    struct {
        pair x_1, xz_2, xz_3, z;
    } s;
    read(&s.x_1, u, 121665); /* [x_1, a24] */
    for (int i = 0; i < 5; i++) {
        s.xz_2.d[i] = wasm_f64x2_make(i == 0, 0);
        s.xz_3.d[i] = wasm_f64x2_make(wasm_f64x2_extract_lane(s.x_1.d[i], 0), i == 0);
    }
    unsigned swapped = 0;
    pair xz_2 = s.xz_2, xz_3 = s.xz_3;
    for (int t = 254; t >= 0; t--) {
        const unsigned bit = scalar[t / 8] >> t % 8 & 1;
        swap_if(&xz_2, &xz_3, bit ^ swapped);
        swapped = bit;
        step(&s.x_1, &xz_2, &xz_3);
    }
    swap_if(&xz_2, &xz_3, swapped);
    s.xz_2 = xz_2;
    PICK(&s.z, &xz_2, 1, &xz_2, 1);
    invert(&s.z, &s.z);
    multiply_call(&s.xz_2, &s.xz_2, &s.z);
    write(out, &s.xz_2);
    mbedtls_platform_zeroize(&s, sizeof(s));
}

#endif
