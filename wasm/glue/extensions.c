/*
 * What mbedTLS lets pass in the hellos of a handshake: an extension twice (RFC 8446 section 4.2, RFC 5246 section
 * 7.4.1.4), a ClientHello that cannot do without compression, one that was made after a failure, in an older version than
 * both ends have (RFC 7507; someone in between may have caused that), and a HelloRetryRequest that asks for nothing.
 *
 * And in later messages of TLS 1.3: an extension twice, a context of a CertificateRequest, which belongs to those behind the
 * handshake alone (section 4.3.2), and a signature scheme that is another curve's (section 4.2.3).
 */
#include "tlsio.h"

#include "ssl_misc.h"

#define SUPPORTED_VERSIONS 43
#define COOKIE 44
#define KEY_SHARE 51
#define FALLBACK_SCSV 0x5600
#define INAPPROPRIATE_FALLBACK 86 /* an alert */

/* What is left of a message; `bad` once it was shorter than it says. */
typedef struct {
    const unsigned char *p, *end;
    int bad;
} reader;

static unsigned take(reader *r, size_t width)
{
    unsigned value = 0;
    if ((size_t) (r->end - r->p) < width) {
        r->bad = 1;
        return 0;
    }
    while (width-- > 0) value = value << 8 | *r->p++;
    return value;
}

/* A vector with a length of `width` bytes. */
static reader vector(reader *r, size_t width)
{
    size_t len = take(r, width);
    if ((size_t) (r->end - r->p) < len) {
        r->bad = 1;
        len = 0;
    }
    reader content = { r->p, r->p + len, 0 };
    r->p += len;
    return content;
}

#define EXTENSIONS_MAX 64 /* of a message; a browser's hello has twenty, and as many as this are registered */

typedef struct {
    reader versions;  /* the content of supported_versions */
    int can_retry;    /* there is what a HelloRetryRequest can ask for */
} findings;

/* Looks the extensions over. Returns 1 when one is there twice, or there are too many to tell. */
static int has_double(reader *r, findings *found)
{
    unsigned types[EXTENSIONS_MAX];
    size_t count = 0;
    reader all = vector(r, 2);
    *found = (findings) { .versions = { all.end, all.end, 0 } };
    while (all.p < all.end && !all.bad) {
        unsigned type = take(&all, 2);
        reader content = vector(&all, 2);
        if (type == SUPPORTED_VERSIONS) found->versions = content;
        if (type == COOKIE || type == KEY_SHARE) found->can_retry = 1;
        for (size_t i = 0; i < count; i++) {
            if (types[i] == type) return 1;
        }
        if (count == EXTENSIONS_MAX) return 1;
        types[count++] = type;
    }
    return 0;
}

static int has_number(reader list, size_t width, unsigned wanted)
{
    while (list.p < list.end && !list.bad) {
        if (take(&list, width) == wanted) return 1;
    }
    return 0;
}

/* What is too short is left to mbedTLS to say. */
static int check_client_hello(mbedtls_ssl_context *ssl, reader *r)
{
    findings found;
    vector(r, 1); /* session id */
    if (uses_datagrams(ssl)) vector(r, 1); /* cookie */
    reader suites = vector(r, 2), compression = vector(r, 1);
    if (r->bad) return 0;
    if (!has_number(compression, 1, 0)) return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
    if (has_double(r, &found)) return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
    reader versions = vector(&found.versions, 1);
    if (ssl->conf->max_tls_version == MBEDTLS_SSL_VERSION_TLS1_3 && has_number(suites, 2, FALLBACK_SCSV) &&
        !has_number(versions, 2, MBEDTLS_SSL_VERSION_TLS1_3)) {
        int ret = mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, INAPPROPRIATE_FALLBACK);
        return ret != 0 ? ret : MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION;
    }
    return 0;
}

/* An ECDSA scheme of TLS 1.3 names its curve; mbedTLS compares the kind of key alone. What is too short is left to it to say. */
static int is_for_other_curve(const mbedtls_ssl_context *ssl, reader *r)
{
    const mbedtls_x509_crt *crt = ssl->session_negotiate == NULL ? NULL : ssl->session_negotiate->peer_cert;
    if (crt == NULL || !mbedtls_pk_can_do(&crt->pk, MBEDTLS_PK_ECKEY)) return 0;
    mbedtls_ecp_group_id group = mbedtls_pk_get_ec_group_id(&crt->pk);
    switch (take(r, 2)) {
        case MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256: return group != MBEDTLS_ECP_DP_SECP256R1;
        case MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384: return group != MBEDTLS_ECP_DP_SECP384R1;
        case MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512: return group != MBEDTLS_ECP_DP_SECP521R1;
        default: return 0;
    }
}

int check_extensions(mbedtls_ssl_context *ssl)
{
    size_t header = mbedtls_ssl_hs_hdr_len(ssl);
    if (ssl->in_hslen <= header) return 0;
    reader r = { ssl->in_msg + header, ssl->in_msg + ssl->in_hslen, 0 };
    findings found;
    int is_tls13 = ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3;
    int is_retry = 0, is_hello = ssl->in_msg[0] == MBEDTLS_SSL_HS_CLIENT_HELLO || ssl->in_msg[0] == MBEDTLS_SSL_HS_SERVER_HELLO;
    if (is_hello) {
        if ((size_t) (r.end - r.p) < 2 + 32) return 0;
        is_retry = ssl->in_msg[0] == MBEDTLS_SSL_HS_SERVER_HELLO &&
                   memcmp(r.p + 2, mbedtls_ssl_tls13_hello_retry_request_magic, 32) == 0;
        r.p += 2 + 32; /* version and random */
    }
    switch (ssl->in_msg[0]) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO: return check_client_hello(ssl, &r);
        case MBEDTLS_SSL_HS_SERVER_HELLO:
            vector(&r, 1); /* session id */
            take(&r, 3);   /* suite and compression */
            break;
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS: break;
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST:
            if (!is_tls13) return 0;
            if (take(&r, 1) != 0) return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER; /* the length of its context */
            break;
        case MBEDTLS_SSL_HS_NEW_SESSION_TICKET:
            if (!is_tls13) return 0;
            take(&r, 8);   /* lifetime and age */
            vector(&r, 1); /* nonce */
            vector(&r, 2); /* ticket */
            break;
        case MBEDTLS_SSL_HS_CERTIFICATE_VERIFY:
            return is_tls13 && is_for_other_curve(ssl, &r) ? MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER : 0;
        default: return 0;
    }
    if (r.bad) return 0;
    int is_wrong = has_double(&r, &found) || (is_retry && !found.can_retry); /* RFC 8446 section 4.1.4: nothing would change */
    return is_wrong ? MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER : 0;
}
