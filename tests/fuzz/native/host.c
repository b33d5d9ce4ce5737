/*
 * The host's side: what lib/core.ts imports into the core.
 */
#include "native.h"

#include <stdio.h>
#include <stdlib.h>

double now;
wire wires[2];
static uint32_t state;

void give_up(const char *why)
{
    fprintf(stderr, "FOUND: %s\n", why);
    abort();
}

void rewind_host(unsigned seed)
{
    state = seed;
    now = 1893499200000.0; /* noon of the first day of 2030, as in tests/pair.ts */
}

int entropy(unsigned char *bytes, size_t len) /* mulberry32, as there */
{
    for (size_t i = 0; i < len; i++) {
        state += 0x6d2b79f5u;
        uint32_t t = (state ^ state >> 15) * (1 | state);
        t = (t + (t ^ t >> 7) * (61 | t)) ^ t;
        bytes[i] = (unsigned char) ((t ^ t >> 14) >> 16);
    }
    return 0;
}

double clock_ms(void)
{
    return now;
}

static wire *wire_of(const connection *conn)
{
    for (int end = 0; end < 2; end++) {
        if (wires[end].conn == conn) return &wires[end];
    }
    give_up("the core asks for a connection that is none");
}

int bio_send(connection *conn, const unsigned char *bytes, size_t len)
{
    wire *to = wire_of(conn);
    size_t need = len + (to->is_datagram ? 4 : 0); /* datagrams lie behind their lengths */
    if (need > OUT_MAX - to->out_len) return (int) len; /* nobody reads so much */
    if (to->is_datagram) {
        uint32_t size = (uint32_t) len;
        memcpy(to->out + to->out_len, &size, 4);
        to->out_len += 4;
    }
    memcpy(to->out + to->out_len, bytes, len);
    to->out_len += len;
    return (int) len;
}

int bio_recv(connection *conn, unsigned char *bytes, size_t len)
{
    wire *from = wire_of(conn);
    size_t left = from->in_len - from->in_at;
    if (left == 0) return from->at_end ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    if (len > left) len = left;
    memcpy(bytes, from->in + from->in_at, len);
    from->in_at = from->is_datagram ? from->in_len : from->in_at + len; /* the rest of a datagram is lost */
    return (int) len;
}

/* Reads all of a result, so that a sanitizer sees a pointer to nowhere. */
static volatile unsigned char sink;

static void touch(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) sink ^= bytes[i];
}

void key_log(connection *conn, int type, const unsigned char *secret, size_t len, const unsigned char client_random[32])
{
    (void) conn;
    (void) type;
    touch(secret, len);
    touch(client_random, 32);
}

void early_data(connection *conn, const unsigned char *bytes, size_t len)
{
    (void) conn;
    touch(bytes, len);
}

int early_claim(const unsigned char id[16], double created, double window)
{
    (void) created;
    (void) window;
    touch(id, 16);
    return 1;
}

void trace(connection *conn, int received, int type, int code, size_t len, int encrypted)
{
    (void) conn;
    (void) received;
    (void) type;
    (void) code;
    (void) len;
    (void) encrypted;
}

int verify_certificate(connection *conn, const unsigned char *der, size_t len, int depth)
{
    (void) conn;
    (void) depth;
    touch(der, len);
    return 0;
}

int psk_key(connection *conn, const unsigned char *identity, size_t len, unsigned char *key, size_t size)
{
    (void) conn;
    (void) key;
    (void) size;
    touch(identity, len);
    return 0;
}

/* A signature by its form alone: who asks for it is an impostor. */
int sign_hash(connection *conn, int signer, int scheme, const unsigned char *hash, size_t len, unsigned char *signature,
              size_t size)
{
    (void) conn;
    (void) signer;
    (void) scheme;
    touch(hash, len);
    if (size < 70) return 0;
    memset(signature, 17, 70);
    memcpy(signature, "\x30\x44\x02\x20", 4);
    memcpy(signature + 36, "\x02\x20", 2);
    return 70;
}
