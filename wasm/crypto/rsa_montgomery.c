/*
 * Montgomery's product by columns of digits, for RSA (P. L. Montgomery: Modular multiplication without trial
 * division, 1985).
 *
 * Row i adds a b_i and m_i n to the columns, where m_i makes the lowest column a multiple of 2^51, and moves all
 * columns down by one: after all rows they are (a b + n sum of m_i 2^(51 i)) / R. Rows come two at a time: a column is
 * then loaded and stored once for four products.
 *
 * Bounds. m_i is signed, at most 2^50 in size, so the sum of them is at most 0.501 R: |r| < |a b| / R + 0.51 n. A
 * column gets from each row lo of two products (2^50 each) and hi of two, 2^51 + 2^50 (of a b_i, at most 2^102; of
 * m_i n, at most 2^101), so in 82 rows less than 82 * 5 * 2^50 < 2^59, with what is carried. In a whole, what column 0
 * is in the second lane becomes the last but one column of the first: still one row's products for each row.
 *
 * Carry. T + 2^60 + 2^50 is positive and below 2^61. Its low 51 bits less 2^50 are the digit, from -2^50 to 2^50; the
 * rest less 2^9 is the carry to the next digit, below 2^9 in size: r is short. The last digit keeps what it has beyond
 * its bits. That is little, as |r| is far below R, so the digit is exact in a double.
 */
#include "rsa_numbers.h"

#ifdef __wasm_relaxed_simd__

/* What the constants in the words of so many products come to, negative. */
#define LESS(low, high) wasm_i64x2_const_splat((int64_t) (0 - (low) * LOW_BITS - (high) * HIGH_BITS))

/* A product without the constants. */
INLINE void add_exact(v128_t *low, v128_t *high, v128_t a, v128_t b)
{
    add_product(low, high, a, b);
    *low = wasm_i64x2_add(*low, LESS(1, 0));
    *high = wasm_i64x2_add(*high, LESS(0, 1));
}

/* The low 51 bits of a column, times k, modulo 2^51: what to multiply n by. For a whole the first lane's, in both. */
INLINE v128_t quotient(v128_t column, v128_t k, int is_whole)
{
    const v128_t mask = wasm_i64x2_const_splat((int64_t) DIGIT_MASK), one = wasm_f64x2_const_splat(0x1p52);
    const v128_t u = wasm_f64x2_sub(wasm_v128_or(wasm_v128_and(column, mask), one), one);
    const v128_t h = FMA(u, k, wasm_f64x2_const_splat(HIGH));
    const v128_t m = FMA(u, k, wasm_f64x2_sub(wasm_f64x2_const_splat(HIGH), h));
    return is_whole ? wasm_i64x2_shuffle(m, m, 0, 0) : m;
}

/* What goes from a column that is a multiple of 2^51 to the next; in a whole, the second lane's is none. */
INLINE v128_t carried(v128_t column, int is_whole)
{
    const v128_t over = wasm_i64x2_shr(column, DIGIT_BITS);
    return is_whole ? wasm_v128_and(over, wasm_i64x2_const(-1, 0)) : over;
}

/* The second lane of a column, where the first lane goes on: as [second, 0]. */
INLINE v128_t moved_down(v128_t column)
{
    return wasm_i64x2_shuffle(column, wasm_i64x2_const_splat(0), 1, 2);
}

/* Digit i of b in both lanes; for a pair, the digits i. Zero behind the last. */
INLINE v128_t digit(const number *b, int i, int columns, int is_whole)
{
    if (!is_whole) return i < columns ? b->d[i] : wasm_i64x2_const_splat(0);
    return i < columns ? wasm_v128_load64_splat(&b->lane[i][0]) : wasm_v128_load64_splat(&b->lane[i - columns][1]);
}

/* Makes a short number of the columns. */
INLINE void carry(number *r, const v128_t *t, int columns, int is_whole)
{
    const v128_t mask = wasm_i64x2_const_splat((int64_t) DIGIT_MASK), one = wasm_f64x2_const_splat(0x1p52);
    const v128_t positive = wasm_i64x2_const_splat(((int64_t) 1 << 60) + ((int64_t) 1 << 50));
    v128_t over = wasm_i64x2_const_splat(0); /* 0.0, too */
    for (int j = 0; j < columns; j++) {
        const v128_t x = wasm_i64x2_add(t[j], positive);
        const v128_t low = wasm_v128_or(wasm_v128_and(x, mask), one), high = wasm_v128_or(wasm_u64x2_shr(x, 51), one);
        r->d[j] = wasm_f64x2_add(wasm_f64x2_sub(low, wasm_f64x2_const_splat(0x1p52 + 0x1p50)), over);
        over = wasm_f64x2_sub(high, wasm_f64x2_const_splat(0x1p52 + 0x1p9));
    }
    const v128_t rest = wasm_f64x2_mul(over, wasm_f64x2_const_splat(0x1p51));
    if (is_whole) {
        const v128_t zero = wasm_f64x2_const_splat(0);
        r->d[0] = wasm_f64x2_add(r->d[0], wasm_i64x2_shuffle(over, zero, 2, 0));
        r->d[columns - 1] = wasm_f64x2_add(r->d[columns - 1], wasm_i64x2_shuffle(rest, zero, 2, 1));
    } else {
        r->d[columns - 1] = wasm_f64x2_add(r->d[columns - 1], rest);
    }
}

INLINE void multiply(number *r, const number *a, const number *b, modulus *m, int columns, int rows, int is_whole)
{
    const v128_t *n = m->n.d, k = m->k.d[0];
    v128_t *t = m->t.d;
    for (int j = 0; j < columns; j++) t[j] = wasm_i64x2_const_splat(0);
    for (int i = 0; i < rows; i += 2) {
        const v128_t b0 = digit(b, i, columns, is_whole), b1 = digit(b, i + 1, columns, is_whole);
        /* Columns 0 and 1 come first: m0 and m1 are made of them. c2 is what goes on to column 2. */
        v128_t c0 = t[0], c1 = t[1], c2 = wasm_i64x2_const_splat(0);
        add_exact(&c0, &c1, a->d[0], b0);
        const v128_t m0 = quotient(c0, k, is_whole);
        add_exact(&c0, &c1, n[0], m0);
        add_exact(&c1, &c2, a->d[1], b0);
        add_exact(&c1, &c2, a->d[0], b1);
        add_exact(&c1, &c2, n[1], m0);
        c1 = wasm_i64x2_add(c1, carried(c0, is_whole));
        const v128_t m1 = quotient(c1, k, is_whole);
        add_exact(&c1, &c2, n[0], m1);
        c2 = wasm_i64x2_add(c2, carried(c1, is_whole));

        v128_t a_before = a->d[1], n_before = n[1];
        c2 = wasm_i64x2_sub(c2, LESS(0, 4)); /* as if with constants, like those of the loop */
        for (int j = 2; j < columns; j++) {
            const v128_t a_now = a->d[j], n_now = n[j];
            v128_t low = wasm_i64x2_add(t[j], c2), high = wasm_i64x2_const_splat(0);
            add_product(&low, &high, a_now, b0);
            add_product(&low, &high, a_before, b1);
            add_product(&low, &high, n_now, m0);
            add_product(&low, &high, n_before, m1);
            t[j - 2] = wasm_i64x2_add(low, LESS(4, 4));
            a_before = a_now, n_before = n_now, c2 = high;
        }
        c2 = wasm_i64x2_add(c2, LESS(0, 4));

        /* Behind the last column, where only row i + 1 has products. */
        v128_t last = wasm_i64x2_const_splat(0);
        add_exact(&c2, &last, a_before, b1);
        add_exact(&c2, &last, n_before, m1);
        t[columns - 2] = is_whole ? wasm_i64x2_add(c2, moved_down(c0)) : c2;
        t[columns - 1] = is_whole ? wasm_i64x2_add(last, moved_down(c1)) : last;
    }
    carry(r, t, columns, is_whole);
}

/* Sizes are parameters, so that whoever looks at what is branched on can tell them from secrets. */
static NOINLINE void multiply_pair(number *r, const number *a, const number *b, modulus *m, int columns, int rows)
{
    multiply(r, a, b, m, columns, rows, 0);
}

static NOINLINE void multiply_whole(number *r, const number *a, const number *b, modulus *m, int columns, int rows)
{
    multiply(r, a, b, m, columns, rows, 1);
}

void tlsio_rsa_multiply(number *r, const number *a, const number *b, modulus *m)
{
    if (m->is_whole) multiply_whole(r, a, b, m, m->columns, m->rows);
    else multiply_pair(r, a, b, m, m->columns, m->rows);
}

/*
 * Row i of a square adds a_i a_i and, for j > i, 2 a_i a_j: all that is left of a a when rows before i are done. Of
 * rows i and i + 1, i even, the first adds to columns from i on, the second from i + 2 on; before, only n is added. The
 * second's first product is written 2 a_(i+1) (a_(i+1) / 2), like the others. The last row has no digit of a: there
 * are columns + 1 rows, and columns are odd. As a is short, 2 a_i a_j is below 2^101.1.
 */
static NOINLINE void square_pair(number *r, const number *a, modulus *m, int columns)
{
    const v128_t *n = m->n.d, k = m->k.d[0], half = wasm_f64x2_const_splat(0.5);
    v128_t *t = m->t.d;
    for (int j = 0; j < columns; j++) t[j] = wasm_i64x2_const_splat(0);
    for (int i = 0; i <= columns; i += 2) {
        const v128_t a0 = a->d[i], a1 = digit(a, i + 1, columns, 0);
        const v128_t b0 = wasm_f64x2_add(a0, a0), b1 = wasm_f64x2_add(a1, a1);
        v128_t c0 = t[0], c1 = t[1], c2 = wasm_i64x2_const_splat(0);
        if (i == 0) add_exact(&c0, &c1, a0, a0);
        const v128_t m0 = quotient(c0, k, 0);
        add_exact(&c0, &c1, n[0], m0);
        if (i == 0) add_exact(&c1, &c2, a1, b0);
        add_exact(&c1, &c2, n[1], m0);
        c1 = wasm_i64x2_add(c1, carried(c0, 0));
        const v128_t m1 = quotient(c1, k, 0);
        add_exact(&c1, &c2, n[0], m1);
        c2 = wasm_i64x2_add(c2, carried(c1, 0));

        int j = 2;
        v128_t n_before = n[1];
        c2 = wasm_i64x2_sub(c2, LESS(0, 2));
        for (; j < i; j++) {
            const v128_t n_now = n[j];
            v128_t low = wasm_i64x2_add(t[j], c2), high = wasm_i64x2_const_splat(0);
            add_product(&low, &high, n_now, m0);
            add_product(&low, &high, n_before, m1);
            t[j - 2] = wasm_i64x2_add(low, LESS(2, 2));
            n_before = n_now, c2 = high;
        }
        c2 = wasm_i64x2_add(c2, LESS(0, 2));
        for (; j < i + 2 && j < columns; j++) { /* not for i = 0, where they are columns 0 and 1 */
            const v128_t n_now = n[j];
            v128_t low = wasm_i64x2_add(t[j], c2), high = wasm_i64x2_const_splat(0);
            if (j == i) add_exact(&low, &high, a0, a0);
            else add_exact(&low, &high, a1, b0);
            add_exact(&low, &high, n_now, m0);
            add_exact(&low, &high, n_before, m1);
            t[j - 2] = low;
            n_before = n_now, c2 = high;
        }
        v128_t a_before = wasm_f64x2_mul(a1, half);
        c2 = wasm_i64x2_sub(c2, LESS(0, 4));
        for (; j < columns; j++) {
            const v128_t a_now = a->d[j], n_now = n[j];
            v128_t low = wasm_i64x2_add(t[j], c2), high = wasm_i64x2_const_splat(0);
            add_product(&low, &high, a_now, b0);
            add_product(&low, &high, a_before, b1);
            add_product(&low, &high, n_now, m0);
            add_product(&low, &high, n_before, m1);
            t[j - 2] = wasm_i64x2_add(low, LESS(4, 4));
            a_before = a_now, n_before = n_now, c2 = high;
        }
        c2 = wasm_i64x2_add(c2, LESS(0, 4));

        v128_t last = wasm_i64x2_const_splat(0);
        add_exact(&c2, &last, a_before, b1);
        add_exact(&c2, &last, n_before, m1);
        t[columns - 2] = c2;
        t[columns - 1] = last;
    }
    carry(r, t, columns, 0);
}

void tlsio_rsa_square(number *r, const number *a, modulus *m)
{
    square_pair(r, a, m, m->columns);
}

#endif
