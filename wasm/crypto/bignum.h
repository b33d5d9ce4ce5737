/*
 * mbedTLS's big numbers in 64-bit limbs: for all that no kernel computes, as P-384, P-521 and odd sizes of RSA. A part of
 * the configuration: every file of a core must see it, or none.
 *
 * mbedTLS takes wasm for a 32-bit machine. 64-bit limbs, with this multiply-accumulate, make RSA signing 2.8 times and
 * elliptic curves 1.4 times faster. bn_mul.h uses these macros when they exist and defines its own otherwise. They compute
 *     c:d = s b + d + c
 * for 64-bit values by four 32x32 products. Each step adds at most two 32-bit values to a product, and
 * (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1, so no step can overflow and no carry needs a comparison, which mbedTLS's own
 * has. (__int128 would call __multi3, which is not inlined.) There is no branch, and all addresses are those of mbedTLS's
 * own: multiplication and Montgomery's take as constant a time as with it. Division has branches on its operands, with
 * limbs of either size: what mbedTLS divides is public or blinded.
 */
#ifndef BIGNUM_H
#define BIGNUM_H

/*
 * bignum.h wants it so, where the limb is chosen by hand. All that mbedTLS has of it for wasm is an empty statement that
 * hides values of mbedtls_ct_*() from the compiler; without it a volatile zero does.
 */
#undef MBEDTLS_HAVE_ASM
#define MBEDTLS_HAVE_INT64
#define MULADDC_X1_INIT                                                                                              \
    {                                                                                                                \
        const uint64_t b_lo = (uint32_t) b, b_hi = b >> 32;
#define MULADDC_X1_CORE                                                                                              \
        {                                                                                                            \
            const uint64_t s_lo = (uint32_t) *s, s_hi = *s >> 32;                                                    \
            const uint64_t lo_lo = s_lo * b_lo + (uint32_t) *d + (uint32_t) c;                                       \
            const uint64_t hi_lo = s_hi * b_lo + (*d >> 32) + (lo_lo >> 32);                                         \
            const uint64_t lo_hi = s_lo * b_hi + (uint32_t) hi_lo + (c >> 32);                                       \
            c = s_hi * b_hi + (hi_lo >> 32) + (lo_hi >> 32);                                                         \
            *d = (lo_hi << 32) | (uint32_t) lo_lo;                                                                   \
            s++, d++;                                                                                                \
        }
#define MULADDC_X1_STOP                                                                                              \
    }

/* A wider window than the default of 3 takes another 5 % off modular exponentiation, for 3 KB while it lasts. */
#define MBEDTLS_MPI_WINDOW_SIZE 5

#endif
