/*
 * Which device the core is: what differs between the builds of mbedTLS that they have, as far as it can be told at run
 * time. wasm/config/device.h has what all of them have together.
 */
#include "tlsio.h"

#include "ssl_misc.h"

enum { LACKS_ENCRYPT_THEN_MAC = 1, LACKS_EXTENDED_MASTER_SECRET = 2, LACKS_MAX_FRAGMENT_LENGTH = 4 };

size_t device_out_len = 4096; /* MBEDTLS_SSL_OUT_CONTENT_LEN */
static unsigned lacks;
static int step_result;

/* Before there are configs and connections. `out_len` is 512 to 16384. */
void EXPORT(device_build)(size_t out_len, unsigned lacking)
{
    device_out_len = out_len;
    lacks = lacking;
}

int __real_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset);
int __wrap_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset);

int __wrap_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset)
{
    int ret = __real_mbedtls_ssl_config_defaults(conf, endpoint, transport, preset);
    if ((lacks & LACKS_ENCRYPT_THEN_MAC) != 0) mbedtls_ssl_conf_encrypt_then_mac(conf, MBEDTLS_SSL_ETM_DISABLED);
    if ((lacks & LACKS_EXTENDED_MASTER_SECRET) != 0) {
        mbedtls_ssl_conf_extended_master_secret(conf, MBEDTLS_SSL_EXTENDED_MS_DISABLED);
    }
    return ret;
}

/* Whether only some of the devices are built with a group: those who have it offer it. */
static int some_have(mbedtls_ecp_group_id group)
{
    return group == MBEDTLS_ECP_DP_CURVE25519 || group == MBEDTLS_ECP_DP_BP256R1 ||
           group == MBEDTLS_ECP_DP_BP384R1 || group == MBEDTLS_ECP_DP_BP512R1;
}

mbedtls_ecp_group_id __real_mbedtls_ssl_get_ecp_group_id_from_tls_id(uint16_t tls_id);
mbedtls_ecp_group_id __wrap_mbedtls_ssl_get_ecp_group_id_from_tls_id(uint16_t tls_id);

/*
 * A client's group that this device is built without is unknown to it. That decides the suite: a client who has no other is
 * left RSA's key exchange, while one whose groups are known, but not ours, is refused.
 */
mbedtls_ecp_group_id __wrap_mbedtls_ssl_get_ecp_group_id_from_tls_id(uint16_t tls_id)
{
    mbedtls_ecp_group_id group = __real_mbedtls_ssl_get_ecp_group_id_from_tls_id(tls_id);
    if (active == NULL || !some_have(group)) return group;
    const uint16_t *ours = active->ssl.conf->group_list;
    while (*ours != 0 && *ours != tls_id) ours++;
    return *ours == tls_id ? group : MBEDTLS_ECP_DP_NONE;
}

/* One step of the handshake. A server that does not know max_fragment_length passes over what the client asks for. */
int handshake_step(connection *conn)
{
    int ret = step_result = mbedtls_ssl_handshake_step(&conn->ssl);
    if ((lacks & LACKS_MAX_FRAGMENT_LENGTH) != 0 && conn->ssl.state == MBEDTLS_SSL_SERVER_HELLO &&
        conn->ssl.conf->endpoint == MBEDTLS_SSL_IS_SERVER) {
        conn->ssl.session_negotiate->mfl_code = MBEDTLS_SSL_MAX_FRAG_LEN_NONE;
    }
    return ret;
}

/* What mbedTLS said of the last step of a handshake: it does not always say that there was no memory. */
int EXPORT(device_step_result)(void)
{
    return step_result;
}
