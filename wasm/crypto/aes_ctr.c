/*
 * AES-CTR. A few blocks go through aes_encrypt(); more of them 16 at once, byte-sliced: vector p holds byte p of all 16.
 *
 * So ShiftRows is a matter of which vector to take, MixColumns adds vectors, and a round key's byte is the same for all.
 * And the counters of 16 aligned blocks differ in the low nibble of byte 15 only, those of 256 in byte 15: after
 * the first round all else of the state but column 0 is the same for 256 blocks, and of the second round most can be had
 * once for all of them, too (`head`).
 */
#include "aes_ctr.h"
#include "aes_core.h"

#include "mbedtls/platform_util.h"

#define LANES 16
/* From how many blocks on a group is faster than fours: it costs as much as nine blocks there, and what all groups have in
 * common as much as four. */
#define GROUP_MIN 9
#define FIRST_GROUP_MIN 13

/* 2 S and 3 S of one byte of all blocks. */
typedef struct {
    vec s2, s3;
} sub;

INLINE sub substitute(vec bytes)
{
    const vec2 inverted = invert(load2(aes_inverse), bytes);
    return (sub) { look2(load2(aes_sbox2), inverted), look2(load2(aes_sbox3), inverted) };
}

INLINE vec key_byte(const uint8_t *key, int at)
{
    return wasm_v128_load8_splat(key + at);
}

/*
 * A column of MixColumns and AddRoundKey: row r is 2 S(r) + 3 S(r+1) + S(r+2) + S(r+3). With q(r) = 3 S(r) + 2 S(r+1) that
 * is q(r+1) + q(r+2) + q(r+3).
 */
INLINE void mix(sub a, sub b, sub c, sub d, const uint8_t *key, vec out[4])
{
    const vec q0 = a.s3 ^ b.s2, q1 = b.s3 ^ c.s2, q2 = c.s3 ^ d.s2, q3 = d.s3 ^ a.s2;
    const vec q01 = q0 ^ q1, q23 = q2 ^ q3;
    out[0] = q1 ^ q23 ^ key_byte(key, 0);
    out[1] = q0 ^ q23 ^ key_byte(key, 1);
    out[2] = q3 ^ q01 ^ key_byte(key, 2);
    out[3] = q2 ^ q01 ^ key_byte(key, 3);
}

/* After ShiftRows, row r of column c is what was in column c + r. */
#define FROM(c, r) (4 * (((c) + (r)) & 3) + (r))

/*
 * Scratch of a call, wiped at its end. It is not on the stack, since V8 leaves out bounds checks for constant addresses, of
 * which there would be one for each vector. Nothing here is called from within itself.
 */
static struct {
    vec state[2][16]; /* taken in turns by the rounds */
    uint8_t key[16]; /* of the round */
    uint8_t stream[16 * LANES];
} scratch;

INLINE void middle_round(const int from, const uint8_t *key)
{
    const vec *in = scratch.state[from];
    store(scratch.key, load(key));
    UNROLL for (int c = 0; c < 4; c++) {
        mix(substitute(in[FROM(c, 0)]), substitute(in[FROM(c, 1)]), substitute(in[FROM(c, 2)]),
            substitute(in[FROM(c, 3)]), scratch.key + 4 * c, scratch.state[1 - from] + 4 * c);
    }
}

NOINLINE static void odd_round(const uint8_t *key)
{
    middle_round(0, key);
}

NOINLINE static void even_round(const uint8_t *key)
{
    middle_round(1, key);
}

/* From state 1 to state 0. */
NOINLINE static void last_round(const uint8_t *key)
{
    const vec2 inverse = load2(aes_inverse), leave = load2(aes_sbox_leave);
    store(scratch.key, load(key));
    UNROLL for (int p = 0; p < 16; p++) {
        const vec s = look2(leave, invert(inverse, scratch.state[1][FROM(p / 4, p % 4)]));
        scratch.state[0][p] = s ^ key_byte(scratch.key, p);
    }
}

/* ---- The first two rounds --------------------------------------------------------------------------- */

/*
 * What 256 counters with the same upper bytes have in common. Byte 15 goes to row 3 of column 0, so `first` is that
 * column after round 1, without the part of byte 15, and `second` the state after round 2, without that of column 0: whose
 * row r goes to column (4 - r) % 4.
 */
static struct {
    vec first[4], second[16];
} head;

static void make_head(const mbedtls_aes_context *aes, const uint8_t counter[16])
{
    const sub none = { splat(0), splat(0) };
    uint8_t bytes[16];
    store(bytes, map_bytes(aes_enter, load(counter)) ^ load(aes->round_key[0]));
    vec in[16], out[16];
    UNROLL for (int p = 0; p < 16; p++) in[p] = splat(bytes[p]);

    const uint8_t *key = aes->round_key[1];
    mix(substitute(in[0]), substitute(in[5]), substitute(in[10]), none, key, head.first);
    KEEP_LOOP for (int c = 1; c < 4; c++) {
        mix(substitute(in[FROM(c, 0)]), substitute(in[FROM(c, 1)]), substitute(in[FROM(c, 2)]),
            substitute(in[FROM(c, 3)]), key + 4 * c, out + 4 * c);
    }
    key = aes->round_key[2];
    mix(none, substitute(out[5]), substitute(out[10]), substitute(out[15]), key, head.second);
    mix(substitute(out[4]), substitute(out[9]), substitute(out[14]), none, key + 4, head.second + 4);
    mix(substitute(out[8]), substitute(out[13]), none, substitute(out[7]), key + 8, head.second + 8);
    mix(substitute(out[12]), none, substitute(out[6]), substitute(out[11]), key + 12, head.second + 12);
    mbedtls_platform_zeroize(bytes, sizeof(bytes));
    mbedtls_platform_zeroize(in, sizeof(in));
    mbedtls_platform_zeroize(out, sizeof(out));
}

/* Adds to a column after round 2 what row `r` of its input, known late, contributes. */
INLINE void add_row(const vec *column, int r, vec bytes, vec *out)
{
    const sub late = substitute(bytes);
    const vec s = late.s2 ^ late.s3;
    out[r] = column[r] ^ late.s2;
    out[(r + 3) & 3] = column[(r + 3) & 3] ^ late.s3;
    out[(r + 1) & 3] = column[(r + 1) & 3] ^ s;
    out[(r + 2) & 3] = column[(r + 2) & 3] ^ s;
}

/* Rounds 1 and 2, for these bytes 15 (after AddRoundKey). */
NOINLINE static void first_rounds(vec byte15)
{
    vec column[4], *out = scratch.state[0];
    add_row(head.first, 3, byte15, column);
    add_row(head.second + 0, 0, column[0], out + 0);
    add_row(head.second + 12, 1, column[1], out + 12);
    add_row(head.second + 8, 2, column[2], out + 8);
    add_row(head.second + 4, 3, column[3], out + 4);
}

/* ---- Groups of 16 ----------------------------------------------------------------------------------- */

static const uint8_t zeros[16 * LANES];

/* Turns vectors of bytes p back into blocks, and adds those to 16 blocks. */
NOINLINE static void add_stream(const uint8_t *in, uint8_t *out)
{
    vec rows[16];
    UNROLL for (int n = 0; n < 16; n++) rows[n] = scratch.state[0][n];
    transpose(rows);
    UNROLL for (int n = 0; n < 16; n++) rows[n] ^= load(in + 16 * n);
    UNROLL for (int n = 0; n < 16; n++) store(out + 16 * n, rows[n]);
}

/* Adds the stream of the 16 blocks whose last bytes are from `first`, a multiple of 16, on. */
static void group(const mbedtls_aes_context *aes, uint8_t first, const uint8_t *in, uint8_t *out)
{
    const vec lanes = wasm_i8x16_make(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const uint32_t rounds = aes->rounds;
    first_rounds(map_bytes(aes_enter, splat(first) | lanes) ^ key_byte(aes->round_key[0], 15));
    KEEP_LOOP for (uint32_t round = 3; round + 1 < rounds; round += 2) {
        odd_round(aes->round_key[round]);
        even_round(aes->round_key[round + 1]);
    }
    odd_round(aes->round_key[rounds - 1]);
    last_round(aes->round_key[rounds]);
    add_stream(in, out);
}

/* ---- Everything ------------------------------------------------------------------------------------- */

/* The streams of four blocks. */
static void four(const mbedtls_aes_context *aes, const uint8_t counter[16], uint32_t count, uint8_t *stream)
{
    vec blocks[4];
    const vec base = load(counter);
    UNROLL for (uint32_t n = 0; n < 4; n++) {
        blocks[n] = wasm_i32x4_replace_lane(base, 3, (int32_t) __builtin_bswap32(count + n));
    }
    aes_encrypt(aes, blocks, 4);
    UNROLL for (int n = 0; n < 4; n++) store(stream + 16 * n, blocks[n]);
}

static void add(const uint8_t *stream, const uint8_t *in, uint8_t *out, size_t len)
{
    size_t at = 0;
    for (; at + 16 <= len; at += 16) store(out + at, load(in + at) ^ load(stream + at));
    for (; at < len; at++) out[at] = in[at] ^ stream[at];
}

void aes_ctr32(const mbedtls_aes_context *aes, uint8_t counter[16], int counter_secret, uint8_t mask[16],
               const uint8_t *in, uint8_t *out, size_t len)
{
    uint32_t count;
    memcpy(&count, counter + 12, 4);
    count = __builtin_bswap32(count);
    if (mask == NULL) count++;
    size_t blocks = len / 16 + (len % 16 != 0) + (mask != NULL);
    int have_head = 0;

    while (blocks > 0) {
        /* Groups show in time and addresses where the count stands. */
        const uint32_t skip = counter_secret ? 0 : count % LANES;
        size_t size = counter_secret ? 4 : LANES - skip;
        if (size > blocks) size = blocks;
        const uint8_t *stream = scratch.stream;
        if (size >= (have_head ? GROUP_MIN : FIRST_GROUP_MIN)) {
            if (!have_head || count % 256 == 0) {
                const uint32_t first = __builtin_bswap32(count);
                memcpy(counter + 12, &first, 4);
                make_head(aes, counter);
                have_head = 1;
            }
            const uint8_t base = (uint8_t) (count - skip);
            if (size == LANES && mask == NULL && len >= 16 * LANES) {
                group(aes, base, in, out);
                stream = NULL;
            } else {
                group(aes, base, zeros, scratch.stream);
                stream += 16 * skip;
            }
        } else {
            if (size > 4) size = 4;
            four(aes, counter, count, scratch.stream);
        }

        count += (uint32_t) size;
        blocks -= size;
        size_t bytes = 16 * size;
        if (mask != NULL) {
            memcpy(mask, stream, 16);
            mask = NULL;
            stream += 16;
            bytes -= 16;
        }
        if (bytes > len) bytes = len;
        if (stream != NULL) add(stream, in, out, bytes);
        in += bytes;
        out += bytes;
        len -= bytes;
    }

    count = __builtin_bswap32(count - 1);
    memcpy(counter + 12, &count, 4);
    if (have_head) {
        mbedtls_platform_zeroize(&head, sizeof(head));
        mbedtls_platform_zeroize(&scratch, sizeof(scratch));
    } else {
        mbedtls_platform_zeroize(scratch.stream, 4 * 16);
    }
}
