/*
 * Counts multiplications of big numbers, of which an operation on a curve consists: what is published of a device's curves
 * is derived from them. The other cores have kernels of their own for that.
 */
#include "tlsio.h"

#include "counts.h"
#include "mbedtls/bignum.h"

WRAP(int, mbedtls_mpi_mul_mpi, mbedtls_mpi *x, const mbedtls_mpi *a, const mbedtls_mpi *b)
{
    COUNT(multiplications, 1);
    return __real_mbedtls_mpi_mul_mpi(x, a, b);
}
