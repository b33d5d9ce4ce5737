/*
 * Traffic keys of TLS 1.3, where mbedTLS 3.6 leaves a gap: KeyUpdate, and the keys of alerts.
 */
#include "tlsio.h"

#include "ssl_misc.h"
#include "ssl_tls13_keys.h"

#define HS_KEY_UPDATE 24
#define KEY_UPDATE_BODY 1
#define KEY_UPDATE_LEN (4 + KEY_UPDATE_BODY) /* handshake header and request_update */
#define IV_LEN 12                            /* RFC 8446 section 5.3, for every suite that mbedTLS has */
#define UPDATES_MAX 32                       /* in a row without data: each costs us a key schedule; OpenSSL's */

/* ---- KeyUpdate (RFC 8446 section 4.6.3) ------------------------------------------------------------ */

/* secret_N+1 = HKDF-Expand-Label(secret_N, "traffic upd", "", Hash.length) (RFC 8446 section 7.2). */
static int next_secret(psa_algorithm_t hash, unsigned char *secret)
{
    unsigned char next[MBEDTLS_TLS1_3_MD_MAX_SIZE];
    size_t len = PSA_HASH_LENGTH(hash);
    int ret = mbedtls_ssl_tls13_hkdf_expand_label(hash, secret, len,
                                                  MBEDTLS_SSL_TLS1_3_LBL_WITH_LEN(traffic_upd), NULL, 0, next,
                                                  len);
    if (ret == 0) memcpy(secret, next, len);
    mbedtls_platform_zeroize(next, sizeof(next));
    return ret;
}

/*
 * Moves one direction to its next key. One transform holds the keys of both; the other direction goes on
 * with the same key and its own record counter.
 */
static int update_key(mbedtls_ssl_context *ssl, int inbound)
{
    mbedtls_ssl_tls13_application_secrets *secrets = &ssl->session->app_secrets;
    const mbedtls_ssl_ciphersuite_t *suite = mbedtls_ssl_ciphersuite_from_id(ssl->session->ciphersuite);
    if (suite == NULL) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    psa_algorithm_t hash = mbedtls_md_psa_alg_from_type((mbedtls_md_type_t) suite->mac);
    size_t key_len = mbedtls_ssl_ciphersuite_get_cipher_key_bitlen(suite) / 8;
    int is_server = ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER;
    int ret = next_secret(hash, inbound == is_server ? secrets->client_application_traffic_secret_N
                                                     : secrets->server_application_traffic_secret_N);
    if (ret != 0) return ret;

    mbedtls_ssl_key_set keys;
    ret = mbedtls_ssl_tls13_make_traffic_keys(hash, secrets->client_application_traffic_secret_N,
                                              secrets->server_application_traffic_secret_N,
                                              PSA_HASH_LENGTH(hash), key_len, IV_LEN, &keys);
    mbedtls_ssl_transform *next = NULL;
    if (ret == 0) {
        next = mbedtls_calloc(1, sizeof(*next));
        if (next == NULL) ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    if (ret == 0) {
        mbedtls_ssl_transform_init(next);
        ret = mbedtls_ssl_tls13_populate_transform(next, ssl->conf->endpoint, suite->id, &keys, ssl);
    }
    mbedtls_platform_zeroize(&keys, sizeof(keys));
    if (ret != 0) {
        mbedtls_ssl_transform_free(next);
        mbedtls_free(next);
        return ret;
    }

    mbedtls_ssl_transform *old = ssl->transform_application;
    ssl->transform_application = ssl->transform_in = ssl->transform_out = next;
    if (inbound) {
        mbedtls_ssl_set_inbound_transform(ssl, next); /* resets the record counter */
    } else {
        mbedtls_ssl_set_outbound_transform(ssl, next);
    }
    mbedtls_ssl_transform_free(old);
    mbedtls_free(old);
    return 0;
}

/* Sends KeyUpdate and moves our sending key on; `request` asks the peer to do the same. */
static int send_key_update(mbedtls_ssl_context *ssl, int request)
{
    const unsigned char message[KEY_UPDATE_LEN] = { HS_KEY_UPDATE, 0, 0, KEY_UPDATE_BODY, (unsigned char) request };
    ssl->out_msgtype = MBEDTLS_SSL_MSG_HANDSHAKE;
    ssl->out_msglen = sizeof(message);
    memcpy(ssl->out_msg, message, sizeof(message));
    int ret = mbedtls_ssl_write_record(ssl, 1);
    return ret != 0 ? ret : update_key(ssl, 0);
}

int is_key_update(const connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    return ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3 && ssl->state == MBEDTLS_SSL_HANDSHAKE_OVER &&
           ssl->in_msgtype == MBEDTLS_SSL_MSG_HANDSHAKE && ssl->in_hslen == KEY_UPDATE_LEN &&
           ssl->in_msg[0] == HS_KEY_UPDATE;
}

int answer_key_update(connection *conn)
{
    mbedtls_ssl_context *ssl = &conn->ssl;
    unsigned char request = ssl->in_msg[KEY_UPDATE_LEN - 1];
    if (request > 1) return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
    /* What follows in the same record would be under the old key (RFC 8446 section 5.1). */
    if (ssl->in_msglen != ssl->in_hslen) return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
    if (++conn->key_updates > UPDATES_MAX) return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
    int ret = update_key(ssl, 1);
    if (ret == 0 && request == 1) ret = send_key_update(ssl, 0);
    return ret;
}

int update_sending_key(connection *conn, int request)
{
    if (conn->ssl.tls_version != MBEDTLS_SSL_VERSION_TLS1_3 || conn->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER) {
        return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    }
    return send_key_update(&conn->ssl, request);
}

/* Whether the sending key has encrypted as much as it should. The counter is big-endian. */
int key_is_worn(const connection *conn)
{
    const unsigned char *counter = conn->ssl.cur_out_ctr;
    return conn->ssl.tls_version == MBEDTLS_SSL_VERSION_TLS1_3 &&
           (counter[0] | counter[1] | counter[2] | counter[3] | counter[4]) != 0; /* 2^24 records */
}

/* ---- The keys of alerts (RFC 8446 section 6) ----------------------------------------------------------- */

/*
 * A TLS 1.3 client may send the alert by which it refuses our flight before it has switched to its handshake
 * keys; OpenSSL does. Until a record under those keys has come, such an alert is taken in the clear: whoever
 * could forge it could as well cut the connection. Everything else stays under the keys.
 */
void expect_clear_alert(mbedtls_ssl_context *ssl)
{
    static const unsigned char none[MBEDTLS_SSL_SEQUENCE_NUMBER_LEN];
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_3 || ssl->conf->endpoint != MBEDTLS_SSL_IS_SERVER) return;
    if (ssl->handshake == NULL || ssl->handshake->transform_handshake == NULL) return;
    switch (ssl->state) {
        case MBEDTLS_SSL_CLIENT_CERTIFICATE:
        case MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY:
        case MBEDTLS_SSL_CLIENT_FINISHED:
            break;
        default:
            return;
    }
    if (memcmp(ssl->in_ctr, none, sizeof(none)) != 0) return; /* records under the keys have come */
    int is_clear_alert =
        ssl->in_hdr[0] == MBEDTLS_SSL_MSG_ALERT && ssl->in_hdr[3] == 0 && ssl->in_hdr[4] == 2;
    mbedtls_ssl_set_inbound_transform(ssl, is_clear_alert ? NULL : ssl->handshake->transform_handshake);
}

/*
 * mbedTLS sends an alert under the keys that its next message will have: a client that refuses the server's
 * certificate sends it in the clear, a server that waits for the client's flight under its handshake keys.
 * Peers cannot read either. In these states nothing but an alert is sent, so the right keys can be put in
 * place; mbedTLS sets its own, with the counter at 0, before it sends anything else.
 */
void use_alert_keys(mbedtls_ssl_context *ssl)
{
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_3 || ssl->handshake == NULL) return;
    if (ssl->conf->endpoint == MBEDTLS_SSL_IS_CLIENT) {
        /* The server goes on under the keys of early data until its end, which is still to be sent. */
        if (ssl->early_data_state == MBEDTLS_SSL_EARLY_DATA_STATE_CAN_WRITE ||
            ssl->early_data_state == MBEDTLS_SSL_EARLY_DATA_STATE_ACCEPTED) return;
        switch (ssl->state) {
            case MBEDTLS_SSL_ENCRYPTED_EXTENSIONS:
            case MBEDTLS_SSL_CERTIFICATE_REQUEST:
            case MBEDTLS_SSL_SERVER_CERTIFICATE:
            case MBEDTLS_SSL_CERTIFICATE_VERIFY:
            case MBEDTLS_SSL_SERVER_FINISHED:
                mbedtls_ssl_set_outbound_transform(ssl, ssl->handshake->transform_handshake);
                return;
            case MBEDTLS_SSL_CLIENT_CCS_AFTER_SERVER_FINISHED: /* is sent in the clear */
                mbedtls_ssl_set_outbound_transform(ssl, NULL);
                return;
            default:
                return;
        }
    }
    switch (ssl->state) {
        case MBEDTLS_SSL_END_OF_EARLY_DATA:
        case MBEDTLS_SSL_CLIENT_CERTIFICATE:
        case MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY:
        case MBEDTLS_SSL_CLIENT_FINISHED:
            mbedtls_ssl_set_outbound_transform(ssl, ssl->transform_application);
            return;
        default:
            return;
    }
}
