/*
 * mbedTLS configuration of the core of all devices: an ESP32's, with what other devices have besides. A profile takes
 * away at run time what its device lacks: suites, groups and schemes by its lists, extensions by device_build().
 *
 * It costs a connection of an ESP32 8 bytes of heap, and a handshake 20: what a pre-shared key needs (bench/device.ts
 * compares with wasm/config/esp32.h).
 */

#include "wasm/config/esp32.h"

/* ESP-IDF's defaults: esp32-idf. */
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_DP_BP256R1_ENABLED
#define MBEDTLS_ECP_DP_BP384R1_ENABLED
#define MBEDTLS_ECP_DP_BP512R1_ENABLED

/* MicroPython's other ports: rp2. */
#define MBEDTLS_KEY_EXCHANGE_PSK_ENABLED

/*
 * The size of the records that are sent, and of their buffer: 4096, or 16384 for pycom. mbedTLS only calculates with it
 * when it runs. Its preprocessor takes a variable for 0, and so does not check it (ssl_misc.h: 16384 at most).
 */
#undef MBEDTLS_SSL_OUT_CONTENT_LEN
#define MBEDTLS_SSL_OUT_CONTENT_LEN device_out_len
extern size_t device_out_len;
