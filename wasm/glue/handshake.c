/*
 * What the messages of a handshake say and mbedTLS forgets: which signatures were made, what both ends could
 * have agreed on, how the master secret was made, the Finished messages.
 */
#include "tlsio.h"

#include "ssl_misc.h"

/* ---- Signatures ------------------------------------------------------------------------------------ */

/*
 * The SignatureScheme in a message; 0: it has none. In TLS 1.2, the ServerKeyExchange of ECDHE with a
 * certificate has it behind the curve and the point (RFC 8422 section 5.4).
 */
static int scheme_of(const mbedtls_ssl_context *ssl, const unsigned char *message, size_t len)
{
    size_t header = mbedtls_ssl_hs_hdr_len(ssl), at = header; /* DTLS has a longer one */
    if (len < header + 2) return 0;
    if (message[0] == MBEDTLS_SSL_HS_SERVER_KEY_EXCHANGE) {
        const mbedtls_ssl_ciphersuite_t *suite = ssl->handshake->ciphersuite_info;
        int is_signed = suite != NULL && (suite->key_exchange == MBEDTLS_KEY_EXCHANGE_ECDHE_RSA ||
                                          suite->key_exchange == MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA);
        if (!is_signed || len < header + 4) return 0;
        at += 4 + (size_t) message[header + 3];
    } else if (message[0] != MBEDTLS_SSL_HS_CERTIFICATE_VERIFY) {
        return 0;
    }
    return at + 2 <= len ? message[at] << 8 | message[at + 1] : 0;
}

void note_signature(connection *conn, int received)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    if (ssl->handshake == NULL) return;
    int scheme = received ? scheme_of(ssl, ssl->in_msg, ssl->in_hslen) : 0;
    if (!received && !uses_datagrams(ssl)) scheme = scheme_of(ssl, ssl->out_msg, ssl->out_msglen);
    /* In DTLS the message at hand may be a part of one; the flight has it whole. */
    const mbedtls_ssl_flight_item *item = received ? NULL : ssl->handshake->flight;
    for (; item != NULL && scheme == 0; item = item->next) {
        if (item->type == MBEDTLS_SSL_MSG_HANDSHAKE) scheme = scheme_of(ssl, item->p, item->len);
    }
    if (scheme != 0) conn->facts[received ? FACT_PEER_SIGALG : FACT_OWN_SIGALG] = scheme;
}

/* ---- What both ends could have agreed on ----------------------------------------------------------- */

static int is_listed(const int *list, int suite)
{
    for (; list != NULL && *list != 0; list++) {
        if (*list == suite) return 1;
    }
    return 0;
}

/* The list of suites in the ClientHello at hand: its bytes in *len. NULL: it is not where it should be. */
static const unsigned char *offered_suites(const mbedtls_ssl_context *ssl, size_t *len)
{
    const unsigned char *p = ssl->in_msg + mbedtls_ssl_hs_hdr_len(ssl), *end = ssl->in_msg + ssl->in_hslen;
    int skip = ssl->conf->transport == MBEDTLS_SSL_TRANSPORT_DATAGRAM ? 2 : 1; /* session id; in DTLS, a cookie */
    if (end - p < 2 + 32 + 1) return NULL;
    p += 2 + 32; /* version and random */
    for (; skip > 0; skip--) {
        if (end - p < 1 || end - p < 1 + p[0]) return NULL;
        p += 1 + p[0];
    }
    if (end - p < 2) return NULL;
    *len = (size_t) (p[0] << 8 | p[1]);
    p += 2;
    return (size_t) (end - p) < *len ? NULL : p;
}

/*
 * Called while a server's ClientHello is at hand. Keeps the client's suites and signature schemes that we have,
 * too, in its order: some fifty bytes, for shared_ciphers().
 */
int note_shared(connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    size_t len = 0, suites = 0, schemes = 0;
    const unsigned char *offered = offered_suites(ssl, &len);
    for (const int *suite = conn->config->suites; suite != NULL && *suite != 0; suite++) suites++;
    const uint16_t *received = ssl->handshake->received_sig_algs;
    while (received[schemes] != MBEDTLS_TLS_SIG_NONE) schemes++;

    mbedtls_free(conn->shared);
    conn->shared_suites = conn->shared_schemes = 0;
    conn->shared = mbedtls_calloc(suites + schemes + 1, sizeof(*conn->shared));
    if (conn->shared == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    for (size_t i = 0; offered != NULL && i + 1 < len && conn->shared_suites < suites; i += 2) {
        int suite = offered[i] << 8 | offered[i + 1];
        if (is_listed(conn->config->suites, suite)) conn->shared[conn->shared_suites++] = (uint16_t) suite;
    }
    for (size_t i = 0; i < schemes; i++) {
        if (!mbedtls_ssl_sig_alg_is_offered(ssl, received[i])) continue;
        conn->shared[conn->shared_suites + conn->shared_schemes++] = received[i];
    }
    return 0;
}

/* What both ends have, suites or signature schemes, in the client's order: writes `size` at most. Returns how many. */
int EXPORT(connection_shared)(const connection *conn, int schemes, uint16_t *out, size_t size)
{
    CHECK_CONNECTION(conn);
    size_t count = schemes ? conn->shared_schemes : conn->shared_suites;
    if (count > size) count = size;
    if (count != 0) memcpy(out, conn->shared + (schemes ? conn->shared_suites : 0), count * sizeof(*out));
    return (int) count;
}

/* ---- The extended master secret (RFC 7627) ---------------------------------------------------------- */

/*
 * With it a session is bound to its handshake, and must not go on without (section 5.3: someone in between could make two
 * sessions with one master secret). mbedTLS does not keep whether a session has it. A bit of the verify flags does, since
 * they are saved with the session; it is turned over, because all of them can be set: "no result".
 */
#define EXTENDED_MS 0x40000000u
#define NO_RESULT 0xffffffffu

uint32_t verify_flags_of(uint32_t kept)
{
    return (kept | EXTENDED_MS) == NO_RESULT ? NO_RESULT : kept & ~EXTENDED_MS;
}

/*
 * Before each step of a handshake, of which one sets the flags; and, since mbedTLS takes the steps of a renegotiation by
 * itself, before the session is saved.
 */
void keep_extended_ms(connection *conn)
{
    const mbedtls_ssl_handshake_params *hs = conn->ssl.handshake;
    mbedtls_ssl_session *session = conn->ssl.session_negotiate;
    if (hs == NULL || session == NULL || hs->resume || conn->ssl.tls_version != MBEDTLS_SSL_VERSION_TLS1_2) return;
    session->verify_result = verify_flags_of(session->verify_result);
    if (hs->extended_ms == MBEDTLS_SSL_EXTENDED_MS_ENABLED) session->verify_result ^= EXTENDED_MS;
}

/* Whether a session to be resumed, of TLS 1.2, has another kind of master secret than the handshake's hellos agree on. */
int goes_on_otherwise(const mbedtls_ssl_context *ssl, const mbedtls_ssl_session *session)
{
    int is_extended = session->verify_result != verify_flags_of(session->verify_result);
    return is_extended != (ssl->handshake->extended_ms == MBEDTLS_SSL_EXTENDED_MS_ENABLED);
}

/* Once a client has read the ServerHello. Returns 0, or a negative code. */
int check_server_hello(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    int is_read = ssl->state > MBEDTLS_SSL_SERVER_HELLO; /* DTLS: a HelloVerifyRequest can come before */
    if (ssl->conf->endpoint != MBEDTLS_SSL_IS_CLIENT || ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_2 || !is_read ||
        ssl->handshake == NULL || !ssl->handshake->resume || !goes_on_otherwise(ssl, ssl->session_negotiate)) {
        return 0;
    }
    int ret = mbedtls_ssl_send_fatal_handshake_failure(ssl);
    return ret != 0 ? ret : MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
}

/* ---- Finished (RFC 5929 section 3) ----------------------------------------------------------------- */

/* Writes the first Finished message of the last TLS 1.2 handshake. Returns its length; 0: there is none. */
int EXPORT(connection_finished)(const connection *conn, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    const mbedtls_ssl_context *ssl = &conn->ssl;
    size_t len = ssl->verify_data_len;
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_2 || len == 0 || len > size) return 0;
    /* In the middle of a renegotiation, one of the two is of the handshake before. */
    if (ssl->renego_status == MBEDTLS_SSL_RENEGOTIATION_IN_PROGRESS) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    int is_client = ssl->conf->endpoint == MBEDTLS_SSL_IS_CLIENT;
    /* The client finishes first; with a resumed session, the server. */
    int is_own = is_client != (conn->facts[FACT_RESUMED] != 0);
    memcpy(out, is_own ? ssl->own_verify_data : ssl->peer_verify_data, len);
    return (int) len;
}
