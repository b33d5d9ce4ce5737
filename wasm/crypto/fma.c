/*
 * Asks the engine how it rounds.
 */
#include "fma.h"

int tlsio_fma_is_fused(void)
{
#ifdef __wasm_relaxed_simd__
    /* (1 + 2^-30)^2 - (1 + 2^-29) is 2^-60; of a product rounded to 53 bits nothing is left. */
    volatile double a = 1 + 0x1p-30, c = -(1 + 0x1p-29); /* volatile: the engine is asked, not the compiler */
    const v128_t x = wasm_f64x2_splat(a), r = FMA(x, x, wasm_f64x2_splat(c));
    return wasm_i64x2_all_true(wasm_f64x2_eq(r, wasm_f64x2_const_splat(0x1p-60)));
#else
    return 0;
#endif
}
