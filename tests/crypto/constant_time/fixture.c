/* What check_test.ts looks at: each function does one thing that the analysis must tell from the others. */
#include <stdint.h>
#include <string.h>

static const uint8_t table[256] = { 1, 2, 3 };

/* Nothing: a mask, and a loop on a counter. */
void choose(uint32_t *out, const uint32_t *a, const uint32_t *b, uint32_t bit)
{
    for (int i = 0; i < 64; i++) out[i] = a[i] ^ ((a[i] ^ b[i]) & (0 - bit));
}

/* A loop over a length: parameter branches, nothing from data. */
uint32_t total(const uint32_t *words, size_t count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += words[i];
    return sum;
}

/* A branch on a byte that was loaded. */
int same(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < 32; i++) {
        if (a[i] != b[i]) return 0;
    }
    return 1;
}

/* A choice by a loaded word: of wasm's `select` an engine may make a branch. */
uint32_t pick(const uint32_t *secret, uint32_t a, uint32_t b)
{
    return *secret ? a : b;
}

/* A loaded byte chooses the address, as in AES by tables. */
uint8_t look_up(const uint8_t *secret)
{
    return table[*secret];
}

/* A loaded word does, without any arithmetic in between. */
uint8_t look_up_word(const uint32_t *secret)
{
    return table[*secret];
}

/* The same in a table that lies beside the index. */
struct box {
    uint32_t index;
    uint8_t bytes[64];
};
uint8_t look_up_beside(const struct box *box)
{
    return box->bytes[box->index];
}

/* Nothing: a pointer that was loaded leads to data. */
struct number {
    size_t length;
    uint32_t *limbs;
};
void clear(struct number *number)
{
    for (int i = 0; i < 8; i++) number->limbs[i] = 0;
}

/* A division by something loaded. */
uint32_t reduce(const uint32_t *a, const uint32_t *m)
{
    return *a % *m;
}

/* A call that memory chooses. */
struct source {
    int (*fill)(void *, uint8_t *, size_t);
    void *state;
};
int draw(struct source *source, uint8_t *out)
{
    return source->fill(source->state, out, 32);
}
