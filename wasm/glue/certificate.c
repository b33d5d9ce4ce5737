/*
 * What a certificate says, field by field. Text forms of names cannot be taken apart again safely: a value may
 * hold whatever separates the parts.
 */
#include "tlsio.h"

enum field {
    FIELD_SUBJECT = 1, /* an attribute that begins a relative distinguished name */
    FIELD_SUBJECT_MORE,
    FIELD_ISSUER,
    FIELD_ISSUER_MORE, /* an attribute that goes on with one */
    FIELD_ALT_NAME,
    FIELD_SERIAL,
    FIELD_NOT_BEFORE,
    FIELD_NOT_AFTER,
    FIELD_VERSION,
    FIELD_EXTENSIONS, /* DER: Extensions, RFC 5280 section 4.1 */
};

typedef struct {
    unsigned char *p, *end;
    int overflow;
} writer;

static void put(writer *w, const void *bytes, size_t len)
{
    if ((size_t) (w->end - w->p) < len) {
        w->overflow = 1;
        return;
    }
    if (len != 0) memcpy(w->p, bytes, len);
    w->p += len;
}

/* Writes a field: kind (1), tag (1), length and type, length (2) and value. */
static void put_field(writer *w, int kind, int tag, const char *type, const void *value, size_t len)
{
    size_t type_len = strlen(type);
    if (type_len > 255 || len > 65535) {
        w->overflow = 1;
        return;
    }
    const unsigned char head[3] = { (unsigned char) kind, (unsigned char) tag, (unsigned char) type_len };
    const unsigned char size[2] = { (unsigned char) (len >> 8), (unsigned char) len };
    put(w, head, sizeof(head));
    put(w, type, type_len);
    put(w, size, sizeof(size));
    put(w, value, len);
}

static void put_name(writer *w, int kind, const mbedtls_x509_name *name)
{
    int merged = 0;
    for (; name != NULL && name->oid.p != NULL; name = name->next) {
        const char *type;
        char dotted[64];
        if (mbedtls_oid_get_attr_short_name(&name->oid, &type) != 0) {
            type = mbedtls_oid_get_numeric_string(dotted, sizeof(dotted), &name->oid) > 0 ? dotted : "?";
        }
        put_field(w, kind + merged, name->val.tag, type, name->val.p, name->val.len);
        merged = name->next_merged;
    }
}

static void put_time(writer *w, int kind, const mbedtls_x509_time *t)
{
    const unsigned char parts[7] = { (unsigned char) (t->year >> 8), (unsigned char) t->year,
                                     (unsigned char) t->mon,         (unsigned char) t->day,
                                     (unsigned char) t->hour,        (unsigned char) t->min,
                                     (unsigned char) t->sec };
    put_field(w, kind, 0, "", parts, sizeof(parts));
}

/* Writes the fields of a certificate: DER, or the first of PEM. Returns how many bytes, or a negative code. */
int EXPORT(certificate_fields)(const unsigned char *chain, size_t len, unsigned char *out, size_t size)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int ret = read_certificate(&crt, chain, len);
    if (ret >= 0 && crt.raw.p != NULL) { /* above 0: another one of the chain did not parse */
        writer w = { out, out + size, 0 };
        put_name(&w, FIELD_SUBJECT, &crt.subject);
        put_name(&w, FIELD_ISSUER, &crt.issuer);
        put_field(&w, FIELD_SERIAL, 0, "", crt.serial.p, crt.serial.len);
        put_time(&w, FIELD_NOT_BEFORE, &crt.valid_from);
        put_time(&w, FIELD_NOT_AFTER, &crt.valid_to);
        const unsigned char version = (unsigned char) crt.version;
        put_field(&w, FIELD_VERSION, 0, "", &version, 1);
        if (crt.v3_ext.len != 0) put_field(&w, FIELD_EXTENSIONS, 0, "", crt.v3_ext.p, crt.v3_ext.len);
        if (mbedtls_x509_crt_has_ext_type(&crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)) {
            for (const mbedtls_x509_sequence *san = &crt.subject_alt_names; san != NULL; san = san->next) {
                put_field(&w, FIELD_ALT_NAME, san->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK, "", san->buf.p,
                          san->buf.len);
            }
        }
        ret = w.overflow ? MBEDTLS_ERR_X509_BUFFER_TOO_SMALL : (int) (w.p - out);
    }
    mbedtls_x509_crt_free(&crt);
    return ret;
}

/* Writes the subject in the form of RFC 4514, which issue_certificate() takes. Returns its length. */
int EXPORT(certificate_subject)(const unsigned char *pem, size_t len, char *out, size_t size)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int ret = read_certificate(&crt, pem, len);
    if (ret > 0) ret = MBEDTLS_ERR_X509_INVALID_FORMAT; /* some of several certificates did not parse */
    else if (ret == 0) ret = mbedtls_x509_dn_gets(out, size, &crt.subject);
    mbedtls_x509_crt_free(&crt);
    return ret;
}

/*
 * Hashes a certificate, DER, with the hash of its signature, or SHA-256 where that is MD5 or SHA-1: the channel
 * binding "tls-server-end-point" (RFC 5929 section 4.1). `out` has room for 64 bytes. Returns the length.
 */
int EXPORT(certificate_binding)(const unsigned char *der, size_t len, unsigned char *out)
{
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    int ret = mbedtls_x509_crt_parse_der_nocopy(&crt, der, len);
    if (ret == 0) {
        mbedtls_md_type_t type = crt.sig_md == MBEDTLS_MD_SHA1 || crt.sig_md == MBEDTLS_MD_MD5 ? MBEDTLS_MD_SHA256
                                                                                             : crt.sig_md;
        const mbedtls_md_info_t *md = mbedtls_md_info_from_type(type);
        ret = md == NULL ? MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG : mbedtls_md(md, der, len, out);
        if (ret == 0) ret = mbedtls_md_get_size(md);
    }
    mbedtls_x509_crt_free(&crt);
    return ret;
}
