/*
 * RSA's private operation in steps, so that nobody waits for all of it at once: one of RSA-4096 takes 6 ms by the kernel,
 * and 40 by mbedTLS's integers. Who signs in steps says so by `tlsio_rsa_wanted`: then mbedtls_rsa_private(), below whatever
 * function of mbedTLS made the padding, begins an operation instead of giving a result.
 */
#ifndef RSA_STEPS_H
#define RSA_STEPS_H

#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "mbedtls/rsa.h"

typedef int rsa_rng(void *context, unsigned char *bytes, size_t len);

/* One operation: a block of the heap. Its key must outlive it. */
typedef struct rsa_operation rsa_operation;

#define TLSIO_RSA_BEGUN 1 /* of mbedtls_rsa_private(): there is an operation, and no result yet */

/* Whether the key is private, and so large that its operations are worth steps. */
int tlsio_rsa_takes_steps(const mbedtls_rsa_context *key);
/* Where mbedtls_rsa_private() puts the operation that it is to begin; NULL: it is to give the result. */
extern rsa_operation **tlsio_rsa_wanted;
/* What it calls then. Returns TLSIO_RSA_BEGUN, or a negative code. */
int tlsio_rsa_begin(mbedtls_rsa_context *key, rsa_rng *f_rng, void *p_rng, const unsigned char *input);
/* Goes on by a step. Returns 1: there are more; 0: that was the last; or a negative code: it has failed. */
int tlsio_rsa_step(rsa_operation *op);
/*
 * Writes the result, after the last step. With `check` it raises it to e first and compares, as mbedTLS does with its
 * PKCS #1 v1.5 signatures. Returns 0, or a negative code.
 */
int tlsio_rsa_result(const rsa_operation *op, int check, unsigned char *output);
/* At any time; also NULL. It is wiped. */
void tlsio_rsa_free(rsa_operation *op);

/* ---- rsa.c, where multiply-adds round once --------------------------------------------------------------- */

/* What the kernel works on: secret, to be wiped. */
typedef struct private_work private_work;
extern const size_t tlsio_rsa_work_size;

/* Limbs of the modulus; 0 for a key that is not the kernel's. */
size_t tlsio_rsa_private_limbs(const mbedtls_rsa_context *key);
/* Begins; goes on by so many windows of the exponents, and returns whether there are more; gives the result. */
int tlsio_rsa_work_begin(private_work *w, mbedtls_rsa_context *key, rsa_rng *f_rng, void *p_rng,
                         const unsigned char *input);
int tlsio_rsa_work_step(private_work *w, int windows);
int tlsio_rsa_work_end(private_work *w, const mbedtls_rsa_context *key, unsigned char *output);

#endif
