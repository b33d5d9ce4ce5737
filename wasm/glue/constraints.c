/*
 * What an authority may certify: names, by its name constraints (RFC 5280 section 4.2.1.10), and purposes.
 *
 * mbedTLS 3.6 does not know name constraints: it refuses a certificate in which they are critical, and passes over them in others.
 * Ours are enforced in both, those of a trust anchor too, and what cannot be told is refused.
 */
#include "tlsio.h"

#include "mbedtls/oid.h"

#define NAME_CONSTRAINTS_OID "\x55\x1d\x1e"
#define PERMITTED (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 0)
#define EXCLUDED (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 1)
#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define SET (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)

/* What one chain may cost, in bytes that are read: some 10 ms. A peer's message has room for hundreds of times that. */
#define WORK 8000000
#define SUBTREE_WORK 16 /* one without its name */

typedef struct {
    const unsigned char *p;
    size_t len;
} span;

/* Takes the next value off *from: its tag, and what it holds. Returns 0: there is none, or it is cut. */
static int take(span *from, int *tag, span *value)
{
    unsigned char *p = (unsigned char *) from->p;
    const unsigned char *end = from->p + from->len;
    if (from->len == 0) return 0;
    *tag = *p;
    if (mbedtls_asn1_get_tag(&p, end, &value->len, *tag) != 0) return 0;
    value->p = p;
    from->p = p + value->len;
    from->len = (size_t) (end - from->p);
    return 1;
}

static int take_as(span *from, int tag, span *value)
{
    int found;
    return take(from, &found, value) && found == tag;
}

int is_name_constraints(const mbedtls_asn1_buf *oid)
{
    return MBEDTLS_OID_CMP(NAME_CONSTRAINTS_OID, oid) == 0;
}

/* The extension's SEQUENCE, without its header. Returns 1; 0: there is none; -1: it is not one. */
static int constraints_of(const mbedtls_x509_crt *crt, span *constraints)
{
    span all = { crt->v3_ext.p, crt->v3_ext.len }, list, one, part;
    int count = 0;
    if (all.len == 0) return 0;
    if (!take_as(&all, SEQUENCE, &list)) return -1;
    while (take_as(&list, SEQUENCE, &one)) {
        int tag = 0;
        if (!take_as(&one, MBEDTLS_ASN1_OID, &part)) return -1;
        const mbedtls_asn1_buf oid = { MBEDTLS_ASN1_OID, part.len, (unsigned char *) part.p };
        if (!is_name_constraints(&oid)) continue;
        while (take(&one, &tag, &part) && tag == MBEDTLS_ASN1_BOOLEAN) {}
        if (tag != MBEDTLS_ASN1_OCTET_STRING || !take_as(&part, SEQUENCE, constraints) || part.len != 0) return -1;
        count++;
    }
    return count > 1 ? -1 : count;
}

/* ---- One name, one subtree -------------------------------------------------------------------------- */

enum { NO, YES, UNTOLD }; /* UNTOLD: the two cannot be compared */

static int ends_with(span name, span tail)
{
    return name.len >= tail.len &&
           equal_nocase((const char *) name.p + name.len - tail.len, (const char *) tail.p, tail.len);
}

static span without_root(span name)
{
    if (name.len != 0 && name.p[name.len - 1] == '.') name.len--;
    return name;
}

/* A host of `base`'s own; where that begins with a dot, one below it. RFC 5280 does not say what an empty one is. */
static int host_within(span host, span base)
{
    host = without_root(host);
    base = without_root(base);
    if (base.len == 0) return UNTOLD;
    if (base.len != 0 && base.p[0] == '.') return host.len > base.len && ends_with(host, base);
    return host.len == base.len && ends_with(host, base);
}

static int dns_within(span name, span base)
{
    name = without_root(name);
    base = without_root(base);
    if (base.len == 0 || host_within(name, base)) return YES;
    if (base.p[0] != '.' && name.len > base.len && ends_with(name, base) && name.p[name.len - base.len - 1] == '.') {
        return YES;
    }
    /* "*.example.com" is for "a.example.com", too. */
    if (name.len > 1 && name.p[0] == '*' && name.p[1] == '.') {
        const span suffix = { name.p + 1, name.len - 1 };
        if (ends_with(base, suffix) && memchr(base.p, '.', base.len - suffix.len) == NULL) return UNTOLD;
    }
    return NO;
}

static int email_within(span name, span base)
{
    size_t at = name.len;
    while (at != 0 && name.p[at - 1] != '@') at--;
    if (at < 2) return UNTOLD;
    const span host = { name.p + at, name.len - at };
    size_t base_at = base.len;
    while (base_at != 0 && base.p[base_at - 1] != '@') base_at--;
    const span base_host = { base.p + base_at, base.len - base_at };
    if (base_at == 1) return UNTOLD; /* "@example.com" */
    if (base_at != 0 && (at != base_at || memcmp(name.p, base.p, at) != 0)) return NO;
    return host_within(host, base_host);
}

/* Whether it is one by its letters, and no IPv4 address. "%62.test" is b.test to some, and "b.test\@a.test" is, too. */
static int is_host(span host)
{
    int is_number = 1; /* the last label */
    for (size_t i = 0; i < host.len; i++) {
        int c = host.p[i], is_digit = c >= '0' && c <= '9', is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!is_digit && !is_letter && c != '-' && c != '_' && c != '.') return 0;
        is_number = c == '.' || (is_number && is_digit);
    }
    return !is_number;
}

static int ends_authority(int c)
{
    return c == '/' || c == '?' || c == '#';
}

static int uri_within(span name, span base)
{
    const unsigned char *p = name.p, *end = name.p + name.len;
    while (p < end && *p != ':' && !ends_authority(*p)) p++;
    if (end - p <= 3 || memcmp(p, "://", 3) != 0) return UNTOLD; /* no authority */
    span host = { p + 3, 0 };
    for (p = host.p; p < end && !ends_authority(*p); p++) {
        if (*p == '@') host.p = p + 1;
    }
    const unsigned char *authority_end = p;
    for (end = host.p; end < authority_end && *end != ':'; end++) {}
    host.len = (size_t) (end - host.p);
    host = without_root(host);
    if (!is_host(host)) return UNTOLD;
    return host_within(host, base);
}

static int ip_within(span name, span base)
{
    if (base.len != 2 * name.len) return NO; /* the other family */
    for (size_t i = 0; i < name.len; i++) {
        if (((name.p[i] ^ base.p[i]) & base.p[name.len + i]) != 0) return NO;
    }
    return YES;
}

/* Takes off *text what counts: a space for several, none at the ends, small letters. Returns -1 at its end. */
static int next_letter(span *text)
{
    int space = 0;
    while (text->len != 0 && *text->p == ' ') {
        text->p++;
        text->len--;
        space = 1;
    }
    if (text->len == 0) return -1;
    if (space) return ' ';
    int letter = *text->p++;
    text->len--;
    return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

static int is_text(int tag)
{
    return tag == MBEDTLS_ASN1_UTF8_STRING || tag == MBEDTLS_ASN1_PRINTABLE_STRING || tag == MBEDTLS_ASN1_IA5_STRING;
}

static int same_value(int a_tag, span a, int b_tag, span b)
{
    if (a_tag == b_tag && a.len == b.len && memcmp(a.p, b.p, a.len) == 0) return YES;
    if (!is_text(a_tag) || !is_text(b_tag)) return a_tag == b_tag ? NO : UNTOLD;
    while (a.len != 0 && *a.p == ' ') a.p++, a.len--;
    while (b.len != 0 && *b.p == ' ') b.p++, b.len--;
    for (;;) {
        int letter = next_letter(&a);
        if (letter != next_letter(&b)) return NO;
        if (letter < 0) return YES;
    }
}

/* Whether the RDNs of `base` are the first of `name`; both are Names without their header. */
static int directory_within(span name, span base)
{
    int result = YES;
    while (base.len != 0) {
        span name_set, base_set, a, b, part_a, part_b;
        int a_tag, b_tag;
        if (!take_as(&base, SET, &base_set)) return UNTOLD;
        if (name.len == 0) return NO;
        if (!take_as(&name, SET, &name_set)) return UNTOLD;
        int otherwise = NO;
        while (base_set.len != 0) {
            if (name_set.len == 0) return NO;
            if (!take_as(&base_set, SEQUENCE, &b) || !take_as(&b, MBEDTLS_ASN1_OID, &part_b)) return UNTOLD;
            if (!take_as(&name_set, SEQUENCE, &a) || !take_as(&a, MBEDTLS_ASN1_OID, &part_a)) return UNTOLD;
            if (base_set.len != 0 && name_set.len != 0) otherwise = UNTOLD; /* several: they may stand in no order */
            if (part_a.len != part_b.len || memcmp(part_a.p, part_b.p, part_a.len) != 0) return otherwise;
            if (!take(&a, &a_tag, &part_a) || !take(&b, &b_tag, &part_b)) return UNTOLD;
            int same = same_value(a_tag, part_a, b_tag, part_b);
            if (same == NO) return otherwise;
            if (same == UNTOLD) result = UNTOLD;
        }
        if (name_set.len != 0) return NO;
    }
    return result;
}

static int is_within(int type, span name, span base)
{
    switch (type) {
        case MBEDTLS_X509_SAN_RFC822_NAME: return email_within(name, base);
        case MBEDTLS_X509_SAN_DNS_NAME: return dns_within(name, base);
        case MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER: return uri_within(name, base);
        case MBEDTLS_X509_SAN_IP_ADDRESS: return ip_within(name, base);
        case MBEDTLS_X509_SAN_DIRECTORY_NAME: {
            span rdns, base_rdns;
            if (!take_as(&name, SEQUENCE, &rdns) || !take_as(&base, SEQUENCE, &base_rdns)) return UNTOLD;
            return directory_within(rdns, base_rdns);
        }
        default: return UNTOLD;
    }
}

/* ---- All names, all subtrees ------------------------------------------------------------------------ */

/* Whether the two halves are an address and a mask of ones, then zeros. */
static int is_network(span base)
{
    if (base.len != 8 && base.len != 32) return 0;
    const unsigned char *mask = base.p + base.len / 2, *end = base.p + base.len;
    while (mask < end && *mask == 0xff) mask++;
    if (mask == end) return 1;
    unsigned zeros = 0xffu & ~(unsigned) *mask;
    if ((zeros & (zeros + 1)) != 0) return 0;
    while (++mask < end) {
        if (*mask != 0) return 0;
    }
    return 1;
}

/* Returns 0 once the chain has cost too much. */
static int spend(int *left, size_t bytes)
{
    *left -= (int) bytes;
    return *left >= 0;
}

/* Whether the constraints allow a name of the GeneralName type `type`. */
static int allows(span constraints, int type, span name, int *left)
{
    while (constraints.len != 0) {
        int tag, is_constrained = 0, is_inside = 0;
        span subtrees, subtree, base;
        if (!take(&constraints, &tag, &subtrees) || (tag != PERMITTED && tag != EXCLUDED)) return 0;
        if (!spend(left, SUBTREE_WORK)) return 0;
        while (subtrees.len != 0) {
            int base_tag;
            /* What lies behind the base, `minimum` and `maximum`, has no place in RFC 5280. */
            if (!take_as(&subtrees, SEQUENCE, &subtree) || !take(&subtree, &base_tag, &base) || subtree.len != 0) return 0;
            if (!spend(left, SUBTREE_WORK + base.len)) return 0;
            int base_type = base_tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
            if (base_type == MBEDTLS_X509_SAN_IP_ADDRESS && !is_network(base)) return 0;
            if (base_type != type) continue;
            if (!spend(left, type == MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER ? 4 * name.len : name.len)) return 0;
            int within = is_within(type, name, base);
            if (tag == EXCLUDED && within != NO) return 0;
            is_constrained = 1;
            is_inside |= within == YES;
        }
        if (tag == PERMITTED && is_constrained && !is_inside) return 0;
    }
    return 1;
}

static int is_attribute(const mbedtls_x509_name *name, const char *oid, size_t len)
{
    return name->oid.len == len && memcmp(name->oid.p, oid, len) == 0;
}
#define IS_ATTRIBUTE(name, oid) is_attribute(name, oid, MBEDTLS_OID_SIZE(oid))

static int allows_all(span constraints, const mbedtls_x509_crt *crt, int takes_common_name, int *left)
{
    int has_names = mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME);
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; has_names && san != NULL; san = san->next) {
        const span name = { san->buf.p, san->buf.len };
        if (!allows(constraints, san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK, name, left)) return 0;
    }
    for (const mbedtls_x509_name *part = &crt->subject; part != NULL && part->oid.p != NULL; part = part->next) {
        const span name = { part->val.p, part->val.len };
        if (IS_ATTRIBUTE(part, MBEDTLS_OID_PKCS9_EMAIL) &&
            !allows(constraints, MBEDTLS_X509_SAN_RFC822_NAME, name, left)) {
            return 0;
        }
        if (!has_names && takes_common_name && IS_ATTRIBUTE(part, MBEDTLS_OID_AT_CN) &&
            !allows(constraints, MBEDTLS_X509_SAN_DNS_NAME, name, left)) {
            return 0;
        }
    }
    const span subject = { crt->subject_raw.p, crt->subject_raw.len };
    return crt->subject.oid.p == NULL || allows(constraints, MBEDTLS_X509_SAN_DIRECTORY_NAME, subject, left);
}

static int is_self_issued(const mbedtls_x509_crt *crt)
{
    return crt->issuer_raw.len == crt->subject_raw.len &&
           memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->issuer_raw.len) == 0;
}

/* Whether each certificate of the chain that verified has names that those above it may certify. */
static int names_are_allowed(const connection *conn)
{
    int takes_common_name = (conn->config->options & OPTION_ALLOW_COMMON_NAME) != 0, left = WORK;
    for (size_t above = 1; above < conn->chain_len; above++) {
        span constraints;
        int found = constraints_of(conn->chain[above], &constraints);
        if (found < 0) return 0;
        for (size_t i = 0; found && i < above; i++) {
            if (i != 0 && is_self_issued(conn->chain[i])) continue; /* RFC 5280 section 6.1.3 (b) */
            if (!allows_all(constraints, conn->chain[i], i == 0 && takes_common_name, &left)) return 0;
        }
    }
    return 1;
}

/* ---- All of it -------------------------------------------------------------------------------------- */

/* Who an authority's extended key usage lets it certify: not in RFC 5280, but all of the web's verifiers see it so. */
static int serves_purpose(const connection *conn, const mbedtls_x509_crt *crt)
{
    return (conn->config->ssl.endpoint == MBEDTLS_SSL_IS_CLIENT
                ? mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_SERVER_AUTH,
                                                            MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH))
                : mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_CLIENT_AUTH,
                                                            MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH))) == 0;
}

void check_authority(connection *conn, const mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    if (depth > 0 && !serves_purpose(conn, crt)) *flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
    if (depth != 0) return;
    conn->signatures = 0;
    if (!names_are_allowed(conn)) *flags |= BADCERT_NAMES;
}
