/*
 * What is read of files and stores, as tests/fuzz/files.ts has it.
 */
#include "native.h"

#include <stdlib.h>

/* A copy with a NUL behind it, as lib/core.ts makes one; *parse_len counts the NUL of PEM, as lib/credentials.ts does. */
static unsigned char *copy_of(const unsigned char *bytes, size_t len, size_t *parse_len)
{
    unsigned char *copy = mbedtls_calloc(1, len + 1);
    memcpy(copy, bytes, len);
    int is_der = len > 1 && bytes[0] == 0x30 && bytes[1] > 0x7f;
    int has_begin = 0;
    for (size_t i = 0; i + 11 <= len && !has_begin; i++) has_begin = memcmp(copy + i, "-----BEGIN ", 11) == 0;
    *parse_len = !is_der && has_begin ? len + 1 : len;
    return copy;
}

void run_certificate(const unsigned char *bytes, size_t len)
{
    size_t parse_len;
    static unsigned char out[65536];
    unsigned char *copy = copy_of(bytes, len, &parse_len);
    certificate_fields(copy, parse_len, out, sizeof(out));
    certificate_public_key(copy, parse_len, out, sizeof(out));
    certificate_subject(copy, parse_len, (char *) out, sizeof(out));
    certificate_binding(copy, len, out);
    trust *t = trust_new();
    trust_add(t, copy, parse_len);
    trust_free(t);
    mbedtls_free(copy);
}

void run_key(const unsigned char *bytes, size_t len)
{
    size_t parse_len, chain_len;
    int32_t at;
    const unsigned char *chain = get_file("ec.pem", &chain_len);
    unsigned char *copy = copy_of(bytes, len, &parse_len);
    config *c = config_new(1);
    config_add_credential(c, chain, chain_len, copy, parse_len, (const unsigned char *) "tlsio", 5, &at);
    config_free(c);
    mbedtls_free(copy);
}

void run_crl(const unsigned char *bytes, size_t len)
{
    size_t parse_len;
    unsigned char *copy = copy_of(bytes, len, &parse_len);
    config *c = config_new(0);
    config_add_crl(c, copy, parse_len);
    config_free(c);
    mbedtls_free(copy);
}

/*
 * mbedTLS's form of a session, as a fleet gives it to a server that asks for its id: a server's, and of now, or
 * most would be refused for that.
 */
static void give_session(const unsigned char *bytes, size_t len)
{
    enum { ENDPOINT = 6, START = 9, ID = START + 8 + 1 }; /* its length comes before the id */
    connection *conn = connection_new(get_scenario(5)->configs[1]);
    unsigned char *copy = mbedtls_calloc(1, len + 1);
    memcpy(copy, bytes, len);
    mbedtls_ssl_session *wanted = conn->ssl.session_negotiate, found;
    if (len >= ID + SESSION_ID) {
        uint64_t seconds = (uint64_t) (now / 1000);
        copy[ENDPOINT] = MBEDTLS_SSL_IS_SERVER;
        for (int i = 0; i < 8; i++) copy[START + i] = (unsigned char) (seconds >> 8 * (7 - i));
        memcpy(wanted->id, copy + ID, SESSION_ID);
    }
    wanted->id_len = SESSION_ID;
    conn->asked = 1;
    conn->ssl.state = MBEDTLS_SSL_SERVER_HELLO;
    conn->ssl.tls_version = MBEDTLS_SSL_VERSION_TLS1_2;
    if (connection_give_session(conn, copy, len) == 0) {
        mbedtls_ssl_session_init(&found);
        active = conn;
        mbedtls_ssl_config *ssl = &conn->config->ssl;
        if (ssl->f_get_cache(ssl->p_cache, wanted->id, SESSION_ID, &found) != 0 && found.peer_cert != NULL) {
            give_up("a session that has expired is left behind");
        }
        active = NULL;
        mbedtls_ssl_session_free(&found);
        connection_forget_session(conn);
    }
    mbedtls_free(copy);
    connection_free(conn);
}

/*
 * mbedTLS's form of a session, as a client offers it. What SSLSession.toBytes() puts around it is JavaScript's to read: "TLSIO"
 * with a version, the length of some JSON, that, and behind the session a checksum.
 */
void run_session(const unsigned char *bytes, size_t len)
{
    enum { MAGIC = 6, CHECKSUM = 8 };
    if (len < MAGIC + 4 + CHECKSUM) return;
    size_t json = (size_t) bytes[MAGIC] << 24 | (size_t) bytes[MAGIC + 1] << 16 | (size_t) bytes[MAGIC + 2] << 8 | bytes[MAGIC + 3];
    if (json > len - MAGIC - 4 - CHECKSUM) return;
    len -= MAGIC + 4 + json + CHECKSUM;
    bytes += MAGIC + 4 + json;
    for (size_t i = 0; i < 2; i++) {
        const scenario *one = get_scenario(i == 0 ? 0 : 8); /* of TLS 1.2 and of TLS 1.3 */
        rewind_host(1);
        fuzz_begin(bytes, 0, 0);
        wires[0].in_len = wires[0].in_at = wires[0].out_len = 0;
        wires[0].conn = connection_new(one->configs[0]);
        connection_set_host(wires[0].conn, "localhost", 1);
        if (connection_offer_session(wires[0].conn, bytes, len) == 0) connection_handshake(wires[0].conn, 0);
        connection_free(wires[0].conn);
        wires[0].conn = NULL;
    }
    give_session(bytes, len);
}

/* What a server reads of a ticket: as it came, and sealed with the server's own key. */
void run_ticket(const unsigned char *bytes, size_t len)
{
    enum { HEADER = TICKET_NAME + 12, TAG = 16 };
    if (len < 1 || len > 20000) return;
    const scenario *one = get_scenario(bytes[0] & 2 ? 10 : 4); /* tickets of TLS 1.3 and of TLS 1.2 */
    config *c = one->configs[1];
    rewind_host(1);
    connection *conn = connection_new(c);
    conn->ssl.tls_version = bytes[0] & 2 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
    size_t size = len - 1 + (bytes[0] & 1 ? HEADER + TAG : 0);
    unsigned char *ticket = mbedtls_calloc(1, size + 1);
    if (bytes[0] & 1) {
        unsigned char aad[HEADER + TICKET_CONTEXT];
        memcpy(ticket, c->ticket_keys[0].name, TICKET_NAME);
        memcpy(aad, ticket, HEADER);
        memcpy(aad + HEADER, c->ticket_context, TICKET_CONTEXT);
        mbedtls_gcm_crypt_and_tag(&c->ticket_keys[0].gcm, MBEDTLS_GCM_ENCRYPT, len - 1, ticket + TICKET_NAME, 12, aad,
                                  sizeof(aad), bytes + 1, ticket + HEADER, TAG, ticket + HEADER + len - 1);
    } else {
        memcpy(ticket, bytes + 1, len - 1);
    }
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    active = conn;
    ticket_parse(c, &session, ticket, size);
    active = NULL;
    mbedtls_ssl_session_free(&session);
    mbedtls_free(ticket);
    connection_free(conn);
}
