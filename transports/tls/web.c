/* SPDX-License-Identifier: MIT */
#include "tls/web.h"

#include "base/check.h"
#include "tls/calendar.h"
#include "tls/certificate.h"
#include "tls/names.h"
#include "wire/der.h"

#include <sodium.h>

#include <stdlib.h>

#define CHAIN_MAX 10
#define ROOTS_MAX 1024
#define DER_MAX 16384 /* bytes of one certificate or key */
#define SELF_MADE_S ((int64_t)365 * 86400)
#define SELF_MADE_BEFORE_S 3600

struct lp2p_tls_web *lp2p_tls_web_hold(struct lp2p_tls_web *web)
{
    atomic_fetch_add_explicit(&web->held, 1, memory_order_relaxed);
    return web;
}

void lp2p_tls_web_release(struct lp2p_tls_web *web)
{
    if (web == NULL || atomic_fetch_sub_explicit(&web->held, 1, memory_order_acq_rel) != 1) {
        return;
    }
    web->backend->credentials_free(web->credentials);
    free(web->certificate);
    free(web);
}

/* Blocks of a PEM text */

struct blocks {
    struct lp2p_span *spans;
    size_t len, max;
};

static void blocks_free(struct blocks *blocks)
{
    for (size_t i = 0; i < blocks->len; i++) {
        sodium_memzero((void *)(uintptr_t)blocks->spans[i].ptr,
                       blocks->spans[i].len); /* a key may be among them */
        free((void *)(uintptr_t)blocks->spans[i].ptr);
    }
    free(blocks->spans);
    *blocks = (struct blocks){.spans = NULL};
}

static enum lp2p_err blocks_add(struct blocks *blocks, const uint8_t *bytes, size_t len)
{
    if (blocks->len == blocks->max) {
        return LP2P_ELIMIT;
    }
    struct lp2p_span *spans = realloc(blocks->spans, (blocks->len + 1) * sizeof(*spans));
    if (spans == NULL) {
        return LP2P_ENOMEM;
    }
    blocks->spans = spans;
    uint8_t *copy = malloc(len);
    if (copy == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(copy, bytes, len);
    spans[blocks->len++] = lp2p_span(copy, len);
    return LP2P_OK;
}

/** All blocks with this label; `lenient` passes over those that cannot be decoded. EMALFORMED: there is none.
 */
static enum lp2p_err blocks_read(struct blocks *blocks, struct lp2p_span text, const char *label,
                                 bool lenient)
{
    uint8_t *der = malloc(DER_MAX);
    enum lp2p_err err = der == NULL ? LP2P_ENOMEM : LP2P_OK;
    while (err == LP2P_OK) {
        size_t len = 0;
        err = lp2p_tls_pem_take(&text, label, der, DER_MAX, &len);
        if (err == LP2P_OK) {
            err = len > 0 ? blocks_add(blocks, der, len) : LP2P_EMALFORMED;
        }
        if (lenient && (err == LP2P_EMALFORMED || err == LP2P_EOVERSIZE)) {
            err = LP2P_OK;
        }
    }
    if (der != NULL) {
        sodium_memzero(der, DER_MAX);
        free(der);
    }
    if (err == LP2P_ENOTFOUND) {
        return blocks->len > 0 ? LP2P_OK : LP2P_EMALFORMED;
    }
    return err;
}

/* Making */

static enum lp2p_err make(const struct lp2p_tls_backend *backend, enum lp2p_tls_peer peer,
                          const struct lp2p_tls_material *material, const struct lp2p_rand *rand,
                          struct lp2p_tls_web **out)
{
    struct lp2p_tls_web *web = calloc(1, sizeof(*web));
    if (web == NULL) {
        return LP2P_ENOMEM;
    }
    web->backend = backend != NULL ? backend : lp2p_tls_backend_default();
    web->peer = peer;
    atomic_init(&web->held, 1);
    enum lp2p_err err = web->backend->credentials_new(material, rand, &web->credentials);
    if (err == LP2P_OK && material->chain_len > 0) {
        web->certificate_len = material->chain[0].len;
        web->certificate = malloc(web->certificate_len);
        if (web->certificate == NULL) {
            web->backend->credentials_free(web->credentials);
            err = LP2P_ENOMEM;
        } else {
            memcpy(web->certificate, material->chain[0].ptr, web->certificate_len);
        }
    }
    if (err != LP2P_OK) {
        free(web);
        return err;
    }
    *out = web;
    return LP2P_OK;
}

enum lp2p_err lp2p_tls_web_server(const struct lp2p_tls_backend *backend, struct lp2p_span chain_pem,
                                  struct lp2p_span key_pem, const struct lp2p_rand *rand,
                                  struct lp2p_tls_web **out)
{
    struct blocks chain = {.max = CHAIN_MAX}, key = {.max = 1};
    enum lp2p_err err = blocks_read(&chain, chain_pem, "CERTIFICATE", false);
    if (err == LP2P_OK) {
        err = blocks_read(&key, key_pem, "PRIVATE KEY", false);
        err = err == LP2P_ELIMIT ? LP2P_EBADKEY : err; /* which of two? */
    }
    if (err == LP2P_OK) {
        const struct lp2p_tls_material material = {
            .chain = chain.spans, .chain_len = chain.len, .key = key.spans[0]};
        err = make(backend, LP2P_TLS_PEER_NOBODY, &material, rand, out);
    }
    blocks_free(&chain);
    blocks_free(&key);
    return err;
}

enum lp2p_err lp2p_tls_web_self_made(const struct lp2p_tls_backend *backend, const char *const *names,
                                     size_t names_len, const struct lp2p_rand *rand, int64_t wall_s,
                                     struct lp2p_tls_web **out)
{
    uint8_t der[LP2P_TLS_OWN_MAX], key_der[LP2P_TLS_KEY_DER_MAX];
    size_t len = 0;
    struct lp2p_tls_key key;
    if (names_len == 0) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_tls_key_generate(rand, &key);
    if (err == LP2P_OK) {
        const struct lp2p_tls_make certificate = {.key = &key,
                                                  .names = names,
                                                  .names_len = names_len,
                                                  .not_before_s = wall_s - SELF_MADE_BEFORE_S,
                                                  .not_after_s = wall_s + SELF_MADE_S,
                                                  .rand = rand};
        err = lp2p_tls_certificate_make(&certificate, der, &len);
    }
    if (err == LP2P_OK) {
        struct lp2p_span chain = lp2p_span(der, len);
        const struct lp2p_tls_material material = {
            .chain = &chain, .chain_len = 1, .key = lp2p_span(key_der, lp2p_tls_key_der(&key, key_der))};
        err = make(backend, LP2P_TLS_PEER_NOBODY, &material, rand, out);
    }
    sodium_memzero(&key, sizeof(key));
    sodium_memzero(key_der, sizeof(key_der));
    return err;
}

enum lp2p_err lp2p_tls_web_client(const struct lp2p_tls_backend *backend, struct lp2p_span roots_pem,
                                  const struct lp2p_rand *rand, struct lp2p_tls_web **out)
{
    struct blocks roots = {.max = ROOTS_MAX};
    enum lp2p_err err = blocks_read(&roots, roots_pem, "CERTIFICATE", true);
    if (err == LP2P_OK) {
        const struct lp2p_tls_material material = {.roots = roots.spans, .roots_len = roots.len};
        err = make(backend, LP2P_TLS_PEER_ROOTS, &material, rand, out);
    }
    blocks_free(&roots);
    return err;
}

enum lp2p_err lp2p_tls_web_client_unverified(const struct lp2p_tls_backend *backend,
                                             const struct lp2p_rand *rand, struct lp2p_tls_web **out)
{
    const struct lp2p_tls_material material = {.chain_len = 0};
    return make(backend, LP2P_TLS_PEER_ANY, &material, rand, out);
}

size_t lp2p_tls_web_certificate_pem(const struct lp2p_tls_web *web, char *out, size_t cap)
{
    static const char head[] = "-----BEGIN CERTIFICATE-----\n", tail[] = "-----END CERTIFICATE-----\n";
    size_t lines = (web->certificate_len + 47) / 48, len = 0;
    if (web->certificate == NULL || cap < sizeof(head) + sizeof(tail) + lines * 66) {
        return 0;
    }
    memcpy(out, head, sizeof(head) - 1);
    len = sizeof(head) - 1;
    for (size_t at = 0; at < web->certificate_len; at += 48) {
        size_t part = LP2P_MIN(web->certificate_len - at, (size_t)48);
        (void)sodium_bin2base64(out + len, cap - len, web->certificate + at, part,
                                sodium_base64_VARIANT_ORIGINAL);
        len += strlen(out + len);
        out[len++] = '\n';
    }
    memcpy(out + len, tail, sizeof(tail));
    return len + sizeof(tail) - 1;
}

enum lp2p_err lp2p_tls_web_validity(const struct lp2p_tls_web *web, int64_t *from_s, int64_t *to_s)
{
    struct lp2p_span in = lp2p_span(web->certificate, web->certificate_len), outer, part, validity;
    if (lp2p_der_take(&in, LP2P_DER_SEQUENCE, &outer) != LP2P_OK || lp2p_der_take(&outer, LP2P_DER_SEQUENCE, &in) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    if (in.len > 0 && in.ptr[0] == 0xa0 && lp2p_der_take(&in, 0xa0, &part) != LP2P_OK) { /* the version */
        return LP2P_EMALFORMED;
    }
    /* serial number, algorithm, issuer */
    bool good = lp2p_der_take(&in, LP2P_DER_INTEGER, &part) == LP2P_OK && lp2p_der_take(&in, LP2P_DER_SEQUENCE, &part) == LP2P_OK &&
                lp2p_der_take(&in, LP2P_DER_SEQUENCE, &part) == LP2P_OK &&
                lp2p_der_take(&in, LP2P_DER_SEQUENCE, &validity) == LP2P_OK;
    return good && lp2p_tls_calendar_take(&validity, from_s) == LP2P_OK && lp2p_tls_calendar_take(&validity, to_s) == LP2P_OK
               ? LP2P_OK
               : LP2P_EMALFORMED;
}
