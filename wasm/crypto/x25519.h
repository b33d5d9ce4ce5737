/*
 * X25519: the function of RFC 7748 section 5, twice, and where it enters mbedTLS.
 */
#ifndef X25519_H
#define X25519_H

/*
 * out = u-coordinate of scalar times the point with the u-coordinate `u`, reduced. All are little-endian. The
 * scalar is taken as it is, bits 254 to 0; `u` is taken modulo p with all its 256 bits. Time does not depend
 * on either.
 */
void tlsio_x25519_integer(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32]);
/* Twice as fast; only where tlsio_fma_is_fused() (fma.h). */
void tlsio_x25519_fma(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32]);

#endif
