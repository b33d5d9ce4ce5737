/*
 * mbedTLS as a native library: the harness of our test cores (wasm/harness/), and here what it asks of a host, and pairs of
 * connections in one thread with arrays for wires, as bench/memory.ts makes them of ours. Called by native.ts.
 */
#include "tlsio.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "mbedtls/entropy.h"
#include "mbedtls/ssl_ticket.h"

#define WIRE 131072 /* bytes: the flights of any handshake, and the records of one write */
#define WRITE 65536 /* bytes per write in bulk */

/* ---- The host -------------------------------------------------------------------------------------- */

int entropy(unsigned char *bytes, size_t len)
{
    for (size_t got = 0; got < len; ) {
        ssize_t n = getrandom(bytes + got, len - got, 0);
        if (n < 0) return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        got += (size_t) n;
    }
    return 0;
}

double clock_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double) time.tv_sec * 1e3 + (double) time.tv_nsec / 1e6;
}

static double cpu(void) /* seconds of this thread */
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

/* ---- Both ends, as a program makes them once ------------------------------------------------------- */

struct ends {
    mbedtls_ssl_config client, server;
    mbedtls_x509_crt chain, ca;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
    int suites[2];
    double checked; /* certificates, by the client: a handshake that resumes has none */
};

static const uint16_t GROUPS[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519, 0};

static int count_check(void *ends, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    (void) crt;
    (void) flags;
    if (depth == 0) ((struct ends *) ends)->checked++;
    return 0;
}

static int prepare(struct ends *ends, mbedtls_ssl_config *config, int side, int version)
{
    mbedtls_ssl_config_init(config);
    int code = mbedtls_ssl_config_defaults(config, side, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(config, tlsio_rng, NULL);
    mbedtls_ssl_conf_min_tls_version(config, (mbedtls_ssl_protocol_version) version);
    mbedtls_ssl_conf_max_tls_version(config, (mbedtls_ssl_protocol_version) version);
    mbedtls_ssl_conf_groups(config, GROUPS);
    if (ends->suites[0] != 0) mbedtls_ssl_conf_ciphersuites(config, ends->suites);
    return code;
}

/* Makes both ends of a version (0x0303 or 0x0304) with PEM strings, and an IANA suite unless 0. NULL: cannot. */
struct ends *EXPORT(native_ends)(int version, const char *chain, const char *key, const char *ca, int suite)
{
    struct ends *ends = calloc(1, sizeof *ends);
    if (ends == NULL) return NULL;
    ends->suites[0] = suite;
    mbedtls_x509_crt_init(&ends->chain);
    mbedtls_x509_crt_init(&ends->ca);
    mbedtls_pk_init(&ends->key);
    mbedtls_ssl_ticket_init(&ends->tickets);
    int code = prepare(ends, &ends->client, MBEDTLS_SSL_IS_CLIENT, version) |
               prepare(ends, &ends->server, MBEDTLS_SSL_IS_SERVER, version) |
               mbedtls_x509_crt_parse(&ends->chain, (const unsigned char *) chain, strlen(chain) + 1) |
               mbedtls_x509_crt_parse(&ends->ca, (const unsigned char *) ca, strlen(ca) + 1) |
               mbedtls_pk_parse_key(&ends->key, (const unsigned char *) key, strlen(key) + 1, NULL, 0, tlsio_rng, NULL);
    code |= mbedtls_ssl_conf_own_cert(&ends->server, &ends->chain, &ends->key);
    code |= mbedtls_ssl_ticket_setup(&ends->tickets, tlsio_rng, NULL, MBEDTLS_CIPHER_AES_256_GCM, 86400);
    mbedtls_ssl_conf_session_tickets_cb(&ends->server, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                        &ends->tickets);
    mbedtls_ssl_conf_new_session_tickets(&ends->server, 1);
    mbedtls_ssl_conf_ca_chain(&ends->client, &ends->ca, NULL);
    mbedtls_ssl_conf_authmode(&ends->client, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_verify(&ends->client, count_check, ends);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &ends->client, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return code == 0 ? ends : NULL;
}

/* ---- A connection: two contexts, two wires --------------------------------------------------------- */

struct wire {
    unsigned char bytes[WIRE];
    size_t from, to;
    double moved;
};

struct end {
    mbedtls_ssl_context ssl;
    struct wire *out, *in;
    double seconds;
};

static struct wire up, down;

static int on_send(void *context, const unsigned char *bytes, size_t len)
{
    struct wire *wire = ((struct end *) context)->out;
    if (wire->from == wire->to) wire->from = wire->to = 0;
    if (len > WIRE - wire->to) return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(wire->bytes + wire->to, bytes, len);
    wire->to += len;
    wire->moved += (double) len;
    return (int) len;
}

static int on_receive(void *context, unsigned char *bytes, size_t len)
{
    struct wire *wire = ((struct end *) context)->in;
    size_t n = wire->to - wire->from < len ? wire->to - wire->from : len;
    if (n == 0) return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(bytes, wire->bytes + wire->from, n);
    wire->from += n;
    return (int) n;
}

static int open_end(struct end *end, const mbedtls_ssl_config *config, struct wire *out, struct wire *in)
{
    *end = (struct end){.out = out, .in = in};
    mbedtls_ssl_init(&end->ssl);
    mbedtls_ssl_set_bio(&end->ssl, end, on_send, on_receive, NULL);
    return mbedtls_ssl_setup(&end->ssl, config);
}

/* Drives one end as far as it goes. */
static int advance(struct end *end)
{
    if (mbedtls_ssl_is_handshake_over(&end->ssl)) return 0;
    double start = cpu();
    int code = mbedtls_ssl_handshake(&end->ssl);
    end->seconds += cpu() - start;
    return code == MBEDTLS_ERR_SSL_WANT_READ ? 0 : code;
}

static int connect_ends(struct ends *ends, struct end *client, struct end *server, const mbedtls_ssl_session *session)
{
    up = down = (struct wire){0};
    int code = open_end(client, &ends->client, &up, &down);
    if (code == 0) code = open_end(server, &ends->server, &down, &up);
    if (code == 0) code = mbedtls_ssl_set_hostname(&client->ssl, "localhost");
    if (code == 0 && session != NULL) code = mbedtls_ssl_set_session(&client->ssl, session);
    while (code == 0 &&
           !(mbedtls_ssl_is_handshake_over(&client->ssl) && mbedtls_ssl_is_handshake_over(&server->ssl))) {
        code = advance(client);
        if (code == 0) code = advance(server);
    }
    return code;
}

static void close_ends(struct end *client, struct end *server)
{
    mbedtls_ssl_free(&client->ssl);
    mbedtls_ssl_free(&server->ssl);
}

/* Reads all that has come, tickets too. Returns the bytes, or a negative code. */
static int drain(struct end *end, unsigned char *buffer)
{
    for (int all = 0;;) {
        int n = mbedtls_ssl_read(&end->ssl, buffer, WRITE);
        int ticket = end->ssl.state != MBEDTLS_SSL_HANDSHAKE_OVER; /* has come, and the next call takes it */
        if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET || (n == MBEDTLS_ERR_SSL_WANT_READ && ticket)) continue;
        if (n == MBEDTLS_ERR_SSL_WANT_READ) return all;
        if (n < 0) return n;
        all += n;
    }
}

static unsigned char plaintext[WRITE], received[WRITE];

/* A session of a full handshake. */
static int get_session(struct ends *ends, mbedtls_ssl_session *session)
{
    struct end client, server;
    mbedtls_ssl_session_init(session);
    int code = connect_ends(ends, &client, &server, NULL);
    if (code == 0) code = drain(&client, received);
    if (code == 0) code = mbedtls_ssl_get_session(&client.ssl, session);
    close_ends(&client, &server);
    return code;
}

/* ---- Measurements ---------------------------------------------------------------------------------- */

/*
 * Handshakes for `ms` milliseconds, made and freed; resumed ones have a session from before. `out`: how many, how many
 * certificates were checked, and of all together the CPU seconds, those of each end's steps, and the bytes of each.
 */
int EXPORT(native_handshakes)(struct ends *ends, int resume, double ms, double out[7])
{
    mbedtls_ssl_session session;
    int code = resume ? get_session(ends, &session) : 0;
    memset(out, 0, 7 * sizeof *out);
    double start = cpu();
    ends->checked = 0;
    for (double end = clock_ms() + ms; code == 0 && (out[0] < 2 || clock_ms() < end); out[0]++) {
        struct end client, server;
        code = connect_ends(ends, &client, &server, resume ? &session : NULL);
        out[3] += client.seconds, out[4] += server.seconds;
        out[5] += up.moved, out[6] += down.moved;
        close_ends(&client, &server);
    }
    out[1] = ends->checked;
    out[2] = cpu() - start;
    if (resume) mbedtls_ssl_session_free(&session);
    return code;
}

/* Writes of `size` bytes from the server to the client for `ms`. `out`: bytes, CPU seconds of writing and of reading. */
int EXPORT(native_records)(struct ends *ends, unsigned size, double ms, double out[3])
{
    struct end client, server;
    int code = connect_ends(ends, &client, &server, NULL);
    memset(out, 0, 3 * sizeof *out);
    if (code == 0) code = drain(&client, received);
    size_t batch = size < 1024 ? 64 * size : WRITE; /* the clock costs as much as a short record */
    for (double end = clock_ms() + ms; code == 0 && clock_ms() < end; out[0] += (double) batch) {
        double start = cpu();
        for (size_t sent = 0; code == 0 && sent < batch; ) {
            int n = mbedtls_ssl_write(&server.ssl, plaintext, size < batch - sent ? size : batch - sent);
            if (n < 0) code = n;
            else sent += (size_t) n;
        }
        double written = cpu();
        if (code == 0) code = drain(&client, received) == (int) batch ? 0 : MBEDTLS_ERR_SSL_INVALID_RECORD;
        out[1] += written - start;
        out[2] += cpu() - written;
    }
    close_ends(&client, &server);
    return code;
}
