/*
 * RSA signatures of servers in steps (wasm/crypto/rsa_steps.h): connection_handshake() returns HANDSHAKE_WORKING after each,
 * for who asks for it, so that an event loop does not stand still for all of a signature.
 *
 * In TLS 1.2 mbedTLS has a way to wait for a signature (MBEDTLS_SSL_ASYNC_PRIVATE). In TLS 1.3 it has none, but writing
 * CertificateVerify changes nothing before the signature is there, and what is signed is the same each time: so the step
 * of the handshake fails until then, and is done again. It would try other schemes, which fail, too, and send an alert,
 * which alerts.c drops. What is computed once more for that is not counted: the signature costs what it costs at once.
 *
 * A client's signature is made at once, and so is the decryption of RSA key exchange (TLS 1.2, off by default).
 */
#include "tlsio.h"

#if defined(TLSIO_RSA_STEPS)

#include "counts.h"
#include "rsa_steps.h"
#include "ssl_misc.h"

struct signing {
    rsa_operation *operation;
    int state; /* 1: it goes on; 0: there is a signature; or a negative code */
    mbedtls_pk_type_t type;
    size_t hash_len, len;
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
};

int __real_mbedtls_pk_sign_ext(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md,
                               const unsigned char *hash, size_t hash_len, unsigned char *sig, size_t sig_size,
                               size_t *sig_len, int (*rng)(void *, unsigned char *, size_t), void *p_rng);

static int takes_steps(const connection *conn, const mbedtls_pk_context *key)
{
    return conn != NULL && conn->in_steps && conn->ssl.conf->endpoint == MBEDTLS_SSL_IS_SERVER &&
           mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA && tlsio_rsa_takes_steps(mbedtls_pk_rsa(*key));
}

static int begin_signing(connection *conn, mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md,
                         const unsigned char *hash, size_t hash_len)
{
    signing *s = mbedtls_calloc(1, sizeof(*s));
    if (s == NULL) return MBEDTLS_ERR_PK_ALLOC_FAILED;
    unsigned char padded[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
    size_t len;
    tlsio_rsa_wanted = &s->operation;
    int ret = __real_mbedtls_pk_sign_ext(type, key, md, hash, hash_len, padded, sizeof(padded), &len, tlsio_rng, NULL);
    tlsio_rsa_wanted = NULL;
    if (ret != TLSIO_RSA_BEGUN || hash_len > sizeof(s->hash)) {
        tlsio_rsa_free(s->operation);
        mbedtls_free(s);
        return ret < 0 ? ret : MBEDTLS_ERR_PK_BAD_INPUT_DATA;
    }
    s->state = 1;
    s->type = type;
    s->len = mbedtls_pk_get_len(key);
    s->hash_len = hash_len;
    memcpy(s->hash, hash, hash_len);
    conn->signing = s;
    counting = NULL; /* until the signature is taken, but for its steps */
    return 0;
}

static int take_signature(connection *conn, unsigned char *sig, size_t sig_size, size_t *sig_len)
{
    const signing *s = conn->signing;
    if (s->state != 0) return s->state > 0 ? MBEDTLS_ERR_SSL_ASYNC_IN_PROGRESS : s->state;
    if (s->len > sig_size) return MBEDTLS_ERR_PK_BUFFER_TOO_SMALL;
    counting = counts_of(conn);
    *sig_len = s->len;
    int ret = tlsio_rsa_result(s->operation, s->type != MBEDTLS_PK_RSASSA_PSS, sig);
    forget_signing(conn);
    return ret;
}

int sign_in_steps(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md, const unsigned char *hash,
                  size_t hash_len, unsigned char *sig, size_t sig_size, size_t *sig_len)
{
    const signing *s = active == NULL ? NULL : active->signing;
    if (type != MBEDTLS_PK_RSASSA_PSS) return 1;
    if (s != NULL) {
        if (s->state == 0 && (s->hash_len != hash_len || memcmp(s->hash, hash, hash_len) != 0)) {
            return MBEDTLS_ERR_PK_BAD_INPUT_DATA; /* by a scheme before, which had failed */
        }
        return take_signature(active, sig, sig_size, sig_len);
    }
    if (!takes_steps(active, key)) return 1;
    int ret = begin_signing(active, type, key, md, hash, hash_len);
    return ret == 0 ? MBEDTLS_ERR_SSL_ASYNC_IN_PROGRESS : ret;
}

/* ---- TLS 1.2 --------------------------------------------------------------------------------------- */

static int on_sign(mbedtls_ssl_context *ssl, mbedtls_x509_crt *cert, mbedtls_md_type_t md, const unsigned char *hash,
                   size_t hash_len)
{
    (void) cert;
    mbedtls_pk_context *key = mbedtls_ssl_own_key(ssl);
    if (key == NULL || !takes_steps(active, key)) return MBEDTLS_ERR_SSL_HW_ACCEL_FALLTHROUGH;
    return begin_signing(active, MBEDTLS_PK_RSA, key, md, hash, hash_len);
}

static int on_resume(mbedtls_ssl_context *ssl, unsigned char *sig, size_t *sig_len, size_t sig_size)
{
    (void) ssl;
    if (active == NULL || active->signing == NULL) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    return take_signature(active, sig, sig_size, sig_len);
}

void use_steps(mbedtls_ssl_config *ssl)
{
    mbedtls_ssl_conf_async_private_cb(ssl, on_sign, NULL, on_resume, NULL, NULL);
}

/* ---- Steps ----------------------------------------------------------------------------------------- */

int is_signing(const connection *conn)
{
    return conn != NULL && conn->signing != NULL && conn->signing->state > 0;
}

int go_on_signing(connection *conn)
{
    while (is_signing(conn)) {
        conn->signing->state = tlsio_rsa_step(conn->signing->operation);
        if (conn->in_steps && is_signing(conn)) return HANDSHAKE_WORKING;
    }
    if (conn->signing != NULL) counting = NULL;
    return 0;
}

void forget_signing(connection *conn)
{
    if (conn->signing == NULL) return;
    tlsio_rsa_free(conn->signing->operation);
    mbedtls_free(conn->signing);
    conn->signing = NULL;
}

#endif
