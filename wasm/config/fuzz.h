/*
 * mbedTLS's configuration for the fuzzers: the shipped one, but that every RSA signature is worth steps, since long keys are slow.
 */
#define TLSIO_FUZZ
#include "wasm/config/default.h"
