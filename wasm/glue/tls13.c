/*
 * What is TLS 1.3's in the life of a connection.
 */
#include "tlsio.h"

#include "ssl_misc.h"

/*
 * The age that a client tells is now minus then, both rounded down: it can be a millisecond more than the server's, and
 * GnuTLS then takes the early data for a replay. So "then" is rounded up.
 */
void round_ticket_time(mbedtls_ssl_session *session)
{
    if (session->tls_version == MBEDTLS_SSL_VERSION_TLS1_3 && session->ticket_reception_time < mbedtls_ms_time()) {
        session->ticket_reception_time++;
    }
}

/*
 * A ClientHello for both versions asks for a fragment length, but mbedTLS remembers that it did for TLS 1.2
 * alone, and refuses the answer of a TLS 1.3 server as one that it did not ask for.
 */
void expect_fragment_length(mbedtls_ssl_context *ssl)
{
    if (ssl->state == MBEDTLS_SSL_ENCRYPTED_EXTENSIONS && ssl->handshake != NULL &&
        ssl->conf->mfl_code != MBEDTLS_SSL_MAX_FRAG_LEN_NONE &&
        ssl->conf->min_tls_version == MBEDTLS_SSL_VERSION_TLS1_2) {
        ssl->handshake->sent_extensions |= MBEDTLS_SSL_EXT_MASK(MAX_FRAGMENT_LENGTH);
    }
}

/* A client learns with the server's flight whether its early data was taken. */
void note_early_data(connection *conn)
{
    if (conn->ssl.conf->endpoint == MBEDTLS_SSL_IS_SERVER) return;
    int taken = conn->ssl.early_data_state == MBEDTLS_SSL_EARLY_DATA_STATE_SERVER_FINISHED_RECEIVED;
    conn->facts[FACT_EARLY_DATA] = taken ? EARLY_TAKEN : EARLY_NONE;
}

void note_tls13_handshake(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    const mbedtls_ssl_handshake_params *hs = ssl->handshake;
    int psk = mbedtls_ssl_tls13_key_exchange_mode_with_psk(ssl);
    /* A client's `resume` says only that it offered; the server chose a PSK, and the ticket comes first. */
    int ticket = ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER || hs->selected_identity == 0;
    conn->facts[FACT_RESUMED] = hs->resume && psk && ticket;
    int outcome = conn->facts[FACT_TICKET];
    if (psk && !hs->resume && (outcome == TICKET_MALFORMED || outcome == TICKET_UNKNOWN_KEY)) {
        conn->facts[FACT_TICKET] = TICKET_NONE; /* it was the identity of a pre-shared key */
    }
    conn->facts[FACT_EXTENDED_MS] = 1;
    conn->facts[FACT_GROUP] = mbedtls_ssl_tls13_key_exchange_mode_with_ephemeral(ssl)
                                  ? hs->offered_group_id
                                  : 0;
}
