/*
 * What an idle connection gives back: its record buffers, 33 KB of the 35 KB that mbedTLS takes for it, and what
 * mbedTLS keeps of a TLS 1.3 handshake.
 *
 * A connection needs its buffers while a call runs, and between two calls only if one holds part of something:
 * of a record that has not come in full, of data that was not read yet, of a flight. All the others lend theirs. The
 * connection that was idle last keeps them, so that one that talks alone never changes buffers; they are taken from
 * it, and wiped, when another one needs some or becomes idle, too. So there is one idle connection at most with
 * buffers.
 */
#include "tlsio.h"

#include "ssl_misc.h"

static connection *lender; /* the idle connection that has buffers; NULL: none */

/* ---- Record buffers -------------------------------------------------------------------------------- */

/*
 * Whether the buffers hold nothing but the counter of received records: after the handshake, between two records in
 * either direction. What is left of a handshake message or an alert that was dealt with is not read again.
 */
static int is_idle(const mbedtls_ssl_context *ssl)
{
    size_t header = uses_datagrams(ssl) ? 0 : MBEDTLS_SSL_SEQUENCE_NUMBER_LEN; /* DTLS: the counter is in each record */
    return ssl->state == MBEDTLS_SSL_HANDSHAKE_OVER && ssl->in_buf != NULL && ssl->out_buf != NULL &&
           ssl->in_left == ssl->next_record_offset && ssl->out_left == 0 && ssl->send_alert == 0 &&
           mbedtls_ssl_check_pending(ssl) == 0 && mbedtls_ssl_get_in_hsfraglen((mbedtls_ssl_context *) ssl) == 0 &&
           ssl->in_hdr == ssl->in_buf + header && ssl->out_hdr == ssl->out_buf + header;
}

/* Takes the lender's buffers. They are wiped. */
static void take_from_lender(unsigned char **in_buf, unsigned char **out_buf)
{
    mbedtls_ssl_context *ssl = &lender->ssl;
    memcpy(lender->in_ctr, ssl->in_ctr, sizeof(lender->in_ctr));
    *in_buf = ssl->in_buf;
    *out_buf = ssl->out_buf;
    mbedtls_platform_zeroize(ssl->in_buf, MBEDTLS_SSL_IN_BUFFER_LEN);
    mbedtls_platform_zeroize(ssl->out_buf, MBEDTLS_SSL_OUT_BUFFER_LEN);
    ssl->in_buf = ssl->in_ctr = ssl->in_hdr = ssl->in_len = ssl->in_iv = ssl->in_msg = NULL;
    ssl->out_buf = ssl->out_ctr = ssl->out_hdr = ssl->out_len = ssl->out_iv = ssl->out_msg = NULL;
    lender = NULL;
}

int wake(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    if (ssl->in_buf != NULL) return 0;
    unsigned char *in_buf, *out_buf;
    if (lender != NULL) {
        take_from_lender(&in_buf, &out_buf);
    } else {
        in_buf = mbedtls_calloc(1, MBEDTLS_SSL_IN_BUFFER_LEN);
        out_buf = mbedtls_calloc(1, MBEDTLS_SSL_OUT_BUFFER_LEN);
        if (in_buf == NULL || out_buf == NULL) {
            mbedtls_free(in_buf);
            mbedtls_free(out_buf);
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    give_block(in_buf, conn);
    give_block(out_buf, conn);
    ssl->in_buf = in_buf;
    ssl->out_buf = out_buf;
    mbedtls_ssl_reset_in_pointers(ssl);
    mbedtls_ssl_reset_out_pointers(ssl);
    mbedtls_ssl_update_out_pointers(ssl, ssl->transform_out); /* as after a flush */
    memcpy(ssl->in_ctr, conn->in_ctr, sizeof(conn->in_ctr));
    return 0;
}

void rest(connection *conn)
{
    if (!is_idle(&conn->ssl)) {
        if (lender == conn) lender = NULL;
        return;
    }
    if (lender != NULL && lender != conn) {
        unsigned char *in_buf, *out_buf;
        take_from_lender(&in_buf, &out_buf);
        mbedtls_free(in_buf);
        mbedtls_free(out_buf);
    }
    lender = conn;
}

void forget(const connection *conn)
{
    if (lender == conn) lender = NULL;
}

/* ---- What is left of a handshake ------------------------------------------------------------------- */

/*
 * mbedTLS frees it all after TLS 1.2, after TLS 1.3 nothing: 4 KB, with the secrets of the handshake. A client needs
 * the parameters for the tickets that come; a server is done with them, and nobody needs the keys.
 */
void end_handshake(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    mbedtls_ssl_handshake_params *hs = ssl->handshake;
    /* DTLS keeps its last flight, and a guess of what a datagram can carry: data has the size that was asked for. */
    if (uses_datagrams(ssl) && hs != NULL) hs->mtu = 0;
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_3 || ssl->state != MBEDTLS_SSL_HANDSHAKE_OVER) return;
    if (hs == NULL || ssl->transform_in != ssl->transform_application ||
        ssl->transform_out != ssl->transform_application) return;
    mbedtls_ssl_transform_free(ssl->transform_negotiate); /* TLS 1.2's, had it been chosen */
    mbedtls_free(ssl->transform_negotiate);
    ssl->transform_negotiate = NULL;
    if (ssl->conf->endpoint == MBEDTLS_SSL_IS_CLIENT) {
        mbedtls_ssl_transform_free(hs->transform_handshake);
        mbedtls_free(hs->transform_handshake);
        hs->transform_handshake = NULL;
        mbedtls_ssl_transform_free(hs->transform_earlydata);
        mbedtls_free(hs->transform_earlydata);
        hs->transform_earlydata = NULL;
        return;
    }
    forget_early_ticket(conn);
    mbedtls_ssl_handshake_free(ssl);
    mbedtls_free(hs);
    ssl->handshake = NULL;
    mbedtls_ssl_session_free(ssl->session_negotiate);
    mbedtls_free(ssl->session_negotiate);
    ssl->session_negotiate = NULL;
}
