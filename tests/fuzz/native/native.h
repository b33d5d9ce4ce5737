/*
 * The C of the core for this machine, under sanitizers: what its parts share. There is one connection at a time, as in tests/fuzz.
 */
#ifndef NATIVE_H
#define NATIVE_H

#include "tlsio.h"
#include "wasm/fuzz/fuzz.h"

/* Stops with a message: something is wrong that no input may cause. */
void give_up(const char *why) __attribute__((noreturn));

/* ---- host.c: what JavaScript does for the core ------------------------------------------------------ */

/* Starts randomness and clock anew. */
void rewind_host(unsigned seed);
extern double now; /* milliseconds since the Unix epoch */
/* The bytes on their way to and from an end; `conn` is its connection. */
typedef struct {
    connection *conn;
    unsigned char *in, *out; /* OUT_MAX bytes each */
    size_t in_len, out_len;
    size_t in_at;
    int at_end;
    int is_datagram; /* what is in `in` is one */
} wire;
#define OUT_MAX (1 << 19)
extern wire wires[2];

/* ---- world.c: the scenarios, as tests/fuzz/world.ts has written them --------------------------------- */

typedef struct {
    int datagrams;
    size_t early; /* bytes that the client sends */
    const unsigned char *host; /* a C string */
    const unsigned char *session;
    size_t session_len;
    config *configs[2];
    int impostors; /* bit 0: the client, bit 1: the server */
} scenario;

void load_world(const char *path);
extern size_t scenario_count;
const scenario *get_scenario(size_t index);
/* A file of the world by its name; gives up when it has none. */
const unsigned char *get_file(const char *name, size_t *len);

/* ---- The targets ------------------------------------------------------------------------------------ */

void run_handshake(const unsigned char *bytes, size_t len);
void run_records(const unsigned char *bytes, size_t len);
void run_certificate(const unsigned char *bytes, size_t len);
void run_key(const unsigned char *bytes, size_t len);
void run_crl(const unsigned char *bytes, size_t len);
void run_session(const unsigned char *bytes, size_t len);
void run_ticket(const unsigned char *bytes, size_t len);

/* The core's exports that are called here; others are called through world.c's table. */
connection *connection_new(config *c);
void connection_free(connection *conn);
int connection_set_host(connection *conn, const char *host, int check_name);
int connection_offer_session(connection *conn, const unsigned char *saved, size_t len);
int connection_give_session(connection *conn, const unsigned char *saved, size_t len);
int connection_forget_session(connection *conn);
int connection_use_datagrams(connection *conn, int mtu, const unsigned char *id, size_t len);
int connection_timer(const connection *conn);
int connection_handshake(connection *conn, int in_steps);
int connection_read(connection *conn, unsigned char *bytes, size_t len);
int connection_write(connection *conn, const unsigned char *bytes, size_t len);
int connection_write_early(connection *conn, const unsigned char *bytes, size_t len);
int connection_update_key(connection *conn, int request);
int connection_close_notify(connection *conn);
int connection_alert(connection *conn, int description);
const int32_t *connection_facts(connection *conn);
const char *connection_alpn(const connection *conn);
const char *connection_sni(const connection *conn);
int connection_peer(const connection *conn, size_t index, unsigned char *out, size_t size);
int connection_chain(const connection *conn, size_t index, unsigned char *out, size_t size);
int connection_session(const connection *conn, unsigned char *out, size_t size);
int connection_session_facts(const connection *conn, unsigned char *out, size_t size);
size_t core_allocated(void);
int core_init(void);
trust *trust_new(void);
int trust_add(trust *t, const unsigned char *certs, size_t len);
void trust_free(trust *t);
config *config_new(int is_server);
void config_free(config *c);
int config_add_credential(config *c, const unsigned char *chain, size_t chain_len, const unsigned char *key, size_t key_len,
                          const unsigned char *password, size_t password_len, int32_t *at);
int config_add_crl(config *c, const unsigned char *crl, size_t len);
int certificate_fields(const unsigned char *chain, size_t len, unsigned char *out, size_t size);
int certificate_subject(const unsigned char *pem, size_t len, char *out, size_t size);
int certificate_binding(const unsigned char *der, size_t len, unsigned char *out);
int certificate_public_key(const unsigned char *chain, size_t len, unsigned char *out, size_t size);
int fuzz_begin(const unsigned char *script, size_t len, int datagrams);
size_t fuzz_carry(int end, const unsigned char *packet, size_t len, unsigned char *out, size_t size, int *cut);

#endif
