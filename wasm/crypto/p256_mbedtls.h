/*
 * Between mbedTLS's numbers and the kernel's.
 */
#ifndef P256_MBEDTLS_H
#define P256_MBEDTLS_H

#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "mbedtls/ecp.h"

#include "p256.h"

typedef int rng(void *context, unsigned char *bytes, size_t len);

/* Returns 0 for a number that is negative or needs more than 32 bytes. */
uint32_t p256_read_mpi(limbs *r, const mbedtls_mpi *a);
int p256_write_mpi(mbedtls_mpi *r, const limbs *a);
/* 1 for 0 < a < n. */
uint32_t p256_read_scalar(scalar *r, const mbedtls_mpi *a);
/* Public: 1 for a point on the curve that is not infinity. */
uint32_t p256_read_ecp_point(affine *r, const mbedtls_ecp_point *p);
/* A random number for p256_mul() and p256_mul_base(). Returns 0 or mbedTLS's code. */
int p256_random_blind(limbs *r, rng *f_rng, void *p_rng);

#endif
