/*
 * Products of digits by multiply-adds of doubles that round once, two at a time: for X25519 and RSA.
 *
 * Digits are integers in doubles. For |a b| <= 2^102 a product splits into two parts, a b = 2^51 hi + lo. HIGH =
 * 1.5 * 2^103: doubles from 2^103 to 2^104 are the multiples of 2^51, so
 *     h = fma(a, b, HIGH)                    is HIGH + 2^51 hi,   hi = a b / 2^51 to the nearest integer;
 *     l = fma(a, b, (HIGH + LOW) - h)        is LOW + lo,         lo = a b - 2^51 hi,   |lo| <= 2^50.
 * LOW = 1.5 * 2^52: doubles from 2^52 to 2^53 are the integers, so l is exact; so is HIGH + LOW - h, a
 * multiple of 2^51 below 2^104. In both ranges the next double is the next larger word of 64 bits, so as
 * integers
 *     h = bits(HIGH) + hi    and    l = bits(LOW) + lo,
 * and columns are sums of these words, less the known sum of the constants (modulo 2^64).
 */
#ifndef FMA_H
#define FMA_H

/*
 * Whether this engine's relaxed multiply-add rounds once. The standard lets an engine round the product first,
 * but then it has to do so always. False where there is none.
 */
int tlsio_fma_is_fused(void);

#ifdef __wasm_relaxed_simd__

#include "inline.h"

#include <stdint.h>
#include <wasm_simd128.h>

#define FMA(a, b, c) wasm_f64x2_relaxed_madd(a, b, c)
#define HIGH (1.5 * 0x1p103)
#define LOW (1.5 * 0x1p52)
#define HIGH_BITS 0x4668000000000000u
#define LOW_BITS 0x4338000000000000u

/* The words of a product: l to the first column, h to the second. */
INLINE void add_product(v128_t *low, v128_t *high, v128_t a, v128_t b)
{
    const v128_t h = FMA(a, b, wasm_f64x2_const_splat(HIGH));
    const v128_t l = FMA(a, b, wasm_f64x2_sub(wasm_f64x2_const_splat(HIGH + LOW), h));
    *low = wasm_i64x2_add(*low, l);
    *high = wasm_i64x2_add(*high, h);
}

#endif
#endif
