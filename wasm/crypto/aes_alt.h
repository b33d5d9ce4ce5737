/*
 * mbedTLS's context of AES. Round keys are as aes.c says; for mbedTLS they are opaque.
 */
#ifndef AES_ALT_H
#define AES_ALT_H

#include <stdint.h>

typedef struct mbedtls_aes_context {
    uint32_t rounds; /* 10, 12 or 14; 0 without a key */
    uint8_t round_key[15][16];
} mbedtls_aes_context;

#endif
