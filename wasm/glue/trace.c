/*
 * The trace of a connection: which records and messages pass, told to JavaScript as numbers. Nothing of what they
 * hold leaves the core but the types of handshake messages and the two bytes of an alert.
 *
 * Records are seen in the callbacks of connection.c. Messages are seen where mbedTLS gives each of them out or takes
 * it in, whatever protects it: the linker sends mbedTLS's calls of two functions here (--wrap).
 */
#include "tlsio.h"

#include "ssl_misc.h"

#define TLS_RECORD_HEADER 5
#define RECORD 0                  /* no content type (RFC 8446 section 5.1) */
#define HELLO_RETRY_REQUEST 6     /* its type of message in the drafts: since then it is a ServerHello */
#define HELLO_RANDOM (4 + 2)      /* offset: behind the header and the version */

int __real_mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush);
int __wrap_mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush);
int __real_mbedtls_ssl_handle_message_type(mbedtls_ssl_context *ssl);
int __wrap_mbedtls_ssl_handle_message_type(mbedtls_ssl_context *ssl);

void EXPORT(connection_trace)(connection *conn)
{
    if (conn != NULL && conn->magic == CONNECTION_MAGIC) conn->traced = 1;
}

/* ---- Records --------------------------------------------------------------------------------------- */

/* Under TLS 1.3, what is encrypted looks like application data, and change_cipher_spec never is encrypted. */
static int is_encrypted(const mbedtls_ssl_context *ssl, const mbedtls_ssl_transform *transform, int type)
{
    if (type == MBEDTLS_SSL_MSG_APPLICATION_DATA) return 1;
    return transform != NULL && ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_3;
}

void trace_record(connection *conn, int received, const unsigned char *header)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    int encrypted = is_encrypted(ssl, received ? ssl->transform_in : ssl->transform_out, header[0]);
    size_t length = TLS_RECORD_HEADER + (size_t) MBEDTLS_GET_UINT16_BE(header, 3);
    trace(conn, received, RECORD, header[0], length, encrypted);
}

/* ---- Messages -------------------------------------------------------------------------------------- */

/* The type of a handshake message; both bytes of an alert; nothing of anything else. */
static int code_of(int type, const unsigned char *message, size_t len)
{
    if (type == MBEDTLS_SSL_MSG_ALERT) return len < 2 ? 0 : MBEDTLS_GET_UINT16_BE(message, 0);
    if (type != MBEDTLS_SSL_MSG_HANDSHAKE || len == 0) return 0;
    int is_retry = message[0] == MBEDTLS_SSL_HS_SERVER_HELLO &&
                   len >= HELLO_RANDOM + MBEDTLS_SERVER_HELLO_RANDOM_LEN &&
                   memcmp(message + HELLO_RANDOM, mbedtls_ssl_tls13_hello_retry_request_magic,
                          MBEDTLS_SERVER_HELLO_RANDOM_LEN) == 0;
    return is_retry ? HELLO_RETRY_REQUEST : message[0];
}

int __wrap_mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush)
{
    connection *conn = ssl->p_bio;
    if (ssl->out_msgtype == MBEDTLS_SSL_MSG_HANDSHAKE) note_signature(conn, 0);
    if (conn->traced) {
        int type = ssl->out_msgtype;
        trace(conn, 0, type, code_of(type, ssl->out_msg, ssl->out_msglen), ssl->out_msglen,
              ssl->transform_out != NULL);
    }
    return __real_mbedtls_ssl_write_record(ssl, force_flush);
}

/* A handshake message is whole when the result is 0; alerts have results of their own. */
int __wrap_mbedtls_ssl_handle_message_type(mbedtls_ssl_context *ssl)
{
    int ret = __real_mbedtls_ssl_handle_message_type(ssl);
    connection *conn = ssl->p_bio;
    int type = ssl->in_msgtype;
    int is_handshake = type == MBEDTLS_SSL_MSG_HANDSHAKE;
    if (is_handshake && ret == 0) {
        note_signature(conn, 1);
        ret = check_extensions(ssl);
    }
    int is_dropped = ret == MBEDTLS_ERR_SSL_CONTINUE_PROCESSING && type == MBEDTLS_SSL_MSG_CHANGE_CIPHER_SPEC;
    if (is_dropped && ssl->tls_version == MBEDTLS_SSL_VERSION_TLS1_3) ret = drop_ccs(conn);
    if (type == MBEDTLS_SSL_MSG_ALERT && (ret == 0 || ret == MBEDTLS_ERR_SSL_NON_FATAL)) ret = pass_alert(conn, ret);
    if (!conn->traced) return ret;
    if (is_handshake && ret != 0) return ret; /* its first part, or not to be read */
    int encrypted = ssl->transform_in != NULL;
    if (type == MBEDTLS_SSL_MSG_CHANGE_CIPHER_SPEC) encrypted = is_encrypted(ssl, ssl->transform_in, type);
    size_t len = is_handshake ? ssl->in_hslen : ssl->in_msglen;
    trace(conn, 1, type, code_of(type, ssl->in_msg, len), len, encrypted);
    return ret;
}
