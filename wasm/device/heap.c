/*
 * A heap like the device's: a budget, and a largest free block. An allocation that would not fit fails, as it would there.
 *
 * ESP-IDF's heap is TLSF: a block has 4 bytes of header, a size that 4 divides, and holds at least 12. wasm32 has the
 * device's pointers and structures, so mbedTLS asks for the same sizes. What fragmentation does cannot be reproduced:
 * the largest free block is a parameter.
 *
 * Only mbedTLS's own blocks count: what the glue and the host keep beside them is in the Python heap there, or nowhere.
 * A block that is asked for in a call for a connection is that connection's, in the state that its handshake was in.
 */
#include "tlsio.h"

#include "counts.h"

#include <stdlib.h>

#define BLOCK_HEADER 4
#define BLOCK_MIN 12
#define STATES 32 /* mbedtls_ssl_states has fewer */

/* What is in front of each block here. Its size keeps the block aligned. */
typedef struct {
    size_t size;
    uint32_t owner; /* whose it is; HOST: it does not count, SHARED: no connection's */
    uint32_t unused[2];
} header;

_Static_assert(sizeof(header) == 16, "malloc() aligns to 16");

enum { HOST, SHARED, FIRST_CONNECTION };

/* What a connection has of the heap. */
typedef struct account {
    uint32_t id;
    const connection *conn;
    uint32_t socket; /* bytes that TCP has taken for it */
    struct account *next;
    counts counts;
    /* What connection_heap() gives. */
    struct {
        uint32_t live;          /* bytes */
        uint32_t peak;          /* the most that `live` has been */
        uint32_t state[STATES]; /* likewise, while the handshake was in that state; 0: nothing was allocated in it */
    } bytes;
} account;

static size_t allocated, peak; /* of all blocks: core_allocated() and core_peak() */
static uint32_t heap_live, heap_most, heap_refusals;
static uint32_t heap_budget = UINT32_MAX, heap_block = UINT32_MAX; /* no limit */
static uint32_t heap_socket;                                         /* what TCP takes for each connection */
static account *accounts;
static uint32_t last_id = FIRST_CONNECTION;
int out_of_memory;

static uint32_t bytes_of(size_t size)
{
    size_t rounded = (size + 3) & ~(size_t) 3;
    return (uint32_t) (rounded < BLOCK_MIN ? BLOCK_MIN : rounded) + BLOCK_HEADER;
}

static int fits(size_t size)
{
    if (size > heap_block || size > UINT32_MAX / 2) return 0;
    return heap_live <= heap_budget && bytes_of(size) <= heap_budget - heap_live;
}

/* ---- Blocks ---------------------------------------------------------------------------------------- */

static void *take(size_t count, size_t size, uint32_t owner)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - sizeof(header)) return NULL;
    header *block = calloc(1, sizeof(*block) + bytes);
    if (block == NULL) return NULL;
    block->size = bytes;
    block->owner = owner;
    allocated += bytes;
    if (allocated > peak) peak = allocated;
    return block + 1;
}

void *host_calloc(size_t count, size_t size)
{
    void *block = take(count, size, HOST);
    if (block == NULL) out_of_memory = 1;
    return block;
}

static void charge(account *a, const connection *conn, uint32_t bytes)
{
    heap_live += bytes;
    if (heap_live > heap_most) heap_most = heap_live;
    if (a == NULL) return;
    a->bytes.live += bytes;
    if (a->bytes.live > a->bytes.peak) a->bytes.peak = a->bytes.live;
    uint32_t state = (uint32_t) conn->ssl.state;
    if (state < STATES && a->bytes.live > a->bytes.state[state]) a->bytes.state[state] = a->bytes.live;
}

/* The account of the connection that the running export was called for; NULL: none. */
static account *account_of(const connection *conn)
{
    if (conn == NULL) return NULL;
    for (account *a = accounts; a != NULL; a = a->next) {
        if (a->conn == conn) return a;
    }
    account *new = host_calloc(1, sizeof(*new));
    if (new == NULL) return NULL;
    new->id = ++last_id;
    new->conn = conn;
    new->next = accounts;
    accounts = new;
    charge(new, conn, new->socket = heap_socket); /* before TLS: it may leave too little for that */
    return new;
}

counts *counts_of(const connection *conn)
{
    account *a = account_of(conn);
    return a == NULL ? NULL : &a->counts;
}

void *tlsio_calloc(size_t count, size_t size)
{
    size_t bytes;
    account *a = account_of(active);
    void *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && fits(bytes)) block = take(1, bytes, a == NULL ? SHARED : a->id);
    if (block != NULL) {
        charge(a, active, bytes_of(bytes));
        COUNT(allocations, 1);
        COUNT(allocated, bytes);
    } else {
        heap_refusals++;
        out_of_memory = 1;
    }
    return block;
}

/* Every block is wiped: keys, tickets and plaintext pass through blocks that mbedTLS frees as they are. */
void tlsio_free(void *p)
{
    if (p == NULL) return;
    header *block = (header *) p - 1;
    size_t size = block->size;
    if (block->owner != HOST) heap_live -= bytes_of(size);
    for (account *a = accounts; a != NULL && block->owner > SHARED; a = a->next) {
        if (a->id == block->owner) a->bytes.live -= bytes_of(size);
    }
    allocated -= size;
    mbedtls_platform_zeroize(block, sizeof(*block) + size);
    free(block);
}

/* The connection is about to be freed. What it leaves behind, such as the blinding of a key, is no connection's. */
void forget(const connection *conn)
{
    for (account **at = &accounts; *at != NULL; at = &(*at)->next) {
        account *a = *at;
        if (a->conn != conn) continue;
        *at = a->next;
        heap_live -= a->socket;
        tlsio_free(a);
        return;
    }
}

/* ---- Exports --------------------------------------------------------------------------------------- */

void *EXPORT(core_alloc)(size_t size)
{
    return host_calloc(1, size);
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

/* Bytes that may be live at once, and in one block; bytes that TCP takes for each connection that is made from now on. */
void EXPORT(heap_limit)(uint32_t budget, uint32_t block, uint32_t socket)
{
    heap_budget = budget;
    heap_block = block;
    heap_socket = socket;
}

/* Bytes of live blocks, with what the device's heap adds to each; the most that they have been; allocations that failed. */
uint32_t EXPORT(heap_used)(void)
{
    return heap_live;
}

uint32_t EXPORT(heap_peak)(void)
{
    return heap_most;
}

uint32_t EXPORT(heap_refused)(void)
{
    return heap_refusals;
}

/* Likewise of one connection: live, peak, and the peak of each of the STATES of its handshake. NULL: no memory. */
const uint32_t *EXPORT(connection_heap)(const connection *conn)
{
    if (conn == NULL || conn->magic != CONNECTION_MAGIC) return NULL;
    account *a = account_of(conn);
    return a == NULL ? NULL : &a->bytes.live;
}

/* What was counted for a connection: see counts.h. NULL: no memory. */
const counts *EXPORT(connection_counts)(const connection *conn)
{
    return conn == NULL || conn->magic != CONNECTION_MAGIC ? NULL : counts_of(conn);
}
