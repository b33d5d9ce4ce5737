/*
 * What is known of a connection: numbers, names, certificates, the session, keying material.
 */
#include "tlsio.h"

#include "ssl_misc.h"

static int session_is_resumable(const mbedtls_ssl_session *session)
{
    if (session == NULL) return 0;
    if (session->ticket_len != 0) return 1;
    return session->tls_version == MBEDTLS_SSL_VERSION_TLS1_2 && session->id_len != 0;
}

/* Brings the facts up to date. Returns where they are: FACT_COUNT times int32. */
const int32_t *EXPORT(connection_facts)(connection *conn)
{
    if (conn == NULL || conn->magic != CONNECTION_MAGIC) return NULL;
    mbedtls_ssl_context *ssl = &conn->ssl;
    int32_t *facts = conn->facts;
    facts[FACT_VERSION] = (int32_t) ssl->tls_version;
    facts[FACT_SUITE] = mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl);
    facts[FACT_VERIFY_FLAGS] = (int32_t) verify_flags_of(mbedtls_ssl_get_verify_result(ssl));
    if (ssl->conf->authmode == MBEDTLS_SSL_VERIFY_NONE) {
        facts[FACT_VERIFY_FLAGS] = MBEDTLS_X509_BADCERT_SKIP_VERIFY;
    } else if (facts[FACT_RESUMED] && ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3) {
        facts[FACT_VERIFY_FLAGS] = (int32_t) conn->ticket_flags;
    }
    facts[FACT_SESSION] = session_is_resumable(ssl->session);
    facts[FACT_PENDING] = (int32_t) mbedtls_ssl_get_bytes_avail(ssl);
    if (ssl->state == MBEDTLS_SSL_HANDSHAKE_OVER) {
        facts[FACT_MAX_WRITE] = mbedtls_ssl_get_max_out_record_payload(ssl);
    }
    return facts;
}

/* The ALPN protocol that was agreed, as a C string; NULL: none. */
const char *EXPORT(connection_alpn)(const connection *conn)
{
    return conn == NULL || conn->magic != CONNECTION_MAGIC ? NULL : mbedtls_ssl_get_alpn_protocol(&conn->ssl);
}

/* The host that a client asked for, as a C string; NULL: none. */
const char *EXPORT(connection_sni)(const connection *conn)
{
    return conn == NULL || conn->magic != CONNECTION_MAGIC ? NULL : conn->sni;
}

/* Copies `len` bytes if they fit. Returns `len`, so that a caller with too little room can come again. */
static int give(unsigned char *out, size_t size, const unsigned char *bytes, size_t len)
{
    if (len != 0 && len <= size) memcpy(out, bytes, len);
    return (int) len;
}

/* The index-th certificate that the peer sent, DER. Returns its length; 0: there is none. */
int EXPORT(connection_peer)(const connection *conn, size_t index, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    const mbedtls_ssl_session *session = conn->ssl.session == NULL ? conn->ssl.session_negotiate : conn->ssl.session;
    const mbedtls_x509_crt *crt = session == NULL ? NULL : session->peer_cert;
    if (crt == NULL && index == 0 && conn->facts[FACT_RESUMED]) {
        return give(out, size, conn->ticket_peer, conn->ticket_peer_len);
    }
    for (size_t i = 0; crt != NULL && i < index; i++) crt = crt->next;
    return crt == NULL ? 0 : give(out, size, crt->raw.p, crt->raw.len);
}

/* The index-th certificate of the chain that verified, leaf first, DER. Returns its length; 0: none. */
int EXPORT(connection_chain)(const connection *conn, size_t index, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    /* A renegotiation frees the certificates that `chain` points to. */
    if (index >= conn->chain_len || conn->ssl.renego_status != MBEDTLS_SSL_INITIAL_HANDSHAKE) return 0;
    return give(out, size, conn->chain[index]->raw.p, conn->chain[index]->raw.len);
}

/* The certificate that we sent, DER. Returns its length; 0: none was sent in this handshake. */
int EXPORT(connection_own)(const connection *conn, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    return conn->own == NULL ? 0 : give(out, size, conn->own->raw.p, conn->own->raw.len);
}

/* What a later connection can resume. Returns its length, also when it does not fit; 0: there is nothing. */
int EXPORT(connection_session)(const connection *conn, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    if (!session_is_resumable(conn->ssl.session)) return 0;
    size_t len = 0;
    int ret = mbedtls_ssl_session_save(conn->ssl.session, out, size, &len);
    return ret == 0 || ret == MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL ? (int) len : ret;
}

/*
 * What SSLSession says of itself: seconds that the server promises to keep it (4), whether it is a ticket (1), and
 * the session id. Returns the length.
 */
int EXPORT(connection_session_facts)(const connection *conn, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    const mbedtls_ssl_session *session = conn->ssl.session;
    if (!session_is_resumable(session) || size < 5 + sizeof(session->id)) return 0;
    for (int i = 0; i < 4; i++) out[i] = (unsigned char) (session->ticket_lifetime >> 8 * (3 - i));
    out[4] = session->ticket_len != 0;
    memcpy(out + 5, session->id, session->id_len);
    return (int) (5 + session->id_len);
}

/* Keying material for other protocols (RFC 5705, RFC 8446 section 7.5). */
int EXPORT(connection_export)(connection *conn, unsigned char *out, size_t len, const char *label,
                              size_t label_len, const unsigned char *context, size_t context_len,
                              int use_context)
{
    CHECK_CONNECTION(conn);
    mbedtls_ssl_context *ssl = &conn->ssl;
    /* While DTLS keeps its last flight, the keys are where the handshake left them; mbedTLS looks for them elsewhere. */
    mbedtls_ssl_transform *transform = ssl->transform;
    if (transform == NULL) ssl->transform = ssl->transform_negotiate;
    int ret = ssl->transform == NULL && ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_2
                  ? MBEDTLS_ERR_SSL_BAD_INPUT_DATA
                  : mbedtls_ssl_export_keying_material(ssl, out, len, label, label_len, context, context_len,
                                                       use_context);
    ssl->transform = transform;
    return ret;
}
