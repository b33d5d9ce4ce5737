/*
 * A server's cache of TLS 1.2 sessions by id: mbedTLS's own, with the counts that it does not keep, and with the sessions
 * that a fleet of servers shares.
 *
 * mbedTLS asks for a session by a function that must answer at once. A store answers later; so the handshake stops before
 * mbedTLS asks (asks_for_session), and goes on when the cache holds what the store had (connection_give_session). In a
 * fleet, an id has a mark: nobody asks the store for an id that none of its servers has made.
 *
 *   id   = random (16) | first half of HMAC-SHA-256(key, random | context)
 */
#include "tlsio.h"

#include "mbedtls/constant_time.h"
#include "mbedtls/md.h"
#include "ssl_misc.h" /* the handshake's own state: is a session resumed by a ticket */

#define MARK (SESSION_ID / 2)
#define RANDOM (SESSION_ID - MARK)
#define SKEW 60 /* seconds that the clocks of two servers may differ */

static mbedtls_ssl_cache_entry *find(const config *c, const unsigned char *id, size_t len)
{
    mbedtls_ssl_cache_entry *entry = c->cache.chain;
    while (entry != NULL && (entry->session_id_len != len || memcmp(entry->session_id, id, len) != 0)) {
        entry = entry->next;
    }
    return entry;
}

static int count(const config *c)
{
    int entries = 0;
    for (const mbedtls_ssl_cache_entry *entry = c->cache.chain; entry != NULL; entry = entry->next) {
        entries += entry->session_id_len != 0;
    }
    return entries;
}

/* Whether the client's certificate, by which the session stands, has expired since. */
static int has_expired(const mbedtls_ssl_session *session)
{
    return session->peer_cert != NULL && mbedtls_x509_time_is_past(&session->peer_cert->valid_to);
}

static int cache_get(void *p_config, const unsigned char *id, size_t len, mbedtls_ssl_session *session)
{
    config *c = p_config;
    int ret = mbedtls_ssl_cache_get(&c->cache, id, len, session);
    if (ret == 0 && (has_expired(session) || (active != NULL && goes_on_otherwise(&active->ssl, session)))) {
        mbedtls_ssl_session_free(session); /* wipes it; the caller's own free finds nothing */
        ret = MBEDTLS_ERR_SSL_CACHE_ENTRY_NOT_FOUND;
    }
    if (active != NULL) {
        active->facts[FACT_CACHE] = ret == 0 ? CACHE_HIT : find(c, id, len) != NULL ? CACHE_EXPIRED : CACHE_MISS;
    }
    return ret;
}

static int cache_set(void *p_config, const unsigned char *id, size_t len, const mbedtls_ssl_session *session)
{
    config *c = p_config;
    int before = count(c);
    int is_new = find(c, id, len) == NULL;
    int ret = mbedtls_ssl_cache_set(&c->cache, id, len, session);
    if (ret == 0 && is_new && count(c) == before) c->cache_full++; /* another one has made room */
    return ret;
}

/* Keeps up to `entries` TLS 1.2 sessions by id, each for `lifetime` seconds. */
int EXPORT(config_set_cache)(config *c, int entries, int lifetime)
{
    CHECK_CONFIG(c);
    mbedtls_ssl_cache_set_max_entries(&c->cache, entries);
    mbedtls_ssl_cache_set_timeout(&c->cache, lifetime);
    mbedtls_ssl_conf_session_cache(&c->ssl, c, cache_get, cache_set);
    return 0;
}

/* How many sessions the cache holds; with `full`, how many have had to give way to others. */
int EXPORT(config_cached)(const config *c, int full)
{
    CHECK_CONFIG(c);
    return full ? c->cache_full : count(c);
}

/* ---- Sessions of a fleet --------------------------------------------------------------------------- */

static int make_mark(const config *c, size_t key, const unsigned char *id, unsigned char mark[SESSION_KEY])
{
    unsigned char input[RANDOM + TICKET_CONTEXT];
    memcpy(input, id, RANDOM);
    memcpy(input + RANDOM, c->session_context, TICKET_CONTEXT);
    return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), c->session_keys[key], SESSION_KEY, input,
                           sizeof(input), mark);
}

static int is_marked(const config *c, const unsigned char id[SESSION_ID])
{
    for (size_t key = 0; key < c->session_key_count; key++) {
        unsigned char mark[SESSION_KEY];
        if (make_mark(c, key, id, mark) == 0 && mbedtls_ct_memcmp(mark, id + RANDOM, MARK) == 0) return 1;
    }
    return 0;
}

/* Gives random bytes, and marks those of a new session's id. */
static int marking_rng(void *p_config, unsigned char *bytes, size_t len)
{
    config *c = p_config;
    int ret = tlsio_rng(NULL, bytes, len);
    const mbedtls_ssl_session *session = active == NULL ? NULL : active->ssl.session_negotiate;
    if (ret != 0 || session == NULL || bytes != session->id || len != SESSION_ID) return ret;
    unsigned char mark[SESSION_KEY];
    ret = make_mark(c, 0, bytes, mark);
    if (ret == 0) memcpy(bytes + RANDOM, mark, MARK);
    return ret;
}

/*
 * Shares the sessions of the cache with the servers that have the same `context`. `keys` mark their ids, `count` times
 * SESSION_KEY bytes, the one for new ids first.
 */
int EXPORT(config_share_sessions)(config *c, const unsigned char *keys, size_t key_count, const unsigned char *context)
{
    CHECK_CONFIG(c);
    if (key_count == 0 || key_count > SESSION_KEYS) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    memcpy(c->session_keys, keys, key_count * SESSION_KEY);
    c->session_key_count = key_count;
    memcpy(c->session_context, context, TICKET_CONTEXT);
    mbedtls_ssl_conf_rng(&c->ssl, marking_rng, c);
    return 0;
}

/*
 * mbedTLS has read the ClientHello, chosen version and suite, opened a ticket if there was one, and is about to look for
 * the id. A client that has tickets gets one: its id is none of ours.
 */
int asks_for_session(connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    if (conn->config->session_key_count == 0 || conn->asked || ssl->state != MBEDTLS_SSL_SERVER_HELLO) return 0;
    conn->asked = 1;
    const mbedtls_ssl_session *session = ssl->session_negotiate;
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_2 || ssl->handshake->resume ||
        ssl->handshake->new_session_ticket || session->id_len != SESSION_ID) {
        return 0;
    }
    return find(conn->config, session->id, SESSION_ID) == NULL && is_marked(conn->config, session->id);
}

/*
 * The session by id of a server's TLS 1.2 connection, which the handshake asks for or has made or resumed; NULL: none. In a
 * renegotiation, the one under which it began.
 */
static const mbedtls_ssl_session *session_by_id(const connection *conn)
{
    const mbedtls_ssl_context *ssl = &conn->ssl;
    const mbedtls_ssl_session *session = ssl->session != NULL ? ssl->session : ssl->session_negotiate;
    int has_ticket = conn->facts[FACT_RESUMED] && conn->facts[FACT_CACHE] != CACHE_HIT;
    if (ssl->conf->endpoint != MBEDTLS_SSL_IS_SERVER || ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_2 ||
        session == NULL || session->id_len != SESSION_ID || has_ticket) {
        return NULL;
    }
    return session;
}

/*
 * Writes the id of the session at hand; with `whole` also the session itself, if this handshake has made it. Returns the
 * length, also when it does not fit; 0: there is none.
 */
int EXPORT(connection_server_session)(const connection *conn, int whole, unsigned char *out, size_t size)
{
    CHECK_CONNECTION(conn);
    const mbedtls_ssl_session *session = session_by_id(conn);
    if (session == NULL || (whole && (session != conn->ssl.session || conn->facts[FACT_RESUMED]))) return 0;
    if (size < SESSION_ID) return SESSION_ID;
    memcpy(out, session->id, SESSION_ID);
    if (!whole) return SESSION_ID;
    size_t len = 0;
    int ret = mbedtls_ssl_session_save(session, out + SESSION_ID, size - SESSION_ID, &len);
    return ret == 0 || ret == MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL ? (int) (SESSION_ID + len) : ret;
}

/* Whether a session is the one that was asked for, and not too old. */
static int is_wanted(const config *c, const mbedtls_ssl_session *session, const unsigned char *id)
{
    mbedtls_time_t now = mbedtls_time(NULL);
    return session->tls_version == MBEDTLS_SSL_VERSION_TLS1_2 && session->endpoint == MBEDTLS_SSL_IS_SERVER &&
           session->id_len == SESSION_ID && memcmp(session->id, id, SESSION_ID) == 0 &&
           session->mfl_code < MBEDTLS_SSL_MAX_FRAG_LEN_INVALID && session->start <= now + SKEW &&
           session->start >= now - c->cache.timeout;
}

/* After HANDSHAKE_ASKS: puts the session into the cache, for as long as it has left. Returns 0, or a negative code. */
int EXPORT(connection_give_session)(connection *conn, const unsigned char *saved, size_t len)
{
    CHECK_CONNECTION(conn);
    config *c = conn->config;
    if (!conn->asked || conn->ssl.state != MBEDTLS_SSL_SERVER_HELLO) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    const unsigned char *id = conn->ssl.session_negotiate->id;
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    int ret = mbedtls_ssl_session_load(&session, saved, len);
    if (ret == 0 && !is_wanted(c, &session, id)) ret = MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    if (ret == 0) ret = cache_set(c, id, SESSION_ID, &session);
    if (ret == 0) {
        mbedtls_ssl_cache_entry *entry = find(c, id, SESSION_ID);
        if (entry != NULL && session.start < entry->timestamp) entry->timestamp = session.start;
    }
    mbedtls_ssl_session_free(&session); /* wipes it */
    return ret;
}

/* A connection has failed: its session must not be resumed (RFC 5246 section 7.2.2). */
int EXPORT(connection_forget_session)(connection *conn)
{
    CHECK_CONNECTION(conn);
    const mbedtls_ssl_session *session = session_by_id(conn);
    return session == NULL ? 0 : mbedtls_ssl_cache_remove(&conn->config->cache, session->id, session->id_len);
}
