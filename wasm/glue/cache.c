/*
 * A server's cache of TLS 1.2 sessions by id: mbedTLS's own, with the counts that it does not keep.
 */
#include "tlsio.h"

static const mbedtls_ssl_cache_entry *find(const config *c, const unsigned char *id, size_t len)
{
    const mbedtls_ssl_cache_entry *entry = c->cache.chain;
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

static int cache_get(void *p_config, const unsigned char *id, size_t len, mbedtls_ssl_session *session)
{
    config *c = p_config;
    int ret = mbedtls_ssl_cache_get(&c->cache, id, len, session);
    if (ret == 0 && active != NULL && goes_on_otherwise(&active->ssl, session)) {
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
