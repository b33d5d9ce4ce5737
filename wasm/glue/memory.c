/*
 * The heap: every block is counted, and wiped before it is freed.
 */
#include "tlsio.h"

#include "counts.h"

#include <malloc.h>
#include <stdlib.h>

static size_t allocated; /* bytes in live blocks */
static size_t peak;      /* the most that `allocated` has been */
int out_of_memory;

void *tlsio_calloc(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (block != NULL && counting != NULL && note_block(block, count * size) != 0) {
        free(block);
        block = NULL;
    }
    if (block != NULL) {
        allocated += malloc_usable_size(block);
        if (allocated > peak) peak = allocated;
    } else {
        out_of_memory = 1;
    }
    return block;
}

/* Every block is wiped: keys, tickets and plaintext pass through blocks that mbedTLS frees as they are. */
void tlsio_free(void *block)
{
    if (block == NULL) return;
    size_t size = malloc_usable_size(block);
    mbedtls_platform_zeroize(block, size);
    allocated -= size;
    if (noted_blocks > 0) forget_block(block);
    free(block);
}

void *EXPORT(core_alloc)(size_t size)
{
    return tlsio_calloc(1, size);
}

void EXPORT(core_free)(void *block)
{
    tlsio_free(block);
}

size_t EXPORT(core_allocated)(void)
{
    return allocated;
}

size_t EXPORT(core_peak)(void)
{
    return peak;
}
