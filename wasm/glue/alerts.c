/*
 * Alerts that mbedTLS sends: the linker sends its calls of these two functions here (--wrap), so that we know which alert
 * it was, and can put one right: mbedTLS tells a TLS 1.3 peer without a certificate so by an alert of SSL 3.0.
 *
 * And alerts that come and that mbedTLS passes over.
 */
#include "tlsio.h"

#include "ssl_misc.h"

#define ALERT_CERTIFICATE_REQUIRED 116
#define ALERT_USER_CANCELED 90

int __real_mbedtls_ssl_handle_pending_alert(mbedtls_ssl_context *ssl);
int __wrap_mbedtls_ssl_handle_pending_alert(mbedtls_ssl_context *ssl);
int __real_mbedtls_ssl_send_alert_message(mbedtls_ssl_context *ssl, unsigned char level, unsigned char message);
int __wrap_mbedtls_ssl_send_alert_message(mbedtls_ssl_context *ssl, unsigned char level, unsigned char message);

/* With a record still to flush, mbedTLS sends that and forgets the alert. */
static int flush_first(mbedtls_ssl_context *ssl)
{
    return ssl->out_left == 0 ? 0 : mbedtls_ssl_flush_output(ssl);
}

int __wrap_mbedtls_ssl_handle_pending_alert(mbedtls_ssl_context *ssl)
{
    if (ssl->send_alert && is_signing(active)) { /* see steps.c */
        ssl->send_alert = 0;
        return MBEDTLS_ERR_SSL_ASYNC_IN_PROGRESS;
    }
    if (ssl->send_alert) {
        int ret = flush_first(ssl);
        if (ret != 0) return ret;
        if (ssl->alert_type == MBEDTLS_SSL_ALERT_MSG_NO_CERT && ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3) {
            int is_server = ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER;
            ssl->alert_type = is_server ? ALERT_CERTIFICATE_REQUIRED : MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR;
            if (!is_server) ssl->alert_reason = MBEDTLS_ERR_SSL_DECODE_ERROR; /* not that the peer sent an alert */
        }
        if (active != NULL && active->unknown_psk && ssl->alert_type == MBEDTLS_SSL_ALERT_MSG_MISSING_EXTENSION) {
            ssl->alert_type = MBEDTLS_SSL_ALERT_MSG_UNKNOWN_PSK_IDENTITY; /* what is missing is another way than by a key */
            ssl->alert_reason = MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY;
        }
        if (active != NULL) active->facts[FACT_ALERT_SENT] = ssl->alert_type;
    }
    return __real_mbedtls_ssl_handle_pending_alert(ssl);
}

int __wrap_mbedtls_ssl_send_alert_message(mbedtls_ssl_context *ssl, unsigned char level, unsigned char message)
{
    int ret = flush_first(ssl);
    if (ret != 0) return ret;
    if (active != NULL && level == MBEDTLS_SSL_ALERT_LEVEL_FATAL) active->facts[FACT_ALERT_SENT] = message;
    return __real_mbedtls_ssl_send_alert_message(ssl, level, message);
}

/*
 * What becomes of a warning, `ret` by mbedTLS, which takes any number of them, and any level. In TLS 1.3 the level means
 * nothing (RFC 8446 section 6): but for user_canceled, an alert is an error. In the clear it can be another version's.
 */
int pass_alert(connection *conn, int ret)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    if (uses_datagrams(ssl)) return ret; /* anyone could have sent it */
    if (ssl->in_msg[0] != MBEDTLS_SSL_ALERT_LEVEL_WARNING) return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
    int is_sealed = ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3 && ssl->transform_in != NULL;
    if (is_sealed && ssl->in_msg[1] != ALERT_USER_CANCELED) return MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE;
    return is_flood(conn) ? MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE : ret;
}
