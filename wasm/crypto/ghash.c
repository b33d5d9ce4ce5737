/*
 * GHASH without tables in memory that a secret indexes.
 *
 * A block is a polynomial over GF(2), modulo x^128 + x^7 + x^2 + x + 1: bit 7 - b of byte j is the coefficient of
 * x^(8j + b). So byte j with the nibbles u (high) and v (low) is x^8j (u + x^4 v), each nibble's high bit first, and
 *
 *   X P = sum over j of x^8j (u_j P + v_j x^4 P).
 *
 * For a factor P we write down u P and v x^4 P for all 16 nibbles, reduced: 16 bytes each. Row k of the tables holds byte k
 * of them all, so that one look-up gives byte k of u_j P for all 16 j at once. That belongs to byte j + k of the product:
 *
 *   X P = sum over k of x^8k (high[k][u] + low[k][v]),
 *
 * where multiplying by x^8 moves a vector up by one byte, into a second vector of which 15 bytes fill. Those are reduced
 * once, at the end. Some blocks share both the moves and the reduction, as four do: (Y + A) P^4 + B P^3 + C P^2 + D P.
 */
#include "ghash.h"

#include "aes_simd.h"
#include "mbedtls/platform_util.h"

/* How many powers of h there can be tables of: 1, 4 or 8, and from how many blocks on those are worth making. */
#define POWERS 8
#define FOUR_MIN 28
#define EIGHT_MIN 256

/* Here, not on the stack, since V8 leaves out bounds checks for constant addresses. */
static struct {
    table high[16], low[16];
} power[POWERS]; /* h, h^2, ... */
static size_t powers;

/* ---- Reduction -------------------------------------------------------------------------------------- */

/*
 * x^128 = 1 + x + x^2 + x^7, so W x^128 is W + W x + W x^2 + W x^7, which fits for 15 bytes of W. Multiplying by x moves
 * bits to the right: part of a byte w stays, the rest goes to the next byte.
 */
#define STAYS(w) ((w) ^ (w) >> 1 ^ (w) >> 2 ^ (w) >> 7)
#define GOES(w) (uint8_t) ((w) << 7 ^ (w) << 6 ^ (w) << 1)
#define BY_LOW(f) { f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15) }
#define SHIFTED(f, n) f((n) << 4)
#define BY_HIGH(f)                                                                                                  \
    {                                                                                                               \
        SHIFTED(f, 0), SHIFTED(f, 1), SHIFTED(f, 2), SHIFTED(f, 3), SHIFTED(f, 4), SHIFTED(f, 5), SHIFTED(f, 6),     \
            SHIFTED(f, 7), SHIFTED(f, 8), SHIFTED(f, 9), SHIFTED(f, 10), SHIFTED(f, 11), SHIFTED(f, 12),             \
            SHIFTED(f, 13), SHIFTED(f, 14), SHIFTED(f, 15)                                                           \
    }
/* Not const: see aes_simd.h. */
table ghash_stays[2] = { BY_LOW(STAYS), BY_HIGH(STAYS) }, ghash_goes[2] = { BY_LOW(GOES), BY_HIGH(GOES) };

/* The last 16 bytes of two vectors, when the first of them is moved by so many bytes. */
#define MOVE_15(a, b) wasm_i8x16_shuffle(a, b, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
#define MOVE_8(a, b) wasm_i8x16_shuffle(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)

/* A polynomial of 32 bytes. */
typedef struct {
    vec low, high;
} wide;

/* w x^8 + v */
INLINE wide move_and_add(wide w, vec v)
{
    return (wide) { MOVE_15(splat(0), w.low) ^ v, MOVE_15(w.low, w.high) };
}

INLINE vec reduce(wide w)
{
    const vec goes = map_bytes(ghash_goes, w.high);
    return w.low ^ map_bytes(ghash_stays, w.high) ^ MOVE_15(splat(0), goes);
}

/* Makes the compiler load the tables where it needs them: it would load all before a loop, and have no place for them. */
#define FORGET_LOADS __asm__ volatile("" : : : "memory")

/* ---- Multiplication ---------------------------------------------------------------------------------- */

/* Byte k of the nibbles' multiples, over all bytes of `count` blocks. The last block is for the first power. */
INLINE vec row(const vec *high, const vec *low, const int count, const int k)
{
    vec sum = splat(0);
    UNROLL for (int n = 0; n < count; n++) {
        sum ^= look(load(power[count - 1 - n].high[k]), high[n]) ^ look(load(power[count - 1 - n].low[k]), low[n]);
    }
    return sum;
}

/* blocks[0] h^count + ... + blocks[count - 1] h; `count` must be a constant. */
INLINE vec multiply(const vec *blocks, const int count)
{
    vec high[POWERS], low[POWERS];
    UNROLL for (int n = 0; n < count; n++) {
        high[n] = high_nibbles(blocks[n]);
        low[n] = low_nibbles(blocks[n]);
    }
    /* Two chains, as each step waits for the one before. */
    wide upper = { row(high, low, count, 15), splat(0) }, lower = { row(high, low, count, 7), splat(0) };
    UNROLL for (int k = 6; k >= 0; k--) {
        upper = move_and_add(upper, row(high, low, count, k + 8));
        lower = move_and_add(lower, row(high, low, count, k));
    }
    lower.low ^= MOVE_8(splat(0), upper.low);
    lower.high ^= MOVE_8(upper.low, upper.high);
    return reduce(lower);
}

/* `count` groups of `size` blocks, which must be a constant. */
INLINE vec groups(vec y, const uint8_t *in, size_t count, const int size)
{
    for (; count > 0; count--, in += 16 * size) {
        FORGET_LOADS;
        vec blocks[POWERS];
        UNROLL for (int n = 0; n < size; n++) blocks[n] = load(in + 16 * n);
        blocks[0] ^= y;
        y = multiply(blocks, size);
    }
    return y;
}

NOINLINE static vec one_by_one(vec y, const uint8_t *in, size_t count)
{
    return groups(y, in, count, 1);
}

NOINLINE static vec fours(vec y, const uint8_t *in, size_t count)
{
    return groups(y, in, count, 4);
}

NOINLINE static vec eights(vec y, const uint8_t *in, size_t count)
{
    return groups(y, in, count, 8);
}

void ghash_blocks(uint8_t y[16], const uint8_t *blocks, size_t count)
{
    vec sum = load(y);
    if (powers == 8) {
        sum = eights(sum, blocks, count / 8);
        blocks += 16 * (count - count % 8);
        count %= 8;
    }
    if (powers >= 4) {
        sum = fours(sum, blocks, count / 4);
        blocks += 16 * (count - count % 4);
        count %= 4;
    }
    store(y, one_by_one(sum, blocks, count));
}

/* ---- Tables ----------------------------------------------------------------------------------------- */

INLINE vec reversed(vec bytes)
{
    return wasm_i8x16_shuffle(bytes, bytes, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

/* The rows for nibbles whose bits, the high one first, stand for these polynomials. */
NOINLINE static void make_rows(table *rows, vec bit3, vec bit2, vec bit1, vec bit0)
{
    vec multiple[16] = { [0] = splat(0) };
    UNROLL for (int n = 1; n < 16; n++) {
        const int rest = n & (n - 1);
        const vec bit = (n ^ rest) == 8 ? bit3 : (n ^ rest) == 4 ? bit2 : (n ^ rest) == 2 ? bit1 : bit0;
        multiple[n] = multiple[rest] ^ bit;
    }
    transpose(multiple);
    UNROLL for (int k = 0; k < 16; k++) store(rows[k], multiple[k]);
}

static void make_table(size_t n, vec factor)
{
    /* Reversed, a polynomial is a 128-bit number, and to multiply by x is to halve it. */
    const vec number = reversed(factor);
    uint64_t low = (uint64_t) wasm_i64x2_extract_lane(number, 0), high = (uint64_t) wasm_i64x2_extract_lane(number, 1);
    vec times[8]; /* x^0 to x^7 times the factor */
    UNROLL for (int bit = 0; bit < 8; bit++) {
        times[bit] = reversed(wasm_i64x2_make((int64_t) low, (int64_t) high));
        uint64_t mask = -(low & 1);
        OPAQUE(mask);
        low = low >> 1 | high << 63;
        high = high >> 1 ^ (mask & 0xe100000000000000);
    }
    make_rows(power[n].high, times[0], times[1], times[2], times[3]);
    make_rows(power[n].low, times[4], times[5], times[6], times[7]);
}

void ghash_begin(const uint8_t h[16], size_t blocks)
{
    vec factor = load(h);
    make_table(0, factor);
    powers = blocks < FOUR_MIN ? 1 : blocks < EIGHT_MIN ? 4 : 8;
    for (size_t n = 1; n < powers; n++) {
        factor = multiply(&factor, 1);
        make_table(n, factor);
    }
}

void ghash_end(void)
{
    mbedtls_platform_zeroize(power, powers * sizeof(power[0]));
}
