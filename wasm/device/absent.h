/*
 * What the devices' mbedTLS lacks, for the files of wasm/glue that name it: TLS 1.3. absent.c has the functions
 * of the files that are left out.
 */
#ifndef TLSIO_ABSENT_H
#define TLSIO_ABSENT_H

/* The device's heap is mbedTLS's: what the glue needs beside it is not the device's. See heap.c. */
void *host_calloc(size_t count, size_t size);
#undef mbedtls_calloc
#define mbedtls_calloc host_calloc

#define mbedtls_ssl_conf_early_data(conf, enabled) ((void) 0)
#define mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(conf, enabled) ((void) 0)
#define mbedtls_ssl_conf_tls13_key_exchange_modes(conf, modes) ((void) 0)
#define mbedtls_ssl_conf_new_session_tickets(conf, count) ((void) (count))

/* No ServerHello of TLS 1.2 has it (RFC 8446 section 4.1.3). */
#define mbedtls_ssl_tls13_hello_retry_request_magic \
    ((const unsigned char[MBEDTLS_SERVER_HELLO_RANDOM_LEN]) { 0xcf, 0x21, 0xad, 0x74 })

#endif
