/*
 * tlsio glue: what the C files share.
 *
 * The glue is a translator. An export checks its handle, makes one or two mbedTLS calls, and returns bytes
 * or mbedTLS's own negative code. It holds no policy and does no I/O: records go in and out through the
 * imports below, which JavaScript keys by the connection's handle. An import never calls back into the core.
 */
#ifndef TLSIO_H
#define TLSIO_H

#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* facts that mbedTLS keeps but does not publish: see connection.c */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mbedtls/error.h"
#include "mbedtls/gcm.h"
#include "mbedtls/oid.h"
#include "mbedtls/pk.h"
#include "mbedtls/platform.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/ssl.h"
#include "mbedtls/ssl_cache.h"
#include "mbedtls/ssl_cookie.h"
#include "mbedtls/x509_crl.h"
#include "mbedtls/x509_crt.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("tlsio"), import_name(#name)))

#if !defined(MBEDTLS_SSL_PROTO_TLS1_3)
#include "wasm/device/absent.h"
#endif

typedef struct trust trust;
typedef struct config config;
typedef struct connection connection;
typedef struct measure measure;
typedef struct signing signing;

/* ---- Imports: JavaScript's side of the boundary (the table in lib/core.ts) ------------------------- */

/* Takes `len` bytes of records to send: of DTLS, one datagram. Returns the count, or a negative code. */
IMPORT(bio_send) int bio_send(connection *conn, const unsigned char *bytes, size_t len);
/* Gives up to `len` bytes of received records: of DTLS, one datagram. Returns the count, 0 at the end, or a negative code. */
IMPORT(bio_recv) int bio_recv(connection *conn, unsigned char *bytes, size_t len);
/* Fills `bytes` from the host's CSPRNG. Returns 0, or a negative code. */
IMPORT(entropy) int entropy(unsigned char *bytes, size_t len);
/* Milliseconds since the Unix epoch. */
IMPORT(clock_ms) double clock_ms(void);
/* Hands out one secret of a handshake, for a key log. `type` is mbedtls_ssl_key_export_type. */
IMPORT(key_log) void key_log(connection *conn, int type, const unsigned char *secret, size_t len,
                             const unsigned char client_random[32]);
/* Hands out early data that a client sent. */
IMPORT(early_data) void early_data(connection *conn, const unsigned char *bytes, size_t len);
/*
 * Whether the ticket `id`, made at `created`, may bring early data: once in `window`, both in milliseconds.
 */
IMPORT(early_claim) int early_claim(const unsigned char id[16], double created, double window);
/*
 * Tells that a record (`type` 0, `code` its content type) or a message (`type` the content type, `code` a handshake type,
 * or the level and description of an alert) has passed; `len` is that of a record with its header, of a message with its.
 */
IMPORT(trace) void trace(connection *conn, int received, int type, int code, size_t len, int encrypted);

/* Judges one certificate of the peer's chain; depth 0 is the leaf. Returns 0 to go on, anything else to give up. */
IMPORT(verify_certificate) int verify_certificate(connection *conn, const unsigned char *der, size_t len, int depth);
/* Looks up the pre-shared key of an identity. Returns its length, at most `size`; 0: there is none. */
IMPORT(psk_key) int psk_key(connection *conn, const unsigned char *identity, size_t len, unsigned char *key,
                            size_t size);
/*
 * Has a private key that is not ours sign a hash by a TLS 1.3 SignatureScheme: `signer` says which key. Returns the
 * length of the signature (RSA's, or the DER of an ECDSA one), at most `size`; or 0: it did not sign.
 */
IMPORT(sign_hash) int sign_hash(connection *conn, int signer, int scheme, const unsigned char *hash, size_t len,
                                unsigned char *signature, size_t size);

/* ---- memory.c -------------------------------------------------------------------------------------- */

/* Set when there was no memory for a block. Who wants to know clears it before. */
extern int out_of_memory;

/* ---- platform.c ------------------------------------------------------------------------------------ */

int tlsio_rng(void *unused, unsigned char *bytes, size_t len);

/* ---- config.c -------------------------------------------------------------------------------------- */

#define TICKET_NAME 16    /* bytes; RFC 5077 section 4 recommends 16 */
#define TICKET_SECRET 32  /* bytes; AES-256-GCM */
#define TICKET_CONTEXT 32 /* bytes; a hash of what a session must share to be resumed */
#define TICKET_ID 16      /* bytes; a ticket's tag tells it from all others */
#define TICKET_KEYS 8     /* one encrypts; seven earlier ones cover a lifetime of seven rotations */
#define SESSION_ID 32     /* bytes; mbedTLS's, and the longest */
#define SESSION_KEY 32    /* bytes; HMAC-SHA-256 */
#define SESSION_KEYS 8    /* one marks ids, the others know those that it will mark, or has marked */

typedef struct {
    unsigned char name[TICKET_NAME];
    mbedtls_gcm_context gcm;
} ticket_key;

/* A certificate chain with its private key. */
typedef struct credential {
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    int signer; /* which of the host's keys signs, when `key` holds the public half alone */
    struct credential *next;
} credential;

enum {
    OPTION_ALLOW_COMMON_NAME = 1, /* take the CN as the host name when there is no SAN */
    OPTION_RENEGOTIATION = 2,     /* TLS 1.2: honour the peer's request (RFC 5746 only) */
    OPTION_SHA1 = 4,              /* accept certificates signed with SHA-1 */
    OPTION_KEY_LOG = 8,           /* call key_log() */
    OPTION_CLIENT_ORDER = 16,     /* server: the client's order of suites decides */
    OPTION_JUDGE = 32,            /* pause once the peer has proved who it is */
    OPTION_VERIFY_EACH = 64,      /* call verify_certificate() */
    OPTION_CRL_LEAF = 128,        /* there must be a CRL of the leaf's issuer */
    OPTION_CRL_CHAIN = 256,       /* likewise of each issuer in the chain */
    OPTION_MEASURE = 512,         /* count what each connection costs */
};

/* Trusted certificates: many configs may share them, as the default roots are. */
struct trust {
    uint32_t magic;
    mbedtls_x509_crt certs;
};

struct config {
    uint32_t magic;
    int options;
    mbedtls_ssl_config ssl;
    mbedtls_x509_crt_profile profile;
    credential *credentials;
    mbedtls_x509_crl crls;
    mbedtls_ssl_cache_context cache;
    mbedtls_ssl_cookie_ctx cookies; /* DTLS server */
    int cache_full; /* sessions that had to leave it for others */
    /* Sessions by id that a fleet shares: what marks their ids; no keys: they are this config's alone. */
    unsigned char session_keys[SESSION_KEYS][SESSION_KEY];
    size_t session_key_count;
    unsigned char session_context[TICKET_CONTEXT];
    /* Lists that mbedTLS keeps pointers to. */
    int *suites;
    uint16_t *groups;
    uint16_t *sigalgs;
    const char **alpn;
    char *alpn_names;
    /* Tickets: keys[0] encrypts, all decrypt. */
    ticket_key ticket_keys[TICKET_KEYS];
    size_t ticket_key_count;
    uint32_t ticket_lifetime; /* seconds */
    unsigned char ticket_context[TICKET_CONTEXT];
};

#define TRUST_MAGIC 0x54525531u
#define CONFIG_MAGIC 0x43464731u
#define CHECK_CONFIG(c) \
    do { if ((c) == NULL || (c)->magic != CONFIG_MAGIC) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA; } while (0)

/* Puts the key of a new credential into it. Returns 0, or a negative code; *at says where it failed. */
typedef int get_key(credential *new, const void *source, int32_t *at);
/* Adds a certificate chain, and the key that `get` makes of `source`, behind those that are there. */
int add_credential(config *c, const unsigned char *chain, size_t len, get_key *get, const void *source, int32_t *at);

/* ---- cache.c --------------------------------------------------------------------------------------- */

/* Whether a server's handshake is to wait for a session that another server of the fleet may have; once. */
int asks_for_session(connection *conn);

/* ---- alerts.c --------------------------------------------------------------------------------------- */

/* What becomes of an alert that mbedTLS would pass over with `ret`. */
int pass_alert(connection *conn, int ret);

/* ---- connection.c ---------------------------------------------------------------------------------- */

#define CHAIN_MAX (MBEDTLS_X509_MAX_INTERMEDIATE_CA + 2) /* the intermediates, the leaf and the anchor */

enum fact {
    FACT_VERSION,      /* 0x0303 or 0x0304; 0 before it is known */
    FACT_SUITE,        /* IANA number */
    FACT_RESUMED,      /* 1: a session was resumed */
    FACT_VERIFY_FLAGS, /* MBEDTLS_X509_BADCERT_* bits */
    FACT_ALERT,        /* the last alert that the peer sent; -1: none */
    FACT_ALERT_SENT,   /* the last fatal alert that mbedTLS sent; -1: none */
    FACT_SESSION,      /* 1: the peer gave what a later handshake can resume */
    FACT_PENDING,      /* decrypted bytes that wait in the record buffer */
    FACT_MAX_WRITE,    /* plaintext bytes that fit one record */
    FACT_GROUP,        /* IANA number of the key exchange's group; 0: none or not known */
    FACT_EXTENDED_MS,  /* 1: the master secret is bound to the handshake (RFC 7627); TLS 1.3: always */
    FACT_TICKET,       /* server: what became of the client's ticket, enum ticket_outcome */
    FACT_ISSUED,       /* server: tickets that were sealed for the client */
    FACT_CACHE,        /* server: what became of the client's session id, enum cache_outcome */
    FACT_OWN_SIGALG,   /* the SignatureScheme of our signature; 0: we made none */
    FACT_PEER_SIGALG,  /* that of the peer's */
    FACT_EARLY_DATA,   /* EARLY_* */
    FACT_COUNT
};

enum ticket_outcome {
    TICKET_NONE,        /* none was offered */
    TICKET_OPENED,      /* it is ours; FACT_RESUMED says whether it was used */
    TICKET_MALFORMED,   /* too short, or of another mbedTLS */
    TICKET_UNKNOWN_KEY, /* the ring has no key of that name, or has it no more */
    TICKET_UNAUTHENTIC, /* changed, or sealed for another context: the tag covers both */
    TICKET_VERSION,     /* of another version of TLS */
    TICKET_EXPIRED,
    TICKET_CERTIFICATE, /* the client's certificate is too old, or was looked at too long ago */
};

enum cache_outcome { CACHE_UNUSED, CACHE_HIT, CACHE_MISS, CACHE_EXPIRED };

enum { /* early data */
    EARLY_UNKNOWN, /* the ClientHello has not come, or a client's handshake is not over */
    EARLY_NONE,    /* none was offered, or it was refused */
    EARLY_RUNS,    /* a server: accepted, more may come */
    EARLY_TAKEN,   /* accepted, and its end has come */
};

/* What early data depends on, of a ticket. */
typedef struct {
    unsigned char id[TICKET_ID];
    int64_t created; /* milliseconds since the Unix epoch */
    char *alpn;      /* the protocol of the connection that gave it; NULL: none */
} early_ticket;

struct connection {
    uint32_t magic;
    config *config;
    mbedtls_ssl_context ssl;
    int32_t facts[FACT_COUNT];
    char *sni; /* server: the host that the client asked for; NULL: none */
    char *alpn_choice; /* server: the protocol to agree on; NULL: the config's list decides */
    uint16_t *shared; /* server: the client's suites that we have, too; behind them the signature schemes */
    size_t shared_suites, shared_schemes;
    const mbedtls_x509_crt *own; /* the certificate that we sent; NULL: none */
    /* What the peer's certificate must be for; the check is names.c's. */
    int check_name;
    char *dns_name;
    unsigned char ip[16];
    size_t ip_len;
    /* The chain that verified, leaf first; the certificates belong to the session and the config. */
    const mbedtls_x509_crt *chain[CHAIN_MAX];
    size_t chain_len;
    size_t signatures; /* that were checked for the chain at hand */
    int chain_done; /* the leaf was seen: what comes next begins another chain, in a renegotiation */
    int ticket_suite; /* TLS 1.2 server: that of the session in the client's ticket */
    /* TLS 1.3 server: what the ticket said of a client that sends no certificate when it resumes. */
    unsigned char *ticket_peer;
    size_t ticket_peer_len;
    uint32_t ticket_flags;
    int64_t authenticated; /* when the full handshake was: milliseconds since the Unix epoch */
    early_ticket *early; /* server that takes early data: the ticket that was read; NULL: none */
    uint8_t may_send_early; /* client: the session that is offered allows it */
    uint8_t is_deaf;        /* takes no records */
    uint8_t judged;         /* the handshake has paused for OPTION_JUDGE */
    uint8_t asked;          /* likewise for a session of the fleet's */
    uint8_t traced;         /* call trace() */
    uint8_t in_steps;       /* the handshake returns after each step of a signature */
    measure *measure;       /* what it costs; NULL: nobody asked, or the core is a device's */
    signing *signing;       /* server: the signature that is made in steps; NULL: none */
    int key_updates;   /* received since the last data */
    int empty_records; /* likewise, those that say nothing: empty ones, warnings, what a TLS 1.3 handshake drops */
    int at_end;        /* the stream has ended */
    int unknown_psk;   /* server: there was no key for an identity that the client named */
    /* The counter of received records, while the connection has no buffers: mbedTLS keeps it there. */
    unsigned char in_ctr[MBEDTLS_SSL_SEQUENCE_NUMBER_LEN];
    /* DTLS: the timer of retransmission. */
    double timer_start; /* milliseconds, on the clock of the core */
    uint32_t timer_ms;  /* 0: it does not run */
    unsigned flight;    /* the flight that was sent last, by the number of the message behind it */
    unsigned resends;   /* how often it was asked for again */
};

#define CONNECTION_MAGIC 0x434f4e31u
#define CHECK_CONNECTION(c) \
    do { if ((c) == NULL || (c)->magic != CONNECTION_MAGIC) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA; } while (0)

/* The connection that the running export was called for: mbedTLS gives ticket callbacks only the config. */
extern connection *active;

/* A server's callback for a ClientHello that has been read. */
int on_hello(mbedtls_ssl_context *ssl);
/* What becomes of a ChangeCipherSpec of TLS 1.3: CONTINUE_PROCESSING drops it. */
int drop_ccs(connection *conn);
/* Counts a record that says nothing. Returns whether there were too many of them in a row. */
int is_flood(connection *conn);

/* ---- constraints.c --------------------------------------------------------------------------------- */

/* A verify flag of our own, beside MBEDTLS_X509_BADCERT_*: a name that an authority must not certify. */
#define BADCERT_NAMES 0x01000000u

int is_name_constraints(const mbedtls_asn1_buf *oid);
/* Called with each certificate of a chain, the leaf last: adds to the flags what mbedTLS does not look at. */
void check_authority(connection *conn, const mbedtls_x509_crt *crt, int depth, uint32_t *flags);

/* ---- datagram.c ------------------------------------------------------------------------------------ */

/* Whether it is DTLS. */
static inline int uses_datagrams(const mbedtls_ssl_context *ssl)
{
    return ssl->conf->transport == MBEDTLS_SSL_TRANSPORT_DATAGRAM;
}
/* Gives a new connection of DTLS its transport and its timer. */
void set_datagram_bio(connection *conn);
/* Whether `ret` of a step of the handshake says no more than that a datagram is to be dropped, which it is then. */
int drop_datagram(mbedtls_ssl_context *ssl, int ret);

/* ---- extensions.c ---------------------------------------------------------------------------------- */

/* Looks at a handshake message that has come whole. Returns 0, or a negative code. */
int check_extensions(mbedtls_ssl_context *ssl);

/* ---- handshake.c ----------------------------------------------------------------------------------- */

/* Keeps the scheme of a signature: called for each handshake message that is sent, or has been received whole. */
void note_signature(connection *conn, int received);
/* Keeps what a server and its client both have. Returns 0, or a negative code. */
int note_shared(connection *conn);
/* RFC 7627 section 5.3: a session goes on with the master secret of the kind that it began with. */
void keep_extended_ms(connection *conn);
int goes_on_otherwise(const mbedtls_ssl_context *ssl, const mbedtls_ssl_session *session);
int check_server_hello(connection *conn);
uint32_t verify_flags_of(uint32_t kept);

/* ---- policy.c -------------------------------------------------------------------------------------- */

#define HANDSHAKE_PAUSED 1 /* of connection_handshake(): call it again to go on, or send an alert */
#define HANDSHAKE_ASKS 3   /* likewise: it goes on with the session of connection_give_session(), or with a full handshake */

/* Whether the step that began in state `before` has completed the peer's proof of who it is. */
int has_proved(const mbedtls_ssl_context *ssl, int before);
/* The host's say about a certificate: a callback of its own, and whether there must be a CRL. */
int judge_certificate(connection *conn, const mbedtls_x509_crt *crt, int depth, uint32_t *flags);

/* ---- early.c --------------------------------------------------------------------------------------- */

/* A server has read a ticket, with its `tag`: keeps what early data depends on. Returns 0, or a negative code. */
int note_early_ticket(connection *conn, mbedtls_ssl_session *session, const unsigned char tag[TICKET_ID]);
void forget_early_ticket(connection *conn);
/* A server: decides on the early data that a ClientHello announces. Returns 0, or a negative code. */
int decide_early_data(connection *conn);
/* mbedtls_ssl_handshake_step(), which hands out early data. */
int handshake_step(connection *conn);
/* A client that offers a session: no early data, until send_early_data(). */
void put_early_data_off(connection *conn);
int send_early_data(connection *conn, const unsigned char *bytes, size_t len);
/* Whether a server may send before the handshake is over: it has taken early data. */
int can_answer_early(const connection *conn);
int answer_early(connection *conn, const unsigned char *bytes, size_t len);

/* ---- idle.c ---------------------------------------------------------------------------------------- */

/* Sees to it that the connection has record buffers: before each call of mbedTLS that could use them. */
int wake(connection *conn);
/* Lends them if they hold nothing: after such a call. */
void rest(connection *conn);
/* The connection is about to be freed. */
void forget(const connection *conn);
/* Frees what a handshake that is over needs no more. */
void end_handshake(connection *conn);

/* ---- measure.c ------------------------------------------------------------------------------------- */

/* A new connection that is to be measured. Returns 0, or a negative code. */
int begin_measure(connection *conn);
/* It is about to be freed, and has freed all else. */
void end_measure(connection *conn);
/* The active connection has got a block, for which it asked for `size` bytes. Returns 0, or a negative code. */
int note_block(void *block, size_t size);
/* Any block is freed, or is the connection's now. There is nothing to forget while `noted_blocks` is 0. */
void forget_block(void *block);
void give_block(void *block, connection *to);
extern size_t noted_blocks;

/* ---- steps.c --------------------------------------------------------------------------------------- */

#define HANDSHAKE_WORKING 2 /* of connection_handshake(): call it again, which does the next step */

#if defined(TLSIO_RSA_STEPS)
/* A server's config: its TLS 1.2 signs in steps, too. */
void use_steps(mbedtls_ssl_config *ssl);
/*
 * Begins a signature of the active connection, or gives one that is ready: returns 0, ASYNC_IN_PROGRESS, or another
 * negative code; 1: it is not one for steps.
 */
int sign_in_steps(mbedtls_pk_type_t type, mbedtls_pk_context *key, mbedtls_md_type_t md, const unsigned char *hash,
                  size_t hash_len, unsigned char *sig, size_t sig_size, size_t *sig_len);
/* Whether there are steps to do. */
int is_signing(const connection *conn);
/* Does one, or all if nobody asks for steps. Returns 0 when the handshake can go on, or HANDSHAKE_WORKING. */
int go_on_signing(connection *conn);
void forget_signing(connection *conn);
#else
#define use_steps(ssl) ((void) 0)
#define sign_in_steps(type, key, md, hash, hash_len, sig, sig_size, sig_len) 1
#define is_signing(conn) 0
#define go_on_signing(conn) 0
#define forget_signing(conn) ((void) 0)
#endif

/* ---- names.c --------------------------------------------------------------------------------------- */

/* Whether two texts are the same but for the case of ASCII letters. */
int equal_nocase(const char *a, const char *b, size_t len);
/* Whether the certificate is for the connection's host, by RFC 9525. */
int name_matches(const connection *conn, const mbedtls_x509_crt *crt);

/* ---- peer_chain.c ---------------------------------------------------------------------------------- */

/*
 * Parses certificates, DER or PEM, as mbedtls_x509_crt_parse() does: but what begins as DER is DER. A peer's certificate
 * can hold the PEM of another one in a name, and mbedTLS looks for PEM first.
 */
int read_certificate(mbedtls_x509_crt *crt, const unsigned char *bytes, size_t len);

/* ---- traffic.c ------------------------------------------------------------------------------------- */

/* Whether the message that mbedTLS did not expect is a KeyUpdate. */
int is_key_update(const connection *conn);
/* Takes the peer's next key, and our own if it asks for that. */
int answer_key_update(connection *conn);
/* Sends KeyUpdate and moves our sending key on; `request` asks the peer to do the same. */
int update_sending_key(connection *conn, int request);
/* Whether our sending key should give way to its next. */
int key_is_worn(const connection *conn);
/* Makes an alert of the coming step readable for the peer. */
void use_alert_keys(mbedtls_ssl_context *ssl);
/* Makes an alert that a client sends in the clear readable for us; called for each record header that has come. */
void expect_clear_alert(mbedtls_ssl_context *ssl);

/* ---- tls13.c --------------------------------------------------------------------------------------- */

/* Puts the age of a session that is offered right. */
void round_ticket_time(mbedtls_ssl_session *session);
void expect_fragment_length(mbedtls_ssl_context *ssl);
/* A client learns with the server's flight whether its early data was taken. */
void note_early_data(connection *conn);
/* Keeps what mbedTLS forgets when it frees the handshake's state. */
void note_tls13_handshake(connection *conn);

/* ---- trace.c --------------------------------------------------------------------------------------- */

/* Tells of a record whose header has been written or read; for a connection that is traced. */
void trace_record(connection *conn, int received, const unsigned char *header);

/* ---- tickets.c ------------------------------------------------------------------------------------- */

mbedtls_ssl_ticket_write_t ticket_write;
mbedtls_ssl_ticket_parse_t ticket_parse;
/* Between the steps of a server's handshake. */
void drop_unlike_session(connection *conn);

#endif
