/*
 * mbedTLS for this machine under sanitizers: the configuration of our cores, with all our kernels.
 */
#include "wasm/config/default.h"
