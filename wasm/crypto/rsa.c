/*
 * RSA behind mbedtls_rsa_public() and mbedtls_rsa_private(), through which all of mbedTLS's RSA goes: for keys of
 * 2048, 3072 and 4096 bits with two primes of half as many, where multiply-adds round once (fma.h). All other keys,
 * and everything that is refused, stay with mbedTLS; so does all of it on engines where multiply-adds do not round
 * once: mbedTLS's own exponentiation is in integers and constant-time, on limbs of 64 bits (bignum.h).
 *
 * A private operation is what mbedTLS's is (library/rsa.c), step by step:
 *   - the message is blinded by a random number to the power of e, so that nobody chooses what is computed with;
 *   - exponents are blinded by a random multiple of p - 1 and q - 1, so that no two operations have the same;
 *   - the result is raised to e and compared, since one computed wrong for one prime only tells the other (D. Boneh,
 *     R. DeMillo, R. Lipton, 1997);
 *   - only then is the blinding taken off.
 * Nothing here depends in time on a secret, so that the second and the first only add to that.
 */
#include "common.h"
#include "rsa_numbers.h"

#include "rsa_steps.h"

typedef rsa_rng rng;

extern __typeof__(mbedtls_rsa_public) stock_mbedtls_rsa_public;
extern __typeof__(mbedtls_rsa_private) stock_mbedtls_rsa_private;

/*
 * mbedTLS's own. It renews the two numbers that blind one after the other: with no memory for the second they do not belong
 * together any more, and each signature from then on is wrong. So the key makes new ones.
 */
static int stock_private(mbedtls_rsa_context *key, rng *f_rng, void *p_rng, const unsigned char *input,
                         unsigned char *output)
{
    int ret = stock_mbedtls_rsa_private(key, f_rng, p_rng, input, output);
    if (ret == MBEDTLS_ERR_RSA_PRIVATE_FAILED + MBEDTLS_ERR_MPI_ALLOC_FAILED) {
        mbedtls_mpi_free(&key->Vf);
        mbedtls_mpi_free(&key->Vi);
    }
    return ret;
}

#ifndef __wasm_relaxed_simd__

int mbedtls_rsa_public(mbedtls_rsa_context *key, const unsigned char *input, unsigned char *output)
{
    return stock_mbedtls_rsa_public(key, input, output);
}

int mbedtls_rsa_private(mbedtls_rsa_context *key, rng *f_rng, void *p_rng, const unsigned char *input,
                        unsigned char *output)
{
    if (tlsio_rsa_wanted != NULL) return tlsio_rsa_begin(key, f_rng, p_rng, input);
    return stock_private(key, f_rng, p_rng, input, output);
}

#else

#include <string.h>

#include "bignum_core.h"
#include "constant_time_internal.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/error.h"
#include "mbedtls/platform_util.h"

#if defined(MBEDTLS_RSA_NO_CRT) || defined(MBEDTLS_THREADING_C)
#error "the kernel works with the numbers of the CRT, and takes no lock"
#endif

/* What blinds an exponent: as long as mbedTLS's (RSA_EXPONENT_BLINDING in rsa.c says why). */
#define BLINDING_BYTES 28
#define BLINDING_LIMBS 4
_Static_assert(EXPONENT_LIMBS == LIMBS_MAX / 2 + BLINDING_LIMBS && BLINDING_BYTES <= 8 * BLINDING_LIMBS, "they fit");

/* ---- Which keys ------------------------------------------------------------------------------------------ */

/* Whether a number is positive and below 2^(64 limbs). Of a number, only that shows. */
static NOINLINE int fits(const mbedtls_mpi *x, size_t limbs)
{
    uint64_t low = 0, high = 0;
    if (x->s <= 0 || x->n < limbs) return 0;
    for (size_t i = 0; i < limbs; i++) low |= x->p[i];
    for (size_t i = limbs; i < x->n; i++) high |= x->p[i];
    return low != 0 && high == 0;
}

/* Whether it is odd and has exactly so many limbs of bits. */
static NOINLINE int is_modulus(const mbedtls_mpi *x, size_t limbs)
{
    return fits(x, limbs) && (x->p[0] & 1) == 1 && x->p[limbs - 1] >> 63 == 1;
}

/* Limbs of the modulus; 0 for a key that is not the kernel's. The exponent has at most as many: time depends on it. */
static NOINLINE size_t public_limbs(const mbedtls_rsa_context *key)
{
    const size_t limbs = key->len / 8, e_bits = mbedtls_mpi_bitlen(&key->E);
    const int is_size = key->len == 2048 / 8 || key->len == 3072 / 8 || key->len == 4096 / 8;
    if (!is_size || !is_modulus(&key->N, limbs)) return 0;
    return key->E.s > 0 && e_bits >= 2 && e_bits <= 64 * limbs && tlsio_fma_is_fused() ? limbs : 0;
}

NOINLINE size_t tlsio_rsa_private_limbs(const mbedtls_rsa_context *key)
{
    const size_t limbs = public_limbs(key), half = limbs / 2;
    const int is_mine = limbs > 0 && is_modulus(&key->P, half) && is_modulus(&key->Q, half) && fits(&key->DP, half) &&
                        fits(&key->DQ, half) && fits(&key->QP, half);
    return is_mine ? limbs : 0;
}

/* ---- Operations ------------------------------------------------------------------------------------------ */

/* What an operation works on: wiped as a whole. */
typedef struct {
    modulus n;
    number x, y;
    uint64_t message[LIMBS_MAX], result[LIMBS_MAX], check[LIMBS_MAX];
} work;

struct private_work {
    work public;
    rsa_half half[2];
    rsa_crt crt;
    uint64_t random[BLINDING_LIMBS], less_one[LIMBS_MAX / 2];
    uint64_t unblinding[LIMBS_MAX]; /* the key's own go on, where operations of it overlap */
};

/* Reads a message and the modulus. 0 if the message is not below it. */
static NOINLINE int begin(work *w, const mbedtls_rsa_context *key, size_t limbs, const unsigned char *input)
{
    (void) mbedtls_mpi_core_read_be(w->message, limbs, input, 8 * limbs); /* of this size it cannot fail */
    if (mbedtls_mpi_core_lt_ct(w->message, key->N.p, limbs) == MBEDTLS_CT_FALSE) {
        mbedtls_platform_zeroize(w->message, sizeof(w->message));
        return 0;
    }
    tlsio_rsa_modulus(&w->n, (int) limbs, key->N.p, NULL);
    return 1;
}

/* out = x^e mod n. */
static NOINLINE void raise_to_e(uint64_t *out, const uint64_t *x, const mbedtls_rsa_context *key, work *w)
{
    tlsio_rsa_read(&w->x, &w->n, x, w->n.limbs);
    tlsio_rsa_public_power(&w->y, &w->x, key->E.p, (int) mbedtls_mpi_bitlen(&key->E), &w->n);
    tlsio_rsa_write(out, &w->y, &w->n, 0);
}

/* out = x y mod n. */
static NOINLINE void multiply(uint64_t *out, const uint64_t *x, const uint64_t *y, work *w)
{
    tlsio_rsa_read(&w->x, &w->n, x, w->n.limbs);
    tlsio_rsa_read(&w->y, &w->n, y, w->n.limbs);
    tlsio_rsa_multiply(&w->x, &w->x, &w->n.r_squared, &w->n);
    tlsio_rsa_multiply(&w->x, &w->x, &w->y, &w->n);
    tlsio_rsa_write(out, &w->x, &w->n, 0);
}

int mbedtls_rsa_public(mbedtls_rsa_context *key, const unsigned char *input, unsigned char *output)
{
    work w;
    const size_t limbs = public_limbs(key);
    if (limbs == 0 || !begin(&w, key, limbs, input)) return stock_mbedtls_rsa_public(key, input, output);
    raise_to_e(w.result, w.message, key, &w);
    (void) mbedtls_mpi_core_write_be(w.result, limbs, output, 8 * limbs);
    mbedtls_platform_zeroize(&w, sizeof(w)); /* what is encrypted is secret */
    return 0;
}

/* ---- The private operation ------------------------------------------------------------------------------- */

/*
 * The numbers that blind, where mbedTLS keeps them, which wipes them with the key: Vf is random, Vi = Vf^-e. As there
 * they are made once for a key, by its own inversion (constant-time, as n is odd), and squared for each operation
 * after that. Where anything fails they are dropped, so that they always belong together.
 */
static NOINLINE int next_blinding(mbedtls_rsa_context *key, size_t limbs, rng *f_rng, void *p_rng, work *w)
{
    int ret;
    mbedtls_mpi *vi = &key->Vi, *vf = &key->Vf;
    const int is_first = vf->p == NULL;
    if (is_first) {
        MBEDTLS_MPI_CHK(mbedtls_mpi_random(vf, 1, &key->N, f_rng, p_rng));
        ret = mbedtls_mpi_inv_mod(vi, vf, &key->N);
        if (ret == MBEDTLS_ERR_MPI_NOT_ACCEPTABLE) ret = MBEDTLS_ERR_RSA_RNG_FAILED; /* a prime that is none */
        if (ret != 0) goto cleanup;
    }
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(vi, limbs));
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(vf, limbs));
    if (is_first) {
        raise_to_e(vi->p, vi->p, key, w);
    } else {
        multiply(vi->p, vi->p, vi->p, w);
        multiply(vf->p, vf->p, vf->p, w);
    }
cleanup:
    if (ret != 0) {
        mbedtls_mpi_free(vi);
        mbedtls_mpi_free(vf);
    }
    return ret;
}

/* d + (p - 1) * random, in limbs of p and of what blinds: it fits, since d has no more bits than p. */
static NOINLINE int blind_exponent(rsa_half *half, const mbedtls_mpi *p, const mbedtls_mpi *d, size_t limbs, rng *f_rng,
                          void *p_rng, private_work *w)
{
    memset(w->random, 0, sizeof(w->random));
    const int ret = f_rng(p_rng, (unsigned char *) w->random, BLINDING_BYTES);
    memcpy(w->less_one, p->p, limbs * sizeof(*p->p));
    w->less_one[0] ^= 1; /* p is odd */
    memset(half->exponent, 0, sizeof(half->exponent));
    memcpy(half->exponent, d->p, limbs * sizeof(*d->p));
    for (size_t i = 0; i < BLINDING_LIMBS; i++) {
        (void) mbedtls_mpi_core_mla(half->exponent + i, limbs + BLINDING_LIMBS - i, w->less_one, limbs, w->random[i]);
    }
    half->prime = p->p;
    return ret;
}

const size_t tlsio_rsa_work_size = sizeof(private_work);

int tlsio_rsa_work_begin(private_work *w, mbedtls_rsa_context *key, rng *f_rng, void *p_rng, const unsigned char *input)
{
    int ret;
    work *public = &w->public;
    const size_t limbs = key->len / 8, half = limbs / 2;
    if (!begin(public, key, limbs, input)) return MBEDTLS_ERR_MPI_BAD_INPUT_DATA;
    MBEDTLS_MPI_CHK(next_blinding(key, limbs, f_rng, p_rng, public));
    MBEDTLS_MPI_CHK(blind_exponent(&w->half[0], &key->P, &key->DP, half, f_rng, p_rng, w));
    MBEDTLS_MPI_CHK(blind_exponent(&w->half[1], &key->Q, &key->DQ, half, f_rng, p_rng, w));
    memcpy(w->unblinding, key->Vf.p, limbs * sizeof(*w->unblinding));
    multiply(public->message, public->message, key->Vi.p, public);
    tlsio_rsa_power_begin(public->message, (int) limbs, w->half, (int) (64 * half) + 8 * BLINDING_BYTES, &w->crt);
cleanup:
    return ret;
}

int tlsio_rsa_work_step(private_work *w, int windows)
{
    return tlsio_rsa_power_step(w->half, windows, &w->crt);
}

int tlsio_rsa_work_end(private_work *w, const mbedtls_rsa_context *key, unsigned char *output)
{
    work *public = &w->public;
    const size_t limbs = key->len / 8;
    tlsio_rsa_power_end(public->result, (int) limbs, w->half, key->QP.p, &w->crt);
    raise_to_e(public->check, public->result, key, public);
    if (mbedtls_ct_memcmp(public->check, public->message, limbs * sizeof(*public->check)) != 0) {
        return MBEDTLS_ERR_RSA_VERIFY_FAILED;
    }
    multiply(public->result, public->result, w->unblinding, public);
    return mbedtls_mpi_core_write_be(public->result, limbs, output, 8 * limbs);
}

int mbedtls_rsa_private(mbedtls_rsa_context *key, rng *f_rng, void *p_rng, const unsigned char *input,
                        unsigned char *output)
{
    private_work w;
    if (tlsio_rsa_wanted != NULL) return tlsio_rsa_begin(key, f_rng, p_rng, input);
    if (tlsio_rsa_private_limbs(key) == 0 || f_rng == NULL) return stock_private(key, f_rng, p_rng, input, output);
    int ret = tlsio_rsa_work_begin(&w, key, f_rng, p_rng, input);
    if (ret == 0) {
        (void) tlsio_rsa_work_step(&w, 64 * LIMBS_MAX); /* all of them */
        ret = tlsio_rsa_work_end(&w, key, output);
    }
    mbedtls_platform_zeroize(&w, sizeof(w));
    return ret != 0 && ret >= -0x007f ? MBEDTLS_ERROR_ADD(MBEDTLS_ERR_RSA_PRIVATE_FAILED, ret) : ret; /* as mbedTLS */
}

#endif
