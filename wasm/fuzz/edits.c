/*
 * Edits of bytes: of any, of a hello's extensions, of DER. An edit that does not fit what it meets changes nothing.
 */
#include "wasm/fuzz/fuzz.h"

#include <string.h>

/* A change of a part of a buffer, and the lengths around it that have to follow. */
typedef struct {
    unsigned char *bytes;
    size_t len, size;
} buffer;

static unsigned get16(const unsigned char *at)
{
    return (unsigned) at[0] << 8 | at[1];
}

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char) (value >> 8);
    at[1] = (unsigned char) value;
}

/* Puts `len` bytes in place of `old` bytes. Returns whether there was room. */
static int splice(buffer *buf, size_t at, size_t old, const unsigned char *with, size_t len)
{
    if (at > buf->len || old > buf->len - at || buf->len - old + len > buf->size) return 0;
    memmove(buf->bytes + at + len, buf->bytes + at + old, buf->len - at - old);
    if (with != NULL) memcpy(buf->bytes + at, with, len);
    else memset(buf->bytes + at, 0x5a, len);
    buf->len += len - old;
    return 1;
}

/* ---- Any bytes ------------------------------------------------------------------------------------- */

static void edit_bytes(const fuzz_change *change, buffer *buf)
{
    size_t at = buf->len == 0 ? 0 : change->a % (buf->len + 1);
    switch (change->op) {
        case OP_XOR:
            if (at < buf->len) buf->bytes[at] ^= (unsigned char) change->b;
            break;
        case OP_SET16:
            if (at + 2 <= buf->len) put16(buf->bytes + at, change->b);
            break;
        case OP_INSERT:
            splice(buf, at, 0, change->payload, change->len);
            break;
        case OP_DELETE: {
            size_t n = change->b;
            splice(buf, at, n < buf->len - at ? n : buf->len - at, NULL, 0);
            break;
        }
        case OP_REPLACE:
            splice(buf, 0, buf->len, change->payload, change->len);
            break;
        case OP_FILL: {
            size_t old = buf->len;
            if (splice(buf, at, 0, NULL, change->b) && change->len > 0) memset(buf->bytes + at, change->payload[0], buf->len - old);
            break;
        }
    }
}

/* ---- Extensions ------------------------------------------------------------------------------------ */

#define HELLO_RANDOM_END (2 + 32)
#define EXTENSIONS_MAX 64

typedef struct {
    size_t list; /* where the length of the list is */
    size_t count;
    size_t at[EXTENSIONS_MAX + 1]; /* of each, and the end */
} extensions;

/* A list whose length is at `list` and that ends where the buffer does. */
static int read_list(const buffer *buf, size_t list, extensions *found)
{
    if (list + 2 > buf->len || list + 2 + get16(buf->bytes + list) != buf->len) return 0;
    size_t at = list + 2;
    found->list = list;
    found->count = 0;
    while (at < buf->len && found->count < EXTENSIONS_MAX) {
        found->at[found->count++] = at;
        if (buf->len - at < 4 || buf->len - at - 4 < get16(buf->bytes + at + 2)) return 0;
        at += 4 + get16(buf->bytes + at + 2);
    }
    found->at[found->count] = at;
    return at == buf->len;
}

/* Finds the extensions of a message's body: of a hello of either end, or of one that begins or ends with such a list. */
static int find_extensions(const buffer *buf, extensions *found)
{
    if (read_list(buf, 0, found)) return 1; /* EncryptedExtensions */
    if (buf->len > HELLO_RANDOM_END) {
        size_t session = HELLO_RANDOM_END + 1 + buf->bytes[HELLO_RANDOM_END];
        if (read_list(buf, session + 3, found)) return 1; /* ServerHello: behind suite and compression */
        for (int cookie = 0; cookie < 2; cookie++) { /* ClientHello: DTLS has a cookie before the suites */
            size_t suites = session;
            if (cookie && suites < buf->len) suites += (size_t) 1 + buf->bytes[suites];
            if (suites + 2 > buf->len) continue;
            size_t methods = suites + 2 + get16(buf->bytes + suites);
            if (methods < buf->len && read_list(buf, methods + 1 + buf->bytes[methods], found)) return 1;
        }
    }
    for (size_t list = 1; list + 2 <= buf->len && list < 1024; list++) { /* CertificateRequest, NewSessionTicket */
        if (read_list(buf, list, found) && found->count > 0) return 1;
    }
    return 0;
}

static void edit_extension(const fuzz_change *change, buffer *buf)
{
    extensions found;
    if (!find_extensions(buf, &found)) return;
    if (change->op == OP_EXT_ADD) {
        unsigned char header[4];
        put16(header, change->a);
        put16(header + 2, change->len);
        if (splice(buf, found.at[0], 0, header, 4)) splice(buf, found.at[0] + 4, 0, change->payload, change->len);
        put16(buf->bytes + found.list, (unsigned) (buf->len - found.list - 2));
        return;
    }
    if (found.count == 0) return;
    size_t which = change->a % found.count;
    size_t at = found.at[which], end = found.at[which + 1];
    switch (change->op) {
        case OP_EXT_REMOVE:
            splice(buf, at, end - at, NULL, 0);
            break;
        case OP_EXT_DOUBLE:
            if (splice(buf, at, 0, NULL, end - at)) memmove(buf->bytes + at, buf->bytes + end, end - at);
            break;
        case OP_EXT_SWAP: {
            size_t other = change->b % found.count;
            if (other == which) break;
            size_t first = which < other ? which : other;
            /* Moves the first behind all that come before the other's end. */
            unsigned char moved[1024];
            size_t len = found.at[first + 1] - found.at[first];
            size_t to = found.at[(which < other ? other : which) + 1];
            if (len > sizeof(moved)) break;
            memcpy(moved, buf->bytes + found.at[first], len);
            memmove(buf->bytes + found.at[first], buf->bytes + found.at[first + 1], to - found.at[first + 1]);
            memcpy(buf->bytes + to - len, moved, len);
            break;
        }
        case OP_EXT_TYPE:
            put16(buf->bytes + at, change->b);
            break;
        case OP_EXT_DATA:
            if (splice(buf, at + 4, end - at - 4, change->payload, change->len)) put16(buf->bytes + at + 2, change->len);
            break;
        case OP_EXT_GROW:
            if (splice(buf, end, 0, NULL, change->b)) put16(buf->bytes + at + 2, (unsigned) (end - at - 4 + change->b));
            break;
    }
    put16(buf->bytes + found.list, (unsigned) (buf->len - found.list - 2));
}

/* ---- DER ------------------------------------------------------------------------------------------- */

#define DEPTH_MAX 32

typedef struct {
    size_t at, header, len;
} element;

/* The element at `at`, which ends before `end`. */
static int read_element(const unsigned char *bytes, size_t at, size_t end, element *found)
{
    if (end - at < 2) return 0;
    size_t len = bytes[at + 1], header = 2;
    if (len > 0x80 && len <= 0x83) {
        size_t width = len & 0x7f;
        if (end - at < 2 + width) return 0;
        len = 0;
        for (size_t i = 0; i < width; i++) len = len << 8 | bytes[at + 2 + i];
        header += width;
    } else if (len >= 0x80) {
        return 0;
    }
    if (len > end - at - header) return 0;
    *found = (element){ at, header, len };
    return 1;
}

/* Writes another length into an element's header, in as many bytes as it has. Returns whether it fits. */
static int put_length(unsigned char *bytes, const element *one, size_t len)
{
    size_t width = one->header - 2;
    if (width == 0) {
        if (len > 0x7f) return 0;
        bytes[one->at + 1] = (unsigned char) len;
        return 1;
    }
    if (width < sizeof(size_t) && len >> 8 * width != 0) return 0;
    for (size_t i = 0; i < width; i++) bytes[one->at + 2 + i] = (unsigned char) (len >> 8 * (width - 1 - i));
    return 1;
}

/*
 * Finds element number `*left` from `at` on, and the elements around it. Strings of bits and bytes can hold elements: of a
 * certificate's extensions they do. Counts down.
 */
static size_t find_element(const unsigned char *bytes, size_t at, size_t end, unsigned *left, element path[DEPTH_MAX],
                           size_t depth)
{
    while (at < end && depth < DEPTH_MAX && read_element(bytes, at, end, &path[depth])) {
        const element one = path[depth];
        if (*left == 0) return depth + 1;
        --*left;
        unsigned tag = bytes[at];
        size_t inside = one.at + one.header + (tag == 0x03 ? 1 : 0), last = one.at + one.header + one.len;
        element probe;
        int holds = (tag & 0x20) != 0 ||
                    ((tag == 0x03 || tag == 0x04) && one.len > 4 && read_element(bytes, inside, last, &probe) &&
                     probe.at + probe.header + probe.len == last);
        if (holds && inside < last) {
            size_t found = find_element(bytes, inside, last, left, path, depth + 1);
            if (found != 0) return found;
            path[depth] = one;
        }
        at = last;
    }
    return 0;
}

static unsigned count_elements(const unsigned char *bytes, size_t start, size_t end)
{
    element path[DEPTH_MAX];
    unsigned left = ~0u;
    find_element(bytes, start, end, &left, path, 0);
    return ~0u - left;
}

/* Where DER begins: at once, or in a Certificate message, behind the lengths of 3 bytes of the list and of the certificate. */
static size_t find_der(const buffer *buf)
{
    for (size_t at = 0; at + 4 < buf->len && at < 64; at++) {
        if (buf->bytes[at] == 0x30 && buf->bytes[at + 1] == 0x82) return at;
    }
    return 0;
}

static void add24(buffer *buf, size_t at, size_t change)
{
    unsigned char *len = buf->bytes + at;
    size_t value = (((size_t) len[0] << 16 | (size_t) len[1] << 8 | len[2]) + change) & 0xffffff;
    len[0] = (unsigned char) (value >> 16);
    put16(len + 1, (unsigned) (value & 0xffff));
}

static void edit_der(const fuzz_change *change, buffer *buf)
{
    size_t start = find_der(buf);
    unsigned count = count_elements(buf->bytes, start, buf->len);
    if (count == 0) return;
    unsigned left = change->a % count;
    element path[DEPTH_MAX];
    size_t depth = find_element(buf->bytes, start, buf->len, &left, path, 0);
    if (depth == 0) return;
    const element one = path[depth - 1];
    size_t before = buf->len, whole = one.header + one.len;
    size_t grown = one.len; /* what its own length becomes */
    switch (change->op) {
        case OP_DER_TAG:
            buf->bytes[one.at] = (unsigned char) change->b;
            return;
        case OP_DER_LENGTH:
            put_length(buf->bytes, &one, change->b);
            return;
        case OP_DER_REMOVE:
            splice(buf, one.at, whole, NULL, 0);
            break;
        case OP_DER_DOUBLE:
            if (splice(buf, one.at, 0, NULL, whole)) memmove(buf->bytes + one.at, buf->bytes + one.at + whole, whole);
            break;
        case OP_DER_VALUE:
            if (splice(buf, one.at + one.header, one.len, change->payload, change->len)) grown = change->len;
            break;
        case OP_DER_GROW:
            if (splice(buf, one.at + one.header + one.len, 0, NULL, change->b)) grown = one.len + change->b;
            break;
    }
    if (grown != one.len) put_length(buf->bytes, &one, grown);
    size_t difference = buf->len - before; /* modulo 2^n */
    for (size_t i = 0; i + 1 < depth; i++) put_length(buf->bytes, &path[i], path[i].len + difference);
    if (start >= 3) add24(buf, start - 3, difference);
    if (start >= 6) add24(buf, start - 6, difference);
}

size_t fuzz_apply(const fuzz_change *change, unsigned char *bytes, size_t len, size_t size)
{
    buffer buf = { bytes, len, size };
    if (change->op >= OP_BYTES_END || len > size) return len;
    if (change->op >= OP_DER_TAG) edit_der(change, &buf);
    else if (change->op >= OP_EXT_REMOVE) edit_extension(change, &buf);
    else edit_bytes(change, &buf);
    return buf.len;
}
