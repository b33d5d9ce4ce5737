/*
 * mbedTLS with the device's configuration as a program of 32 bits, for Linux on x86: a client and a server in one thread.
 * It counts the heap of one of them, by a counter of its own, and its multiplications of big numbers; bench/device.ts
 * compares them with those of core.esp32.wasm.
 *
 * It needs no C library, of which few machines have one of 32 bits: what mbedTLS takes from one is here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mbedtls/platform.h"
#include "mbedtls/ssl.h"
#include "mbedtls/x509_crt.h"
#include "psa/crypto.h"

/* ---- The kernel ------------------------------------------------------------------------------------ */

enum { SYS_EXIT = 1, SYS_READ = 3, SYS_WRITE = 4 };

static int ask_kernel(int call, int a, int b, int c)
{
    int ret;
    __asm__ volatile("int $0x80" : "=a"(ret) : "a"(call), "b"(a), "c"(b), "d"(c) : "memory");
    return ret;
}

void exit(int code)
{
    for (;;) ask_kernel(SYS_EXIT, code, 0, 0);
}

static void print(const char *text)
{
    ask_kernel(SYS_WRITE, 1, (int) text, (int) strlen(text));
}

static void print_number(unsigned n)
{
    char digits[12];
    char *at = digits + sizeof(digits) - 1;
    *at = 0;
    do *--at = (char) ('0' + n % 10); while ((n /= 10) != 0);
    print(at);
    print(" ");
}

static void fail(const char *what, int code)
{
    print("Cannot ");
    print(what);
    print(": -");
    print_number((unsigned) -code);
    exit(1);
}

/* ---- What mbedTLS takes from a C library ----------------------------------------------------------- */

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;
    if (d < s) for (size_t i = 0; i < n; i++) d[i] = s[i];
    else while (n-- > 0) d[n] = s[n];
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    return memmove(to, from, n);
}

void *memset(void *to, int byte, size_t n)
{
    for (char *d = to; n > 0; n--) *d++ = (char) byte;
    return to;
}

void explicit_bzero(void *to, size_t n)
{
    memset(to, 0, n);
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (; n > 0; n--, x++, y++) if (*x != *y) return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n] != 0) n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    size_t n = strlen(a) + 1;
    for (size_t i = 0; i < n; i++) if (a[i] != b[i]) return (unsigned char) a[i] - (unsigned char) b[i];
    return 0;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i] || a[i] == 0) return (unsigned char) a[i] - (unsigned char) b[i];
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char) c; s++) if (*s == 0) return NULL;
    return (char *) s;
}

char *strstr(const char *s, const char *part)
{
    for (size_t n = strlen(part); *s != 0; s++) if (strncmp(s, part, n) == 0) return (char *) s;
    return NULL;
}

/* In a handshake nobody prints, nobody asks for the date, and localhost is no address. */
int snprintf(char *out, size_t size, const char *format, ...)
{
    (void) format;
    if (size > 0) out[0] = 0;
    return 0;
}

int vsnprintf(char *out, size_t size, const char *format, va_list args)
{
    (void) args;
    return snprintf(out, size, format);
}

int printf(const char *format, ...)
{
    (void) format;
    return 0;
}

struct tm *gmtime_r(const time_t *time, struct tm *out)
{
    (void) time;
    return memset(out, 0, sizeof(*out));
}

int inet_pton(int family, const char *text, void *out)
{
    (void) family, (void) text, (void) out;
    return 0;
}

/* From libgcc, of which there is one for 64 bits. */
uint64_t __udivmoddi4(uint64_t n, uint64_t by, uint64_t *rest)
{
    uint64_t quotient = 0, left = 0;
    for (int bit = 63; bit >= 0; bit--) {
        left = left << 1 | (n >> bit & 1);
        if (left < by) continue;
        left -= by;
        quotient |= (uint64_t) 1 << bit;
    }
    if (rest != NULL) *rest = left;
    return quotient;
}

uint64_t __udivdi3(uint64_t n, uint64_t by)
{
    return __udivmoddi4(n, by, NULL);
}

uint64_t __umoddi3(uint64_t n, uint64_t by)
{
    uint64_t rest;
    __udivmoddi4(n, by, &rest);
    return rest;
}

int64_t __divdi3(int64_t n, int64_t by)
{
    uint64_t quotient = __udivdi3(n < 0 ? -(uint64_t) n : (uint64_t) n, by < 0 ? -(uint64_t) by : (uint64_t) by);
    return (n < 0) != (by < 0) ? (int64_t) -quotient : (int64_t) quotient;
}

int64_t __moddi3(int64_t n, int64_t by)
{
    return n - __divdi3(n, by) * by;
}

/* ---- What the configuration asks for --------------------------------------------------------------- */

static unsigned char arena[1 << 26] __attribute__((aligned(16))); /* bytes; nothing is used twice */
static size_t arena_used;
static int counted; /* whether the end whose turn it is, is the one that counts */
static unsigned live, peak, multiplications;

typedef struct {
    size_t size;
    int counted;
    size_t unused[2];
} header;

/* As wasm/device/heap.c says of ESP-IDF's heap. */
static unsigned bytes_of(size_t size)
{
    size_t rounded = (size + 3) / 4 * 4;
    return 4 + (unsigned) (rounded < 12 ? 12 : rounded);
}

void *tlsio_calloc(size_t count, size_t size)
{
    size_t bytes = count * size, whole = (sizeof(header) + bytes + 15) / 16 * 16;
    if (whole > sizeof(arena) - arena_used) return NULL;
    header *block = (header *) (arena + arena_used);
    arena_used += whole;
    memset(block, 0, whole);
    *block = (header) { .size = bytes, .counted = counted };
    if (counted) live += bytes_of(bytes);
    if (live > peak) peak = live;
    return block + 1;
}

void tlsio_free(void *p)
{
    if (p != NULL && ((header *) p - 1)->counted) live -= bytes_of(((header *) p - 1)->size);
}

void *calloc(size_t count, size_t size)
{
    return tlsio_calloc(count, size);
}

void free(void *p)
{
    tlsio_free(p);
}

time_t tlsio_time(time_t *out)
{
    if (out != NULL) *out = 0;
    return 0;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return 0;
}

/* What is random does not matter here. */
static int random_bytes(void *unused, unsigned char *bytes, size_t n)
{
    static uint32_t state = 1;
    (void) unused;
    for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char) ((state = state * 1664525 + 1013904223) >> 24);
    return 0;
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *unused, uint8_t *bytes, size_t size,
                                             size_t *length)
{
    (void) unused;
    *length = size;
    return random_bytes(NULL, bytes, size);
}

int __real_mbedtls_mpi_mul_mpi(mbedtls_mpi *x, const mbedtls_mpi *a, const mbedtls_mpi *b);
int __wrap_mbedtls_mpi_mul_mpi(mbedtls_mpi *x, const mbedtls_mpi *a, const mbedtls_mpi *b)
{
    multiplications += (unsigned) counted;
    return __real_mbedtls_mpi_mul_mpi(x, a, b);
}

/* ---- A handshake ----------------------------------------------------------------------------------- */

typedef struct {
    unsigned char bytes[65536];
    size_t read, written;
} wire;

static wire up, down;

static int put(wire *to, const unsigned char *bytes, size_t n)
{
    if (n > sizeof(to->bytes) - to->written) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    memcpy(to->bytes + to->written, bytes, n);
    to->written += n;
    return (int) n;
}

static int take(wire *from, unsigned char *bytes, size_t n)
{
    size_t there = from->written - from->read;
    if (there == 0) return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > there) n = there;
    memcpy(bytes, from->bytes + from->read, n);
    from->read += n;
    return (int) n;
}

static int client_send(void *unused, const unsigned char *bytes, size_t n) { (void) unused; return put(&up, bytes, n); }
static int client_recv(void *unused, unsigned char *bytes, size_t n) { (void) unused; return take(&down, bytes, n); }
static int server_send(void *unused, const unsigned char *bytes, size_t n) { (void) unused; return put(&down, bytes, n); }
static int server_recv(void *unused, unsigned char *bytes, size_t n) { (void) unused; return take(&up, bytes, n); }

static void check(const char *what, int ret)
{
    if (ret < 0) fail(what, ret);
}

/* Reads a number of four bytes, and so many bytes. */
static unsigned char *read_input(size_t *len)
{
    unsigned char n[4];
    if (ask_kernel(SYS_READ, 0, (int) n, 4) != 4) fail("read", 0);
    *len = (size_t) (n[0] | n[1] << 8 | n[2] << 16);
    unsigned char *bytes = tlsio_calloc(1, *len);
    for (size_t at = 0; at < *len; ) {
        int got = ask_kernel(SYS_READ, 0, (int) (bytes + at), (int) (*len - at));
        if (got <= 0) fail("read", 0);
        at += (size_t) got;
    }
    return bytes;
}

static void set_up(mbedtls_ssl_context *ssl, mbedtls_ssl_config *config, int endpoint)
{
    mbedtls_ssl_init(ssl);
    mbedtls_ssl_config_init(config);
    check("configure", mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                   MBEDTLS_SSL_PRESET_DEFAULT));
    mbedtls_ssl_conf_rng(config, random_bytes, NULL);
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
}

/* Input: which end counts (one byte), certificate and key, PEM with their NUL. Output: peak, live, multiplications. */
static void run(void)
{
    unsigned char end;
    if (ask_kernel(SYS_READ, 0, (int) &end, 1) != 1) fail("read", 0);
    size_t chain_len, key_len;
    const unsigned char *chain = read_input(&chain_len), *key = read_input(&key_len);
    int counts_server = end == 's';

    mbedtls_ssl_context client, server;
    mbedtls_ssl_config client_config, server_config;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context private;
    mbedtls_x509_crt_init(&certificate);
    mbedtls_pk_init(&private);
    set_up(&client, &client_config, MBEDTLS_SSL_IS_CLIENT);
    set_up(&server, &server_config, MBEDTLS_SSL_IS_SERVER);
    check("parse the certificate", -mbedtls_x509_crt_parse(&certificate, chain, chain_len));
    check("parse the key", mbedtls_pk_parse_key(&private, key, key_len, NULL, 0, random_bytes, NULL));
    check("use them", mbedtls_ssl_conf_own_cert(&server_config, &certificate, &private));

    counted = counts_server;
    check("set up", mbedtls_ssl_setup(&server, &server_config));
    counted = !counts_server;
    check("set up", mbedtls_ssl_setup(&client, &client_config));
    counted = 0;
    check("name the host", mbedtls_ssl_set_hostname(&client, "localhost"));
    mbedtls_ssl_set_bio(&client, NULL, client_send, client_recv, NULL);
    mbedtls_ssl_set_bio(&server, NULL, server_send, server_recv, NULL);
    for (int open = 0; open < 2; ) {
        open = 0;
        for (int is_server = 0; is_server < 2; is_server++) {
            counted = is_server == counts_server;
            int ret = mbedtls_ssl_handshake(is_server ? &server : &client);
            if (ret != 0 && ret != MBEDTLS_ERR_SSL_WANT_READ) fail("complete the handshake", ret);
            open += ret == 0;
        }
    }
    print_number(peak);
    print_number(live);
    print_number(multiplications);
    exit(0);
}

void begin(void)
{
    run();
}

__asm__(".globl _start\n_start: and $-16, %esp\n call begin\n");
