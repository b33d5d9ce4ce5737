/*
 * DTLS 1.2 (RFC 6347): records in datagrams, the timer of retransmission, and the cookies by which a server asks a
 * client whether it is where it says.
 *
 * bio_send() takes and bio_recv() gives one whole datagram. The host calls connection_handshake() when a datagram has
 * come, and when connection_timer() says that the time is up: mbedTLS then sends its last flight again.
 */
#include "tlsio.h"

#include "ssl_misc.h" /* the handshake's own state: whether a session is offered */

/*
 * Forged records that a connection drops before it gives up: 2^23, what the weakest of the AEADs allows for one key
 * (AES-CCM, RFC 9147 section 4.5.3). Fewer would let whoever can send datagrams end it.
 */
#define BAD_MACS_MAX (1u << 23)

/* ---- Transport ------------------------------------------------------------------------------------- */

#define RESENDS_MAX 4 /* of one flight, because a message of the peer's came again; beside those of the timer */

/*
 * Whether the flight at hand has been sent often enough until the timer rings. mbedTLS sends it whenever the last message
 * before it comes again, and while there are no keys anybody can make one up: 25 bytes would bring the peer kilobytes.
 */
static int was_sent_often(const connection *conn)
{
    const mbedtls_ssl_handshake_params *hs = conn->ssl.handshake;
    return conn->timer_ms != 0 && conn->flight == hs->out_msg_seq && conn->resends >= RESENDS_MAX;
}

static int send_datagram(void *p_conn, const unsigned char *datagram, size_t len)
{
    connection *conn = p_conn;
    const mbedtls_ssl_handshake_params *hs = conn->ssl.handshake;
    int is_flight = hs != NULL && hs->retransmit_state == MBEDTLS_SSL_RETRANS_SENDING;
    if (is_flight && was_sent_often(conn)) return (int) len; /* it counts as lost */
    return bio_send(conn, datagram, len);
}

#define RECORD_HEADER 13

/*
 * A server that waits for the rest of a hello: mbedTLS gives up at whatever else comes then, though anybody can send
 * it. That is kept from it here, and in drop_datagram() what it finds out by itself, such as a fragment that came twice.
 */
static int waits_for_hello(const mbedtls_ssl_context *ssl)
{
    return ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER && ssl->state == MBEDTLS_SSL_CLIENT_HELLO;
}

/*
 * Bytes of the whole records that a datagram begins with. mbedTLS fails, and the connection with it, at a datagram with
 * less than a header behind a record that it skips; anybody can send one.
 */
static int whole_records(const unsigned char *datagram, int len)
{
    int at = 0;
    while (len - at >= RECORD_HEADER) {
        int end = at + RECORD_HEADER + MBEDTLS_GET_UINT16_BE(datagram, at + RECORD_HEADER - 2);
        if (end > len) break;
        at = end;
    }
    return at;
}

static int recv_datagram(void *p_conn, unsigned char *datagram, size_t size)
{
    connection *conn = p_conn;
    for (;;) {
        int len = bio_recv(conn, datagram, size);
        if (len <= 0) return len;
        len = whole_records(datagram, len);
        if (len > 0 && !waits_for_hello(&conn->ssl)) return len;
        if (len > RECORD_HEADER && datagram[0] == MBEDTLS_SSL_MSG_HANDSHAKE &&
            datagram[RECORD_HEADER] == MBEDTLS_SSL_HS_CLIENT_HELLO) return len;
    }
}

int drop_datagram(mbedtls_ssl_context *ssl, int ret)
{
    if (!uses_datagrams(ssl) || !waits_for_hello(ssl)) return 0;
    if (ret != MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE && ret != MBEDTLS_ERR_SSL_INVALID_RECORD) return 0;
    if (ssl->in_left == 0) return 0; /* there is none to drop */
    ssl->in_left = ssl->next_record_offset = ssl->in_msglen = ssl->in_hslen = 0;
    return 1;
}

/* Milliseconds until the timer rings. A clock that was set back rings it: too early does no harm. */
static double timer_left(const connection *conn)
{
    double gone = clock_ms() - conn->timer_start;
    return gone >= 0 && gone < conn->timer_ms ? conn->timer_ms - gone : 0;
}

static void set_timer(void *p_conn, uint32_t half_way, uint32_t ms)
{
    connection *conn = p_conn;
    const mbedtls_ssl_handshake_params *hs = conn->ssl.handshake;
    (void) half_way;
    if (ms != 0 && hs != NULL && hs->retransmit_state == MBEDTLS_SSL_RETRANS_WAITING) { /* a flight has gone */
        if (was_sent_often(conn)) return; /* or not: the timer runs on */
        if (conn->flight != hs->out_msg_seq) conn->resends = 0;
        else if (conn->timer_ms != 0) conn->resends++;
        conn->flight = hs->out_msg_seq;
    }
    conn->timer_ms = ms;
    if (ms != 0) conn->timer_start = clock_ms();
}

static int get_timer(void *p_conn)
{
    const connection *conn = p_conn;
    if (conn->timer_ms == 0) return -1;
    return timer_left(conn) > 0 ? 0 : 2;
}

void set_datagram_bio(connection *conn)
{
    mbedtls_ssl_set_bio(&conn->ssl, conn, send_datagram, recv_datagram, NULL);
    mbedtls_ssl_set_timer_cb(&conn->ssl, conn, set_timer, get_timer);
}

/* Milliseconds until connection_handshake() is to be called again; 0: now; -1: not before a datagram has come. */
int EXPORT(connection_timer)(const connection *conn)
{
    CHECK_CONNECTION(conn);
    if (conn->timer_ms == 0) return -1;
    double left = timer_left(conn);
    return left > INT32_MAX ? INT32_MAX : (int) left + (left > (int) left);
}

/* ---- Cookies --------------------------------------------------------------------------------------- */

#define CLIENT_ID_MAX 255

/*
 * A cookie is for one client and for one hello, which is known by its random (RFC 6347 section 4.2.1): who saw one go by
 * cannot begin handshakes of his own with it. Writes the two, one behind the other; returns their length.
 */
static size_t join_hello(unsigned char *out, const unsigned char *id, size_t len)
{
    memcpy(out, id, len);
    memcpy(out + len, active->ssl.handshake->randbytes, MBEDTLS_CLIENT_HELLO_RANDOM_LEN);
    return len + MBEDTLS_CLIENT_HELLO_RANDOM_LEN;
}

static int write_cookie(void *cookies, unsigned char **p, unsigned char *end, const unsigned char *id, size_t len)
{
    unsigned char joined[CLIENT_ID_MAX + MBEDTLS_CLIENT_HELLO_RANDOM_LEN];
    return mbedtls_ssl_cookie_write(cookies, p, end, joined, join_hello(joined, id, len));
}

static int check_cookie(void *cookies, const unsigned char *cookie, size_t cookie_len, const unsigned char *id,
                        size_t len)
{
    unsigned char joined[CLIENT_ID_MAX + MBEDTLS_CLIENT_HELLO_RANDOM_LEN];
    return mbedtls_ssl_cookie_check(cookies, cookie, cookie_len, joined, join_hello(joined, id, len));
}

/* Writes a cookie for `id`: a client's, and behind it the random of its hello. Returns its length. */
int EXPORT(config_write_cookie)(config *c, const unsigned char *id, size_t len, unsigned char *out, size_t size)
{
    CHECK_CONFIG(c);
    if (c->ssl.f_cookie_write != write_cookie) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    unsigned char *end = out;
    int ret = mbedtls_ssl_cookie_write(&c->cookies, &end, out + size, id, len);
    return ret != 0 ? ret : (int) (end - out);
}

/* Whether the cookie is one of ours, for this client and hello, and not too old: 1 or 0. */
int EXPORT(config_check_cookie)(config *c, const unsigned char *id, size_t len, const unsigned char *cookie,
                                size_t cookie_len)
{
    CHECK_CONFIG(c);
    if (c->ssl.f_cookie_check != check_cookie) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    return mbedtls_ssl_cookie_check(&c->cookies, cookie, cookie_len, id, len) == 0;
}

/* ---- Config and connection ------------------------------------------------------------------------- */

/*
 * Makes a new config one of DTLS. A flight that is not answered is sent again after `first` milliseconds, then after
 * twice as long, up to `longest`. A server's cookies are its own: no other config takes them; `lifetime` is in seconds.
 */
int EXPORT(config_use_datagrams)(config *c, uint32_t first, uint32_t longest, uint32_t lifetime)
{
    CHECK_CONFIG(c);
    if (c->ssl.transport == MBEDTLS_SSL_TRANSPORT_DATAGRAM || first == 0 || longest <= first) {
        return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    }
    mbedtls_ssl_conf_transport(&c->ssl, MBEDTLS_SSL_TRANSPORT_DATAGRAM);
    mbedtls_ssl_conf_handshake_timeout(&c->ssl, first, longest);
    mbedtls_ssl_conf_dtls_badmac_limit(&c->ssl, BAD_MACS_MAX);
    mbedtls_ssl_conf_dtls_anti_replay(&c->ssl, MBEDTLS_SSL_ANTI_REPLAY_ENABLED);
    if (c->ssl.endpoint == MBEDTLS_SSL_IS_CLIENT) return 0;
    mbedtls_ssl_cookie_set_timeout(&c->cookies, lifetime);
    int ret = mbedtls_ssl_cookie_setup(&c->cookies, tlsio_rng, NULL);
    /* Until here mbedTLS has cookie callbacks that refuse: without a key no client gets in. */
    if (ret == 0) {
        mbedtls_ssl_conf_dtls_cookies(&c->ssl, write_cookie, check_cookie, &c->cookies);
    }
    return ret;
}

#define HELLO_ROOM 400 /* bytes of a ClientHello beside its ticket: 150, a long host name and protocols of one's own */

/*
 * Prepares a new connection: datagrams of up to `mtu` bytes; a server's cookie is for the client with this `id`, which
 * is copied. Without one a server can write no cookie. A client passes over a session whose ticket would not fit into
 * one datagram with its hello: a server that keeps nothing of a client need not put the parts of one together.
 */
int EXPORT(connection_use_datagrams)(connection *conn, int mtu, const unsigned char *id, size_t len)
{
    CHECK_CONNECTION(conn);
    if (!uses_datagrams(&conn->ssl) || mtu < 0 || mtu > UINT16_MAX) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    mbedtls_ssl_set_mtu(&conn->ssl, (uint16_t) mtu);
    if (conn->ssl.conf->endpoint == MBEDTLS_SSL_IS_SERVER) {
        if (len > CLIENT_ID_MAX) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
        return mbedtls_ssl_set_client_transport_id(&conn->ssl, id, len);
    }
    mbedtls_ssl_session *offered = conn->ssl.session_negotiate;
    if (offered->ticket_len != 0 && offered->ticket_len + HELLO_ROOM > (size_t) mtu) {
        mbedtls_ssl_session_free(offered); /* and makes it a new one */
        conn->ssl.handshake->resume = 0;
    }
    return 0;
}
