/*
 * ALPN: the names of a config, or the protocol that JavaScript chose.
 */
#include "tlsio.h"

#define ALPN_MAX 64 /* names; far above any use, bounds the list */

/* `names` holds `count` C strings, one after another, `len` bytes in all. */
int EXPORT(config_set_alpn)(config *c, const char *names, size_t len, size_t count)
{
    CHECK_CONFIG(c);
    if (count > ALPN_MAX || c->alpn != NULL) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    c->alpn_names = mbedtls_calloc(1, len + 1);
    c->alpn = mbedtls_calloc(count + 1, sizeof(*c->alpn));
    if (c->alpn_names == NULL || c->alpn == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(c->alpn_names, names, len);
    const char *name = c->alpn_names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) c->alpn[i] = name;
    return mbedtls_ssl_conf_alpn_protocols(&c->ssl, c->alpn);
}

int __real_mbedtls_ssl_parse_alpn_ext(mbedtls_ssl_context *ssl, const unsigned char *buf, const unsigned char *end);
int __wrap_mbedtls_ssl_parse_alpn_ext(mbedtls_ssl_context *ssl, const unsigned char *buf, const unsigned char *end);

/* The names were read before, by who made the choice. */
int __wrap_mbedtls_ssl_parse_alpn_ext(mbedtls_ssl_context *ssl, const unsigned char *buf, const unsigned char *end)
{
    if (active == NULL || active->alpn_choice == NULL) return __real_mbedtls_ssl_parse_alpn_ext(ssl, buf, end);
    ssl->alpn_chosen = active->alpn_choice;
    return 0;
}

/* Server, before the handshake: agrees on `name`, a C string, whatever the config says. */
int EXPORT(connection_choose_alpn)(connection *conn, const char *name)
{
    CHECK_CONNECTION(conn);
    if (conn->ssl.state != MBEDTLS_SSL_HELLO_REQUEST) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    size_t size = strlen(name) + 1;
    mbedtls_free(conn->alpn_choice);
    conn->alpn_choice = mbedtls_calloc(1, size);
    if (conn->alpn_choice == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(conn->alpn_choice, name, size);
    return 0;
}
