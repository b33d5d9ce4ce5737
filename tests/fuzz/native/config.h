/*
 * mbedTLS for this machine under sanitizers: the configuration of our fuzzers, with all our kernels.
 */
#include "wasm/config/fuzz.h"
