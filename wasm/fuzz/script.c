/*
 * Scripts: what happens to the records and the messages of a connection. There is one connection at a time.
 */
#include "tlsio.h"
#include "wasm/fuzz/fuzz.h"

#include "ssl_misc.h"

#define RECORD_MAX (5 + 8 + 65535)

static fuzz_change changes[FUZZ_EDITS_MAX];
static int change_count;
static int has_datagrams;
static struct {
    unsigned records, messages;
    int cut;
    unsigned char held[RECORD_MAX], last[RECORD_MAX];
    size_t held_len, last_len;
    int merges; /* what is held goes into the next record */
} ends[2];

/* Reads an edit. Returns how many bytes it has; 0: there is none. */
static size_t read_change(const unsigned char *bytes, size_t len, fuzz_change *change)
{
    if (len < FUZZ_EDIT || len - FUZZ_EDIT < bytes[7]) return 0;
    *change = (fuzz_change){
        .end = bytes[0] & 1,
        .layer = bytes[0] >> 1 & 1,
        .index = bytes[1],
        .op = bytes[2] % OP_COUNT,
        .a = (uint16_t) (bytes[3] << 8 | bytes[4]),
        .b = (uint16_t) (bytes[5] << 8 | bytes[6]),
        .len = bytes[7],
        .payload = bytes + FUZZ_EDIT,
    };
    return (size_t) FUZZ_EDIT + bytes[7];
}

int EXPORT(fuzz_begin)(const unsigned char *script, size_t len, int datagrams)
{
    change_count = 0;
    has_datagrams = datagrams;
    for (int end = 0; end < 2; end++) {
        ends[end].records = ends[end].messages = 0;
        ends[end].cut = ends[end].merges = 0;
        ends[end].held_len = ends[end].last_len = 0;
    }
    size_t at = FUZZ_HEADER;
    while (at < len && change_count < FUZZ_EDITS_MAX) {
        size_t used = read_change(script + at, len - at, &changes[change_count]);
        if (used == 0) break;
        at += used;
        change_count++;
    }
    return change_count;
}

/* For the fuzzer's own use: applies an edit, as a script holds it, to `len` bytes of room for `size`. Returns the new length. */
size_t EXPORT(fuzz_edit)(const unsigned char *edit, size_t edit_len, unsigned char *bytes, size_t len, size_t size)
{
    fuzz_change change;
    return read_change(edit, edit_len, &change) == 0 ? len : fuzz_apply(&change, bytes, len, size);
}

/* ---- Records --------------------------------------------------------------------------------------- */

typedef struct {
    unsigned char *bytes;
    size_t len, size;
} output;

static void put(output *out, const unsigned char *bytes, size_t len)
{
    if (len > out->size - out->len) return;
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static size_t header_size(void)
{
    return has_datagrams ? 13 : 5;
}

/* A record with `len` bytes behind the header that `record` has. */
static void put_record(output *out, const unsigned char *record, const unsigned char *body, size_t len)
{
    size_t size = header_size();
    unsigned char header[13];
    memcpy(header, record, size);
    MBEDTLS_PUT_UINT16_BE(len, header, size - 2);
    put(out, header, size);
    put(out, body, len);
}

/* Edits one record in place. Returns its length; 0: nothing of it is left. */
static size_t change_record(int end, const fuzz_change *change, unsigned char *record, size_t len, output *out)
{
    size_t size = header_size();
    unsigned char *body = record + size;
    size_t body_len = len - size;
    switch (change->op) {
        case OP_DROP:
            return 0;
        case OP_TYPE:
            record[0] = (unsigned char) change->b;
            return len;
        case OP_DOUBLE:
            for (int i = 0; i <= (change->b & 3); i++) put(out, record, len);
            return len;
        case OP_HOLD:
        case OP_MERGE:
            if (ends[end].held_len != 0) return len;
            memcpy(ends[end].held, record, len);
            ends[end].held_len = len;
            ends[end].merges = change->op == OP_MERGE;
            return 0;
        case OP_SPLIT:
            if (body_len < 2) return len;
            put_record(out, record, body, 1 + change->a % (body_len - 1));
            put_record(out, record, body + 1 + change->a % (body_len - 1), body_len - 1 - change->a % (body_len - 1));
            return 0;
        case OP_LENGTH:
            MBEDTLS_PUT_UINT16_BE(change->b, record, size - 2);
            return len;
        case OP_VERSION:
            MBEDTLS_PUT_UINT16_BE(change->b, record, 1);
            return len;
        case OP_INJECT: {
            unsigned char header[13];
            memcpy(header, record, size);
            header[0] = (unsigned char) change->a;
            put_record(out, header, change->payload, change->len);
            return len;
        }
        case OP_REFLECT:
            if (ends[!end].last_len == 0) return len;
            memcpy(record, ends[!end].last, ends[!end].last_len);
            return ends[!end].last_len;
        case OP_CUT:
            ends[end].cut = 1;
            put(out, record, change->a % len);
            return 0;
        default:
            break;
    }
    /* Edits of a message want its body: in the clear, behind the header of the first message of the record. */
    size_t inside = 0, header = has_datagrams ? 12 : 4;
    if (change->op >= OP_EXT_REMOVE && record[0] == MBEDTLS_SSL_MSG_HANDSHAKE && body_len > header &&
        ((size_t) body[2] << 8 | body[3]) == body_len - header) {
        inside = header;
    }
    size_t changed = inside + fuzz_apply(change, body + inside, body_len - inside, 16384 + 512);
    if (inside != 0) {
        MBEDTLS_PUT_UINT16_BE(changed - inside, body, 2);
        if (has_datagrams) MBEDTLS_PUT_UINT16_BE(changed - inside, body, 10);
    }
    MBEDTLS_PUT_UINT16_BE(changed, record, size - 2);
    return size + changed;
}

/* What comes of one record. */
static void carry_record(int end, const unsigned char *bytes, size_t len, output *out)
{
    static unsigned char record[RECORD_MAX + 16384 + 512];
    memcpy(record, bytes, len);
    size_t size = header_size();
    int holds = ends[end].held_len != 0;
    unsigned index = ends[end].records++;
    for (int i = 0; i < change_count && len >= size && !ends[end].cut; i++) {
        const fuzz_change *change = &changes[i];
        if (change->layer != FUZZ_WIRE || change->end != end || change->index != index) continue;
        len = change_record(end, change, record, len, out);
    }
    if (len < size || ends[end].cut) return;
    memcpy(ends[end].last, bytes, len < RECORD_MAX ? size : 0);
    if (len <= RECORD_MAX) memcpy(ends[end].last, record, len);
    ends[end].last_len = len <= RECORD_MAX ? len : 0;
    if (holds && ends[end].merges && ends[end].held[0] == record[0]) {
        unsigned char *held = ends[end].held;
        if (len - size <= RECORD_MAX - ends[end].held_len && len - size + ends[end].held_len - size <= 65535) {
            memcpy(held + ends[end].held_len, record + size, len - size);
            put_record(out, held, held + size, ends[end].held_len - size + len - size);
            ends[end].held_len = 0;
            return;
        }
    }
    put(out, record, len);
    if (!holds) return;
    put(out, ends[end].held, ends[end].held_len);
    ends[end].held_len = 0;
}

size_t EXPORT(fuzz_carry)(int end, const unsigned char *packet, size_t len, unsigned char *out, size_t size, int *cut)
{
    output carried = { out, 0, size };
    end &= 1;
    size_t header = header_size();
    while (len >= header && !ends[end].cut) {
        size_t one = header + MBEDTLS_GET_UINT16_BE(packet, header - 2);
        if (one > len) one = len;
        carry_record(end, packet, one, &carried);
        packet += one;
        len -= one;
    }
    *cut = ends[end].cut;
    return carried.len;
}

/* ---- Messages -------------------------------------------------------------------------------------- */

/*
 * Edits a message that is to be sent: `len` bytes behind its header. Returns the new length; -1: it is not to be sent.
 */
static long change_message(mbedtls_ssl_context *ssl, size_t len)
{
    int end = ssl->conf->endpoint == MBEDTLS_SSL_IS_SERVER;
    if (ssl->out_msgtype != MBEDTLS_SSL_MSG_HANDSHAKE) return (long) len;
    unsigned index = ends[end].messages++;
    for (int i = 0; i < change_count; i++) {
        const fuzz_change *change = &changes[i];
        if (change->layer != FUZZ_MESSAGE || change->end != end || change->index != index) continue;
        /* DTLS: mbedTLS takes for granted that a flight has a message, and a HelloRequest is not put into one. */
        if (change->op == OP_DROP && !has_datagrams) return -1;
        if (change->op == OP_TYPE && !(has_datagrams && (change->b & 255) == 0)) ssl->out_msg[0] = (unsigned char) change->b;
        /* Room for the header, and for what DTLS puts behind it. */
        len = fuzz_apply(change, ssl->out_msg + 4, len, MBEDTLS_SSL_OUT_CONTENT_LEN - 12);
    }
    return (long) len;
}

int __real_mbedtls_ssl_write_handshake_msg_ext(mbedtls_ssl_context *ssl, int update_checksum, int force_flush);
int __wrap_mbedtls_ssl_write_handshake_msg_ext(mbedtls_ssl_context *ssl, int update_checksum, int force_flush);
int __real_mbedtls_ssl_finish_handshake_msg(mbedtls_ssl_context *ssl, size_t buf_len, size_t msg_len);
int __wrap_mbedtls_ssl_finish_handshake_msg(mbedtls_ssl_context *ssl, size_t buf_len, size_t msg_len);

/* TLS 1.2: what was edited goes into the hash of the handshake, so that its end agrees. */
int __wrap_mbedtls_ssl_write_handshake_msg_ext(mbedtls_ssl_context *ssl, int update_checksum, int force_flush)
{
    long len = ssl->out_msglen < 4 ? (long) ssl->out_msglen - 4 : change_message(ssl, ssl->out_msglen - 4);
    if (ssl->out_msglen >= 4 && len < 0) return 0;
    ssl->out_msglen = (size_t) (len + 4);
    return __real_mbedtls_ssl_write_handshake_msg_ext(ssl, update_checksum, force_flush);
}

/* TLS 1.3, and each ClientHello. */
int __wrap_mbedtls_ssl_finish_handshake_msg(mbedtls_ssl_context *ssl, size_t buf_len, size_t msg_len)
{
    long len = change_message(ssl, msg_len);
    return len < 0 ? 0 : __real_mbedtls_ssl_finish_handshake_msg(ssl, buf_len, (size_t) len);
}
