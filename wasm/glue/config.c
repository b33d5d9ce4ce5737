/*
 * config: what many connections share. Certificates, trust, versions, suites, tickets.
 */
#include "tlsio.h"

/* ---- Trust ----------------------------------------------------------------------------------------- */

trust *EXPORT(trust_new)(void)
{
    trust *t = mbedtls_calloc(1, sizeof(*t));
    if (t == NULL) return NULL;
    t->magic = TRUST_MAGIC;
    mbedtls_x509_crt_init(&t->certs);
    return t;
}

/* Adds certificates, PEM (with its NUL) or DER. Returns 0, how many did not parse, or a negative code. */
int EXPORT(trust_add)(trust *t, const unsigned char *certs, size_t len)
{
    if (t == NULL || t->magic != TRUST_MAGIC) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    return read_certificate(&t->certs, certs, len);
}

void EXPORT(trust_free)(trust *t)
{
    if (t == NULL || t->magic != TRUST_MAGIC) return;
    mbedtls_x509_crt_free(&t->certs);
    mbedtls_free(t);
}

/* ---- Life ------------------------------------------------------------------------------------------ */

void EXPORT(config_free)(config *c);

config *EXPORT(config_new)(int is_server)
{
    config *c = mbedtls_calloc(1, sizeof(*c));
    if (c == NULL) return NULL;
    c->magic = CONFIG_MAGIC;
    c->profile = mbedtls_x509_crt_profile_default;
    mbedtls_ssl_config_init(&c->ssl);
    mbedtls_x509_crl_init(&c->crls);
    mbedtls_ssl_cache_init(&c->cache);
    mbedtls_ssl_cookie_init(&c->cookies);
    int endpoint = is_server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (mbedtls_ssl_config_defaults(&c->ssl, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        config_free(c);
        return NULL;
    }
    mbedtls_ssl_conf_rng(&c->ssl, tlsio_rng, NULL);
    mbedtls_ssl_conf_cert_profile(&c->ssl, &c->profile);
    if (is_server) {
        mbedtls_ssl_conf_cert_cb(&c->ssl, on_hello);
        use_steps(&c->ssl);
    } else {
        mbedtls_ssl_conf_early_data(&c->ssl, MBEDTLS_SSL_EARLY_DATA_ENABLED); /* as the session says: early.c */
    }
    /* Without this, mbedTLS drops TLS 1.3 tickets. */
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &c->ssl, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return c;
}

static void credential_free(credential *old)
{
    mbedtls_pk_free(&old->key);
    mbedtls_x509_crt_free(&old->chain);
    mbedtls_free(old);
}

static void ticket_keys_free(config *c)
{
    for (size_t i = 0; i < c->ticket_key_count; i++) mbedtls_gcm_free(&c->ticket_keys[i].gcm);
    mbedtls_platform_zeroize(c->ticket_keys, sizeof(c->ticket_keys));
    c->ticket_key_count = 0;
}

void EXPORT(config_free)(config *c)
{
    if (c == NULL || c->magic != CONFIG_MAGIC) return;
    while (c->credentials != NULL) {
        credential *first = c->credentials;
        c->credentials = first->next;
        credential_free(first);
    }
    mbedtls_x509_crl_free(&c->crls);
    ticket_keys_free(c);
    mbedtls_ssl_config_free(&c->ssl);
    mbedtls_ssl_cache_free(&c->cache);
    mbedtls_ssl_cookie_free(&c->cookies);
    mbedtls_free(c->suites);
    mbedtls_free(c->groups);
    mbedtls_free(c->sigalgs);
    mbedtls_free(c->alpn);
    mbedtls_free(c->alpn_names);
    mbedtls_free(c); /* wiped by tlsio_free(), the magic too */
}

/* ---- Identity -------------------------------------------------------------------------------------- */

int add_credential(config *c, const unsigned char *chain, size_t len, get_key *get, const void *source, int32_t *at)
{
    CHECK_CONFIG(c);
    credential *new = mbedtls_calloc(1, sizeof(*new));
    if (new == NULL) return MBEDTLS_ERR_X509_ALLOC_FAILED;
    mbedtls_x509_crt_init(&new->chain);
    mbedtls_pk_init(&new->key);

    *at = 0;
    int ret = read_certificate(&new->chain, chain, len);
    if (ret > 0) ret = MBEDTLS_ERR_X509_INVALID_FORMAT; /* some of the certificates did not parse */
    if (ret == 0) ret = get(new, source, at);
    if (ret == 0) ret = mbedtls_ssl_conf_own_cert(&c->ssl, &new->chain, &new->key);
    if (ret != 0) {
        credential_free(new);
        return ret;
    }
    new->next = c->credentials;
    c->credentials = new;
    return 0;
}

typedef struct {
    const unsigned char *key, *password;
    size_t key_len, password_len;
} key_source;

static int parse_key(credential *new, const void *p_source, int32_t *at)
{
    const key_source *source = p_source;
    *at = 1;
    int ret = mbedtls_pk_parse_key(&new->key, source->key, source->key_len,
                                   source->password_len == 0 ? NULL : source->password, source->password_len,
                                   tlsio_rng, NULL);
    if (ret != 0) return ret;
    *at = 2;
    return mbedtls_pk_check_pair(&new->chain.pk, &new->key, tlsio_rng, NULL);
}

/*
 * Adds a certificate chain with its key, behind those that are there. A PEM input must count its terminating NUL.
 * Returns 0, or a negative code with *at: 0, the chain did not parse; 1, the key did not; 2, they do not match.
 */
int EXPORT(config_add_credential)(config *c, const unsigned char *chain, size_t chain_len,
                                  const unsigned char *key, size_t key_len,
                                  const unsigned char *password, size_t password_len, int32_t *at)
{
    const key_source source = { key, password, key_len, password_len };
    return add_credential(c, chain, chain_len, parse_key, &source, at);
}

/* The trust must outlive the config. */
int EXPORT(config_set_trust)(config *c, trust *t)
{
    CHECK_CONFIG(c);
    if (t == NULL || t->magic != TRUST_MAGIC) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    mbedtls_ssl_conf_ca_chain(&c->ssl, &t->certs, NULL);
    return 0;
}

/* ---- Policy ---------------------------------------------------------------------------------------- */

/* `verify` is MBEDTLS_SSL_VERIFY_*; versions are 0x0303 and 0x0304; `fragment` is MBEDTLS_SSL_MAX_FRAG_LEN_*. */
int EXPORT(config_set_policy)(config *c, int verify, int minimum, int maximum, int fragment, int options)
{
    CHECK_CONFIG(c);
    c->options = options;
    mbedtls_ssl_conf_authmode(&c->ssl, verify);
    mbedtls_ssl_conf_min_tls_version(&c->ssl, (mbedtls_ssl_protocol_version) minimum);
    mbedtls_ssl_conf_max_tls_version(&c->ssl, (mbedtls_ssl_protocol_version) maximum);
    mbedtls_ssl_conf_renegotiation(&c->ssl, (options & OPTION_RENEGOTIATION) != 0
                                                ? MBEDTLS_SSL_RENEGOTIATION_ENABLED
                                                : MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_preference_order(&c->ssl, (options & OPTION_CLIENT_ORDER) != 0
                                                   ? MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_CLIENT
                                                   : MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_SERVER);
    c->profile = mbedtls_x509_crt_profile_default;
    if ((options & OPTION_SHA1) != 0) c->profile.allowed_mds |= MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA1);
    return mbedtls_ssl_conf_max_frag_len(&c->ssl, (unsigned char) fragment);
}

/* The shortest RSA key that a certificate of the peer may have. After config_set_policy(). */
int EXPORT(config_set_min_rsa)(config *c, int bits)
{
    CHECK_CONFIG(c);
    c->profile.rsa_min_bitlen = (uint32_t) bits;
    return 0;
}

/* The lists are copied, with the terminating 0 that mbedTLS wants. */
int EXPORT(config_set_suites)(config *c, const int32_t *suites, size_t count)
{
    CHECK_CONFIG(c);
    int *list = mbedtls_calloc(count + 1, sizeof(*list));
    if (list == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    for (size_t i = 0; i < count; i++) list[i] = suites[i];
    mbedtls_ssl_conf_ciphersuites(&c->ssl, list);
    mbedtls_free(c->suites);
    c->suites = list;
    return 0;
}

static uint16_t *copy_list(const uint16_t *values, size_t count)
{
    uint16_t *list = mbedtls_calloc(count + 1, sizeof(*list));
    if (list != NULL) memcpy(list, values, count * sizeof(*list));
    return list;
}

int EXPORT(config_set_groups)(config *c, const uint16_t *groups, size_t count)
{
    CHECK_CONFIG(c);
    uint16_t *list = copy_list(groups, count);
    if (list == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    mbedtls_ssl_conf_groups(&c->ssl, list);
    mbedtls_free(c->groups);
    c->groups = list;
    return 0;
}

int EXPORT(config_set_sigalgs)(config *c, const uint16_t *sigalgs, size_t count)
{
    CHECK_CONFIG(c);
    uint16_t *list = copy_list(sigalgs, count);
    if (list == NULL) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    mbedtls_ssl_conf_sig_algs(&c->ssl, list);
    mbedtls_free(c->sigalgs);
    c->sigalgs = list;
    return 0;
}

/* ---- Resumption: server ---------------------------------------------------------------------------- */

/*
 * Sets the ticket keys: `count` times name and secret, the encrypting one first. A ticket is accepted only
 * by a config with the same `context`. `lifetime` is in seconds.
 */
int EXPORT(config_set_tickets)(config *c, const unsigned char *keys, size_t count, uint32_t lifetime,
                               const unsigned char *context)
{
    CHECK_CONFIG(c);
    if (count == 0 || count > TICKET_KEYS) return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    ticket_keys_free(c);
    for (size_t i = 0; i < count; i++, keys += TICKET_NAME + TICKET_SECRET) {
        ticket_key *key = &c->ticket_keys[i];
        memcpy(key->name, keys, TICKET_NAME);
        mbedtls_gcm_init(&key->gcm);
        c->ticket_key_count = i + 1;
        int ret = mbedtls_gcm_setkey(&key->gcm, MBEDTLS_CIPHER_ID_AES, keys + TICKET_NAME, 8 * TICKET_SECRET);
        if (ret != 0) {
            ticket_keys_free(c);
            return ret;
        }
    }
    c->ticket_lifetime = lifetime;
    memcpy(c->ticket_context, context, TICKET_CONTEXT);
    mbedtls_ssl_conf_session_tickets_cb(&c->ssl, ticket_write, ticket_parse, c);
    return 0;
}

/* Whether a TLS 1.2 client asks for tickets; a TLS 1.3 server gives `count` after each handshake. */
int EXPORT(config_use_tickets)(config *c, int use, int count)
{
    CHECK_CONFIG(c);
    mbedtls_ssl_conf_session_tickets(&c->ssl, use ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                  : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_new_session_tickets(&c->ssl, (uint16_t) count);
    return 0;
}
