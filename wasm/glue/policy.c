/*
 * policy: what the host has to say in a handshake. Whether a certificate will do.
 */
#include "tlsio.h"

#include "ssl_misc.h" /* whether a session is being resumed */

/* ---- The peer's proof ------------------------------------------------------------------------------ */

/*
 * Its certificate, its signature and, but for a TLS 1.2 client's view of a full handshake, its Finished. What we have
 * to say of ourselves (a client's certificate, our Finished) was not sent yet, but for a server's in TLS 1.3 and in a
 * resumed TLS 1.2 handshake, which speaks first.
 */
int has_proved(const mbedtls_ssl_context *ssl, int before)
{
    if (ssl->state == before || ssl->handshake == NULL) return 0;
    if (ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER) return before == MBEDTLS_SSL_CLIENT_FINISHED;
    if (ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3) return before == MBEDTLS_SSL_SERVER_FINISHED;
    return before == (ssl->handshake->resume ? MBEDTLS_SSL_SERVER_FINISHED : MBEDTLS_SSL_SERVER_HELLO_DONE);
}

/* ---- Certificates ---------------------------------------------------------------------------------- */

/* Adds CRLs, PEM (with its NUL) or DER; the trust is set already. */
int EXPORT(config_add_crl)(config *c, const unsigned char *crl, size_t len)
{
    CHECK_CONFIG(c);
    int ret = mbedtls_x509_crl_parse(&c->crls, crl, len);
    if (ret == 0) mbedtls_ssl_conf_ca_chain(&c->ssl, c->ssl.ca_chain, &c->crls);
    return ret;
}

static int has_crl(const config *c, const mbedtls_x509_buf *issuer)
{
    for (const mbedtls_x509_crl *crl = &c->crls; crl != NULL && crl->version != 0; crl = crl->next) {
        if (crl->issuer_raw.len == issuer->len && memcmp(crl->issuer_raw.p, issuer->p, issuer->len) == 0) return 1;
    }
    return 0;
}

/* mbedTLS asks for the trust anchor first: it has no issuer that could revoke it. */
static int lacks_crl(const connection *conn, const mbedtls_x509_crt *crt, int depth)
{
    int options = conn->config->options;
    if ((options & (depth == 0 ? OPTION_CRL_LEAF | OPTION_CRL_CHAIN : OPTION_CRL_CHAIN)) == 0) return 0;
    return (size_t) depth + 1 < conn->chain_len && !has_crl(conn->config, &crt->issuer_raw);
}

int judge_certificate(connection *conn, const mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    if (lacks_crl(conn, crt, depth)) *flags |= MBEDTLS_X509_BADCERT_OTHER;
    if ((conn->config->options & OPTION_VERIFY_EACH) == 0) return 0;
    return verify_certificate(conn, crt->raw.p, crt->raw.len, depth) == 0 ? 0 : MBEDTLS_ERR_X509_FATAL_ERROR;
}

/* The first certificate's SubjectPublicKeyInfo, DER: what a pin is the hash of. Returns its length. */
int EXPORT(certificate_public_key)(const unsigned char *chain, size_t len, unsigned char *out, size_t size)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int ret = read_certificate(&crt, chain, len);
    if (ret >= 0 && crt.pk_raw.p != NULL) { /* above 0: another one of the chain did not parse */
        ret = (int) crt.pk_raw.len;
        if (crt.pk_raw.len <= size) memcpy(out, crt.pk_raw.p, crt.pk_raw.len);
    }
    mbedtls_x509_crt_free(&crt);
    return ret;
}
