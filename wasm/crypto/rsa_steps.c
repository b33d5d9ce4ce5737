/*
 * RSA's private operation in steps: by the kernel (rsa.c) for its keys, else by mbedTLS's integers. The latter is
 * mbedtls_rsa_private() of library/rsa.c, line by line, with the loop of mbedtls_mpi_core_exp_mod() made so that it can be
 * left and gone on with; what rsa.c says of blinding and of the check holds here, too.
 */
#include "common.h"
#include "rsa_steps.h"

#include <string.h>

#include "bignum_core.h"
#include "constant_time_internal.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/error.h"
#include "mbedtls/platform.h"
#include "mbedtls/platform_util.h"

/* What takes time here are mbedTLS's products: the rest is to be small. */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

#define LIMB_BITS ((size_t) 64)
#define WINDOW ((size_t) 5)    /* bits, as everywhere: bignum.h */
#define ENTRIES ((size_t) 1 << WINDOW)
#define BLINDING_BYTES 28 /* RSA_EXPONENT_BLINDING of library/rsa.c */

/*
 * How long steps are: some 2 ms on an idle processor of 2020. A window costs as the square of a prime's size, here in
 * units of limbs^2; the kernel makes five times as many at once, for both primes.
 */
#define KERNEL_STEP (152 * 32 * 32)
#define INTEGER_STEP (48 * 32 * 32)
/* The shortest keys, in bytes, of which an operation takes longer than that. */
#if defined(TLSIO_FUZZ)
#define KERNEL_LEN 1
#define INTEGER_LEN 1
#else
#define KERNEL_LEN (3072 / 8)
#define INTEGER_LEN (2048 / 8)
#endif

rsa_operation **tlsio_rsa_wanted;

struct rsa_operation {
    mbedtls_rsa_context *key;
    rsa_rng *f_rng;
    void *p_rng;
    unsigned char *input, *output;
    int cold;             /* steps that are left to make the key's first numbers that blind */
    private_work *kernel; /* NULL: by integers */
    /* By integers. */
    mbedtls_mpi blinded, unblinding;
    mbedtls_mpi power[2];    /* of both primes, one after the other: in Montgomery's form until it is complete */
    mbedtls_mpi exponent;    /* of the prime at hand */
    mbedtls_mpi_uint *table; /* powers of the message; behind them room for one of them, and for a product */
    size_t table_limbs;
    size_t from; /* bits of the exponent that are still to come */
    int half;    /* which prime is at hand */
};

/* Codes of big numbers alone, as mbedtls_rsa_private() gives them. */
static int as_mbedtls(int ret)
{
    return ret < 0 && ret >= -0x007f ? MBEDTLS_ERROR_ADD(MBEDTLS_ERR_RSA_PRIVATE_FAILED, ret) : ret;
}

static size_t kernel_limbs(const mbedtls_rsa_context *key)
{
#ifdef __wasm_relaxed_simd__
    return tlsio_rsa_private_limbs(key);
#else
    (void) key;
    return 0;
#endif
}

static int is_positive(const mbedtls_mpi *x)
{
    return mbedtls_mpi_cmp_int(x, 0) > 0;
}

/* As rsa_check_context() of library/rsa.c: all else is refused there. */
int tlsio_rsa_takes_steps(const mbedtls_rsa_context *key)
{
    if (kernel_limbs(key) != 0) return key->len >= KERNEL_LEN;
    return key->len >= INTEGER_LEN && key->len == mbedtls_mpi_size(&key->N) && key->len <= MBEDTLS_MPI_MAX_SIZE &&
           is_positive(&key->N) && mbedtls_mpi_get_bit(&key->N, 0) && is_positive(&key->P) &&
           mbedtls_mpi_get_bit(&key->P, 0) && is_positive(&key->Q) && mbedtls_mpi_get_bit(&key->Q, 0) &&
           is_positive(&key->E) && is_positive(&key->DP) && is_positive(&key->DQ) && is_positive(&key->QP);
}

static const mbedtls_mpi *prime_of(const rsa_operation *op)
{
    return op->half == 0 ? &op->key->P : &op->key->Q;
}

/* x mod p q of both powers. */
static int combine(const rsa_operation *op, mbedtls_mpi *x)
{
    int ret;
    const mbedtls_rsa_context *key = op->key;
    MBEDTLS_MPI_CHK(mbedtls_mpi_sub_mpi(x, &op->power[0], &op->power[1]));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(x, x, &key->QP));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(x, x, &key->P));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(x, x, &key->Q));
    MBEDTLS_MPI_CHK(mbedtls_mpi_add_mpi(x, x, &op->power[1]));
cleanup:
    return ret;
}

/* ---- A key's first operation ----------------------------------------------------------------------------- */

#define COLD_STEPS 3

/*
 * The numbers that blind: Vf is random, Vi = Vf^-e. mbedTLS inverts Vf modulo n, which takes 13 ms for RSA-4096; modulo
 * each prime it takes 4. Both are one by 1/q mod p, which came with the key: so the inverse is checked.
 */
static int invert_half(rsa_operation *op)
{
    const int ret = mbedtls_mpi_inv_mod(&op->power[op->half], &op->unblinding, prime_of(op));
    return ret == MBEDTLS_ERR_MPI_NOT_ACCEPTABLE ? MBEDTLS_ERR_RSA_RNG_FAILED : ret; /* a prime that is none */
}

static int end_blinding(rsa_operation *op)
{
    int ret;
    mbedtls_rsa_context *key = op->key;
    mbedtls_mpi vi, product;
    mbedtls_mpi_init(&vi);
    mbedtls_mpi_init(&product);
    MBEDTLS_MPI_CHK(combine(op, &vi));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(&product, &vi, &op->unblinding));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(&product, &product, &key->N));
    if (mbedtls_mpi_cmp_int(&product, 1) != 0) {
        ret = MBEDTLS_ERR_RSA_VERIFY_FAILED;
        goto cleanup;
    }
    MBEDTLS_MPI_CHK(mbedtls_mpi_exp_mod(&vi, &vi, &key->E, &key->N, &key->RN));
    if (key->Vf.p == NULL) { /* another operation may have been faster */
        mbedtls_mpi_swap(&key->Vi, &vi);
        mbedtls_mpi_swap(&key->Vf, &op->unblinding);
    }
cleanup:
    mbedtls_mpi_free(&vi);
    mbedtls_mpi_free(&product);
    return ret;
}

/* ---- By integers ----------------------------------------------------------------------------------------- */

/* The next numbers that blind, and the message blinded by them. */
static int blind(rsa_operation *op)
{
    int ret;
    mbedtls_rsa_context *key = op->key;
    mbedtls_mpi *vi = &key->Vi, *vf = &key->Vf, *x = &op->blinded;
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(vi, vi, vi));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(vi, vi, &key->N));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(vf, vf, vf));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(vf, vf, &key->N));
    MBEDTLS_MPI_CHK(mbedtls_mpi_copy(&op->unblinding, vf));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(x, x, vi));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(x, x, &key->N));
cleanup:
    if (ret != 0) { /* so that they always belong together */
        mbedtls_mpi_free(vi);
        mbedtls_mpi_free(vf);
    }
    return ret;
}

/* d + (p - 1) * random */
static int blind_exponent(rsa_operation *op)
{
    int ret;
    mbedtls_mpi random;
    mbedtls_mpi *e = &op->exponent;
    mbedtls_mpi_init(&random);
    MBEDTLS_MPI_CHK(mbedtls_mpi_fill_random(&random, BLINDING_BYTES, op->f_rng, op->p_rng));
    MBEDTLS_MPI_CHK(mbedtls_mpi_sub_int(e, prime_of(op), 1));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mul_mpi(e, e, &random));
    MBEDTLS_MPI_CHK(mbedtls_mpi_add_mpi(e, e, op->half == 0 ? &op->key->DP : &op->key->DQ));
cleanup:
    mbedtls_mpi_free(&random);
    return ret;
}

static size_t window_at(const mbedtls_mpi *e, size_t from)
{
    const size_t limb = from / LIMB_BITS, shift = from % LIMB_BITS;
    const mbedtls_mpi_uint high = limb + 1 < e->n ? e->p[limb + 1] : 0;
    return (size_t) (e->p[limb] >> shift | high << 1 << (LIMB_BITS - 1 - shift)) & (ENTRIES - 1);
}

/* Every entry is read, whichever it is. */
static void choose(mbedtls_mpi_uint *r, const mbedtls_mpi_uint *table, size_t limbs, size_t which)
{
    for (size_t i = 0; i < ENTRIES; i++, table += limbs) {
        mbedtls_mpi_core_cond_assign(r, table, limbs, mbedtls_ct_uint_eq(i, which));
    }
}

static void free_table(rsa_operation *op)
{
    mbedtls_zeroize_and_free(op->table, op->table_limbs * sizeof(*op->table));
    op->table = NULL;
}

static void multiply(rsa_operation *op, mbedtls_mpi_uint *r, const mbedtls_mpi_uint *a, const mbedtls_mpi_uint *b)
{
    const mbedtls_mpi *p = prime_of(op);
    mbedtls_mpi_uint *room = op->table + (ENTRIES + 1) * p->n;
    mbedtls_mpi_core_montmul(r, a, b, p->n, p->p, p->n, mbedtls_mpi_core_montmul_init(p->p), room);
}

static int begin_half(rsa_operation *op)
{
    int ret;
    const mbedtls_mpi *p = prime_of(op);
    mbedtls_mpi *rr = op->half == 0 ? &op->key->RP : &op->key->RQ, *x = &op->power[op->half];
    const size_t limbs = p->n;
    MBEDTLS_MPI_CHK(blind_exponent(op));
    if (rr->p == NULL && (ret = mbedtls_mpi_core_get_mont_r2_unsafe(rr, p)) != 0) {
        mbedtls_mpi_free(rr);
        return ret;
    }
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(rr, limbs));
    MBEDTLS_MPI_CHK(mbedtls_mpi_mod_mpi(x, &op->blinded, p));
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(x, limbs));
    op->table_limbs = (ENTRIES + 1) * limbs + mbedtls_mpi_core_montmul_working_limbs(limbs);
    mbedtls_mpi_uint *table = op->table = mbedtls_calloc(op->table_limbs, sizeof(*op->table));
    if (table == NULL) return MBEDTLS_ERR_MPI_ALLOC_FAILED;

    table[0] = 1;
    multiply(op, table, table, rr->p);
    multiply(op, table + limbs, x->p, rr->p);
    for (size_t i = 2; i < ENTRIES; i++) multiply(op, table + i * limbs, table + (i - 1) * limbs, table + limbs);
    op->from = (op->exponent.n * LIMB_BITS - 1) / WINDOW * WINDOW;
    choose(x->p, table, limbs, window_at(&op->exponent, op->from));
cleanup:
    return ret;
}

static void step_half(rsa_operation *op)
{
    const mbedtls_mpi *p = prime_of(op);
    const size_t limbs = p->n;
    mbedtls_mpi_uint *x = op->power[op->half].p, *chosen = op->table + ENTRIES * limbs;
    for (size_t windows = INTEGER_STEP / (limbs * limbs) + 1; windows > 0 && op->from > 0; windows--) {
        op->from -= WINDOW;
        for (size_t i = 0; i < WINDOW; i++) multiply(op, x, x, x);
        choose(chosen, op->table, limbs, window_at(&op->exponent, op->from));
        multiply(op, x, x, chosen);
    }
    if (op->from > 0) return;
    mbedtls_mpi_core_from_mont_rep(x, x, p->p, limbs, mbedtls_mpi_core_montmul_init(p->p), chosen + limbs);
    free_table(op);
}

/* Both halves as one, the check, and the blinding taken off. */
static int end(rsa_operation *op)
{
    int ret;
    mbedtls_rsa_context *key = op->key;
    mbedtls_mpi x, check;
    mbedtls_mpi_init(&x);
    mbedtls_mpi_init(&check);
    MBEDTLS_MPI_CHK(combine(op, &x));
    MBEDTLS_MPI_CHK(mbedtls_mpi_exp_mod(&check, &x, &key->E, &key->N, &key->RN));
    if (mbedtls_mpi_cmp_mpi(&check, &op->blinded) != 0) {
        ret = MBEDTLS_ERR_RSA_VERIFY_FAILED;
        goto cleanup;
    }
    /* One factor in Montgomery's form: the product is not. */
    const size_t limbs = key->N.n;
    const mbedtls_mpi_uint *n = key->N.p, mm = mbedtls_mpi_core_montmul_init(n);
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(&x, limbs));
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(&op->unblinding, limbs));
    MBEDTLS_MPI_CHK(mbedtls_mpi_grow(&check, mbedtls_mpi_core_montmul_working_limbs(limbs)));
    mbedtls_mpi_core_to_mont_rep(x.p, x.p, n, limbs, mm, key->RN.p, check.p);
    mbedtls_mpi_core_montmul(x.p, x.p, op->unblinding.p, limbs, n, limbs, mm, check.p);
    MBEDTLS_MPI_CHK(mbedtls_mpi_write_binary(&x, op->output, key->len));
cleanup:
    mbedtls_mpi_free(&x);
    mbedtls_mpi_free(&check);
    return ret;
}

static int begin_integers(rsa_operation *op)
{
    int ret;
    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary(&op->blinded, op->input, op->key->len));
    if (mbedtls_mpi_cmp_mpi(&op->blinded, &op->key->N) >= 0) return MBEDTLS_ERR_MPI_BAD_INPUT_DATA;
    MBEDTLS_MPI_CHK(blind(op));
    MBEDTLS_MPI_CHK(begin_half(op));
cleanup:
    return ret;
}

/* Returns 1: there are more; 0: there is the result; or a negative code. */
static int step_integers(rsa_operation *op)
{
    if (op->from > 0) {
        step_half(op);
        return 1;
    }
    if (op->half == 1) return end(op);
    op->half = 1;
    const int ret = begin_half(op);
    return ret == 0 ? 1 : ret;
}

/* ---- Operations ------------------------------------------------------------------------------------------ */

static int begin_kernel(rsa_operation *op)
{
#ifdef __wasm_relaxed_simd__
    op->kernel = mbedtls_calloc(1, tlsio_rsa_work_size);
    if (op->kernel == NULL) return MBEDTLS_ERR_MPI_ALLOC_FAILED;
    return tlsio_rsa_work_begin(op->kernel, op->key, op->f_rng, op->p_rng, op->input);
#else
    (void) op;
    return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
#endif
}

static int step_kernel(rsa_operation *op)
{
#ifdef __wasm_relaxed_simd__
    const size_t half = op->key->len / 16; /* limbs */
    if (tlsio_rsa_work_step(op->kernel, (int) (KERNEL_STEP / (half * half)))) return 1;
    return tlsio_rsa_work_end(op->kernel, op->key, op->output);
#else
    (void) op;
    return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
#endif
}

static int begin_warm(rsa_operation *op)
{
    op->half = 0;
    return kernel_limbs(op->key) != 0 ? begin_kernel(op) : begin_integers(op);
}

static int step_cold(rsa_operation *op)
{
    op->half = op->cold == COLD_STEPS ? 0 : 1;
    int ret = op->cold > 1 ? invert_half(op) : end_blinding(op);
    if (ret == 0 && --op->cold == 0) ret = begin_warm(op);
    return ret == 0 ? 1 : ret;
}

int tlsio_rsa_begin(mbedtls_rsa_context *key, rsa_rng *f_rng, void *p_rng, const unsigned char *input)
{
    rsa_operation *op = mbedtls_calloc(1, sizeof(*op) + 2 * key->len);
    if (op == NULL) return MBEDTLS_ERR_RSA_PRIVATE_FAILED + MBEDTLS_ERR_MPI_ALLOC_FAILED;
    op->key = key;
    op->f_rng = f_rng;
    op->p_rng = p_rng;
    op->input = (unsigned char *) (op + 1);
    op->output = op->input + key->len;
    memcpy(op->input, input, key->len);
    mbedtls_mpi_init(&op->blinded);
    mbedtls_mpi_init(&op->unblinding);
    mbedtls_mpi_init(&op->exponent);
    for (int i = 0; i < 2; i++) mbedtls_mpi_init(&op->power[i]);

    op->cold = key->Vf.p == NULL ? COLD_STEPS : 0;
    const int ret = op->cold ? mbedtls_mpi_random(&op->unblinding, 1, &key->N, f_rng, p_rng) : begin_warm(op);
    if (ret != 0) {
        tlsio_rsa_free(op);
        return as_mbedtls(ret);
    }
    *tlsio_rsa_wanted = op;
    return TLSIO_RSA_BEGUN;
}

int tlsio_rsa_step(rsa_operation *op)
{
    if (op->cold) return as_mbedtls(step_cold(op));
    return as_mbedtls(op->kernel != NULL ? step_kernel(op) : step_integers(op));
}

int tlsio_rsa_result(const rsa_operation *op, int check, unsigned char *output)
{
    const size_t len = op->key->len;
    if (check) {
        const int ret = mbedtls_rsa_public(op->key, op->output, output);
        if (ret != 0) return ret;
        if (mbedtls_ct_memcmp(output, op->input, len) != 0) return MBEDTLS_ERR_RSA_PRIVATE_FAILED;
    }
    memcpy(output, op->output, len);
    return 0;
}

void tlsio_rsa_free(rsa_operation *op)
{
    if (op == NULL) return;
#ifdef __wasm_relaxed_simd__
    if (op->kernel != NULL) mbedtls_zeroize_and_free(op->kernel, tlsio_rsa_work_size);
#endif
    if (op->table != NULL) free_table(op);
    mbedtls_mpi_free(&op->blinded);
    mbedtls_mpi_free(&op->unblinding);
    mbedtls_mpi_free(&op->exponent);
    for (int i = 0; i < 2; i++) mbedtls_mpi_free(&op->power[i]);
    mbedtls_zeroize_and_free(op, sizeof(*op) + 2 * op->key->len);
}

#pragma clang attribute pop
