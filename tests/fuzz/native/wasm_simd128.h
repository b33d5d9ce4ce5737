/*
 * What our kernels use of clang's wasm_simd128.h, by vectors of any machine: so that they run under sanitizers. Lanes are in
 * the order of memory, as wasm's are; this is for little-endian machines.
 */
#ifndef WASM_SIMD128_H
#define WASM_SIMD128_H

#include <stdint.h>
#include <string.h>

typedef int32_t v128_t __attribute__((vector_size(16), aligned(16)));
typedef int8_t i8x16 __attribute__((vector_size(16), aligned(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16), aligned(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16), aligned(16)));
typedef int64_t i64x2 __attribute__((vector_size(16), aligned(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16), aligned(16)));
typedef double f64x2 __attribute__((vector_size(16), aligned(16)));

/* The kernels' hide a value from the compiler, vectors too, which have no place in a register of numbers. */
#define __asm__(...)

#define SIMD static inline __attribute__((always_inline, unused))
#define wasm_v128_and(a, b) ((v128_t) ((a) & (b)))
#define wasm_v128_or(a, b) ((v128_t) ((a) | (b)))
#define wasm_v128_xor(a, b) ((v128_t) ((a) ^ (b)))
#define wasm_v128_andnot(a, b) ((v128_t) ((a) & ~(b)))
/* Sums wrap around. */
#define wasm_i32x4_add(a, b) ((v128_t) ((u32x4) (a) + (u32x4) (b)))
#define wasm_i64x2_add(a, b) ((v128_t) ((u64x2) (a) + (u64x2) (b)))
#define wasm_i64x2_sub(a, b) ((v128_t) ((u64x2) (a) - (u64x2) (b)))
#define wasm_f64x2_add(a, b) ((v128_t) ((f64x2) (a) + (f64x2) (b)))
#define wasm_f64x2_sub(a, b) ((v128_t) ((f64x2) (a) - (f64x2) (b)))
#define wasm_f64x2_mul(a, b) ((v128_t) ((f64x2) (a) * (f64x2) (b)))
#define wasm_i32x4_eq(a, b) ((v128_t) ((v128_t) (a) == (v128_t) (b)))
#define wasm_i64x2_eq(a, b) ((v128_t) ((i64x2) (a) == (i64x2) (b)))
#define wasm_f64x2_eq(a, b) ((v128_t) ((f64x2) (a) == (f64x2) (b)))
/* So do the counts of shifts. */
#define wasm_u32x4_shr(a, n) ((v128_t) ((u32x4) (a) >> (uint32_t) ((n) & 31)))
#define wasm_i32x4_shl(a, n) ((v128_t) ((u32x4) (a) << (uint32_t) ((n) & 31)))
#define wasm_u64x2_shr(a, n) ((v128_t) ((u64x2) (a) >> (uint64_t) ((n) & 63)))
#define wasm_i64x2_shr(a, n) ((v128_t) ((i64x2) (a) >> (int64_t) ((n) & 63)))
#define wasm_i64x2_shl(a, n) ((v128_t) ((u64x2) (a) << (uint64_t) ((n) & 63)))
#define wasm_i8x16_shr(a, n) ((v128_t) ((i8x16) (a) >> (int8_t) ((n) & 7)))
#define wasm_i8x16_shl(a, n) ((v128_t) ((u8x16) (a) << (uint8_t) ((n) & 7)))
#define wasm_i64x2_shuffle(a, b, ...) ((v128_t) __builtin_shufflevector((i64x2) (a), (i64x2) (b), __VA_ARGS__))
#define wasm_i32x4_shuffle(a, b, ...) ((v128_t) __builtin_shufflevector((v128_t) (a), (v128_t) (b), __VA_ARGS__))
#define wasm_i8x16_shuffle(a, b, ...) ((v128_t) __builtin_shufflevector((i8x16) (a), (i8x16) (b), __VA_ARGS__))
#define wasm_i32x4_make(...) ((v128_t) (u32x4) { __VA_ARGS__ })
#define wasm_i64x2_make(a, b) ((v128_t) (i64x2) { a, b })
#define wasm_u64x2_make(a, b) ((v128_t) (u64x2) { a, b })
#define wasm_f64x2_make(a, b) ((v128_t) (f64x2) { a, b })
#define wasm_i8x16_make(...) ((v128_t) (i8x16) { __VA_ARGS__ })
#define wasm_i8x16_const(...) ((v128_t) (i8x16) { __VA_ARGS__ })
#define wasm_i32x4_const(...) ((v128_t) { __VA_ARGS__ })
#define wasm_i64x2_const(...) ((v128_t) (i64x2) { __VA_ARGS__ })
#define wasm_f64x2_const(...) ((v128_t) (f64x2) { __VA_ARGS__ })
#define wasm_i64x2_const_splat(a) ((v128_t) (i64x2) { (int64_t) (a), (int64_t) (a) })
#define wasm_f64x2_const_splat(a) ((v128_t) (f64x2) { (a), (a) })
#define wasm_i64x2_extract_lane(a, i) (((i64x2) (a))[i])
#define wasm_i32x4_extract_lane(a, i) ((a)[i])
#define wasm_f64x2_extract_lane(a, i) (((f64x2) (a))[i])

SIMD v128_t wasm_v128_load(const void *at) /* from any address */
{
    v128_t v;
    memcpy(&v, at, 16);
    return v;
}

SIMD void wasm_v128_store(void *at, v128_t v)
{
    memcpy(at, &v, 16);
}

SIMD v128_t wasm_i8x16_splat(int8_t a)
{
    return (v128_t) (i8x16) { a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a };
}

SIMD v128_t wasm_i32x4_splat(int32_t a)
{
    return (v128_t) { a, a, a, a };
}

SIMD v128_t wasm_u32x4_splat(uint32_t a)
{
    return wasm_i32x4_splat((int32_t) a);
}

SIMD v128_t wasm_i64x2_splat(int64_t a)
{
    return wasm_i64x2_make(a, a);
}

SIMD v128_t wasm_f64x2_splat(double a)
{
    return wasm_f64x2_make(a, a);
}

SIMD v128_t wasm_v128_load64_splat(const void *at)
{
    int64_t a;
    memcpy(&a, at, 8);
    return wasm_i64x2_splat(a);
}

SIMD v128_t wasm_v128_load8_splat(const void *at)
{
    return wasm_i8x16_splat(*(const int8_t *) at);
}

SIMD v128_t wasm_i32x4_replace_lane(v128_t v, int i, int32_t a)
{
    v[i] = a;
    return v;
}

SIMD int wasm_i64x2_all_true(v128_t v)
{
    return ((i64x2) v)[0] != 0 && ((i64x2) v)[1] != 0;
}

SIMD v128_t wasm_i8x16_swizzle(v128_t v, v128_t indices) /* 0 for an index from 16 on */
{
    u8x16 from = (u8x16) v, index = (u8x16) indices, to;
    for (int i = 0; i < 16; i++) to[i] = index[i] < 16 ? from[index[i]] : 0;
    return (v128_t) to;
}

#define wasm_i8x16_relaxed_swizzle wasm_i8x16_swizzle

SIMD v128_t wasm_f64x2_relaxed_madd(v128_t a, v128_t b, v128_t c) /* rounds once */
{
    f64x2 x = (f64x2) a, y = (f64x2) b, z = (f64x2) c;
    return wasm_f64x2_make(__builtin_fma(x[0], y[0], z[0]), __builtin_fma(x[1], y[1], z[1]));
}

#endif
