/*
 * X25519 in integers: numbers modulo p = 2^255 - 19 as ten signed digits of 26 and 25 bits in turn; digit i
 * counts 2^ceil(25.5 i). The representation and its bounds are those of Bernstein's ref10.
 *
 * Bounds. What `carry()` leaves is "short": even digits are at most 1.01 * 2^25 in size, odd ones 1.01 * 2^24.
 * A sum or difference of two short numbers is at most 1.65 * 2^26 and 1.65 * 2^25, and that may be multiplied.
 * A product's largest column is column 0: f_0 g_0 and nine products that are multiplied by 19, five of them
 * (odd by odd) also by 2. It is below 1.65^2 * 2^52 * (1 + 19 * (4 + 5 / 2)) < 2^60.5.
 */
#include "inline.h"
#include "x25519.h"

#include <stdint.h>
#include <string.h>

#include "mbedtls/platform_util.h"

typedef struct {
    int64_t d[10];
} number;

/* ---- Arithmetic modulo p --------------------------------------------------------------------------- */

/* Moves what digit `from` has beyond its bits to the next; from the last it goes, 19 times, to the first. */
INLINE void carry_one(int64_t h[10], int from)
{
    const int bits = from % 2 == 0 ? 26 : 25;
    const int64_t carry = (h[from] + ((int64_t) 1 << (bits - 1))) >> bits; /* rounded, so that digits are signed */
    h[from] -= carry * ((int64_t) 1 << bits); /* C says nothing of shifts of negative numbers */
    h[(from + 1) % 10] += (from == 9 ? 19 : 1) * carry;
}

/* Two chains side by side, from digits 0 and 4; then a last step behind the carry from the top. */
INLINE void carry(number *r, int64_t h[10])
{
    UNROLL for (int i = 0; i < 5; i++) carry_one(h, i), carry_one(h, i + 4);
    carry_one(h, 9);
    carry_one(h, 0);
    UNROLL for (int i = 0; i < 10; i++) r->d[i] = h[i];
}

/* Digits i and j, both odd, count half a bit each more than digit i + j does: their product is doubled. */
INLINE int both_odd(int i, int j)
{
    return i & j & 1;
}

static NOINLINE void multiply(number *r, const number *f, const number *g)
{
    int64_t h[10] = { 0 }, g19[10];
    UNROLL for (int j = 0; j < 10; j++) g19[j] = 19 * g->d[j];
    UNROLL for (int i = 0; i < 10; i++) {
        const int64_t once = f->d[i], twice = 2 * once;
        UNROLL for (int j = 0; j < 10; j++) {
            h[(i + j) % 10] += (both_odd(i, j) ? twice : once) * (i + j < 10 ? g->d[j] : g19[j]);
        }
    }
    carry(r, h);
}

static NOINLINE void square(number *r, const number *f)
{
    int64_t h[10] = { 0 }, f19[10];
    UNROLL for (int j = 0; j < 10; j++) f19[j] = 19 * f->d[j];
    UNROLL for (int i = 0; i < 10; i++) {
        const int64_t once = f->d[i], twice = 2 * once, four = 4 * once;
        UNROLL for (int j = i; j < 10; j++) {
            const int64_t other = i + j < 10 ? f->d[j] : f19[j];
            if (i == j) h[2 * i % 10] += (both_odd(i, i) ? twice : once) * other;
            else h[(i + j) % 10] += (both_odd(i, j) ? four : twice) * other;
        }
    }
    carry(r, h);
}

INLINE void multiply_small(number *r, const number *f, int64_t n)
{
    int64_t h[10];
    UNROLL for (int i = 0; i < 10; i++) h[i] = n * f->d[i];
    carry(r, h);
}

INLINE void add(number *r, const number *f, const number *g)
{
    UNROLL for (int i = 0; i < 10; i++) r->d[i] = f->d[i] + g->d[i];
}

INLINE void subtract(number *r, const number *f, const number *g)
{
    UNROLL for (int i = 0; i < 10; i++) r->d[i] = f->d[i] - g->d[i];
}

/* Swaps where `bit` is 1, and does as much where it is 0. */
INLINE void swap_if(number *f, number *g, unsigned bit)
{
    int64_t mask = -(int64_t) bit;
    OPAQUE(mask);
    UNROLL for (int i = 0; i < 10; i++) {
        const int64_t change = mask & (f->d[i] ^ g->d[i]);
        f->d[i] ^= change;
        g->d[i] ^= change;
    }
}

static void square_times(number *r, const number *f, int count)
{
    square(r, f);
    while (--count > 0) square(r, r);
}

/* z^(p - 2) = 1 / z; 0 for 0. The exponent is 2^255 - 21; names say which power of z they are. */
static void invert(number *r, const number *z)
{
    struct {
        number z_2, z_9, z_11, e_5, e_10, e_20, e_50, e_100, t; /* e_n: 2^n - 1 */
    } s;
    square(&s.z_2, z);
    square_times(&s.t, &s.z_2, 2), multiply(&s.z_9, &s.t, z);
    multiply(&s.z_11, &s.z_9, &s.z_2);
    square(&s.t, &s.z_11), multiply(&s.e_5, &s.t, &s.z_9);
    square_times(&s.t, &s.e_5, 5), multiply(&s.e_10, &s.t, &s.e_5);
    square_times(&s.t, &s.e_10, 10), multiply(&s.e_20, &s.t, &s.e_10);
    square_times(&s.t, &s.e_20, 20), multiply(&s.t, &s.t, &s.e_20);
    square_times(&s.t, &s.t, 10), multiply(&s.e_50, &s.t, &s.e_10);
    square_times(&s.t, &s.e_50, 50), multiply(&s.e_100, &s.t, &s.e_50);
    square_times(&s.t, &s.e_100, 100), multiply(&s.t, &s.t, &s.e_100);
    square_times(&s.t, &s.t, 50), multiply(&s.t, &s.t, &s.e_50);
    square_times(&s.t, &s.t, 5), multiply(r, &s.t, &s.z_11);
    mbedtls_platform_zeroize(&s, sizeof(s));
}

/* ---- Bytes ----------------------------------------------------------------------------------------- */

static const int FIRST_BIT[11] = { 0, 26, 51, 77, 102, 128, 153, 179, 204, 230, 256 };

static void read(number *r, const unsigned char bytes[32])
{
    int64_t h[10];
    uint64_t words[5] = { 0 };
    memcpy(words, bytes, 32);
    for (int i = 0; i < 10; i++) { /* the last digit has a bit more than its 25 */
        const int word = FIRST_BIT[i] / 64, shift = FIRST_BIT[i] % 64, size = FIRST_BIT[i + 1] - FIRST_BIT[i];
        const uint64_t bits = words[word] >> shift | (shift > 0 ? words[word + 1] << (64 - shift) : 0);
        h[i] = (int64_t) (bits & (((uint64_t) 1 << size) - 1));
    }
    carry(r, h);
    mbedtls_platform_zeroize(words, sizeof(words));
}

/* Adds `n` to a number with digits that are not signed, and carries. Returns the carry out of bit 255. */
static int64_t add_up(int64_t h[10], int64_t n)
{
    h[0] += n;
    for (int i = 0; i < 10; i++) {
        const int bits = i % 2 == 0 ? 26 : 25;
        n = h[i] >> bits;
        h[i] &= ((int64_t) 1 << bits) - 1;
        if (i < 9) h[i + 1] += n;
    }
    return n;
}

/* Writes the one value below p. */
static void write(unsigned char bytes[32], const number *f)
{
    int64_t h[10];
    uint64_t words[5] = { 0 };
    memcpy(h, f->d, sizeof(h));
    /* Into [0, 2^255): a short number is between -2^255 and 2^255, so this carry is -1 or 0, and the next ones too. */
    int64_t over = add_up(h, 0);
    over = add_up(h, 19 * over);
    (void) add_up(h, 19 * over);
    /* h >= p exactly when h + 19 >= 2^255, and then h - p is h + 19 without that bit. */
    int64_t plus_19[10];
    memcpy(plus_19, h, sizeof(h));
    int64_t mask = -add_up(plus_19, 19);
    OPAQUE(mask);
    for (int i = 0; i < 10; i++) {
        const uint64_t digit = (uint64_t) (h[i] ^ (mask & (h[i] ^ plus_19[i])));
        const int word = FIRST_BIT[i] / 64, shift = FIRST_BIT[i] % 64;
        words[word] |= digit << shift;
        if (shift > 0) words[word + 1] |= digit >> (64 - shift);
    }
    memcpy(bytes, words, 32);
}

/* ---- The ladder (RFC 7748 section 5), with its names ------------------------------------------------ */

struct ladder {
    number x_1, x_2, z_2, x_3, z_3;
    number a, aa, b, bb, e, c, d, da, cb, t;
};

static void step(struct ladder *s)
{
    add(&s->a, &s->x_2, &s->z_2), square(&s->aa, &s->a);
    subtract(&s->b, &s->x_2, &s->z_2), square(&s->bb, &s->b);
    subtract(&s->e, &s->aa, &s->bb);
    add(&s->c, &s->x_3, &s->z_3);
    subtract(&s->d, &s->x_3, &s->z_3);
    multiply(&s->da, &s->d, &s->a);
    multiply(&s->cb, &s->c, &s->b);
    add(&s->t, &s->da, &s->cb), square(&s->x_3, &s->t);
    subtract(&s->t, &s->da, &s->cb), square(&s->t, &s->t), multiply(&s->z_3, &s->x_1, &s->t);
    multiply(&s->x_2, &s->aa, &s->bb);
    multiply_small(&s->t, &s->e, 121665), add(&s->t, &s->aa, &s->t), multiply(&s->z_2, &s->e, &s->t);
}

void tlsio_x25519_integer(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32])
{
    struct ladder s = { .x_2.d[0] = 1, .z_3.d[0] = 1 };
    unsigned swapped = 0;
    read(&s.x_1, u);
    s.x_3 = s.x_1;
    for (int t = 254; t >= 0; t--) {
        const unsigned bit = scalar[t / 8] >> t % 8 & 1;
        swap_if(&s.x_2, &s.x_3, bit ^ swapped);
        swap_if(&s.z_2, &s.z_3, bit ^ swapped);
        swapped = bit;
        step(&s);
    }
    swap_if(&s.x_2, &s.x_3, swapped);
    swap_if(&s.z_2, &s.z_3, swapped);
    invert(&s.z_2, &s.z_2);
    multiply(&s.x_2, &s.x_2, &s.z_2);
    write(out, &s.x_2);
    mbedtls_platform_zeroize(&s, sizeof(s));
}
