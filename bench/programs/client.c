/*
 * The client that is the same for every server of the bench: OpenSSL over epoll, without Nagle's algorithm.
 *
 *   client COMMAND port=N ca=FILE [pid=N] [version=1.2|1.3] [ciphers=NAMES] [groups=LIST] [http=1] ...
 *
 *   handshakes lanes=N ms=N [resume=1]   each lane: TCP, handshake, a byte there and back, close; again
 *   download bytes=N | upload bytes=N    one connection, 64 KiB at a time
 *   ping-pong lanes=N ms=N size=N        each lane: a message there and back, again and again over one connection
 *   hold count=N                         opens connections, says so, keeps them until its input ends
 *
 * What the server does with a connection is in workload.ts. A line of JSON on stdout has the figures: seconds, and the CPU
 * seconds (user and system) of this process and of process `pid` for the same time. Whatever is not as asked for (a failed
 * check of the certificate, a resumption that did not happen) is a line on stderr and exit status 1; a server that does not
 * resume every session that it gave is exit status 3.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536         /* bytes per write and per read in bulk: four full records */
#define MESSAGE_MAX 16384   /* bytes */
#define ACK 1048576         /* bytes; a server answers each such part of an upload with a byte */
#define STALL 10000         /* milliseconds without any event: a server has stopped */
#define WARM_UP 10          /* round trips of each connection, and handshakes, before the clock starts */
#define NOT_RESUMED 3       /* exit status */
#define HOST "localhost"

static const char *const REQUEST = "GET /64 HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char *const REQUEST_BULK = "GET /bulk HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* ---- what was asked for ---------------------------------------------------------------------------- */

static char **arguments;

static const char *text(const char *name, const char *otherwise)
{
    size_t length = strlen(name);
    for (char **word = arguments; *word != NULL; word++)
        if (strncmp(*word, name, length) == 0 && (*word)[length] == '=') return *word + length + 1;
    return otherwise;
}

static long number(const char *name, long otherwise)
{
    const char *found = text(name, NULL);
    return found == NULL ? otherwise : atol(found);
}

static void fail(int status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    ERR_print_errors_fp(stderr);
    exit(status);
}

/* ---- clocks ---------------------------------------------------------------------------------------- */

static double seconds(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) fail(1, "Cannot read clock: %s", strerror(errno));
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static double now(void) { return seconds(CLOCK_MONOTONIC); }

struct usage { double wall, client, server; };

static struct usage usage(void)
{
    clockid_t server = CLOCK_PROCESS_CPUTIME_ID;
    if (number("pid", 0) != 0 && clock_getcpuclockid(number("pid", 0), &server) != 0)
        fail(1, "Cannot read the CPU time of process %ld", number("pid", 0));
    return (struct usage){now(), seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(server)};
}

static struct usage since(struct usage before)
{
    struct usage after = usage();
    return (struct usage){after.wall - before.wall, after.client - before.client, after.server - before.server};
}

/* ---- latencies ------------------------------------------------------------------------------------- */

static double *latencies;
static long count, room;

static void keep(double latency)
{
    if (count == room) latencies = realloc(latencies, (room = room * 2 + 1024) * sizeof *latencies);
    if (latencies == NULL) fail(1, "Cannot keep latencies: no memory");
    latencies[count++] = latency;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *) a, right = *(const double *) b;
    return (left > right) - (left < right);
}

static double percentile(double part) { return latencies == NULL ? 0 : latencies[(long) (part * (count - 1))]; }

static void report(struct usage spent)
{
    if (latencies != NULL) qsort(latencies, count, sizeof *latencies, ascending);
    printf("{\"count\":%ld,\"seconds\":%.9f,\"clientCpu\":%.9f,\"serverCpu\":%.9f,\"p50\":%.9f,\"p99\":%.9f}\n", count,
           spent.wall, spent.client, spent.server, percentile(0.5), percentile(0.99));
}

/* ---- connections ----------------------------------------------------------------------------------- */

enum state { HANDSHAKE, ASK, ANSWER, DONE };

/* A connection, and what its successor takes over. */
struct lane {
    int socket;
    SSL *ssl;
    SSL_SESSION *session; /* the newest that it was given */
    int offered;          /* whether it asked to resume */
    enum state state;
    double begun;
    int received; /* bytes of the answer so far */
};

static SSL_CTX *context;
static struct sockaddr_in address;
static int poll_set;
static char message[MESSAGE_MAX];
static int message_size;
static int resume;

static int new_session(SSL *ssl, SSL_SESSION *session)
{
    struct lane *lane = SSL_get_app_data(ssl);
    SSL_SESSION_free(lane->session);
    lane->session = session;
    return 1; /* it is ours now */
}

static void prepare(void)
{
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(number("port", 0)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int version = strcmp(text("version", "1.3"), "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    context = SSL_CTX_new(TLS_client_method());
    const char *ciphers = text("ciphers", NULL);
    int set = context != NULL && SSL_CTX_set_min_proto_version(context, version) == 1 &&
              SSL_CTX_set_max_proto_version(context, version) == 1 &&
              SSL_CTX_set1_groups_list(context, text("groups", "P-256:X25519")) == 1 &&
              SSL_CTX_load_verify_locations(context, text("ca", ""), NULL) == 1 &&
              (ciphers == NULL || (version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context, ciphers)
                                                             : SSL_CTX_set_cipher_list(context, ciphers)) == 1);
    if (!set) fail(1, "Cannot prepare client");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    resume = number("resume", 0) != 0;
    if (resume) SSL_CTX_sess_set_new_cb(context, new_session);

    message_size = number("http", 0) ? (int) strlen(REQUEST) : (int) number("size", 1);
    if (message_size < 1 || message_size > MESSAGE_MAX) fail(1, "Cannot send messages of %d bytes", message_size);
    memset(message, 'e', sizeof message);
    if (number("http", 0)) memcpy(message, REQUEST, message_size);
    if ((poll_set = epoll_create1(0)) < 0) fail(1, "Cannot make epoll set: %s", strerror(errno));
}

static void dial(struct lane *lane, int flags)
{
    lane->socket = socket(AF_INET, SOCK_STREAM | flags, 0);
    lane->ssl = SSL_new(context);
    lane->state = HANDSHAKE;
    lane->received = 0;
    if (lane->socket < 0 || lane->ssl == NULL) fail(1, "Cannot open socket: %s", strerror(errno));
    setsockopt(lane->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct timeval patience = {.tv_sec = STALL / 1000}; /* of a blocking socket */
    setsockopt(lane->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(lane->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    lane->begun = now();
    if (connect(lane->socket, (struct sockaddr *) &address, sizeof address) != 0 && errno != EINPROGRESS)
        fail(1, "Cannot connect: %s", strerror(errno));
    SSL_set_app_data(lane->ssl, lane);
    SSL_set_fd(lane->ssl, lane->socket);
    SSL_set_tlsext_host_name(lane->ssl, HOST);
    SSL_set1_host(lane->ssl, HOST);
    SSL_set_connect_state(lane->ssl);
    lane->offered = lane->session != NULL && SSL_set_session(lane->ssl, lane->session) == 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = lane};
    if ((flags & SOCK_NONBLOCK) && epoll_ctl(poll_set, EPOLL_CTL_ADD, lane->socket, &event) != 0)
        fail(1, "Cannot watch socket: %s", strerror(errno));
}

static void hang_up(struct lane *lane)
{
    SSL_shutdown(lane->ssl); /* close_notify; nobody waits for the server's */
    ERR_clear_error();
    SSL_free(lane->ssl);
    close(lane->socket);
}

/* Whether an answer is whole: of an echo by its length; an HTTP response comes in one record. */
static int answered(struct lane *lane) { return number("http", 0) || lane->received >= message_size; }

/* Takes one step. Returns 0 when that has to wait. */
static int step(struct lane *lane)
{
    static char buffer[CHUNK];
    int result = 0;
    switch (lane->state) {
        case HANDSHAKE: result = SSL_do_handshake(lane->ssl); break;
        case ASK: result = SSL_write(lane->ssl, message, message_size); break;
        case ANSWER: result = SSL_read(lane->ssl, buffer, sizeof buffer); break;
        case DONE: return 0;
    }
    if (result <= 0) {
        int error = SSL_get_error(lane->ssl, result);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
        fail(1, "Cannot go on in state %d: error %d, %s", lane->state, error, strerror(errno));
    }
    if (lane->state == HANDSHAKE && SSL_session_reused(lane->ssl) != lane->offered)
        fail(lane->offered ? NOT_RESUMED : 1, lane->offered ? "the server refuses some of the sessions that it gave"
                                                            : "Cannot use connection: the server resumed unasked");
    if (lane->state == ANSWER) {
        lane->received += result;
        if (!answered(lane)) return 1;
    }
    lane->state++;
    return 1;
}

/* Takes the steps to a state over a blocking socket. */
static void go_on(struct lane *lane, enum state until)
{
    while (lane->state != until)
        if (!step(lane)) fail(1, "Cannot go on in state %d: nothing happens", lane->state);
}

/* A connection with its first answer read: in TLS 1.3 the tickets have come with it. */
static void dial_and_ask(struct lane *lane)
{
    dial(lane, 0);
    go_on(lane, DONE);
}

/* Runs `advance` for every lane that can go on, until no lane is live. */
static void run(int live, int (*advance)(struct lane *))
{
    struct epoll_event events[256];
    while (live > 0) {
        int ready = epoll_wait(poll_set, events, 256, STALL);
        if (ready == 0) fail(1, "Cannot go on: nothing happens on %d connections", live);
        for (int i = 0; i < ready; i++) live -= advance(events[i].data.ptr);
    }
}

/* ---- commands -------------------------------------------------------------------------------------- */

static double end;

/* Returns 1 when the lane has ended. */
static int handshake_lane(struct lane *lane)
{
    if (lane->state == DONE) return 0; /* an event from before it hung up */
    while (step(lane));
    if (lane->state != DONE) return 0;
    keep(now() - lane->begun);
    hang_up(lane);
    if (now() >= end) return 1;
    dial(lane, SOCK_NONBLOCK);
    return 0;
}

static void handshakes(int lanes, struct lane *all)
{
    int primed = resume ? lanes : lanes < WARM_UP ? lanes : WARM_UP;
    for (int i = 0; i < primed; i++) {
        dial_and_ask(&all[i]);
        hang_up(&all[i]);
        if (resume && all[i].session == NULL) fail(NOT_RESUMED, "the server gives no sessions");
    }
    struct usage before = usage();
    end = now() + number("ms", 0) / 1e3;
    for (int i = 0; i < lanes; i++) dial(&all[i], SOCK_NONBLOCK);
    run(lanes, handshake_lane);
    report(since(before));
}

static int ping_pong_lane(struct lane *lane)
{
    for (;;) {
        while (step(lane));
        if (lane->state != DONE) return 0;
        double time = now();
        keep(time - lane->begun);
        if (time >= end) return 1;
        *lane = (struct lane){.socket = lane->socket, .ssl = lane->ssl, .state = ASK, .begun = time};
    }
}

static void ping_pong(int lanes, struct lane *all)
{
    for (int i = 0; i < lanes; i++) {
        dial_and_ask(&all[i]);
        for (int trip = 0; trip < WARM_UP; trip++) {
            all[i].state = ASK, all[i].received = 0;
            go_on(&all[i], DONE);
        }
        fcntl(all[i].socket, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll_set, EPOLL_CTL_ADD, all[i].socket, &event) != 0) fail(1, "Cannot watch socket");
    }
    struct usage before = usage();
    end = now() + number("ms", 0) / 1e3;
    for (int i = 0; i < lanes; i++) {
        all[i].state = ASK, all[i].received = 0, all[i].begun = now();
        step(&all[i]);
    }
    run(lanes, ping_pong_lane);
    report(since(before));
    for (int i = 0; i < lanes; i++) hang_up(&all[i]);
}

/* Bulk: `bytes` one way over a connection that has moved a part of them before. */
static void bulk(char direction, struct lane *lane)
{
    static char buffer[CHUNK];
    memset(buffer, direction, sizeof buffer);
    message_size = 1;
    dial(lane, 0);
    go_on(lane, ASK);
    const char *opening = number("http", 0) ? REQUEST_BULK : (char[]){direction, 0};
    if (SSL_write(lane->ssl, opening, strlen(opening)) <= 0) fail(1, "Cannot ask");
    long bytes = number("bytes", 0), before = bytes / 8 / ACK * ACK, moved = 0;
    struct usage start = usage();
    for (int warm = 1; moved < before + bytes; ) {
        if (warm && moved >= before) start = usage(), warm = 0;
        int n = direction == 'd' ? SSL_read(lane->ssl, buffer, CHUNK) : SSL_write(lane->ssl, buffer, CHUNK);
        if (n <= 0) fail(1, "Cannot move data after %ld bytes", moved);
        moved += n;
    }
    for (long acks = 0; direction == 'u' && acks < moved / ACK; ) {
        int n = SSL_read(lane->ssl, message, sizeof message);
        if (n <= 0) fail(1, "Cannot read answer");
        acks += n;
    }
    count = moved - before;
    struct usage spent = since(start);
    printf("{\"bytes\":%ld,\"seconds\":%.9f,\"clientCpu\":%.9f,\"serverCpu\":%.9f}\n", count, spent.wall, spent.client,
           spent.server);
    hang_up(lane);
}

static void hold(int lanes, struct lane *all)
{
    struct usage before = usage();
    for (int i = 0; i < lanes; i++) dial_and_ask(&all[i]), count++;
    report(since(before));
    fflush(stdout);
    while (read(0, message, sizeof message) > 0);
    for (int i = 0; i < lanes; i++) hang_up(&all[i]);
}

int main(int words, char **argv)
{
    if (words < 2) fail(2, "Usage: client COMMAND NAME=VALUE ...");
    arguments = argv + 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    prepare();
    const char *command = argv[1];
    int lanes = (int) number(strcmp(command, "hold") == 0 ? "count" : "lanes", 1);
    struct lane *all = calloc(lanes, sizeof *all);
    if (all == NULL) fail(1, "Cannot make %d lanes: no memory", lanes);
    if (strcmp(command, "handshakes") == 0) handshakes(lanes, all);
    else if (strcmp(command, "ping-pong") == 0) ping_pong(lanes, all);
    else if (strcmp(command, "download") == 0) bulk('d', all);
    else if (strcmp(command, "upload") == 0) bulk('u', all);
    else if (strcmp(command, "hold") == 0) hold(lanes, all);
    else fail(2, "Cannot run \"%s\": it is no command", command);
    return 0;
}
