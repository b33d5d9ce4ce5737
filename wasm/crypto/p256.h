/*
 * P-256 (FIPS 186-5, SEC 2 secp256r1): what the kernel's files share.
 *
 *   p256_field.h    arithmetic modulo p
 *   p256_integer.c  integers of nine limbs: bytes, ranges, inverses
 *   p256_scalar.c   arithmetic modulo n, and the digits of a scalar
 *   p256_point.c    the group: k G, k P, and u G + v Q
 *   p256_mbedtls.h  to and from mbedTLS's numbers
 *   p256_ecp.c      mbedTLS's multiplication and check of points
 *   p256_ecdsa.c    mbedTLS's ECDSA
 *   p256_table.ts   writes p256_constants.h and p256_table.c
 *
 * Constant time: scalars, and all that comes of them, decide no branch and no address, except in functions that say
 * "public". Where a secret chooses, it does so by masks of zeros or ones. Secrets in memory are wiped by those who
 * put them there; the results of functions are for their callers to wipe.
 */
#ifndef P256_H
#define P256_H

#include <stdint.h>

#include "inline.h"
#include "mbedtls/platform_util.h"

#define LIMBS 9
#define LIMB_BITS 29
#define LIMB_MASK ((1 << LIMB_BITS) - 1)

/* The sum of limb[i] 2^(29 i). "Canonical" is below the modulus at hand, with limbs of 0 to 2^29 - 1. */
typedef struct {
    int32_t limb[LIMBS];
} limbs;

typedef limbs fe;     /* an element of the field, as p256_field.h has it */
typedef limbs scalar; /* canonical modulo n */

/* Canonical x and y of the field, packed. */
typedef struct {
    uint64_t x[4], y[4];
} affine;

/* The point (x / z^2, y / z^3); infinity when z = 0. */
typedef struct {
    fe x, y, z;
} jacobian;

#define EACH_LIMB UNROLL for (int i = 0; i < LIMBS; i++)

#define WIPE(object) mbedtls_platform_zeroize(&(object), sizeof(object))

/* -1 where bit is 1, 0 where it is 0. */
INLINE int32_t mask_of(uint32_t bit)
{
    int32_t mask = -(int32_t) bit;
    OPAQUE(mask);
    return mask;
}

/* ---- p256_integer.c -------------------------------------------------------------------------------- */

/* Four words, least significant first. */
void p256_from_words(limbs *r, const uint64_t words[4]);
void p256_to_words(uint64_t words[4], const limbs *a);
/* Big-endian bytes. */
void p256_from_bytes(limbs *r, const unsigned char bytes[32]);
void p256_to_bytes(unsigned char bytes[32], const limbs *a);
/* Brings a value from -m to below 2 m, of any signed limbs below 2^30, into 0 to m - 1. */
void p256_canonical(limbs *a, const limbs *m);
/* 1 if a < m, both with limbs of 0 to 2^29 - 1; else 0. */
uint32_t p256_is_below(const limbs *a, const limbs *m);
/* 1 if all limbs are 0. */
uint32_t p256_is_zero(const limbs *a);
/* 1 / a modulo m for a canonical a; 0 for 0. `m_inverse` is 1 / m modulo 2^29. */
void p256_inverse(limbs *r, const limbs *a, const limbs *m, uint32_t m_inverse);

/* ---- p256_scalar.c --------------------------------------------------------------------------------- */

/* a b mod n, for a below 2^258 with limbs below 2^30, and b below 2^256 with limbs below 2^29. */
void p256_scalar_mul(scalar *r, const limbs *a, const limbs *b);

/* 256 digits of -1 or +1, as bits of 0 or 1, and a byte of zeros for those who read two at once. */
typedef struct {
    unsigned char bits[33];
} digits;

/* The digits of k or k - n, whichever is odd, for 0 < k < n. */
void p256_digits(digits *r, const scalar *k);

/* ---- p256_point.c ---------------------------------------------------------------------------------- */

#define COMB_POINTS (10 * 32 + 8)
#define BASE_WINDOW 8 /* bits of a public scalar at once */
extern const affine P256_COMB[COMB_POINTS]; /* p256_table.c */
extern const affine P256_ODD[1 << (BASE_WINDOW - 2)]; /* 1 G, 3 G, 5 G, ... */

/* A public point from canonical coordinates. Returns 0 if it is not on the curve. */
uint32_t p256_read_point(affine *r, const limbs *x, const limbs *y);
/* Public: 1 for the generator. */
uint32_t p256_is_base(const affine *p);
/* k G or k P, for 0 < k < n. `blind` is random, 0 < blind < p: every coordinate on the way depends on it. */
void p256_mul_base(jacobian *r, const scalar *k, const limbs *blind);
void p256_mul(jacobian *r, const scalar *k, const affine *p, const limbs *blind);
/*
 * Public: u G + v Q for v != 0. In exceptional cases, which only a forger meets, and for infinity z comes out as 0:
 * then the sum is not known.
 */
void p256_mul_add(jacobian *r, const scalar *u, const scalar *v, const affine *q);
/* The canonical x and, unless NULL, y. Returns 0 if z = 0. */
uint32_t p256_to_affine(limbs *x, limbs *y, const jacobian *p);
/* Public: 1 if z = 0. */
uint32_t p256_is_unknown(const jacobian *p);
/* Public: 1 if x / z^2 is the given integer below p. */
uint32_t p256_has_x(const jacobian *p, const limbs *x);

#endif
