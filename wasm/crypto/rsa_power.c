/*
 * RSA's two exponentiations.
 */
#include "rsa_numbers.h"

#ifdef __wasm_relaxed_simd__

#include "common.h"
#include "bignum_core.h"
#include "mbedtls/platform_util.h"

_Static_assert(sizeof(mbedtls_mpi_uint) == sizeof(uint64_t), "this kernel goes with the kernel \"bignum\"");

/* ---- The private exponents: both primes at once ---------------------------------------------------------- */

/* The entries of the lanes' windows. Every entry is read, whichever they are. */
static NOINLINE void choose(number *r, const number *table, v128_t windows, int columns)
{
    for (int j = 0; j < columns; j++) {
        v128_t chosen = wasm_i64x2_const_splat(0), index = windows;
        for (int i = 0; i < 1 << WINDOW_BITS; i++) {
            const v128_t is_it = wasm_i64x2_eq(index, wasm_i64x2_const_splat(0));
            chosen = wasm_v128_or(chosen, wasm_v128_and(is_it, table[i].d[j]));
            index = wasm_i64x2_sub(index, wasm_i64x2_const_splat(1));
        }
        r->d[j] = chosen;
    }
}

static v128_t windows_at(const rsa_half half[2], int from)
{
    const uint64_t mask = (1 << WINDOW_BITS) - 1;
    return wasm_u64x2_make(tlsio_rsa_bits(half[0].exponent, EXPONENT_LIMBS, from) & mask,
                           tlsio_rsa_bits(half[1].exponent, EXPONENT_LIMBS, from) & mask);
}

/*
 * x mod p and mod q, in Montgomery's form: x = low + 2^(64 limbs) high. A sum of two short numbers, so digits are at
 * most 2^51.01. `high` and `shift` are room to work in.
 */
static void reduce(number *r, const uint64_t *x, number *high, number *shift, modulus *m)
{
    const int limbs = m->limbs;
    uint64_t power_of_2[LIMBS_MAX / 2 + 1] = { 0 };
    power_of_2[limbs] = 1;
    tlsio_rsa_read(r, m, x, limbs);
    tlsio_rsa_read(high, m, x + limbs, limbs);
    tlsio_rsa_read(shift, m, power_of_2, limbs + 1);
    tlsio_rsa_multiply(r, r, &m->r_squared, m);
    tlsio_rsa_multiply(high, high, &m->r_squared, m);
    tlsio_rsa_multiply(shift, shift, &m->r_squared, m);
    tlsio_rsa_multiply(high, high, shift, m);
    for (int j = 0; j < m->columns; j++) r->d[j] = wasm_f64x2_add(r->d[j], high->d[j]);
}

/*
 * Powers of x, which is in Montgomery's form, digits at most 2^51.01. All entries of the table are short, so that they can
 * be multiplied by each other, and squared.
 */
void tlsio_rsa_power_begin(const uint64_t *x, int limbs, const rsa_half half[2], int exponent_bits, rsa_crt *work)
{
    modulus *m = &work->pair;
    number *table = work->table;
    tlsio_rsa_modulus(m, limbs >> 1, half[0].prime, half[1].prime);
    reduce(&work->x, x, &table[0], &table[1], m);
    tlsio_rsa_one(&table[0], m);
    tlsio_rsa_multiply(&table[0], &table[0], &m->r_squared, m);
    tlsio_rsa_multiply(&table[1], &table[0], &work->x, m); /* times 1: short */
    for (int i = 2; i < 1 << WINDOW_BITS; i++) tlsio_rsa_multiply(&table[i], &table[i - 1], &table[1], m);

    work->from = (int) ((unsigned) (exponent_bits - 1) / WINDOW_BITS * WINDOW_BITS);
    choose(&work->x, table, windows_at(half, work->from), m->columns);
}

/* For both lanes, in Montgomery's form; digits of x are at most 2^51.6. */
int tlsio_rsa_power_step(const rsa_half half[2], int windows, rsa_crt *work)
{
    modulus *m = &work->pair;
    number *x = &work->x, *chosen = &work->y;
    int from = work->from;
    for (; windows > 0 && from > 0; windows--) {
        from -= WINDOW_BITS;
        for (int i = 0; i < WINDOW_BITS; i++) tlsio_rsa_square(x, x, m);
        choose(chosen, work->table, windows_at(half, from), m->columns);
        tlsio_rsa_multiply(x, x, chosen, m);
    }
    work->from = from;
    return from > 0;
}

/*
 * With x_p and x_q, x is x_q + q h where h = (x_p - x_q) / q mod p (H. L. Garner, 1959). x_q is below q and h below p,
 * so x is below p q. The lane of q computes something, too, that nobody reads.
 */
void tlsio_rsa_power_end(uint64_t *x, int limbs, const rsa_half half[2], const uint64_t *inverse, rsa_crt *work)
{
    modulus *m = &work->pair;
    number *y = &work->y;
    const int size = limbs >> 1;
    tlsio_rsa_one(y, m);
    tlsio_rsa_multiply(&work->x, &work->x, y, m); /* x_p and x_q; |x_p| < 0.51 p */
    tlsio_rsa_write(work->q, &work->x, m, 1);
    tlsio_rsa_read(y, m, work->q, size);
    for (int j = 0; j < m->columns; j++) y->d[j] = wasm_f64x2_sub(work->x.d[j], y->d[j]); /* at most 2^51.6 */
    tlsio_rsa_read(&work->x, m, inverse, size);
    tlsio_rsa_multiply(&work->x, &work->x, &m->r_squared, m);
    tlsio_rsa_multiply(&work->x, y, &work->x, m);
    tlsio_rsa_write(work->h, &work->x, m, 0);

    for (int i = 0; i < limbs; i++) x[i] = i < size ? work->q[i] : 0;
    for (int i = 0; i < size; i++) {
        (void) mbedtls_mpi_core_mla(x + i, (size_t) (limbs - i), half[1].prime, (size_t) size, work->h[i]);
    }
}

/* ---- The public exponent --------------------------------------------------------------------------------- */

/*
 * From the highest bit, with x R as x. The last factor is x as it is, or 1: that takes R away.
 */
void tlsio_rsa_public_power(number *r, const number *x, const uint64_t *e, int e_bits, modulus *m)
{
    number y, one;
    tlsio_rsa_one(&one, m);
    tlsio_rsa_multiply(&y, x, &m->r_squared, m);
    *r = y;
    for (int bit = e_bits - 2; bit > 0; bit--) {
        tlsio_rsa_multiply(r, r, r, m);
        if (e[bit >> 6] >> (bit & 63) & 1) tlsio_rsa_multiply(r, r, &y, m);
    }
    tlsio_rsa_multiply(r, r, r, m);
    tlsio_rsa_multiply(r, r, e[0] & 1 ? x : &one, m);
    mbedtls_platform_zeroize(&y, sizeof(y));
}

#endif
