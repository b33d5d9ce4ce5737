/*
 * What is counted for a connection: operations that take time, on a small device above all. Only where it was asked for
 * (OPTION_MEASURE), and never per block of a cipher or a hash.
 */
#ifndef TLSIO_COUNTS_H
#define TLSIO_COUNTS_H

#include <stdint.h>

#define CURVES 14   /* mbedtls_ecp_group_id has fewer */
#define RSA_SIZES 8 /* up to 1024, 2048, 3072 ... bits, and above */

/* lib/counts.ts has the same order. */
enum bulk { AES_CBC, AES_CCM, AES_GCM, ARIA, CHACHA20_POLY1305, SHA_1, SHA_256, SHA_512, BULK };

/* All of them are numbers that JavaScript reads at once, and that do not overflow. */
typedef struct {
    double allocations;
    double allocated;               /* bytes, as they were asked for */
    double multiplications;         /* of big numbers, one by another: only a device's core counts them */
    double bulk[BULK];              /* bytes; SHA_256 has SHA-224's, too, and SHA_512 SHA-384's */
    double rsa_public[RSA_SIZES];   /* encryptions and verifications, those too by which a signature is checked */
    double rsa_cold[RSA_SIZES];     /* decryptions and signatures: the first of a key, which makes its blinding values, too */
    double rsa_warm[RSA_SIZES];     /* all others */
    double multiply[CURVES];        /* points multiplied for a key exchange: a key pair made, a secret agreed on */
    double sign[CURVES];            /* ECDSA signatures, each of which multiplies one point */
    double verify[CURVES];          /* and their checks, each of which multiplies two */
} counts;

/* Those of the connection that the running export was called for; NULL: it is not measured. connection.c sets it. */
extern counts *counting;

/* Where a connection's are; NULL: it is not measured. */
counts *counts_of(const connection *conn);

#define COUNT(what, n) \
    do { \
        if (counting != NULL) counting->what += (double) (n); \
    } while (0)

/* Declares both names of a function, and begins the definition of ours: the linker sends mbedTLS's calls here (--wrap). */
#define WRAP(type, name, ...) \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

#endif
