/*
 * A connection that a script meddles with, as tests/fuzz/handshake.ts has it.
 */
#include "native.h"

#define ROUNDS_MAX 200
#define TIMEOUTS_MAX 6
#define SAMPLE 20000

static const unsigned char CLIENT_ID[] = "192.0.2.1 5684";
static unsigned char text[4000], sample[SAMPLE], carried[OUT_MAX];

typedef struct {
    int failed, done;
    size_t written, read;
    int closed, cut;
} side;

static side sides[2];
static int in_steps; /* the server signs so: what the client sends comes amid it */
static int gives_up; /* and goes away amid it */
static int worked;   /* it has more steps to do */
static const size_t LENGTH[2] = { 700, 3000 }; /* bytes that each end writes */

static void open_end(const scenario *one, int end)
{
    wire *w = &wires[end];
    if (w->conn != NULL) connection_free(w->conn);
    w->conn = connection_new(one->configs[end]);
    if (w->conn == NULL) give_up("there is no connection");
    w->is_datagram = one->datagrams;
    if (one->datagrams) connection_use_datagrams(w->conn, 1200, end ? CLIENT_ID : NULL, end ? sizeof(CLIENT_ID) - 1 : 0);
    if (end == 0) {
        connection_set_host(w->conn, (const char *) one->host, 1);
        if (one->session_len > 0) connection_offer_session(w->conn, one->session, one->session_len);
    }
}

static void ask(connection *conn)
{
    connection_facts(conn);
    connection_alpn(conn);
    connection_sni(conn);
    unsigned char *out = mbedtls_calloc(1, 16384);
    for (size_t i = 0; i < 4; i++) {
        int len = connection_peer(conn, i, out, 16384);
        if (len > 0 && len <= 16384) {
            unsigned char fields[16384];
            certificate_fields(out, (size_t) len, fields, sizeof(fields));
        }
        connection_chain(conn, i, out, 16384);
    }
    connection_session(conn, out, 16384);
    connection_session_facts(conn, out, 16384);
    mbedtls_free(out);
}

static void write_some(const scenario *one, int end)
{
    side *me = &sides[end];
    connection *conn = wires[end].conn;
    size_t half = LENGTH[end] / 2, goal = me->written < half ? half : LENGTH[end];
    if (me->closed) return;
    if (me->written == half) connection_update_key(conn, end == 0); /* TLS 1.2 refuses */
    if (me->written < goal) {
        size_t len = goal - me->written;
        if (one->datagrams && len > 1000) len = 1000;
        int n = connection_write(conn, text + me->written, len);
        if (n > 0) me->written += (size_t) n;
        else if (n != MBEDTLS_ERR_SSL_WANT_READ) me->failed = 1;
        return;
    }
    if (me->read >= LENGTH[!end]) {
        me->closed = 1;
        connection_close_notify(conn);
    }
}

/* Lets an end use what it has. */
static void use(const scenario *one, int end)
{
    side *me = &sides[end];
    connection *conn = wires[end].conn;
    if (conn == NULL || me->failed) return;
    if (!me->done) {
        int ret = connection_handshake(conn, in_steps);
        if (ret == HANDSHAKE_WORKING) {
            if (!in_steps || end == 0) give_up("there are steps that nobody has asked for");
            worked = 1;
            me->failed = gives_up;
            if (gives_up) connection_alert(conn, 80);
            return;
        }
        if (ret == MBEDTLS_ERR_SSL_WANT_READ) return;
        if (ret == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) { /* the next datagram may bring the cookie */
            open_end(one, end);
            return;
        }
        if (ret < 0) {
            me->failed = 1;
            connection_alert(conn, 80);
            return;
        }
        me->done = 1;
        if ((one->impostors & (end ? 1 : 2)) != 0) give_up("a handshake with an impostor was completed");
        ask(conn);
    }
    for (int reads = 0; reads < 100; reads++) {
        int ret = connection_read(conn, sample, SAMPLE);
        if (ret > 0) {
            me->read += (size_t) ret;
        } else if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            ask(conn);
        } else {
            if (ret == 0 || ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) break;
            if (ret == MBEDTLS_ERR_SSL_WANT_READ) break;
            me->failed = 1;
            return;
        }
    }
    write_some(one, end);
}

static void receive(const scenario *one, int end, const unsigned char *bytes, size_t len)
{
    wire *w = &wires[end];
    if (one->datagrams || w->in_at == w->in_len) w->in_at = w->in_len = 0;
    if (len > OUT_MAX - w->in_len) len = OUT_MAX - w->in_len;
    memcpy(w->in + w->in_len, bytes, len);
    w->in_len += len;
    if (one->datagrams) use(one, end);
}

/* Moves what an end has sent. */
static int carry(const scenario *one, int end)
{
    wire *from = &wires[end];
    if (from->out_len == 0) return 0;
    static unsigned char packets[OUT_MAX];
    size_t len = from->out_len;
    memcpy(packets, from->out, len);
    from->out_len = 0;
    for (size_t at = 0; at < len; ) {
        size_t one_len = len;
        if (one->datagrams) {
            uint32_t size;
            memcpy(&size, packets + at, 4);
            at += 4;
            one_len = size;
        }
        int cut = 0;
        size_t arrives = fuzz_carry(end, packets + at, one_len, carried, sizeof(carried), &cut);
        if (!sides[!end].cut) receive(one, !end, carried, arrives);
        if (cut && !one->datagrams) sides[!end].cut = wires[!end].at_end = 1;
        at += one_len;
    }
    return 1;
}

static int wait_for_timer(void)
{
    int least = -1;
    for (int end = 0; end < 2; end++) {
        if (wires[end].conn == NULL || sides[end].failed || sides[end].done) continue;
        int left = connection_timer(wires[end].conn);
        if (left >= 0 && (least < 0 || left < least)) least = left;
    }
    if (least >= 0) now += least;
    return least >= 0;
}

void run_handshake(const unsigned char *bytes, size_t len)
{
    if (len < FUZZ_HEADER) return;
    const scenario *one = get_scenario(bytes[0]);
    rewind_host(bytes[1]);
    fuzz_begin(bytes, len, one->datagrams);
    memset(sides, 0, sizeof(sides));
    in_steps = bytes[1] >> 1 & 1;
    gives_up = bytes[1] >> 2 & 1;
    for (int end = 0; end < 2; end++) {
        wires[end].in_len = wires[end].in_at = wires[end].out_len = 0;
        wires[end].at_end = 0;
        open_end(one, end);
    }
    if (one->early > 0) connection_write_early(wires[0].conn, text, one->early);
    int timeouts = 0;
    for (int round = 0;; round++) {
        if (round == ROUNDS_MAX) give_up("the ends still talk");
        worked = 0;
        for (int end = 0; end < 2; end++) use(one, end);
        int moved = worked | carry(one, 0);
        moved |= carry(one, 1);
        if (!moved && (!one->datagrams || timeouts++ == TIMEOUTS_MAX || !wait_for_timer())) break;
    }
    for (int end = 0; end < 2; end++) {
        connection_free(wires[end].conn);
        wires[end].conn = NULL;
    }
}

/* Bytes for a server, or for a client that has said hello: of no connection that ever was. */
void run_records(const unsigned char *bytes, size_t len)
{
    if (len < 1) return;
    scenario copy = *get_scenario(bytes[0] >> 1), *one = &copy;
    copy.impostors = 0; /* the bytes may be of an honest peer of another scenario */
    int end = bytes[0] & 1;
    in_steps = gives_up = 0;
    rewind_host(1);
    fuzz_begin(bytes, 0, one->datagrams);
    memset(sides, 0, sizeof(sides));
    wires[end].in_len = wires[end].in_at = wires[end].out_len = 0;
    wires[end].at_end = 0;
    open_end(one, end);
    use(one, end);
    receive(one, end, bytes + 1, len - 1);
    wires[end].at_end = 1;
    for (int i = 0; i < 3; i++) use(one, end);
    connection_free(wires[end].conn);
    wires[end].conn = NULL;
}
