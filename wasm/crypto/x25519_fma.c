/*
 * X25519 by multiply-adds of doubles that round once: x in one lane, z in the other.
 */
#include "x25519.h"

#include <stdint.h>
#include <string.h>

#include "mbedtls/platform_util.h"

#ifndef __wasm_relaxed_simd__

void tlsio_x25519_fma(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32])
{
    tlsio_x25519_integer(out, scalar, u);
}

#else

#include "x25519_doubles.h"

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
    int64_t mask = -add_up(plus_19, 19);
    OPAQUE(mask);
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
