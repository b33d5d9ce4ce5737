/*
 * Pre-shared keys: one that the config has, or those that the host finds by their identity.
 */
#include "tlsio.h"

/* A config with a pre-shared key does without certificates: it does not fall back to them. */
int EXPORT(config_set_psk)(config *c, const unsigned char *key, size_t key_len,
                           const unsigned char *identity, size_t identity_len)
{
    CHECK_CONFIG(c);
    mbedtls_ssl_conf_tls13_key_exchange_modes(&c->ssl, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ALL);
    return mbedtls_ssl_conf_psk(&c->ssl, key, key_len, identity, identity_len);
}

static int on_psk(void *unused, mbedtls_ssl_context *ssl, const unsigned char *identity, size_t len)
{
    (void) unused;
    unsigned char key[MBEDTLS_PSK_MAX_LEN];
    int key_len = active == NULL ? 0 : psk_key(active, identity, len, key, sizeof(key));
    if (active != NULL && key_len <= 0) active->unknown_psk = 1;
    int ret = key_len <= 0 ? MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY
                           : mbedtls_ssl_set_hs_psk(ssl, key, (size_t) key_len);
    mbedtls_platform_zeroize(key, sizeof(key));
    return ret;
}

/* A server that asks psk_key() for the key of each identity. It does without certificates, as with config_set_psk(). */
int EXPORT(config_ask_psk)(config *c)
{
    CHECK_CONFIG(c);
    mbedtls_ssl_conf_tls13_key_exchange_modes(&c->ssl, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ALL);
    mbedtls_ssl_conf_psk_cb(&c->ssl, on_psk, NULL);
    return 0;
}
