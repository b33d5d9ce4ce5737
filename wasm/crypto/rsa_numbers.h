/*
 * Numbers for RSA's kernel, in doubles: signed digits of 51 bits (fma.h), two in a vector. A modulus is
 *
 *   a pair:   two primes, one in each lane, of as many digits as a number has vectors ("columns"), or
 *   whole:    one modulus over both lanes, the lower half of its digits in the first.
 *
 * What is computed with it has the same form. Nothing depends in time on digits; sizes, and the form, are public.
 *
 * Sizes. A prime of 1024, 1536 or 2048 bits has 21, 31 or 41 columns, and so has the product of two: 42, 62 or 82
 * digits in two lanes. Montgomery's R is 2^(51 rows); rows are columns + 1 for a pair and 2 columns for a whole. So they
 * are even, since rows come two at a time, and n < 2^-86 R: operands need not be reduced.
 */
#ifndef RSA_NUMBERS_H
#define RSA_NUMBERS_H

#include "fma.h"

#ifdef __wasm_relaxed_simd__

#define DIGIT_BITS 51
#define DIGIT_MASK (((uint64_t) 1 << DIGIT_BITS) - 1)
#define COLUMNS_MAX 42 /* one more than a prime has, while a pair's constant is made */
#define LIMBS_MAX 64 /* of 64 bits: 4096 */

typedef union {
    v128_t d[COLUMNS_MAX];
    double lane[COLUMNS_MAX][2];
} number;

typedef struct {
    int is_whole;
    int columns;
    int rows;
    int limbs; /* of each modulus, whose top bit is set */
    number n; /* odd; digits are not signed */
    number r_squared; /* R^2 mod n, short */
    number k; /* k.d[0]: -1/n mod 2^51 */
    number t; /* what products are made in: as secret as they are */
} modulus;

/* ---- rsa_montgomery.c: products ------------------------------------------------------------------------ */

/*
 * r = a b / R mod n. Digits of a and b are at most 2^51 in size, or those of one are "short" (at most 2^50 + 2^9) and
 * those of the other at most 2^51.9. r is short, and |r| < |a b| / R + 0.51 n. r may be a or b.
 */
void tlsio_rsa_multiply(number *r, const number *a, const number *b, modulus *m);
/* r = a^2 / R mod n, of a short; for a pair. */
void tlsio_rsa_square(number *r, const number *a, modulus *m);

/* ---- rsa_modulus.c: from limbs and to limbs -------------------------------------------------------------- */

/* The modulus n of so many limbs, or the pair of n and `other`. */
void tlsio_rsa_modulus(modulus *m, int limbs, const uint64_t *n, const uint64_t *other);
/* Bits `from` to `from` + 51 of a number of so many limbs; zeros where it has none. */
uint64_t tlsio_rsa_bits(const uint64_t *x, int limbs, int from);
/* Digits that are not signed: of a number of so many limbs, or of the same in both lanes for a pair. */
void tlsio_rsa_read(number *r, const modulus *m, const uint64_t *x, int limbs);
/* The one number in [0, n) that is x, which is from -n to n - 1; for a pair, that of the lane. */
void tlsio_rsa_write(uint64_t *out, const number *x, const modulus *m, int lane);
/* r = 1, as it is. */
void tlsio_rsa_one(number *r, const modulus *m);

/* ---- rsa_power.c ----------------------------------------------------------------------------------------- */

#define WINDOW_BITS 5
#define EXPONENT_LIMBS (LIMBS_MAX / 2 + 4) /* of a prime, and what blinds it */

/* One half of a private key: a prime and its exponent, in limbs. */
typedef struct {
    const uint64_t *prime;
    uint64_t exponent[EXPONENT_LIMBS];
} rsa_half;

/* What a private operation works on. All of it is secret. */
typedef struct {
    modulus pair;
    number table[1 << WINDOW_BITS];
    number x, y;
    uint64_t q[LIMBS_MAX / 2], h[LIMBS_MAX / 2];
    int from; /* bits of the exponents that are still to come */
} rsa_crt;

/*
 * x^e mod p q by its halves: e is half[0].exponent mod p - 1, half[1].exponent mod q - 1; both have exponent_bits.
 * x and p q have `limbs` of 64 bits, each prime half of them. Begins; goes on by so many windows of the exponents, and
 * returns whether there are more; and once there are none writes the result, for which `inverse` is 1/q mod p.
 */
void tlsio_rsa_power_begin(const uint64_t *x, int limbs, const rsa_half half[2], int exponent_bits, rsa_crt *work);
int tlsio_rsa_power_step(const rsa_half half[2], int windows, rsa_crt *work);
void tlsio_rsa_power_end(uint64_t *x, int limbs, const rsa_half half[2], const uint64_t *inverse, rsa_crt *work);
/*
 * r = x^e mod n for a whole; x as tlsio_rsa_read() gives it. Time depends on e, which is public, of at least 2 bits.
 */
void tlsio_rsa_public_power(number *r, const number *x, const uint64_t *e, int e_bits, modulus *m);

#endif
#endif
