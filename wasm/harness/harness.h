/*
 * The harness: mbedTLS's public primitives as exports, so that the same tests, fuzzer and benches run on the stock
 * core and on a core with kernels. Only cores for tests have it.
 *
 * An export makes the calls that its comment names, and returns mbedTLS's own code; where it writes something of
 * varying length, it returns that length. Everything secret or random comes from the arguments or from the import
 * `entropy`, so that a test knows every bit. The typed side is tests/crypto/harness.ts.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "tlsio.h"

#include "mbedtls/ecp.h"
#include "mbedtls/md.h"

/* How a streaming call cuts its input: `count` lengths, then whatever is left. A length may be 0. */
struct cuts {
    const uint32_t *lengths;
    size_t count;
};

/* The length of piece `index` of an input of which `left` bytes are left; every input ends with such a piece. */
static inline size_t piece(struct cuts cuts, size_t index, size_t left)
{
    return index < cuts.count && cuts.lengths[index] < left ? cuts.lengths[index] : left;
}

/* Runs the statement for each piece of `len` bytes: `at` is where it begins, `size` is its length. */
#define FOR_PIECES(cuts, len, at, size)                                                                      \
    for (size_t i_ = 0, at = 0, size; size = piece(cuts, i_, (len) - at), i_ <= (cuts).count; at += size, i_++)

/* The hash of so many bits: 224, 256, 384 or 512; 160 is SHA-1, 0 none. */
static inline mbedtls_md_type_t md_of(int bits)
{
    switch (bits) {
        case 160: return MBEDTLS_MD_SHA1;
        case 224: return MBEDTLS_MD_SHA224;
        case 256: return MBEDTLS_MD_SHA256;
        case 384: return MBEDTLS_MD_SHA384;
        case 512: return MBEDTLS_MD_SHA512;
        default: return MBEDTLS_MD_NONE;
    }
}

/* ---- curve.c --------------------------------------------------------------------------------------- */

/* The group with this IANA number (23, 24, 25: P-256, P-384, P-521; 29: X25519), loaded once; NULL for another. */
mbedtls_ecp_group *group_of(int curve);
/* Bytes of a coordinate, and of a private key. */
size_t coordinate_size(const mbedtls_ecp_group *group);
/* A scalar as the curve writes it: big-endian, or little-endian for X25519; of any length, in range or not. */
int read_scalar(const mbedtls_ecp_group *group, mbedtls_mpi *scalar, const unsigned char *bytes, size_t len);
int write_scalar(const mbedtls_ecp_group *group, const mbedtls_mpi *scalar, unsigned char *bytes);
/* Writes a point: 04 x y, or 00 for infinity; X25519: x. Returns the length. */
int write_point(const mbedtls_ecp_group *group, const mbedtls_ecp_point *point, unsigned char *out);

#define POINT_MAX MBEDTLS_ECP_MAX_PT_LEN

#endif
