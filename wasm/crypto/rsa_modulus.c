/*
 * RSA's numbers between limbs and digits, and what is made of a modulus. It is made anew for each operation, which
 * costs a hundredth of a private one: nothing is kept with a key, or can outlive it.
 */
#include "rsa_numbers.h"

#ifdef __wasm_relaxed_simd__

#include "mbedtls/platform_util.h"

uint64_t tlsio_rsa_bits(const uint64_t *x, int limbs, int from)
{
    const int limb = from >> 6, shift = from & 63; /* rounded down, also below 0 */
    const uint64_t low = limb >= 0 && limb < limbs ? x[limb] : 0;
    const uint64_t high = limb + 1 >= 0 && limb + 1 < limbs ? x[limb + 1] : 0;
    return (low >> shift | high << 1 << (63 - shift)) & DIGIT_MASK;
}

/* Digits `from` and so many more of x 2^shift, in one lane. Sizes are parameters, as in rsa_montgomery.c. */
static NOINLINE void read_lane(number *r, int lane, int columns, const uint64_t *x, int limbs, int from, int shift)
{
    for (int i = 0; i < columns; i++) {
        r->lane[i][lane] = (double) tlsio_rsa_bits(x, limbs, DIGIT_BITS * (from + i) - shift);
    }
}

void tlsio_rsa_read(number *r, const modulus *m, const uint64_t *x, int limbs)
{
    read_lane(r, 0, m->columns, x, limbs, 0, 0);
    read_lane(r, 1, m->columns, x, limbs, m->is_whole ? m->columns : 0, 0);
}

void tlsio_rsa_one(number *r, const modulus *m)
{
    const uint64_t one = 1;
    tlsio_rsa_read(r, m, &one, 1);
}

/* Carries. Returns what goes beyond the last digit: the sign, -1 or 0, of what is between -R and R. */
static int64_t add_up(int64_t *h, int digits)
{
    int64_t over = 0;
    for (int i = 0; i < digits; i++) {
        h[i] += over;
        over = h[i] >> DIGIT_BITS;
        h[i] &= (int64_t) DIGIT_MASK;
    }
    return over;
}

static NOINLINE void write_digits(uint64_t *out, const number *x, const number *n, int lane, int columns, int digits,
                                  int limbs)
{
    int64_t h[2 * COLUMNS_MAX];
    for (int i = 0; i < digits; i++) h[i] = (int64_t) (i < columns ? x->lane[i][lane] : x->lane[i - columns][1]);
    const int64_t is_negative = add_up(h, digits);
    for (int i = 0; i < digits; i++) {
        h[i] += is_negative & (int64_t) (i < columns ? n->lane[i][lane] : n->lane[i - columns][1]);
    }
    (void) add_up(h, digits);

    for (int i = 0; i < limbs; i++) out[i] = 0;
    for (int i = 0, bit = 0; i < digits; i++, bit += DIGIT_BITS) {
        const int limb = bit >> 6, shift = bit & 63;
        if (limb < limbs) out[limb] |= (uint64_t) h[i] << shift;
        if (limb + 1 < limbs) out[limb + 1] |= (uint64_t) h[i] >> 1 >> (63 - shift);
    }
    mbedtls_platform_zeroize(h, sizeof(h));
}

void tlsio_rsa_write(uint64_t *out, const number *x, const modulus *m, int lane)
{
    const int columns = m->columns, digits = m->is_whole ? 2 * columns : columns;
    write_digits(out, x, &m->n, lane, columns, digits, m->limbs);
}

/* -1/n mod 2^51: n is its own inverse modulo 8, and each step doubles the bits that are right. */
static double negative_inverse(uint64_t n)
{
    uint64_t inverse = n;
    for (int bits = 3; bits < DIGIT_BITS; bits *= 2) inverse *= 2 - n * inverse;
    return (double) (-inverse & DIGIT_MASK);
}

/*
 * R^2 mod n by products alone. With s = 51 rows - bits (64 limbs),
 *     x = 2^s (2^bits - n) = R - 2^s n = R mod n    and    x <= R / 2, since n >= 2^(bits - 1).
 * A product of R 2^e and R 2^f is R 2^(e + f), so from e = 0 the bits of 51 rows, from the highest, lead to R R. On the
 * way x becomes small: |x| / R < |a| / R * |b| / R + 2^-86 is 1/4, 1/8 with e = 1, and then at most 2 (1/8)^2,
 * 2 (1/32)^2, ...: below 2^-86 after six of the remaining ten to twelve products, so that |x| < 0.51 n in the end.
 */
static NOINLINE void make_r_squared(modulus *m, const uint64_t *n, const uint64_t *other, int limbs, int columns,
                                    int target)
{
    uint64_t rest[LIMBS_MAX];
    number *x = &m->r_squared, twice;
    for (int lane = 0; lane < 2; lane++) {
        const uint64_t *p = lane == 0 || m->is_whole ? n : other;
        for (int i = 0; i < limbs; i++) rest[i] = ~p[i] + (i == 0); /* ~p is even: no carry */
        read_lane(x, lane, columns, rest, limbs, lane == 1 && m->is_whole ? columns : 0, target - 64 * limbs);
    }
    tlsio_rsa_multiply(x, x, x, m);
    for (int bit = 31 - __builtin_clz((unsigned) target); bit >= 0; bit--) {
        for (int j = 0; j < columns; j++) twice.d[j] = wasm_f64x2_add(x->d[j], x->d[j]);
        tlsio_rsa_multiply(x, x, target >> bit & 1 ? &twice : x, m);
    }
    mbedtls_platform_zeroize(rest, sizeof(rest));
    mbedtls_platform_zeroize(&twice, sizeof(twice));
}

void tlsio_rsa_modulus(modulus *m, int limbs, const uint64_t *n, const uint64_t *other)
{
    const int digits = (int) ((64 * (unsigned) limbs + DIGIT_BITS - 1) / DIGIT_BITS); /* odd, for all sizes of ours */
    m->is_whole = other == NULL;
    m->limbs = limbs;
    m->rows = digits + 1;
    m->columns = m->is_whole ? m->rows >> 1 : m->rows; /* a pair's R / 2 has as many digits as R: one more than n */
    read_lane(&m->n, 0, m->columns, n, limbs, 0, 0);
    read_lane(&m->n, 1, m->columns, m->is_whole ? n : other, limbs, m->is_whole ? m->columns : 0, 0);
    m->k.d[0] = wasm_f64x2_make(negative_inverse(n[0]), negative_inverse(m->is_whole ? n[0] : other[0]));
    make_r_squared(m, n, other, limbs, m->columns, DIGIT_BITS * m->rows);
    if (!m->is_whole) m->columns = digits;
}

#endif
