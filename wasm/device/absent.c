/*
 * The files of wasm/glue that the core of devices leaves out: its mbedTLS has no TLS 1.3, it never lends the buffers of an
 * idle connection, and it checks of a chain what mbedTLS checks.
 */
#include "tlsio.h"

#include "counts.h"
#include "ssl_misc.h"

/* ---- constraints.c --------------------------------------------------------------------------------- */

int is_name_constraints(const mbedtls_asn1_buf *oid)
{
    (void) oid;
    return 0; /* where they are critical, mbedTLS refuses the certificate */
}

void check_authority(connection *conn, const mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    (void) crt;
    (void) flags;
    if (depth == 0) conn->signatures = 0;
}

/* ---- early.c --------------------------------------------------------------------------------------- */

int EXPORT(config_set_early_data)(config *c, uint32_t max)
{
    (void) c;
    (void) max;
    return MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE;
}

int note_early_ticket(connection *conn, mbedtls_ssl_session *session, const unsigned char tag[TICKET_ID])
{
    (void) conn;
    (void) session;
    (void) tag;
    return 0;
}

void forget_early_ticket(connection *conn)
{
    (void) conn;
}

int decide_early_data(connection *conn)
{
    (void) conn;
    return 0;
}

void put_early_data_off(connection *conn)
{
    (void) conn;
}

int send_early_data(connection *conn, const unsigned char *bytes, size_t len)
{
    (void) conn;
    (void) bytes;
    (void) len;
    return MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE;
}

int can_answer_early(const connection *conn)
{
    (void) conn;
    return 0;
}

int answer_early(connection *conn, const unsigned char *bytes, size_t len)
{
    return send_early_data(conn, bytes, len);
}

/* ---- idle.c ---------------------------------------------------------------------------------------- */

int wake(connection *conn)
{
    (void) conn;
    return 0;
}

void rest(connection *conn)
{
    (void) conn;
}

void end_handshake(connection *conn)
{
    /* DTLS keeps its last flight, and a guess of what a datagram can carry: see wasm/glue/idle.c. */
    if (uses_datagrams(&conn->ssl) && conn->ssl.handshake != NULL) conn->ssl.handshake->mtu = 0;
}

/* ---- measure.c: heap.c measures all connections ---------------------------------------------------- */

counts *counting;

int begin_measure(connection *conn)
{
    (void) conn;
    return 0;
}

void end_measure(connection *conn)
{
    (void) conn;
}

/* ---- tls13.c --------------------------------------------------------------------------------------- */

void round_ticket_time(mbedtls_ssl_session *session)
{
    (void) session;
}

void expect_fragment_length(mbedtls_ssl_context *ssl)
{
    (void) ssl;
}

void note_early_data(connection *conn)
{
    (void) conn;
}

void note_tls13_handshake(connection *conn)
{
    (void) conn;
}

/* ---- traffic.c ------------------------------------------------------------------------------------- */

int is_key_update(const connection *conn)
{
    (void) conn;
    return 0;
}

int answer_key_update(connection *conn)
{
    return update_sending_key(conn, 0);
}

int update_sending_key(connection *conn, int request)
{
    (void) conn;
    (void) request;
    return MBEDTLS_ERR_SSL_BAD_INPUT_DATA; /* as with TLS 1.2 in the other cores */
}

int key_is_worn(const connection *conn)
{
    (void) conn;
    return 0;
}

void use_alert_keys(mbedtls_ssl_context *ssl)
{
    (void) ssl;
}

void expect_clear_alert(mbedtls_ssl_context *ssl)
{
    (void) ssl;
}
