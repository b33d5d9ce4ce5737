/*
 * connection: one TLS peer.
 */
#include "tlsio.h"

#include "counts.h"
#include "ssl_misc.h" /* the handshake's own state: was it resumed, which group */

connection *active;

/* NULL: none. */
static void set_active(connection *conn)
{
    active = conn;
    counting = conn == NULL ? NULL : counts_of(conn);
}

/* ---- Callbacks ------------------------------------------------------------------------------------- */

#define HEADER 5 /* bytes of a record header */

/*
 * Sends one record. mbedTLS 3.6 does not split handshake messages that exceed the agreed fragment length; while
 * they are in the clear (TLS 1.2), we can: records carry a stream of messages (RFC 5246 section 6.2.1).
 */
static int on_send(void *p_conn, const unsigned char *record, size_t len)
{
    connection *conn = p_conn;
    const mbedtls_ssl_context *ssl = &conn->ssl;
    size_t most = len;
    if (record[0] == MBEDTLS_SSL_MSG_HANDSHAKE && ssl->transform_out == NULL && len > HEADER &&
        ssl->state != MBEDTLS_SSL_CLIENT_HELLO) {
        int payload = mbedtls_ssl_get_max_out_record_payload(ssl);
        if (payload > 0 && (size_t) payload < len - HEADER) most = (size_t) payload;
    }
    if (most == len) {
        if (conn->traced) trace_record(conn, 0, record);
        return bio_send(conn, record, len);
    }
    for (size_t at = HEADER; at < len; at += most) {
        size_t part = len - at < most ? len - at : most;
        const unsigned char header[HEADER] = { record[0], record[1], record[2], (unsigned char) (part >> 8),
                                               (unsigned char) part };
        if (conn->traced) trace_record(conn, 0, header);
        int ret = bio_send(conn, header, HEADER);
        if (ret >= 0) ret = bio_send(conn, record + at, part);
        if (ret < 0) return ret;
    }
    return (int) len;
}

static int on_recv(void *p_conn, unsigned char *bytes, size_t len)
{
    connection *conn = p_conn;
    if (conn->is_deaf) return MBEDTLS_ERR_SSL_WANT_READ;
    int ret = bio_recv(conn, bytes, len);
    if (ret > 0 && bytes + ret == conn->ssl.in_hdr + HEADER) {
        expect_clear_alert(&conn->ssl);
        if (conn->traced) trace_record(conn, 1, conn->ssl.in_hdr);
    }
    if (ret == 0) conn->at_end = 1;
    return ret;
}

static void on_key(void *conn, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len,
                   const unsigned char client_random[32], const unsigned char server_random[32],
                   mbedtls_tls_prf_types prf)
{
    (void) server_random;
    (void) prf;
    key_log(conn, type, secret, len, client_random);
}

/* Called once a server has read the ClientHello: mbedTLS forgets the name. */
int on_hello(mbedtls_ssl_context *ssl)
{
    if (active == NULL) return 0;
    int ret = note_shared(active);
    if (ret != 0) return ret;
    size_t len = 0;
    const unsigned char *name = mbedtls_ssl_get_hs_sni(ssl, &len);
    if (name == NULL || memchr(name, 0, len) != NULL) return decide_early_data(active);
    mbedtls_free(active->sni);
    active->sni = mbedtls_calloc(1, len + 1);
    if (active->sni == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(active->sni, name, len);
    return decide_early_data(active);
}

/* Called for each certificate of the chain, the trust anchor first, the leaf (depth 0) last. */
static int on_verify(void *p_conn, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    connection *conn = p_conn;
    if (conn->chain_done) conn->chain_len = 0;
    conn->chain_done = depth == 0;
    if (depth < CHAIN_MAX) {
        conn->chain[depth] = crt;
        if ((size_t) depth >= conn->chain_len) conn->chain_len = (size_t) depth + 1;
    }
    if (depth == 0) {
        *flags &= ~(uint32_t) MBEDTLS_X509_BADCERT_CN_MISMATCH;
        if (conn->check_name && !name_matches(conn, crt)) *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    check_authority(conn, crt, depth, flags);
    return judge_certificate(conn, crt, depth, flags);
}

/* ---- Life ------------------------------------------------------------------------------------------ */

void EXPORT(connection_free)(connection *conn);

connection *EXPORT(connection_new)(config *c)
{
    if (c == NULL || c->magic != CONFIG_MAGIC) return NULL;
    connection *conn = mbedtls_calloc(1, sizeof(*conn));
    if (conn == NULL) return NULL;
    conn->magic = CONNECTION_MAGIC;
    conn->config = c;
    conn->facts[FACT_ALERT] = -1;
    conn->facts[FACT_ALERT_SENT] = -1;
    mbedtls_ssl_init(&conn->ssl);
    int ret = (c->options & OPTION_MEASURE) != 0 ? begin_measure(conn) : 0;
    set_active(conn);
    if (ret == 0) ret = mbedtls_ssl_setup(&conn->ssl, &c->ssl);
    set_active(NULL);
    if (ret != 0) {
        connection_free(conn);
        return NULL;
    }
    if (uses_datagrams(&conn->ssl)) set_datagram_bio(conn);
    else mbedtls_ssl_set_bio(&conn->ssl, conn, on_send, on_recv, NULL);
    mbedtls_ssl_set_verify(&conn->ssl, on_verify, conn);
    if ((c->options & OPTION_KEY_LOG) != 0) mbedtls_ssl_set_export_keys_cb(&conn->ssl, on_key, conn);
    return conn;
}

void EXPORT(connection_free)(connection *conn)
{
    if (conn == NULL || conn->magic != CONNECTION_MAGIC) return;
    forget(conn);
    forget_signing(conn);
    mbedtls_ssl_free(&conn->ssl);
    mbedtls_free(conn->sni);
    mbedtls_free(conn->alpn_choice);
    mbedtls_free(conn->shared);
    mbedtls_free(conn->dns_name);
    mbedtls_free(conn->ticket_peer);
    forget_early_ticket(conn);
    end_measure(conn);
    mbedtls_free(conn);
}

/*
 * Names the host: a C string with a DNS name or the text of an IP address; NULL for none, which a client
 * must say too (mbedTLS refuses a verifying client that never called set_hostname). An IP address is not
 * sent as SNI (RFC 6066 section 3).
 */
int EXPORT(connection_set_host)(connection *conn, const char *host, int check_name)
{
    CHECK_CONNECTION(conn);
    if (host == NULL) return mbedtls_ssl_set_hostname(&conn->ssl, NULL);
    conn->check_name = check_name;
    conn->ip_len = mbedtls_x509_crt_parse_cn_inet_pton(host, conn->ip);
    if (conn->ip_len != 0) return mbedtls_ssl_set_hostname(&conn->ssl, NULL);
    size_t size = strlen(host) + 1;
    conn->dns_name = mbedtls_calloc(1, size);
    if (conn->dns_name == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(conn->dns_name, host, size);
    return mbedtls_ssl_set_hostname(&conn->ssl, host);
}

/* A TLS 1.2 session goes on with its own suite, or not at all; one of TLS 1.3 is bound to a hash. */
static int offers_suite(const config *c, const mbedtls_ssl_session *session)
{
    if (session->tls_version != MBEDTLS_SSL_VERSION_TLS1_2) return 1;
    for (const int *suite = c->suites; suite != NULL && *suite != 0; suite++) {
        if (*suite == session->ciphersuite) return 1;
    }
    return 0;
}

/* Offers a session that connection_session() of an earlier connection gave. */
int EXPORT(connection_offer_session)(connection *conn, const unsigned char *saved, size_t len)
{
    CHECK_CONNECTION(conn);
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    set_active(conn); /* what it keeps of the session is its own */
    int ret = mbedtls_ssl_session_load(&session, saved, len);
    if (ret == 0 && !offers_suite(conn->config, &session)) ret = MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    if (ret == 0) round_ticket_time(&session);
    if (ret == 0) ret = mbedtls_ssl_set_session(&conn->ssl, &session);
    if (ret == 0) put_early_data_off(conn);
    mbedtls_ssl_session_free(&session);
    set_active(NULL);
    return ret;
}

/* ---- Records and plaintext ------------------------------------------------------------------------- */

/* Keeps what mbedTLS forgets when it frees the handshake's state. */
static void note_handshake(connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    const mbedtls_ssl_handshake_params *hs = ssl->handshake;
    /* With RSA key exchange (TLS 1.2), a server sends a certificate and signs nothing. */
    int is_sent = conn->facts[FACT_OWN_SIGALG] != 0 ||
                  (ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER && !hs->resume &&
                   ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_2 &&
                   mbedtls_ssl_ciphersuite_uses_srv_cert(hs->ciphersuite_info));
    conn->own = is_sent ? mbedtls_ssl_own_cert((mbedtls_ssl_context *) ssl) : NULL;
    if (ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3) {
        note_tls13_handshake(conn);
    } else {
        conn->facts[FACT_RESUMED] = hs->resume;
        conn->facts[FACT_EXTENDED_MS] = hs->extended_ms == MBEDTLS_SSL_EXTENDED_MS_ENABLED;
        conn->facts[FACT_GROUP] =
            hs->resume ? 0 : mbedtls_ssl_get_tls_id_from_ecp_group_id(hs->ecdh_ctx.grp_id);
    }
}

void __real_mbedtls_ssl_handshake_wrapup(mbedtls_ssl_context *ssl);
void __wrap_mbedtls_ssl_handshake_wrapup(mbedtls_ssl_context *ssl);

/* A renegotiation ends in the middle of a read: what was noted of the handshake before is no longer so. */
void __wrap_mbedtls_ssl_handshake_wrapup(mbedtls_ssl_context *ssl)
{
    keep_extended_ms(ssl->p_bio);
    note_handshake(ssl->p_bio);
    __real_mbedtls_ssl_handshake_wrapup(ssl);
}

/* Remembers the alert that made mbedTLS give up. */
static void note_alert(connection *conn, int ret)
{
    if (ret == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) conn->facts[FACT_ALERT] = conn->ssl.in_msg[1];
}

/* Before a call of mbedTLS that reads or writes records. Returns 0, or a negative code: then it must not be made. */
static int begin(connection *conn)
{
    int ret = wake(conn);
    if (ret == 0) set_active(conn);
    out_of_memory = 0;
    return ret;
}

/* After it. Where mbedTLS ran out of memory, it can say that a message was bad. */
static int end(connection *conn, int ret)
{
    set_active(NULL);
    if (ret < 0 && ret != MBEDTLS_ERR_SSL_WANT_READ && out_of_memory) ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    note_alert(conn, ret);
    rest(conn);
    return ret;
}

/*
 * Goes as far as the received records allow. Returns 0 when the handshake is over, HANDSHAKE_PAUSED, HANDSHAKE_ASKS, or, with
 * `in_steps`, HANDSHAKE_WORKING.
 */
int EXPORT(connection_handshake)(connection *conn, int in_steps)
{
    CHECK_CONNECTION(conn);
    int ret = begin(conn);
    if (ret == 0) {
        conn->in_steps = in_steps != 0;
        ret = go_on_signing(conn);
    }
    while (ret == 0 && conn->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
        int before = conn->ssl.state;
        if (before == MBEDTLS_SSL_HANDSHAKE_WRAPUP && conn->ssl.handshake != NULL) note_handshake(conn);
        use_alert_keys(&conn->ssl);
        expect_fragment_length(&conn->ssl);
        drop_unlike_session(conn);
        keep_extended_ms(conn);
        if (asks_for_session(conn)) {
            ret = HANDSHAKE_ASKS;
            break;
        }
        ret = handshake_step(conn);
        if (ret == 0 && before == MBEDTLS_SSL_SERVER_HELLO) ret = check_server_hello(conn);
        if (ret != 0 && drop_datagram(&conn->ssl, ret)) ret = 0;
        if (ret == 0 && (conn->config->options & OPTION_JUDGE) != 0 && !conn->judged && has_proved(&conn->ssl, before)) {
            conn->judged = 1;
            note_handshake(conn);
            ret = HANDSHAKE_PAUSED;
        }
    }
    conn->in_steps = 0; /* a renegotiation is a part of a read */
    if (ret == MBEDTLS_ERR_SSL_ASYNC_IN_PROGRESS) ret = HANDSHAKE_WORKING;
    if (ret == 0) note_early_data(conn);
    if (ret == 0) end_handshake(conn);
    return end(conn, ret);
}

#define EMPTY_RECORDS_MAX 32 /* in a row: each costs us a decryption and gives nothing; OpenSSL's */

int is_flood(connection *conn)
{
    return ++conn->empty_records > EMPTY_RECORDS_MAX;
}

/* RFC 8446 section 5: a ChangeCipherSpec means nothing, until the peer's Finished. mbedTLS drops any number at any time. */
int drop_ccs(connection *conn)
{
    int is_late = mbedtls_ssl_is_handshake_over(&conn->ssl);
    return is_late || is_flood(conn) ? MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE : MBEDTLS_ERR_SSL_CONTINUE_PROCESSING;
}

/*
 * What to do about the result of mbedtls_ssl_read(): returns 1 to read again. mbedTLS says 0 for the end of the
 * stream, but also for an empty record behind another.
 */
static int reads_again(connection *conn, int *ret)
{
    if (*ret > 0) {
        conn->key_updates = conn->empty_records = 0;
        return 0;
    }
    if (*ret == 0 && !conn->at_end) {
        if (!is_flood(conn)) return 1;
        *ret = MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
        return 0;
    }
    if (*ret != MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE || !is_key_update(conn)) return 0;
    *ret = answer_key_update(conn);
    return *ret == 0;
}

/*
 * mbedtls_ssl_read() and mbedtls_ssl_write() would complete a handshake by themselves, past its pause. In a renegotiation
 * they must go on with it.
 */
static int is_in_first_handshake(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    return !mbedtls_ssl_is_handshake_over(ssl) && ssl->renego_status == MBEDTLS_SSL_INITIAL_HANDSHAKE;
}

/* Returns how many bytes were read; 0 at the end of the stream; or a negative code. */
int EXPORT(connection_read)(connection *conn, unsigned char *bytes, size_t len)
{
    CHECK_CONNECTION(conn);
    if (is_in_first_handshake(conn)) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    int ret = begin(conn);
    if (ret != 0) return ret;
    do {
        ret = mbedtls_ssl_read(&conn->ssl, bytes, len);
    } while (reads_again(conn, &ret));
    return end(conn, ret);
}

/* Returns how many bytes were encrypted, at most those of one record; or a negative code. */
int EXPORT(connection_write)(connection *conn, const unsigned char *bytes, size_t len)
{
    CHECK_CONNECTION(conn);
    int is_early = can_answer_early(conn);
    if (!is_early && is_in_first_handshake(conn)) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    int ret = begin(conn);
    if (ret != 0) return ret;
    if (is_early) return end(conn, answer_early(conn, bytes, len));
    if (key_is_worn(conn)) ret = update_sending_key(conn, 0);
    if (ret == 0) ret = mbedtls_ssl_write(&conn->ssl, bytes, len);
    return end(conn, ret);
}

/* A client's early data: before the first connection_handshake(). See send_early_data(). */
int EXPORT(connection_write_early)(connection *conn, const unsigned char *bytes, size_t len)
{
    CHECK_CONNECTION(conn);
    int ret = begin(conn);
    return ret != 0 ? ret : end(conn, send_early_data(conn, bytes, len));
}

/* Moves our sending key on, as is due after 2^24.5 records of AES-GCM (RFC 8446 section 5.5). */
int EXPORT(connection_update_key)(connection *conn, int request)
{
    CHECK_CONNECTION(conn);
    int ret = begin(conn);
    return ret != 0 ? ret : end(conn, update_sending_key(conn, request != 0));
}

int EXPORT(connection_close_notify)(connection *conn)
{
    CHECK_CONNECTION(conn);
    int ret = begin(conn);
    return ret != 0 ? ret : end(conn, mbedtls_ssl_close_notify(&conn->ssl));
}

/* Sends a fatal alert of our own, where mbedTLS reports an error without one. */
int EXPORT(connection_alert)(connection *conn, int description)
{
    CHECK_CONNECTION(conn);
    int ret = begin(conn);
    if (ret != 0) return ret;
    ret = mbedtls_ssl_send_alert_message(&conn->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, (unsigned char) description);
    return end(conn, ret);
}
