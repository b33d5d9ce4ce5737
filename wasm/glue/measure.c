/*
 * What a connection costs, where it is asked for: its counts, and what it has of the heap. Which blocks are a measured
 * connection's is in a table beside the heap, so that no other block is larger for it.
 */
#include "tlsio.h"

#include "counts.h"

#include <malloc.h>
#include <stdlib.h>

#define STATES 32 /* mbedtls_ssl_states has fewer */

struct measure {
    counts counts; /* first: `counting` is the measure, too */
    const connection *conn; /* NULL: it is gone, and some of its blocks are not: a session in the cache */
    size_t blocks;
    /* What connection_heap() gives, in bytes. */
    struct {
        uint32_t live;
        uint32_t peak;          /* the most that `live` has been */
        uint32_t state[STATES]; /* likewise, while the handshake was in that state; 0: nothing was allocated in it */
    } bytes;
};

counts *counting;

counts *counts_of(const connection *conn)
{
    return conn->measure == NULL ? NULL : &conn->measure->counts;
}

/* ---- The table: open addressing, at most half full ------------------------------------------------- */

typedef struct {
    void *block; /* NULL: the entry is free */
    measure *owner;
} entry;

#define CAPACITY_MIN 256

static entry *table;
static size_t capacity; /* a power of 2 */
size_t noted_blocks;

/* Where a block is, or else where it would be put. */
static size_t find(const void *block)
{
    size_t at = ((size_t) block >> 4) * 2654435769u >> 8; /* Knuth's multiplicative hash; blocks are 16 bytes apart */
    for (at &= capacity - 1; table[at].block != NULL && table[at].block != block;) at = (at + 1) & (capacity - 1);
    return at;
}

static int grow(void)
{
    entry *old = table;
    size_t old_capacity = capacity, new_capacity = capacity == 0 ? CAPACITY_MIN : 2 * capacity;
    entry *new = calloc(new_capacity, sizeof(*new));
    if (new == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    table = new;
    capacity = new_capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].block != NULL) table[find(old[i].block)] = old[i];
    }
    free(old);
    return 0;
}

/* Frees an entry, and moves those behind it up that would not be found otherwise. */
static void remove_entry(size_t hole)
{
    noted_blocks--;
    for (size_t at = (hole + 1) & (capacity - 1); table[at].block != NULL; at = (at + 1) & (capacity - 1)) {
        entry moved = table[at];
        table[at].block = NULL;
        table[find(moved.block)] = moved;
    }
}

/* ---- Blocks ---------------------------------------------------------------------------------------- */

static int own(void *block, measure *m)
{
    if (2 * noted_blocks >= capacity) {
        int ret = grow();
        if (ret != 0) return ret;
    }
    table[find(block)] = (entry) { block, m };
    noted_blocks++;
    m->blocks++;
    m->bytes.live += malloc_usable_size(block);
    if (m->bytes.live > m->bytes.peak) m->bytes.peak = m->bytes.live;
    uint32_t state = (uint32_t) m->conn->ssl.state;
    if (state < STATES && m->bytes.live > m->bytes.state[state]) m->bytes.state[state] = m->bytes.live;
    return 0;
}

static void let_go(measure *m)
{
    if (m->conn == NULL && m->blocks == 0) mbedtls_free(m);
}

int note_block(void *block, size_t size)
{
    counting->allocations++;
    counting->allocated += (double) size;
    return own(block, (measure *) counting);
}

void forget_block(void *block)
{
    size_t at = find(block);
    if (table[at].block == NULL) return;
    measure *m = table[at].owner;
    m->blocks--;
    m->bytes.live -= malloc_usable_size(block);
    table[at].block = NULL;
    remove_entry(at);
    let_go(m);
}

void give_block(void *block, connection *to)
{
    if (noted_blocks > 0) forget_block(block);
    if (to->measure != NULL) (void) own(block, to->measure); /* without memory for it, it is nobody's */
}

/* ---- Life ------------------------------------------------------------------------------------------ */

int begin_measure(connection *conn)
{
    conn->measure = mbedtls_calloc(1, sizeof(*conn->measure));
    if (conn->measure == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    conn->measure->conn = conn;
    return 0;
}

void end_measure(connection *conn)
{
    if (conn->measure == NULL) return;
    conn->measure->conn = NULL;
    let_go(conn->measure);
}

/* What it has of the heap: live, peak, and the peak of each of the STATES of its handshake. NULL: it is not measured. */
const uint32_t *EXPORT(connection_heap)(const connection *conn)
{
    if (conn == NULL || conn->magic != CONNECTION_MAGIC || conn->measure == NULL) return NULL;
    return &conn->measure->bytes.live;
}

/* What was counted for it: see counts.h. NULL: it is not measured. */
const counts *EXPORT(connection_counts)(const connection *conn)
{
    return conn == NULL || conn->magic != CONNECTION_MAGIC ? NULL : counts_of(conn);
}
