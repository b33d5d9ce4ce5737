/*
 * 0-RTT early data (RFC 8446 sections 2.3, 4.2.10 and 8): off unless a server's config or a client's connection asks.
 *
 * mbedTLS 3.6 has the mechanism; what it leaves open is decided here, between a ClientHello and the answer to it:
 *
 *   - It would take the same early data as often as it is replayed, for as long as the ticket's age fits. We ask
 *     early_claim() first, which gives a ticket once.
 *   - It skips refused early data up to the size that the ticket allows, which is 0 for a ticket that it cannot
 *     read: a server that lost its keys would end every connection instead of going on with a full handshake.
 *   - It keeps a copy of the ticket's ALPN name that it does not free when a ClientHello names no usable way of PSK key
 *     exchange, once for each ticket in it. So tickets.c takes the name out, and the comparison is ours.
 *   - It sends nothing before the client's Finished, so that a server could not answer early data any sooner than
 *     other data.
 */
#include "tlsio.h"

#include "ssl_misc.h"

#define UNKNOWN_SIZE 16384   /* what a ticket that cannot be read may have allowed; OpenSSL's default */
#define SKIP_EXTRA 4096      /* bytes; beside the data, each record that is skipped counts with 17 more */
#define PART 1024            /* bytes of early data handed out at once */

/* Takes up to `max` bytes of early data from a client, and says so in tickets. */
int EXPORT(config_set_early_data)(config *c, uint32_t max)
{
    CHECK_CONFIG(c);
    mbedtls_ssl_conf_early_data(&c->ssl, MBEDTLS_SSL_EARLY_DATA_ENABLED);
    mbedtls_ssl_conf_max_early_data_size(&c->ssl, max);
    return 0;
}

/* ---- Server ---------------------------------------------------------------------------------------- */

int note_early_ticket(connection *conn, mbedtls_ssl_session *session, const unsigned char tag[TICKET_ID])
{
    char *alpn = session->ticket_alpn;
    session->ticket_alpn = NULL;
    forget_early_ticket(conn);
    int is_wanted = conn->ssl.conf->early_data_enabled == MBEDTLS_SSL_EARLY_DATA_ENABLED;
    if (is_wanted) conn->early = mbedtls_calloc(1, sizeof(*conn->early));
    if (conn->early == NULL) {
        mbedtls_free(alpn);
        return is_wanted ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    memcpy(conn->early->id, tag, TICKET_ID);
    conn->early->created = session->ticket_creation_time;
    conn->early->alpn = alpn;
    return 0;
}

void forget_early_ticket(connection *conn)
{
    if (conn->early == NULL) return;
    mbedtls_free(conn->early->alpn);
    mbedtls_free(conn->early);
    conn->early = NULL;
}

/* The protocol is part of what early data means (RFC 8446 section 4.2.10). */
static int same_alpn(const char *chosen, const char *before)
{
    if (chosen == NULL || before == NULL) return chosen == before;
    return strcmp(chosen, before) == 0;
}

static int may_accept(const connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    const mbedtls_ssl_session *session = ssl->session_negotiate;
    if (ssl->conf->early_data_enabled != MBEDTLS_SSL_EARLY_DATA_ENABLED) return 0;
    /* The ticket that was read is the first one; there was no HelloRetryRequest, or it would not be resumed. */
    if (!ssl->handshake->resume || ssl->handshake->selected_identity != 0) return 0;
    if ((session->ticket_flags & MBEDTLS_SSL_TLS1_3_TICKET_ALLOW_EARLY_DATA) == 0) return 0;
    if (session->max_early_data_size > ssl->conf->max_early_data_size) return 0; /* the limit was lowered since */
    if (conn->early == NULL || !same_alpn(mbedtls_ssl_get_alpn_protocol(ssl), conn->early->alpn)) return 0;
    return early_claim(conn->early->id, (double) conn->early->created, 2 * MBEDTLS_SSL_TLS1_3_TICKET_AGE_TOLERANCE);
}

int decide_early_data(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    mbedtls_ssl_session *session = ssl->session_negotiate;
    int is_offered = ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3 &&
                     (ssl->handshake->received_extensions & MBEDTLS_SSL_EXT_MASK(EARLY_DATA)) != 0;
    conn->facts[FACT_EARLY_DATA] = is_offered && may_accept(conn) ? EARLY_RUNS : EARLY_NONE;
    if (conn->facts[FACT_EARLY_DATA] == EARLY_RUNS) {
        return mbedtls_ssl_session_set_ticket_alpn(session, conn->early->alpn); /* mbedTLS compares it, too */
    }
    if (!is_offered) return 0;
    session->ticket_flags &= (uint8_t) ~MBEDTLS_SSL_TLS1_3_TICKET_ALLOW_EARLY_DATA;
    uint32_t most = session->max_early_data_size;
    if (most < UNKNOWN_SIZE) most = UNKNOWN_SIZE;
    if (most < ssl->conf->max_early_data_size) most = ssl->conf->max_early_data_size;
    session->max_early_data_size = most > UINT32_MAX / 2 - SKIP_EXTRA ? UINT32_MAX : 2 * most + SKIP_EXTRA;
    return 0;
}

/* Hands out the early data of one record. */
static int hand_out(connection *conn)
{
    unsigned char part[PART];
    int ret = 0;
    while (ret >= 0 && conn->ssl.in_offt != NULL) {
        ret = mbedtls_ssl_read_early_data(&conn->ssl, part, sizeof(part));
        if (ret > 0) early_data(conn, part, (size_t) ret);
    }
    mbedtls_platform_zeroize(part, sizeof(part));
    return ret < 0 ? ret : 0;
}

int handshake_step(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    int was_early = ssl->state == MBEDTLS_SSL_END_OF_EARLY_DATA;
    int ret = mbedtls_ssl_handshake_step(ssl);
    if (ret == MBEDTLS_ERR_SSL_RECEIVED_EARLY_DATA) return hand_out(conn);
    if (was_early && ssl->state != MBEDTLS_SSL_END_OF_EARLY_DATA) conn->facts[FACT_EARLY_DATA] = EARLY_TAKEN;
    return ret;
}

/* ---- Client ---------------------------------------------------------------------------------------- */

/* Without early data to send, a ClientHello must not announce any. */
void put_early_data_off(connection *conn)
{
    mbedtls_ssl_session *session = conn->ssl.session_negotiate;
    conn->may_send_early = (session->ticket_flags & MBEDTLS_SSL_TLS1_3_TICKET_ALLOW_EARLY_DATA) != 0 &&
                           session->max_early_data_size > 0;
    session->ticket_flags &= (uint8_t) ~MBEDTLS_SSL_TLS1_3_TICKET_ALLOW_EARLY_DATA;
}

/*
 * Sends early data, at first behind the ClientHello. Returns how many bytes were taken, at most those of one record; or
 * CANNOT_WRITE_EARLY_DATA when the session allows none, or no more.
 */
int send_early_data(connection *conn, const unsigned char *bytes, size_t len)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    if (!conn->may_send_early || ssl->session_negotiate == NULL) return MBEDTLS_ERR_SSL_CANNOT_WRITE_EARLY_DATA;
    ssl->session_negotiate->ticket_flags |= MBEDTLS_SSL_TLS1_3_TICKET_ALLOW_EARLY_DATA;
    conn->is_deaf = 1; /* mbedTLS would go on with the handshake by itself */
    int ret = mbedtls_ssl_write_early_data(ssl, bytes, len);
    conn->is_deaf = 0;
    return ret;
}

/* ---- Keys ------------------------------------------------------------------------------------------ */

/*
 * Data before the client's Finished (RFC 8446 section 4.4.4; people call it 0.5-RTT): our Finished was the last message
 * under the handshake keys, what follows is under the application's. mbedTLS sets those keys again at the end of the
 * handshake; the linker sends that here (--wrap), since a record counter that began again at 0 would use nonces twice.
 */
int can_answer_early(const connection *conn)
{
    return conn->ssl.conf->endpoint == MBEDTLS_SSL_IS_SERVER && conn->ssl.transform_application != NULL &&
           conn->facts[FACT_EARLY_DATA] > EARLY_NONE && conn->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER;
}

int answer_early(connection *conn, const unsigned char *bytes, size_t len)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    int ret = mbedtls_ssl_flush_output(ssl);
    if (ret != 0) return ret;
    mbedtls_ssl_set_outbound_transform(ssl, ssl->transform_application);
    int most = mbedtls_ssl_get_max_out_record_payload(ssl);
    if (most < 0) return most;
    if (len > (size_t) most) len = (size_t) most;
    ssl->out_msgtype = MBEDTLS_SSL_MSG_APPLICATION_DATA;
    ssl->out_msglen = len;
    memcpy(ssl->out_msg, bytes, len);
    ret = mbedtls_ssl_write_record(ssl, 1);
    return ret != 0 ? ret : (int) len;
}

void __real_mbedtls_ssl_set_outbound_transform(mbedtls_ssl_context *ssl, mbedtls_ssl_transform *transform);
void __wrap_mbedtls_ssl_set_outbound_transform(mbedtls_ssl_context *ssl, mbedtls_ssl_transform *transform);

void __wrap_mbedtls_ssl_set_outbound_transform(mbedtls_ssl_context *ssl, mbedtls_ssl_transform *transform)
{
    if (ssl->state != MBEDTLS_SSL_HANDSHAKE_OVER && transform != NULL && ssl->transform_out == transform) return;
    __real_mbedtls_ssl_set_outbound_transform(ssl, transform);
}
