/*
 * Which edges of the core have run: counters that the compiler adds to mbedTLS and to the glue.
 */
#include "tlsio.h"

extern unsigned char __start___sancov_cntrs[], __stop___sancov_cntrs[];

void __sanitizer_cov_8bit_counters_init(unsigned char *start, unsigned char *stop);

/* Each object calls it with the same bounds, which the linker knows. */
void __sanitizer_cov_8bit_counters_init(unsigned char *start, unsigned char *stop)
{
    (void) start;
    (void) stop;
}

unsigned char *EXPORT(fuzz_counters)(void)
{
    return __start___sancov_cntrs;
}

size_t EXPORT(fuzz_counter_count)(void)
{
    return (size_t) (__stop___sancov_cntrs - __start___sancov_cntrs);
}
