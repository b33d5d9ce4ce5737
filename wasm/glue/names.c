/*
 * Which host a certificate is for, by RFC 9525 and RFC 6125.
 *
 * mbedTLS is laxer: it takes the CN when there is no SAN, the text of an IP address in a dNSName, and a
 * wildcard over a public suffix. Its verdict is replaced by the one of this file.
 */
#include "tlsio.h"

#define SAN_DNS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_DNS_NAME)
#define SAN_IP (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS)

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

int equal_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower((unsigned char) a[i]) != lower((unsigned char) b[i])) return 0;
    }
    return 1;
}

/* `pattern` may be "*." and a suffix of at least two labels; the star stands for one whole label. */
static int dns_matches(const char *host, const char *pattern, size_t pattern_len)
{
    size_t host_len = strlen(host);
    if (host_len == 0 || memchr(pattern, 0, pattern_len) != NULL) return 0; /* "good.example\0.evil" */
    if (host_len == pattern_len && equal_nocase(host, pattern, host_len)) {
        return memchr(pattern, '*', pattern_len) == NULL;
    }
    if (pattern_len < 3 || pattern[0] != '*' || pattern[1] != '.') return 0;

    const char *suffix = pattern + 1; /* with its leading dot */
    size_t suffix_len = pattern_len - 1;
    if (memchr(suffix, '*', suffix_len) != NULL) return 0;
    const char *inner = memchr(suffix + 1, '.', suffix_len - 1);
    if (inner == NULL || inner == suffix + 1 || inner == suffix + suffix_len - 1) return 0; /* "*.com", "*.com." */

    const char *dot = strchr(host, '.');
    if (dot == NULL || dot == host) return 0;
    return strlen(dot) == suffix_len && equal_nocase(dot, suffix, suffix_len);
}

static int common_name_matches(const connection *conn, const mbedtls_x509_crt *crt)
{
    for (const mbedtls_x509_name *name = &crt->subject; name != NULL; name = name->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid) == 0 &&
            dns_matches(conn->dns_name, (const char *) name->val.p, name->val.len)) {
            return 1;
        }
    }
    return 0;
}

int name_matches(const connection *conn, const mbedtls_x509_crt *crt)
{
    if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)) {
        return conn->dns_name != NULL && (conn->config->options & OPTION_ALLOW_COMMON_NAME) != 0 &&
               common_name_matches(conn, crt);
    }
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next) {
        int type = san->buf.tag & (MBEDTLS_ASN1_TAG_CLASS_MASK | MBEDTLS_ASN1_TAG_VALUE_MASK);
        if (conn->dns_name != NULL) {
            if (type == SAN_DNS && dns_matches(conn->dns_name, (const char *) san->buf.p, san->buf.len)) {
                return 1;
            }
        } else if (type == SAN_IP && san->buf.len == conn->ip_len &&
                   memcmp(san->buf.p, conn->ip, conn->ip_len) == 0) {
            return 1;
        }
    }
    return 0;
}
