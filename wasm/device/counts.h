/*
 * What a device's core counts: operations that cost time there. In all, and for each connection.
 */
#ifndef TLSIO_COUNTS_H
#define TLSIO_COUNTS_H

#include <stdint.h>

#define CURVES 14   /* mbedtls_ecp_group_id has fewer */
#define RSA_SIZES 4 /* up to 2048, 3072 and 4096 bits, and above */

typedef struct {
    uint32_t allocations;
    uint32_t allocated;              /* bytes */
    uint32_t multiplications;        /* of big numbers, one by another: what an operation on a curve consists of */
    uint32_t aes;                    /* bytes */
    uint32_t aria;                   /* bytes */
    uint32_t sha1, sha256, sha512;   /* bytes; sha256 has SHA-224's, too, and sha512 SHA-384's */
    uint32_t rsa_public[RSA_SIZES];  /* encryptions and verifications, those too by which a signature is checked */
    uint32_t rsa_private[RSA_SIZES]; /* decryptions and signatures */
    uint32_t rsa_first[RSA_SIZES];   /* of those, the first of a key, which makes its blinding values, too */
    uint32_t ecdh[CURVES];           /* points multiplied for a key exchange: a key pair made, a secret agreed on */
    uint32_t ecdsa_sign[CURVES];
    uint32_t ecdsa_verify[CURVES];
} counts;

/* Where an operation is to be counted: counts of all, and of the active connection. The second can be NULL. */
void counts_now(counts *out[2]);

#define COUNT(what, n) \
    do { \
        counts *to[2]; \
        counts_now(to); \
        to[0]->what += (uint32_t) (n); \
        if (to[1] != NULL) to[1]->what += (uint32_t) (n); \
    } while (0)

#endif
