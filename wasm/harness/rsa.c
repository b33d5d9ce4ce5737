/*
 * RSA, by a key in a pk context as X.509 and TLS hold it, and the modular exponentiation below it.
 */
#include "harness.h"

#include "mbedtls/pk.h"
#include "mbedtls/rsa.h"
#if defined(TLSIO_RSA_STEPS)
#include "rsa_steps.h"
#endif

/* ---- Keys ------------------------------------------------------------------------------------------ */

mbedtls_pk_context *EXPORT(rsa_new)(void)
{
    mbedtls_pk_context *key = tlsio_calloc(1, sizeof(*key));
    mbedtls_pk_init(key);
    return key;
}

void EXPORT(rsa_free)(mbedtls_pk_context *key)
{
    mbedtls_pk_free(key);
    tlsio_free(key);
}

/* mbedtls_pk_parse_key() or, for a public key, mbedtls_pk_parse_public_key(). */
int EXPORT(rsa_parse)(mbedtls_pk_context *key, int private, const unsigned char *der, size_t len)
{
    int ret = private ? mbedtls_pk_parse_key(key, der, len, NULL, 0, tlsio_rng, NULL)
                      : mbedtls_pk_parse_public_key(key, der, len);
    if (ret != 0) return ret;
    return mbedtls_pk_can_do(key, MBEDTLS_PK_RSA) ? 0 : MBEDTLS_ERR_PK_TYPE_MISMATCH;
}

/* mbedtls_rsa_import_raw() and mbedtls_rsa_complete(), which finds the numbers that are not given (length 0). */
int EXPORT(rsa_import)(mbedtls_pk_context *key, const unsigned char *n, size_t n_len, const unsigned char *p,
                       size_t p_len, const unsigned char *q, size_t q_len, const unsigned char *d, size_t d_len,
                       const unsigned char *e, size_t e_len)
{
    int ret;
    MBEDTLS_MPI_CHK(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA)));
    mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*key);
    MBEDTLS_MPI_CHK(mbedtls_rsa_import_raw(rsa, n_len ? n : NULL, n_len, p_len ? p : NULL, p_len, q_len ? q : NULL,
                                           q_len, d_len ? d : NULL, d_len, e_len ? e : NULL, e_len));
    MBEDTLS_MPI_CHK(mbedtls_rsa_complete(rsa));
cleanup:
    return ret;
}

/* One number of the key: 0 to 7 are N, E, D, P, Q, DP, DQ, QP. Returns its length. */
int EXPORT(rsa_export)(mbedtls_pk_context *key, int which, unsigned char *out, size_t size)
{
    int ret;
    mbedtls_mpi numbers[8];
    mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*key);
    for (int i = 0; i < 8; i++) mbedtls_mpi_init(&numbers[i]);
    if (which <= 1) {
        MBEDTLS_MPI_CHK(mbedtls_rsa_export(rsa, &numbers[0], NULL, NULL, NULL, &numbers[1]));
    } else {
        MBEDTLS_MPI_CHK(
            mbedtls_rsa_export(rsa, &numbers[0], &numbers[3], &numbers[4], &numbers[2], &numbers[1]));
        MBEDTLS_MPI_CHK(mbedtls_rsa_export_crt(rsa, &numbers[5], &numbers[6], &numbers[7]));
    }
    const size_t len = mbedtls_mpi_size(&numbers[which]);
    if (len > size) ret = MBEDTLS_ERR_MPI_BUFFER_TOO_SMALL;
    else MBEDTLS_MPI_CHK(mbedtls_mpi_write_binary(&numbers[which], out, len));
    if (ret == 0) ret = (int) len;
cleanup:
    for (int i = 0; i < 8; i++) mbedtls_mpi_free(&numbers[i]);
    return ret;
}

/* Bytes of the modulus. */
size_t EXPORT(rsa_size)(mbedtls_pk_context *key)
{
    return mbedtls_rsa_get_len(mbedtls_pk_rsa(*key));
}

/* The key for a scheme: PSS or PKCS #1 v1.5. */
static mbedtls_rsa_context *padded(mbedtls_pk_context *key, int pss)
{
    mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*key);
    mbedtls_rsa_set_padding(rsa, pss ? MBEDTLS_RSA_PKCS_V21 : MBEDTLS_RSA_PKCS_V15, MBEDTLS_MD_NONE);
    return rsa;
}

/* ---- Operations ------------------------------------------------------------------------------------ */

/* mbedtls_rsa_public(), on as many bytes as the modulus has. */
int EXPORT(rsa_public)(mbedtls_pk_context *key, const unsigned char *in, unsigned char *out)
{
    return mbedtls_rsa_public(mbedtls_pk_rsa(*key), in, out);
}

/* mbedtls_rsa_private(), blinded from `entropy`. */
int EXPORT(rsa_private)(mbedtls_pk_context *key, const unsigned char *in, unsigned char *out)
{
    return mbedtls_rsa_private(mbedtls_pk_rsa(*key), tlsio_rng, NULL, in, out);
}

/*
 * mbedtls_rsa_private() in steps: how many it took, of which `steps` are done at most before it is given up (0). Where the
 * core or the key has none, mbedTLS's code for what is not there.
 */
int EXPORT(rsa_private_steps)(mbedtls_pk_context *key, const unsigned char *in, unsigned char *out, int steps)
{
#if defined(TLSIO_RSA_STEPS)
    rsa_operation *op = NULL;
    mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*key);
    if (!tlsio_rsa_takes_steps(rsa)) return MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE;
    tlsio_rsa_wanted = &op;
    int ret = mbedtls_rsa_private(rsa, tlsio_rng, NULL, in, out), count = 0;
    tlsio_rsa_wanted = NULL;
    while (ret == 1 && count < steps) {
        ret = tlsio_rsa_step(op);
        count++;
    }
    const int is_over = ret == 0;
    if (is_over) ret = tlsio_rsa_result(op, 1, out);
    tlsio_rsa_free(op);
    return ret != 0 && ret != 1 ? ret : is_over ? count : 0;
#else
    (void) key;
    (void) in;
    (void) out;
    (void) steps;
    return MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE;
#endif
}

/* mbedtls_rsa_rsassa_pkcs1_v15_sign() or, with `pss`, mbedtls_rsa_rsassa_pss_sign_ext(). */
int EXPORT(rsa_sign)(mbedtls_pk_context *key, int pss, int bits, const unsigned char *hash, size_t hash_len,
                     int salt_len, unsigned char *out)
{
    mbedtls_rsa_context *rsa = padded(key, pss);
    return pss ? mbedtls_rsa_rsassa_pss_sign_ext(rsa, tlsio_rng, NULL, md_of(bits), hash_len, hash, salt_len, out)
               : mbedtls_rsa_rsassa_pkcs1_v15_sign(rsa, tlsio_rng, NULL, md_of(bits), hash_len, hash, out);
}

/* mbedtls_rsa_rsassa_pkcs1_v15_verify() or, with `pss`, mbedtls_rsa_rsassa_pss_verify_ext() (salt_len -1: any). */
int EXPORT(rsa_verify)(mbedtls_pk_context *key, int pss, int bits, int mgf_bits, const unsigned char *hash,
                       size_t hash_len, int salt_len, const unsigned char *signature, size_t signature_len)
{
    mbedtls_rsa_context *rsa = padded(key, pss);
    if (signature_len != mbedtls_rsa_get_len(rsa)) return MBEDTLS_ERR_RSA_VERIFY_FAILED;
    return pss ? mbedtls_rsa_rsassa_pss_verify_ext(rsa, md_of(bits), hash_len, hash, md_of(mgf_bits), salt_len,
                                                   signature)
               : mbedtls_rsa_rsassa_pkcs1_v15_verify(rsa, md_of(bits), hash_len, hash, signature);
}

/* mbedtls_rsa_rsaes_pkcs1_v15_encrypt(): its padding is from `entropy`. */
int EXPORT(rsa_encrypt)(mbedtls_pk_context *key, const unsigned char *in, size_t len, unsigned char *out)
{
    return mbedtls_rsa_rsaes_pkcs1_v15_encrypt(padded(key, 0), tlsio_rng, NULL, len, in, out);
}

/* mbedtls_rsa_rsaes_pkcs1_v15_decrypt(). Returns the length of the plaintext. */
int EXPORT(rsa_decrypt)(mbedtls_pk_context *key, const unsigned char *in, size_t in_len, unsigned char *out,
                        size_t size)
{
    size_t len;
    mbedtls_rsa_context *rsa = padded(key, 0);
    if (in_len != mbedtls_rsa_get_len(rsa)) return MBEDTLS_ERR_RSA_BAD_INPUT_DATA;
    int ret = mbedtls_rsa_rsaes_pkcs1_v15_decrypt(rsa, tlsio_rng, NULL, &len, in, out, size);
    return ret == 0 ? (int) len : ret;
}

/* ---- Numbers --------------------------------------------------------------------------------------- */

/* What mod_exp_run() works on; kept, so that a timing test can load it beforehand. */
static mbedtls_mpi base, exponent, modulus, result, helper;

/* Reads a^e mod n; with `negative` it is (-a)^e. Forgets the result, and the helper value of the modulus before. */
int EXPORT(mod_exp_load)(const unsigned char *a, size_t a_len, int negative, const unsigned char *e, size_t e_len,
                         const unsigned char *n, size_t n_len)
{
    int ret;
    mbedtls_mpi_free(&result);
    mbedtls_mpi_free(&helper);
    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary(&base, a, a_len));
    if (negative) MBEDTLS_MPI_CHK(mbedtls_mpi_sub_mpi(&base, &helper, &base));
    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary(&exponent, e, e_len));
    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary(&modulus, n, n_len));
cleanup:
    return ret;
}

/* mbedtls_mpi_exp_mod(). From the second run on it finds the helper value that the first left. */
int EXPORT(mod_exp_run)(void)
{
    return mbedtls_mpi_exp_mod(&result, &base, &exponent, &modulus, &helper);
}

/* Writes the result, padded to `size` bytes. */
int EXPORT(mod_exp_result)(unsigned char *out, size_t size)
{
    return mbedtls_mpi_write_binary(&result, out, size);
}

/* mbedtls_mpi_is_prime_ext(): 0 for a prime, or what may be one. */
int EXPORT(is_prime)(const unsigned char *n, size_t n_len, int rounds)
{
    int ret;
    mbedtls_mpi x;
    mbedtls_mpi_init(&x);
    MBEDTLS_MPI_CHK(mbedtls_mpi_read_binary(&x, n, n_len));
    MBEDTLS_MPI_CHK(mbedtls_mpi_is_prime_ext(&x, rounds, tlsio_rng, NULL));
cleanup:
    mbedtls_mpi_free(&x);
    return ret;
}
