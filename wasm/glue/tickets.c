/*
 * Session tickets (RFC 5077, RFC 8446 section 4.6.1) under a ring of keys.
 *
 * mbedTLS's own ssl_ticket.c keeps two keys, does not say which client certificate a TLS 1.3 session had,
 * and accepts a ticket under whatever trust the config has by then. So:
 *
 *   ticket = key name (16) | IV (12) | AES-256-GCM(state) | tag (16)
 *   AAD    = key name | IV | config's ticket context (32)
 *   state  = verify flags (4) | time of the full handshake (8) | certificate length (3)
 *            | client certificate, DER | mbedtls_ssl_session_save()
 *
 * IVs are random: at one ticket a handshake and a rotation within a day, far below 2^32 uses of a key
 * (NIST SP 800-38D section 8.3).
 */
#include "tlsio.h"

#include "ssl_misc.h" /* the handshake's own state: was a session resumed */

#define IV 12
#define TAG 16
#define HEADER (TICKET_NAME + IV)
#define PREFIX (4 + 8 + 3)
#define AUTHENTICATION_MAX ((mbedtls_ms_time_t) 7 * 24 * 3600 * 1000) /* resumption does not put off a check for ever */
#define AAD (HEADER + TICKET_CONTEXT)

static void put_be(unsigned char *out, int size, uint64_t value)
{
    for (int i = 0; i < size; i++) out[i] = (unsigned char) (value >> 8 * (size - 1 - i));
}

static uint64_t get_be(const unsigned char *in, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | in[i];
    return value;
}

static void make_aad(unsigned char aad[AAD], const unsigned char *header, const config *c)
{
    memcpy(aad, header, HEADER);
    memcpy(aad + HEADER, c->ticket_context, TICKET_CONTEXT);
}

/* The client certificate that a ticket must carry: mbedTLS saves it with a TLS 1.2 session only. */
static void peer_to_keep(const mbedtls_ssl_session *session, const unsigned char **der, size_t *len)
{
    *der = NULL;
    *len = 0;
    if (session->tls_version != MBEDTLS_SSL_VERSION_TLS1_3) return;
    if (session->peer_cert != NULL) {
        *der = session->peer_cert->raw.p;
        *len = session->peer_cert->raw.len;
    } else if (active != NULL && active->facts[FACT_RESUMED]) {
        /* The new ticket goes on saying who the client is. A ticket that opened and then was refused (its binder
         * was not checked: anyone who saw it could send it) says nothing of this client. */
        *der = active->ticket_peer;
        *len = active->ticket_peer_len;
    }
}

int ticket_write(void *p_config, const mbedtls_ssl_session *session, unsigned char *start,
                 const unsigned char *end, size_t *ticket_len, uint32_t *lifetime)
{
    config *c = p_config;
    if (c->ticket_key_count == 0) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    if (active != NULL) keep_extended_ms(active);
    ticket_key *key = &c->ticket_keys[0];
    const unsigned char *peer;
    size_t peer_len;
    peer_to_keep(session, &peer, &peer_len);

    *ticket_len = 0;
    *lifetime = c->ticket_lifetime;
    if ((size_t) (end - start) < HEADER + PREFIX + peer_len + TAG) return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;

    memcpy(start, key->name, TICKET_NAME);
    int ret = entropy(start + TICKET_NAME, IV);
    if (ret != 0) return ret;

    unsigned char *state = start + HEADER;
    int resumed = active != NULL && active->facts[FACT_RESUMED];
    uint32_t flags = resumed ? active->ticket_flags : verify_flags_of(session->verify_result);
    put_be(state, 4, flags);
    put_be(state + 4, 8, (uint64_t) (resumed ? active->authenticated : mbedtls_ms_time()));
    put_be(state + 12, 3, peer_len);
    if (peer_len != 0) memcpy(state + PREFIX, peer, peer_len);

    unsigned char *saved = state + PREFIX + peer_len;
    size_t saved_len;
    ret = mbedtls_ssl_session_save(session, saved, (size_t) (end - TAG - saved), &saved_len);
    if (ret != 0) return ret;

    size_t state_len = PREFIX + peer_len + saved_len;
    unsigned char aad[AAD];
    make_aad(aad, start, c);
    ret = mbedtls_gcm_crypt_and_tag(&key->gcm, MBEDTLS_GCM_ENCRYPT, state_len, start + TICKET_NAME, IV, aad,
                                    AAD, state, state, TAG, state + state_len);
    if (ret != 0) return ret;
    *ticket_len = HEADER + state_len + TAG;
    if (active != NULL) active->facts[FACT_ISSUED]++;
    return 0;
}

/* Whether the client's certificate has expired since; it is in the session (TLS 1.2) or beside it. */
static int has_expired(const mbedtls_ssl_session *session, const unsigned char *der, size_t len)
{
    if (session->peer_cert != NULL) return mbedtls_x509_time_is_past(&session->peer_cert->valid_to);
    if (len == 0) return 0;
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int expired = mbedtls_x509_crt_parse_der_nocopy(&crt, der, len) != 0 ||
                  mbedtls_x509_time_is_past(&crt.valid_to);
    mbedtls_x509_crt_free(&crt);
    return expired;
}

/*
 * Refuses a ticket, and keeps why. mbedTLS goes on with a full handshake after either code; but what is not a ticket of
 * ours can be the identity of a pre-shared key (TLS 1.3), which it looks for after INVALID_MAC alone.
 */
static int refuse(enum ticket_outcome why)
{
    int is_other = why == TICKET_MALFORMED || why == TICKET_UNKNOWN_KEY;
    if (active != NULL && (!is_other || active->facts[FACT_TICKET] == TICKET_NONE)) active->facts[FACT_TICKET] = why;
    return is_other || why == TICKET_UNAUTHENTIC ? MBEDTLS_ERR_SSL_INVALID_MAC
                                                 : MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
}

/* Reads the decrypted state into the session, and what mbedTLS does not keep into the connection. */
static int read_state(const config *c, mbedtls_ssl_session *session, const unsigned char *state, size_t len)
{
    mbedtls_ms_time_t authenticated = (mbedtls_ms_time_t) get_be(state + 4, 8);
    size_t peer_len = (size_t) get_be(state + 12, 3);
    if (len < PREFIX + peer_len) return refuse(TICKET_MALFORMED);

    int ret = mbedtls_ssl_session_load(session, state + PREFIX + peer_len, len - PREFIX - peer_len);
    if (ret == MBEDTLS_ERR_SSL_ALLOC_FAILED) return ret;
    if (ret != 0) return refuse(TICKET_MALFORMED);
    if (active == NULL || session->tls_version != active->ssl.tls_version) return refuse(TICKET_VERSION);
    active->ticket_suite = session->ciphersuite;

    mbedtls_ms_time_t created;
    ret = mbedtls_ssl_session_get_ticket_creation_time(session, &created);
    if (ret != 0) return ret;
    /* Both times are what the ticket says: no difference of theirs is sure to fit. */
    mbedtls_ms_time_t now = mbedtls_ms_time();
    if (created > now || created < now - (mbedtls_ms_time_t) c->ticket_lifetime * 1000) return refuse(TICKET_EXPIRED);

    if (authenticated > now || authenticated < now - AUTHENTICATION_MAX ||
        has_expired(session, state + PREFIX, peer_len)) {
        return refuse(TICKET_CERTIFICATE);
    }

    mbedtls_free(active->ticket_peer);
    active->ticket_peer = NULL;
    active->ticket_peer_len = 0;
    active->ticket_flags = (uint32_t) get_be(state, 4);
    active->authenticated = authenticated;
    if (peer_len != 0) {
        active->ticket_peer = mbedtls_calloc(1, peer_len);
        if (active->ticket_peer == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        memcpy(active->ticket_peer, state + PREFIX, peer_len);
        active->ticket_peer_len = peer_len;
    }
    active->facts[FACT_TICKET] = TICKET_OPENED;
    return 0;
}

int ticket_parse(void *p_config, mbedtls_ssl_session *session, unsigned char *ticket, size_t len)
{
    config *c = p_config;
    if (len < HEADER + PREFIX + TAG) return refuse(TICKET_MALFORMED);

    ticket_key *key = NULL;
    for (size_t i = 0; i < c->ticket_key_count && key == NULL; i++) {
        if (memcmp(c->ticket_keys[i].name, ticket, TICKET_NAME) == 0) key = &c->ticket_keys[i];
    }
    if (key == NULL) return refuse(TICKET_UNKNOWN_KEY);

    unsigned char *state = ticket + HEADER;
    size_t state_len = len - HEADER - TAG;
    unsigned char aad[AAD];
    make_aad(aad, ticket, c);
    if (mbedtls_gcm_auth_decrypt(&key->gcm, state_len, ticket + TICKET_NAME, IV, aad, AAD, state + state_len,
                                 TAG, state, state) != 0) {
        return refuse(TICKET_UNAUTHENTIC);
    }
    int ret = read_state(c, session, state, state_len);
    if (ret == 0) ret = note_early_ticket(active, session, state + state_len);
    mbedtls_platform_zeroize(state, state_len);
    return ret;
}

/*
 * mbedTLS takes a TLS 1.2 ticket before it chooses the suite, and then answers with a suite that need not be the
 * session's: at that, a client gives up. Such a session is dropped, for a full handshake; and so is one whose master
 * secret was made otherwise than this client makes it.
 */
void drop_unlike_session(connection *conn)
{
    mbedtls_ssl_handshake_params *hs = conn->ssl.handshake;
    mbedtls_ssl_session *session = conn->ssl.session_negotiate;
    if (conn->ssl.state != MBEDTLS_SSL_SERVER_HELLO || conn->ssl.conf->endpoint != MBEDTLS_SSL_IS_SERVER ||
        conn->ssl.tls_version != MBEDTLS_SSL_VERSION_TLS1_2 || hs == NULL || !hs->resume ||
        (session->ciphersuite == conn->ticket_suite && !goes_on_otherwise(&conn->ssl, session))) {
        return;
    }
    mbedtls_ssl_session fresh;
    mbedtls_ssl_session_init(&fresh);
    fresh.tls_version = session->tls_version;
    fresh.endpoint = session->endpoint;
    fresh.ciphersuite = session->ciphersuite;
    fresh.encrypt_then_mac = session->encrypt_then_mac;
    fresh.mfl_code = session->mfl_code;
    mbedtls_ssl_session_free(session); /* wipes it */
    *session = fresh;
    hs->resume = 0;
    hs->new_session_ticket = 1;
}
