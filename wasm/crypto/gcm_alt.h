/*
 * mbedTLS's context of GCM: round keys, and one message on its way. Tables are derived for each call (ghash.h).
 */
#ifndef GCM_ALT_H
#define GCM_ALT_H

#include "mbedtls/aes.h"

#include <stdint.h>

typedef struct mbedtls_gcm_context {
    mbedtls_aes_context aes;
    unsigned char h[16]; /* of the key: the encryption of 0 */
    uint64_t len; /* bytes of text so far */
    uint64_t add_len; /* bytes of additional data so far */
    unsigned char base_ectr[16]; /* the tag's mask */
    unsigned char y[16]; /* the counter of the last block */
    unsigned char buf[16]; /* GHASH, with the bytes of an incomplete block added in already */
    int counter_secret; /* whether y began as a hash of the IV, not as the IV itself */
    int mode; /* MBEDTLS_GCM_ENCRYPT or MBEDTLS_GCM_DECRYPT */
} mbedtls_gcm_context;

#endif
